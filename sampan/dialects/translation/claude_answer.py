"""The pieces of a Messages answer, as far as other wires have words for them; whole and streamed."""

from __future__ import annotations

import msgspec


class Thinking(msgspec.Struct):
    thinking_tokens: int | None = None


class Counted(msgspec.Struct):
    """`usage`, in a Message and in the events that tell of it."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: Thinking | None = None


class Details(msgspec.Struct):
    """Why an answer was refused."""

    explanation: str | None = None


class Block(msgspec.Struct):
    type: str
    text: str = ""
    thinking: str = ""
    signature: str | None = None
    data: str | None = None
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    signature: str | None = None
    stop_reason: str | None = None
    stop_details: Details | None = None


class Failure(msgspec.Struct):
    """What stands below `error`."""

    type: str = ""
