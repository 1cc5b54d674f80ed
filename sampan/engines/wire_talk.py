"""The talk side of the wire (Anthropic Messages): a body becomes a question about sources, an answer frames. Pure.

What becomes a source: image and document blocks, what stands in tool results, and pasted text (a text block longer than
`_LONG` characters). They are taken from the last user turn that has any, so that a follow-up question still has its
picture. The question is what remains of the last user turn with text.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec

from sampan.core import Usage
from sampan.dialects import sse
from sampan.dialects.fields import invalid
from sampan.engines.contract import Source, cut, units
from sampan.errors import InvalidRequest

_LONG = 400  # characters from which on a text block is material and no question
_DEEPEST = 3  # a message holds a tool's result, which holds a document, which holds blocks
_IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_ASKING = re.compile(
    r"[?？:：]$|^(?:what|who|whom|whose|when|where|which|why|how|is|are|was|were|does|do|did|can|could|please|extract"
    r"|find|list|read|summari[sz]e|translate|tell|give|show|name|count)\b"
    r"|^(?:请|請|帮|幫|提取|读|讀|找|查|列|总结|總結|概括|翻译|翻譯|告诉|告訴|谁|誰|什么|什麼|哪|多少|几|幾|有没有|有沒有|是否)",
    re.IGNORECASE,
)
S = TypeVar("S")


class _Turn(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[dict[str, Any]]


class _Choice(msgspec.Struct):
    type: str = "auto"


class _Format(msgspec.Struct):
    format: dict[str, Any] | None = None


class _Count(msgspec.Struct):
    model: Annotated[str, msgspec.Meta(min_length=1)]
    messages: list[_Turn]
    tool_choice: _Choice | None = None
    output_config: _Format | None = None


class _Ask(_Count, kw_only=True):
    max_tokens: Annotated[int, msgspec.Meta(ge=0)]
    stream: bool | None = None
    stop_sequences: Annotated[list[str], msgspec.Meta(max_length=64)] | None = None


class _Text(msgspec.Struct):
    text: str


class _Origin(msgspec.Struct):
    type: str
    data: str | None = None
    media_type: str | None = None
    content: str | list[dict[str, Any]] | None = None


class _Media(msgspec.Struct):
    source: _Origin


class _Result(msgspec.Struct):
    content: str | list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A Messages body as the engine needs it. `max_tokens` None: counting only."""

    model: str
    question: str
    sources: Sequence[Source]
    max_tokens: int | None = None
    stop_sequences: tuple[str, ...] = ()
    stream: bool = False


@dataclass(slots=True)
class _Gathered:
    """What one user turn holds: `texts` short enough to be questions, `sources` to ask about."""

    texts: list[str] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)


def parse(body: bytes) -> Question:
    """A Messages body. Raises `InvalidRequest` naming the field."""
    ask = decode(body, _Ask)
    stops = tuple(ask.stop_sequences or ())
    for number, stop in enumerate(stops):
        if not stop.strip() or len(stop) > 1024:
            raise InvalidRequest(
                "a stop sequence is 1 to 1024 characters, not all white space", param=f"stop_sequences.{number}"
            )
    question, sources = _gather(ask)
    return Question(ask.model, question, sources, ask.max_tokens, stops, bool(ask.stream))


def parse_count(body: bytes) -> Question:
    """A count_tokens body. Raises `InvalidRequest` naming the field."""
    ask = decode(body, _Count)
    question, sources = _gather(ask)
    return Question(ask.model, question, sources)


def decode(body: bytes, shape: type[S]) -> S:
    """JSON of a given shape. Raises `InvalidRequest` naming the field that is not."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(error) from None


def _block(raw: dict[str, Any], shape: type[S], where: str) -> S:
    try:
        return msgspec.convert(raw, shape)
    except msgspec.ValidationError as error:
        raise invalid(error, where) from None


def _gather(ask: _Count) -> tuple[str, tuple[Source, ...]]:
    _refuse_unanswerable(ask)
    question = ""
    sources: tuple[Source, ...] = ()
    for turn in _user_turns(ask.messages):
        sources = tuple(turn.sources) or sources
        question = "\n".join(turn.texts) or question
    return question, sources


def _refuse_unanswerable(ask: _Count) -> None:
    """What would change the answer and cannot be done is said, not dropped."""
    if not any(turn.role == "user" for turn in ask.messages):
        raise InvalidRequest("at least one user message is needed", param="messages")
    if ask.messages[-1].role == "assistant":
        where = f"messages.{len(ask.messages) - 1}"
        raise InvalidRequest(
            "this engine cannot go on with an answer that was begun; end with a user turn", param=where
        )
    if ask.tool_choice is not None and ask.tool_choice.type in ("any", "tool"):
        raise InvalidRequest("this engine cannot use tools; leave tool_choice at auto", param="tool_choice")
    if ask.output_config is not None and ask.output_config.format is not None:
        raise InvalidRequest("this engine cannot answer in a given format", param="output_config.format")


def _user_turns(messages: Sequence[_Turn]) -> Iterator[_Gathered]:
    """User turns in order, messages of one role in a row being one turn."""
    turn: _Gathered | None = None
    for number, message in enumerate(messages):
        if message.role == "system":
            continue
        if message.role == "assistant":
            if turn is not None:
                yield turn
            turn = None
            continue
        turn = turn or _Gathered()
        _gather_content(message.content, f"messages.{number}.content", turn, material=False)
    if turn is not None:
        yield turn


def _gather_content(content: str | list[dict[str, Any]], where: str, into: _Gathered, *, material: bool) -> None:
    """`material` true: text in here is something to be asked about (a tool's result), never a question."""
    if isinstance(content, str):
        _gather_text(content, where, into, material=material)
        return
    if where.count(".content") > _DEEPEST:
        raise InvalidRequest("blocks are nested too deep", param=where)
    for number, raw in enumerate(content):
        at = f"{where}.{number}"
        match raw.get("type"):
            case "text":
                _gather_text(_block(raw, _Text, at).text, at, into, material=material)
            case "image":
                into.sources.append(_image(_block(raw, _Media, at).source, at))
            case "document":
                _gather_document(_block(raw, _Media, at).source, at, into)
            case "tool_result":
                _gather_content(_block(raw, _Result, at).content or "", f"{at}.content", into, material=True)
            case "search_result":
                _gather_content(_block(raw, _Result, at).content or "", f"{at}.content", into, material=True)
            case "mid_conv_system":
                pass  # instructions, like `system`: an engine that follows none has nothing to take from them
            case str(other):
                raise InvalidRequest(f"this engine cannot read a block of type {other[:40]!r}", param=at)
            case _:
                raise InvalidRequest("a block needs a type", param=f"{at}.type")


def _gather_text(text: str, where: str, into: _Gathered, *, material: bool) -> None:
    if not text.strip():
        return
    if material:
        into.sources.append(Source("text", _utf8(text, where), where))
    elif len(text) > _LONG:
        asked, pasted = _split(text)
        if pasted:
            into.sources.append(Source("text", _utf8(pasted, where), where))
        if asked:
            into.texts.append(asked)
    else:
        _utf8(text, where)
        into.texts.append(text.strip())


def _utf8(text: str, where: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("the text holds half a character (a lone surrogate)", param=where) from None


def _split(text: str) -> tuple[str, str]:
    """A pasted text and the question before or after it: (question, text). No question at all is an empty one.

    The question is a short first or last paragraph, or line where there are no paragraphs, that reads like one. Without
    that sign the last line of a contract would be taken for what somebody wants to know about it.
    """
    text = text.strip()
    for border in (r"\n\s*\n", r"\n"):
        parts = [part.strip() for part in re.split(border, text) if part.strip()]
        if len(parts) < 2:
            continue
        for asked in (parts[-1], parts[0]):
            if len(asked) <= _LONG and _ASKING.search(asked):
                rest = text.removesuffix(asked) if asked is parts[-1] else text.removeprefix(asked)
                return asked, rest.strip()
    return "", text


def _image(source: _Origin, where: str) -> Source:
    if source.type != "base64":
        raise _elsewhere(source.type, "picture", where)
    if source.media_type not in _IMAGE_TYPES:
        raise InvalidRequest(
            "a picture is image/jpeg, image/png, image/gif or image/webp", param=f"{where}.source.media_type"
        )
    return Source("image", _base64(source, where), where)


def _gather_document(source: _Origin, where: str, into: _Gathered) -> None:
    match source.type:
        case "base64":
            if source.media_type != "application/pdf":
                raise InvalidRequest("a base64 document is application/pdf", param=f"{where}.source.media_type")
            into.sources.append(Source("pdf", _base64(source, where), where))
        case "text":
            if source.data is None:
                raise InvalidRequest("a text document needs its text here", param=f"{where}.source.data")
            into.sources.append(Source("text", _utf8(source.data, where), where))
        case "content":
            _gather_content(source.content or "", f"{where}.source.content", into, material=True)
        case other:
            raise _elsewhere(other, "document", where)


def _elsewhere(kind: str, what: str, where: str) -> InvalidRequest:
    return InvalidRequest(
        f"this engine opens nothing over the network: send the {what} itself as base64 (source type {kind[:40]!r})",
        param=f"{where}.source.type",
    )


def _base64(source: _Origin, where: str) -> bytes:
    try:
        data = base64.b64decode(source.data or "", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("this is not base64", param=f"{where}.source.data") from None
    if not data:
        raise InvalidRequest("this is empty", param=f"{where}.source.data")
    return data


# An answer on its way out: `Begun`, pieces of text, `Done`.


@dataclass(frozen=True, slots=True)
class Begun:
    """The sources are read and what that costs is known."""

    input_tokens: int


@dataclass(frozen=True, slots=True)
class Done:
    """Why the answer ended, in the wire's words, and what it cost."""

    stop_reason: str
    stop_sequence: str | None
    usage: Usage


Said: TypeAlias = Begun | str | Done


class Cutter:
    """Ends a text at its limit of units, or before a stop sequence, even one that comes in two pieces.

    `reason` turns from None to `max_tokens` or `stop_sequence` when the text is to end; `units` is what was let out.
    """

    def __init__(self, limit: int, stops: Sequence[str]) -> None:
        self._limit = limit
        self._stops = stops
        self._held = ""
        self.units = 0
        self.reason: str | None = None
        self.stop_sequence: str | None = None

    def feed(self, piece: str) -> str:
        """What of the text so far may go out now."""
        text = self._held + piece
        hits = [(text.find(stop), stop) for stop in self._stops if stop in text]
        if hits:
            at, self.stop_sequence = min(hits, key=lambda hit: hit[0])
            self.reason = "stop_sequence"
            self._held = ""
            return self._spend(text[:at])
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return self._spend(text[: len(text) - keep])

    def finish(self) -> str:
        """What was held back because it might have begun a stop sequence."""
        held, self._held = self._held, ""
        return self._spend(held)

    def _spend(self, text: str) -> str:
        size = units(text)
        left = self._limit - self.units
        if size > left:
            self.reason, self.stop_sequence = "max_tokens", None
            text, size = cut(text, left), left
        self.units += size
        return text


def _overlap(text: str, stop: str) -> int:
    """How much of the end of `text` could be the beginning of `stop`."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)


# What stands on the wire.


def _sse(event: str, data: dict[str, Any]) -> bytes:
    return sse.frame(msgspec.json.encode({"type": event, **data}), event)


PING = _sse("ping", {})


def message(said: Sequence[Said], model: str, message_id: str) -> bytes:
    """A whole answer, as the Messages API gives it."""
    text = "".join(piece for piece in said if isinstance(piece, str))
    done = said[-1]
    assert isinstance(done, Done)
    return msgspec.json.encode(
        {
            "id": message_id,
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [{"type": "text", "text": text}] if text else [],
            "stop_reason": done.stop_reason,
            "stop_sequence": done.stop_sequence,
            "usage": _usage(done.usage.input_tokens, done.usage.output_tokens),
        }
    )


def begin(begun: Begun, model: str, message_id: str) -> bytes:
    """The frames before the first text."""
    head: dict[str, Any] = {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(begun.input_tokens, 1),
    }
    block = {"index": 0, "content_block": {"type": "text", "text": ""}}
    return _sse("message_start", {"message": head}) + _sse("content_block_start", block)


def delta(text: str) -> bytes:
    return _sse("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": text}})


def end(done: Done) -> bytes:
    """The frames after the last text."""
    reason = {"stop_reason": done.stop_reason, "stop_sequence": done.stop_sequence}
    usage = {"input_tokens": done.usage.input_tokens, "output_tokens": done.usage.output_tokens}
    return (
        _sse("content_block_stop", {"index": 0})
        + _sse("message_delta", {"delta": reason, "usage": usage})
        + _sse("message_stop", {})
    )


def _usage(input_tokens: int, output_tokens: int) -> dict[str, int]:
    return {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    }
