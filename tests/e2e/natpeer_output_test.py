"""What natpeer writes to stdout, in each form."""
import base64
import fcntl
import json
import os
import pty
import time

from support import stun
from support.programs import NATPEER, ProgramTest
from support.seed_peer import DATA, PING, HEADER, SeedPeer, UdpPeer, packet
from support.waiting import eventually


class OutputTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.coordinator = self.natcoord()

    def pair(self, *options, **more):
        """A natpeer, and a seed peer that it listens to."""
        peer = self.natpeer(self.coordinator, "peer", *options, **more)
        seed = self.own(SeedPeer(self.coordinator, 'se"ed'))
        seed.wait_peers("peer")
        peer.wait_err(r'peer se"ed at \S+ heard')
        return peer, seed

    def say_each(self, peer, seed, payloads):
        """One after the other, so that their order on a socket cannot matter."""
        for payload in payloads:
            size = len(peer.out.data)
            seed.say(payload)
            eventually(lambda s=size: len(peer.out.data) > s, f"output for {payload[:40]!r}")

    def test_raw_is_the_payload_and_nothing_else(self):
        peer, seed = self.pair("--output", "raw")
        payloads = [b"a line\n", b"no newline", b"\0\xff\x1b[31m\r\n", bytes(range(256)), b"\n"]
        self.say_each(peer, seed, payloads)
        seed.say(b"")  # an empty payload is no output
        self.say_each(peer, seed, [b"end"])
        self.assertEqual(bytes(peer.out.data), b"".join(payloads) + b"end")

    def test_a_pipe_gets_raw_by_default(self):
        peer, seed = self.pair()
        self.say_each(peer, seed, [b"one", b"two\x1b\n"])
        self.assertEqual(bytes(peer.out.data), b"onetwo\x1b\n")

    def test_lines_adds_the_newline_that_lacks(self):
        peer, seed = self.pair("--output", "lines")
        self.say_each(peer, seed, [b"one", b"two\n", b"a\nb"])
        peer.wait_out("a\nb\n")
        self.assertEqual(bytes(peer.out.data), b"one\ntwo\na\nb\n")

    def test_text_names_the_sender_and_makes_control_characters_visible(self):
        peer, seed = self.pair("--output", "text")
        self.say_each(peer, seed, [
            "grüße 🙂\n".encode(), b"no newline", b"\x1b[31mred\x07\r\n", b"tab\there\n", b"\xff\n"])
        self.assertEqual(bytes(peer.out.data).decode().splitlines(), [
            'se"ed: grüße 🙂', 'se"ed: no newline', 'se"ed: \\x1b[31mred\\x07\\r', 'se"ed: tab\\there', 'se"ed: \\xff'])

    def test_json_is_one_object_a_packet(self):
        peer, seed = self.pair("--output", "json")
        before = time.time() * 1000
        self.say_each(peer, seed, ['a "line" 🙂\n'.encode(), b"\xff\x00binary", b"esc \x1b"])
        peer.wait_out(b"\n")
        eventually(lambda: bytes(peer.out.data).count(b"\n") == 3, "three objects")
        after = time.time() * 1000
        objects = [json.loads(line) for line in bytes(peer.out.data).decode().splitlines()]
        for found in objects:
            self.assertEqual((found["from"], found["ip"], found["port"]), ('se"ed', *seed.public))
            self.assertIsInstance(found["time"], int)
            self.assertTrue(before - 5 <= found["time"] <= after + 5, found)
        self.assertEqual(objects[0]["text"], 'a "line" 🙂\n')
        self.assertEqual(base64.b64decode(objects[1]["base64"]), b"\xff\x00binary")
        self.assertNotIn("text", objects[1])
        self.assertEqual(objects[2]["text"], "esc \x1b")
        self.assertEqual(set(objects[0]), {"from", "ip", "port", "time", "text"})

    def test_a_terminal_gets_text_by_default(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        try:
            _, seed = self.pair(stdout=theirs)
        finally:
            os.close(theirs)
        seed.say("hello\n")
        shown = b""
        while b"\n" not in shown:
            shown += os.read(ours, 1000)
        self.assertEqual(shown, b'se"ed: hello\r\n')  # the terminal itself makes \r\n of \n

    def test_a_full_pipe_on_stdout_stops_neither_pings_nor_the_way_out(self):
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        try:
            peer, seed = self.pair(stdout=writing)
        finally:
            os.close(writing)
        for _ in range(3000):  # 3 MB, far more than a pipe and a polite buffer hold
            seed.say(os.urandom(1000))
        count = len(seed.pings)
        seed.wait_pings(count + 5)
        peer.write("still talking\n")
        seed.wait_data(b"still talking\n")
        # Once somebody reads again, what is said then comes through.
        os.set_blocking(reading, False)
        taken = bytearray()

        def drained():
            try:
                while chunk := os.read(reading, 1 << 16):
                    taken.extend(chunk)
            except BlockingIOError:
                pass
            seed.say("the last word\n")
            return b"the last word\n" in taken
        eventually(drained, "output after the pipe was full")
        for _ in range(3000):
            seed.say(os.urandom(1000))
        self.assertEqual(peer.stop(), 0)
        self.assertEqual(seed.faults, [])

    def test_a_closed_stdout_ends_it_quietly(self):
        reading, writing = os.pipe()
        peer, seed = self.pair(stdout=writing)
        os.close(writing)
        os.close(reading)
        seed.say("nobody reads this\n")
        self.assertEqual(peer.wait_exit(), 0)
        self.assertNotIn("natpeer:", peer.err.text())

    def test_a_stdout_that_is_closed_from_the_start_takes_everything(self):
        coordinator = self.natcoord()
        seed = self.own(SeedPeer(coordinator, "seed"))
        words = ["--topic", "t", "--name", "p", "--coordinator", coordinator.url(), "--stun", f"127.0.0.1:{coordinator.stun_port}"]
        peer = self.start("sh", "-c", 'exec "$0" "$@" >&-', NATPEER, *words)
        seed.wait_peers("p")
        for _ in range(3):
            count = len(seed.pings)
            seed.say("nobody reads this\n")
            seed.wait_pings(count + 3)
        peer.write("it goes on\n")
        seed.wait_data(b"it goes on\n")
        self.assertEqual(peer.stop(), 0)

    def test_it_writes_at_once_and_not_only_full_buffers(self):
        peer, seed = self.pair()
        for i in range(5):
            seed.say(f"{i}")
            peer.wait_out("".join(map(str, range(i + 1))))


class WrongPacketTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.coordinator = self.natcoord()
        self.peer = self.natpeer(self.coordinator, "peer")
        self.seed = self.own(SeedPeer(self.coordinator, "seed"))
        self.seed.wait_peers("peer")
        self.peer.wait_err(r"peer seed at \S+ heard")
        self.to = self.seed.peers["peer"]

    def assert_only(self, expected):
        """Nothing else than this and the closing word has reached stdout."""
        self.seed.say("the end")
        self.peer.wait_out("the end")
        self.assertEqual(bytes(self.peer.out.data), expected + b"the end")
        self.assertTrue(self.peer.is_running())

    def test_short_packets_of_each_magic_do_nothing(self):
        for magic in (DATA, PING):
            whole = packet(magic)
            for size in range(HEADER):
                self.seed.send(whole[:size], self.to)
        self.seed.send(packet(DATA), self.to)  # no payload: nothing to print
        self.assert_only(b"")

    def test_packets_of_no_known_kind_do_nothing(self):
        for size in (1, 7, 8, 20, 127, 128, 129, 1232, 1500, 9000, 65507):
            self.seed.send(os.urandom(size), self.to)
        for magic in (b"DATADATB", b"datadata", b"ATADATAD", bytes(8)):
            self.seed.send(packet(magic, b"payload"), self.to)
        self.seed.send(packet(PING, b"a ping has no payload"), self.to)
        self.assert_only(b"")

    def test_stun_messages_nobody_asked_for_do_nothing(self):
        for kind in (0x0001, 0x0011, 0x0101, 0x0111):
            message = stun.message(kind, os.urandom(12))
            self.seed.send(message, self.to)
            self.seed.send(message + b"payload" * 20, self.to)
        self.assert_only(b"")

    def test_the_largest_packet_of_udp_arrives_whole(self):
        largest = os.urandom(65507 - HEADER)
        self.seed.send(packet(DATA, largest), self.to)
        eventually(lambda: len(self.peer.out.data) >= len(largest), "65379 bytes of payload")
        self.assert_only(largest)

    def test_data_from_an_address_that_is_not_listed_is_dropped(self):
        stranger = self.own(UdpPeer())
        for _ in range(10):
            stranger.send(packet(PING), self.to)
            stranger.send(packet(DATA, b"let me in"), self.to)
        self.assert_only(b"")
