"""Makes docs/SCALING.md and its plot from the table that `natpeer_sim scale --json` writes.

    scaling.py TABLE.json OUT.md OUT.svg
"""
import datetime
import json
import math
import os
import subprocess
import sys

WIDTH, HEIGHT = 640, 300  # of one panel
LEFT, RIGHT, TOP, BOTTOM = 74, 50, 44, 46
COLOURS = {"one topic": "#1b6ca8", "topics of ten": "#c05621"}

# (title, unit, key of the row or function of it)
PANELS = [
    ("Lists that natcoord sends until all have met", "bytes", lambda row: row["list_bytes"]),
    ("Lists that natcoord sends when one peer leaves", "bytes", lambda row: row["change_bytes"]),
    ("What each peer sends in the steady state", "bytes/s", lambda row: row["bytes_per_peer_second"]),
    ("Memory of one natpeer engine", "bytes", lambda row: row["peer_memory"]),
]


def series_of(row):
    return "one topic" if row["topics"] == 1 else "topics of ten"


def si(value):
    """Three digits and a prefix."""
    for limit, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g} {prefix}"
    return f"{value:.3g} "


class Panel:
    """One log-log diagram."""

    def __init__(self, rows, title, unit, value, top):
        self.title, self.unit, self.top = title, unit, top
        self.points = {}
        for row in rows:
            self.points.setdefault(series_of(row), []).append((row["peers"], value(row)))
        xs = [x for points in self.points.values() for x, _ in points]
        ys = [y for points in self.points.values() for _, y in points if y > 0]
        self.x_decades = decades(xs)
        self.y_decades = decades(ys)

    def x(self, value):
        low, high = self.x_decades
        return LEFT + (math.log10(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        low, high = self.y_decades
        return self.top + HEIGHT - BOTTOM - (math.log10(value) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def draw(self):
        yield f'<text x="{LEFT}" y="{self.top + 24}" class="title">{self.title} ({self.unit})</text>'
        for power in range(self.x_decades[0], self.x_decades[1] + 1):
            x = self.x(10 ** power)
            yield f'<line x1="{x:.1f}" y1="{self.top + TOP}" x2="{x:.1f}" y2="{self.top + HEIGHT - BOTTOM}" class="grid"/>'
            label = f"{10 ** power:,} peers"
            yield f'<text x="{x:.1f}" y="{self.top + HEIGHT - BOTTOM + 18}" text-anchor="middle">{label}</text>'
        for power in range(self.y_decades[0], self.y_decades[1] + 1):
            y = self.y(10 ** power)
            yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" class="grid"/>'
            yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{si(10 ** power).strip()}</text>'
        for name, points in self.points.items():
            points = [(self.x(x), self.y(y)) for x, y in sorted(points) if y > 0]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            yield f'<polyline points="{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>'
            for x, y in points:
                yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{COLOURS[name]}"/>'


def decades(values):
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return (low, max(high, low + 1))


def plot(rows):
    panels = [Panel(rows, *panel, top=40 + i * HEIGHT) for i, panel in enumerate(PANELS)]
    height = 40 + len(panels) * HEIGHT
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
           f'font-family="sans-serif" font-size="12" fill="#333">')
    yield "<style>.title{font-size:14px;font-weight:bold}.grid{stroke:#ddd}</style>"
    yield f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
    for i, (name, colour) in enumerate(COLOURS.items()):
        x = LEFT + i * 150
        yield f'<circle cx="{x + 5}" cy="24" r="4" fill="{colour}"/><text x="{x + 16}" y="28">{name}</text>'
    for panel in panels:
        yield from panel.draw()
    yield "</svg>"


HEADER = """# How cost grows

The engines of natpeer and natcoord, thousands of them in one process, in virtual time (`tests/sim`): peers on public
addresses, 20 ms from each other, start within 5 s. Packets and bytes are counted on the virtual wire, with IP
and UDP headers; memory is what the heap gave back when the engines went.

Written by `./scripts/sim scale` on {date}, version {version}. The figures of the wire are the same in each run of the
same seed; memory depends on the allocator, and the last column on the machine.

| peers | topics | all have met after | lists until then | their bytes | packets/s of each peer | bytes/s of each peer | memory of a peer | natcoord's memory for it | one leaves: lists | bytes | real time |
|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
"""

FOOTER = """
![The same as curves]({plot})

What to read from it:

- **A change of a topic costs natcoord N deltas of the same few bytes**: in proportion to N, where the seed protocol's lists
  of N entries, which clients of section 1 still get, cost N². What joining costs is the snapshots of those who come, and the
  deltas for those who are there.
- **PINGs are as rare as NATs allow**: while nobody speaks, one each 5 s on a new path and ever rarer, up to 25 s, to each of
  the N-1 others, and its answer. The seed protocol takes 4 a second.
- Memory of a peer grows with the peers it knows. natcoord's does not depend on the size of the topics.
"""


def commit():
    try:
        return subprocess.run(["git", "describe", "--always", "--dirty", "--exclude=*"], capture_output=True, text=True,
                              check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def table(rows):
    for row in sorted(rows, key=lambda row: (row["topics"] > 1, row["peers"])):
        yield (f"| {row['peers']:,} | {row['topics']:,} | {row['joining_seconds']:.1f} s | {row['lists']:,} "
               f"| {si(row['list_bytes'])}B | {row['packets_per_peer_second']:,.0f} | {si(row['bytes_per_peer_second'])}B "
               f"| {si(row['peer_memory'])}B | {si(row['coordinator_memory'])}B | {row['change_lists']:,} "
               f"| {si(row['change_bytes'])}B | {row['real_seconds']:.1f} s |")


def main():
    source, page, picture = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        rows = json.load(file)
    with open(page, "w", encoding="utf-8") as out:
        out.write(HEADER.format(date=datetime.date.today().isoformat(), version=commit()))
        out.write("\n".join(table(rows)) + "\n")
        out.write(FOOTER.format(plot=os.path.basename(picture)))
    with open(picture, "w", encoding="utf-8") as out:
        out.write("\n".join(plot(rows)) + "\n")


if __name__ == "__main__":
    main()
