"""Many peers at a time, behind many NATs, of both protocols."""
from lab.cell import join
from lab.grid import EXPECTED
from lab.nats import KINDS
from lab.network import Network
from lab.story import scenario
from lab.talk import wait_all
from support.waiting import eventually

LONG = 120.0  # seconds
SLOW_TALK = 0.25  # seconds between two lines of each: a crowd's lines multiply
MIXED_TALK = 0.1
EXTRA_LINES = 30  # that each says before we look who hears more than the table asks for


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
          "ten peers in one topic, one behind each kind of NAT: they connect as the grid's table says", quick=True)
def mixed_ten(story):
    with Network() as net:
        net.coordinator()
        talkers = []
        for kind in KINDS:  # in the order of the table: each pair's first is started first
            host = net.site(kind).hosts[0]
            # Without UDP it cannot register, and is there all the same.
            talker = join(net, host, "natpeer", kind) if kind == "noudp" else story.join(net, host, kind)
            talkers.append(talker.talk(MIXED_TALK))
        took = wait_all(talkers, deadline=LONG, wanted=expected_to_hear)
        count = sum(expected_to_hear(one, other) for one in talkers for other in talkers if one is not other)
        story.say(f"{took:.2f} s after the last was started, all {count} directions deliver that the table expects")
        last = {talker.name: talker.said + EXTRA_LINES for talker in talkers}
        eventually(lambda: all(talker.said >= last[talker.name] for talker in talkers), "everyone has said some more")
        for listener, speaker in heard_unexpectedly(talkers):
            story.say(f"{listener} hears {speaker}, which the table does not ask for")
        story.expect_unchanged(talkers)


def expected_to_hear(one, other):
    first, second = sorted((one.name, other.name), key=KINDS.index)
    return EXPECTED[first, second] == "both"


def heard_unexpectedly(talkers):
    return [(listener.name, speaker.name) for listener in talkers for speaker in talkers
            if listener is not speaker and not expected_to_hear(listener, speaker) and listener.has_heard(speaker)]


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
