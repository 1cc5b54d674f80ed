"""A label in the question's own words: it stands on the page, and the question says nothing besides it."""

from __future__ import annotations

import re

from sampan.engines.reader.aliases import named
from sampan.engines.reader.folding import fold
from sampan.engines.reader.lexicon import DOCUMENT_WORDS, FILLERS, STOP_WORDS, stem

CJK = re.compile(r"[\u3400-\u9fff]+")
LATIN = re.compile(r"[a-z0-9#][a-z0-9#'&/-]*")
ASIDE = re.compile(r"[(（\[【].*?[)）\]】]")
FRAME = re.compile(
    r"请问|请|(?:这|那|该|此)[\u4e00-\u9fff]{1,6}?的|帮我|告诉我|查一?下|找[到出]|(?:这|那|该|此)(?:张|份|个|页|笔|次|位)?|(?:上面|里面|里|上|中|内)的?|(?:那|这)?一?[栏项行]"
    r"|写|填|印|显示|标|叫|到底|具体|究竟|一下|哪[一几]?[个位家天日年里儿种些]?|几[号日月点]?|多少[钱元块]?|什么(?:时候|时间)?|[何为是的了着呢吗啊?？]"
)
ASKING = named(
    "what which who whose when where how whom much many long is are was were does do did the a an of on in at for to"
    " from by this that it its there here please tell me give show find say says said shown given listed stated written"
    " printed s i you we they my your our their his her patient's name's as be been has have had under"
)
SHORTEST = 2


def spelled(whole: str, key: str) -> bool:
    """Whether a folded question asks for just what a label says, in the label's own words.

    A bilingual label may be meant by either of its halves, and what it says in brackets may be left out.
    """
    return any(_said(whole, name) for name in _names(fold(key)))


def _names(key: str) -> set[str]:
    plain = ASIDE.sub(" ", key)
    chinese, latin = "".join(CJK.findall(plain)), " ".join(LATIN.findall(plain))
    if chinese and latin:
        return {chinese, latin} if len(latin) > 2 else {re.sub(r"[\W_]+", "", plain)}
    return {name for name in (chinese, latin) if name}


def _said(whole: str, name: str) -> bool:
    if CJK.match(name):
        squeezed = re.sub(r"[\s_:：,，。]+", "", whole)
        if len(name) < SHORTEST or name not in squeezed:
            return False
        rest = FRAME.sub("", squeezed.replace(name, "", 1))
        return not any(piece not in DOCUMENT_WORDS for piece in FILLERS.split(rest) if re.search(r"\w", piece))
    words, wanted = [stem(word) for word in LATIN.findall(whole)], [stem(word) for word in name.split()]
    if len(name) <= SHORTEST or CJK.search(whole):
        return False
    at = next((n for n in range(len(words)) if words[n : n + len(wanted)] == wanted), -1)
    beside = words[:at] + words[at + len(wanted) :]
    return at >= 0 and all(word in ASKING or word in STOP_WORDS or word in DOCUMENT_WORDS for word in beside)
