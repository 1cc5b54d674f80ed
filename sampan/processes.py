"""How each engine is started: its command line, with the release that is in force for it."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sampan.config import EMBEDDED_ENGINES, SERVER_KIND, EngineSettings, ModelSettings, engine_flags
from sampan.releases.names import ReleaseError
from sampan.releases.standing import AS_NAMED, check_promotable, has_tags, names
from sampan.releases.store import Store
from sampan.supervisor import EngineSpec

_LEDGER = "ledger"  # folder in the data folder where engines agree on an accelerator's memory
# One thread a call: a library that takes all cores for one page starves the gateway beside it.
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Processes:
    """`revision` says which release of an engine is in force (empty: the newest).

    `running` is which release each process was given; written from threads, each process its own.
    `first_call` warms another's server up: it is given the engine and its process, and raises `WarmUpFailed`.
    `env` is what all our own programs are told beside their flags.
    """

    data: Path
    engines: Mapping[str, EngineSettings]
    revision: Callable[[str], str]
    first_call: Callable[[str, str], Awaitable[None]]
    env: Mapping[str, str] = field(default_factory=dict)
    running: dict[str, str] = field(default_factory=dict)

    def first(self, name: str) -> EngineSpec:
        """The engine as it starts with the gateway.

        What was never fetched is looked for again at each start; what was found is kept to, also where something newer
        was fetched meanwhile: a crash is no promotion.
        """
        return self._spec(name, name, lambda: self._command(name, self.running.get(name) or self.revision(name), name))

    def release(self, name: str, revision: str, process: str) -> EngineSpec:
        """Another release of it, as a process beside. Blocks. Raises `ConfigError` where it is not here."""
        check_promotable(name, self.engines[name])
        command = self._command(name, revision, process)
        return replace(self._spec(name, process, lambda: command), listen="")

    def _spec(self, name: str, process: str, command: Callable[[], tuple[str, ...]]) -> EngineSpec:
        engine = self.engines[name]
        env = {"PYTHONUNBUFFERED": "1", **engine.env}
        if engine.kind != SERVER_KIND:
            threads = _ONE_THREAD if engine.kind in EMBEDDED_ENGINES or engine.device == "cpu" else {}
            return EngineSpec(process, command, engine.listen, {**self.env, **threads, **env})

        async def warm() -> None:
            await self.first_call(name, process)

        if engine.url:
            return EngineSpec(process, url=engine.url, ready=engine.health, warm=warm)
        return EngineSpec(process, command, engine.listen, env, ready=engine.health, warm=warm)

    def _command(self, name: str, revision: str, process: str) -> tuple[str, ...]:
        engine = self.engines[name]
        if engine.kind == SERVER_KIND:
            return self._others(engine, revision, process)
        settings = replace(
            ModelSettings(**{each: getattr(engine, each) for each in ModelSettings.__slots__}),
            model=self._folder(engine.model, revision, process) if engine.model else "",
            edit_model=self._folder(engine.edit_model) if engine.edit_model else "",
        )
        named = () if engine.kind in EMBEDDED_ENGINES else ("--name", name, "--ledger", str(self.data / _LEDGER))
        ours = (sys.executable, "-m", "sampan.engines.server", engine.kind, "--listen", "{listen}", "--lifeline")
        return (*ours, "--threads", str(engine.threads), *named, *engine_flags(settings))

    def _others(self, engine: EngineSettings, revision: str, process: str) -> tuple[str, ...]:
        """Another's command, on the leash. A model that was fetched is named by its folder, any other as it is."""
        parts = engine.command
        model = engine.model
        if has_tags(engine):  # the release is the server's, a tag of an image
            parts = [part.replace("{release}", revision) for part in parts]
            self.running[process] = revision
        elif names(parts, "{model}") and revision != AS_NAMED:
            try:
                model = self._folder(model, revision, process)
            except ReleaseError:  # it may fetch by itself; what was promoted must be here
                if revision:
                    raise
        self.running.setdefault(process, AS_NAMED)
        parts = [part.replace("{model}", model) for part in parts]
        return (sys.executable, "-m", "sampan.engines.leash", "--", *parts)

    def _folder(self, model: str, revision: str = "", process: str = "") -> str:
        """Where a checkpoint is: a folder of one's own, or a release. Raises `ConfigError` that says how to get it."""
        if not revision and Path(model).is_dir():
            return str(Path(model).resolve())
        release = Store(self.data).find(model, revision)
        if process:
            self.running[process] = release.revision
        return str(release.folder.resolve())
