"""Questions that name the page or the picture that they are about: "第二页的总额", "the date on page 3"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sampan.engines.reader.page import Page

DIGITS = "一二三四五六七八九十"
WORDS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
PAGE = re.compile(
    r"(?:在)?第\s*(?P<zh>[一二三四五六七八九十]|\d{1,3})\s*[页頁](?:上面?|里面?|裡|中)?的?|(?P<last>最后一[页頁]|末[页頁])(?:上|里|中)?的?"
    r"|(?:\b(?:on|in|of|from)\s+)?(?:the\s+)?(?:\bpage\s+(?P<en>\d{1,3})\b|\b(?P<word>first|second|third|fourth|fifth|last)\s+page\b)",
    re.IGNORECASE,
)
PICTURE = re.compile(
    r"(?:在)?第\s*(?P<zh>[一二三四五六七八九十]|\d{1,2})\s*(?:张图?|張圖?|幅图?|个文件|個文件|份文件)(?:片)?(?:上|里|裡|中)?的?"
    r"|(?:\b(?:on|in|of|from)\s+)?(?:the\s+)?\b(?P<word>first|second|third|fourth|fifth|last)\s+(?:picture|image|photo|file|document)\b"
    r"|(?:\b(?:on|in|of|from)\s+)?\b(?:picture|image|photo|file)\s+(?P<en>\d{1,2})\b",
    re.IGNORECASE,
)


def named_place(question: str, pages: Sequence[Page]) -> tuple[str, tuple[Page, ...]]:
    """The question without the page or picture that it names, and the pages that are then meant.

    The question and all pages come back as they are where it names none, or one that there is not.
    """
    sources = max((page.source for page in pages), default=1)
    if sources > 1 and (found := PICTURE.search(question)):
        number = _number(found, sources)
        meant = tuple(page for page in pages if page.source == number)
        if meant:
            return _without(question, found), meant
    numbers = [page.number for page in pages if page.number]
    if len(set(numbers)) > 1 and (found := PAGE.search(question)):
        number = _number(found, max(numbers))
        meant = tuple(page for page in pages if page.number == number)
        if meant:
            return _without(question, found), meant
    return question, tuple(pages)


def _number(found: re.Match[str], last: int) -> int:
    groups = found.groupdict()
    word = (groups.get("zh") or groups.get("en") or groups.get("word") or "last").lower()
    if word == "last":
        return last
    if word in DIGITS:
        return DIGITS.index(word) + 1
    return WORDS.index(word) + 1 if word in WORDS else int(word)


def _without(question: str, found: re.Match[str]) -> str:
    return (question[: found.start()] + " " + question[found.end() :]).strip() or question
