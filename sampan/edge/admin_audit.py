"""Pages of the audit below `/admin/v1/audit`: records looked for, told, verified and exported; and what is held."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from sampan.core import Actor, Answer, Incoming, Permission
from sampan.edge.admin_pages import (
    DEFAULT_PAGE,
    LONGEST_PAGE,
    check_place,
    check_time,
    page,
    read,
    reply,
    require,
)
from sampan.edge.paging import limit_of, query_of
from sampan.errors import CallError, ConfigError, InvalidRequest, NotFound
from sampan.storage.chain import Entry
from sampan.storage.evidence import Evidence, Hold
from sampan.storage.records import Records, Wanted

ROOT = "/admin/v1/audit"
AT_ONCE = 500
"""Lines of an export that a thread makes before they are sent."""
COUNTED = 10_000
"""Records that are counted at most: all of a big house's would take seconds."""

_READING = ("GET", "HEAD")
_FORMATS = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8", "proof": "application/x-ndjson"}
log = logging.getLogger("sampan.edge")


@dataclass(frozen=True, slots=True)
class Auditing:
    """What the pages are made of; each is built once, by `app`."""

    records: Records
    evidence: Evidence
    shape: Callable[[Entry], Mapping[str, Any]]
    story: Callable[[Entry], str]
    lines: Callable[[str, Wanted], Iterator[str]]
    """The lines of an export, by its format."""
    verify: Callable[[Callable[[int, int], None]], Mapping[str, Any]]
    """Checks everything, in a thread; told how many of how many."""
    wall: Callable[[], float] = time.time
    currency: Callable[[], str] = lambda: ""
    """What costs are in."""


class _NewHold(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    department: str = ""
    since: float | None = None
    until: float | None = None
    reason: str = ""


class AuditPages:
    """A `Shelf`. Whoever may AUDIT reads; what is held is for those who GOVERN."""

    def __init__(self, auditing: Auditing) -> None:
        self._auditing = auditing
        self._checking: asyncio.Task[None] | None = None
        self._progress: dict[str, Any] = {"state": "never"}

    def methods(self, path: str) -> tuple[str, ...]:
        if path != ROOT and not path.startswith(f"{ROOT}/"):
            return ()
        parts = path[len(ROOT) + 1 :].split("/") if path != ROOT else []
        if parts in (["verify"], ["holds"]):
            return ("GET", "HEAD", "POST")
        if len(parts) == 2 and parts[0] == "holds" and parts[1]:
            return ("DELETE",)
        if len(parts) == 2 and parts[0] and parts[1] == "content":
            return ("GET", "HEAD")
        return ("GET", "HEAD") if len(parts) < 2 and parts != [""] else ()

    async def handle(self, incoming: Incoming, actor: Actor) -> Answer:
        path = incoming.path
        name = path[len(ROOT) + 1 :]
        governs = name.startswith("holds") and incoming.method not in _READING
        require(actor, Permission.GOVERN if governs else Permission.AUDIT)
        check_place(incoming)
        try:
            if path == ROOT:
                return await self._list(incoming)
            if name == "verify":
                return self._verify(incoming)
            if name == "export":
                return self._export(incoming)
            if name == "count":
                return await self._count(incoming)
            if name.partition("/")[0] == "holds":
                return await self._holds(incoming, name)
            if name.endswith("/content"):
                return await self._content(name.removesuffix("/content"), actor)
            return await self._show(name)
        except ConfigError as error:
            log.error("the audit cannot be read: %s", error)
            raise CallError("the database cannot be read at the moment; the log says why") from None

    async def _list(self, incoming: Incoming) -> Answer:
        query = query_of(incoming)
        limit = limit_of(query, DEFAULT_PAGE, LONGEST_PAGE)
        wanted = _wanted(query, ("limit", "after"))
        after = query.get("after", "")
        if "\0" in after:
            raise InvalidRequest("after: holds a NUL", param="after")
        found, more = await asyncio.to_thread(self._auditing.records.search, wanted, limit, after)
        shaped = [self._auditing.shape(entry) for entry in found]
        return reply({"data": shaped, "has_more": more, "currency": self._auditing.currency()})

    async def _count(self, incoming: Incoming) -> Answer:
        wanted = _wanted(query_of(incoming), ())
        found = await asyncio.to_thread(self._auditing.records.count, wanted, COUNTED + 1)
        return reply({"count": min(found, COUNTED), "more": found > COUNTED})

    async def _show(self, identifier: str) -> Answer:
        auditing = self._auditing
        entry = await asyncio.to_thread(auditing.records.entry, identifier)
        if entry is None:
            raise _gone(identifier)
        seal = await asyncio.to_thread(auditing.evidence.seal_over, entry.node, entry.number)
        told = {
            "story": auditing.story(entry),
            "currency": auditing.currency(),
            "seal": None if seal is None else {"ordinal": seal.ordinal, "number": seal.number, "time": seal.time},
        }
        return reply({**auditing.shape(entry), **told})

    async def _content(self, identifier: str, actor: Actor) -> Answer:
        """What was kept in `redacted` mode: `{"question", "answer", "cut"}`. Sealed content only its auditor opens."""
        entry = await asyncio.to_thread(self._auditing.records.entry, identifier)
        if entry is None:
            raise _gone(identifier)
        how = entry.record.content.partition(":")[0]
        if how == "sealed":
            raise NotFound("what was kept of it is sealed: the auditor opens it with `sampan audit open`")
        data = await asyncio.to_thread(self._auditing.evidence.content, identifier) if how == "redacted" else None
        if data is None:
            raise NotFound("nothing was kept of what was asked and answered")
        log.info("key %s reads what was kept of %s", actor.key_id, identifier)
        return Answer(200, (("content-type", "application/json"), ("cache-control", "no-store")), data)

    def _export(self, incoming: Incoming) -> Answer:
        query = query_of(incoming)
        form = query.get("format", "jsonl")
        if form not in _FORMATS:
            raise InvalidRequest(f"format: must be one of {', '.join(_FORMATS)}", param="format")
        wanted = _wanted(query, ("format",))
        if form == "proof" and wanted != Wanted(since=wanted.since):
            raise InvalidRequest("format: proof goes with since alone", param="format")
        suffix = "csv" if form == "csv" else "jsonl"
        headers = (
            ("content-type", _FORMATS[form]),
            ("content-disposition", f'attachment; filename="audit.{suffix}"'),
            ("cache-control", "no-store"),
        )
        mark = b"\xef\xbb\xbf" if form == "csv" else b""  # a spreadsheet guesses wrong without it
        return Answer(200, headers, _stream(self._auditing.lines(form, wanted), mark))

    # Verifying.

    def _verify(self, incoming: Incoming) -> Answer:
        """POST begins a check of everything, one at a time; GET tells how far it is, or what the last one found."""
        if incoming.method in _READING:
            return reply(self._progress)
        if self._checking is None or self._checking.done():
            self._progress = {"state": "running", "started": self._auditing.wall(), "done": 0, "total": 0}
            self._checking = asyncio.create_task(self._check(self._progress))
        return reply(self._progress, 202)

    async def _check(self, progress: dict[str, Any]) -> None:
        def told(done: int, total: int) -> None:
            progress["done"], progress["total"] = done, total

        try:
            result = await asyncio.to_thread(self._auditing.verify, told)
        except ConfigError as error:
            log.error("the audit cannot be verified: %s", error)
            progress["state"] = "failed"
        else:
            progress.update(state="done", result=result)
        finally:
            progress["ended"] = self._auditing.wall()

    # Holding.

    async def _holds(self, incoming: Incoming, name: str) -> Answer:
        evidence = self._auditing.evidence
        if incoming.method == "DELETE":
            await asyncio.to_thread(evidence.unhold, name.removeprefix("holds/"))
            return Answer(204, (), b"")
        if incoming.method == "POST":
            asked = _checked(read(incoming, _NewHold))
            return reply(await asyncio.to_thread(evidence.hold, Hold(**asked)), 201)
        holds = await asyncio.to_thread(evidence.holds)
        return page(incoming, holds, lambda hold: hold.name, msgspec.structs.asdict)


def _gone(identifier: str) -> NotFound:
    return NotFound(f"there is no record {identifier[:100]!r}; it may have been dropped")


def _checked(asked: _NewHold) -> dict[str, Any]:
    """The fields of a hold. Raises `InvalidRequest`; of its name and the order of its times it is for the hold."""
    if "/" in asked.name:
        raise InvalidRequest("name: has no `/`, or no path could name it", param="name")
    check_time("since", asked.since)
    check_time("until", asked.until)
    for name in ("department", "reason"):
        if "\0" in getattr(asked, name):
            raise InvalidRequest(f"{name}: holds a NUL", param=name)
    return msgspec.structs.asdict(asked)


def _wanted(query: Mapping[str, str], others: tuple[str, ...]) -> Wanted:
    """The filters of a query. Raises `InvalidRequest` that names the one that is none."""
    filters: dict[str, Any] = {name: value for name, value in query.items() if name not in others}
    for name in filters:
        if name not in Wanted.__struct_fields__:
            known = ", ".join((*Wanted.__struct_fields__, *others))
            raise InvalidRequest(f"{name[:100]}: is no filter. Known here: {known}", param=name[:100])
    if "confined" in filters:
        if filters["confined"] not in ("true", "false"):
            raise InvalidRequest("confined: must be true or false", param="confined")
        filters["confined"] = filters["confined"] == "true"
    for name in ("since", "until"):
        if name in filters:
            try:
                filters[name] = msgspec.convert(filters[name], float, strict=False)
            except msgspec.ValidationError:
                raise InvalidRequest(f"{name}: must be Unix seconds", param=name) from None
    if any("\0" in value for value in filters.values() if isinstance(value, str)):
        raise InvalidRequest("a filter holds a NUL")
    return Wanted(**filters)


async def _stream(lines: Iterator[str], mark: bytes) -> AsyncGenerator[bytes, None]:
    def some() -> bytes:
        return "".join(islice(lines, AT_ONCE)).encode("utf-8", "replace")

    while data := await asyncio.to_thread(some):
        yield mark + data
        mark = b""
