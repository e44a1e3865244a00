"""The figures as a picture: bars of throughput, the first seconds of a link, bars of latency. Lengths are in pixels."""
import html
import statistics

from bench import link

INK, QUIET, PAPER, RULE = "#18181b", "#52525b", "#ffffff", "#e4e4e7"
OURS, OTHERS = "#2563eb", "#a1a1aa"
LINES = {0: "#15803d", 1: "#2563eb", 5: "#f59e0b"}  # by loss
WIDTH, MARGIN, LABEL, BAR, GAP = 760, 24, 110, 22, 8
CHART_HEIGHT, CHART_SECONDS = 180, 4.0


def text(x, y, content, size=13, colour=INK, anchor="start", more=""):
    return (f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" {more}>'
            f"{html.escape(content)}</text>")


def heading(y, content):
    return text(MARGIN, y, content, 15, more='font-weight="600"')


def bars(top, rows):
    """`rows`: (label, value, words behind the bar, colour). The SVG parts, and where they end."""
    scale = (WIDTH - 2 * MARGIN - LABEL - 150) / max(value for _, value, _, _ in rows)
    parts = []
    for number, (label, value, words, colour) in enumerate(rows):
        y = top + number * (BAR + GAP)
        parts += [text(MARGIN + LABEL - 10, y + 16, label, anchor="end"),
                  f'<rect x="{MARGIN + LABEL}" y="{y}" width="{value * scale:.1f}" height="{BAR}" rx="3" fill="{colour}"/>',
                  text(MARGIN + LABEL + value * scale + 8, y + 16, words, colour=QUIET)]
    return parts, top + len(rows) * (BAR + GAP)


def throughput(top, results):
    rows = [(name, statistics.median(run.rate for run in runs) / 1e9) for name, runs in results.items()]
    rows = [(name, rate, f"{rate:.2f} Gbit/s", OURS if "→" in name else OTHERS) for name, rate in rows]
    parts, end = bars(top + 16, rows)
    return [heading(top, "Delivered, sum of all receivers"), *parts], end


def latency(top, results):
    rows = [(f"{name}, {which}", statistics.median(getattr(run, which) for run in runs) * 1e6)
            for which in ("p50", "p99") for name, runs in zip(("bare relay", "natpeer"), results)]
    rows = [(name, value, f"{value:.0f} µs", OURS if "natpeer" in name else OTHERS) for name, value in rows]
    parts, end = bars(top + 16, rows)
    return [heading(top, "A line of 100 bytes, stdin to stdout"), *parts], end


def rates(series):
    """(seconds, bit/s) over link.WINDOW before each look."""
    made = []
    for at, total in series:
        earlier = [each for each in series if at - link.WINDOW - link.STEP / 2 <= each[0] < at]
        if earlier and at <= CHART_SECONDS:
            made.append((at, 8 * (total - earlier[0][1]) / (at - earlier[0][0])))
    return made


def start_up(top, results):
    left, right, bottom = MARGIN + 50, WIDTH - MARGIN, top + 20 + CHART_HEIGHT

    def place(seconds, rate):
        return left + (right - left) * seconds / CHART_SECONDS, bottom - CHART_HEIGHT * min(rate, link.RATE) / link.RATE
    parts = [heading(top, "The first seconds on a link of 100 Mbit/s with a round trip of 50 ms")]
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = place(0, share * link.RATE)[1]
        parts += [f'<line x1="{left}" x2="{right}" y1="{y:g}" y2="{y:g}" stroke="{RULE}"/>',
                  text(left - 8, y + 4, f"{share * link.RATE / 1e6:.0f}", 12, QUIET, "end")]
    for seconds in range(int(CHART_SECONDS) + 1):
        parts.append(text(place(seconds, 0)[0], bottom + 18, f"{seconds} s", 12, QUIET, "middle"))
    for number, each in enumerate(results):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in rates(each.series)))
        parts += [f'<polyline points="{points}" fill="none" stroke="{LINES[each.loss]}" stroke-width="2"/>',
                  f'<rect x="{left + 130 * number}" y="{bottom + 32}" width="14" height="14" fill="{LINES[each.loss]}"/>',
                  text(left + 20 + 130 * number, bottom + 44, f"{each.loss} % loss", 12, QUIET)]
    return parts, bottom + 52


def svg(results, meta):
    parts, y = [], MARGIN + 60
    for name, draw in (("throughput", throughput), ("link", start_up), ("latency", latency)):
        made, y = draw(y, results[name])
        parts += made
        y += 32
    height = y + MARGIN
    head = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif" role="img">',
            "<title>How fast natpeer is</title>",
            f'<rect width="{WIDTH}" height="{height}" rx="10" fill="{PAPER}"/>',
            text(MARGIN, MARGIN + 18, "How fast natpeer is", 20, more='font-weight="600"')]
    return "\n".join([*head, *parts, text(MARGIN, height - 16, f"{meta.version}, commit {meta.commit}, {meta.date}", 12,
                                          QUIET), "</svg>"]) + "\n"
