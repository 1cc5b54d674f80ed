"""From the user's configuration to the scenes of a drill and the configuration of the gateway that plays them.

Every scene gets a clone of its route and of the route's clouds, so that each has breakers of its own and scenes can be
played side by side. Local upstreams and engines stay as they are: they are what the drill is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from sampan import config
from sampan.config import ClockSettings, Config, RouteSettings, UpstreamSettings
from sampan.core import Dialect, Location, Operation, Tier
from sampan.drill.troubles import Place, Trouble
from sampan.errors import ConfigError

DELAY = 3.0
"""Seconds that an open breaker waits in a drill, unless it was told: longer than a local answer takes."""
CLOCKS = ClockSettings(connect=1.0, first_event=2.0, idle=2.0, total=5.0)
"""The clocks of the clouds in a drill: long enough for a busy machine, short enough for hundreds of outages."""
PATIENT = ClockSettings(connect=5.0, first_event=60.0, idle=30.0, total=300.0)
"""The same where the real cloud answers."""
PROBE_TIMEOUT = 1.0
QUIET = 3600.0
"""Seconds: no stream gets comments before its content, so that its headers can say who answered."""
INVENTED = (
    ("claude", Dialect.ANTHROPIC),
    ("openai-chat", Dialect.OPENAI_CHAT),
    ("openai", Dialect.OPENAI_IMAGES),
)


@dataclass(frozen=True, slots=True)
class Shape:
    """The form of a call: in whose words, what for, streaming or not."""

    dialect: Dialect
    operation: Operation
    stream: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """One cell of the scorecard.

    `route` is the pattern in the user's configuration and `targets` what stands there, `model` the name under which the
    drill asks. `clouds` maps the clone of each cloud upstream to its name there, best first; `others` are the targets
    behind them, with their tiers.
    """

    number: int
    trouble: Trouble
    shape: Shape
    route: str
    model: str
    targets: tuple[str, ...]
    clouds: Mapping[str, str]
    others: Mapping[str, Tier]

    @property
    def name(self) -> str:
        form = "stream" if self.shape.stream else "whole"
        return f"{self.route}/{self.shape.operation.value}/{form}/{self.trouble.name}"


@dataclass(frozen=True, slots=True)
class Play:
    """All scenes, with what the gateway under test has in force that the judgement must know (seconds)."""

    config: Config
    scenes: tuple[Scene, ...]
    failures: int
    delay: float
    clocks: ClockSettings


@dataclass(frozen=True, slots=True)
class Wish:
    """Which scenes to play. `models` names a model for a route's pattern, `delay` overrides the breakers'."""

    troubles: Sequence[Trouble]
    operations: Sequence[Operation] = tuple(Operation)
    models: Mapping[str, str] = field(default_factory=dict)
    real: bool = False
    delay: float = 0.0


def with_clouds(loaded: Config) -> Config:
    """The configuration; one without any cloud gets one per dialect in front of each pattern, to have one to lose."""
    if any(upstream.location is Location.CLOUD for upstream in loaded.upstreams.values()):
        return loaded
    added = {
        name: UpstreamSettings(dialect=dialect, base_url="http://127.0.0.1:9", api_key="drill")
        for name, dialect in INVENTED
        if name not in loaded.upstreams and name not in loaded.engines
    }
    routes = []
    for route in loaded.routes:
        fitting = (name for name, each in added.items() if _serves(each, route) and _answers(name, each, route))
        cloud = next(fitting, None)
        is_pattern = any(sign in route.model for sign in "*?")
        routes.append(replace(route, targets=[cloud, *route.targets]) if cloud and is_pattern else route)
    return replace(loaded, upstreams={**loaded.upstreams, **added}, routes=routes)


def _serves(upstream: UpstreamSettings, route: RouteSettings) -> bool:
    return set(route.operations) <= set(config.DIALECT_OPERATIONS[upstream.dialect])


def _answers(name: str, upstream: UpstreamSettings, route: RouteSettings) -> bool:
    """Claude's dialect for the routes of Claude's names, the other for all else."""
    is_claude = route.model.startswith("claude")
    return upstream.dialect is Dialect.OPENAI_IMAGES or (upstream.dialect is Dialect.ANTHROPIC) == is_claude


def tier(loaded: Config, target: str) -> Tier:
    """How good the answers of this upstream or engine are."""
    if target in loaded.engines:
        return loaded.engines[target].tier
    return Tier.CLOUD if loaded.upstreams[target].location is Location.CLOUD else Tier.LOCAL


def imagine(loaded: Config, wish: Wish) -> tuple[Scene, ...]:
    """All scenes of a configuration. Raises `ConfigError` where there is nothing to rehearse."""
    scenes: list[Scene] = []
    for route, shape in _shapes(loaded, wish.operations):
        clouds, others = _sides(loaded, route)
        targets = tuple(route.targets)
        for trouble in wish.troubles:
            if shape.stream in trouble.streams:
                number = len(scenes) + 1
                copies = {_clone(name, number, index): name for index, name in enumerate(clouds)}
                scenes.append(Scene(number, trouble, shape, route.model, f"drill-{number}", targets, copies, others))
    if not scenes:
        raise ConfigError("there is nothing to rehearse: no route has a cloud upstream for these operations and faults")
    return tuple(scenes)


def _shapes(loaded: Config, operations: Sequence[Operation]) -> Iterator[tuple[RouteSettings, Shape]]:
    for route in loaded.routes:
        clouds, _ = _sides(loaded, route)
        if not clouds:
            continue
        dialect = loaded.upstreams[clouds[0]].dialect
        for operation in route.operations:
            if operation in operations:
                for stream in (False, True) if operation is not Operation.EMBED else (False,):
                    yield route, Shape(dialect, operation, stream)


def _sides(loaded: Config, route: RouteSettings) -> tuple[list[str], dict[str, Tier]]:
    """The clouds of a route, and its targets at home with their tiers."""
    names = dict.fromkeys(config.parse_target(target)[0] for target in route.targets)
    tiers = {name: tier(loaded, name) for name in names}
    home: dict[str, Tier] = {name: each for name, each in tiers.items() if each is not Tier.CLOUD}
    return [name for name in names if name not in home], home


def _clone(name: str, number: int, index: int) -> str:
    return f"{name[:48]}.{number}" + (f".{index}" if index else "")


def stage(loaded: Config, scenes: Sequence[Scene], urls: Mapping[str, str], data: Path, wish: Wish) -> Play:
    """The play: the user's configuration with clones for every scene, on stand-ins at `urls` (by clone).

    Clocks, delay and probes are shortened; nothing of the user's is written to: not the data, nor a shared store.
    """
    delay = wish.delay or min(loaded.breaker.delay, DELAY)
    clocks = PATIENT if wish.real else CLOCKS
    upstreams = {name: each for name, each in loaded.upstreams.items() if each.location is not Location.CLOUD}
    routes = []
    for scene in scenes:
        for clone, name in scene.clouds.items():
            key = loaded.upstreams[name].api_key if wish.real else "sk-drill"
            original = loaded.upstreams[name]
            upstreams[clone] = replace(
                original,
                base_url=urls[clone],
                api_key=key,
                clocks=replace(clocks, rate=original.clocks.rate),
                headers=original.headers if wish.real else {},
                proxy="",
                ca="",
            )
        targets = [_target(text, scene, wish, loaded) for text in scene.targets]
        routes.append(RouteSettings(model=scene.model, operations=[scene.shape.operation], targets=targets))
    staged = replace(
        loaded,
        server=replace(loaded.server, listen="127.0.0.1:0", public_url="", data=str(data), keepalive=QUIET),
        storage=config.StorageSettings(),
        upstreams=upstreams,
        engines={name: replace(engine, listen="") for name, engine in loaded.engines.items()},
        routes=routes,
        breaker=replace(loaded.breaker, delay=delay),
        probes=replace(
            loaded.probes,
            interval=QUIET if loaded.probes.interval else 0.0,
            timeout=min(loaded.probes.timeout, PROBE_TIMEOUT),
        ),
    )
    return Play(staged, tuple(scenes), loaded.breaker.failures, delay, clocks)


def trusted(play: Play, authority: Path) -> Play:
    """The same play, whose clones of TLS scenes trust a certificate authority."""
    clones = {clone for scene in play.scenes if scene.trouble.place is Place.TLS for clone in scene.clouds}
    upstreams = {
        name: replace(each, ca=str(authority)) if name in clones else each
        for name, each in play.config.upstreams.items()
    }
    return replace(play, config=replace(play.config, upstreams=upstreams))


def _target(text: str, scene: Scene, wish: Wish, loaded: Config) -> str:
    """A target of the clone: the cloud's copy, or the same place at home, asked for the model that a caller names."""
    name, model = config.parse_target(text)
    for clone, original in scene.clouds.items():
        if original == name:
            return f"{clone}:{model or example(scene.route, wish.models, loaded)}"
    return text if model or name in loaded.engines else f"{name}:{example(scene.route, wish.models, loaded)}"


def example(pattern: str, models: Mapping[str, str], loaded: Config) -> str:
    """A model name that a caller of this route could use."""
    if pattern in models:
        return models[pattern]
    for known in (loaded.server.default_model, loaded.server.default_image_model):
        if fnmatchcase(known, pattern) and pattern != "*":
            return known
    return pattern.replace("*", "any-model").replace("?", "x")
