"""natcoord as a STUN server: to our own client and to coturn's."""
import os
import shutil
import socket
import struct
import unittest

from support import stun
from support.programs import ProgramTest


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
        return True
    except OSError:
        return False


class StunTest(ProgramTest):
    host = "127.0.0.1"
    address_size = 4

    def setUp(self):
        super().setUp()
        self.coordinator = self.natcoord()
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.addCleanup(self.sock.close)
        self.sock.bind((self.host, 0))
        self.sock.settimeout(30)

    def send(self, data):
        self.sock.sendto(data, (self.host, self.coordinator.stun_port))

    def ask(self, attributes=(), **options):
        """The answer to one request, and its size; checks who answered whom."""
        transaction = os.urandom(12)
        request = stun.message(stun.REQUEST, transaction, attributes, **options)
        self.send(request)
        data, source = self.sock.recvfrom(2048)
        self.assertEqual(source[:2], (self.host, self.coordinator.stun_port))
        kind, answered, found = stun.decode(data)
        self.assertEqual(answered, transaction)
        return kind, found, len(data) - len(request), transaction

    def assert_silence_for(self, *datagrams):
        """None of them is answered: the next answer is to the request that follows them."""
        for data in datagrams:
            self.send(data)
        kind, _, _, _ = self.ask()
        self.assertEqual(kind, stun.SUCCESS)

    def test_it_answers_with_the_address_it_sees_and_nothing_else(self):
        kind, attributes, growth, transaction = self.ask()
        self.assertEqual(kind, stun.SUCCESS)
        self.assertEqual([t for t, _ in attributes], [stun.XOR_MAPPED_ADDRESS])
        self.assertEqual(stun.decode_address(attributes[0][1], transaction), self.sock.getsockname()[:2])
        self.assertLessEqual(growth, 8 + self.address_size, "no more than the mandatory attribute")

    def test_it_answers_with_a_fingerprint_only_when_asked_with_one(self):
        kind, attributes, growth, _ = self.ask(fingerprint=True)  # decode() has checked the value
        self.assertEqual(kind, stun.SUCCESS)
        self.assertEqual([t for t, _ in attributes], [stun.XOR_MAPPED_ADDRESS, stun.FINGERPRINT])
        self.assertLessEqual(growth, 8 + self.address_size)

    def test_attributes_it_may_ignore_are_ignored(self):
        kind, _, growth, _ = self.ask([(0x8022, b"a client's name"), (0xC001, b"\1")])
        self.assertEqual(kind, stun.SUCCESS)
        self.assertLessEqual(growth, 0)

    def test_attributes_it_must_know_and_does_not_are_420(self):
        kind, attributes, growth, _ = self.ask([(0x7001, b""), (0x8022, b"x"), (0x0002, b"four")])
        self.assertEqual(kind, stun.ERROR)
        found = dict(attributes)
        self.assertEqual(found[stun.ERROR_CODE][2:4], bytes([4, 20]))
        unknown = found[stun.UNKNOWN_ATTRIBUTES]
        self.assertEqual(set(struct.unpack(f"!{len(unknown) // 2}H", unknown)), {0x7001, 0x0002})
        self.assertLessEqual(growth, len(found[stun.ERROR_CODE]) + 8)

    def test_many_unknown_attributes_make_no_large_answer(self):
        kind, _, growth, _ = self.ask([(0x7000 + i, b"") for i in range(250)])
        self.assertEqual(kind, stun.ERROR)
        self.assertLessEqual(growth, 0)

    def test_what_is_no_request_gets_no_answer(self):
        transaction = os.urandom(12)
        good = stun.message(stun.REQUEST, transaction)
        bad_fingerprint = bytearray(stun.message(stun.REQUEST, transaction, fingerprint=True))
        bad_fingerprint[-1] ^= 1
        self.assert_silence_for(
            b"", b"x", good[:19], good + b"x", good[:-1], os.urandom(500), b"DATADATA" + os.urandom(120),
            b"PINGPING" + os.urandom(120), bytes(20), bytes(bad_fingerprint),
            stun.message(stun.INDICATION, transaction), stun.message(stun.SUCCESS, transaction),
            stun.message(stun.ERROR, transaction), stun.message(0x0003, transaction),
            stun.message(stun.REQUEST, transaction, cookie=0x12345678),
            struct.pack("!HHI12sHH", stun.REQUEST, 8, stun.COOKIE, transaction, 0x8022, 100) + bytes(4))

    def test_turnutils_stunclient_understands_it(self):
        if not shutil.which("turnutils_stunclient"):
            self.skipTest("turnutils_stunclient (package coturn) is not installed")
        client = self.start("turnutils_stunclient", "-p", self.coordinator.stun_port, self.host)
        self.assertEqual(client.wait_exit(), 0, client.out.text())
        self.assertRegex(client.out.text(), rf"UDP reflexive addr: \[?{self.host}\]?:\d+")


@unittest.skipUnless(has_ipv6(), "this machine has no IPv6")
class StunIpv6Test(StunTest):
    host = "::1"
    address_size = 16


class StunAddressTest(ProgramTest):
    def test_the_answer_comes_from_the_address_that_was_asked(self):
        coordinator = self.natcoord()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(30)
            sock.bind(("127.0.0.1", 0))
            transaction = os.urandom(12)
            sock.sendto(stun.message(stun.REQUEST, transaction), ("127.0.0.3", coordinator.stun_port))
            _, source = sock.recvfrom(2048)
            self.assertEqual(source, ("127.0.0.3", coordinator.stun_port))
