"""Amounts written in Chinese capital numerals, and the digits on the page that say the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from sampan.engines.reader.facts import Fact
from sampan.engines.reader.finding import Evidence, Finding
from sampan.engines.reader.folding import simplified
from sampan.engines.reader.page import Page

DIGITS = {char: value for value, char in enumerate("零壹贰叁肆伍陆柒捌玖")}
SCALES = {"拾": 10, "佰": 100, "仟": 1000}
CAPITALS = re.compile(r"^\D{0,6}[零壹贰叁肆伍陆柒捌玖拾佰仟万亿圆元角分整正\s]{3,}$")
WANTED = re.compile(r"大写|大寫|\bwords\b|\bcapital")
FIGURES = re.compile(r"[¥￥$]?\s*-?\d[\d,]*(?:\.\d{1,2})?\s*元?")


def worth(text: str) -> float | None:
    """The amount that capital numerals say ("陆仟贰佰元伍角整" is 6200.5); nothing where the text is something else."""
    plain = re.sub(r"[\s整正]|人民币", "", simplified(text)).replace("圆", "元")
    if not re.fullmatch(r"[零壹贰叁肆伍陆柒捌玖拾佰仟万亿元角分]+", plain) or "元" not in plain:
        return None
    whole, _, part = plain.partition("元")
    total = float(_whole(whole))
    for unit, size in (("角", 0.1), ("分", 0.01)):
        if found := re.search(rf"([壹贰叁肆伍陆柒捌玖]){unit}", part):
            total += DIGITS[found.group(1)] * size
    return round(total, 2)


def _whole(text: str) -> int:
    total = section = digit = 0
    for char in text:
        if char in DIGITS:
            digit = DIGITS[char]
        elif char in SCALES:
            section += (digit or 1) * SCALES[char]
            digit = 0
        else:
            total = (total + section + digit) * (10000 if char == "万" else 100000000)
            section = digit = 0
    return total + section + digit


def in_figures(finding: Finding, whole: str, facts: Sequence[Fact], pages: Sequence[Page]) -> Finding:
    """The finding with digits for capital numerals, where the page has both and the numerals were not asked for.

    `whole` is the folded question.
    """
    if WANTED.search(whole) or not CAPITALS.match(simplified(finding.value)):
        return finding
    amount = worth(finding.value)
    if amount is None:
        return finding
    for fact in facts:
        if figure := _same(fact.value, amount):
            return replace(finding, value=figure, evidence=(Evidence(fact.line, fact.page),))
    for page in pages:
        for line in page.lines:
            if figure := _same(line.text, amount):
                return replace(finding, value=figure, evidence=(Evidence(line, page),))
    return finding


def _same(text: str, amount: float) -> str:
    for found in FIGURES.finditer(text):
        figure = re.sub(r"[^\d.-]", "", found.group())
        if figure not in ("", "-", ".") and abs(float(figure) - amount) < 0.005:
            return found.group().strip()
    return ""
