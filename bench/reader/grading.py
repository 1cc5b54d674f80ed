"""Decides from an answer's text whether it is right, a refusal, or confidently wrong."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import opencc

Verdict = Literal["right", "refused", "wrong"]

# An answer that repeats most of the page would contain every value; these many characters are plenty for value,
# source line and box of one part, and for the sentence that says who answers.
ROOM_FOR_ONE = 600
ROOM_FOR_EACH_MORE = 200
# On a small page even that is everything: nor may an answer hold this many more facts of the document than were asked.
SPARE_FACTS = 4

_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−~〜", "-"))
# A reader may say what it is ("no language model"); that is not saying that a fact is absent.
_SELF_DESCRIPTION = re.compile(
    r"(没有|不用|不使用|不依赖|无|without|no|not)[^。.!\n]{0,16}(语言模型|大模型|language model|llm)"
)
_ABSENCE = re.compile(
    r"未找到|未能找到|没有找到|没找到|找不到|未发现|没有发现|未提及|没有提及|没有提到|未提到|未写|没有写"
    r"|未出现|没有出现|未包含|不包含|不含|不存在|未注明|没有注明|未载明"
    r"|(文档|文件|图|图片|图中|页面|这里|单据|发票|合同)(中|里|上|内)?(并)?(没有|无)|[里中上内]没有"
    r"|not found|no .{1,60} (was|were|is|are|could be) (found|on|in)|found no"
    r"|(could|can|did|do) ?(not|n't) (find|contain|see|appear)"
    r"|does ?(not|n't) (contain|mention|state|say|give|appear|list|have|show)"
    r"|(is|are|was|were) ?(not|n't) (in|on|stated|mentioned|given|present|there)"
    r"|absent|no such|nothing (in|on) (the|this)|cannot find"
)


@dataclass(frozen=True, slots=True)
class Question:
    """One question: of every entry of `expect` one alternative must be in the answer, and nothing of `forbid`."""

    kind: str
    language: str
    ask: str
    expect: tuple[tuple[str, ...], ...]
    forbid: tuple[str, ...] = ()
    absent: bool = False

    @property
    def room(self) -> int | None:
        """Most characters an answer may have; None for reading aloud."""
        return None if self.kind == "read" else ROOM_FOR_ONE + ROOM_FOR_EACH_MORE * max(0, len(self.expect) - 1)


@cache
def _simplifier() -> opencc.OpenCC:
    return opencc.OpenCC("t2s")


def folded(text: str) -> str:
    """NFKC, lower case, simplified characters, one kind of dash; spaces and commas stay (see `holds`)."""
    folded_widths = unicodedata.normalize("NFKC", text).casefold().translate(_DASHES)
    return str(_simplifier().convert(folded_widths))


def holds(folded_text: str, value: str) -> bool:
    """Whether a value stands in folded text, spaces and commas aside; a number never as a piece of a longer one."""
    letters = [letter for letter in folded(value) if not letter.isspace() and letter != ","]
    pattern = r"[\s,]*".join(re.escape(letter) for letter in letters)
    if letters[0].isdigit():
        pattern = r"(?<![\d.])" + pattern
    if letters[-1].isdigit():
        pattern += r"(?!\d|\.\d)"
    return re.search(pattern, folded_text) is not None


def says_absent(folded_text: str) -> bool:
    """Whether the answer states that something asked for is not in the document."""
    return _ABSENCE.search(_SELF_DESCRIPTION.sub("", folded_text)) is not None


def judge(question: Question, answer: str, facts: Sequence[str] = ()) -> Verdict:
    """The verdict on an answer; `facts` are the document's values, none of which may be offered for an absent one."""
    text = folded(answer)
    refusing = says_absent(text)
    held = [fact for fact in facts if len(fact) > 3 and holds(text, fact)]
    if question.room is not None and (len(text) > question.room or len(held) > len(question.expect) + SPARE_FACTS):
        return "wrong"
    forbidden = any(holds(text, value) for value in question.forbid)
    if question.kind == "absent":
        invented = any(not holds(folded(question.ask), fact) for fact in held)
        return "right" if refusing and not forbidden and not invented else "wrong"
    complete = all(any(holds(text, option) for option in options) for options in question.expect)
    if complete and not forbidden and (refusing or not question.absent):
        return "right"
    return "refused" if refusing or not text.strip() else "wrong"
