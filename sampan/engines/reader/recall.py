"""What a question means by its telling words, weighed against every field, table cell and sentence of a document.

Words weigh by how few places hold them. What stands there must look like what the question word asks for, most of the
question must be met, and nothing else may come near; otherwise the thing asked for counts as absent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sampan.engines.reader.facts import Fact
from sampan.engines.reader.finding import Document, Evidence, Finding
from sampan.engines.reader.folding import bare, fold
from sampan.engines.reader.lexicon import DOCUMENT_WORDS, FILLERS, Lexicon, stands_in
from sampan.engines.reader.page import Cell, Line, Page, union
from sampan.engines.reader.prose import Sentence, sentences
from sampan.engines.reader.telling import ASKED, SMALL, Part, Sort, missing, parts
from sampan.engines.reader.values import find
from sampan.engines.reader.wants import BECAUSE, FIT, KEYED, Span, counted, spans, suits, wanted

WORDED = re.compile(r"[a-z\u2e80-\u9fff]{2}")
SEAL = re.compile(r"(?:专用章|公章|印章)\W*$")
SUBJECT = re.compile(r"名称$|主题|标题|题目|title|\bname\b|subject")
CLAUSE = re.compile(r"(?:[^，,。；;！!？?]|(?<=\d)[,，](?=\d{3}))+")
CONDITION = re.compile(r"逾期|超过|如|若|的$|者$|时$|后$|\bif\b|\bafter\b|\bwhere\b|\bwhen\b|\bin the event\b")
TYPED_WEIGHT = 0.5
LEAST = 0.5
LEAST_UNTYPED = 0.58
# From here on a place may answer though another comes near.
PLAIN = 0.75
# How much a place must meet, and how much more than what was found another way, to take its stead.
OVERRULES = 0.62
AHEAD = 0.2
# The same for what is not sure itself.
AHEAD_OF_UNSURE = 0.15
UNSURE = 0.9
# A single light word overrules only as the name of a field, and only what the question has nothing to do with.
FAR_AHEAD = 0.5
TELLING = 0.9
# How much a field that a page holds nowhere weighs against everything else that it holds.
FIELD_MISSING = 2.0
MARGIN = 0.06
# A field says what it holds; a sentence may be about something else.
KEYS = 0.06
# "How much" says itself that something is paid or costs something.
PAYING = frozenset(("付", "花", "花费", "cost", "spend", "spent", "pay", "paid"))
# What may be asked of a person by no other word than who it is.
OF_SOMEONE = frozenset(("name", "phone", "place"))
LONGEST = 160
LONGEST_FIELD = 90
MOST_CELLS = 240
# How much of a word counts that only stands near a sentence or a field: in its heading, beside it.
HEADED = 0.75
ASIDE = 0.6


@dataclass(frozen=True, slots=True)
class _Place:
    """Somewhere that may answer: a field, a table's cell or a sentence, with the folded text that tells of what."""

    told: str
    aside: str
    fact: Fact | None = None
    sentence: Sentence | None = None
    cell: Cell | None = None
    page: Page | None = None


@dataclass(frozen=True, slots=True)
class Weighed:
    """A place that may answer: how much of the question it meets, 0…1, what it says, what kind of value was wanted, and
    how much the question's known words weigh together."""

    met: float
    finding: Finding
    wanted: str
    told: float


def recall(whole: str, document: Document, lexicon: Lexicon, found: Finding | None = None) -> Finding | None:
    """What a folded question means by the words that it shares, or words near to them; nothing where that is unsure.

    `found` is what was found another way, and stays unless another place meets far more of the question.
    """
    ranked = weighed(whole, document, lexicon)
    best = ranked[0] if ranked else None
    if found is not None:
        own = max((each.met for each in ranked if _same_place(each.finding, found)), default=0.0)
        if (
            best is not None
            and (best.told >= TELLING or (best.finding.label != "" and best.met - own >= FAR_AHEAD))
            and best.met >= OVERRULES
            and best.met - own >= (AHEAD if found.confidence >= UNSURE else AHEAD_OF_UNSURE)
            and not _same_place(best.finding, found)
        ):
            return _sure(best)
        return found
    if best is None or best.met < (LEAST if best.wanted else LEAST_UNTYPED):
        return None
    rival = next((each.met for each in ranked if not _same_place(each.finding, best.finding)), 0.0)
    return _sure(best) if best.met >= PLAIN or best.met - rival >= MARGIN else None


def unheard_of(whole: str, document: Document, lexicon: Lexicon, found: Finding) -> bool:
    """Whether a question names a thing that neither the page nor what was found holds under any name."""
    read = "\n".join([found.label, found.value, *(each.line.text for each in found.evidence)])
    return missing(whole, lexicon, document.corpus, fold(read))


def _sure(best: Weighed) -> Finding:
    found = best.finding
    return Finding(found.value, found.evidence, min(0.5 + 0.3 * best.met, 0.8), found.label)


def weighed(whole: str, document: Document, lexicon: Lexicon) -> list[Weighed]:
    """Every place that meets some of a folded question and says something of the kind wanted, best first."""
    want = wanted(whole)
    pieces = parts(whole, lexicon, document.corpus)
    paid = [want == "money" and bool(PAYING & {part.surface, *part.others}) for part in pieces]
    known = sum(p.weight for p, paying in zip(pieces, paid, strict=True) if p.sort is not Sort.UNKNOWN and not paying)
    if known < 0.5 or (want not in OF_SOMEONE and all(part.sort is Sort.PARTY for part in pieces if part.weight > 0.3)):
        return []
    places = list(_places(document, lexicon))
    if not places:
        return []
    subject = "\n".join([document.title, *(p.aside for p in places if p.fact is not None and SUBJECT.search(p.told))])
    rarity = [_rarity(part, places) * (0.35 if stands_in(part.surface, subject) else 1.0) for part in pieces]
    rarity = [0.3 * rare if paying else rare for rare, paying in zip(rarity, paid, strict=True)]
    typed = TYPED_WEIGHT if want in KEYED else 0.0
    total = sum(part.weight * rare for part, rare in zip(pieces, rarity, strict=True)) + typed
    ranked: list[Weighed] = []
    for place in places:
        shares = [max(part.share(place.told), _near(part, place)) for part in pieces]
        met = sum(p.weight * rare * s for p, rare, s in zip(pieces, rarity, shares, strict=True))
        if met < 0.25 * (total - typed):
            continue
        met = (met + typed * _told(place, want, whole)) / total
        found = _answering(place, want, whole, pieces)
        if found is not None:
            ranked.append(Weighed(met + (KEYS if place.fact is not None else 0.0), found, want, known))
    ranked.sort(key=lambda item: -item.met)
    return ranked


def lacks(whole: str, document: Document) -> bool:
    """Whether a question names a thing of four characters or more of which the document holds no two together."""
    rest = ASKED.sub(" ", whole)
    for run in re.findall(r"[\u2e80-\u9fff]+", FILLERS.sub(" ", SMALL.sub(" ", rest))):
        plain = len(run) >= 4 and run not in DOCUMENT_WORDS
        if plain and not any(run[at : at + 2] in document.corpus for at in range(len(run) - 1)):
            return True
    return False


def _near(part: Part, place: _Place) -> float:
    if not place.aside:
        return 0.0
    return (ASIDE if place.fact is not None else HEADED) * part.share(place.aside)


def _same_place(one: Finding, other: Finding) -> bool:
    """Whether two findings say the same, or were read from the same line."""
    a, b = fold(one.value), fold(other.value)
    same_line = one.evidence[0].line.text == other.evidence[0].line.text
    return same_line or (a in b or b in a if a and b else a == b)


def _told(place: _Place, want: str, whole: str) -> float:
    """How much a field's name, or a sentence that holds such a value, says that it is of the kind wanted."""
    if want not in KEYED:
        return 0.0
    if place.sentence is not None and want == "number":
        return 1.0 if counted(place.sentence.text, whole) else 0.3
    if place.sentence is not None:
        return 0.8 if want in FIT else 0.2
    return 1.0 if KEYED[want].search(place.told) else 0.5


def _places(document: Document, lexicon: Lexicon) -> Iterator[_Place]:
    seen: set[tuple[str, str]] = set()
    keys = {bare(fact.key) for fact in document.facts if lexicon.concepts(fact.key)}
    for fact in document.facts:
        if (
            fact.key == "document title"
            or fact.blank
            or fact.trust < 0.8
            or len(fact.value) > LONGEST_FIELD
            or (fact.key, fact.value) in seen
        ):
            continue
        seen.add((fact.key, fact.value))
        if bare(fact.value) in keys:
            continue
        section = " ".join(form for name in fact.scope for form in lexicon.named.get(name, ())[:6])
        yield _Place(fold(fact.key), f"{fold(fact.value)} {section}".strip(), fact=fact)
    for grid in document.grids:
        if sum(len(row) for row in grid.body) > MOST_CELLS:
            continue
        heads = {column: fold(head.text) for column, head in grid.heads}
        for row in grid.body:
            texts = [(cell, fold(cell.text)) for cell in row if cell.text]
            for cell, text in texts:
                worded = [(each, other) for each, other in texts if each is not cell and WORDED.search(other)]
                left = next((other for each, other in reversed(worded) if each.column < cell.column), "")
                head = heads.get(cell.column, "")
                if head and worded and text:
                    beside = " ".join(other for _, other in worded)
                    yield _Place(f"{left or beside} {head}", beside if left else "", cell=cell, page=grid.page)
    for sentence in sentences(document.paragraphs, lexicon):
        if not sentence.label and sentence.folded != document.title:
            yield _Place(sentence.folded, sentence.headed, sentence=sentence)


def _rarity(part: Part, places: Sequence[_Place]) -> float:
    """A word that few places hold tells most; one that none holds tells that the thing asked is not there."""
    holding = sum(part.share(place.told) > 0.6 for place in places)
    if holding == 0:
        return 0.6 if len(part.surface) == 1 else FIELD_MISSING if part.sort in (Sort.FIELD, Sort.THING) else 0.9
    return max(0.35, 1 - math.log(holding) / math.log(len(places) + 1.5))


def _answering(place: _Place, want: str, whole: str, pieces: Sequence[Part]) -> Finding | None:
    """What a place says of the wanted kind."""
    if place.fact is not None:
        fact = place.fact
        fitting = suits(fact.key, fact.value, want)
        return Finding(fact.value, (Evidence(fact.line, fact.page),), 0.0, fact.key) if fitting else None
    if place.cell is not None and place.page is not None:
        text = place.cell.text
        if not suits(place.told, text, want):
            return None
        return Finding(text, (Evidence(Line(text, place.cell.box), place.page),), 0.0, place.told)
    sentence = place.sentence
    if sentence is None:
        return None
    value = _said(sentence.text, want, whole, pieces)
    if value is None:
        return None
    lines = sentence.paragraph.lines_of(sentence.start, sentence.start + len(sentence.text))
    box = union([line.box for line in lines]) if lines else sentence.paragraph.lines[0].box
    return Finding(value, (Evidence(Line(sentence.text, box), sentence.page),), 0.0)


def _said(text: str, want: str, whole: str, pieces: Sequence[Part]) -> str | None:
    """What a sentence says of the wanted kind: the value in the clause that holds most of the question's words, and
    nearest to them, or the sentence itself."""
    said = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    if want == "reason":
        return said if BECAUSE.search(fold(text)) else None
    if want == "place":
        listed = find(text, "address")
        return text[listed[0].start : listed[0].end] if len(listed) == 1 else said
    if want not in FIT:
        return said
    found = spans(text, want, whole)
    if not found:
        return None
    if len(found) > 1 and want in ("date", "clock") and _joined(text, found[0].end, found[1].start):
        return text[found[0].start : found[1].end]
    clauses = [Span(match.start(), match.end()) for match in CLAUSE.finditer(text)]
    best = max(found, key=lambda span: (_held(text, span, clauses, pieces), -span.start))
    return text[best.start : best.end].strip()


def _held(text: str, span: Span, clauses: Sequence[Span], pieces: Sequence[Part]) -> float:
    """How much of the question the clause around a value holds, with the condition before it, and how near it is."""
    at = next((n for n, clause in enumerate(clauses) if clause.start <= span.start < clause.end), -1)
    home = text[clauses[at].start : clauses[at].end] if at >= 0 else text
    folded = fold(home)
    held = sum(part.weight * part.share(folded) for part in pieces)
    if at > 0:
        before = fold(text[clauses[at - 1].start : clauses[at - 1].end])
        level = 0.8 if CONDITION.search(before) else 0.3
        held += level * sum(part.weight * part.share(before) for part in pieces)
    lower = text.lower()
    marks = [lower.find(form) for part in pieces for form in (part.surface, *part.others) if form in lower]
    gap = min((min(abs(span.start - mark), abs(span.end - mark)) for mark in marks), default=40)
    return held - min(gap, 60) / 150


def _joined(text: str, end: int, start: int) -> bool:
    """Whether two values are the ends of one stretch of time."""
    return re.fullmatch(r"\s*(?:至|到|-|~|—|–|to|until|and)\s*", text[end:start]) is not None
