"""The last resort: the one value of the asked type whose key shares the question's telling characters or words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sampan.engines.reader.facts import Fact
from sampan.engines.reader.finding import Evidence, Finding
from sampan.engines.reader.folding import fold
from sampan.engines.reader.lexicon import FILLERS, STOP_WORDS, stem
from sampan.engines.reader.values import fits

TYPED = frozenset({"money", "date", "datetime", "phone", "percent", "number", "duration", "email", "ip", "name"})
COMMON = frozenset(
    "人名日期时间号码金额数单位方公司电话地址是有的了在和为个这那就不也都要会能去来上下大小中出入开票合计表文件信息内容"
    "情况哪什么谁多少几怎如何请问元钱年月天次第一二三款费付收用给到得过行点写"
)
CLOCK = re.compile(r"几点|\bwhat time\b")
LEAST_SHARE = 0.5
MARGIN = 0.12


def guess(whole: str, kind: str, facts: Sequence[Fact]) -> Finding | None:
    """The fact whose key alone shares most of a folded question's telling characters, if its value is of the asked
    type and no other comes near; nothing otherwise."""
    if kind not in TYPED:
        return None
    wanted = _telling(whole)
    if not wanted:
        return None
    best: dict[str, tuple[float, Fact]] = {}
    for fact in facts:
        if fact.blank or fact.trust < 0.86 or len(fact.value) > 40 or not _suits(fact.value, kind):
            continue
        if CLOCK.search(whole) and not re.search(r"[:：时時点點]", fact.value):
            continue
        share = len(wanted & _telling(fact.key)) / len(wanted)
        if share > best.get(fact.value, (0.0, fact))[0]:
            best[fact.value] = (share, fact)
    ranked = sorted(best.values(), key=lambda item: -item[0])
    if not ranked or ranked[0][0] < LEAST_SHARE:
        return None
    if len(ranked) > 1 and ranked[0][0] - ranked[1][0] < MARGIN:
        return None
    share, fact = ranked[0]
    return Finding(fact.value, (Evidence(fact.line, fact.page),), 0.5 + 0.1 * share, fact.key)


def _suits(value: str, kind: str) -> bool:
    if kind == "name":
        return fits(value, "person") >= 0.5 and not re.search(r"\d", value)
    return fits(value, kind) >= 0.75


def _telling(text: str) -> frozenset[str]:
    """The characters and word stems of a text that say what it is about."""
    folded = fold(text)
    chars = {char for char in FILLERS.sub(" ", folded) if "\u4e00" <= char <= "\u9fff" and char not in COMMON}
    words = {stem(word) for word in re.findall(r"[a-z]{3,}", folded) if word not in STOP_WORDS}
    return frozenset(chars | words)
