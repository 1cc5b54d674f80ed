"""Numbers in cells, exact: what a cell counts, what a question compares with, and how a sum is written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

NUMBER = re.compile(r"[-−+]?\d[\d,，]*(?:\.\d+)?")
ONLY_NUMBER = re.compile(
    r"^\W{0,2}(?:¥|￥|\$|€|£|rmb|cny|usd|hkd|nt\$|hk\$|约"
    r"|a\$)?\s*[-−+]?\d[\d,，]*(?:\.\d+)?\s*(?:%|[a-z/²³%°℃]{1,6}"
    r"|[\u4e00-\u9fff]{1,3})?\W{0,2}(?:↑|↓|h|l)?$",
    re.IGNORECASE,
)
WORDS = {
    "一": 1,
    "两": 2,
    "二": 2,
    "三": 3,
    "四": 4,
    "五": 5,
    "六": 6,
    "七": 7,
    "八": 8,
    "九": 9,
    "十": 10,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "once": 1,
    "twice": 2,
    "thrice": 3,
}
SPAN = re.compile(r"(-?\d+(?:\.\d+)?)\s*(?:[-–—~～]{1,2}|至|到|to)\s*(-?\d+(?:\.\d+)?)")
BOUND = re.compile(r"^\W*?(?P<sign>[<>≤≥＜＞]=?)\s*(?P<number>-?\d+(?:\.\d+)?)")


def number(text: str) -> Decimal | None:
    """The number that a cell consists of, beside a currency or a unit; nothing where it is a text with one in it."""
    plain = text.strip()
    if not ONLY_NUMBER.match(plain):
        return None
    return value(plain)


def value(text: str) -> Decimal | None:
    """The first number in a text, thousands commas aside."""
    found = NUMBER.search(text)
    if found is None:
        return None
    return Decimal(re.sub(r"[,，+]", "", found.group()).replace("−", "-"))


def counted(word: str) -> Decimal | None:
    """A number as a question writes it: in digits, in a Chinese character, in an English word; 万 and k count."""
    plain = word.strip().lower()
    if plain in WORDS:
        return Decimal(WORDS[plain])
    figure = value(plain)
    if figure is None:
        return None
    scale = 10_000 if "万" in plain else 1_000 if re.search(r"\d\s*(?:k|千)", plain) else 1
    return figure * scale


def written(total: Decimal, like: Sequence[str]) -> str:
    """A computed number with as many decimals as the texts that it was made from."""
    places = max((len(t.rsplit(".", 1)[1].rstrip("%元 ")) for t in like if re.search(r"\.\d+\D{0,3}$", t)), default=0)
    return f"{total:.{places}f}" if places else f"{total.normalize():f}"


def averaged(numbers: Sequence[Decimal], like: Sequence[str]) -> str:
    """The mean, rounded to two decimals where it does not come out even."""
    mean = sum(numbers, Decimal(0)) / len(numbers)
    rounded = mean.quantize(Decimal("0.01"))
    if any("." in text for text in like):
        return f"{rounded:f}"
    return f"{rounded.normalize():f}"


def placed(figure: Decimal, span: str) -> int | None:
    """Where a result stands to a reference range: -1 below, 0 within, 1 above; nothing where that is no range."""
    both = SPAN.search(span)
    if both:
        low, high = Decimal(both.group(1)), Decimal(both.group(2))
        return -1 if figure < low else 1 if figure > high else 0
    one = BOUND.match(span)
    if one is None:
        return None
    edge = Decimal(one.group("number"))
    upper = one.group("sign")[0] in "<≤＜"
    return (0 if figure <= edge else 1) if upper else (0 if figure >= edge else -1)
