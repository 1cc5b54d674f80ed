"""A railway ticket's facts, which it gives without keys: train, stations, departure, coach and seat, passenger."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sampan.engines.reader.facts import Fact
from sampan.engines.reader.layout import Row
from sampan.engines.reader.lexicon import Lexicon
from sampan.engines.reader.page import Line, Page

TRAIN = re.compile(r"^(?:[GDCZTKSYL]\d{1,4}|\d{4})(?:次)?$")
SEAT = re.compile(r"\d{1,2}\s*车\s*(?:\d{1,3}\s*[A-F]?\s*号(?:[上中下]铺)?|无座)")
LEAVES = re.compile(r"(?:(?P<day>\d{4}\s*年\s*\d{1,2}\s*月\s*\d{1,2}\s*日)\s*)?(?P<time>\d{1,2}[:：]\d{2})\s*开")
DAY = re.compile(r"^\d{4}\s*年\s*\d{1,2}\s*月\s*\d{1,2}\s*日")
CLASS = re.compile(r"^(?:新空调)?(?:商务座|特等座|一等座|二等座|优选一等座|硬座|软座|硬卧|软卧|动卧|高级软卧|无座)$")
STATION = re.compile(r"^[\u4e00-\u9fff]{2,8}站?$")
MASKED = re.compile(r"\d{4,12}\*{2,}\w{3,4}")
PERSON = re.compile(r"^[\u4e00-\u9fff·]{2,6}$")
TRUST = 0.96


def journey_facts(page: Page, ordered: Sequence[Row], lexicon: Lexicon) -> Iterator[Fact]:
    """The facts of a railway ticket; none where no coach and seat stand on the page."""
    if not any(SEAT.search(line.text) for line in page.lines):
        return
    for index, row in enumerate(ordered):
        for line in row.lines:
            for key, value in _told(line, row):
                yield Fact(key, value, line, page, TRUST, lexicon.phrase(key), line.box)
        yield from _stations(page, ordered, index, lexicon)


def _told(line: Line, row: Row) -> Iterator[tuple[str, str]]:
    seat, leaves = SEAT.search(line.text), LEAVES.search(line.text)
    if seat:
        yield "座位号", seat.group()
    if CLASS.match(line.text.strip()):
        yield "席别", line.text.strip()
    if leaves:
        day = leaves["day"] or next((m.group() for other in row.lines if (m := DAY.match(other.text))), "")
        yield "发车时间", f"{day} {leaves['time']}开".strip()
        if day:
            yield "乘车日期", day
    masked = MASKED.search(line.text)
    if masked:
        beside = next((other for other in row.lines if other is not line and PERSON.match(other.text.strip())), None)
        told = line.text[masked.end() :].strip() if beside is None else beside.text.strip()
        if PERSON.match(told):
            yield "乘客姓名", told
        yield "身份证号", masked.group()


def _stations(page: Page, ordered: Sequence[Row], index: int, lexicon: Lexicon) -> Iterator[Fact]:
    """The train's number with the stations at its left and right."""
    train = next((line for line in ordered[index].lines if TRAIN.match(line.text.strip())), None)
    if train is None:
        return
    yield Fact("车次", train.text.strip(), train, page, TRUST, lexicon.phrase("车次"), train.box)
    near = [
        line
        for row in ordered[max(0, index - 1) : index + 2]
        for line in row.lines
        if STATION.match(line.text.strip()) and abs(line.box.middle - train.box.middle) < 2 * train.box.height
    ]
    sides = (("出发站", [s for s in near if s.box.right <= train.box.left]), ("到达站", _right_of(near, train)))
    for key, found in sides:
        if len(found) == 1:
            yield Fact(key, found[0].text.strip(), found[0], page, TRUST, lexicon.phrase(key), found[0].box)


def _right_of(near: Sequence[Line], train: Line) -> list[Line]:
    return [station for station in near if station.box.left >= train.box.right]
