"""natpeer and coordinators that do everything wrong."""
import json
import random
import signal
import socket

from support import websocket
from support.fake_coordinator import FakeCoordinator, as_json
from support.programs import NATPEER, ProgramTest
from support.seed_peer import DATA, UdpPeer, packet
from support.waiting import eventually


class FakeCoordinatorCase(ProgramTest):
    """Starts a natpeer at a coordinator of Python's."""

    def peer_at(self, url, stun="127.0.0.1:9", *options, **more):
        return self.start(
            NATPEER, "--topic", "t", "--name", "peer", "--coordinator", url, "--stun", stun, *options, **more)

    def peer(self, coordinator, *options, **more):
        return self.peer_at(coordinator.url(), f"127.0.0.1:{coordinator.stun_port}", *options, **more)

    def other(self, host="127.0.0.1"):
        """Another peer's socket, with its entry for a list."""
        other = self.own(UdpPeer(host))
        other.listen()
        other.entry = ("other", *other.address)
        return other


class BadListTest(FakeCoordinatorCase):
    def assert_survives(self, *messages, binary=False):
        """After these messages it still follows a good list, and then still hears and speaks."""
        coordinator = self.own(FakeCoordinator(first_words=lambda connection: None))
        peer = self.peer(coordinator)
        connection = coordinator.wait_joined()
        for message in messages:
            connection.send_frame(websocket.BINARY if binary else websocket.TEXT,
                                  message if isinstance(message, bytes) else message.encode())
        other = self.other()
        connection.send_list(other.entry, ("peer", *coordinator.address()))
        other.wait_pings(2, coordinator.address())
        other.send(packet(DATA, b"hello"), coordinator.address())
        peer.wait_out("hello")
        self.assertEqual(len(coordinator.paths), 1, "on the same connection")
        self.assertEqual(other.faults, [])
        return peer

    def test_what_is_no_json(self):
        self.assert_survives("", "no json", "{", '{"peers":[', '{"peers":[]} trailing', "[" * 10, '"\\ud800"', "nul\0",
                             '{"peers":[{"ip":"1.2.3.4","port":1,"name":"\x01"}]}', "NaN", "\ufeff{}")

    def test_deep_nesting(self):
        deep = 100_000
        self.assert_survives("[" * deep + "]" * deep, '{"peers":' * deep + "[]" + "}" * deep,
                             '{"peers":[],"x":' + "[" * deep + "]" * deep + "}")

    def test_wrong_types(self):
        good = {"ip": "127.0.0.1", "port": 9, "name": "x", "last_seen": 1}
        wrong = [{**good, key: value} for key in good for value in (
            None, True, [], {}, "", "x", -1, 0, 65536, 1.5, 1e400, 2 ** 70, ["127.0.0.1"])]
        missing = [{k: v for k, v in good.items() if k != key} for key in good]
        as_text = [json.dumps({"peers": [entry]}) for entry in [*wrong, *missing, 1, "x", None, [], [good]]]
        self.assert_survives("null", "[]", "{}", "1", '"peers"', '{"peers":null}', '{"peers":{}}', '{"peers":"x"}',
                             *as_text)

    def test_addresses_that_can_be_nobodys(self):
        self.assert_survives(as_json(("a", "0.0.0.0", 9), ("b", "224.0.0.1", 9), ("c", "255.255.255.255", 9),
                                     ("d", "::", 9), ("e", "ff02::1", 9), ("f", "no address", 9),
                                     ("g", "1.2.3.4.5", 9)))

    def test_binary_frames(self):
        peer = self.assert_survives(b"\0\xff" * 500, as_json(("x", "192.0.2.1", 9)), binary=True)
        self.assertNotIn("peer x at", peer.err.text(), "a list comes as text")

    def test_100_000_peers(self):
        many = [(f"n{i}", f"127.{i >> 16}.{(i >> 8) & 255}.{i & 255}", 9) for i in range(1, 100_001)]
        self.assert_survives(as_json(*many))

    def test_names_that_are_no_names(self):
        self.assert_survives(as_json(*((name, "127.0.0.1", 9) for name in ("", "x" * 100_000, "\x1b[2J\n\0"))))

    def test_unknown_fields_and_an_ipv6_address_and_itself_twice_are_no_harm(self):
        other = self.other()

        def words(connection):
            me = (connection.query["ip"], int(connection.query["port"]))
            connection.send_text(as_json(
                ("me", *me), ("v6", "2001:db8::1", 9), ("me again", *me), other.entry,
                relays=[{"url": "x"}], note={"deep": [1, {"er": None}]}))

        coordinator = self.own(FakeCoordinator(first_words=words))
        peer = self.peer(coordinator)
        coordinator.wait_joined()
        other.wait_pings(2, coordinator.address())
        peer.write("to you\n")
        other.wait_data(b"to you\n", coordinator.address())
        self.assertNotIn("peer me", peer.err.text())
        self.assertEqual(bytes(peer.out.data), b"", "it never hears itself")

    def test_two_entries_of_one_name_are_two_peers(self):
        one, two = self.other(), self.other()
        coordinator = self.own(FakeCoordinator(others=[one.entry, two.entry]))
        peer = self.peer(coordinator, "--wait", 2)
        peer.write("to both\n")
        for other in (one, two):
            other.wait_data(b"to both\n")

    def test_a_control_character_in_a_name_does_not_reach_the_log(self):
        other = self.other()
        coordinator = self.own(FakeCoordinator(others=[("\x1b[2Jevil\n", *other.address)]))
        peer = self.peer(coordinator)
        peer.wait_err(r"evil.* at \S+ appeared")
        self.assertNotIn("\x1b[2J", peer.err.text())

    def test_a_dead_peer_harms_nobody(self):
        """Its host answers each packet with ICMP port unreachable."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closing:
            closing.bind(("127.0.0.1", 0))
            dead = closing.getsockname()
        other = self.other()
        coordinator = self.own(FakeCoordinator(others=[("dead", *dead), other.entry]))
        peer = self.peer(coordinator, "--wait", 2)
        for i in range(20):
            peer.write(f"line {i}\n")
            other.wait_data(f"line {i}\n".encode())
            other.send(packet(DATA, b"answer %d;" % i), coordinator.address())
            peer.wait_out(b"answer %d;" % i)


class BadServerTest(FakeCoordinatorCase):
    def test_one_that_cannot_be_reached_is_told_at_each_try_and_tried_again(self):
        reserved = websocket.reserve_port()
        port = reserved.getsockname()[1]
        peer = self.peer_at(f"ws://127.0.0.1:{port}")
        peer.wait_err(r"127\.0\.0\.1:%d cannot be reached" % port, count=3)
        self.assertTrue(peer.is_running())
        coordinator = self.own(FakeCoordinator(reserved=reserved))
        eventually(lambda: coordinator.connections, "a try at the coordinator that is there now", deadline=60)

    def refusing(self, status, body, **headers):
        return self.own(websocket.Server(
            lambda connection, _: websocket.Server.answer(connection, status, body, **headers)))

    def test_a_refusal_at_the_start_ends_it_with_the_reason(self):
        for status, reason in (("400 Bad Request", "the name is too silly"), ("404 Not Found", "nothing here"),
                               ("409 Conflict", "the name is taken"), ("403 Forbidden", "")):
            with self.subTest(status):
                server = self.refusing(status, reason + "\n")
                fake = self.own(FakeCoordinator())
                peer = self.peer_at(server.url(), f"127.0.0.1:{fake.stun_port}")
                self.assert_failure(peer, reason or status.split()[0])
                self.assertEqual(len(server.paths), 1)

    def test_a_reason_full_of_control_characters_is_shown_and_not_obeyed(self):
        fake = self.own(FakeCoordinator())
        server = self.refusing("400 Bad Request", "\x1b[2Jone\ntwo\x07")
        peer = self.peer_at(server.url(), f"127.0.0.1:{fake.stun_port}")
        self.assert_failure(peer, "one")
        self.assertNotIn("\x1b", peer.err.text())

    def assert_tried_again(self, behave, deadline=60):
        """It survives a first connection like this, and registers at the second."""
        coordinator = FakeCoordinator()
        good, tries = coordinator.behave, []

        def first_bad(connection, path):
            tries.append(path)
            (behave if len(tries) == 1 else good)(connection, path)
        coordinator.behave = first_bad
        peer = self.peer(self.own(coordinator))
        coordinator.wait_joined(deadline=deadline)
        self.assertGreaterEqual(len(tries), 2)
        peer.wait_err("registered with")
        return peer

    def test_one_that_closes_at_once(self):
        self.assert_tried_again(lambda connection, _: connection.end())

    def test_one_that_closes_at_once_after_the_upgrade(self):
        def behave(connection, _):
            websocket.Server.upgrade(connection)
            connection.end()
        self.assert_tried_again(behave)

    def test_one_that_never_answers(self):
        self.assert_tried_again(lambda connection, _: connection.read(1), deadline=120)

    def test_one_that_answers_nonsense(self):
        for nonsense in (b"\0\1\2\3" * 10, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                         b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
                         b"HTTP/1.1 101 Switching Protocols\r\nX: " + b"x" * 100_000):
            with self.subTest(nonsense[:30]):
                def behave(connection, _, n=nonsense):
                    connection.sock.sendall(n)
                    connection.end()
                self.assert_tried_again(behave)

    def test_one_that_is_overloaded(self):
        self.assert_tried_again(lambda connection, _: websocket.Server.answer(
            connection, "503 Service Unavailable", "full\n", Retry_After="1"))
        self.assert_tried_again(lambda connection, _: websocket.Server.answer(
            connection, "500 Internal Server Error", "oh\n"))

    def test_one_that_redirects_is_followed_to_where_it_points(self):
        for status in ("301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
            with self.subTest(status):
                elsewhere = self.own(FakeCoordinator())

                def point_there(connection, path, status=status, elsewhere=elsewhere):
                    websocket.Server.answer(connection, status, "", Location=elsewhere.url("http", path))
                server = self.own(websocket.Server(point_there))
                self.peer_at(server.url(), f"127.0.0.1:{elsewhere.stun_port}").wait_err("registered with")
                self.assertEqual(elsewhere.paths, server.paths)

    def test_one_that_redirects_in_circles_or_to_nowhere_is_told(self):
        fake = self.own(FakeCoordinator())
        for location in ("/websocket?round=again", "ftp://127.0.0.1/", "http://[", "//", "\xff"):
            with self.subTest(location):
                server = self.refusing("302 Found", "", Location=location)
                peer = self.peer_at(server.url(), f"127.0.0.1:{fake.stun_port}")
                peer.wait_err("(?i)redirect")
                peer.end()
                self.assertLess(len(server.paths), 20)

    def test_one_that_breaks_the_rules_of_websocket(self):
        for broken in (b"\x83\x00", b"\xc1\x01x", b"\x81\xfe" + bytes(20), b"\x89\x7e\x01\x00" + bytes(256),
                       b"\x82\x7f" + b"\xff" * 8, b"\x81\x02\xff\xfe", b"\x88\x01x"):
            with self.subTest(broken[:4]):
                def behave(connection, _, b=broken):
                    websocket.Server.upgrade(connection)
                    connection.sock.sendall(b)
                    connection.wait_closed()
                self.assert_tried_again(behave)

    def test_a_message_without_end_is_cut_off(self):
        def behave(connection, _):
            websocket.Server.upgrade(connection)
            chunk = random.randbytes(1 << 20).hex().encode()
            connection.send_frame(websocket.TEXT, b"[", fin=False)
            for _ in range(64):  # 128 MiB
                connection.send_frame(websocket.CONTINUATION, chunk, fin=False)
            connection.wait_closed()
        self.assert_tried_again(behave)


class ConnectionLifeTest(FakeCoordinatorCase):
    def test_it_pings_and_lives_with_a_server_that_never_sends_a_pong(self):
        other = self.other()
        coordinator = self.own(FakeCoordinator(others=[other.entry]))
        self.peer(coordinator)
        eventually(lambda: len(coordinator.pings) >= 3, "three pings, one each 5 s", deadline=90)
        self.assertEqual((len(coordinator.paths), coordinator.closed), (1, []))

    def test_a_refusal_on_a_reconnect_is_tried_again(self):
        """The name may still be held by its own dead connection."""
        coordinator = FakeCoordinator()
        good = coordinator.behave

        def second_refused(connection, path):
            if len(coordinator.paths) in (2, 3):
                websocket.Server.answer(connection, "409 Conflict", "the name is taken\n")
            else:
                good(connection, path)
        coordinator.behave = second_refused
        peer = self.peer(self.own(coordinator))
        coordinator.wait_joined().end()
        coordinator.wait_joined(2, deadline=120)
        self.assertTrue(peer.is_running())
        self.assertEqual(len(coordinator.paths), 4)

    def test_one_that_was_replaced_does_not_come_back(self):
        coordinator = self.own(FakeCoordinator())
        peer = self.peer(coordinator)
        coordinator.wait_joined().close(1008)
        self.assert_failure(peer)
        self.assertEqual(len(coordinator.paths), 1)

    def test_any_other_goodbye_is_followed_by_a_new_registration(self):
        for code in (1000, 1001, 1011, 1012):
            with self.subTest(code):
                coordinator = self.own(FakeCoordinator())
                peer = self.peer(coordinator)
                coordinator.wait_joined().close(code)
                coordinator.wait_joined(2)
                self.assertTrue(peer.is_running())

    def test_sigint_and_sigterm_close_the_websocket_properly_and_exit_0(self):
        for how in (signal.SIGINT, signal.SIGTERM):
            coordinator = self.own(FakeCoordinator())
            peer = self.peer(coordinator)
            coordinator.wait_joined()
            self.assertEqual(peer.stop(how), 0)
            eventually(lambda: coordinator.closed, "the close frame")
            self.assertIn(coordinator.closed[0][1].code, (1000, 1001))

    def test_a_signal_ends_it_in_every_state(self):
        fake = self.own(FakeCoordinator())
        mute = self.own(websocket.Server(lambda connection, _: connection.read(1)))
        reserved = websocket.reserve_port()
        self.addCleanup(reserved.close)
        unreachable = f"ws://127.0.0.1:{reserved.getsockname()[1]}"
        stun_works = f"127.0.0.1:{fake.stun_port}"
        for state, url, stun, sign in (
                ("no coordinator", unreachable, stun_works, r"127\.0\.0\.1"),
                ("no answer", mute.url(), stun_works, "public address"),
                ("no STUN", fake.url(), "127.0.0.1:9", None)):
            with self.subTest(state):
                peer = self.peer_at(url, stun, "--log-level", "debug")
                if sign:
                    peer.wait_err(sign)
                else:
                    eventually(lambda: len(fake.connections) > 0, "its connection")
                self.assertEqual(peer.stop(), 0)

    def test_a_coordinator_that_does_not_answer_the_goodbye_delays_nothing(self):
        coordinator = self.own(FakeCoordinator())

        def deaf(connection, path):
            websocket.Server.upgrade(connection)
            connection.query = coordinator.queries()[0]
            coordinator.joined.append(connection)
        coordinator.behave = deaf
        peer = self.peer(coordinator)
        coordinator.wait_joined()
        self.assertEqual(peer.stop(), 0)


class LoopbackTest(FakeCoordinatorCase):
    def test_a_listed_loopback_address_is_ignored_unless_the_coordinator_is_on_loopback(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                sock.connect(("192.0.2.1", 9))  # sends nothing; only asks which address would be ours
                own_ip = sock.getsockname()[0]
            except OSError:
                self.skipTest("this machine has no address but loopback")
        inside, outside = self.other(), self.other(own_ip)
        coordinator = self.own(FakeCoordinator(
            others=[("inside", *inside.address), ("outside", *outside.address)], host=own_ip))
        self.peer(coordinator)
        outside.wait_pings(5)
        self.assertEqual(inside.pings, [])
