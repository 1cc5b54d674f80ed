"""Numbered clauses of a contract: what the fifth says, what is said under a heading, which one speaks of something."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sampan.engines.reader.folding import bare, fold
from sampan.engines.reader.layout import Paragraph
from sampan.engines.reader.lexicon import Lexicon
from sampan.engines.reader.page import Line, Page, join_text, union

CHINESE = "零一二三四五六七八九十"
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
ORDINALS = ("zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
ROMAN = {
    "i": 1,
    "ii": 2,
    "iii": 3,
    "iv": 4,
    "v": 5,
    "vi": 6,
    "vii": 7,
    "viii": 8,
    "ix": 9,
    "x": 10,
    "xi": 11,
    "xii": 12,
}
OPENING = re.compile(
    r"^\s*(?:第\s*(?P<zh>[一二三四五六七八九十百\d]+)\s*[条條章节節][\s:：、.．]*"
    r"|(?P<list>[一二三四五六七八九十]{1,3})\s*[、.．]\s*"
    r"|(?P<dot>\d{1,2}(?:\.\d{1,2})*)\s*[.、．)）]?\s+(?=[A-Z\"“(])|(?P<num>\d{1,2})\s*[.、．)）]\s*(?=[^\d\s])"
    r"|(?:Article|Section|Clause)\s+(?P<en>[IVXivx]+|\d{1,2}(?:\.\d{1,2})*)\s*[.:：、–-]*\s*)"
)
TITLE = re.compile(
    r"^(?P<zh>[\u4e00-\u9fff、与和及（）()]{2,16})(?:\s*[:：]|\s*$|\s+(?=[\u4e00-\u9fff]))"
    r"|^(?P<en>[A-Z][A-Za-z'’&/ -]{2,44}?)\s*(?:[.:](?=\s|$)|$)"
)
ASKED = re.compile(
    r"第\s*(?P<zh>[一二三四五六七八九十百]{1,4}|\d{1,2})\s*(?:条款|条|章|节|款|点(?!钟))"
    r"|\b(?:clause|article|section|paragraph|point|term|provision)\s*(?:no\.?"
    r"|number)?\s*(?P<en>\d{1,2}(?:\.\d{1,2})*|[ivx]{1,5}\b|one|two|three|four|five|six"
    r"|seven|eight|nine|ten)"
    r"|\bthe (?P<ord>first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth) "
    r"(?:clause|article|section|paragraph|provision)"
)
HEADING_ASKED = re.compile(
    r"标题|题目|名称|叫什么|小标题|\bheading\b|\btitle\b|\bcalled\b|\bheaded\b|\babout\b|关于什么|讲的是什么方面"
)
FRAME = re.compile(
    r"说了什么|说什么|说的是什么|规定了什么|规定|约定|内容是什么|内容|讲了什么|讲什么|讲的是?什么|写了什么"
    r"|写的什么|写着什么|是什么|怎么说|怎么写|如何|怎么|关于|条款|合同|协议|"
    r"读一?下|念一?下|里|中|的|请问|什么|说|是|有哪些|全文|原文|"
    r"\b(?:what|does|do|is|are|did|the|of|this|that|in|say|says|state|states|provide"
    r"|provides|read|about|contents?|cover|covers|text|contract|agreement|lease|under"
    r"|please|show|me|tell|quote|give)\b|[?？,，。.!]"
)
BY_TITLE = re.compile(
    r"怎么(?:约定|规定|说|写|处理)|如何(?:约定|规定)|条款(?:说|写|内容|是|怎么|规定|约定)"
    r"|(?:约定|规定)了什么|有(?:什么|哪些)(?:约定|规定)"
    r"|\bclause\b|\bsection\b|\bprovisions?\b|\bwhat does (?:it|the (?:contract|agreement|lease)) say about\b"
)
WHICH_CLAUSE = re.compile(
    r"(?:哪一?条|第几条|哪个条款|哪一?款|哪一?章)|\b(?:which|what) (?:clause|article|section|paragraph|provision)\b"
)
LONGEST = 300


@dataclass(frozen=True, slots=True)
class Clause:
    """A numbered clause: its number as written without its mark ("3", "3.2"), its title if it has one, its text."""

    number: str
    mark: str
    title: str
    text: str
    parts: tuple[tuple[Paragraph, Page], ...]

    @property
    def line(self) -> Line:
        lines = [line for paragraph, page in self.parts if page is self.page for line in paragraph.lines]
        return Line(self.whole, union([line.box for line in lines]))

    @property
    def page(self) -> Page:
        return self.parts[0][1]

    @property
    def whole(self) -> str:
        said = join_text([self.mark, self.title]) if self.title else self.mark.strip()
        full = f"{said} {self.text}".strip()
        return full if len(full) <= LONGEST else full[: LONGEST - 1] + "…"


def clauses(paragraphs: Sequence[tuple[Paragraph, Page]]) -> list[Clause]:
    """The clauses of a document in its order; a paragraph without a number goes on with the clause above it."""
    made: list[tuple[str, str, str, str, list[tuple[Paragraph, Page]]]] = []
    order = {id(page): number for number, (_, page) in reversed(list(enumerate(paragraphs)))}
    running = sorted(
        paragraphs, key=lambda item: (order[id(item[1])], item[0].lines[0].box.top, item[0].lines[0].box.left)
    )
    for paragraph, page in running:
        opened = OPENING.match(paragraph.text)
        if opened is None:
            if made and len(made[-1][4]) < 12:
                number, mark, title, text, parts = made[-1]
                made[-1] = (number, mark, title, join_text([text, paragraph.text]), [*parts, (paragraph, page)])
            continue
        rest = paragraph.text[opened.end() :].strip()
        titled = TITLE.match(rest)
        title = (titled.group("zh") or titled.group("en") or "").strip() if titled else ""
        text = rest[titled.end() :].lstrip(" :：.") if titled else rest
        written = next(group for group in opened.groups() if group)
        made.append((_number(written), opened.group().strip(), title, text, [(paragraph, page)]))
    return [Clause(n, mark, title, text, tuple(parts)) for n, mark, title, text, parts in made]


def _number(written: str) -> str:
    plain = written.lower()
    if plain[0] in CHINESE and not plain[0].isdigit():
        if plain == "十":
            return "10"
        tens, _, ones = plain.partition("十")
        if "十" in plain:
            return str((CHINESE.index(tens) if tens else 1) * 10 + (CHINESE.index(ones) if ones else 0))
        return str(CHINESE.index(plain)) if plain in CHINESE else plain
    if plain in WORDS:
        return str(WORDS.index(plain))
    if plain in ORDINALS:
        return str(ORDINALS.index(plain))
    return str(ROMAN.get(plain, plain))


@dataclass(frozen=True, slots=True)
class Named:
    """A clause that a question names: what to say of it, or, where it asks for something in it, `topic` of it."""

    clause: Clause
    value: str
    topic: str
    confidence: float


def named_clause(whole: str, listed: Sequence[Clause], lexicon: Lexicon) -> Named | None:
    """The clause that a folded question names by number or by title, or asks the number of."""
    if not listed:
        return None
    asked = ASKED.search(whole)
    if asked:
        number = _number(next(group for group in asked.groups() if group))
        found = next((clause for clause in listed if clause.number == number), None)
        if found is None:
            return None
        topic = re.sub(r"\s+", " ", FRAME.sub(" ", whole.replace(asked.group(), " "))).strip()
        if HEADING_ASKED.search(whole) and found.title and not re.search(r"\bsay\b", whole):
            return Named(found, found.title, "", 0.97)
        return Named(found, found.whole, topic, 0.97 if not topic else 0.6)
    which = WHICH_CLAUSE.search(whole)
    by_title = BY_TITLE.search(whole)
    if not which and not by_title:
        return None
    matched = which or by_title
    topic = re.sub(r"\s+", " ", FRAME.sub(" ", whole.replace(matched.group() if matched else "", " "))).strip()
    topic = re.sub(
        r"提到|提及|涉及|写到|谈到|\b(?:mentions?|deals? with|talks? about|covers?|on|for|regarding|concerning)\b",
        " ",
        topic,
    )
    scored = [(_fits(topic.strip(), clause, lexicon, text=which is not None), clause) for clause in listed]
    score, found = max(scored, key=lambda item: item[0])
    return Named(found, found.whole, "", 0.94 * score) if score >= 0.75 else None


def _fits(topic: str, clause: Clause, lexicon: Lexicon, *, text: bool) -> float:
    """How well a clause's title, or the words of its text, answer for a topic."""
    wanted, title = bare(topic), bare(clause.title)
    if len(wanted) < 2:
        return 0.0
    if title and (wanted in title or title in wanted):
        return 1.0 if wanted == title else 0.92
    near = lexicon.nearness(lexicon.phrase(topic), lexicon.phrase(clause.title)) if title else 0.0
    for form, others in lexicon.turns.named(fold(topic)):
        if title and any(bare(other) in title for other in (form, *others)):
            near = max(near, 0.88)
    if text and wanted in bare(clause.text):
        near = max(near, 0.85)
    return near
