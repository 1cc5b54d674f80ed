"""Drills that somebody at the console starts: `sampan drill` of the gateway's own configuration, one at a time.

It is a process of its own, with a gateway, a folder and stand-ins of its own: this one's calls, data and clouds are not
touched. What came of the last two is kept in the data folder: `drill/last` and `drill/before`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sampan.console import leashed
from sampan.core import Operation
from sampan.drill.orders import VARIABLE, Orders, Watching
from sampan.drill.phrases import PHRASES, PROMISES
from sampan.drill.troubles import TROUBLES, chosen
from sampan.errors import CallError, ConfigError, InvalidRequest, NotFound
from sampan.storage.db import make_folder

log = logging.getLogger("sampan.console")

FOLDER, NEW, LAST, BEFORE = "drill", "new", "last", "before"
FACTS, CARD, PAGE = "run.json", "drill.json", "drill.html"
TOGETHER = 8  # scenes at once: the gateway that answers people runs beside it
BROKEN = 1  # exit status of a drill that found a broken promise


@dataclass(frozen=True, slots=True)
class Kept:
    """What came of a drill and is on the disk: who ran it and when, and the scorecard without its single calls."""

    facts: Mapping[str, Any]
    card: Mapping[str, Any]


class Rehearsals:
    """All drills of one gateway. `path` is the configuration's file; None for the embedded defaults."""

    def __init__(
        self, data: Path, path: Path | None, environ: Mapping[str, str], wall: Callable[[], float] = time.time
    ) -> None:
        self._folder = data / FOLDER
        self._path = path
        self._environ = environ
        self._wall = wall
        self._now: dict[str, Any] = {"state": "never"}
        self._scenes: dict[int, dict[str, Any]] = {}
        self._process: leashed.Leashed | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    # What there is.

    @property
    def running(self) -> bool:
        """Whether one goes on."""
        return self._task is not None and not self._task.done()

    def told(self) -> dict[str, Any]:
        """The one that goes on, or the last since the start: its scenes, and how each ended."""
        if self._now["state"] == "never":
            return dict(self._now)
        scenes = list(self._scenes.values())
        done = sum(scene["state"] in ("kept", "broken") for scene in scenes)
        return {**self._now, "now": self._wall(), "done": done, "total": len(scenes), "scenes": scenes}

    def kept(self) -> list[Kept]:
        """The last drill that came to its end, and the one before it. Blocks."""
        found = (_read(self._folder / name) for name in (LAST, BEFORE))
        return [each for each in found if each is not None]

    def file(self, name: str, which: str = LAST) -> bytes:
        """`drill.html` or `drill.json` of the last one, or the one before. Blocks. Raises `NotFound`."""
        try:
            return (self._folder / which / name).read_bytes()
        except OSError:
            raise NotFound("no drill has come to its end here yet") from None

    # What is done.

    def begin(self, only: Sequence[str], operation: str, language: str, by: str) -> dict[str, Any]:
        """Starts one. Raises `InvalidRequest` that names the field, also while one goes on."""
        orders = self._orders(only, operation, language)
        if self.running:
            raise InvalidRequest("a drill goes on: wait for its end, or stop it")
        self._now = {"state": "running", "started": self._wall(), "ended": None, "by": by, "error": ""}
        self._now |= {"only": list(orders.only), "operation": operation}
        self._scenes = {}
        self._stopped = False
        self._task = asyncio.create_task(self._run(orders))
        return self.told()

    def _orders(self, only: Sequence[str], operation: str, language: str) -> Orders:
        try:
            named = [trouble.name for trouble in chosen(only)] if only else []
        except ConfigError as error:
            raise InvalidRequest(f"only: {str(error)[:300]}", param="only") from None
        operations = [each.value for each in Operation]
        if operation and operation not in operations:
            raise InvalidRequest(f"operation: must be one of {', '.join(operations)}", param="operation")
        if language not in PHRASES:
            raise InvalidRequest(f"language: must be one of {', '.join(PHRASES)}", param="language")
        return Orders(
            config=str(self._path or ""),
            only=named,
            operation=[operation] if operation else [],
            out=str(self._folder / NEW),
            lang=language,
            together=TOGETHER,
            progress=Watching.JSON,
        )

    def stop(self) -> dict[str, Any]:
        """Stops the one that goes on, with all that it started; without one nothing happens."""
        if self.running:
            self._stopped = True
            if self._process is not None:
                self._process.stop()
        return self.told()

    async def aclose(self) -> None:
        """Stops it, and waits until it has ended."""
        self.stop()
        if self._task is not None:
            await asyncio.wait((self._task,))

    async def _run(self, orders: Orders) -> None:
        state, error = "failed", "a mistake of ours; the server's log has it"
        try:
            state, error = await self._play(orders)
        except (OSError, CallError) as failure:
            error = str(failure)
        except Exception:
            log.exception("a drill ended by a mistake of ours")
        finally:
            self._process = None
            self._now |= {"state": state, "error": error, "ended": self._wall()}

    async def _play(self, orders: Orders) -> tuple[str, str]:
        await asyncio.to_thread(self._make_room)
        environ = {**self._environ, VARIABLE: msgspec.json.encode(orders).decode()}
        self._process = process = await leashed.start(["sampan.drill"], environ)
        if self._stopped:  # meanwhile
            process.stop()
        async for event in process.events():
            self._hear(event)
        status = await process.ended()
        if self._stopped and status:
            return "stopped", ""
        if status not in (0, BROKEN) or not (Path(orders.out) / CARD).is_file():
            return "failed", process.last_words or "it ended without a scorecard"
        facts = {name: self._now[name] for name in ("started", "by", "only", "operation")}
        await asyncio.to_thread(self._keep, {**facts, "ended": self._wall()})
        return "done", ""

    def _hear(self, event: Mapping[str, Any]) -> None:
        match event.get("event"):
            case "plan":
                self._scenes = {scene["number"]: {**scene, "state": "waiting"} for scene in event["scenes"]}
            case "begin":
                self._scenes[event["scene"]]["state"] = "playing"
            case "end":
                self._scenes[event["scene"]]["state"] = "kept" if event["kept"] else "broken"

    def _make_room(self) -> None:
        make_folder(self._folder)
        shutil.rmtree(self._folder / NEW, ignore_errors=True)
        make_folder(self._folder / NEW)

    def _keep(self, facts: Mapping[str, Any]) -> None:
        (self._folder / NEW / FACTS).write_bytes(msgspec.json.encode(facts))
        shutil.rmtree(self._folder / BEFORE, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            (self._folder / LAST).rename(self._folder / BEFORE)
        (self._folder / NEW).rename(self._folder / LAST)


def catalogue() -> dict[str, Any]:
    """Every fault in the order in which an answer comes about, and every promise, in both languages."""
    faults = [
        {
            "name": trouble.name,
            "when": trouble.when.value,
            "zh": trouble.zh,
            "en": trouble.en,
            "faults": [fault.value for fault in trouble.faults],
            "counts": trouble.counts,
            "streams_only": trouble.streams == (True,),
        }
        for trouble in TROUBLES
    ]
    moments = [
        {"name": name, **{language: PHRASES[language][name] for language in ("zh", "en")}}
        for name in dict.fromkeys(trouble.when.value for trouble in TROUBLES)
    ]
    promises = [
        {"name": promise.value, "zh": PROMISES["zh"][promise], "en": told} for promise, told in PROMISES["en"].items()
    ]
    operations = [each.value for each in Operation]
    return {"faults": faults, "moments": moments, "promises": promises, "operations": operations}


def _read(folder: Path) -> Kept | None:
    """None where there is nothing, or nothing that can be read."""
    try:
        facts = msgspec.json.decode((folder / FACTS).read_bytes(), type=dict[str, Any])
        card = msgspec.json.decode((folder / CARD).read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError):
        return None
    scenes = [{name: value for name, value in scene.items() if name != "calls"} for scene in card.get("scenes", ())]
    return Kept(facts, {**card, "scenes": scenes})
