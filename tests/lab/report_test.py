"""The grid's page and picture, from made-up cells."""
import collections
import os
import re
import sys
import tempfile
import unittest
import xml.etree.ElementTree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import report  # noqa: E402

Cell = collections.namedtuple("Cell", "first second forward backward path")
META = report.Meta("2026-11-24 01:02 UTC", "natpeer 0.1.0", "abc1234", "Linux, 2 processors", "./scripts/lab grid")
SVG = "{http://www.w3.org/2000/svg}"


def whole_grid():
    """All ten kinds: every path, time, one-way and missing cell somewhere."""
    cells = []
    for i, first in enumerate(report.KINDS):
        for j, second in enumerate(report.KINDS):
            if "noudp" in (first, second):
                cells.append(Cell(first, second, None, None, None))
            elif first.startswith("sym"):
                cells.append(Cell(first, second, 0.3 * (i + j), 0.2 * (i + j), "relayed"))
            elif second.startswith("sym"):
                cells.append(Cell(first, second, *((0.4, None) if i % 2 else (None, 0.4)), "direct"))
            else:
                cells.append(Cell(first, second, 0.1 * i * j, 0.12 * i * j + 0.1, "direct"))
    return cells


class ReportTest(unittest.TestCase):
    def test_a_markdown_cell_says_path_times_and_direction(self):
        for cell, wanted in ((Cell("open", "fw", 0.314, 0.278, "direct"), "direct 0.31 s / 0.28 s"),
                             (Cell("open", "fw", 1.0, 2.0, "relayed"), "relayed 1.00 s / 2.00 s"),
                             (Cell("open", "fw", 0.3, None, "direct"), "1→2 only"),
                             (Cell("open", "fw", None, 0.3, "direct"), "2→1 only"),
                             (Cell("open", "fw", None, None, None), "—")):
            self.assertIn(f"| **open** |  | {wanted} |", report.markdown([cell], META))

    def test_the_page_has_a_row_and_a_column_for_each_kind_in_the_order_of_the_kinds(self):
        lines = report.markdown(list(reversed(whole_grid())), META).splitlines()
        head = next(number for number, line in enumerate(lines) if line.startswith("| first"))
        self.assertEqual(re.findall(r"\*\*(\w+)\*\*", lines[head]), list(report.KINDS))
        rows = lines[head + 2:head + 2 + len(report.KINDS)]
        self.assertEqual([re.match(r"\| \*\*(\w+)\*\*", row)[1] for row in rows], list(report.KINDS))
        self.assertEqual({row.count("|") for row in rows}, {len(report.KINDS) + 2})

    def test_the_page_says_which_run_it_is_from(self):
        page = report.markdown(whole_grid(), META)
        for word in (META.date, META.version, META.commit, META.machine, META.command):
            self.assertIn(word, page)

    def test_every_cell_is_counted_once(self):
        cells = whole_grid()
        counts = [int(number) for number in re.findall(r"\d+", report.summary(cells))]
        self.assertEqual(counts[0], 100)
        self.assertEqual(sum(counts[1:]), 100)

    def test_a_pair_counts_where_it_delivers_both_ways_in_both_orders(self):
        good, relayed = Cell("open", "fw", 0.1, 0.2, "direct"), Cell("fw", "open", 0.1, 0.4, "relayed")
        for other, whole, direct in ((Cell("fw", "open", 0.1, 0.3, "direct"), 1, 1), (relayed, 1, 0),
                                     (Cell("fw", "open", 0.1, None, "direct"), 0, 0),
                                     (Cell("fw", "open", None, None, None), 0, 0)):
            with self.subTest(other):
                figures = "\n".join(report.figures([good, other]))
                self.assertIn(f"{whole} of 1 pairs", figures)
                self.assertRegex(figures, rf"in either order: {direct} pairs")

    def test_a_pair_of_one_kind_counts_and_one_that_was_run_in_one_order_does_not(self):
        cells = [Cell("open", "open", 0.1, 0.2, "direct"), Cell("open", "fw", 0.1, 0.2, "direct")]
        self.assertIn("1 of 1 pairs", report.figures(cells)[0])

    def test_the_times_are_of_every_direction(self):
        cells = [Cell("open", "open", 0.1, 0.2, "direct"), Cell("fw", "fw", 0.3, 0.9, "direct"),
                 Cell("port", "port", None, 0.2, "direct")]
        self.assertIn("median 0.20 s, worst 0.90 s", report.figures(cells)[-1])
        self.assertEqual(len(report.figures([Cell("open", "fw", None, None, None)])), 2)

    def test_the_goals_stand_beside_a_whole_grid_alone(self):
        self.assertIn("of 55 pairs (goal: 55)", report.markdown(whole_grid(), META))
        self.assertNotIn("goal", report.markdown([Cell("open", "open", 0.1, 0.2, "direct")], META))

    def test_the_picture_is_well_formed_and_has_each_cell(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "grid.svg")
            report.write_svg(whole_grid(), path, META)
            root = xml.etree.ElementTree.parse(path).getroot()
        tips = [title.text for title in root.iter(f"{SVG}title")]
        for first in report.KINDS:
            for second in report.KINDS:
                self.assertEqual(sum(tip.startswith(f"{first} then {second}:") for tip in tips), 1)

    def test_the_colour_tells_path_and_time(self):
        quick, slow = Cell("open", "fw", 0.1, 0.2, "direct"), Cell("open", "fw", 0.1, 60.0, "direct")
        self.assertEqual((report.fill(quick), report.fill(slow)), (report.GREENS[0], report.GREENS[-1]))
        self.assertEqual(report.fill(Cell("open", "fw", 0.1, 0.7, "relayed")), report.BLUES[1])
        self.assertEqual(report.fill(Cell("open", "fw", None, 0.7, "direct")), report.AMBER)
        self.assertEqual(report.fill(Cell("open", "fw", None, None, None)), report.GREY)

    def test_text_stays_inside_the_picture(self):
        root = xml.etree.ElementTree.fromstring(report.svg(whole_grid(), META))
        width, height = float(root.get("width")), float(root.get("height"))
        for element in root.iter(f"{SVG}text"):
            if element.get("transform"):
                continue
            span = 0.62 * float(element.get("font-size")) * len(element.text)  # a wide font's
            before = {"start": 0, "middle": span / 2, "end": span}[element.get("text-anchor")]
            self.assertGreaterEqual(float(element.get("x")) - before, 0, element.text)
            self.assertLessEqual(float(element.get("x")) - before + span, width, element.text)
            self.assertLessEqual(float(element.get("y")), height, element.text)

    def test_a_part_of_the_grid_is_a_small_table(self):
        cells = [cell for cell in whole_grid() if {cell.first, cell.second} <= {"port", "sym"}]
        self.assertIn("| first ↓ second → | **port** | **sym** |", report.markdown(cells, META))
        report.svg(cells, META)
