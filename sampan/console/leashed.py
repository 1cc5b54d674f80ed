"""A program of ours that the gateway starts for somebody at the console, and that ends when the gateway does.

It runs on the leash of engines (`sampan.engines.leash`): its standard input is a pipe that only this process holds, so
that whatever kills the gateway, SIGKILL included, ends the program and all that it started.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from sampan.errors import CallError

LINE = 8 << 20  # bytes: the first line of a drill names all its scenes
KEPT = 20  # last lines of standard error that are kept
NICE = 10
GRACE = 20.0  # seconds that it has to end by itself; a drill gives its gateway ten of them
HIDDEN = ("SAMPAN_ADMIN_KEY", "SAMPAN_CONFIG")
"""Variables of the gateway's own that are none of its program's business."""


class Leashed:
    """One run of `python -m …`. What it prints is read as JSON, a line each."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._said: deque[str] = deque(maxlen=KEPT)
        self._listening = asyncio.create_task(self._listen())
        self.stopped = False
        """Whether it was asked to end."""

    @property
    def last_words(self) -> str:
        """The last line of its standard error, without the name of the program."""
        return self._said[-1].removeprefix("sampan: ") if self._said else ""

    async def events(self) -> AsyncIterator[Mapping[str, Any]]:
        """What it tells, until it tells no more; a line that is no JSON object is left out."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            with suppress(msgspec.MsgspecError):
                yield msgspec.json.decode(line, type=dict[str, Any])

    async def ended(self) -> int:
        """Its exit status, once it has ended; 128 + N where signal N ended it."""
        status = await self._process.wait()
        await self._listening
        return status

    def stop(self) -> None:
        """Asks it to end; the leash kills it where it does not."""
        self.stopped = True
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            if said := line.decode("utf-8", "replace").strip():
                self._said.append(said)


async def start(words: Sequence[str], environ: Mapping[str, str]) -> Leashed:
    """Runs `python -m WORDS`. Raises `CallError` where no process can be started."""
    env = {name: value for name, value in environ.items() if name not in HIDDEN}
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "sampan.engines.leash", "--grace", str(GRACE), "--"),
            *(sys.executable, "-m", *words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=env | {"PYTHONUNBUFFERED": "1"},
            limit=LINE,
        )
    except OSError as error:
        raise CallError(f"no process can be started: {error.strerror}") from None
    with suppress(OSError):  # calls come first; what it starts inherits that
        os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
    return Leashed(process)
