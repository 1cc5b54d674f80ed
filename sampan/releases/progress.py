"""What whoever waits for gigabytes is shown: bars on a terminal, plain lines elsewhere, events for programs."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from sampan.releases.install import in_words

_EVERY = 10.0  # seconds between two plain lines
_OFTEN = 0.5  # seconds between two events that tell how many bytes there are


class Watch(Protocol):
    """Told of every step, from any thread. Sizes and counts are in bytes."""

    def plan(self, what: str, files: int, size: int) -> None:
        """So much is to be done."""
        ...

    def begin(self, path: str, size: int) -> None: ...

    def advance(self, path: str, count: int) -> None:
        """So many bytes more of a file; less than none where it begins again."""
        ...

    def end(self, path: str) -> None: ...

    def say(self, text: str) -> None:
        """Something that is worth a line."""
        ...


class Silence:
    """Shows nothing."""

    def plan(self, what: str, files: int, size: int) -> None: ...

    def begin(self, path: str, size: int) -> None: ...

    def advance(self, path: str, count: int) -> None: ...

    def end(self, path: str) -> None: ...

    def say(self, text: str) -> None: ...


class Bars:
    """One bar for all and one for each file that is under way, with bytes a second and the time that is left."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._total: TaskID | None = None
        self._tasks: dict[str, TaskID] = {}

    def plan(self, what: str, files: int, size: int) -> None:
        if self._total is not None:
            self._progress.remove_task(self._total)
        self._total = self._progress.add_task(f"[bold]{escape(what)}", total=size)

    def begin(self, path: str, size: int) -> None:
        self._tasks[path] = self._progress.add_task(escape(path), total=size)

    def advance(self, path: str, count: int) -> None:
        for task in (self._tasks.get(path), self._total):
            if task is not None:
                self._progress.advance(task, count)

    def end(self, path: str) -> None:
        task = self._tasks.pop(path, None)
        if task is not None:
            self._progress.remove_task(task)

    def say(self, text: str) -> None:
        self._progress.console.print(escape(text))


class Lines:
    """A line for every file that is there, and every ten seconds one that says how far it is."""

    def __init__(self, print: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._print = print
        self._clock = clock
        self._lock = threading.Lock()
        self._files = self._size = self._ended = self._done = 0
        self._began = self._said = 0.0

    def plan(self, what: str, files: int, size: int) -> None:
        self._files, self._size, self._ended, self._done = files, size, 0, 0
        self._began = self._said = self._clock()
        self._print(f"{what}: {files} files, {in_words(size)}")

    def begin(self, path: str, size: int) -> None: ...

    def advance(self, path: str, count: int) -> None:
        with self._lock:
            self._done += count
            now = self._clock()
            if now - self._said < _EVERY:
                return
            self._said = now
            rate = self._done / (now - self._began)
            left = f", {(self._size - self._done) / rate:.0f} s left" if rate > 0 else ""
            self._print(f"{in_words(self._done)} of {in_words(self._size)}, {in_words(max(0, int(rate)))}/s{left}")

    def end(self, path: str) -> None:
        with self._lock:
            self._ended += 1
            self._print(f"{self._ended} of {self._files}: {path}")

    def say(self, text: str) -> None:
        self._print(text)


class Events:
    """One JSON object a line. `progress` tells the bytes of what was planned that are here: twice a second, and at each
    hundredth of them."""

    def __init__(self, print: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._print = print
        self._clock = clock
        self._lock = threading.Lock()
        self._size = self._done = self._told = 0
        self._said = 0.0

    def plan(self, what: str, files: int, size: int) -> None:
        with self._lock:
            self._size, self._done, self._told, self._said = size, 0, 0, self._clock()
        self._send("plan", what=what, files=files, bytes=size)

    def begin(self, path: str, size: int) -> None:
        self._send("begin", path=path, bytes=size)

    def advance(self, path: str, count: int) -> None:
        with self._lock:
            self._done += count
            now = self._clock()
            if now - self._said < _OFTEN and abs(self._done - self._told) * 100 < self._size:
                return
            self._said, self._told = now, self._done
            self._send("progress", bytes=self._done)

    def end(self, path: str) -> None:
        self._send("end", path=path)

    def say(self, text: str) -> None:
        self._send("note", text=text)

    def _send(self, event: str, **facts: Any) -> None:
        self._print(json.dumps({"event": event, **facts}, ensure_ascii=False))


@contextmanager
def watching(as_json: bool) -> Iterator[Watch]:
    """How the standard streams are served: events on standard output, or else bars or lines on standard error."""
    if as_json:
        yield Events(lambda line: print(line, flush=True))
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines(lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True))
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield Bars(progress)
