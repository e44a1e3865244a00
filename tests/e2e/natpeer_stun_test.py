"""natpeer and STUN servers: honest, slow, forging, moving; and coturn."""
import os
import shutil
import socket
import unittest

from natcoord_stun_test import has_ipv6
from support import stun
from support.fake_coordinator import FakeCoordinator
from support.programs import NATPEER, Program, ProgramTest
from support.waiting import TooLate, eventually

TRUE_ADDRESS = ("192.0.2.7", 4242)  # what the honest answer says; no other test address looks like it
LIE = ("203.0.113.66", 6666)


def success(transaction, address=TRUE_ADDRESS, **options):
    return stun.message(stun.SUCCESS, transaction, [
        (stun.XOR_MAPPED_ADDRESS, stun.encode_address(*address, transaction))], **options)


def error(transaction, code, *more):
    value = bytes([0, 0, code // 100, code % 100]) + b"reason"
    return stun.message(stun.ERROR, transaction, [(stun.ERROR_CODE, value), *more])


class StunClientCase(ProgramTest):
    def setUp(self):
        super().setUp()
        self.coordinator = self.own(FakeCoordinator())

    def server(self, behave=None, **more):
        return self.own(stun.Server(behave, **more))

    def peer(self, *servers, options=(), **more):
        stuns = [word for server in servers for word in ("--stun", server if isinstance(server, str) else at(server))]
        return self.start(NATPEER, "--topic", "t", "--name", "peer", "--coordinator", self.coordinator.url(),
                          *stuns, *options, **more)

    def assert_registers(self, *servers, address=TRUE_ADDRESS, deadline=90, **more):
        peer = self.peer(*servers, **more)
        self.coordinator.wait_joined(deadline=deadline)
        self.assertEqual(self.coordinator.address(), address)
        return peer


def at(server):
    return f"[{server.host}]:{server.port}" if ":" in server.host else f"{server.host}:{server.port}"


class GoodStunTest(StunClientCase):
    def test_the_mapped_address_is_told_and_registered(self):
        server = self.server(lambda s, t, *_: [success(t)])
        peer = self.assert_registers(server)
        peer.wait_err(r"public address 192\.0\.2\.7:4242")
        self.assertEqual(len({t for t, _ in server.requests}), len(server.requests))

    def test_the_request_comes_from_the_socket_that_carries_data(self):
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(other.close)
        other.bind(("127.0.0.1", 0))
        other.settimeout(30)
        server = self.server()
        self.coordinator.others.append(("other", *other.getsockname()))
        self.peer(server)
        _, source = other.recvfrom(2048)
        self.assertEqual(source, server.requests[0][1])

    def test_an_answer_with_a_right_fingerprint_counts(self):
        self.assert_registers(self.server(lambda s, t, *_: [success(t, fingerprint=True)]))

    def test_mapped_address_alone_is_enough_for_an_old_server(self):
        self.assert_registers(self.server(lambda s, t, *_: [stun.message(
            stun.SUCCESS, t, [(stun.MAPPED_ADDRESS, stun.encode_address(*TRUE_ADDRESS))])]))

    def test_the_xor_form_wins_over_the_plain_one(self):
        self.assert_registers(self.server(lambda s, t, *_: [stun.message(stun.SUCCESS, t, [
            (stun.MAPPED_ADDRESS, stun.encode_address(*LIE)),
            (stun.XOR_MAPPED_ADDRESS, stun.encode_address(*TRUE_ADDRESS, t))])]))

    def test_lost_requests_are_repeated(self):
        server = self.server(lambda s, t, *_: [success(t)] if len(s.requests) > 2 else [])
        self.assert_registers(server)

    def test_of_several_servers_one_that_answers_is_enough(self):
        dead = self.server(lambda *_: [])
        self.assert_registers(dead, self.server(lambda s, t, *_: [success(t)]))

    def test_a_server_that_names_another_is_left_for_it_once(self):
        good = self.server(lambda s, t, *_: [success(t)])
        alternate = (stun.ALTERNATE_SERVER, stun.encode_address("127.0.0.1", good.port))
        first = self.server(lambda s, t, *_: [error(t, 300, alternate)])
        self.assert_registers(first)
        self.assertGreaterEqual(len(good.requests), 1)

    def test_servers_that_name_each_other_are_not_followed_in_circles(self):
        def point_to_other(server, transaction, *_):
            alternate = (stun.ALTERNATE_SERVER, stun.encode_address("127.0.0.1", server.target.port))
            return [error(transaction, 300, alternate)]
        one, two = self.server(point_to_other), self.server(point_to_other)
        one.target, two.target = two, one
        self.assert_registers(one, self.server(lambda s, t, *_: [success(t)] if len(s.requests) > 2 else []))
        self.assertLess(len(one.requests) + len(two.requests), 20)

    def test_advertise_needs_no_stun(self):
        self.assert_registers("none", options=["--advertise", "192.0.2.7:4242"])

    @unittest.skipUnless(has_ipv6(), "this machine has no IPv6")
    def test_an_ipv6_address_is_registered_where_there_is_no_ipv4_one(self):
        v6 = ("2001:db8::7", 4242)
        self.assert_registers(self.server(lambda s, t, *_: [success(t, v6)], host="::1"), address=v6)

    @unittest.skipUnless(has_ipv6(), "this machine has no IPv6")
    def test_ipv4_wins_over_ipv6(self):
        self.assert_registers(self.server(lambda s, t, *_: [success(t, ("2001:db8::7", 1))], host="::1"),
                              self.server(lambda s, t, *_: [success(t)]))


class BadStunTest(StunClientCase):
    def assert_ignored(self, forge):
        """What `forge(transaction)` returns is not believed; the honest answer right after it is."""
        def behave(_server, transaction, *_):
            return [*forge(transaction), success(transaction)]
        self.assert_registers(self.server(behave))

    def test_truncated_answers(self):
        self.assert_ignored(lambda t: [success(t, LIE)[:size] for size in range(len(success(t, LIE)))])

    def test_an_answer_for_another_transaction(self):
        self.assert_ignored(lambda t: [success(os.urandom(12), LIE), success(t[:-1] + bytes([t[-1] ^ 1]), LIE)])

    def test_an_answer_without_the_cookie(self):
        self.assert_ignored(lambda t: [success(t, LIE, cookie=0x12345678)])

    def test_an_answer_whose_fingerprint_does_not_match(self):
        def forge(transaction):
            data = bytearray(success(transaction, LIE, fingerprint=True))
            data[-1] ^= 1
            return [bytes(data)]
        self.assert_ignored(forge)

    def test_an_answer_whose_address_is_nonsense(self):
        def forge(transaction):
            values = (b"", b"\0\1", b"\0\3" + bytes(6), b"\0\1" + bytes(20), b"\0\2" + bytes(6),
                      stun.encode_address("0.0.0.0", 1, transaction), stun.encode_address("192.0.2.1", 0, transaction))
            return [stun.message(stun.SUCCESS, transaction, [(stun.XOR_MAPPED_ADDRESS, value)]) for value in values]
        # What can be no answer at all may count as a failed server; the honest second one then has to do.
        bad = self.server(lambda s, t, *_: forge(t))
        self.assert_registers(bad, self.slow_server())

    def test_an_answer_from_another_source(self):
        forger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(forger.close)
        forger.bind(("127.0.0.1", 0))

        def behave(_server, transaction, source, *_):
            forger.sendto(success(transaction, LIE), source)
            return [success(transaction)]
        self.assert_registers(self.server(behave))

    def test_error_answers(self):
        for code in (400, 420, 500):
            with self.subTest(code):
                self.coordinator = self.own(FakeCoordinator())
                refusing = self.server(lambda s, t, *_, c=code: [error(t, c)])
                self.assert_registers(refusing, self.slow_server())

    def slow_server(self):
        """An honest one that misses the first request, so that another's answer is there before its own."""
        return self.server(lambda s, t, *_: [success(t)] if len(s.requests) > 1 else [])

    def test_a_flood_of_forgeries_hides_nothing(self):
        self.assert_ignored(lambda t: [success(os.urandom(12), LIE) for _ in range(200)])


class StunRepeatTest(StunClientCase):
    """Takes half a minute and more: the pause between two looks at the address is natpeer's own."""

    def test_a_changed_public_address_is_registered_anew(self):
        server = self.server(lambda s, t, *_: [success(t, s.current)])
        server.current = TRUE_ADDRESS
        peer = self.assert_registers(server)
        server.current = ("192.0.2.8", 99)
        self.coordinator.wait_joined(2, deadline=120)
        self.assertEqual(self.coordinator.address(1), server.current)
        eventually(lambda: len(self.coordinator.closed) == 1, "the end of the old registration")
        peer.wait_err(r"public address (is )?192\.0\.2\.8:99")


@unittest.skipUnless(shutil.which("turnserver"), "turnserver (package coturn) is not installed")
class CoturnTest(ProgramTest):
    def coturn(self, address):
        """coturn on a free port; another program may be faster to take it, so several tries."""
        for _ in range(10):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closing:
                closing.bind((address, 0))
                port = closing.getsockname()[1]
            program = self.own(Program([
                "turnserver", "-n", "--stun-only", "--no-auth", "--no-cli", "--no-tls", "--no-dtls", "-L", address,
                "-p", port, "--log-file", "stdout", "--pidfile", self.path("pid"), "--userdb", self.path("db")]))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind(("127.0.0.1", 0))
                sock.settimeout(0.2)

                def taken(program=program):  # it then tries for ever
                    return "Address already in use" in program.err.text() + program.out.text()

                def answers(sock=sock, port=port, program=program, taken=taken):
                    if not program.is_running() or taken():
                        return True
                    try:
                        sock.sendto(stun.message(stun.REQUEST, os.urandom(12)), (address, port))
                        return sock.recv(2048)
                    except OSError:
                        return False
                eventually(answers, "an answer from coturn")
            if program.is_running() and not taken():
                return f"{address}:{port}"
            program.end()
        raise TooLate("coturn did not start")

    def test_natpeers_learn_their_addresses_from_coturn(self):
        coordinator = self.natcoord(stun_port="off")
        server = self.coturn("127.0.0.1")
        alice, bob = (self.start(NATPEER, "--topic", "t", "--name", name, "--coordinator", coordinator.url(),
                                 "--stun", server) for name in ("alice", "bob"))
        for peer in (alice, bob):
            peer.wait_err(r"public address 127\.0\.0\.1:\d+")
        alice.write("by way of coturn\n")
        bob.wait_out("by way of coturn\n")
