"""--progress: what a terminal on stderr shows, and that nothing else is ever touched."""
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading

from support.programs import NATPEER, ProgramTest
from support.waiting import DEADLINE, TooLate, eventually


class Screen:
    """The near side of a terminal: all that was written to it, and what of it can be seen.

    It knows the sequences that natpeer may write there, and no other."""

    SEQUENCE = re.compile(r"\x1b\[(\d*)([A-Za-z])")

    def __init__(self, columns=100, rows=24):
        self.near, self.far = pty.openpty()
        fcntl.ioctl(self.far, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.data = bytearray()
        self.thread = threading.Thread(target=self.read_all, daemon=True)
        self.thread.start()

    def read_all(self):
        try:
            while chunk := os.read(self.near, 1 << 16):
                self.data += chunk
        except OSError:  # EIO: nobody has the far side any more
            pass

    def text(self):
        return bytes(self.data).decode(errors="replace")

    def lines(self):
        """What somebody sees who has scrolled nothing away, the cursor's line last."""
        lines, row, column = [""], 0, 0
        text = self.text()
        at = 0
        while at < len(text):
            if match := self.SEQUENCE.match(text, at):
                at = match.end()
                if match[2] == "A":
                    row = max(0, row - int(match[1] or 1))
                elif match[2] == "J" and not match[1]:
                    lines[row] = lines[row][:column]
                    del lines[row + 1:]
                elif match[2] != "m":
                    raise AssertionError(f"natpeer wrote {match[0]!r}")
                continue
            letter = text[at]
            at += 1
            if letter == "\r":
                column = 0
            elif letter == "\n":
                row += 1
                if row == len(lines):
                    lines.append("")
            else:
                lines[row] = lines[row][:column].ljust(column) + letter + lines[row][column + 1:]
                column += 1
        return lines

    def wait_line(self, pattern, deadline=DEADLINE):
        """Waits until a line is seen that is all of this regular expression, and returns it."""
        def seen():
            return next((match for line in self.lines() if (match := re.fullmatch(pattern, line))), None)
        try:
            return eventually(seen, pattern, deadline)
        except TooLate as late:
            raise TooLate("\n".join([str(late), *self.lines()])) from None

    def end(self):
        os.close(self.far)
        self.thread.join(DEADLINE)
        os.close(self.near)


class WatchedNatpeer:
    """A natpeer whose stderr is a terminal."""

    def __init__(self, screen, argv, stdin=subprocess.PIPE, env=None):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("NATPEER_")}
        environment.update({"TERM": "xterm", **(env or {})})
        self.screen = screen
        self.process = subprocess.Popen([str(word) for word in argv], stdin=stdin, stdout=subprocess.PIPE,
                                        stderr=screen.far, env=environment, bufsize=0)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.wait_exit()

    def wait_exit(self):
        return self.process.wait(DEADLINE)

    def end(self):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()


TOTALS = r"sent [\d.]+ \w+, [\d.]+ \w+/s; received [\d.]+ \w+, [\d.]+ \w+/s"
PEER_LINE = r"\S+ +(direct|relay|seed|left|no path) +(-|\d+%).*  received [\d.]+ \w+"
LOG_LINE = r"\d{4}-\d\d-\d\dT[\d:.]+[+-]\d\d:\d\d \w+ .*"


class ProgressCase(ProgramTest):
    def setUp(self):
        super().setUp()
        self.coordinator = self.natcoord()

    def watched(self, name, *options, columns=100, rows=24, stdin=subprocess.PIPE, env=None):
        screen = self.own(Screen(columns, rows))
        argv = [NATPEER, "--topic", "t", "--name", name, "--coordinator", self.coordinator.url(),
                "--stun", f"127.0.0.1:{self.coordinator.stun_port}", *options]
        return self.own(WatchedNatpeer(screen, argv, stdin=stdin, env=env))

    def assert_no_line_is_garbled(self, screen):
        """Each line is one of the log's, whole, or one of the display's, which stands below all of those."""
        lines = screen.lines()
        first = next(i for i, line in enumerate(lines) if re.fullmatch(TOTALS, line))
        for line in lines[:first]:
            self.assertRegex(line, f"^{LOG_LINE}$")
        for line in lines[first + 1:-1]:
            self.assertRegex(line, f"^{PEER_LINE}$")
        self.assertEqual(lines[-1], "", "the cursor is on a new line")
        return lines[first:-1]


class ProgressTest(ProgressCase):
    def test_it_shows_the_totals_and_how_far_a_peer_is(self):
        bob = self.natpeer(self.coordinator, "bob")
        alice = self.watched("alice", "--progress")
        alice.screen.wait_line(r"sent 0 B, 0 B/s; received 0 B, 0 B/s")
        alice.process.stdin.write(b"x" * 50_000)
        alice.screen.wait_line(r"sent 50\.0 kB, [\d.]+ k?B/s; received 0 B, 0 B/s")
        alice.screen.wait_line(r"bob  direct   100%  received 0 B")
        bob.write("y" * 1500)
        alice.screen.wait_line(r"sent 50\.0 kB, [\d.]+ k?B/s; received 1\.5 kB, [\d.]+ k?B/s")
        alice.screen.wait_line(r"bob  direct   100%  received 1\.5 kB")
        self.assert_no_line_is_garbled(alice.screen)

    def test_the_last_state_stays_when_all_is_sent(self):
        bob = self.natpeer(self.coordinator, "bob", "--quit-on-end", stdin=subprocess.DEVNULL)
        bob.wait_err("registered with")
        alice = self.watched("alice", "--progress", "--quit-on-eof", stdin=self.file(b"x" * 3_000_000))
        self.assertEqual(alice.wait_exit(), 0)
        alice.screen.wait_line(r"sent 3\.0 MB, .*")
        display = self.assert_no_line_is_garbled(alice.screen)
        self.assertEqual(len(display), 2, display)
        self.assertRegex(display[1], r"^bob  (direct |relay  |left   )  100%  received 0 B$")

    def test_the_last_state_stays_after_a_signal(self):
        for how in (signal.SIGINT, signal.SIGTERM):
            alice = self.watched("alice", "--progress")
            alice.screen.wait_line(TOTALS)
            self.assertEqual(alice.stop(how), 0)
            self.assertEqual(len(self.assert_no_line_is_garbled(alice.screen)), 1)

    def test_a_reason_to_end_stands_below(self):
        self.natpeer(self.coordinator, "alice").wait_err("registered with")
        other = self.watched("alice", "--progress")
        self.assertEqual(other.wait_exit(), 1)
        other.screen.wait_line(r"natpeer: HTTP 409.*")
        self.assertRegex(other.screen.lines()[-3], f"^{TOTALS}$")

    def test_many_lines_of_the_log_come_whole(self):
        alice = self.watched("alice", "--progress", "-v")
        alice.screen.wait_line(TOTALS)
        for number in range(8):
            peer = self.natpeer(self.coordinator, f"peer{number}")
            alice.screen.wait_line(LOG_LINE + f"peer{number} .*heard")
            peer.stop()
            alice.screen.wait_line(LOG_LINE + f"peer{number} left")
        self.assertEqual(alice.stop(), 0)
        self.assert_no_line_is_garbled(alice.screen)

    def test_the_status_table_does_not_mix_with_it(self):
        alice = self.watched("alice", "--progress")
        alice.screen.wait_line(TOTALS)
        alice.process.send_signal(signal.SIGUSR1)
        alice.screen.wait_line("no peers")
        alice.screen.wait_line(TOTALS)

    def test_quiet_leaves_out_the_log_and_not_the_progress(self):
        alice = self.watched("alice", "--progress", "-q")
        self.natpeer(self.coordinator, "bob")
        alice.screen.wait_line(r"bob  direct   .*")
        alice.stop()
        self.assertEqual(len(self.assert_no_line_is_garbled(alice.screen)), 2)
        self.assertRegex(alice.screen.lines()[0], f"^{TOTALS}$")

    def test_a_small_terminal_is_kept_to(self):
        alice = self.watched("alice", "--progress", "-q", columns=24, rows=4)
        for number in range(4):
            self.natpeer(self.coordinator, f"peer{number}")
        alice.screen.wait_line("and 3 more")
        for line in alice.screen.lines():
            self.assertLess(len(line), 24)
        self.assertEqual(len(alice.screen.lines()), 4)

    def test_a_terminal_of_unknown_size_is_taken_for_80_columns(self):
        alice = self.watched("alice", "--progress", "-q", columns=0, rows=0)
        self.natpeer(self.coordinator, "b" * 100)
        alice.screen.wait_line(r"b{23}\.\.\.  direct   .*")

    def test_a_stopped_terminal_holds_nothing_up(self):
        bob = self.natpeer(self.coordinator, "bob")
        alice = self.watched("alice", "--progress", "-q")
        alice.screen.wait_line(r"bob  direct   .*")
        termios.tcflow(alice.screen.far, termios.TCOOFF)  # Ctrl-S
        alice.process.stdin.write(b"x" * 1_000_000)
        eventually(lambda: len(bob.out.data) == 1_000_000, "all of it")
        alice.process.stdin.write(b"to be seen later")
        bob.wait_out("to be seen later")
        termios.tcflow(alice.screen.far, termios.TCOON)
        alice.screen.wait_line(r"sent 1\.0 MB, .*")


class NoProgressTest(ProgressCase):
    """Where nothing is to be shown no byte of it is."""

    def test_without_a_terminal_stderr_has_the_log_alone(self):
        bob = self.natpeer(self.coordinator, "bob", "--progress")
        alice = self.natpeer(self.coordinator, "alice", "--progress", "-q")
        alice.write("hello\n")
        bob.wait_out("hello\n")
        for peer in (alice, bob):
            self.assertEqual(peer.stop(), 0)
            self.assertNotIn("\x1b", peer.err.text())
            self.assertNotIn("received", peer.err.text())
        self.assertEqual(alice.err.text(), "")
        self.assertEqual(bytes(bob.out.data), b"hello\n")

    def test_a_terminal_gets_nothing_unless_it_is_asked_for_or_if_it_cannot_show_it(self):
        bob = self.natpeer(self.coordinator, "bob")
        for options, env in (((), {}), (("--progress",), {"TERM": "dumb"})):
            alice = self.watched("alice", "-q", *options, env=env)
            alice.process.stdin.write(b"hello\n")
            bob.wait_out("hello\n")
            self.assertEqual(alice.stop(), 0)
            self.assertEqual(alice.screen.text(), "")
            bob.out.data.clear()
