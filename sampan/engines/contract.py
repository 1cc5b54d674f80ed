"""What the shell and the engines behind it say to each other: the values, and the two shapes an engine may have.

A **talker** answers questions about sources (`/v1/messages`), a **painter** makes pictures (`/v1/images/…`). Both are
plain blocking code: the shell runs them in worker threads, hands on each piece as it comes, and tells them through
`stopped` that nobody waits any more. An engine need not inherit from anything: having the methods is enough.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from sampan.core import Usage

Stopped: TypeAlias = Callable[[], bool]
"""True as soon as the caller has left: the engine is to stop at its next piece."""

SourceKind: TypeAlias = Literal["image", "pdf", "text"]

# One unit: a CJK or full-width character, or up to four other visible ones in a row. About what a tokenizer gives for
# the scripts we serve, the same as the reader counts, and countable without a vocabulary.
_WIDE = r"\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
_UNIT = re.compile(rf"[{_WIDE}]|[^\s{_WIDE}]{{1,4}}")


def units(text: str) -> int:
    """How many units (what we call tokens) a text is."""
    return sum(1 for _ in _UNIT.finditer(text))


def cut(text: str, limit: int) -> str:
    """The longest beginning of `text` that is at most `limit` units; white space after the last one goes too."""
    if limit <= 0:
        return ""
    for number, unit in enumerate(_UNIT.finditer(text), 1):
        if number > limit:
            return text[: unit.start()].rstrip()
    return text


@dataclass(frozen=True, slots=True)
class Source:
    """Something that a question is about. `data` is the file, or UTF-8 text; `where` its path in the request."""

    kind: SourceKind
    data: bytes
    where: str


@dataclass(frozen=True, slots=True)
class Order:
    """Pictures to be made. `size` is `auto` or `WIDTHxHEIGHT` in pixels, `output_compression`
    0 to 100 (None: as the engine likes it)."""

    prompt: str
    n: int = 1
    size: str = "auto"
    seed: int | None = None
    output_format: str = "png"
    output_compression: int | None = None
    background: str = "auto"


class Picture(Protocol):
    """A picture that was made: `data` is the file, `format` png, jpeg or webp, `background` opaque or transparent."""

    @property
    def data(self) -> bytes: ...
    @property
    def revised_prompt(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def format(self) -> str: ...
    @property
    def background(self) -> str: ...


@runtime_checkable
class Talker(Protocol):
    """Answers questions about sources. A request that it cannot honour raises `sampan.errors.InvalidRequest`."""

    def warm_up(self) -> None:
        """Runs one real call, so that the first caller finds everything loaded."""
        ...

    def answer(self, question: str, sources: Sequence[Source], stopped: Stopped) -> Generator[str, None, Usage]:
        """Yields the answer's text in pieces and returns what it cost."""
        ...

    def count(self, question: str, sources: Sequence[Source]) -> int:
        """How many input units this would be. Asked again after the first piece of an answer, when it must be cheap."""
        ...


@runtime_checkable
class Painter(Protocol):
    """Makes and edits pictures. A request that it cannot honour raises `sampan.errors.InvalidRequest`."""

    def warm_up(self) -> None:
        """Runs one real call, so that the first caller finds everything loaded."""
        ...

    def generate(self, order: Order, stopped: Stopped) -> Iterator[Picture]:
        """Yields `order.n` pictures, each as soon as it is made."""
        ...

    def edit(self, order: Order, images: Sequence[bytes], mask: bytes | None, stopped: Stopped) -> Iterator[Picture]:
        """The same from given pictures; where the mask's alpha is 0 the first of them is redrawn."""
        ...

    def vary(self, order: Order, image: bytes, stopped: Stopped) -> Iterator[Picture]:
        """The same from a given picture and no prompt: other pictures of what it shows."""
        ...


Engine: TypeAlias = Talker | Painter
