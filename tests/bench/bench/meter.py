"""What a process has used and written so far, as the kernel counts it."""
import dataclasses
import os
import re
import time

TICKS = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass(frozen=True)
class Sample:
    time: float  # seconds
    written: int  # bytes, by write(2) and its kin: stdout, and the log; no datagrams
    processor: float  # seconds of all its threads, in the program and in the kernel for it


def sample(pid):
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        written = int(re.search(r"wchar: (\d+)", file.read())[1])
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        # The program's name stands in parentheses and may hold spaces itself.
        fields = file.read().rpartition(")")[2].split()
    return Sample(time.monotonic(), written, (int(fields[11]) + int(fields[12])) / TICKS)


def written(pid):
    """(seconds, bytes): for a series, which has no time for more."""
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        return time.monotonic(), int(re.search(r"wchar: (\d+)", file.read())[1])


def peak_memory(pid):
    """Bytes that were resident at most."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return int(re.search(r"VmHWM:\s+(\d+) kB", file.read())[1]) * 1024
