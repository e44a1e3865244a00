"""RFC 6455 by hand, so that a test can also say what no library would: a client, a connection, a server."""
import base64
import hashlib
import json
import os
import socket
import ssl
import struct
import threading
import urllib.parse

from support.waiting import DEADLINE, TooLate

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


class Refused(Exception):
    """The server answered the handshake with something else than 101."""

    def __init__(self, status, headers, body):
        super().__init__(f"{status}: {body!r}")
        self.status, self.headers, self.body = status, headers, body


class Closed(Exception):
    """The connection has ended; `code` is the close frame's, None without one."""

    def __init__(self, code=None, reason=""):
        super().__init__(f"closed with {code} {reason!r}")
        self.code, self.reason = code, reason


class Connection:
    """Frames over a TCP (or TLS) socket, from either end."""

    def __init__(self, sock, masks, rest=b""):
        self.sock, self.masks, self.buffer = sock, masks, bytearray(rest)
        self.lock = threading.Lock()

    def read(self, size):
        while len(self.buffer) < size:
            try:
                chunk = self.sock.recv(1 << 16)
            except TimeoutError:
                raise TooLate("no frame came") from None
            except OSError:
                chunk = b""
            if not chunk:
                raise Closed()
            self.buffer += chunk
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    def read_head(self):
        """The request or status line, and the headers in lower case."""
        head = bytearray()
        while not head.endswith(b"\r\n\r\n"):
            head += self.read(1)
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        headers = {}
        for line in lines:
            key, _, value = line.partition(":")
            headers[key.strip().lower()] = value.strip()
        return first, headers

    def send_frame(self, opcode, payload=b"", fin=True, reserved=0, masked=None):
        masked = self.masks if masked is None else masked
        head = bytearray([(0x80 if fin else 0) | (reserved << 4) | opcode])
        size, bit = len(payload), 0x80 if masked else 0
        if size < 126:
            head.append(bit | size)
        elif size < 1 << 16:
            head += struct.pack("!BH", bit | 126, size)
        else:
            head += struct.pack("!BQ", bit | 127, size)
        if masked:
            key = os.urandom(4)
            head += key
            stream = (key * (size // 4 + 1))[:size]
            payload = (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")
        with self.lock:
            self.sock.sendall(bytes(head) + payload)

    def next_frame(self, deadline=DEADLINE):
        """(opcode, payload) of the next frame; raises Closed at its end. A close frame is answered."""
        self.sock.settimeout(deadline)
        first, second = self.read(2)
        size = second & 0x7F
        if size == 126:
            size = struct.unpack("!H", self.read(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self.read(8))[0]
        key = self.read(4) if second & 0x80 else bytes(4)
        payload = self.read(size)
        if any(key):
            stream = (key * (size // 4 + 1))[:size]
            payload = (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")
        if first & 0x0F == CLOSE:
            try:
                self.send_frame(CLOSE, payload[:2])
            except OSError:
                pass
            code = struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else None
            raise Closed(code, payload[2:].decode())
        return first & 0x0F, payload

    def next_list(self, deadline=DEADLINE):
        """The peers of the next text message; answers pings on the way."""
        while True:
            opcode, payload = self.next_frame(deadline)
            if opcode == PING:
                self.send_frame(PONG, payload)
            elif opcode == TEXT:
                return json.loads(payload.decode())["peers"]

    def list_of(self, *names):
        """The first list that has exactly these names, in this order."""
        while True:
            peers = self.next_list()
            if [peer["name"] for peer in peers] == list(names):
                return peers

    def entry_of(self, name):
        """What the first list that has this name says of it."""
        while True:
            for peer in self.next_list():
                if peer["name"] == name:
                    return peer

    def wait_closed(self):
        """Reads on until the other side closes; the Closed that tells how."""
        while True:
            try:
                self.next_frame()
            except Closed as closed:
                return closed

    def send_text(self, text):
        self.send_frame(TEXT, text.encode())

    def send_list(self, *peers):
        """Each peer as (name, ip, port)."""
        self.send_text(json.dumps({"peers": [
            {"ip": ip, "port": port, "name": name, "last_seen": 1656829882876} for name, ip, port in peers]}))

    def close(self, code=1000):
        self.send_frame(CLOSE, struct.pack("!H", code))

    def abort(self):
        """A reset instead of a goodbye, as from a crashed host."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def end(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)  # wakes a thread that reads
        except OSError:
            pass  # the other side was first
        self.sock.close()


def join_path(topic="t", name="n", ip="192.0.2.1", port=1000):
    query = urllib.parse.urlencode(
        {"topic": topic, "name": name, "ip": ip, "port": port}, quote_via=urllib.parse.quote, safe="")
    return f"/websocket?{query}"


def connect(port, path, host="127.0.0.1", source=None, headers=None, receive_buffer=None):
    """Opens a websocket; raises Refused on any other answer than 101."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(DEADLINE)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if source:
        sock.bind((source, 0))
    sock.connect((host, port))
    key = base64.b64encode(os.urandom(16)).decode()
    lines = {"Host": f"{host}:{port}", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": key,
             "Sec-WebSocket-Version": "13", **(headers or {})}
    sock.sendall((f"GET {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n").encode())
    connection = Connection(sock, masks=True)
    try:
        status_line, answer = connection.read_head()
    except (Closed, TooLate):
        sock.close()
        raise
    status = int(status_line.split()[1])
    if status != 101:
        body = bytes(connection.read(int(answer.get("content-length", 0)))).decode()
        sock.close()
        raise Refused(status, answer, body)
    accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
    assert answer["sec-websocket-accept"] == accept, answer
    connection.handshake = answer
    return connection


def reserve_port(host="127.0.0.1"):
    """A bound socket: nobody else can get its port, and whoever connects to it is refused until it listens."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    sock.bind((host, 0))
    return sock


class Server:
    """A coordinator that does what a test tells it: `behave(connection, path)` runs for each connection, in a thread,
    after the request was read; `Server.upgrade` is for those that then want a websocket. It knows section 1 alone: a
    request without an address, as natcoord.v2 makes it, gets status 400 and nothing else."""

    def __init__(self, behave, tls=None, host="127.0.0.1", reserved=None):
        self.behave, self.tls = behave, tls
        self.paths = []  # of every request so far that has an address
        self.connections = []
        self.failures = []
        self.listener = reserved or reserve_port(host)
        self.listener.listen()
        self.host, self.port = self.listener.getsockname()[:2]
        threading.Thread(target=self.accept_all, daemon=True).start()

    def url(self, scheme="ws", path=""):
        return f"{scheme}://{self.host}:{self.port}{path}"

    def accept_all(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=[sock], daemon=True).start()

    def serve(self, sock):
        try:
            sock.settimeout(DEADLINE)
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            connection = Connection(sock, masks=False)
            self.connections.append(connection)
            request, connection.headers = connection.read_head()
            connection.path = request.split()[1]
            if "topic=" in connection.path and "ip=" not in connection.path:
                self.answer(connection, "400 Bad Request", 'missing parameter "ip"\n')
                return
            self.paths.append(connection.path)
            self.behave(connection, connection.path)
        except (Closed, OSError, TooLate, ssl.SSLError):
            pass  # the program left; what it should have done is for the test to say
        except Exception as error:  # a mistake of the test itself must not pass for silence
            self.failures.append(error)
            raise

    @staticmethod
    def upgrade(connection):
        key = connection.headers["sec-websocket-key"]
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        connection.sock.sendall((
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n").encode())

    @staticmethod
    def answer(connection, status, body="", **headers):
        lines = "".join(f"{key.replace('_', '-')}: {value}\r\n" for key, value in headers.items())
        connection.sock.sendall(
            f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{lines}\r\n{body}".encode())

    def queries(self):
        """The parameters of each request so far."""
        return [dict(urllib.parse.parse_qsl(path.partition("?")[2])) for path in self.paths]

    def end(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts, and so frees the port
        self.listener.close()
        for connection in self.connections:
            connection.end()
        if self.failures:
            raise self.failures[0]
