"""The user-space wire between two namespaces: it does to frames what its options say, and nothing else."""
import ctypes
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]
from lab import names  # noqa: E402
from support.programs import Program, ProgramTest  # noqa: E402
from support.waiting import eventually  # noqa: E402

WIRE = os.environ.get("NATPEER_WIRE", "natpeer_wire")
CLONE_NEWNET = 0x40000000
PORT = 5000
ADDRESSES = "198.18.255.1", "198.18.255.2"  # RFC 2544's block for tests
STATIONS = "02:00:00:00:00:01", "02:00:00:00:00:02"  # the interfaces' Ethernet addresses, locally administered
FENCE = b"fence"
tap_numbers = itertools.count()


class End:
    """A namespace at one end of the wire, held by a process, so that it goes when that ends; and a UDP socket in it."""

    def __init__(self, tap, number):
        self.holder = Program(["unshare", "--net", "cat"])
        self.holder.write("here\n")
        self.holder.wait_out("here\n")  # cat runs, so its namespace is there
        self.tap, self.address = tap, ADDRESSES[number]
        subprocess.run(["ip", "link", "set", tap, "netns", str(self.holder.pid)], check=True)
        # Without IPv6 the kernel sends nothing of its own but ARP, and so nothing shifts the wire's random choices.
        self.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        self.run("ip", "addr", "add", f"{self.address}/24", "dev", tap)
        self.run("ip", "link", "set", tap, "address", STATIONS[number], "up")
        self.sock = self.open_socket()

    def run(self, *argv):
        command = ["nsenter", "-t", str(self.holder.pid), "-n", *argv]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def learn_other(self, number):
        """A kernel keeps few datagrams for an address that it still resolves."""
        self.run("ip", "neigh", "replace", ADDRESSES[number], "lladdr", STATIONS[number], "dev", self.tap)

    def open_socket(self):
        """A socket belongs to the namespace of the thread that opened it, whoever uses it afterwards."""
        opened = []

        def enter_and_open():
            libc = ctypes.CDLL(None, use_errno=True)
            with open(f"/proc/{self.holder.pid}/ns/net") as namespace:
                if libc.setns(namespace.fileno(), CLONE_NEWNET) == 0:
                    opened.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        thread = threading.Thread(target=enter_and_open)
        thread.start()
        thread.join()
        sock = opened[0]
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        sock.bind((self.address, PORT))
        return sock

    def end(self):
        self.sock.close()
        self.holder.end()


class WireCase(ProgramTest):
    @classmethod
    def setUpClass(cls):
        if reason := names.why_not() or (None if os.path.exists("/dev/net/tun") else "no /dev/net/tun"):
            raise unittest.SkipTest(reason)

    def taps(self):
        number = next(tap_numbers)
        return [f"npw{os.getpid()}{side}{number}" for side in "ab"]

    def lay(self, *options, resolved=True):
        """A wire with these options: the program, and its two ends; `resolved`: they know each other's station."""
        taps = self.taps()
        wire = self.start(WIRE, *taps, *options)
        wire.wait_out("ready\n")
        ends = [self.own(End(tap, number)) for number, tap in enumerate(taps)]
        if resolved:
            for number, end in enumerate(ends):
                end.learn_other(1 - number)
        return wire, *ends

    def send_numbered(self, sender, count, size=200):
        for number in range(count):
            sender.sock.sendto(b"%d " % number + os.urandom(size), (ADDRESSES[1], PORT))

    def receive_until(self, receiver, is_last, sender=None):
        """The datagrams that arrive, until `is_last(datagram)`. With `sender`, fences go out until one is through."""
        received = []
        receiver.sock.settimeout(0.05)

        def step():
            if sender:
                sender.sock.sendto(FENCE, (ADDRESSES[1], PORT))
            try:
                while True:
                    datagram = receiver.sock.recv(1 << 16)
                    if is_last(datagram):
                        return True
                    received.append(datagram)
            except TimeoutError:
                return False
        eventually(step, "the last datagram")
        return received

    def numbers_through(self, sender, receiver, count, chunk=100):
        """Sends `count` numbered datagrams, and returns the numbers that arrived. The wire must not reorder: what comes
        before a fence on one side comes before it on the other. Chunks, since the interfaces' own queues are short."""
        arrived = []
        fences = itertools.count()
        for start in range(0, count, chunk):
            mark = b"fence %d " % next(fences)
            for number in range(start, start + chunk):
                sender.sock.sendto(b"%d " % number, (ADDRESSES[1], PORT))
            arrived += self.receive_chunk(sender, receiver, mark)
        return arrived

    def receive_chunk(self, sender, receiver, mark):
        numbers = []
        receiver.sock.settimeout(0.01)

        def step():
            sender.sock.sendto(mark, (ADDRESSES[1], PORT))
            try:
                while (datagram := receiver.sock.recv(1 << 16)) != mark:
                    if not datagram.startswith(FENCE):  # a fence of the chunk before may come twice
                        numbers.append(int(datagram))
                return True
            except TimeoutError:
                return False
        eventually(step, mark)
        return numbers

    def counters(self, wire):
        """Of the direction a to b, and the other, as the wire prints them at its end."""
        self.assertEqual(wire.stop(), 0)
        lines = wire.out.text().splitlines()[1:]
        return [{key: int(value) for key, value in re.findall(r"(\w+) (\d+)(?:,|$)", line)} for line in lines]


class WireFramesTest(WireCase):
    def test_without_options_every_datagram_arrives_unchanged_and_in_order(self):
        _, a, b = self.lay()
        for start in range(0, 2000, 50):
            sent = [b"%d " % number + os.urandom(number % 1400) for number in range(start, start + 50)]
            for datagram in sent:
                a.sock.sendto(datagram, (ADDRESSES[1], PORT))
            received = self.receive_until(b, lambda datagram, last=sent[-1]: datagram == last)
            self.assertEqual([*received, sent[-1]], sent)

    def test_the_other_direction_works_alike(self):
        _, a, b = self.lay("--delay", "1ms")
        b.sock.sendto(b"hello", (ADDRESSES[0], PORT))
        a.sock.settimeout(30)
        self.assertEqual(a.sock.recvfrom(100), (b"hello", (ADDRESSES[1], PORT)))

    def test_loss_loses_its_share(self):
        wire, a, b = self.lay("--loss", "30%")
        numbers = self.numbers_through(a, b, 3000)
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertTrue(0.65 < len(numbers) / 3000 < 0.75, len(numbers))  # six standard deviations to each side
        there, _ = self.counters(wire)
        self.assertEqual(there["lost"] + there["delivered"], there["read"])
        self.assertEqual(there["dropped"] + there["refused"], 0)

    def test_duplication_doubles_its_share(self):
        _, a, b = self.lay("--duplicate", "30%")
        numbers = self.numbers_through(a, b, 3000)
        self.assertEqual(numbers, sorted(numbers), "a copy comes right behind its original")
        self.assertEqual(set(numbers), set(range(3000)))
        self.assertTrue(0.25 < len(numbers) / 3000 - 1 < 0.35, len(numbers))

    def test_the_same_seed_loses_the_same_datagrams(self):
        losses = []
        for seed in (7, 7, 8):
            _, a, b = self.lay("--loss", "30%", "--seed", seed)
            losses.append(self.numbers_through(a, b, 100))
        self.assertEqual(losses[0], losses[1])
        self.assertNotEqual(losses[0], losses[2])

    def test_address_resolution_passes_where_all_else_is_lost(self):
        _, a, _ = self.lay("--loss", "100%", resolved=False)
        a.sock.sendto(b"lost", (ADDRESSES[1], PORT))
        eventually(lambda: "lladdr" in a.run("ip", "neigh", "show", ADDRESSES[1]), "an answer to ARP")

    def test_an_mtu_is_what_the_interface_says_and_what_passes(self):
        _, a, b = self.lay("--mtu", "1280")
        self.assertIn("mtu 1280", a.run("ip", "link"))
        largest = os.urandom(1280 - 28)  # IPv4's and UDP's headers
        a.sock.sendto(largest, (ADDRESSES[1], PORT))
        b.sock.settimeout(30)
        self.assertEqual(b.sock.recv(1 << 16), largest)


class WireTimeTest(WireCase):
    def test_reordering_reorders_and_loses_nothing(self):
        wire, a, b = self.lay("--delay", "50ms", "--reorder", "30%")
        received = []
        b.sock.settimeout(30)
        self.send_numbered(a, 200)
        while len(received) < 200:
            received.append(int(b.sock.recv(1 << 16).split()[0]))
        self.assertEqual(sorted(received), list(range(200)))
        self.assertNotEqual(received, sorted(received))
        there, _ = self.counters(wire)
        self.assertTrue(30 <= there["overtook"] <= 90, there)  # of 200; nearly five standard deviations

    def test_jitter_alone_does_not_reorder(self):
        _, a, b = self.lay("--delay", "5ms", "--jitter", "30ms")
        self.assertEqual(self.numbers_through(a, b, 300), list(range(300)))

    def test_a_round_trip_takes_at_least_twice_the_delay(self):
        _, a, b = self.lay("--delay", "40ms")
        for end in (a, b):
            end.sock.settimeout(30)
        for _ in range(5):
            start = time.monotonic()
            a.sock.sendto(b"there", (ADDRESSES[1], PORT))
            b.sock.recv(100)
            b.sock.sendto(b"back", (ADDRESSES[0], PORT))
            a.sock.recv(100)
            self.assertGreaterEqual(time.monotonic() - start, 0.080)

    def test_a_rate_holds_back_what_fits_the_queue_and_drops_the_rest(self):
        wire, a, b = self.lay("--rate", "200kbit", "--queue", "10kB")
        frame = 14 + 28 + 1000
        fits = 10_000 // frame
        start = time.monotonic()
        for number in range(100):  # four seconds' worth of frames
            a.sock.sendto(b"%04d" % number + bytes(996), (ADDRESSES[1], PORT))
        numbers = [int(datagram[:4]) for datagram in self.receive_until(b, lambda d: d == FENCE, sender=a)]
        took = time.monotonic() - start
        self.assertEqual(numbers[:fits], list(range(fits)))
        self.assertLess(len(numbers), 100)
        self.assertGreaterEqual(took, len(numbers) * frame * 8 / 200_000)
        there, _ = self.counters(wire)
        self.assertGreaterEqual(there["dropped"], 100 - len(numbers))


class WireLifeTest(WireCase):
    def test_wrong_options_are_usage_errors(self):
        for words in ([], ["a"], ["a", "a"], ["a", "b", "--loss"], ["a", "b", "--loss", "101%"],
                      ["a", "b", "--delay", "5"], ["a", "b", "--what", "1"], ["a", "b", "--reorder", "10%"],
                      ["a/b", "c"], ["a" * 16, "b"]):
            with self.subTest(words=words):
                self.assert_usage_error(self.start(WIRE, *words))

    def test_an_interface_that_exists_is_left_alone(self):
        taken = self.taps()[0]
        self.start(WIRE, taken, *self.taps()[:1]).wait_out("ready\n")
        self.assert_failure(self.start(WIRE, taken, *self.taps()[:1]), taken)

    def test_it_ends_when_a_namespace_is_removed(self):
        wire, a, _ = self.lay()
        a.end()
        self.assertEqual(wire.wait_exit(), 0)

    def test_it_dies_with_its_parent(self):
        taps = self.taps()
        script = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()"
        parent = self.start(sys.executable, "-c", script, WIRE, *taps)
        parent.wait_out("ready\n")
        parent.stop(signal.SIGKILL)
        eventually(lambda: not os.path.exists(f"/sys/class/net/{taps[0]}"), "the interfaces are gone")
