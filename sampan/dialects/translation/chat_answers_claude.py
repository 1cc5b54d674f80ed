"""A chat server's answer as a Message, whole or streamed; both are written by the same moves, so they cannot differ.

    chat/completions                              Messages
    reasoning_content, reasoning                  thinking, signed by `sign`
    <think>…</think> at the head of the content   thinking (`think_tags`)
    content                                       text; white space alone is no block
    refusal                                       text, and stop_reason refusal
    tool_calls, function_call                     tool_use, ids kept; a missing or repeated id is made anew
    <tool_call>{…}</tool_call> in the content     tool_use, where the call has that tool (`tool_tags`)
    finish_reason stop                            end_turn; tool_use with a call; stop_sequence where vLLM's
                                                  `stop_reason` or SGLang's `matched_stop` is one of the caller's
    length / content_filter                       max_tokens / refusal
    tool_calls, function_call                     tool_use; end_turn where no call came
    abort, error                                  a fault of the upstream
    any other                                     end_turn
    usage                                         usage: cached tokens stand apart there; estimated where missing
    choices other than the first                  none: one is asked for

Arguments must be a JSON object; none at all and `null` mean `{}`, anything else is a malformed answer: a tool is never
called with a guess. Cut off by `length`, a streamed call goes out as far as it came, as Anthropic's own does, and a
whole answer leaves the unfinished call out; `max_tokens` tells the caller either way.

A stream may end without `[DONE]` once a finish_reason came; without one it was cut. Tool calls are written one after
the other: what comes of a later one waits until the one before is whole.
"""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

from sampan.core import Fault, Usage
from sampan.dialects import Seen, sse
from sampan.dialects.fields import UNREADABLE, read_answer
from sampan.dialects.message_emitter import MessageEmitter, State
from sampan.dialects.translation.asked import Asked
from sampan.dialects.translation.chat_answer import ChatAnswer, decode
from sampan.dialects.translation.chat_blocks import Answer, BlockList, Fresh, Sign
from sampan.dialects.translation.chat_server import ANY, ChatServer
from sampan.errors import TargetFault

_encode = msgspec.json.Encoder().encode
NOTHING_KNOWN = Asked()
SHORTEST = 16  # bytes: no chunk is as short, `[DONE]` is


def fresh_id() -> str:
    """The part of an id that no other answer has."""
    return secrets.token_hex(12)


def whole(
    body: bytes,
    model: str,
    asked: Asked = NOTHING_KNOWN,
    *,
    server: ChatServer = ANY,
    sign: Sign | None = None,
    fresh: Fresh = fresh_id,
) -> tuple[bytes, Usage]:
    """A Message and what it cost; `model` is the name that the caller asked for. Raises `TargetFault`.

    `sign` makes the signature of a thinking text; without it the signature is empty.
    """
    read = read_answer(body, decode, "answer of this API")
    if read.error is not None or read.object == "error":
        raise read.fault()
    if read.choices is None:
        raise TargetFault(Fault.MALFORMED, "a 200 that is no chat completion")
    if not read.choices:
        raise TargetFault(Fault.EMPTY, "an answer without a choice")
    if read.choices[0].message is None:
        raise TargetFault(Fault.MALFORMED, "a choice without a message")
    _cut_prefill(read, asked.prefill)
    blocks = BlockList()
    answer = Answer(blocks, asked, server, sign, fresh)
    answer.bill.reported = read.usage
    answer.take(read.choices[0])
    answer.end()
    reason, sequence, details = answer.stop()
    message: dict[str, Any] = {
        "id": f"msg_{fresh()}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": blocks.content,
        "stop_reason": reason,
        "stop_sequence": sequence,
        "usage": answer.bill.message_usage(),
    }
    if details is not None:
        message["stop_details"] = details
    return _encode(message), answer.bill.usage()


def _cut_prefill(read: ChatAnswer, prefill: str) -> None:
    """llama.cpp repeats the turn that it goes on with in a whole answer, though not in a stream."""
    message = read.choices[0].message if read.choices else None
    if prefill and bytes(read.timings) and message is not None and isinstance(message.content, str):
        message.content = message.content.removeprefix(prefill)


class ChatToMessages:
    """Follows a chat stream and writes it as a Messages stream; `feed(b"")` says that the stream is over.

    Faults: an error object under any name, a frame that is no chunk, a call that is no JSON, `abort`.
    """

    def __init__(
        self,
        model: str,
        asked: Asked = NOTHING_KNOWN,
        *,
        server: ChatServer = ANY,
        sign: Sign | None = None,
        fresh: Fresh = fresh_id,
    ) -> None:
        """`model` is the name that the caller asked for; `sign` and `fresh` as in `whole`."""
        self._model = model
        self._emitter = MessageEmitter()
        self._answer = Answer(self._emitter, asked, server, sign, fresh)
        self._fresh = fresh
        self._usage = self._answer.bill.usage()

    @property
    def finished(self) -> bool:
        return self._answer.finish is not None

    def feed(self, frames: bytes) -> Seen:
        emitter = self._emitter
        if emitter.state is not State.ENDED:
            self._follow(frames)
        written = emitter.take()
        ended = emitter.state is State.ENDED
        return Seen(bool(written) and emitter.index >= 0, ended, self._usage, written)

    def _follow(self, frames: bytes) -> None:
        if not frames:
            if self.finished:
                self._end()
            return
        if b"error:" in frames:
            _look_for_error(frames)  # first: a [DONE] may follow it
        said = False
        if frames.startswith(b"data:") and frames.find(b"\n") == len(frames) - 2:
            said = True  # one frame, as servers that stream by the token send them: not worth a generator
            self._take(frames[5:], frames)
        else:
            for data in sse.payloads(frames):
                said = True
                self._take(data, frames)
                if self._emitter.state is State.ENDED:
                    return
        if not said and self._emitter.state is not State.NEW:
            self._emitter.ping()  # a comment that keeps the line open

    def _take(self, data: bytes, frames: bytes) -> None:
        if len(data) < SHORTEST and self._is_done(data.strip()):
            return
        try:
            chunk = decode(data)
        except UNREADABLE:
            raise TargetFault(Fault.MALFORMED, "a stream frame that is no chunk") from None
        if chunk.error is not None or chunk.object == "error":
            raise chunk.fault()
        answer = self._answer
        if chunk.usage is not None:
            answer.bill.reported = chunk.usage  # in the last chunk, or in each: the last count holds
            self._usage = answer.bill.usage()
        if chunk.choices is None:
            if b"event: error" in frames or b"event:error" in frames:
                raise chunk.fault()
            return
        if self._emitter.state is State.NEW:
            self._emitter.start(f"msg_{self._fresh()}", self._model, answer.bill.message_usage(beginning=True))
        for choice in chunk.choices:
            if not choice.index:
                answer.take(choice)
        if not chunk.choices and chunk.usage is not None and self.finished:
            self._end()  # the bill comes last; not every server says [DONE] after it

    def _is_done(self, data: bytes) -> bool:
        """Whether this is `[DONE]`, or nothing at all. Raises `TargetFault` for an answer that is not finished."""
        if data == b"[DONE]":
            if not self.finished:
                raise TargetFault(Fault.CUT, "the stream is done, but no answer was finished")
            self._end()
            return True
        return not data

    def _end(self) -> None:
        self._answer.end()
        reason, sequence, details = self._answer.stop()
        usage = self._answer.bill.message_usage()
        self._usage = self._answer.bill.usage()
        self._emitter.end(reason, usage, stop_sequence=sequence, details=details)


def _look_for_error(frames: bytes) -> None:
    """Raises for a field named `error`, which is how older llama.cpp says one: its value is the error object itself."""
    for line in frames.split(b"\n"):
        if line.startswith(b"error:"):
            try:
                read = decode(line[6:].strip())
            except UNREADABLE:
                raise TargetFault(Fault.SERVER_ERROR, "the stream says error") from None
            raise read.fault()


def rejection(body: bytes) -> bytes:
    """A chat server's refusal of the request (a 4xx body) as a Messages error; its words are kept."""
    try:
        read = msgspec.json.decode(body)
    except UNREADABLE:
        read = None
    found: Any = read
    for name in ("error", "message"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    message = found if isinstance(found, str) and found else "the upstream rejected the request"
    return _encode({"type": "error", "error": {"type": "invalid_request_error", "message": message}})
