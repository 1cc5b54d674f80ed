"""What whoever operates the gateway does at the console: releases, fetches and drills, and the pages for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sampan.config import Config
from sampan.console.fetching import Fetches, Wish
from sampan.console.models import Models, Process, Running
from sampan.console.rehearsing import Rehearsals, catalogue
from sampan.edge.admin_drill import DrillPages, Theatre
from sampan.edge.admin_models import ModelsPages, Yard
from sampan.edge.door import Shelf
from sampan.engine_room import EngineRoom
from sampan.routing.canary import Lineup
from sampan.storage.releases import Releases


class Operating:
    """Built once; what it shows is of the configuration in force. `path` is its file, None for the embedded defaults.

    What is fetched and drilled runs in processes of its own, which end with `aclose`, or with this process.
    """

    def __init__(
        self,
        config: Callable[[], Config],
        releases: Releases,
        engines: EngineRoom,
        path: Path | None,
        environ: Mapping[str, str],
    ) -> None:
        self._engines = engines
        self._models = Models(config, releases)
        self._fetches = Fetches(path, environ)
        self._rehearsals = Rehearsals(Path(config().server.data), path, environ)
        self.shelves: tuple[Shelf, ...] = (self._models_pages(), self._drill_pages())

    async def aclose(self) -> None:
        """Ends what goes on."""
        await asyncio.gather(self._fetches.aclose(), self._rehearsals.aclose(), self._models.aclose())

    def _running(self) -> dict[str, Running]:
        """What runs of each engine. On the event loop."""
        return {name: self._run(lineup) for name, lineup in self._engines.lineups.items()}

    def _run(self, lineup: Lineup) -> Running:
        if not lineup.candidate:
            return Running(self._process(lineup.stable))
        facts = {"share": lineup.share, "calls": lineup.calls, "faults": lineup.faults, "last_fault": lineup.last_fault}
        return Running(self._process(lineup.stable), self._process(lineup.candidate, **facts))

    def _process(self, name: str, **facts: Any) -> Process:
        state = self._engines.supervisor.state(name)
        return Process(
            self._engines.running(name),
            state.phase.value,
            state.stage,
            time.time() - (time.monotonic() - state.since),
            state.restarts,
            state.last_error,
            state.last_line,
            **facts,
        )

    def _models_pages(self) -> ModelsPages:
        models, fetches = self._models, self._fetches

        async def told() -> dict[str, Any]:
            return await asyncio.to_thread(models.told, self._running())

        async def promote(engine: str, revision: str) -> dict[str, Any]:
            return await asyncio.to_thread(models.promote, engine, revision)

        async def rollback(engine: str) -> dict[str, Any]:
            return await asyncio.to_thread(models.rollback, engine)

        async def history(engine: str) -> list[dict[str, Any]]:
            return await asyncio.to_thread(models.history, engine)

        async def remove(release: str) -> dict[str, Any]:
            return await asyncio.to_thread(models.remove, release, self._running())

        async def fetch(wanted: dict[str, Any], by: str) -> dict[str, Any]:
            return await fetches.begin(Wish(**wanted), by)

        return ModelsPages(
            Yard(
                told=told,
                promote=promote,
                rollback=rollback,
                history=history,
                remove=remove,
                fetches=fetches.told,
                fetch=fetch,
                stop=fetches.stop,
                check=models.check,
                verify=models.begin_check,
            )
        )

    def _drill_pages(self) -> DrillPages:
        rehearsals = self._rehearsals
        return DrillPages(
            Theatre(
                told=rehearsals.told,
                begin=rehearsals.begin,
                stop=rehearsals.stop,
                kept=lambda: [(each.facts, each.card) for each in rehearsals.kept()],
                file=rehearsals.file,
                catalogue=catalogue,
            )
        )
