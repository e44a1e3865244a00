"""All pairs of NAT kinds, what is expected of each, and many of them at a time."""
import traceback

from lab.cell import DEADLINE, Cell, run_cell
from lab.jobs import in_parallel
from lab.nats import KINDS

PATIENCE = 30.0  # seconds for a pair that must connect; the others are given up after the cell's own deadline

# What two natpeers must do today: both ways always, `d` directly within cell.DIRECT_DEADLINE, `r` by the relay. Row: the
# kind whose peer was started first; column: the other's.
NATPEER_TABLE = """
             open  fw  full  addr  port  portopen  sym  symseq  cgnat  noudp
    open      d    d    d     d     d       d       d     d       d      r
    fw        d    d    d     d     d       d       r     r       d      r
    full      d    d    d     d     d       d       d     d       d      r
    addr      d    d    d     d     d       d       d     d       d      r
    port      d    d    d     d     d       d       r     r       d      r
    portopen  d    d    d     d     d       r       r     r       d      r
    sym       d    r    d     d     r       r       r     r       r      r
    symseq    d    r    d     d     r       r       r     r       r      r
    cgnat     d    d    d     d     d       d       r     r       d      r
    noudp     r    r    r     r     r       r       r     r       r      r
"""

# What a natpeer and a seed peer must do, in a table of the same form.
#
#   +  connects, both ways
#   ?  informative: may connect or not. A packet that comes to portopen before its own peer has sent one shifts the
#      mapping, so who pings first decides
#   .  does not connect. A symmetric NAT sends from a port that nobody was told; without UDP nobody registers
EXPECTED_TABLE = """
             open  fw  full  addr  port  portopen  sym  symseq  cgnat  noudp
    open      +    +    +     +     +       ?       .     .       +      .
    fw        +    +    +     +     +       ?       .     .       +      .
    full      +    +    +     +     +       ?       .     .       +      .
    addr      +    +    +     +     +       ?       .     .       +      .
    port      +    +    +     +     +       ?       .     .       +      .
    portopen  ?    ?    ?     ?     ?       ?       .     .       ?      .
    sym       .    .    .     .     .       .       .     .       .      .
    symseq    .    .    .     .     .       .       .     .       .      .
    cgnat     +    +    +     +     +       ?       .     .       +      .
    noudp     .    .    .     .     .       .       .     .       .      .
"""
MEANING = {"+": "both", "?": "any", ".": "none", "d": "direct", "r": "relayed"}


def read_table(text):
    """(first kind, second kind) -> "both", "any" or "none"."""
    head, *rows = [line.split() for line in text.strip().splitlines()]
    return {(row[0], second): MEANING[symbol] for row in rows for second, symbol in zip(head, row[1:], strict=True)}


EXPECTED = read_table(EXPECTED_TABLE)
NATPEER_EXPECTED = read_table(NATPEER_TABLE)


def is_natpeers(cell):
    return (cell.first_program, cell.second_program) == ("natpeer", "natpeer")


def judge_natpeers(cell):
    expected = NATPEER_EXPECTED[cell.first, cell.second]
    if cell.fault or cell.verdict != "both":
        return "worse", f"worse than the table, which has both ways: {cell}"
    if expected == "direct" and cell.path != "direct":
        return "worse", f"worse than the table, which has a direct path: {cell}"
    if expected == "relayed" and cell.path == "direct":
        return "better", f"better than the table: raise it in tests/lab/lab/grid.py: {cell}"
    return "as expected", ""


def judge(cell):
    """(word, sentence): "worse", "better" or "as expected", and what to tell of the first two."""
    if is_natpeers(cell):
        return judge_natpeers(cell)
    expected = EXPECTED[cell.first, cell.second]
    if cell.fault:
        return "worse", f"worse than the table: {cell}"
    if expected == "both" and cell.verdict != "both":
        return "worse", f"worse than the table, which has both ways: {cell}"
    if expected == "none" and cell.verdict != "none":
        return "better", f"better than the table: raise it in tests/lab/lab/grid.py: {cell}"
    return "as expected", ""


def pairs(kinds=KINDS):
    """Every ordered pair of these."""
    return [(first, second) for first in kinds for second in kinds]


def run_pair(pair, first, second):
    """The Cell; where the laboratory itself fails, a Cell with that as its fault."""
    waits = EXPECTED[pair] == "both" or (first, second) == ("natpeer", "natpeer")
    deadline = PATIENCE if waits else DEADLINE
    try:
        return run_cell(*pair, first=first, second=second, deadline=deadline)
    except Exception as error:  # one broken cell must not hide the others
        traceback.print_exc()
        return Cell(*pair, first, second, fault=f"{type(error).__name__}: {error}")


def run_grid(wanted, *, first="natpeer", second="natpeer", jobs=4, on_cell=lambda cell: None):
    """The Cells of these pairs, in their order, `jobs` at a time. `on_cell` is called with each as it is done."""
    cells = {}
    for pair, cell in in_parallel(lambda pair: run_pair(pair, first, second), wanted, jobs):
        cells[pair] = cell
        on_cell(cell)
    return [cells[pair] for pair in wanted]
