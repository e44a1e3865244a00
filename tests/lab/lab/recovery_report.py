"""How long peers need until everything delivers again, as a Markdown page."""
import statistics

from lab.pair import LINE_INTERVAL, STEADY
from lab.recovery import is_recovery

TARGET = 2.0  # seconds from the moment when the network is usable


def by_case(results):
    """(case, results) in the order of their first occurrence. `results`: (case, Recovery or text) of each run."""
    table = {}
    for case, result in results:
        table.setdefault(case, []).append(result)
    return table.items()


def two(seconds):
    """Median and worst."""
    return [f"{statistics.median(seconds):.2f} s", f"{max(seconds):.2f} s"] if seconds else ["", ""]


def row(case, runs):
    back = [run for run in runs if is_recovery(run)]
    median, worst = two([run.seconds for run in back])
    if len(back) < len(runs):
        worst = f"**fails** ({len(runs) - len(back)} of {len(runs)})"
    elif max(run.seconds for run in back) > TARGET:
        worst = f"**{worst}**"
    # Nobody told of another path: the one before was good all the time.
    moved = [run.path for run in back if run.path is not None]
    path = two(moved) if moved else ["kept", ""]
    lost = [str(max((getattr(run, what) for run in back), default="")) for what in ("lost", "lost_after")]
    return "| " + " | ".join([case.trouble.name, case.between, median, worst, *path, *lost]) + " |"


def summary(results):
    back = [result for _, result in results if is_recovery(result)]
    soon = sum(result.seconds <= TARGET for result in back)
    cases = by_case(results)
    soon_cases = sum(all(is_recovery(run) and run.seconds <= TARGET for run in runs) for _, runs in cases)
    times = f" Over all runs: median {statistics.median(run.seconds for run in back):.2f} s, worst " \
            f"{max(run.seconds for run in back):.2f} s." if back else ""
    return (f"{soon} of {len(results)} runs deliver again within {TARGET:g} s; {soon_cases} of {len(cases)} cases do "
            f"in every run.{times}")


def markdown(results, meta, runs):
    troubles = list(dict.fromkeys(case.trouble for case, _ in results))
    lines = [
        "# How soon it is well again", "",
        f"Made by `{meta.command}` on {meta.date}; do not edit by hand.", "",
        f"- each case {runs} times, between two natpeers, each behind a NAT of its own",
        f"- version: {meta.version}, commit {meta.commit}",
        f"- machine: {meta.machine}; each NAT is nftables in a network namespace of its own", "",
        summary(results), "",
        "| what happens | between | delivers again: median | worst | last path: median | worst | lost | later |",
        "|---|---|---|---|---|---|---|---|"]
    lines += [row(case, each) for case, each in by_case(results)]
    lines += [
        "",
        "- **Between**: the NAT of the one to whom it happens (→ where it moves), and the other's.",
        f"- **Delivers again**: each says a numbered line each {1000 * LINE_INTERVAL:g} ms. The time counts from the",
        "  moment when the network is usable again (below) to the moment when each direction has delivered a line that",
        "  was said after it. What is directly possible goes directly in the end; until then the relay carries.",
        f"- Bold: more than the {TARGET:g} s that we want at most; or it failed, and the reason stands below.",
        "- **Last path**: to the moment when the later of the two tells of the path that it then kept. *kept*: neither",
        "  told of another.",
        "- **Lost**: lines, in the worst run, of both together, from the trouble on: this version sends nothing twice.",
        f"  **Later**: those of them behind the first one that arrived again, of at least {STEADY} of each.", "",
        "| name | what happens | the clock begins when |", "|---|---|---|"]
    lines += [f"| {trouble.name} | {trouble.happens} | {trouble.usable} |" for trouble in troubles]
    failures = [f"- {case.trouble.name}, {case.between}: {result.splitlines()[0]}" for case, result in results
                if not is_recovery(result)]
    if failures:
        lines += ["", "What failed:", "", *failures]
    return "\n".join(lines) + "\n"
