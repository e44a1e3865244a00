"""wss: a TLS front before natcoord, with a certificate authority made for the test."""
import select
import shutil
import socket
import ssl
import subprocess
import unittest

from support import websocket
from support.programs import NATPEER, ProgramTest


class TlsFront(websocket.Server):
    """Ends TLS and passes the bytes on to natcoord, as a reverse proxy does."""

    def __init__(self, natcoord_port, certificate, key):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.natcoord_port = natcoord_port
        super().__init__(None, tls=context)

    def serve(self, sock):
        try:
            sock.settimeout(30)
            tls = self.tls.wrap_socket(sock, server_side=True)
            inside = socket.create_connection(("127.0.0.1", self.natcoord_port))
        except OSError:
            sock.close()
            return
        self.paths.append("a TLS connection")
        ends = [websocket.Connection(tls, masks=False), websocket.Connection(inside, masks=False)]
        self.connections += ends
        # One thread for both ways: OpenSSL's connections are not for two at a time.
        try:
            while True:
                readable, _, _ = select.select([tls, inside], [], [])
                source, target = (tls, inside) if tls in readable else (inside, tls)
                chunk = source.recv(1 << 15)
                if not chunk:
                    break
                target.sendall(chunk)
        except (OSError, ValueError):
            pass  # the test has ended it
        for end in ends:
            end.end()


@unittest.skipUnless(shutil.which("openssl"), "openssl is not installed")
class TlsTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.coordinator = self.natcoord()
        self.ca, self.ca_key = self.make_ca("ca")

    def openssl(self, *words):
        subprocess.run(["openssl", *words], check=True, capture_output=True)

    def make_ca(self, name):
        certificate, key = self.path(f"{name}.pem"), self.path(f"{name}.key")
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                     "-subj", f"/CN=natpeer test {name}", "-keyout", key, "-out", certificate)
        return certificate, key

    def front(self, names):
        """A front whose certificate is for these names."""
        certificate, key, request = self.path("front.pem"), self.path("front.key"), self.path("front.csr")
        extension = self.path("front.ext", f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=front",
                     "-keyout", key, "-out", request)
        self.openssl("x509", "-req", "-days", "2", "-in", request, "-CA", self.ca, "-CAkey", self.ca_key,
                     "-CAcreateserial", "-extfile", extension, "-out", certificate)
        return self.own(TlsFront(self.coordinator.port, certificate, key))

    def peer(self, front, name, *options, host="127.0.0.1", scheme="wss"):
        return self.start(NATPEER, "--topic", "t", "--name", name, "--coordinator", f"{scheme}://{host}:{front.port}",
                          "--stun", f"127.0.0.1:{self.coordinator.stun_port}", *options)

    def test_with_the_right_authority_everything_works(self):
        front = self.front("IP:127.0.0.1,DNS:localhost")
        alice = self.peer(front, "alice", "--ca", self.ca)
        bob = self.peer(front, "bob", "--ca", self.ca, host="localhost", scheme="https")
        plain = self.natpeer(self.coordinator, "plain")
        for peer in (alice, bob, plain):
            peer.wait_err(r"peer \S+( at \S+)? heard", count=2)
        alice.write("registered over TLS\n")
        for peer in (bob, plain):
            peer.wait_out("registered over TLS\n")
        self.assertEqual(alice.stop(), 0)
        bob.wait_err(r"peer alice( at \S+)? left")

    def assert_never_registers(self, front, *options, host="127.0.0.1"):
        peer = self.peer(front, "alice", *options, host=host)
        peer.wait_err("(?i)certificate|verify")
        self.assertNotIn("registered with", peer.err.text())
        self.assertEqual(front.paths, [], "it tells nothing to a server that it does not trust")

    def test_the_systems_authorities_do_not_know_ours(self):
        self.assert_never_registers(self.front("IP:127.0.0.1"))

    def test_another_authority_does_not_do(self):
        self.assert_never_registers(self.front("IP:127.0.0.1"), "--ca", self.make_ca("other")[0])

    def test_a_certificate_for_another_host_does_not_do(self):
        self.assert_never_registers(self.front("IP:192.0.2.1,DNS:example.com"), "--ca", self.ca)
        self.assert_never_registers(self.front("IP:127.0.0.1"), "--ca", self.ca, host="localhost")

    def test_a_plain_server_behind_wss_is_told_and_tried_again(self):
        class Plain:
            port = self.coordinator.port
        peer = self.peer(Plain, "alice", "--ca", self.ca)
        peer.wait_err(r"127\.0\.0\.1", count=2)
        self.assertTrue(peer.is_running())
