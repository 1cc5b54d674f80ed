"""Running text: the sentence that answers, and the value in it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sampan.engines.reader.folding import fold
from sampan.engines.reader.layout import Paragraph
from sampan.engines.reader.lexicon import GENERIC, Lexicon, Phrase, Token, stands_in
from sampan.engines.reader.page import Page
from sampan.engines.reader.values import Found, find

SENTENCE = re.compile(r"[^。！？；;!?\n]+[。！？；;!?]?")
ENGLISH_SENTENCE = re.compile(r"[^.;!?\n]+(?:[.](?=\S)[^.;!?\n]*)*[.;!?]?")
CLAUSE = re.compile(r"[^，,。；;！!？?]+")
HEADING = re.compile(
    r"^(?:第[一二三四五六七八九十百\d]+[条條章节節款]\s*[\u4e00-\u9fff、与和及]{0,14}|[一二三四五六七八九十]{1,3}\s*[、.．]\s*[\u4e00-\u9fff、与和及]{1,12}|(?:[\d.]+\s+)?[A-Z][A-Za-z]*(?:\s+(?:[A-Z][A-Za-z]*|of|and|the|for|to)){0,4}\s*[.:]?)\s*$"
)
TITLED = re.compile(r"^第[一二三四五六七八九十百\d]+[条條章节節款]\s*[\u4e00-\u9fff]{2,10}(?=[:：])")
FAMILIES = {
    "money": ("money", "percent"),
    "percent": ("percent",),
    "date": ("date", "duration"),
    "datetime": ("datetime", "date", "duration", "time"),
    "duration": ("duration", "date"),
    "number": ("number",),
    "phone": ("phone",),
    "email": ("email",),
    "ip": ("ip",),
    "path": ("path",),
    "url": ("url",),
    "dose": ("dose",),
    "address": ("address",),
    "time": ("time", "datetime"),
}
SPAN = re.compile(
    r"从.*到|起止|自.*至|期限|租期|哪天到|时间段|有效期|期间|\bfrom\b.*\bto\b|\bperiod\b|\bterm\b|\bstart\b.*\bend\b|\bbetween\b"
)
BROAD = 3.0


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence with where it stands in its paragraph."""

    text: str
    start: int
    paragraph: Paragraph
    page: Page
    phrase: Phrase
    folded: str
    heading: Phrase
    headed: str
    label: bool


@dataclass(frozen=True, slots=True)
class Match:
    """The sentence that fits an ask best: the value in it (or its clause), and how sure that is."""

    sentence: Sentence
    value: str
    confidence: float


def sentences(paragraphs: Sequence[tuple[Paragraph, Page]], lexicon: Lexicon) -> list[Sentence]:
    """Cuts paragraphs into sentences."""
    made = []
    heading = ""
    for paragraph, page in paragraphs:
        pattern = ENGLISH_SENTENCE if not re.search("[\u4e00-\u9fff]", paragraph.text) else SENTENCE
        numbered = re.match(
            r"^\s*(?:\d{1,2}(?:\.\d{1,2})*[.)]?|(?:Article|Section|Clause)\s+\w+[.:]?)\s+(?=[A-Z])", paragraph.text
        )
        begin = numbered.end() if numbered else 0
        for match in pattern.finditer(paragraph.text, begin):
            text = match.group().strip()
            start = match.start() + len(match.group()) - len(match.group().lstrip())
            if HEADING.match(text) and (start == begin or len(paragraph.text) == len(text)):
                heading = text
                continue
            titled = TITLED.match(text)
            if titled and start == begin:
                heading = titled.group()
            if len(text) >= 4:
                made.append(
                    Sentence(
                        text,
                        start,
                        paragraph,
                        page,
                        lexicon.phrase(text),
                        fold(text),
                        lexicon.phrase(heading),
                        fold(heading),
                        _is_label(text, paragraph),
                    )
                )
    return made


def _is_label(text: str, paragraph: Paragraph) -> bool:
    """Whether a short line alone is a key, a heading or a cell, which says nothing about anything."""
    if len(paragraph.lines) == 1 and re.match(r"^[^:：，。,]{1,16}[:：]\s*[^，。]{1,30}$", text):
        return True
    if len(paragraph.lines) > 1 or re.search(r"[。！？；.!?;,，：:]", text):
        return False
    return len(text) <= 12 if re.search("[\u4e00-\u9fff]", text) else text.count(" ") <= 3


def best(listed: Sequence[Sentence], phrase: Phrase, whole: str, kind: str, lexicon: Lexicon) -> Match | None:
    """The best sentence for an ask; `whole` is the folded question with its frame."""
    wanted = [token for token in phrase.tokens if token.weight > 0.09]
    if not wanted or not listed:
        return None
    weights = {token.surface: token.weight * _rarity(token, listed, lexicon) for token in wanted}
    total = sum(weights.values())
    scored = []
    for sentence in listed:
        typed = kind not in FAMILIES or bool(_typed(sentence.text, kind))
        if sentence.label and not (typed and kind in FAMILIES and kind != "number"):
            continue
        shares = [_share(t, sentence, lexicon) for t in wanted]
        if typed and kind in FAMILIES:
            shares = _with_implied(wanted, shares, kind, lexicon)
        covered = sum(weights[t.surface] * share for t, share in zip(wanted, shares, strict=True)) / total
        bonus = 1.12 if typed and kind in FAMILIES else 1.0
        scored.append((covered * (bonus if typed else 0.55) * (0.85 if sentence.label else 1.0), sentence, typed))
    if not scored:
        return None
    scored.sort(key=lambda item: -item[0])
    score, sentence, typed = scored[0]
    if score < 0.3:
        return None
    value = _value(sentence, wanted, kind, whole, lexicon) if typed else None
    return Match(sentence, value if value is not None else sentence.text, min(0.95, score))


def _with_implied(wanted: Sequence[Token], shares: list[float], kind: str, lexicon: Lexicon) -> list[float]:
    """A value of its type stands for a key in part ("15 Elm Street" is an address), beside something else that fits."""
    implied = [any(lexicon.types.get(name) == kind for name in token.names) for token in wanted]
    others = any(
        share >= 0.8 and not typed and token.weight >= 0.6
        for token, share, typed in zip(wanted, shares, implied, strict=True)
    )
    return [max(share, 0.6) if typed and others else share for share, typed in zip(shares, implied, strict=True)]


def _share(token: Token, sentence: Sentence, lexicon: Lexicon) -> float:
    """How much of a token a sentence holds, or, for a little less, the heading that it stands under."""
    here = presence(token, sentence.phrase, sentence.folded, lexicon)
    if here >= 0.8 or not sentence.headed:
        return here
    return max(here, 0.8 * presence(token, sentence.heading, sentence.headed, lexicon))


def presence(token: Token, phrase: Phrase, folded: str, lexicon: Lexicon) -> float:
    """How much of a token a text holds, 0…1."""
    if stands_in(token.surface, folded):
        return 1.0
    if any(stands_in(form, folded) for name in token.names for form in lexicon.named.get(name, ()) if len(form) <= 12):
        return 1.0
    related = 0.0
    for other in phrase.tokens:
        for a in token.names:
            for b in other.names:
                related = max(related, lexicon.relation(a, b))
    if related or token.names or not token.surface:
        return related if related >= 0.7 else 0.0
    if token.surface[0] >= "\u2e80":
        grams = [token.surface[i : i + 2] for i in range(max(1, len(token.surface) - 1))]
        return 0.9 * sum(gram in folded for gram in grams) / len(grams)
    stem = token.surface[: max(4, len(token.surface) - 3)]
    return 0.85 if len(token.surface) > 4 and stands_in(stem, folded) else 0.0


def _rarity(token: Token, listed: Sequence[Sentence], lexicon: Lexicon) -> float:
    """A word that stands in few sentences tells more than one that stands in all."""
    if token.surface == "\u3013":
        return 0.5
    holding = sum(presence(token, s.phrase, s.folded, lexicon) > 0.6 for s in listed)
    if holding == 0 and not token.names and not token.bound:
        return 0.6
    floor = 0.35 if token.names and token.names <= GENERIC else 0.5
    return max(floor, math.log((len(listed) + 1) / (holding + 0.5)) / BROAD)


def _typed(text: str, kind: str) -> list[Found]:
    """Values of the wanted type, or of the next best that may answer for it; a bare number is no amount in prose."""
    for each in FAMILIES.get(kind, ()):
        found = [f for f in find(text, each) if each != "money" or f.rank < 4]
        if found:
            return found
    return []


def _value(sentence: Sentence, wanted: Sequence[Token], kind: str, whole: str, lexicon: Lexicon) -> str | None:
    """The value of the wanted type that stands in the clause which holds most of what was asked."""
    if kind in ("date", "datetime", "duration") and SPAN.search(whole):
        dates = find(sentence.text, "date")
        if len(dates) >= 2:
            return sentence.text[dates[0].start : dates[-1].end]
    found = _typed(sentence.text, kind)
    if not found:
        return None
    clauses = [(m.start(), m.end(), m.group()) for m in CLAUSE.finditer(re.sub(r"(?<=\d),(?=\d)", "·", sentence.text))]
    scored: list[tuple[float, int, Found]] = []
    for value in found:
        home = next(
            ((a, b, text) for a, b, text in clauses if a <= value.start < b), (0, len(sentence.text), sentence.text)
        )
        phrase, folded = lexicon.phrase(home[2]), fold(home[2])
        held = sum(token.weight * presence(token, phrase, folded, lexicon) for token in wanted)
        near = _distance(sentence.text, value, wanted)
        scored.append((held - 0.25 * value.rank - near, -value.start, value))
    top = max(scored, key=lambda item: (item[0], item[1]))[2]
    return sentence.text[top.start : top.end].strip()


def _distance(text: str, value: Found, wanted: Sequence[Token]) -> float:
    """How far the value stands from the nearest word that was asked for; small against a whole word's weight."""
    folded = text.lower()
    gaps = []
    for token in wanted:
        at = folded.find(token.surface)
        while at >= 0:
            gap = value.start - (at + len(token.surface)) if at < value.start else at - value.end
            gaps.append(max(gap, 0))
            at = folded.find(token.surface, at + 1)
    return min(gaps, default=20) / 60
