"""`/admin/v1/limits` and `/admin/v1/usage`: who may spend how much, how much of it is spent, and what was used."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sampan.core import Actor, Answer, Incoming, Permission
from sampan.edge.admin_pages import check_place, page, read, reply, require
from sampan.edge.paging import query_of
from sampan.errors import Forbidden, InvalidRequest, MethodNotAllowed, NotFound, Unavailable

LIMITS, USAGE = "/admin/v1/limits", "/admin/v1/usage"
_ONLY = ("department", "user", "key", "model", "upstream")
_KNOWN = {*_ONLY, "by", "month", "format"}


@dataclass(frozen=True, slots=True)
class Till:
    """What the pages need. `limits` tells every limit in force with its pots; `put` stores one (a name and what was
    sent), and `remove` drops it: both block and raise `CallError`. `configured` names those that stand in the
    configuration. `renew` has the ledger look at the database now. `report` (by what, which month, only what) blocks
    too, and returns the month's name, its bounds, the currency, lines with a `name` and sums, and the same as CSV.
    `notes` says of a scope which of its names nobody here has; `besides` is what limits are counted in: `currency`
    and `time_zone`.
    """

    limits: Callable[[], Awaitable[list[dict[str, Any]]]]
    put: Callable[[str, Mapping[str, Any]], object]
    remove: Callable[[str], object]
    renew: Callable[[], Awaitable[None]]
    configured: Callable[[], Collection[str]]
    report: Callable[[str, str, Mapping[str, str]], tuple[str, tuple[int, int], str, Sequence[Any], str]]
    notes: Callable[[Mapping[str, str]], Sequence[str]] = lambda scope: ()
    besides: Callable[[], Mapping[str, str]] = dict


class LimitPages:
    """Built anew when the configuration changes."""

    def __init__(self, till: Till) -> None:
        self._till = till

    def methods(self, path: str) -> tuple[str, ...]:
        """What may be asked of a path; nothing where it is none of these pages."""
        if path in (LIMITS, USAGE):
            return ("GET", "HEAD")
        return ("GET", "HEAD", "PUT", "DELETE") if _name(path) else ()

    async def handle(self, incoming: Incoming, actor: Actor) -> Answer:
        """Raises `CallError`."""
        path, method = incoming.path, incoming.method
        if method not in self.methods(path):
            raise MethodNotAllowed(f"this path takes {', '.join(self.methods(path)) or 'nothing'} only")
        if path == USAGE:
            require(actor, Permission.AUDIT)
            return await self._usage(incoming)
        check_place(incoming)
        if method == "PUT":
            require(actor, Permission.GOVERN)
            return await self._put(incoming, _name(path))
        if method == "DELETE":
            require(actor, Permission.GOVERN)
            return await self._remove(_name(path))
        if not actor.permissions & {Permission.GOVERN, Permission.AUDIT}:
            needed = "the permission `govern` or `audit`"
            raise Forbidden(f"This needs {needed}, which the role {actor.role!r} does not give.")
        limits = await self._limits()
        if path == LIMITS:
            return page(incoming, limits, lambda each: str(each["name"]), lambda each: each, self._till.besides())
        return reply(_find(limits, _name(path)))

    async def _limits(self) -> list[dict[str, Any]]:
        try:
            return await self._till.limits()
        except ConnectionError as error:
            raise Unavailable(str(error), retry_after=1.0) from None

    async def _put(self, incoming: Incoming, name: str) -> Answer:
        if name in self._till.configured():
            raise InvalidRequest(f"limit {name!r} stands in the configuration: change it there", param="name")
        known = {each["name"] for each in await self._limits()}
        await asyncio.to_thread(self._till.put, name, read(incoming, dict[str, Any]))
        await self._till.renew()
        made = _find(await self._limits(), name)
        notes = await asyncio.to_thread(self._till.notes, made["scope"])
        return reply(made | ({"notes": list(notes)} if notes else {}), 200 if name in known else 201)

    async def _remove(self, name: str) -> Answer:
        if name in self._till.configured():
            raise InvalidRequest(f"limit {name!r} stands in the configuration: take it out there", param="name")
        await asyncio.to_thread(self._till.remove, name)
        await self._till.renew()
        return reply({"name": name, "deleted": True})

    async def _usage(self, incoming: Incoming) -> Answer:
        query = query_of(incoming)
        for field in query:
            if field not in _KNOWN:
                raise InvalidRequest(f"{field[:100]}: known here: {', '.join(sorted(_KNOWN))}", param=field[:100])
            if "\0" in query[field]:
                raise InvalidRequest(f"{field}: holds a NUL", param=field)
        only = {name: query[name] for name in _ONLY if name in query}
        by = query.get("by", "department")
        month = query.get("month", "")
        month, (since, until), currency, lines, table = await asyncio.to_thread(self._till.report, by, month, only)
        wanted = query.get("format", "csv" if "text/csv" in incoming.headers.get("accept", "") else "json")
        if wanted == "csv":
            disposition = f'attachment; filename="usage-{month}.csv"'
            headers = (("content-type", "text/csv; charset=utf-8"), ("content-disposition", disposition))
            return Answer(200, headers, table.encode("utf-8-sig"))  # a spreadsheet guesses wrong without the mark
        if wanted != "json":
            raise InvalidRequest("format: must be `json` or `csv`", param="format")
        said = {"month": month, "since": since, "until": until, "currency": currency, "by": by}
        return reply(said | {"data": lines, "has_more": False})


def _name(path: str) -> str:
    name = path.removeprefix(LIMITS + "/")
    return "" if name == path or "/" in name else name


def _find(limits: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    for each in limits:
        if each["name"] == name:
            return each
    raise NotFound(f"there is no limit {name[:100]!r}")
