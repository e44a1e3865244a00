"""A client of natcoord.v2 (docs/PROTOCOL.md, section 9), by hand."""
import base64
import json
import struct
import urllib.parse

from support import stun, websocket
from support.waiting import DEADLINE

SUBPROTOCOL = "natcoord.v2"
TOKEN_ATTRIBUTE, PROBE_ATTRIBUTE = 0xC0A7, 0xC0A8
TOKEN_SIZE, PROBE_SIZE = 24, 40  # bytes


def path(topic="t", name="n"):
    return "/websocket?" + urllib.parse.urlencode({"topic": topic, "name": name}, quote_via=urllib.parse.quote, safe="")


def proven_address(sock, server):
    """((ip, port), token) of natcoord's STUN answer."""
    answer = stun.ask(sock, server, [(TOKEN_ATTRIBUTE, bytes(TOKEN_SIZE))])
    return answer.mapped, answer.attributes[TOKEN_ATTRIBUTE]


def candidate(address, kind="reflexive", token=None):
    out = {"ip": address[0], "port": address[1], "kind": kind}
    return {**out, "token": base64.b64encode(token).decode()} if token else out


class Client:
    """A registered client; it has read its welcome and its first snapshot."""

    def __init__(self, port, name, topic="t", resume=None, **more):
        headers = {"Sec-WebSocket-Protocol": SUBPROTOCOL}
        if resume is not None:
            headers["Authorization"] = f"Bearer {resume}"
        self.name = name
        self.socket = websocket.connect(port, path(topic, name), headers=headers, **more)
        assert self.socket.handshake.get("sec-websocket-protocol") == SUBPROTOCOL, self.socket.handshake
        self.relayed = []  # (sender's id, packet) of those that came while texts were awaited
        self.welcome = self.next_message("welcome")
        self.id, self.resume = self.welcome["id"], self.welcome["resume"]
        peers = self.next_message("snapshot")["peers"]
        self.met = {peer["name"]: peer for peer in peers if peer["id"] != self.id}  # who was there before

    def next_frame(self, deadline=DEADLINE):
        """(opcode, payload); a packet is put into `relayed` as well."""
        while True:
            opcode, payload = self.socket.next_frame(deadline)
            if opcode == websocket.BINARY:
                self.relayed.append((struct.unpack("!Q", payload[:8])[0], payload[8:]))
            if opcode != websocket.PING:
                return opcode, payload
            self.socket.send_frame(websocket.PONG, payload)

    def next_message(self, kind=None, deadline=DEADLINE):
        """The next text; it must be of this type."""
        while True:
            opcode, payload = self.next_frame(deadline)
            if opcode == websocket.TEXT:
                message = json.loads(payload)
                assert kind in (None, message["type"]), message
                return message

    def next_relayed(self, deadline=DEADLINE):
        """(sender's id, packet) of the next one; texts on the way are dropped."""
        while not self.relayed:
            self.next_frame(deadline)
        return self.relayed.pop(0)

    def others(self):
        """{name: peer} of everybody else, from a new snapshot."""
        self.send(type="resync")
        while (message := self.next_message())["type"] != "snapshot":
            pass
        return {peer["name"]: peer for peer in message["peers"] if peer["id"] != self.id}

    def wait_delta(self, accept):
        """The first delta that this is true of."""
        while True:
            message = self.next_message("delta")
            if accept(message):
                return message

    def send(self, **message):
        self.socket.send_text(json.dumps(message))

    def announce(self, *candidates, **more):
        self.send(type="addresses", candidates=list(candidates), **more)

    def relay(self, packet, to=()):
        """To these ids; to none means to everybody."""
        frame = struct.pack("!B", len(to)) + b"".join(struct.pack("!Q", one) for one in to) + packet
        self.socket.send_frame(websocket.BINARY, frame)

    def in_step(self):
        """Returns once everything that was sent before has been worked off."""
        self.socket.send_frame(websocket.PING, b"in step")
        while self.next_frame()[0] != websocket.PONG:
            pass

    def end(self):
        self.socket.end()
