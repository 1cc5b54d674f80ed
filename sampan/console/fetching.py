"""Fetches that somebody at the console asked for: `sampan models fetch --json`, each in a process of its own.

What has arrived stays whatever ends one, and the same fetch goes on with it: one that was stopped is gone on with by
asking for it again.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from sampan.console import leashed
from sampan.errors import CallError, ConfigError, InvalidRequest, NotFound
from sampan.releases.names import check_name, check_revision

SOURCES = ("huggingface", "modelscope")
"""No folder: whoever runs the gateway from a browser does not read the disk of its machine."""
TOGETHER = 3
MEMORY = 30  # fetches that are told of
SAID = 8  # last notes of one
PATTERNS, LONGEST = 20, 200
WINDOW = 10.0  # seconds over which a rate is measured
log = logging.getLogger("sampan.console")


class Wish(msgspec.Struct, frozen=True):
    """What to fetch. `include` and `exclude` are patterns of paths."""

    name: str
    revision: str = ""
    source: str = "huggingface"
    include: list[str] = []
    exclude: list[str] = []


class Fetch:
    """One of them, and how far it is."""

    def __init__(self, wish: Wish, by: str, clock: Callable[[], float], now: float) -> None:
        self.id = f"fetch_{secrets.token_hex(8)}"
        self.wish = wish
        self.process: leashed.Leashed | None = None
        self.stopped = False
        self._clock = clock
        self._facts: dict[str, Any] = {"state": "running", "by": by, "started": now, "ended": None}
        self._facts |= {"pinned": "", "files": 0, "files_done": 0, "bytes": 0, "bytes_done": 0, "error": ""}
        self._notes: deque[str] = deque(maxlen=SAID)
        self._seen: deque[tuple[float, int]] = deque([(clock(), 0)])

    @property
    def running(self) -> bool:
        return bool(self._facts["state"] == "running")

    def hear(self, event: Mapping[str, Any]) -> None:
        """One line of the verb."""
        facts = self._facts
        match event.get("event"):
            case "plan":
                facts |= {"files": event["files"], "bytes": event["bytes"], "files_done": 0, "bytes_done": 0}
                self._seen = deque([(self._clock(), 0)])
            case "progress":
                facts["bytes_done"] = event["bytes"]
                self._note(event["bytes"])
            case "end":
                facts["files_done"] += 1
            case "note":
                self._notes.append(event["text"])
            case "whole":
                facts |= {"pinned": event["revision"], "bytes_done": facts["bytes"], "files_done": facts["files"]}

    def _note(self, done: int) -> None:
        now = self._clock()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > WINDOW:
            self._seen.popleft()

    @property
    def rate(self) -> float:
        """Bytes a second of late."""
        (begin, before), (_, done) = self._seen[0], self._seen[-1]
        seconds = self._clock() - begin
        return max(0.0, (done - before) / seconds) if seconds > 0 else 0.0

    def end(self, state: str, error: str, now: float) -> None:
        self._facts |= {"state": state, "error": error, "ended": now}

    def told(self) -> dict[str, Any]:
        """As the pages show it; `rate` in bytes a second, times in Unix seconds."""
        wish = msgspec.structs.asdict(self.wish)
        rate = round(self.rate) if self.running else 0
        return {"id": self.id, **wish, **self._facts, "rate": rate, "said": list(self._notes)}


class Fetches:
    """All of them, the newest first. `path` is the configuration's file; None for the embedded defaults."""

    def __init__(
        self,
        path: Path | None,
        environ: Mapping[str, str],
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._environ = environ
        self._wall = wall
        self._clock = clock
        self._fetches: deque[Fetch] = deque(maxlen=MEMORY)
        self._tasks: set[asyncio.Task[None]] = set()

    def told(self) -> list[dict[str, Any]]:
        return [fetch.told() for fetch in self._fetches]

    @property
    def busy(self) -> bool:
        return any(fetch.running for fetch in self._fetches)

    async def begin(self, wish: Wish, by: str) -> dict[str, Any]:
        """Raises `InvalidRequest` that names the field."""
        _check(wish)
        running = [fetch for fetch in self._fetches if fetch.running]
        if any(_place(fetch.wish) == _place(wish) for fetch in running):
            raise InvalidRequest(f"name: {wish.name} is being fetched already", param="name")
        if len(running) >= TOGETHER:
            raise InvalidRequest(f"{TOGETHER} models are being fetched: wait for one of them, or stop it")
        fetch = Fetch(wish, by, self._clock, self._wall())
        self._fetches.appendleft(fetch)  # before anything is waited for: the next who asks must see it
        task = asyncio.create_task(self._run(fetch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return fetch.told()

    def stop(self, identifier: str) -> dict[str, Any]:
        """Stops one; what is here of it stays. Raises `NotFound`."""
        for fetch in self._fetches:
            if fetch.id == identifier:
                fetch.stopped = True
                if fetch.process is not None:
                    fetch.process.stop()
                return fetch.told()
        raise NotFound(f"there is no fetch {identifier[:100]!r}")

    async def aclose(self) -> None:
        """Stops all, and waits until they have ended."""
        for fetch in self._fetches:
            if fetch.running:
                self.stop(fetch.id)
        await asyncio.gather(*self._tasks)

    async def _run(self, fetch: Fetch) -> None:
        state, error = "failed", "a mistake of ours; the server's log has it"
        try:
            state, error = await self._follow(fetch)
        except CallError as failure:
            error = failure.message
        except Exception:
            log.exception("a fetch ended by a mistake of ours")
        finally:
            fetch.end(state, error, self._wall())

    async def _follow(self, fetch: Fetch) -> tuple[str, str]:
        fetch.process = process = await leashed.start(_words(fetch.wish, self._path), self._environ)
        if fetch.stopped:  # meanwhile
            process.stop()
        async for event in process.events():
            fetch.hear(event)
        status = await process.ended()
        if process.stopped and status:
            return "stopped", ""
        return ("failed", process.last_words) if status else ("done", "")


def _place(wish: Wish) -> tuple[str, str]:
    return wish.name, wish.revision


def _words(wish: Wish, path: Path | None) -> Sequence[str]:
    """Values stand behind `=`: one that begins with a dash is no option."""
    options = [f"--from={wish.source}", "--json"]
    options += [f"--revision={wish.revision}"] if wish.revision else []
    options += [f"--include={each}" for each in wish.include] + [f"--exclude={each}" for each in wish.exclude]
    options += [f"--config={path}"] if path else []
    return ("sampan", "models", "fetch", wish.name, *options)


def _check(wish: Wish) -> None:
    try:
        check_name(wish.name)
    except ConfigError as error:
        raise InvalidRequest(f"name: {error}", param="name") from None
    try:
        check_revision(wish.revision or "main")
    except ConfigError as error:
        raise InvalidRequest(f"revision: {error}", param="revision") from None
    if wish.source not in SOURCES:
        raise InvalidRequest(f"source: must be one of {', '.join(SOURCES)}", param="source")
    for field in ("include", "exclude"):
        patterns: list[str] = getattr(wish, field)
        if len(patterns) > PATTERNS:
            raise InvalidRequest(f"{field}: {PATTERNS} patterns at most", param=field)
        if not all(each and len(each) <= LONGEST and each.isprintable() for each in patterns):
            raise InvalidRequest(f"{field}: each is 1 to {LONGEST} printable characters", param=field)
