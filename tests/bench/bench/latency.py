"""How long a line takes from the sender's stdin to the receiver's stdout on one idle machine, beside the least that
could carry it: a pipe, a datagram and a pipe (datagram_relay.cpp)."""
import contextlib
import dataclasses
import os
import statistics
import subprocess

from bench.built import bench_program
from lab.built import program
from support.programs import Natcoord, Program

LINES = 2000  # in a round
INTERVAL = 3  # ms between two lines: it is idle in between


@dataclasses.dataclass(frozen=True)
class Result:
    p50: float  # seconds
    p99: float


@contextlib.contextmanager
def pipes():
    """(read end for the program's stdin, write end for us, read end for us, write end for its stdout)"""
    ends = [*os.pipe(), *os.pipe()]
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


def probe(ours_in, ours_out):
    done = subprocess.run([bench_program("line_probe"), str(ours_in), str(ours_out), str(LINES), str(INTERVAL)],
                          pass_fds=[ours_in, ours_out], capture_output=True, text=True, check=True)
    times = sorted(int(line) / 1e9 for line in done.stdout.split())
    return Result(statistics.median(times), times[len(times) * 99 // 100])


def bare():
    with pipes() as (stdin, ours_in, ours_out, stdout), contextlib.ExitStack() as stack:
        receiver = Program([bench_program("datagram_relay"), "receive"], stdin=subprocess.DEVNULL, stdout=stdout)
        stack.callback(receiver.end)
        port = receiver.wait_err(r"port (\d+)")[1]
        stack.callback(Program([bench_program("datagram_relay"), "send", port], stdin=stdin, stdout=subprocess.DEVNULL).end)
        return probe(ours_in, ours_out)


def ours(*options):
    with pipes() as (stdin, ours_in, ours_out, stdout), contextlib.ExitStack() as stack:
        coordinator = Natcoord("--listen", "127.0.0.1")
        stack.callback(coordinator.end)
        base = [program("NATPEER"), "--topic", "bench", "--coordinator", coordinator.url(), "--stun",
                f"127.0.0.1:{coordinator.stun_port}", *options]
        receiver = Program([*base, "--name", "receiver"], stdin=subprocess.DEVNULL, stdout=stdout)
        stack.callback(receiver.end)
        sender = Program([*base, "--name", "sender"], stdin=stdin, stdout=subprocess.DEVNULL)
        stack.callback(sender.end)
        for each in (sender, receiver):
            each.wait_err(r"peer \S+: direct")
        return probe(ours_in, ours_out)


def play(rounds, out):
    """(bare, ours), lists of Results, one a round."""
    both = [], []
    for _ in range(rounds):
        for results, measure in zip(both, (bare, ours)):
            result = measure()
            results.append(result)
            out(f"{measure.__name__}: p50 {result.p50 * 1e6:.0f} µs, p99 {result.p99 * 1e6:.0f} µs")
    return both
