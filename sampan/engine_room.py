"""The engines of a gateway: their processes, which release each runs, and what the rest is told of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sampan.config import SERVER_KIND, Config, EngineSettings
from sampan.errors import TargetFault
from sampan.processes import Processes
from sampan.promoting import Means, Promoter
from sampan.releases import golden
from sampan.routing.canary import Lineup, Process
from sampan.storage.releases import Releases
from sampan.supervisor import EngineState, Phase, Supervisor, WarmUpFailed
from sampan.telemetry import Metrics

log = logging.getLogger("sampan.app")


@dataclass(frozen=True, slots=True)
class Links:
    """What engines need of the rest: the configuration in force, and how a process of an engine is asked.

    `moved` is told of every change of a process.
    """

    config: Callable[[], Config]
    process: Callable[..., Process]
    moved: Callable[[EngineState], None] = lambda state: None


class EngineRoom:
    """Built once; `[engines]` takes a restart to change. `env` is what all our own programs are told."""

    def __init__(
        self, config: Config, releases: Releases, metrics: Metrics, links: Links, env: Mapping[str, str]
    ) -> None:
        self._engines = config.engines
        self._releases = releases
        self._metrics = metrics
        self._links = links
        self.lineups = {name: Lineup(name) for name in config.engines}
        self._processes = Processes(Path(config.server.data), config.engines, self._revision, self._first_call, env)
        for name in config.engines:
            metrics.engine(name, False)
        specs = [self._processes.first(name) for name in config.engines]
        self.supervisor = Supervisor(specs, log=_engine_log, listeners=(self._changed, links.moved))

    async def start(self) -> Coroutine[Any, Any, None]:
        """Starts the processes, and returns the work that promotes releases, to be run while they do."""
        await self.supervisor.start()
        promoter = Promoter(
            self._releases, self.supervisor, self.lineups, lambda: self._links.config().releases, self._means()
        )
        await promoter.recover()
        return promoter.run()

    def release(self, upstream: str) -> str | None:
        """Which release of an upstream would answer: None while one takes the place of another, empty for no engine."""
        lineup = self.lineups.get(upstream)
        if lineup is None:
            return ""
        return None if lineup.candidate else self._processes.running.get(lineup.stable, "")

    def running(self, process: str) -> str:
        """The release that a process was given; empty for one that has none."""
        return self._processes.running.get(process, "")

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether every engine is warm, and what each is at."""
        engines = {}
        for name, lineup in self.lineups.items():
            state = self.supervisor.state(lineup.stable)
            told: dict[str, Any] = {"state": state.phase.value, "restarts": state.restarts}
            engines[name] = told
            if lineup.candidate:
                told |= {"candidate": lineup.candidate, "share": lineup.share}
            if state.phase is not Phase.WARM:
                told["stage"] = state.last_error or state.stage
        return all(engine["state"] == Phase.WARM.value for engine in engines.values()), engines

    def _revision(self, engine: str) -> str:
        """The release in force; empty for whatever was fetched last. Blocks."""
        configured = self._engines[engine].revision
        pin = self._releases.pinned(engine, configured)
        return pin.revision if pin else configured

    def _means(self) -> Means:
        return Means(
            spec=self._processes.release,
            upstream=lambda engine, process: self._links.process(engine, process, waits=False),
            probe=self._probe,
            running=lambda process: self._processes.running.get(process, ""),
            configured=lambda engine: self._engines[engine].revision,
            settled=self._settled,
        )

    async def _probe(self, engine: str, upstream: Process) -> str:
        """Why a release fails the golden probes; empty where it passes."""
        config = self._links.config()
        settings = config.engines[engine]
        probes = await asyncio.to_thread(golden_probes, config)
        fit = golden.chosen(probes, engine, settings.speaks, sees=settings.kind != SERVER_KIND)
        return await golden.failure(upstream, settings.speaks, await _model_of(settings, upstream), fit)

    async def _first_call(self, engine: str, process: str) -> None:
        """Another's server is warm once it has answered: it cannot warm itself up."""
        settings = self._engines[engine]
        upstream = self._links.process(engine, process, waits=False)
        try:
            probes = golden.built_in(settings.speaks)
            why = await golden.failure(upstream, settings.speaks, await _model_of(settings, upstream), probes)
        finally:
            await upstream.aclose()
        if why:
            raise WarmUpFailed(why)

    def _settled(self, engine: str) -> None:
        self._metrics.engine(engine, self.supervisor.state(self.lineups[engine].stable).phase is Phase.WARM)

    def _changed(self, state: EngineState) -> None:
        engine = state.name.partition("@")[0]
        if state.name == self.lineups[engine].stable:
            self._metrics.engine(engine, state.phase is Phase.WARM)
        if state.phase is Phase.BACKING_OFF:
            log.warning("engine %s: %s", state.name, state.last_error)


def golden_probes(config: Config) -> list[golden.Probe]:
    """The golden probes of one's own, if there are any. Raises `ConfigError`. Blocks."""
    return golden.read(Path(config.releases.golden)) if config.releases.golden else []


async def _model_of(settings: EngineSettings, upstream: Process) -> str | None:
    """What an engine's model is called where it is asked: as set, or what another's server lists first."""
    if settings.model or settings.kind != SERVER_KIND:
        return settings.model or None
    with suppress(TargetFault):
        await upstream.probe()
    return next(iter(upstream.models), None)


def _engine_log(engine: str, line: str) -> None:
    logging.getLogger(f"sampan.engine.{engine}").info("%s", line)
