"""Chat completion chunks as a stream that cannot come in a wrong order.

    NEW ──begin──▶ BEGUN ──say──▶ SAYING ◀──say──▶ SAYING            (text, reasoning, refusal)
                     │             │ ▲
                     └────call───┐ call say
                                 ▼ ▼ │
                                 CALLING ◀──call, argue──▶ CALLING   (each call a new index)
    BEGUN, SAYING, CALLING ──finish──▶ FINISHED ──end──▶ ENDED

Format: https://platform.openai.com/docs/api-reference/chat-streaming, and `openai.lib.streaming.chat` of the SDK.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class State(StrEnum):
    NEW = "new"
    BEGUN = "begun"
    SAYING = "saying"
    CALLING = "calling"
    FINISHED = "finished"
    ENDED = "ended"


class Move(StrEnum):
    BEGIN = "begin"
    SAY = "say"
    CALL = "call"
    ARGUE = "argue"
    FINISH = "finish"
    END = "end"


TRANSITIONS: dict[tuple[State, Move], State] = {
    (State.NEW, Move.BEGIN): State.BEGUN,
    (State.BEGUN, Move.SAY): State.SAYING,
    (State.BEGUN, Move.CALL): State.CALLING,
    (State.BEGUN, Move.FINISH): State.FINISHED,
    (State.SAYING, Move.SAY): State.SAYING,
    (State.SAYING, Move.CALL): State.CALLING,
    (State.CALLING, Move.CALL): State.CALLING,
    (State.CALLING, Move.ARGUE): State.CALLING,
    (State.CALLING, Move.SAY): State.SAYING,
    (State.SAYING, Move.FINISH): State.FINISHED,
    (State.CALLING, Move.FINISH): State.FINISHED,
    (State.FINISHED, Move.END): State.ENDED,
}

DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode


class IllegalMoveError(RuntimeError):
    """A move that its state does not know: a mistake of ours."""


class ChunkEmitter:
    """Writes the chunks of one answer with one choice; each method returns whole SSE frames.

    `created` is in Unix seconds. `usage` true: the caller asked for a last chunk that holds it, and every other has
    `usage: null`. `functions` true: the caller speaks of `function_call` as it was before tools, which knows one call.
    """

    def __init__(self, answer_id: str, model: str, created: int, *, usage: bool, functions: bool = False) -> None:
        head = {"id": answer_id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._before = b"data: " + _encode({**head, "system_fingerprint": None})[:-1] + b',"choices":['
        self._after = b',"usage":null}\n\n' if usage else b"}\n\n"
        self._wants_usage = usage
        self._functions = functions
        self._state = State.NEW
        self._calls = 0

    @property
    def state(self) -> State:
        return self._state

    def _move(self, move: Move) -> None:
        after = TRANSITIONS.get((self._state, move))
        if after is None:
            raise IllegalMoveError(f"{move.value} in {self._state.value}")
        self._state = after

    def _chunk(self, delta: bytes, reason: bytes = b"null") -> bytes:
        choice = b'{"index":0,"delta":' + delta + b',"logprobs":null,"finish_reason":' + reason + b"}]"
        return self._before + choice + self._after

    def begin(self) -> bytes:
        """Who speaks. Content stays null until there is some, so that an answer of calls alone has none."""
        self._move(Move.BEGIN)
        return self._chunk(b'{"role":"assistant","content":null}')

    def text(self, text: str) -> bytes:
        self._move(Move.SAY)
        return self._chunk(b'{"content":' + _encode(text) + b"}")

    def reasoning(self, text: str) -> bytes:
        """In the field that vLLM, SGLang and DeepSeek write, and that their clients read."""
        self._move(Move.SAY)
        return self._chunk(b'{"reasoning_content":' + _encode(text) + b"}")

    def refusal(self, text: str) -> bytes:
        self._move(Move.SAY)
        return self._chunk(b'{"refusal":' + _encode(text) + b"}")

    def call(self, call_id: str, name: str) -> bytes:
        """A call begins; its arguments follow."""
        self._move(Move.CALL)
        function = {"name": name, "arguments": ""}
        if self._functions:
            return self._chunk(_encode({"function_call": function}))
        called = {"index": self._calls, "id": call_id, "type": "function", "function": function}
        self._calls += 1
        return self._chunk(_encode({"tool_calls": [called]}))

    def arguments(self, piece: str) -> bytes:
        """A piece of the arguments of the last call: text of a JSON object."""
        self._move(Move.ARGUE)
        function = b'{"arguments":' + _encode(piece) + b"}"
        if self._functions:
            return self._chunk(b'{"function_call":' + function + b"}")
        return self._chunk(b'{"tool_calls":[{"index":%d,"function":%s}]}' % (self._calls - 1, function))

    def finish(self, reason: str) -> bytes:
        """Why the answer ended; one that said nothing has empty content, not none."""
        delta = b'{"content":""}' if self._state is State.BEGUN else b"{}"
        self._move(Move.FINISH)
        return self._chunk(delta, _encode(reason))

    def end(self, usage: dict[str, Any]) -> bytes:
        """The last frames: what it cost, for a caller who asked, and that this is all."""
        self._move(Move.END)
        if not self._wants_usage:
            return DONE
        return self._before + b'],"usage":' + _encode(usage) + b"}\n\n" + DONE
