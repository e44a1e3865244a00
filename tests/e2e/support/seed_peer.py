"""A peer that knows only section 1 of docs/PROTOCOL.md, as the programs out there do."""
import os
import socket
import threading

from support import stun, websocket
from support.waiting import eventually

DATA, PING = b"DATADATA", b"PINGPING"
HEADER = 128  # bytes: the magic and what looks random
PING_INTERVAL = 0.25  # seconds
WEBSOCKET_PING_INTERVAL = 5.0  # seconds


def packet(magic, payload=b""):
    return magic + os.urandom(HEADER - len(magic)) + payload


class UdpPeer:
    """A UDP socket that keeps what it gets apart by kind and checks every packet's form."""

    def __init__(self, host="127.0.0.1"):
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sock.bind((host, 0))
        self.address = self.sock.getsockname()[:2]
        self.data = []  # (source, payload) of each DATA packet
        self.pings = []  # source of each PING packet
        self.faults = []  # what would have crashed or confused a seed peer
        self.headers = set()
        self.running = True
        self.thread = None

    def listen(self):
        self.thread = threading.Thread(target=self.read_all, daemon=True)
        self.thread.start()

    def read_all(self):
        self.sock.settimeout(0.1)
        while self.running:
            try:
                datagram, source = self.sock.recvfrom(1 << 16)
            except TimeoutError:
                continue
            except OSError:
                if not self.running:
                    return
                continue  # an ICMP error of something we sent
            self.on_datagram(datagram, source[:2])

    def on_datagram(self, datagram, source):
        if datagram[4:8] == stun.COOKIE.to_bytes(4, "big"):
            return
        if len(datagram) < HEADER or datagram[:8] not in (DATA, PING):
            self.faults.append(f"{len(datagram)} bytes from {source}: {datagram[:16]!r}")
            return
        random_part = datagram[8:HEADER]
        if len(set(random_part)) < 40:  # 120 random bytes have 96 different values, fewer than 40 never
            self.faults.append(f"does not look random: {random_part!r}")
        self.headers.add(random_part)
        if datagram[:8] == DATA:
            self.data.append((source, datagram[HEADER:]))
        else:
            if len(datagram) != HEADER:
                self.faults.append(f"a PING of {len(datagram)} bytes")
            self.pings.append(source)

    def payloads(self, source=None):
        return [payload for at, payload in list(self.data) if source in (None, at)]

    def wait_data(self, expected, source=None):
        eventually(lambda: expected in b"".join(self.payloads(source)), f"{expected[:60]!r} as DATA")

    def wait_pings(self, count, source=None):
        def enough():
            return sum(source in (None, at) for at in list(self.pings)) >= count
        eventually(enough, f"{count} PINGs from {source}")

    def send(self, datagram, to):
        try:
            self.sock.sendto(datagram, to)
        except ConnectionError:
            pass  # the ICMP error of an earlier packet

    def end(self):
        self.running = False
        if self.thread:
            self.thread.join()
        self.sock.close()


class SeedPeer(UdpPeer):
    """The whole of it: STUN, the websocket, PINGs every 250 ms, one DATA packet a line."""

    def __init__(self, natcoord, name, topic="t", bind="127.0.0.1", host="127.0.0.1", stun_host=None):
        """`natcoord` is anything with a `port` and a `stun_port`, at `host` and `stun_host` (the same unless given)."""
        super().__init__(bind)
        self.name = name
        self.public = stun.mapped_address(self.sock, (stun_host or host, natcoord.stun_port))
        self.peers = {}  # name -> (ip, port), without itself
        self.link = websocket.connect(natcoord.port, websocket.join_path(topic, name, *self.public), host=host)
        self.listen()
        self.stopping = threading.Event()
        self.loops = [threading.Thread(target=loop, daemon=True)
                      for loop in (self.follow_lists, self.ping_peers, self.ping_websocket)]
        for loop in self.loops:
            loop.start()

    def follow_lists(self):
        while not self.stopping.is_set():
            try:
                peers = self.link.next_list(deadline=3600)
            except (websocket.Closed, OSError, AssertionError):
                return  # it goes on with the peers it knows
            self.peers = {p["name"]: (p["ip"], p["port"]) for p in peers if (p["ip"], p["port"]) != self.public}

    def ping_peers(self):
        while not self.stopping.wait(PING_INTERVAL):
            for address in list(self.peers.values()):
                self.send(packet(PING), address)

    def ping_websocket(self):
        while not self.stopping.wait(WEBSOCKET_PING_INTERVAL):
            try:
                self.link.send_frame(websocket.PING)
            except OSError:
                return

    def wait_peers(self, *names):
        eventually(lambda: set(self.peers) == set(names), f"peers {names} of {self.name}")
        for name in names:
            self.wait_pings(1, self.peers[name])

    def say(self, line):
        """One DATA packet to each peer, as for a line of its stdin."""
        for address in list(self.peers.values()):
            self.send(packet(DATA, line.encode() if isinstance(line, str) else line), address)

    def end(self):
        if self.stopping.is_set():
            return
        self.stopping.set()
        try:
            self.link.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the coordinator went first
        self.link.end()
        for loop in self.loops:
            loop.join()
        super().end()
