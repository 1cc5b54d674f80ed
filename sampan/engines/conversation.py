"""A conversation as an engine is handed it, and the pieces that its answer comes in.

Everything here is a plain value: nothing of the wire, nothing of a model. `where` is a part's path in the request, for
messages about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from sampan.core import Usage

# What is asked.


@dataclass(frozen=True, slots=True)
class Words:
    """Text."""

    text: str


@dataclass(frozen=True, slots=True)
class Sight:
    """A picture; `data` is the file."""

    data: bytes
    where: str


@dataclass(frozen=True, slots=True)
class Paper:
    """A PDF; `data` is the file."""

    data: bytes
    where: str


Seen: TypeAlias = Words | Sight | Paper


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call of an earlier answer; `input` is a JSON object as text."""

    name: str
    input: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tool said."""

    parts: Sequence[Seen]


@dataclass(frozen=True, slots=True)
class Thought:
    """What the model thought in an earlier answer."""

    text: str


Part: TypeAlias = Words | Sight | Paper | Call | Outcome | Thought


@dataclass(frozen=True, slots=True)
class Turn:
    """Who said what. No two turns of one role stand side by side."""

    role: Literal["system", "user", "assistant"]
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that may be called; `schema` is the JSON schema of its input. `strict`: calls must follow it."""

    name: str
    description: str
    schema: Mapping[str, Any]
    strict: bool
    where: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Whether tools are to be called. `forced`: at least once; `name` says which, empty leaves that open."""

    forced: bool = False
    name: str = ""
    parallel: bool = True


@dataclass(frozen=True, slots=True)
class Thinking:
    """`budget` is in tokens, None where nobody set one; `shown` false keeps the text of the thoughts back."""

    wanted: bool = False
    budget: int | None = None
    shown: bool = True


@dataclass(frozen=True, slots=True)
class Style:
    """How tokens are chosen; None leaves it to the checkpoint."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """The JSON schema that an answer is to follow."""

    schema: Mapping[str, Any]
    where: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """All that is asked. A last turn of the assistant's is to be gone on with. `max_tokens` None: only count.

    `grounding`: boxes in the answer are also told in pixels, `annotate`: and drawn on the picture.
    """

    model: str
    turns: Sequence[Turn]
    max_tokens: int | None = None
    stream: bool = False
    stops: Sequence[str] = ()
    tools: Sequence[Tool] = ()
    choice: Choice = Choice()
    thinking: Thinking = Thinking()
    style: Style = Style()
    format: Format | None = None
    owner: str = ""
    grounding: bool = False
    annotate: bool = False


# What is answered: `Begun`, pieces, `Done`. A piece of another kind than the one before begins a new block.


@dataclass(frozen=True, slots=True)
class Begun:
    """Everything is read, and what that costs is known."""

    input_tokens: int


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Text for the reader."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """Text that the model thinks; empty where it is kept back."""

    text: str


@dataclass(frozen=True, slots=True)
class CallBegun:
    """A tool is called; its input follows in `CallDelta`s, up to `CallEnded`."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class CallDelta:
    """A piece of the JSON object that the tool is called with."""

    json: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call's input is whole."""


@dataclass(frozen=True, slots=True)
class Done:
    """Why the answer ended, in Anthropic's words, and what it cost. `extra` is what we say beyond that wire."""

    stop_reason: str
    usage: Usage
    stop_sequence: str | None = None
    thinking_tokens: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


Piece: TypeAlias = Begun | TextDelta | ThinkingDelta | CallBegun | CallDelta | CallEnded | Done
