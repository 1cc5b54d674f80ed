"""A data folder whose disk can be full: a small filesystem of its own where the system lets us mount one, else a limit.

mount   a tmpfs in a mount namespace of the gateway's own: as root, or where users may have namespaces. It is gone
        with the last process in it
limit   no file of the gateway can grow beyond a few bytes (RLIMIT_FSIZE), so that each write fails
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from chaos_births import Nursery, Reborn
from gateway import SOON, Gateway

MEBIBYTE = 1 << 20
SIZE = 16 * MEBIBYTE  # twice the spool
LIMIT = 65_536  # bytes; less than the database has at its start, more than the log


class Disk(Protocol):
    """Where a gateway keeps its data."""

    def fill(self) -> None: ...

    def free(self) -> None: ...


class Limited:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def fill(self) -> None:
        assert (self._gateway.data / "sampan.db-wal").stat().st_size > LIMIT
        self._set(LIMIT)

    def free(self) -> None:
        if self._gateway.process.poll() is None:
            self._set(resource.RLIM_INFINITY)

    def _set(self, soft: int) -> None:
        hard = resource.prlimit(self._gateway.pid, resource.RLIMIT_FSIZE)[1]
        limit = hard if soft == resource.RLIM_INFINITY else soft
        resource.prlimit(self._gateway.pid, resource.RLIMIT_FSIZE, (limit, hard))


class Mounted:
    def __init__(self, data: Path) -> None:
        self._data = data
        self._ballast = data / "ballast"

    def fill(self) -> None:
        """To the last byte."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (MEBIBYTE, 4096):
                while _fits(file.fileno(), size):
                    pass
        assert os.statvfs(self._data).f_bavail == 0

    def free(self) -> None:
        self._ballast.unlink()


def _fits(handle: int, size: int) -> bool:
    try:
        return os.write(handle, bytes(size)) > 0
    except OSError:
        return False


def _namespace() -> tuple[str, ...]:
    """The options for a mount namespace of one's own, or none where that is not allowed."""
    for options in (("--mount",), ("--mount", "--map-root-user")):
        trial = ["unshare", *options, "mount", "-t", "tmpfs", "none", "/mnt"]
        try:
            if subprocess.run(trial, capture_output=True, check=False).returncode == 0:
                return options
        except FileNotFoundError:
            return ()
    return ()


WAYS = ("mount", "limit") if _namespace() else ("limit",)


@dataclass(frozen=True)
class Place:
    """A gateway that is ready, and the disk that it has its data on."""

    gateway: Gateway
    disk: Disk
    scribe: Nursery

    def records(self) -> list[str]:
        """The ids of all records, in their order; by `audit export`, which may run beside a gateway."""
        told = self.scribe.bear(["audit", "export", "--config", str(self.gateway.path)], self.gateway.errors)
        with told.stdout:
            ids = [json.loads(line)["id"] for line in told.stdout]
        assert told.wait(SOON) == 0
        return ids


@contextmanager
def small_disk(way: str, folder: Path, config: str) -> Iterator[Place]:
    """`way` is one of `WAYS`."""
    if way == "limit":
        with Nursery() as nursery, Reborn(nursery, folder, config) as gateway, Nursery() as scribe:
            yield Place(gateway, Limited(gateway), scribe)
        return
    data = folder / "data"
    data.mkdir()
    options = _namespace()
    mounts = f'mount -t tmpfs -o size={SIZE} none "{data}" && exec "$@"'
    with Nursery(("unshare", *options, "sh", "-c", mounts, "sh")) as nursery:
        enter = (
            "nsenter",
            f"--target={nursery.pid}",
            "--mount",
            *(["--user", "--preserve-credentials"] if len(options) > 1 else []),
        )
        with Nursery(enter) as scribe, Reborn(nursery, folder, config) as gateway:
            yield Place(gateway, Mounted(Path(f"/proc/{nursery.pid}/root{data}")), scribe)
