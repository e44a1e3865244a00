"""natcoord and natpeer as processes with pipes, and the base class of every test."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

from support.waiting import DEADLINE, TooLate, eventually

NATCOORD = os.environ.get("NATCOORD", "natcoord")
NATPEER = os.environ.get("NATPEER", "natpeer")


class Output:
    """Everything that a pipe has carried so far, read by a thread of its own."""

    def __init__(self, pipe):
        self.pipe = pipe
        self.data = bytearray()
        self.ended = False
        self.thread = threading.Thread(target=self.read_all, daemon=True)
        self.thread.start()

    def read_all(self):
        while chunk := os.read(self.pipe.fileno(), 1 << 16):
            self.data += chunk
        self.ended = True

    def text(self):
        return bytes(self.data).decode(errors="replace")


class Program:
    """A running program. `stdin` and `stdout` are as for Popen; stdout=None reads it here, as `out`."""

    def __init__(self, argv, stdin=subprocess.PIPE, stdout=None, env=None, **more):
        self.argv = [str(word) for word in argv]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("NATPEER_")}
        environment.update(env or {})
        self.process = subprocess.Popen(
            self.argv, stdin=stdin, stdout=subprocess.PIPE if stdout is None else stdout, stderr=subprocess.PIPE,
            bufsize=0, env=environment, **more)
        self.err = Output(self.process.stderr)
        self.out = Output(self.process.stdout) if stdout is None else None

    @property
    def pid(self):
        return self.process.pid

    def write(self, data):
        view = memoryview(data if isinstance(data, bytes) else data.encode())
        while view:
            view = view[self.process.stdin.write(view):]

    def close_stdin(self):
        self.process.stdin.close()

    def is_running(self):
        return self.process.poll() is None

    def wait_err(self, pattern, count=1, deadline=DEADLINE):
        """Waits until stderr holds `count` matches of the regular expression, and returns the last."""
        def found():
            matches = list(re.finditer(pattern, self.err.text()))
            if len(matches) >= count:
                return matches[count - 1]
            if not self.is_running() and self.err.ended:
                raise TooLate(f"{self.argv[0]} ended ({self.process.returncode}) without {pattern!r} on stderr")
            return None
        return eventually(found, f"{count} x {pattern!r} on stderr of {self.argv}", deadline)

    def wait_out(self, expected, deadline=DEADLINE):
        """Waits until stdout holds these bytes (or this text) somewhere."""
        wanted = expected if isinstance(expected, bytes) else expected.encode()

        def found():
            if wanted in self.out.data:
                return True
            if self.out.ended:
                raise TooLate("stdout has ended")
            return False
        try:
            eventually(found, f"not within {deadline} s", deadline)
        except TooLate as late:
            raise TooLate(f"{wanted[:200]!r} not in {bytes(self.out.data[-400:])!r}: {late}") from None

    def wait_exit(self, deadline=DEADLINE):
        """The exit status, once the program has ended and all it wrote is here."""
        try:
            status = self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise TooLate(f"{self.argv} still runs after {deadline} s") from None
        for output in (self.err, self.out):
            if output:
                output.thread.join(deadline)
        return status

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.wait_exit()

    def end(self):
        """Ends it, however it is, and frees its pipes."""
        if self.is_running():
            self.process.kill()
        self.process.wait()
        for output in (self.err, self.out):
            if output:
                output.thread.join(DEADLINE)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                try:
                    pipe.close()
                except OSError:
                    pass  # what was still buffered for a dead program


class Natcoord(Program):
    """natcoord on ports of its own choice; `port` and `stun_port` say which."""

    def __init__(self, *options, port=0, stun_port=0, program=NATCOORD, **more):
        argv = [program, "--port", port, "--stun-port", stun_port, *options]
        super().__init__(argv, stdin=subprocess.DEVNULL, **more)
        line = self.wait_err(r"listens on (\S+):(\d+) \(websocket\)(?: and (\S+):(\d+)/udp \(STUN\))?")
        self.port = int(line[2])
        self.stun_port = int(line[4]) if line[4] else None

    def url(self, scheme="ws", host="127.0.0.1", path=""):
        return f"{scheme}://{host}:{self.port}{path}"


class ProgramTest(unittest.TestCase):
    """Starts programs and other helpers, and ends all of them after the test."""

    def setUp(self):
        self.helpers = []
        self.folder = tempfile.mkdtemp(prefix="natpeer-e2e-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def tearDown(self):
        for helper in reversed(self.helpers):
            helper.end()

    def own(self, helper):
        """Anything with `end()`."""
        self.helpers.append(helper)
        return helper

    def start(self, *argv, **more):
        return self.own(Program(argv, **more))

    def natcoord(self, *options, **more):
        return self.own(Natcoord(*options, **more))

    def natpeer(self, coordinator, name, *options, topic="t", **more):
        """A natpeer of this topic beside this natcoord."""
        return self.start(
            NATPEER, "--topic", topic, "--name", name, "--coordinator", coordinator.url(),
            "--stun", f"127.0.0.1:{coordinator.stun_port}", *options, **more)

    def path(self, name, content=None):
        full = os.path.join(self.folder, name)
        if content is not None:
            with open(full, "wb") as file:
                file.write(content if isinstance(content, bytes) else content.encode())
        return full

    def file(self, content):
        """A regular file with this content, open for reading."""
        opened = open(self.path("input", content), "rb")
        self.addCleanup(opened.close)
        return opened

    def assert_usage_error(self, program):
        self.assertEqual(program.wait_exit(), 2)
        self.assert_one_reason(program)

    def assert_failure(self, program, *words):
        self.assertEqual(program.wait_exit(), 1)
        self.assert_one_reason(program, *words)

    def assert_one_reason(self, program, *words):
        """Exactly one line `PROGRAM: REASON` on stderr, with these words in it."""
        name = os.path.basename(program.argv[0])
        lines = [line for line in program.err.text().splitlines() if line.startswith(f"{name}: ")]
        self.assertEqual(len(lines), 1, program.err.text())
        for word in words:
            self.assertIn(word, lines[0])
        self.assertFalse(program.out and program.out.data, "a reason belongs on stderr")
