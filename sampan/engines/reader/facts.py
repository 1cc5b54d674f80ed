"""Keys with their values, by where they stand: after a colon, to the right, below, or in the same box."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sampan.engines.reader.aliases import PARTIES, named
from sampan.engines.reader.folding import bare, fold
from sampan.engines.reader.layout import Row, rows
from sampan.engines.reader.lexicon import Lexicon, Phrase
from sampan.engines.reader.page import Box, Cell, Line, Page, Table, is_cjk, join_text
from sampan.engines.reader.tables import is_heading
from sampan.engines.reader.values import fits

COLON = re.compile(
    r"(?<![A-Za-z\d])(?<=.)[:：](?![/\\])|(?<=[A-Za-z)\d])[:：](?![/\\\d])|(?<=[A-Za-z)])[:：](?![/\\])"
    r"|(?<=\d)：|(?<=[A-Za-z_])=(?=\S)"
)
DRIVE = re.compile(r"(?:^|[\s\"'(（])[A-Za-z]$")
BLANK = re.compile(
    r"^(?:[\s_＿—\-.…/\\]*|\W*(?:盖?章|签[字章名]|公章|蓋章|簽名|簽章|年\s*月\s*日|stamp|seal|signature)\W*)$",
    re.IGNORECASE,
)
KEY_BREAK = re.compile(r"[\s;；，,。|、]+")
INLINE = re.compile(r"^[（(](.{1,8}?)[)）]\s*(\S.*)$")
COUNTERPARTS = {
    "buyer": "seller",
    "seller": "buyer",
    "party_a": "party_b",
    "party_b": "party_a",
    "landlord": "tenant",
    "tenant": "landlord",
    "sender": "recipient",
    "recipient": "sender",
    "lender": "borrower",
    "borrower": "lender",
}
VALUE_LIKE = named(
    "amount_paid name buyer company father mother spouse guardian employee student doctor manager customer"
)
RATE = re.compile(
    r"\s*(?:[（(@]?\s*(?:[\u4e00-\u9fff]{1,4}\s*)?\d+(?:\.\d+)?\s*[%％]\s*[)）]?|[（(]?\s*(?:RMB|CNY|USD|EUR|GBP|SGD|HKD|TWD"
    r"|JPY|元|[¥￥$€£])\s*[)）]?)\s*$"
)
REST_OF_LABEL = re.compile(r"(?:of|for|and|or|in|on|at|to|by|from|with|per)\b", re.IGNORECASE)
# "Cost centre", "Total expenses": a second word in small letters goes on with the first.
MORE_OF_LABEL = re.compile(r"[a-z]+(?: [a-z]+)?")
# What opens a block of signatures: "For and on behalf of Acme Ltd", "代表甲方".
SIGNS_FOR = re.compile(
    r"(?:(?:[Ss]igned )?(?:[Ff]or(?: and on behalf of)?|[Oo]n behalf of)|FOR(?: AND ON BEHALF OF)?) (?:the |THE )?"
    r"(?P<whom>[A-Z][\w.,&' -]{2,48}?)\s*[:：]?$"
)
LONGEST_KEY = 24
# Keys told by how they end, where they run on from the value before: "检验者：龚丽审核者：孟庆华".
KEY_ENDS = {
    3: re.compile(r"[\u4e00-\u9fff]{3}[者人员]$"),
    4: re.compile(r"[\u4e00-\u9fff\d]{3}(?:日期|时间|单位|编号|号码|电话|地址)$"),
}
# What stands before a colon may be a sentence that says what went wrong, which is no label.
SAYS = re.compile(
    r"\b(?:could|can|did|does|do|was|is) ?(?:not|n't)\b|\bcannot\b|\b(?:failed|unable) to\b|无法|不能|未能"
)


@dataclass(frozen=True, slots=True)
class Fact:
    """A key and its value on a page. `line` is what both were read from (for quoting), `trust` how sure the pairing is,
    `scope` the parties whose section it stands in, nearest first."""

    key: str
    value: str
    line: Line
    page: Page
    trust: float
    phrase: Phrase
    spot: Box
    scope: tuple[str, ...] = ()

    @property
    def blank(self) -> bool:
        return BLANK.match(self.value) is not None


@dataclass(frozen=True, slots=True)
class _Pair:
    key: str
    value: str
    start: int
    end: int


def facts(page: Page, tables: Sequence[Table], lexicon: Lexicon) -> list[Fact]:
    """Every pairing on a page that could be a key with its value, better founded ones first."""
    found: list[Fact] = []
    ordered = rows(page.lines)
    heads = {id(line) for table in tables if not table.ruled for cell in table.rows[0] for line in cell.lines}
    for index, row in enumerate(ordered):
        if _heads_values(ordered[index : index + 3], lexicon):
            found.extend(_under_heads(page, row, ordered[index + 1], lexicon))
            continue
        if is_heading(row, lexicon) or (len(row.lines) >= 3 and all(_plain_head(line, heads) for line in row.lines)):
            continue
        for place, line in enumerate(row.lines):
            found.extend(_of_line(page, ordered, index, place, line, lexicon))
    for table in tables:
        if table.ruled:
            found.extend(_of_cells(page, table, lexicon))
    marks = list(_marks(page, lexicon))
    scoped = [replace(fact, scope=_scope(fact, marks)) for fact in found]
    return sorted(_complemented(scoped), key=lambda fact: -fact.trust)


def _complemented(found: Sequence[Fact]) -> list[Fact]:
    """A key that stands twice, once in one party's section and once in none, belongs to the other party there."""
    by_key: dict[str, list[Fact]] = {}
    for fact in found:
        if fact.trust >= 0.95 and not fact.blank:
            by_key.setdefault(bare(fact.key), []).append(fact)
    other: dict[int, str] = {}
    for pair in by_key.values():
        if len(pair) != 2:
            continue
        for one, two in (pair, reversed(pair)):
            if one.scope and one.scope[0] in COUNTERPARTS and not (two.scope and two.scope[0] in COUNTERPARTS):
                other[id(two)] = COUNTERPARTS[one.scope[0]]
    return [replace(fact, scope=(other[id(fact)],)) if id(fact) in other else fact for fact in found]


def _heads_values(ordered: Sequence[Row], lexicon: Lexicon) -> bool:
    """Whether the first row holds keys alone, each with its one value right below it, as forms set them in columns."""
    if len(ordered) < 2:
        return False
    row, below = ordered[:2]
    if len(row.lines) < 2 or len(below.lines) < 2 or below.box.top - row.box.bottom > 1.8 * row.box.height:
        return False
    if any(not _may_be_key(line.text) or COLON.search(line.text) or RATE.fullmatch(line.text) for line in row.lines):
        return False
    if any(char.isdigit() for line in row.lines for char in line.text):
        return False
    known = sum(bool(lexicon.concepts(line.text)) for line in row.lines)
    if known * 2 < len(row.lines) and not (known and len(row.lines) >= 3):
        return False
    under = [_value_under(line, row, below) for line in row.lines]
    values = [line for line in under if line is not None]
    if len(values) < max(2, len(row.lines) - 1):
        return False
    if len(ordered) > 2 and ordered[2].box.top - below.box.bottom < 1.8 * below.box.height:
        more = [line for key in row.lines if (line := _value_under(key, row, ordered[2])) is not None]
        if len(more) >= max(2, len(row.lines) - 1) and not any(pairs(line.text, lexicon) for line in more):
            return False
    keyed = sum(bool(lexicon.concepts(line.text)) or bool(pairs(line.text, lexicon)) for line in values)
    told = any(char.isdigit() for line in values for char in line.text)
    return keyed * 3 <= len(values) and (told or known == len(row.lines))


def _under_heads(page: Page, row: Row, below: Row, lexicon: Lexicon) -> Iterator[Fact]:
    for line in row.lines:
        value = _value_under(line, row, below)
        if value is None:
            yield Fact(line.text, "", line, page, 0.5, lexicon.phrase(line.text), line.box)
            continue
        quoted = Line(join_text([line.text, value.text]), line.box.union(value.box), min(line.score, value.score))
        trust = 0.95 if lexicon.concepts(line.text) else 0.88
        yield Fact(line.text, value.text, quoted, page, trust, lexicon.phrase(line.text), line.box)


def _value_under(line: Line, row: Row, below: Row) -> Line | None:
    """The text of the next row that stands under a key and under no other key more."""
    if len(row.lines) == len(below.lines):
        return below.lines[row.lines.index(line)]
    best = max(below.lines, key=lambda other: other.box.overlap_across(line.box))
    if best.box.overlap_across(line.box) < 0.3 * min(best.box.width, line.box.width):
        return None
    owner = max(row.lines, key=lambda key: key.box.overlap_across(best.box))
    return best if owner is line else None


def _plain_head(line: Line, heads: set[int]) -> bool:
    """Whether a line is a heading's: it opens a table and has no digits, as a row of values would."""
    return id(line) in heads and not any(char.isdigit() for char in line.text)


def _of_line(
    page: Page, ordered: Sequence[Row], index: int, place: int, line: Line, lexicon: Lexicon
) -> Iterator[Fact]:
    row = ordered[index]
    split = pairs(line.text, lexicon)
    for number, pair in enumerate(split):
        evidence = line.part(pair.start, pair.end) if len(split) > 1 else line
        if pair.value:
            value, evidence = _wrapped(pair, line, evidence, ordered, index, lexicon)
            yield Fact(pair.key, value, evidence, page, 1.0, lexicon.phrase(pair.key), line.box)
            inside = _inline(pair.value, lexicon)
            if inside is not None:
                yield Fact(inside[0], inside[1], evidence, page, 0.9, lexicon.phrase(inside[0]), line.box)
        elif number == len(split) - 1:
            yield _labelled(page, ordered, index, place, line, pair.key, lexicon)
    if split:
        return
    inline = _inline(line.text, lexicon)
    beside = place + 1 < len(row.lines)
    if inline is not None and not (beside and (RATE.fullmatch(inline[1]) or _translates(inline))):
        yield Fact(inline[0], inline[1], line, page, 0.93, lexicon.phrase(inline[0]), line.box)
    if not _may_be_key(line.text):
        return
    known = bool(lexicon.concepts(line.text))
    after = row.lines[place + 1] if place + 1 < len(row.lines) else None
    upright = line.box.height > 1.5 * line.box.width
    if after is not None and not upright and not _starts_key(after.text, lexicon):
        trust = 0.95 if known else 0.86
        value, evidence = _beside(line, after, row, place, lexicon)
        key = RATE.sub("", line.text).strip() or line.text
        yield Fact(key, value, evidence, page, 0.95 if lexicon.concepts(key) else trust, lexicon.phrase(key), line.box)
    below = _below(line, ordered, index)
    if below is not None and not _starts_key(below.text, lexicon):
        trust = 0.8 if known else 0.7
        quoted = Line(join_text([line.text, below.text]), line.box.union(below.box), min(line.score, below.score))
        yield Fact(line.text, below.text, quoted, page, trust, lexicon.phrase(line.text), line.box)


def _labelled(
    page: Page, ordered: Sequence[Row], index: int, place: int, line: Line, key: str, lexicon: Lexicon
) -> Fact:
    """A key with a colon and nothing after it: the value stands to the right, else below, else the field is empty."""
    row = ordered[index]
    phrase = lexicon.phrase(key)
    if SAYS.search(line.text):
        return Fact(key, "", line, page, 0.3, phrase, line.box)
    after = row.lines[place + 1] if place + 1 < len(row.lines) else None
    if after is not None and _walled_off(page, line, after):
        return Fact(key, "", line, page, 0.9, phrase, line.box)
    if after is not None and not pairs(after.text, lexicon):
        value, evidence = _beside(line, after, row, place, lexicon)
        return Fact(key, value, evidence, page, 0.98, phrase, line.box)
    below = _below(line, ordered, index)
    if below is not None and not _starts_key(below.text, lexicon):
        quoted = Line(join_text([line.text, below.text]), line.box.union(below.box), min(line.score, below.score))
        return Fact(key, below.text, quoted, page, 0.88, phrase, line.box)
    return Fact(key, "", line, page, 0.9, phrase, line.box)


def _walled_off(page: Page, line: Line, after: Line) -> bool:
    """Whether a ruled wall stands between a key and what is beside it, and the key shares its box with other lines."""
    home = [cell for cell in page.cells if cell.holds(line.box.centre, line.box.middle)]
    if not home:
        return False
    cell = min(home, key=lambda box: box.width * box.height)
    if cell.holds(after.box.centre, after.box.middle):
        return False
    return sum(cell.holds(other.box.centre, other.box.middle) for other in page.lines) > 1


def _beside(line: Line, after: Line, row: Row, place: int, lexicon: Lexicon) -> tuple[str, Line]:
    """The text to the right of a key, with what follows it closely, such as a time after a date."""
    value, last = after.text, after
    for more in row.lines[place + 2 :]:
        if more.box.left - last.box.right > 1.2 * last.box.height or _starts_key(more.text, lexicon):
            break
        value, last = join_text([value, more.text]), more
    box = line.box.union(after.box).union(last.box)
    return value, Line(join_text([line.text, value]), box, min(line.score, after.score))


def _wrapped(
    pair: _Pair, line: Line, evidence: Line, ordered: Sequence[Row], index: int, lexicon: Lexicon
) -> tuple[str, Line]:
    """The value with its next lines, where those start under the value and not under the key."""
    value = pair.value
    if pair.end < len(line.text.rstrip()) or len(line.centres) != len(line.text):
        return value, evidence
    at = line.text.rfind(value[:4]) if len(value) >= 4 else line.text.rfind(value)
    left = line.centres[at] if 0 <= at < len(line.centres) else line.box.left
    last = line.box
    for row in ordered[index + 1 : index + 3]:
        near = [
            ln
            for ln in row.lines
            if abs(ln.box.left - left) < 1.1 * last.height and ln.box.left > line.box.left + last.height
        ]
        if not near or near[0].box.top - last.bottom > 0.9 * last.height or _starts_key(near[0].text, lexicon):
            break
        if any(ln.box.overlap_across(Box(line.box.left, 0, left - last.height, 0)) > 0 for ln in row.lines):
            break
        value = join_text([value, near[0].text])
        last = near[0].box
        evidence = Line(join_text([evidence.text, near[0].text]), evidence.box.union(last), evidence.score)
    return value, evidence


def _below(line: Line, ordered: Sequence[Row], index: int) -> Line | None:
    for row in ordered[index + 1 : index + 3]:
        for other in row.lines:
            across = other.box.overlap_across(line.box)
            if across > 0.4 * min(line.box.width, other.box.width):
                gap = other.box.top - line.box.bottom
                return other if gap < 1.8 * line.box.height else None
    return None


def _of_cells(page: Page, table: Table, lexicon: Lexicon) -> Iterator[Fact]:
    """In a ruled table: a cell with the one to its right, and one with the cell below it."""
    for number, row in enumerate(table.rows):
        for place, cell in enumerate(row):
            text = cell.text
            if not text or not _may_be_key(text) or (pairs(text, lexicon) and not text.rstrip().endswith((":", "："))):
                continue
            key = text.rstrip(":： ")
            phrase = lexicon.phrase(key)
            known = bool(lexicon.concepts(key))
            after = next((c for c in row[place + 1 :] if c.column == cell.last + 1), None)
            if after is not None:
                value = after.text
                if not (known and lexicon.concepts(value)) and not (
                    value and _starts_key(value, lexicon) and pairs(value, lexicon)
                ):
                    quoted = Line(join_text([text, value]), cell.box.union(after.box))
                    yield Fact(key, value, quoted, page, 0.97 if known else 0.9, phrase, cell.box)
            under = _cell_below(table, number, cell.column, cell.last)
            if under is not None and known and not lexicon.concepts(under.text) and not pairs(under.text, lexicon):
                quoted = Line(join_text([text, under.text]), cell.box.union(under.box))
                yield Fact(key, under.text, quoted, page, 0.82 if under.text else 0.5, phrase, cell.box)


def _cell_below(table: Table, number: int, column: int, last: int) -> Cell | None:
    if number + 1 >= len(table.rows):
        return None
    return next((c for c in table.rows[number + 1] if c.column == column and c.last == last), None)


def pairs(text: str, lexicon: Lexicon) -> list[_Pair]:
    """Keys and values told by colons inside one line: "电话：123 传真：456" gives two; a value may be empty."""
    colons = [m.start() for m in COLON.finditer(text) if not DRIVE.search(text[: m.start()])]
    made: list[_Pair] = []
    key_start = 0
    for number, colon in enumerate(colons):
        key = _key_text(text[key_start:colon])
        if key is None:
            continue
        end = len(text)
        next_start = end
        if number + 1 < len(colons):
            following = _next_key(text, colon + 1, colons[number + 1], lexicon)
            if following is not None:
                end = next_start = following
            else:
                made.append(_Pair(key, text[colon + 1 :].strip(" ;；,，"), key_start, len(text)))
                return made
        made.append(_Pair(key, text[colon + 1 : end].strip(" ;；,，"), key_start, end))
        key_start = next_start
    return made


def _key_text(text: str) -> str | None:
    key = re.sub(r"^\s*[（(]?\d{1,2}\s*[.、)）．]\s*(?=\D)", "", text).strip(" *•·-—□☑√")
    if len(key) > LONGEST_KEY and not (key.isascii() and len(key) <= 44 and key.count(" ") <= 5):
        tail = re.split(r"[，。；;,]\s*", key)[-1].strip()
        key = tail if 0 < len(tail) <= LONGEST_KEY else ""
    if not key or re.fullmatch(r"[\d\W]+", key):
        return None
    return key


def _next_key(text: str, start: int, colon: int, lexicon: Lexicon) -> int | None:
    """Where the key before the next colon begins, so that what is left of it belongs to the value before."""
    segment = text[start:colon]
    if not segment.strip():
        return start if not segment else None
    breaks = [m.end() for m in KEY_BREAK.finditer(segment) if m.end() < len(segment)]
    for at in breaks:
        if lexicon.concepts(segment[at:]):
            return start + at
    for at in range(1, len(segment)):
        if is_cjk(segment[at]) and len(segment) - at >= 2 and lexicon.concepts(segment[at:]):
            return start + at
    for size in (3, 4):
        if KEY_ENDS[size].search(segment):
            return start + len(segment) - size
    if breaks:
        tail = segment[breaks[-1] :]
        if len(tail) <= 12 or (tail.isascii() and len(tail) <= 24):
            wide = [m.end() for m in re.finditer(r"\s{2,}", segment) if m.end() < len(segment)]
            return start + (wide[-1] if wide else breaks[-1])
    return None


def _inline(text: str, lexicon: Lexicon) -> tuple[str, str] | None:
    """A known key and its value in one run without a colon: "TOTAL 45.00", "（小写）¥12.00"."""
    if re.fullmatch(r"(?:\S\s+)+\S", text.strip()):
        return None
    match = INLINE.match(text)
    if match and lexicon.concepts(match.group(1)):
        return match.group(1), match.group(2)
    best = None
    for at in range(1, min(len(text), 40)):
        edge = (
            text[at].isspace()
            or text[at] in "¥￥$#"
            or (is_cjk(text[at - 1]) and (text[at].isdigit() or (text[at].isascii() and text[at].isupper())))
        )
        if text[at - 1] in ")）" or edge:
            value = text[at:].strip(" #")
            if REST_OF_LABEL.match(value) or MORE_OF_LABEL.fullmatch(value):
                continue
            if value and lexicon.concepts(text[:at]) and (any(c.isdigit() for c in value) or text[at].isspace()):
                best = (text[:at].strip(), value)
    return best


def _translates(inline: tuple[str, str]) -> bool:
    """Whether what follows a Chinese key in one run is the key once more in English: "国籍 Nationality"."""
    key, value = inline
    return is_cjk(key[-1]) and re.fullmatch(r"[A-Za-z][A-Za-z .'/-]*", value) is not None


def _may_be_key(text: str) -> bool:
    plain = text.strip()
    if not 1 < len(plain) <= LONGEST_KEY + 12 * plain.isascii():
        return False
    digits = sum(char.isdigit() for char in plain)
    dated = digits >= 4 and fits(plain, "datetime") > 0.95
    return digits * 2 < len(plain) and not dated and not re.search(r"[。；;！？]", plain)


def _starts_key(text: str, lexicon: Lexicon) -> bool:
    """Whether a text is itself a key: it has a colon after a short start, or is a known key of its own."""
    if any(pair.key for pair in pairs(text, lexicon)):
        return True
    names = lexicon.concepts(text)
    return any(name in lexicon.types and name not in VALUE_LIKE for name in names)


def _marks(page: Page, lexicon: Lexicon) -> Iterator[tuple[tuple[str, ...], Line]]:
    """Lines that open a party's section: its word alone, or as the key of a pair."""
    for line in page.lines:
        if _tells_relation(line, page, lexicon):
            continue
        signing = SIGNS_FOR.match(line.text.strip())
        if signing:
            yield (f"for {fold(signing['whom'])}",), line
            continue
        text = re.split(r"[:：]", line.text)[0]
        trimmed = re.sub(
            r"(信息|资料|資料|情况|\s*(info|information|details))\s*$",
            "",
            re.sub(r"[（(].*?[)）]", "", text),
            flags=re.IGNORECASE,
        )
        if "relationship" in lexicon.phrase(trimmed).names:
            continue
        names = [name for name in lexicon.concepts(trimmed) if name in PARTIES]
        if not names and len(trimmed) <= 12:
            names = [name for token in lexicon.phrase(trimmed).tokens for name in token.names if name in PARTIES]
        if not names and line.box.height > 1.5 * line.box.width:
            names = _nearly(line.text)
        aside = re.search(r"[（(](.{2,8}?)[)）]", text)
        also = [name for name in lexicon.concepts(aside.group(1)) if name in PARTIES] if aside else []
        if names or also:
            yield (*names[:1], *also[:1]), line


def _tells_relation(line: Line, page: Page, lexicon: Lexicon) -> bool:
    """Whether "父亲" or "husband" is a value beside a key that asks for a relation, not a section of its own."""
    beside = [
        o for o in page.lines if o.box.overlap_down(line.box) > 0.5 * line.box.height and o.box.right <= line.box.left
    ]
    near = max(beside, key=lambda other: other.box.right, default=None)
    return near is not None and "relationship" in lexicon.concepts(near.text)


def _nearly(text: str) -> list[str]:
    """A party read from characters one below another, where one or two may have been lost."""
    if any(char in text for char in "购購买買"):
        return ["buyer"]
    return ["seller"] if any(char in text for char in "销銷卖賣售") else []


def _scope(fact: Fact, marks: Sequence[tuple[tuple[str, ...], Line]]) -> tuple[str, ...]:
    """The section that a fact stands in: a mark upright at its left, else the nearest above in its own column."""
    spot = fact.spot
    best: tuple[float, tuple[str, ...]] | None = None
    for names, mark in marks:
        box = mark.box
        if box is spot:
            continue
        upright = box.height > 1.5 * box.width
        beyond = max(box.top - spot.middle, spot.middle - box.bottom, 0.0)
        if (
            box.right <= spot.left + 6
            and beyond < 1.6 * spot.height
            and (upright or box.holds(box.centre, spot.middle))
        ):
            distance = (spot.left - box.right) * 0.25 + beyond
        elif box.bottom <= spot.middle and not upright:
            if _another_column(box, spot, marks):
                continue
            distance = (spot.top - box.bottom) + 0.3 * abs(box.left - spot.left) + 20
        else:
            continue
        if best is None or distance < best[0]:
            best = (distance, names)
    return best[1] if best else ()


def _another_column(box: Box, spot: Box, marks: Sequence[tuple[tuple[str, ...], Line]]) -> bool:
    """Whether another mark beside this one stands nearer above the spot, so that its column is the spot's."""
    if box.left > spot.right:
        return True
    return any(
        other.box.overlap_down(box) > 0.5 * min(box.height, other.box.height)
        and other.box.left > box.right
        and other.box.left <= spot.left + 2 * spot.height
        for _, other in marks
    )
