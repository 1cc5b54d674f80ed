"""Puts another release of a model in the place of the present one while calls go on, and back again.

    asked ─▶ starting ─▶ probing ─▶ sharing ─▶ finished
                │            │          │
                └────────────┴──────────┴──▶ rolled_back          (failed: it could not even be begun)

The new release is started beside the old one. It has to get warm, to answer the golden probes, and then to do well with
a growing share of the calls; the old one answers whatever it cannot. The old one is kept warm for a while after that:
a rollback then only turns the calls round. A rollback that is asked for while a promotion goes on stops that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sampan.config import ReleaseSettings
from sampan.errors import ConfigError
from sampan.routing.canary import Lineup, Process
from sampan.storage.releases import ENDS, Kind, Pin, Promotion, Releases, Stage
from sampan.supervisor import EngineSpec, EngineState, Phase

log = logging.getLogger("sampan.promoting")

POLL = 0.5  # seconds between two looks for what was asked
LOOK = 0.2  # seconds between two looks at a candidate
GIVE_UP = 2  # crashes in a row of a release that is to be promoted
REFUSALS = 3  # first calls in a row that come to nothing
FEW = 20  # calls: of fewer than these, one fault says nothing
STOPPED = "stopped by hand"


class Processes(Protocol):
    """What is needed of the supervisor."""

    def add(self, spec: EngineSpec) -> None: ...
    async def remove(self, name: str) -> None: ...
    async def start(self) -> None: ...
    def state(self, name: str) -> EngineState: ...


@dataclass(frozen=True, slots=True)
class Means:
    """What a promotion is carried out with.

    `spec` says how a release of an engine is started as a process of a name; it blocks, and raises `ConfigError` where
    the release is not here. `upstream` is how that process is asked, `probe` why it fails the golden probes (empty: it
    passes), `running` the revision that a process runs (empty: it never ran), `configured` the one that the
    configuration names. `settled` is told of an engine whose calls were turned to another process.
    """

    spec: Callable[[str, str, str], EngineSpec]
    upstream: Callable[[str, str], Process]
    probe: Callable[[str, Process], Awaitable[str]]
    running: Callable[[str], str]
    configured: Callable[[str], str]
    settled: Callable[[str], None] = lambda engine: None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    warm_within: float = 900.0  # seconds
    drain: float = (
        600.0  # seconds that open calls have to end before their process does: as long as an attempt may take
    )


@dataclass(frozen=True, slots=True)
class _Kept:
    """The release before the present one, still warm."""

    process: str
    revision: str


@dataclass(slots=True)
class _Work:
    """A request that is being carried out. `instead` was the one before it, `end` is what came of it."""

    promotion: Promotion
    instead: _Work | None = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    end: Stage | None = None
    task: asyncio.Task[None] | None = None

    @property
    def engine(self) -> str:
        return self.promotion.engine

    @property
    def running(self) -> bool:
        return self.task is not None and not self.task.done()


class Promoter:
    """Does what the verbs ask for, one thing an engine at a time."""

    def __init__(
        self,
        releases: Releases,
        processes: Processes,
        lineups: Mapping[str, Lineup],
        settings: Callable[[], ReleaseSettings],
        means: Means,
    ) -> None:
        self._releases = releases
        self._processes = processes
        self._lineups = lineups
        self._settings = settings
        self._means = means
        self._kept: dict[str, _Kept] = {}
        self._works: dict[str, _Work] = {}
        self._leaving: dict[asyncio.Task[None], str] = {}
        self._timers: set[asyncio.Task[None]] = set()
        self._untold: dict[int, tuple[Stage, str]] = {}
        self._again = False
        self._count = 0

    async def recover(self) -> None:
        """Ends what a server left undone: the one before this, or this one as it ends. Raises `ConfigError`."""
        for left in await asyncio.to_thread(self._releases.open):
            said = "the server stopped meanwhile; the release before stays in force"
            await asyncio.to_thread(self._releases.note, left.id, Stage.FAILED, said)

    async def run(self) -> None:
        """Looks for what was asked until it is cancelled."""
        watch = self._releases.watch()
        well = True
        try:
            while True:
                try:
                    if await asyncio.to_thread(watch.changed) or self._again or self._untold:
                        self._again = False
                        await self._tell_again()
                        await self._look()
                    well = True
                except ConfigError as error:
                    if well:  # once, and not twice a second
                        log.error("promotions cannot be looked for: %s", error)
                    well = False
                    watch.forget()
                await self._means.sleep(POLL)
        finally:
            works = [work.task for work in self._works.values() if work.task is not None]
            tasks = [*works, *self._leaving, *self._timers]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(watch.close)
            with contextlib.suppress(ConfigError):  # the next start says it then
                await self.recover()

    async def _look(self) -> None:
        for promotion in await asyncio.to_thread(self._releases.open):
            if promotion.stage is not Stage.ASKED or promotion.id in self._untold:
                continue
            before = self._works.get(promotion.engine)
            if before is not None and before.promotion.id == promotion.id:
                continue  # it is in hand, and has said nothing yet
            if before is None or not before.running:
                self._take_up(promotion, before)
            elif promotion.kind is Kind.ROLLBACK and promotion.revision:
                before.stop.set()  # and its turn comes when that has ended, in whichever way

    def _take_up(self, promotion: Promotion, before: _Work | None) -> None:
        if before is not None:
            before.instead = None  # or each would hold on to all before it
        work = self._works[promotion.engine] = _Work(promotion, before)
        work.task = asyncio.create_task(self._carry_out(work))
        work.task.add_done_callback(self._wake)

    def _wake(self, task: asyncio.Task[None]) -> None:
        """What was asked for meanwhile is looked for, though nobody writes any more."""
        self._again = True

    async def _carry_out(self, work: _Work) -> None:
        try:
            if work.engine not in self._lineups:
                raise ConfigError(f"this server runs no engine {work.engine!r}")
            if work.promotion.kind is Kind.PROMOTE:
                await self._promote(work)
            elif work.promotion.revision and (work.instead is None or work.instead.end is not Stage.FINISHED):
                await self._note(work, Stage.FINISHED, "the promotion that went on was stopped")
            else:
                await self._roll_back(work)
        except ConfigError as error:
            await self._note(work, Stage.FAILED, str(error))
        except Exception:
            log.exception("the %s of %s ended by a mistake of ours", work.promotion.kind, work.engine)
            await self._note(work, Stage.FAILED, "a mistake of ours; the server's log has it")

    async def _promote(self, work: _Work) -> None:
        engine, revision = work.engine, work.promotion.revision
        before = self._means.running(self._lineups[engine].stable)
        if revision == before:
            raise ConfigError(f"{revision} is in force already")
        process = self._claim(engine, revision) or await self._begin(work, revision)
        try:
            why = await self._prove(work, process) or await self._share(work, process)
            if not why:
                kept = f"; {before} stays warm for a while" if before and self._settings().keep else ""
                await self._turn(work, process, Pin(engine, revision, before, ""), f"in force{kept}")
                return
        except BaseException:
            self._discard(engine, process)
            raise
        self._discard(engine, process)
        log.warning("release %s of %s is rolled back: %s", revision, engine, why)
        await self._note(work, Stage.ROLLED_BACK, why)

    async def _roll_back(self, work: _Work) -> None:
        engine = work.engine
        pin = await asyncio.to_thread(self._releases.pinned, engine, self._means.configured(engine))
        if pin is None or not pin.previous:
            raise ConfigError(f"nothing was promoted on {engine} that has a release before it, so there is no way back")
        kept = self._claim(engine, pin.previous)
        process = kept or await self._begin(work, pin.previous)
        try:
            if not kept and (why := await self._prove(work, process)):
                raise ConfigError(f"{pin.revision} stays in force, for the release before it does not come up: {why}")
            back = Pin(engine, pin.previous, pin.revision, "")
            await self._turn(work, process, back, f"{pin.previous} is in force again")
        except BaseException:
            if kept:  # the next try is to be as quick
                self._keep(engine, _Kept(kept, pin.previous))
            else:
                self._discard(engine, process)
            raise

    def _claim(self, engine: str, revision: str) -> str:
        """The process that was kept, if it is that release and can take calls at once; from now on it is not kept."""
        kept = self._kept.get(engine)
        if kept is None or kept.revision != revision or self._processes.state(kept.process).phase is not Phase.WARM:
            return ""
        del self._kept[engine]
        return kept.process

    async def _begin(self, work: _Work, revision: str) -> str:
        """Starts the process of a release and returns its name."""
        engine = work.engine
        if leaving := [task for task, whose in self._leaving.items() if whose == engine]:
            await self._note(work, Stage.STARTING, "a release that was taken out ends its calls first")
            await asyncio.wait(leaving)  # two of them may be all that the memory has room for
        await self._note(work, Stage.STARTING, "starting")
        self._count += 1
        process = f"{engine}@{revision[:12]}.{self._count}"
        self._processes.add(await asyncio.to_thread(self._means.spec, engine, revision, process))
        await self._processes.start()
        return process

    async def _prove(self, work: _Work, process: str) -> str:
        """Why it must not be given a call; empty where it is warm and passes the golden probes."""
        why = await self._warm(work, process)
        if why:
            return why
        await self._note(work, Stage.PROBING, "golden probes")
        upstream = self._means.upstream(work.engine, process)
        probe = asyncio.ensure_future(self._means.probe(work.engine, upstream))
        stop = asyncio.ensure_future(work.stop.wait())
        try:
            await asyncio.wait({probe, stop}, return_when=asyncio.FIRST_COMPLETED)
            return probe.result() if probe.done() else STOPPED
        finally:
            probe.cancel()
            stop.cancel()
            await asyncio.gather(probe, stop, return_exceptions=True)
            await upstream.aclose()

    async def _warm(self, work: _Work, process: str) -> str:
        told = "starting"
        waited = 0.0
        while True:
            state = self._processes.state(process)
            if state.phase is Phase.WARM:
                return ""
            if work.stop.is_set():
                return STOPPED
            if state.crashes >= GIVE_UP or state.refusals >= REFUSALS or waited > self._means.warm_within:
                last = f"; its log said: {state.last_line}" if state.last_line else ""
                return f"it does not get warm: {state.last_error or state.stage or 'it says nothing'}{last}"
            said = state.last_error or state.stage or "starting"
            if said != told:
                told = said
                await self._note(work, Stage.STARTING, said)
            await self._means.sleep(LOOK)
            waited += LOOK

    async def _share(self, work: _Work, process: str) -> str:
        """Gives it more and more of the calls; why that was stopped, or nothing."""
        lineup = self._lineups[work.engine]
        settings = self._settings()
        for share in settings.shares:
            lineup.propose(process, share)
            told = "0 calls, 0 faults"
            await self._note(work, Stage.SHARING, told, share)
            for _ in range(max(1, round(settings.watch / LOOK))):
                await self._means.sleep(LOOK)
                if why := self._unwell(work, process, settings.faults):
                    return why
                if (now := f"{lineup.calls} calls, {lineup.faults} faults") != told:
                    told = now
                    await self._note(work, Stage.SHARING, told, share)
        return STOPPED if work.stop.is_set() else ""

    def _unwell(self, work: _Work, process: str, allowed: float) -> str:
        if work.stop.is_set():
            return STOPPED
        lineup = self._lineups[work.engine]
        state = self._processes.state(process)
        if state.phase is not Phase.WARM:
            return f"it is {state.phase.value}: {state.last_error or state.stage}"
        if lineup.faults > allowed * max(lineup.calls, FEW):
            return f"{lineup.faults} of {lineup.calls} calls failed, the last with {lineup.last_fault}"
        return ""

    async def _turn(self, work: _Work, process: str, pin: Pin, detail: str) -> None:
        """Turns all calls to a process, and keeps the one before it warm. Raises `ConfigError`; nothing is turned then.

        First the calls, then the database: who reads there that it is in force finds that it is.
        """
        engine = work.engine
        lineup = self._lineups[engine]
        before = lineup.stable
        lineup.settle(process)
        pin = Pin(engine, pin.revision, pin.previous, self._means.configured(engine))
        try:
            await asyncio.to_thread(self._releases.enforce, work.promotion.id, pin, detail)
        except BaseException:
            lineup.settle(before)
            raise
        work.end = Stage.FINISHED
        log.info("release %s of %s is in force, before it was %s", pin.revision, engine, pin.previous or "none")
        self._means.settled(engine)
        self._keep(engine, _Kept(before, pin.previous))

    def _keep(self, engine: str, kept: _Kept) -> None:
        older = self._kept.get(engine)
        if older is not None:
            self._let_go(engine, older.process)
        self._kept[engine] = kept
        task = asyncio.create_task(self._expire(engine, kept))
        self._timers.add(task)
        task.add_done_callback(self._timers.discard)

    async def _expire(self, engine: str, kept: _Kept) -> None:
        """Ends a process that was kept long enough, unless it was claimed."""
        await self._means.sleep(self._settings().keep)
        if self._kept.get(engine) is kept:
            del self._kept[engine]
            self._let_go(engine, kept.process)

    def _discard(self, engine: str, process: str) -> None:
        """Takes what is no release after all out of the line."""
        lineup = self._lineups[engine]
        if lineup.candidate == process:
            lineup.settle(lineup.stable)
        if lineup.stable != process:
            self._let_go(engine, process)

    def _let_go(self, engine: str, process: str) -> None:
        task = asyncio.create_task(self._see_out(engine, process))
        self._leaving[task] = engine
        task.add_done_callback(self._leaving.pop)

    async def _see_out(self, engine: str, process: str) -> None:
        """Ends a process once its calls have ended: what it still says its callers are to read."""
        waited = 0.0
        while self._lineups[engine].open(process) and waited < self._means.drain:
            await self._means.sleep(LOOK)
            waited += LOOK
        await self._processes.remove(process)

    async def _note(self, work: _Work, stage: Stage, detail: str = "", share: float = 0.0) -> None:
        """Tells how far it is. Where the database cannot be written, an end is told later, and all else not at all."""
        if stage in ENDS:
            work.end = stage
        try:
            await asyncio.to_thread(self._releases.note, work.promotion.id, stage, detail, share)
        except ConfigError as error:
            log.error("the %s of %s is %s (%s): %s", work.promotion.kind, work.engine, stage, detail, error)
            if stage in ENDS:
                self._untold[work.promotion.id] = stage, detail

    async def _tell_again(self) -> None:
        for identifier, (stage, detail) in list(self._untold.items()):
            await asyncio.to_thread(self._releases.note, identifier, stage, detail)
            del self._untold[identifier]
