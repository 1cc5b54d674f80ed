"""Builds everything that answers calls: upstreams by name, what guards each, and who looks at them."""

from __future__ import annotations

import functools
import hashlib
import logging
import random
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from urllib.parse import urlsplit

from sampan import __version__
from sampan.config import (
    DIALECT_OPERATIONS,
    EMBEDDED_ENGINES,
    SERVER_KIND,
    ClockSettings,
    Config,
    Egress,
    EngineSettings,
    UpstreamSettings,
    parse_target,
)
from sampan.core import Call, Continuing, Dialect, Fault, Location, Operation, Target, Tier
from sampan.dialects.translation.chat_server import SERVERS
from sampan.dialects.translation.manners import Terms, manners
from sampan.errors import ConfigError, TargetFault
from sampan.governance.masked import Masked
from sampan.governance.redaction import Redaction
from sampan.media.kitchen import Cook, Kitchen
from sampan.media.serving import Diet
from sampan.routing.attempts import Guard
from sampan.routing.breaker import Breaker
from sampan.routing.breaker import State as BreakerState
from sampan.routing.bulkhead import Bulkhead
from sampan.routing.canary import Canary, Lineup, Process
from sampan.routing.catalog import Catalog, Route
from sampan.routing.probes import Prober
from sampan.routing.sharing import Sharing
from sampan.storage.state import State
from sampan.supervisor import Phase, Supervisor
from sampan.telemetry import Metrics
from sampan.upstreams.dial import tls_context
from sampan.upstreams.origin import Clocks, Origin
from sampan.upstreams.pool import Pool
from sampan.upstreams.upstream import Habits, HttpUpstream, credentials

log = logging.getLogger("sampan.app")

ENGINE_DELAY = 5.0  # a crashed engine is back within seconds: its breaker need not wait as long as a cloud's
LOCAL_QUEUE = 64  # calls that wait for a server of one's own
SLOW_DIALECTS = frozenset({Dialect.OPENAI_IMAGES})
TALK_DIALECTS = frozenset({Dialect.ANTHROPIC, Dialect.OPENAI_CHAT})


@dataclass(frozen=True, slots=True)
class Network:
    """Everything that answers calls: upstreams by name with what guards them, and who looks at them."""

    upstreams: Mapping[str, Process]
    guards: Mapping[str, Guard]
    probers: tuple[Prober, ...]
    sharing: Sharing


def _clocks(settings: ClockSettings, *, connect: float, first_event: float) -> Clocks:
    """The clocks as set, the rest by default."""
    return Clocks(
        connect=settings.connect or connect,
        first_event=settings.first_event or first_event,
        idle=settings.idle or 30.0,
        total=settings.total or 600.0,
        rate=settings.rate or 0.0,
    )


def _continuing(settings: UpstreamSettings) -> Continuing:
    """As set, or as the server can: talk only, and asked where a prefill would begin a new answer."""
    if settings.continues:
        return Continuing(settings.continues)
    if settings.dialect not in TALK_DIALECTS:
        return Continuing.NO
    return _prefilled(settings.server)


def _prefilled(server: str) -> Continuing:
    return Continuing.ASK if SERVERS[server].prefill == "refuse" else Continuing.PREFILL


def _without_v1(origin: Origin) -> Origin:
    """Both ways of writing a base URL are common; our paths have the /v1."""
    return replace(origin, path=origin.path.removesuffix("/v1"))


def place(name: str, settings: UpstreamSettings) -> str:
    """What an upstream is called among servers that share their state: never the same for two that are not.

    A URL of this machine means another server on every other one.
    """
    host = urlsplit(settings.base_url).hostname or ""
    own = socket.gethostname() if host in ("localhost", "::1") or host.startswith("127.") else ""
    words = "\n".join((settings.dialect, settings.base_url, settings.proxy, own))
    return f"{name}:{hashlib.sha256(words.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class Running:
    """The engines: their processes, and which of them answer."""

    supervisor: Supervisor
    lineups: Mapping[str, Lineup]


@dataclass(frozen=True, slots=True)
class Ways:
    """What stands on the way out: where may be gone, and what identifiers are masked with."""

    egress: Egress
    redaction: Redaction


class NetworkBuilder:
    """Used once, by `app`. It notes what breakers and probes see, for as long as the network lives."""

    def __init__(
        self,
        config: Config,
        engines: Running,
        metrics: Metrics,
        kitchen: Kitchen,
        state: State,
        ways: Ways,
    ) -> None:
        self._config = config
        self._ways = ways
        self._lineups = engines.lineups
        self._supervisor = engines.supervisor
        self._metrics = metrics
        self._kitchen = kitchen
        self._probe_faults: dict[str, Fault | None] = {}
        self._state_up: bool | None = None
        # Servers put their probes off by amounts of their own: one of them is the first, the others need not look.
        put_off = random.uniform(0.1, 0.3)
        self._sharing = Sharing(
            state, secrets.token_hex(4), time.monotonic, put_off=put_off, observe=self._state_changed
        )

    def build(self) -> Network:
        upstreams: dict[str, Process] = {}
        guards: dict[str, Guard] = {}
        probers: list[Prober] = []
        probes = self._config.probes
        for name, settings in self._config.upstreams.items():
            upstream = upstreams[name] = self._masked(self._upstream(name, settings), settings)
            probed = settings.probe != "off" and probes.interval > 0
            wakes: list[Prober] = []
            breakers = self._breakers(name, settings.dialect, self._config.breaker.delay, probed, wakes)
            guards[name] = Guard(upstreams[name], breakers, self._bulkhead(name, settings), upstream.ask)
            if probed:
                prober = Prober(
                    upstream, breakers.values(), probes.interval, clock=time.monotonic, observe=self._probed
                )
                wakes.append(prober)
                probers.append(prober)
                self._sharing.add_prober(name, place(name, settings), prober, probes.interval)
            self._sharing.add(place(name, settings), breakers, self._config.breaker.delay)
        for name, engine in self._config.engines.items():
            build = functools.partial(self.process, name)
            upstreams[name] = Canary(name, self._lineups[name], build)
            delay = min(ENGINE_DELAY, self._config.breaker.delay)
            breakers = self._breakers(name, engine.speaks, delay, False, [])
            guards[name] = Guard(upstreams[name], breakers, self._bulkhead(name, engine))
        return Network(MappingProxyType(upstreams), MappingProxyType(guards), tuple(probers), self._sharing)

    def _bulkhead(self, upstream: str, settings: UpstreamSettings | EngineSettings) -> Bulkhead:
        """A cloud that is full is passed by: there may be another. Behind a server of one's own there is nobody."""
        queue = settings.queue
        if queue is None:
            local = isinstance(settings, UpstreamSettings) and settings.location is Location.LOCAL
            queue = LOCAL_QUEUE if local else 0
        bulkhead = Bulkhead(settings.concurrency, queue=queue, seconds=settings.queue_seconds)
        self._metrics.bulkhead(upstream, bulkhead)
        return bulkhead

    def _breakers(
        self, upstream: str, dialect: Dialect, delay: float, probed: bool, wakes: list[Prober]
    ) -> dict[Operation, Breaker]:
        settings = self._config.breaker
        breakers = {}
        for operation in DIALECT_OPERATIONS[dialect]:
            breakers[operation] = Breaker(
                failures=settings.failures,
                delay=delay,
                successes=settings.successes,
                clock=time.monotonic,
                probed=probed,
                grace=2 * self._config.probes.timeout,
                changed=functools.partial(self._breaker_changed, upstream, operation, wakes),
            )
            self._metrics.breaker(upstream, operation, BreakerState.CLOSED.value)
        return breakers

    def _breaker_changed(
        self, upstream: str, operation: Operation, wakes: list[Prober], before: BreakerState, after: BreakerState
    ) -> None:
        level = logging.WARNING if after is BreakerState.OPEN else logging.INFO
        log.log(level, "breaker of %s for %s: %s -> %s", upstream, operation.value, before.value, after.value)
        self._metrics.breaker(upstream, operation, after.value)
        for prober in wakes:
            prober.wake()
        self._sharing.wake()

    def _probed(self, upstream: str, fault: TargetFault | None) -> None:
        """Counts every probe and tells of changes: an outage of an hour is one line, not hundreds."""
        now = fault.fault if fault else None
        self._metrics.probed(upstream, now)
        self._sharing.probed(upstream, fault is None)
        before = self._probe_faults.get(upstream)
        self._probe_faults[upstream] = now
        if now is not None and now is not before:
            log.warning("probe of %s: %s", upstream, fault)
        elif now is None and before is not None:
            log.info("probe of %s: it answers again", upstream)

    def _state_changed(self, error: ConfigError | None) -> None:
        """One line a change: breakers go on without it, each server by itself."""
        before, self._state_up = self._state_up, error is None
        self._metrics.shared_state(error is None)
        if error is not None:
            log.warning("the state of breakers is not shared or kept for now: %s", error)
        elif before is False:
            log.info("the state of breakers is shared and kept again")

    def _masked(self, upstream: HttpUpstream, settings: UpstreamSettings) -> HttpUpstream | Masked:
        """Residency looks at the pictures of a call before it lets one that is masked leave."""
        if settings.location is not Location.CLOUD:
            return upstream
        return Masked(upstream, self._ways.redaction, self._seen)

    def _seen(self, call: Call) -> bool:
        """Whether residency has looked at a call's pictures: where it is set to, before it lets one leave."""
        return self._config.residency.pictures

    def _upstream(self, name: str, settings: UpstreamSettings) -> HttpUpstream:
        origin = _without_v1(Origin.parse(settings.base_url))
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
            egress=self._ways.egress,
        )
        first_event = 120.0 if settings.dialect in SLOW_DIALECTS else 20.0
        is_cloud = settings.location is Location.CLOUD
        terms = Terms(time.time, SERVERS[settings.server], None if is_cloud else self._kitchen.secret)
        cook = self._cook(settings, is_cloud=is_cloud)
        return HttpUpstream(
            name,
            pool,
            manners(settings.dialect, terms),
            Habits(
                clocks=_clocks(settings.clocks, connect=2.0, first_event=first_event),
                probe_path=settings.probe,
                probe_timeout=self._config.probes.timeout,
                continues=_continuing(settings),
                location=settings.location,
            ),
            preparer=cook,
            bring=None if is_cloud else cook.bring,
        )

    def _cook(self, settings: UpstreamSettings, *, is_cloud: bool) -> Cook:
        """A cloud fetches links by itself; a server of one's own is given bytes, for it may have no way out."""
        media = self._config.media
        clean = media.clean and is_cloud
        if settings.dialect is Dialect.ANTHROPIC:
            diet = Diet(picture_urls=is_cloud, pdf=True, pdf_urls=is_cloud, documents=True, unknown=True, clean=clean)
            diet = replace(diet, threads=is_cloud)
        else:
            diet = Diet(picture_urls=is_cloud and SERVERS[settings.server].picture_links, clean=clean)
        return self._kitchen.preparer(replace(diet, pages=media.pages), is_cloud=is_cloud)

    def process(self, name: str, process: str, *, waits: bool = True) -> HttpUpstream:
        """How a process of an engine is asked. `waits`: one that is still warming up is waited for."""
        engine = self._config.engines[name]
        clocks = _clocks(engine.clocks, connect=1.0, first_event=120.0)
        server = SERVERS[engine.server]
        ours = engine.kind != SERVER_KIND
        full = ours or engine.speaks is Dialect.ANTHROPIC
        diet = Diet(pdf=full, documents=full, pages=self._config.media.pages, clean=False)
        key = credentials(engine.speaks, engine.api_key) if engine.api_key else {}
        origin = Origin.parse(engine.url or self._supervisor.state(process).url)
        # Nobody probes an engine; another's server is asked once which models it knows.
        listing = "off" if ours else "/v1/models"
        timeout = self._config.probes.timeout
        habits = Habits(clocks=clocks, probe_path=listing, probe_timeout=timeout, location=Location.LOCAL)
        cook = self._kitchen.preparer(diet, is_cloud=False)
        if engine.kind not in EMBEDDED_ENGINES and engine.speaks in TALK_DIALECTS:
            habits = replace(habits, continues=_prefilled(engine.server))
        return HttpUpstream(
            name,
            Pool(_without_v1(origin), headers=key, max_connections=engine.concurrency, egress=self._ways.egress),
            manners(engine.speaks, Terms(time.time, server, self._kitchen.secret)),
            habits,
            preparer=cook,
            bring=cook.bring,
            awake=functools.partial(self._wait_warm, process, clocks.first_event) if waits and not engine.url else None,
        )

    async def _wait_warm(self, process: str, seconds: float) -> None:
        """Waits for an engine that is on its way; one that has crashed is a fault at once."""
        try:
            state = self._supervisor.state(process)
        except KeyError:  # it was taken out of the line, and ended before all its calls had
            raise TargetFault(Fault.REFUSED, "the release is not run any more") from None
        if state.phase is Phase.STARTING and state.crashes == 0:
            try:
                await self._supervisor.wait_warm(process, seconds)
            except TimeoutError:
                raise TargetFault(Fault.FIRST_BYTE_TIMEOUT, "the engine is still warming up") from None


def catalog_of(config: Config) -> Catalog:
    """The routes of a configuration."""
    routes = [
        Route(
            route.model,
            tuple(route.operations),
            tuple(_target(config, text, hedged=route.hedge) for text in route.targets),
            (route.cache_seconds or config.cache.seconds) if route.cache else 0.0,
            route.cache_shared,
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
