"""Pages below `/admin/v1/models`: engines and releases of their models, promotions, fetches, and damaged files."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from sampan.core import Actor, Answer, Incoming, Permission
from sampan.edge.admin_pages import check_place, read, reply, require
from sampan.errors import CallError, ConfigError

ROOT = "/admin/v1/models"
LATELY = 0.5
"""Seconds for which one look at disk and database does for all who watch."""

_READING = ("GET", "HEAD")
_ALONE: Mapping[str, tuple[str, ...]] = {
    "": _READING,
    "fetch": ("POST",),
    "fetches": _READING,
    "verify": (*_READING, "POST"),
}
_ONE = {"fetches": ("DELETE",), "releases": ("DELETE",)}
_VERBS = {"promote": ("POST",), "rollback": ("POST",), "history": _READING}
Told = dict[str, Any]
log = logging.getLogger("sampan.edge")


@dataclass(frozen=True, slots=True)
class Yard:
    """What the pages are made of. Those that are awaited look at disk or database; the others do not block."""

    told: Callable[[], Awaitable[Told]]
    promote: Callable[[str, str], Awaitable[Told]]
    rollback: Callable[[str], Awaitable[Told]]
    history: Callable[[str], Awaitable[list[Told]]]
    remove: Callable[[str], Awaitable[Told]]
    fetches: Callable[[], list[Told]]
    fetch: Callable[[Told, str], Awaitable[Told]]
    """Begins one: the fields of a `NewFetch`, and who asks."""
    stop: Callable[[str], Told]
    check: Callable[[], Told]
    verify: Callable[[str], Awaitable[Told]]
    clock: Callable[[], float] = time.monotonic


class NewPromotion(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be promoted."""

    revision: str


class NewFetch(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be fetched, and from where: see `sampan models fetch`."""

    name: str
    revision: str = ""
    source: str = "huggingface"
    include: list[str] = []
    exclude: list[str] = []


class NewCheck(msgspec.Struct, forbid_unknown_fields=True):
    """Which release is to be read again, `OWNER--NAME@REVISION`; empty: all."""

    release: str = ""


class ModelsPages:
    """A `Shelf` for whoever may OPERATE."""

    def __init__(self, yard: Yard) -> None:
        self._yard = yard
        self._lately: tuple[float, asyncio.Task[Told]] | None = None

    def methods(self, path: str) -> tuple[str, ...]:
        """What may be asked of a path; nothing where it is none of these pages."""
        if path != ROOT and not path.startswith(f"{ROOT}/"):
            return ()
        parts = path[len(ROOT) + 1 :].split("/")
        if path == f"{ROOT}/" or "" in parts[1:]:
            return ()
        match parts:
            case [name]:
                return _ALONE.get(name, ())
            case [name, _]:
                return _ONE.get(name, ())
            case ["engines", name, verb] if name:
                return _VERBS.get(verb, ())
        return ()

    async def handle(self, incoming: Incoming, actor: Actor) -> Answer:
        """Raises `CallError`."""
        require(actor, Permission.OPERATE)
        check_place(incoming)
        try:
            return await self._answer(incoming, incoming.path[len(ROOT) + 1 :].split("/"), actor)
        except ConfigError as error:
            log.error("models cannot be looked at: %s", error)
            raise CallError("disk or database cannot be read at the moment; the log says why") from None

    async def _answer(self, incoming: Incoming, parts: list[str], actor: Actor) -> Answer:
        yard = self._yard
        match parts:
            case ["engines", name, "history"]:
                return reply({"data": await yard.history(name)})
            case ["engines", name, "promote"]:
                asked = read(incoming, NewPromotion)
                return self._changed(await yard.promote(name, asked.revision), 202)
            case ["engines", name, "rollback"]:
                return self._changed(await yard.rollback(name), 202)
            case ["fetch"]:
                wanted = msgspec.structs.asdict(read(incoming, NewFetch))
                return self._changed(await yard.fetch(wanted, actor.user or actor.name), 202)
            case ["fetches"]:
                return reply({"data": yard.fetches()})
            case ["fetches", identifier]:
                return self._changed(yard.stop(identifier))
            case ["releases", identifier]:
                return self._changed(await yard.remove(identifier))
            case ["verify"] if incoming.method == "POST":
                return self._changed(await yard.verify(read(incoming, NewCheck).release), 202)
            case ["verify"]:
                return reply(yard.check())
        return reply({**await self._look(), "fetches": yard.fetches(), "check": yard.check()})

    def _changed(self, told: Told, status: int = 200) -> Answer:
        """What was seen before that is old."""
        self._lately = None
        return reply(told, status)

    async def _look(self) -> Told:
        now = self._yard.clock()
        if self._lately is None or now - self._lately[0] > LATELY:
            self._lately = now, asyncio.ensure_future(self._yard.told())
        return await asyncio.shield(self._lately[1])
