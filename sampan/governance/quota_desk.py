"""Quota as the rest of the house has it: which ledger there is, and what the admin pages ask of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from sampan.core import Actor, Call
from sampan.errors import ConfigError, InvalidRequest
from sampan.governance.quota import Quota
from sampan.governance.quota_shared import SharedQuota
from sampan.governance.quota_sources import KIND, Settings
from sampan.governance.quota_terms import Bar, Terms, read_limit
from sampan.governance.quota_usage import as_csv, body_of, month_window, told_with_bars, used
from sampan.storage.db import Database
from sampan.storage.ledger import Books
from sampan.storage.ledger_redis import RedisPots
from sampan.storage.statutes import Statutes
from sampan.storage.usage import UsageLine


def ledger_of(database: Database, statutes: Statutes, settings: Settings, state: str) -> Quota | SharedQuota:
    """The ledger for `[storage] state`: this process alone, or all that name the same Redis. It was not started yet.

    `start` blocks; then `run` is a task, and `aclose` comes after its end, before the database is closed.
    """
    books = Books(database)
    if state == "memory":
        return Quota(books, statutes, settings)
    return SharedQuota(books, RedisPots(state, books.node), statutes, settings)


class Counted(Protocol):
    """Either ledger."""

    terms: Terms

    async def bars(self) -> list[Bar]: ...

    async def renew(self) -> None: ...


class Desk:
    """`put`, `remove` and `report` block."""

    def __init__(self, ledger: Counted, statutes: Statutes, database: Database, wall: Callable[[], float]) -> None:
        self._ledger = ledger
        self._statutes = statutes
        self._database = database
        self._wall = wall

    async def limits(self) -> list[dict[str, Any]]:
        """Every limit in force, by name, with its pots. Raises `ConnectionError` while a shared store is away."""
        try:
            return told_with_bars(await self._ledger.bars())
        except ConfigError as error:
            raise ConnectionError(str(error)) from error

    def put(self, name: str, body: Mapping[str, Any]) -> None:
        """Stores a limit. Raises `InvalidRequest` naming the field, and `ConfigError`."""
        sent = dict(body)
        if sent.pop("name", name) != name:
            raise InvalidRequest("name: is another than the path's", param="name")
        self._statutes.put(KIND, name, body_of(read_limit(name, sent)))

    def remove(self, name: str) -> None:
        """Raises `NotFound`."""
        self._statutes.remove(KIND, name)

    def configured(self) -> Collection[str]:
        """The limits that stand in the configuration."""
        return {limit.settings.name for limit in self._ledger.terms.limits if not limit.stored}

    def besides(self) -> Mapping[str, str]:
        """What limits are counted in: the money, and whose days and months."""
        quota = self._ledger.terms.quota
        return {"currency": quota.currency, "time_zone": quota.time_zone}

    def concerning(self, call: Call, actor: Actor) -> Sequence[tuple[str, str]]:
        """The limits that such a call would spend, each with the pot of it."""
        return [(limit.settings.name, pot) for limit, pot in self._ledger.terms.concerning(call, actor)]

    def report(
        self, by: str, month: str, only: Mapping[str, str]
    ) -> tuple[str, tuple[int, int], str, list[UsageLine], str]:
        """The month's name, its bounds, the currency, the lines, and the same as CSV. Raises `InvalidRequest`."""
        terms = self._ledger.terms
        name, since, until = month_window(month, self._wall(), terms.zone)
        lines = used(self._database, by, (since, until), only, terms.zone)
        return name, (since, until), terms.quota.currency, lines, as_csv(by, lines, terms.quota.currency)
