"""What natpeer reads from stdin, when, and how it cuts it into packets."""
import hashlib
import os
import socket
import subprocess

from support.programs import ProgramTest
from support.seed_peer import SeedPeer
from support.waiting import eventually
from support.websocket import connect, join_path

LARGEST_PAYLOAD = 1104  # bytes; 1232 with the header: what IPv6's minimum MTU carries


class InputTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.coordinator = self.natcoord()
        self.seed = self.own(SeedPeer(self.coordinator, "seed"))

    def peer(self, *options, name="peer", **more):
        return self.natpeer(self.coordinator, name, *options, **more)

    def received(self):
        return b"".join(self.seed.payloads())

    def wait_received(self, expected):
        eventually(lambda: len(self.received()) >= len(expected), f"{len(expected)} bytes at the seed peer", deadline=60)
        self.assertEqual(hashlib.sha256(self.received()).hexdigest(), hashlib.sha256(expected).hexdigest())
        self.assertEqual(self.seed.faults, [])

    def test_bytes_go_out_as_they_arrive(self):
        peer = self.peer()
        for text in ("no newline yet", ", still none", " and now\n", "\n", "x"):
            before = self.received()
            peer.write(text)
            self.wait_received(before + text.encode())
        self.assertEqual(len(self.seed.payloads()), 5)

    def test_packets_are_small_and_end_at_a_newline_where_there_is_one(self):
        content = b"".join(b"%d " % i + b"x" * (i % 300) + b"\n" for i in range(1000))
        self.peer(stdin=self.file(content))
        self.wait_received(content)
        payloads = self.seed.payloads()
        self.assertTrue(all(payload.endswith(b"\n") for payload in payloads))
        self.assertLessEqual(max(map(len, payloads)), LARGEST_PAYLOAD)
        self.assertLess(len(payloads), 300, "a packet carries several lines")

    def test_lines_are_one_packet_each_without_their_ending(self):
        content = b"one\n\n  two \r\n\r\nthree\n\n\nno newline at the end"
        self.peer("--input", "lines", stdin=self.file(content))
        self.wait_received(b"one  two threeno newline at the end")
        self.assertEqual(self.seed.payloads(), [b"one", b"  two ", b"three", b"no newline at the end"])

    def test_an_unfinished_line_waits_for_its_end(self):
        peer = self.peer("--input", "lines")
        peer.write("first\nsec")
        self.seed.wait_data(b"first")
        peer.write("ond\n")
        self.seed.wait_data(b"second")
        self.assertEqual(self.seed.payloads(), [b"first", b"second"])

    def test_the_last_line_may_lack_its_newline(self):
        self.peer(stdin=self.file(b"first\nlast"))
        self.wait_received(b"first\nlast")

    def test_a_line_of_10_mb_arrives_whole(self):
        content = os.urandom(5 << 20).hex().encode()
        self.peer(stdin=self.file(content))
        self.wait_received(content)
        self.assertLessEqual(max(map(len, self.seed.payloads())), LARGEST_PAYLOAD)

    def test_a_long_line_in_lines_mode_goes_in_pieces(self):
        content = b"x" * 100_000
        self.peer("--input", "lines", stdin=self.file(content + b"\n"))
        self.wait_received(content)

    def test_bytes_that_are_no_text_arrive_as_they_are(self):
        content = os.urandom(300_000)
        self.peer(stdin=self.file(content))
        self.wait_received(content)

    def test_without_input_it_still_listens(self):
        empty = self.file(b"")
        kinds = {
            "dev-null": {"stdin": subprocess.DEVNULL},
            "empty-file": {"stdin": empty},
            "closed": {"stdin": None, "preexec_fn": lambda: os.close(0)},
            "ended-pipe": {},
        }
        peers = {kind: self.peer(name=kind, **more) for kind, more in kinds.items()}
        peers["ended-pipe"].close_stdin()
        self.seed.wait_peers(*kinds)
        for kind, peer in peers.items():
            peer.wait_err(r"peer seed at \S+ heard")
        self.seed.say("hello")
        for kind, peer in peers.items():
            with self.subTest(kind):
                peer.wait_out("hello")
                self.assertTrue(peer.is_running())
        self.assertEqual(self.received(), b"")

    def test_with_stdin_and_stdout_closed_nothing_of_its_own_lands_there(self):
        """A socket that takes over descriptor 0 or 1 would carry strangers' bytes."""
        def close_both():
            os.close(0)
            os.close(1)
        self.peer("--wait", 0, stdin=None, preexec_fn=close_both).wait_err("registered|natpeer: ")
        self.seed.say("hello")
        self.assertEqual(self.seed.faults, [])
        self.assertEqual(self.received(), b"")

    def test_a_terminal_shared_with_a_shell_is_left_as_it_was(self):
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        peer = self.peer(stdin=reading)
        os.write(writing, b"some input\n")
        self.seed.wait_data(b"some input\n")
        peer.stop()
        self.assertTrue(os.get_blocking(reading), "the flags of a shared stdin are restored")


class WaitTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.coordinator = self.natcoord()

    def test_stdin_is_not_read_until_there_are_n_peers(self):
        peer = self.natpeer(self.coordinator, "peer", "--wait", 2)
        peer.write("for both\n")
        first = self.own(SeedPeer(self.coordinator, "first"))
        first.wait_peers("peer")
        peer.wait_err(r"peer first( at \S+)? heard")
        first.wait_pings(len(first.pings) + 5)
        self.assertEqual(first.payloads(), [])
        second = self.own(SeedPeer(self.coordinator, "second"))
        for seed in (first, second):
            seed.wait_data(b"for both\n")

    def test_one_peer_is_awaited_by_default(self):
        peer = self.natpeer(self.coordinator, "peer")
        peer.write("for whoever comes\n")
        peer.wait_err("registered with")
        seed = self.own(SeedPeer(self.coordinator, "seed"))
        seed.wait_data(b"for whoever comes\n")

    def test_wait_0_reads_at_once(self):
        peer = self.natpeer(self.coordinator, "peer", "--wait", 0, "--quit-on-eof")
        peer.write("for nobody\n" * 100_000)  # more than a pipe holds: somebody must read
        peer.close_stdin()
        self.assertEqual(peer.wait_exit(), 0)

    def test_a_listed_peer_that_is_never_heard_does_not_block_the_others(self):
        seed = self.own(SeedPeer(self.coordinator, "seed"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
            deaf.bind(("127.0.0.1", 0))
            self.own(connect(self.coordinator.port, join_path(name="deaf", ip="127.0.0.1", port=deaf.getsockname()[1])))
            peer = self.natpeer(self.coordinator, "peer")
            peer.write("after two seconds of pings\n")
            seed.wait_data(b"after two seconds of pings\n")


class QuitOnEofTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.coordinator = self.natcoord()
        self.seed = self.own(SeedPeer(self.coordinator, "seed"))

    def test_it_ends_after_the_last_packet_was_sent(self):
        for option in ("--quit-on-eof", "--quit-on-eof=2", "--quit-on-eof=0"):
            with self.subTest(option):
                peer = self.natpeer(self.coordinator, option, option)
                peer.write(f"sent with {option}\n" * 1000)
                peer.close_stdin()
                self.assertEqual(peer.wait_exit(), 0)
                eventually(lambda o=option: b"".join(self.seed.payloads()).count(f"sent with {o}\n".encode()) == 1000,
                           "all lines at the seed peer")

    def test_the_others_are_told_that_it_left(self):
        peer = self.natpeer(self.coordinator, "peer", "--quit-on-eof")
        peer.write("bye\n")
        peer.close_stdin()
        self.seed.wait_data(b"bye\n")
        self.assertEqual(peer.wait_exit(), 0)
        eventually(lambda: self.seed.peers == {}, "the others are told that it left")

    def test_without_it_the_end_of_stdin_ends_nothing(self):
        peer = self.natpeer(self.coordinator, "peer")
        peer.write("bye\n")
        peer.close_stdin()
        self.seed.wait_data(b"bye\n")
        self.seed.wait_peers("peer")
        self.seed.wait_pings(len(self.seed.pings) + 8)
        self.seed.say("still there?")
        peer.wait_out("still there?")
