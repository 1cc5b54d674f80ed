"""A program in the place of one of ours: `python -m words`, found in a folder of the test's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def program(folder: Path, name: str, source: str) -> Mapping[str, str]:
    """Writes the module NAME (dots are packages), and returns the environment in which `python -m` finds it first.

    What stands below packages of ours is found by them no more: a whole name has to be one's own.
    """
    path = folder / "programs" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return {**os.environ, "PYTHONPATH": f"{path.parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
