"""Streams through real NATs: nothing is missing, whatever the routers forget; and a link is shared with others."""
import time

from lab import shared_link
from lab.network import Network
from lab.pair import relayed_data
from lab.story import scenario
from lab.transfer import Transfer

LONG = 280.0  # seconds
GIGABYTE = 1 << 30
LOAD = "50M"  # bit/s: what one core does beside other tests
ENOUGH = 8 << 20  # bytes on each path: more than what can be under way
RELAY_FREELY = ["--relay-rate", "1G", "--relay-total-rate", "10G", "--relay-quota", "0"]


def transfer(story, net, sites, through, source, destination, size, path, tcp=False):
    """Half of it passes, then all routers forget all flows (with `tcp` their connections, too), then the rest does.
    `through(site)`: whom a router must have known a flow with, or it had nothing to forget."""
    going = Transfer(net, source, destination, size)
    story.programs += [going.sender, going.receiver]
    began = time.monotonic()
    going.wait_share(0.5, LONG)
    story.expect(going.path() == path, f"half of it is there, and the path is {going.path()}, not {path}")
    for site in sites:
        lost = site.forget_mappings(tcp)
        story.expect(through(site) in lost, f"the router of {site.inside}.0/24 had no flow with {through(site)}: {lost}")
    story.say(f"half of it is there, {path}; the routers forget their mappings{' and connections' if tcp else ''}")
    expect_whole(story, going)
    took = time.monotonic() - began
    story.say(f"{size >> 20} MiB in {took:.1f} s, {8 * size / took / 1e6:.0f} Mbit/s")
    story.expect(going.sent == size, f"{going.sent} bytes went in")
    story.expect(going.path() == path, f"at the end the path is {going.path()}, not {path}")
    if tcp:
        times = going.registrations()
        story.expect(min(times) > 1, f"they registered {times} times: no connection broke")


def expect_whole(story, going):
    """Both end well, and what came out is what went in."""
    statuses = going.wait_end(LONG)
    story.expect(statuses == (0, 0), f"sender and receiver ended with {statuses}")
    story.expect(going.received == going.sent, f"{going.sent} bytes went in, {going.received} came out")
    story.expect(going.sums["in"] == going.sums["out"], f"the checksums differ: {going.sums}")


@scenario("gigabyte-direct", "1 GiB from one NAT to another; midway both forget their mappings")
def gigabyte_direct(story):
    direct(story, GIGABYTE)


@scenario("forgetful-routers", "64 MiB from one NAT to another; midway both forget their mappings", quick=True)
def forgetful_routers(story):
    direct(story, GIGABYTE // 16)


def direct(story, size):
    with Network() as net:
        net.coordinator()
        sites = [net.site("port"), net.site("port")]
        other = {sites[0]: sites[1].public, sites[1]: sites[0].public}
        transfer(story, net, sites, other.get, sites[0].hosts[0], sites[1].hosts[0], size, "direct, public")


@scenario("gigabyte-lan", "1 GiB between two hosts behind one NAT; midway it forgets its mappings")
def gigabyte_lan(story):
    with Network() as net:
        coordinator = net.coordinator()
        site = net.site("port", hosts=2)
        # What goes from one host to the other asks no mapping; what tells natpeer its public address does.
        transfer(story, net, [site], lambda _site: coordinator.address, *site.hosts, GIGABYTE, "direct, lan")


@scenario("paths-change", "under load the direct path is blocked, so that the relay carries, and is free again later",
          quick=True)
def paths_change(story):
    with Network() as net:
        coordinator = net.coordinator(RELAY_FREELY)
        sites = [net.site("port"), net.site("port")]
        going = Transfer(net, sites[0].hosts[0], sites[1].hosts[0], options=["--rate", LOAD])
        story.programs += [going.sender, going.receiver]
        going.wait_path("direct, public", LONG)
        going.wait_more(ENOUGH, LONG)
        relayed = relayed_data(coordinator)
        since = time.monotonic()
        for ends in (sites, sites[::-1]):
            net.block(*ends)
        going.wait_path("by relay", LONG)
        story.say(f"directly blocked: by relay {time.monotonic() - since:.1f} s later")
        going.wait_more(ENOUGH, LONG)
        carried = relayed_data(coordinator) - relayed
        story.expect(carried >= ENOUGH // 2, f"natcoord relayed {carried} bytes, while nothing else can have passed")
        since = time.monotonic()
        for ends in (sites, sites[::-1]):
            net.unblock(*ends)
        going.wait_path("direct, public", LONG)
        story.say(f"free again: direct {time.monotonic() - since:.1f} s later")
        going.wait_more(ENOUGH, LONG)
        going.finish()
        expect_whole(story, going)
        story.say(f"{going.sent >> 20} MiB, {carried >> 20} MiB of them by relay until it was free")


@scenario("narrower", "under load a router's line comes to carry 1400 bytes at once, and no packet is cut for it",
          quick=True)
def narrower(story):
    with Network() as net:
        net.coordinator()
        sites = [net.site("port"), net.site("port")]
        source = sites[0].hosts[0]
        going = Transfer(net, source, sites[1].hosts[0], options=["--rate", LOAD])
        story.programs += [going.sender, going.receiver]
        going.wait_path("direct, public", LONG)
        going.wait_more(ENOUGH, LONG)
        sites[0].narrow(1400)
        going.wait_more(ENOUGH, LONG)
        # What was made before is there: from now on each packet passes whole.
        since = source.pieces_made()
        going.wait_more(ENOUGH, LONG)
        cut = source.pieces_made() - since
        story.expect(cut < ENOUGH // 1400 // 20, f"the sender's kernel cut packets into {cut} pieces")
        story.expect(going.path() == "direct, public", f"at the end the path is {going.path()}")
        going.finish()
        expect_whole(story, going)
        story.say(f"{going.sent >> 20} MiB; of the last {ENOUGH >> 20} MiB the kernel made {cut} pieces")


@scenario("gigabyte-relay", "1 GiB by the relay; midway the routers forget their mappings and their connections")
def gigabyte_relay(story):
    by_relay(story, GIGABYTE)


@scenario("forgetful-relay", "64 MiB by the relay; midway the routers forget their mappings and their connections",
          quick=True)
def forgetful_relay(story):
    by_relay(story, GIGABYTE // 16)


def by_relay(story, size):
    with Network() as net:
        coordinator = net.coordinator(RELAY_FREELY)
        sites = [net.site("noudp"), net.site("noudp")]
        transfer(story, net, sites, lambda _site: coordinator.address, sites[0].hosts[0], sites[1].hosts[0], size,
                 "by relay", tcp=True)


@scenario("fair-share", "a stream and a TCP download (CUBIC) on one link: each gets 30 to 70% of it")
def fair_share(story):
    unfair = [told for told, shares in share_link(story, "cubic") if not 0.3 <= shares.share <= 0.7]
    story.expect(not unfair, "\n".join(unfair))


@scenario("share-with-bbr", "the same with the kernel's BBR, which is version 1: it heeds no losses; nothing is judged")
def share_with_bbr(story):
    share_link(story, "bbr")


def share_link(story, control):
    """(words, Shares) of each way to meet: queues of several sizes, either one there first."""
    story.expect(control in shared_link.controls(), f"the kernel has no {control}")
    met = []
    for queue in (0.5, 1, 2, 4):
        for tcp_first in (True, False):
            shares = shared_link.play(queue, control, tcp_first)
            words = f"queue of {queue:g} bandwidth-delay products, {'TCP' if tcp_first else 'natpeer'} first: {shares}"
            story.say(words)
            met.append((words, shares))
    return met
