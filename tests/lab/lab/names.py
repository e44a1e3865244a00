"""Names of namespaces that tell their owner, and the removal of everything in them.

A namespace is called `natlab-PID-START-NUMBER-ROLE`: the process that made it, that process's start time (clock ticks
since boot, so that a PID given again is not taken for the owner), the network's number in the process, and what it is.
All interfaces of the lab live in namespaces, so whoever removes those and their processes has removed everything.
"""
import atexit
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

FOLDER = "/run/netns"  # where ip-netns(8) keeps them
PATTERN = re.compile(r"natlab-(\d+)-(\d+)-\d+-")
TOOLS = ("ip", "nft", "conntrack", "nsenter", "setpriv")
CLONE_NEWNET = 0x40000000  # sched.h
MAX_SWEEPS = 50  # through /proc, for processes to end
SWEEP_INTERVAL = 0.01  # seconds
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_lock = threading.Lock()
_count = 0
_closed = False


class LabError(Exception):
    """The laboratory itself cannot do what was asked; one line that says why."""


def start_time(pid):
    """When a process started, in clock ticks since boot; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            # The program's name stands in parentheses and may hold spaces and parentheses itself.
            return int(file.read().rpartition(")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return None


def own_prefix():
    return f"natlab-{os.getpid()}-{start_time(os.getpid())}-"


def network_prefix():
    """The beginning of all names of one more network of this process."""
    global _count
    with _lock:
        _count += 1
        return f"{own_prefix()}{_count}-"


def why_not():
    """Why no laboratory can be built here, or None."""
    if os.geteuid() != 0:
        return "the laboratory needs root, for network namespaces"
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        return f"the laboratory needs {', '.join(missing)}, which scripts/setup installs"
    # `true` in a new namespace, with an interface and a rule: a container may forbid any of these.
    probe = "ip link add natlab0 type veth peer name natlab1 && nft add table ip natlab"
    tried = subprocess.run(["unshare", "--net", "sh", "-c", probe], capture_output=True, text=True)
    if tried.returncode != 0:
        return f"no network namespaces here: {tried.stderr.strip() or 'not allowed'}"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "the laboratory's wire needs /dev/net/tun"
    return None


def existing(prefix="natlab-"):
    try:
        return sorted(name for name in os.listdir(FOLDER) if name.startswith(prefix))
    except FileNotFoundError:
        return []


def inode(path):
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def processes_in(names):
    """The processes whose network namespace is one of these."""
    # A name that is no mount (its owner died between making the two) is a plain file, which no process is in.
    wanted = {inode(f"{FOLDER}/{name}") for name in names} - {None, inode("/proc/self/ns/net")}
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()] if wanted else []
    return [pid for pid in pids if inode(f"/proc/{pid}/ns/net") in wanted]


def make(names, links=""):
    """Creates namespaces, then what `links` (lines for `ip -batch`) says, up to the first that fails. The end of the run removes what there is."""
    batch = "".join(f"netns add {name}\n" for name in names) + links
    with _lock:
        if _closed:
            raise LabError("the laboratory is being cleared away")
        made = subprocess.run(["ip", "-batch", "-"], input=batch, text=True, capture_output=True)
    if made.returncode != 0:
        raise LabError(f"ip: {made.stderr.strip()}")


def end_processes(names):
    """Ends what runs in these namespaces; what was forked meanwhile, too."""
    for _ in range(MAX_SWEEPS):
        found = processes_in(names)
        if not found:
            return
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(SWEEP_INTERVAL)  # a process that is being ended has no event to wait for; it is not our child


def remove(names):
    """Ends what runs in these namespaces and removes them. A namespace's interfaces and TAPs go with it."""
    end_processes(names)
    if names:
        batch = "".join(f"netns del {name}\n" for name in names)
        # -force: one that somebody else has removed meanwhile keeps none of the others.
        subprocess.run(["ip", "-force", "-batch", "-"], input=batch, text=True, capture_output=True)


def temporary_folder():
    """A folder for this run; a killed run's is removed by the next."""
    return tempfile.TemporaryDirectory(prefix=f"{own_prefix()}0-")


def remove_leftovers():
    """Removes what runs that were killed have left behind; the names of it."""
    def is_orphan(name):
        match = PATTERN.match(name)
        return match and start_time(match[1]) != int(match[2])
    orphans = [name for name in existing() if is_orphan(name)]
    remove(orphans)
    folders = [name for name in os.listdir(tempfile.gettempdir()) if is_orphan(name)]
    for name in folders:
        shutil.rmtree(os.path.join(tempfile.gettempdir(), name), ignore_errors=True)
    return orphans + folders


def remove_own():
    """Removes every network of this process, and lets no thread build another."""
    global _closed
    with _lock:
        _closed = True
    remove(existing(own_prefix()))


def end_on_signals(at_once=False):
    """SIGINT, SIGTERM and SIGHUP end this program by SystemExit, so that every `with Network()` clears away; or
    `at_once`, where somebody (unittest) would catch that."""
    def leave(number, _frame):
        for further in SIGNALS:
            signal.signal(further, signal.SIG_IGN)  # clearing away is not interrupted
        if at_once:
            remove_own()
            os._exit(128 + number)
        sys.exit(128 + number)
    for number in SIGNALS:
        signal.signal(number, leave)
    atexit.register(remove_own)


def socket_in(name, family=socket.AF_INET, kind=socket.SOCK_DGRAM):
    """A socket of that namespace; it stays there, wherever it is used."""
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns came with Python 3.12

    def join(file):
        if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {file.name}")
    with open("/proc/thread-self/ns/net", "rb") as home, open(f"{FOLDER}/{name}", "rb") as there:
        join(there)  # this thread only
        try:
            return socket.socket(family, kind)
        finally:
            join(home)


def enter(name, death=signal.SIGKILL):
    """The words before a command that run it in a namespace. It gets `death` when the thread that starts it ends.

    nsenter instead of `ip netns exec`: that one mounts a /sys of its own for each command, which the lab needs not.
    """
    return ["setpriv", "--pdeathsig", signal.Signals(death).name[3:], "nsenter", f"--net={FOLDER}/{name}", "--"]
