"""One form for comparing: widths, scripts and case folded, so that 發票號碼 and 发票号码, ＩＤ and id meet."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import Any

PUNCTUATION = str.maketrans(
    {
        "，": ",",
        "；": ";",
        "！": "!",
        "“": '"',
        "”": '"',
        "‘": "'",
        "’": "'",
        "【": "[",
        "】": "]",
        "—": "-",
        "–": "-",
        "￥": "¥",
    }
)
TIGHT = re.compile(r"(?<=[\u2e80-\u9fff])\s+(?=[\u2e80-\u9fff])")


@cache
def _converter(name: str) -> Any:
    from opencc import OpenCC

    return OpenCC(name)


def simplified(text: str) -> str:
    """Traditional Chinese to simplified, character for character where it can."""
    return str(_converter("t2s").convert(text)).replace("帐", "账")


def traditional(text: str) -> str:
    """Simplified Chinese to traditional, for answering in the script of the question."""
    return str(_converter("s2t").convert(text))


@lru_cache(maxsize=8192)
def _folded(text: str) -> str:
    wide = unicodedata.normalize("NFKC", text).translate(PUNCTUATION)
    return TIGHT.sub("", re.sub(r"\s+", " ", simplified(wide).lower())).strip()


def fold(text: str) -> str:
    """Folded text, spaces between Chinese characters taken out, other runs of space made one."""
    return _folded(text)


def bare(text: str) -> str:
    """Folded text without any punctuation or space, for comparing keys."""
    return re.sub(r"[\W_]+", "", fold(text))


def is_traditional(text: str) -> bool:
    """Whether Chinese text holds characters that only traditional script has."""
    return any("\u4e00" <= char <= "\u9fff" and simplified(char) != char for char in text)
