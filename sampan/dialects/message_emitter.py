"""Writes an Anthropic Messages stream, and cannot write a wrong one: every move is looked up in `MOVES`.

    message_start → (content_block_start → content_block_delta* → content_block_stop)* → message_delta → message_stop

One block is open at a time, indices count up from 0, a signature is the last delta of its thinking block, and a
`ping` may stand anywhere in between. Format: https://docs.anthropic.com/en/api/messages-streaming, and what the
official SDK's accumulator (`lib/streaming/_messages.py:accumulate_event`) makes of it.
"""

from __future__ import annotations

from enum import IntEnum, auto

import msgspec

_encode = msgspec.json.Encoder().encode


class State(IntEnum):
    """Where a stream stands. (An IntEnum is hashed in C: the table is looked up for each delta.)"""

    NEW = auto()
    BETWEEN = auto()
    TEXT = auto()
    THINKING = auto()
    SIGNED = auto()
    TOOL = auto()
    ENDED = auto()


class Move(IntEnum):
    """What can be written next."""

    START = auto()
    OPEN_TEXT = auto()
    OPEN_THINKING = auto()
    OPEN_TOOL = auto()
    WHOLE_BLOCK = auto()
    TEXT = auto()
    THINKING = auto()
    SIGN = auto()
    ARGUMENTS = auto()
    CLOSE = auto()
    PING = auto()
    END = auto()


MOVES: dict[tuple[State, Move], State] = {
    (State.NEW, Move.START): State.BETWEEN,
    (State.BETWEEN, Move.OPEN_TEXT): State.TEXT,
    (State.BETWEEN, Move.OPEN_THINKING): State.THINKING,
    (State.BETWEEN, Move.OPEN_TOOL): State.TOOL,
    (State.BETWEEN, Move.WHOLE_BLOCK): State.BETWEEN,
    (State.BETWEEN, Move.END): State.ENDED,
    (State.TEXT, Move.TEXT): State.TEXT,
    (State.TEXT, Move.CLOSE): State.BETWEEN,
    (State.THINKING, Move.THINKING): State.THINKING,
    (State.THINKING, Move.SIGN): State.SIGNED,
    (State.THINKING, Move.CLOSE): State.BETWEEN,
    (State.SIGNED, Move.CLOSE): State.BETWEEN,
    (State.TOOL, Move.ARGUMENTS): State.TOOL,
    (State.TOOL, Move.CLOSE): State.BETWEEN,
    **{(state, Move.PING): state for state in (State.BETWEEN, State.TEXT, State.THINKING, State.SIGNED, State.TOOL)},
}


class IllegalMove(RuntimeError):
    """A mistake of ours: this move does not exist in this state."""


class OutputDetails(msgspec.Struct, frozen=True):
    """How the output tokens divide."""

    thinking_tokens: int


class MessageUsage(msgspec.Struct, frozen=True, omit_defaults=True):
    """The `usage` of a Message, in tokens; `input_tokens` are those that no cache gave or took."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None


class MessageEmitter:
    """Writes one stream; `take` hands out the frames written since the last time. Raises `IllegalMove`.

    Deltas are written by hand around one encoded string: a dict per delta would cost three times as much.
    """

    def __init__(self) -> None:
        self.state = State.NEW
        self.index = -1
        self._out: list[bytes] = []
        self._head = b""

    def _move(self, move: Move) -> None:
        after = MOVES.get((self.state, move))
        if after is None:
            raise IllegalMove(f"{move.name} in state {self.state.name}")
        self.state = after

    def _frame(self, event: bytes, data: bytes) -> None:
        self._out.append(b"event: %b\ndata: %b\n\n" % (event, data))

    def take(self) -> bytes:
        out = b"".join(self._out)
        self._out.clear()
        return out

    def start(self, message_id: str, model: str, usage: MessageUsage) -> None:
        """`message_start`; `usage` should know the input already: clients break on zero."""
        self._move(Move.START)
        message: dict[str, object] = {
            "id": message_id,
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        self._frame(b"message_start", _encode({"type": "message_start", "message": message}))

    def _open(self, move: Move, block: object) -> None:
        self._move(move)
        self.index += 1
        start = {"type": "content_block_start", "index": self.index, "content_block": block}
        self._frame(b"content_block_start", _encode(start))

    def _deltas(self, kind: bytes, field: bytes) -> None:
        self._head = (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
            b'"delta":{"type":"%b","%b":' % (self.index, kind, field)
        )

    def open_text(self) -> None:
        self._open(Move.OPEN_TEXT, {"type": "text", "text": ""})
        self._deltas(b"text_delta", b"text")

    def text(self, text: str) -> None:
        self._move(Move.TEXT)
        self._out.append(self._head + _encode(text) + b"}}\n\n")

    def open_thinking(self) -> None:
        self._open(Move.OPEN_THINKING, {"type": "thinking", "thinking": "", "signature": ""})
        self._deltas(b"thinking_delta", b"thinking")

    def thinking(self, text: str) -> None:
        self._move(Move.THINKING)
        self._out.append(self._head + _encode(text) + b"}}\n\n")

    def sign(self, signature: str) -> None:
        """The signature of the thinking that is open; nothing may follow in its block."""
        self._move(Move.SIGN)
        self._deltas(b"signature_delta", b"signature")
        self._out.append(self._head + _encode(signature) + b"}}\n\n")

    def open_tool(self, call_id: str, name: str) -> None:
        """A tool call; its first delta is empty, as Anthropic's is."""
        self._open(Move.OPEN_TOOL, {"type": "tool_use", "id": call_id, "name": name, "input": {}})
        self._deltas(b"input_json_delta", b"partial_json")
        self._out.append(self._head + b'""}}\n\n')

    def arguments(self, json: str) -> None:
        """A piece of the JSON object that the tool is called with."""
        self._move(Move.ARGUMENTS)
        self._out.append(self._head + _encode(json) + b"}}\n\n")

    def block(self, block: object) -> None:
        """A block without deltas: redacted thinking, a server tool's result."""
        self._open(Move.WHOLE_BLOCK, block)
        self._stop()

    def close(self) -> None:
        """Closes the open block."""
        self._move(Move.CLOSE)
        self._stop()

    def _stop(self) -> None:
        self._out.append(b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % self.index)

    def ping(self) -> None:
        self._move(Move.PING)
        self._out.append(b'event: ping\ndata: {"type":"ping"}\n\n')

    def end(
        self, stop_reason: str, usage: MessageUsage, *, stop_sequence: str | None = None, details: object = None
    ) -> None:
        """`message_delta` with the totals, and `message_stop`; `details` are a refusal's."""
        self._move(Move.END)
        delta: dict[str, object] = {"stop_reason": stop_reason, "stop_sequence": stop_sequence}
        if details is not None:
            delta["stop_details"] = details
        self._frame(b"message_delta", _encode({"type": "message_delta", "delta": delta, "usage": usage}))
        self._frame(b"message_stop", b'{"type":"message_stop"}')
