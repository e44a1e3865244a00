"""Two natpeers that talk, something that happens to them, and how long it takes until both hear each other again."""
import dataclasses
import random
import re
import time

from lab.cell import REGISTERED, fault_of, join
from lab.talk import wait_all
from support.waiting import eventually

LINE_INTERVAL = 0.02  # seconds; the resolution of the measured times, too
LONG = 120.0  # seconds; who is not back by then never comes back
STEADY = 150  # lines of each, after both hear each other again: what is lost among them is lost while all is well
RHYTHM = 50  # lines; natpeer's longest interval while data flows is shorter
LOG_LINES = 20  # of each peer, where it failed
HEADER = 128  # bytes of a packet before its payload


@dataclasses.dataclass(frozen=True)
class Recovery:
    """`seconds`: from the moment when the network was usable again until each direction had delivered a line that was
    said after it. `path`: the same until the path of both was the last one, None where nobody told of another. `lost`:
    lines of both, from the trouble on, that never arrived; `lost_after`: those of them that were said after the first
    one that arrived again. `relayed`: bytes of what both said that went by the relay."""

    seconds: float
    path: float | None
    lost: int
    lost_after: int
    relayed: int

    def __str__(self):
        path = "" if self.path is None else f", on the last path after {self.path:.2f} s"
        after = f", {self.lost_after} of them after that" if self.lost_after else ""
        return (f"both hear each other again after {self.seconds:.2f} s{path}; {self.lost} lines were lost{after}; "
                f"{self.relayed} bytes were relayed")


class Pair:
    """`sites` and `talkers` begin with the one to whom it happens. `direct`: whether the two have a direct path."""

    def __init__(self, net, first_kind, second_kind, direct, **first_options):
        self.net, self.direct = net, direct
        self.coordinator = net.coordinator()
        self.sites = [net.site(first_kind, **first_options), net.site(second_kind)]
        self.host = self.site.hosts[0]
        self.talkers = []
        for site, name in zip(self.sites, ("first", "second")):
            self.talkers.append(join(net, site.hosts[0], "natpeer", name))
            self.talkers[-1].program.wait_err(REGISTERED)

    @property
    def site(self):
        return self.sites[0]

    @property
    def directions(self):
        """(listener, speaker), both ways."""
        first, second = self.talkers
        return (second, first), (first, second)

    def talk(self):
        for talker in self.talkers:
            talker.talk(LINE_INTERVAL)

    def hush(self):
        for talker in self.talkers:
            if talker.talks:
                talker.hush()

    def paths(self):
        """What each last said of its path to the other."""
        return [path_told(*direction) for direction in self.directions]

    def is_as_expected(self):
        """Both say that they send directly, or by relay, whichever the pair has."""
        return all(path and path.startswith("direct" if self.direct else "by relay") for path in self.paths())

    def settle(self):
        wait_all(self.talkers)
        eventually(self.is_as_expected, f"{'direct' if self.direct else 'relay'} paths")

    def registrations(self):
        """How often each has registered so far."""
        return [len(re.findall(REGISTERED, talker.program.err.text())) for talker in self.talkers]

    def last_words(self):
        """Why it failed often stands there."""
        said = [f"paths: {self.paths()}"]
        for talker in self.talkers:
            said += [f"--- {talker.name}:", *talker.program.err.text().splitlines()[-LOG_LINES:]]
        return "\n    ".join(said)


def path_told(talker, other):
    told = re.findall(rf"peer {other.name}: (direct, \w+ [^\s,]+|by relay|no path)", talker.program.err.text())
    return told[-1] if told else None


class PathWatch:
    """When the paths that the two tell of last changed."""

    def __init__(self, pair):
        self.pair, self.told, self.changed_at = pair, pair.paths(), None

    def look(self):
        told = self.pair.paths()
        if told != self.told:
            self.told, self.changed_at = told, time.monotonic()
        return True


def measure(pair, trouble, direct_after, registers=False):
    """Plays `trouble(pair)`, which returns when the network is usable again; the Recovery. `registers`: both have to
    register anew. An AssertionError says what went wrong."""
    try:
        pair.talk()
        pair.settle()
        wait_a_little(pair)
        before, relayed = said_by(pair), relayed_data(pair.coordinator)
        registrations, natcoord = pair.registrations(), pair.coordinator.natcoord
        trouble(pair)
        start, watch, since = time.monotonic(), PathWatch(pair), said_by(pair)
        hear_again(pair, since, watch)
        seconds = time.monotonic() - start
        pair.direct = direct_after
        eventually(lambda: watch.look() and pair.is_as_expected(), "the path that this pair has", LONG)
        if registers:
            eventually(lambda: min(now - then for now, then in zip(pair.registrations(), registrations)) > 0,
                       "both register anew", LONG)
        hear_on(pair, watch)
        path = None if watch.changed_at is None else max(0.0, watch.changed_at - start)
        check(pair)
        again = relayed_data(pair.coordinator)
        relayed = again - relayed if pair.coordinator.natcoord is natcoord else again
    except AssertionError as failure:
        raise AssertionError(f"{failure}\n    {pair.last_words()}") from None
    return Recovery(seconds, path, *count_lost(pair, before, since), relayed)


def wait_a_little(pair):
    """Some lines, so that the trouble does not always come at the same moment of natpeer's own rhythm."""
    until = pair.talkers[0].said + random.randrange(RHYTHM)
    eventually(lambda: pair.talkers[0].said >= until, "some more lines")


def relayed_data(coordinator):
    """Bytes of payload that natcoord has passed on. A PING has none."""
    counters = coordinator.counters()
    return counters["relayed_bytes"] - HEADER * counters["relayed_packets"]


def said_by(pair):
    return {talker.name: talker.said for talker in pair.talkers}


def hear_again(pair, since, watch):
    """Until both ways deliver what is said from now on. After a silence the second speaks first: a packet of the first
    would open its NAT."""
    first, second = pair.talkers
    for listener, speaker in pair.directions[::-1]:
        if not speaker.talks:
            speaker.talk(LINE_INTERVAL)
            eventually(lambda: watch.look() and listener.has_heard(speaker, since[speaker.name]),
                       f"{listener.name} hears {speaker.name}", LONG)
    eventually(lambda: watch.look() and all(listener.has_heard(speaker, since[speaker.name])
                                            for listener, speaker in pair.directions), "both ways", LONG)


def hear_on(pair, watch):
    """STEADY more lines of each, and then, after the last, silence."""
    until = {talker.name: talker.said + STEADY for talker in pair.talkers}
    for wait_for in (until, None):
        if wait_for is None:
            pair.hush()
            wait_for = {name: said - 1 for name, said in said_by(pair).items()}
        eventually(lambda: watch.look() and all(listener.has_heard(speaker, wait_for[speaker.name])
                                                for listener, speaker in pair.directions), "later lines", LONG)


def check(pair):
    """Nobody ended, and nothing was printed that was not said, or twice, or late."""
    fault = fault_of(pair.talkers)
    for listener, speaker in pair.directions:
        numbers = listener.heard_from(speaker.name)
        for before, after in zip(numbers, numbers[1:]):
            if after <= before:
                fault = fault or f"{listener.name} got line {after} of {speaker.name} behind line {before}"
    if fault:
        raise AssertionError(fault)


def count_lost(pair, before, since):
    """(lost, lost after the first that arrived again), of both directions together."""
    lost = later = 0
    for listener, speaker in pair.directions:
        heard = set(listener.heard_from(speaker.name))
        again = min(number for number in heard if number >= since[speaker.name])
        missing = [number for number in range(before[speaker.name], speaker.said) if number not in heard]
        lost += len(missing)
        later += sum(number > again for number in missing)
    return lost, later
