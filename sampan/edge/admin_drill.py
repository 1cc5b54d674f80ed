"""Pages of the drill below `/admin/v1/drill`: begin one, watch it, stop it, and read what came of the last."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from sampan.core import Actor, Answer, Incoming, Permission
from sampan.edge.admin_pages import check_place, read, reply, require
from sampan.edge.paging import query_of
from sampan.errors import InvalidRequest

ROOT = "/admin/v1/drill"
LONGEST = 100
"""Faults that may be named: more than there are."""

LATELY = 0.5
"""Seconds for which one answer does for all who watch."""

_READING = ("GET", "HEAD")
_METHODS: Mapping[str, tuple[str, ...]] = {
    ROOT: (*_READING, "POST", "DELETE"),
    f"{ROOT}/faults": _READING,
    f"{ROOT}/scorecard": _READING,
    f"{ROOT}/report": _READING,
}
_WHICH = ("last", "before")
_FORMS = {"html": "text/html; charset=utf-8", "json": "application/json"}
# The report is a page with a style sheet and nothing that moves: it may run nothing, load nothing and send nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "


@dataclass(frozen=True, slots=True)
class Theatre:
    """What the pages are made of; `kept` and `file` block."""

    told: Callable[[], dict[str, Any]]
    begin: Callable[[Sequence[str], str, str, str], dict[str, Any]]
    """Which faults, which operation, in which language, and who asks."""
    stop: Callable[[], dict[str, Any]]
    kept: Callable[[], Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]]
    """Who ran it and when, and the scorecard, of the last and the one before."""
    file: Callable[[str, str], bytes]
    catalogue: Callable[[], dict[str, Any]]
    clock: Callable[[], float] = time.monotonic


class NewDrill(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be rehearsed; nothing named: everything. The report is written in `language`."""

    only: list[str] = []
    operation: str = ""
    language: str = "en"


class DrillPages:
    """A `Shelf` for whoever may OPERATE."""

    def __init__(self, theatre: Theatre) -> None:
        self._theatre = theatre
        self._lately: tuple[float, Answer] | None = None

    def methods(self, path: str) -> tuple[str, ...]:
        """What may be asked of a path; nothing where it is none of these pages."""
        return _METHODS.get(path, ())

    async def handle(self, incoming: Incoming, actor: Actor) -> Answer:
        """Raises `CallError`."""
        require(actor, Permission.OPERATE)
        check_place(incoming)
        theatre = self._theatre
        match incoming.path.removeprefix(ROOT):
            case "/faults":
                return reply(theatre.catalogue())
            case "/scorecard":
                kept = await asyncio.to_thread(theatre.kept)
                return reply({"data": [{**facts, "card": card} for facts, card in kept]})
            case "/report":
                return await self._report(incoming)
        if incoming.method in _READING:
            return self._look()
        self._lately = None  # who changed something sees it
        if incoming.method == "DELETE":
            return reply(theatre.stop())
        asked = read(incoming, NewDrill)
        if len(asked.only) > LONGEST:
            raise InvalidRequest(f"only: {LONGEST} names at most", param="only")
        return reply(theatre.begin(asked.only, asked.operation, asked.language, actor.user or actor.name), 202)

    def _look(self) -> Answer:
        now = self._theatre.clock()
        if self._lately is None or now - self._lately[0] > LATELY:
            self._lately = now, reply(self._theatre.told())
        return self._lately[1]

    async def _report(self, incoming: Incoming) -> Answer:
        query = query_of(incoming)
        which, form = query.get("which", "last"), query.get("format", "html")
        if which not in _WHICH:
            raise InvalidRequest(f"which: must be one of {', '.join(_WHICH)}", param="which")
        if form not in _FORMS:
            raise InvalidRequest(f"format: must be one of {', '.join(_FORMS)}", param="format")
        data = await asyncio.to_thread(self._theatre.file, f"drill.{form}", which)
        headers = [("content-type", _FORMS[form]), ("cache-control", "no-store")]
        if form == "html":
            headers.append(("content-security-policy", f"{_POLICY}sandbox"))
        else:
            headers.append(("content-disposition", 'attachment; filename="drill.json"'))
        return Answer(200, tuple(headers), data)
