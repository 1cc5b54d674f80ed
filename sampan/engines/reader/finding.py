"""What was found for one ask: a value, where it was read, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

from sampan.engines.reader.clauses import Clause
from sampan.engines.reader.facts import Fact
from sampan.engines.reader.grid import Grid
from sampan.engines.reader.layout import Paragraph
from sampan.engines.reader.page import Line, Page


@dataclass(frozen=True, slots=True)
class Evidence:
    """The line that an answer was read from, on its page."""

    line: Line
    page: Page


@dataclass(frozen=True, slots=True)
class Finding:
    """A value, verbatim. An empty value with evidence is a field that was left blank on the document."""

    value: str
    evidence: tuple[Evidence, ...]
    confidence: float
    label: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """Everything known about what was sent: its pages, what was derived from them, and the folded text and title."""

    pages: tuple[Page, ...]
    facts: tuple[Fact, ...]
    grids: tuple[Grid, ...]
    paragraphs: tuple[tuple[Paragraph, Page], ...]
    corpus: str
    title: str
    clauses: tuple[Clause, ...] = ()
