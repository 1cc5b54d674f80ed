"""The processes that decode: a bounded number, a bounded queue before them, and a deadline for each job.

A worker that dies may have been killed by somebody else, the kernel out of memory for one, even while it was idle; so
its job is done once more by a fresh one. A file that two workers do not survive, or that makes one hang or answer
nonsense, costs the one call that brought it. A worker is replaced after some jobs, so that what one of them leaks or
broke does not stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Protocol

import msgspec

import sampan
from sampan.errors import Unavailable
from sampan.media.pictures import Unusable
from sampan.media.worker import LENGTH, Done, Job, No, Redrawn, Sheets

ANSWER_LIMIT = 512 * 1024 * 1024  # what a worker may make us hold, in bytes
PROGRAM = (sys.executable, "-P", "-m", "sampan.media.worker")
GAVE_UP = "reading it failed"
TOO_SLOW = "reading it took too long"

_done: msgspec.msgpack.Decoder[Done] = msgspec.msgpack.Decoder(Done)


class Decoder(Protocol):
    """Whoever does jobs: `Crew`, or a fake."""

    async def run(self, job: Job) -> Redrawn | Sheets:
        """Raises `Unusable`, or `Unavailable` where too many wait."""
        ...


class Crew:
    """Up to `size` workers, started when they are needed; `waiting` callers may wait, each job has `seconds`."""

    def __init__(
        self,
        size: int = 2,
        *,
        waiting: int = 64,
        seconds: float = 30.0,
        jobs: int = 200,
        program: tuple[str, ...] = PROGRAM,
    ) -> None:
        """A worker is replaced after `jobs` jobs."""
        self._places = asyncio.Semaphore(size)
        self._limit = waiting
        self._waiting = 0
        self._seconds = seconds
        self._jobs = jobs
        self._program = program
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._closed = False

    @property
    def size(self) -> int:
        """Worker processes that there are."""
        return len(self._all)

    async def run(self, job: Job) -> Redrawn | Sheets:
        """The answer to one job. Raises `Unusable`, or `Unavailable` when the queue is full."""
        if self._places.locked() and self._waiting >= self._limit:
            raise Unavailable("too many documents are waiting to be read; try again in a moment", retry_after=2)
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            done = await self._ask_twice(msgspec.msgpack.encode(job))
        finally:
            self._places.release()
        if isinstance(done, No):
            raise Unusable(done.why)
        return done

    async def aclose(self) -> None:
        """Kill every worker and return once they are gone."""
        self._closed = True
        await asyncio.gather(*[self._drop(worker) for worker in list(self._all)])

    async def _ask_twice(self, frame: bytes) -> Done:
        """Whether a file has killed a worker or somebody else did, a fresh worker finds out."""
        worker = await self._rested() or await self._start()
        with contextlib.suppress(EOFError):
            return await self._ask(frame, worker)
        worker = await self._start()
        try:
            return await self._ask(frame, worker)
        except EOFError:
            raise Unusable(GAVE_UP) from None

    async def _rested(self) -> _Worker | None:
        """One that is idle and alive, if there is one."""
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
            await self._drop(worker)
        return None

    async def _ask(self, frame: bytes, worker: _Worker) -> Done:
        """Raises `Unusable`, and EOFError where the worker died."""
        kept = False
        try:
            async with asyncio.timeout(self._seconds):
                done = await worker.ask(frame)
            kept = worker.asked < self._jobs and not self._closed
            return done
        except TimeoutError:
            raise Unusable(TOO_SLOW) from None
        except msgspec.DecodeError:
            raise Unusable(GAVE_UP) from None
        except OSError as error:
            raise EOFError from error
        finally:
            if kept:
                self._idle.append(worker)
            else:
                await self._drop(worker)

    async def _start(self) -> _Worker:
        if self._closed:
            raise Unavailable("the gateway is stopping; ask again in a moment", should_retry=True)
        process = await asyncio.create_subprocess_exec(
            *self._program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PYTHONPATH": str(Path(sampan.__file__).parent.parent), "PYTHONDONTWRITEBYTECODE": "1"},
            start_new_session=True,  # a Ctrl-C at the terminal is for the gateway, which closes its crew
        )
        worker = _Worker(process)
        self._all.add(worker)
        return worker

    async def _drop(self, worker: _Worker) -> None:
        self._all.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        await worker.kill()


class _Worker:
    """One process and its two pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.asked = 0

    @property
    def alive(self) -> bool:
        """Whether nobody has seen it die."""
        sink = self._process.stdin
        return self._process.returncode is None and sink is not None and not sink.is_closing()

    async def ask(self, frame: bytes) -> Done:
        """Raises OSError or EOFError where the process ends, DecodeError where it talks nonsense."""
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None and sink is not None
        self.asked += 1
        if sink.is_closing():  # it has just died; uvloop would call the writing a mistake of ours
            raise EOFError
        sink.write(LENGTH.pack(len(frame)))
        sink.write(frame)
        await sink.drain()
        (size,) = LENGTH.unpack(await source.readexactly(LENGTH.size))
        if size > ANSWER_LIMIT:
            raise EOFError
        return _done.decode(await source.readexactly(size))

    async def kill(self) -> None:
        """Kill it and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
