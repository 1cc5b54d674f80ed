"""`export.json`: which parts a folder holds, the hashes of their files, and how near they come to torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from sampan.errors import ConfigError

Target: TypeAlias = Literal["onnx", "openvino"]

NAME = "export.json"
_FORMAT = 1
_BLOCK = 1 << 20


class ExportError(ConfigError):
    """Something cannot be exported, or an export cannot be used; the message is a sentence for the operator."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a part: its path inside the export, its size in bytes, its hash."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Part:
    """An exported network. The first of `files` is the one to open; `settings` is the checkpoint's own config of it.

    `difference` is the largest absolute difference from torch over a few inputs, `largest` torch's largest output.
    """

    name: str
    files: tuple[File, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    difference: float
    largest: float
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A part that was not exported, and why."""

    part: str
    why: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export is: of which architecture, for what, with which versions of the libraries."""

    to: Target
    architecture: str
    parts: tuple[Part, ...]
    refused: tuple[Refusal, ...]
    versions: dict[str, str]

    def part(self, name: str) -> Part:
        """The part of that name. Raises `ExportError` where there is none, with the reason if it was refused."""
        for part in self.parts:
            if part.name == name:
                return part
        reason = next((f": {refusal.why}" for refusal in self.refused if refusal.part == name), "")
        raise ExportError(f"this export has no part {name!r}{reason}")


def beside(model: Path, to: Target) -> Path:
    """Where the export of a checkpoint is unless another folder is named: next to it, as `<its name>.<to>`.

    Not inside: a release is what was fetched and nothing else, and every file more would be damage to it.
    """
    model = model.resolve()
    return model.with_name(f"{model.name}.{to}")


def hashed(path: Path, root: Path) -> File:
    """A file as the manifest lists it."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return File(path.relative_to(root).as_posix(), path.stat().st_size, digest.hexdigest())


def write(manifest: Manifest, folder: Path) -> None:
    """Writes the manifest into an export's folder."""
    told = {"format": _FORMAT} | asdict(manifest)
    (folder / NAME).write_text(json.dumps(told, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def read(folder: Path) -> Manifest:
    """The manifest of an export. Raises `ExportError` where there is none, or none that can be read."""
    path = folder / NAME
    try:
        told = json.loads(path.read_bytes())
        if told.pop("format") != _FORMAT:
            raise ExportError(f"{path}: format is not {_FORMAT}; export the model again")
        parts = tuple(_part(part) for part in told.pop("parts"))
        refused = tuple(Refusal(**refusal) for refusal in told.pop("refused"))
        return Manifest(**told, parts=parts, refused=refused)
    except FileNotFoundError:
        raise ExportError(f"{folder} holds no export: there is no {NAME}") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ExportError(
            f"{path} is no manifest of an export ({type(error).__name__}); export the model again"
        ) from None


def verify(part: Part, folder: Path) -> None:
    """Raises `ExportError` for a file of a part that is missing or is not what was written."""
    for file in part.files:
        path = folder / file.path
        if not path.is_file():
            raise ExportError(f"{path} is missing; export the model again")
        if hashed(path, folder) != file:
            raise ExportError(f"{path} is damaged: its SHA-256 is not the one in {NAME}; export the model again")


def _part(told: dict[str, Any]) -> Part:
    files = tuple(File(**file) for file in told.pop("files"))
    for file in files:  # the manifest may come from elsewhere: no path leads out of the folder
        if Path(file.path).is_absolute() or ".." in Path(file.path).parts:
            raise ValueError(file.path)
    return Part(**told | {"files": files, "inputs": tuple(told["inputs"]), "outputs": tuple(told["outputs"])})
