"""Loads an exam: its questions, and for each the document as the bytes a reader is given."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any, Literal

from bench.reader.canvas import Document
from bench.reader.damage import damaged
from bench.reader.grading import Question

SETS = {name: Path(__file__).with_name(f"{name}.json") for name in ("dev", "heldout", "third", "fourth", "fifth")}

# By name: whoever develops against one set must not even import the other.
_ROOMS = {
    "dev": ("bench.reader.documents", "bench.reader.everyday"),
    "heldout": ("bench.reader.heldout_documents", "bench.reader.heldout_everyday"),
    "third": ("bench.reader.third_documents", "bench.reader.third_everyday"),
    "fourth": ("bench.reader.fourth_documents", "bench.reader.fourth_everyday"),
    "fifth": ("bench.reader.fifth_documents", "bench.reader.fifth_forms", "bench.reader.fifth_everyday"),
}


@dataclass(frozen=True, slots=True)
class Paper:
    """A document as handed out: which template, seed and damage, and the questions about it."""

    template: str
    seed: int
    damage: str
    questions: tuple[Question, ...]
    room: str

    def draw(self) -> Document:
        """The undamaged document with what is written on it."""
        for module in _ROOMS[self.room]:
            template = getattr(import_module(module), self.template, None)
            if template is not None:
                drawn = template(Random(self.seed))
                assert isinstance(drawn, Document)
                return drawn
        raise KeyError(self.template)

    def handed_out(self) -> tuple[Literal["image", "pdf"], bytes]:
        """What the reader gets: a PDF as it is, or the page after its damage."""
        document = self.draw()
        if document.pdf is not None:
            return "pdf", document.pdf
        return "image", damaged(document.pages[0], self.damage, self.seed)


def load(name: str) -> Iterator[Paper]:
    """The papers of the set `dev`, `heldout`, `third`, `fourth` or `fifth`, in the order of the file."""
    for entry in json.loads(SETS[name].read_text("utf-8"))["documents"]:
        questions = tuple(_question(item) for item in entry["questions"])
        yield Paper(entry["template"], entry["seed"], entry["damage"], questions, name)


def _question(item: dict[str, Any]) -> Question:
    expect = tuple(tuple(options) for options in item["expect"])
    return Question(
        item["kind"],
        item["language"],
        item["ask"],
        expect,
        tuple(item.get("forbid", ())),
        bool(item.get("absent", False)),
    )
