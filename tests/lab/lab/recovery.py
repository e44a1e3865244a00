"""What may happen to peers that are connected: cases that the scenarios play once, and `lab recovery` several times."""
import dataclasses
import subprocess
import time
import traceback
from collections.abc import Callable

from lab import names
from lab.grid import NATPEER_EXPECTED
from lab.jobs import in_parallel
from lab.network import Network
from lab.pair import LONG, Pair, Recovery, measure
from lab.talk import wait_all
from support.waiting import eventually

SHORT_LIFE = 2  # seconds that end a silent mapping; natpeer's idle PINGs are 5 s apart, or more
LIFETIME = 5  # seconds; longer than the pause between two packets of peers that talk
OUTAGE = 7.0  # seconds; connections are given up meanwhile, and the coordinator learns of it when the link is back
RESTART = 20.0  # seconds that a router needs
MINUTE = 60.0  # seconds
LOOKS = 12  # at whether data goes on, within that minute
LOOK_INTERVAL = 0.1  # seconds between two looks at what a router knows


# What happens. Each returns when the network is usable again. `to`: where a host moves.

def let_mappings_expire(pair, _to):
    """Nobody says anything until the first one's router has forgotten them."""
    pair.hush()
    wait_expired(pair)


def wait_expired(pair):
    def expired():
        known = pair.site.has_mappings()
        if known:
            time.sleep(LOOK_INTERVAL)  # looking starts programs, which would be all that this machine does
        return not known
    eventually(expired, "the mappings have expired", LONG)


def pull_cable(pair, _to):
    """Of the first one's host, and of its router: what comes from outside keeps a mapping of Linux alive, too."""
    pair.site.cut()
    set_cable(pair, "down")
    wait_expired(pair)
    pair.site.mend()
    set_cable(pair, "up")


def set_cable(pair, state):
    port = f"host{pair.host.number}"  # as network.attach calls it
    subprocess.run([*names.enter(pair.site.routers[-1]), "ip", "link", "set", port, state], check=True)


def forget_udp(pair, _to):
    pair.site.forget_mappings()


def forget_all(pair, _to):
    pair.site.forget_mappings(tcp=True)


def restart_router(pair, _to):
    """It is away for a while, which its hosts are not told, and comes back with nothing of what it knew."""
    pair.site.cut()
    time.sleep(RESTART)  # the time itself is what is tried
    pair.site.forget_mappings(tcp=True)
    pair.site.mend()


def cut_uplink(pair, _to):
    pair.site.cut()
    time.sleep(OUTAGE)  # the time itself is what is tried
    pair.site.mend()


def block(pair, _to):
    pair.net.block(*pair.sites)
    pair.net.block(*pair.sites[::-1])


def block_one_way(pair, _to):
    pair.net.block(*pair.sites)


def move(pair, to):
    new_home = pair.net.site(to, hosts=0)
    pair.net.move(pair.host, new_home)


def end_coordinator(pair, _to):
    pair.coordinator.kill()
    pass_a_minute(pair)
    pair.coordinator.restart()


def cut_coordinator(pair, _to):
    pair.coordinator.site.cut()
    pass_a_minute(pair)
    pair.coordinator.site.mend()


def pass_a_minute(pair):
    for _ in range(LOOKS):
        time.sleep(MINUTE / LOOKS)  # the time itself is what is tried
        if pair.direct:
            wait_all(pair.talkers, fresh=True)


@dataclasses.dataclass(frozen=True)
class Trouble:
    """`pairs`: the kinds of NAT of the one to whom it happens and of the other; where a host moves, then the kind of
    its new one. `usable`: when the clock begins. `keeps`: the data does not need what is lost, so no line may be.
    `registers`: both have to register anew. `new_path`: only another path can be the one afterwards."""

    name: str
    happens: str
    usable: str
    play: Callable
    pairs: tuple
    quick: bool = False
    keeps: bool = False
    registers: bool = False
    new_path: bool = False
    direct_afterwards: bool | None = None  # None: as the grid expects
    options: tuple = ()  # of the first one's site: (name, value)


TROUBLES = (
    Trouble("mapping-expires", f"the NAT forgets a mapping after {SHORT_LIFE} s of silence; both are silent for longer",
            "the other one speaks again, then this one", let_mappings_expire,
            (("port", "port"), ("full", "port"), ("addr", "port"), ("cgnat", "port"), ("sym", "open")),
            options=(("udp_timeout", SHORT_LIFE),)),
    Trouble("cable-pulled", "the host's cable is pulled until the NAT has forgotten all mappings", "the cable is in",
            pull_cable, (("port", "port"), ("cgnat", "full"), ("sym", "open"), ("sym", "port")),
            options=(("udp_timeout", LIFETIME),)),
    Trouble("router-forgets", "the router loses all UDP mappings while data flows", "it has",
            forget_udp, (("port", "port"), ("full", "port"), ("addr", "port"), ("cgnat", "port")), quick=True),
    Trouble("router-forgets-sym", "a symmetric NAT loses all UDP mappings while data flows; all are others afterwards",
            "it has", forget_udp, (("sym", "open"), ("symseq", "open"), ("sym", "addr"), ("symseq", "full")),
            quick=True, new_path=True),
    Trouble("router-forgets-all", "the router loses what it knows of UDP and TCP", "it has",
            forget_all, (("port", "port"), ("sym", "open"), ("sym", "port"), ("noudp", "open"))),
    Trouble("uplink-away", f"the router's uplink is away for {OUTAGE:g} s; its hosts see nothing", "it is back",
            cut_uplink, (("port", "port"), ("sym", "open"), ("sym", "port"))),
    Trouble("router-restarts", f"the router is away for {RESTART:g} s and loses what it knows; its hosts see nothing",
            "it is back", restart_router, (("port", "port"), ("full", "cgnat"), ("sym", "open"), ("sym", "port"))),
    Trouble("direct-blocked", "something on the way begins to drop the UDP between the two", "it does",
            block, (("port", "port"), ("open", "sym")), direct_afterwards=False),
    Trouble("blocked-one-way", "something on the way begins to drop the UDP from this one to the other", "it does",
            block_one_way, (("port", "port"), ("open", "sym"), ("sym", "open")), direct_afterwards=False),
    Trouble("host-moves", "the host leaves its network, without a word, and joins another",
            "the host has its new address", move,
            (("port", "port", "addr"), ("port", "full", "sym"), ("fw", "open", "port"), ("sym", "port", "open"),
             ("port", "sym", "noudp"), ("noudp", "port", "cgnat")), quick=True),
    Trouble("coordinator-gone", "the coordinator is killed and started a minute later; the two have a direct path",
            "it listens", end_coordinator, (("port", "port"), ("full", "cgnat"), ("sym", "open")), keeps=True,
            registers=True),
    Trouble("coordinator-gone-relay", "the coordinator is killed and started a minute later; the two use its relay",
            "it listens", end_coordinator, (("sym", "port"), ("noudp", "open")), registers=True),
    Trouble("coordinator-cut", "the coordinator's link is cut for a minute; the two have a direct path", "it is mended",
            cut_coordinator, (("port", "port"),), keeps=True, registers=True),
    Trouble("coordinator-cut-relay", "the coordinator's link is cut for a minute; the two use its relay",
            "it is mended", cut_coordinator, (("sym", "port"), ("noudp", "open")), registers=True),
)


@dataclasses.dataclass(frozen=True)
class Case:
    trouble: Trouble
    first: str
    second: str
    to: str | None = None

    @property
    def between(self):
        return f"{self.first} → {self.to}, {self.second}" if self.to else f"{self.first}, {self.second}"

    def is_direct(self, afterwards=False):
        if afterwards and self.trouble.direct_afterwards is not None:
            return self.trouble.direct_afterwards
        return NATPEER_EXPECTED[(afterwards and self.to) or self.first, self.second] == "direct"


def cases_of(*troubles):
    return [Case(trouble, *kinds) for trouble in troubles for kinds in trouble.pairs]


def play(case):
    """The Recovery; an AssertionError says what went wrong."""
    trouble = case.trouble
    with Network() as net:
        pair = Pair(net, case.first, case.second, case.is_direct(), **dict(trouble.options))
        recovery = measure(pair, lambda pair: trouble.play(pair, case.to), case.is_direct(True), trouble.registers)
    if fault := fault_of(case, recovery):
        raise AssertionError(fault)
    return recovery


def fault_of(case, recovery):
    """What may not be, however soon it was well again."""
    if case.trouble.keeps and recovery.lost:
        return f"{recovery.lost} lines were lost, though nothing happened to the path"
    if case.trouble.new_path and recovery.path is None:
        return "nobody told of another path"
    return None


def try_to_play(case):
    """The Recovery, or a text that says why there is none."""
    try:
        return play(case)
    except AssertionError as failure:
        return str(failure)
    except Exception as error:  # one broken case must not hide the others
        traceback.print_exc()
        return f"{type(error).__name__}: {error}"


def play_all(cases, jobs, on_result):
    """`on_result` is called with each case and its Recovery or text, as it is done."""
    for case, result in in_parallel(try_to_play, cases, jobs):
        on_result(case, result)


def is_recovery(result):
    return isinstance(result, Recovery)
