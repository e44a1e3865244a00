"""The troubles, their measuring and their page, from made-up results. The quick ones are played in scenarios_test."""
import os
import sys
import types
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import pair, recovery, recovery_report, report, scenarios_crowds  # noqa: E402
from lab.recovery import TROUBLES, Case  # noqa: E402
from lab.scenarios import SCENARIOS  # noqa: E402

META = report.Meta("2026-11-24 01:02 UTC", "natpeer 0.1.0", "abc1234", "Linux, 2 processors", "./scripts/lab recovery")


def recovered(seconds, path=None, lost=0, later=0):
    return pair.Recovery(seconds, path, lost, later, relayed=0)


class HeardTalker:
    """A talker that said so many lines and got these ones of the other."""

    def __init__(self, name, said, heard):
        self.name, self.said, self.heard, self.faults = name, said, heard, []
        self.program = types.SimpleNamespace(is_running=lambda: True)

    def heard_from(self, _name):
        return self.heard

    def has_heard(self, _other, number=0):
        return any(heard >= number for heard in self.heard)


def pair_of(first_heard, second_heard, said=10):
    first, second = HeardTalker("first", said, first_heard), HeardTalker("second", said, second_heard)
    return types.SimpleNamespace(talkers=[first, second], directions=((second, first), (first, second)))


class Silent:
    """A story that keeps nothing, and fails as one."""

    def say(self, _line):
        pass

    def expect(self, condition, failure):
        if not condition:
            raise AssertionError(failure)


class RecoveryMeasureTest(unittest.TestCase):
    def lost(self, first_heard, second_heard):
        """The trouble was behind line 2, and the network was well from line 5 on."""
        return pair.count_lost(pair_of(first_heard, second_heard), {"first": 3, "second": 3}, {"first": 5, "second": 5})

    def test_lines_that_never_arrived_are_counted_both_ways(self):
        self.assertEqual(self.lost([*range(10)], [*range(10)]), (0, 0))
        self.assertEqual(self.lost([0, 1, 2, 6, 7, 8, 9], [*range(10)]), (3, 0))
        self.assertEqual(self.lost([0, 1, 2, 5, 6, 8, 9], [0, 1, 2, 3, 4, 6, 7, 9]), (5, 2))

    def test_a_line_that_comes_twice_or_late_is_a_fault(self):
        pair.check(pair_of([0, 2, 5], [0, 1, 2]))
        for numbers in ([0, 1, 1], [0, 2, 1]):
            with self.assertRaises(AssertionError):
                pair.check(pair_of([0, 1, 2], numbers))

    def test_what_is_kept_may_lose_nothing_and_another_path_must_be_told(self):
        for trouble, result, good in (("coordinator-gone", recovered(0.1), True),
                                      ("coordinator-gone", recovered(0.1, lost=1), False),
                                      ("router-forgets-sym", recovered(0.1, path=0.2), True),
                                      ("router-forgets-sym", recovered(0.1), False),
                                      ("router-forgets", recovered(60.0, lost=9), True)):
            with self.subTest(trouble=trouble, result=result):
                case = Case(next(each for each in TROUBLES if each.name == trouble), "port", "port")
                self.assertEqual(recovery.fault_of(case, result) is None, good)

    def test_each_trouble_is_a_scenario_and_its_pairs_have_the_path_that_it_needs(self):
        for trouble in TROUBLES:
            self.assertIn(trouble.name, SCENARIOS)
            for case in recovery.cases_of(trouble):
                if trouble.keeps or trouble.new_path:
                    self.assertTrue(case.is_direct(), case.between)
                if trouble.name.endswith("-relay"):
                    self.assertFalse(case.is_direct(), case.between)


class RecoveryPageTest(unittest.TestCase):
    def setUp(self):
        self.cases = recovery.cases_of(*TROUBLES)

    def row(self, *results):
        page = recovery_report.markdown([(self.cases[0], result) for result in results], META, len(results))
        return next(line for line in page.splitlines() if line.startswith("| mapping-expires | port, port |"))

    def test_a_row_has_the_median_and_the_worst_of_its_runs(self):
        row = self.row(recovered(0.5, 0.7, 3, 1), recovered(0.1, 0.6, 4), recovered(1.5, 0.8))
        self.assertTrue(row.endswith("| 0.50 s | 1.50 s | 0.70 s | 0.80 s | 4 | 1 |"), row)

    def test_what_takes_too_long_or_fails_is_bold(self):
        self.assertIn("| **2.10 s** | kept |", self.row(recovered(0.5), recovered(2.1)))
        self.assertIn("**fails** (1 of 2)", self.row(recovered(0.5), "it ended\nits log"))
        self.assertIn("**fails** (1 of 1)", self.row("it ended"))

    def test_the_summary_counts_runs_and_cases(self):
        results = [(self.cases[0], recovered(0.5)), (self.cases[0], recovered(2.1)), (self.cases[1], recovered(0.1)),
                   (self.cases[2], "it ended")]
        said = recovery_report.summary(results)
        self.assertIn("2 of 4 runs", said)
        self.assertIn("1 of 3 cases", said)
        self.assertIn("worst 2.10 s", said)

    def test_the_page_says_which_run_it_is_from_what_happened_and_what_failed(self):
        page = recovery_report.markdown([(case, recovered(0.1)) for case in self.cases[1:]] +
                                        [(self.cases[0], "it ended\nits log")], META, 1)
        for word in (META.date, META.version, META.commit, META.machine, META.command, "it ended",
                     *(trouble.happens for trouble in TROUBLES), *(trouble.usable for trouble in TROUBLES)):
            self.assertIn(word, page)
        self.assertNotIn("its log", page)


class CrowdJudgeTest(unittest.TestCase):
    """What mixed-ten lets pass and what not."""

    def seed_gets(self, numbers, said=20):
        speaker, listener = HeardTalker("open", said, []), HeardTalker("full", said, numbers)
        scenarios_crowds.expect_once(Silent(), listener, speaker, deadline=0)

    def test_a_seed_peer_may_lack_a_few_lines_and_get_none_twice(self):
        self.seed_gets([*range(20)])
        self.seed_gets([*range(5, 15), *range(16, 20)])
        for numbers in ([*range(20), 7], [*range(0, 20, 2)]):
            with self.assertRaises(AssertionError):
                self.seed_gets(numbers)

    def test_ours_get_each_line_once_in_order_to_the_last(self):
        def judge(numbers):
            ours = [HeardTalker("open", 10, [*range(10)]), HeardTalker("fw", 10, numbers)]
            scenarios_crowds.expect_all_of_ours(Silent(), ours, deadline=0)
        judge([*range(4, 10)])
        for numbers in ([*range(9)], [1, 2, 3, 5, 6, 7, 8, 9], [*range(8), 9, 8], [*range(5), *range(4, 10)]):
            with self.assertRaises(AssertionError):
                judge(numbers)

    def test_only_who_cannot_reach_a_seed_peer_is_let_off(self):
        def talker(kind):
            return types.SimpleNamespace(name=kind)
        off = {kind for kind in scenarios_crowds.KINDS for seed in scenarios_crowds.SEEDS
               if kind != seed and not scenarios_crowds.must_hear(talker(kind), talker(seed))}
        self.assertEqual(off, {"portopen", "sym", "symseq", "noudp"})
        self.assertTrue(scenarios_crowds.must_hear(talker("noudp"), talker("sym")))


if __name__ == "__main__":
    unittest.main()
