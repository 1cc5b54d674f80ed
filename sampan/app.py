"""Builds every part once and hands each what it needs; starts them in order and stops them in reverse."""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import logging
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sampan import __version__
from sampan.config import (
    DIALECT_OPERATIONS,
    ENGINE_DIALECTS,
    ClockSettings,
    Config,
    EngineSettings,
    UpstreamSettings,
    parse_target,
    split_listen,
)
from sampan.core import Dialect, Fault, Location, Operation, Record, Target, Tier
from sampan.dialects import Limits
from sampan.edge.door import BodyLimits, Door, Rooms
from sampan.edge.listener import Listener
from sampan.errors import ConfigError, TargetFault
from sampan.governance.identity import Identity
from sampan.pipeline import Parts, Pipeline
from sampan.routing.breaker import Breaker, State
from sampan.routing.bulkhead import Bulkhead
from sampan.routing.catalog import Catalog, Route
from sampan.routing.probes import Prober
from sampan.routing.router import Guard, Router
from sampan.storage.db import Database
from sampan.storage.gallery import Gallery
from sampan.storage.keys import STRONG_SECRET, Keys
from sampan.storage.objects import Objects
from sampan.storage.records import Records
from sampan.supervisor import EngineSpec, EngineState, Phase, Supervisor
from sampan.telemetry import Metrics
from sampan.upstreams.dial import tls_context
from sampan.upstreams.origin import Clocks, Origin
from sampan.upstreams.pool import Pool
from sampan.upstreams.upstream import HttpUpstream, credentials

log = logging.getLogger("sampan.app")

ENGINE_DELAY = 5.0  # a crashed engine is back within seconds: its breaker need not wait as long as a cloud's
SWEEP_EVERY = 3600.0
EVERY_ADDRESS = ("0.0.0.0", "::")
LAST_WORDS = 5  # seconds for broken-off answers to say so
GC_THRESHOLDS = (20_000, 20, 50)  # a call makes hundreds of short-lived values and hardly a cycle
SLOW_DIALECTS = frozenset({Dialect.OPENAI_IMAGES})


@dataclass(frozen=True, slots=True)
class Network:
    """Everything that answers calls: upstreams by name with what guards them, and who looks at them."""

    upstreams: Mapping[str, HttpUpstream]
    guards: Mapping[str, Guard]
    probers: tuple[Prober, ...]


def _clocks(settings: ClockSettings, *, connect: float, first_event: float) -> Clocks:
    """The clocks as set, the rest by default."""
    return Clocks(
        connect=settings.connect or connect,
        first_event=settings.first_event or first_event,
        idle=settings.idle or 30.0,
        total=settings.total or 600.0,
    )


class App:
    """One gateway. `async with App(config) as app` has all parts started, engines still warming up."""

    def __init__(self, config: Config, environ: Mapping[str, str] = os.environ) -> None:
        self.config = config
        self.admin_key: str | None = None
        self.public_url = ""
        self._environ = environ
        self._stack = AsyncExitStack()
        self._probe_faults: dict[str, Fault | None] = {}
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
        self.socket = self._listen()
        await asyncio.to_thread(self._open_storage)
        self.supervisor = self._supervisor()
        self.network = self._network()
        self.catalog = self._catalog()
        router = Router(self.network.guards, self.config.server.attempts, self.metrics.attempted)
        self.pipeline = Pipeline(self._parts(router))
        self.door = Door(self._rooms(), BodyLimits(self.config.server.max_body, self.config.server.body_timeout))
        await self.supervisor.start()
        self._stack.push_async_callback(self.supervisor.stop)
        tasks = [prober.run() for prober in self.network.probers]
        tasks += [self._identity.watch(), self._sweep()]
        for work in tasks:
            task = asyncio.create_task(work)
            task.add_done_callback(_note_end)
            self._stack.push_async_callback(_end, task)

    def _listen(self) -> socket.socket:
        """The listening socket, bound before anything else: a taken port is the commonest reason not to start."""
        host, port = split_listen(self.config.server.listen)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        self._stack.callback(listener.close)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {self.config.server.listen}: {error.strerror}. "
                "Stop what uses it, or set another address in [server] listen"
            ) from None
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{listener.getsockname()[1]}"
        self.public_url = self.config.server.public_url or self.url
        if not self.config.server.public_url and host in EVERY_ADDRESS:
            self.public_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            log.warning(
                "links are signed for %s: set [server] public_url to the host that browsers see", self.public_url
            )
        return listener

    def _open_storage(self) -> None:
        """Blocks: the database, the records that a dead process left, the keys, the artifacts."""
        database = Database(Path(self.config.server.data))
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

    # Engines.

    def _supervisor(self) -> Supervisor:
        specs = [self._spec(name, engine) for name, engine in self.config.engines.items()]
        for name in self.config.engines:
            self.metrics.engine(name, False)
        return Supervisor(specs, log=_engine_log, listeners=(self._engine_changed,))

    def _spec(self, name: str, engine: EngineSettings) -> EngineSpec:
        command = (sys.executable, "-m", "sampan.engines.server", engine.kind, "--listen", "{listen}", "--lifeline")
        # One thread a call: a library that takes all cores for one page starves the gateway beside it.
        environ = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        return EngineSpec(name, (*command, "--threads", str(engine.threads)), engine.listen, environ)

    def _engine_changed(self, state: EngineState) -> None:
        self.metrics.engine(state.name, state.phase is Phase.WARM)
        if state.phase is Phase.BACKING_OFF:
            log.warning("engine %s: %s", state.name, state.last_error)

    async def _wait_warm(self, name: str, seconds: float) -> None:
        """Waits for an engine that is on its way; one that has crashed is a fault at once."""
        state = self.supervisor.state(name)
        if state.phase is Phase.STARTING and state.crashes == 0:
            try:
                await self.supervisor.wait_warm(name, seconds)
            except TimeoutError:
                raise TargetFault(Fault.FIRST_BYTE_TIMEOUT, "the engine is still warming up") from None

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether every configured engine is warm, and what each is at."""
        engines = {}
        for name in self.config.engines:
            state = self.supervisor.state(name)
            engines[name] = {"state": state.phase.value, "restarts": state.restarts}
            if state.phase is not Phase.WARM:
                engines[name]["stage"] = state.last_error or state.stage
        breakers = {
            name: {operation.value: breaker.state.value for operation, breaker in guard.breakers.items()}
            for name, guard in self.network.guards.items()
        }
        ready = all(engine["state"] == Phase.WARM.value for engine in engines.values())
        return ready, {"engines": engines, "breakers": breakers}

    # Routing.

    def _network(self) -> Network:
        upstreams: dict[str, HttpUpstream] = {}
        guards: dict[str, Guard] = {}
        probers: list[Prober] = []
        for name, settings in self.config.upstreams.items():
            upstreams[name] = self._upstream(name, settings)
            probed = settings.probe != "off" and self.config.probes.interval > 0
            wakes: list[Prober] = []
            breakers = self._breakers(name, settings.dialect, self.config.breaker.delay, probed, wakes)
            guards[name] = Guard(upstreams[name], breakers, Bulkhead(settings.concurrency))
            if probed:
                interval = self.config.probes.interval
                prober = Prober(
                    upstreams[name], breakers.values(), interval, clock=time.monotonic, observe=self._probed
                )
                wakes.append(prober)
                probers.append(prober)
        for name, engine in self.config.engines.items():
            dialect = ENGINE_DIALECTS[engine.kind]
            upstreams[name] = self._engine_upstream(name, engine)
            delay = min(ENGINE_DELAY, self.config.breaker.delay)
            guards[name] = Guard(
                upstreams[name], self._breakers(name, dialect, delay, False, []), Bulkhead(engine.concurrency)
            )
        for upstream in upstreams.values():
            self._stack.push_async_callback(upstream.aclose)
        return Network(MappingProxyType(upstreams), MappingProxyType(guards), tuple(probers))

    def _breakers(
        self, upstream: str, dialect: Dialect, delay: float, probed: bool, wakes: list[Prober]
    ) -> dict[Operation, Breaker]:
        settings = self.config.breaker
        breakers = {}
        for operation in DIALECT_OPERATIONS[dialect]:
            breakers[operation] = Breaker(
                failures=settings.failures,
                delay=delay,
                successes=settings.successes,
                clock=time.monotonic,
                probed=probed,
                grace=2 * self.config.probes.timeout,
                changed=functools.partial(self._breaker_changed, upstream, operation, wakes),
            )
            self.metrics.breaker(upstream, operation, State.CLOSED.value)
        return breakers

    def _breaker_changed(
        self, upstream: str, operation: Operation, wakes: list[Prober], before: State, after: State
    ) -> None:
        level = logging.WARNING if after is State.OPEN else logging.INFO
        log.log(level, "breaker of %s for %s: %s -> %s", upstream, operation.value, before.value, after.value)
        self.metrics.breaker(upstream, operation, after.value)
        for prober in wakes:
            prober.wake()

    def _probed(self, upstream: str, fault: TargetFault | None) -> None:
        """Counts every probe and tells of changes: an outage of an hour is one line, not hundreds."""
        now = fault.fault if fault else None
        self.metrics.probed(upstream, now)
        before = self._probe_faults.get(upstream)
        self._probe_faults[upstream] = now
        if now is not None and now is not before:
            log.warning("probe of %s: %s", upstream, fault)
        elif now is None and before is not None:
            log.info("probe of %s: it answers again", upstream)

    def _upstream(self, name: str, settings: UpstreamSettings) -> HttpUpstream:
        origin = Origin.parse(settings.base_url)
        if origin.path.endswith("/v1"):  # both ways of writing a base URL are common; our paths have the /v1
            origin = replace(origin, path=origin.path.removesuffix("/v1"))
        headers = {
            "user-agent": f"sampan/{__version__}",
            "accept-encoding": "identity",  # frames are watched as they pass: unpacking them would cost more
            **credentials(settings.dialect, settings.api_key),
            **({"anthropic-version": "2023-06-01"} if settings.dialect is Dialect.ANTHROPIC else {}),
            **{key.lower(): value for key, value in settings.headers.items()},
        }
        pool = Pool(
            origin,
            ssl_context=tls_context(settings.ca or None) if origin.secure else None,
            proxy=settings.proxy or None,
            headers=headers,
            max_connections=settings.concurrency,
        )
        first_event = 120.0 if settings.dialect in SLOW_DIALECTS else 20.0
        return HttpUpstream(
            name,
            settings.dialect,
            pool,
            clocks=_clocks(settings.clocks, connect=2.0, first_event=first_event),
            probe_path=settings.probe,
            probe_timeout=self.config.probes.timeout,
        )

    def _engine_upstream(self, name: str, engine: EngineSettings) -> HttpUpstream:
        clocks = _clocks(engine.clocks, connect=1.0, first_event=120.0)
        return HttpUpstream(
            name,
            ENGINE_DIALECTS[engine.kind],
            Pool(Origin.parse(self.supervisor.state(name).url), headers={}, max_connections=engine.concurrency),
            clocks=clocks,
            probe_path="off",
            probe_timeout=self.config.probes.timeout,
            awake=functools.partial(self._wait_warm, name, clocks.first_event),
        )

    def _catalog(self) -> Catalog:
        routes = [
            Route(route.model, tuple(route.operations), tuple(self._target(text) for text in route.targets))
            for route in self.config.routes
        ]
        server = self.config.server
        return Catalog(routes, (server.default_model, server.default_image_model))

    def _target(self, text: str) -> Target:
        name, model = parse_target(text)
        engine = self.config.engines.get(name)
        if engine is not None:
            return Target(name, model, ENGINE_DIALECTS[engine.kind], Location.LOCAL, Tier.DEGRADED)
        upstream = self.config.upstreams[name]
        tier = Tier.CLOUD if upstream.location is Location.CLOUD else Tier.LOCAL
        return Target(name, model, upstream.dialect, upstream.location, tier)

    # The path of a call.

    def _parts(self, router: Router) -> Parts:
        server = self.config.server
        gallery = Gallery(self.objects, self.public_url, self.config.storage.link_lifetime, time.time)
        return Parts(
            catalog=self.catalog,
            router=router,
            limits=Limits(server.max_image, server.default_model, server.default_image_model),
            authenticate=self._identity.authenticate,
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

    def _rooms(self) -> Rooms:
        return Rooms(
            run=self.pipeline.run,
            refuse=self.pipeline.refuse,
            authenticate=self._identity.authenticate,
            models=self._models,
            operations=self.catalog.operations,
            readiness=self.readiness,
            metrics=self.metrics.exposition,
            objects=self.objects,
            wall=time.time,
            keepalive=self.config.server.keepalive,
            version=__version__,
        )

    def _models(self) -> Mapping[str, tuple[Operation, ...]]:
        learned = {name: upstream.models for name, upstream in self.network.upstreams.items()}
        return self.catalog.models(learned)

    async def _sweep(self) -> None:
        """Forgets artifacts that are older than they are kept for."""
        days = self.config.storage.artifact_days
        while days > 0:
            try:
                swept = await self.objects.sweep(days, time.time())
                if swept:
                    log.info("%d artifacts older than %g days were removed", swept, days)
            except (OSError, ConfigError) as error:
                log.error("old artifacts could not be removed: %s", error)
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


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait((task,))


def _engine_log(engine: str, line: str) -> None:
    logging.getLogger(f"sampan.engine.{engine}").info("%s", line)


async def serve(app: App, announce: Callable[[App], Coroutine[None, None, None]], stop: asyncio.Event) -> None:
    """Answers until `stop` is set; answers still open `shutdown` seconds later end in an error event."""
    listener = Listener(app.door)
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
