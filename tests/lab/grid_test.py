"""The quick part of the grid, and the table of what is expected. `scripts/lab grid` runs all of it."""
import sys
import unittest

from lab import grid
from lab.cell import Cell
from lab.nats import KINDS
from lab.testing import LabCase

CONNECT = ("open", "fw", "full", "addr", "port", "cgnat")  # each with each of these, whoever starts first
JOBS = 2  # pairs at a time: other tests run beside these


class GridCase(LabCase):
    def assert_as_the_table_says(self, pairs, jobs=JOBS, **programs):
        cells = grid.run_grid(pairs, jobs=jobs, on_cell=lambda cell: print(cell, file=sys.stderr), **programs)
        self.assertEqual([cell.first for cell in cells], [first for first, _ in pairs])
        for cell in cells:
            word, sentence = grid.judge(cell)
            self.assertEqual(word, "as expected", sentence)


class GridConnectTest(GridCase):
    def test_two_peers_behind_the_same_kind_connect(self):
        self.assert_as_the_table_says([(kind, kind) for kind in CONNECT])

    def test_peers_behind_different_kinds_connect(self):
        self.assert_as_the_table_says([("open", "port"), ("port", "open"), ("cgnat", "full"), ("addr", "fw"),
                                       ("port", "cgnat"), ("fw", "addr")])


class GridSeedTest(GridCase):
    """Section 1 of docs/PROTOCOL.md is all that the other side knows."""

    def test_a_seed_peer_that_comes_second_connects(self):
        self.assert_as_the_table_says([("port", "cgnat"), ("addr", "port")], second="seed")

    def test_a_seed_peer_that_was_first_connects(self):
        self.assert_as_the_table_says([("port", "cgnat"), ("addr", "port")], first="seed")


class GridHardTest(GridCase):
    def test_where_no_direct_path_is_possible_the_relay_carries(self):
        self.assert_as_the_table_says([("sym", "port"), ("open", "noudp"), ("noudp", "noudp"), ("symseq", "sym")])

    def test_a_symmetric_nat_is_met_directly_by_who_lets_any_port_in(self):
        self.assert_as_the_table_says([("open", "symseq"), ("full", "sym"), ("sym", "addr")])

    def test_whose_mapping_an_unasked_packet_moves_pings_first(self):
        self.assert_as_the_table_says([("portopen", "port"), ("fw", "portopen"), ("cgnat", "portopen")])


class GridHardSeedTest(GridCase):
    """What cannot connect must not seem to: the NATs would not be what they are called."""

    def test_symmetric_nats_do_not_connect_with_seed_peers(self):
        # All at a time: they only wait.
        self.assert_as_the_table_says([("sym", "port"), ("open", "symseq"), ("full", "sym")], jobs=4, second="seed")


class GridTableTest(unittest.TestCase):
    def test_the_table_has_every_ordered_pair(self):
        self.assertEqual(set(grid.EXPECTED), set(grid.pairs()))
        self.assertEqual(len(grid.EXPECTED), len(KINDS) ** 2)

    def test_the_six_kinds_connect_in_either_order(self):
        self.assertEqual({grid.EXPECTED[pair] for pair in grid.pairs(CONNECT)}, {"both"})

    def judged(self, pair, forward, backward, fault=None):
        """With a seed peer."""
        return grid.judge(Cell(*pair, "natpeer", "seed", forward, backward, fault=fault))

    def judged_natpeers(self, pair, forward=0.1, backward=0.1, direct=True):
        return grid.judge(Cell(*pair, "natpeer", "natpeer", forward, backward, direct))[0]

    def test_two_natpeers_connect_always_and_directly_where_that_is_possible(self):
        self.assertEqual(set(grid.NATPEER_EXPECTED), set(grid.pairs()))
        direct = {frozenset(pair) for pair, path in grid.NATPEER_EXPECTED.items() if path == "direct"}
        self.assertEqual(len(direct), 33)
        self.assertEqual(self.judged_natpeers(("open", "port")), "as expected")
        self.assertEqual(self.judged_natpeers(("open", "port"), direct=False), "worse")
        self.assertEqual(self.judged_natpeers(("sym", "port"), direct=False), "as expected")
        self.assertEqual(self.judged_natpeers(("sym", "port")), "better")
        for times in ((0.1, None), (None, 0.1), (None, None)):
            self.assertEqual(self.judged_natpeers(("noudp", "noudp"), *times, direct=False), "worse")

    def test_a_pair_that_must_connect_and_does_so_one_way_only_is_worse(self):
        for times in ((0.1, None), (None, 0.1), (None, None)):
            word, sentence = self.judged(("open", "port"), *times)
            self.assertEqual(word, "worse")
            self.assertIn("open then port", sentence)

    def test_a_pair_that_connects_beyond_the_table_asks_to_raise_it(self):
        for times in ((0.1, None), (None, 0.1), (0.1, 0.1)):
            word, sentence = self.judged(("sym", "port"), *times)
            self.assertEqual(word, "better")
            self.assertIn("raise it", sentence)

    def test_an_informative_pair_is_as_expected_either_way(self):
        for times in ((0.1, None), (None, None), (0.1, 0.1)):
            self.assertEqual(self.judged(("portopen", "port"), *times)[0], "as expected")

    def test_a_fault_is_worse_in_every_cell(self):
        for pair in (("open", "open"), ("portopen", "open"), ("sym", "sym")):
            self.assertEqual(self.judged(pair, 0.1, 0.1, "alice ended")[0], "worse")


if __name__ == "__main__":
    unittest.main()
