"""Every setting once: its name, type, default and a sentence of help. `docs/configuration.md` is held to this file.

`load` reads `sampan.toml` into frozen values. A wrong value stops the start with a message that names the line.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from sampan.core import Continuing, Dialect, Location, Operation
from sampan.errors import ConfigError

T = TypeVar("T")

MEBIBYTE = 1024 * 1024
# The client to upstreams sets these itself: they say where a request ends, and whom it is for.
CLIENT_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect"}
)
ENGINE_DIALECTS = {"reader": Dialect.ANTHROPIC, "sketcher": Dialect.OPENAI_IMAGES}
TALK = (Operation.TEXT, Operation.VISION)
DRAWING = (Operation.GENERATE, Operation.EDIT)
# What servers of a dialect answer. The Responses wire is not among them: a caller's only, it is translated.
DIALECT_OPERATIONS = {
    Dialect.ANTHROPIC: TALK,
    Dialect.OPENAI_CHAT: TALK,
    Dialect.OPENAI_IMAGES: DRAWING,
    Dialect.OPENAI_EMBEDDINGS: (Operation.EMBED,),
}
CHAT_SERVERS = ("any", "vllm", "sglang", "llama.cpp", "ollama", "lmstudio", "openai")


def setting(default: Any, help: str, *, minimum: float | None = None) -> Any:
    """Declares one setting; `minimum` is the least number that makes sense."""
    metadata = {"help": help, "minimum": minimum}
    if isinstance(default, dict | list):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def required(help: str) -> Any:
    """Declares a setting without a default."""
    return dataclasses.field(metadata={"help": help, "minimum": None}, kw_only=True)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    listen: str = setting("127.0.0.1:8000", "Address and port to listen on.")
    public_url: str = setting("", "What artifact links are signed for: the host a browser sees. Empty: from `listen`.")
    data: str = setting("./data", "Folder of the embedded database, the artifacts and the records.")
    max_body: int = setting(32 * MEBIBYTE, "Largest body of a call, in bytes.", minimum=1024)
    max_image: int = setting(5 * MEBIBYTE, "Largest picture in a call, in bytes once decoded.", minimum=1024)
    body_timeout: float = setting(60.0, "Seconds that a caller has to send a whole body.", minimum=0.05)
    idle_timeout: float = setting(
        75.0,
        "Seconds that a connection may be silent between two requests, or take nothing of an answer.",
        minimum=0.05,
    )
    keepalive: float = setting(
        10.0, "Seconds of waiting for the first content after which a stream gets an SSE comment.", minimum=0.05
    )
    attempts: int = setting(
        4, "Clouds that one call may really ask: its retry budget. Local targets are asked all the same.", minimum=1
    )
    max_file: int = setting(500 * MEBIBYTE, "Largest file that may be uploaded, in bytes.", minimum=1024)
    max_batch: int = setting(256 * MEBIBYTE, "Largest body of a message batch, in bytes.", minimum=1024)
    batch_calls: int = setting(4, "Calls of message batches that run at once.", minimum=1)
    shutdown: float = setting(30.0, "Seconds that open answers have to end when the server stops.", minimum=0)
    default_model: str = setting("claude-sonnet-5-5", "Model of a form call that names none.")
    default_image_model: str = setting("chatgpt-image-latest", "Model of a picture call that names none.")
    log_level: str = setting("info", "debug, info, warning or error.")


@dataclass(frozen=True, slots=True)
class StorageSettings:
    database: str = setting("sqlite", "Where keys and records are kept: `sqlite`.")
    objects: str = setting("folder", "Where artifacts are kept: `folder`.")
    state: str = setting(
        "memory", "Where breakers are kept: `memory`, or `redis://user:password@host:port/db` to share them."
    )
    link_lifetime: int = setting(3600, "Seconds that a signed artifact link works.", minimum=1)
    artifact_days: float = setting(30.0, "Days that an artifact is kept; 0 keeps it for ever.", minimum=0)


@dataclass(frozen=True, slots=True)
class ClockSettings:
    connect: float | None = setting(None, "Seconds to resolve, connect and agree on TLS. Default 2.", minimum=0.01)
    first_event: float | None = setting(
        None, "Seconds from the request to the first content. Default 20; 120 for pictures and engines.", minimum=0.01
    )
    idle: float | None = setting(None, "Seconds between two pieces of an answer. Default 30.", minimum=0.01)
    total: float | None = setting(None, "Seconds for the whole attempt. Default 600.", minimum=0.01)
    rate: float | None = setting(
        None,
        "Bytes a second that a stream must bring, over any five seconds. Default 0: any.",
        minimum=0,
    )


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    interval: float = setting(15.0, "Seconds between two free probes of an upstream; 0 turns probes off.", minimum=0)
    timeout: float = setting(3.0, "Seconds a probe may take.", minimum=0.01)


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    failures: int = setting(3, "Failures in a row, of calls and probes together, that open a breaker.", minimum=1)
    delay: float = setting(30.0, "Seconds an open breaker waits before it lets one trial through.", minimum=0)
    successes: int = setting(1, "Successful trials that close it again.", minimum=1)


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    dialect: Dialect = required("Wire format: `anthropic`, `openai-chat`, `openai-images` or `openai-embeddings`.")
    base_url: str = required("Where it is; with or without a trailing /v1.")
    api_key: str = setting("", "Key it is asked with. Callers' own keys are never handed on.")
    location: Location = setting(Location.CLOUD, "`cloud`, or `local` for a server of your own.")
    server: str = setting(
        "any", "What it is, where its chat dialect has ways of its own: `vllm`, `ollama`, `openai` and others."
    )
    clocks: ClockSettings = setting(ClockSettings(), "The four clocks of an attempt.")
    proxy: str = setting("", "HTTP proxy, http://user:password@host:port.")
    ca: str = setting("", "File with further certificate authorities to trust.")
    headers: Mapping[str, str] = setting({}, "Further headers to send with each call.")
    concurrency: int = setting(256, "Calls it may have open at once; more wait, or are `bulkhead_full`.", minimum=1)
    queue: int | None = setting(
        None, "Calls that may wait for one of these to end. Default 0; 64 where `location` is `local`.", minimum=0
    )
    queue_seconds: float = setting(10.0, "Seconds that a call may wait so; 0 lets none wait.", minimum=0)
    continues: str = setting(
        "", "How it goes on with an answer that another began: `prefill`, `ask` or `no`. Empty: as its server can."
    )
    probe: str = setting("/v1/models", "Path of the free probe; `tcp` only connects, `off` never probes.")


@dataclass(frozen=True, slots=True)
class EngineSettings:
    kind: str = required("Which program it is: `reader` or `sketcher`.")
    listen: str = setting("", "Address and port; empty takes a free one on 127.0.0.1.")
    threads: int = setting(1, "Calls it works on at once; the others wait in its queue.", minimum=1)
    concurrency: int = setting(64, "Calls it may have open at once; more wait, or are `bulkhead_full`.", minimum=1)
    queue: int = setting(64, "Calls that may wait for one of these to end.", minimum=0)
    queue_seconds: float = setting(10.0, "Seconds that a call may wait so; 0 lets none wait.", minimum=0)
    clocks: ClockSettings = setting(ClockSettings(), "The four clocks of an attempt.")


@dataclass(frozen=True, slots=True)
class MediaSettings:
    megapixels: float = setting(50.0, "Largest picture that is decoded, in millions of pixels.", minimum=0.1)
    pages: int = setting(20, "Pages of a PDF that are drawn for a target which reads none.", minimum=1)
    workers: int = setting(2, "Processes that draw pages and turn pictures.", minimum=1)
    fetch_bytes: int = setting(32 * MEBIBYTE, "Largest picture or PDF that is fetched by its URL.", minimum=1024)
    fetch_seconds: float = setting(20.0, "Seconds that fetching one URL may take, redirects together.", minimum=0.1)
    fetch_allow: list[str] = setting(
        [],
        "Hosts and networks to fetch from although not public: `files.lan:8080` (ports but 80, 443), `10.1.0.0/16`.",
    )
    clean: bool = setting(True, "Take EXIF, GPS and other metadata off pictures before they leave for a cloud.")


@dataclass(frozen=True, slots=True)
class RouteSettings:
    model: str = required("Public model name, or a pattern with * and ?.")
    operations: list[Operation] = required("Operations it serves.")
    targets: list[str] = required("`upstream` or `upstream:model`, best first.")
    hedge: bool = setting(False, "Ask a local target too, where the first content is later than usual.")


@dataclass(frozen=True, slots=True)
class Config:
    server: ServerSettings = setting(ServerSettings(), "The gateway's own address and limits.")
    storage: StorageSettings = setting(StorageSettings(), "Where things are kept.")
    upstreams: Mapping[str, UpstreamSettings] = setting({}, "Whatever answers calls over HTTP.")
    engines: Mapping[str, EngineSettings] = setting({}, "Our own programs; each is an upstream of the same name.")
    routes: list[RouteSettings] = setting([], "Public models and who answers for them.")
    breaker: BreakerSettings = setting(BreakerSettings(), "When a sick target is left alone.")
    probes: ProbeSettings = setting(ProbeSettings(), "How an outage is seen before a caller meets it.")
    media: MediaSettings = setting(MediaSettings(), "How pictures, PDFs and links are made fit for a target.")


SECTIONS = {
    "server": ServerSettings,
    "storage": StorageSettings,
    "upstreams": UpstreamSettings,
    "clocks": ClockSettings,
    "engines": EngineSettings,
    "routes": RouteSettings,
    "breaker": BreakerSettings,
    "probes": ProbeSettings,
    "media": MediaSettings,
}


class _Source:
    """The file's text, to name the line of a value in an error."""

    def __init__(self, text: str, name: str) -> None:
        self._lines = text.splitlines()
        self._name = name

    def error(self, path: tuple[str, ...], message: str) -> ConfigError:
        line = self._line(path)
        where = f"{self._name}, line {line}" if line else self._name
        return ConfigError(f"{where}: {'.'.join(path)}: {message}")

    def _line(self, path: tuple[str, ...]) -> int:
        """The line where the longest known part of `path` stands; 0 where nothing of it is in the file."""
        table: tuple[str, ...] = ()
        seen: dict[str, int] = {}
        best, best_length = 0, 0
        for number, line in enumerate(self._lines, 1):
            header = re.match(r"\s*(\[\[?)\s*([^\]]+?)\s*\]", line)
            if header:
                table = tuple(part.strip().strip("\"'") for part in header[2].split("."))
                if header[1] == "[[":
                    seen[table[0]] = seen.get(table[0], -1) + 1
                    table = (*table, str(seen[table[0]]))
                here = table
            else:
                key = re.match(r"\s*([\w.\"'-]+)\s*=", line)
                if not key:
                    continue
                here = (*table, *(part.strip("\"'") for part in key[1].split(".")))
            if here == path[: len(here)] and len(here) > best_length:
                best, best_length = number, len(here)
        return best


def _is_optional(kind: Any) -> bool:
    return get_origin(kind) is UnionType and type(None) in get_args(kind)


class _Reader:
    """Turns a TOML table into the dataclasses above, one error at a time, each with its line."""

    def __init__(self, source: _Source, environ: Mapping[str, str]) -> None:
        self._source = source
        self._environ = environ

    def table(self, cls: type[T], raw: Any, path: tuple[str, ...]) -> T:
        if not isinstance(raw, dict):
            raise self._source.error(path, f"must be a table, not {type(raw).__name__}")
        fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        hints = get_type_hints(cls)
        for key in raw:
            if key not in fields:
                known = ", ".join(sorted(fields))
                raise self._source.error((*path, key), f"is no setting. Known here: {known}")
        values = {}
        for name, field in fields.items():
            if name in raw:
                values[name] = self.value(hints[name], raw[name], (*path, name), field.metadata.get("minimum"))
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise self._source.error(path, f"needs `{name}`: {field.metadata['help']}")
        return cls(**values)

    def value(self, kind: Any, raw: Any, path: tuple[str, ...], minimum: float | None) -> Any:
        if isinstance(raw, str) and raw.startswith("env:"):
            raw = self._variable(raw[4:], kind, path)
        if _is_optional(kind):
            kind = next(part for part in get_args(kind) if part is not type(None))
        origin = get_origin(kind)
        if origin is list:
            if not isinstance(raw, list):
                raise self._source.error(path, "must be a list")
            item = get_args(kind)[0]
            return [self.value(item, each, (*path, str(index)), None) for index, each in enumerate(raw)]
        if origin is not None and issubclass(origin, Mapping):
            if not isinstance(raw, dict):
                raise self._source.error(path, "must be a table")
            item = get_args(kind)[1]
            return {key: self.value(item, each, (*path, key), None) for key, each in raw.items()}
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            return self.table(kind, raw, path)
        return self._scalar(kind, raw, path, minimum)

    def _scalar(self, kind: Any, raw: Any, path: tuple[str, ...], minimum: float | None) -> Any:
        if issubclass(kind, Enum):
            try:
                return kind(raw)
            except ValueError:
                known = ", ".join(f"`{member.value}`" for member in kind)
                raise self._source.error(path, f"{raw!r} is not one of {known}") from None
        if kind is float and isinstance(raw, int) and not isinstance(raw, bool):
            raw = float(raw)
        if not isinstance(raw, kind) or (kind is int and isinstance(raw, bool)):
            names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
            raise self._source.error(path, f"must be {names[kind]}, not {raw!r}")
        if isinstance(raw, float) and not math.isfinite(raw):
            raise self._source.error(path, "must be a finite number")
        if minimum is not None and raw < minimum:
            raise self._source.error(path, f"must be at least {minimum:g}, not {raw!r}")
        return raw

    def _variable(self, name: str, kind: Any, path: tuple[str, ...]) -> Any:
        if name not in self._environ:
            raise self._source.error(path, f"the environment variable {name} is not set")
        raw = self._environ[name]
        if _is_optional(kind):
            kind = next(part for part in get_args(kind) if part is not type(None))
        try:
            if kind in (int, float):
                return kind(raw)
        except ValueError:
            raise self._source.error(path, f"the environment variable {name} must be a number") from None
        if kind is bool:
            return raw.lower() in ("1", "true", "yes", "on")
        return raw


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


def _check(config: Config, source: _Source) -> Config:
    """What no single value can know: that names exist, that dialects fit, that stores are ones we have."""
    for name, known in (("database", "sqlite"), ("objects", "folder")):
        if getattr(config.storage, name) != known:
            raise source.error(("storage", name), f"only `{known}` can be used in this version")
    if config.storage.state != "memory":
        _check_state(config.storage.state, source)
    if config.server.log_level not in ("debug", "info", "warning", "error"):
        raise source.error(("server", "log_level"), "must be debug, info, warning or error")
    _check_places(config, source)
    dialects = {name: upstream.dialect for name, upstream in config.upstreams.items()}
    for name, engine in config.engines.items():
        if name in dialects:
            raise source.error(("engines", name), "an upstream has the same name")
        if engine.kind not in ENGINE_DIALECTS:
            raise source.error(("engines", name, "kind"), f"{engine.kind!r} is not one of {', '.join(ENGINE_DIALECTS)}")
        dialects[name] = ENGINE_DIALECTS[engine.kind]
    for name in dialects:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
            section = "upstreams" if name in config.upstreams else "engines"
            raise source.error((section, name), "a name has letters, digits, `_`, `.` and `-` only")
    for index, route in enumerate(config.routes):
        _check_route(route, ("routes", str(index)), dialects, source)
    return config


def _check_places(config: Config, source: _Source) -> None:
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


def _check_upstream(upstream: UpstreamSettings, path: tuple[str, ...], source: _Source) -> None:
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


def _check_url(url: str, path: tuple[str, ...], source: _Source) -> None:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise source.error(path, "must be a URL such as https://host:port")


def _check_state(url: str, source: _Source) -> None:
    try:
        parts = urlsplit(url)
        fits = parts.scheme == "redis" and bool(parts.hostname) and parts.port != 0
        fits = fits and re.fullmatch(r"(/[0-9]{0,5})?", parts.path) is not None and not parts.query + parts.fragment
    except ValueError:
        fits = False
    if not fits:  # the value is not shown: there is a password in it
        raise source.error(("storage", "state"), "must be `memory`, or a URL such as redis://user:password@host:6379/0")


def _check_route(route: RouteSettings, path: tuple[str, ...], dialects: Mapping[str, Dialect], source: _Source) -> None:
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
    """Engines and routes where none are configured: both CPU engines, behind every upstream, cloud before local."""
    engines = engines or {kind: EngineSettings(kind=kind) for kind in ENGINE_DIALECTS}
    ordered = sorted(upstreams, key=lambda name: upstreams[name].location is not Location.CLOUD)
    routes = []
    for name, engine in engines.items():
        operations = list(DIALECT_OPERATIONS[ENGINE_DIALECTS[engine.kind]])
        routes.append(RouteSettings(model=name, operations=operations, targets=[name]))
    for dialect, pattern, served in PATTERNS:
        targets = [name for name in ordered if upstreams[name].dialect is dialect]
        targets += [
            name for name, engine in engines.items() if DIALECT_OPERATIONS[ENGINE_DIALECTS[engine.kind]] == served
        ]
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
    source = _Source(text, name)
    config = _Reader(source, environ).table(Config, raw, ())
    if not config.routes:
        upstreams = config.upstreams or cloud(environ)
        known = all(engine.kind in ENGINE_DIALECTS for engine in config.engines.values())
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
