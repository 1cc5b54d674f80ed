"""Exports of tiny checkpoints for tests: once per machine, for they take a minute each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tiny_models import shared, tiny

from sampan.engines.export.__main__ import main


def exported_painter() -> Path:
    """A folder with `model` and its exports; its transformer is cut to one block, for each costs ten seconds."""
    return shared("export-of-qwen-image", "export", build_picture)


def exported_talker() -> Path:
    """The same of a language model."""
    return shared("export-of-qwen3-vl", "export", build_text)


def build_picture(into: Path) -> None:
    """A checkpoint whose transformer is cut to one block (each costs the exporter ten seconds), and its exports."""
    shutil.copytree(tiny("qwen-image"), into / "model")
    alter(into / "model" / "transformer" / "config.json", num_layers=1)
    build_exports(into)


def build_text(into: Path) -> None:
    """The same of a language model."""
    shutil.copytree(tiny("qwen3-vl"), into / "model")
    config = into / "model" / "config.json"
    alter(config, text_config=json.loads(config.read_text())["text_config"] | {"num_hidden_layers": 1})
    build_exports(into)


def build_exports(into: Path) -> None:
    main([str(into / "model"), "--to", "onnx"])
    main([str(into / "model.onnx"), "--to", "openvino", "--into", str(into / "model.openvino")])


def alter(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
