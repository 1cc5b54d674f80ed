"""A wall clock that a test sets, in every process that is started meanwhile: what `time.time` says, and nothing else.

A system's clock that is set leaves its monotonic one alone, and so does this. Processes are told by a `sitecustomize`,
which Python imports before any program; it reads a file that they share with the test.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

HOUR = 3600.0

PROGRAM = """
import mmap, os, struct, time

_now, _now_ns = time.time, time.time_ns
with open(os.environ["CHAOS_CLOCK"], "rb") as file:
    _ahead = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
time.time = lambda: _now() + struct.unpack("d", _ahead)[0]
time.time_ns = lambda: _now_ns() + int(struct.unpack("d", _ahead)[0] * 1e9)
"""


class WallClock:
    """Made before the processes that follow it."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        (folder / "sitecustomize.py").write_text(PROGRAM)
        self._file = folder / "ahead"
        self.set(0.0)
        patch.setenv("PYTHONPATH", str(folder))
        patch.setenv("CHAOS_CLOCK", str(self._file))

    def set(self, ahead: float) -> None:
        """Seconds before or behind the real time."""
        data = struct.pack("d", ahead)
        if self._file.exists():
            with self._file.open("r+b", buffering=0) as file:
                file.write(data)
        else:
            self._file.write_bytes(data)
