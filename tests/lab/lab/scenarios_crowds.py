"""Many peers at a time, behind many NATs, of both protocols."""
from lab.cell import order_fault_of
from lab.grid import EXPECTED
from lab.nats import KINDS
from lab.network import Network
from lab.story import scenario
from lab.talk import missing, wait_all
from support.waiting import TooLate, eventually

LONG = 120.0  # seconds
SLOW_TALK = 0.25  # seconds between two lines of each: a crowd's lines multiply
MIXED_TALK = 0.1
EXTRA_LINES = 60  # that each says once everybody hears whom it must
SEEDS = ("full", "port")  # the peers of mixed-ten that know only the seed protocol: NATs that it gets through
MOST = 0.9  # of a seed peer's lines: nothing is sent to it or by it again


@scenario("thirty-peers", "30 peers behind 10 NATs: everyone hears everyone")
def thirty_peers(story):
    with Network() as net:
        net.coordinator()
        # Several behind one NAT hear each other only where it sends their packets back in, which cgnat's two do not; a
        # firewall has no need to.
        sizes = [("fw", 4), ("full", 4), ("full", 3), ("addr", 4), ("addr", 3), ("port", 4), ("port", 3), ("port", 3),
                 ("cgnat", 1), ("cgnat", 1)]
        sites = [net.site(kind, hosts=hosts, hairpin=kind not in ("fw", "cgnat")) for kind, hosts in sizes]
        hosts = [(f"{site.kind}-{at}-{number}", host) for at, site in enumerate(sites)
                 for number, host in enumerate(site.hosts)]
        story.say(f"{len(sites)} NATs with {len(hosts)} hosts are up")
        talkers = [story.join(net, host, name).talk(SLOW_TALK) for name, host in hosts]
        took = wait_all(talkers, deadline=LONG)
        story.say(f"{took:.2f} s after the last of {len(talkers)} has registered, everyone has heard everyone")
        story.expect_unchanged(talkers)


@scenario("mixed-ten",
          "ten peers in one topic, one behind each kind of NAT, two of them seed-only: ours get each line of ours "
          "exactly once, and no line comes twice anywhere", quick=True)
def mixed_ten(story):
    with Network() as net:
        net.coordinator()
        talkers = [story.join(net, net.site(kind).hosts[0], kind, "seed" if kind in SEEDS else "natpeer")
                   .talk(MIXED_TALK) for kind in KINDS]
        took = wait_all(talkers, deadline=LONG, wanted=must_hear)
        directions = [(one, other) for one in talkers for other in talkers if one is not other]
        count = sum(must_hear(*direction) for direction in directions)
        story.say(f"{took:.2f} s after the last has registered, all {count} directions deliver that have to")
        last = {talker.name: talker.said + EXTRA_LINES for talker in talkers}
        eventually(lambda: all(talker.said >= last[talker.name] for talker in talkers), "everyone has said some more")
        for talker in talkers:
            talker.hush()
        expect_all_of_ours(story, [talker for talker in talkers if talker.name not in SEEDS])
        for listener, speaker in directions:
            if {listener.name, speaker.name} & {*SEEDS}:
                expect_once(story, listener, speaker)
        story.expect_unchanged(talkers)


def must_hear(listener, speaker):
    """Ours hear each other always. With a seed peer it is as the grid's table says, since no relay carries for it. To
    it a symmetric NAT sends from another port than the listed one, so that it does not know who that is, and what it
    sends to the listed one does not come in. Who has no UDP has no address that could be listed. And a packet of a seed
    peer that comes early shifts portopen's mapping."""
    if not {listener.name, speaker.name} & {*SEEDS}:
        return True
    return EXPECTED[listener.name, speaker.name] == "both"


def expect_all_of_ours(story, ours, deadline=LONG):
    """From the first line that each got of each on it got every one, once and in order, to the last."""
    last = {talker.name: talker.said - 1 for talker in ours}
    try:
        eventually(lambda: not missing(ours, last), "the last lines", deadline)
    except TooLate:
        story.expect(False, f"the last line did not arrive: {missing(ours, last)}")
    fault = order_fault_of(ours)
    story.expect(fault is None, fault)
    counts = [len(one.heard_from(other.name)) for one in ours for other in ours if one is not other]
    story.say(f"ours got each other's lines, {min(counts)} to {max(counts)} in each of {len(counts)} directions, each "
              f"once and in order, to the last")


def expect_once(story, listener, speaker, deadline=LONG):
    """No line of a seed peer comes twice, nor one to it; most come where the two connect."""
    if must_hear(listener, speaker):
        first = listener.heard_from(speaker.name)[0]
        wanted = MOST * (speaker.said - first)
        eventually(lambda: len(listener.heard_from(speaker.name)) >= wanted,
                   f"{MOST:.0%} of {speaker.name}'s lines at {listener.name}", deadline)
    numbers = listener.heard_from(speaker.name)
    twice = sorted(number for number in {*numbers} if numbers.count(number) > 1)
    story.expect(not twice, f"{listener.name} got lines of {speaker.name} more than once: {twice[:5]}")
    if numbers and not must_hear(listener, speaker):
        story.say(f"{listener.name} hears {speaker.name}, which nobody asks for")


@scenario("seed-mix",
          "three natpeers and three peers that know only the seed protocol, behind six NATs: all hear all", quick=True)
def seed_mix(story):
    with Network() as net:
        net.coordinator()
        places = (("port", "natpeer"), ("cgnat", "seed"), ("full", "natpeer"), ("port", "seed"), ("fw", "natpeer"),
                  ("addr", "seed"))
        talkers = [story.join(net, net.site(kind).hosts[0], f"{program}-{kind}", program).talk(MIXED_TALK)
                   for kind, program in places]
        took = wait_all(talkers, deadline=LONG)
        story.say(f"{took:.2f} s after the last has registered, all hear all")
        story.expect_unchanged(talkers)
