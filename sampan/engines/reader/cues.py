"""What of a question a table explains: the columns that it names, and the rows that it names by a cell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rapidfuzz import fuzz

from sampan.engines.reader import asking, figures
from sampan.engines.reader.folding import fold
from sampan.engines.reader.grid import Grid, columns_named, label_column
from sampan.engines.reader.lexicon import DOCUMENT_WORDS, FILLERS, STOP_WORDS, Lexicon, Phrase, stem
from sampan.engines.reader.page import Cell
from sampan.engines.reader.question import Ask


@dataclass(frozen=True, slots=True)
class Cue:
    """Part of a question that names rows: its words, the rows (by number) and cells that it fits, and how well."""

    surface: str
    score: float
    cells: tuple[tuple[int, Cell], ...]

    @property
    def rows(self) -> frozenset[int]:
        return frozenset(row for row, _ in self.cells)


@dataclass(frozen=True, slots=True)
class Query:
    """A question about one table, with what of it the table's own words explain."""

    grid: Grid
    ask: Ask
    text: str
    lexicon: Lexicon
    labels: int
    heads: tuple[tuple[float, int, str], ...]
    cues: tuple[Cue, ...]

    @property
    def chinese(self) -> bool:
        return re.search(r"[\u4e00-\u9fff]", self.text) is not None

    def picked(self) -> tuple[int, ...]:
        """The rows that all cues agree on, by number; a cue that agrees with no better one is left out."""
        rows: frozenset[int] | None = None
        for cue in self.cues:
            both = cue.rows if rows is None else rows & cue.rows
            rows = both or rows
        return tuple(sorted(rows or ()))

    def numeric(self, column: int) -> list[tuple[int, Decimal, Cell]]:
        made = []
        for number, row in enumerate(self.grid.body):
            cell = self.grid.cell(row, column)
            figure = figures.number(cell.text) if cell is not None else None
            if cell is not None and figure is not None:
                made.append((number, figure, cell))
        filled = sum(self.grid.cell(row, column) is not None for row in self.grid.body)
        return made if made and len(made) * 5 >= filled * 3 else []

    def label(self, row: int) -> Cell | None:
        return self.grid.cell(self.grid.body[row], self.labels)


def query_of(grid: Grid, ask: Ask, lexicon: Lexicon) -> Query:
    """Reads a question against a table: the columns that it names, and its cues to rows."""
    text = fold(ask.whole)
    heads = _heads(grid, ask, text, lexicon)
    rest = text
    for _, _, surface in heads:
        rest = rest.replace(surface, " \0 ")
    rest = asking.WANTED_NOUN.sub(" ", rest)
    return Query(grid, ask, text, lexicon, label_column(grid, lexicon), heads, _cues(grid, rest, text, lexicon))


def _heads(grid: Grid, ask: Ask, text: str, lexicon: Lexicon) -> tuple[tuple[float, int, str], ...]:
    """Columns that the question names, with its words for them, best first."""
    made: dict[int, tuple[float, int, str]] = {}
    translated = [(form, other) for form, others in lexicon.goods.named(text) for other in others]
    for phrase in ask.phrases:
        for score, column, head in columns_named(grid, phrase, lexicon):
            surface = next(
                (
                    t.surface
                    for t in phrase.tokens
                    if t.surface in text and lexicon.nearness(Phrase(t.surface, (t,)), head) >= 0.62
                ),
                "",
            )
            told = surface and (surface in fold(head.text) or not _stands_in_cell(grid, surface))
            if told and (column not in made or made[column][0] < score):
                made[column] = (score * 0.98, column, _common(surface, fold(head.text)))
    for column, head in grid.heads:
        core = fold(re.sub(r"[（(\[/].*$", "", head.text)).strip()
        if len(core) >= 2 and _says(text, core):
            made[column] = (1.0 + 0.01 * len(core), column, core)
            continue
        for form, other in translated:
            if len(other) >= 2 and _says(fold(head.text), other) and (column not in made or made[column][0] < 1.0):
                whole_head = other == fold(head.text)
                made[column] = (1.05 if whole_head else 0.95, column, form)
    return tuple(sorted(made.values(), key=lambda item: -item[0]))


def _stands_in_cell(grid: Grid, surface: str) -> bool:
    """Whether a Chinese word is part of a cell's text, so that it names a row: 大学 in 华侨大学."""
    if not re.search(r"[\u4e00-\u9fff]", surface):
        return False
    return any(surface in fold(cell.text) and fold(cell.text) != surface for row in grid.body for cell in row)


def _common(surface: str, head: str) -> str:
    """The part of a question's word that a heading shares: 负责 of "刘芳负责" for 负责人."""
    if surface in head or not re.search(r"[\u2e80-\u9fff]", surface) or not re.search(r"[\u2e80-\u9fff]", head):
        return surface
    pieces = [surface[a:b] for a in range(len(surface)) for b in range(a + 2, len(surface) + 1) if surface[a:b] in head]
    return max(pieces, key=len, default=surface)


def _says(text: str, words: str) -> bool:
    if words[0] >= "\u2e80":
        return words in text
    return re.search(rf"(?<![a-z0-9]){re.escape(words)}(?:s|es)?(?![a-z0-9])", text) is not None


def _cues(grid: Grid, rest: str, text: str, lexicon: Lexicon) -> tuple[Cue, ...]:
    """Parts of the question that name rows by a cell of theirs, the surest first."""
    goods = lexicon.goods.named(rest)
    found: dict[str, list[tuple[float, int, Cell]]] = {}
    for number, row in enumerate(grid.body):
        for cell in row:
            score, surface = _fit(cell.text, rest, text, goods)
            if score >= 0.6:
                found.setdefault(surface, []).append((score, number, cell))
    cues = []
    for surface, entries in found.items():
        best = max(score for score, _, _ in entries)
        level = 0.02 if best >= 0.97 else 0.3
        cells = tuple((number, cell) for score, number, cell in entries if score >= best - level)
        cues.append(Cue(surface, best, cells))
    cues.sort(key=lambda cue: (-round(cue.score, 1), -len(cue.surface)))
    kept: list[Cue] = []
    for cue in cues:
        if not any(_overlapping(cue.surface, other.surface) for other in kept):
            kept.append(cue)
    return tuple(kept)


def _overlapping(one: str, other: str) -> bool:
    return one in other or other in one or (one.isascii() and bool(set(one.split()) & set(other.split())))


def _fit(cell: str, rest: str, text: str, goods: Sequence[tuple[str, tuple[str, ...]]]) -> tuple[float, str]:
    """How well a part of the question names a cell, and which part: all of it, a piece, or its name elsewhere."""
    folded = fold(cell)
    core = re.sub(r"\s*[（(\[].*?[)）\]]", "", folded).rsplit("*", 1)[-1].strip() or folded
    if len(core) >= 5 and core.isdigit() and core in rest:
        return 1.0, core
    if len(core) < 2 or figures.number(core) is not None:
        return 0.0, ""
    if core in rest and _says(rest, core):
        return 1.0, core
    if folded in text and len(folded) >= 3:
        return 1.0, folded
    best, surface = 0.0, ""
    for form, others in goods:
        for other in others:
            if len(other) >= 1 and _says(core, other) and len(other) * 5 >= len(core):
                score = 0.62 + 0.34 * min(1.0, len(other) / len(core))
                if score > best:
                    best, surface = score, form
    score, piece = _piece(core, rest) if re.search(r"[\u2e80-\u9fff]", core) else (0.0, "")
    if score > best:
        best, surface = score, piece
    score, piece = _words(core, rest)
    return (score, piece) if score > best else (best, surface)


def _piece(core: str, rest: str) -> tuple[float, str]:
    """The longest piece of a Chinese name that the question holds; its end names it best (鼠标 for 无线鼠标)."""
    for size in range(min(len(core) - 1, 10), 1, -1):
        for start in range(len(core) - size, -1, -1):
            piece = core[start : start + size]
            if piece not in rest or not re.search(r"[\u2e80-\u9fff]{2}|[a-z\d]{3}", piece):
                continue
            if (
                piece in asking.GENERIC_WORDS
                or FILLERS.fullmatch(piece)
                or re.fullmatch(r"[\d\W]*[年月日号元]?[\d\W]*", piece)
            ):
                continue
            edge = 0.06 if start + size == len(core) else 0.03 if start == 0 else 0.0
            if size == 2 and not edge and len(core) > 5:
                continue
            return 0.62 + 0.28 * size / len(core) + edge, piece
    return 0.0, ""


def _words(core: str, rest: str) -> tuple[float, str]:
    """The words of an English name that the question holds, plural or slightly misspelt."""
    wanted = [stem(word) for word in re.findall(r"[a-z]{3,}|[a-z]*\d+[a-z\d-]*", core) if word not in STOP_WORDS]
    asked = {stem(word): word for word in re.findall(r"[a-z]{3,}|[a-z]*\d+[a-z\d-]*", rest)}
    if not wanted:
        return 0.0, ""
    held = []
    for word in wanted:
        match = word if word in asked else None
        if match is None and len(word) >= 5:
            match = next((other for other in asked if len(other) >= 5 and fuzz.ratio(word, other) >= 84), None)
        if match is not None and (match not in asking.GENERIC_ENGLISH or len(wanted) == 1) and not match.isdigit():
            held.append(asked[match])
    if not held or (len(held) == 1 and len(wanted) >= 5):
        return 0.0, ""
    return 0.62 + 0.34 * len(held) / len(wanted), " ".join(held)


def explained(query: Query, *more: str) -> float:
    """How much of the question the table explains: 1, less for words that it has none for, least for known keys."""
    rest = query.text
    cues = [word for cue in query.cues for word in (cue.surface.split() if cue.surface.isascii() else [cue.surface])]
    for part in sorted([*(s for _, _, s in query.heads), *cues, *more], key=len, reverse=True):
        rest = rest.replace(part, " ")
    page = "\n".join(fold(line.text) for line in query.grid.page.lines)
    left: list[str] = []
    for run in re.findall(r"[\u2e80-\u9fff]+", rest):
        for piece in FILLERS.split(run):
            trimmed = _worn(piece)
            if trimmed and trimmed not in page:
                left.append(trimmed)
    for word in re.findall(r"[a-z][a-z'-]{2,}", rest):
        plain = stem(word)
        if not {word, plain} & (STOP_WORDS | asking.GENERIC_ENGLISH | DOCUMENT_WORDS) and plain not in page:
            left.append(word)
    if not left:
        return 1.0
    known = any(query.lexicon.concepts(piece) for piece in left)
    return (
        0.5
        if known or len(left) >= 3
        else 0.66
        if asking.HOW_MUCH.search(query.text) or asking.WHO.search(query.text)
        else 0.56
    )


def _worn(piece: str) -> str:
    """What is left of a piece without everyday words."""
    rest = piece
    for word in sorted(asking.GENERIC_WORDS | DOCUMENT_WORDS, key=len, reverse=True):
        if not word.isascii() and word in rest:
            rest = rest.replace(word, "")
    return rest
