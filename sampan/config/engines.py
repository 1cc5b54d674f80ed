"""What has to fit together in the settings of an engine."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from sampan.config.reading import Source
from sampan.config.settings import (
    CHAT_SERVERS,
    DIALECT_OPERATIONS,
    EMBEDDED_ENGINES,
    ENGINE_DIALECTS,
    SERVER_KIND,
    EngineSettings,
    ModelSettings,
)

ENGINE_KINDS = (*ENGINE_DIALECTS, SERVER_KIND)
_CHOICES = {
    "quantization": ("none", "int8", "int4", "fp8"),
    "dtype": ("auto", "bf16", "fp16", "fp32"),
    "attention": ("auto", "flash", "sdpa", "eager"),
    "runtime": ("torch", "onnx", "openvino"),
    "offload": ("none", "cpu", "layers", "disk"),
    "preset": ("fast", "balanced", "best"),
    "server": CHAT_SERVERS,
    "dialect": tuple(DIALECT_OPERATIONS),
}
_OF_A_SERVER = ("command", "url", "api_key")
_OF_A_MODEL = ("edit_model", "loras", "sizes")
_SIZE = re.compile(r"[1-9][0-9]{1,4}x[1-9][0-9]{1,4}")
_DEVICE = re.compile(r"auto|cpu|mps|(cuda|xpu|npu)(:[0-9]{1,2})?")


def check_engine(engine: EngineSettings, path: tuple[str, ...], source: Source) -> None:
    """Raises `ConfigError` naming the line of what does not fit."""
    if engine.kind not in ENGINE_KINDS:
        raise source.error((*path, "kind"), f"{engine.kind!r} is not one of {', '.join(ENGINE_KINDS)}")
    _check_values(engine, path, source)
    if engine.kind == SERVER_KIND:
        _check_server(engine, path, source)
    else:
        _check_own(engine, path, source)


def _check_values(engine: EngineSettings, path: tuple[str, ...], source: Source) -> None:
    for name, known in _CHOICES.items():
        if getattr(engine, name) not in known:
            raise source.error((*path, name), f"{getattr(engine, name)!r} is not one of {', '.join(known)}")
    if not _DEVICE.fullmatch(engine.device):
        raise source.error((*path, "device"), f"{engine.device!r} is no device such as auto, cpu or cuda:0")
    for size in engine.sizes:
        if not _SIZE.fullmatch(size):
            raise source.error((*path, "sizes"), f"{size!r} is no size such as 1024x1024")


def _check_own(engine: EngineSettings, path: tuple[str, ...], source: Source) -> None:
    """A program of ours."""
    for name in _OF_A_SERVER:
        if getattr(engine, name):
            raise source.error((*path, name), f"means something for kind = `{SERVER_KIND}` only")
    if engine.kind in EMBEDDED_ENGINES:
        for name in ("model", "revision", *_OF_A_MODEL):
            if getattr(engine, name):
                raise source.error((*path, name), f"a {engine.kind} has no model that could be chosen")
    elif not engine.model:
        raise source.error(path, "needs `model`: a checkpoint as `sampan models fetch` fetched it, or a folder")


def _check_server(engine: EngineSettings, path: tuple[str, ...], source: Source) -> None:
    if bool(engine.command) == bool(engine.url):
        raise source.error(path, "a server needs either `command`, which starts it, or `url`, where it runs")
    if engine.url:
        _check_attached(engine, path, source)
    else:
        _check_command(engine, path, source)
    for name in _OF_A_MODEL:
        if getattr(engine, name):
            raise source.error((*path, name), "a server of another's is told that in its `command`")
    if not re.fullmatch(r"/[!-~]*", engine.health):
        raise source.error((*path, "health"), "must be a path such as `/health`")
    if not re.fullmatch(r"[!-~]*", engine.api_key):  # the value is not shown: it is a secret
        raise source.error((*path, "api_key"), "has a blank, a line end or another sign that no key has")


def _check_attached(engine: EngineSettings, path: tuple[str, ...], source: Source) -> None:
    """A server that somebody else runs."""
    try:
        parts = urlsplit(engine.url)
        fits = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0 and parts.username is None
    except ValueError:
        fits = False
    if not fits:
        raise source.error(
            (*path, "url"), "must be a URL such as http://host:port; one behind https:// can be an upstream instead"
        )
    for name in ("listen", "revision", "env"):
        if getattr(engine, name):
            raise source.error((*path, name), "is the business of whoever runs the server at `url`")


def _check_command(engine: EngineSettings, path: tuple[str, ...], source: Source) -> None:
    """A server that is started here."""

    def says(placeholder: str) -> bool:
        return any(placeholder in part for part in engine.command)

    if not says("{port}") and not says("{listen}"):
        raise source.error((*path, "command"), "must say where the server is to listen: put {port} into it")
    if says("{model}") and not engine.model:
        raise source.error((*path, "command"), "has {model} in it, and no `model` is set")
    if says("{release}") and not engine.revision:
        raise source.error((*path, "command"), "has {release} in it: set `revision` to the one to begin with")
    if engine.revision and not says("{release}") and not says("{model}"):
        raise source.error((*path, "revision"), "changes nothing: neither {release} nor {model} stands in `command`")


def engine_flags(settings: ModelSettings) -> list[str]:
    """The flags of an engine process that say what is not as by default: see `sampan.engines.options`."""
    flags: list[str] = []
    usual = ModelSettings()
    for each in dataclasses.fields(ModelSettings):
        value = getattr(settings, each.name)
        if value == getattr(usual, each.name):
            continue
        flags.append(f"--{each.name.replace('_', '-')}")
        if isinstance(value, list):
            flags += value
        elif isinstance(value, Mapping):
            flags += [f"{name}={file}" for name, file in value.items()]
        elif not isinstance(value, bool):
            flags.append(str(value))
    return flags
