"""What a scenario is, and how it tells what happens."""
import dataclasses
import time
from collections.abc import Callable

from lab.cell import REGISTERED, join

LOG_LINES = 20  # of each peer, where a scenario fails
SCENARIOS = {}  # name -> Scenario, in the order of their definition


@dataclasses.dataclass(frozen=True)
class Scenario:
    """`run(out)` plays it: `out` takes each line of what happens. A failure is an AssertionError that says which."""
    name: str
    summary: str
    quick: bool  # belongs to the ordinary test run
    play: Callable

    def run(self, out):
        story = Story(out)
        story.say(self.summary)
        try:
            self.play(story)
        except AssertionError:
            story.show_logs()
            raise
        story.say("done: as expected")


def scenario(name, summary, quick=False):
    """Makes a function that takes a Story a scenario."""
    def register(function):
        SCENARIOS[name] = Scenario(name, summary, quick, function)
        return function
    return register


class Story:
    """Says each event with the seconds since the start."""

    def __init__(self, out):
        self.out, self.start = out, time.monotonic()
        self.talkers = []
        self.programs = []  # others, whose logs are shown too

    def say(self, line):
        self.out(f"{time.monotonic() - self.start:7.2f} s  {line}")

    def expect(self, condition, failure):
        if not condition:
            raise AssertionError(failure)

    def join(self, net, host, name, program="natpeer"):
        """A peer on this host (natpeer or seed) that has registered."""
        talker = join(net, host, program, name)
        self.talkers.append(talker)
        talker.program.wait_err(REGISTERED)
        return talker

    def expect_unchanged(self, talkers):
        """Nobody printed anything that nobody said."""
        for talker in talkers:
            self.expect(not talker.faults, f"{talker.name} printed what nobody said: {talker.faults[:3]}")

    def show_logs(self):
        """The last words of every peer: why it failed often stands there."""
        programs = [(talker.name, talker.program) for talker in self.talkers]
        for name, program in [*programs, *((each.argv[0], each) for each in self.programs)]:
            self.out(f"--- {name}:")
            for line in program.err.text().splitlines()[-LOG_LINES:]:
                self.out(f"    {line}")
