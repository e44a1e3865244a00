"""The little of RFC 8489 that a Binding needs, from both ends."""
import ipaddress
import os
import socket
import struct
import threading
import zlib

from support.waiting import DEADLINE

COOKIE = 0x2112A442
REQUEST, INDICATION, SUCCESS, ERROR = 0x0001, 0x0011, 0x0101, 0x0111
MAPPED_ADDRESS, ERROR_CODE, UNKNOWN_ATTRIBUTES = 0x0001, 0x0009, 0x000A
XOR_MAPPED_ADDRESS, ALTERNATE_SERVER, FINGERPRINT = 0x0020, 0x8023, 0x8028


def message(kind, transaction, attributes=(), fingerprint=False, cookie=COOKIE):
    """Encodes a message of (type, value) attributes."""
    body = b"".join(struct.pack("!HH", t, len(v)) + v + bytes(-len(v) % 4) for t, v in attributes)
    size = len(body) + (8 if fingerprint else 0)
    data = struct.pack("!HHI", kind, size, cookie) + transaction + body
    if fingerprint:
        data += struct.pack("!HHI", FINGERPRINT, 4, zlib.crc32(data) ^ 0x5354554E)
    return data


def decode(data):
    """(type, transaction id, [(attribute type, value)]); a FINGERPRINT that does not match raises."""
    kind, size, cookie = struct.unpack("!HHI", data[:8])
    assert cookie == COOKIE and size == len(data) - 20 and size % 4 == 0, data
    attributes, at = [], 20
    while at < len(data):
        t, n = struct.unpack("!HH", data[at:at + 4])
        attributes.append((t, data[at + 4:at + 4 + n]))
        if t == FINGERPRINT:
            assert struct.unpack("!I", attributes[-1][1])[0] == zlib.crc32(data[:at]) ^ 0x5354554E, "FINGERPRINT"
        at += 4 + n + (-n % 4)
    assert at == len(data), data
    return kind, data[8:20], attributes


def encode_address(ip, port, transaction=None):
    """A (XOR-)MAPPED-ADDRESS value; with a transaction id it is the XOR form."""
    address = ipaddress.ip_address(ip)
    raw = address.packed
    if transaction is not None:
        pad = struct.pack("!I", COOKIE) + transaction
        raw = bytes(a ^ b for a, b in zip(raw, pad))
        port ^= COOKIE >> 16
    return struct.pack("!BBH", 0, 1 if address.version == 4 else 2, port) + raw


def decode_address(value, transaction):
    """(ip, port) of an XOR-MAPPED-ADDRESS value."""
    _, family, port = struct.unpack("!BBH", value[:4])
    pad = struct.pack("!I", COOKIE) + transaction
    raw = bytes(a ^ b for a, b in zip(value[4:], pad))
    assert (family, len(raw)) in ((1, 4), (2, 16)), value
    return str(ipaddress.ip_address(raw)), port ^ (COOKIE >> 16)


class Answer:
    """A success response: `mapped` is (ip, port), `attributes` {type: value}, `source` who sent it."""

    def __init__(self, data, source):
        kind, transaction, attributes = decode(data)
        assert kind == SUCCESS, kind
        self.attributes, self.source, self.size = dict(attributes), source[:2], len(data)
        self.mapped = decode_address(self.attributes[XOR_MAPPED_ADDRESS], transaction)


def ask(sock, server, attributes=()):
    """The first answer, asked for again while none comes, as section 6.2.1 wants."""
    transaction = os.urandom(12)
    sock.settimeout(0.5)
    for _ in range(int(DEADLINE / 0.5)):
        sock.sendto(message(REQUEST, transaction, attributes), server)
        try:
            while True:
                data, source = sock.recvfrom(2048)
                if data[8:20] == transaction:
                    return Answer(data, source)
        except TimeoutError:
            pass
    raise AssertionError("no STUN answer")


def mapped_address(sock, server):
    return ask(sock, server).mapped


class Server:
    """A STUN server. `behave(server, transaction, source, data)` returns the datagrams that answer a request; the default
    is an honest answer."""

    def __init__(self, behave=None, host="127.0.0.1"):
        self.behave = behave or Server.honest
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((host, 0))
        self.host, self.port = self.sock.getsockname()[:2]
        self.stopping = False
        self.requests = []  # (transaction, source) of each Binding request so far
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def honest(self, transaction, source, _data=b""):
        mapped = encode_address(source[0], source[1], transaction)
        return [message(SUCCESS, transaction, [(XOR_MAPPED_ADDRESS, mapped)])]

    def serve(self):
        while True:
            try:
                data, source = self.sock.recvfrom(1 << 16)
            except OSError:
                continue  # the ICMP error of an answer to somebody who has gone
            if self.stopping:
                return
            if len(data) < 20 or struct.unpack("!H", data[:2])[0] != REQUEST:
                continue
            self.requests.append((data[8:20], source))
            for answer in self.behave(self, data[8:20], source, data):
                self.sock.sendto(answer, source)

    def end(self):
        self.stopping = True
        with socket.socket(self.sock.family, socket.SOCK_DGRAM) as waker:
            while self.thread.is_alive():
                waker.sendto(b"", (self.host, self.port))
                self.thread.join(0.1)
        self.sock.close()
