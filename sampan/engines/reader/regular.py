"""Tables without rules and without known headings: rows whose texts stand in the same columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sampan.engines.reader import figures
from sampan.engines.reader.layout import Row
from sampan.engines.reader.lexicon import Lexicon
from sampan.engines.reader.page import Box, Cell, Line, Table, union

PAIR = re.compile(r"^[^\d:：]{1,16}[:：]|^\S{1,12}[:：]\s*\S+$")
CLOCK = re.compile(r"\d\s*[:：]\s*\d")
LEAST_ROWS = 3
LEAST_COLUMNS = 3
LONGEST_CELL = 34
WIDEST_GAP = 2.4


def regular(ordered: Sequence[Row], lexicon: Lexicon) -> tuple[Table, int] | None:
    """The table that the first rows make, with how many they are; nothing where they stand in no common columns."""
    if not ordered or not _cells(ordered[0]) or len(ordered[0].lines) < 2:
        return None
    columns = [line.box for line in ordered[0].lines]
    used = [ordered[0]]
    for row in ordered[1:]:
        grown = _joined(columns, row) if _follows(row, used[-1]) and _cells(row) else None
        if grown is None or (len(row.lines) == 1 and len(used) > 1 and len(used[-1].lines) == 1):
            break
        columns = grown
        used.append(row)
    while len(used) > 1 and len(used[-1].lines) == 1:
        used.pop()
    full = sum(len(row.lines) >= max(2, len(columns) - 2) for row in used)
    if len(used) < LEAST_ROWS or full < LEAST_ROWS or full * 4 < len(used) * 3:
        return None
    if len(columns) < LEAST_COLUMNS and not _priced(used):
        return None
    if stacked([line.text for line in used[0].lines], lexicon, [line.text for line in used[1].lines]) or _stack(
        used, columns, lexicon
    ):
        return None
    return _table(used, columns), len(used)


def _cells(row: Row) -> bool:
    """Whether a row's texts may be cells: short, no key with a colon, no sentence."""
    return all(
        len(line.text) <= LONGEST_CELL
        and (not PAIR.match(line.text) or CLOCK.search(line.text))
        and not re.search(r"[。；！？]\s*$", line.text)
        and line.box.height < 1.5 * line.box.width + 40
        for line in row.lines
    )


def _follows(row: Row, last: Row) -> bool:
    size = max(row.box.height, last.box.height)
    return row.box.top - last.box.bottom < WIDEST_GAP * size and row.box.height < 1.9 * min(size, last.box.height)


def _joined(columns: Sequence[Box], row: Row) -> list[Box] | None:
    """The columns widened by a row's texts; nothing where one of those stands in two columns."""
    made = list(columns)
    taken: set[int] = set()
    for line in row.lines:
        over = [i for i, box in enumerate(made) if box.overlap_across(line.box) > 0.25 * min(box.width, line.box.width)]
        if len(over) > 1 or (over and over[0] in taken):
            return None
        if over:
            made[over[0]] = made[over[0]].union(line.box)
            taken.add(over[0])
            continue
        place = sum(box.centre < line.box.centre for box in made)
        made.insert(place, line.box)
        taken = {i + 1 if i >= place else i for i in taken} | {place}
        if len(made) > len(columns) + 1:
            return None
    return made


def _priced(rows: Sequence[Row]) -> bool:
    """Whether two columns are names with figures, as on a price list."""
    body = [row for row in rows if len(row.lines) == 2]
    good = sum(
        figures.number(row.lines[1].text) is not None and figures.number(row.lines[0].text) is None for row in body
    )
    return len(body) >= LEAST_ROWS and good * 5 >= len(body) * 4 and all(_money(row.lines[1].text) for row in body[1:])


def _money(text: str) -> bool:
    return re.search(r"[¥￥$€£元]|\d\.\d{2}\b", text) is not None


def stacked(texts: Sequence[str], lexicon: Lexicon, below: Sequence[str] = ()) -> bool:
    """Whether a row is keys with their values side by side ("姓名 何嘉怡 工号 E20817"), no heading.

    It is where a value has digits, or where the row below has keys in the same places.
    """
    if len(texts) < 4:
        return False
    digits = any(char.isdigit() for text in texts[1::2] for char in text)
    under = below[0::2] if len(below) >= 4 else ()
    if not digits and (not under or sum(bool(lexicon.concepts(text)) for text in under) * 2 < len(under)):
        return False
    keys, values = texts[0::2], texts[1::2]
    known = sum(bool(lexicon.concepts(text)) for text in keys)
    filled = sum(bool(lexicon.concepts(text)) for text in values)
    return known * 3 >= len(keys) * 2 and filled * 4 <= len(values)


def _stack(rows: Sequence[Row], columns: Sequence[Box], lexicon: Lexicon) -> bool:
    """Whether columns of keys alternate with columns of values all the way down."""
    if len(columns) < 4:
        return False
    even = [line.text for row in rows for line in row.lines[2::2]]
    known = sum(bool(lexicon.concepts(text)) for text in even)
    return known * 2 >= len(even) and len(set(even)) * 4 >= len(even) * 3


def _table(rows: Sequence[Row], columns: Sequence[Box]) -> Table:
    made = []
    for number, row in enumerate(rows):
        cells: dict[int, list[Line]] = {}
        for line in row.lines:
            place = max(range(len(columns)), key=lambda i: columns[i].overlap_across(line.box))
            cells.setdefault(place, []).append(line)
        made.append(
            tuple(
                Cell(number, place, place, union([line.box for line in lines]), tuple(lines))
                for place, lines in sorted(cells.items())
            )
        )
    return Table(union([row.box for row in rows]), tuple(made), len(columns), ruled=False)
