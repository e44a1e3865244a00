"""The benchmarks of the stream; scripts/bench runs this."""
import argparse
import functools
import sys

from bench import ROOT, built

built.use_release()
from bench import latency, link, report, throughput  # noqa: E402
from lab import names  # noqa: E402
from lab.names import LabError  # noqa: E402
from lab.report import describe_run  # noqa: E402

PARTS = ("throughput", "link", "latency")


def parse_arguments():
    parser = argparse.ArgumentParser(prog="bench", description="How fast the stream is; figures as ratios in one run.")
    parser.add_argument("--only", choices=PARTS, help="only this part, which writes no page")
    parser.add_argument("--rounds", type=int, choices=range(1, 101), default=5, metavar="N", help="1 to 100 (default: 5)")
    parser.add_argument("--seconds", type=int, choices=range(1, 61), default=5, metavar="N",
                        help="of each throughput, 1 to 60 (default: 5)")
    parser.add_argument("--no-write", action="store_true", help="do not write docs/PERFORMANCE.md and its picture")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    reason = names.why_not()
    if reason:
        raise LabError(reason)
    names.end_on_signals()
    out = functools.partial(print, file=sys.stderr, flush=True)
    parts = [arguments.only] if arguments.only else PARTS
    results = {}
    if "latency" in parts:
        results["latency"] = latency.play(arguments.rounds, out)
    if "link" in parts:
        results["link"] = link.play(20, out)
    if "throughput" in parts:
        results["throughput"] = throughput.play(arguments.rounds, arguments.seconds, out)
    command = " ".join(["./scripts/bench", *sys.argv[1:]])
    meta = describe_run(built.program_path("NATPEER"), command)
    page = report.markdown(results, meta, arguments.rounds)
    print(page)
    if not arguments.only and not arguments.no_write:
        (ROOT / "docs" / "PERFORMANCE.md").write_text(page, encoding="utf-8")
        (ROOT / "docs" / "performance.svg").write_text(report.svg(results, meta), encoding="utf-8")


try:
    main()
except LabError as error:
    sys.exit(f"bench: {error}")
