"""What a running natpeer says of its peers: by SIGUSR1, at its status socket, and by `natpeer status`."""
import json
import os
import signal
import socket

from support.programs import NATPEER, ProgramTest
from support.waiting import eventually


class StatusCase(ProgramTest):
    def setUp(self):
        super().setUp()
        self.coordinator = self.natcoord()
        self.socket = self.path("status")
        self.alice = self.natpeer(self.coordinator, "alice", "--status-socket", self.socket)
        self.bob = self.natpeer(self.coordinator, "bob")
        self.alice.wait_err("peer bob: direct, (lan|public)")  # before that it may be an address that was merely heard

    def status(self, *options, env=None):
        program = self.start(NATPEER, "status", *options, env=env)
        self.assertEqual(program.wait_exit(), 0, program.err.text())
        return program.out.text()

    def json(self):
        return json.loads(self.status(self.socket, "--json"))


class StatusTest(StatusCase):
    def test_the_json_has_every_field_that_the_readme_names(self):
        self.alice.write("hello\n")
        self.bob.wait_out("hello\n")
        told = self.json()
        self.assertEqual((told["topic"], told["name"], told["keyed"]), ("t", "alice", False))
        self.assertEqual(told["data_sent"], 1)
        self.assertEqual({key: told["coordinator"][key] for key in ("registered", "v2", "relay")},
                         {"registered": True, "v2": True, "relay": True})
        (bob,) = told["peers"]
        self.assertEqual(bob["name"], "bob")
        self.assertEqual(bob["path"], "direct")
        self.assertIn(bob["kind"], ("lan", "public"))
        self.assertRegex(bob["address"], r"^\d+\.\d+\.\d+\.\d+:\d+$|^\[")
        self.assertGreater(bob["rtt_ms"], 0)
        self.assertEqual(bob["loss"], 0)
        self.assertGreater(bob["bytes_sent"], 128 + len("hello\n"))
        self.assertGreater(bob["bytes_received"], 128)
        self.assertLessEqual(told["started"], bob["since"])
        self.assertLessEqual(bob["since"], told["time"])
        self.assertIsNone(bob["why_not_direct"])

    def test_the_table_has_a_line_for_each_peer(self):
        lines = self.status(env={"NATPEER_STATUS_SOCKET": self.socket}).splitlines()
        self.assertTrue(lines[0].startswith("alice in topic t"), lines)
        self.assertRegex(lines[-2], r"^PEER +NAME +PATH +RTT +LOSS +SENT +RECEIVED +SINCE +WHY NOT DIRECT$")
        self.assertRegex(lines[-1], r"^\S+:\d+ +bob +direct \((lan|public)\) +[\d.]+ ms +0% ")

    def test_sigusr1_prints_the_table_and_ends_nothing(self):
        for count in (1, 2):
            os.kill(self.alice.pid, signal.SIGUSR1)
            self.alice.wait_err(r"\n\S+:\d+ +bob +direct \(\w+\)", count=count)
        self.alice.write("still here\n")
        self.bob.wait_out("still here\n")
        self.assertEqual(self.alice.out.text(), "", "the table is for stderr")

    def test_a_peer_that_leaves_is_gone_from_it(self):
        self.bob.stop()
        eventually(lambda: self.json()["peers"] == [], "an empty table")
        self.assertIn("no peers", self.status("--status-socket", self.socket))

    def test_the_socket_is_for_its_user_and_goes_with_the_program(self):
        self.assertEqual(os.stat(self.socket).st_mode & 0o777, 0o600)
        self.alice.stop()
        self.assertFalse(os.path.exists(self.socket))

    def test_who_connects_and_reads_nothing_holds_up_nobody(self):
        idle = []
        for _ in range(20):
            connection = socket.socket(socket.AF_UNIX)
            self.addCleanup(connection.close)
            connection.connect(self.socket)
            idle.append(connection)
        self.alice.write("hello\n")
        self.bob.wait_out("hello\n")
        eventually(lambda: self.json()["name"] == "alice", "an answer")


class StatusRefusalTest(ProgramTest):
    def test_without_a_socket_it_is_wrong_usage(self):
        self.assert_usage_error(self.start(NATPEER, "status"))

    def test_where_nobody_listens_it_says_so(self):
        program = self.start(NATPEER, "status", "--status-socket", self.path("nobody"))
        self.assertEqual(program.wait_exit(), 1)
        self.assert_one_reason(program, "nobody")

    def test_what_is_no_status_is_not_shown(self):
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        path = self.path("other")
        listener.bind(path)
        listener.listen()
        program = self.start(NATPEER, "status", "--status-socket", path)
        connection, _ = listener.accept()
        connection.sendall(b"\x1b[2Jnonsense")
        connection.close()
        self.assertEqual(program.wait_exit(), 1)
        self.assert_one_reason(program, "no status of a natpeer")
        self.assertNotIn("\x1b", program.err.text())

    def test_a_socket_path_that_is_in_use_ends_natpeer_with_a_reason(self):
        path = self.path("file", "a file\n")
        program = self.start(NATPEER, "--topic", "t", "--name", "n", "--status-socket", path)
        self.assertEqual(program.wait_exit(), 1)
        self.assert_one_reason(program, path)
