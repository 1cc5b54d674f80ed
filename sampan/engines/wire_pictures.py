"""The picture side of the wire (OpenAI Images): a body becomes an order, pictures become an answer or frames. Pure."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import msgspec

from sampan.dialects import form, sse
from sampan.dialects.fields import flag, invalid, number
from sampan.engines.contract import Manner, Margins, Order, Picture, Preview, units
from sampan.errors import InvalidRequest

_TILE = 256  # pixels: a picture is paid for by its tiles of this side
_MASK_LIMIT = 4 * 1024 * 1024
_SIZE = re.compile(r"auto|[1-9]\d{1,4}x[1-9]\d{1,4}")


_NAME = re.compile(r"(?P<name>\w+)(?P<keys>(?:\[\w*\])+)")  # how SDKs write a member in a form: a[b], a[b][]
_OBJECTS = ("sampan", "lora")

Pixels = Annotated[int, msgspec.Meta(ge=0, le=8192)]


class _Canvas(msgspec.Struct, forbid_unknown_fields=True):
    left: Pixels = 0
    top: Pixels = 0
    right: Pixels = 0
    bottom: Pixels = 0


class _Extension(msgspec.Struct, forbid_unknown_fields=True):
    region: tuple[Pixels, Pixels, Pixels, Pixels] | None = None
    canvas: _Canvas | None = None


class _Body(msgspec.Struct):
    """The fields that mean something to an engine: as OpenAI has them down to `stream`, ours after it."""

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
    preset: str | None = None
    negative_prompt: Annotated[str, msgspec.Meta(max_length=32_000)] | None = None
    steps: int | None = None
    guidance: float | None = None
    strength: float | None = None
    lora: str | dict[str, float] | None = None
    sampan: _Extension | None = None


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
    return _asked(_values(sent.fields, sent.members), sent.images, sent.mask)


def parse_variation(body: bytes, content_type: str) -> Asked:
    """A form of one picture, and of nothing that says what is to become of it. Raises as `parse_edit`."""
    sent = _sent(body, content_type)
    if len(sent.images) != 1:
        raise InvalidRequest("one picture is varied", param="image")
    for name, given in (("mask", sent.mask is not None), ("prompt", "prompt" in sent.fields)):
        if given:
            raise InvalidRequest("a variation takes none: ask for an edit", param=name)
    asked = _asked(_values({**sent.fields, "prompt": "-"}, sent.members), sent.images)
    if asked.stream:
        raise InvalidRequest("variations do not stream", param="stream")
    return replace(asked, order=replace(asked.order, prompt=""), varies=True)


@dataclass(frozen=True, slots=True)
class _Sent:
    """A form, sorted."""

    images: Sequence[bytes]
    mask: bytes | None
    fields: Mapping[str, str]
    members: Sequence[tuple[str, str]] = ()


def _sent(body: bytes, content_type: str) -> _Sent:
    images: list[bytes] = []
    mask: bytes | None = None
    fields: dict[str, str] = {}
    members: list[tuple[str, str]] = []
    for part in form.parse(content_type, body):
        if part.name in ("image", "image[]"):
            images.append(part.data)
        elif part.name == "mask":
            mask = part.data
        elif part.name.startswith(_OBJECTS) and _NAME.fullmatch(part.name):
            members.append((part.name, part.text()))
        else:
            fields[part.name] = part.text()
    if not all(images):
        raise InvalidRequest("the picture is empty", param="image")
    return _Sent(images, mask, fields, members)


def _values(fields: Mapping[str, str], members: Sequence[tuple[str, str]] = ()) -> _Body:
    values = _typed(fields)
    for name in _OBJECTS:
        if isinstance(text := values.get(name), str) and text.lstrip().startswith("{"):
            try:
                values[name] = msgspec.json.decode(text)
            except (msgspec.DecodeError, RecursionError):
                raise InvalidRequest("is not valid JSON", param=name) from None
    for name, text in members:
        _place(values, name, text)
    try:
        return msgspec.convert(values, _Body, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(error) from None


def _place(values: dict[str, Any], name: str, text: str) -> None:
    """Puts `sampan[canvas][left]` where the JSON would have had it. `sampan[region][]` is one more of a list."""
    found = _NAME.fullmatch(name)
    assert found is not None
    path = [found["name"], *re.findall(r"\[(\w*)\]", found["keys"])]
    lists = path[-1] == ""
    if lists:
        path.pop()
    for key in path[:-1]:
        inner = values.setdefault(key, {})
        if not isinstance(inner, dict) or not key:
            raise InvalidRequest("is no member of a form", param=name[:100])
        values = inner
    if lists:
        grown = values.setdefault(path[-1], [])
        if not isinstance(grown, list):
            raise InvalidRequest("is said twice", param=name[:100])
        grown.append(text)
    else:
        values[path[-1]] = text


def _typed(fields: Mapping[str, str]) -> dict[str, Any]:
    """A form's text as the values that JSON would have held; an empty field is none at all."""
    values: dict[str, Any] = {name: text for name, text in fields.items() if text.strip()}
    for name in ("n", "seed", "output_compression", "partial_images", "steps"):
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
        manner=_manner(body),
    )
    quality = body.quality if body.quality in ("low", "medium", "high") else "low"
    return Asked(order, bool(body.stream), quality, tuple(images), mask)


def _manner(body: _Body) -> Manner:
    extension = body.sampan or _Extension()
    canvas = extension.canvas
    return Manner(
        quality=body.quality or "",
        preset=body.preset or "",
        negative_prompt=body.negative_prompt,
        steps=body.steps,
        guidance=body.guidance,
        strength=body.strength,
        loras={body.lora: 1.0} if isinstance(body.lora, str) else dict(body.lora or {}),
        region=extension.region,
        canvas=Margins(canvas.left, canvas.top, canvas.right, canvas.bottom) if canvas else None,
        partials=(body.partial_images or 0) if body.stream else 0,
    )


def refuse(manner: Manner, honours: Collection[str]) -> None:
    """Raises `InvalidRequest` for what would change the picture and an engine knows nothing of: it is not dropped."""
    asked = {"sampan.region": manner.region, "sampan.canvas": manner.canvas, "lora": manner.loras}
    for name, value in asked.items():
        if value and name not in honours:
            raise InvalidRequest("this engine cannot do that; leave it out", param=name)


@dataclass(frozen=True, slots=True)
class Made:
    """A picture ready for the wire. `head` holds what is said about it beside its bytes, `provenance` how it was made,
    where the engine says so; `preview` is its number where it is only what a picture looks like so far."""

    b64: str
    revised_prompt: str
    seed: int
    tokens: int
    head: Mapping[str, str]
    provenance: Mapping[str, Any] | None = None
    preview: int | None = None

    @property
    def datum(self) -> dict[str, Any]:
        """The picture as the wire has it."""
        told = {} if self.provenance is None else {"provenance": self.provenance}
        return {"b64_json": self.b64, "revised_prompt": self.revised_prompt, "seed": self.seed, **told}


def pack(drawn: Picture | Preview, quality: str) -> Made:
    """Encodes a picture. Slow for a large one: not for the event loop."""
    preview, picture = (drawn.index, drawn.picture) if isinstance(drawn, Preview) else (None, drawn)
    head = {
        "background": picture.background,
        "output_format": picture.format,
        "quality": getattr(picture, "quality", quality),
        "size": f"{picture.width}x{picture.height}",
    }
    data = base64.b64encode(picture.data).decode()
    tokens = tiles(picture.width, picture.height) if preview is None else 0
    provenance = getattr(picture, "provenance", None)
    return Made(data, picture.revised_prompt, picture.seed, tokens, head, provenance, preview)


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
    data = [one.datum for one in made]
    head = dict(made[0].head) if made else {}
    return msgspec.json.encode(
        {"created": created, "data": data, **head, "usage": usage(read, sum(one.tokens for one in made))}
    )


def completed(one: Made, event: str, usage: Mapping[str, Any], created: int) -> bytes:
    """The frame of one picture; `usage` is that of all pictures so far, so that the last frame's is the call's."""
    data = {"type": f"{event}.completed", **one.datum, "created_at": created, **one.head, "usage": usage}
    return sse.frame(msgspec.json.encode(data), f"{event}.completed")


def partial(one: Made, event: str, created: int) -> bytes:
    """The frame of one preview."""
    name = f"{event}.partial_image"
    data = {
        "type": name,
        "b64_json": one.b64,
        "partial_image_index": one.preview,
        "created_at": created,
        **one.head,
    }
    return sse.frame(msgspec.json.encode(data), name)


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
