#!/usr/bin/env python3
"""How long until natpeer's first byte arrives, and how much memory an idle one holds.

    natpeer_bench.py NATCOORD NATPEER [RUNS]

Everything runs on this machine over loopback. The time is from the start of the second peer's process to the arrival of
its first byte on the first peer's stdout. It shows figures and judges nothing.
"""
import re
import statistics
import subprocess
import sys
import time

PATIENCE = 30  # seconds for a line or a byte that does not come


def start_coordinator(natcoord):
    process = subprocess.Popen([natcoord, "--port", "0", "--stun-port", "0"], stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    ports = re.search(r"listens on .*:(\d+) \(websocket\) and .*:(\d+)/udp", line)
    if not ports:
        sys.exit(f"natcoord did not start: {line}")
    return process, ["--coordinator", f"ws://127.0.0.1:{ports[1]}", "--stun", f"127.0.0.1:{ports[2]}"]


def anonymous_kilobytes(process):
    with open(f"/proc/{process.pid}/status") as status:
        return int(re.search(r"RssAnon:\s+(\d+) kB", status.read())[1])


def first_byte(natpeer, where, listener):
    began = time.perf_counter()
    sender = subprocess.Popen([natpeer, "--topic", "T", "--name", "sender", "--quit-on-eof=0.05", "-q", *where],
                              stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    sender.stdin.write(b"x")
    sender.stdin.close()
    if listener.stdout.read(1) != b"x":
        sys.exit("the first byte did not arrive")
    took = time.perf_counter() - began
    sender.wait(PATIENCE)
    return took * 1000


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    natcoord, natpeer = sys.argv[1:3]
    runs = int(sys.argv[3]) if len(sys.argv) == 4 else 20
    coordinator, where = start_coordinator(natcoord)
    listener = subprocess.Popen([natpeer, "--topic", "T", "--name", "listener", *where], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=False)
    try:
        while b"registered" not in listener.stderr.readline():
            pass
        times = [first_byte(natpeer, where, listener) for _ in range(runs)]
        print(f"first byte, ms, {runs} runs: min {min(times):.1f}  median {statistics.median(times):.1f}  max {max(times):.1f}")
        print(f"anonymous memory of an idle natpeer: {anonymous_kilobytes(listener)} KB")
    finally:
        for process in (listener, coordinator):
            process.terminate()
            process.wait(PATIENCE)


main()
