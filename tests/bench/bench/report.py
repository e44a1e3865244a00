"""The figures as a Markdown page. What is judged is a ratio of two figures of one round, and of those the median."""
import pathlib
import statistics

from bench import latency, link
from bench.plot import svg  # noqa: F401 (for whoever writes the page)



def spread(values, form):
    """The median, and the least and the most in parentheses."""
    low, high = form(min(values)), form(max(values))
    return form(statistics.median(values)) if low == high else f"{form(statistics.median(values))} ({low} to {high})"


def ratios(ours, theirs, of=lambda result: result.rate):
    return [of(one) / of(other) for one, other in zip(ours, theirs)]


def ratio(value):
    return f"{value:.2f}"


def verdict(values, goal, least=True):
    """Of the median."""
    median = statistics.median(values)
    return "met" if (median >= goal if least else median <= goal) else "**missed**"


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def table(*rows):
    return [row(*rows[0]), "|" + "---|" * len(rows[0]), *(row(*each) for each in rows[1:])]


def throughput_lines(results):
    tcp, single = results["TCP"], results["1→1"]
    rows = [("what", "delivered to all together, Gbit/s", "to TCP", "sender, processors", "receivers, processors",
             "sender, MiB", "receiver, MiB")]
    for name, runs in results.items():
        ours = "→" in name
        rows.append((name, spread([run.rate / 1e9 for run in runs], ratio), spread(ratios(runs, tcp), ratio),
                     *((spread([run.sender for run in runs], ratio), spread([run.receivers for run in runs], ratio),
                        f"{max(run.sender_memory for run in runs) >> 20}",
                        f"{max(run.receiver_memory for run in runs) >> 20}") if ours else ("", "", "", ""))))
    crowd = results["1→8"]
    costs = ratios(crowd, single, of=lambda result: result.sender_cost)
    goals = [("ratio, within a round", "measured", "goal", "")]
    for text, values, goal, least in (
            ("1→1 to TCP", ratios(single, tcp), 0.5, True),
            ("the same, our packets one by one, too", ratios(results["1→1, by packet"], tcp), 0.5, True),
            ("1→1 to TCP, offloaded", ratios(single, results["TCP, offloaded"]), 0.5, True),
            ("1→1 with a key to TCP", ratios(results["1→1, keyed"], tcp), 0.4, True),
            ("sum of 1→8 to 1→1", ratios(crowd, single), 1.0, True),
            ("the sender's processor time for each byte of each peer, 1→8 to 1→1", costs, 1.0, False)):
        goals.append((text, spread(values, ratio), f"{'at least' if least else 'at most'} {goal:g}",
                      verdict(values, goal, least)))
    return ["## Throughput", "",
            "Between public hosts, each in a network namespace behind a router of its own, MTU 1500, no limit of rate. stdin is a",
            "pipe from `cat`, stdout /dev/null. TCP and UDP are iperf3's. Processors are counted: 0.5 is half of one, and",
            "receivers' are those of all of them together. Memory is the most that one program had resident. All programs share this",
            "machine: 64 receivers are 64 programs on its processors.", "",
            "- TCP: its packets of 1500 bytes pass one by one, as on a wire (`ethtool -K eth0 tso off`). This is what is compared with.",
            "- TCP, offloaded: the lab's virtual cards pass segments of 64 KiB on whole, so that nothing has 1500 bytes and nothing",
            "  is cut or counted; no wire does that. Ours (1→1 and so on) leave by the same cards: up to 48 packets pass as one.",
            "- 1→1, by packet: ours without that, too (`ethtool -K eth0 tx-udp-segmentation off`).", "",
            *table(*rows), "", *table(*goals), ""]


def link_lines(results):
    goals = {0: 82, 1: 60, 5: 20}
    rows = [("loss in each direction", "natpeer, Mbit/s", "goal", "", "link is full after", "TCP, Mbit/s")]
    for each in results:
        rows.append((f"{each.loss} %", f"{each.rate / 1e6:.1f}", f"at least {goals[each.loss]}",
                     verdict([each.rate / 1e6], goals[each.loss]),
                     "never" if each.full_after is None else f"{each.full_after:.2f} s", f"{each.tcp / 1e6:.1f}"))
    control = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    return ["## A link of 100 Mbit/s with a round trip of 50 ms", "",
            "Mbit/s of stdin that arrive, once settled; the link counts Ethernet frames. Its queue holds 625 kB, one",
            f"bandwidth-delay product. It is full when {link.WINDOW * 1000:.0f} ms bring {link.FULL:.0%} of the settled rate; the",
            f"time is from the first byte that arrived, and the goal 1 s. TCP's congestion control is {control}.", "",
            *table(*rows), ""]


def latency_lines(results):
    bare, ours = results
    rows = [("100 bytes, stdin to stdout", "bare relay, µs", "natpeer, µs", "ratio within a round", "goal", "")]
    for name, goal in (("p50", 1.5), ("p99", 2.0)):
        values = ratios(ours, bare, of=lambda result, name=name: getattr(result, name))
        rows.append((name, *(spread([getattr(run, name) * 1e6 for run in runs], lambda value: f"{value:.0f}")
                             for runs in (bare, ours)), spread(values, ratio), f"at most {goal:g}",
                     verdict(values, goal, least=False)))
    return ["## Latency of a line", "",
            f"On one idle machine, {latency.LINES} lines a round, one every {latency.INTERVAL} ms. The bare relay is a pipe, a",
            "datagram on loopback and a pipe, by blocking calls, without any protocol (tests/bench/datagram_relay.cpp).", "",
            *table(*rows), ""]


def markdown(results, meta, rounds):
    lines = ["# How fast it is", "",
             f"Made by `{meta.command}` on {meta.date}; do not edit by hand. That command repeats it: root and Debian 12 is all it",
             "needs, and a machine with nothing else to do. (It writes this page anew; `--no-write` only prints.) The goals are those that",
             "the stream was built for; what misses one says so.", "",
             f"- version: {meta.version}, commit {meta.commit}, release preset",
             f"- machine: {meta.machine}",
             f"- {rounds} rounds, in each of which everything is measured once; medians, with the least and the most in parentheses",
             "", "![The same figures as a picture](performance.svg)", ""]
    if "throughput" in results:
        lines += throughput_lines(results["throughput"])
    if "link" in results:
        lines += link_lines(results["link"])
    if "latency" in results:
        lines += latency_lines(results["latency"])
    return "\n".join(lines)
