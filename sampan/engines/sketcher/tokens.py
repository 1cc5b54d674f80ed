"""A prompt's words, told apart: what is a thing, a number, a colour, a relation, and what is not known at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import opencc

from sampan.engines.sketcher import lexicon as lex
from sampan.engines.sketcher.phrases import rewritten
from sampan.engines.sketcher.vocabulary import Sense, Vocabulary

# What a character of the prompt is part of: quoted text, a full stop, a run of Chinese, an English word or a number.
_QUOTED = re.compile(
    r"[\"“”]([^\"“”]{1,200})[\"“”]|「([^」]{1,200})」|『([^』]{1,200})』|《([^》]{1,200})》"
    r"|(?<![A-Za-z])['‘]([^'‘’]{1,200})['’](?![A-Za-z])"
)
_PIECE = re.compile(
    r"\x00(?P<text>\d+)\x00|\x01(?P<mark>\d+)\x01|(?P<stop>[。.!?！？;；\n]+)|(?P<comma>[,，:：—()（）]+"
    r"|\s-\s)|(?P<pause>、|&)"
    r"|(?P<zh>[\u3400-\u9fff]+)|(?P<num>\d+)|(?P<en>[a-z]+(?:['’][a-z]+)?(?:-[a-z0-9]+)*|8-bit|16-bit|3d)"
)
_CJK = re.compile(r"[\u3400-\u9fff]")
_FRAME = (
    r"(?:\s+(?:the\s+|this\s+)?(?:picture|image|canvas|frame|scene|page|screen|photo|drawing|painting|composition))"
)
_SIDE = r"(?:[\s-]+hand)?(?:\s+(?:side|half|edge|part|area|corner|portion|third|end))?"
_AT = r"(?:(?:on|to|at|in|along|into|near|towards?|toward)\s+)"
_FAR = r"(?:(?:immediate|far|very|exact|direct)\s+)?"

# English phrases of place, rewritten to marks before the words are read. `prep` takes an object, `side` is a place.
_PHRASES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"\bright\s+(?=next|behind|above|below|beside|in front|under|on top)"), lambda m: ""),
    (
        re.compile(
            rf"{_AT}?(?:(?:the|its)\s+)?\b(top|upper|bottom|lower|left|right)[\s-]*(?:most\s+)?(left|right|top"
            rf"|upper|bottom|lower|center|centre|middle)"
            rf"(?:most)?\b{_SIDE}(?:\s+of{_FRAME})?"
        ),
        lambda m: _corner(m.group(1), m.group(2)) or m.group(0),
    ),
    (re.compile(rf"{_AT}(?:its|his|her|their)\s+(left|right)\b{_SIDE}"), lambda m: f" ⟦prep {m[1]}⟧ it "),
    (
        re.compile(rf"{_AT}?(?:the\s+)?{_FAR}\b(left|right)(?:most)?\b{_SIDE}\s+of{_FRAME}\b"),
        lambda m: f" ⟦side {m[1]}⟧ ",
    ),
    (re.compile(rf"{_AT}?(?:the\s+)?{_FAR}\b(left|right)\b{_SIDE}\s+of\b"), lambda m: f" ⟦prep {m[1]}⟧ "),
    (
        re.compile(
            rf"(?:in|at|on)\s+(?:each|every|all|the)(?:\s+of)?(?:\s+the)?(?:\s+four)?\s+corners?\b(?:\s+of{_FRAME})?"
        ),
        lambda m: " ⟦side corners⟧ ",
    ),
    (
        re.compile(rf"(?:on|at)\s+(?:both|each|either|two|the two)\s+(?:sides|side|ends)\b(?:\s+of{_FRAME})?"),
        lambda m: " ⟦side sides⟧ ",
    ),
    (re.compile(rf"{_AT}?(?:the\s+)?{_FAR}\b(left|right)(?:most)?\b{_SIDE}"), lambda m: f" ⟦side {m[1]}⟧ "),
    (
        re.compile(
            rf"{_AT}(?:the\s+)?{_FAR}(?:top|upper\s+part|upper\s+half)\b(?:\s+(?:side|half|edge|part"
            rf"|area))?(?:\s+of{_FRAME})?\b(?!\s+of\b)(?!\s+hat)"
        ),
        lambda m: " ⟦side top⟧ ",
    ),
    (
        re.compile(
            rf"{_AT}(?:the\s+)?{_FAR}(?:bottom|lower\s+part|lower\s+half)\b(?:\s+(?:side|half|edge|part"
            rf"|area))?(?:\s+of{_FRAME})?\b(?!\s+of\b)"
        ),
        lambda m: " ⟦side bottom⟧ ",
    ),
    (
        re.compile(rf"(?:in|at|on)\s+(?:the\s+)?{_FAR}(?:middle|center|centre)\b(?:\s+of{_FRAME}\b|(?!\s+of\b))"),
        lambda m: " ⟦side middle⟧ ",
    ),
    (re.compile(r"\b(?:centered|centred)\b"), lambda m: " ⟦side middle⟧ "),
    (re.compile(r"\boverhead\b"), lambda m: " ⟦side top⟧ "),
    (re.compile(r"\bin the (background|distance)\b"), lambda m: " ⟦side behind⟧ "),
    (re.compile(r"\bin the foreground\b"), lambda m: " ⟦side front⟧ "),
    (
        re.compile(r"\b(top|bottom|middle|center|centre)(?=\s*:|\s+(?:is|are|there|side|has)\b)"),
        lambda m: f" ⟦side {_plain(m[1])}⟧ ",
    ),
)


def _plain(word: str) -> str:
    return {"upper": "top", "lower": "bottom", "centre": "middle", "center": "middle"}.get(word, word)


def _corner(first: str, second: str) -> str:
    one, two = _plain(first), _plain(second)
    if one in ("left", "right"):
        one, two = two, one
    pair = f"{one}-{two}" if one != "middle" else f"{two}-middle"
    return f" ⟦side {pair}⟧ " if pair in lex.PLACES else ""


@dataclass(frozen=True, slots=True)
class Token:
    """One word or phrase as the grammar sees it: `kind` is thing, faint, back, style, number, colour, size, prep, side,
    at, have, de, and, comma, stop, it, no, each, text, says, ground, arranged, wear, verb, the, frame, skip or
    unknown."""

    kind: str
    value: str = ""
    text: str = ""
    number: float = 0.0
    plural: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """A prompt read: its tokens, its language and whether things stand where they can be counted."""

    tokens: tuple[Token, ...]
    chinese: bool
    texts: tuple[str, ...] = field(default=())


class Reader:
    """Reads prompts. Holds what is slow to make, and nothing of a prompt, so that threads may share it."""

    def __init__(self, vocabulary: Vocabulary, segmenter: Any) -> None:
        self._words = vocabulary
        self._segmenter = segmenter
        self._fold = opencc.OpenCC("t2s")

    def read(self, prompt: str) -> Reading:
        """Splits a prompt into tokens. Quoted text is kept as it was written; all else is folded to simplified,
        lower case."""
        texts: list[str] = []

        def keep(match: re.Match[str]) -> str:
            texts.append(next(part for part in match.groups() if part is not None).strip())
            return f" \x00{len(texts) - 1}\x00 "

        bare = _QUOTED.sub(keep, re.sub("[\x00\x01⟦⟧]", " ", prompt))
        chinese = bool(_CJK.search(bare)) or (not re.search("[A-Za-z]", bare) and any(map(_CJK.search, texts)))
        folded = self._fold.convert(bare).lower().replace("’", "'")
        folded = folded.replace("t恤", "衬衫")
        folded = re.sub(r"(\d)\s*[x×]\s*(?=\d)", r"\1 ", folded)
        marks: list[str] = []

        def seal(match: re.Match[str]) -> str:
            marks.append(match.group(1))
            return f"\x01{len(marks) - 1}\x01"

        folded = re.sub("⟦([a-z -]+)⟧", seal, rewritten(folded))
        for pattern, rewrite in _PHRASES:
            folded = re.sub("⟦([a-z -]+)⟧", seal, pattern.sub(rewrite, folded))
        return Reading(tuple(self._tokens(folded, texts, marks)), chinese, tuple(texts))

    def fold(self, prompt: str) -> str:
        """The prompt in simplified characters and lower case, quoted text as it was."""
        parts: list[str] = []
        end = 0
        for match in _QUOTED.finditer(prompt):
            parts += [self._fold.convert(prompt[end : match.start()]).lower(), match.group()]
            end = match.end()
        return "".join((*parts, self._fold.convert(prompt[end:]).lower()))

    def _tokens(self, folded: str, texts: Sequence[str], marks: Sequence[str]) -> Iterator[Token]:
        english: list[str] = []
        for match in _PIECE.finditer(folded):
            kind = str(match.lastgroup)
            if kind in ("en", "num"):
                english.append(match.group())
                continue
            yield from self._english(english)
            english = []
            if kind == "zh":
                yield from self._chinese(match.group())
            elif kind == "text":
                yield Token("text", texts[int(match.group("text"))])
            elif kind == "mark":
                role, _, value = marks[int(match.group("mark"))].partition(" ")
                yield Token(role, value)
            else:
                yield Token({"pause": "and"}.get(kind, kind), text=match.group())
        yield from self._english(english)

    def _english(self, words: list[str]) -> Iterator[Token]:
        place = 0
        while place < len(words):
            for length in range(min(5, len(words) - place), 0, -1):
                token = self._english_phrase(words[place : place + length])
                if token is not None:
                    yield token
                    place += length
                    break
            else:
                word = words[place]
                if "-" in word:
                    words[place : place + 1] = [part for part in word.split("-") if part]
                    continue
                yield Token("unknown", text=word)
                place += 1

    def _english_phrase(self, words: Sequence[str]) -> Token | None:
        phrase = " ".join(words)
        if phrase == "orange":
            return Token("colour", "orange", phrase)
        if phrase == "oranges":
            return Token("thing", "tangerine", phrase, plural=True)
        found = _english_function(phrase)
        if found is not None:
            return found
        sense, plural = self._named(words)
        if sense is None or (len(words) > 1 and (sense.faint or self._is_painted(words, sense))):
            return None
        return _sensed(sense, phrase, plural)

    def _named(self, words: Sequence[str]) -> tuple[Sense | None, bool]:
        """What an English phrase names, as it stands or in the singular, and whether it was a plural."""
        sense = self._words.english.get(" ".join(words))
        if sense is not None and sense.written:
            return sense, False
        for form in _singulars(words[-1]):
            other = self._words.english.get(" ".join((*words[:-1], form)))
            if other is not None and not other.faint and (sense is None or other.written):
                return other, True
        if sense is None and len(words) > 2 and words[1] == "of":
            for form in _singulars(words[0]):
                other = self._words.english.get(" ".join((form, *words[1:])))
                if other is not None and other.written:
                    return other, True
        return sense or self._words.english.get(" ".join(words).replace("-", " ")), False

    def _is_painted(self, words: Sequence[str], whole: Sense) -> bool:
        """Whether a phrase is a colour and a name for the same drawing: "red rose" is a rose, painted red."""
        for cut in range(1, len(words)):
            if " ".join(words[:cut]) in lex.COLOURS_EN:
                for last in (words[-1], *_singulars(words[-1])):
                    rest = self._words.english.get(" ".join((*words[cut:-1], last)))
                    if rest is not None and rest.value == whole.value:
                        return True
        return False

    def _chinese(self, run: str) -> Iterator[Token]:
        cut = [
            piece
            for part in self._parted(run)
            for word in self._segmenter.cut(part, HMM=False)
            for piece in self._split(word)
        ]
        place = 0
        while place < len(cut):
            for length in range(min(5, len(cut) - place), 0, -1):
                token = self._chinese_word("".join(cut[place : place + length]))
                if token is not None and (length == 1 or token.kind != "faint"):
                    yield token
                    place += length
                    break
            else:
                yield Token("unknown", text=cut[place])
                place += 1

    def _parted(self, run: str) -> list[str]:
        """A run cut around colours that stand right before a thing's name, where jieba would join them otherwise:
        红薯条 are chips painted red (红 薯条), for 薯条 reaches further than 红薯 does."""
        parts = [""]
        place = 0
        while place < len(run):
            length = self._reach(run, place + 1) if run[place] in _HUES else 0
            if length > 1 and length + 1 > self._reach(run, place):
                parts += [run[place], run[place + 1 : place + 1 + length], ""]
                place += 1 + length
            else:
                parts[-1] += run[place]
                place += 1
        return [part for part in parts if part]

    def _reach(self, run: str, place: int) -> int:
        """How many characters of the longest known thing start at `place`."""
        for length in range(min(6, len(run) - place), 0, -1):
            sense = self._words.chinese.get(run[place : place + length])
            if sense is not None and not sense.faint and sense.kind == "thing":
                return length
        return 0

    def _split(self, word: str) -> list[str]:
        """A segment that nobody knows, taken apart where all or its end is known: 红苹果 → 红 苹果, 波斯猫 → 波斯
        猫."""
        known = self._chinese_word(word)
        if len(word) == 1 or (known is not None and known.kind != "faint"):
            return [word]
        parts = self._cover(word)
        if parts is not None and not (len(word) == 2 and word in _TRAPS):
            return parts
        for start in range(1, len(word)):
            sense = self._words.chinese.get(word[start:])
            if sense is not None and not sense.faint and sense.kind == "thing" and word not in _TRAPS:
                return [word[:start], word[start:]]
        return [word]

    def _cover(self, word: str) -> list[str] | None:
        if not word:
            return []
        for length in range(len(word), 0, -1):
            token = self._chinese_word(word[:length])
            if token is not None and token.kind != "faint":
                rest = self._cover(word[length:])
                if rest is not None:
                    return [word[:length], *rest]
        return None

    def _chinese_word(self, word: str) -> Token | None:
        found = _chinese_function(word)
        sense = self._words.chinese.get(word)
        if found is not None:
            doubled = found.kind == "class" and sense is not None and sense.kind == "thing" and not sense.faint
            return (
                Token("class", sense.value, word)
                if doubled and sense is not None
                else Token("class", "", word)
                if found.kind == "class"
                else found
            )
        if sense is None:
            return None
        token = _sensed(sense, word, False)
        rest = self._words.chinese.get(word[1:])
        if word[0] in "小大" and rest is not None and rest.value == sense.value and word not in _WHOLE:
            return replace(token, number=0.68 if word[0] == "小" else 1.3)
        return token


_HUES = frozenset("红橙黄绿青蓝紫粉棕褐黑白灰金银")

# Where 大 and 小 are no size, but part of the name.
_WHOLE = lex.words("大象 大雁 大虾 大蒜 大厦 大楼 大桥 大衣 大厨 大夫 小麦 小号 小提琴 小鸡 小狗 小猫咪")

# Words of two characters whose parts would mislead: 马上 is "at once", not "on the horse".
_TRAPS = lex.words(
    "马上 上海 天下 人中 心中 手下 眼下 眼前 面上 花心 心上 海里 中国 上下 中年 大小 大人 多云 火星 金星 "
    "水星 木星 土星 天王 海王 "
    "人心 日本 花样 天生 人手 水平 树立 火热 风光 风格 车主 山东 山西 云南 河南 河北 湖南 湖北 海南 江南 "
    "江西 黄山 黄河 长江"
)


def _sensed(sense: Sense, word: str, plural: bool) -> Token:
    kind = "faint" if sense.faint else sense.kind
    return Token(kind, sense.value, word, plural=plural)


def _singulars(word: str) -> Iterator[str]:
    """The singular forms that a plural may have, the likeliest first."""
    irregular = {
        "men": "man",
        "women": "woman",
        "people": "person",
        "children": "child",
        "mice": "mouse",
        "geese": "goose",
        "feet": "foot",
        "teeth": "tooth",
        "leaves": "leaf",
        "knives": "knife",
        "wolves": "wolf",
        "loaves": "loaf",
        "oxen": "ox",
        "dice": "die",
        "puppies": "puppy",
        "shelves": "shelf",
        "scarves": "scarf",
        "dwarves": "dwarf",
        "octopi": "octopus",
        "cacti": "cactus",
        "calves": "calf",
        "elves": "elf",
        "kids": "kid",
    }
    if word in irregular:
        yield irregular[word]
    for end, alone in (
        ("men", "man"),
        ("women", "woman"),
        ("ies", "y"),
        ("ves", "f"),
        ("ves", "fe"),
        ("s", ""),
        ("es", ""),
    ):
        if word.endswith(end) and len(word) > len(end) + 1:
            yield word[: -len(end)] + alone
    if word.endswith("'s"):
        yield word[:-2]


def _english_function(phrase: str) -> Token | None:
    if phrase.isdigit():
        return Token("number", text=phrase, number=float(min(int(phrase[:4]), 999)))
    for kind, words in _ARRANGED:
        if phrase in words:
            return Token("arranged", kind, phrase, number=float(lex.NUMBERS_EN.get(phrase, 0)))
    if phrase in lex.NUMBERS_EN:
        return Token("number", text=phrase, number=float(lex.NUMBERS_EN[phrase]))
    for kind, table in (("colour", lex.COLOURS_EN), ("prep", lex.RELATIONS_EN)):
        if phrase in table:
            return Token(kind, table[phrase], phrase)
    if phrase in lex.SIZES_EN:
        return Token("size", text=phrase, number=lex.SIZES_EN[phrase])
    for kind, group in _SETS_EN:
        if phrase in group:
            return Token(kind, phrase, phrase)
    return None


def _chinese_function(word: str) -> Token | None:
    for kind, words in _ARRANGED:
        if word in words:
            return Token("arranged", kind, word, number=float(lex.NUMBERS_ZH.get(word, 0)))
    number = _chinese_number(word)
    if number is not None:
        return Token("number", text=word, number=float(number))
    for kind, table in (("colour", lex.COLOURS_ZH), ("loc", lex.LOCATIONS_ZH), ("verb", lex.VERBS_ZH)):
        if word in table:
            return Token("wear" if table[word] == "wear" else kind, table[word], word)
    if word in lex.SIZES_ZH:
        return Token("size", text=word, number=lex.SIZES_ZH[word])
    for kind, group in _SETS_ZH:
        if word in group:
            return Token(kind, word, word)
    return None


def _chinese_number(word: str) -> int | None:
    if word in lex.NUMBERS_ZH:
        return lex.NUMBERS_ZH[word]
    match = re.fullmatch(r"([二三四五六七八九]?)十([一二三四五六七八九]?)", word)
    if match:
        tens = lex.NUMBERS_ZH.get(match[1], 1)
        return tens * 10 + lex.NUMBERS_ZH.get(match[2], 0)
    return None


_ARRANGED = tuple((kind, frozenset(word.strip() for word in words.split(","))) for kind, words in lex.ARRANGED.items())
_WEAR = frozenset({"wearing", "wears", "in a", "dressed in"}) - {"in a"}
_HOLD = frozenset(
    {"holding", "carrying", "holds", "carries", "pulling", "pushing", "eating", "with his", "with her"}
) - {"with his", "with her"}
_SETS_EN: tuple[tuple[str, frozenset[str]], ...] = (
    ("with", frozenset({"with"})),
    ("no", lex.NOT_EN),
    ("comma", frozenset({"but", "while", "whereas"})),
    ("which", frozenset({"which", "who"})),
    ("and", lex.AND_EN),
    ("back word", lex.BACK_WORDS),
    ("frame", lex.FRAMES),
    ("says", lex.SAYS),
    ("each", lex.EACH),
    ("it", lex.IT_EN),
    ("the", frozenset({"the", "this", "that"})),
    ("a", frozenset({"a", "an", "one more"})),
    ("wear", _WEAR),
    ("hold", _HOLD),
    ("have", frozenset({"is", "are", "was", "there", "has", "have", "containing", "contains"})),
    ("skip", lex.SKIP_EN | lex.DETERMINERS_EN),
)
_SETS_ZH: tuple[tuple[str, frozenset[str]], ...] = (
    ("no", lex.NOT_ZH),
    ("and", lex.AND_ZH),
    ("de", frozenset({"的"})),
    ("at", lex.AT_ZH),
    ("have", lex.HAVE_ZH),
    ("back word", lex.BACK_WORDS),
    ("says", lex.SAYS),
    ("frame", lex.FRAMES),
    ("each", lex.EACH),
    ("it", lex.IT_ZH),
    ("class", lex.CLASSIFIERS),
    ("comma", frozenset({"但", "但是", "而且"})),
    ("enclosed", frozenset({"被"})),
    ("the", frozenset({"那只", "这只", "那个", "这个", "这些", "那些"})),
    ("skip", lex.SKIP_ZH),
)
