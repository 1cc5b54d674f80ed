"""Concepts in a phrase, whatever language it is in, and how near two phrases are to each other in meaning."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rapidfuzz import fuzz

from sampan.engines.reader.aliases import PARTIES, Concept, askings, concepts, meanings, named, rewrites, rewritten
from sampan.engines.reader.folding import bare, fold
from sampan.engines.reader.goods import Goods

WORDS = re.compile(r"[\u2e80-\u9fff]+|[a-z0-9@#&.'_/\\+-]*[a-z0-9#]")
LONGEST_FORM = 16
LONGEST_PHRASE = 7
GENERIC = named("number code name type place way date time title contact term amount total status rate event goods")
SUBJECT_MATTER = named(
    "goods contract_name payment payment_method deliver company name person_name item_name error time price amount"
    " total notice stamp program file_path error_message doctor patient treatment status number"
)
VAGUE = named("amount type contact event place file_path")
WHOLE_AMOUNTS = named("net_amount subtotal amount_paid loan rent salary")
DOCUMENT_WORDS = named(
    "发票 合同 小票 收据 表格 表单 表 文档 文件 图片 截图 图 单据 单 照片 协议 页面 票据 病历 处方 "
    "申请表 登记表 报告 invoice contract receipt form document screenshot picture image file bill agreement"
    " page photo sheet report slip record shown given listed"
)
STOP_WORDS = named(
    "the a an of is are was were in on for to this that what which who whom when where how much many"
    " do does did it its and or please tell me be by with at from as i you there their his her s has"
    " have had will shall must should can could would find show give any each per all into under about"
    " if than then these those my your our not no so long name's get see read value exact according"
    " listed stated written shown appear appears charged made needed required used apply applies applied"
    " happen happened occur occurred take taken took place go got been being called do done last lasts"
    " made given want wants needs need he she him it they them we us long old if someone something anyone"
    " anything person people money much whole only just still already yet here"
)
FILLERS = re.compile(
    "本人|请问|帮我|告诉我|看一下|看看|这张|这份|这个|那个|那一行|这一行|一行|一栏|那栏|上面|里"
    "面|中的|上的|里的|图中|文中|一共|总共|分别|各是|各自|"
    "是多少|多少|多久|是什么|什么时候|什么|为什么|是哪个|哪一个|哪一天|哪一|哪个|哪些|哪家|哪里"
    "|哪儿|是谁|谁|是哪|是几|怎么样|怎么|如何|怎样|百分之|"
    "之前|之后|之内|以内|以前|以后|期间|时候|需要|应该|应当|可以|必须|可否|能否|具体|大概|发生|"
    "进行|关于|有关|属于|写着|填的|"
    "哪天|吗|呢|的|了|是|为(?!止)|有(?![效限权])|和(?!解)|与|在(?![职读校])|写(?!字)|填|都|各|呀"
    "|啊|哪|几|要(?![求点])|该|由|把|被(?![告保])|"
    "给(?!付)|他|她|它|从(?![业事])|到(?![期货账岗])|再|会(?![议员计场费])|能(?![力源量])|吧|谁"
    "|过(?![敏期户程])|打(?![印包折])|找(?!零)|这|那|您|你|我|于|则|"
    "就(?![诊业读餐])|还(?!款)|又|请(?!假)"
)


@dataclass(frozen=True, slots=True)
class Token:
    """A concept (its possible names) or a literal (no names), with how much it weighs in a comparison.

    A literal is `bound` when it stands right before a concept, as 停车 in 停车费: it tells which one is meant. A token
    is `soft` when it only stands beside an everyday way of asking: it counts where the document holds it.
    """

    surface: str
    names: frozenset[str]
    weight: float
    bound: bool = False
    soft: bool = False


@dataclass(frozen=True, slots=True)
class Phrase:
    """A piece of text ready to be compared."""

    text: str
    tokens: tuple[Token, ...]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for token in self.tokens for name in token.names)

    @property
    def parties(self) -> frozenset[str]:
        return self.names & PARTIES

    @property
    def weight(self) -> float:
        return sum(token.weight for token in self.tokens)


class Lexicon:
    """The table of `aliases`, indexed. Holds nothing of any document; safe to share."""

    def __init__(self) -> None:
        self._forms: dict[str, list[str]] = {}
        self.broader: dict[str, str] = {}
        self.strict: set[str] = set()
        self.types: dict[str, str] = {}
        self.named: dict[str, list[str]] = {}
        self._rewrites = rewrites()
        self._askings = askings()
        self.goods = Goods()
        self.turns = Goods("turns.txt")
        self.kin = Goods("kin.txt")
        for concept in concepts():
            self._learn(concept)

    def rewritten(self, folded: str) -> list[str]:
        """Ways in which a folded question may be meant in the words of documents, none where it already uses them."""
        return rewritten(folded, self._rewrites)

    def meant(self, folded: str) -> list[Phrase]:
        """Keys that a folded everyday question may be meant by, likeliest first, with the rest of it as soft tokens."""
        made = []
        for meaning in meanings(folded, self._askings):
            key = self.phrase(meaning.key)
            beside = [
                replace(token, weight=token.weight if token.names & PARTIES else 0.6 * token.weight, soft=True)
                for token in self.phrase(meaning.rest).tokens
                if not (token.names & key.names)
            ]
            made.append(Phrase(meaning.key, (*key.tokens, *beside)))
        return made

    def _learn(self, concept: Concept) -> None:
        if concept.broader:
            self.broader[concept.name] = concept.broader
        if concept.strict:
            self.strict.add(concept.name)
        if concept.kind:
            self.types[concept.name] = concept.kind
        for form in (*concept.chinese, *concept.english):
            key = _key(form)
            if len(key) >= 2:
                self.named.setdefault(concept.name, []).append(key)
            known = self._forms.setdefault(key, [])
            if concept.name not in known:
                known.append(concept.name)

    def concepts(self, text: str) -> tuple[str, ...]:
        """The concepts that a text names exactly, as a key on a form does; empty where it is something else."""
        folded = fold(text)
        found = self._forms.get(_key(folded))
        if found is None:
            found = self._forms.get(_key(re.sub(r"[((\[].*?[))\]]|[:：*#]", "", folded)))
            aside = re.search(r"[((](.{2,10}?)[))]", folded)
            if found and aside:
                found = [*found, *self._forms.get(_key(aside.group(1)), ())]
        return tuple(found or ())

    def phrase(self, text: str) -> Phrase:
        """Cuts text into concepts (longest names first) and what is left between them."""
        folded = fold(text)
        whole = self.concepts(text) or (self.concepts(text.replace("的", "")) if "的" in text else ())
        if whole:
            return Phrase(text, (self._token(re.sub(r"\s*[((\[].*?[))\]]|[:：]", "", folded) or folded, whole),))
        tokens: list[Token] = []
        words: list[str] = []
        for match in WORDS.finditer(folded):
            piece = match.group()
            if piece[0] >= "\u2e80":
                tokens.extend(self._english(words))
                words = []
                tokens.extend(self._chinese(piece))
            else:
                words.append(piece)
        tokens.extend(self._english(words))
        return Phrase(text, tuple(tokens))

    def _chinese(self, run: str) -> list[Token]:
        tokens: list[Token] = []
        rest, start = "", 0
        while start < len(run):
            for size in range(min(LONGEST_FORM, len(run) - start), 1, -1):
                names = self._forms.get(run[start : start + size])
                if names:
                    tokens.extend(_literals(rest, bound=True))
                    rest = ""
                    tokens.append(self._token(run[start : start + size], names))
                    start += size
                    break
            else:
                rest += run[start]
                start += 1
        return tokens + _literals(rest)

    def _english(self, words: Sequence[str]) -> list[Token]:
        tokens: list[Token] = []
        start = 0
        while start < len(words):
            for size in range(min(LONGEST_PHRASE, len(words) - start), 0, -1):
                names = self._forms.get(_key(" ".join(words[start : start + size])))
                if names and (size > 1 or words[start] not in STOP_WORDS):
                    if tokens and not tokens[-1].names and words[start - 1] not in STOP_WORDS:
                        tokens[-1] = replace(tokens[-1], bound=True)
                    tokens.append(self._token(" ".join(words[start : start + size]), names))
                    start += size
                    break
            else:
                word = words[start]
                if word not in STOP_WORDS:
                    tokens.append(Token(stem(word), frozenset(), 0.15 if word in DOCUMENT_WORDS else 0.8))
                start += 1
        return tokens

    def _token(self, surface: str, names: Sequence[str]) -> Token:
        return Token(surface, frozenset(names), 0.6 if all(name in GENERIC for name in names) else 1.0)

    def relation(self, asked: str, found: str) -> float:
        """How well a document's concept answers for the one asked: itself, a broader one, or a narrower one."""
        if asked == found:
            return 1.0
        if self.broader.get(asked) == found:
            return 0.4 if asked in self.strict else 0.5 if found in VAGUE and asked not in WHOLE_AMOUNTS else 0.75
        if self.broader.get(found) == asked:
            return 0.86
        second = self.broader.get(self.broader.get(found, ""))
        if second == asked or self.broader.get(self.broader.get(asked, "")) == found:
            return 0.66
        return 0.0

    def nearness(self, asked: Phrase, found: Phrase, given: frozenset[str] = frozenset()) -> float:
        """How well a key on the document fits what is asked, 0…1. `given` are concepts that its surroundings add."""
        if not asked.tokens or not found.tokens:
            return 0.0
        covered = sum(token.weight * self._best(token, found.tokens, given) for token in asked.tokens)
        share = covered / asked.weight
        spare = sum(token.weight * (1 - self._best(token, asked.tokens, frozenset())) for token in found.tokens)
        score = share * (1 - 0.28 * spare / (found.weight + 0.4))
        if spare > 0.25 and share < 0.95 and self._only_broader(asked, found):
            # "编号" may stand for the invoice's number, "工单编号" may not.
            score *= 0.6
        left, right = bare(asked.text), bare(found.text)
        if len(left) >= 2 and len(right) >= 2:
            alike = fuzz.ratio(left, right) / 100
            score = max(score, alike if alike >= 0.8 and not _opposed(left, right) else 0.0)
        return score

    def _only_broader(self, asked: Phrase, found: Phrase) -> bool:
        return any(self.broader.get(name) in found.names for token in asked.tokens for name in token.names) and not (
            asked.names & found.names
        )

    def _best(self, token: Token, others: Sequence[Token], given: frozenset[str]) -> float:
        best = max((self.relation(a, b) for a in token.names for b in given), default=0.0)
        for other in others:
            best = max(best, self._similar(token, other))
            if best == 1.0:
                break
        return best

    def _similar(self, one: Token, other: Token) -> float:
        if one.surface == other.surface:
            return 1.0
        best = max((self.relation(a, b) for a in one.names for b in other.names), default=0.0)
        if one.names and other.names:
            return best
        shorter, longer = sorted((one.surface, other.surface), key=len)
        if shorter[0] >= "\u2e80":
            if len(shorter) >= 2 and shorter in longer:
                return max(best, 0.6 + 0.4 * len(shorter) / len(longer))
        elif len(shorter) < 4 or (len(longer) < 8 and shorter[0] != longer[0]):
            return best
        alike = fuzz.ratio(one.surface, other.surface) / 100
        return max(best, alike if alike >= 0.74 and not _opposed(one.surface, other.surface) else 0.0)


def _opposed(one: str, other: str) -> bool:
    """Whether two look-alike keys differ in just what tells them apart: 甲/乙, buyer/seller, start/end, a number."""
    pairs = (
        ("甲", "乙"),
        ("购", "销"),
        ("买", "卖"),
        ("收", "付"),
        ("收", "发"),
        ("开", "结"),
        ("大写", "小写"),
        ("入", "出"),
        ("父", "母"),
        ("起", "止"),
        ("上", "下"),
    )
    if any(
        (a in one and b in other and a not in other) or (b in one and a in other and b not in other) for a, b in pairs
    ):
        return True
    return re.findall(r"\d+", one) != re.findall(r"\d+", other)


def _key(form: str) -> str:
    """The form under which a name is looked up: folded, no punctuation; English singular, words apart."""
    folded = fold(form)
    if re.search(r"[\u2e80-\u9fff]", folded):
        return re.sub(r"[\W_]+", "", folded)
    return " ".join(stem(word) for word in re.findall(r"[a-z0-9#']+", folded.replace(".", " ")))


def stem(word: str) -> str:
    """An English word without its plural or possessive ending."""
    if len(word) > 3 and word.endswith("'s"):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _literals(run: str, *, bound: bool = False) -> list[Token]:
    """What no concept covers, without question words; long runs weigh more, up to a limit."""
    tokens = []
    pieces = FILLERS.split(run)
    for number, piece in enumerate(pieces):
        if piece:
            weight = 0.15 if piece in DOCUMENT_WORDS else min(0.35 * len(piece), 1.2)
            tokens.append(Token(piece, frozenset(), weight, bound and number == len(pieces) - 1))
    return tokens


def ground(phrase: Phrase, corpus: str, title: str) -> Phrase:
    """The phrase with its literals measured against the document's folded text.

    A part that the document holds keeps its weight; a part that it does not hold may be everyday wording and weighs
    little, unless it qualifies a concept: then its absence must count. What the title says goes without saying.
    """
    tokens: list[Token] = []
    telling = [token for token in phrase.tokens if token.names and token.surface not in title]
    for token in phrase.tokens:
        if token.soft and not token.names and not stands_in(token.surface, corpus):
            if token.surface[0] >= "\u2e80" and len(token.surface) > 2:
                tokens.extend(piece for piece in _held(token.surface, corpus) if len(piece.surface) > 2)
            continue
        if token.soft and token.names and not token.names & PARTIES:
            held = stands_in(token.surface, corpus) or token.names <= GENERIC or token.names & SUBJECT_MATTER
            tokens.append(replace(token, weight=(0.3 if held else 0.8) * token.weight))
        elif telling and token.names and token.surface in title and len(phrase.tokens) > 1:
            tokens.append(replace(token, weight=token.weight * 0.3))
        elif not token.names and token.surface in title:
            tokens.append(Token(token.surface, token.names, token.weight * 0.25))
        elif (
            token.names
            or stands_in(token.surface, corpus)
            or (token.bound and (len(token.surface) <= 3 or token.surface[0] < "\u2e80"))
        ):
            tokens.append(token)
        elif token.surface[0] < "\u2e80":
            tokens.append(Token(token.surface, token.names, token.weight * 0.7))
        else:
            tokens.extend(_held(token.surface, corpus))
    return Phrase(phrase.text, tuple(tokens))


def stands_in(surface: str, folded: str) -> bool:
    """Whether a folded text holds a word: Chinese anywhere, other words from their beginning on."""
    if surface[0] >= "\u2e80":
        return surface in folded
    return re.search(rf"(?<![a-z0-9]){re.escape(surface)}", folded) is not None


def _held(run: str, corpus: str) -> Iterator[Token]:
    """The longest pieces of a run that a text holds, and one light token for what it does not."""
    start, missing = 0, 0
    while start < len(run):
        size = next((n for n in range(len(run) - start, 1, -1) if run[start : start + n] in corpus), 0)
        if size:
            yield Token(run[start : start + size], frozenset(), min(0.35 * size, 1.2))
            start += size
        else:
            missing += 1
            start += 1
    if missing:
        yield Token("\u3013", frozenset(), min(0.1 * missing, 0.4))
