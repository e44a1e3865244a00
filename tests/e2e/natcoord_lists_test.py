"""What natcoord tells its clients: lists, pongs, closes."""
import os
import threading
import time

from support import websocket
from support.programs import ProgramTest
from support.websocket import connect, join_path
from support.waiting import eventually


class ClientCase(ProgramTest):
    def setUp(self):
        super().setUp()
        self.coordinator = self.natcoord()

    def join(self, name, port=1000, **more):
        query = {key: more.pop(key) for key in ("topic", "ip") if key in more}
        return self.own(connect(self.coordinator.port, join_path(name=name, port=port, **query), **more))


class ListTest(ClientCase):
    def test_the_first_list_comes_at_once_and_has_the_receiver_in_it(self):
        before = time.time() * 1000
        peers = self.join("cloudflare", ip="1.1.1.1", port=6969).next_list()
        after = time.time() * 1000
        self.assertEqual(len(peers), 1)
        self.assertEqual(list(peers[0]), ["ip", "port", "name", "last_seen"])
        self.assertEqual((peers[0]["ip"], peers[0]["port"], peers[0]["name"]), ("1.1.1.1", 6969, "cloudflare"))
        self.assertIsInstance(peers[0]["last_seen"], int)
        self.assertTrue(before - 5 <= peers[0]["last_seen"] <= after + 5, (before, peers[0]["last_seen"], after))

    def test_lists_are_text_messages_and_plain_json(self):
        opcode, payload = self.join("a").next_frame()
        self.assertEqual(opcode, websocket.TEXT)
        self.assertTrue(payload.startswith(b'{"peers":[{"ip":"192.0.2.1","port":1000,"name":"a","last_seen":'), payload)

    def test_everybody_is_told_of_who_comes_and_goes_in_order_of_joining(self):
        a = self.join("a")
        b = self.join("b")
        a.list_of("a", "b")
        b.list_of("a", "b")
        c = self.join("c")
        for client in (a, b, c):
            client.list_of("a", "b", "c")
        b.close()
        for client in (a, c):
            client.list_of("a", "c")
        self.join("b")
        for client in (a, c):
            client.list_of("a", "c", "b")

    def test_a_peer_whose_connection_breaks_is_removed(self):
        a, b = self.join("a"), self.join("b")
        a.list_of("a", "b")
        b.abort()
        a.list_of("a")

    def test_topics_do_not_see_each_other(self):
        a, other = self.join("a", topic="one"), self.join("b", topic="two")
        other.list_of("b")
        c = self.join("c", topic="one")
        a.list_of("a", "c")
        c.list_of("a", "c")

    def test_names_come_back_as_they_were(self):
        watcher = self.join("watcher", port=1)
        names = ['a "quoted" name', "back\\slash", "100% + more & = ; #", "grüße 🙂 日本", "<script>", "'", " ", "n" * 128]
        for count, name in enumerate(names):
            client = self.join(name, port=1000 + count)
            self.assertIn(name, [peer["name"] for peer in client.next_list()])
        watcher.list_of("watcher", *names)

    def test_a_topic_may_be_any_text(self):
        for topic in ('"', "🙂", "a/b?c=d&e", " ", "t" * 255):
            self.join("a", topic=topic).list_of("a")

    def test_plus_is_read_as_a_space_and_unknown_parameters_are_ignored(self):
        path = "/websocket?name=a+b%2Bc&future=1&topic=t&port=7&ip=192.0.2.1&future=2"
        self.own(connect(self.coordinator.port, path)).list_of("a b+c")

    def test_addresses_are_written_in_their_canonical_form(self):
        for given, canonical in (("2001:DB8:0:0::1", "2001:db8::1"), ("::ffff:192.0.2.7", "192.0.2.7"),
                                 ("127.0.0.1", "127.0.0.1")):
            self.assertEqual(self.join(given, topic=given, ip=given).next_list()[0]["ip"], canonical)

    def test_many_joins_at_once_end_in_one_full_list_for_all(self):
        first = self.join("first")
        names = [f"n{i}" for i in range(200)]
        clients = [self.join(name, port=1000 + i) for i, name in enumerate(names)]
        lists = 0
        for client in [first, clients[0], clients[-1]]:
            seen = 0
            while len(client.next_list()) < 201:
                seen += 1
            lists = max(lists, seen)
        self.assertLess(lists, 200, "changes that come close together are sent as one list")

    def test_a_client_that_does_not_read_delays_nobody_and_finds_the_newest_list(self):
        slow = self.join("slow", topic="busy", receive_buffer=4096)
        changes = 300
        reader = self.join("reader", topic="busy", port=2)
        filler = "n" * 100
        for i in range(changes):
            self.join(f"{filler}{i}", topic="busy", port=1000 + i)
            if i % 25 == 0:
                while not any(peer["name"] == f"{filler}{i}" for peer in reader.next_list()):
                    pass
        while len(reader.next_list()) < changes + 2:
            pass
        while len(slow.next_list()) < changes + 2:
            pass


class KeepaliveTest(ClientCase):
    def test_a_ping_is_answered_and_moves_last_seen_without_a_list(self):
        a = self.join("a")
        joined = a.next_list()[0]["last_seen"]
        eventually(lambda: time.time() * 1000 > joined + 20, "a later moment")
        for payload in (b"", b"now", bytes(125)):
            a.send_frame(websocket.PING, payload)
            self.assertEqual(a.next_frame(), (websocket.PONG, payload), "a pong, and no list before it")
        b = self.join("b")
        peers = a.next_list()
        self.assertEqual([peer["name"] for peer in peers], ["a", "b"], "the next list is of the next change")
        self.assertGreater(peers[0]["last_seen"], joined)
        b.list_of("a", "b")

    def test_text_and_binary_frames_are_read_and_dropped(self):
        a = self.join("a")
        a.list_of("a")
        for opcode in (websocket.TEXT, websocket.BINARY):
            for payload in (b"", b"{}", b"x" * 4096):
                a.send_frame(opcode, payload)
        a.send_frame(websocket.TEXT, b"in two", fin=False)
        a.send_frame(websocket.CONTINUATION, b" frames")
        a.send_frame(websocket.PING, b"still there")
        self.assertEqual(a.next_frame(), (websocket.PONG, b"still there"))

    def test_a_message_over_4_kib_closes_its_sender_only(self):
        a, b = self.join("a"), self.join("b")
        b.list_of("a", "b")
        a.send_frame(websocket.BINARY, os.urandom(4097))
        self.assertIn(a.wait_closed().code, (1009, None))
        b.list_of("b")

    def test_frames_that_break_the_rules_close_their_sender_only(self):
        b = self.join("b")
        broken = [
            lambda c: c.send_frame(websocket.TEXT, b"x", masked=False),
            lambda c: c.send_frame(websocket.TEXT, b"x", reserved=4),
            lambda c: c.send_frame(3, b"x"),
            lambda c: c.send_frame(websocket.PING, b"x" * 126),
            lambda c: c.send_frame(websocket.PING, b"x", fin=False),
            lambda c: c.send_frame(websocket.CONTINUATION, b"x"),
            lambda c: c.sock.sendall(b"\x82\xff" + b"\xff" * 12),  # a length of 2^64 - 1
        ]
        for count, send in enumerate(broken):
            with self.subTest(count):
                a = self.join("a")
                b.list_of("b", "a")
                send(a)
                a.wait_closed()
                b.list_of("b")

    def test_deflate_and_unknown_subprotocols_are_not_taken_up(self):
        a = self.join("a", headers={"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
                                    "Sec-WebSocket-Protocol": "chat, superchat"})
        self.assertNotIn("sec-websocket-extensions", a.handshake)
        self.assertNotIn("sec-websocket-protocol", a.handshake)
        a.list_of("a")

    def test_a_goodbye_is_answered_with_its_code(self):
        a = self.join("a")
        a.next_list()
        a.close(1000)
        self.assertEqual(a.wait_closed().code, 1000)


class SilenceTest(ClientCase):
    """Takes a minute and more: natcoord's own patience with a silent connection."""

    def test_a_silent_client_is_pinged_and_closed_if_it_stays_silent(self):
        mute, polite = self.join("mute"), self.join("polite", port=2)
        polite_pings = []

        def answer_pings():
            while True:
                opcode, payload = polite.next_frame(180)
                if opcode == websocket.PING:
                    polite.send_frame(websocket.PONG, payload)
                    polite_pings.append(payload)
                elif opcode == websocket.TEXT and b"mute" not in payload:
                    return

        thread = threading.Thread(target=answer_pings, daemon=True)
        thread.start()
        while mute.next_frame(180)[0] != websocket.PING:
            pass
        with self.assertRaises(websocket.Closed):
            while True:
                mute.next_frame(180)
        thread.join(60)
        self.assertFalse(thread.is_alive(), "the polite one is told that the mute one left")
        self.assertTrue(polite_pings)
        polite.send_frame(websocket.PING, b"here")
        self.assertEqual(polite.next_frame(), (websocket.PONG, b"here"))


class TakeoverTest(ClientCase):
    def test_the_same_peer_from_the_same_host_takes_over(self):
        a = self.join("a")
        old = self.join("twice", port=5)
        a.list_of("a", "twice")
        new = self.join("twice", port=5)
        closed = old.wait_closed()
        self.assertEqual(closed.code, 1008)
        new.list_of("a", "twice")
        b = self.join("b", port=6)
        new.list_of("a", "twice", "b")
        b.list_of("a", "twice", "b")

    def test_another_port_or_ip_is_another_peer(self):
        self.join("twice", port=5)
        for changed in ({"port": 6}, {"port": 5, "ip": "192.0.2.99"}):
            with self.assertRaises(websocket.Refused) as refused:
                self.join("twice", **changed)
            self.assertEqual(refused.exception.status, 409)

    def test_from_another_host_it_takes_over_only_from_a_silent_holder(self):
        silent, lively = self.join("silent", port=5), self.join("lively", port=6)

        def try_to_take(name, port):
            try:
                return self.join(name, port=port, source="127.0.0.2")
            except websocket.Refused as refused:
                self.assertEqual(refused.status, 409)
                lively.send_frame(websocket.PING)
                eventually(lambda: lively.next_frame()[0] == websocket.PONG, "a pong")
                return None

        self.assertIsNone(try_to_take("silent", 5), "it joined just now")
        eventually(lambda: try_to_take("silent", 5), "the takeover after 15 s of silence", deadline=60)
        self.assertIsNone(try_to_take("lively", 6), "its pings kept it")
        self.assertEqual(silent.wait_closed().code, 1008)
