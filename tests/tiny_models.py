"""Tiny checkpoints for tests, and what is made of them at length: once per machine, shared by all who test on it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from sampan.engines.tiny import make

_ROOT = Path(__file__).parents[1]


def tiny(kind: str) -> Path:
    """The folder of a tiny checkpoint of this kind (see `sampan.engines.tiny.KINDS`), made if it is not there.

    Do not write into it; copy it first.
    """
    return shared(kind, "tiny", lambda into: make(kind, into)) / kind


def shared(name: str, room: str, build: Callable[[Path], object]) -> Path:
    """A folder `build/tiny-models/<fingerprint>/<name>` that `build` filled, now or in an earlier run.

    The fingerprint is of the code in `sampan/engines/<room>`, of the makers of tiny checkpoints and of this file:
    changed code makes anew. One process builds, the others wait for it; a build that failed or was killed leaves
    nothing.
    """
    into = _ROOT / "build" / "tiny-models" / _fingerprint({"tiny", room})
    folder = into / name
    if folder.is_dir():
        return folder
    into.mkdir(parents=True, exist_ok=True)
    with (into / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # given back when the file closes, even by a process that is killed
        if not folder.is_dir():
            draft = into / f".{name}-{uuid4().hex}"
            try:
                draft.mkdir()
                build(draft)
                os.rename(draft, folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return folder


def _fingerprint(rooms: set[str]) -> str:
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for room in sorted(rooms):
        for path in sorted((_ROOT / "sampan" / "engines" / room).rglob("*")):
            if path.suffix in {".py", ".jinja", ".txt"} and path.name != "__main__.py":
                digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
