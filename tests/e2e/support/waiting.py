"""Waiting for events. A deadline here is how long a broken program may keep us, never a verdict on speed."""
import time

DEADLINE = 30.0  # seconds


class TooLate(AssertionError):
    """What was awaited did not happen."""


def eventually(check, what, deadline=DEADLINE):
    """Asks `check` until its answer is true, and returns that answer."""
    end = time.monotonic() + deadline
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > end:
            raise TooLate(f"{what}: not within {deadline:g} s")
        time.sleep(0.005)
