"""natpeer as a program: options, configuration, usage errors, defaults."""
import os
import socket

from support.fake_coordinator import FakeCoordinator
from support.programs import NATPEER, ProgramTest
from support.seed_peer import SeedPeer, UdpPeer


class NatpeerUsageTest(ProgramTest):
    def test_version_and_help_go_to_stdout(self):
        for option, word in (("--version", "natpeer"), ("--help", "--coordinator")):
            program = self.start(NATPEER, option)
            self.assertEqual(program.wait_exit(), 0)
            self.assertIn(word, program.out.text())
            self.assertEqual(program.err.text(), "")

    def test_wrong_usage_is_status_2_with_a_reason(self):
        for wrong in (["--no-such-option"], ["stray"], ["--coordinator", "ftp://host"], ["--coordinator", "no url"],
                      ["--coordinator", "ws://"], ["--coordinator", "ws://host:99999"], ["--stun", "host:0"],
                      ["--stun", "host:x"], ["--stun", "none"], ["--advertise", "1.2.3.4"],
                      ["--advertise", "0.0.0.0:1"], ["--bind", "no address"], ["--ping-interval", "never"],
                      ["--ping-interval", "0"], ["--wait", "-1"], ["--wait", "many"],
                      ["--input", "words"], ["--output", "xml"], ["--quit-on-eof=soon"],
                      ["--quit-on-eof", "--quit-on-end"], ["--slow-peer", "soon"], ["--slow-peer", "wait=x"],
                      ["--memory", "1M"], ["--memory", "64X"], ["--from", "a\nb"], ["--live", "1ms"], ["--live", "soon"],
                      ["--replay", "all"], ["--replay", "5G"], ["--replay", "0"], ["--live", "1s", "--replay", "1M"],
                      ["--log-level", "loud"], ["--rate", "0"], ["--config", "/nonexistent"],
                      ["--name", "n" * 129], ["--topic", ""], ["--topic", "t" * 256], ["--name", "a\nb"],
                      ["--topic", b"\xff"]):
            with self.subTest(wrong):
                words = wrong if "--topic" in wrong else ["--topic", "t", *wrong]
                self.assert_usage_error(self.start_raw(NATPEER, *words))

    def test_the_reason_says_what_is_wrong(self):
        section = self.path("section", "[x]\ntopic = t\n")
        endless = self.path("endless", "a" * 500_000 + " = 1\n")
        bogus = self.path("bogus", "topic = t\nbogus = 1\n")
        for wrong, reason in ((["--topic", "t", "--topic", "u"], "--topic: one value is wanted, not 2"),
                              (["--topic"], "--topic: its value is missing"),
                              (["--topic", "t", "--wait", "-1"], '--wait: "-1" is not a number of peers, from 0 to 4096'),
                              (["--topic", "t", "--rate", "1001G"], "from 10k to 1000G"),
                              (["--topic", "t", "--memory", "64m"], "from 4M to 4G, such as 64M: bytes, or with k, M or G"),
                              (["--topic", "t", "--live", "1s", "--slow-peer", "wait"], "does not go with --slow-peer"),
                              (["--topic", "t", "--name", "n", "--from", "n"], '--from: "n" is our own name'),
                              (["--topic", "t", "--from", ""], "--from is empty"),
                              (["--topic", "t", "--key-file", ""], "--key-file is empty"),
                              (["--topic", "t", "--live="], "--live: its value is missing"),
                              (["--config", bogus], "the config file has bogus, which is no option"),
                              (["--config", endless], "the config file has aaa"),
                              (["--config", section], "the config file has a section [x]")):
            with self.subTest(wrong):
                program = self.start(NATPEER, *wrong)
                self.assert_usage_error(program)
                self.assertIn(reason, program.err.text())

    def start_raw(self, *words):
        return self.start(*(os.fsdecode(word) for word in words))

    def test_a_topic_is_required(self):
        program = self.start(NATPEER, "--name", "n")
        self.assert_usage_error(program)
        self.assertIn("topic", program.err.text())

    def test_a_ca_file_that_cannot_be_read_is_an_error(self):
        program = self.start(NATPEER, "--topic", "t", "--coordinator", "wss://127.0.0.1:9", "--ca", "/nonexistent")
        self.assertEqual(program.wait_exit(), 1)
        self.assert_one_reason(program, "/nonexistent")

    def test_a_udp_port_that_is_taken_is_status_1_with_a_reason(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            self.assert_failure(self.start(NATPEER, "--topic", "t", "--bind", address))


class NatpeerOptionsTest(ProgramTest):
    def test_the_host_name_is_the_default_name(self):
        server = self.own(FakeCoordinator())
        self.start(NATPEER, "--topic", "t", "--coordinator", server.url(), "--stun", f"127.0.0.1:{server.stun_port}")
        server.wait_joined()
        self.assertEqual(server.queries()[0]["name"], socket.gethostname())

    def test_bind_chooses_the_address_and_port_of_the_data(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closing:
            closing.bind(("127.0.0.1", 0))
            port = closing.getsockname()[1]
        server = self.own(FakeCoordinator())
        self.natpeer(server, "peer", "--bind", f"127.0.0.1:{port}")
        server.wait_joined()
        self.assertEqual(server.address(), ("127.0.0.1", port))
        other = self.own(FakeCoordinator())
        self.natpeer(other, "peer", "--bind", "127.0.0.2")
        other.wait_joined()
        self.assertEqual(other.address()[0], "127.0.0.2")

    def test_environment_and_config_file_and_command_line_each_set_an_option(self):
        server = self.own(FakeCoordinator())
        where = {"NATPEER_COORDINATOR": server.url(), "NATPEER_STUN": f"127.0.0.1:{server.stun_port}"}
        config = self.path("natpeer.conf", 'topic="from the file"\nname=file\n')
        self.start(NATPEER, "--config", config, env=where)
        server.wait_joined(1)
        self.start(NATPEER, env={**where, "NATPEER_TOPIC": "from the environment", "NATPEER_NAME": "env"})
        server.wait_joined(2)
        self.start(NATPEER, "--config", config, "--name", "command", env={**where, "NATPEER_NAME": "env"})
        server.wait_joined(3)
        self.assertEqual([(q["topic"], q["name"]) for q in server.queries()], [
            ("from the file", "file"), ("from the environment", "env"), ("from the file", "command")])
        self.assert_usage_error(self.start(NATPEER, "--config", self.path("bad.conf", "topic=t\nnmae=x\n")))

    def test_quiet_says_nothing_and_verbose_says_more(self):
        coordinator = self.natcoord()
        seed = self.own(SeedPeer(coordinator, "seed"))
        quiet = self.natpeer(coordinator, "quiet", "-q")
        usual = self.natpeer(coordinator, "usual")
        verbose = self.natpeer(coordinator, "verbose", "-v")
        seed.wait_peers("quiet", "usual", "verbose")
        seed.say("hello")
        for peer in (quiet, usual, verbose):
            peer.wait_out("hello")
        for peer in (quiet, usual, verbose):
            self.assertEqual(peer.stop(), 0)
        self.assertEqual(quiet.err.text(), "")
        # Not by the number of lines: how often a path changes is each peer's own affair.
        self.assertIn(" info ", usual.err.text())
        self.assertNotIn(" debug ", usual.err.text())
        self.assertIn(" info ", verbose.err.text())
        self.assertIn(" debug ", verbose.err.text())

    def test_log_level_off_says_nothing(self):
        coordinator = self.natcoord()
        seed = self.own(SeedPeer(coordinator, "seed"))
        peer = self.natpeer(coordinator, "peer", "--log-level", "off")
        seed.wait_peers("peer")
        peer.stop()
        self.assertEqual(peer.err.text(), "")

    def test_a_slower_rate_still_brings_everything(self):
        coordinator = self.natcoord()
        seed = self.own(SeedPeer(coordinator, "seed"))
        content = os.urandom(100_000)
        self.natpeer(coordinator, "peer", "--rate", "1000000", stdin=self.file(content))
        seed.wait_data(content)

    def test_pings_go_to_every_listed_peer_and_never_stop(self):
        others = [self.own(UdpPeer()) for _ in range(3)]
        for other in others:
            other.listen()
        server = self.own(FakeCoordinator(others=[(f"o{i}", *other.address) for i, other in enumerate(others)]))
        self.natpeer(server, "peer", "--ping-interval", "50")
        server.wait_joined()
        for other in others:
            other.wait_pings(30, server.address())
            self.assertEqual(other.faults, [])


class NatpeerDefaultsTest(ProgramTest):
    def test_it_finds_a_natcoord_on_this_machine(self):
        for port, kind in ((6969, socket.SOCK_STREAM), (3478, socket.SOCK_DGRAM)):
            with socket.socket(socket.AF_INET, kind) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1 if kind == socket.SOCK_STREAM else 0)
                try:
                    sock.bind(("", port))
                except OSError as error:
                    self.skipTest(f"port {port} is taken on this machine ({error})")
        self.natcoord(port=6969, stun_port=3478)
        sender = self.start(NATPEER, "--topic", "X", "--name", "Y")
        receiver = self.start(NATPEER, "--topic", "X", "--name", "Z")
        sender.write("by default\n")
        receiver.wait_out("by default\n")
