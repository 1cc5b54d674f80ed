"""Tables: from the boxes that ruled lines close, or from text that stands in columns under a heading."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from sampan.engines.reader.aliases import named
from sampan.engines.reader.folding import fold
from sampan.engines.reader.layout import Row, rows
from sampan.engines.reader.lexicon import Lexicon
from sampan.engines.reader.page import Box, Cell, Line, Page, Table, union
from sampan.engines.reader.regular import regular, stacked

COLUMN_HEADS = named(
    "item_name specification unit quantity unit_price price amount net_amount subtotal tax_rate tax_amount"
    " total remark discount number date name result reference_range dosage type total_with_tax department"
    " position status medicine"
)
TOTAL_ROW = re.compile(
    r"^\W*(?:合\s*计|总\s*计|小\s*计|共\s*计|價稅|价税|應付|应付|实收|實收|实付|總|total|sub\s*-?total"
    r"|grand|tax|vat|cash|change|amount due|balance|找零|优惠|折扣|现金)",
    re.IGNORECASE,
)
HAS_PAIR = re.compile(r"^\D{1,16}[:：]")


def cut_at_walls(page: Page) -> Page:
    """The page with lines that run across a ruled wall cut there, so that each part stands in its own cell."""
    if not page.cells:
        return page
    lines: list[Line] = []
    for line in page.lines:
        lines.extend(_cut(line, page.cells))
    return replace(page, lines=tuple(lines))


def _cut(line: Line, cells: Sequence[Box]) -> list[Line]:
    if len(line.centres) != len(line.text):
        return [line]
    across = [
        c for c in cells if c.top < line.box.middle < c.bottom and c.overlap_across(line.box) > 0.3 * line.box.height
    ]
    # A bold character's strokes may close a box, too; a cell is larger than one character.
    across = [c for c in across if c.width > 1.4 * line.box.height and c.height > 0.9 * line.box.height]
    walls = sorted({round(c.left) for c in across if line.box.left + 4 < c.left < line.box.right - 4})
    cuts = []
    for wall in walls:
        at = sum(centre < wall for centre in line.centres)
        if 0 < at < len(line.text) and at not in cuts:
            cuts.append(at)
    if not cuts:
        return [line]
    parts = [line.part(a, b) for a, b in zip([0, *cuts], [*cuts, len(line.text)], strict=True)]
    return [part for part in parts if part.text]


def tables(page: Page, lexicon: Lexicon) -> list[Table]:
    """Ruled tables of at least two rows and columns, then tables that are told by their headings alone."""
    found = _ruled(page)
    made = [table for table in found if len(table.rows) >= 2 and table.columns >= 2]
    loose = [
        line
        for line in page.lines
        if not any(_well_filled(t) and t.box.holds(line.box.centre, line.box.middle) for t in made)
    ]
    return made + _aligned(rows(loose), lexicon)


def side_by_side(table: Table) -> list[Table]:
    """A table whose heading comes twice from left to right as the tables that were printed side by side."""
    for head in table.rows[:3]:
        texts = [fold(cell.text) for cell in head]
        size = len(texts) // 2
        if len(texts) < 4 or len(texts) % 2 or not all(texts):
            continue
        alike = sum(one == other for one, other in zip(texts[:size], texts[size:], strict=True))
        if alike == 0 or alike < size - 1:
            continue
        wall = head[size].column
        halves = []
        for first, last in ((0, wall), (wall, table.columns)):
            kept = [
                tuple(replace(c, column=c.column - first, last=c.last - first) for c in row if first <= c.column < last)
                for row in table.rows
            ]
            filled = tuple(row for row in kept if any(cell.text for cell in row))
            if filled:
                halves.append(replace(table, rows=filled, columns=last - first))
        return halves
    return [table]


def _well_filled(table: Table) -> bool:
    """Whether a ruled table's cells hold little text each: a frame around a whole form is not a table of values."""
    return all(len(cell.lines) <= 6 for row in table.rows for cell in row) and table.columns >= 3


def _ruled(page: Page) -> list[Table]:
    groups: list[list[Box]] = []
    for box in sorted(page.cells, key=lambda b: (b.top, b.left)):
        near = [g for g in groups if any(_touch(box, other) for other in g)]
        merged = [box, *(b for g in near for b in g)]
        groups = [g for g in groups if g not in near] + [merged]
    return [table for group in groups if len(group) >= 2 and (table := _grid(group, page.lines)) is not None]


def _touch(one: Box, other: Box) -> bool:
    return one.overlap_across(other) > -10 and one.overlap_down(other) > -10


def _steps(values: Sequence[float], slack: float) -> list[float]:
    """Values that lie together, each cluster by its mean, in order."""
    clusters: list[list[float]] = []
    for value in sorted(values):
        if clusters and value - clusters[-1][-1] <= slack:
            clusters[-1].append(value)
        else:
            clusters.append([value])
    return [sum(cluster) / len(cluster) for cluster in clusters]


def _grid(boxes: Sequence[Box], lines: Sequence[Line]) -> Table | None:
    lefts, tops = _steps([b.left for b in boxes], 9), _steps([b.top for b in boxes], 8)
    whole = union(boxes)
    made: dict[int, list[Cell]] = {}
    for box in boxes:
        inside = [ln for ln in lines if box.holds(ln.box.centre, ln.box.middle)]
        column = min(range(len(lefts)), key=lambda i: abs(lefts[i] - box.left))
        row = min(range(len(tops)), key=lambda i: abs(tops[i] - box.top))
        last = max((i for i, left in enumerate(lefts) if left < box.right - 8), default=column)
        ordered = tuple(line for r in rows(inside) for line in r.lines)
        made.setdefault(row, []).append(Cell(row, column, max(column, last), box, ordered))
    shaped = tuple(tuple(sorted(made[row], key=lambda cell: cell.column)) for row in sorted(made))
    if not any(cell.lines for row in shaped for cell in row):
        return None
    return Table(whole, shaped, len(lefts), ruled=True)


def _aligned(ordered: Sequence[Row], lexicon: Lexicon) -> list[Table]:
    made: list[Table] = []
    start = 0
    while start < len(ordered):
        row = ordered[start]
        if is_heading(row, lexicon):
            table, end = _under(row, ordered[start + 1 :])
            if table is not None:
                made.append(table)
                start += 1 + end
                continue
        plain = regular(ordered[start:], lexicon)
        if plain is not None:
            made.append(plain[0])
            start += plain[1]
            continue
        start += 1
    return made


def is_heading(row: Row, lexicon: Lexicon) -> bool:
    """Whether a row is the heading of a table: three or more short names, at least two of them known as such."""
    known = 0
    for line in row.lines:
        if re.search(r"[:：]\s*\S", line.text) or len(line.text) > 24:
            return False
        known += bool(COLUMN_HEADS.intersection(lexicon.concepts(line.text)))
    if stacked([line.text for line in row.lines], lexicon):
        return False
    if len(row.lines) >= 3:
        digits = sum(char.isdigit() for char in row.text)
        return known >= 2 and digits * 4 < len(row.text)
    return len(row.lines) == 2 and known == 2


def heads_apart(page: Page, lexicon: Lexicon) -> Page:
    """The page with headings cut in two where two of them were read as one ("税率 税额")."""
    lines: list[Line] = []
    for row in rows(page.lines):
        for line in row.lines:
            cut = _two_heads(line, lexicon) if len(row.lines) >= 3 else 0
            lines.extend([line.part(0, cut), line.part(cut, len(line.text))] if cut else [line])
    return replace(page, lines=tuple(lines))


def _two_heads(line: Line, lexicon: Lexicon) -> int:
    """Where a heading ends and the next begins; 0 where the text is one name, or is none."""
    text = line.text
    if not 4 <= len(text) <= 14 or lexicon.concepts(text) or any(char.isdigit() for char in text):
        return 0
    for at in range(len(text) - 2, 1, -1):
        left, right = lexicon.concepts(text[:at]), lexicon.concepts(text[at:])
        if COLUMN_HEADS.intersection(left) and COLUMN_HEADS.intersection(right):
            return at
    return 0


def _under(head: Row, below: Sequence[Row]) -> tuple[Table | None, int]:
    """The rows that stand in the columns of a heading; ends at a big gap, a pair with a colon, or text out of line."""
    edges = _edges([line.box for line in head.lines])
    body: list[list[list[Line]]] = []
    last, used = head.box, 0
    for row in below:
        pitch = row.box.top - last.bottom
        if pitch > 4.5 * max(row.box.height, head.box.height) or _leaves(row, edges):
            break
        placed = _place(row, head, edges)
        used += 1
        if body and _continues(placed, body[-1], row, last):
            for column, lines in enumerate(placed):
                body[-1][column].extend(lines)
        else:
            body.append(placed)
        last = row.box
    if not body:
        return None, 0
    shaped = [[[line] for line in head.lines], *body]
    cells = tuple(
        tuple(Cell(r, c, c, union([ln.box for ln in lines]), tuple(lines)) for c, lines in enumerate(row) if lines)
        for r, row in enumerate(shaped)
    )
    whole = union([cell.box for row in cells for cell in row])
    return Table(whole, cells, len(head.lines), ruled=False), used


def _edges(heads: Sequence[Box]) -> list[float]:
    return [(a.right + b.left) / 2 for a, b in pairwise(heads)]


def _leaves(row: Row, edges: Sequence[float]) -> bool:
    """Whether a row is no longer part of the table: pairs with colons, or prose across several columns."""
    if any(HAS_PAIR.match(line.text) for line in row.lines):
        return True
    for line in row.lines:
        crossed = sum(
            line.box.left < edge - line.box.height and edge + line.box.height < line.box.right for edge in edges
        )
        if crossed >= 2 and len(row.lines) == 1:
            return True
    return False


def _place(row: Row, head: Row, edges: Sequence[float]) -> list[list[Line]]:
    """Each line of a row in the column that it overlaps most, or whose heading is nearest."""
    if len(row.lines) == len(head.lines):
        return [[line] for line in row.lines]
    placed: list[list[Line]] = [[] for _ in head.lines]
    for line in row.lines:
        overlaps = [line.box.overlap_across(h.box) for h in head.lines]
        best = max(range(len(overlaps)), key=lambda i: overlaps[i])
        if overlaps[best] <= 0:
            best = sum(line.box.centre > edge for edge in edges)
        if placed[best] and best + 1 < len(placed) and line.box.left > placed[best][-1].box.right:
            best += 1
        placed[best].append(line)
    return placed


def _continues(placed: Sequence[Sequence[Line]], above: Sequence[Sequence[Line]], row: Row, last: Box) -> bool:
    """Whether a row only goes on with the one above: a long name's second line, or figures under a name alone."""
    filled = [i for i, lines in enumerate(placed) if lines]
    over = [i for i, lines in enumerate(above) if lines]
    if not filled or TOTAL_ROW.match(row.lines[0].text):
        return False
    if over == [0] and 0 not in filled:
        return True
    alone = len(filled) == 1 and len(over) >= 3 and filled[0] in over
    near = row.box.top - last.bottom < 0.45 * row.box.height
    return alone and near and not any(char.isdigit() for char in row.lines[0].text[:1])


def unstacked(row: Sequence[Cell]) -> list[tuple[Cell, ...]]:
    """A row whose cells hold several lines that stand at the same heights, as those rows; any other row as it is.

    Printed invoices rule one tall box around all items of a column.
    """
    lines = [line for cell in row for line in cell.lines]
    levels = rows(lines)
    stacked = sum(len(rows(cell.lines)) >= 2 for cell in row)
    if stacked < (2 if len(row) <= 3 else 3) or len(levels) < 2:
        return [tuple(row)]
    made: list[list[Cell]] = []
    for level in levels:
        here = {id(line) for line in level.lines}
        cells = []
        for cell in row:
            inside = tuple(
                ln for ln in cell.lines if id(ln) in here or any(_within(ln, other) for other in level.lines)
            )
            if inside:
                cells.append(Cell(cell.row, cell.column, cell.last, union([ln.box for ln in inside]), inside))
        figures = any(char.isdigit() for cell in cells[1:] for char in cell.text)
        if made and len(cells) == 1 and not figures and len(levels) > stacked:
            made[-1] = [_added(old, cells[0]) if old.column == cells[0].column else old for old in made[-1]]
        elif cells:
            made.append(cells)
    return [tuple(cells) for cells in made]


def _within(line: Line, other: Line) -> bool:
    return other.box.left <= line.box.left and line.box.right <= other.box.right and line.box.top == other.box.top


def _added(cell: Cell, more: Cell) -> Cell:
    return Cell(cell.row, cell.column, cell.last, cell.box.union(more.box), (*cell.lines, *more.lines))


def markdown(table: Table) -> str:
    """The table as Markdown: merged cells written once, lines in a cell parted by `<br>`."""
    made: list[str] = []
    for row in (split for tall in table.rows for split in unstacked(tall)):
        cells = [""] * table.columns
        for cell in row:
            cells[cell.column] = "<br>".join(level.text for level in rows(cell.lines)).replace("|", "\\|")
        made.append("| " + " | ".join(cells) + " |")
        if len(made) == 1:
            made.append("|" + " --- |" * table.columns)
    return "\n".join(made)
