"""One gateway for one data folder: a lock that the kernel takes back when the process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sampan.errors import ConfigError
from sampan.storage.db import make_file


def acquire(folder: Path) -> int:
    """The handle that holds the lock until it is closed. Raises `ConfigError` that names the process which has it."""
    path = folder / "lock"
    make_file(path)
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(handle)
        raise ConfigError(
            f"Another gateway (process {holder}) uses the data folder {folder}. Stop it, or choose another folder with "
            "[server] data."
        ) from error
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Holds the lock for the length of the block."""
    handle = acquire(folder)
    try:
        yield
    finally:
        os.close(handle)
