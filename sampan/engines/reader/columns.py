"""What tables tell about facts: texts paired inside a table are none, and a table of one row is a form in columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sampan.engines.reader.facts import Fact
from sampan.engines.reader.folding import bare
from sampan.engines.reader.grid import Grid
from sampan.engines.reader.lexicon import Lexicon
from sampan.engines.reader.page import Box, Cell, Line, join_text

SURE = 0.96
UNSURE = 0.9


def settled(known: Sequence[Fact], grids: Sequence[Grid], lexicon: Lexicon) -> list[Fact]:
    """Facts without those that pair cells of a table of values, or that take a key for the value of another."""
    inner = [
        {_spot(box) for cell in _cells(each) for box in (cell.box, *(line.box for line in cell.lines))}
        for each in grids
        if _of_values(each)
    ]
    keys = {bare(fact.key) for fact in known if lexicon.concepts(fact.key) or fact.trust >= 1.0}
    kept = []
    for fact in known:
        if fact.trust < 1.0 and any(_spot(fact.spot) in spots for spots in inner):
            continue
        if fact.trust < 1.0 and bare(fact.value) in keys and _typed(fact.value, lexicon):
            continue
        kept.append(fact)
    kept.extend(fact for each in grids if _in_columns(each) for fact in _of_one_row(each, lexicon))
    return kept


def _of_values(grid: Grid) -> bool:
    """Whether a table is one of values: several rows, most of whose cells are filled."""
    filled = sum(len(row) for row in grid.body)
    return len(grid.body) > 1 and len(grid.heads) > 2 and filled * 4 >= 3 * len(grid.heads) * len(grid.body)


def _in_columns(grid: Grid) -> bool:
    """Whether a table is a form set in columns: one row of values and no sum, and none of what lists of goods have."""
    names = {name for _, head in grid.heads for name in head.names}
    return len(grid.body) == 1 and not grid.totals and not {"unit_price", "tax_rate"} & names


def _of_one_row(grid: Grid, lexicon: Lexicon) -> Iterator[Fact]:
    """Each heading with the one value below it."""
    for column, head in grid.heads:
        cell = grid.cell(grid.body[0], column)
        if cell is None or not head.text or _typed(cell.text, lexicon):
            continue
        quoted = Line(join_text([head.text, cell.text]), cell.box)
        trust = SURE if lexicon.concepts(head.text) else UNSURE
        yield Fact(head.text, cell.text, quoted, grid.page, trust, head, cell.box)


def _typed(text: str, lexicon: Lexicon) -> bool:
    return any(name in lexicon.types for name in lexicon.concepts(text))


def _cells(grid: Grid) -> Iterator[Cell]:
    yield from grid.top
    for row in grid.body:
        yield from row


def _spot(box: Box) -> tuple[int, int]:
    return round(box.left), round(box.middle)
