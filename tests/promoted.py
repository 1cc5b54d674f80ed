"""A house whose releases change: processes that do as a test says, and a clock that only moves when all is quiet."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sampan.config import ReleaseSettings
from sampan.errors import ConfigError
from sampan.promoting import Means, Promoter
from sampan.routing.canary import Lineup, Process
from sampan.storage.db import Database
from sampan.storage.releases import Kind, Promotion, Releases, Stage
from sampan.supervisor import EngineSpec, EngineState, Phase

WARM_WITHIN, DRAIN = 60.0, 40.0  # seconds
QUIET = 30  # turns of the loop after which nothing moves any more but by the clock


class Inline(ThreadPoolExecutor):
    """Threads that are none: the loop knows of all that goes on."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **facts: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **facts))
        except Exception as error:
            done.set_exception(error)
        return done


class Hands:
    """A clock whose sleepers wake one after the other, each when nobody else has anything to do."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._count = itertools.count()

    async def sleep(self, seconds: float) -> None:
        wake = asyncio.Event()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._count), wake))
        await wake.wait()

    async def advance(self, seconds: float) -> None:
        end = self.now + seconds
        await quiet()
        while self._sleepers and self._sleepers[0][0] <= end:
            self.now, _, wake = heapq.heappop(self._sleepers)
            wake.set()
            await quiet()
        self.now = end


async def quiet() -> None:
    for _ in range(QUIET):
        await asyncio.sleep(0)


class FakeProcesses:
    """Stands for the supervisor. `plans` says what becomes of a release once it is started; else it is warm at once."""

    def __init__(self) -> None:
        self.plans: dict[str, EngineState] = {}
        self.states: dict[str, EngineState] = {}
        self.runs: dict[str, str] = {}

    def add(self, spec: EngineSpec) -> None:
        assert spec.name not in self.states
        self.states[spec.name] = state(Phase.STOPPED)
        assert not callable(spec.command)
        self.runs[spec.name] = spec.command[0]

    async def start(self) -> None:
        for name, each in self.states.items():
            if each.phase is Phase.STOPPED:
                self.states[name] = self.plans.get(self.runs[name], state(Phase.WARM))

    async def remove(self, name: str) -> None:
        await asyncio.sleep(0)
        del self.states[name]

    def state(self, name: str) -> EngineState:
        return self.states[name]

    def crash(self, name: str) -> None:
        before = self.states[name]
        self.states[name] = state(Phase.BACKING_OFF, crashes=before.crashes + 1, last_error="it was ended by SIGKILL")

    def revive(self) -> None:
        """As the supervisor does: what has crashed comes up again."""
        for name, each in self.states.items():
            if each.phase is Phase.BACKING_OFF:
                self.states[name] = replace(each, phase=Phase.WARM)


def state(phase: Phase, **facts: Any) -> EngineState:
    return EngineState("x", "http://127.0.0.1:1", phase, 0.0, **facts)


class Told(Releases):
    """Notes every stage too; `broken` is a database that cannot be written to."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, lambda: 0.0)
        self.stages: list[str] = []
        self.broken = False

    def note(self, identifier: int, stage: Stage, detail: str = "", share: float = 0.0) -> None:
        if self.broken:
            raise ConfigError("disk full")
        self.stages.append(stage.value)
        super().note(identifier, stage, detail, share)

    def enforce(self, *facts: Any) -> None:
        if self.broken:
            raise ConfigError("disk full")
        self.stages.append("finished")
        super().enforce(*facts)


class Asked:
    """How a process is asked; closed in the end."""

    closed = 0

    async def aclose(self) -> None:
        self.closed += 1


@dataclass
class House:
    """One engine, whose release r0 is in force, and its promoter."""

    releases: Told
    engine: str
    settings: ReleaseSettings = field(default_factory=lambda: ReleaseSettings(shares=[0.1, 0.5], watch=10, keep=100))
    processes: FakeProcesses = field(default_factory=FakeProcesses)
    hands: Hands = field(default_factory=Hands)
    failing: dict[str, str] = field(default_factory=dict)
    probing: asyncio.Event | None = None
    settled: int = 0
    asked: Asked = field(default_factory=Asked)
    _task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Starts the gateway, so to say: what the pin says is in force."""
        self.processes.states.clear()
        self.lineup = Lineup(self.engine)
        pin = self.releases.pinned(self.engine, "")
        self.processes.add(EngineSpec(self.engine, (pin.revision if pin else "r0",)))
        self.processes.states[self.engine] = state(Phase.WARM)
        means = Means(
            spec=self._spec,
            upstream=lambda engine, process: self.asked,  # type: ignore[arg-type,return-value]
            probe=self._probe,
            running=lambda process: self.processes.runs[process],
            configured=lambda engine: "",
            settled=self._settled,
            sleep=self.hands.sleep,
            warm_within=WARM_WITHIN,
            drain=DRAIN,
        )
        lineups = {self.engine: self.lineup}
        self.promoter = Promoter(self.releases, self.processes, lineups, lambda: self.settings, means)
        await self.promoter.recover()
        self._task = asyncio.create_task(self.promoter.run())
        await quiet()

    async def close(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _spec(self, engine: str, revision: str, process: str) -> EngineSpec:
        if revision.startswith("missing"):
            raise ConfigError(f"{revision} is not here")
        return EngineSpec(process, (revision,))

    async def _probe(self, engine: str, upstream: Process) -> str:
        if self.probing is not None:
            await self.probing.wait()
        candidate = list(self.processes.states)[-1]
        why = self.failing.get(self.processes.runs[candidate], "")
        if why == "bug":
            raise RuntimeError("by the script")
        return why

    def _settled(self, engine: str) -> None:
        self.settled += 1

    # What a test does.

    def ask(self, kind: Kind, revision: str = "") -> int:
        return self.releases.ask(self.engine, kind, revision)

    def promote(self, revision: str) -> int:
        return self.ask(Kind.PROMOTE, revision)

    async def carry_out(self, identifier: int, within: float = 2000.0) -> Promotion:
        """Moves the clock until it has ended."""
        end = self.hands.now + within
        while (promotion := self.releases.get(identifier)).ended is None and self.hands.now < end:
            await self.hands.advance(0.5)
        return promotion

    async def until(self, stage: Stage, identifier: int) -> Promotion:
        for _ in range(2000):
            promotion = self.releases.get(identifier)
            if promotion.stage is stage:
                return promotion
            await self.hands.advance(0.1)
        raise AssertionError(f"it is {promotion.stage} ({promotion.detail}) and never was {stage}")

    @property
    def in_force(self) -> str:
        """The release that the next call without a candidate goes to."""
        return self.processes.runs[self.lineup.stable]

    @property
    def pinned(self) -> str:
        pin = self.releases.pinned(self.engine, "")
        return pin.revision if pin else ""

    @property
    def running(self) -> list[str]:
        """The releases of all processes that there are."""
        return sorted(self.processes.runs[name] for name in self.processes.states)


@asynccontextmanager
async def opened(house: House) -> AsyncIterator[House]:
    asyncio.get_running_loop().set_default_executor(Inline())
    await house.open()
    try:
        yield house
    finally:
        await house.close()
