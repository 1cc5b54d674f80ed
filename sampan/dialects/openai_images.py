"""The OpenAI Images dialect: https://platform.openai.com/docs/api-reference/images, and the official SDK's types."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import msgspec

from sampan.core import Call, Dialect, Fault, Incoming, Operation, Usage
from sampan.dialects import Limits, Seen, form, openai_errors, pictures, sse
from sampan.dialects.fields import UNREADABLE, flag, invalid, number, read_answer, too_large, with_members
from sampan.dialects.openai_errors import WireError
from sampan.errors import CallError, InvalidRequest, TargetFault

PROMPT_LIMIT = 32_000
PICTURE_LIMIT = 16
NUMBER_LIMIT = 10
FIELDS_WITHOUT_LINKS = ("gpt-image", "chatgpt-image")


class _Body(msgspec.Struct):
    prompt: str
    model: str | None = None
    n: int | None = None
    response_format: str | None = None
    stream: bool | None = None


class _Usage(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0


class _Datum(msgspec.Struct):
    b64_json: str | None = None
    url: str | None = None


class _Answer(msgspec.Struct):
    data: list[_Datum] | None = None
    usage: _Usage | None = None
    error: WireError | str | None = None


class _Frame(msgspec.Struct):
    type: str = ""
    usage: _Usage | None = None
    error: WireError | str | None = None


class _Finished(msgspec.Struct):
    type: str = ""
    b64_json: str | None = None


_body = msgspec.json.Decoder(_Body)
_answer = msgspec.json.Decoder(_Answer)
_frame = msgspec.json.Decoder(_Frame)
_finished = msgspec.json.Decoder(_Finished)  # not for every frame: it copies the picture


class OpenAIImages(openai_errors.ErrorCodec):
    """The codec of `POST /v1/images/generations`, `POST /v1/images/edits` and `POST /v1/images/variations`.

    A variation is an edit without a prompt: what answers the one answers the other.
    """

    dialect = Dialect.OPENAI_IMAGES

    def parse(self, incoming: Incoming, limits: Limits) -> Call:
        if incoming.path.endswith(("/edits", "/variations")):
            varies = incoming.path.endswith("/variations")
            fields = _variation_fields(incoming, limits) if varies else _edit_fields(incoming, limits)
            operation, content_type = Operation.EDIT, incoming.content_type
        else:
            try:
                fields = _body.decode(incoming.body)
            except UNREADABLE as error:
                raise invalid(error) from None
            operation, content_type = Operation.GENERATE, "application/json"
            _check_prompt(fields.prompt)
        _check_fields(fields)
        return Call(
            dialect=self.dialect,
            operation=operation,
            model=fields.model or limits.default_image_model,
            path=f"{incoming.path}?{incoming.query}" if incoming.query else incoming.path,
            body=incoming.body,
            content_type=content_type,
            stream=bool(fields.stream),
            url_wanted=fields.response_format == "url",
            pictures=fields.n or 1,
        )

    def error_frame(self, error: CallError, request_id: str) -> bytes:
        return sse.frame(msgspec.json.encode({"type": "error", "error": openai_errors.members(error)}), "error")


def _check_prompt(prompt: str) -> None:
    if not prompt.strip():
        raise InvalidRequest("prompt: must not be empty", param="prompt")
    if len(prompt) > PROMPT_LIMIT:
        raise InvalidRequest(f"prompt: has {len(prompt):,} characters; the limit is {PROMPT_LIMIT:,}", param="prompt")


def _check_fields(fields: _Body) -> None:
    if fields.n is not None and not 1 <= fields.n <= NUMBER_LIMIT:
        raise InvalidRequest(f"n: must be 1 to {NUMBER_LIMIT}, not {fields.n}", param="n")
    if fields.response_format not in (None, "url", "b64_json"):
        raise InvalidRequest("response_format: must be `url` or `b64_json`", param="response_format")


def _edit_fields(incoming: Incoming, limits: Limits) -> _Body:
    fields, given = _form_fields(incoming, limits)
    if not 1 <= given <= PICTURE_LIMIT:
        raise InvalidRequest(f"image: 1 to {PICTURE_LIMIT} pictures are needed, not {given}", param="image")
    if "prompt" not in fields:
        raise InvalidRequest("prompt: Field required", param="prompt")
    _check_prompt(fields["prompt"])
    return _read(fields)


def _variation_fields(incoming: Incoming, limits: Limits) -> _Body:
    fields, given = _form_fields(incoming, limits)
    if given != 1:
        raise InvalidRequest(f"image: one picture is varied, not {given}", param="image")
    if flag(fields, "stream"):
        raise InvalidRequest("stream: variations do not stream; leave it out", param="stream")
    return _read(fields)


def _form_fields(incoming: Incoming, limits: Limits) -> tuple[dict[str, str], int]:
    """The text fields of a form, and how many pictures came with them; a mask is looked at, but not counted."""
    fields: dict[str, str] = {}
    given = 0
    for part in form.parse(incoming.content_type, incoming.body):
        if part.name in ("image", "image[]", "mask", "mask[]"):
            given += part.name.startswith("image")
            if len(part.data) > limits.image:
                raise too_large(part.name, len(part.data), limits.image)
            if pictures.media_type(part.data) not in ("image/png", "image/jpeg", "image/webp"):
                raise InvalidRequest(f"{part.name}: is no PNG, JPEG or WebP", param=part.name)
        else:
            fields[part.name] = part.text()
    return fields, given


def _read(fields: dict[str, str]) -> _Body:
    return _Body(
        prompt=fields.get("prompt", ""),
        model=fields.get("model") or None,
        n=number(fields, "n", 1),
        response_format=fields.get("response_format") or None,
        stream=flag(fields, "stream"),
    )


def body_for(call: Call, model: str | None) -> bytes:
    """What an upstream is sent: the caller's bytes, but for the model and for links.

    Links are ours: a picture that is to come back as a link is asked for as bytes, kept here, and signed for here.
    GPT image models always answer with bytes and refuse the field.
    """
    changes: dict[str, str | None] = {}
    if model is not None and model != call.model:
        changes["model"] = model
    if call.url_wanted:
        changes["response_format"] = None if (model or call.model).startswith(FIELDS_WITHOUT_LINKS) else "b64_json"
    if not changes:
        return call.body
    if call.operation is Operation.GENERATE:
        return with_members(call.body, changes)
    parts = [part for part in form.parse(call.content_type, call.body) if part.name not in changes]
    parts += [form.value(name, text.encode()) for name, text in changes.items() if text is not None]
    return form.build(call.content_type, parts)


def check(body: bytes) -> Usage:
    """The usage of a whole answer. Raises `TargetFault` for one without a picture."""
    answer = read_answer(body, _answer.decode, "picture answer")
    if answer.error is not None:
        raise openai_errors.fault(answer.error)
    if answer.data is None:
        raise TargetFault(Fault.MALFORMED, "a 200 that is no picture answer")
    if not answer.data or not all(datum.b64_json or datum.url for datum in answer.data):
        raise TargetFault(Fault.EMPTY, "an answer without a picture")
    if not all(datum.b64_json is None or pictures.beginning(datum.b64_json) for datum in answer.data):
        raise TargetFault(Fault.MALFORMED, "a picture that is no base64")
    usage = answer.usage or _Usage()
    return Usage(usage.input_tokens, usage.output_tokens, len(answer.data))


class PictureWatch:
    """Follows a picture stream: success is as many `….completed` events as pictures were asked for."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._usage = Usage()

    @property
    def finished(self) -> bool:
        """True once there is a picture: not every server makes all of them in one stream."""
        return self._usage.images > 0

    def feed(self, frames: bytes) -> Seen:
        content = False
        for data in sse.payloads(frames):
            if data.strip() == b"[DONE]":
                continue
            try:
                frame = _frame.decode(data)
            except UNREADABLE:
                raise TargetFault(Fault.MALFORMED, "a stream frame that is no event") from None
            if frame.error is not None:
                raise openai_errors.fault(frame.error)
            content = content or frame.type.endswith((".partial_image", ".completed"))
            if frame.type.endswith(".completed"):
                usage = frame.usage or _Usage()
                self._usage = Usage(usage.input_tokens, usage.output_tokens, self._usage.images + 1)
        return Seen(content, self._usage.images >= self._expected, self._usage)


def pictures_in(body: bytes) -> list[bytes]:
    """The pictures of a whole answer, those that came as bytes. Raises `TargetFault` for one that is no base64."""
    return [_decoded(datum.b64_json) for datum in _answer.decode(body).data or [] if datum.b64_json]


def pictures_in_frames(frames: bytes) -> list[bytes]:
    """The finished pictures in frames of a stream that was watched already. Raises `TargetFault` as `pictures_in`."""
    seen = [_finished.decode(data) for data in sse.payloads(frames) if data.strip() != b"[DONE]"]
    return [_decoded(frame.b64_json) for frame in seen if frame.type.endswith(".completed") and frame.b64_json]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise TargetFault(Fault.MALFORMED, "a picture that is no base64") from None


def with_links(body: bytes, links: Sequence[str]) -> bytes:
    """The answer with each picture's bytes replaced by its link, in order."""
    answer = msgspec.json.decode(body)
    remaining = iter(links)
    for datum in answer["data"]:
        if datum.get("b64_json"):
            datum.pop("b64_json")
            datum["url"] = next(remaining)
    return msgspec.json.encode(answer)
