"""A converser's answer on the Messages wire: its pieces become frames of a stream, or a whole Message. Pure.

What we say beyond that wire stands in a member `sampan`: of the Message, or of a stream's `message_delta` event. SDKs
keep members that they do not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from sampan.dialects.message_emitter import MessageEmitter, MessageUsage, Move, OutputDetails, State
from sampan.engines.conversation import (
    Begun,
    CallBegun,
    CallDelta,
    CallEnded,
    Done,
    Piece,
    TextDelta,
    ThinkingDelta,
)

_encode = msgspec.json.Encoder().encode


def _counted(input_tokens: int, output_tokens: int, thinking_tokens: int | None = None) -> MessageUsage:
    details = None if thinking_tokens is None else OutputDetails(thinking_tokens)
    return MessageUsage(input_tokens, output_tokens, 0, 0, details)


def _usage(done: Done) -> MessageUsage:
    return _counted(done.usage.input_tokens, done.usage.output_tokens, done.thinking_tokens)


class _Emitter(MessageEmitter):
    """Also says what the wire has no place for."""

    def finish(self, done: Done) -> None:
        if not done.extra:
            self.end(done.stop_reason, _usage(done), stop_sequence=done.stop_sequence)
            return
        self._move(Move.END)
        delta = {"stop_reason": done.stop_reason, "stop_sequence": done.stop_sequence}
        said = {"type": "message_delta", "delta": delta, "usage": _usage(done), "sampan": done.extra}
        self._frame(b"message_delta", _encode(said))
        self._frame(b"message_stop", b'{"type":"message_stop"}')


class Frames:
    """Writes one stream. `begun` turns true with `message_start`: before that not even a ping may be sent."""

    def __init__(self, model: str, message_id: str) -> None:
        self._emitter = _Emitter()
        self._model = model
        self._id = message_id

    @property
    def begun(self) -> bool:
        return self._emitter.state is not State.NEW

    def write(self, pieces: Iterable[Piece]) -> bytes:
        """The frames that say `pieces`."""
        for piece in pieces:
            self._write(piece)
        return self._emitter.take()

    def _write(self, piece: Piece) -> None:
        emitter = self._emitter
        match piece:
            case TextDelta():
                self._turn_to(State.TEXT)
                emitter.text(piece.text)
            case ThinkingDelta():
                self._turn_to(State.THINKING)
                if piece.text:
                    emitter.thinking(piece.text)
            case CallDelta():
                emitter.arguments(piece.json)
            case CallBegun():
                self._turn_to(State.BETWEEN)
                emitter.open_tool(piece.id, piece.name)
            case CallEnded():
                emitter.close()
            case Begun():
                emitter.start(self._id, self._model, _counted(piece.input_tokens, 1))
            case Done():
                self._turn_to(State.BETWEEN)
                emitter.finish(piece)

    def _turn_to(self, state: State) -> None:
        """Closes a block of another kind and opens one of this."""
        emitter = self._emitter
        if emitter.state is state:
            return
        if emitter.state is not State.BETWEEN:
            emitter.close()
        if state is State.TEXT:
            emitter.open_text()
        elif state is State.THINKING:
            emitter.open_thinking()


def message(pieces: Sequence[Piece], model: str, message_id: str) -> bytes:
    """A whole answer, as the Messages API gives it."""
    done = pieces[-1]
    assert isinstance(done, Done)
    said: dict[str, Any] = {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": _blocks(pieces),
        "stop_reason": done.stop_reason,
        "stop_sequence": done.stop_sequence,
        "usage": _usage(done),
    }
    if done.extra:
        said["sampan"] = done.extra
    return _encode(said)


def _blocks(pieces: Iterable[Piece]) -> list[Mapping[str, Any]]:
    blocks: list[dict[str, Any]] = []
    texts: list[str] = []  # of the block that is open, the last one
    for piece in pieces:
        match piece:
            case TextDelta():
                _append(blocks, texts, "text", piece.text)
            case ThinkingDelta():
                _append(blocks, texts, "thinking", piece.text)
            case CallBegun():
                _close(blocks, texts)
                blocks.append({"type": "tool_use", "id": piece.id, "name": piece.name})
            case CallDelta():
                texts.append(piece.json)
            case CallEnded() | Done():
                _close(blocks, texts)
            case Begun():
                pass
    return [{**block, "signature": ""} if block["type"] == "thinking" else block for block in blocks]


def _append(blocks: list[dict[str, Any]], texts: list[str], kind: str, text: str) -> None:
    if not blocks or blocks[-1]["type"] != kind:
        _close(blocks, texts)
        blocks.append({"type": kind})
    texts.append(text)


def _close(blocks: list[dict[str, Any]], texts: list[str]) -> None:
    if not blocks or not texts:
        return
    kind = blocks[-1]["type"]
    text = "".join(texts)
    texts.clear()
    if kind == "tool_use":
        blocks[-1]["input"] = msgspec.Raw(text.encode())
    else:
        blocks[-1][kind] = text
