"""Tables as rows and columns to ask about: which row, which column, totals, counts and extremes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rapidfuzz import fuzz

from sampan.engines.reader import figures
from sampan.engines.reader.aliases import named
from sampan.engines.reader.folding import bare, fold
from sampan.engines.reader.lexicon import GENERIC, STOP_WORDS, Lexicon, Phrase, stem
from sampan.engines.reader.page import Cell, Page, Table, is_cjk
from sampan.engines.reader.regular import stacked
from sampan.engines.reader.tables import COLUMN_HEADS, TOTAL_ROW, unstacked
from sampan.engines.reader.values import amounts, fits

ORDINAL = re.compile(
    r"第\s*(?P<zh>[一二三四五六七八九十]|\d{1,2})\s*(?:个|個|项|項|行|条|條|种|種|件|款|样|樣|笔"
    r"|筆|列|名|道|位)|\b(?P<en>first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth"
    r"|last|\d{1,2}(?:st|nd|rd|th))\s+(?:line\s+)?(?:item|row|product|entry|line|goods|article|record"
    r"|good|thing|service|dish|transaction|payment|test|course|person)"
    r"|(?P<last>最后)\s*(?:一)?\s*(?:个|项|行|条|种|件|样|款"
    r"|笔|名|位|道)|倒数第\s*(?P<back>[一二三四五]|\d)\s*(?:个|项|行|条|种|件|样"
    r"|款|笔|名|位|道)|\b(?:row|line|item|no\.?|number|#)"
    r"\s*(?P<row>\d{1,2})\b(?!\s*(?:of|%|\.\d))|\b(?P<penult>second[- ]to[- ]last|last but one|penultimate)\b"
    r"|序号\s*(?:为|是)?\s*(?P<no>\d{1,2})(?!\d)|\bthe (?P<end>last|first) (?:one|thing)\b"
)
# What the column of row names is called where a table leaves its corner empty.
CORNER = "项目"
CHINESE_DIGITS = "一二三四五六七八九十"
ENGLISH_DIGITS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
COUNT = re.compile(
    r"(?:(?<!哪)几|多少)\s*(?:个|種|种|项|項|行|条|件|款|样|樣|笔|道)?\s*(?:不同的?)?\s*(?:商品|项目|货"
    r"物|品种|物品|明细|行|东西|记录|产品|菜|项|服务|种|類|类|药)|(?:(?<!哪)几|多少)(?:种|項|项|行|笔|"
    r"条)|\bhow many (?:different |kinds of |types of |distinct |line )?(?:items?|rows?|products?"
    r"|goods|lines?|entries|kinds|articles|records|dishes|services|medicines|transactions"
    r"|tests|courses|payments|people|employees|students)\b|\bnumber of (?:line"
    r" )?(?:items|rows|products|entries|lines)\b"
)
NO_TOTAL = re.compile(
    r"^\W*(?:小计|sub|tax|vat|gst|shipping|freight|discount|运费|税|优惠|折扣|现金|cash|change|找零"
    r"|service)"
)
# A column that only counts the rows.
COUNTER = re.compile(r"序号|行号|项次|no\.?|#|line|item no\.?")
PAIRED = named("date datetime money percent phone email")
PAYING = named("amount_paid amount_payable change discount net_amount")
BOUGHT = named(
    "ordered bought sold purchased item items product row line many much cost costs price quantity units unit total"
)
FLAG = re.compile(
    r"偏高|过高|升高|偏低|过低|降低|异常|不正常|\babnormal\b|\btoo (?:high|low)\b|\babove (?:the"
    r" )?(?:normal|range|reference)|\bbelow (?:the )?(?:normal|range|reference)|\b(?:is|are|was"
    r"|were) (?:high|low|elevated)\b|\bout of range\b"
)
WHICH = re.compile(
    r"^\W*(?:哪[一几]?(?:个|种|项|款|样|位|些|行|科|门|批)(?:产品|商品|货物|项目|药|菜|人|员工|学生|指标)?|谁"
    r"|which (?:\w+ )?(?=is|are|was|were|has|have|fail|did))(?P<what>.+?)(?:的|了|[?？])*$"
)
FAILED_ASKED = re.compile(
    r"[没未不](?:有|能)?(?:通过|过关|合格|达标|及格|过(?=$|\W)|行(?=$|\W))"
    r"|\b(?:failed|fail|did not pass|didn't pass|rejected)\b"
)
FAILED = re.compile(r"[不未](?:合格|通过|达标|及格|符合)|^\W*(?:NG|×|✗|fail(?:ed)?|rejected?|no go)\W*$", re.IGNORECASE)
HIGHEST = re.compile(
    r"最贵|最高|最大|最多|\bmost expensive|\bhighest|\blargest|\bbiggest|\bmost\b|\bmaximum|\bpriciest|\bcostliest"
)
LOWEST = re.compile(r"最便宜|最低|最小|最少|\bcheapest|\blowest|\bsmallest|\bleast\b|\bminimum|\bfewest")


@dataclass(frozen=True, slots=True)
class Hit:
    """Cells that answer a question about a table, the value to say, and how sure it is."""

    value: str
    cells: tuple[Cell, ...]
    confidence: float
    label: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table with a heading (its cells are `top`): `heads` by column, `body` the rows of values, `totals` the sums."""

    page: Page
    heads: tuple[tuple[int, Phrase], ...]
    body: tuple[tuple[Cell, ...], ...]
    totals: tuple[tuple[Cell, ...], ...]
    top: tuple[Cell, ...] = ()

    def cell(self, row: Sequence[Cell], column: int) -> Cell | None:
        return next((cell for cell in row if cell.column <= column <= cell.last and cell.text), None)


def grid(table: Table, page: Page, lexicon: Lexicon) -> Grid | None:
    """Finds the heading of a table; nothing where it has none, as a form has not."""
    spread = [split for stacked_row in _filled_down(table) for split in unstacked(stacked_row)]
    if not table.ruled and any(figures.number(cell.text) is not None for cell in spread[0]):
        return _headless(spread, page, lexicon)
    for at, row in enumerate(spread[:-1]):
        if _holds_pair(row, lexicon) or not _heads(row, spread[at + 1 :], lexicon, table.ruled):
            continue
        upper = at + 1 < len(spread) - 1 and _is_second_head(row, spread[at + 1])
        named_by = _two_level(row, spread[at + 1]) if upper else [(c.column, c.text) for c in row if c.text]
        heads = tuple((column, lexicon.phrase(text)) for column, text in named_by)
        body, totals = _parted(spread[at + 1 + upper :], len(heads))
        first = min((cell.column for line in body for cell in line), default=0)
        if body and heads and first < heads[0][0]:
            heads = ((first, lexicon.phrase(CORNER)), *heads)
        if body and not (table.ruled and _is_form(body, lexicon)):
            return Grid(page, heads, body, totals, tuple(row))
    return None


def _holds_pair(row: Sequence[Cell], lexicon: Lexicon) -> bool:
    """Whether a key stands beside its value in a row ("Payment due", "10 June 2025"), as in no heading."""
    texts = [cell.text for cell in row if cell.text]
    for one, other in pairwise(texts):
        kinds = {lexicon.types[name] for name in lexicon.concepts(one) if name in lexicon.types}
        if any(kind in PAIRED and fits(other, kind) > 0.9 for kind in kinds) and any(c.isdigit() for c in other):
            return True
    return False


def _is_form(body: Sequence[Sequence[Cell]], lexicon: Lexicon) -> bool:
    """Whether keys and values take turns across the rows: then no row is a heading, and the table is a form."""
    keyed = [[bool(lexicon.concepts(cell.text)) for cell in row] for row in body]
    turns = sum(len(row) >= 3 and row[0] and row[2] and not row[1] for row in keyed)
    return turns * 2 >= len(body)


def _parted(
    rows: Sequence[Sequence[Cell]], heads: int
) -> tuple[tuple[tuple[Cell, ...], ...], tuple[tuple[Cell, ...], ...]]:
    """Rows of values, and the rows that sum them up, from the first of those on."""
    body: list[tuple[Cell, ...]] = []
    totals: list[tuple[Cell, ...]] = []
    for below in rows:
        filled = tuple(cell for cell in below if cell.text)
        if not filled:
            continue
        if TOTAL_ROW.match(fold(filled[0].text)) or totals:
            totals.append(filled)
        elif len(filled) >= 2 or heads == 1:
            body.append(filled)
    return tuple(body), tuple(totals)


def _filled_down(table: Table) -> list[tuple[Cell, ...]]:
    """The rows of a ruled table, each with the cells that reach down into it from a row above."""
    if not table.ruled:
        return list(table.rows)
    made: list[tuple[Cell, ...]] = []
    for number, row in enumerate(table.rows):
        middle = min(cell.box.middle for cell in row)
        taken = {column for cell in row for column in range(cell.column, cell.last + 1)}
        reaching = [
            cell
            for above in table.rows[:number]
            for cell in above
            if cell.column not in taken and cell.box.bottom > middle and len(cell.lines) == 1
        ]
        made.append(tuple(sorted([*row, *reaching], key=lambda cell: cell.column)))
    return made


def _is_second_head(row: Sequence[Cell], below: Sequence[Cell]) -> bool:
    """Whether a heading has a second row: some of its cells span columns that the row below names one by one."""
    wide = any(cell.last > cell.column for cell in row if cell.text)
    fresh = [cell for cell in below if cell.text and cell not in row]
    return wide and len(fresh) >= 2 and not any(char.isdigit() for cell in fresh for char in cell.text)


def _two_level(row: Sequence[Cell], below: Sequence[Cell]) -> list[tuple[int, str]]:
    made: dict[int, str] = {}
    for cell in row:
        for column in range(cell.column, cell.last + 1):
            made[column] = cell.text
    for cell in below:
        if cell.text and cell.text != made.get(cell.column):
            made[cell.column] = f"{made.get(cell.column, '')} {cell.text}".strip()
    return [(column, text) for column, text in sorted(made.items()) if text]


def _headless(rows: Sequence[Sequence[Cell]], page: Page, lexicon: Lexicon) -> Grid | None:
    """A list without a heading, such as a receipt's: its columns are named by what stands in them."""
    body, totals = _parted(rows, 2)
    if len(body) < 2:
        return None
    columns = sorted({cell.column for row in body for cell in row})
    heads: list[tuple[int, Phrase]] = []
    decimals: list[int] = []
    for column in columns:
        texts = [cell.text for row in body for cell in row if cell.column == column]
        numbers = [text for text in texts if figures.number(text) is not None]
        if len(numbers) * 2 <= len(texts):
            heads.append((column, lexicon.phrase("品名" if not heads else "备注")))
        elif any(re.search(r"\.\d|[¥￥$€£元]", text) for text in numbers):
            decimals.append(column)
        elif any(column_head.text == "数量" for _, column_head in heads):
            continue
        else:
            heads.append((column, lexicon.phrase("数量")))
    if not heads or not decimals or not any(head.text == "品名" for _, head in heads):
        return None
    if len(decimals) >= 2:
        heads.append((decimals[0], lexicon.phrase("单价")))
    heads.append((decimals[-1], lexicon.phrase("金额")))
    return Grid(page, tuple(sorted(heads, key=lambda item: item[0])), body, totals)


def _heads(row: Sequence[Cell], following: Sequence[Sequence[Cell]], lexicon: Lexicon, ruled: bool) -> bool:
    below = following[0]
    texts = [cell.text for cell in row if cell.text]
    if len(texts) < 2 or any(re.search(r"[:：]\s*\S", text) or len(text) > 30 for text in texts):
        return False
    known = sum(bool(COLUMN_HEADS.intersection(lexicon.concepts(text))) for text in texts)
    if not ruled:
        return True
    under = [cell.text for cell in below if cell.text]
    if stacked(texts, lexicon, under):
        return False
    if any(
        lexicon.concepts(text) and any(n in lexicon.types for n in lexicon.concepts(text)) for text in under[:1]
    ) and not TOTAL_ROW.match(fold(under[0])):
        return False
    if known >= 2 and known * 3 >= len(texts):
        return True
    plain = not any(char.isdigit() for text in texts for char in text)
    full = sum(sum(bool(cell.text) for cell in line) >= len(texts) - 1 for line in following)
    return (
        plain
        and len(texts) >= 3
        and len(under) >= len(texts) - 1
        and (any(any(c.isdigit() for c in text) for text in under) or (len(texts) >= 4 and full >= 3))
    )


def ask_grid(grid: Grid, text: str, phrase: Phrase, kind: str, whole: str, lexicon: Lexicon) -> Iterator[Hit]:
    """Every way in which a table answers an ask."""
    columns = columns_named(grid, phrase, lexicon)
    labels = label_column(grid, lexicon)
    yield from _counted(grid, whole)
    yield from _flagged(grid, whole, labels)
    picked = ordinal_row(grid, whole)
    if picked is not None:
        yield from _of_row(grid, picked, columns, labels, 0.95)
        return
    yield from _extreme(grid, whole, columns, labels, lexicon)
    rest = _rest(text, columns, phrase, lexicon, grid)
    yield from _which(grid, whole, labels)
    named = _rows(grid, rest)
    if named:
        best, row = named[0]
        chosen = columns or column_by_kind(grid, kind, whole, lexicon)
        if not chosen and _asks_for_more(row, phrase):
            return
        yield from _of_row(grid, row, chosen, labels, best * 0.96, named=True)
    elif columns and not phrase.names & PAYING:
        yield from _of_column(grid, columns, rest, kind, whole)


def _asks_for_more(row: Sequence[Cell], phrase: Phrase) -> bool:
    """Whether an ask names a key besides the row, so that the row as a whole is no answer."""
    said = fold(" ".join(cell.text for cell in row))
    return any(token.names - GENERIC and token.surface not in said for token in phrase.tokens)


def columns_named(grid: Grid, phrase: Phrase, lexicon: Lexicon) -> list[tuple[float, int, Phrase]]:
    """Columns whose heading the ask names, best first."""
    scored = []
    for column, head in grid.heads:
        if not head.tokens:
            continue
        best = max((lexicon.nearness(Phrase(token.surface, (token,)), head) for token in phrase.tokens), default=0.0)
        whole = lexicon.nearness(head, phrase)
        score = max(best, whole if whole >= 0.8 else 0.0)
        if score >= 0.62 and not _too_broad(phrase, head):
            scored.append((score, column, head))
    return sorted(scored, key=lambda item: -item[0])


def _too_broad(phrase: Phrase, head: Phrase) -> bool:
    """Whether a heading only says something broader than what is asked: 金额 is no answer for 税额 or a discount."""
    asked = phrase.names
    if asked & head.names or not head.names & {"amount", "number", "total", "date", "time", "code", "type", "place"}:
        return False
    specific = {n for n in asked if n not in GENERIC and n not in ("net_amount", "subtotal", "price", "item_name")}
    same = any(token.surface in head.text for token in phrase.tokens)
    return bool(specific) and not same


def label_column(grid: Grid, lexicon: Lexicon) -> int:
    """The column that names each row: an item's or a person's name, else the first with words in it."""
    for wanted in ("item_name", "medicine", "person_name", "name"):
        for column, head in grid.heads:
            if wanted in head.names and "number" not in head.names and _worded_column(grid, column):
                return column
    return next((column for column, _ in grid.heads if _worded_column(grid, column)), grid.heads[0][0])


def _worded_column(grid: Grid, column: int) -> bool:
    """Whether most cells of a column hold letters, so that they can name their rows."""
    texts = [cell.text for row in grid.body if (cell := grid.cell(row, column)) is not None]
    return sum(any(char.isalpha() for char in text) for text in texts) * 2 > len(texts)


def _flagged(grid: Grid, whole: str, labels: int) -> Iterator[Hit]:
    """Rows of a report that are marked as too high, too low or abnormal."""
    asked = FLAG.search(whole)
    if not asked:
        return
    up, down = re.compile(r"↑|[偏过升]高|^H$|\bhigh\b|\*"), re.compile(r"↓|[偏过降]低|^L$|\blow\b")
    marks = (
        [up]
        if re.search("高|high|above|elevat", asked.group())
        else [down]
        if re.search("低|low", asked.group())
        else [up, down, re.compile("异常|abnormal|阳性|positive")]
    )
    cells = [
        label
        for row in grid.body
        if any(mark.search(fold(cell.text)) for mark in marks for cell in row) and (label := grid.cell(row, labels))
    ]
    if cells:
        yield Hit("、".join(cell.text for cell in cells), tuple(cells), 0.94)


def _which(grid: Grid, whole: str, labels: int) -> Iterator[Hit]:
    """ "Which product is damaged?": the row that says so in another cell than its name."""
    asked = WHICH.match(whole)
    if not asked:
        return
    failed = FAILED_ASKED.search(whole)
    wanted = bare(re.sub(r"^(?:是|有|的|被|is|are|was|were|has|have|marked|listed)+", "", asked.group("what").strip()))
    if len(wanted) < 2:
        return
    hits = []
    for row in grid.body:
        label = grid.cell(row, labels)
        said = [
            cell
            for cell in row
            if cell is not label and (FAILED.search(cell.text) if failed else wanted in bare(cell.text))
        ]
        if label is not None and said:
            hits.append((label, said[0]))
    if hits:
        cells = tuple(cell for pair in hits for cell in pair)
        yield Hit("、".join(label.text for label, _ in hits), cells, 0.9)


def _counted(grid: Grid, whole: str) -> Iterator[Hit]:
    if COUNT.search(whole):
        cells = tuple(row[0] for row in grid.body)
        yield Hit(str(len(grid.body)), cells, 0.9)


def ordinal_row(grid: Grid, whole: str) -> tuple[Cell, ...] | None:
    match = ORDINAL.search(whole)
    if match is None:
        return None
    if match.group("last") or match.group("en") == "last" or match.group("end") == "last":
        return grid.body[-1]
    if match.group("back") or match.group("penult"):
        back = match.group("back") or "2"
        behind = CHINESE_DIGITS.index(back) + 1 if back in CHINESE_DIGITS else int(back)
        return grid.body[-behind] if 0 < behind <= len(grid.body) else None
    word = match.group("zh") or match.group("en") or match.group("row") or match.group("no") or match.group("end")
    if word in CHINESE_DIGITS:
        place = CHINESE_DIGITS.index(word) + 1
    elif word in ENGLISH_DIGITS:
        place = ENGLISH_DIGITS.index(word) + 1
    else:
        place = int(re.sub(r"\D", "", word))
    return grid.body[place - 1] if 0 < place <= len(grid.body) else None


def _extreme(
    grid: Grid, whole: str, columns: Sequence[tuple[float, int, Phrase]], labels: int, lexicon: Lexicon
) -> Iterator[Hit]:
    high, low = HIGHEST.search(whole), LOWEST.search(whole)
    if not high and not low:
        return
    numeric = [(score, column) for score, column, _ in columns if column != labels and _figures(grid, column)]
    if not numeric:
        wanted: tuple[str, ...] = (
            ("unit_price", "price", "amount", "quantity")
            if re.search(r"贵|便宜|expens|cheap|pric|cost", whole)
            else ("amount", "unit_price", "price", "quantity")
        )
        numeric = [
            (0.9, column)
            for name in wanted
            for column, head in grid.heads
            if name in head.names and _figures(grid, column)
        ]
    if not numeric:
        return
    column = numeric[0][1]
    ordered = _figures(grid, column)
    _, row = (max if high else min)(ordered, key=lambda item: item[0])
    label, figure = grid.cell(row, labels), grid.cell(row, column)
    if label is None or figure is None:
        return
    number_wanted = re.search(
        r"最[高大多低小少贵]的?(?:单价|金额|数量|价格)|(?:highest|lowest|largest|maximum|minimum)"
        r" (?:unit )?(?:price|amount|quantity)",
        whole,
    )
    value = f"{figure.text}({label.text})" if number_wanted else f"{label.text}({figure.text})"
    yield Hit(value, (label, figure), 0.93)


def _figures(grid: Grid, column: int) -> list[tuple[float, tuple[Cell, ...]]]:
    made = []
    for row in grid.body:
        cell = grid.cell(row, column)
        number = next(amounts(cell.text), None) if cell is not None else None
        if number is not None:
            made.append((number, row))
    return made


def _rest(text: str, columns: Sequence[tuple[float, int, Phrase]], phrase: Phrase, lexicon: Lexicon, grid: Grid) -> str:
    """What the ask says besides the column: the row's name, if it names one."""
    rest = fold(text)
    if columns:
        head = columns[0][2]
        for token in phrase.tokens:
            if lexicon.nearness(Phrase(token.surface, (token,)), head) >= 0.62:
                rest = rest.replace(token.surface, " ")
    rest = re.sub(
        r"\b(?:the|of|for|is|a|an|in|on|what|how|much|many|was|were|did|does|cost|costs|per|each"
        r"|bought|purchased|there|are)\b",
        " ",
        rest,
    )
    return re.sub(
        r"\s+", " ", re.sub(r"[那这]?一?[行栏列项]的?|的|是|多少|什么|一共|总共|买了|几|每|钱|[?？]", " ", rest)
    ).strip()


def _rows(grid: Grid, rest: str) -> list[tuple[float, tuple[Cell, ...]]]:
    """Rows that a name points at, best first; nothing where the name fits two rows alike."""
    wanted = bare(rest)
    if len(wanted) < 1:
        return []
    words = (
        {stem(word) for word in re.findall(r"[a-z]{2,}|\d+", rest) if word not in STOP_WORDS and word not in BOUGHT}
        if rest.isascii()
        else set()
    )
    scored = []
    for row in grid.body:
        best = max((_alike(wanted, cell.text) for cell in row), default=0.0)
        if words:
            best = max([best, *(_worded(words, cell.text) for cell in row)])
        if best >= 0.72:
            scored.append((best, row))
    return sorted(scored, key=lambda item: -item[0])


def _worded(words: set[str], label: str) -> float:
    """For names of several words: all that was asked stands in the label, or all of the label was asked."""
    named = {stem(word) for word in re.findall(r"[a-z]{2,}|\d+", fold(label))}
    if not named or not any(word.isalpha() for word in named):
        return 0.0
    if words <= named:
        return 0.94
    return 0.9 if named <= words else 0.0


def _alike(wanted: str, label: str) -> float:
    whole = bare(label)
    core = bare(label.rsplit("*", 1)[-1])
    if not whole or not core:
        return 0.0
    if wanted in (whole, core):
        return 1.0
    if core.isdigit() or len(core) < 2 or len(wanted) < 2:
        return 0.0
    if core in wanted:
        return 0.93 if len(core) * 2 >= len(wanted) else 0.85
    if wanted in whole and not wanted.isdigit():
        return 0.92 if is_cjk(wanted[0]) or len(wanted) >= 4 else 0.6
    return fuzz.ratio(wanted, core) / 100


def column_by_kind(grid: Grid, kind: str, whole: str, lexicon: Lexicon) -> list[tuple[float, int, Phrase]]:
    """The column meant when only a row is named: how much it costs, how many there are."""
    order: tuple[str, ...]
    if kind == "money" or re.search(r"多少钱|how much|cost|price", whole):
        each = re.search(r"每|一[个箱盒件瓶台支斤杯份]|单价|each|per\b|unit", whole)
        order = (
            ("unit_price", "price", "amount")
            if each
            else ("amount", "total", "price", "unit_price", "subtotal", "total_with_tax")
        )
    elif kind == "number" or re.search(r"几|多少|how many", whole):
        order = ("quantity", "number", "result")
    else:
        order = ("result", "amount", "unit_price", "quantity")
    return [
        (0.9, column, head)
        for name in order
        for column, head in grid.heads
        if name in head.names and not COUNTER.fullmatch(fold(head.text))
    ]


def _of_row(
    grid: Grid,
    row: tuple[Cell, ...],
    columns: Sequence[tuple[float, int, Phrase]],
    labels: int,
    sure: float,
    *,
    named: bool = False,
) -> Iterator[Hit]:
    if columns:
        score, column, head = columns[0]
        cell = grid.cell(row, column)
        label = grid.cell(row, labels)
        if cell is not None:
            cells = (label, cell) if label is not None and label is not cell else (cell,)
            yield Hit(cell.text, cells, sure * min(1.0, 0.55 + 0.45 * score), head.text)
        return
    label = grid.cell(row, labels)
    if label is not None and not named:
        yield Hit(label.text, row, sure)
    elif named:
        yield Hit("  ".join(cell.text for cell in row), row, sure * 0.7)


def _of_column(
    grid: Grid, columns: Sequence[tuple[float, int, Phrase]], rest: str, kind: str, whole: str
) -> Iterator[Hit]:
    """A column without a row: its total where there is one, the only value, or all of them."""
    score, column, head = columns[0]
    wanted = bare(re.sub(r"合计|总计|总|共|total|sum|all|overall|全部|所有|item|商品|哪些|有", "", rest))
    spare = 0.5 if len(wanted) >= 2 else 0.0
    sure = 0.92 * min(1.0, 0.4 + 0.6 * score) - spare
    for row in sorted(grid.totals, key=lambda row: bool(NO_TOTAL.match(fold(row[0].text)))):
        cell = grid.cell(row, column)
        if cell is not None and any(c.isdigit() for c in cell.text) and cell is not row[0]:
            yield Hit(cell.text, (row[0], cell), sure, head.text)
            return
    cells = [cell for row in grid.body if (cell := grid.cell(row, column)) is not None]
    if not cells:
        return
    counted = _figures(grid, column)
    if (
        re.search(r"总|合计|一共|共|total|sum|altogether|in all", whole)
        and len(counted) == len(grid.body)
        and not ({"unit_price", "tax_rate"} & head.names)
    ):
        total = sum(figure for figure, _ in counted)
        said = f"{total:.2f}" if any("." in cell.text for cell in cells) else f"{total:g}"
        yield Hit(said, tuple(cells), sure * 0.92, head.text)
        return
    texts = list(dict.fromkeys(cell.text for cell in cells))
    yield Hit("、".join(texts), tuple(cells), sure * (0.97 if len(texts) == 1 else 0.9), head.text)
