"""Running text: the sentence that answers, and the value in it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sampan.engines.reader.demand import demanded
from sampan.engines.reader.folding import fold
from sampan.engines.reader.layout import Paragraph
from sampan.engines.reader.lexicon import GENERIC, Lexicon, Phrase, Token, stands_in
from sampan.engines.reader.page import Page
from sampan.engines.reader.values import Found, find

SENTENCE = re.compile(r"[^。！？；;!?\n]+[。！？；;!?]?")
ENGLISH_SENTENCE = re.compile(
    r"[^.;!?\n]+(?:(?:[.](?=\S)|(?:(?<=\bMr)|(?<=\bMs)|(?<=\bMrs)|(?<=\bDr)|(?<=\bNo))[.])[^.;!?\n]*)*[.;!?]?"
)
CLAUSE = re.compile(r"[^，,。；;！!？?]+")
NUMBERED_HEADING = re.compile(
    r"^(?:第[一二三四五六七八九十百\d]+[条條章节節款]\s*[\u4e00-\u9fff、与和及]{0,14"
    r"}|[一二三四五六七八九十]{1,3}\s*[、.．]\s*[\u4e00-\u9fff、与和及]{1,12})\s*[。．.:：]?\s*$"
)
HEADING = re.compile(
    rf"{NUMBERED_HEADING.pattern}|^(?:"
    r"(?:[\d.]+\s+)?[A-Z][A-Za-z]*(?:\s+(?:[A-Z][A-Za-z]*|of"
    r"|and|the|for|to)){0,4}\s*[.:]?)\s*$"
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
    r"从.*到|起止|自.*至|期限|租期|哪天到|时间段|有效期|期间|\bfrom\b.*\bto\b"
    r"|\bperiod\b|\bterm\b|\bstart\b.*\bend\b|\bbetween\b"
)
LASTING = re.compile(
    r"多久|多长|几年|多少年|几个月|多少个?月|几天|多少天|\bhow long\b|\bhow many (?:days|months|years|weeks)\b"
)
COUNTED = re.compile(
    r"(?:几|多少)\s*(?P<unit>个工作日|个月|份|日|天|年|次|小时|分钟|页|人|元|台|套|平方米|平米|公里|间|名|期|倍)"
)
EVENT = re.compile(
    r"(?:自|于|在|从)?[^，。；,;]{2,26}?之[日时](?:起|后|前)?|(?:自|从"
    r"|于)?[^，。；,;]{2,20}?(?:签字|盖章|签署|批准|公布)(?:盖章)?后"
    r"|\b(?:upon|on the (?:date|day) (?:of|on which|when)|as of|when|once) [^,.;]{4,60}"
)
CONDITION = re.compile(r"逾期|超过|超過|如|若|的$|者$|时$|時$|\bif\b|\bafter\b|\bwhere\b|\bwhen\b", re.IGNORECASE)
INSTALMENT = re.compile(
    r"(第[一二三四五]|最后一)\s*(?:期|笔|次|阶段)(?:款|付款|支付|要?付|的|是|多少|交)"
    r"|\b(first|second|third|fourth|last|final) (?:instal\w+"
    r"|payment)"
)
INSTALMENTS = {
    w: n
    for group in (("第一", "第二", "第三", "第四", "第五"), ("first", "second", "third", "fourth"))
    for n, w in enumerate(group)
}
LIMIT = re.compile(r"上限|最高|最多|封顶|\bmaximum\b|\bcap\b|\bcapped\b|\bat most\b|\blimit\b")
# Kinds for which a sentence without such a value says nothing.
STRICT = frozenset(("money", "date", "phone", "percent", "email"))
TYPE_WORDS = frozenset(("percentage", "percent", "百分比", "比例"))
HOUR = r"(?:上午|下午|早上|晚上|凌晨|中午|早|晚)?\s*\d{1,2}\s*[时時点點](?:\s*\d{1,2}\s*分|半|整)?"
SPECIAL = (
    (
        re.compile(
            r"每.{0,4}(?:几号|几日|哪一?天|什么时候)|(?:几号|几日|哪一?天)(?:前|之前|以前)"
            r"|\bwhich day of\b|\bday of (?:the|each|every) month\b"
            r"|\bdue each\b"
        ),
        re.compile(
            r"每(?:个|個)?(?:月|季度?|年)(?:度)?(?:首月|末月)?\s*(?:\d{1,2}"
            r"|[一二三四五六七八九十]{1,3})\s*[日号號](?:之?前|以前)?|(?:首月|次月|当月"
            r"|當月)\s*\d{1,2}\s*[日号號]|(?:the )?\d{1,2}(?:st|nd|rd"
            r"|th)(?: day)? of (?:each|every|the) (?:\w+ )?month"
        ),
    ),
    (
        re.compile(r"几点|什么时间|what time|opening hours|营业时间|上班时间"),
        re.compile(rf"{HOUR}\s*(?:[至到~—-]\s*{HOUR})?"),
    ),
)
BROAD = 3.0
SEVERAL_FIELDS = re.compile(r"[\u4e00-\u9fffA-Za-z]{2,10}\s*[:：]\s*[^\s:：]")


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
            short = numbered is not None and start == begin and text.endswith(".") and text.count(" ") <= 3
            if short or (HEADING.match(text) and (start == begin or len(paragraph.text) == len(text))):
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
                        fold(text).replace("、", ""),
                        lexicon.phrase(heading),
                        fold(heading),
                        _is_label(text, paragraph),
                    )
                )
    return made


def _is_label(text: str, paragraph: Paragraph) -> bool:
    """Whether a short line alone is a key, a heading or a cell, which says nothing about anything."""
    if len(paragraph.lines) == 1 and len(SEVERAL_FIELDS.findall(text)) > 1 and not re.search(r"[。，]", text):
        return True
    if len(paragraph.lines) == 1 and re.match(r"^(?:[^:：，。,]{1,16}|[\w #&'/-]{1,40})[:：]\s*[^，。]{1,30}$", text):
        return True
    if len(paragraph.lines) > 1 or re.search(r"[。！？；.!?;,，：:]", text):
        return False
    return len(text) <= 12 if re.search("[\u4e00-\u9fff]", text) else text.count(" ") <= 3


def best(listed: Sequence[Sentence], phrase: Phrase, whole: str, kind: str, lexicon: Lexicon) -> Match | None:
    """The best sentence for an ask; `whole` is the folded question with its frame."""
    part = _instalment(listed, whole)
    if part is not None:
        return part
    wanted = [token for token in phrase.tokens if token.weight > 0.09]
    wanted = [t for t in wanted if t.surface not in TYPE_WORDS] or wanted
    if not wanted or not listed:
        return None
    weights = {token.surface: token.weight * _rarity(token, listed, lexicon) for token in wanted}
    total = sum(weights.values())
    scored = []
    for sentence in listed:
        special = _special(sentence.text, whole)
        typed = bool(special) or (
            demanded(whole) is None and (kind not in FAMILIES or _holds_typed(sentence.text, kind))
        )
        if sentence.label and not (typed and kind in FAMILIES and kind != "number"):
            continue
        shares = [_share(t, sentence, lexicon) for t in wanted]
        if typed and kind in FAMILIES:
            shares = _with_implied(wanted, shares, kind, lexicon)
        covered = sum(weights[t.surface] * share for t, share in zip(wanted, shares, strict=True)) / total
        addressed = kind == "place" and bool(find(sentence.text, "address"))
        bonus = 1.25 if special else 1.12 if addressed or (typed and kind in FAMILIES) else 1.0
        untyped = 0.45 if kind in STRICT and demanded(whole) is None else 0.55
        scored.append((covered * (bonus if typed else untyped) * (0.85 if sentence.label else 1.0), sentence, typed))
    if not scored:
        return None
    scored.sort(key=lambda item: -item[0])
    score, sentence, typed = scored[0]
    if score < 0.3:
        return None
    value = _value(sentence, wanted, kind, whole, lexicon) if typed else None
    return Match(sentence, value if value is not None else sentence.text, min(0.95, score))


def turned(raw: Phrase, grounded: Phrase, lexicon: Lexicon) -> Phrase:
    """A question's phrase with its turns of phrase ("涨", "sublet") as words that text may say otherwise."""
    tokens = list(grounded.tokens)
    for form, _ in lexicon.turns.named(fold(raw.text)):
        if any(form in token.surface for token in raw.tokens if token.names):
            continue
        kept: list[Token] = []
        for token in tokens:
            if token.names or not (form in token.surface or token.surface in form):
                kept.append(token)
            elif form in token.surface:
                kept.extend(
                    replace(token, surface=piece, weight=min(token.weight, 0.35 * len(piece)))
                    for piece in token.surface.split(form)
                    if len(piece) >= 2
                )
        tokens = [*kept, Token(form, frozenset(), 0.9 if len(form) > 1 else 0.7)]
    return Phrase(grounded.text, tuple(tokens))


def _instalment(listed: Sequence[Sentence], whole: str) -> Match | None:
    """The n-th of several payments that one sentence lists, each with its share or its amount."""
    asked = INSTALMENT.search(whole)
    if asked is None:
        return None
    word = next(group for group in asked.groups() if group)
    for sentence in listed:
        if not re.search(r"分.{0,6}[期次笔]|第[一二三]\s*[期次笔阶]|\binstal", sentence.folded):
            continue
        begin = max(sentence.text.find(":"), sentence.text.find("："), 0)
        values = [
            f for kind in ("percent", "money") for f in find(sentence.text, kind) if f.start >= begin and f.rank < 3
        ]
        shares = [f for f in values if re.search(r"[%％]|分之", sentence.text[f.start : f.end])] or values
        place = len(shares) - 1 if word in ("last", "final", "最后一") else INSTALMENTS.get(word, 99)
        if len(shares) >= 2 and place < len(shares):
            return Match(sentence, sentence.text[shares[place].start : shares[place].end], 0.93)
    return None


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
    if not token.names and any(stands_in(other, folded) for other in lexicon.turns.others(token.surface)):
        return 0.9
    related = 0.0
    for other in phrase.tokens:
        for a in token.names:
            for b in other.names:
                related = max(related, lexicon.relation(a, b) if a == b or b not in GENERIC else 0.0)
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


def _special(text: str, whole: str) -> list[Found]:
    """What is counted as the question wants it; else a day of each month for "by which day", an hour for "at what
    time": values that dates and times do not cover."""
    demand = demanded(whole)
    if demand is not None:
        found = [Found(m.start(), m.end(), 0) for m in demand.value.finditer(text)]
        # "每三个月支付一次租金，每月租金…": of two intervals the one at which something is done once is meant.
        once = [f for f in found if "次" in whole and re.match(r"[^，。；,;]{0,14}次", text[f.start :])]
        return once or found
    for asked, pattern in SPECIAL:
        there = pattern.search(text) if asked.search(whole) else None
        if there:
            return [Found(there.start(), there.end(), 0)]
    return []


def _holds_typed(text: str, kind: str) -> bool:
    """Whether a sentence holds a value of the type, or, for a date, the event that stands for one."""
    return bool(_typed(text, kind)) or (kind in ("date", "datetime") and EVENT.search(text) is not None)


def _value(sentence: Sentence, wanted: Sequence[Token], kind: str, whole: str, lexicon: Lexicon) -> str | None:
    """The value of the wanted type that stands in the clause which holds most of what was asked."""
    lasting = LASTING.search(whole) if demanded(whole) is None else None
    if lasting:
        dated = find(sentence.text, "date")
        lengths = [
            f
            for f in find(sentence.text, "duration")
            if not any(d.start <= f.start < d.end for d in dated)
            and not re.match(r"\s*[以之]?[内前]", sentence.text[f.end :])
        ]
        if len(lengths) == 1:
            return sentence.text[lengths[0].start : lengths[0].end].strip()
    if kind in ("date", "datetime", "duration") and SPAN.search(whole) and not lasting:
        dates = find(sentence.text, "date")
        if len(dates) >= 2:
            return sentence.text[dates[0].start : dates[-1].end]
    special = _special(sentence.text, whole)
    if len(special) == 1:
        return sentence.text[special[0].start : special[0].end].strip()
    found = special or _typed(sentence.text, kind)
    if not found:
        event = EVENT.search(sentence.text) if kind in ("date", "datetime") else None
        return event.group().strip(" ，,") if event else None
    if kind == "money" and LIMIT.search(whole):
        found = found + [
            f for f in find(sentence.text, "percent") if all(f.end <= g.start or f.start >= g.end for g in found)
        ]
    counted = COUNTED.search(whole)
    clauses = [(m.start(), m.end(), m.group()) for m in CLAUSE.finditer(re.sub(r"(?<=\d),(?=\d)", "·", sentence.text))]
    scored: list[tuple[float, int, Found]] = []
    for value in found:
        home = next(
            ((a, b, text) for a, b, text in clauses if a <= value.start < b), (0, len(sentence.text), sentence.text)
        )
        held = _held(home[2], wanted, lexicon)
        following = next((text for a, _, text in clauses if a >= home[1]), "")
        if following and CONDITION.search(home[2]):
            held += 0.6 * _held(following, wanted, lexicon)
        near = _distance(sentence.text, value, wanted)
        unit = 0.0
        if counted and counted.group("unit") in sentence.text[value.start : value.end + 2]:
            unit = 1.5
        scored.append((held + unit - 0.25 * value.rank - near, -value.start, value))
    top = max(scored, key=lambda item: (item[0], item[1]))[2]
    end = top.end
    if counted and sentence.text[end:].startswith(counted.group("unit")):
        end += len(counted.group("unit"))
    return sentence.text[top.start : end].strip()


def _held(clause: str, wanted: Sequence[Token], lexicon: Lexicon) -> float:
    """How much of what was asked a clause holds."""
    phrase, folded = lexicon.phrase(clause), fold(clause)
    return sum(token.weight * presence(token, phrase, folded, lexicon) for token in wanted)


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
