"""Values that stand on a page without any key: the title, a receipt's shop, a lone date, telephone or address."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from sampan.engines.reader.facts import Fact, pairs
from sampan.engines.reader.folding import fold
from sampan.engines.reader.layout import Row
from sampan.engines.reader.lexicon import DOCUMENT_WORDS, Lexicon
from sampan.engines.reader.page import Line, Page, join_text
from sampan.engines.reader.values import find, fits

RECEIPT = re.compile(
    r"收银|小票|找零|欢迎光临|谢谢惠顾|桌号|收據|统一编号|\b(?:cashier|subtotal|change|thank you"
    r"|server|receipt|register|tender)\b",
    re.IGNORECASE,
)
ADDRESS = re.compile(
    r"\d+[\w ,.-]*\b(?:street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|way|square|plaza"
    r"|court|highway)\b|[\u4e00-\u9fff]{2,}(?:省|市|區|区|县|鎮|镇)[\u4e00-\u9fff\d]*(?:路|街|道"
    r"|巷|村|号|號|大厦|广场|楼|樓)|[\u4e00-\u9fff]{2,8}(?:路|街|大道|巷)\d+[号號]",
    re.IGNORECASE,
)
STYLED = re.compile(
    r"(?P<name>[A-Z][\w.,&' -]{2,60}?)\s*[(（](?:the\s+|hereinafter\s+(?:called\s+|referred to as\s+)?)?[\""
    r"“”](?P<role>[A-Z][\w ]{2,20})[\"“”][)）]"
    r"|(?P<firm>[A-Z][\w.,&' -]{2,60}?)\s*\((?:the|hereinafter)\s+(?P<part>[A-Z][a-z]+(?: [A-Z][a-z]+)?)\)"
    r"|(?P<who>[^，。,；;：:（）()]{2,30})[（(](?:以下|下|后文|後文)?(?:简称|簡稱|称|稱)(?:为|為)?[“\""
    r"「]?(?P<as>[^”\"」)）]{1,6})[”\"」]?[)）]"
)
# Sure enough for "the date", too little for a date of another kind that only has this broader name.
LONE_DATE = 0.72
SPAN_START = re.compile(r"自|从|由|\b(?:from|begin|commenc|start|effective|between)", re.IGNORECASE)
SPAN_MIDDLE = re.compile(
    r"^\W*(?:\d{1,2}时|零时)?(?:起|开始)?\W*(?:至|到|－|-|—|~|止)|\b(?:to|until|till|through|and ends?|and expires?"
    r"|and terminates?|ending)\b",
    re.IGNORECASE,
)
PERCENT_DONE = re.compile(
    r"(?:已完成|完成|进度|進度|progress|complet\w+)[^\d。；;]{0,6}(?P<v>\d{1,3}(?:\.\d+)?\s*[%％])"
    r"|(?P<v2>\d{1,3}(?:\.\d+)?\s*[%％])\s*(?:complete|done|finished|已?完成)",
    re.IGNORECASE,
)
RELEASE = re.compile(r"(?<=[A-Za-z\u4e00-\u9fff)） ])[vV]?(?P<v>\d{1,2}(?:\.\d{1,4}){2})(?![\d.]|\s*[年月])")
VITALS = (
    ("分机", r"(?:分[机機]|\bext(?:ension)?\.?)\s*(?:号)?\s*[:：]?\s*(\d{2,6})"),
    ("体温", r"\bT\s*[:：]?\s*(3\d(?:\.\d)?\s*[℃°]?C?)"),
    ("血压", r"\bBP\s*[:：]?\s*(\d{2,3}\s*/\s*\d{2,3}\s*(?:mmHg)?)"),
    ("心率", r"\b(?:P|HR)\s*[:：]?\s*(\d{2,3}\s*(?:次/分|bpm)?)"),
    ("呼吸", r"\bR\s*[:：]?\s*(\d{1,2}\s*(?:次/分)?)"),
)
SIGNED = re.compile(
    r"\b(?:made|entered into|executed|signed|concluded|dated)\b[^.;]{0,24}?\b(?:on|as of|of|this)\b"
    r"|签订于|签署于|订立于|[于在]\s*$|签订",
    re.IGNORECASE,
)
PAPER_NUMBER = re.compile(
    r"(?<![\u4e00-\u9fff])[\u4e00-\u9fff]{2,8}"
    r"[〔［\[【（(]\d{4}[〕］\]】）)]\s*第?\s*\d{1,5}\s*[号號]"
)
LONE = (
    ("phone", "phone", 0.78),
    ("email", "email", 0.86),
    ("url", "website", 0.8),
    ("ip", "ip address", 0.85),
    ("path", "file path", 0.75),
)


def loose_facts(page: Page, rows: Sequence[Row], lexicon: Lexicon) -> Iterator[Fact]:
    """Facts with the key that a reader of the page would give them; less trusted than keys that are written."""
    lines = [line for row in rows for line in row.lines]
    if not lines:
        return
    title = _title(lines, page)
    if title is not None:
        yield _fact("document title", title.text, title, page, 0.85, lexicon)
    whole = " ".join(line.text for line in lines)
    if RECEIPT.search(whole):
        first = next(
            (
                line
                for line in lines[:3]
                if len(line.text) > 2
                and fold(line.text) not in DOCUMENT_WORDS
                and not re.search(r"欢迎|welcome|小票|receipt|\d{4}", line.text, re.IGNORECASE)
            ),
            None,
        )
        if first is not None and not pairs(first.text, lexicon):
            yield _fact("seller", first.text, first, page, 0.82, lexicon)
            yield _fact("store name", first.text, first, page, 0.82, lexicon)
    if re.search("invoice|发票|receipt|quotation|报价", fold(title.text) if title else "") and not RECEIPT.search(
        whole
    ):
        named = next(
            (
                line
                for line in lines[:5]
                if line is not title and fits(line.text, "org") >= 0.9 and not pairs(line.text, lexicon)
            ),
            None,
        )
        if named is not None:
            yield _fact("seller", named.text, named, page, 0.8, lexicon)
    yield from _styled(lines, page, lexicon)
    yield from _closing(lines, page, lexicon)
    yield from _numbered(lines, page, lexicon)
    yield from _release(lines, page, lexicon)
    yield from _signings(lines, page, lexicon)
    yield from _moments(rows, page, lexicon)
    yield from _spans(lines, page, lexicon)
    yield from _vitals(lines, page, lexicon)
    yield from _dates(lines, page, lexicon)
    for kind, key, trust in LONE:
        found = {line.text[f.start : f.end]: line for line in lines for f in find(line.text, kind) if f.rank < 5}
        if len(found) == 1:
            value, line = next(iter(found.items()))
            yield _fact(key, value, line, page, trust, lexicon)
    addresses = [
        line for line in lines if ADDRESS.search(line.text) and len(line.text) < 60 and not pairs(line.text, lexicon)
    ]
    if len(addresses) == 1:
        yield _fact("address", addresses[0].text, addresses[0], page, 0.78, lexicon)


def _numbered(lines: Sequence[Line], page: Page, lexicon: Lexicon) -> Iterator[Fact]:
    """The number that an office gives its papers: "云行发〔2024〕63号"."""
    for line in lines:
        if found := PAPER_NUMBER.search(line.text):
            yield _fact("文号", found.group().strip(), line, page, 0.9, lexicon)
            return


def _closing(lines: Sequence[Line], page: Page, lexicon: Lexicon) -> Iterator[Fact]:
    """Who a letter or notice is from: an organisation alone above or beside the date alone on its last lines."""
    last = [line for line in lines[-7:] if not pairs(line.text, lexicon)]
    dated = [
        line for line in last if any(f.end - f.start >= len(line.text.strip()) - 1 for f in find(line.text, "date"))
    ]
    for line in last:
        near = any(abs(other.box.middle - line.box.middle) < 3.5 * line.box.height for other in dated)
        if near and line not in dated and len(line.text) <= 30 and fits(line.text, "org") >= 0.9:
            yield _fact("落款单位", line.text, line, page, 0.88, lexicon)
            yield _fact("发文单位", line.text, line, page, 0.86, lexicon)
            return


def _release(lines: Sequence[Line], page: Page, lexicon: Lexicon) -> Iterator[Fact]:
    """The one release number of three parts that stands after a name, as in a window's title."""
    found = {m.group("v"): line for line in lines for m in RELEASE.finditer(line.text)}
    if len(found) == 1:
        value, line = next(iter(found.items()))
        yield _fact("版本号", value, line, page, 0.8, lexicon)


def _styled(lines: Sequence[Line], page: Page, lexicon: Lexicon) -> Iterator[Fact]:
    """Parties named in running text: 'Peter Chang ("Tenant")', "张国栋（以下简称甲方）", also over two lines."""
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        texts = [(line.text, line)]
        if following is not None:
            texts.append((join_text([line.text, following.text]), Line(line.text, line.box.union(following.box))))
        for text, quoted in texts:
            for found in STYLED.finditer(text):
                name = found.group("name") or found.group("firm") or found.group("who")
                value = re.split(r"\b(?:between|and|with|by|from|is)\b|[与與和及由]", name)[-1].strip(" ,，")
                value = re.sub(r"^(?:出租人|承租人|出借人|借款人|买方|卖方|委托人|受托人|甲方|乙方)", "", value)
                if len(value) >= 2:
                    shown = Line(text, quoted.box, line.score)
                    role = found.group("role") or found.group("part") or found.group("as")
                    yield _fact(role.strip(), value, shown, page, 0.9, lexicon)


def _signings(lines: Sequence[Line], page: Page, lexicon: Lexicon) -> Iterator[Fact]:
    """When an agreement says that it was made: "made on 3 February 2025", "于2024年3月1日签订"."""
    for line in lines:
        for f in find(line.text, "date"):
            before, after = line.text[max(0, f.start - 60) : f.start], line.text[f.end : f.end + 8]
            told = (
                SIGNED.search(before)
                if before.isascii()
                else SIGNED.search(before[-6:]) and "签" in before[-6:] + after
            )
            if told:
                yield _fact("signing date", line.text[f.start : f.end], line, page, 0.84, lexicon)


def _moments(rows: Sequence[Row], page: Page, lexicon: Lexicon) -> Iterator[Fact]:
    """A day and a clock time side by side in two pieces of print, as receipts set them."""
    for row in rows:
        for one, other in pairwise(row.lines):
            day, clock = find(one.text, "date"), find(other.text, "time")
            if day and clock and day[-1].end == len(one.text) and clock[0].start == 0:
                text = f"{one.text[day[-1].start :]} {other.text[: clock[0].end]}"
                quoted = Line(f"{one.text} {other.text}", one.box.union(other.box))
                yield _fact("transaction time", text, quoted, page, 0.9, lexicon)


def _spans(lines: Sequence[Line], page: Page, lexicon: Lexicon) -> Iterator[Fact]:
    """Both ends of a time: "自…起至…止", "begins on … and ends on …". A sentence may run over two lines."""
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        text = line.text
        if following is not None and len(find(text, "date")) < 2 and SPAN_START.search(text):
            text = join_text([text, following.text])
        dates = find(text, "date")
        for one, other in pairwise(dates):
            between = text[one.end : other.start]
            if len(between) <= 28 and SPAN_MIDDLE.search(between):
                quoted = Line(
                    text, line.box if text == line.text or following is None else line.box.union(following.box)
                )
                yield _fact("start date", text[one.start : one.end], quoted, page, 0.82, lexicon)
                yield _fact("end date", text[other.start : other.end], quoted, page, 0.82, lexicon)
                yield _fact("contract period", text[one.start : other.end], quoted, page, 0.78, lexicon)


def _vitals(lines: Sequence[Line], page: Page, lexicon: Lexicon) -> Iterator[Fact]:
    """Vital signs as doctors write them: "T 36.5℃, P 88次/分, R 18次/分, BP 150/95mmHg", and how much is done."""
    for line in lines:
        if done := PERCENT_DONE.search(line.text):
            yield _fact("进度", (done["v"] or done["v2"]).strip(), line, page, 0.9, lexicon)
        for key, pattern in VITALS:
            if found := re.search(pattern, line.text):
                yield _fact(key, found.group(1).strip(), line, page, 0.92, lexicon)


def _title(lines: Sequence[Line], page: Page) -> Line | None:
    """The tallest line of the upper third, if it stands out."""
    top = min(line.box.top for line in lines)
    bottom = max(line.box.bottom for line in lines)
    upper = [
        line
        for line in lines
        if line.box.middle < top + 0.34 * (bottom - top) + 1
        and len(line.text) >= 3
        and line.box.width > line.box.height
    ]
    if not upper:
        return None
    tallest = max(upper, key=lambda line: (round(line.box.height / 3), -line.box.top))
    return tallest if len(tallest.text) <= 60 else None


def _dates(lines: Sequence[Line], page: Page, lexicon: Lexicon) -> Iterator[Fact]:
    """A page's only date answers for "the date"; a date alone on the last lines is when it was signed or issued."""
    dated = [(line, f) for line in lines for f in find(line.text, "datetime") if f.rank < 2]
    values = {line.text[f.start : f.end] for line, f in dated}
    if len(values) == 1:
        line, f = dated[0]
        yield _fact("date", line.text[f.start : f.end], line, page, LONE_DATE, lexicon)
        yield _fact("issue date", line.text[f.start : f.end], line, page, 0.8, lexicon)
        yield _fact("transaction time", line.text[f.start : f.end], line, page, 0.84, lexicon)
        yield _fact("发生时间", line.text[f.start : f.end], line, page, 0.83, lexicon)
        return
    alone = [(line, f) for line, f in dated if f.end - f.start >= len(line.text.strip()) - 1]
    if alone and alone[-1][0] in lines[-6:]:
        line, f = alone[-1]
        yield _fact("date", line.text[f.start : f.end], line, page, LONE_DATE, lexicon)
        yield _fact("signing date", line.text[f.start : f.end], line, page, 0.75, lexicon)
        yield _fact("issue date", line.text[f.start : f.end], line, page, 0.8, lexicon)


def _fact(key: str, value: str, line: Line, page: Page, trust: float, lexicon: Lexicon) -> Fact:
    return Fact(key, value, line, page, trust, lexicon.phrase(key), line.box)
