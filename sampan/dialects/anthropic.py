"""The Anthropic Messages dialect: https://docs.anthropic.com/en/api/messages, and the types of the official SDK.

Parsing looks only at what routing and limits need; the body itself travels on as it came, so that fields which we do
not know survive.
"""

from __future__ import annotations

import base64
from typing import Any, Literal, TypeVar

import msgspec

from sampan.core import Call, Dialect, Fault, Incoming, Operation, Usage
from sampan.dialects import Limits, Seen, form, pictures, sse
from sampan.dialects.fields import UNREADABLE, flag, invalid, number, read_answer, too_large
from sampan.errors import CallError, InvalidRequest, TargetFault

T = TypeVar("T")

FORWARDED = ("anthropic-version", "anthropic-beta")
FORM_ANSWER_TOKENS = 1024


class _Source(msgspec.Struct):
    type: str
    data: msgspec.Raw = msgspec.Raw()
    content: msgspec.Raw = msgspec.Raw()


class _Block(msgspec.Struct):
    type: str
    source: _Source | str | None = None
    content: msgspec.Raw = msgspec.Raw()


class _Turn(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[_Block]


class _Count(msgspec.Struct):
    model: str
    messages: list[_Turn]
    stream: bool | None = None


class _Body(_Count, kw_only=True):
    max_tokens: int


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None

    def merged(self, before: Usage) -> Usage:
        """The usage so far; what a cache gave or took is input too."""
        read = (self.input_tokens, self.cache_creation_input_tokens, self.cache_read_input_tokens)
        known = sum(each or 0 for each in read)
        return Usage(known or before.input_tokens, self.output_tokens or before.output_tokens)


class _Error(msgspec.Struct):
    type: str = ""


class _Start(msgspec.Struct):
    usage: _Usage | None = None


class _Frame(msgspec.Struct):
    """An event as far as all are alike: those of next year may use these names for something else."""

    type: str
    message: msgspec.Raw = msgspec.Raw()
    usage: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


class _Message(msgspec.Struct):
    type: str = ""
    content: list[msgspec.Raw] | None = None
    usage: _Usage | None = None
    error: _Error | None = None
    input_tokens: int | None = None


_body = msgspec.json.Decoder(_Body)
_count = msgspec.json.Decoder(_Count)
_blocks = msgspec.json.Decoder(str | list[_Block])
_frame = msgspec.json.Decoder(_Frame)
_start = msgspec.json.Decoder(_Start | None)
_usage = msgspec.json.Decoder(_Usage | None)
_error = msgspec.json.Decoder(_Error | None)
_message = msgspec.json.Decoder(_Message)

# Of an enumeration's members each is looked up with 0.4 µs.
_TEXT, _VISION = Operation.TEXT, Operation.VISION

ERROR_FAULTS = {
    "overloaded_error": Fault.OVERLOADED,
    "rate_limit_error": Fault.RATE_LIMITED,
    "billing_error": Fault.BILLING,
    "authentication_error": Fault.UNAUTHORIZED,
    "permission_error": Fault.UNAUTHORIZED,
    "not_found_error": Fault.MODEL_MISSING,
    "timeout_error": Fault.SERVER_ERROR,
}


class Anthropic:
    """The codec of `POST /v1/messages` and `POST /v1/messages/count_tokens`."""

    dialect = Dialect.ANTHROPIC

    def parse(self, incoming: Incoming, limits: Limits) -> Call:
        if incoming.content_type.lower().startswith("multipart/form-data"):
            return self._parse_form(incoming, limits)
        counting = incoming.path.endswith("/count_tokens")
        try:
            body = (_count if counting else _body).decode(incoming.body)
        except UNREADABLE as error:
            raise invalid(error) from None
        if not body.messages:
            raise InvalidRequest("messages: at least one message is required", param="messages")
        if not body.model:
            raise InvalidRequest("model: must name a model", param="model")
        most = body.max_tokens if isinstance(body, _Body) else 0
        if most < 0:
            raise InvalidRequest("max_tokens: must be 0 or more", param="max_tokens")
        sees, plain = False, True
        for index, turn in enumerate(body.messages):
            if turn.content.__class__ is not str:
                assert not isinstance(turn.content, str)
                plain = plain and all(block.type == "text" for block in turn.content)
                sees |= _inspect(turn.content, f"messages.{index}.content", limits)
        headers = {name: incoming.headers[name] for name in FORWARDED if name in incoming.headers}
        return Call(
            dialect=self.dialect,
            operation=_VISION if sees else _TEXT,
            model=body.model,
            path=f"{incoming.path}?{incoming.query}" if incoming.query else incoming.path,
            body=incoming.body,
            content_type="application/json",
            stream=bool(body.stream) and not counting,
            headers=headers,
            answer_tokens=most,
            plain=plain,
        )

    def _parse_form(self, incoming: Incoming, limits: Limits) -> Call:
        """A browser's or a phone's form (`prompt`, `image`) as the Messages call that it means."""
        fields: dict[str, str] = {}
        blocks: list[dict[str, Any]] = []
        for part in form.parse(incoming.content_type, incoming.body):
            if part.filename is None and part.name not in ("image", "image[]", "document"):
                fields[part.name] = part.text()
            elif part.data:
                blocks.append(_attachment(part, limits))
        known = {"prompt", "model", "max_tokens", "stream", "system"}
        for name in fields:
            if name not in known:
                names = ", ".join(["image", *sorted(known)])
                raise InvalidRequest(f"{name}: is no field of this form; known: {names}", param=name)
        prompt = fields.get("prompt", "").strip()
        if prompt:
            blocks.append({"type": "text", "text": prompt})
        if not blocks:
            raise InvalidRequest("prompt: a prompt or an image is required", param="prompt")
        body: dict[str, Any] = {
            "model": fields.get("model") or limits.default_model,
            "messages": [{"role": "user", "content": blocks}],
        }
        if not incoming.path.endswith("/count_tokens"):
            body["max_tokens"] = number(fields, "max_tokens", FORM_ANSWER_TOKENS)
        if fields.get("system"):
            body["system"] = fields["system"]
        if flag(fields, "stream"):
            body["stream"] = True
        headers = {"anthropic-version": "2023-06-01", **incoming.headers, "content-type": "application/json"}
        return self.parse(msgspec.structs.replace(incoming, headers=headers, body=msgspec.json.encode(body)), limits)

    def status(self, error: CallError) -> int:
        return error.status

    def error(self, error: CallError, request_id: str) -> bytes:
        said: dict[str, Any] = {"type": error.kind, "message": error.message}
        if error.details is not None:
            said["details"] = error.details
        return msgspec.json.encode({"type": "error", "error": said, "request_id": request_id})

    def error_frame(self, error: CallError, request_id: str) -> bytes:
        return sse.frame(self.error(error, request_id), "error")


def _attachment(part: form.Part, limits: Limits) -> dict[str, Any]:
    media_type = pictures.media_type(part.data)
    if media_type is None:
        raise InvalidRequest(f"{part.name}: is no PNG, JPEG, GIF, WebP or PDF", param=part.name)
    if len(part.data) > limits.image and media_type != "application/pdf":
        raise too_large(part.name, len(part.data), limits.image)
    source = {"type": "base64", "media_type": media_type, "data": base64.b64encode(part.data).decode()}
    return {"type": "document" if media_type == "application/pdf" else "image", "source": source}


def _inspect(blocks: list[_Block], path: str, limits: Limits, *, nested: bool = False) -> bool:
    """True where a block is a picture or a document; raises `InvalidRequest` for a picture over the limit.

    Blocks inside a tool's result or a document are looked at too, but none inside those: the wire has no such thing,
    and each level would cost another pass over the body.
    """
    sees = False
    for index, block in enumerate(blocks):
        here = f"{path}.{index}"
        if block.type in ("image", "document"):
            sees = True
            if block.type == "image" and isinstance(block.source, _Source):
                size = (len(memoryview(block.source.data)) - 2) * 3 // 4  # the quotes are not base64
                if size > limits.image:
                    raise too_large(f"{here}.source", size, limits.image)
            elif isinstance(block.source, _Source) and not nested:
                sees |= _inspect_inner(block.source.content, f"{here}.source.content", limits)
        elif block.type == "tool_result" and not nested:
            sees |= _inspect_inner(block.content, f"{here}.content", limits)
    return sees


def _inspect_inner(content: msgspec.Raw, path: str, limits: Limits) -> bool:
    if not memoryview(content).nbytes:
        return False
    try:
        inner = _blocks.decode(content)
    except UNREADABLE as error:
        raise invalid(error, path) from None
    return False if isinstance(inner, str) else _inspect(inner, path, limits, nested=True)


def _answer(body: bytes) -> _Message:
    """A 200's body. Raises `TargetFault` for none, for what is no JSON object, and for an error in disguise."""
    answer = read_answer(body, _message.decode, "answer of this API")
    if answer.error is not None and answer.type == "error":
        raise TargetFault(ERROR_FAULTS.get(answer.error.type, Fault.SERVER_ERROR), "an error with status 200")
    return answer


def check(body: bytes) -> Usage:
    """The usage of a Message. Raises `TargetFault` for what is none."""
    answer = _answer(body)
    if answer.type != "message" or answer.content is None:
        raise TargetFault(Fault.MALFORMED, "a 200 that is no Message")
    return answer.usage.merged(Usage()) if answer.usage else Usage()


def check_count(body: bytes) -> Usage:
    """What a token count says. Raises `TargetFault` for what is none."""
    answer = _answer(body)
    if answer.input_tokens is None:
        raise TargetFault(Fault.MALFORMED, "a 200 that is no token count")
    return Usage(answer.input_tokens)


class MessageWatch:
    """Follows a Messages stream: success is `message_stop` and nothing else."""

    def __init__(self) -> None:
        self._usage = Usage()
        self._started = False
        self.finished = False

    def feed(self, frames: bytes) -> Seen:
        content = False
        for data in sse.payloads(frames):
            frame = _read(_frame, data)
            kind = frame.type
            if kind == "content_block_delta":
                content = True
            elif kind == "message_start":
                start = _read(_start, frame.message or b"null")
                self._started = start is not None
                self._count(start.usage if start is not None else None)
            elif kind == "message_delta":
                self._count(_read(_usage, frame.usage or b"null"))
            elif kind == "message_stop":
                self.finished = True
            elif kind == "error":
                error = _read(_error, frame.error or b"null")
                name = error.type if error is not None else ""
                raise TargetFault(ERROR_FAULTS.get(name, Fault.SERVER_ERROR), f"the stream says {name or 'error'}")
            if not self._started and kind != "ping":
                raise TargetFault(Fault.MALFORMED, "a stream that does not begin with message_start")
        return Seen(content, self.finished, self._usage)

    def _count(self, usage: _Usage | None) -> None:
        if usage is not None:
            self._usage = usage.merged(self._usage)


def _read(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw) -> T:
    try:
        return decoder.decode(data)
    except UNREADABLE:
        raise TargetFault(Fault.MALFORMED, "a stream frame that is no event") from None
