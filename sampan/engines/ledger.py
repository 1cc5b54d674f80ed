"""The ledger: several engine processes agree on one accelerator's memory before they load, not by crashing after it.

A folder holds a file for each device: who has claimed how many bytes. A process claims before it loads and holds the
claim while it lives; an entry of a process that has died counts no more. Every look and every change happens under one
lock of the device (flock(2)), which the kernel lets go with the process that held it, and a change is one rename, so
that a process killed in the middle leaves either the old page or the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, TypeAlias

import msgspec

from sampan.errors import ConfigError

GIB = 2**30
_HEADROOM = 512 * 2**20  # bytes that stay free: each process's own context on the device takes some


class Memory(NamedTuple):
    """Bytes of a device, and what it is called wherever it is seen from: two processes may both call theirs cuda:0."""

    free: int
    total: int
    identity: str = ""


Measure: TypeAlias = Callable[[str], Memory]
Born: TypeAlias = Callable[[int], int | None]
"""When a process was born, in the kernel's ticks; None where there is none of that number."""


class Entry(msgspec.Struct, frozen=True):
    """One claim. `born` tells a process from a later one of the same number."""

    pid: int
    born: int
    name: str
    bytes: int
    ticket: int


def measure_cuda(device: str) -> Memory:
    """The memory of a CUDA device, whoever uses it."""
    import torch

    free, total = torch.cuda.mem_get_info(device)
    return Memory(int(free), int(total), f"cuda-{torch.cuda.get_device_properties(device).uuid}")


def born(pid: int) -> int | None:
    """When a process was born, from proc(5) where there is one, else 0 for any that lives; a zombie is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19])
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    except OSError:
        return None  # it ended while we read
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return 0
    return 0


class Ledger:
    """The claims on the devices of this machine, as `folder` has them. Any number of processes may open the same."""

    def __init__(self, folder: Path, *, measure: Measure = measure_cuda, born: Born = born) -> None:
        self._folder = folder
        self._measure = measure
        self._born = born

    def claim(self, device: str, name: str, size: int) -> Claim:
        """Claims `size` bytes of `device` for this process, until the claim is left or the process ends.

        Raises `ConfigError` with the numbers, and who holds what, where they are not there: somebody asks again later.
        """
        with self._page(device) as page:
            entries = page.read()
            memory = self._measure(device)
            lack = shortage(entries, size, memory.free, memory.total)
            if lack:
                raise ConfigError(f"{name} does not fit on {device}: {lack}")
            ticket = 1 + max((entry.ticket for entry in entries), default=0)
            pid = os.getpid()
            entry = Entry(pid, self._born(pid) or 0, name, size, ticket)
            page.write([*entries, entry])
        return Claim(self, device, entry)

    def entries(self, device: str) -> list[Entry]:
        """The claims of living processes, oldest first."""
        with self._page(device) as page:
            return page.read()

    def _drop(self, device: str, entry: Entry) -> None:
        with self._page(device) as page:
            page.write([other for other in page.read() if other != entry])

    @contextlib.contextmanager
    def _page(self, device: str) -> Iterator[_Page]:
        name = re.sub(r"[^A-Za-z0-9]+", "-", self._measure(device).identity or device).strip("-")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(f"ledger: {self._folder} cannot be written ({error.strerror})") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield _Page(self._folder / f"{name}.json", self._born)
        finally:
            os.close(lock)


class _Page:
    """One device's file, its lock held."""

    def __init__(self, file: Path, born: Born) -> None:
        self._file = file
        self._born = born

    def read(self) -> list[Entry]:
        try:
            entries = msgspec.json.decode(self._file.read_bytes(), type=list[Entry])
        except FileNotFoundError:
            return []
        except (msgspec.DecodeError, OSError) as error:
            raise ConfigError(
                f"ledger: {self._file} cannot be read ({error}); remove it while no engine runs"
            ) from None
        return [entry for entry in entries if self._born(entry.pid) == entry.born]

    def write(self, entries: Sequence[Entry]) -> None:
        draft = self._file.with_suffix(".draft")
        try:
            draft.write_bytes(msgspec.json.encode(entries))
            os.replace(draft, self._file)
        except OSError as error:
            raise ConfigError(f"ledger: {self._file} cannot be written ({error.strerror})") from None


class Claim:
    """Bytes of a device that are ours. Leave it once what they are for is gone; a process that ends leaves all."""

    def __init__(self, ledger: Ledger, device: str, entry: Entry) -> None:
        self._ledger = ledger
        self._entry: Entry | None = entry
        self.device = device
        self.size = entry.bytes

    def leave(self) -> None:
        """Gives the bytes back; a second time does nothing."""
        entry, self._entry = self._entry, None
        if entry is not None:
            self._ledger._drop(self.device, entry)

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()


def shortage(entries: Sequence[Entry], size: int, free: int, total: int) -> str:
    """Why `size` more bytes do not fit, in words; empty where they do.

    Claims count in full, loaded or not. What is taken on the device beyond all claims belongs to programs that know
    nothing of this ledger, and counts too.
    """
    claimed = sum(entry.bytes for entry in entries)
    strangers = max(0, total - free - claimed)
    room = total - _headroom(total) - claimed - strangers
    if size <= room:
        return ""
    holders = [f"{entry.name} {gib(entry.bytes)} (process {entry.pid})" for entry in entries]
    if strangers > _headroom(total):
        holders.append(f"programs outside the ledger {gib(strangers)}")
    held = ", ".join(holders) or "nobody else"
    return f"it needs {gib(size)}, and of {gib(total)} there are {gib(max(0, room))} left; held by {held}"


def _headroom(total: int) -> int:
    return min(_HEADROOM, total // 16)


def gib(size: int) -> str:
    """A size for a reader."""
    return f"{size / GIB:.1f} GiB" if size >= GIB // 10 else f"{size / 2**20:.1f} MiB"
