"""Every request that natcoord turns down: with which status, and with which reason."""
import socket
import urllib.parse

from support import websocket
from support.programs import ProgramTest
from support.websocket import Refused, connect, join_path

GOOD = {"topic": "t", "name": "n", "ip": "192.0.2.1", "port": "1000"}


def raw_query(**changed):
    """A join path whose changed values are taken as they are, not encoded; None leaves the parameter out."""
    values = {key: value for key, value in {**GOOD, **changed}.items() if value is not None}
    return "/websocket?" + "&".join(f"{key}={value}" for key, value in values.items())


class RefusalTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.coordinator = self.natcoord()

    def assert_refused(self, status, path, *words, **options):
        with self.subTest(path[:120]):
            with self.assertRaises(Refused) as refused:
                self.own(connect(self.coordinator.port, path, **options))
            self.assertEqual(refused.exception.status, status, refused.exception.body)
            reason = refused.exception.body
            self.assertEqual(len(reason.strip().splitlines()), 1, f"one line, not {reason!r}")
            for word in words:
                self.assertIn(word, reason)
            return refused.exception

    def test_a_missing_empty_or_repeated_parameter_is_400(self):
        for name in GOOD:
            self.assert_refused(400, raw_query(**{name: None}), name)
            self.assert_refused(400, raw_query(**{name: ""}), name)
            self.assert_refused(400, f"{raw_query()}&{name}={GOOD[name]}", name)
        self.assert_refused(400, "/websocket")
        self.assert_refused(400, "/websocket?")

    def test_an_over_long_topic_or_name_is_400_and_the_longest_allowed_is_not(self):
        self.assert_refused(400, raw_query(topic="t" * 256), "topic")
        self.assert_refused(400, raw_query(name="n" * 129), "name")
        emoji = urllib.parse.quote("🙂" * 33)  # 132 bytes
        self.assert_refused(400, raw_query(name=emoji), "name")
        self.own(connect(self.coordinator.port, raw_query(topic="t" * 255, name="n" * 128)))

    def test_text_that_is_not_utf8_is_400(self):
        for bad in ("%ff", "a%c3", "%c0%af", "%ed%a0%80", "%f4%90%80%80"):
            self.assert_refused(400, raw_query(name=bad), "name")
            self.assert_refused(400, raw_query(topic=bad), "topic")

    def test_control_characters_are_400(self):
        for bad in ("%00", "a%0a", "%1b[31m", "%7f", "%c2%85"):
            self.assert_refused(400, raw_query(name=bad), "name")
            self.assert_refused(400, raw_query(topic=bad), "topic")

    def test_an_ip_that_can_never_be_a_peers_is_400(self):
        for bad in ("localhost", "example.com", "1.2.3", "256.1.1.1", "1.2.3.4:5", "0.0.0.0", "224.0.0.1", "239.1.2.3",
                    "255.255.255.255", "::", "ff02::1", "%5B::1%5D", "fe80::1%25eth0", "::ffff:224.0.0.1", "12345"):
            self.assert_refused(400, raw_query(ip=bad), "ip")

    def test_a_port_that_is_no_plain_decimal_from_1_to_65535_is_400(self):
        for bad in ("0", "65536", "-1", "%2B1", "%201", "1%20", "0x50", "080", "1e3", "99999999999999999999", "http"):
            self.assert_refused(400, raw_query(port=bad), "port")

    def test_broken_percent_encoding_is_400(self):
        for bad in ("%", "%2", "%zz", "a%g0"):
            self.assert_refused(400, raw_query(name=bad))

    def test_a_name_taken_is_409(self):
        self.own(connect(self.coordinator.port, join_path(name="bob", port=1)))
        self.assert_refused(409, join_path(name="bob", port=2), "name")
        self.assert_refused(409, join_path(name="bob", ip="192.0.2.9", port=1), "name")
        self.own(connect(self.coordinator.port, join_path(topic="other", name="bob", port=2)))

    def test_a_request_that_asks_for_no_websocket_is_a_client_error(self):
        for headers in ("", "Upgrade: websocket\r\n", "Upgrade: h2c\r\nConnection: Upgrade\r\n"):
            status = self.plain(f"GET {join_path()} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
            self.assertIn(status, (400, 426), headers)

    def plain(self, request):
        """The status of the answer to these bytes; None if the connection just ends."""
        with socket.create_connection(("127.0.0.1", self.coordinator.port), timeout=30) as sock:
            try:
                sock.sendall(request if isinstance(request, bytes) else request.encode())
            except ConnectionError:
                pass  # answered before all was sent
            connection = websocket.Connection(sock, masks=False)
            try:
                line, self.headers = connection.read_head()
            except websocket.Closed:
                return None
            self.body = connection.read(int(self.headers.get("content-length", 0)))
            return int(line.split()[1])

    def test_healthz_is_200(self):
        self.assertEqual(self.plain("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), 200)

    def test_anything_else_is_404(self):
        for target in ("/", "/websocket/x?topic=t", "/websockets", "/HEALTHZ", "/healthz/x", "/..", "/%00", "/?a=b"):
            with self.subTest(target):
                self.assertEqual(self.plain(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"), 404)

    def test_what_is_no_http_does_no_harm(self):
        for noise in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), b"\r\n\r\n\r\n\r\n", b"GET\r\n\r\n",
                      b"GET / HTTP/9.9\r\n\r\n", b"\xff" * 1000 + b"\r\n\r\n"):
            with self.subTest(noise[:12]):
                self.assertIn(self.plain(noise), (None, 400, 404, 505))
        self.test_healthz_is_200()

    def test_headers_over_8_kib_are_431_or_413(self):
        big = "x" * 9000
        for request in (f"GET {join_path()} HTTP/1.1\r\nHost: x\r\nX-Big: {big}\r\n\r\n",
                        f"GET /websocket?topic={big} HTTP/1.1\r\nHost: x\r\n\r\n"):
            self.assertIn(self.plain(request), (413, 431))
        many = "".join(f"X-{i}: y\r\n" for i in range(2000))
        self.assertIn(self.plain(f"GET /healthz HTTP/1.1\r\nHost: x\r\n{many}\r\n"), (413, 431))

    def test_a_full_topic_is_503_with_retry_after(self):
        self.coordinator = self.natcoord("--max-peers", 1)
        held = self.own(connect(self.coordinator.port, join_path(name="a")))
        refused = self.assert_refused(503, join_path(name="b"))
        self.assertGreater(int(refused.headers["retry-after"]), 0)
        self.own(connect(self.coordinator.port, join_path(topic="another", name="b")))
        held.close()
        held.wait_closed()
        self.own(connect(self.coordinator.port, join_path(name="b"))).list_of("b")

    def test_a_full_server_is_503_with_retry_after(self):
        self.coordinator = self.natcoord("--max-connections", 1)
        self.own(connect(self.coordinator.port, join_path(name="a")))
        refused = self.assert_refused(503, join_path(topic="another", name="b"))
        self.assertGreater(int(refused.headers["retry-after"]), 0)


class HandshakeDeadlineTest(ProgramTest):
    def test_a_handshake_that_never_ends_is_cut(self):
        coordinator = self.natcoord()
        slow = [socket.create_connection(("127.0.0.1", coordinator.port), timeout=90) for _ in range(2)]
        slow[1].sendall(b"GET /websocket?topic=t HTTP/1.1\r\nHost: x\r\n")
        for sock in slow:
            with sock:
                try:
                    while sock.recv(4096):
                        pass  # perhaps a 408 first
                except ConnectionError:
                    pass
