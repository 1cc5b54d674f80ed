"""Forms without rules: keys over their values in pairs of rows, keys beside them in columns, and strung in one line.

What tells a form of stacked pairs from a table is space: a key stands nearer to its own value than to what comes next.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sampan.engines.reader.facts import COLON, Fact
from sampan.engines.reader.folding import fold
from sampan.engines.reader.layout import Row, rows
from sampan.engines.reader.lexicon import Lexicon
from sampan.engines.reader.page import Line, Page, Table, join_text
from sampan.engines.reader.values import fits

LONGEST_KEY = 26
LONGEST_LATIN_KEY = 38
NEARER = 0.22
SAME_LEFT = 0.9
ENDS = re.compile(r"[。；;！？!?,，]|[¥￥$€£]\s*\d")
# A value wherever it stands: an address, a code with inner points or bars, a long number.
VALUE = re.compile(r"@|[a-z\d]_[a-z\d]|[a-z\d]\.[a-z]|\d[\d,.-]{4,}|[¥￥$€£]\s*\d|\d:\d\d")
LABEL_END = re.compile(
    r"[\u4e00-\u9fff](?:名称|编号|号码|日期|时间|单位|部门|地址|电话|方式|类型|类别|状态|金额|费用|数量|程度|原因|情况|等级|姓名|期限|用途|[费员者号额率数日])$"
)
SINGLE = re.compile(
    r"(?P<key>[A-Z][A-Za-z]+(?: [A-Za-z]+){0,2}|[\u4e00-\u9fff]{2,8})\s+#?"
    r"(?P<value>[A-Z]{0,4}-?\d[\d\s./-]{2,}\d[A-Z]?)"
)
FIGURED = re.compile(r"\d\S*$")
# A figure, or a code's capitals before one: "GB 539 4394 69".
OPENS_VALUE = re.compile(r"[#(£$€¥+]*(?:[A-Z]{0,4}-?\d|[A-Z]{1,4} \d)")
LONGEST_NAME = 4
TICKED = re.compile(r"[☑☒■√✓✔✅●◉]")
OPEN = re.compile(r"[□☐○◯]")
CHOICE = re.compile(r"(?P<box>[☑☒■√✓✔✅●◉□☐○◯])(?P<choice>[^☑☒■√✓✔✅●◉□☐○◯]*)")
KNOWN_TRUST, TRUST, SINGLE_TRUST = 0.96, 0.93, 0.88


@dataclass(frozen=True, slots=True)
class Stack:
    """A row of keys with the row of their values right below it."""

    keys: Row
    pairs: tuple[tuple[Line, Line], ...]


def stacks(page: Page, lexicon: Lexicon) -> list[Stack]:
    """Keys over their values, where a page sets at least two such pairs of rows, or one of several known keys."""
    ordered = rows(page.lines)
    found: list[Stack] = []
    index = 0
    while index + 1 < len(ordered):
        made = _stack(ordered, index)
        if made is not None:
            found.append(made)
            index += 1
        index += 1
    wide = [each for each in found if len(each.pairs) > 1]
    known = sum(bool(lexicon.concepts(key.text)) for each in wide for key, _ in each.pairs)
    return found if len(wide) > 1 and known else []


def _stack(ordered: Sequence[Row], index: int) -> Stack | None:
    keys, values = ordered[index], ordered[index + 1]
    height = min(keys.box.height, values.box.height)
    gap = values.box.top - keys.box.bottom
    before = keys.box.top - ordered[index - 1].box.bottom if index else 3 * height
    after = ordered[index + 2].box.top - values.box.bottom if index + 2 < len(ordered) else 3 * height
    if gap > 0.9 * height or gap > before - NEARER * height or gap > after - NEARER * height:
        return None
    if len(values.lines) > len(keys.lines) or not all(_names(line.text) for line in keys.lines):
        return None
    pairs = []
    for value in values.lines:
        key = min(keys.lines, key=lambda line: abs(line.box.left - value.box.left))
        if abs(key.box.left - value.box.left) > SAME_LEFT * height or COLON.search(value.text[:12]):
            return None
        pairs.append((key, value))
    return Stack(keys, tuple(pairs)) if len({id(key) for key, _ in pairs}) == len(pairs) else None


def _names(text: str) -> bool:
    """Whether a text may be the name of a field: short, without figures, sentence marks or a colon."""
    longest = LONGEST_LATIN_KEY if text.isascii() else LONGEST_KEY
    if not 1 < len(text.strip()) <= longest or ENDS.search(text) or COLON.search(text):
        return False
    return not any(char.isdigit() for char in text) and not VALUE.search(text)


def is_form(table: Table, found: Sequence[Stack], lexicon: Lexicon) -> bool:
    """Whether what looks like a table is a form: pairs of rows, or keys and values by turns instead of a heading."""
    if table.ruled or not table.rows:
        return False
    inside = sum(table.box.holds(each.keys.box.centre, each.keys.box.middle) for each in found)
    if inside > 1 or (inside and len(table.rows) <= 3):
        return True
    texts = [cell.text for cell in table.rows[0] if cell.text]
    if by_turns(table, lexicon):
        return True
    valued = [at for at, text in enumerate(texts) if _is_value(text)]
    led = all(at and _names(texts[at - 1]) and not _is_value(texts[at - 1]) for at in valued)
    return len(texts) > 3 and len(valued) * 2 in (len(texts), len(texts) - 1) and led


def by_turns(table: Table, lexicon: Lexicon) -> bool:
    """Whether a table's columns hold names of fields and values by turns, told by the names in them.

    A last column of values may lack its outer wall, and so be missing.
    """
    if table.columns not in (3, 4, 6) or len(table.rows) < 2:
        return False
    sides: tuple[list[str], list[str]] = ([], [])
    for cell in (cell for row in table.rows for cell in row if cell.text):
        sides[cell.column % 2].append(cell.text)
    keys, values = sides
    if not keys or not values or not all(_names(text) for text in keys):
        return False
    known, stray = (sum(_labels(text, lexicon) for text in side) for side in sides)
    return known * 2 >= len(keys) and stray * 5 <= len(values)


def _labels(text: str, lexicon: Lexicon) -> bool:
    return bool(lexicon.concepts(text)) or LABEL_END.search(fold(text)) is not None


def _is_value(text: str) -> bool:
    return VALUE.search(text) is not None or (len(re.findall(r"\d", text)) >= 5 and fits(text, "datetime") > 0.95)


def form_facts(page: Page, found: Sequence[Stack], lexicon: Lexicon) -> Iterator[Fact]:
    """The pairs of stacked forms, and those that stand one after another in a line without colons."""
    for each in found:
        for key, value in each.pairs:
            quoted = Line(join_text([key.text, value.text]), key.box.union(value.box), min(key.score, value.score))
            trust = KNOWN_TRUST if lexicon.concepts(key.text) else TRUST
            yield Fact(key.text, value.text, quoted, page, trust, lexicon.phrase(key.text), key.box)
    for line in page.lines:
        single = SINGLE.fullmatch(line.text.strip())
        if single:
            name = single["key"]
            yield Fact(name, single["value"], line, page, SINGLE_TRUST, lexicon.phrase(name), line.box)
        for name, text in strung(line.text, lexicon):
            yield Fact(name, text, line, page, TRUST, lexicon.phrase(name), line.box)


def strung(text: str, lexicon: Lexicon) -> list[tuple[str, str]]:
    """Known keys with figures after each, two or more in a row: "Tel. 01736 826111 VAT Reg. No. GB 539 4394 69"."""
    words = text.split()
    if len(words) < 4 or COLON.search(text):
        return []
    starts: list[tuple[int, int]] = []
    at = 0
    while at < len(words) - 1:
        size = next(
            (
                n
                for n in range(min(LONGEST_NAME, len(words) - at - 1), 0, -1)
                if _names(" ".join(words[at : at + n]))
                and any(name in lexicon.types for name in lexicon.concepts(" ".join(words[at : at + n])))
                and OPENS_VALUE.match(" ".join(words[at + n :]))
            ),
            0,
        )
        if size and (at == 0 or FIGURED.search(words[at - 1])):
            starts.append((at, size))
        at += max(size, 1)
    if not starts:
        return []
    ends = [*(start for start, _ in starts[1:]), len(words)]
    made = [
        (" ".join(words[start : start + size]), " ".join(words[start + size : end]))
        for (start, size), end in zip(starts, ends, strict=True)
    ]
    figured = [pair for pair in made if any(char.isdigit() for char in pair[1])]
    return figured if (len(figured) > 1 or starts[0][0] > 0) else []


def ticked(fact: Fact) -> Fact:
    """The fact with the choices that are ticked for its value, where it is a row of boxes of which some are."""
    if not OPEN.search(fact.value):
        return fact
    if not TICKED.search(fact.value):
        # Recognition loses a ticked box rather than an open one: "是□否".
        first = OPEN.split(fact.value)[0].strip()
        return replace(fact, value=first) if first and " " not in first else fact
    chosen = [match["choice"].strip() for match in CHOICE.finditer(fact.value) if TICKED.match(match["box"])]
    if not chosen or not all(chosen):
        return fact
    value = "、".join(chosen)
    return replace(fact, value=value, line=replace(fact.line, text=f"{fact.key} ☑ {value}", centres=()))


def unpaired(known: Sequence[Fact], found: Sequence[Stack]) -> list[Fact]:
    """Facts without those that pair a stacked form's texts otherwise: two keys, two values, a value with a key."""
    keyed = {_spot(key): value.text for each in found for key, value in each.pairs}
    valued = {_spot(value) for each in found for _, value in each.pairs}
    empty = {_spot(line) for each in found for line in each.keys.lines} - keyed.keys()
    names = {line.text for each in found for line in each.keys.lines}
    kept = []
    for fact in known:
        spot = round(fact.spot.left), round(fact.spot.middle)
        other = spot in keyed and fact.value != keyed[spot]
        if other or (fact.trust < 1.0 and (spot in valued or spot in empty or fact.value in names)):
            continue
        kept.append(fact)
    return kept


def _spot(line: Line) -> tuple[int, int]:
    return round(line.box.left), round(line.box.middle)
