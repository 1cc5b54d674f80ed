"""The telling pieces of a question: words that `kin.txt`, `turns.txt` or the concepts know, then what else is left.

A known word may stand on the page under another name. A word that neither the lists nor the page know is everyday
wording more often than not, and weighs little.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from sampan.engines.reader.aliases import PARTIES, named
from sampan.engines.reader.lexicon import (
    DOCUMENT_WORDS,
    FILLERS,
    GENERIC,
    STOP_WORDS,
    SUBJECT_MATTER,
    Lexicon,
    stands_in,
    stem,
)

ASKED = re.compile(
    r"为什么|什么(?:时候|时间|地方|原因|东西|样)?|在?哪[一几]?[天日年里儿家位个些栋种款门支张](?:楼|电话)?|几点|几[号日]"
    r"|多少[钱元]?|[多几]少?块钱?|多久|多长时间|多长|百分之[几多]少?|千分之[几多]少?|为何|怎么样|怎么|如何|谁|请问|一下"
    r"|这[个张份批笔次里单台家位]|那[个张份批笔次里台家位]|是不是|有没有|可以|应该|需要|必须|得要|没有$|[几哪]"
)
# A firm in the question word itself tells nothing of which.
ASKED_OF = re.compile(r"(?:哪一?[家个]|什么)(?:公司|单位|企业|机构|厂家?)|\bwh(?:at|ich) (?:company|firm)\b")
SMALL = re.compile(r"[是吗呢啊呀吧了的要得会能可有把被给我你您他她它们在到从和与并或就都还又去来去后里上最?？。,，!！]")
EMPTY = named(
    "quickly soon fast added add shown given thing us our it one name there get got need needed must should have been"
    " being happens happen much many kind type used use put maximum latest earliest before after during while out am"
    " are next new so may might shall when whom what's who's where's it's i'm let say says tell want like long far"
    " keep keeps make makes come comes go goes else really actually exactly currently please just very down up off"
    " does not no any my me your their they them he she his her we ours still once ever yet supposed"
)
LIGHT = frozenset("几放卡支块钱元第一个位名张件份台只套次些样上下里面中人时日年月天号多少元块写这那做用方")
ENDINGS = ("ations", "ation", "ments", "ment", "ings", "ing", "ied", "ies", "ed", "es", "er", "al", "ly", "s", "e", "y")
# Words of asking that may name a field too, but mostly do not.
SOFT = named(
    "多久 可以 谁的 一位 能 叫什么 叫啥 名字 实际 一共 总共 一下 出来 谁负责 必须 送到哪 所有"
    " 有疑问 time day date called"
)
SOFTENED = 0.3
FEWEST = 4
LONGEST_NAME = 12
MOST_NAMES = 14
# Whose field it is tells less than which field.
PARTY = 0.6
HELD = 0.6


class Sort(Enum):
    """What a piece is: a word that the lists know, the name of a field, a thing, a party, or nothing known.

    A page that holds a field or a thing nowhere does not answer; whose field it is tells less than which.
    """

    WORD = auto()
    FIELD = auto()
    THING = auto()
    PARTY = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Part:
    """A telling piece of the question: as written, what may stand for it, how much it weighs, and its sort."""

    surface: str
    others: tuple[str, ...]
    weight: float
    sort: Sort = Sort.WORD

    def share(self, folded: str) -> float:
        """How much of it a folded text holds, 0…1."""
        if stands_in(self.surface, folded):
            return 1.0
        if any(stands_in(other, folded) for other in self.others if len(other) > 1):
            return 0.88
        if any(other in folded for other in self.others if len(other) == 1):
            return 0.5
        if len(self.surface) < 2 or self.surface[0] < "\u2e80":
            return 0.0
        grams = [self.surface[at : at + 2] for at in range(len(self.surface) - 1)]
        return max(
            0.9 * sum(gram in folded for gram in grams) / len(grams),
            0.45 * sum(char in folded for char in self.surface) / len(self.surface),
        )


def root(word: str) -> str:
    """An English word without its ending, so that it begins its other forms: "rented" is found in "rental"."""
    plain = stem(word)
    for ending in ENDINGS:
        left = plain[: -len(ending)]
        if plain.endswith(ending) and len(left) >= FEWEST - (ending in ("ed", "ing", "ings")):
            return left[:-1] if len(left) > FEWEST and left[-1] == left[-2] and left[-1] not in "sl" else left
    return plain


def parts(whole: str, lexicon: Lexicon, corpus: str) -> list[Part]:
    """The telling pieces of a folded question, each of them once."""
    return _parts(ASKED_OF.sub(" ", whole), lexicon, corpus) or _parts(whole, lexicon, corpus)


def _parts(whole: str, lexicon: Lexicon, corpus: str) -> list[Part]:
    made: list[Part] = []
    rest = whole
    for form, others in _forms(whole, lexicon):
        light = form in STOP_WORDS or form in EMPTY or (len(form) == 1 and form in LIGHT)
        if light or form not in rest or (form[0] < "\u2e80" and not stands_in(form, rest)):
            continue
        made.append(_known(form, others, lexicon))
        rest = rest.replace(form, " ", 1)
    rest = ASKED.sub(" ", rest)
    for run in re.findall(r"[\u2e80-\u9fff]+", rest):
        made.extend(_of_run(run, lexicon, corpus))
    for word in re.findall(r"[a-z][a-z'-]+", rest):
        plain = stem(word)
        if not {plain, word} & (STOP_WORDS | EMPTY | DOCUMENT_WORDS):
            made.append(_english(word, lexicon, corpus))
    return list({part.surface: part for part in made}.values())


def _forms(whole: str, lexicon: Lexicon) -> list[tuple[str, tuple[str, ...]]]:
    """Words of the lists and Chinese names of concepts in a question, longest first, each with its other names."""
    listed = dict(lexicon.kin.named(whole))
    for token in lexicon.phrase(whole).tokens:
        if token.names and not token.names <= GENERIC and len(token.surface) > 1 and token.surface[0] >= "\u2e80":
            listed.setdefault(token.surface, lexicon.kin.others(token.surface))
    return sorted(listed.items(), key=lambda item: -len(item[0]))


def missing(whole: str, lexicon: Lexicon, corpus: str, answer: str) -> bool:
    """Whether a folded question names a thing that neither the page nor an answer holds by any of its names."""
    for part in parts(whole, lexicon, corpus):
        if (
            part.sort is Sort.THING
            and len(part.surface) > 1
            and part.share(corpus) < HELD
            and part.share(answer) < HELD
        ):
            return True
    return False


def _known(form: str, others: tuple[str, ...], lexicon: Lexicon) -> Part:
    more = (*others, *lexicon.turns.others(form), *_names(form, lexicon))
    sort = _sort((form,), lexicon)
    weight = SOFTENED if form in SOFT else PARTY if sort is Sort.PARTY else 1.0 if len(form) > 1 else 0.6
    return Part(form, tuple(dict.fromkeys(_rooted(other) for other in more)), weight, sort)


def _sort(forms: tuple[str, ...], lexicon: Lexicon) -> Sort:
    if lexicon.kin.things.intersection(forms):
        return Sort.THING
    names = {name for form in forms for name in lexicon.concepts(form)}
    if names and PARTIES.issuperset(names):
        return Sort.PARTY
    told = names - PARTIES
    typed = bool(told) and all(lexicon.types.get(name, "") not in ("", "text") for name in told)
    typed = typed and not told & (GENERIC | SUBJECT_MATTER)
    return Sort.FIELD if typed else Sort.WORD


def _rooted(form: str) -> str:
    return root(form) if form[0] < "\u2e80" and " " not in form else form


def _names(form: str, lexicon: Lexicon) -> list[str]:
    """What else the concepts of a word are called; a word that names many things tells of none of them."""
    names = lexicon.concepts(form)
    if not names or len(names) > 2 or all(name in GENERIC for name in names):
        return []
    forms = [other for name in names for other in lexicon.named.get(name, ()) if 2 <= len(other) <= LONGEST_NAME]
    return forms[:MOST_NAMES]


def _english(word: str, lexicon: Lexicon, corpus: str) -> Part:
    plain = root(word)
    others: list[str] = [plain]
    for form in (word, stem(word), plain, f"{plain}e"):
        others.extend(lexicon.kin.others(form))
        others.extend(lexicon.turns.others(form))
    others.extend(_names(stem(word), lexicon))
    sort = _sort((word, stem(word)), lexicon)
    if sort is Sort.WORD and len(others) == 1 and not stands_in(plain, corpus):
        sort = Sort.UNKNOWN
    weight = SOFTENED if SOFT & {word, stem(word)} else PARTY if sort is Sort.PARTY else 1.0
    return Part(stem(word), tuple(dict.fromkeys(_rooted(o) for o in others)), weight, sort)


def _of_run(run: str, lexicon: Lexicon, corpus: str) -> list[Part]:
    """A run of Chinese cut into turns of phrase and concepts, then into what the page holds, then what it does not."""
    made: list[Part] = []
    for form, others in lexicon.turns.named(run):
        if form in run:
            made.append(_known(form, others, lexicon))
            run = run.replace(form, " ", 1)
    for token in lexicon.phrase(run).tokens:
        if token.names and token.surface in run and not token.names <= GENERIC:
            made.append(_known(token.surface, (), lexicon))
            run = run.replace(token.surface, " ", 1)
    for piece in re.findall(r"[\u2e80-\u9fff]+", FILLERS.sub(" ", SMALL.sub(" ", run))):
        made.extend(_left(piece, corpus))
    return made


def _left(piece: str, corpus: str) -> list[Part]:
    plain = "".join(char for char in piece if char not in LIGHT) if len(piece) <= 2 else piece
    if not plain or plain in DOCUMENT_WORDS:
        return []
    made: list[Part] = []
    start, unheld = 0, ""
    while start < len(plain):
        size = next((n for n in range(len(plain) - start, 1, -1) if plain[start : start + n] in corpus), 0)
        if size:
            made.append(Part(plain[start : start + size], (), min(0.45 * size, 1.4)))
        else:
            unheld += plain[start]
        start += max(size, 1)
    if unheld:
        weight = min((0.45 if len(unheld) > 1 else 0.3) * len(unheld), 1.0)
        made.append(Part(unheld, (), weight, Sort.UNKNOWN))
    return made
