"""A grid's cells as a Markdown page and as an SVG picture.

A cell is anything with `first` and `second` (NAT kinds; `first` was started first), `forward` and `backward` (seconds
from the second program's start to the first delivery from first to second, and the other way; None: nothing arrived)
and `path` ("direct", "relayed" or None)."""
import dataclasses
import datetime
import html
import os
import platform
import statistics
import subprocess

from lab.cell import DIRECT_DEADLINE
from lab.grid import EXPECTED
from lab.nats import KINDS, SUMMARIES

DIRECT, RELAYED = "direct", "relayed"
GOALS = {"whole": "55", "direct": "33", "median": "0.15 s", "worst": "0.5 s"}


@dataclasses.dataclass(frozen=True)
class Meta:
    """Which run the cells are from."""
    date: str
    version: str  # as `natpeer --version` says
    commit: str
    machine: str
    command: str  # that repeats the run
    first: str = "natpeer"  # the program that was started first
    second: str = "natpeer"


def describe_run(natpeer, command, first="natpeer", second="natpeer"):
    """The Meta of a run of this program, here and now."""
    def said(*argv):
        result = subprocess.run(argv, capture_output=True, text=True, cwd=os.path.dirname(os.path.abspath(__file__)))
        return result.stdout.strip() if result.returncode == 0 else "unknown"
    machine = f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} processors"
    return Meta(date=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
                version=said(natpeer, "--version"), commit=said("git", "describe", "--always", "--dirty"),
                machine=machine, command=command, first=first, second=second)


def in_order(cells):
    """The kinds that occur, in the order of KINDS, and the cells by (first, second)."""
    table = {(cell.first, cell.second): cell for cell in cells}
    used = {kind for pair in table for kind in pair}
    return [kind for kind in KINDS if kind in used], table


def connects(cell):
    return cell.forward is not None and cell.backward is not None


def one_way(cell):
    """Which way alone delivered: "1→2", "2→1", or None."""
    if connects(cell) or (cell.forward is None and cell.backward is None):
        return None
    return "1→2" if cell.forward is not None else "2→1"


# Markdown

def cell_text(cell):
    if cell is None:
        return ""
    if connects(cell):
        return f"{cell.path or DIRECT} {cell.forward:.2f} s / {cell.backward:.2f} s"
    return f"{one_way(cell)} only" if one_way(cell) else "—"


def marked(cell):
    """With a mark where EXPECTED leaves it open."""
    of_seed = "seed" in (getattr(cell, "first_program", "seed"), getattr(cell, "second_program", "seed"))
    informative = cell is not None and of_seed and EXPECTED.get((cell.first, cell.second)) == "any"
    return cell_text(cell) + (" (?)" if informative else "")


def markdown_row(head, cells):
    return "| " + " | ".join([head, *cells]) + " |"


def summary(cells):
    whole = [cell for cell in cells if connects(cell)]
    relayed = sum(cell.path == RELAYED for cell in whole)
    sideways = sum(one_way(cell) is not None for cell in cells)
    counts = [f"{len(whole) - relayed} connect directly", f"{relayed} by relay", f"{sideways} one way only",
              f"{len(cells) - len(whole) - sideways} not at all"]
    return f"{len(cells)} ordered pairs: " + ", ".join(counts) + "."


def pairs_of(cells):
    """(cell, cell with the other one started first) of each pair of kinds that was run in both orders."""
    kinds, table = in_order(cells)
    unordered = [(one, other) for at, one in enumerate(kinds) for other in kinds[at:]]
    orders = [(table.get((one, other)), table.get((other, one))) for one, other in unordered]
    return [both for both in orders if None not in both]


def figures(cells):
    """What is measured against the goals; those are for the whole grid of natpeers."""
    times = sorted(time for cell in cells for time in (cell.forward, cell.backward) if time is not None)
    pairs = pairs_of(cells)
    whole = sum(all(connects(cell) for cell in both) for both in pairs)
    direct = sum(all(connects(cell) and cell.path != RELAYED for cell in both) for both in pairs)
    is_all = len(pairs) == len(KINDS) * (len(KINDS) + 1) // 2
    goal = {name: f" (goal: {text})" if is_all else "" for name, text in GOALS.items()}
    lines = [f"- both ways, whichever is started first: {whole} of {len(pairs)} pairs{goal['whole']}",
             f"- directly, {DIRECT_DEADLINE:g} s after the second start, in either order: {direct} pairs"
             f"{goal['direct']}"]
    if times:
        lines.append(f"- first delivery, over all directions: median {statistics.median(times):.2f} s{goal['median']}, "
                     f"worst {times[-1]:.2f} s{goal['worst']}")
    return lines


def markdown(cells, meta):
    kinds, table = in_order(cells)
    lines = [
        "# Which NATs connect", "",
        f"Made by `{meta.command}` on {meta.date}; do not edit by hand.", "",
        f"- programs: {meta.first} (started first) and {meta.second} (started second)",
        f"- version: {meta.version}, commit {meta.commit}",
        f"- machine: {meta.machine}; each NAT is nftables in a network namespace of its own", "",
        summary(cells), "",
        *figures(cells), "",
        "![The same table as a picture](nat-grid.svg)", "",
        markdown_row("first ↓ second →", (f"**{kind}**" for kind in kinds)),
        "|" + "---|" * (len(kinds) + 1)]
    lines += [markdown_row(f"**{row}**", (marked(table.get((row, column))) for column in kinds)) for row in kinds]
    lines += [
        "",
        "- The row's host was started first and had registered when the column's host was started.",
        "- `direct 0.31 s / 0.28 s`: both directions deliver. The times count from the start of the second program to",
        "  the first line that arrived: from first to second / from second to first.",
        "- `1→2 only`: only what the first one says arrives at the second. `2→1 only`: the other way round.",
        "- —: nothing arrives in either direction.",
        "- (?): informative, for seed peers. A packet that comes to portopen before its own peer has sent one shifts the mapping, so it",
        "  depends on who pings first. All others are as tests/lab/lab/grid.py expects them.", "",
        "| kind | what it is |", "|---|---|"]
    lines += [markdown_row(f"**{kind}**", [SUMMARIES[kind]]) for kind in kinds]
    return "\n".join(lines) + "\n"


# SVG. All lengths are in pixels.

STEPS = (0.5, 1.0, 2.0, 5.0)  # seconds; the last colour is for what took longer
GREENS = ("#14532d", "#15803d", "#4ade80", "#bbf7d0", "#ecfccb")
BLUES = ("#1e3a8a", "#2563eb", "#60a5fa", "#bfdbfe", "#e0f2fe")
AMBER, GREY, BLANK = "#f59e0b", "#d4d4d8", "#ffffff"
DARK_FILLS = {*GREENS[:2], *BLUES[:2]}  # these carry white text
INK, QUIET, PAPER, RULE = "#18181b", "#52525b", "#ffffff", "#e4e4e7"
CELL_WIDTH, CELL_HEIGHT, GAP = 72, 40, 3
MARGIN, AXIS, ROW_LABEL, TITLE, COLUMN_LABEL = 24, 22, 84, 62, 26
AXIS_LENGTH = 170  # of the text beside the rows
SWATCH_WIDTH, SWATCH_HEIGHT = 62, 24


def slower_time(cell):
    return max(cell.forward, cell.backward)


def fill(cell):
    if cell is None:
        return BLANK
    if connects(cell):
        scale = BLUES if cell.path == RELAYED else GREENS
        return scale[sum(slower_time(cell) >= step for step in STEPS)]
    return AMBER if one_way(cell) else GREY


def short_text(cell):
    if cell is None:
        return ""
    return f"{slower_time(cell):.2f} s" if connects(cell) else one_way(cell) or "—"


def text(x, y, content, size=13, colour=INK, anchor="middle", more=""):
    return (f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" {more}>'
            f"{html.escape(content)}</text>")


def box(x, y, width, height, colour, label="", tip=""):
    ink = "#ffffff" if colour in DARK_FILLS else INK
    parts = [f"<title>{html.escape(tip)}</title>" if tip else "",
             f'<rect x="{x:g}" y="{y:g}" width="{width}" height="{height}" rx="4" fill="{colour}" stroke="{RULE}"/>',
             text(x + width / 2, y + height / 2 + 4.5, label, colour=ink) if label else ""]
    return "<g>" + "".join(parts) + "</g>"


def step_labels():
    between = [f"{low:g}–{high:g} s" for low, high in zip(STEPS, STEPS[1:])]
    return [f"< {STEPS[0]:g} s", *between, f"≥ {STEPS[-1]:g} s"]


def legend(x, y):
    parts = []
    for row, (name, scale) in enumerate((("direct", GREENS), ("relayed", BLUES))):
        top = y + row * (SWATCH_HEIGHT + 6)
        parts.append(text(x, top + 16, name, anchor="start"))
        for number, (colour, label) in enumerate(zip(scale, step_labels())):
            parts.append(box(x + 62 + number * (SWATCH_WIDTH + GAP), top, SWATCH_WIDTH, SWATCH_HEIGHT, colour, label))
    right = x + 62 + 5 * (SWATCH_WIDTH + GAP) + 24
    for row, (colour, mark, meaning) in enumerate((
            (AMBER, "1→2", "one way only (1: started first)"), (GREY, "—", "nothing arrives"))):
        top = y + row * (SWATCH_HEIGHT + 6)
        parts.append(box(right, top, SWATCH_WIDTH, SWATCH_HEIGHT, colour, mark))
        parts.append(text(right + SWATCH_WIDTH + 10, top + 16, meaning, anchor="start"))
    return parts


def svg(cells, meta):
    kinds, table = in_order(cells)
    left, top = MARGIN + AXIS + ROW_LABEL, MARGIN + TITLE + AXIS + COLUMN_LABEL
    across, down = len(kinds) * (CELL_WIDTH + GAP), max(len(kinds) * (CELL_HEIGHT + GAP), AXIS_LENGTH)
    width, height = max(left + across, 760) + MARGIN, top + down + 118 + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif" role="img">',
        f"<title>Which NATs connect. {summary(cells)}</title>",
        f'<rect width="{width}" height="{height}" rx="10" fill="{PAPER}"/>',
        text(MARGIN, MARGIN + 18, "Which NATs connect", 20, anchor="start", more='font-weight="600"'),
        text(MARGIN, MARGIN + 40, summary(cells), colour=QUIET, anchor="start"),
        text(left + across / 2, MARGIN + TITLE + 12, f"started second ({meta.second})", 12, QUIET),
        text(0, 0, f"started first ({meta.first})", 12, QUIET,
             more=f'transform="translate({MARGIN + 12} {top + down / 2:g}) rotate(-90)"')]
    for column, kind in enumerate(kinds):
        parts.append(text(left + column * (CELL_WIDTH + GAP) + CELL_WIDTH / 2, top - 9, kind, more='font-weight="600"'))
    for row, first in enumerate(kinds):
        y = top + row * (CELL_HEIGHT + GAP)
        parts.append(text(left - 10, y + CELL_HEIGHT / 2 + 4.5, first, anchor="end", more='font-weight="600"'))
        for column, second in enumerate(kinds):
            cell = table.get((first, second))
            tip = f"{first} then {second}: {cell_text(cell) or 'not run'}"
            parts.append(box(left + column * (CELL_WIDTH + GAP), y, CELL_WIDTH, CELL_HEIGHT, fill(cell),
                             short_text(cell), tip))
    below = top + down + 18
    heading = "Time from the second start until both directions have delivered:"
    parts += [text(MARGIN, below, heading, 12, QUIET, "start"),
              *legend(MARGIN, below + 12),
              text(MARGIN, below + 96, f"{meta.version}, commit {meta.commit}, {meta.date}", 12, QUIET, "start"),
              "</svg>"]
    return "\n".join(parts) + "\n"


def write_markdown(cells, path, meta):
    with open(path, "w", encoding="utf-8") as file:
        file.write(markdown(cells, meta))


def write_svg(cells, path, meta):
    with open(path, "w", encoding="utf-8") as file:
        file.write(svg(cells, meta))
