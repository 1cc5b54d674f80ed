"""`python -m sampan.engines.export MODEL_DIR --to onnx|openvino [--into DIR]` exports the parts of a checkpoint."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sampan.engines.export.exporting import export
from sampan.engines.export.manifest import ExportError, beside


def main(arguments: Sequence[str] | None = None) -> None:
    """Exports, with a line for each part; ends the process with status 1 and a sentence when it cannot."""
    parser = argparse.ArgumentParser(prog="python -m sampan.engines.export", description=__doc__)
    parser.add_argument("model", metavar="MODEL_DIR", type=Path, help="the checkpoint's folder, or an export to ONNX")
    parser.add_argument("--to", choices=("onnx", "openvino"), required=True, help="what is to run it")
    parser.add_argument("--into", metavar="DIR", type=Path, help="the folder to write (MODEL_DIR.onnx or .openvino)")
    parser.add_argument("--part", nargs="+", default=(), metavar="NAME", help="only these parts")
    given = parser.parse_args(arguments)
    try:
        export(given.model, given.to, given.into or beside(given.model, given.to), only=given.part)
    except ExportError as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
