"""One cell of the grid: two peers behind two NATs, and whether lines pass between them."""
import dataclasses
import re
import time

from lab.names import LabError
from lab.network import Network
from lab.talk import OPTIONS, Talker
from support.waiting import TooLate, eventually

PROGRAMS = ("natpeer", "seed")
REGISTERED = r"registered with|joined as"  # what natpeer and the seed peer say on stderr
LINE_INTERVAL = 0.05  # seconds; the resolution of the measured times, too
# natpeer sends a peer that it has not heard no more than 64 KiB, so a line may not be so frequent that this is spent
# before the deadline: 20 lines a second of about 150 bytes with the header take 21 s.
DEADLINE = 15.0  # seconds
DIRECT_DEADLINE = 2.0  # seconds from the start of the second program: who is not direct by then counts as relayed


@dataclasses.dataclass(frozen=True)
class Cell:
    """What came of a pair. `first` was started first and had registered when `second` was started.

    `forward`: seconds from the start of the second program to the first line of `first` that arrived at `second`;
    `backward`: the other way; None: nothing arrived by the deadline. `direct`: whether both natpeers say that they send
    directly, `DIRECT_DEADLINE` after the second started. `fault`: what no cell may show, whatever passes.
    """

    first: str  # the kind of NAT
    second: str
    first_program: str
    second_program: str
    forward: float | None = None
    backward: float | None = None
    direct: bool = True
    fault: str | None = None

    @property
    def path(self):
        """How the lines went in the end: "direct" or "relayed", None where nothing arrived."""
        if self.verdict == "none":
            return None
        return "direct" if self.direct else "relayed"

    @property
    def verdict(self):
        passed = self.forward is not None, self.backward is not None
        return {(True, True): "both", (True, False): "first to second", (False, True): "second to first",
                (False, False): "none"}[passed]

    def __str__(self):
        times = ", ".join(f"{way} {seconds:.2f} s" for way, seconds in
                          (("forward", self.forward), ("backward", self.backward)) if seconds is not None)
        programs = "" if (self.first_program, self.second_program) == ("natpeer", "natpeer") else \
            f" ({self.first_program}, {self.second_program})"
        path = f", {self.path}" if self.path else ""
        return f"{self.first} then {self.second}{programs}: {self.verdict}{times and f' ({times})'}{path}" + \
            (f"; FAULT: {self.fault}" if self.fault else "")


def join(net, host, program, name):
    start = net.seed_peer if program == "seed" else net.natpeer
    talker = Talker(start(host, name, **({} if program == "seed" else {"options": OPTIONS})), name)
    talker.program_kind = program
    return talker


def fault_of(talkers):
    """What went wrong beside that nothing arrived: a program that ended, a line that nobody said."""
    for talker in talkers:
        if not talker.program.is_running():
            return f"{talker.name} ended with status {talker.program.process.returncode}: " \
                   f"{talker.program.err.text()[-300:]}"
        if talker.faults:
            return f"{talker.name} printed what nobody said: {talker.faults[0]!r}"
    return None


def order_fault_of(talkers):
    """Between natpeers, no line is repeated, overtaken or left out, over the move from the relay to a direct path, too."""
    for listener in talkers:
        for speaker in talkers:
            numbers = listener.heard_from(speaker.name)
            for before, after in zip(numbers, numbers[1:]):
                if after != before + 1:
                    return f"{listener.name} got line {after} of {speaker.name} behind line {before}"
    return None


def says_direct(talker, other):
    """Whether the path that a natpeer last told of is direct."""
    told = re.findall(rf"peer {other.name}: (direct|by relay|no path)", talker.program.err.text())
    return bool(told) and told[-1] == "direct"


def wait_direct(talkers, until):
    """Whether both send directly, by this time."""
    first, second = talkers
    try:
        eventually(lambda: says_direct(first, second) and says_direct(second, first), "a direct path",
                   max(0.0, until - time.monotonic()))
    except TooLate:
        return False
    return True


def measure(talkers, start, deadline):
    """(forward, backward), once both are known or the deadline is over."""
    first, second = talkers
    ways = {"forward": (second, first), "backward": (first, second)}
    times = dict.fromkeys(ways)

    def look():
        for way, (listener, speaker) in ways.items():
            if times[way] is None and listener.heard_from(speaker.name):
                times[way] = time.monotonic() - start
        return None not in times.values() or fault_of(talkers)
    try:
        eventually(look, "both ways", deadline)
    except TooLate:
        pass
    return times["forward"], times["backward"]


def wait_registered(talker, kind):
    if kind == "noudp" and talker.program_kind == "seed":  # there STUN gets no answer, so no seed peer registers
        return
    try:
        talker.program.wait_err(REGISTERED)
    except TooLate as late:
        raise LabError(f"{kind}: {talker.name} does not register: {late}") from None


def run_cell(first_kind, second_kind, *, first="natpeer", second="natpeer", deadline=DEADLINE):
    """Runs a pair, of PROGRAMS, in a network of its own; its Cell."""
    with Network() as net:
        net.coordinator()
        hosts = [net.site(kind).hosts[0] for kind in (first_kind, second_kind)]
        alice = join(net, hosts[0], first, "alice").talk(LINE_INTERVAL)
        wait_registered(alice, first_kind)
        start = time.monotonic()
        bob = join(net, hosts[1], second, "bob").talk(LINE_INTERVAL)
        wait_registered(bob, second_kind)  # else silence would say nothing of the NATs
        forward, backward = measure((alice, bob), start, deadline)
        direct = True
        if (first, second) == ("natpeer", "natpeer"):
            direct = wait_direct((alice, bob), start + DIRECT_DEADLINE)
        alice.hush()
        bob.hush()
        fault = fault_of((alice, bob))
        if (first, second) == ("natpeer", "natpeer"):
            fault = fault or order_fault_of((alice, bob))
    return Cell(first_kind, second_kind, first, second, forward, backward, direct, fault)
