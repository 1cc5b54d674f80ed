"""What a configuration holds beside its routes, counted and named, and whom it names that nobody here is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sampan.config import Config
from sampan.config.policy import RuleSettings
from sampan.config.quota import LimitSettings
from sampan.errors import CallError
from sampan.governance.directory import Named, directory_of, of_limit, of_rule
from sampan.governance.policy import read_rule
from sampan.governance.quota_terms import read_limit
from sampan.storage.db import Database, is_there
from sampan.storage.statutes import Statutes

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """What there is, how many of it, and which; `count` is None of what is there or is not."""

    what: str
    count: int | None
    which: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """`notes` are sentences on what may be a mistake, and need not be one."""

    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Stored:
    rules: Sequence[RuleSettings] = ()
    limits: Sequence[LimitSettings] = ()
    notes: Sequence[str] = ()


def take(loaded: Config) -> Inventory:
    """Counts what stands in the configuration, and in the database where there is one. Blocks. Raises `ConfigError`."""
    data, url = Path(loaded.server.data), loaded.storage.database
    if not is_there(data, url):
        return Inventory(tuple(_lines(loaded, _Stored())))
    with closing(Database(data, url)) as database:
        stored = _read(Statutes(database))
        directory = directory_of(database, {name: role.permissions for name, role in loaded.roles.items()})
    notes = [f"{where}: {note}" for where, named in _named(loaded, stored) for note in directory.strangers(named)]
    return Inventory(tuple(_lines(loaded, stored)), (*stored.notes, *notes))


def _read(statutes: Statutes) -> _Stored:
    rules, limits, notes = [], [], []
    for each in statutes.list("rule"):
        try:
            rules.append(read_rule(each.id, each.body))
        except CallError as error:
            notes.append(f"stored rule {each.id!r} cannot be used: {error}")
    for each in statutes.list("limit"):
        try:
            limits.append(read_limit(each.id, each.body))
        except CallError as error:
            notes.append(f"stored limit {each.id!r} cannot be used: {error}")
    return _Stored(rules, limits, notes)


def _named(loaded: Config, stored: _Stored) -> Iterator[tuple[str, Named]]:
    """Whom the configuration and what is stored name, and where."""
    for rule in loaded.rules:
        yield f"rule {rule.name!r}", of_rule(rule)
    for rule in stored.rules:
        yield f"stored rule {rule.name!r}", of_rule(rule)
    for limit in loaded.limits:
        yield f"limit {limit.name!r}", of_limit(limit)
    for limit in stored.limits:
        yield f"stored limit {limit.name!r}", of_limit(limit)
    yield "[residency] departments", {"department": loaded.residency.departments}
    yield "[audit] content_of", {"department": list(loaded.audit.content_of)}


def _lines(loaded: Config, stored: _Stored) -> Iterator[Line]:
    yield _both("rules", [each.name for each in loaded.rules], [each.name for each in stored.rules])
    yield _both("limits", [each.name for each in loaded.limits], [each.name for each in stored.limits])
    yield _line("prices", [f"{each.upstream}:{each.model}" for each in loaded.prices])
    yield _line("roles of one's own", loaded.roles)
    yield _line("issuers of tokens", [each.issuer for each in loaded.identity.issuers])
    tls = loaded.tls
    asked = f", callers show one of {tls.client_ca}" if tls.client_ca else ""
    yield Line("TLS", None, f"certificate {tls.certificate}{asked}" if tls.certificate else "none: plain HTTP")
    audit = loaded.audit
    apart = "".join(f", of {name}: {kept}" for name, kept in audit.content_of.items())
    kept = f"for {audit.days:,} days" if audit.days else "for ever"
    yield Line("audit", None, f"records kept {kept}; content kept: {audit.content}{apart}")
    yield _line("audit sinks", [each.name for each in audit.sinks])
    cached = [each.model for each in loaded.routes if each.cache]
    size = f" ({loaded.cache.bytes / MEBIBYTE:,.0f} MiB)" if cached else ""
    yield Line("cached routes", len(cached), (", ".join(cached) or "–") + size)


def _both(what: str, own: Sequence[str], stored: Sequence[str]) -> Line:
    return _line(what, [*own, *(f"{name} (stored)" for name in stored)])


def _line(what: str, names: Iterable[str]) -> Line:
    names = list(names)
    return Line(what, len(names), ", ".join(names) or "–")
