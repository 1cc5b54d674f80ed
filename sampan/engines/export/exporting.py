"""Exports a checkpoint: every part that can be, into a folder that is there whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

from sampan.engines.export import manifest, painting, talking
from sampan.engines.export.converting import convert, reconvert, versions
from sampan.engines.export.manifest import ExportError, Manifest, Part, Refusal, Target

Say: TypeAlias = Callable[[str], None]
Make: TypeAlias = Callable[[Path], Part]


def export(model: Path, to: Target, into: Path, *, only: Sequence[str] = (), say: Say = print) -> Manifest:
    """Exports the checkpoint in the folder `model` into the folder `into` and returns the manifest.

    `model` may also be an earlier export to ONNX, to make one for OpenVINO of it in seconds.
    `only` names the parts that are wanted (none: all there are); `say` is told of each. A folder that holds an earlier
    export is replaced. Raises `ExportError` when nothing could be exported, or nothing may be written there.
    """
    if (model / manifest.NAME).is_file():
        architecture, parts, never = _earlier(model, to)
    else:
        architecture, parts, never = _parts(model, to)
    unknown = [name for name in only if name not in {*parts, *never}]
    if unknown:
        raise ExportError(f"a {architecture} has no part {unknown[0]!r}; there are {', '.join([*parts, *never])}")
    if into.exists() and not (into / manifest.NAME).is_file() and (not into.is_dir() or any(into.iterdir())):
        raise ExportError(f"{into} is there and is no export; name another folder")
    draft = into.parent / f".{into.name}-{uuid4().hex}"
    draft.mkdir(parents=True)
    try:
        made: list[Part] = []
        refused = [Refusal(name, why) for name, why in never.items() if not only or name in only]
        for name, make in parts.items():
            if not only or name in only:
                _attempt(name, make, draft, made, refused)
        for part in made:
            size = sum(file.size for file in part.files)
            say(f"{part.name}: {size / 1e6:.1f} MB, differs from torch by {part.difference:.1e} of {part.largest:.3g}")
        for refusal in refused:
            say(f"{refusal.part}: not exported, {refusal.why}")
        if not made:
            raise ExportError(f"nothing of {model.name} was exported: " + "; ".join(r.why for r in refused))
        told = Manifest(to, architecture, tuple(made), tuple(refused), versions(to))
        manifest.write(told, draft)
        shutil.rmtree(into, ignore_errors=True)
        os.rename(draft, into)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return told


def _attempt(name: str, make: Make, into: Path, made: list[Part], refused: list[Refusal]) -> None:
    """Exports one part, or notes why not and leaves nothing of it."""
    try:
        made.append(make(into))
    except ExportError as error:
        refused.append(Refusal(name, str(error)))
        for left in into.glob(f"{name}.*"):
            left.unlink()


def _parts(model: Path, to: Target) -> tuple[str, Mapping[str, Make], Mapping[str, str]]:
    """The architecture of a checkpoint, how each of its parts is made, and which are not tried and why."""
    room: Any = talking
    if (model / "model_index.json").is_file():
        room = painting
        architecture = _told(model / "model_index.json").get("_class_name") or "unknown"
        if not architecture.startswith("QwenImage") or architecture.startswith("QwenImage21"):
            raise ExportError(f"a pipeline of class {architecture} cannot be exported; those of Qwen-Image can")
    elif (model / "config.json").is_file():
        architecture = _told(model / "config.json").get("model_type") or "unknown"
    else:
        raise ExportError(f"{model} is no checkpoint: it has neither model_index.json nor config.json")

    def make(drafter: Callable[[Path], Any], into: Path) -> Part:
        with drafter(model) as draft:
            return convert(draft, to, into)

    return architecture, {name: partial(make, drafter) for name, drafter in room.PARTS.items()}, room.REFUSED


def _earlier(model: Path, to: Target) -> tuple[str, Mapping[str, Make], Mapping[str, str]]:
    """The same of an earlier export: its parts, turned over."""
    told = manifest.read(model)
    if (told.to, to) != ("onnx", "openvino"):
        raise ExportError(f"{model} is an export to {told.to}; only one to onnx can be turned, and only to openvino")
    for part in told.parts:
        manifest.verify(part, model)
    refused = {refusal.part: refusal.why for refusal in told.refused}
    return told.architecture, {part.name: partial(reconvert, part, model) for part in told.parts}, refused


def _told(path: Path) -> dict[str, str]:
    try:
        told = json.loads(path.read_bytes())
    except ValueError:
        raise ExportError(f"{path} is not JSON") from None
    return told if isinstance(told, dict) else {}
