"""Engines and the releases of their models, as the console shows them, and what may be done with them.

A promotion is asked for in the database, as the verbs do, and the gateway's promoter takes it up from there.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sampan.config import Config, EngineSettings
from sampan.errors import ConfigError, InvalidRequest, NotFound
from sampan.releases.names import check_name, check_pin
from sampan.releases.standing import check_promotable, has_tags, loads, obstacle, resolve, users
from sampan.releases.store import Release, Store
from sampan.storage.releases import Kind, Promotion, Releases, Stage

READERS = 1  # files that are hashed at once: calls come first
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Process:
    """What runs of an engine: `since` in Unix seconds.

    `share` of the calls (0 to 1), `calls`, `faults` and `last_fault` are those of a candidate.
    """

    release: str
    state: str
    stage: str
    since: float
    restarts: int
    error: str
    line: str
    share: float = 0.0
    calls: int = 0
    faults: int = 0
    last_fault: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """The process that answers for an engine, and the one beside it that is being promoted."""

    stable: Process
    candidate: Process | None = None


class _Stopped(Exception):
    """The gateway ends."""


class Models:
    """Everything below blocks but where it says otherwise. `config` is the one in force."""

    def __init__(
        self,
        config: Callable[[], Config],
        releases: Releases,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._releases = releases
        self._wall = wall
        self._closing = threading.Event()
        self._checking: asyncio.Task[None] | None = None
        self._check: dict[str, Any] = {"state": "never"}

    @property
    def _store(self) -> Store:
        return Store(Path(self._config().server.data))

    # What there is.

    def told(self, running: Mapping[str, Running]) -> dict[str, Any]:
        """Engines, releases and rules. `running` was looked at on the event loop, where it changes."""
        config = self._config()
        store = self._store
        open_ones = {each.engine: each for each in self._releases.open()}
        listed = store.list()
        engines = [
            self._engine(name, engine, store, running.get(name), open_ones.get(name))
            for name, engine in config.engines.items()
        ]
        rules = config.releases
        return {
            "engines": engines,
            "releases": [self._release(each, store, config, running) for each in listed],
            "rules": {"shares": rules.shares, "watch": rules.watch, "faults": rules.faults, "keep": rules.keep},
            "sources": {"huggingface": rules.huggingface, "modelscope": rules.modelscope},
            "disk": _disk(store.folder),
            "check": dict(self._check),
        }

    def _engine(
        self, name: str, engine: EngineSettings, store: Store, running: Running | None, work: Promotion | None
    ) -> dict[str, Any]:
        pin = self._releases.pinned(name, engine.revision)
        hindered = obstacle(engine)
        last = next(iter(self._releases.history(name, 1)), None)
        return {
            "name": name,
            "kind": engine.kind,
            "model": engine.model,
            "url": engine.url,
            "obstacle": hindered.value if hindered else "",
            "tags": has_tags(engine),
            "next": loads(store, engine, pin.revision if pin else ""),
            "previous": pin.previous if pin else "",
            "configured": engine.revision,
            "stable": asdict(running.stable) if running else None,
            "candidate": asdict(running.candidate) if running and running.candidate else None,
            "work": _promotion(work) if work else None,
            "last": _promotion(last) if last and last.ended else None,
        }

    def _release(
        self, release: Release, store: Store, config: Config, running: Mapping[str, Running]
    ) -> dict[str, Any]:
        facts = release.facts
        return {
            "id": f"{release.folder.parent.name}@{release.revision}",
            "name": release.name,
            "revision": release.revision,
            "asked": facts.asked,
            "source": facts.source,
            "licence": facts.licence,
            "fetched": facts.fetched,
            "whole": facts.whole,
            "files": len(facts.files),
            "bytes": release.size,
            "used_by": self._used(release, store, config, running),
        }

    def _used(self, release: Release, store: Store, config: Config, running: Mapping[str, Running]) -> list[str]:
        """By whom: what is loaded at the next start, or for a rollback, and what runs at this moment."""
        engines = config.engines
        found = users(engines, store, release, lambda name: self._releases.pinned(name, engines[name].revision))
        for name, each in running.items():
            runs = {process.release for process in (each.stable, each.candidate) if process}
            if name not in found and name in engines and engines[name].model == release.name:
                found += [name] if release.revision in runs else []
        return found

    def history(self, name: str) -> list[dict[str, Any]]:
        """What was asked of an engine, the newest first. Raises `NotFound`."""
        self._find(name)
        return [_promotion(each) for each in self._releases.history(name, 50)]

    def _find(self, name: str) -> EngineSettings:
        engine = self._config().engines.get(name)
        if engine is None:
            known = ", ".join(sorted(self._config().engines)) or "none"
            raise NotFound(f"there is no engine {name[:100]!r}. There are: {known}")
        return engine

    # What is done.

    def promote(self, name: str, revision: str) -> dict[str, Any]:
        """Asks for a release. Raises `InvalidRequest` or `NotFound`."""
        engine = self._find(name)
        try:
            check_promotable(name, engine)
        except ConfigError as error:
            raise InvalidRequest(str(error)) from None
        if not revision or len(revision) > LONGEST or not revision.isprintable():
            raise InvalidRequest(f"revision: 1 to {LONGEST} printable characters", param="revision")
        try:
            found = resolve(self._store, name, engine, revision)
        except ConfigError as error:
            raise InvalidRequest(f"revision: {error}", param="revision") from None
        return self._ask(name, Kind.PROMOTE, found)

    def rollback(self, name: str) -> dict[str, Any]:
        """Asks for the release before, or that a promotion stops. Raises `InvalidRequest` or `NotFound`."""
        engine = self._find(name)
        try:
            check_promotable(name, engine)
        except ConfigError as error:
            raise InvalidRequest(str(error)) from None
        pin = self._releases.pinned(name, engine.revision)
        if not (pin and pin.previous) and not any(each.engine == name for each in self._releases.open()):
            why = "that has a release before it, so there is no way back"
            raise InvalidRequest(f"nothing was promoted on {name} {why}")
        return self._ask(name, Kind.ROLLBACK, "")

    def _ask(self, name: str, kind: Kind, revision: str) -> dict[str, Any]:
        try:
            identifier = self._releases.ask(name, kind, revision)
        except ConfigError as error:
            raise InvalidRequest(str(error)) from None
        return _promotion(self._releases.get(identifier))

    def remove(self, identifier: str, running: Mapping[str, Running]) -> dict[str, Any]:
        """Takes a release (`OWNER--NAME@REVISION`) off the disk. Raises `InvalidRequest` while it is used."""
        store, config = self._store, self._config()
        release = self._one(store, identifier)
        if used := self._used(release, store, config, running):
            raise InvalidRequest(f"{release.name} {release.revision} is used by the engine {', '.join(used)}")
        try:
            return {"name": release.name, "revision": release.revision, "bytes": store.remove(release)}
        except ConfigError as error:
            raise InvalidRequest(str(error)) from None

    def _one(self, store: Store, identifier: str) -> Release:
        folder, _, revision = identifier.rpartition("@")
        try:
            found = store.read(check_name(folder.replace("--", "/", 1)), check_pin(revision))
        except ConfigError:
            found = None
        if found is None:
            raise NotFound(f"there is no release {identifier[:200]!r}")
        return found

    # Verifying. On the event loop.

    def check(self) -> dict[str, Any]:
        """How far it is, or what the last one found."""
        return dict(self._check)

    async def begin_check(self, identifier: str) -> dict[str, Any]:
        """Begins to read every file of one release, or of all, one check at a time. Raises `NotFound`."""
        store = self._store
        releases = await asyncio.to_thread(self._chosen, store, identifier)
        if self._checking is None or self._checking.done():
            total = sum(each.size for each in releases)
            self._check = {"state": "running", "started": self._wall(), "ended": None, "bytes": total, "bytes_done": 0}
            self._check |= {"release": "", "of": identifier, "checked": 0, "damaged": []}
            self._checking = asyncio.create_task(self._look(store, releases))
        return self.check()

    def _chosen(self, store: Store, identifier: str) -> list[Release]:
        return [self._one(store, identifier)] if identifier else [each for each in store.list() if each.facts.whole]

    async def _look(self, store: Store, releases: list[Release]) -> None:
        state = "failed"
        try:
            await asyncio.to_thread(self._hash, store, releases)
            state = "done"
        except _Stopped:
            state = "stopped"
        finally:
            self._check |= {"state": state, "ended": self._wall(), "release": ""}

    def _hash(self, store: Store, releases: list[Release]) -> None:
        def told(path: str, count: int) -> None:
            if self._closing.is_set():
                raise _Stopped
            self._check["bytes_done"] += count

        for release in releases:
            self._check["release"] = f"{release.name} {release.revision}"
            damages = store.verify(release, READERS, told)
            said = [{"path": each.path, "what": each.what} for each in damages]
            named = {"name": release.name, "revision": release.revision, "source": release.facts.source}
            self._check["damaged"] = self._check["damaged"] + ([{**named, "files": said}] if said else [])
            self._check["checked"] += 1

    async def aclose(self) -> None:
        """Ends a check that goes on."""
        self._closing.set()
        if self._checking is not None:
            await asyncio.wait((self._checking,))


def _promotion(each: Promotion) -> dict[str, Any]:
    told = {name: getattr(each, name) for name in ("id", "engine", "revision", "share", "detail", "asked", "ended")}
    return {**told, "kind": Kind(each.kind).value, "stage": Stage(each.stage).value}


def _disk(folder: Path) -> dict[str, int]:
    """Bytes of the disk that models are kept on."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    usage = shutil.disk_usage(there.resolve())
    return {"total": usage.total, "free": usage.free}
