"""The laboratory's commands; scripts/lab runs this."""
import argparse
import os
import sys

from lab import ROOT, built, names
from lab.names import LabError
from lab.nats import KINDS, SUMMARIES


def parse_arguments():
    kinds = "\n".join(f"  {kind:9} {SUMMARIES[kind]}" for kind in KINDS)
    parser = argparse.ArgumentParser(
        prog="lab", description="Real NATs and real programs on this machine. Everything is removed at the end.",
        epilog=f"kinds of NAT:\n{kinds}", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)  # look at the arguments, and end
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    shell = commands.add_parser("shell", help="a coordinator, host a behind A, host b behind B, and a shell")
    shell.add_argument("a", choices=KINDS, metavar="A")
    shell.add_argument("b", choices=KINDS, metavar="B")
    shell.epilog = "`-- COMMAND...` behind it runs that instead of a shell, and ends with its exit status."

    grid = commands.add_parser("grid", help="every pair of NATs; exit status 1 if one does worse than expected")
    grid.add_argument("--only", metavar="KIND,KIND...", help="only the pairs among these")
    grid.add_argument("--first", choices=("natpeer", "seed"), default="natpeer", help="the program started first")
    grid.add_argument("--second", choices=("natpeer", "seed"), default="natpeer")
    grid.add_argument("--jobs", type=int, choices=range(1, 17), default=4, metavar="N", help="pairs at a time, 1 to 16")
    grid.add_argument("--write", action=argparse.BooleanOptionalAction,
                      help="write docs/NAT-GRID.md and docs/nat-grid.svg (the default for a whole grid of natpeers)")

    recovery = commands.add_parser("recovery", help="how soon it is well again; exit status 1 if it is not at all")
    recovery.add_argument("--only", metavar="NAME,NAME...", help="only these scenarios")
    recovery.add_argument("--runs", type=int, choices=range(1, 101), default=3, metavar="N", help="of each, 1 to 100")
    recovery.add_argument("--jobs", type=int, choices=range(1, 17), default=6, metavar="N", help="pairs at a time")
    recovery.add_argument("--write", action=argparse.BooleanOptionalAction,
                          help="write docs/RECOVERY.md (the default where nothing is left out)")

    run = commands.add_parser("run", help="one scenario; exit status 1 if it fails")
    run.add_argument("case", metavar="CASE")
    commands.add_parser("list", help="the names of the scenarios")
    # argparse's own treatment of `--` behind a subcommand differs between Python's versions.
    words = sys.argv[1:]
    split = words.index("--") if "--" in words else len(words)
    arguments = parser.parse_args(words[:split])
    arguments.words = words[split + 1:]
    if arguments.words and arguments.command != "shell":
        parser.error("only shell takes `-- COMMAND`")
    return arguments


def known(what, wanted, there_are):
    """The names in `wanted`, all of which exist; none wanted: all there are."""
    names_wanted = wanted.split(",") if wanted else [*there_are]
    if unknown := [name for name in names_wanted if name not in there_are]:
        raise LabError(f"no such {what}: {', '.join(unknown)}; there are {', '.join(there_are)}")
    return names_wanted


def check(arguments):
    """Names that only the command itself knows. Before anything is built for it."""
    if arguments.command == "run":
        from lab.scenarios import SCENARIOS
        if arguments.case not in SCENARIOS:
            raise LabError(f"no such case: {arguments.case}; `lab list` names them")
    elif arguments.command == "grid":
        known("NAT", arguments.only, KINDS)
    elif arguments.command == "recovery":
        from lab import recovery
        known("trouble", arguments.only, [trouble.name for trouble in recovery.TROUBLES])


def run_shell(arguments):
    from lab.shell import open_shell
    return open_shell(arguments.a, arguments.b, arguments.words)


def run_grid(arguments):
    from lab import grid, report
    kinds = known("NAT", arguments.only, KINDS)
    ours = (arguments.first, arguments.second) == ("natpeer", "natpeer")
    write = arguments.write if arguments.write is not None else ours and not arguments.only
    wanted = grid.pairs(kinds)
    cells = grid.run_grid(wanted, first=arguments.first, second=arguments.second, jobs=arguments.jobs,
                          on_cell=lambda cell: print(cell, file=sys.stderr))
    command = " ".join(["./scripts/lab grid", *sys.argv[2:]])
    meta = report.describe_run(built.program("NATPEER"), command, arguments.first, arguments.second)
    print(report.markdown(cells, meta))
    faults = [cell for cell in cells if cell.fault]
    if write and faults:
        print("not written: the laboratory itself failed", file=sys.stderr)
    elif write:
        report.write_markdown(cells, ROOT / "docs" / "NAT-GRID.md", meta)
        report.write_svg(cells, ROOT / "docs" / "nat-grid.svg", meta)
    judged = [grid.judge(cell) for cell in cells]
    for _, sentence in filter(lambda pair: pair[1], judged):
        print(sentence, file=sys.stderr)
    return 1 if any(word == "worse" for word, _ in judged) else 0


def run_recovery(arguments):
    from lab import recovery, recovery_report, report
    troubles = {trouble.name: trouble for trouble in recovery.TROUBLES}
    wanted = known("trouble", arguments.only, troubles)
    cases = recovery.cases_of(*(troubles[name] for name in wanted))
    results = []

    def on_result(case, result):
        results.append((case, result))
        print(f"{case.trouble.name}, {case.between}: {result}", file=sys.stderr)
    recovery.play_all(cases * arguments.runs, arguments.jobs, on_result)
    results.sort(key=lambda each: cases.index(each[0]))
    meta = report.describe_run(built.program("NATPEER"), " ".join(["./scripts/lab recovery", *sys.argv[2:]]))
    page = recovery_report.markdown(results, meta, arguments.runs)
    print(page)
    if arguments.write if arguments.write is not None else not arguments.only:
        (ROOT / "docs" / "RECOVERY.md").write_text(page, encoding="utf-8")
    return 0 if all(recovery.is_recovery(result) for _, result in results) else 1


def run_case(arguments):
    from lab.scenarios import SCENARIOS
    try:
        SCENARIOS[arguments.case].run(print)
    except AssertionError as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        return 1
    return 0


def list_cases(_arguments):
    from lab.scenarios import SCENARIOS
    for name, scenario in SCENARIOS.items():
        print(f"{name:24} {'quick' if scenario.quick else '     '}  {scenario.summary}")
    return 0


def prepare():
    reason = names.why_not()
    if reason:
        raise LabError(reason)
    built.check()
    names.end_on_signals()
    for name in names.remove_leftovers():
        print(f"lab: removed {name}, which a killed run had left", file=sys.stderr)


COMMANDS = {"shell": run_shell, "grid": run_grid, "recovery": run_recovery, "run": run_case, "list": list_cases}


def main():
    arguments = parse_arguments()
    status = 1
    try:
        check(arguments)
        if arguments.check:
            return 0
        if arguments.command != "list":
            prepare()
        status = COMMANDS[arguments.command](arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
    except SystemExit as leaving:
        status = leaving.code
    finally:
        names.remove_own()
    # Threads of a grid that was interrupted still wait for programs that are gone: they are not waited for.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
