"""A coordinator, with its STUN server, that a test leads by the hand."""
import json

from support import stun, websocket
from support.waiting import eventually


class FakeCoordinator(websocket.Server):
    """Upgrades every client. `others` is who else is in each list: (name, ip, port). `first_words(connection)` replaces
    the list sent on joining. It never sends a pong, as the servers out there."""

    def __init__(self, others=(), first_words=None, **server):
        self.others = list(others)
        self.first_words = first_words or self.send_own_list
        self.joined = []  # the connections that became websockets
        self.pings = []  # the connection of each ping frame
        self.closed = []  # (connection, Closed) of each that ended
        self.stun = stun.Server()
        super().__init__(self.serve_client, **server)

    @property
    def stun_port(self):
        return self.stun.port

    def serve_client(self, connection, _path):
        self.upgrade(connection)
        connection.query = self.queries()[self.paths.index(connection.path)]
        self.first_words(connection)
        self.joined.append(connection)
        try:
            while True:
                opcode, _ = connection.next_frame(deadline=3600)
                if opcode == websocket.PING:
                    self.pings.append(connection)
        except websocket.Closed as closed:
            self.closed.append((connection, closed))

    def send_own_list(self, connection):
        """The list of a well-behaved server: the others and the receiver."""
        query = connection.query
        connection.send_list(*self.others, (query["name"], query["ip"], int(query["port"])))

    def wait_joined(self, count=1, deadline=60):
        eventually(lambda: len(self.joined) >= count, f"{count} registrations", deadline)
        return self.joined[count - 1]

    def address(self, number=0):
        """Where the client of this registration can be reached."""
        query = self.joined[number].query
        return query["ip"], int(query["port"])

    def end(self):
        super().end()
        self.stun.end()


def as_json(*peers, **more):
    """The text of a list, with fields that no server of today sends where `more` says so."""
    return json.dumps({"peers": [{"ip": ip, "port": port, "name": name, "last_seen": 1656829882876, **more}
                                 for name, ip, port in peers], **more})
