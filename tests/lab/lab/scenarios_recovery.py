"""Each trouble that peers may come into, as a scenario: everything delivers again afterwards."""
from lab.recovery import TROUBLES, cases_of, is_recovery, play_all
from lab.story import scenario

JOBS = 4  # pairs at a time


def play_trouble(trouble):
    def play(story):
        failures = []

        def on_result(case, result):
            story.say(f"{case.between}: {result if is_recovery(result) else 'FAILED'}")
            if not is_recovery(result):
                failures.append(f"{case.between}: {result}")
        play_all(cases_of(trouble), JOBS, on_result)
        story.expect(not failures, "\n".join(failures))
    play.__module__ = __name__
    return play


for each in TROUBLES:
    scenario(each.name, each.happens, quick=each.quick)(play_trouble(each))
