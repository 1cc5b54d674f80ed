"""`/admin/v1/rules` and `/admin/v1/explain`: who may ask what, for whoever has `govern`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sampan.core import Actor, Answer, Incoming, Permission
from sampan.edge.admin_pages import check_place, page, read, reply, require
from sampan.errors import InvalidRequest, MethodNotAllowed, NotFound
from sampan.storage.statutes import Statute, Statutes

RULES, EXPLAIN = "/admin/v1/rules", "/admin/v1/explain"
KIND = "rule"
_RULE = re.compile(rf"{RULES}/([^/]+)")


@dataclass(frozen=True, slots=True)
class Bench:
    """What the pages need.

    `configured` are the configuration's rules as JSON, with their names; `check` makes a rule of a name and what was
    sent, as it is to be stored, or raises `InvalidRequest`; `explain` answers a question, and may block; `renew` has
    the judge look at the database now; `notes` says of a rule as it is stored which of its names nobody here has;
    `besides` is what the configuration says beside rules: the default, and what may not leave whatever they say.
    """

    statutes: Statutes
    configured: Callable[[], Sequence[Mapping[str, Any]]]
    check: Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
    explain: Callable[[bytes], Mapping[str, Any]]
    renew: Callable[[], object]
    notes: Callable[[str, Mapping[str, Any]], Sequence[str]] = lambda name, body: ()
    besides: Callable[[], Mapping[str, Any]] = dict


class RulesPages:
    """The rules that are in force, those of them that are stored to be changed, and what they say of a call."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def methods(self, path: str) -> tuple[str, ...]:
        """What may be asked of a path; nothing where it is none of these pages."""
        if path == RULES:
            return ("GET", "HEAD")
        if path == EXPLAIN:
            return ("POST",)
        return ("GET", "HEAD", "PUT", "DELETE") if _RULE.fullmatch(path) else ()

    async def handle(self, incoming: Incoming, actor: Actor) -> Answer:
        """Raises `CallError`."""
        methods = self.methods(incoming.path)
        if not methods:
            raise NotFound(f"there is nothing at {incoming.path[:200]}")
        if incoming.method not in methods:
            raise MethodNotAllowed(f"this path takes {', '.join(methods)} only")
        require(actor, Permission.GOVERN)
        check_place(incoming)
        if incoming.path == EXPLAIN:
            return reply(await asyncio.to_thread(self._bench.explain, incoming.body))
        found = _RULE.fullmatch(incoming.path)
        if found is None:
            rules = await asyncio.to_thread(self._all)
            return page(incoming, rules, lambda each: str(each["id"]), lambda each: each, self._bench.besides())
        name = found[1]
        if incoming.method == "PUT":
            return await self._put(incoming, name)
        if incoming.method == "DELETE":
            return await self._remove(name)
        return reply(await asyncio.to_thread(self._find, name))

    def _all(self) -> list[dict[str, Any]]:
        """Rules by name; one of the configuration and a stored one may have the same, and both are in force."""
        rules = [_configured(rule) for rule in self._bench.configured()]
        rules += [_stored(statute) for statute in self._bench.statutes.list(KIND)]
        return sorted(rules, key=lambda rule: str(rule["id"]))

    def _find(self, name: str) -> dict[str, Any]:
        for rule in self._bench.configured():
            if rule["name"] == name:
                return _configured(rule)
        return _stored(self._bench.statutes.find(KIND, name))

    async def _put(self, incoming: Incoming, name: str) -> Answer:
        self._check_own(name)
        sent = read(incoming, dict[str, Any])
        if sent.pop("name", name) != name:
            raise InvalidRequest("name: must be the one of the path, or left out", param="name")
        body = self._bench.check(name, sent)

        def put() -> tuple[dict[str, Any], int]:
            known = any(each.id == name for each in self._bench.statutes.list(KIND))
            statute = self._bench.statutes.put(KIND, name, body)
            self._bench.renew()
            notes = self._bench.notes(name, body)
            return _stored(statute) | ({"notes": list(notes)} if notes else {}), 200 if known else 201

        return reply(*await asyncio.to_thread(put))

    async def _remove(self, name: str) -> Answer:
        self._check_own(name)

        def remove() -> Statute:
            statute = self._bench.statutes.remove(KIND, name)
            self._bench.renew()
            return statute

        return reply(_stored(await asyncio.to_thread(remove)))

    def _check_own(self, name: str) -> None:
        if any(rule["name"] == name for rule in self._bench.configured()):
            message = f"the configuration has a rule {name!r}, which only its file can change; take another name"
            raise InvalidRequest(message, param="name")


def _configured(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": f"configuration:{rule['name']}", **rule, "source": "configuration", "updated": None}


def _stored(statute: Statute) -> dict[str, Any]:
    return {"id": statute.id, "name": statute.id, **statute.body, "source": "stored", "updated": statute.updated}
