"""Builds every part once and hands each what it needs; starts them in order and stops them in reverse."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sampan import __version__
from sampan.batches import BatchRunner
from sampan.config import SERVER_KIND, Config, EngineSettings, parse_target, split_listen
from sampan.core import Incoming, Location, Operation, Record, Target, Tier
from sampan.dialects import Limits
from sampan.dialects.anthropic import Anthropic
from sampan.edge.batches import BatchesPages
from sampan.edge.door import MESSAGES, BodyLimits, Door, Rooms, Shelf
from sampan.edge.files import FilesPages
from sampan.edge.listener import Listener, claim_files
from sampan.edge.responses import ResponsesPages
from sampan.edge.wire import SMALL_BODY
from sampan.errors import ConfigError, InvalidRequest, TargetFault
from sampan.governance.identity import Identity
from sampan.media.crew import Crew
from sampan.media.fetching import Exemption, Fetcher, Policy
from sampan.media.kitchen import Kitchen
from sampan.memory import Memory
from sampan.network import Network, NetworkBuilder
from sampan.pipeline import Pipeline
from sampan.processes import Processes
from sampan.promoting import Means, Promoter
from sampan.releases import golden
from sampan.routing.canary import Lineup, Process
from sampan.routing.catalog import Catalog, Route
from sampan.routing.router import Router
from sampan.storage.batches import Batches
from sampan.storage.db import Database
from sampan.storage.files import Files
from sampan.storage.gallery import Gallery
from sampan.storage.keys import STRONG_SECRET, Keys
from sampan.storage.objects import Objects
from sampan.storage.records import Records
from sampan.storage.releases import Releases
from sampan.storage.responses import Responses
from sampan.storage.state import KeptState, RedisState, State
from sampan.story import Parts
from sampan.supervisor import EngineState, Phase, Supervisor, WarmUpFailed
from sampan.telemetry import Metrics
from sampan.upstreams.fetch import Strangers
from sampan.upstreams.upstream import HttpUpstream

log = logging.getLogger("sampan.app")

SWEEP_EVERY = 3600.0
RETIRE_EVERY = 0.2
RETIRE_GRACE = 5.0  # seconds for calls that have a plan already and stand before no bulkhead yet
FORM_OVERHEAD = 1 << 20  # bytes of a form around the file in it
EVERY_ADDRESS = ("0.0.0.0", "::")
LAST_WORDS = 5  # seconds for broken-off answers to say so
GC_THRESHOLDS = (20_000, 20, 50)  # a call makes hundreds of short-lived values and hardly a cycle


@dataclass(frozen=True, slots=True)
class Wiring:
    """What follows from the configuration and is swapped as a whole. `looks` are the tasks that watch upstreams."""

    config: Config
    network: Network
    process: Callable[..., HttpUpstream]
    catalog: Catalog
    stack: AsyncExitStack
    looks: tuple[asyncio.Task[Any], ...]

    @property
    def busy(self) -> bool:
        """Whether calls are open that were begun with it."""
        return any(guard.bulkhead.taken or guard.bulkhead.waiting for guard in self.network.guards.values())

    async def aclose(self) -> None:
        await self.stack.aclose()


class App:
    """One gateway. `async with App(config) as app` has all parts started, engines still warming up."""

    def __init__(self, config: Config, environ: Mapping[str, str] = os.environ) -> None:
        self._first = config
        self.admin_key: str | None = None
        self.public_url = ""
        self._environ = environ
        self._stack = AsyncExitStack()
        self._retired: list[asyncio.Task[Any]] = []
        self.metrics = Metrics()

    async def __aenter__(self) -> App:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        config = self._first
        await asyncio.to_thread(_golden, config)
        self.socket = self._listen(config)
        await asyncio.to_thread(self._open_storage, config)
        self._stack.push_async_callback(self._state.aclose)
        self.lineups = {name: Lineup(name) for name in config.engines}
        self._processes = Processes(Path(config.server.data), config.engines, self._revision, self._first_call)
        self.supervisor = self._supervisor(config)
        self._wiring = await self._wire(config)
        self._stack.push_async_callback(self._unwire)
        self.pipeline = Pipeline(self._parts(self._wiring))
        self._runner = BatchRunner(self._batches, self._run_batched, time.time, config.server.batch_calls)
        self.door = Door(self._rooms(self._wiring), _limits(config))
        await self.supervisor.start()
        self._stack.push_async_callback(self.supervisor.stop)
        promoter = Promoter(self._releases, self.supervisor, self.lineups, lambda: self.config.releases, self._means())
        await promoter.recover()
        for work in (self._identity.watch(), self._sweep(), self._runner.run_forever(), promoter.run()):
            self._stack.push_async_callback(_end, _begin(work))

    # Configuration.

    @property
    def config(self) -> Config:
        """What is in force."""
        return self._wiring.config

    @property
    def network(self) -> Network:
        return self._wiring.network

    @property
    def catalog(self) -> Catalog:
        return self._wiring.catalog

    async def reload(self, config: Config) -> None:
        """Swaps the configuration; calls that are open end with the one they began with. Raises `ConfigError`.

        Breakers keep their states, for those are in the store that both wirings share.
        """
        _check_swap(self.config, config)
        await asyncio.to_thread(_golden, config)
        wiring, old = await self._wire(config), self._wiring
        self._wiring = wiring
        self.pipeline.adopt(self._parts(wiring))
        self.door.adopt(self._rooms(wiring), _limits(config))
        self._retired = [task for task in self._retired if not task.done()]
        self._retired.append(_begin(_retire(old)))

    async def _wire(self, config: Config) -> Wiring:
        async with AsyncExitStack() as stack:
            kitchen = self._kitchen(config, stack)
            builder = NetworkBuilder(config, self.supervisor, self.lineups, self.metrics, kitchen, self._state)
            network = builder.build()
            for upstream in network.upstreams.values():
                stack.push_async_callback(upstream.aclose)
            await network.sharing.load()
            stack.push_async_callback(network.sharing.aclose)
            catalog = _catalog(config)
            works = [*(prober.run() for prober in network.probers), network.sharing.run(), network.sharing.listen()]
            looks = tuple(map(_begin, works))
            for task in looks:
                stack.push_async_callback(_end, task)
            return Wiring(config, network, builder.process, catalog, stack.pop_all(), looks)

    async def _unwire(self) -> None:
        for task in self._retired:
            await _end(task)
        await self._wiring.aclose()

    def _listen(self, config: Config) -> socket.socket:
        """The listening socket, bound before anything else: a taken port is the commonest reason not to start."""
        host, port = split_listen(config.server.listen)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        self._stack.callback(listener.close)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {config.server.listen}: {error.strerror}. "
                "Stop what uses it, or set another address in [server] listen"
            ) from None
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{listener.getsockname()[1]}"
        self.public_url = config.server.public_url or self.url
        if not config.server.public_url and host in EVERY_ADDRESS:
            self.public_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            log.warning(
                "links are signed for %s: set [server] public_url to the host that browsers see", self.public_url
            )
        return listener

    def _open_storage(self, config: Config) -> None:
        """Blocks: the database, the records that a dead process left, the keys, the artifacts."""
        database = Database(Path(config.server.data))
        self._stack.callback(database.close)
        self._records = Records(database)
        replayed = self._records.start()
        if replayed:
            log.info("%d records of a server that was killed were kept", replayed)
        self._stack.push_async_callback(asyncio.to_thread, self._records.close)
        keys = Keys(database)
        preset = self._environ.get("SAMPAN_ADMIN_KEY") or None
        if preset is not None and len(preset) < STRONG_SECRET:
            log.warning("SAMPAN_ADMIN_KEY is short enough to be guessed: %d characters or more are safe", STRONG_SECRET)
        self.admin_key = keys.ensure_admin(preset)
        self._identity = Identity(keys)
        self._stack.push_async_callback(asyncio.to_thread, self._identity.close)
        self.objects = Objects(database)
        self._files = Files(database, self.objects, time.time)
        self._batches = Batches(database, time.time)
        self._responses = Responses(database, time.time)
        self._releases = Releases(database, time.time)
        kept_in = config.storage.state
        self._state: State = KeptState(database, time.time) if kept_in == "memory" else RedisState(kept_in)
        # What we sign with that nobody is to forge: thinking blocks of our own models.
        self._secret = bytes.fromhex(database.setting("thinking_secret", lambda: secrets.token_hex(32)))

    # Engines.

    def _supervisor(self, config: Config) -> Supervisor:
        specs = [self._processes.first(name) for name in config.engines]
        for name in config.engines:
            self.metrics.engine(name, False)
        return Supervisor(specs, log=_engine_log, listeners=(self._engine_changed,))

    def _revision(self, engine: str) -> str:
        """The release in force; empty for whatever was fetched last. Blocks."""
        configured = self._first.engines[engine].revision
        pin = self._releases.pinned(engine, configured)
        return pin.revision if pin else configured

    def _means(self) -> Means:
        return Means(
            spec=self._processes.release,
            upstream=lambda engine, process: self._wiring.process(engine, process, waits=False),
            probe=self._probe,
            running=lambda process: self._processes.running.get(process, ""),
            configured=lambda engine: self._first.engines[engine].revision,
            settled=self._engine_settled,
        )

    async def _probe(self, engine: str, upstream: Process) -> str:
        """Why a release fails the golden probes; empty where it passes."""
        settings = self.config.engines[engine]
        probes = await asyncio.to_thread(_golden, self.config)
        fit = golden.chosen(probes, engine, settings.speaks, sees=settings.kind != SERVER_KIND)
        return await golden.failure(upstream, settings.speaks, await _model_of(settings, upstream), fit)

    async def _first_call(self, engine: str, process: str) -> None:
        """Another's server is warm once it has answered: it cannot warm itself up."""
        settings = self.config.engines[engine]
        upstream = self._wiring.process(engine, process, waits=False)
        try:
            probes = golden.built_in(settings.speaks)
            why = await golden.failure(upstream, settings.speaks, await _model_of(settings, upstream), probes)
        finally:
            await upstream.aclose()
        if why:
            raise WarmUpFailed(why)

    def _engine_settled(self, engine: str) -> None:
        self.metrics.engine(engine, self.supervisor.state(self.lineups[engine].stable).phase is Phase.WARM)

    def _engine_changed(self, state: EngineState) -> None:
        engine = state.name.partition("@")[0]
        if state.name == self.lineups[engine].stable:
            self.metrics.engine(engine, state.phase is Phase.WARM)
        if state.phase is Phase.BACKING_OFF:
            log.warning("engine %s: %s", state.name, state.last_error)

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether every configured engine is warm, and what each is at."""
        engines = {}
        for name in self.config.engines:
            lineup = self.lineups[name]
            state = self.supervisor.state(lineup.stable)
            told: dict[str, Any] = {"state": state.phase.value, "restarts": state.restarts}
            engines[name] = told
            if lineup.candidate:
                told |= {"candidate": lineup.candidate, "share": lineup.share}
            if state.phase is not Phase.WARM:
                engines[name]["stage"] = state.last_error or state.stage
        breakers = {
            name: {operation.value: breaker.state.value for operation, breaker in guard.breakers.items()}
            for name, guard in self.network.guards.items()
        }
        ready = all(engine["state"] == Phase.WARM.value for engine in engines.values())
        return ready, {"engines": engines, "breakers": breakers}

    # Routing.

    def _kitchen(self, config: Config, stack: AsyncExitStack) -> Kitchen:
        media = config.media
        strangers = Strangers()
        stack.callback(strangers.close)
        crew = Crew(media.workers)
        stack.push_async_callback(crew.aclose)
        exemptions = tuple(Exemption.parse(text) for text in media.fetch_allow)
        policy = Policy(exemptions, most=media.fetch_bytes, seconds=media.fetch_seconds)
        fetcher = Fetcher(strangers.get, strangers.resolve, policy)
        return Kitchen(crew, fetcher, self._load_file, self._secret, round(media.megapixels * 1_000_000))

    async def _load_file(self, owner: str, identifier: str) -> tuple[bytes, str]:
        file, data = await self._files.read(owner, identifier)
        return data, file.mime_type

    # The path of a call.

    def _parts(self, wiring: Wiring) -> Parts:
        server = wiring.config.server
        gallery = Gallery(self.objects, self.public_url, wiring.config.storage.link_lifetime, time.time)
        return Parts(
            catalog=wiring.catalog,
            router=Router(wiring.network.guards, server.attempts, self.metrics.attempted),
            limits=Limits(server.max_image, server.default_model, server.default_image_model),
            authenticate=self._identity.identify,
            actor_of=self._identity.find,
            memory=Memory(self._responses, time.time),
            has_room=lambda: self._records.has_room,
            room=self._records.wait_for_room,
            keep_record=self._keep_record,
            keep_pictures=gallery.keep,
            opened=self.metrics.opened,
            request_id=request_ids(),
            wall=time.time,
            clock=time.monotonic,
            keepalive=server.keepalive,
        )

    def _keep_record(self, record: Record) -> None:
        self._records.append(record)
        self.metrics.closed(record)
        if record.outcome == "failed":
            log.warning("call %s failed: %s", record.id, record.attempts or record.error)

    def _rooms(self, wiring: Wiring) -> Rooms:
        return Rooms(
            start=self.pipeline.start,
            refuse=self.pipeline.refuse,
            authenticate=self._identity.identify,
            models=self._models,
            operations=wiring.catalog.operations,
            readiness=self.readiness,
            metrics=self.metrics.exposition,
            objects=self.objects,
            shelves=self._shelves(wiring.config),
            wall=time.time,
            keepalive=wiring.config.server.keepalive,
            version=__version__,
        )

    def _shelves(self, config: Config) -> tuple[tuple[Shelf, int], ...]:
        server = config.server
        batches = BatchesPages(self._batches, self._runner.wake, server.public_url, server.max_batch)
        return (
            (FilesPages(self._files, time.time, server.max_file), server.max_file + FORM_OVERHEAD),
            (batches, server.max_batch),
            (ResponsesPages(self._responses), SMALL_BODY),
        )

    async def _run_batched(self, owner: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """One call of a batch, by the way of all calls."""
        incoming = Incoming("POST", MESSAGES[0], "", {**headers, "content-type": "application/json"}, body)
        answer = await self.pipeline.run(incoming, Anthropic(), owner)
        if not isinstance(answer.body, bytes):
            await answer.body.aclose()
            raise InvalidRequest("stream: a call of a batch cannot stream", param="stream")
        return answer.status, answer.body

    def _models(self) -> Mapping[str, tuple[Operation, ...]]:
        learned = {name: upstream.models for name, upstream in self.network.upstreams.items()}
        return self.catalog.models(learned)

    async def _sweep(self) -> None:
        """Forgets artifacts, files and responses that are older than they are kept for."""
        while True:
            days = self.config.storage.artifact_days
            try:
                await self._files.purge()
                await asyncio.to_thread(self._responses.sweep)
                swept = await self.objects.sweep(days, time.time()) if days > 0 else 0
                if swept:
                    log.info("%d artifacts older than %g days were removed", swept, days)
            except (OSError, ConfigError) as error:
                log.error("what is old could not be removed: %s", error)
            await asyncio.sleep(SWEEP_EVERY)


def request_ids() -> Callable[[], str]:
    """Makes ids that no other process makes, in the order of time: an index that grows at its end is cheap to keep."""
    prefix = f"req_{time.time_ns() // 1_000_000:011x}{secrets.token_hex(4)}"
    counter = itertools.count()
    return lambda: f"{prefix}{next(counter):08x}"


def _note_end(task: asyncio.Task[Any]) -> None:
    """Background work ends when it is cancelled; ending by itself must not go unseen."""
    if not task.cancelled() and task.exception() is not None:
        log.error("background work ended by a mistake of ours", exc_info=task.exception())


def _golden(config: Config) -> list[golden.Probe]:
    """The golden probes of one's own, if there are any. Raises `ConfigError`. Blocks."""
    return golden.read(Path(config.releases.golden)) if config.releases.golden else []


async def _model_of(settings: EngineSettings, upstream: Process) -> str | None:
    """What an engine's model is called where it is asked: as set, or what another's server lists first."""
    if settings.model or settings.kind != SERVER_KIND:
        return settings.model or None
    with suppress(TargetFault):
        await upstream.probe()
    return next(iter(upstream.models), None)


def _catalog(config: Config) -> Catalog:
    routes = [
        Route(
            route.model,
            tuple(route.operations),
            tuple(_target(config, text, hedged=route.hedge) for text in route.targets),
        )
        for route in config.routes
    ]
    return Catalog(routes, (config.server.default_model, config.server.default_image_model))


def _target(config: Config, text: str, *, hedged: bool) -> Target:
    name, model = parse_target(text)
    engine = config.engines.get(name)
    if engine is not None:
        # Another's server knows its model by a name of its own, ours answer to any.
        known = engine.model if engine.kind == SERVER_KIND else ""
        return Target(name, model or known or None, engine.speaks, Location.LOCAL, engine.tier, hedged)
    upstream = config.upstreams[name]
    tier = Tier.CLOUD if upstream.location is Location.CLOUD else Tier.LOCAL
    return Target(name, model, upstream.dialect, upstream.location, tier, hedged)


def _limits(config: Config) -> BodyLimits:
    return BodyLimits(config.server.max_body, config.server.body_timeout)


def _check_swap(before: Config, after: Config) -> None:
    """Raises `ConfigError` for what only a restart can change."""
    fixed = {
        "[server] listen": (before.server.listen, after.server.listen),
        "[server] data": (before.server.data, after.server.data),
        "[server] public_url": (before.server.public_url, after.server.public_url),
        "[server] idle_timeout": (before.server.idle_timeout, after.server.idle_timeout),
        "[server] batch_calls": (before.server.batch_calls, after.server.batch_calls),
        "[server] log_level": (before.server.log_level, after.server.log_level),
        "[storage]": (before.storage, after.storage),
        "[engines]": (before.engines, after.engines),
    }
    changed = [name for name, (old, new) in fixed.items() if old != new]
    if changed:
        raise ConfigError(f"{', '.join(changed)}: only a restart can change this; nothing was changed")


async def _retire(wiring: Wiring) -> None:
    """Lets the calls of a wiring that is no longer in force end, then closes it."""
    for task in wiring.looks:
        await _end(task)
    await asyncio.sleep(RETIRE_GRACE)
    while True:
        if not wiring.busy:
            break
        await asyncio.sleep(RETIRE_EVERY)
    await wiring.aclose()


def _begin(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(work)
    task.add_done_callback(_note_end)
    return task


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait((task,))


def _engine_log(engine: str, line: str) -> None:
    logging.getLogger(f"sampan.engine.{engine}").info("%s", line)


async def serve(app: App, announce: Callable[[App], Coroutine[None, None, None]], stop: asyncio.Event) -> None:
    """Answers until `stop` is set; answers still open `shutdown` seconds later end in an error event."""
    claim_files()
    listener = Listener(app.door, idle=app.config.server.idle_timeout)
    # Everything built so far lives as long as the process: the collector need not look at it again with every call.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    await listener.start(app.socket)
    announcing = asyncio.create_task(announce(app))
    try:
        await stop.wait()
        listener.retire()
        if not await listener.empty(app.config.server.shutdown):
            app.pipeline.stop()
            app.door.interrupt()
            await listener.empty(LAST_WORDS)
    finally:
        await listener.close()
        await _end(announcing)
