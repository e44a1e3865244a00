"""The stream between real natpeers: nothing is lost, and how both ends end."""
import os
import select
import signal
import subprocess

from support.programs import NATPEER, ProgramTest
from support.seed_peer import SeedPeer
from support.waiting import DEADLINE, eventually


class StreamTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.coordinator = self.natcoord()

    def receiver(self, name, *options, **more):
        """One that is registered, and to a file."""
        peer = self.natpeer(self.coordinator, name, *options, stdin=subprocess.DEVNULL, **more)
        peer.wait_err("registered with")
        return peer

    def to_file(self, name):
        file = open(self.path(name), "wb")
        self.addCleanup(file.close)
        return file

    def content_of(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def test_a_large_file_comes_whole_to_several_and_all_end_with_status_0(self):
        content = os.urandom(8 << 20)
        receivers = [self.receiver(name, "--quit-on-end", stdout=self.to_file(name)) for name in ("bob", "carol")]
        sender = self.natpeer(self.coordinator, "alice", "--wait", 2, "--quit-on-eof", stdin=self.file(content))
        self.assertEqual(sender.wait_exit(), 0, sender.err.text())
        for name, receiver in zip(("bob", "carol"), receivers):
            self.assertEqual(receiver.wait_exit(), 0, receiver.err.text())
            self.assertEqual(self.content_of(name), content)

    def test_a_relay_brings_everything_too(self):
        """Nothing leads to 192.0.2.1, and so natcoord relays."""
        content = os.urandom(1 << 20)
        def natpeer(name, *options, **more):
            return self.start(NATPEER, "--topic", "t", "--name", name, "--coordinator", self.coordinator.url(),
                              "--bind", "127.0.0.1", "--stun", "none", "--advertise", "192.0.2.1:9", *options, **more)
        receiver = natpeer("bob", "--quit-on-end", stdin=subprocess.DEVNULL, stdout=self.to_file("bob"))
        receiver.wait_err("registered with")
        sender = natpeer("alice", "--quit-on-eof", stdin=self.file(content))
        self.assertEqual(sender.wait_exit(), 0, sender.err.text())
        self.assertEqual(receiver.wait_exit(), 0, receiver.err.text())
        self.assertEqual(self.content_of("bob"), content)

    def test_a_slow_reader_holds_the_writer_back_and_loses_nothing(self):
        content = os.urandom(24 << 20)
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        receiver = self.receiver("bob", "--memory", "4M", "--quit-on-end", stdout=writing)
        os.close(writing)
        sender = self.natpeer(self.coordinator, "alice", "--memory", "4M", "--quit-on-eof", stdin=self.file(content))
        sender.wait_err("peer bob .*heard")
        got = bytearray()
        while chunk := os.read(reading, 1 << 16):
            got += chunk
        self.assertEqual(sender.wait_exit(), 0, sender.err.text())
        self.assertEqual(receiver.wait_exit(), 0, receiver.err.text())
        self.assertEqual(bytes(got), content)

    def test_a_reader_that_stands_still_bounds_what_the_writer_can_say(self):
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.receiver("bob", "--memory", "4M", stdout=writing)
        os.close(writing)
        sender = self.natpeer(self.coordinator, "alice", "--memory", "4M")
        sender.wait_err("peer bob .*heard")
        stdin = sender.process.stdin.fileno()
        os.set_blocking(stdin, False)
        said = 0
        # Full, and for a second more: a natpeer that reads on would have made room.
        while said < 1 << 18 or select.select([], [stdin], [], 1)[1]:
            select.select([], [stdin], [], DEADLINE)
            said += os.write(stdin, bytes(1 << 16))
            self.assertLess(said, 12 << 20, "what both may keep, and the pipes")

    def test_who_is_killed_before_the_end_is_named_with_status_3(self):
        bob = self.receiver("bob")
        dave = self.receiver("dave", "--output", "raw")
        sender = self.natpeer(self.coordinator, "alice", "--wait", 2, "--quit-on-eof=1")
        sender.write("for both\n")
        bob.wait_out("for both\n")
        dave.wait_out("for both\n")
        dave.process.send_signal(signal.SIGSTOP)
        self.addCleanup(dave.process.send_signal, signal.SIGCONT)
        sender.write("for bob\n")
        sender.close_stdin()
        self.assertEqual(sender.wait_exit(), 3)
        self.assert_one_reason(sender, "dave")
        self.assertNotIn("bob", sender.err.text().splitlines()[-1])
        bob.wait_out("for bob\n")

    def test_a_sender_that_is_stopped_too_early_says_so(self):
        self.receiver("bob")
        sender = self.natpeer(self.coordinator, "alice", "--quit-on-eof")
        sender.write("half of it")
        sender.wait_err("peer bob .*heard")
        self.assertEqual(sender.stop(), 3)

    def test_a_receiver_names_the_sender_whose_beginning_it_missed(self):
        early = self.receiver("bob")
        sender = self.natpeer(self.coordinator, "alice")
        sender.write("first\n")
        early.wait_out("first\n")
        late = self.receiver("late", "--quit-on-end")
        sender.wait_err("peer late .*heard")
        sender.write("second\n")
        self.assertEqual(late.wait_exit(), 3)
        self.assert_one_reason_but_output(late, "alice")

    def assert_one_reason_but_output(self, program, word):
        lines = [line for line in program.err.text().splitlines() if line.startswith("natpeer: ")]
        self.assertEqual(len(lines), 1, program.err.text())
        self.assertIn(word, lines[0])

    def test_records_stay_whole_and_do_not_mix(self):
        receiver = self.receiver("zoe", "--output", "text")
        lines = {"alice": b"a" * 3_000_000, "bob": b"b" * 2_000_000}
        for name, line in lines.items():
            with open(self.path(name + ".in"), "wb") as file:
                file.write((line + b"\n") * 2)
            opened = open(self.path(name + ".in"), "rb")
            self.addCleanup(opened.close)
            self.natpeer(self.coordinator, name, "--wait", 2, "--input", "lines", stdin=opened)
        wanted = sorted(f"{name}: ".encode() + line for name, line in lines.items() for _ in range(2))
        eventually(lambda: len(receiver.out.data) >= sum(map(len, wanted)) + 4, "all lines")
        self.assertEqual(sorted(bytes(receiver.out.data).splitlines()), wanted)

    def test_one_sender_is_picked_out(self):
        receiver = self.receiver("zoe", "--from", "alice")
        for name in ("bob", "alice"):
            self.natpeer(self.coordinator, name, "--quit-on-eof", stdin=self.file(f"from {name}\n".encode())).wait_exit()
        receiver.wait_out("from alice\n")
        self.assertEqual(bytes(receiver.out.data), b"from alice\n")

    def test_a_seed_peer_gets_it_beside(self):
        seed = self.own(SeedPeer(self.coordinator, "seed"))
        receiver = self.receiver("bob")
        sender = self.natpeer(self.coordinator, "alice", "--wait", 2, "--quit-on-eof")
        sender.write("for all\n")
        sender.close_stdin()
        self.assertEqual(sender.wait_exit(), 0, sender.err.text())
        receiver.wait_out("for all\n")
        seed.wait_data(b"for all\n")
        self.assertEqual(seed.faults, [])

    def test_a_latecomer_gets_what_is_kept_for_it(self):
        early = self.receiver("bob")
        sender = self.natpeer(self.coordinator, "alice", "--replay", "1M")
        sender.write("first\n")
        early.wait_out("first\n")
        late = self.receiver("late")
        late.wait_out("first\n")
        sender.write("second\n")
        late.wait_out("first\nsecond\n")

    def test_a_live_stream_waits_for_nobody_and_its_reader_is_told_of_gaps(self):
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        receiver = self.receiver("bob", stdout=writing)
        os.close(writing)
        content = os.urandom(48 << 20)
        sender = self.natpeer(self.coordinator, "alice", "--live", "100ms", "--memory", "64M", "--quit-on-eof",
                              stdin=self.file(content))
        receiver.wait_err("alice: [0-9]+ packets are missing here")  # though nothing is read
        size = 0
        while sender.process.poll() is None:
            if select.select([reading], [], [], 0.05)[0]:
                size += len(os.read(reading, 1 << 20))
        self.assertEqual(sender.wait_exit(), 0, sender.err.text())
        self.assertLess(size, len(content))
