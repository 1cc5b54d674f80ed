"""What the overview is made of: the board of what happened, and looks at what there is: targets, engines, memory."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from sampan.config import Config
from sampan.console.broadcast import Broadcast, Sight
from sampan.console.live import WINDOWS, Board
from sampan.console.moments import Kind
from sampan.console.rehearsing import CARD, FACTS, LAST
from sampan.console.rehearsing import FOLDER as DRILLS
from sampan.core import Actor, Fault, Incoming, Location, Operation, Record
from sampan.edge.admin_overview import Overlook, OverviewPages
from sampan.engine_room import EngineRoom
from sampan.errors import ConfigError, NotFound
from sampan.network import Network
from sampan.releases.store import Store
from sampan.routing.breaker import Breaker
from sampan.routing.breaker import State as BreakerState
from sampan.routing.catalog import Catalog, Route
from sampan.storage.cache import Cache
from sampan.storage.records import Records, Wanted
from sampan.storage.releases import ENDS, Promotion, Releases
from sampan.supervisor import EngineState, Phase
from sampan.telemetry import Metrics

log = logging.getLogger("sampan.console")

LOOK_AROUND = 5.0
"""Seconds between two looks at memory, at promotions and at what was fetched: each takes a thread some milliseconds."""
HISTORY = 20_000
"""Records of an earlier life that the board is filled from, the newest."""
PORTION = 250
MEGABYTE = 1_000_000
RECENT = 20


class Watched(Metrics):
    """Metrics whose news go to a board as well."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.board = Board(wall)

    def closed(self, record: Record) -> None:
        super().closed(record)
        self.board.keep(record)

    def breaker(self, upstream: str, operation: Operation, state: str) -> None:
        super().breaker(upstream, operation, state)
        self.board.breaker(upstream, operation, state)

    def probed(self, upstream: str, fault: Fault | None) -> None:
        super().probed(upstream, fault)
        self.board.probed(upstream, fault)

    def moved(self, state: EngineState) -> None:
        """An engine's process got into a state."""
        self.board.engine(state.name, state.phase.value, state.last_error)


class _Scene(msgspec.Struct):
    kept: bool = False


class _Card(msgspec.Struct):
    """What is read of a scorecard: single calls, most of it, are passed over."""

    scenes: list[_Scene] = []


class Wired(Protocol):
    """What is in force."""

    @property
    def config(self) -> Config: ...

    @property
    def network(self) -> Network: ...

    @property
    def catalog(self) -> Catalog: ...


@dataclass(frozen=True, slots=True)
class Sources:
    """What is looked at."""

    wired: Callable[[], Wired]
    engines: EngineRoom
    records: Records
    releases: Releases
    cache: Cache
    currency: Callable[[], str]
    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class _Around:
    """What a thread has seen: bytes of memory by process id, models that were fetched, promotions."""

    memory: Mapping[int, int] = field(default_factory=dict)
    total: int = 0
    free: int = 0
    fetched: Sequence[tuple[str, str, int]] = ()
    promotions: Sequence[Promotion] = ()
    drill: Mapping[str, Any] | None = None
    drilled: float = 0.0


class Watching:
    """Built once. `run` fills the board from the records of an earlier life; nothing else is done unless asked."""

    def __init__(self, board: Board, sources: Sources) -> None:
        self._board = board
        self._sources = sources
        self._around = _Around()
        self._looked = float("-inf")
        self._promotions: dict[int, str] = {}
        self._since: dict[object, tuple[object, int]] = {}
        self._history: tuple[object, dict[str, bytes]] = (None, {})
        self._curves: tuple[object, bytes] = (None, b"")
        self._moments: tuple[int, bytes] = (-1, b"")
        self._settings: tuple[object, dict[str, bytes]] = (None, {})
        self.broadcast = Broadcast(self._look, clock=sources.steady)

    # What happened before.

    async def run(self) -> None:
        """Learns of the last day, the newest records first; then ends."""
        board, records = self._board, self._sources.records
        since = board.began - WINDOWS[-1]
        try:
            found, more = await asyncio.to_thread(records.search, Wanted(since=since, node=records.node), HISTORY)
        except ConfigError as error:
            log.warning("what was before this start is not shown: %s", error)
            return
        ordered = [entry.record for entry in reversed(found)]
        for begin in range(0, len(ordered), PORTION):
            board.fill(ordered[begin : begin + PORTION])
            await asyncio.sleep(0)
        board.filled(ordered[0].started if more else since)

    def reloaded(self) -> None:
        """Another configuration is in force."""
        self._board.note(Kind.GATEWAY, "reloaded")

    # Pages.

    def shelf(self, identify: Callable[[Incoming], Actor]) -> OverviewPages:
        """The pages of the overview."""
        return OverviewPages(Overlook(self.broadcast.snapshot, self.broadcast.watch, self.isolate, identify))

    def isolate(self, upstream: str, operation: str, away: bool, actor: Actor) -> str:
        """Takes a target out of every plan, or lets its breaker decide again; returns the state it is in.

        Raises `NotFound`.
        """
        guard = self._sources.wired().network.guards.get(upstream)
        found = {each.value: breaker for each, breaker in guard.breakers.items()} if guard else {}
        breaker = found.get(operation)
        if breaker is None:
            raise NotFound(f"there is no target {upstream[:100]!r} for {operation[:100]!r}")
        who = actor.user or actor.name
        with self._board.by_hand(who):
            before = breaker.state
            if away:
                breaker.isolate()
            else:
                breaker.release()
        if breaker.state is not before:
            log.warning("%s turned %s of %s: %s -> %s", who, operation, upstream, before.value, breaker.state.value)
        return breaker.state.value

    # Looks.

    async def _look(self, mark: int) -> Sight:
        now = self._sources.steady()
        if now - self._looked >= LOOK_AROUND:
            self._looked = now
            room = self._sources.engines
            pids = [state.pid for state in room.supervisor.states if state.pid is not None]
            before = self._around
            self._around = await asyncio.to_thread(self._look_around, [os.getpid(), *pids], list(room.lineups))
            self._promoted()
            drill = self._around.drill
            if drill is not None and before.total and self._around.drilled != before.drilled:
                whole = drill["kept"] == drill["total"]
                detail = f"{drill['kept']}/{drill['total']}"
                self._board.note(Kind.DRILL, "passed" if whole else "failed", detail=detail, by=drill["by"])
        sections = {**self._lasting(), **self._happened(), **self._present()}
        timeline = self._board.timeline
        if self._moments[0] != timeline.mark:
            self._moments = timeline.mark, msgspec.json.encode(timeline.moments)
        news = timeline.news(mark)
        return Sight(
            self._sources.wall(),
            sections,
            self._moments[1],
            msgspec.json.encode(news) if news else b"",
            timeline.mark,
        )

    def _lasting(self) -> dict[str, bytes]:
        """What only another configuration changes."""
        wired = self._sources.wired()
        key = wired.config, self._board.since, self._sources.currency()
        if self._settings[0] != key:
            facts = {"began": self._board.began, "since": self._board.since, "currency": key[2]}
            routes = [_route(each) for each in wired.catalog.routes]
            self._settings = key, {"facts": msgspec.json.encode(facts), "routes": msgspec.json.encode(routes)}
        return self._settings[1]

    def _happened(self) -> dict[str, bytes]:
        told = self._board.told()
        if self._history[0] is not told:
            encoded = {name: msgspec.json.encode(value) for name, value in told.items() if name != "curves"}
            if self._curves[0] is not told["curves"]:  # another one a minute, and most of the bytes
                self._curves = told["curves"], msgspec.json.encode(told["curves"])
            self._history = told, {**encoded, "curves": self._curves[1]}
        return self._history[1]

    def _present(self) -> dict[str, bytes]:
        return {
            "upstreams": msgspec.json.encode(self._upstreams()),
            "engines": msgspec.json.encode(self._engines()),
            "house": msgspec.json.encode(self._house()),
            "cold": msgspec.json.encode(self._cold()),
            "drill": msgspec.json.encode(self._around.drill),
        }

    def _upstreams(self) -> dict[str, Any]:
        wired = self._sources.wired()
        told: dict[str, Any] = {}
        for name, guard in wired.network.guards.items():
            cloud = wired.config.upstreams.get(name)
            settings = cloud or wired.config.engines[name]
            probe, fault = self._board.probes.get(name), self._board.last_faults.get(name)
            told[name] = {
                "location": (cloud.location if cloud else Location.LOCAL).value,
                "engine": cloud is None,
                "breakers": {op.value: self._breaker(name, op, each) for op, each in guard.breakers.items()},
                "open": guard.bulkhead.taken,
                "limit": settings.concurrency,
                "waiting": guard.bulkhead.waiting,
                "probe": {"at": round(probe.at), "fault": probe.fault} if probe else None,
                "last_fault": fault,
            }
        return told

    def _breaker(self, upstream: str, operation: Operation, breaker: Breaker) -> dict[str, Any]:
        told: dict[str, Any] = {"state": breaker.state.value}
        if breaker.state is not BreakerState.CLOSED:
            told["since"] = self._when((upstream, operation), breaker.mark, breaker.age)
        return told

    def _engines(self) -> list[dict[str, Any]]:
        room, config = self._sources.engines, self._sources.wired().config
        guards = self._sources.wired().network.guards
        told = []
        for name, lineup in room.lineups.items():
            settings, state = config.engines[name], room.supervisor.state(lineup.stable)
            age = self._sources.steady() - state.since
            each: dict[str, Any] = {
                "name": name,
                "kind": settings.kind,
                "tier": settings.tier.value,
                "state": state.phase.value,
                "stage": state.stage,
                "error": state.last_error,
                "since": self._when(state.name, (state.phase, state.since), age),
                "restarts": state.restarts,
                "memory": self._around.memory.get(state.pid or -1),
                "device": settings.device,
                "release": room.release(name) or "",
                "open": guards[name].bulkhead.taken,
                "limit": settings.concurrency,
                "waiting": guards[name].bulkhead.waiting,
                "queue": settings.queue,
            }
            if lineup.candidate:
                each["candidate"] = {
                    "share": lineup.share,
                    "calls": lineup.calls,
                    "faults": lineup.faults,
                }
            told.append(each)
        return told

    def _house(self) -> dict[str, Any]:
        around = self._around
        return {"memory": around.memory.get(os.getpid()), "total": around.total, "free": around.free}

    def _cold(self) -> list[dict[str, Any]]:
        """What a first call would have to wait for, or pay for."""
        room, config = self._sources.engines, self._sources.wired().config
        found: list[dict[str, Any]] = []
        loaded = set()
        for name, lineup in room.lineups.items():
            state = room.supervisor.state(lineup.stable)
            loaded.add(config.engines[name].model)
            if state.phase is not Phase.WARM:
                found.append({"what": "engine", "name": name, "detail": state.last_error or state.stage})
            elif "still cold" in state.stage:
                found.append({"what": "part", "name": name, "detail": state.stage})
        if any(route.cache for route in config.routes) and not len(self._sources.cache):
            found.append({"what": "cache", "name": "", "detail": ""})
        for model, revision, size in self._around.fetched:
            if model not in loaded:
                found.append({"what": "model", "name": model, "detail": revision, "size": size})
        return found

    def _when(self, what: object, version: object, age: float) -> int:
        """Unix seconds when something began that is `age` seconds old; the same until there is another version of it.

        Else the two clocks would have it jump by a second now and then, and that would be news.
        """
        known = self._since.get(what)
        if known is None or known[0] != version:
            known = self._since[what] = version, round(self._sources.wall() - age)
        return known[1]

    # In a thread.

    def _look_around(self, pids: Iterable[int], engines: Iterable[str]) -> _Around:
        config, before = self._sources.wired().config, self._around
        try:
            promotions = [each for name in engines for each in self._sources.releases.history(name, RECENT)]
            fetched = [(each.name, each.revision, each.size) for each in Store(Path(config.server.data)).list()]
        except (ConfigError, OSError) as error:
            log.warning("promotions and what was fetched cannot be read: %s", error)
            promotions, fetched = list(before.promotions), list(before.fetched)
        total, free = _house_memory()
        drill, drilled = _last_drill(Path(config.server.data) / DRILLS / LAST, before)
        return _Around({pid: _memory(pid) for pid in pids}, total, free, fetched, promotions, drill, drilled)

    def _promoted(self) -> None:
        """Marks stages that promotions have got to since the last look."""
        timeline, now = self._board.timeline, self._sources.wall()
        for each in sorted(self._around.promotions, key=lambda each: each.id):
            known = self._promotions.get(each.id)
            if known == each.stage.value:
                continue
            self._promotions[each.id] = each.stage.value
            at = each.ended if each.stage in ENDS and each.ended else now
            if known is None:
                at = each.ended or each.asked
            if now - at < WINDOWS[-1]:
                facts = {"upstream": each.engine, "to": each.revision[:12], "detail": each.detail[:300]}
                timeline.add(Kind.PROMOTION, at, each.stage.value, **facts)


def _route(route: Route) -> dict[str, Any]:
    targets = [
        {"upstream": each.upstream, "model": each.model, "tier": each.tier.value, "hedged": each.hedged}
        for each in route.targets
    ]
    return {"model": route.model, "operations": [each.value for each in route.operations], "targets": targets}


def _last_drill(folder: Path, before: _Around) -> tuple[Mapping[str, Any] | None, float]:
    """What came of the last drill in a few figures, and when it was written; read again only where that differs."""
    try:
        written = (folder / FACTS).stat().st_mtime
        if written == before.drilled:
            return before.drill, before.drilled
        facts = msgspec.json.decode((folder / FACTS).read_bytes(), type=dict[str, Any])
        scenes = msgspec.json.decode((folder / CARD).read_bytes(), type=_Card).scenes
    except (OSError, msgspec.MsgspecError):
        return None, 0.0
    kept = sum(scene.kept for scene in scenes)
    told = {"ended": facts.get("ended", written), "by": str(facts.get("by", "")), "kept": kept, "total": len(scenes)}
    return told, written


def _memory(pid: int) -> int:
    """Bytes that a process and its children hold (RSS), in whole megabytes; 0 where the system does not say.

    https://man7.org/linux/man-pages/man5/proc_pid_statm.5.html
    """
    held, waiting, seen = 0, [pid], 0
    while waiting and seen < RECENT:
        each = waiting.pop()
        seen += 1
        folder = Path(f"/proc/{each}")
        try:
            held += int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            # Engines are our children as well; what they hold is told by itself.
            if each != os.getpid():
                waiting += map(int, (folder / "task" / str(each) / "children").read_text().split())
        except (OSError, IndexError, ValueError):
            continue
    return held // MEGABYTE * MEGABYTE


def _house_memory() -> tuple[int, int]:
    """Bytes of memory of this machine, and those that could still be had, in tens of megabytes."""
    found = {}
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, rest = line.partition(":")
            found[name] = int(rest.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        return 0, 0
    free = found.get("MemAvailable", 0)
    return found.get("MemTotal", 0), free // (100 * MEGABYTE) * 100 * MEGABYTE
