"""What a NAT does to peers: one NAT for two of them, small packets dropped, mappings that end, another address."""
import re
import time

from lab.network import Network
from lab.story import scenario
from lab.talk import missing, wait_all
from support.waiting import eventually

HEADER = 128  # bytes; the smallest packet between peers
LONG = 120.0  # seconds; what a peer that has to notice a loss by itself may take
LIFETIME = 20  # seconds of silence after which a mapping is gone
SILENCE = 25.0  # seconds; longer than that
PROBE_PORT = 5000


def join_same_nat(story, net, hairpin):
    """Two peers behind one home router, and one outside who proves that both are well."""
    net.coordinator()
    site = net.site("port", hosts=2, hairpin=hairpin)
    outside = net.site("open").hosts[0]
    pairs = (*site.hosts, outside), ("alice", "bob", "outside")
    return [story.join(net, host, name).talk() for host, name in zip(*pairs)], site.hosts


@scenario("same-nat",
          "two peers behind one NAT that does not hairpin: they talk over the LAN", quick=True)
def same_nat(story):
    with Network() as net:
        talkers, hosts = join_same_nat(story, net, hairpin=False)
        wait_all(talkers)
        wait_lan(story, talkers, hosts)
        story.expect_unchanged(talkers)


def wait_lan(story, talkers, hosts):
    """Whether such an address is called `lan` or `reflexive` depends on what came first: the offer, or a packet from
    it."""
    for one, other, there in ((*talkers[:2], hosts[1]), (*talkers[1::-1], hosts[0])):
        one.program.wait_err(rf"peer {other.name}: direct, \w+ {re.escape(there.address)}:")
    story.say("the two talk over their local addresses")


@scenario("same-nat-hairpin", "two peers behind one NAT that hairpins: they connect", quick=True)
def same_nat_hairpin(story):
    with Network() as net:
        talkers, hosts = join_same_nat(story, net, hairpin=True)
        took = wait_all(talkers)
        story.say(f"all three hear each other {took:.2f} s after the last has registered")
        wait_lan(story, talkers, hosts)
        story.expect_unchanged(talkers)


@scenario("small-packets",
          "both NATs drop UDP payloads of less than 128 bytes, but for STUN: short lines pass", quick=True)
def small_packets(story):
    with Network() as net:
        net.coordinator()
        # A STUN request has 20 bytes. A NAT that dropped those too would let nobody learn an address; so the rule
        # exempts port 3478.
        hosts = [net.site("port", drop_below=HEADER).hosts[0] for _ in range(2)]
        prove_drop(story, hosts[0], net.site("open").hosts[0])
        talkers = [story.join(net, host, name).talk() for host, name in zip(hosts, ("alice", "bob"))]
        took = wait_all(talkers)
        story.say(f"both hear each other {took:.2f} s after the second has registered")
        story.expect_unchanged(talkers)


def prove_drop(story, inside, outside):
    """The NAT loses 127 bytes and passes 128."""
    with inside.socket() as sender, outside.socket() as receiver:
        receiver.bind((outside.address, PROBE_PORT))
        receiver.settimeout(30)
        for size in (HEADER - 1, HEADER):  # in this order: the second's arrival shows that the first is lost
            sender.sendto(bytes(size), (outside.address, PROBE_PORT))
        size = len(receiver.recv(2048))
    story.expect(size == HEADER, f"the NAT let {size} bytes pass")
    story.say(f"the NAT drops {HEADER - 1} bytes and passes {HEADER}")


@scenario("quiet-peers",
          f"mappings that end after {LIFETIME} s of silence: peers that say nothing for longer stay reachable")
def quiet_peers(story):
    with Network() as net:
        net.coordinator()
        sites = [net.site(kind, udp_timeout=LIFETIME) for kind in ("port", "full", "addr", "cgnat")]
        talkers = [story.join(net, site.hosts[0], site.kind).talk() for site in sites]
        wait_all(talkers)
        for talker in talkers:
            talker.hush()
        story.say(f"{len(talkers)} peers behind four kinds of NAT hear each other; now nobody speaks for {SILENCE:g} s")
        time.sleep(SILENCE)  # the silence itself is what is tried
        since = {talker.name: talker.say() for talker in talkers}
        eventually(lambda: not missing(talkers, since), "one line of each at all others")
        story.say("one line of each has arrived at all others")
        story.expect_unchanged(talkers)


@scenario("address-changes", "a symmetric NAT loses its mappings: natpeer notices, and offers its new address")
def address_changes(story):
    with Network() as net:
        net.coordinator()
        for kind in ("sym", "symseq"):
            site = net.site(kind)
            peer = story.join(net, site.hosts[0], kind)
            before = peer.program.wait_err(r"public address (\d\S+)")[1]
            site.forget_mappings()
            start = time.monotonic()
            after = peer.program.wait_err(r"public address is (\S+) now", deadline=LONG)[1]
            story.expect(before != after, f"{kind} has {before} again")
            story.say(f"{kind}: {time.monotonic() - start:.1f} s after its router forgot everything natpeer "
                      f"offers {after} in place of {before}")
