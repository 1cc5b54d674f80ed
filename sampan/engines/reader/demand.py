"""What a question wants counted: hours, times, a distance, a share, an interval. Only such a value answers it."""

from __future__ import annotations

import re
from dataclasses import dataclass

COUNT = r"(?:\d[\d,.]*|[零一二两兩三四五六七八九十百半]+|[壹贰貳叁參肆伍陆陸柒捌玖拾]+)"
WORDS = (
    r"(?:\d[\d,.]*|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|sixty"
    r"|ninety)(?:\s*\(\d+\))?"
)
PERIOD = r"(?:hours?|days?|weeks?|months?|years?|quarters?|miles|km|kilomet(?:er|re)s)"


@dataclass(frozen=True, slots=True)
class Demand:
    """A way of asking for a count, what its values look like, and the keys whose bare numbers are such values."""

    asked: re.Pattern[str]
    value: re.Pattern[str]
    key: re.Pattern[str]


def _demand(asked: str, value: str, key: str) -> Demand:
    return Demand(re.compile(asked), re.compile(value, re.IGNORECASE), re.compile(key, re.IGNORECASE))


DEMANDS = (
    _demand(
        r"多久.{0,8}一次|每隔?多久|多长时间.{0,6}一次|隔多久|\bhow (?:often|frequently)\b",
        rf"\bevery (?:other )?(?:{WORDS}\s*(?:-|to)?\s*)?(?:business |working |calendar |operating )?{PERIOD}\b"
        rf"|\b(?:once|twice|{WORDS} times) (?:a|an|per|every|each) (?:{WORDS} )?\w+"
        r"|\b(?:hourly|daily|weekly|fortnightly|monthly|quarterly|yearly|annually|semi-?annually)\b"
        rf"|每隔?\s*{COUNT}?\s*(?:个|個)?(?:工作)?(?:小时|小時|分钟|分鐘|日|天|周|週|星期|月|季度?|年|公里)"
        rf"(?:[^，。；,;]{{0,6}}?{COUNT}\s*次)?",
        r"频|周期|间隔|频率|interval|frequency|how often|schedule|次数",
    ),
    _demand(
        r"(?:几|多少)个?(?:小时|钟头)|\bhow many hours\b",
        rf"{COUNT}\s*(?:个|個)?\s*(?:小时|小時|钟头|鐘頭)(?:半)?|\b{WORDS}\s*-?(?:hours?|hrs?|h)\b",
        r"小时|时长|工时|学时|hours?|duration|time",
    ),
    _demand(
        r"(?:几|多少)(?:次|回|遍)(?!会|议)|\bhow many times\b|\bhow many (?:rounds|revisions|attempts|retries)\b",
        rf"{COUNT}\s*(?:次|回|遍|轮|輪)|\b{WORDS}\s+(?:times|rounds|revisions|attempts|retries|changes)\b"
        r"|\b(?:once|twice|thrice)\b",
        r"次|回数|times|count|attempts|retries|rounds|revisions",
    ),
    _demand(
        r"(?:几|多少)(?:公里|千米|里路?)|\bhow many (?:kilomet\w+|km|miles)\b|\bhow far (?!along|ahead|in advance)\b",
        rf"{COUNT}\s*(?:公里|千米|里路|[km]m?\b|[厘毫]?米|kilomet\w+|miles?\b|mi\b|cm\b|met(?:er|re)s?\b|feet\b|ft\b)",
        r"里程|公里|距离|km|mileage|distance|odometer|miles",
    ),
    _demand(
        r"百分之(?:几|多少)|\bwhat percent(?:age)?\b|\bhow many percent\b|多少百分比",
        rf"\d[\d.]*\s*[%％‰]|(?:百|千|万|萬)分之{COUNT}|\b{WORDS}\s*(?:percent|per cent)\b",
        r"率|比例|百分|%|rate|percent|share",
    ),
)
NOT_AMOUNTS = re.compile(r"^\W*(?:No\b\.?|№|编号|編號)\s*\W*[A-Z\d-]+\W*$|^(?:\d[ -]?){8,}$", re.IGNORECASE)


def demanded(whole: str) -> Demand | None:
    """What a folded question wants counted; nothing where it asks for something else."""
    return next((demand for demand in DEMANDS if demand.asked.search(whole)), None)


def meets(value: str, label: str, demand: Demand) -> bool:
    """Whether a value is of the kind demanded, by its own looks or as a bare number under a key that tells its unit."""
    if demand.value.search(value):
        return True
    return demand.key.search(label) is not None and re.search(COUNT, value) is not None and len(value) <= 24


def is_identifier(value: str) -> bool:
    """Whether a text is a document's, an account's or a card's number, which is never an amount."""
    return NOT_AMOUNTS.match(value.strip()) is not None
