"""What was read: boxes, lines, tables and pages, all frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle, in pixels of the flat page (or of the source, where it says so)."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2

    @property
    def centre(self) -> float:
        return (self.left + self.right) / 2

    def overlap_across(self, other: Box) -> float:
        """Length of the common part of both on the x axis; negative is the gap between them."""
        return min(self.right, other.right) - max(self.left, other.left)

    def overlap_down(self, other: Box) -> float:
        """Length of the common part of both on the y axis; negative is the gap between them."""
        return min(self.bottom, other.bottom) - max(self.top, other.top)

    def holds(self, x: float, y: float) -> bool:
        return self.left <= x <= self.right and self.top <= y <= self.bottom

    def union(self, other: Box) -> Box:
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )


def union(boxes: Sequence[Box]) -> Box:
    """The smallest box around all of `boxes`, of which there is at least one."""
    return Box(
        min(b.left for b in boxes),
        min(b.top for b in boxes),
        max(b.right for b in boxes),
        max(b.bottom for b in boxes),
    )


@dataclass(frozen=True, slots=True)
class Line:
    """A run of text that belongs together. `centres` are the x of each character of `text`, left to right."""

    text: str
    box: Box
    score: float = 1.0
    centres: tuple[float, ...] = ()

    def part(self, start: int, end: int) -> Line:
        """The characters from `start` to `end`, with the part of the box that they stand in."""
        text = self.text[start:end]
        lead = len(text) - len(text.lstrip())
        start, text = start + lead, text.strip()
        end = start + len(text)
        if not text or len(self.centres) != len(self.text):
            return Line(text, self.box, self.score)
        half = self.box.height * 0.4
        left = self.box.left if start == 0 else max(self.box.left, self.centres[start] - half)
        right = self.box.right if end == len(self.text) else min(self.box.right, self.centres[end - 1] + half)
        box = Box(left, self.box.top, max(right, left + 1), self.box.bottom)
        return Line(text, box, self.score, self.centres[start:end])


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table: its lines, and the columns that it spans (`column` to `last`, both counted from 0)."""

    row: int
    column: int
    last: int
    box: Box
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        return join_text([line.text for line in self.lines])


@dataclass(frozen=True, slots=True)
class Table:
    """Cells by row. `ruled` is true where lines are drawn around them."""

    box: Box
    rows: tuple[tuple[Cell, ...], ...]
    columns: int
    ruled: bool


@dataclass(frozen=True, slots=True)
class Page:
    """One picture or PDF page as read. `back` maps flat pixels to the source's (3×3, homogeneous).

    `cells` are the boxes drawn by ruled lines; `number` counts pages of a PDF from 1 and is 0 for a picture; `source`
    counts what was sent, from 1. Pasted text has lines at made-up places and no boxes to show (`pictured` false).
    """

    lines: tuple[Line, ...]
    width: float
    height: float
    back: Matrix = field(default_factory=lambda: np.eye(3))
    cells: tuple[Box, ...] = ()
    number: int = 0
    source: int = 1
    pictured: bool = True

    def in_source(self, box: Box) -> tuple[int, int, int, int]:
        """Where a flat box stands in the source: left, top, right, bottom in whole pixels (PDF: points)."""
        corners = np.array(
            [
                [box.left, box.top, 1.0],
                [box.right, box.top, 1.0],
                [box.right, box.bottom, 1.0],
                [box.left, box.bottom, 1.0],
            ]
        )
        there = corners @ self.back.T
        flat = there[:, :2] / there[:, 2:3]
        low, high = np.floor(flat.min(axis=0)), np.ceil(flat.max(axis=0))
        return max(0, int(low[0])), max(0, int(low[1])), int(high[0]), int(high[1])


def is_cjk(char: str) -> bool:
    """Whether a character is written without spaces around it: Han, kana, or CJK punctuation and full-width forms."""
    return "\u2e80" <= char <= "\u9fff" or "\uf900" <= char <= "\ufaff" or "\uff00" <= char <= "\uffef"


def join_text(parts: Sequence[str]) -> str:
    """Puts parts of one text together: a space between words, none next to a Chinese character."""
    joined = ""
    for part in parts:
        piece = part.strip()
        if not piece:
            continue
        tight = not joined or is_cjk(joined[-1]) or is_cjk(piece[0]) or joined.endswith("-")
        joined += piece if tight else f" {piece}"
    return joined
