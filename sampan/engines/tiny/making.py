"""Makes tiny checkpoints by kind, each whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

from sampan.engines.tiny.painters import PAINTERS
from sampan.engines.tiny.talkers import TALKERS, make_talker

Maker: TypeAlias = Callable[[Path, int], None]

_MARK = ".whole"
_EDITION = "1"  # of what is written: another edition's checkpoints are made anew

KINDS: Mapping[str, Maker] = {**{kind: partial(make_talker, kind) for kind in TALKERS}, **PAINTERS}


def is_whole(folder: Path, seed: int = 0) -> bool:
    """Whether a folder holds a checkpoint that was written to its end, by this edition, from this seed."""
    mark = folder / _MARK
    return mark.is_file() and mark.read_text() == _mark(seed)


def make(kind: str, into: Path, seed: int = 0) -> Path:
    """Makes the checkpoint `into/<kind>` and returns that folder; one that is whole already is left as it is.

    It is written beside its place and moved there when it is whole, so nobody sees half of one. Two makers at once
    both write and one's is kept: the files are the same. Raises `ValueError` for a kind that is none of `KINDS`.
    """
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is unknown; there are {', '.join(KINDS)}")
    folder = into / kind
    if is_whole(folder, seed):
        return folder
    into.mkdir(parents=True, exist_ok=True)
    draft = into / f".{kind}-{uuid4().hex}"
    try:
        draft.mkdir()
        KINDS[kind](draft, seed)
        (draft / _MARK).write_text(_mark(seed))
        shutil.rmtree(folder, ignore_errors=True)
        try:
            os.rename(draft, folder)
        except OSError:  # another maker was faster
            if not is_whole(folder, seed):
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _mark(seed: int) -> str:
    return f"edition {_EDITION}, seed {seed}\n"
