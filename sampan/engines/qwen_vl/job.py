"""What the two halves of the engine say to each other: words on one side, tokens and tensors on the other.

A `Job` is one answer to be written. The scheduler takes it, and calls `deliver` from the model's own thread: with each
token as it is made, and once, at the end, with `Ended`. What that function does must be quick and must not raise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from sampan.errors import CallError


class Reason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"  # the model's own end-of-turn token
    LENGTH = "length"  # `max_tokens`, or the end of the context
    CANCELLED = "cancelled"  # nobody waits any more
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model reads: token ids, with the pad tokens of the pictures in place, and the pictures as it sees them.

    `pixels` is a tensor of patches, [patches, features], `grids` one of [pictures, 3] (time, height and width in
    patches), both None without a picture. They are on the CPU.
    """

    tokens: Sequence[int]
    pixels: Any = None
    grids: Any = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. `temperature` 0 takes the likeliest. `seed` None: another answer each time."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0  # 0: all
    seed: int | None = None


class Guide(Protocol):
    """Says which tokens may come next, for an answer that has to follow a schema. One for one answer."""

    def mask(self) -> Any:
        """A boolean tensor [vocabulary], true where a token may come next."""
        ...

    def accept(self, token: int) -> None:
        """The token that came."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One answer to be written. `owner` is whose it is: places are shared fairly between owners."""

    prompt: Prompt
    sampling: Sampling
    max_tokens: int
    guide: Guide | None = None
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """The last thing that is said of a job."""

    reason: Reason
    error: CallError | None = None


Deliver: TypeAlias = Callable[[int | Ended], None]


class Ticket(Protocol):
    """A job that was taken."""

    def cancel(self) -> None:
        """Nobody waits any more: no token is made after the present one. Callable from any thread."""
        ...


class Model(Protocol):
    """The half that knows tensors."""

    @property
    def context(self) -> int:
        """Tokens that a prompt and its answer may have together."""
        ...

    def read(self, text: str, pictures: Sequence[Any]) -> Prompt:
        """A rendered conversation, one `<|image_pad|>` for each picture (PIL images, RGB), as the model reads it.

        Raises `InvalidRequest` for one longer than the context, and where pictures and pads differ in number.
        """
        ...

    def write(self, tokens: Sequence[int]) -> str:
        """The text of tokens, special ones left out."""
        ...

    def submit(self, job: Job, deliver: Deliver) -> Ticket:
        """Queues a job. Raises `Unavailable` when too many wait. May be called from any thread."""
        ...
