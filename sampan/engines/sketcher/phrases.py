"""Turns of phrase that are rewritten before a prompt is read word by word: orders, colours said after the noun, "the
other one". Text in, text out; what is meant is left as a mark ⟦kind value⟧."""

from __future__ import annotations

import re
from collections.abc import Callable
from re import Match, Pattern

from sampan.engines.sketcher.turns import HUE_EN, HUE_ZH, turned

_HUE = HUE_EN
_HUE_ZH = HUE_ZH
_LINED = r"(?:(?:arranged|lined up|ordered|listed|placed|going|reading|in order|in a row|in a line),?\s+)*"
_SEQUENCE_ZH = r"(?:依次|按顺序|顺序|分别)?(?:排列|排开|排|摆放|摆)?(?:着|成一排)?(?:是|为|有)?"
_AFTER = r"(?=\s*(?:[,.;:!?)，。；]|$|⟦|(?:and|with|on|next|to|at|above|below|beside|under|near|in|behind|is|are)\b))"
_RELATED = "below|above|under|over|beside|behind|beneath|next to|right of|left of"
_PIECE_ZH = "[个只辆朵颗条把棵本顶头匹位张座件]"
_SIDE_ZH = "[左右上下中][边侧面间方]"
_NTH_EN = r"(?:the\s+)?\b(?:first|second|third|fourth|fifth|last)\b"
_NTH_ZH = "第[一二三四五六七八九][个只辆朵颗条把]"

Rewrite = str | Callable[[Match[str]], str]
_RULES: tuple[tuple[Pattern[str], Rewrite], ...] = (
    (re.compile(rf"{_LINED}(?:from\s+)?(?:the\s+)?\bleft\s+to\s+(?:the\s+)?right\b"), " ⟦order row⟧ "),
    (re.compile(rf"{_LINED}(?:from\s+)?(?:the\s+)?\bright\s+to\s+(?:the\s+)?left\b"), " ⟦order wor⟧ "),
    (re.compile(rf"{_LINED}(?:from\s+)?(?:the\s+)?\btop\s+to\s+(?:the\s+)?bottom\b"), " ⟦order column⟧ "),
    (re.compile(rf"{_LINED}(?:from\s+)?(?:the\s+)?\bbottom\s+to\s+(?:the\s+)?top\b"), " ⟦order rising⟧ "),
    (
        re.compile(rf"(?:[从自由]左[边侧]?[到至往向而]右[边侧]?|[从自由]?左[边侧]?(?:起|开始)){_SEQUENCE_ZH}"),
        "⟦order row⟧",
    ),
    (
        re.compile(rf"(?:[从自由]右[边侧]?[到至往向而]左[边侧]?|[从自由]?右[边侧]?(?:起|开始)){_SEQUENCE_ZH}"),
        "⟦order wor⟧",
    ),
    (
        re.compile(rf"(?:[从自由]上[边面]?[到至往向而]下[边面]?|[从自]?上[边面]?(?:起|开始)){_SEQUENCE_ZH}"),
        "⟦order column⟧",
    ),
    (re.compile(rf"[从自由]下[边面]?[到至往向而]上[边面]?{_SEQUENCE_ZH}"), "⟦order rising⟧"),
    (
        re.compile("(?:并排|并列|并肩|一字排?)地?(?:排列|放|摆|站|坐|停|排)(?:成一排)?(?:开|着|在一起|放着)*"),
        "⟦order row⟧",
    ),
    (re.compile(rf"\b({_RELATED})\s+that\b(?=\s+(?:an?|is|one|two)\b)"), r"\1 ⟦it that⟧"),
    # colours said after the noun
    (re.compile(rf"\b({_HUE})[ -]colou?red\b"), r"\1"),
    (re.compile(rf",?\s*\b({_HUE})\s+in\s+colou?r\b"), r" ⟦hue⟧ \1 "),
    (re.compile(rf"\b(?:with|of|has|have|having|in)\s+(?:an?\s+|the\s+)?({_HUE})\s+colou?r(?:ing)?\b"), r" ⟦hue⟧ \1 "),
    (re.compile(r"\bthe\s+colou?rs?\s+of\s+(?=the\b|an?\b|each\b)"), ""),
    (
        re.compile(
            r"\b(?:whose\s+|the\s+|its\s+)?(?:colou?red|painted|dyed|tinted|colou?r\s+is|colou?r)\s+"
            rf"(?:in\s+|all\s+)?(?:the\s+)?(?:colou?r\s+)?(?={_HUE}\b)"
        ),
        " ⟦hue⟧ ",
    ),
    (re.compile(rf"\bin\s+(?:all\s+)?({_HUE})\b{_AFTER}"), r" ⟦hue⟧ \1"),
    (re.compile(rf"的?(?:颜色|顏色)[是为呈]?(?={_HUE_ZH})"), "⟦hue⟧"),
    (re.compile(rf"(?:被)?[涂漆染刷][成上了为](?:了)?(?={_HUE_ZH})"), "⟦hue⟧"),
    (re.compile(r"\bin\s+(?:that|this)\s+order\b"), ""),
    # one of those spoken of
    (re.compile(r"\b(one|two|three|four|five|six|\d)\s+of\s+(?:them|these|those)\b"), r" \1 ⟦one⟧ "),
    (
        re.compile(r"\b(?:the\s+)?(left|right|middle|center|centre|top|bottom)(?:most|-hand)?\s+ones?\b"),
        r" ⟦side \1⟧ ⟦one⟧ ",
    ),
    (re.compile(r"\b(?:the\s+others|the\s+rest|the\s+remaining\s+ones?)\b"), " ⟦rest⟧ "),
    (re.compile(r"\b(?:another\s+one|another|the\s+other\s+one|the\s+other)\b"), " ⟦other⟧ "),
    (re.compile(f"(?:另外|另)一?(?={_PIECE_ZH})"), "⟦other⟧"),
    (re.compile("(?:其余|其他|剩下|其它)的?(?:都)?(?=是|为|在|全)"), "⟦rest⟧"),
    (re.compile(f"({_SIDE_ZH})的?[那这]?一?{_PIECE_ZH}(?=[是为]|{_HUE_ZH}(?:[,，。；]|$))"), r"\1的"),
)
_RUNS: tuple[tuple[Pattern[str], str], ...] = (
    (
        re.compile(r"(?:,\s*)?(?:\band\s+)?\b(?:then|followed\s+by)\b(?=\s+(?:an?|the|one|two|three|four|five|\d)\b)"),
        ", ",
    ),
    (re.compile("[,，、。；]?(?:然后|接着|接下来|随后|最后)(?:是|为)?(?=[一二两三四五六七八九个只\\d])"), ","),
)


def rewritten(text: str) -> str:
    """A folded prompt with its turns of phrase replaced by marks."""
    text = turned(text)
    for pattern, rewrite in _RULES:
        text = pattern.sub(rewrite, text)
    for pattern, pause in _RUNS:
        if pattern.search(text):
            text = "⟦order row-all⟧ " + pattern.sub(pause, text)
    text = _numbered(text, _NTH_EN, r"(?:\s+one)?(?:\s+(?:is|comes|in))?", _HUE, " one ")
    return _numbered(text, _NTH_ZH, "[是为]?", _HUE_ZH, "一个")


def _numbered(text: str, nth: str, link: str, hue: str, one: str) -> str:
    """ "First a cat, second a dog" names an order; "two cars, the first red, the second blue" tells them apart."""
    if len(re.findall(nth, text)) < 2 and not (re.search(r"\bfirst\b", text) and "⟦order" in text):
        return text
    apart = re.compile(rf"{nth}{link}\s*(?={hue}的?\s*(?:[,.;，。；、]|and\b|和|$))")
    told = bool(apart.search(text))
    text = re.sub(rf"{nth}{link}", " " if one == " one " else "", apart.sub(one, text))
    return text if told and "⟦order" not in text else "⟦order row-all⟧ " + text
