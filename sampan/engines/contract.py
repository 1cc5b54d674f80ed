"""What the shell and the engines behind it say to each other: the values, and the three shapes an engine may have.

A **talker** answers questions about sources (`/v1/messages`), a **painter** makes pictures (`/v1/images/…`). Both are
plain blocking code: the shell runs them in worker threads, hands on each piece as it comes, and tells them through
`stopped` that nobody waits any more. A **converser** answers whole conversations (`/v1/messages` too), many at a time
with one model: hearing one out is blocking code, the answer comes on the event loop. An engine need not inherit from
anything: having the methods is enough.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from sampan.core import Usage
from sampan.engines.conversation import Conversation, Piece

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
class Margins:
    """Pixels that a picture is to grow by, on each side."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0


@dataclass(frozen=True, slots=True)
class Manner:
    """How pictures are to be made, where an engine can be told. None and "" leave it to the engine.

    `quality` and `preset` are the caller's words; `loras` weights by name; `region` (x, y, width, height) what alone
    may change of a given picture; `canvas` what it is continued by; `partials` how many previews are wanted of each.
    """

    quality: str = ""
    preset: str = ""
    negative_prompt: str | None = None
    steps: int | None = None
    guidance: float | None = None
    strength: float | None = None
    loras: Mapping[str, float] = field(default_factory=dict)
    region: tuple[int, int, int, int] | None = None
    canvas: Margins | None = None
    partials: int = 0


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
    manner: Manner = field(default=Manner(), repr=False)


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


@dataclass(frozen=True, slots=True)
class Progress:
    """So many steps of a picture are done."""

    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What a picture looks like so far; `index` counts the previews of one picture from 0."""

    picture: Picture
    index: int


Drawn: TypeAlias = Picture | Preview | Progress


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

    def generate(self, order: Order, stopped: Stopped) -> Iterator[Drawn]:
        """Yields `order.n` pictures, each as soon as it is made, and between them how far it has come."""
        ...

    def edit(self, order: Order, images: Sequence[bytes], mask: bytes | None, stopped: Stopped) -> Iterator[Drawn]:
        """The same from given pictures; where the mask's alpha is 0 the first of them is redrawn."""
        ...

    def vary(self, order: Order, image: bytes, stopped: Stopped) -> Iterator[Drawn]:
        """The same from a given picture and no prompt: other pictures of what it shows."""
        ...


class Heard(Protocol):
    """A conversation that was read: what it comes to in tokens, and the way to its answer."""

    @property
    def input_tokens(self) -> int: ...

    def answer(self) -> AsyncGenerator[Sequence[Piece], None]:
        """Yields the answer, on the event loop, in as many pieces at a time as there are; `Done` is the last.

        Closing it before that ends the work: nobody waits any more.
        """
        ...


@runtime_checkable
class Converser(Protocol):
    """Answers conversations, as many at once as it likes. What it cannot do raises `sampan.errors.InvalidRequest`."""

    def warm_up(self) -> None:
        """Runs one real call, so that the first caller finds everything loaded."""
        ...

    def hear(self, conversation: Conversation) -> Heard:
        """Reads a conversation, with all its pictures: blocking, for a thread, several of them at once."""
        ...


@runtime_checkable
class Staged(Protocol):
    """An engine that says how far it has come while it loads, and what of it is not warm yet. Asked at any time."""

    @property
    def stage(self) -> str:
        """What it does now; empty where there is nothing to say."""
        ...

    @property
    def cold(self) -> Sequence[str]:
        """What the next call may have to wait for."""
        ...


@runtime_checkable
class Shared(Protocol):
    """An engine that takes many calls at once, to work on them together."""

    @property
    def places(self) -> int:
        """How many."""
        ...


@runtime_checkable
class Busy(Protocol):
    """An engine that counts its calls itself: the shell's count ends where its threads do."""

    @property
    def working(self) -> int:
        """Calls that are being answered."""
        ...

    @property
    def waiting(self) -> int:
        """Calls that wait for others to end."""
        ...


Engine: TypeAlias = Talker | Painter | Converser
