"""The last resort: the field or the sentence that shares most of a question's telling words, or words near to them.

Words weigh by how few places hold them. What stands there must look like what the question word asks for, most of the
question must be met, and nothing else may come near; otherwise the thing asked for counts as absent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sampan.engines.reader.aliases import named
from sampan.engines.reader.facts import Fact
from sampan.engines.reader.finding import Document, Evidence, Finding
from sampan.engines.reader.folding import fold
from sampan.engines.reader.lexicon import DOCUMENT_WORDS, FILLERS, STOP_WORDS, Lexicon, stands_in, stem
from sampan.engines.reader.page import Line, union
from sampan.engines.reader.prose import Sentence, sentences
from sampan.engines.reader.values import find, fits

# Question words with what each wants; the first that stands in the question decides.
WANTS = (
    ("reason", re.compile(r"为什么|为何|为啥|什么原因|\bwhy\b")),
    ("percent", re.compile(r"百分之[几多]|百分比|几成|\bpercent")),
    ("phone", re.compile(r"电话|手机号?|热线|\b(?:phone|telephone|number (?:can|do|should|to))\b")),
    (
        "duration",
        re.compile(
            r"多久|多长|(?:几|多少)个?(?:天|日|小时|分钟|年|个月|月|周|星期|工作日)(?!前开|号)"
            r"|\bhow (?:long|soon|quickly|fast)\b|\bhow many (?:\w+ )?(?:days|hours|weeks|months|years|minutes)\b"
        ),
    ),
    ("clock", re.compile(r"几点|什么时刻|\bwhat time\b|\bwhen (?:do|does) .*\b(?:open|close)\b")),
    (
        "date",
        re.compile(
            r"哪[一几]?[天日年]|(?<![码机房桌床楼是])几[号日]|什么时候|何时|什么日[子期]|啥时候"
            r"|\bwhen\b|\bwh(?:at|ich) (?:date|day)\b"
        ),
    ),
    ("money", re.compile(r"多少[钱元]|[多几][少]?块钱?|\bhow much\b|\bwhat (?:does|did) .{1,30}\bcost\b")),
    ("place", re.compile(r"哪[里儿]|什么地方|何处|\bwhere\b")),
    ("name", re.compile(r"谁|哪[家位]|哪个(?:公司|单位|人)|什么人|\bwho(?:se|m)?\b|\bwhich (?:company|person)\b")),
    ("number", re.compile(r"(?:几|多少)(?:个|位|名|张|件|份|台|只|套|人|次|栋|门|本|双)|\bhow many\b")),
)
ASKED = re.compile(
    r"为什么|什么(?:时候|时间|地方|原因|东西|样)?|在?哪[一几]?[天日年里儿家位个些栋种款门支张](?:楼|电话)?|几点|几[号日]"
    r"|多少[钱元]?|[多几]少?块钱?|多久|多长时间|多长|百分之[几多]少?|为何|怎么样|怎么|如何|谁|请问|一下|这[个张份批笔次里单]|那[个张份批笔次里]"
    r"|是不是|有没有|可以|应该|需要|必须|得要"
)
SMALL = re.compile(r"[是吗呢啊呀吧了的要得会能可有把被给我你您他她它们在到从和与并或就都还又去来去后?？。,，!！]")
EMPTY = named(
    "quickly soon fast added add shown given restaurant shop store customer thing number us our it one name total there"
    " get got need needed must should have been being happens happen much many kind type used use put money"
)
LIGHT = frozenset("几放卡支块钱元第一个位名张件份台只套次些样上下里面中人时日年月天号多少元块写")
FIT = {
    "duration": ("duration", "date"),
    "date": ("datetime", "date", "duration"),
    "clock": ("datetime", "time"),
    "money": ("money",),
    "percent": ("percent",),
    "phone": ("phone",),
    "number": ("number",),
}
PLACE = re.compile(r"地址|地点|位置|场所|场地|教室|地$|处$|\b(?:address|place|venue|location|site)\b")
SUBJECT = re.compile(r"名称$|主题|标题|题目|title|\bname\b|subject")
KEYED = {
    "place": PLACE,
    "date": re.compile(r"日期|时间|[日月年]$|日$|\bdate\b|\bday\b|\bdue\b"),
    "clock": re.compile(r"时间|时刻|\btime\b|\bhours\b"),
    "name": re.compile(r"[人者员师方]$|姓名|单位|公司|户名|医生|上级|机构|\bname\b|\bby\b"),
    "phone": re.compile(r"电话|热线|专线|手机|\b(?:tel|phone|hotline)"),
}
TYPED_WEIGHT = 0.5
BECAUSE = re.compile(r"为了?(?!止)|因|由于|以免|\b(?:because|due to|owing to|in order to|so that)\b")
TELEPHONE = re.compile(r"电话|热线|专线|手机|联系|\b(?:tel|phone|call|hotline)")
CODED = re.compile(r"^[A-Z]{2,}[-\d]")
LEAST = 0.62
LEAST_UNTYPED = 0.72
MARGIN = 0.06
LONGEST = 160


@dataclass(frozen=True, slots=True)
class _Part:
    """A telling piece of the question: as written, what may stand for it, and how much it weighs."""

    surface: str
    others: tuple[str, ...]
    weight: float

    def share(self, folded: str) -> float:
        """How much of it a folded text holds, 0…1."""
        if stands_in(self.surface, folded):
            return 1.0
        if any(stands_in(other, folded) for other in self.others):
            return 0.88
        if len(self.surface) < 2 or self.surface[0] < "\u2e80":
            return 0.0
        grams = [self.surface[at : at + 2] for at in range(len(self.surface) - 1)]
        return max(
            0.9 * sum(gram in folded for gram in grams) / len(grams),
            0.45 * sum(char in folded for char in self.surface) / len(self.surface),
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """Somewhere that may answer: a field or a sentence, with the folded text that tells of what."""

    told: str
    aside: str
    fact: Fact | None = None
    sentence: Sentence | None = None


def recall(whole: str, document: Document, lexicon: Lexicon) -> Finding | None:
    """What a folded question means by the words that it shares, or words near to them; nothing where that is unsure."""
    wanted = next((want for want, pattern in WANTS if pattern.search(whole)), "")
    parts = _parts(whole, lexicon)
    if not parts or sum(part.weight for part in parts) < 0.5:
        return None
    places = list(_places(document, lexicon))
    if not places:
        return None
    subject = "\n".join([document.title, *(p.aside for p in places if SUBJECT.search(p.told))])
    rarity = [_rarity(part, places) * (0.35 if stands_in(part.surface, subject) else 1.0) for part in parts]
    typed = TYPED_WEIGHT if wanted in KEYED else 0.0
    total = sum(part.weight * rare for part, rare in zip(parts, rarity, strict=True)) + typed
    ranked: list[tuple[float, Finding]] = []
    for place in places:
        shares = [max(part.share(place.told), 0.6 * part.share(place.aside) if place.aside else 0.0) for part in parts]
        met = sum(p.weight * rare * s for p, rare, s in zip(parts, rarity, shares, strict=True))
        if met < 0.2:
            continue
        met = (met + typed * _told(place, wanted)) / total
        if met < LEAST - 0.1:
            continue
        found = _answering(place, wanted, parts)
        if found is not None:
            ranked.append((met + (0.03 if place.fact is not None else 0.0), found))
    ranked.sort(key=lambda item: -item[0])
    if not ranked or ranked[0][0] < (LEAST if wanted else LEAST_UNTYPED):
        return None
    best, found = ranked[0]
    rival = next((met for met, other in ranked if not _same(other.value, found.value)), 0.0)
    if best - rival < MARGIN:
        return None
    return Finding(found.value, found.evidence, min(0.5 + 0.3 * best, 0.8), found.label)


def lacks(whole: str, document: Document, lexicon: Lexicon) -> bool:
    """Whether a question names a thing of three characters or more of which the document holds no two together."""
    for part in _parts(whole, lexicon):
        plain = part.surface[0] >= "\u2e80" and not part.others and len(part.surface) >= 4
        if plain and not any(part.surface[at : at + 2] in document.corpus for at in range(len(part.surface) - 1)):
            return True
    return False


def _same(one: str, other: str) -> bool:
    a, b = fold(one), fold(other)
    return a in b or b in a


def _told(place: _Place, wanted: str) -> float:
    """How much a field's name, or a sentence that holds such a value, says that it is of the kind wanted."""
    if wanted not in KEYED:
        return 0.0
    if place.sentence is not None:
        return 0.8 if wanted in FIT else 0.2
    return 1.0 if KEYED[wanted].search(place.told) else 0.5


def _parts(whole: str, lexicon: Lexicon) -> list[_Part]:
    """The telling pieces of a question: words of `kin.txt`, then what is left without question words."""
    parts: list[_Part] = []
    rest = ASKED.sub(" ", whole)
    for form, others in lexicon.kin.named(rest):
        if form not in rest or form in STOP_WORDS or form in EMPTY or (len(form) == 1 and form in LIGHT):
            continue
        parts.append(_Part(form, others, 1.0 if len(form) > 1 else 0.6))
        rest = rest.replace(form, " ", 1)
    for run in re.findall(r"[\u2e80-\u9fff]+", FILLERS.sub(" ", SMALL.sub(" ", rest))):
        trimmed = "".join(char for char in run if char not in LIGHT) if len(run) <= 2 else run
        if trimmed and trimmed not in DOCUMENT_WORDS:
            parts.append(_Part(trimmed, (), min(0.45 * len(trimmed), 1.4)))
    for word in re.findall(r"[a-z][a-z'-]+", rest):
        plain = stem(word)
        if not {plain, word} & (STOP_WORDS | EMPTY | DOCUMENT_WORDS):
            parts.append(_Part(plain, (plain[:-2],) if len(plain) > 6 else (), 1.0))
    return parts


def _places(document: Document, lexicon: Lexicon) -> Iterator[_Place]:
    seen: set[tuple[str, str]] = set()
    for fact in document.facts:
        if fact.blank or fact.trust < 0.8 or len(fact.value) > 90 or (fact.key, fact.value) in seen:
            continue
        seen.add((fact.key, fact.value))
        yield _Place(fold(fact.key), fold(fact.value), fact=fact)
    for sentence in sentences(document.paragraphs, lexicon):
        if not sentence.label:
            yield _Place(f"{sentence.headed} {sentence.folded}".strip(), "", sentence=sentence)


def _rarity(part: _Part, places: Sequence[_Place]) -> float:
    """A word that few places hold tells most; one that none holds tells that the thing asked is not there."""
    holding = sum(part.share(place.told) > 0.6 for place in places)
    if holding == 0:
        return 0.6 if len(part.surface) == 1 else 0.9
    return max(0.35, 1 - math.log(holding) / math.log(len(places) + 1.5))


def _answering(place: _Place, wanted: str, parts: Sequence[_Part]) -> Finding | None:
    """What a place says of the wanted kind."""
    if place.fact is not None:
        fact = place.fact
        fitting = _fits(fact.key, fact.value, wanted)
        return Finding(fact.value, (Evidence(fact.line, fact.page),), 0.0, fact.key) if fitting else None
    sentence = place.sentence
    if sentence is None:
        return None
    value = _said(sentence.text, wanted, parts)
    if value is None:
        return None
    lines = sentence.paragraph.lines_of(sentence.start, sentence.start + len(sentence.text))
    box = union([line.box for line in lines]) if lines else sentence.paragraph.lines[0].box
    return Finding(value, (Evidence(Line(sentence.text, box), sentence.page),), 0.0)


def _fits(key: str, value: str, wanted: str) -> bool:
    """Whether a field's value is what the question word wants."""
    if wanted == "reason":
        return not re.fullmatch(r"[\d\W]+", value)
    if wanted == "place":
        return PLACE.search(fold(key)) is not None or bool(find(value, "address"))
    if wanted == "name":
        return fits(value, "person") >= 0.3 and fits(value, "datetime") < 0.8
    if wanted == "phone" and TELEPHONE.search(fold(key)):
        return re.search(r"\d{3,}", value) is not None
    if CODED.search(value) and wanted in FIT:
        return False
    if wanted == "clock":
        return re.search(r"\d\s*[:：时點点]", value) is not None
    if wanted == "number":
        return re.search(r"\d|[一二三四五六七八九十两]", value) is not None
    spans = [hit for kind in FIT.get(wanted, ()) for hit in find(value, kind) if kind != "money" or hit.rank < 5]
    return wanted not in FIT or any((hit.end - hit.start) * 3 >= len(value.strip()) for hit in spans)


def _said(text: str, wanted: str, parts: Sequence[_Part]) -> str | None:
    """What a sentence says of the wanted kind: the value nearest to the question's words, or the sentence itself."""
    whole = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    if wanted == "reason":
        return whole if BECAUSE.search(fold(text)) else None
    if wanted == "place":
        listed = find(text, "address")
        return text[listed[0].start : listed[0].end] if len(listed) == 1 else whole
    if wanted not in FIT:
        return whole
    found = next((hits for kind in FIT[wanted] if (hits := _plain(text, kind))), [])
    if not found and wanted == "phone":
        found = [_Hit(m.start(), m.end()) for m in re.finditer(r"(?<![\d.])\d{3,8}(?![\d.])", text)]
    if not found:
        return None
    folded = text.lower()
    marks = [
        (at, part.weight) for part in parts for form in (part.surface, *part.others) if (at := folded.find(form)) >= 0
    ]
    if len(found) > 1 and wanted in ("date", "clock") and _spans(text, found[0].end, found[1].start):
        return text[found[0].start : found[1].end]
    best = min(found, key=lambda hit: sum(weight * _distance(text, at, hit.start) for at, weight in marks))
    return text[best.start : best.end].strip()


def _plain(text: str, kind: str) -> list[_Hit]:
    return [_Hit(f.start, f.end) for f in find(text, kind) if kind != "money" or f.rank < 4]


@dataclass(frozen=True, slots=True)
class _Hit:
    start: int
    end: int


def _spans(text: str, end: int, start: int) -> bool:
    """Whether two values are the ends of one stretch of time."""
    return re.fullmatch(r"\s*(?:至|到|-|~|—|–|to|until)\s*", text[end:start]) is not None


def _distance(text: str, one: int, other: int) -> float:
    """How far two places in a sentence lie apart; a comma between them counts as much as a dozen characters."""
    low, high = sorted((one, other))
    return (high - low) + 12 * len(re.findall(r"[，,；;]", text[low:high]))
