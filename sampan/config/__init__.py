"""`load` reads `sampan.toml` into the frozen values of `settings`, or raises with the line that is wrong."""

from __future__ import annotations

import dataclasses
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from sampan.config.audit import AuditSettings, SinkSettings, check_audit
from sampan.config.database import check_database
from sampan.config.edge import CorsSettings, TlsSettings, check_edge
from sampan.config.egress import Egress, EgressSettings, check_egress
from sampan.config.engines import ENGINE_KINDS, check_engine, engine_flags
from sampan.config.identity import IdentitySettings, IssuerSettings, RoleSettings, check_identity
from sampan.config.objects import check_objects
from sampan.config.policy import PolicySettings, ResidencySettings, RuleSettings, check_policy
from sampan.config.quota import LimitSettings, PriceSettings, QuotaSettings, check_quota
from sampan.config.reading import Source, TableReader
from sampan.config.settings import (
    CHAT_SERVERS,
    DIALECT_OPERATIONS,
    DRAWING,
    EMBEDDED_ENGINES,
    ENGINE_DIALECTS,
    SECTIONS,
    SERVER_KIND,
    TALK,
    BreakerSettings,
    ClockSettings,
    Config,
    EngineSettings,
    MediaSettings,
    ModelSettings,
    ProbeSettings,
    ReleaseSettings,
    RouteSettings,
    ServerSettings,
    StorageSettings,
    UpstreamSettings,
)
from sampan.config.telemetry import check_telemetry
from sampan.core import Continuing, Dialect, Location, Operation, Tier
from sampan.errors import ConfigError

__all__ = [
    "CHAT_SERVERS",
    "CLIENT_HEADERS",
    "DIALECT_OPERATIONS",
    "DRAWING",
    "EMBEDDED_ENGINES",
    "ENGINE_DIALECTS",
    "SECTIONS",
    "SERVER_KIND",
    "TALK",
    "AuditSettings",
    "BreakerSettings",
    "ClockSettings",
    "Config",
    "CorsSettings",
    "Egress",
    "EgressSettings",
    "EngineSettings",
    "IdentitySettings",
    "IssuerSettings",
    "LimitSettings",
    "MediaSettings",
    "ModelSettings",
    "PolicySettings",
    "PriceSettings",
    "ProbeSettings",
    "QuotaSettings",
    "ReleaseSettings",
    "ResidencySettings",
    "RoleSettings",
    "RouteSettings",
    "RuleSettings",
    "ServerSettings",
    "SinkSettings",
    "StorageSettings",
    "TlsSettings",
    "UpstreamSettings",
    "cloud",
    "default",
    "embedded",
    "engine_flags",
    "load",
    "parse",
    "parse_target",
    "split_listen",
]

# The client to upstreams sets these itself: they say where a request ends, and whom it is for.
CLIENT_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect"}
)


def parse_target(text: str) -> tuple[str, str | None]:
    """`"vllm:Qwen2.5-VL-72B"` → upstream and model; no model means the one that the caller named."""
    upstream, _, model = text.partition(":")
    return upstream, model or None


def split_listen(listen: str) -> tuple[str, int]:
    """`"127.0.0.1:8000"` or `"[::1]:8000"` → host and port; raises `ValueError`."""
    host, colon, port = listen.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"{listen!r} is not address:port")
    return host.strip("[]") or "0.0.0.0", int(port)


def _check(config: Config, source: Source) -> Config:
    """What no single value can know: that names exist, that dialects fit, that stores are ones we have."""
    check_objects(config.storage, source)
    check_database(config.storage.database, source)
    if config.storage.state != "memory":
        _check_state(config.storage.state, source)
    check_telemetry(config.telemetry, source)
    if config.server.log_level not in ("debug", "info", "warning", "error"):
        raise source.error(("server", "log_level"), "must be debug, info, warning or error")
    _check_places(config, source)
    dialects = {name: upstream.dialect for name, upstream in config.upstreams.items()}
    for name, engine in config.engines.items():
        if name in dialects:
            raise source.error(("engines", name), "an upstream has the same name")
        check_engine(engine, ("engines", name), source)
        dialects[name] = engine.speaks
    for name in dialects:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
            section = "upstreams" if name in config.upstreams else "engines"
            raise source.error((section, name), "a name has letters, digits, `_`, `.` and `-` only")
    for index, route in enumerate(config.routes):
        _check_route(route, ("routes", str(index)), dialects, source)
    if not all(0 < share <= 1 for share in config.releases.shares):
        raise source.error(("releases", "shares"), "a share of the calls is more than 0 and at most 1")
    check_egress(config, source)
    check_audit(config.audit, source)
    check_edge(config.tls, config.cors, config.server.trusted_proxies, source)
    check_quota(config.limits, config.quota, source)
    check_policy(config.rules, config.policy, config.residency, source)
    check_identity(config.identity, config.roles, source)
    return config


def _check_places(config: Config, source: Source) -> None:
    """Addresses that we listen on, and URLs."""
    listens: list[tuple[tuple[str, ...], str]] = [(("server", "listen"), config.server.listen)]
    listens += [(("engines", name, "listen"), each.listen) for name, each in config.engines.items() if each.listen]
    for path, listen in listens:
        try:
            split_listen(listen)
        except ValueError as error:
            raise source.error(path, str(error)) from None
    if config.server.public_url:
        _check_url(config.server.public_url, ("server", "public_url"), source)
    for name, upstream in config.upstreams.items():
        _check_upstream(upstream, ("upstreams", name), source)


def _check_upstream(upstream: UpstreamSettings, path: tuple[str, ...], source: Source) -> None:
    if upstream.dialect not in DIALECT_OPERATIONS:
        known = ", ".join(DIALECT_OPERATIONS)
        raise source.error((*path, "dialect"), f"a server is asked in one of {known}, not in `{upstream.dialect}`")
    if upstream.continues not in ("", *Continuing):
        raise source.error((*path, "continues"), f"{upstream.continues!r} is not one of {', '.join(Continuing)}")
    if upstream.server not in CHAT_SERVERS:
        raise source.error((*path, "server"), f"{upstream.server!r} is not one of {', '.join(CHAT_SERVERS)}")
    _check_url(upstream.base_url, (*path, "base_url"), source)
    if upstream.proxy:
        _check_url(upstream.proxy, (*path, "proxy"), source)
    if upstream.ca and not Path(upstream.ca).is_file():
        raise source.error((*path, "ca"), "there is no such file")
    if upstream.probe not in ("tcp", "off") and not re.fullmatch(r"/[!-~]*", upstream.probe):
        raise source.error((*path, "probe"), "must be a path such as `/v1/models`, or `tcp`, or `off`")
    if not re.fullmatch(r"[!-~]*", upstream.api_key):  # the value is not shown: it is a secret
        raise source.error((*path, "api_key"), "has a blank, a line end or another sign that no key has")
    for name, value in upstream.headers.items():
        fits = re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) and re.fullmatch(r"[\t -~]*", value)
        if not fits or name.lower() in CLIENT_HEADERS:
            raise source.error((*path, "headers"), f"{name!r} cannot be sent as a header")


def _check_url(url: str, path: tuple[str, ...], source: Source) -> None:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise source.error(path, "must be a URL such as https://host:port")


def _check_state(url: str, source: Source) -> None:
    try:
        parts = urlsplit(url)
        fits = parts.scheme == "redis" and bool(parts.hostname) and parts.port != 0
        fits = fits and re.fullmatch(r"(/[0-9]{0,5})?", parts.path) is not None and not parts.query + parts.fragment
    except ValueError:
        fits = False
    if not fits:  # the value is not shown: there is a password in it
        raise source.error(("storage", "state"), "must be `memory`, or a URL such as redis://user:password@host:6379/0")


def _check_route(route: RouteSettings, path: tuple[str, ...], dialects: Mapping[str, Dialect], source: Source) -> None:
    if not route.operations or not route.targets:
        raise source.error(path, "needs at least one operation and one target")
    for text in route.targets:
        upstream, _ = parse_target(text)
        if upstream not in dialects:
            known = ", ".join(sorted(dialects)) or "none"
            raise source.error((*path, "targets"), f"there is no upstream or engine {upstream!r}. There are: {known}")
        for operation in route.operations:
            if operation not in DIALECT_OPERATIONS[dialects[upstream]]:
                raise source.error(
                    (*path, "targets"),
                    f"{upstream!r} speaks {dialects[upstream].value} and cannot answer `{operation.value}`",
                )


def cloud(environ: Mapping[str, str]) -> dict[str, UpstreamSettings]:
    """The cloud upstreams whose keys are set."""
    upstreams = {}
    if environ.get("ANTHROPIC_API_KEY"):
        upstreams["claude"] = UpstreamSettings(
            dialect=Dialect.ANTHROPIC, base_url="https://api.anthropic.com", api_key=environ["ANTHROPIC_API_KEY"]
        )
    if environ.get("OPENAI_API_KEY"):
        for name, dialect in OPENAI:
            upstreams[name] = UpstreamSettings(
                dialect=dialect,
                base_url="https://api.openai.com/v1",
                api_key=environ["OPENAI_API_KEY"],
                server="openai",
            )
    return upstreams


OPENAI = (
    ("openai", Dialect.OPENAI_IMAGES),
    ("openai-chat", Dialect.OPENAI_CHAT),
    ("openai-embeddings", Dialect.OPENAI_EMBEDDINGS),
)
# Which upstreams answer which names where nobody has said so, and the operations of the engines behind them.
PATTERNS = (
    (Dialect.ANTHROPIC, "claude-*", TALK),
    (Dialect.OPENAI_CHAT, "*", TALK),
    (Dialect.OPENAI_IMAGES, "*", DRAWING),
    (Dialect.OPENAI_EMBEDDINGS, "*", (Operation.EMBED,)),
)


def embedded(
    upstreams: Mapping[str, UpstreamSettings], engines: Mapping[str, EngineSettings]
) -> tuple[Mapping[str, EngineSettings], list[RouteSettings]]:
    """Engines and routes where none are configured: both CPU engines, behind every upstream; the best tier first."""
    engines = engines or {kind: EngineSettings(kind=kind) for kind in EMBEDDED_ENGINES}
    better = sorted(engines, key=lambda name: engines[name].tier is Tier.DEGRADED)
    ordered = sorted(upstreams, key=lambda name: upstreams[name].location is not Location.CLOUD)
    routes = []
    for name, engine in engines.items():
        operations = list(DIALECT_OPERATIONS[engine.speaks])
        routes.append(RouteSettings(model=name, operations=operations, targets=[name]))
    for dialect, pattern, served in PATTERNS:
        targets = [name for name in ordered if upstreams[name].dialect is dialect]
        targets += [name for name in better if DIALECT_OPERATIONS[engines[name].speaks] == served]
        if targets:
            routes.append(RouteSettings(model=pattern, operations=list(served), targets=targets))
    return engines, routes


def default(environ: Mapping[str, str]) -> Config:
    """What is in force without a file."""
    upstreams = cloud(environ)
    engines, routes = embedded(upstreams, {})
    return Config(upstreams=upstreams, engines=engines, routes=routes)


def parse(text: str, name: str, environ: Mapping[str, str]) -> Config:
    """Reads a configuration's text; `name` is how errors call the file. Raises `ConfigError`.

    A file without routes gets the embedded ones, so that `[server]` alone is a configuration.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not valid TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{name}: not valid TOML: nested too deeply") from None
    source = Source(text, name)
    config = TableReader(source, environ).table(Config, raw, ())
    if not config.routes:
        upstreams = config.upstreams or cloud(environ)
        known = all(
            each.kind in ENGINE_KINDS and each.dialect in DIALECT_OPERATIONS for each in config.engines.values()
        )
        engines, routes = embedded(upstreams, config.engines) if known else (config.engines, [])
        config = dataclasses.replace(config, upstreams=upstreams, engines=engines, routes=routes)
    return _check(config, source)


def load(path: Path | None, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration in force: the file, or the embedded defaults where `path` is None. Raises `ConfigError`."""
    environ = os.environ if environ is None else environ
    if path is None:
        return default(environ)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from None
    return parse(text, str(path), environ)
