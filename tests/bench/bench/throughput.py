"""How much passes between public hosts whose links have no limit of their own, and what that costs.

Each round measures everything once, so that the figures of a round are of the same machine in the same minute.
"""
import contextlib
import dataclasses
import json
import subprocess
import time

from bench import meter
from bench.stream import Stream, key_file
from lab.network import Network

WARM_UP = 2.0  # seconds, and for a crowd that meets more
WARM_UP_A_RECEIVER = 0.15
CROWDS = (1, 8, 64)  # receivers
IPERF_PORT = 5201


@dataclasses.dataclass(frozen=True)
class Result:
    rate: float  # bit/s delivered, of all receivers together
    sender: float = 0  # processors in use, of the whole machine's
    receivers: float = 0  # of all of them
    sender_memory: int = 0  # bytes resident at most
    receiver_memory: int = 0  # of the largest

    @property
    def sender_cost(self):
        """Processor seconds of the sender for each GB that one peer got."""
        return self.sender / (self.rate / 8e9)


def iperf(source, destination, seconds, *options):
    """Bytes through one connection of iperf3, as its receiver counts them."""
    server = destination.start(["iperf3", "--server", "--one-off", "--forceflush", "--port", str(IPERF_PORT)], stdin=subprocess.DEVNULL)
    try:
        server.wait_out("listening")
        done = source.run(["iperf3", "--client", destination.address, "--port", IPERF_PORT, "--time", seconds, "--omit", 1,
                           "--json", *options], timeout=seconds + 60)
        told = json.loads(done.stdout)
        if "end" not in told or "error" in told:
            raise RuntimeError(f"iperf3: {told.get('error', done.stdout)}")
        return told
    finally:
        server.end()


@contextlib.contextmanager
def without(offload, *hosts):
    """Their network cards do without: the kernel cuts what a program sends at once into packets before it leaves."""
    def switch(value):
        for host in hosts:
            done = host.run(["ethtool", "-K", "eth0", offload, value])
            if done.returncode != 0:
                raise RuntimeError(f"ethtool: {done.stderr}")
    switch("off")
    try:
        yield
    finally:
        switch("on")


def tcp(source, destination, seconds):
    return Result(iperf(source, destination, seconds)["end"]["sum_received"]["bits_per_second"])


def udp(source, destination, seconds):
    """As fast as it sends, with packets as large as ours; what arrived."""
    total = iperf(source, destination, seconds, "--udp", "--bandwidth", "0", "--length", "1344")["end"]["sum"]
    return Result(total["bits_per_second"] * (1 - total["lost_percent"] / 100))


def stream(net, source, destinations, seconds, options=()):
    with Stream(net, source, destinations, options) as running:
        # It is the measured time itself that is waited for.
        time.sleep(WARM_UP + WARM_UP_A_RECEIVER * len(destinations))
        sender, receivers = running.sample()
        time.sleep(seconds)
        sender_after, receivers_after = running.sample()
        took = sender_after.time - sender.time
        return Result(
            rate=8 * sum((after.written - before.written) / (after.time - before.time)
                         for before, after in zip(receivers, receivers_after)),
            sender=(sender_after.processor - sender.processor) / took,
            receivers=sum(after.processor - before.processor for before, after in zip(receivers, receivers_after)) / took,
            sender_memory=meter.peak_memory(running.sender.pid),
            receiver_memory=max(meter.peak_memory(each.pid) for each in running.receivers))


def play(rounds, seconds, out):
    """Name -> its Results, one a round."""
    results = {}

    def note(name, result):
        results.setdefault(name, []).append(result)
        out(f"{name}: {result.rate / 1e9:.2f} Gbit/s, sender {result.sender:.2f}, receivers {result.receivers:.2f} "
            f"processors, {result.sender_memory >> 20} and {result.receiver_memory >> 20} MiB")
    with Network() as net, key_file() as key:
        net.coordinator()
        source = net.site("open").hosts[0]
        destinations = [net.site("open").hosts[0] for _ in range(max(CROWDS))]
        for _ in range(rounds):
            with without("tso", source, destinations[0]):
                note("TCP", tcp(source, destinations[0], seconds))
            note("TCP, offloaded", tcp(source, destinations[0], seconds))
            note("UDP", udp(source, destinations[0], seconds))
            with without("tx-udp-segmentation", source, destinations[0]):
                note("1→1, by packet", stream(net, source, destinations[:1], seconds))
            for count in CROWDS:
                note(f"1→{count}", stream(net, source, destinations[:count], seconds))
                if count == 1:
                    note("1→1, keyed", stream(net, source, destinations[:1], seconds, key))
    return results
