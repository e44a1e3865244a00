"""A laboratory leaves nothing behind, however it ends; and its shell."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest

from lab import ROOT, names
from lab.nats import KINDS
from lab.testing import LabCase
from support.programs import Program
from support.waiting import DEADLINE, eventually

LAB = ROOT / "scripts" / "lab"
# A laboratory with a program whose child outlives it, since a death signal is not inherited.
OWNER = """
import os, sys, time
from lab import names
from lab.network import Network
names.end_on_signals()
with Network() as net:
    host = net.site("cgnat").hosts[0]
    peer = net.natpeer(host, "alice")
    parent = host.start(["sh", "-c", "sleep 3600 & echo $!; wait"])
    parent.wait_out("\\n")
    print(os.getpid(), peer.pid, parent.out.text().strip(), flush=True)
    sys.stdin.readline()
    raise RuntimeError("as told")
"""


def runs(pid):
    """Whether this process exists and has not ended."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


class OwnerCase(LabCase):
    def start_owner(self):
        owner = Program([sys.executable, "-c", OWNER])
        self.addCleanup(owner.end)
        owner.wait_out(b"\n")
        pid, peer, grandchild = map(int, owner.out.text().split())
        prefix = f"natlab-{pid}-"
        self.assertTrue(names.existing(prefix))
        self.assertTrue(runs(peer) and runs(grandchild))
        return owner, prefix, (peer, grandchild)

    def assert_all_gone(self, prefix, pids):
        self.assertEqual(names.existing(prefix), [])
        for pid in pids:
            eventually(lambda: not runs(pid), f"the end of process {pid}")


class NetworkEndTest(OwnerCase):
    def test_a_signal_removes_everything(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number.name):
                owner, prefix, pids = self.start_owner()
                self.assertEqual(owner.stop(number), 128 + number)
                self.assert_all_gone(prefix, pids)

    def test_an_exception_removes_everything(self):
        owner, prefix, pids = self.start_owner()
        owner.write("\n")
        self.assertEqual(owner.wait_exit(), 1)
        self.assertIn("as told", owner.err.text())
        self.assert_all_gone(prefix, pids)

    def test_what_a_killed_one_left_is_removed_by_the_next(self):
        owner, prefix, pids = self.start_owner()
        owner.stop(signal.SIGKILL)
        eventually(lambda: not runs(pids[0]), "natpeer ends with its lab")
        names.remove_leftovers()
        self.assert_all_gone(prefix, pids)

    def test_a_pid_given_again_is_not_taken_for_the_owner(self):
        stranger = f"natlab-{os.getpid()}-1-1-core"  # our number, but started at boot
        folder = os.path.join(tempfile.gettempdir(), f"natlab-{os.getpid()}-1-0-folder")
        names.make([stranger])
        os.mkdir(folder)
        names.remove_leftovers()
        self.assertEqual(names.existing(stranger), [])
        self.assertFalse(os.path.exists(folder))

    def test_a_running_laboratory_is_left_alone(self):
        owner, prefix, pids = self.start_owner()
        before = names.existing(prefix)
        names.remove_leftovers()
        self.assertEqual(names.existing(prefix), before)
        self.assertTrue(all(map(runs, pids)))
        owner.stop()

    def test_nothing_appears_in_the_machines_own_namespace(self):
        before = os.listdir("/sys/class/net")
        self.network().site("cgnat", hosts=2)
        self.assertEqual(os.listdir("/sys/class/net"), before)


class NetworkShellTest(LabCase):
    def lab(self, *words, **more):
        return subprocess.run([LAB, *words], text=True, capture_output=True, timeout=4 * DEADLINE, **more)

    def sh(self, text, a="port", b="cgnat"):
        return self.lab("shell", a, b, "--", "sh", "-ec", text)

    def test_it_ends_with_the_commands_status(self):
        for status in (0, 3):
            self.assertEqual(self.sh(f"exit {status}").returncode, status)
        self.assertEqual(self.lab("shell", "open", "open", "--", "no-such-command").returncode, 127)

    def test_commands_run_where_their_names_say(self):
        done = self.sh("for c in a b coord core router_a router_b home_b; do echo $c $($c ip -4 -br addr); done")
        self.assertEqual(done.returncode, 0, done.stderr)
        for line in (r"a .*192\.168\.", r"b .*192\.168\.", r"coord .*198\.18\.", r"core .*198\.18\.1\.1",
                     r"router_a .*198\.18\..* 192\.168\.", r"router_b .*198\.18\..* 100\.64\.",
                     r"home_b .*100\.64\..* 192\.168\."):
            self.assertRegex(done.stdout, rf"(?m)^{line}")

    def test_two_peers_talk_and_a_router_shows_and_forgets_its_flows(self):
        done = self.sh("""
            echo from b | peer b --output raw --wait 1 --quit-on-eof 5 & b=$!
            echo from a | peer a --output raw --wait 1 --quit-on-eof 5
            wait $b
            nat a | grep udp; forget a; nat a | grep -c 'udp .*sport' || true""")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"from [ab]\nfrom [ab]\n")
        self.assertIn("sport=", done.stdout)
        self.assertEqual(done.stdout.splitlines()[-1], "0")

    def test_an_interactive_shell_takes_its_commands_from_stdin(self):
        done = self.lab("shell", "open", "fw", input="natlab_help\na echo $LAB_STUN\nexit 4\n")
        self.assertEqual(done.returncode, 4)
        self.assertRegex(done.stdout, r"(?m)^198\.18\.\d+\.\d+:3478$")

    def test_the_help_names_every_command(self):
        text = self.sh("natlab_help; ls $(dirname $(command -v natlab_help))").stdout
        for command in text.split("removes it all.")[1].split():
            self.assertGreaterEqual(len(re.findall(rf"\b{command}\b", text)), 2, command)

    def test_a_wrong_nat_is_told_with_all_that_there_are(self):
        done = self.lab("shell", "port", "nonesuch")
        self.assertEqual(done.returncode, 2)
        for kind in KINDS:
            self.assertIn(kind, done.stderr)

    def test_without_root_it_says_so(self):
        done = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", "bash", LAB, "grid"], text=True,
                              capture_output=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("root", done.stderr)


if __name__ == "__main__":
    unittest.main()
