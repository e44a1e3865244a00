"""Each NAT kind behaves as its name says: plain sockets on both sides, and what arrives from where.

Silence is proved by a fence: a datagram on a way that is open, sent after the one that must not arrive.
"""
import select
import socket
import subprocess
import unittest

from lab import names
from lab.nats import SEQUENTIAL_PORTS, STUN_PORT
from lab.testing import LabCase
from support.waiting import DEADLINE, eventually

INSIDE_PORT = 5000
FENCE = b"fence"
RESEND = 2.0  # seconds
BEHIND_ROUTERS = ("fw", "full", "addr", "port", "portopen", "sym", "symseq", "cgnat")


class Endpoint:
    """A UDP socket on a host."""

    def __init__(self, case, host, port):
        self.sock = host.socket()
        case.addCleanup(self.sock.close)
        self.sock.settimeout(DEADLINE)
        self.sock.bind((host.address, port))
        self.address = (host.address, port)

    def send(self, payload, to):
        try:
            self.sock.sendto(payload, to)
        except ConnectionError:
            self.sock.sendto(payload, to)  # that was the ICMP error of an earlier datagram

    def receive(self):
        """(payload, source) of the next datagram."""
        while True:
            try:
                return self.sock.recvfrom(2048)
            except ConnectionError:
                pass  # the ICMP error of something we sent

    def seen_from(self, inside):
        """The source that a datagram of this inside endpoint has here. It is sent again where it is lost: of two flows
        that meet in a router at one moment, the kernel drops one."""
        source = None

        def arrives():
            nonlocal source
            inside.send(b"hello", self.address)
            if not select.select([self.sock], [], [], RESEND)[0]:
                return False
            payload, source = self.receive()
            assert payload == b"hello", payload
            return True
        eventually(arrives, f"a datagram from {inside.address}")
        return source


class NatCase(LabCase):
    """A site, and on the internet one machine with two sockets and another with one."""

    def build(self, kind, hosts=1, **more):
        self.net = self.network()
        self.site = self.net.site(kind, hosts=hosts, **more)
        self.there, self.elsewhere = self.net.site("open", hosts=2).hosts
        self.inside = Endpoint(self, self.site.hosts[0], INSIDE_PORT)
        self.near, self.near_other_port = Endpoint(self, self.there, 6001), Endpoint(self, self.there, 6002)
        self.far = Endpoint(self, self.elsewhere, 6001)

    def passes(self, sender, to, receiver, fence):
        """Whether a datagram from `sender` to this address arrives; `fence()` sends one behind it that does."""
        sender.send(b"probe", to)
        fence()
        fence()
        arrived = [receiver.receive()[0]]
        while arrived.count(FENCE) < 2:
            arrived.append(receiver.receive()[0])
        self.assertLessEqual(set(arrived), {b"probe", FENCE})
        return b"probe" in arrived

    def let_in(self, mapped):
        """Which of the three outside sockets get in at `mapped`, after `inside` has sent to `near` only."""
        def fence():
            self.near.send(FENCE, mapped)
        return {name: self.passes(getattr(self, name), mapped, self.inside, fence)
                for name in ("near", "near_other_port", "far")}

    def mapped_ports(self):
        """The public ports seen by near, near_other_port and far, in this order."""
        sources = [remote.seen_from(self.inside) for remote in (self.near, self.near_other_port, self.far)]
        self.assertEqual({ip for ip, _ in sources}, {self.site.public or self.inside.address[0]})
        return [port for _, port in sources]

    def conntrack(self):
        """The UDP flows that the outermost router knows."""
        argv = [*names.enter(self.site.routers[0]), "conntrack", "-L", "-p", "udp"]
        return subprocess.run(argv, capture_output=True, text=True).stdout


class NatMappingTest(NatCase):
    def test_endpoint_independent_mappings_have_one_port_for_all(self):
        for kind in ("fw", "full", "addr", "port", "portopen", "cgnat"):
            with self.subTest(kind):
                self.build(kind)
                self.assertEqual(self.mapped_ports(), [INSIDE_PORT] * 3)

    def test_sym_has_another_random_port_for_each_destination(self):
        self.build("sym")
        ports = self.mapped_ports()
        self.assertEqual(len({*ports, INSIDE_PORT}), 4, ports)
        self.assertNotEqual([port - ports[0] for port in ports], [0, 1, 2])

    def test_symseq_has_the_next_port_for_each_destination(self):
        self.build("symseq")
        first = SEQUENTIAL_PORTS[0]
        self.assertEqual(self.mapped_ports(), [first, first + 1, first + 2])

    def test_a_flow_keeps_its_port(self):
        for kind in ("sym", "symseq"):
            with self.subTest(kind):
                self.build(kind)
                self.assertEqual(self.near.seen_from(self.inside), self.near.seen_from(self.inside))

    def test_two_hosts_have_different_public_endpoints(self):
        for kind in ("full", "addr", "port", "sym", "cgnat"):
            with self.subTest(kind):
                self.build(kind, hosts=2)
                other = Endpoint(self, self.site.hosts[1], INSIDE_PORT + 1)
                self.assertNotEqual(self.near.seen_from(self.inside), self.near.seen_from(other))

    def test_cgnat_translates_twice(self):
        self.build("cgnat")
        self.near.seen_from(self.inside)
        self.assertIn("src=100.64.", self.conntrack())
        self.assertNotIn("src=192.168.", self.conntrack())

    def test_noudp_drops_udp_and_lets_tcp_pass(self):
        self.build("noudp")
        self.inside.send(b"probe", self.near.address)
        listener = self.there.socket(kind=socket.SOCK_STREAM)
        client = self.site.hosts[0].socket(kind=socket.SOCK_STREAM)
        with listener, client:
            listener.bind((self.there.address, 7000))
            listener.listen()
            client.settimeout(DEADLINE)
            client.connect((self.there.address, 7000))
        self.assertFalse(self.passes(self.inside, self.near.address, self.near,
                                     lambda: self.far.send(FENCE, self.near.address)))


class NatFilteringTest(NatCase):
    LETS_IN = {"full": {"near", "near_other_port", "far"}, "addr": {"near", "near_other_port"}}

    def test_who_was_not_sent_to_gets_in_where_the_kind_says_so(self):
        for kind in BEHIND_ROUTERS:
            with self.subTest(kind):
                self.build(kind)
                mapped = self.near.seen_from(self.inside)
                wanted = self.LETS_IN.get(kind, {"near"})
                self.assertEqual({name for name, passed in self.let_in(mapped).items() if passed}, wanted)

    def test_nobody_gets_in_before_something_went_out(self):
        for kind in BEHIND_ROUTERS:
            with self.subTest(kind):
                self.build(kind)
                mapped = (self.site.public or self.inside.address[0], INSIDE_PORT)
                self.far.send(b"early", mapped)
                source = self.near.seen_from(self.inside)
                self.near.send(FENCE, source)
                self.assertEqual(self.inside.receive()[0], FENCE)

    def test_an_early_packet_shifts_the_mapping_of_portopen_only(self):
        for kind in ("full", "addr", "port", "cgnat", "portopen"):
            with self.subTest(kind):
                self.build(kind)
                self.far.send(b"early", (self.site.public, INSIDE_PORT))
                if kind == "portopen":  # nothing shows that a router has dropped something
                    eventually(self.far_is_known, "a flow of the early packet")
                _, port = self.far.seen_from(self.inside)
                self.assertEqual(port == INSIDE_PORT, kind != "portopen", port)

    def far_is_known(self):
        return self.far.address[0] in self.site.in_routers(lambda _rules: "conntrack -L -p udp 2>/dev/null")

    def test_an_answer_comes_in_through_each_kind(self):
        for kind in ("open", *BEHIND_ROUTERS):
            with self.subTest(kind):
                self.build(kind)
                self.far.send(b"answer", self.far.seen_from(self.inside))
                self.assertEqual(self.inside.receive(), (b"answer", self.far.address))

    def test_the_internet_carries_no_private_addresses(self):
        self.build("open")
        self.there.run(["ip", "addr", "add", "192.168.77.1/32", "dev", "lo"])
        private = self.there.socket()
        self.addCleanup(private.close)
        private.bind(("192.168.77.1", 6003))
        private.sendto(b"probe", self.inside.address)
        self.near.send(FENCE, self.inside.address)
        self.assertEqual(self.inside.receive(), (FENCE, self.near.address))


class NatHairpinTest(NatCase):
    KINDS = ("full", "addr", "port", "portopen")

    def build_two(self, kind, hairpin):
        self.build(kind, hosts=2, hairpin=hairpin)
        self.other = Endpoint(self, self.site.hosts[1], INSIDE_PORT + 1)
        self.near.seen_from(self.inside)
        self.near.seen_from(self.other)
        self.inside_public = (self.site.public, INSIDE_PORT)
        self.other_public = (self.site.public, INSIDE_PORT + 1)

    def test_with_hairpin_two_hosts_meet_at_their_public_endpoints(self):
        for kind in self.KINDS:
            with self.subTest(kind):
                self.build_two(kind, hairpin=True)
                # Behind a filter the first one only opens the way for the other's.
                self.inside.send(b"first", self.other_public)
                self.other.send(b"second", self.inside_public)
                self.assertEqual(self.inside.receive(), (b"second", self.other_public))
                self.inside.send(b"third", self.other_public)
                while (datagram := self.other.receive())[0] == b"first":
                    self.assertEqual(datagram[1], self.inside_public)
                self.assertEqual(datagram, (b"third", self.inside_public))

    def test_without_hairpin_they_do_not(self):
        for kind in self.KINDS:
            with self.subTest(kind):
                self.build_two(kind, hairpin=False)
                self.assertFalse(self.passes(self.inside, self.other_public, self.other,
                                             lambda: self.near.send(FENCE, self.other_public)))


class NatLifeTest(NatCase):
    def test_a_mapping_ends_after_its_time_of_silence(self):
        for kind in ("fw", "full", "addr", "port", "sym"):
            with self.subTest(kind):
                self.build(kind, udp_timeout=1)
                mapped = self.near.seen_from(self.inside)
                eventually(lambda: not self.mappings_left(), "no mapping is left")
                self.near.send(b"late", mapped)
                self.far.send(FENCE, self.far.seen_from(self.inside))
                self.assertEqual(self.inside.receive()[0], FENCE)

    def mappings_left(self):
        argv = [*names.enter(self.site.routers[0]), "nft", "list", "ruleset"]
        maps = subprocess.run(argv, capture_output=True, text=True)
        return self.conntrack() or "elements" in maps.stdout

    def test_a_router_forgets_udp_mappings_and_keeps_tcp(self):
        for kind in ("full", "port", "cgnat"):
            with self.subTest(kind):
                self.build(kind)
                listener = self.there.socket(kind=socket.SOCK_STREAM)
                client = self.site.hosts[0].socket(kind=socket.SOCK_STREAM)
                with listener, client:
                    listener.bind((self.there.address, 7000))
                    listener.listen()
                    client.settimeout(DEADLINE)
                    client.connect((self.there.address, 7000))
                    mapped = self.near.seen_from(self.inside)
                    self.site.forget_mappings()
                    self.near.send(b"lost", mapped)
                    self.far.send(FENCE, self.far.seen_from(self.inside))
                    self.assertEqual(self.inside.receive()[0], FENCE)
                    accepted, _ = listener.accept()
                    with accepted:
                        accepted.sendall(b"still here")
                        self.assertEqual(client.recv(100), b"still here")

    def test_small_packets_are_dropped_and_stun_is_not(self):
        self.build("port", drop_below=128)
        stun = Endpoint(self, self.there, STUN_PORT)
        stun.seen_from(self.inside)
        self.inside.send(bytes(127), self.near.address)
        self.inside.send(bytes(128), self.near.address)
        payload, source = self.near.receive()
        self.assertEqual(len(payload), 128)
        self.near.send(bytes(127), source)
        self.near.send(bytes(128), source)
        self.assertEqual(len(self.inside.receive()[0]), 128)

    def test_a_link_that_is_cut_passes_nothing_until_it_is_mended(self):
        self.build("port")
        mapped = self.near.seen_from(self.inside)
        self.site.cut()
        self.near.send(b"lost", mapped)
        self.inside.send(b"lost too", self.near.address)
        self.site.mend()
        self.assertEqual(self.near.seen_from(self.inside), mapped)
        self.near.send(FENCE, mapped)
        self.assertEqual(self.inside.receive()[0], FENCE)

    def test_a_host_that_moves_has_the_address_of_its_new_network(self):
        self.build("port")
        for kind in ("full", "open", "fw", "cgnat"):
            with self.subTest(kind):
                site = self.net.site(kind, hosts=0)
                self.net.move(self.site.hosts[0] if self.site.hosts else self.moved, site)
                self.moved = site.hosts[0]
                source = self.near.seen_from(Endpoint(self, self.moved, INSIDE_PORT))
                self.assertEqual(source[0], site.public or self.moved.address)


if __name__ == "__main__":
    unittest.main()
