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
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sampan import __version__
from sampan.batches import BatchRunner
from sampan.config import Config, Egress, split_listen
from sampan.config.objects import link_origins
from sampan.console.easel import Easels, easels
from sampan.console.front import SITE, Front
from sampan.console.voices import Voices, voices
from sampan.core import Incoming, Operation, Record, Span, Target, Upstream
from sampan.dialects import Limits
from sampan.dialects.anthropic import Anthropic
from sampan.edge.batches import BatchesPages
from sampan.edge.console_papers import BODY_LIMIT, PapersPages
from sampan.edge.console_pictures import PicturesPages
from sampan.edge.door import MESSAGES, BodyLimits, Door, Rooms, Shelf
from sampan.edge.entrance import Entrance
from sampan.edge.files import FilesPages
from sampan.edge.listener import Listener, claim_files
from sampan.edge.origins import Origins
from sampan.edge.responses import ResponsesPages
from sampan.edge.wire import SMALL_BODY
from sampan.engine_room import EngineRoom, Links, golden_probes
from sampan.errors import ConfigError, InvalidRequest, NotFound
from sampan.governance.detect import Detector
from sampan.governance.redaction import Redaction
from sampan.governance.residency import Senses
from sampan.governing import Governance, Surroundings
from sampan.media.crew import Crew
from sampan.media.fetching import Exemption, Fetcher, Policy
from sampan.media.kitchen import Kitchen
from sampan.memory import Memory
from sampan.network import Network, NetworkBuilder, Running, Ways, catalog_of
from sampan.operating import Operating
from sampan.pipeline import Pipeline
from sampan.reloading import check_swap
from sampan.replay import Replays, Terms
from sampan.routing.breaker import State as BreakerState
from sampan.routing.catalog import Catalog
from sampan.routing.router import Router
from sampan.senses import Eyes
from sampan.storage.batches import Batches
from sampan.storage.cache import Cache
from sampan.storage.db import Database
from sampan.storage.files import Files
from sampan.storage.gallery import Gallery
from sampan.storage.keys import STRONG_SECRET, Keys
from sampan.storage.objects import Objects, open_store
from sampan.storage.papers import Papers
from sampan.storage.releases import Releases
from sampan.storage.responses import Responses
from sampan.storage.state import KeptState, RedisState, State
from sampan.story import Parts
from sampan.telemetry import Collector, Tracing, log_call
from sampan.upstreams.fetch import Strangers
from sampan.upstreams.outside import Outside
from sampan.upstreams.upstream import HttpUpstream
from sampan.watching import Sources, Watched, Watching

log = logging.getLogger("sampan.app")

SWEEP_EVERY = 3600.0
RETIRE_EVERY = 0.2
RETIRE_GRACE = 5.0  # seconds for calls that have a plan already and stand before no bulkhead yet
ADMIN_BODY = 1 << 20  # bytes: a question about a call may hold the call
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

    def __init__(self, config: Config, environ: Mapping[str, str] = os.environ, path: Path | None = None) -> None:
        """`path` is the file that the configuration came from, where it came from one."""
        self._first = config
        self._path = path
        self.admin_key: str | None = None
        self.public_url = ""
        self._environ = environ
        self._stack = AsyncExitStack()
        self._retired: list[asyncio.Task[Any]] = []
        self.metrics = Watched()
        self._tracing: Tracing | None = None

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
        await asyncio.to_thread(golden_probes, config)
        self.entrance = await asyncio.to_thread(Entrance, config)
        self.socket = self._listen(config)
        self._egress = Egress(config.egress.hosts)
        self._outside = Outside(self._egress)
        self._stack.push_async_callback(self._outside.aclose)
        await asyncio.to_thread(self._open_storage, config)
        self._stack.push_async_callback(self._state.aclose)
        try:
            await self.objects.check()
        except OSError as error:
            log.warning("%s; until it is back pictures go out as bytes", error)
        self._cache = Cache(config.cache.bytes, time.monotonic)
        collector = self._trace(config)
        links = Links(lambda: self.config, self._process, self.metrics.moved)
        env = collector.environment() if collector else {}
        self._engines = EngineRoom(config, self._releases, self.metrics, links, env)
        self._wiring = await self._wire(config)
        self._stack.push_async_callback(self._unwire)
        self._operating = Operating(lambda: self.config, self._releases, self._engines, self._path, self._environ)
        self._stack.push_async_callback(self._operating.aclose)
        self.watching = Watching(self.metrics.board, self._sources())
        self.pipeline = Pipeline(self._parts(self._wiring))
        self._runner = BatchRunner(self._batches, self._run_batched, time.time, config.server.batch_calls)
        self.door = Door(self._rooms(self._wiring), _limits(config))
        self._stack.push_async_callback(self._engines.supervisor.stop)
        promoting = await self._engines.start()
        own = self._sweep(), self._runner.run_forever(), promoting, self.watching.run()
        for work in (*self._governance.works(), *own):
            self._stack.push_async_callback(_end, _begin(work))
        self._tokens = _begin(self._governance.tokens.run())
        self._stack.push_async_callback(self._forget_tokens)

    # Configuration.

    @property
    def config(self) -> Config:
        """What is in force."""
        return self._wiring.config

    async def wait_warm(self, engine: str, seconds: float) -> None:
        """Raises `TimeoutError` with what it is at."""
        await self._engines.supervisor.wait_warm(self._engines.lineups[engine].stable, seconds)

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
        check_swap(self.config, config)
        await asyncio.to_thread(golden_probes, config)
        enter = await asyncio.to_thread(self.entrance.prepare, config)
        tokens = await asyncio.to_thread(self._governance.look_after, config)
        wiring, old = await self._wire(config), self._wiring
        try:
            await self._governance.adopt(config, tokens)
        except BaseException:
            await wiring.aclose()
            raise
        await self._forget_tokens()
        self._tokens = _begin(tokens.run())
        enter()
        self._wiring = wiring
        self.watching.reloaded()
        self.pipeline.adopt(self._parts(wiring))
        self.door.adopt(self._rooms(wiring), _limits(config))
        self._retired = [task for task in self._retired if not task.done()]
        self._retired.append(_begin(_retire(old)))

    async def _forget_tokens(self) -> None:
        """Issuers of an earlier configuration are not asked for their keys any more."""
        await _end(self._tokens)

    def _trace(self, config: Config) -> Collector | None:
        """Where traces go, for our engines as well."""
        telemetry = config.telemetry
        if not telemetry.traces:
            return None
        collector = Collector(telemetry.traces, telemetry.headers, telemetry.service)
        self._tracing = Tracing(collector, telemetry.sample, may_connect=self._egress.check)
        self._stack.push_async_callback(asyncio.to_thread, self._tracing.close)
        return collector

    async def _wire(self, config: Config) -> Wiring:
        async with AsyncExitStack() as stack:
            kitchen = self._kitchen(config, stack)
            ways = Ways(self._egress, self._redaction)
            engines = Running(self._engines.supervisor, self._engines.lineups)
            builder = NetworkBuilder(config, engines, self.metrics, kitchen, self._state, ways)
            with self.metrics.board.quiet():
                network = builder.build()
                for upstream in network.upstreams.values():
                    stack.push_async_callback(upstream.aclose)
                await network.sharing.load()
            stack.push_async_callback(network.sharing.aclose)
            catalog = catalog_of(config)
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
        scheme = "https" if config.tls.certificate else "http"
        self.url = f"{scheme}://{name}:{listener.getsockname()[1]}"
        self.public_url = config.server.public_url or self.url
        if not config.server.public_url and host in EVERY_ADDRESS:
            self.public_url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
            log.warning(
                "links are signed for %s: set [server] public_url to the host that browsers see", self.public_url
            )
        return listener

    def _open_storage(self, config: Config) -> None:
        """Blocks: the database, the records that a dead process left, the keys, the artifacts."""
        folder = Path(config.server.data)
        database = Database(folder, config.storage.database)
        self._stack.callback(database.close)
        keys = Keys(database)
        preset = self._environ.get("SAMPAN_ADMIN_KEY") or None
        if preset is not None and len(preset) < STRONG_SECRET:
            log.warning("SAMPAN_ADMIN_KEY is short enough to be guessed: %d characters or more are safe", STRONG_SECRET)
        eyes = Eyes(self._reader)
        senses = Senses(eyes.read, eyes.read_document, self._load_bytes)
        surroundings = Surroundings(self._outside, senses, self.public_url, self.metrics.delivered)
        self._governance = Governance(config, database, keys, surroundings)
        self._records, self._identity = self._governance.audit.records, self._governance.identity
        replayed = self._governance.start()
        self._stack.push_async_callback(self._governance.aclose)
        if replayed:
            log.info("%d records of a server that was killed were kept", replayed)
        self.admin_key = keys.ensure_admin(preset)
        self._identity.refresh()
        self._redaction = Redaction(Detector().find, secrets.token_bytes(32))
        store = open_store(config.storage, folder, self._environ)
        self.objects = Objects(database, time.time, store, direct=config.storage.links == "store")
        site = self._environ.get("SAMPAN_CONSOLE_SITE")
        self._front = Front(__version__, Path(site) if site else SITE, link_origins(config.storage))
        self._stack.push_async_callback(self.objects.settled)
        self._files = Files(database, self.objects, time.time)
        self._batches = Batches(database, time.time)
        self._responses = Responses(database, time.time)
        self._papers = Papers(database)
        self._releases = Releases(database, time.time)
        kept_in = config.storage.state
        self._state: State = KeptState(database, time.time) if kept_in == "memory" else RedisState(kept_in)
        # What we sign with that nobody is to forge: thinking blocks of our own models.
        self._secret = bytes.fromhex(database.setting("thinking_secret", lambda: secrets.token_hex(32)))

    def _process(self, engine: str, process: str, *, waits: bool) -> HttpUpstream:
        return self._wiring.process(engine, process, waits=waits)

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether every configured engine is warm, and what each engine and breaker is at."""
        ready, engines = self._engines.readiness()
        breakers = {
            name: {operation.value: breaker.state.value for operation, breaker in guard.breakers.items()}
            for name, guard in self.network.guards.items()
        }
        return ready, {"engines": engines, "breakers": breakers}

    def _sources(self) -> Sources:
        def currency() -> str:
            return self._governance.ledger.terms.quota.currency

        return Sources(lambda: self._wiring, self._engines, self._records, self._releases, self._cache, currency)

    def _reader(self) -> Upstream | None:
        """The engine that reads, for who has to know what is in a picture."""
        kinds = ((name, engine.kind) for name, engine in self.config.engines.items())
        return next((self.network.upstreams[name] for name, kind in kinds if kind == "reader"), None)

    async def _load_bytes(self, identifier: str, tenant: str) -> bytes:
        return (await self._load_file(tenant, identifier))[0]

    # Routing.

    def _kitchen(self, config: Config, stack: AsyncExitStack) -> Kitchen:
        media = config.media
        strangers = Strangers(egress=self._egress)
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
            router=Router(
                wiring.network.guards, server.attempts, self.metrics.attempted, broke=self.metrics.board.broke
            ),
            limits=_call_limits(wiring.config),
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
            replays=self._replays(wiring),
            judge=self._governance.judge,
            ledger=self._governance.ledger,
            keep_content=self._governance.audit.keep_content,
            trace=None if self._tracing is None else self._span,
            traces_confined=wiring.config.telemetry.confined,
        )

    def _replays(self, wiring: Wiring) -> Replays | None:
        """None where no route keeps answers. What is kept outlives a reload: a question is asked of its route anew."""
        if not any(route.cache for route in wiring.config.routes):
            return None

        def terms(model: str, operation: Operation) -> Terms | None:
            try:
                route = wiring.catalog.route(model, operation)
            except NotFound:
                return None
            return Terms(route.keeps, route.shared) if route.keeps else None

        def usable(target: Target, operation: Operation) -> bool:
            return wiring.network.guards[target.upstream].breakers[operation].state is not BreakerState.OPEN

        return Replays(self._cache, terms, self._engines.release, usable, time.monotonic)

    def _span(self, incoming: Incoming) -> Span | None:
        assert self._tracing is not None
        return self._tracing.begin(incoming.headers)

    def _keep_record(self, record: Record) -> None:
        self._records.append(record)
        self.metrics.closed(record)
        if self.config.telemetry.calls:
            log_call(record)
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
            shelves=self._shelves(wiring),
            wall=time.time,
            keepalive=wiring.config.server.keepalive,
            version=__version__,
            origins=Origins(wiring.config.cors),
            foyers=(self._front, *self._governance.foyers(wiring.config)),
            hsts=wiring.config.tls.hsts if wiring.config.tls.certificate else 0,
        )

    def _shelves(self, wiring: Wiring) -> tuple[tuple[Shelf, int], ...]:
        config, server = wiring.config, wiring.config.server
        admin = self._governance.shelves(config, wiring.catalog.plan, _call_limits(config))
        batches = BatchesPages(self._batches, self._runner.wake, server.public_url, server.max_batch)
        return (
            (FilesPages(self._files, time.time, server.max_file), server.max_file + FORM_OVERHEAD),
            (batches, server.max_batch),
            (ResponsesPages(self._responses), SMALL_BODY),
            (PapersPages(self._papers, self._files, lambda: self._voices(wiring)), BODY_LIMIT),
            (
                PicturesPages(self.objects, lambda: self._easels(wiring), server.max_image),
                server.max_image + SMALL_BODY,
            ),
            *(
                (each, ADMIN_BODY)
                for each in (*admin, *self._operating.shelves, self.watching.shelf(self._identity.identify))
            ),
        )

    def _voices(self, wiring: Wiring) -> Voices:
        return voices(wiring.config, wiring.catalog, self._models())

    def _easels(self, wiring: Wiring) -> Easels:
        return easels(wiring.config, wiring.catalog, self._models())

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
                swept = await self.objects.sweep(days, time.time())
                if swept:
                    old = f"were older than {days:g} days, or " if days else ""
                    log.info("%d artifacts were removed: they %swere deleted, or nobody knew them", swept, old)
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


def _limits(config: Config) -> BodyLimits:
    return BodyLimits(config.server.max_body, config.server.body_timeout, config.server.body_rate)


def _call_limits(config: Config) -> Limits:
    server = config.server
    return Limits(server.max_image, server.default_model, server.default_image_model)


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


async def serve(app: App, announce: Callable[[App], Coroutine[None, None, None]], stop: asyncio.Event) -> None:
    """Answers until `stop` is set; answers still open `shutdown` seconds later end in an error event."""
    claim_files()
    listener = Listener(app.door, idle=app.config.server.idle_timeout, entrance=app.entrance)
    # Everything built so far lives as long as the process: the collector need not look at it again with every call.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    await listener.start(app.socket)
    announcing = asyncio.create_task(announce(app))
    try:
        await stop.wait()
        app.watching.broadcast.close()
        listener.retire()
        if not await listener.empty(app.config.server.shutdown):
            app.pipeline.stop()
            app.door.interrupt()
            await listener.empty(LAST_WORDS)
    finally:
        await listener.close()
        await _end(announcing)
