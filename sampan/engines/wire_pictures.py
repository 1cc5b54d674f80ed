"""The picture side of the wire (OpenAI Images): a body becomes an order, pictures become an answer or frames. Pure."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import msgspec

from sampan.dialects import form, sse
from sampan.dialects.fields import flag, invalid, number
from sampan.engines.contract import Order, Picture, units
from sampan.errors import InvalidRequest

_TILE = 256  # pixels: a picture is paid for by its tiles of this side
_MASK_LIMIT = 4 * 1024 * 1024
_SIZE = re.compile(r"auto|[1-9]\d{1,4}x[1-9]\d{1,4}")


class _Body(msgspec.Struct):
    """The fields that mean something to an engine. `seed` is ours; the others are as OpenAI has them."""

    prompt: Annotated[str, msgspec.Meta(max_length=32_000)]
    n: Annotated[int, msgspec.Meta(ge=1, le=10)] | None = None
    size: str | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    quality: str | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None
    output_compression: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    background: Literal["transparent", "opaque", "auto"] | None = None
    response_format: Literal["b64_json", "url"] | None = None
    partial_images: Annotated[int, msgspec.Meta(ge=0, le=3)] | None = None
    stream: bool | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A picture call as the engine needs it; `images` is empty where nothing is edited, one where it is varied."""

    order: Order
    stream: bool
    quality: str
    images: Sequence[bytes] = ()
    mask: bytes | None = None
    varies: bool = False

    @property
    def event(self) -> str:
        """What the stream's events are called."""
        return "image_edit" if self.images else "image_generation"


def parse_generation(body: bytes) -> Asked:
    """A JSON body. Raises `InvalidRequest` naming the field."""
    try:
        return _asked(msgspec.json.decode(body, type=_Body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(error) from None


def parse_edit(body: bytes, content_type: str) -> Asked:
    """A form. Raises `InvalidRequest` naming the field."""
    sent = _sent(body, content_type)
    if not 1 <= len(sent.images) <= 16:
        raise InvalidRequest("1 to 16 pictures are edited", param="image")
    if sent.mask is not None and not 0 < len(sent.mask) <= _MASK_LIMIT:
        raise InvalidRequest("a mask is a PNG of at most 4 MB", param="mask")
    return _asked(_values(sent.fields), sent.images, sent.mask)


def parse_variation(body: bytes, content_type: str) -> Asked:
    """A form of one picture, and of nothing that says what is to become of it. Raises as `parse_edit`."""
    sent = _sent(body, content_type)
    if len(sent.images) != 1:
        raise InvalidRequest("one picture is varied", param="image")
    for name, given in (("mask", sent.mask is not None), ("prompt", "prompt" in sent.fields)):
        if given:
            raise InvalidRequest("a variation takes none: ask for an edit", param=name)
    asked = _asked(_values({**sent.fields, "prompt": "-"}), sent.images)
    if asked.stream:
        raise InvalidRequest("variations do not stream", param="stream")
    return replace(asked, order=replace(asked.order, prompt=""), varies=True)


@dataclass(frozen=True, slots=True)
class _Sent:
    """A form, sorted."""

    images: Sequence[bytes]
    mask: bytes | None
    fields: Mapping[str, str]


def _sent(body: bytes, content_type: str) -> _Sent:
    images: list[bytes] = []
    mask: bytes | None = None
    fields: dict[str, str] = {}
    for part in form.parse(content_type, body):
        if part.name in ("image", "image[]"):
            images.append(part.data)
        elif part.name == "mask":
            mask = part.data
        else:
            fields[part.name] = part.text()
    if not all(images):
        raise InvalidRequest("the picture is empty", param="image")
    return _Sent(images, mask, fields)


def _values(fields: Mapping[str, str]) -> _Body:
    try:
        return msgspec.convert(_typed(fields), _Body)
    except msgspec.ValidationError as error:
        raise invalid(error) from None


def _typed(fields: Mapping[str, str]) -> dict[str, Any]:
    """A form's text as the values that JSON would have held; an empty field is none at all."""
    values: dict[str, Any] = {name: text for name, text in fields.items() if text.strip()}
    for name in ("n", "seed", "output_compression", "partial_images"):
        if name in values:
            values[name] = number(fields, name, 0)
    if "stream" in values:
        values["stream"] = flag(fields, "stream")
    return values


def _asked(body: _Body, images: Sequence[bytes] = (), mask: bytes | None = None) -> Asked:
    if not body.prompt.strip():
        raise InvalidRequest("must not be empty", param="prompt")
    try:
        body.prompt.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("holds half a character (a lone surrogate)", param="prompt") from None
    size = body.size or "auto"
    if not _SIZE.fullmatch(size):
        raise InvalidRequest("must be `auto` or WIDTHxHEIGHT in pixels, like 1024x1024", param="size")
    output_format = body.output_format or "png"
    background = body.background or "auto"
    if background == "transparent" and output_format == "jpeg":
        raise InvalidRequest("JPEG cannot be transparent: ask for png or webp", param="background")
    order = Order(
        prompt=body.prompt,
        n=body.n or 1,
        size=size,
        seed=body.seed,
        output_format=output_format,
        output_compression=body.output_compression,
        background=background,
    )
    quality = body.quality if body.quality in ("low", "medium", "high") else "low"
    return Asked(order, bool(body.stream), quality, tuple(images), mask)


@dataclass(frozen=True, slots=True)
class Made:
    """A picture ready for the wire. `head` holds what is said about it beside its bytes."""

    b64: str
    revised_prompt: str
    seed: int
    tokens: int
    head: Mapping[str, str]


def pack(picture: Picture, quality: str) -> Made:
    """Encodes a picture. Slow for a large one: not for the event loop."""
    head = {
        "background": picture.background,
        "output_format": picture.format,
        "quality": quality,
        "size": f"{picture.width}x{picture.height}",
    }
    data = base64.b64encode(picture.data).decode()
    return Made(data, picture.revised_prompt, picture.seed, tiles(picture.width, picture.height), head)


def tiles(width: int, height: int) -> int:
    """How many tiles of 256 by 256 pixels cover a picture."""
    return -(-width // _TILE) * -(-height // _TILE)


def input_tokens(asked: Asked) -> tuple[int, int]:
    """(text, picture) units of a call. A picture that cannot be opened counts nothing: the engine will refuse it."""
    if not asked.images:
        return units(asked.order.prompt), 0
    from PIL import Image

    total = 0
    for data in asked.images:
        try:
            with Image.open(io.BytesIO(data)) as image:
                total += tiles(*image.size)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
    return units(asked.order.prompt), total


def answer(made: Sequence[Made], read: tuple[int, int], created: int) -> bytes:
    """A whole answer."""
    data = [{"b64_json": one.b64, "revised_prompt": one.revised_prompt, "seed": one.seed} for one in made]
    head = dict(made[0].head) if made else {}
    return msgspec.json.encode(
        {"created": created, "data": data, **head, "usage": usage(read, sum(one.tokens for one in made))}
    )


def completed(one: Made, event: str, usage: Mapping[str, Any], created: int) -> bytes:
    """The frame of one picture; `usage` is that of all pictures so far, so that the last frame's is the call's."""
    data = {
        "type": f"{event}.completed",
        "b64_json": one.b64,
        "created_at": created,
        **one.head,
        "revised_prompt": one.revised_prompt,
        "seed": one.seed,
        "usage": usage,
    }
    return sse.frame(msgspec.json.encode(data), f"{event}.completed")


DONE = b"data: [DONE]\n\n"


def usage(read: tuple[int, int], output: int) -> dict[str, Any]:
    """The wire's usage: `read` is (text, picture) units in, `output` picture units out."""
    text, pictures = read
    return {
        "input_tokens": text + pictures,
        "input_tokens_details": {"text_tokens": text, "image_tokens": pictures},
        "output_tokens": output,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": output},
        "total_tokens": text + pictures + output,
    }
