"""A diffusers checkpoint on disk: what it is made of, and whether all of it is there, before anything is loaded.

Layout: model_index.json names the parts, `<part>/` holds a config.json and safetensors files, where there are several
with an index that says which tensor is in which.
Format of a safetensors file: https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sampan.errors import ConfigError

_HEADER_MOST = 100_000_000  # bytes, as in safetensors itself
_SAMPLE = 4096  # bytes of each tensor that are compared
_WEIGHTED = ("transformer", "text_encoder", "vae")
_PARTS = ("scheduler", "tokenizer", *_WEIGHTED)
_SIGNS = {
    "scheduler": ("scheduler_config.json",),
    "tokenizer": ("tokenizer_config.json",),
    "processor": ("preprocessor_config.json",),
}
GENERATES = "QwenImagePipeline"
EDITS = ("QwenImageEditPipeline", "QwenImageEditPlusPipeline")
_AGAIN = "fetch it again: `sampan models verify` says what is wrong, `sampan models fetch` mends it"


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where a tensor lies: `begin` and `end` in bytes from the start of its file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint whose files were looked at. `sizes` are bytes of weights by part, `dtype` as in its files."""

    folder: Path
    pipeline: str
    name: str
    revision: str
    sizes: Mapping[str, int]
    dtype: str

    @property
    def edits(self) -> bool:
        """Whether it edits by instruction."""
        return self.pipeline in EDITS

    @property
    def many(self) -> bool:
        """Whether it looks at several pictures at once."""
        return self.pipeline == EDITS[1]


def inspect(folder: Path, option: str) -> Checkpoint:
    """Looks at every file; `option` is the setting that named the folder. Raises `ConfigError` naming the file."""
    if not folder.is_dir():
        raise ConfigError(f"{option}: there is no folder {folder}; fetch the model first (`sampan models fetch`)")
    index = _json(folder / "model_index.json")
    pipeline = index.get("_class_name", "")
    if pipeline not in (GENERATES, *EDITS):
        known = ", ".join((GENERATES, *EDITS))
        raise ConfigError(f"{option}: {folder} holds a {pipeline!r}; this engine runs {known}")
    parts = (*_PARTS, "processor") if pipeline in EDITS else _PARTS
    for part in parts:
        if not isinstance(index.get(part), list):
            raise ConfigError(f"{folder / 'model_index.json'}: names no {part}; {_AGAIN}")
        for sign in _SIGNS.get(part, ("config.json",)):
            _json(folder / part / sign)
    tensors = {
        part: [tensor for file in weights(folder / part) for tensor in header(file).values()] for part in _WEIGHTED
    }
    sizes = {part: sum(tensor.end - tensor.begin for tensor in found) for part, found in tensors.items()}
    largest = max(tensors["transformer"], key=lambda tensor: tensor.end - tensor.begin)
    release = _release(folder)
    return Checkpoint(
        folder, pipeline, release.get("name") or folder.name, release.get("revision") or "", sizes, largest.dtype
    )


def weights(folder: Path) -> list[Path]:
    """The safetensors files of a part, those that its index names where it has one. Raises `ConfigError`."""
    for index in sorted(folder.glob("*.safetensors.index.json")):
        named = _json(index).get("weight_map")
        if not isinstance(named, dict) or not named:
            raise ConfigError(f"{index}: is no index of weights; {_AGAIN}")
        files = [folder / name for name in sorted({str(name) for name in named.values()})]
        for file in files:
            if not file.is_file():
                raise ConfigError(f"{file}: is not there, and {index.name} names it; {_AGAIN}")
        return files
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ConfigError(f"{folder}: holds no safetensors file; {_AGAIN}")
    return files


def header(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises `ConfigError` for one that is cut off or no such file."""
    try:
        with file.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            start = opened.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= min(_HEADER_MOST, size - 8):
                raise ConfigError(f"{file}: is no safetensors file, or its beginning is lost; {_AGAIN}")
            told = msgspec.json.decode(opened.read(length))
        tensors = dict(_tensors(told, 8 + length))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, LookupError, TypeError, ValueError) as error:
        raise ConfigError(f"{file}: cannot be read ({type(error).__name__}); {_AGAIN}") from None
    end = max((tensor.end for tensor in tensors.values()), default=8 + length)
    if end != size:
        raise ConfigError(f"{file}: has {size:,} bytes where its header says {end:,}; {_AGAIN}")
    return tensors


def _tensors(told: Mapping[str, Any], base: int) -> Iterator[tuple[str, Tensor]]:
    for name, about in told.items():
        if name != "__metadata__":
            begin, end = about["data_offsets"]
            yield name, Tensor(about["dtype"], tuple(about["shape"]), base + int(begin), base + int(end))


def alike(one: Path, other: Path) -> bool:
    """Whether two parts are the same weights: the same tensors, and the same bytes at the heart of each of them.

    A tensor that was trained further differs all over, so a sample of each tells; reading 16 GB twice would not do.
    """
    if _json(one / "config.json") != _json(other / "config.json"):
        return False
    files = [
        {name: (file, tensor) for file in weights(part) for name, tensor in header(file).items()}
        for part in (one, other)
    ]
    if files[0].keys() != files[1].keys():
        return False
    return all(_sample(*files[0][name]) == _sample(*files[1][name]) for name in files[0])


def _sample(file: Path, tensor: Tensor) -> tuple[str, tuple[int, ...], bytes]:
    with file.open("rb") as opened:
        middle = (tensor.begin + tensor.end - _SAMPLE) // 2
        opened.seek(max(tensor.begin, middle))
        return tensor.dtype, tensor.shape, opened.read(min(_SAMPLE, tensor.end - tensor.begin))


def _json(file: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        raise ConfigError(f"{file}: is not there; {_AGAIN}") from None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read ({type(error).__name__}); {_AGAIN}") from None


def _release(folder: Path) -> dict[str, Any]:
    """What `sampan models fetch` wrote about it; nothing for a folder that came otherwise."""
    try:
        return msgspec.json.decode((folder / "release.json").read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
