"""Tables as data: rows picked by what stands in any of their cells, compared, counted, summed, judged."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from sampan.engines.reader import asking, figures
from sampan.engines.reader.cues import Query, explained, query_of
from sampan.engines.reader.folding import fold
from sampan.engines.reader.grid import CORNER, Grid, Hit, column_by_kind, ordinal_row
from sampan.engines.reader.lexicon import Lexicon
from sampan.engines.reader.page import Cell
from sampan.engines.reader.question import Ask
from sampan.engines.reader.values import find, fits


def consult(grid: Grid, ask: Ask, lexicon: Lexicon) -> Iterator[Hit]:
    """What a table says to a question that its cells and headings explain, with how much of it they explain."""
    yield from _hits(query_of(grid, ask, lexicon))


def judgement(grid: Grid, ask: Ask, lexicon: Lexicon) -> Iterator[Hit]:
    """Whether a result that the question names is within its reference range, or which ones are not."""
    yield from _judged(query_of(grid, ask, lexicon))


def _hits(query: Query) -> Iterator[Hit]:
    yield from _judged(query)
    yield from _placed(query)
    yield from _headcount(query)
    compared = _compared(query)
    if compared is not None:
        yield from compared
        return
    yield from _equal(query)
    yield from _computed(query)
    yield from _ranked(query)
    yield from _looked_up(query)


def _joined(cells: Sequence[Cell], chinese: bool) -> str:
    return ("、" if chinese else ", ").join(dict.fromkeys(cell.text for cell in cells))


def _judged(query: Query) -> Iterator[Hit]:
    """Whether a result is within its reference range, or which ones are not."""
    if not asking.NORMAL.search(query.text):
        return
    span = next((column for column, head in query.grid.heads if asking.RANGE_HEAD.search(head.text)), None)
    result = next((column for column, head in query.grid.heads if asking.RESULT_HEAD.search(head.text)), None)
    if span is None or result is None:
        return
    verdicts = {}
    for number, row in enumerate(query.grid.body):
        cell, limits = query.grid.cell(row, result), query.grid.cell(row, span)
        figure = figures.value(cell.text) if cell is not None else None
        if cell is not None and limits is not None and figure is not None:
            side = figures.placed(figure, limits.text)
            if side is not None:
                verdicts[number] = (side, cell, limits)
    picked = [number for number in query.picked() if number in verdicts]
    if len(picked) == 1:
        side, cell, limits = verdicts[picked[0]]
        label = query.label(picked[0])
        name = label.text if label is not None else ""
        said = asking.SAID[side][0 if query.chinese else 1]
        value = (
            f"{said}：{name} {cell.text}（{limits.text}）"
            if query.chinese
            else f"{said}: {name} {cell.text} ({limits.text})"
        )
        yield Hit(value, tuple(c for c in (label, cell, limits) if c is not None), 0.985)
        return
    if picked or not verdicts:
        return
    up = re.search(r"高|high|above|elevat", query.text)
    down = re.search(r"低|\blow|below", query.text)
    wrong = not (up or down) and asking.ABNORMAL.search(query.text)
    chosen = [n for n, (s, _, _) in verdicts.items() if (s > 0 if up else s < 0 if down else (s != 0) == bool(wrong))]
    told = (found.group() for pattern in (asking.NORMAL, asking.ABNORMAL) if (found := pattern.search(query.text)))
    yield from _listed(query, chosen, result, 0.98 * explained(query, *told))


def _placed(query: Query) -> Iterator[Hit]:
    """ "第一名是谁": the row that a column of ranks puts there."""
    column = next((c for c, head in query.grid.heads if asking.RANK_HEAD.search(fold(head.text))), None)
    match = asking.PLACE.search(query.text)
    if column is None or match is None or query.cues:
        return
    wanted = asking.PLACES.get(next(group for group in match.groups() if group))
    for number, figure, cell in query.numeric(column):
        label = query.label(number)
        if figure == wanted and label is not None:
            yield Hit(label.text, (label, cell), 0.985)


def _headcount(query: Query) -> Iterator[Hit]:
    """How many people a list names."""
    if query.cues or not asking.HEADCOUNT.search(query.text) or not _mostly(query.grid, query.labels, "person"):
        return
    cells = tuple(cell for n in range(len(query.grid.body)) if (cell := query.label(n)) is not None)
    yield Hit(str(len(cells)), cells, 0.93 * explained(query))


def _listed(query: Query, rows: Sequence[int], column: int, sure: float) -> Iterator[Hit]:
    """Rows by their names, with the figure that they were chosen by; how many, where that was asked."""
    pairs = [
        (label, query.grid.cell(query.grid.body[n], column)) for n in rows if (label := query.label(n)) is not None
    ]
    if not pairs:
        return
    cells = tuple(cell for pair in pairs for cell in pair if cell is not None)
    if asking.HOW_MANY.search(query.text):
        yield Hit(f"{len(pairs)}（{_joined([a for a, _ in pairs], True)}）", cells, sure)
        return
    named_rows = [a.text if b is None or b is a else f"{a.text}（{b.text}）" for a, b in pairs]
    yield Hit(("、" if query.chinese else ", ").join(named_rows), cells, sure)


def _compared(query: Query) -> list[Hit] | None:
    """ "Which cost more than 100": rows whose figure is above, below or between; None where nothing is compared."""
    test = _comparison(query.text)
    if test is None:
        return None
    low, high, closed, words = test
    column = _figure_column(query)
    if column is None:
        return _either_side(query, test)
    figures_there = query.numeric(column)
    rows = [
        n
        for n, figure, _ in figures_there
        if (low is None or figure > low or (closed and figure == low))
        and (high is None or figure < high or (closed and figure == high))
    ]
    sure = 0.975 * explained(query, words)
    if not rows:
        label = "没有（0 项）" if query.chinese else "none (0)"
        cells = tuple(cell for _, _, cell in figures_there[:6])
        return [Hit(label, cells, sure * 0.9)] if cells else []
    return list(_listed(query, rows, column, sure))


def _either_side(query: Query, test: tuple[Decimal | None, Decimal | None, bool, str]) -> list[Hit]:
    """The same for an account, whose amounts stand in one of two columns."""
    low, high, _, words = test
    pairs = []
    for column, head in query.grid.heads:
        if not asking.SIDES.search(fold(head.text)):
            continue
        for number, figure, cell in query.numeric(column):
            label = query.label(number)
            if label is not None and (low is None or figure > low) and (high is None or figure < high):
                pairs.append((number, label, cell))
    pairs.sort(key=lambda pair: pair[0])
    if not pairs:
        return []
    value = ("、" if query.chinese else ", ").join(f"{label.text}（{cell.text}）" for _, label, cell in pairs)
    cells = tuple(cell for pair in pairs for cell in pair[1:])
    return [Hit(value, cells, 0.96 * explained(query, words))]


def _comparison(text: str) -> tuple[Decimal | None, Decimal | None, bool, str] | None:
    """Bounds, whether they belong, and the words that said so."""
    between = asking.BETWEEN.search(text)
    if between:
        return figures.counted(between.group("low")), figures.counted(between.group("high")), True, between.group()
    after = asking.AFTERWARDS.search(text)
    if after:
        edge = figures.counted(after.group("number"))
        above = "上" in after.group("side") or "more" in after.group("side")
        return (edge, None, True, after.group()) if above else (None, edge, True, after.group())
    for pattern, above in ((asking.MORE, True), (asking.LESS, False)):
        for sign in pattern.finditer(text):
            figure = re.match(r"\s*(?:了|¥|￥|\$|€|£|rmb)?\s*" + asking.COUNTED.format("number"), text[sign.end() :])
            if figure:
                edge = figures.counted(figure.group("number"))
                closed = bool(sign.groupdict().get("atleast") or sign.groupdict().get("atmost"))
                words = text[sign.start() : sign.end() + figure.end()]
                return (edge, None, closed, words) if above else (None, edge, closed, words)
    return None


def _figure_column(query: Query) -> int | None:
    """The column of figures that a comparison or a sum is about."""
    for _, column, surface in query.heads:
        if column != query.labels and query.numeric(column) and surface not in ("cost", "costs", "花", "钱"):
            return column
    grid = query.grid
    asked = query.text
    order: tuple[str, ...] = ("amount", "total", "subtotal", "result", "unit_price", "price", "quantity")
    if re.search(r"单价|每[个件]|均价|unit price|\beach\b|per (?:unit|item)|\bprice", asked):
        order = ("unit_price", "price", "amount")
    elif re.search(r"贵|便宜|钱|元|块|价|花|cost|price|expens|cheap|pay|paid|[$¥£€]", asked):
        order = ("amount", "total", "price", "unit_price", "subtotal")
    elif re.search(
        r"数量|几[个件包盒]|\bquantity|\bqty|\bunits\b|\bpieces\b|\d\s*[个件包盒台瓶]|\bbought\b"
        r"|\bordered\b|\bmany\b",
        asked,
    ):
        order = ("quantity", "number")
    for name in order:
        for column, head in grid.heads:
            if name in head.names and column != query.labels and query.numeric(column):
                return column
    numeric = [column for column, _ in grid.heads if column != query.labels and query.numeric(column)]
    return numeric[-1] if numeric and len(numeric) <= 2 else None


def _equal(query: Query) -> Iterator[Hit]:
    """ "Which item had a quantity of 3": rows where a figure is just that."""
    if not asking.WHICH.search(query.text):
        return
    match = asking.EQUAL.search(query.text)
    if match is None:
        return
    wanted = figures.counted(next(group for group in match.groups() if group))
    if wanted is None:
        return
    times = bool(match.group("times")) or re.search(r"\b(?:bought|ordered)\b", match.group()) is not None
    column = _figure_column(query)
    columns = [c for _, c, _ in query.heads if query.numeric(c)][:1] or [
        c
        for c, head in query.grid.heads
        if c != query.labels and query.numeric(c) and (not times or "quantity" in head.names)
    ]
    if times and column is not None and not columns:
        columns = [column]
    for each in columns:
        rows = [n for n, figure, _ in query.numeric(each) if figure == wanted]
        if rows:
            yield from _listed(query, rows, each, 0.97 * explained(query, match.group()))
            return


def _computed(query: Query) -> Iterator[Hit]:
    """Averages, and sums of a column that has no total of its own or of the rows that were named."""
    yield from _summed_there(query)
    average = asking.AVERAGE.search(query.text)
    if not average and not asking.TOTAL.search(query.text):
        return
    quantity = asking.HOW_MANY.search(query.text) or re.search(r"数量|quantity|\bqty\b|\bunits\b", query.text)
    column = _figure_column(query)
    if column is None and quantity:
        column = next((c for c, head in query.grid.heads if "quantity" in head.names and query.numeric(c)), None)
    if column is None:
        return
    head = next(head for c, head in query.grid.heads if c == column)
    named_column = any(c == column for _, c, _ in query.heads)
    picked = query.picked()
    entries = [entry for entry in query.numeric(column) if not picked or entry[0] in picked]
    if not entries or (len(entries) == 1 and picked):
        return
    if not average and ({"unit_price", "tax_rate"} & head.names or (not named_column and not picked)):
        return
    if not average and not picked and any(query.grid.cell(row, column) for row in query.grid.totals):
        return
    numbers, cells = [figure for _, figure, _ in entries], tuple(cell for _, _, cell in entries)
    texts = [cell.text for cell in cells]
    value = figures.averaged(numbers, texts) if average else figures.written(sum(numbers, Decimal(0)), texts)
    yield Hit(value, cells, 0.965 * explained(query), head.text)


def _summed_there(query: Query) -> Iterator[Hit]:
    """The table's own total under the column that is named, and an account's last balance."""
    for _, column, _ in query.heads:
        head = next(fold(h.text) for c, h in query.grid.heads if c == column)
        if asking.BALANCE.search(head) and asking.CLOSING.search(query.text) and query.numeric(column):
            cell = query.numeric(column)[-1][2]
            yield Hit(cell.text, (cell,), 0.97)
            return
        if not asking.TOTAL.search(query.text) or query.picked() or asking.NOT_THE_TOTAL.search(query.text):
            continue
        for row in query.grid.totals:
            there = query.grid.cell(row, column)
            if there is not None and there is not row[0] and figures.value(there.text) is not None:
                yield Hit(there.text, (row[0], there), 0.985 * explained(query))
                return


def _ranked(query: Query) -> Iterator[Hit]:
    """ "第二贵的": the row whose figure comes next after the highest."""
    match = asking.RANK.search(query.text)
    column = _figure_column(query) if match else None
    if match is None or column is None:
        return
    ordered = sorted(query.numeric(column), key=lambda entry: -entry[1])
    place = asking.RANKS[match.group("zh") or match.group("en")]
    if len(ordered) >= place:
        yield from _listed(query, [ordered[place - 1][0]], column, 0.98)


def _looked_up(query: Query) -> Iterator[Hit]:
    """The cell where a row that was named, by any of its cells or by its place, meets the column that is asked for."""
    row = ordinal_row(query.grid, query.text)
    rows = query.picked() if row is None else (query.grid.body.index(row),)
    base, used = 0.97, frozenset[int]()
    if row is None:
        if not rows or not query.cues:
            return
        base = 0.9 + 0.08 * min(cue.score for cue in query.cues[:1])
        used = frozenset(cell.column for cue in query.cues for n, cell in cue.cells if n in rows)
    if row is None and asking.WHICH.search(query.text) and (crossed := _crossed(query, rows)) is not None:
        yield crossed
        return
    columns = _asked(query, used, row is not None)
    if asking.HOW_MUCH.search(query.text) and not any(query.numeric(c) for c in columns):
        columns = _filled_side(query, rows) or columns
    if not columns or len(rows) > 12:
        return
    crossing = any(c in columns for _, c, _ in query.heads) and row is None
    sure = base * (1.0 if row is not None else max(explained(query), 0.88 if crossing else 0.0))
    if used and query.labels not in used and _counting(query, columns):
        cells = tuple(cell for n in rows if (cell := query.label(n)) is not None)
        yield Hit(f"{len(rows)}（{_joined(cells, True)}）", cells, sure)
        return
    said: list[str] = []
    shown: list[Cell] = []
    for n in rows:
        label = query.label(n)
        for column in columns:
            cell = query.grid.cell(query.grid.body[n], column)
            if cell is None:
                continue
            shown.extend([c for c in (label, cell) if c is not None and c not in shown])
            several = len(columns) > 1
            head = next((h.text for c, h in query.grid.heads if c == column), "")
            plain = f"{head}：{cell.text}" if several and head else cell.text
            tell = len(rows) > 1 and label is not None and label is not cell and query.labels in used
            said.append(f"{label.text}：{plain}" if tell and label is not None else plain)
    if said:
        several_rows = 0.93 if len(rows) > 1 and query.labels in used else 1.0
        yield Hit(("、" if query.chinese else ", ").join(dict.fromkeys(said)), tuple(shown[:12]), sure * several_rows)


def _crossed(query: Query, rows: Sequence[int]) -> Hit | None:
    """Where columns are the things compared and rows their features: the column that has what was named in its row."""
    head = next((h.text for c, h in query.grid.heads if c == query.labels), "")
    if head != CORNER or len(rows) != 1:
        return None
    cells = [c for cue in query.cues for n, c in cue.cells if n == rows[0] and c.column != query.labels]
    names = [h.text for cell in cells for c, h in query.grid.heads if c == cell.column]
    return Hit("、".join(dict.fromkeys(names)), tuple(cells), 0.96 * explained(query)) if names else None


def _counting(query: Query, columns: Sequence[int]) -> bool:
    asked = (
        asking.HOW_MANY.search(query.text) is not None
        and not asking.WHO.search(query.text)
        and not asking.HOW_MUCH.search(query.text)
        and query.ask.kind != "money"
    )
    return (
        asked
        and not any(c in columns and c != query.labels for _, c, _ in query.heads)
        and not re.search(r"哪几|哪些", query.text)
    )


def _asked(query: Query, used: frozenset[int], placed: bool) -> list[int]:
    """The columns that a question asks for, besides those whose cells it names."""
    heads = [(score, c) for score, c, _ in query.heads if c not in used or placed]
    own = next((s for _, c, s in query.heads if c == query.labels), "")
    by_name = own and re.search(
        rf"的{re.escape(own)}|(?:which|what|哪[个些一趟种项条]?|什么)\s*{re.escape(own)}", query.text
    )
    other = asking.WHO.search(query.text) or asking.WHEN.search(query.text) or asking.WHERE.search(query.text)
    if own and not by_name and (len(heads) > 1 or other):
        heads = [h for h in heads if h[1] != query.labels]
    if asking.WHICH.search(query.text) and not asking.CODE_HEAD.search(query.text):
        texts = {c: fold(h.text) for c, h in query.grid.heads}
        heads = [h for h in heads if h[1] == query.labels or not asking.CODE_HEAD.search(texts[h[1]])]
    if placed and len(heads) > 1:
        texts = {c: fold(h.text) for c, h in query.grid.heads}
        heads = [h for h in heads if not re.fullmatch(r"序号|no\.?|#|line|item no\.?", texts[h[1]])] or heads
    if heads and not (heads[0][1] == query.labels and query.labels in used):
        return [heads[0][1]]
    grid = query.grid
    others = [c for c, _ in grid.heads if c not in used]
    if asking.WHO.search(query.text):
        return [c for c in others if _mostly(grid, c, "person")] or ([query.labels] if query.labels not in used else [])
    if asking.WEEKDAY.search(query.text):
        return [c for c in others if _weekdays(grid, c)][:1]
    if asking.WHEN.search(query.text):
        return [c for c in others if _mostly(grid, c, "datetime")][:1] or [c for c in others if _weekdays(grid, c)][:1]
    if asking.WHERE.search(query.text):
        return [c for c, h in grid.heads if c in others and asking.PLACE_HEAD.search(h.text)][:1]
    chosen = [c for _, c, _ in column_by_kind(grid, query.ask.kind, query.text, query.lexicon)]
    chosen = [c for c in chosen if c not in used]
    paid = asking.HOW_MUCH.search(query.text) or query.ask.kind == "money"
    if query.labels not in used and not (paid and chosen):
        return [query.labels]
    if chosen:
        return chosen[:1]
    return others[:1] if len(others) == 1 else []


def _filled_side(query: Query, rows: Sequence[int]) -> list[int]:
    """Of an account's two columns of amounts, the one that the rows fill."""
    sides = [c for c, head in query.grid.heads if asking.SIDES.search(fold(head.text))]
    return [c for c in sides if any(query.grid.cell(query.grid.body[n], c) is not None for n in rows)][:1]


def _mostly(grid: Grid, column: int, kind: str) -> bool:
    texts = [cell.text for row in grid.body if (cell := grid.cell(row, column)) is not None]
    if kind == "datetime":
        good = sum(bool([f for f in find(text, "datetime") if f.end - f.start >= len(text) * 0.6]) for text in texts)
    else:
        good = sum(fits(text, kind) >= 0.9 and not _weekday(text) and len(text) <= 24 for text in texts)
    return good * 5 >= len(texts) * 3 and bool(texts)


def _weekdays(grid: Grid, column: int) -> bool:
    texts = [cell.text for row in grid.body if (cell := grid.cell(row, column)) is not None]
    return bool(texts) and sum(_weekday(text) for text in texts) * 2 > len(texts)


def _weekday(text: str) -> bool:
    return (
        re.fullmatch(
            r"(?:周|星期|礼拜|週|禮拜)[一二三四五六日天]|(?:mon|tue|wed|thu|fri|sat"
            r"|sun)[a-z]*\.?",
            text.strip().lower(),
        )
        is not None
    )
