"""natcoord as a program: options, exits, signals, limits of the machine."""
import resource
import signal
import socket
import unittest

from natcoord_stun_test import has_ipv6
from support import stun, websocket
from support.programs import NATCOORD, ProgramTest
from support.waiting import eventually
from support.websocket import connect, join_path


def can_connect(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), timeout=5).close()
        return True
    except OSError:
        return False


class NatcoordOptionsTest(ProgramTest):
    def test_version_and_help_go_to_stdout(self):
        for option, word in (("--version", "natcoord"), ("--help", "--max-connections")):
            program = self.start(NATCOORD, option)
            self.assertEqual(program.wait_exit(), 0)
            self.assertIn(word, program.out.text())
            self.assertEqual(program.err.text(), "")

    def test_wrong_usage_is_status_2_with_a_reason(self):
        for wrong in (["--no-such-option"], ["--port", "65536"], ["--port", "x"], ["--port", "-1"],
                      ["--stun-port", "on"], ["--stun-port", "70000"], ["--listen", "no address"],
                      ["--max-connections", "many"], ["--max-peers", "-3"], ["--log-level", "loud"],
                      ["--relay", "maybe"], ["--relay-rate", "9k"], ["--relay-rate", "1T"], ["--relay-rate", "fast"],
                      ["--relay-total-rate", "1001G"], ["--relay-quota", "-1"], ["--relay-quota", "0.5"], ["--relay-quota", "999"],
                      ["--relay-queue", "0"], ["--relay-queue", "18446744073709551G"], ["--unproven", "never"],
                      ["--config", "/nonexistent"], ["stray"]):
            with self.subTest(wrong):
                self.assert_usage_error(self.start(NATCOORD, *wrong))

    def test_one_line_says_where_it_listens(self):
        coordinator = self.natcoord()
        self.assertTrue(can_connect(coordinator.port))
        coordinator.stop()
        lines = [line for line in coordinator.err.text().splitlines() if "listens on" in line]
        self.assertEqual(len(lines), 1)
        self.assertEqual(bytes(coordinator.out.data), b"")

    def test_a_port_in_use_is_status_1_with_a_reason(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            program = self.start(NATCOORD, "--listen", "127.0.0.1", "--port", port, "--stun-port", 0)
            self.assert_failure(program, str(port))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            program = self.start(NATCOORD, "--listen", "127.0.0.1", "--port", 0, "--stun-port", port)
            self.assert_failure(program, str(port))

    def test_an_address_that_is_not_this_hosts_is_status_1(self):
        self.assert_failure(self.start(NATCOORD, "--listen", "192.0.2.1", "--port", 0, "--stun-port", 0))

    def test_stun_can_be_switched_off(self):
        coordinator = self.natcoord(stun_port="off")
        self.assertIsNone(coordinator.stun_port)
        self.assertNotIn("STUN", coordinator.wait_err("listens on .*")[0])
        self.own(connect(coordinator.port, join_path())).list_of("n")

    def test_listen_binds_that_address_only(self):
        coordinator = self.natcoord("--listen", "127.0.0.2")
        self.assertTrue(can_connect(coordinator.port, "127.0.0.2"))
        self.assertFalse(can_connect(coordinator.port, "127.0.0.1"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            stun.mapped_address(sock, ("127.0.0.2", coordinator.stun_port))

    @unittest.skipUnless(has_ipv6(), "this machine has no IPv6")
    def test_ipv6_clients_are_as_welcome(self):
        coordinator = self.natcoord()
        over_v6 = self.own(connect(coordinator.port, join_path(name="v6", ip="2001:db8::1"), host="::1"))
        over_v4 = self.own(connect(coordinator.port, join_path(name="v4", port=2)))
        self.assertEqual(over_v6.list_of("v6", "v4")[0]["ip"], "2001:db8::1")
        over_v4.list_of("v6", "v4")
        only = self.natcoord("--listen", "::1")
        self.assertTrue(can_connect(only.port, "::1"))
        self.assertFalse(can_connect(only.port, "127.0.0.1"))

    def test_a_config_file_has_the_same_names(self):
        config = self.path("natcoord.conf", 'max-peers=1\nlisten="127.0.0.2"\nlog-level=debug\n')
        coordinator = self.natcoord("--config", config)
        self.own(connect(coordinator.port, join_path(name="a"), host="127.0.0.2"))
        with self.assertRaises(websocket.Refused) as refused:
            connect(coordinator.port, join_path(name="b"), host="127.0.0.2")
        self.assertEqual(refused.exception.status, 503)
        coordinator = self.natcoord("--config", config, "--max-peers", 2)  # the command line wins
        for name in "ab":
            self.own(connect(coordinator.port, join_path(name=name), host="127.0.0.2"))
        self.assert_usage_error(self.start(NATCOORD, "--config", self.path("bad.conf", "max-pears=1\n")))


class NatcoordDefaultPortsTest(ProgramTest):
    def test_it_listens_on_6969_and_3478(self):
        for port, kind in ((6969, socket.SOCK_STREAM), (3478, socket.SOCK_DGRAM)):
            with socket.socket(socket.AF_INET, kind) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1 if kind == socket.SOCK_STREAM else 0)
                try:
                    sock.bind(("", port))
                except OSError as error:
                    self.skipTest(f"port {port} is taken on this machine ({error})")
        program = self.start(NATCOORD)
        line = program.wait_err(r"listens on \S+:(\d+) \(websocket\) and \S+:(\d+)/udp \(STUN\)")
        self.assertEqual((line[1], line[2]), ("6969", "3478"))
        self.own(connect(6969, join_path())).list_of("n")


class NatcoordSignalsTest(ProgramTest):
    def test_sigterm_and_sigint_close_every_connection_with_1001_and_exit_0(self):
        for how in (signal.SIGTERM, signal.SIGINT):
            coordinator = self.natcoord()
            clients = [self.own(connect(coordinator.port, join_path(name=f"n{i}", port=1 + i))) for i in range(20)]
            clients[-1].next_list()
            coordinator.process.send_signal(how)
            for client in clients:
                self.assertEqual(client.wait_closed().code, 1001)
                client.end()
            self.assertEqual(coordinator.wait_exit(), 0)

    def test_it_leaves_even_if_its_clients_do_not_answer(self):
        coordinator = self.natcoord()
        deaf = [self.own(connect(coordinator.port, join_path(name=f"n{i}", port=1 + i), receive_buffer=4096))
                for i in range(3)]
        half = self.own(websocket.Connection(socket.create_connection(("127.0.0.1", coordinator.port)), masks=True))
        half.sock.sendall(b"GET /websocket?topic=")
        deaf[0].next_list()
        self.assertEqual(coordinator.stop(), 0)

    def test_it_can_start_again_on_the_same_port_at_once(self):
        coordinator = self.natcoord()
        client = self.own(connect(coordinator.port, join_path()))
        client.next_list()
        coordinator.stop()
        again = self.natcoord(port=coordinator.port)
        self.own(connect(again.port, join_path())).list_of("n")


class NatcoordFileLimitTest(ProgramTest):
    FILES = 64

    def limited(self, *options):
        return self.natcoord(*options, preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_NOFILE, (self.FILES, self.FILES)))

    def test_it_warns_when_the_connections_cannot_fit(self):
        self.limited().wait_err(r"--max-connections")

    def test_it_raises_a_soft_limit(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        coordinator = self.natcoord("--max-connections", 200, preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_NOFILE, (self.FILES, hard)))
        clients = [self.own(connect(coordinator.port, join_path(name=f"n{i}", port=1 + i))) for i in range(150)]
        while len(clients[-1].next_list()) < 150:
            pass

    def test_when_files_run_out_it_waits_for_some_and_goes_on(self):
        coordinator = self.limited()
        waiting = [socket.create_connection(("127.0.0.1", coordinator.port)) for _ in range(self.FILES + 20)]
        coordinator.wait_err(r"(?i)files|accept")
        self.assertTrue(coordinator.is_running())
        for sock in waiting:
            sock.close()

        def joins():
            try:
                return self.own(connect(coordinator.port, join_path()))
            except (websocket.Closed, OSError):
                return None
        eventually(joins, "a connection after the files came back").list_of("n")


class NatcoordMemoryTest(ProgramTest):
    """Registered by CMake only where no sanitizer multiplies the memory."""

    def test_an_idle_connection_costs_at_most_12_kb(self):
        coordinator = self.natcoord()
        count = 400

        def anonymous_kb():
            with open(f"/proc/{coordinator.pid}/status") as status:
                return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:"))

        clients = [self.own(connect(coordinator.port, join_path(topic=f"warm{i}"))) for i in range(50)]
        for client in clients:
            client.next_list()
        before = anonymous_kb()
        clients = [self.own(connect(coordinator.port, join_path(topic=f"t{i}"))) for i in range(count)]
        for client in clients:
            client.next_list()
        self.assertLessEqual((anonymous_kb() - before) / count, 12)
