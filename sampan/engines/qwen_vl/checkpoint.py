"""What this half of the engine has to know of a checkpoint: its words, its chat template, how it measures pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from sampan.dialects.fields import UNREADABLE
from sampan.engines.qwen_vl.job import Model, Sampling
from sampan.engines.qwen_vl.loading import Say
from sampan.engines.qwen_vl.template import Template
from sampan.engines.qwen_vl.words import Words
from sampan.errors import ConfigError

_ABSOLUTE = frozenset({"qwen2_5_vl"})  # families that measure boxes in pixels of the picture as they saw it


class Stats(Protocol):
    """How busy it is: answers that are written, and that wait for one of those to end."""

    @property
    def working(self) -> int: ...

    @property
    def waiting(self) -> int: ...


class Brain(Model, Protocol):
    """The half that knows tensors, with what it knows beside them."""

    @property
    def ends(self) -> frozenset[int]: ...

    @property
    def defaults(self) -> Sampling: ...

    @property
    def cold(self) -> Sequence[str]: ...

    @property
    def stats(self) -> Stats: ...

    def warm_up(self, say: Say = ...) -> None: ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`patch` is the side of a patch in pixels, `absolute` as for `grounding.find_boxes`."""

    words: Words
    template: Template
    patch: int = 14
    absolute: bool = False


class _Config(msgspec.Struct):
    model_type: str = ""


class _Preprocessor(msgspec.Struct):
    patch_size: int = 14


class _Wrapped(msgspec.Struct):
    chat_template: str


def read_checkpoint(folder: Path, tokenizer: Any) -> Checkpoint:
    """`tokenizer` is the library's. Raises `ConfigError`."""
    words = Words(tokenizer.backend_tokenizer)
    template = Template(_template(folder, tokenizer), words.guard)
    family = _read(folder / "config.json", _Config).model_type
    patch = _read(folder / "preprocessor_config.json", _Preprocessor).patch_size
    return Checkpoint(words, template, patch, family in _ABSOLUTE)


def _template(folder: Path, tokenizer: Any) -> str:
    """Older checkpoints have their template in a file of the processor's."""
    given = tokenizer.chat_template
    if isinstance(given, dict):
        given = given.get("default")
    if isinstance(given, str):
        return given
    if (folder / "chat_template.json").is_file():
        wrapped: _Wrapped = _read(folder / "chat_template.json", _Wrapped)
        return wrapped.chat_template
    raise ConfigError(f"{folder} has no chat template: it is no checkpoint that was taught to talk")


def _read(path: Path, shape: type[Any]) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=shape)
    except (OSError, *UNREADABLE) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
