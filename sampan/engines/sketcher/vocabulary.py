"""What the sketcher knows by name: drawings, backdrops and styles, in English and simplified Chinese."""

from __future__ import annotations

import json
import logging
import lzma
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from sampan.engines.sketcher.lexicon import COLOURS_EN, COLOURS_ZH, FUNCTION_EN, FUNCTION_ZH

DATA = files("sampan.engines.sketcher") / "data"
_FACELESS = re.compile(r"face|button|sign|symbol|arrow|^(man|woman|men|women|person)-|clock|cat-with|flag")


@dataclass(frozen=True, slots=True)
class Artwork:
    """A drawing: the body of an SVG with the frame 0 0 128 128, the box of its ink in 1/1000 of that frame
    (left, top, right, bottom), the share of its ink that is nearly white, and its size among others from 1 to 5."""

    name: str
    svg: str
    box: tuple[int, int, int, int]
    light: float
    bulk: int = 3

    @property
    def aspect(self) -> float:
        """Width of the ink over its height."""
        left, top, right, bottom = self.box
        return (right - left) / max(1, bottom - top)


@dataclass(frozen=True, slots=True)
class Sense:
    """What a word stands for. `kind` is thing, back or style; a faint sense comes from a keyword only,
    a written one from our own list."""

    kind: str
    value: str
    faint: bool = False
    written: bool = False


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Every drawing by its name, and every word of both languages with what it stands for."""

    artwork: Mapping[str, Artwork]
    english: Mapping[str, Sense]
    chinese: Mapping[str, Sense]

    def names(self, value: str, chinese: bool) -> str:
        """The first name of a drawing, a backdrop or a style in one language, for talking about it."""
        for word, sense in (self.chinese if chinese else self.english).items():
            if sense.value == value and not sense.faint:
                return word
        return value.replace("-", " ")


def unpack(name: str) -> bytes:
    """One packed data file, decompressed."""
    return lzma.decompress(DATA.joinpath(name).read_bytes())


def load() -> Vocabulary:
    """Reads the packed drawings and the written word list (0.3 s of CPU)."""
    packed: dict[str, dict[str, Any]] = json.loads(unpack("artwork.json.xz"))
    english: dict[str, Sense] = {}
    chinese: dict[str, Sense] = {}
    bulks: dict[str, int] = {}
    for kind, value, bulk, names_en, names_zh in _written(DATA.joinpath("words.txt").read_text(encoding="utf-8")):
        if kind == "thing":
            bulks[value] = bulk
        for word in names_en:
            english.setdefault(word, Sense(kind, value, written=True))
        for word in names_zh:
            chinese.setdefault(word.lower(), Sense(kind, value, written=True))
    _add_names(english, packed, "en")
    _add_names(chinese, packed, "zh")
    artwork = {
        name: Artwork(name, entry["svg"], _box(entry["box"]), entry["light"], bulks.get(name, 3))
        for name, entry in packed.items()
    }
    return Vocabulary(MappingProxyType(artwork), MappingProxyType(english), MappingProxyType(chinese))


def _box(values: list[int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = values
    return left, top, right, bottom


def _written(text: str) -> Iterator[tuple[str, str, int, list[str], list[str]]]:
    """The lines of words.txt: kind, value, bulk, English names, Chinese names."""
    kind, bulk = "", 3
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            kind = {"[things]": "thing", "[backdrops]": "back", "[styles]": "style"}[line]
        elif line.startswith("="):
            bulk = int(line[1:])
        else:
            value, _, rest = line.partition(": ")
            english, _, chinese = rest.partition(" | ")
            yield kind, value, bulk, _split(english), _split(chinese)


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _add_names(words: dict[str, Sense], packed: Mapping[str, Mapping[str, Any]], language: str) -> None:
    """Unicode's own names, then its keywords as faint senses: the plainest drawing with a keyword gets it.

    A name that begins with a colour ("green apple", 红苹果) is left out where the rest has a name: colours are painted.
    """
    function = FUNCTION_EN if language == "en" else FUNCTION_ZH
    colours = COLOURS_EN if language == "en" else COLOURS_ZH
    for name, entry in packed.items():
        for title in entry[language][0]:
            plain = title.replace(":", "").replace("’", "'")
            if plain not in words and plain not in function and not _painted(plain, words, colours, language):
                words[plain] = Sense("thing", name)
    best: dict[str, tuple[int, str]] = {}
    for name, entry in packed.items():
        title = (entry[language][0] or [""])[0]
        for place, keyword in enumerate(entry[language][1]):
            rank = place + len(entry[language][1]) + (20 if _FACELESS.search(name) else 0)
            rank -= 15 if keyword in title else 0
            if keyword not in best or (rank, name) < best[keyword]:
                best[keyword] = (rank, name)
    for keyword, (_, name) in best.items():
        if keyword not in words and keyword not in function and keyword not in colours and len(keyword) > 1:
            words[keyword] = Sense("thing", name, faint=True)


def _painted(title: str, words: Mapping[str, Sense], colours: Iterable[str], language: str) -> bool:
    for colour in colours:
        gap = " " if language == "en" else ""
        if title.startswith(colour + gap) and title[len(colour + gap) :] in words:
            return True
    return False


def load_segmenter(vocabulary: Vocabulary) -> Any:
    """A jieba tokenizer of our own that also knows our words; its dictionary is read now (about 1 s of CPU).

    jieba keeps its parsed dictionary in the system's temporary folder and goes on without where it cannot.
    """
    jieba: Any = import_module("jieba")
    jieba.setLogLevel(logging.ERROR)
    segmenter = jieba.Tokenizer()
    segmenter.initialize()
    for word in (*FUNCTION_ZH, *(w for w, sense in vocabulary.chinese.items() if not sense.faint)):
        if len(word) > 1:
            segmenter.add_word(word)
    return segmenter
