"""Golden probes: questions that a release must answer before it is given a caller's.

A file of one's own is TOML:

    [[probes]]
    name = "reads the total"
    ask = { max_tokens = 100, messages = [{ role = "user", content = "…" }] }   # a body of the engine's dialect
    contains = ["1,280.00"]                                                     # each of them, whatever the case

`model` is filled in. An engine that draws is asked in OpenAI's wire (`ask = { prompt = "…", size = "512x512" }`), one
that talks in Anthropic's (`messages`), whatever its own server speaks, one that embeds in OpenAI's (`input`). A probe
is for the engines that understand it, or for the one that its `engine` names; where none is for an engine the built-in
ones are.
"""

from __future__ import annotations

import base64
import io
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from PIL import Image

from sampan.core import Call, Dialect, Incoming, Operation, Upstream
from sampan.dialects import Codec, Limits
from sampan.dialects.anthropic import Anthropic
from sampan.dialects.openai_embeddings import OpenAIEmbeddings
from sampan.dialects.openai_images import OpenAIImages
from sampan.errors import CallError, ConfigError, Rejected, TargetFault

_LIMITS = Limits(32 * 1024 * 1024, "golden", "golden")
_SIDE = 56  # pixels: two of the patches that Qwen-VL sees
_PATHS = {
    Dialect.ANTHROPIC: "/v1/messages",
    Dialect.OPENAI_IMAGES: "/v1/images/generations",
    Dialect.OPENAI_EMBEDDINGS: "/v1/embeddings",
}
_MEMBERS = {
    "messages": Dialect.ANTHROPIC,
    "prompt": Dialect.OPENAI_IMAGES,
    "input": Dialect.OPENAI_EMBEDDINGS,
}


@dataclass(frozen=True, slots=True)
class Probe:
    """One question: `ask` is its body without a model, `contains` what must stand in the answer.

    `engine` is whom it is for; empty: whoever is asked so.
    """

    name: str
    ask: Mapping[str, Any]
    contains: Sequence[str] = ()
    engine: str = ""


class _Probe(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    ask: dict[str, Any]
    contains: list[str] = []
    engine: str = ""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    probes: list[_Probe]


class _Wrong(Exception):
    """An answer that does not pass; the message holds nothing of it."""


class _Block(msgspec.Struct):
    type: str
    text: str = ""


class _Message(msgspec.Struct):
    content: list[_Block]
    stop_reason: str | None = None


class _Picture(msgspec.Struct):
    b64_json: str


class _Pictures(msgspec.Struct):
    data: list[_Picture]


def asked_in(dialect: Dialect) -> Dialect:
    """The wire that a server of a dialect is probed in: its own, and for all talk Anthropic's."""
    return Dialect.ANTHROPIC if dialect is Dialect.OPENAI_CHAT else dialect


def built_in(dialect: Dialect, *, sees: bool = False) -> list[Probe]:
    """What every model of its kind can do: it says something, `sees`, draws a picture of the size asked for."""
    match asked_in(dialect):
        case Dialect.ANTHROPIC:
            return [_talks(), _sees()] if sees else [_talks()]
        case Dialect.OPENAI_IMAGES:
            return [Probe("draws", {"prompt": "A red circle on white", "size": "256x256", "n": 1})]
        case Dialect.OPENAI_EMBEDDINGS:
            return [Probe("embeds", {"input": "hello"}, ("embedding",))]
        case _:
            return []


def _talks() -> Probe:
    return Probe("talks", {"max_tokens": 16, "messages": [{"role": "user", "content": "Say hello. 请打个招呼。"}]})


def _sees() -> Probe:
    file = io.BytesIO()
    Image.new("RGB", (_SIDE, _SIDE), (200, 30, 30)).save(file, "PNG")
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(file.getvalue()).decode()}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "Which colour is this? 这是什么颜色?"}]
    return Probe("sees", {"max_tokens": 16, "messages": [{"role": "user", "content": content}]})


def read(path: Path) -> list[Probe]:
    """The probes of a file. Raises `ConfigError` that names what is wrong with it. Blocks."""
    try:
        file = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"the golden probes {path} cannot be read: {reason}") from None
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"the golden probes {path}: {error}") from None
    if not file.probes:
        raise ConfigError(f"the golden probes {path}: there is none in it")
    probes = [Probe(probe.name, probe.ask, tuple(probe.contains), probe.engine) for probe in file.probes]
    for probe in probes:
        try:
            call = _call(_dialect(probe), "golden", probe)
        except (CallError, TypeError, ValueError) as error:
            raise ConfigError(f"the golden probes {path}: {probe.name!r}: {error}") from None
        if call.stream:
            raise ConfigError(f"the golden probes {path}: {probe.name!r}: stream: a probe reads whole answers")
    return probes


def chosen(probes: Sequence[Probe], engine: str, dialect: Dialect, *, sees: bool = False) -> list[Probe]:
    """Those for an engine of a dialect; the built-in ones where there are none."""
    fit = [probe for probe in probes if probe.engine in ("", engine) and _dialect(probe) is asked_in(dialect)]
    return fit or built_in(dialect, sees=sees)


def _dialect(probe: Probe) -> Dialect:
    """What a probe is written in. Raises `ValueError`."""
    for member, dialect in _MEMBERS.items():
        if member in probe.ask:
            return dialect
    raise ValueError(f"ask: it has none of {', '.join(_MEMBERS)}")


async def failure(upstream: Upstream, dialect: Dialect, model: str | None, probes: Iterable[Probe]) -> str:
    """Why a release does not pass, in words that hold nothing of its answers; empty where it passes all."""
    for probe in probes:
        said = await _ask(upstream, dialect, model, probe)
        if said:
            return f"golden probe {probe.name!r}: {said}"
    return ""


async def _ask(upstream: Upstream, dialect: Dialect, model: str | None, probe: Probe) -> str:
    try:
        call = _call(asked_in(dialect), model or "golden", probe)
        event = await upstream.fetch(call, model)
        text = _said(call, probe, event.data)
    except TargetFault as fault:
        return str(fault)
    except Rejected as refusal:
        return f"it was refused with {refusal.status}"
    except CallError as error:
        return error.message
    except _Wrong as wrong:
        return str(wrong)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "its answer cannot be read"
    missing = [word for word in probe.contains if word.casefold() not in text.casefold()]
    return f"its answer lacks {', '.join(map(repr, missing))}" if missing else ""


def _call(dialect: Dialect, model: str, probe: Probe) -> Call:
    codecs: dict[Dialect, Codec] = {
        Dialect.ANTHROPIC: Anthropic(),
        Dialect.OPENAI_IMAGES: OpenAIImages(),
        Dialect.OPENAI_EMBEDDINGS: OpenAIEmbeddings(),
    }
    body = msgspec.json.encode({**probe.ask, "model": model})
    incoming = Incoming("POST", _PATHS[dialect], "", {"content-type": "application/json"}, body)
    return codecs[dialect].parse(incoming, _LIMITS)


def _said(call: Call, probe: Probe, data: bytes) -> str:
    """What an answer says. Raises `_Wrong` for one that is none."""
    if call.dialect is Dialect.ANTHROPIC:
        message = msgspec.json.decode(data, type=_Message)
        if not message.content and message.stop_reason != "max_tokens":  # else it thought, and was not shown to
            raise _Wrong("it said nothing")
        return "".join(block.text for block in message.content)
    if call.operation is Operation.GENERATE:
        _look(msgspec.json.decode(data, type=_Pictures), probe)
        return ""
    return data.decode()


def _look(pictures: _Pictures, probe: Probe) -> None:
    """Raises `_Wrong` where there is no picture, or one that cannot be opened or is of another size."""
    if not pictures.data:
        raise _Wrong("it drew nothing")
    for picture in pictures.data:
        try:
            with Image.open(io.BytesIO(base64.b64decode(picture.b64_json, validate=True))) as image:
                image.load()
                size = f"{image.width}x{image.height}"
        except (
            ValueError,
            OSError,
            SyntaxError,
            Image.DecompressionBombError,
        ):  # whatever a broken file makes of Pillow
            raise _Wrong("its picture cannot be opened") from None
        if probe.ask.get("size", "auto") not in ("auto", size):
            raise _Wrong(f"it drew {size}")
