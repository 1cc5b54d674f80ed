"""Answers one ask from everything known about the document, or says that it is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from rapidfuzz import fuzz

from sampan.engines.reader import permits, prose
from sampan.engines.reader.aliases import PARTIES, named
from sampan.engines.reader.capitals import in_figures
from sampan.engines.reader.clauses import clauses, named_clause
from sampan.engines.reader.columns import settled
from sampan.engines.reader.cues import query_of
from sampan.engines.reader.demand import demanded, is_identifier, meets
from sampan.engines.reader.facts import Fact, facts
from sampan.engines.reader.finding import Document, Evidence, Finding
from sampan.engines.reader.folding import bare, fold
from sampan.engines.reader.forms import by_turns, form_facts, is_form, stacks, ticked, unpaired
from sampan.engines.reader.grid import Grid, Hit, ask_grid, grid
from sampan.engines.reader.hunch import guess
from sampan.engines.reader.journeys import journey_facts
from sampan.engines.reader.labels import spelled
from sampan.engines.reader.layout import Paragraph, paragraphs, rows, spread_lines
from sampan.engines.reader.ledger import consult, judgement
from sampan.engines.reader.lexicon import GENERIC, SUBJECT_MATTER, Lexicon, Phrase, ground, stands_in
from sampan.engines.reader.loose import loose_facts
from sampan.engines.reader.page import Line, Page, join_text, union
from sampan.engines.reader.question import Ask, Question
from sampan.engines.reader.question import ask as understood
from sampan.engines.reader.recall import lacks, recall, unheard_of
from sampan.engines.reader.tables import cut_at_walls, heads_apart, side_by_side, tables
from sampan.engines.reader.traces import codes_joined, of_frame, quoted_line, trace_facts
from sampan.engines.reader.values import find, fits
from sampan.engines.reader.vat import vat_facts

ENOUGH = 0.56
# How sure a pairing must be for a label to answer by its own words alone.
LABELLED = 0.86
ENOUGH_PROSE = 0.5
# From here on running text is not looked at. A key that an everyday turn is meant by says more than a sentence that
# only shares its one word.
SURE = 0.86
SURE_OF_TURN = 0.83
SUBJECTS = named("patient applicant student employee customer insured person_name company passenger holder vehicle")
MANNER = re.compile(r"怎么(?!样)|如何|怎样|什么方式|\bhow (?:is|are|does|do|should|will|can|must)\b")
ADDRESS_LIKE = re.compile(r"https?://|^[\w-]+(?:\.[\w-]+)+(?:[:/]\S*)?$|^\d{1,3}(?:\.\d{1,3}){3}")
WORDED = re.compile(r"[\u4e00-\u9fff]{2}|[A-Za-z]{3}")
CLOCK_ASKED = re.compile(r"几点|什么时刻|\bwhat time\b")
DAY_ALONE = re.compile(r"^\s*\d{4}\s*[年/.-]\s*\d{1,2}\s*[月/.-]\s*\d{1,2}\s*日?\s*$")
DATE_ALONE = re.compile(r"^\W*(?:\d{4}\s*[年/.-])?\s*\d{1,2}\s*[月/-]\s*\d{1,2}\s*日?\W*$")
WHO_ASKED = re.compile(r"谁|哪位|哪一?家(?!银行)|什么人|哪个(?:公司|单位|人)|^\W*who\b")
# What tells of someone in running text: who does something, whom it is for. A heading or a printed note does not.
TELLS_OF = re.compile(r"由|是|为|归|向|与|和|找|联系|负责|承担|让|给|须|应|可|得|请|[：:，,]|[a-z]{3,} [a-z]+|@")
SIGNS = re.compile(r"\bsign(?:s|ed|ing)?\b|\bsignator|签")
BOTH = re.compile(r"双方|两方|\b(?:the )?(?:two )?parties\b|\bboth (?:sides|parties)\b")
COMPANY_WORDS = named("limited company holdings group international corporation with behalf")
COUPLES = (
    ("甲方", "乙方"),
    ("购买方", "销售方"),
    ("出租方", "承租方"),
    ("出借人", "借款人"),
    ("披露方", "接收方"),
    ("用人单位", "劳动者"),
    ("付款人", "收款人"),
)
TITLE_ASKED = re.compile(
    r"标题|题目|名称|什么(?:文件|文档|单据|单子|表|合同|票|证|报告|通知|东西|店|公司)|哪|谁|条|章|节"
    r"|\b(?:title|heading|document|form|called|name|who|which|clause|article|section|what is this)\b"
)
RESULT_ASKED = re.compile(r"结果|情况|怎么样|检查|\bresults?\b|\bfindings\b|\btest\b|\bexam\w*")
MUCH = re.compile(r"多少(?!号)|几[元块]")
SUM = re.compile(r"多少[钱元]|[费款金价]是?多少|\bhow much\b")
NO_SUM = re.compile(r"^(?:0\d+|\d{8,}|[A-Z]+-?\d{4,})$")
# What a key in the question's own words says is not weighed against anything.
PLAINLY_SAID = 0.96
# A part of a question that asks something by itself.
ASKING = re.compile(r"[谁哪几]|什么|多少|多久|多长|何时|怎么|\b(?:what|which|who|when|where|how)\b")
NEXT = re.compile(r"下一?(?:次|期|回|场|轮|个月|周|季)|\bnext\b")
STRICT = named("date money percent phone email ip number duration datetime time")
ROLES = named(
    "buyer seller party_a party_b party_c landlord tenant lender borrower customer supplier employer guarantor"
)


def study(pages: tuple[Page, ...], lexicon: Lexicon) -> Document:
    """Derives facts, tables and paragraphs from pages."""
    known: list[Fact] = []
    grids: list[Grid] = []
    running: list[tuple[Paragraph, Page]] = []
    made = []
    for raw in pages:
        page = heads_apart(spread_lines(codes_joined(cut_at_walls(raw))), lexicon)
        forms = stacks(page, lexicon)
        found = [table for table in tables(page, lexicon) if not is_form(table, forms, lexicon)]
        grids.extend(
            g
            for table in found
            if not by_turns(table, lexicon)
            for part in side_by_side(table)
            if (g := grid(part, page, lexicon)) is not None
        )
        ordered = rows(page.lines)
        known.extend(unpaired(facts(page, found, lexicon), forms))
        known.extend(form_facts(page, forms, lexicon))
        known.extend(trace_facts(page, ordered, lexicon))
        known.extend(journey_facts(page, ordered, lexicon))
        known.extend(loose_facts(page, ordered, lexicon))
        known.extend(vat_facts(page, ordered, lexicon))
        running.extend((paragraph, page) for paragraph in paragraphs(page.lines))
        made.append(page)
    known = settled([ticked(fact) for fact in known], grids, lexicon)
    title = next((fold(fact.value) for fact in known if fact.key == "document title"), "")
    corpus = "\n".join(fold(paragraph.text) for paragraph, _ in running)
    numbered = tuple(clauses(running))
    return Document(tuple(made), tuple(known), tuple(grids), tuple(running), corpus, title, numbered)


def answer(ask: Ask, document: Document, lexicon: Lexicon) -> Finding | None:
    """The best founded answer to one ask; nothing where none is sure enough. Amounts are given in digits."""
    found = _answer(ask, document, lexicon)
    if found is not None and found.value and unheard_of(ask.whole, document, lexicon, found):
        return None
    if found is not None and found.value and _of_other_kind(found.value, ask.whole):
        found = None
    plain = found is not None and found.confidence >= PLAINLY_SAID and (not ask.meant or bool(SIGNS.search(ask.whole)))
    if not plain and (found is None or found.value):
        found = recall(ask.whole, document, lexicon, found) or guess(ask.whole, ask.kind, document.facts)
    if found is not None and found.value and _of_other_kind(found.value, ask.whole):
        return None
    wanted = demanded(ask.whole)
    if found is not None and found.value and wanted is not None and not meets(found.value, found.label, wanted):
        return None
    if found is not None and found.value and WHO_ASKED.search(ask.whole) and not _names_someone(found.value):
        return None
    return in_figures(found, ask.whole, document.facts, document.pages) if found is not None else None


def _of_other_kind(value: str, whole: str) -> bool:
    """Whether a value cannot be the amount that a question wants: it has no figure in it, or is some number's name."""
    if MUCH.search(whole) is None:
        return False
    return not re.search(r"[\d零一二三四五六七八九十百千万壹贰叁肆伍陆柒捌玖拾两兩半免]", value) or (
        SUM.search(whole) is not None and NO_SUM.match(value.strip()) is not None
    )


def _answer(ask: Ask, document: Document, lexicon: Lexicon) -> Finding | None:
    clause = _from_clauses(ask, document, lexicon)
    if clause is not None:
        return clause
    if _subject_missing(ask, document, lexicon):
        ask = ask.literal()
    placed = quoted_line(ask.whole, document.pages)
    if placed is not None:
        return Finding(placed[0].text, (Evidence(*placed),), 0.9)
    keyed = [
        *_from_facts(ask, document, lexicon),
        *_by_label(ask, document),
        *_from_grids(ask, document, lexicon),
        *_by_unit(ask, document),
    ]
    found = [item for item in keyed if _may_answer(item, ask, document)]
    best = max(
        found, key=lambda item: item.confidence + (0.06 if spelled(ask.whole, item.label) else 0.0), default=None
    )
    if best is not None and best.confidence >= (SURE_OF_TURN if ask.meant else SURE):
        return best
    sentence = None if lacks(ask.whole, document) else _from_prose(ask, document, lexicon)
    if sentence is not None and best is not None and ask.kind == "date" and _is_span(sentence):
        sentence = None
    if sentence is not None and (best is None or sentence.confidence > best.confidence + 0.05):
        best = sentence
    return best if best is not None and best.confidence >= (ENOUGH if best is not sentence else ENOUGH_PROSE) else None


def _is_span(found: Finding) -> bool:
    """Whether what reads like a day is how long something may take: the 五日 of 合同生效后五日内."""
    within = re.compile(re.escape(found.value) + r"\s*(?:之?内|以内)")
    return any(within.search(evidence.line.text) for evidence in found.evidence)


def _subject_missing(ask: Ask, document: Document, lexicon: Lexicon) -> bool:
    """Whether the question wants the result of something that the document holds under no name at all."""
    if not ask.meant or not RESULT_ASKED.search(ask.whole):
        return False
    held = {name for fact in document.facts for name in fact.phrase.names}
    for token in (token for phrase in ask.phrases[: ask.meant] for token in phrase.tokens if token.soft):
        if stands_in(token.surface, document.corpus) or len(token.surface) < 2:
            continue
        if token.names:
            forms = [form for name in token.names for form in lexicon.named.get(name, ())]
            known = token.names <= GENERIC or token.names & (PARTIES | SUBJECT_MATTER | held)
            if not known and not any(stands_in(form, document.corpus) for form in forms):
                return True
        elif token.surface[0] >= "\u2e80" and not any(
            token.surface[at : at + 2] in document.corpus for at in range(len(token.surface) - 1)
        ):
            return True
    return False


def _may_answer(found: Finding, ask: Ask, document: Document) -> bool:
    """Whether a value may answer: of the kind counted, no account number for an amount, no title and no heading."""
    wanted = demanded(ask.whole)
    if wanted is not None and found.value and not meets(found.value, found.label, wanted):
        return False
    if WHO_ASKED.search(ask.whole) and found.value and not _names_someone(found.value):
        return False
    if ask.kind == "money" and DATE_ALONE.match(found.value):
        return False
    if CLOCK_ASKED.search(ask.whole) and DAY_ALONE.match(found.value):
        return False
    if ask.kind == "money" and is_identifier(found.value):
        return False
    if TITLE_ASKED.search(ask.whole):
        return True
    title = found.label == "document title" or (document.title != "" and fold(found.value) == document.title)
    return not (title and ask.meant and found.label == "document title") and not prose.NUMBERED_HEADING.match(
        found.value
    )


def _names_someone(value: str) -> bool:
    """Whether a value may be a person's or an organisation's name: letters, in English at least one capital."""
    if "@" in value:
        return True
    if not re.search(r"[A-Za-z\u4e00-\u9fff]", value):
        return False
    return not value.isascii() or re.search(r"[A-Z]", value) is not None


def answer_all(question: Question, document: Document, lexicon: Lexicon) -> Iterator[tuple[Ask, Finding | None]]:
    """Each ask of a question with what was found for it, one by one.

    A question that was cut in two where it is one ("salt and pepper") is answered whole, where that goes better.
    """
    signers = _signers(question, document)
    if signers:
        asks = tuple(replace(ask, parties=ask.parties | signers) for ask in question.asks)
        question = replace(question, asks=asks)
    if len(question.asks) > 1 and question.undivided is not None:
        found = [(ask, answer(ask, document, lexicon)) for ask in question.asks]
        if any(finding is None for _, finding in found) and not all(ASKING.search(ask.whole) for ask, _ in found):
            whole = answer(question.undivided.literal(), document, lexicon)
            if whole is not None and whole.confidence >= 0.85:
                found = [(question.undivided, whole)]
        yield from found
        return
    couple = _both(question, document, lexicon)
    yield from couple or ((ask, answer(ask, document, lexicon)) for ask in question.asks)


def _signers(question: Question, document: Document) -> frozenset[str]:
    """The blocks of signatures ("For Acme Ltd") that a question is about, by a word of whom they are for."""
    folded = fold(question.text)
    blocks = {scope for fact in document.facts for scope in fact.scope if scope.startswith("for ")}
    named_by = {block: set(re.findall(r"[a-z]{4,}", block)) - COMPANY_WORDS for block in blocks}
    told = {block for block, words in named_by.items() if any(stands_in(word, folded) for word in words)}
    return frozenset(told) if len(told) < len(blocks) else frozenset()


def _both(question: Question, document: Document, lexicon: Lexicon) -> list[tuple[Ask, Finding | None]]:
    """ "Who are the two parties?": both sides of the one couple that the document names, else nothing."""
    asked = question.asks[0] if question.asks else None
    if asked is None or not BOTH.search(asked.whole) or not re.search(r"谁|哪|\bwho\b|名|\bnames?\b", asked.whole):
        return []
    for couple in COUPLES:
        asks = [understood(party, f"{party}是谁", lexicon) for party in couple]
        found = [_answer(each, document, lexicon) for each in asks]
        if all(finding is not None and finding.confidence >= 0.8 for finding in found):
            return list(zip(asks, found, strict=True))
    return []


def _from_facts(ask: Ask, document: Document, lexicon: Lexicon) -> Iterator[Finding]:
    for number, phrase in enumerate(ask.phrases):
        meant = _about(ground(phrase, document.corpus, document.title))
        kind = ask.kinds[number] if number < len(ask.kinds) else ask.kind
        for found in _by_phrase(replace(ask, phrases=(meant,), kind=kind), document, lexicon):
            said = 0.04 if ask.meant and number >= ask.meant else 0.0
            yield replace(found, confidence=found.confidence * (1 - 0.01 * number - said))


def _by_label(ask: Ask, document: Document) -> Iterator[Finding]:
    """What stands under a label that the question spells out, even where it does not look like its kind."""
    for fact in document.facts:
        if fact.trust < LABELLED or fact.key == "document title" or not spelled(ask.whole, fact.key):
            continue
        sure = 0.97 * min(1.0, fact.trust + 0.05)
        if fact.blank:
            yield Finding("", (Evidence(fact.line, fact.page),), sure * 0.9, fact.key)
        else:
            looks = max(_looks(fact, ask.kind), 0.72)
            yield Finding(fact.value, (Evidence(fact.line, fact.page),), sure * looks, fact.key)


def _by_unit(ask: Ask, document: Document) -> Iterator[Finding]:
    """ "多少公里": the only value on the document that is counted in what was asked."""
    if not ask.unit:
        return
    counted = re.compile(rf"\d\s*{re.escape(ask.unit)}(?![\w/]*/)")
    found = {
        fact.value: fact
        for fact in document.facts
        if counted.search(fact.value) and len(fact.value) < 24 and fact.trust >= 0.86
    }
    if len(found) == 1:
        value, fact = next(iter(found.items()))
        key = fold(fact.key)
        named = any(key[at : at + 2] in ask.whole for at in range(len(key) - 1))
        yield Finding(value, (Evidence(fact.line, fact.page),), 0.88 if named else 0.74, fact.key)


def _about(phrase: Phrase) -> Phrase:
    """Whom a form is about goes without saying: "the patient's allergies" are the allergies on a patient's form."""
    others = [t for t in phrase.tokens if not (t.names and t.names <= SUBJECTS | {"name"}) and t.weight > 0.3]
    if not others:
        return phrase
    person = any(t.names & PARTIES - ROLES for t in others)
    return Phrase(
        phrase.text,
        tuple(
            replace(t, weight=0.2)
            if (t.names & SUBJECTS and t not in others) or (person and t.names and t.names <= {"name", "person_name"})
            else t
            for t in phrase.tokens
        ),
    )


def _by_phrase(ask: Ask, document: Document, lexicon: Lexicon) -> Iterator[Finding]:
    parties = ask.phrase.parties
    signers = frozenset(name for name in ask.parties if name.startswith("for "))
    for fact in document.facts:
        given = frozenset(fact.scope)
        if signers and not given & signers and any(scope.startswith("for ") for scope in given):
            continue
        if (
            given & (signers | parties)
            and SIGNS.search(ask.whole)
            and {"name", "person_name"} & fact.phrase.names
            and not fact.blank
        ):
            yield Finding(fact.value, (Evidence(fact.line, fact.page),), 0.97, fact.key)
            continue
        near = _nearness(ask, fact, given, lexicon)
        near *= of_frame(fact.key, ask.whole)
        if NEXT.search(ask.whole) and not NEXT.search(fold(f"{fact.key} {fact.value}")):
            near *= 0.55
        if near < 0.5:
            continue
        if ask.parties and not parties & PARTIES and fact.scope:
            near *= 1.0 if given & ask.parties else 0.93
        clash = (parties & ROLES) - fact.phrase.names
        if clash and fact.scope and not (clash & given) and given & ROLES:
            near *= 0.5
        if fact.blank:
            yield Finding("", (Evidence(fact.line, fact.page),), near * fact.trust * 0.9, fact.key)
            continue
        looks = _looks(fact, ask.kind)
        yield Finding(fact.value, (Evidence(fact.line, fact.page),), near * fact.trust * looks, fact.key)


def _nearness(ask: Ask, fact: Fact, given: frozenset[str], lexicon: Lexicon) -> float:
    """How well a key fits an ask. A party alone asks for its name: "销售方" is answered by 名称 in its section."""
    near = lexicon.nearness(ask.phrase, fact.phrase, given)
    parties = ask.phrase.parties & ROLES
    if parties and given & parties:
        rest = tuple(t for t in ask.phrase.tokens if not (t.names & parties))
        named = any({"name", "company", "person_name"} & t.names for t in fact.phrase.tokens)
        if not [t for t in rest if t.weight > 0.2] and named and len(fact.phrase.tokens) == 1:
            near = max(near, 0.97)
        elif rest:
            near = max(near, 0.97 * lexicon.nearness(Phrase(ask.text, rest), fact.phrase))
    return near


def _looks(fact: Fact, kind: str) -> float:
    """Less trust in a value that does not look like what was asked for."""
    if kind == "datetime" and "timeout" in fact.phrase.names:
        kind = "duration"
    fit = fits(fact.value, kind)
    if kind in STRICT and fit == 0.0:
        return 0.6 if fact.trust >= 0.97 else 0.4
    if kind == "org" and "host" in fact.phrase.names and ADDRESS_LIKE.search(fact.value):
        return 0.96
    if kind in ("person", "org", "gender") and fit < 0.3:
        return 0.7 if WORDED.search(fact.value) else 0.5
    if kind in ("name", "person", "org") and ADDRESS_LIKE.search(fact.value):
        return 0.4
    if kind == "place" and fits(fact.value, "datetime") > 0.8:
        return 0.4
    if kind == "name":
        return 0.35 if fits(fact.value, "person") < 0.3 or fits(fact.value, "datetime") > 0.8 else 1.0
    return 0.96 + 0.04 * fit


def _from_grids(ask: Ask, document: Document, lexicon: Lexicon) -> Iterator[Finding]:
    for each in document.grids:
        for hit in consult(each, ask, lexicon):
            yield _of_hit(hit, each.page)
        row = next((cue.surface for cue in query_of(each, ask, lexicon).cues if cue.score >= 0.8), "")
        for number, phrase in enumerate(ask.phrases):
            if row and number < ask.meant and row not in phrase.text and re.search(r"[\u2e80-\u9fff]", row):
                # An everyday turn names the column ("用了多少度"), the rest of the question the row.
                phrase = lexicon.phrase(f"{row}的{phrase.text}")
            for hit in ask_grid(each, phrase.text, phrase, ask.kind, fold(ask.whole), lexicon):
                yield _of_hit(replace(hit, confidence=hit.confidence * (1 - 0.01 * number)), each.page)


def _of_hit(hit: Hit, page: Page) -> Finding:
    lines = [line for cell in hit.cells for line in cell.lines]
    text = " | ".join(cell.text for cell in hit.cells[:12])
    line = Line(text, union([line.box for line in lines]) if lines else hit.cells[0].box)
    return Finding(hit.value, (Evidence(line, page),), hit.confidence, hit.label)


def _from_prose(ask: Ask, document: Document, lexicon: Lexicon) -> Finding | None:
    match = _best_sentence(ask, document, lexicon)
    if match is None or match.confidence < ENOUGH_PROSE:
        return None
    if WHO_ASKED.search(ask.whole) and not TELLS_OF.search(re.sub(r"[（(].*?[)）]", "", match.sentence.text)):
        return None
    return _of_match(match)


def _best_sentence(ask: Ask, document: Document, lexicon: Lexicon) -> prose.Match | None:
    listed = prose.sentences(document.paragraphs, lexicon)
    kind = "" if MANNER.search(ask.whole) else ask.kind
    matches = []
    for number, phrase in enumerate(ask.phrases):
        if number < ask.meant and _qualifier_missing(phrase, ask.whole, document, lexicon):
            continue
        grounded = _about(ground(phrase, document.corpus, document.title))
        matches.append(prose.best(listed, prose.turned(phrase, grounded, lexicon), ask.whole, kind, lexicon))
    return max((m for m in matches if m is not None), key=lambda m: m.confidence, default=None)


def _qualifier_missing(phrase: Phrase, whole: str, document: Document, lexicon: Lexicon) -> bool:
    """Whether an everyday question is about something of a kind ("抵押的房产") that the document holds nowhere."""
    for token in phrase.tokens:
        if not token.soft or f"{token.surface}的" not in whole:
            continue
        if not token.names or token.names & PARTIES or token.names <= GENERIC | SUBJECT_MATTER:
            continue
        forms = [token.surface, *(form for name in token.names for form in lexicon.named.get(name, ()))]
        if not any(stands_in(form, document.corpus) for form in forms):
            return True
    return False


def _of_match(match: prose.Match) -> Finding:
    sentence = match.sentence
    lines = sentence.paragraph.lines_of(sentence.start, sentence.start + len(sentence.text))
    line = (
        Line(sentence.text, union([ln.box for ln in lines]))
        if lines
        else Line(sentence.text, sentence.paragraph.lines[0].box)
    )
    return Finding(match.value, (Evidence(line, sentence.page),), match.confidence)


def _from_clauses(ask: Ask, document: Document, lexicon: Lexicon) -> Finding | None:
    """A clause that is named by its number or its title, or what it says of the thing asked."""
    found = named_clause(ask.whole, document.clauses, lexicon)
    if found is None:
        return None
    if found.topic:
        within = replace(document, paragraphs=found.clause.parts)
        match = _best_sentence(ask, within, lexicon)
        if match is None or match.confidence < ENOUGH_PROSE:
            return None
        return _of_match(match)
    return Finding(found.value, (Evidence(found.clause.line, found.clause.page),), found.confidence)


def verdict(ask: Ask, document: Document, lexicon: Lexicon) -> Finding | None:
    """For "is it normal?", "may the tenant sublet?": yes or no with the figures or the sentence that settle it."""
    for each in document.grids:
        for hit in judgement(each, ask, lexicon):
            return _of_hit(hit, each.page)
    if not permits.is_modal(ask.whole):
        return None
    match = _best_sentence(replace(ask, kind=""), document, lexicon)
    if match is None or match.confidence < 0.6 or match.sentence.label:
        return None
    settled = permits.ruling(ask.whole, match.sentence.text)
    if not settled:
        return None
    chinese = re.search(r"[\u4e00-\u9fff]", ask.whole) is not None
    said = permits.worded(settled, chinese=chinese)
    return replace(_of_match(match), value=f"{said}{'：' if chinese else ': '}{match.sentence.text}")


def mention(ask: Ask, document: Document, lexicon: Lexicon) -> Finding | None:
    """For "does it mention …?": the line or sentence that does, or nothing."""
    topic = re.sub(
        r"有没有|是否|提到|提及|包含|约定|规定|写明|注明|列出|出现|存在|吗|么|关于|任何|条款|相"
        r"关|有|的|\b(?:does|do|is|are|was|were|it|there|this|the|document|contract|invoice|mention"
        r"|mentioned|contain|contains|include|included|specify|specified|say|anything|about|any"
        r"|a|an|of|in|on|have|appear|clause|cover|state|stated|provide|for|list|listed)\b",
        " ",
        fold(ask.whole),
    )
    topic = re.sub(r"\s+", " ", topic).strip(" ?？。.")
    wanted = bare(topic)
    if not wanted:
        return None
    phrase = lexicon.phrase(topic)
    best: tuple[float, Line, Page] | None = None
    for page in document.pages:
        for line in page.lines:
            score = _mentions(wanted, phrase, line.text, lexicon)
            if score >= 0.8 and (best is None or score > best[0]):
                best = (score, line, page)
    for sentence in prose.sentences(document.paragraphs, lexicon):
        score = _mentions(wanted, phrase, sentence.text, lexicon)
        if score >= 0.8 and (best is None or score > best[0]):
            lines = sentence.paragraph.lines_of(sentence.start, sentence.start + len(sentence.text))
            best = (score, Line(sentence.text, union([ln.box for ln in lines])), sentence.page)
    if best is not None:
        return Finding(best[1].text, (Evidence(best[1], best[2]),), best[0])
    keyed = answer(ask, document, lexicon)
    return replace(keyed, value=keyed.evidence[0].line.text) if keyed is not None and keyed.confidence >= 0.75 else None


def _mentions(wanted: str, phrase: Phrase, text: str, lexicon: Lexicon) -> float:
    plain = bare(text)
    if wanted in plain:
        return 1.0
    if len(wanted) >= 4 and len(plain) >= len(wanted) and fuzz.partial_ratio(wanted, plain) >= 88:
        return 0.9
    if not phrase.weight:
        return 0.0
    other, folded = lexicon.phrase(text), fold(text)
    return sum(t.weight * prose.presence(t, other, folded, lexicon) for t in phrase.tokens) / phrase.weight


def clean(finding: Finding, kind: str) -> Finding:
    """The value alone, where a value of the wanted type stands in a longer text after a key."""
    value = finding.value.strip(" ;；,，、|")
    if kind in ("date", "phone", "email", "ip", "url") and len(value) > 28:
        found = find(value, kind)
        if len(found) == 1:
            value = value[found[0].start : found[0].end]
    return replace(finding, value=join_text([value]))
