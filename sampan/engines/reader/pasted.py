"""Pasted text as a page, so that it is asked about like any other: lines below one another, words at made-up places."""

from __future__ import annotations

import re

from sampan.engines.reader.page import Box, Line, Page, is_cjk

STEP = 24.0
LETTER = 10.0
LONGEST = 400_000


def read_text(text: str) -> Page:
    """Lays text out in a grid of letters; tabs, Markdown bars and runs of spaces part cells."""
    lines: list[Line] = []
    widest = 0.0
    raws = text[:LONGEST].expandtabs(8).splitlines()
    for number, raw in enumerate(raws):
        if re.fullmatch(r"[\s|:+=-]*", raw):
            continue
        left, cell, starts = 0.0, "", 0.0
        for char in [*raw, "\n"]:
            bar = char in "|\n"
            if bar or (char == " " and cell.endswith(" ")):
                _add(lines, cell, starts, number * STEP)
                cell = ""
            if not cell:
                starts = left if not char.isspace() else left + LETTER
            if not bar and (cell or not char.isspace()):
                cell += char
            left += 2 * LETTER if is_cjk(char) else LETTER
        widest = max(widest, left)
    return Page(tuple(lines), widest, len(raws) * STEP, pictured=False)


def _add(lines: list[Line], cell: str, left: float, top: float) -> None:
    text = cell.strip()
    if not text:
        return
    centres, at = [], left
    for char in text:
        width = 2 * LETTER if is_cjk(char) else LETTER
        centres.append(at + width / 2)
        at += width
    lines.append(Line(text, Box(left, top, at, top + 20.0), 1.0, tuple(centres)))
