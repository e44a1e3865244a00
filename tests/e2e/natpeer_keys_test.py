"""natpeer's secret keys: keygen, and where a key may come from."""
import base64
import os
import subprocess

from support.fake_coordinator import FakeCoordinator
from support.programs import NATPEER, ProgramTest

KEY = base64.b64encode(bytes(range(32))).decode()
# Of the topic "t" and the key above: docs/PROTOCOL.md, 8.2.
PUBLIC_TOPIC = "3E47p62M071ThLrBsl7qx-slbHHBNvxxquaGb2vdk_E"


class KeygenTest(ProgramTest):
    def keygen(self):
        program = self.start(NATPEER, "keygen")
        self.assertEqual(program.wait_exit(), 0)
        self.assertEqual(program.err.text(), "")
        return program.out.text()

    def test_it_prints_32_bytes_in_base64_and_a_newline(self):
        text = self.keygen()
        self.assertTrue(text.endswith("=\n"), text)
        self.assertEqual(len(base64.b64decode(text.strip(), validate=True)), 32)

    def test_no_two_keys_are_alike(self):
        self.assertEqual(len({self.keygen() for _ in range(5)}), 5)

    def test_a_stdout_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "wb") as full:
            ended = subprocess.run([NATPEER, "keygen"], stdout=full, stderr=subprocess.PIPE, timeout=20, check=False)
        self.assertEqual(ended.returncode, 1)
        self.assertIn(b"stdout", ended.stderr)

    def test_a_stdout_that_is_closed_is_an_error(self):
        ended = subprocess.run(["sh", "-c", 'exec "$0" keygen >&-', NATPEER], stderr=subprocess.PIPE, timeout=20, check=False)
        self.assertEqual(ended.returncode, 1)
        self.assertIn(b"stdout", ended.stderr)


class KeySourcesTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.server = self.own(FakeCoordinator())

    def key_file(self, text=KEY + "\n", mode=0o600):
        path = self.path("key", text)
        os.chmod(path, mode)
        return path

    def peer(self, *options, env=None):
        return self.start(NATPEER, "--topic", "t", "--name", "n", "--coordinator", self.server.url(),
                          "--stun", f"127.0.0.1:{self.server.stun_port}", *options, env=env)

    def topic_of(self, *options, env=None):
        """What the coordinator is told."""
        before = len(self.server.queries())
        self.peer(*options, env=env)
        self.server.wait_joined(before + 1)
        return self.server.queries()[-1]["topic"]

    def test_the_coordinator_is_told_a_topic_that_is_made_of_key_and_topic(self):
        self.assertEqual(self.topic_of("--key-file", self.key_file()), PUBLIC_TOPIC)

    def test_the_environment_gives_the_same_key(self):
        self.assertEqual(self.topic_of(env={"NATPEER_KEY": KEY}), PUBLIC_TOPIC)
        self.assertEqual(self.topic_of(env={"NATPEER_KEY_FILE": self.key_file()}), PUBLIC_TOPIC)

    def test_a_config_file_may_name_the_key_file(self):
        config = self.path("conf", f'key-file = "{self.key_file()}"\n')
        self.assertEqual(self.topic_of("--config", config), PUBLIC_TOPIC)

    def test_a_passphrase_gives_a_topic_of_its_own_each_time_the_same(self):
        first = self.topic_of(env={"NATPEER_PASSPHRASE": "correct horse"})
        self.assertRegex(first, "^[A-Za-z0-9_-]{43}$")
        self.assertNotEqual(first, PUBLIC_TOPIC)
        self.assertEqual(self.topic_of(env={"NATPEER_PASSPHRASE": "correct horse"}), first)

    def test_without_a_key_the_topic_is_open(self):
        self.assertEqual(self.topic_of(), "t")

    def test_the_secrets_leave_the_environment_and_the_log(self):
        program = self.peer("-v", env={"NATPEER_KEY": KEY})
        self.server.wait_joined(1)
        with open(f"/proc/{program.pid}/environ", "rb") as environment:
            self.assertNotIn(KEY.encode(), environment.read())
        program.stop()
        self.assertNotIn(KEY, program.err.text())

    def test_more_than_one_source_is_wrong_usage(self):
        path = self.key_file()
        for options, env in ((["--key-file", path], {"NATPEER_KEY": KEY}),
                             (["--key-file", path], {"NATPEER_PASSPHRASE": "x"}),
                             ([], {"NATPEER_KEY": KEY, "NATPEER_PASSPHRASE": "x"})):
            with self.subTest(env):
                self.assert_usage_error(self.peer(*options, env=env))

    def test_a_key_that_is_set_but_empty_never_means_an_open_topic(self):
        for options, env in (([], {"NATPEER_KEY": ""}), ([], {"NATPEER_PASSPHRASE": ""}), ([], {"NATPEER_KEY_FILE": ""}),
                             (["--key-file", ""], None)):
            with self.subTest(env):
                self.assert_usage_error(self.peer(*options, env=env))
        self.assertEqual(self.server.queries(), [])

    def test_what_is_no_key_is_refused_and_not_repeated(self):
        wrong = self.peer(env={"NATPEER_KEY": "c2VjcmV0"})
        self.assert_usage_error(wrong)
        self.assertNotIn("c2VjcmV0", wrong.err.text())
        for text in ("", "c2VjcmV0\n", KEY + KEY + "\n", "A" * 100_000):
            with self.subTest(text[:80]):
                program = self.peer("--key-file", self.key_file(text))
                self.assertEqual(program.wait_exit(), 1)
                self.assert_one_reason(program, "no key")

    def test_a_key_file_that_others_may_read_is_refused(self):
        for mode in (0o640, 0o604, 0o620, 0o666):
            with self.subTest(oct(mode)):
                program = self.peer("--key-file", self.key_file(mode=mode))
                self.assertEqual(program.wait_exit(), 1)
                self.assert_one_reason(program, "chmod 600")

    def test_a_key_file_that_cannot_be_read_is_an_error(self):
        for path in ("/nonexistent", "/dev"):
            program = self.peer("--key-file", path)
            self.assertEqual(program.wait_exit(), 1)
            self.assert_one_reason(program, path)

    def test_stdin_is_no_key_file(self):
        self.assert_usage_error(self.peer("--key-file", "-"))
