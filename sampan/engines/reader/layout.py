"""Reading order: rows, columns of text, and paragraphs joined from their lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sampan.engines.reader.page import Box, Line, Page, is_cjk, join_text, union

SENTENCE_END = re.compile(r"[。！？；：!?;:.…”\"]\s*$")
STARTS_NEW = re.compile(
    r"^\s*(?:第[一二三四五六七八九十百\d]+[条條章节節款项]|[（(]?[一二三四五六七八九十]{1,3}[)）、.．]|[（(]?\d{1,2}(?:\.\d{1,2})*(?:[)）、.．](?!\d)|\s(?=[A-Z\u4e00-\u9fff]))|[•·●\-*–]\s|Article|Section|Clause)"
)


@dataclass(frozen=True, slots=True)
class Row:
    """Lines side by side, from left to right."""

    lines: tuple[Line, ...]

    @property
    def box(self) -> Box:
        return union([line.box for line in self.lines])

    @property
    def text(self) -> str:
        return "  ".join(line.text for line in self.lines)


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text joined from lines that follow one another, with where each line starts in it."""

    text: str
    lines: tuple[Line, ...]
    starts: tuple[int, ...]

    def lines_of(self, start: int, end: int) -> list[Line]:
        """The lines that hold the characters from `start` to `end`."""
        ends = [*self.starts[1:], len(self.text)]
        return [line for line, a, b in zip(self.lines, self.starts, ends, strict=True) if a < end and b > start]


def rows(lines: Sequence[Line]) -> list[Row]:
    """Groups lines that stand at one height, top to bottom; single spread-out characters become one word."""
    open_rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda item: item.box.middle):
        home = None
        for row in reversed(open_rows[-6:]):
            if _level(row, line):
                home = row
                break
        if home is None:
            open_rows.append([line])
        else:
            home.append(line)
    made = [Row(tuple(_joined(sorted(row, key=lambda item: item.box.left)))) for row in open_rows]
    return sorted(made, key=lambda row: row.box.middle)


def _level(row: Sequence[Line], line: Line) -> bool:
    """Whether a line stands in a row: it overlaps the nearest of its lines in height and none in width."""
    if any(other.box.overlap_across(line.box) > 0.4 * min(other.box.width, line.box.width) for other in row):
        return False
    near = min(row, key=lambda other: max(0.0, -other.box.overlap_across(line.box)))
    lower = min(near.box.height, line.box.height)
    if max(near.box.height, line.box.height) > 2.5 * lower:
        return False
    return near.box.overlap_down(line.box) > 0.5 * lower


def _joined(row: Sequence[Line]) -> list[Line]:
    """Joins characters written apart, as in "姓　　名" or "合　　计"."""
    merged: list[Line] = []
    for line in row:
        if merged and _spread(merged[-1], line):
            last = merged[-1]
            text = last.text.rstrip() + line.text.lstrip()
            centres = (*last.centres, *line.centres) if len(last.centres) + len(line.centres) == len(text) else ()
            merged[-1] = Line(text, last.box.union(line.box), min(last.score, line.score), centres)
        else:
            merged.append(line)
    return merged


def _spread(left: Line, right: Line) -> bool:
    one, other = left.text.strip(), right.text.strip()
    if not (is_cjk(one[:1]) and is_cjk(other[:1]) and len(one) <= 2):
        return False
    single = len(one) == 1 and (len(other) == 1 or (len(other) > 1 and other[1] in "：:"))
    gap = right.box.left - left.box.right
    return (
        single and gap < 4.5 * max(left.box.height, right.box.height) and not one.isdigit() and "一" <= other[0] <= "鿿"
    )


def spread_lines(page: Page) -> Page:
    """The page with spread-out characters joined, so that keys can be told."""
    return replace(page, lines=tuple(line for row in rows(page.lines) for line in row.lines))


def paragraphs(lines: Sequence[Line]) -> list[Paragraph]:
    """Running text: lines close below one another, joined unless one ends or the next begins a clause."""
    ordered = rows(lines)
    if not ordered:
        return []
    right = max(row.box.right for row in ordered)
    done: list[list[Line]] = []
    for column in _columns(ordered):
        current: list[Line] = []
        for line in column:
            if current and not _goes_on(current[-1], line, right):
                done.append(current)
                current = []
            current.append(line)
        if current:
            done.append(current)
    return [_paragraph(group) for group in done]


def _columns(ordered: Sequence[Row]) -> list[list[Line]]:
    """Chains of lines one under another: each line goes to the chain whose last line stands above it."""
    chains: list[list[Line]] = []
    for row in ordered:
        for line in row.lines:
            best: list[Line] | None = None
            beside = len(row.lines) > 1 and line.box.width < 14 * line.box.height
            for chain in [] if beside else chains:
                last = chain[-1].box
                across = last.overlap_across(line.box)
                fits = (
                    across > 0.5 * min(last.width, line.box.width)
                    and abs(last.left - line.box.left) < 6 * line.box.height
                )
                close = -0.5 * line.box.height < line.box.top - last.bottom < 1.6 * line.box.height
                if fits and close and (best is None or chain[-1].box.bottom > best[-1].box.bottom):
                    best = chain
            if best is None:
                chains.append([line])
            else:
                best.append(line)
    return chains


def _goes_on(last: Line, line: Line, right: float) -> bool:
    if SENTENCE_END.search(last.text) or STARTS_NEW.match(line.text):
        return False
    size = max(last.box.height, line.box.height)
    if max(last.box.height, line.box.height) > 1.5 * min(last.box.height, line.box.height):
        return False
    full = last.box.right > line.box.right - 2.5 * size and last.box.width > 9 * size
    return full and right - last.box.right < 0.45 * right and not re.match(r"^[^，。,]{1,12}[:：]\s*\S", line.text)


def _paragraph(lines: Sequence[Line]) -> Paragraph:
    text, starts = "", []
    for line in lines:
        joined = join_text([text, line.text])
        starts.append(len(joined) - len(line.text.strip()))
        text = joined
    return Paragraph(text, tuple(lines), tuple(starts))
