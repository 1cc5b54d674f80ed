"""A diffusers checkpoint on disk: what it is made of, and whether all of it is there, before anything is loaded.

Layout: model_index.json names the parts, `<part>/` holds a config.json and safetensors files, where there are several
with an index that says which tensor is in which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sampan.engines.shards import AGAIN, Tensor, read_header, read_json
from sampan.errors import ConfigError

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
    index = read_json(folder / "model_index.json")
    pipeline = index.get("_class_name", "")
    if pipeline not in (GENERATES, *EDITS):
        known = ", ".join((GENERATES, *EDITS))
        raise ConfigError(f"{option}: {folder} holds a {pipeline!r}; this engine runs {known}")
    parts = (*_PARTS, "processor") if pipeline in EDITS else _PARTS
    for part in parts:
        if not isinstance(index.get(part), list):
            raise ConfigError(f"{folder / 'model_index.json'}: names no {part}; {AGAIN}")
        for sign in _SIGNS.get(part, ("config.json",)):
            read_json(folder / part / sign)
    tensors = {
        part: [tensor for file in weights(folder / part) for tensor in read_header(file).values()] for part in _WEIGHTED
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
        named = read_json(index).get("weight_map")
        if not isinstance(named, dict) or not named:
            raise ConfigError(f"{index}: is no index of weights; {AGAIN}")
        files = [folder / name for name in sorted({str(name) for name in named.values()})]
        for file in files:
            if not file.is_file():
                raise ConfigError(f"{file}: is not there, and {index.name} names it; {AGAIN}")
        return files
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ConfigError(f"{folder}: holds no safetensors file; {AGAIN}")
    return files


def alike(one: Path, other: Path) -> bool:
    """Whether two parts are the same weights: the same tensors, and the same bytes at the heart of each of them.

    A tensor that was trained further differs all over, so a sample of each tells; reading 16 GB twice would not do.
    """
    if read_json(one / "config.json") != read_json(other / "config.json"):
        return False
    files = [
        {name: (file, tensor) for file in weights(part) for name, tensor in read_header(file).items()}
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


def _release(folder: Path) -> dict[str, Any]:
    """What `sampan models fetch` wrote about it; nothing for a folder that came otherwise."""
    try:
        return msgspec.json.decode((folder / "release.json").read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
