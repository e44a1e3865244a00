"""What a NAT does to peers: one NAT for two of them, small packets dropped, mappings that expire or are forgotten."""
import subprocess
import time

from lab import names
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
    return [story.join(net, host, name).talk() for host, name in zip(*pairs)]


@scenario("same-nat",
          "two peers behind one NAT that does not hairpin: they talk over the LAN", quick=True)
def same_nat(story):
    with Network() as net:
        talkers = join_same_nat(story, net, hairpin=False)
        wait_all(talkers)
        wait_lan(story, *talkers[:2])
        story.expect_unchanged(talkers)


def wait_lan(story, alice, bob):
    for one, other in ((alice, bob), (bob, alice)):
        one.program.wait_err(rf"peer {other.name}: direct, lan ")
    story.say("the two talk over their local addresses")


@scenario("same-nat-hairpin", "two peers behind one NAT that hairpins: they connect", quick=True)
def same_nat_hairpin(story):
    with Network() as net:
        talkers = join_same_nat(story, net, hairpin=True)
        took = wait_all(talkers)
        story.say(f"all three hear each other {took:.2f} s after the last has registered")
        wait_lan(story, *talkers[:2])
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


@scenario("mapping-expires",
          f"mappings that end after {LIFETIME} s of silence: quiet peers stay reachable, or come back")
def mapping_expires(story):
    with Network() as net:
        net.coordinator()
        sites = [net.site(kind, udp_timeout=LIFETIME) for kind in ("port", "full", "addr", "cgnat")]
        talkers = [story.join(net, site.hosts[0], site.kind).talk() for site in sites]
        wait_all(talkers)
        for talker in talkers:
            talker.hush()
        story.say(f"{len(talkers)} peers behind four kinds of NAT hear each other; now nobody speaks for {SILENCE:g} s")
        time.sleep(SILENCE)  # the silence itself is what is tried
        say_one_each(story, talkers)
        let_expire(story, sites[0])
        say_one_each(story, talkers, again=True)
        story.expect_unchanged(talkers)


def say_one_each(story, talkers, again=False):
    """One line of each arrives at all others. With `again` as soon as they hear each other once more: until then what
    is said is lost, as this version promises."""
    if again:
        for talker in talkers:
            talker.talk()
        took = wait_all(talkers, deadline=LONG, fresh=True)
        story.say(f"all hear all again {took:.2f} s after the link came back")
        for talker in talkers:
            talker.hush()
    since = {talker.name: talker.say() for talker in talkers}
    eventually(lambda: not missing(talkers, since), "one line of each at all others")
    story.say("one line of each has arrived at all others")


def let_expire(story, site):
    """Nothing reaches the router from either side until its mappings are gone: the cable to the host is pulled, and the
    uplink cut, since what comes from outside keeps a mapping of Linux alive too."""
    site.cut()
    cable(site, "down")
    start = time.monotonic()
    eventually(lambda: "dport=" not in udp_flows(site), "the mappings have expired", deadline=LONG)
    story.say(f"{site.kind}'s mappings have expired, {time.monotonic() - start:.1f} s after its links were cut")
    cable(site, "up")
    site.mend()


def cable(site, state):
    router, host = site.routers[-1], site.hosts[0]
    port = f"host{host.number}"  # as network.attach calls it
    subprocess.run([*names.enter(router), "ip", "link", "set", port, state], check=True)


def udp_flows(site):
    return site.in_routers(lambda _: "conntrack -L -p udp 2>/dev/null\n")


@scenario("router-forgets", "a router loses all its UDP mappings while data flows: it goes on", quick=True)
def router_forgets(story):
    with Network() as net:
        net.coordinator()
        sites = [net.site(kind) for kind in ("port", "full", "addr", "cgnat")]
        other = story.join(net, net.site("port").hosts[0], "other").talk()
        for site in sites:
            talker = story.join(net, site.hosts[0], site.kind).talk()
            wait_all([talker, other])
            site.forget_mappings()
            took = wait_all([talker, other], deadline=LONG, fresh=True)
            story.say(f"{site.kind}: {took:.2f} s after its router forgot everything both hear each other again")
            story.expect_unchanged([talker])
        story.expect_unchanged([other])


@scenario("router-forgets-sym", "a symmetric NAT loses its mappings: natpeer notices, and offers its new address")
def router_forgets_sym(story):
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
