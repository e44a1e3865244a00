"""A link of 100 Mbit/s with a round trip of 50 ms: how much of it is used when packets are lost, and how soon."""
import dataclasses
import time

from bench import meter
from bench.stream import Stream
from bench.throughput import iperf
from lab.network import Network

RATE = 100e6  # bit/s, of Ethernet frames
WIRE = ["--rate", "100mbit", "--delay", "25ms", "--queue", "625kB"]  # one bandwidth-delay product
LOSSES = (0, 1, 5)  # percent, in each direction
STEP = 0.05  # seconds between two looks
SETTLED = 5.0  # seconds after the first byte
FULL = 0.9  # of the settled rate: the link is full
WINDOW = 0.2  # seconds over which that has to hold
LOG = 2048  # bytes that the receiver writes to stderr at most


@dataclasses.dataclass(frozen=True)
class Result:
    loss: int  # percent
    rate: float  # bit/s of stdin that arrived, once settled
    full_after: float | None  # seconds from the first byte to the first WINDOW in which the link is full
    tcp: float  # bit/s that iperf3's TCP gets there
    series: list  # (seconds since the first byte, bytes since then)


def full_after(series, rate):
    """Seconds to the first WINDOW in which FULL of this rate arrives."""
    for start, before in series:
        inside = [(at, total) for at, total in series if start < at <= start + WINDOW + STEP / 2]
        if inside and inside[-1][0] - start >= WINDOW - STEP / 2 and \
                8 * (inside[-1][1] - before) / (inside[-1][0] - start) >= FULL * rate:
            return start
    return None


def watch(pid, seconds):
    """What a process has written since its first byte, every STEP for so many seconds."""
    base = meter.written(pid)[1]
    series = []
    while not series or series[-1][0] - series[0][0] < seconds:
        now, total = meter.written(pid)
        if total > base + LOG:
            series.append((now, total - base))
        time.sleep(STEP)
    return [(at - series[0][0], total) for at, total in series]


def play_one(loss, seconds, out):
    with Network() as net:
        net.coordinator()
        source = net.site("open", wire=[*WIRE, "--loss", f"{loss}%"]).hosts[0]
        destination = net.site("open").hosts[0]
        tcp = iperf(source, destination, int(seconds))["end"]["sum_received"]["bits_per_second"]
        with Stream(net, source, [destination], direct=False) as running:
            series = watch(running.receivers[0].pid, seconds + SETTLED)
    settled = [(at, total) for at, total in series if at >= SETTLED]
    rate = 8 * (settled[-1][1] - settled[0][1]) / (settled[-1][0] - settled[0][0])
    result = Result(loss, rate, full_after(series, rate), tcp, series)
    out(f"{loss} % loss: {rate / 1e6:.1f} Mbit/s, full after {result.full_after} s; TCP {tcp / 1e6:.1f} Mbit/s")
    return result


def play(seconds, out):
    return [play_one(loss, seconds, out) for loss in LOSSES]
