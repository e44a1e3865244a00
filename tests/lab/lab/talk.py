"""Peers that say numbered lines, and what each has heard of the others."""
import itertools
import re
import threading
import time
import zlib

from support.waiting import DEADLINE, TooLate, eventually

OPTIONS = ["--input", "lines", "--output", "lines", "--wait", "0"]  # what a natpeer needs to talk so
LINE = re.compile(rb"(\S+) (\d+) ([0-9a-f]{8})")


def line_of(name, number):
    """`NAME NUMBER CHECK`: the check shows a line that was changed on its way."""
    text = b"%s %d" % (name.encode(), number)
    return b"%s %08x" % (text, zlib.crc32(text))


class Talker:
    """A running peer (natpeer with OPTIONS, or the seed peer), which says `NAME NUMBER CHECK` lines."""

    def __init__(self, program, name):
        self.program, self.name = program, name
        self.numbers = itertools.count()
        self.said = 0  # lines so far: the next one has this number
        self.heard = {}  # name -> the numbers that arrived, in the order of their arrival
        self.faults = []  # what no peer has said
        self.parsed = 0  # bytes of the output
        self.pause = threading.Event()
        self.thread = None

    def say(self):
        """One line, and its number."""
        number = next(self.numbers)
        self.program.write(line_of(self.name, number) + b"\n")
        self.said = number + 1
        return number

    def talk(self, interval=0.05):
        """Says a line each `interval` seconds from now on."""
        self.pause.clear()
        self.thread = threading.Thread(target=self.talk_on, args=[interval], daemon=True)
        self.thread.start()
        return self

    def talk_on(self, interval):
        while not self.pause.wait(interval):
            try:
                self.say()
            except (OSError, ValueError):
                return  # the program has ended, or its pipe was closed

    @property
    def talks(self):
        return self.thread is not None and not self.pause.is_set()

    def hush(self):
        self.pause.set()
        self.thread.join()

    def heard_from(self, name):
        """The numbers of the lines of this peer that arrived so far, in the order of their arrival."""
        output = self.program.out.data
        end = output.rfind(b"\n") + 1
        lines = bytes(output[self.parsed:end]).splitlines()
        self.parsed = max(end, self.parsed)
        for line in lines:
            found = LINE.fullmatch(line)
            if found and line == line_of(found[1].decode(), int(found[2])):
                self.heard.setdefault(found[1].decode(), []).append(int(found[2]))
            else:
                self.faults.append(line)
        return self.heard.get(name, [])

    def has_heard(self, other, number=0):
        """Whether a line of `other` with this number or a later one has arrived."""
        # From the end: what arrived last is nearly always the latest.
        return any(heard >= number for heard in reversed(self.heard_from(other.name)))

    def wait_for(self, other, number, deadline=DEADLINE):
        """Until this line of `other` or a later one is here; the seconds it took."""
        start = time.monotonic()
        eventually(lambda: self.has_heard(other, number), f"{self.name} hears line {number} of {other.name}", deadline)
        return time.monotonic() - start

    def wait_fresh(self, other, deadline=DEADLINE):
        """Until a line is here that `other`, who is talking, says from now on; the seconds it took."""
        return self.wait_for(other, other.said, deadline)


def missing(talkers, since=None, wanted=lambda listener, speaker: True):
    """The (listener, speaker) names of wanted pairs where nothing has arrived; with `since` (name -> number)
    nothing from that line on."""
    return [(listener.name, speaker.name) for listener in talkers for speaker in talkers
            if listener is not speaker and wanted(listener, speaker)
            and not listener.has_heard(speaker, (since or {}).get(speaker.name, 0))]


def wait_all(talkers, deadline=DEADLINE, fresh=False, wanted=lambda listener, speaker: True):
    """Until everyone has heard everyone (of the wanted pairs); with `fresh` a line that was said after this call. The
    seconds it took."""
    start = time.monotonic()
    since = {talker.name: talker.said for talker in talkers} if fresh else None
    try:
        eventually(lambda: not missing(talkers, since, wanted), "all hear all", deadline)
    except TooLate:
        left = missing(talkers, since, wanted)
        pairs = ", ".join(f"{listener} does not hear {speaker}" for listener, speaker in left[:10])
        more = f" and {len(left) - 10} more" if len(left) > 10 else ""
        raise TooLate(f"after {deadline:g} s of waiting {pairs}{more}") from None
    return time.monotonic() - start
