"""The limits and prices in force, compiled once: whom they concern, what they take of a call, and what callers hear."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote

import msgspec

from sampan.config.quota import LimitSettings, Measure, Period, PriceSettings, QuotaSettings, limit_mistake, read_zone
from sampan.core import Actor, Call, Spent, Target
from sampan.errors import InvalidRequest, QuotaExceeded
from sampan.governance.quota_bounds import NOTHING, Bounds, Load, Prices, broken, counts_only, told
from sampan.governance.quota_scope import Limit, units

HEADER = "x-sampan-quota"
SOON = 60.0  # seconds: whoever has to wait longer should not by itself
KNOWN_CALLERS = 4096
NOTED = "limit %r: a call took %d, and %d were reserved: all is charged"

_OF_CALLS = frozenset({Measure.CALLS, Measure.CONCURRENCY})
_FIELDS = frozenset(LimitSettings.__dataclass_fields__)
_CHOICES: Mapping[str, type[StrEnum]] = {"what": Measure, "per": Period}


@dataclass(frozen=True, slots=True)
class Bar:
    """How far one pot is spent, in what people say; a limit that nobody spends of yet has one bar of nobody's.

    `since` and `until` are its window in Unix seconds, None for open calls.
    """

    limit: Limit
    pot: str
    spent: float
    reserved: float
    since: int | None = None
    until: int | None = None


class Terms:
    """What follows from the settings; swapped as a whole."""

    def __init__(self, limits: Sequence[Limit], prices: Sequence[PriceSettings], quota: QuotaSettings) -> None:
        self.limits = tuple(limits)
        self.prices = Prices(prices)
        self.has_prices = bool(prices)
        self.quota = quota
        self.zone = read_zone(quota.time_zone)
        self._bounds = Bounds(quota)

    def concerning(self, call: Call, actor: Actor) -> tuple[tuple[Limit, str], ...]:
        """The limits of this call, each with the pot that it spends."""
        pots = ((limit, limit.pot(actor, call.model, call.operation)) for limit in self.limits)
        return tuple((limit, pot) for limit, pot in pots if pot is not None)

    def bound(self, call: Call, plan: Sequence[Target]) -> tuple[Load, int]:
        """The most that a call can take, and cost in millionths."""
        load = self._bounds.of(call, plan)
        return load, self.prices.most(load, call, plan) if self.has_prices else 0

    def real(self, call: Call, plan: Sequence[Target], bound: Load | None, spent: Spent) -> tuple[Load, float]:
        """What a call took, and cost. `bound` is what was reserved, where anybody had to know."""
        usage = spent.usage
        if spent.cached or counts_only(call):
            return NOTHING, 0.0
        if usage is not None and not usage.images:
            load = told(spent, 0)
        elif usage is None:
            load = broken(spent, self._bounds.of(call, plan) if bound is None else bound)
        else:
            bound = self._bounds.of(call, plan) if bound is None else bound
            load = told(spent, bound.pixels // bound.pictures if bound.pictures else 0)
        return load, self.prices.cost(load, call, spent.target, plan) if self.has_prices else 0.0

    def exceeded(self, full: Sequence[Full], now: float) -> QuotaExceeded:
        """What a caller hears: of several limits the one that is closed longest."""
        worst = max(full, key=lambda each: (each.wanted > each.limit.most, each.until))
        error = self._refusal(worst, now)
        error.rule = f"limit:{worst.limit.settings.name}"
        return error

    def _refusal(self, worst: Full, now: float) -> QuotaExceeded:
        settings, limit = worst.limit.settings, worst.limit
        whose = f" ({worst.pot.replace(',', ', ')})" if worst.pot else ""
        if settings.what is Measure.CONCURRENCY:
            message = f"limit {settings.name!r}{whose}: {settings.most:g} open calls at once, and as many are open"
            return QuotaExceeded(
                f"{message}; ask again when one has ended", retry_after=1.0, should_retry=limit.most > 0
            )
        left = said(settings.what, max(0, limit.most - worst.used))
        message = f"limit {settings.name!r}{whose}: {priced(limit, self.quota.currency)}, {left} left"
        need = f"this call may need {said(settings.what, worst.wanted)}"
        if worst.wanted > limit.most:
            return QuotaExceeded(f"{message}; {need}, more than there ever is: ask for a shorter answer, or for less")
        until = datetime.fromtimestamp(worst.until, self.zone).isoformat()
        wait = max(1.0, worst.until - now)
        return QuotaExceeded(
            f"{message}; {need}; it begins anew at {until}", retry_after=wait, should_retry=wait <= SOON
        )

    def warning(self, limit: Limit, used: int, until: int) -> tuple[str, str]:
        """The header of an answer that came near a limit. Names that no header can hold are percent-encoded."""
        settings = limit.settings
        most, left = said(settings.what, limit.most, ""), said(settings.what, max(0, limit.most - used), "")
        text = f"{quote(settings.name, safe=_SAFE)}; limit={most}; left={left}"
        if settings.per is not Period.NONE:
            text += f"; resets={datetime.fromtimestamp(until, self.zone).isoformat()}"
        return HEADER, text


_SAFE = " !#$&'()*+-./:@_~"


@dataclass(frozen=True, slots=True)
class Full:
    """A pot that has no room for what a call wants, in the pot's units."""

    limit: Limit
    pot: str
    used: int
    wanted: int
    until: int


def counts_calls(limit: Limit) -> bool:
    """Whether every call takes one of it, whatever is asked."""
    return limit.settings.what in _OF_CALLS


def said(what: Measure, amount: int, comma: str = ",") -> str:
    """An amount as people write it."""
    if units(what) == 1:
        return f"{amount:{comma}}"
    return f"{amount / units(what):{comma}.6f}".rstrip("0").rstrip(".")


def priced(limit: Limit, currency: str) -> str:
    """How much of what a limit allows, and how often: `3,000 CNY a month`."""
    settings = limit.settings
    words = {Measure.MONEY: currency, Measure.CONCURRENCY: "open calls"}
    what = words.get(settings.what) or settings.what.replace("_", " ")
    return f"{said(settings.what, limit.most)} {what}" + (f" a {settings.per}" if settings.per else "")


def read_limit(name: str, body: Mapping[str, Any]) -> LimitSettings:
    """A limit as it is stored, or was sent. Raises `InvalidRequest` naming the field."""
    for field in body:
        if field not in _FIELDS:
            raise InvalidRequest(
                f"{field}: is no field of a limit; there are {', '.join(sorted(_FIELDS))}", param=field
            )
    try:
        limit = msgspec.convert({**body, "name": name}, LimitSettings)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        field = place.strip("`.") or "limit"
        if field in _CHOICES and reason.startswith("Invalid enum value"):
            known = ", ".join(filter(None, _CHOICES[field]))
            reason = f"{str(body[field])[:100]!r} is not one of {known}"
        raise InvalidRequest(f"{field}: {reason}", param=field) from None
    if mistake := limit_mistake(limit):
        raise InvalidRequest(f"{mistake[0]}: {mistake[1]}", param=mistake[0])
    if limit.soft < 0:
        raise InvalidRequest("soft: must be at least 0", param="soft")
    return limit


def in_force(configured: Sequence[LimitSettings], stored: Mapping[str, Mapping[str, Any]]) -> list[Limit]:
    """The configuration's limits, and those stored under other names. One that cannot be read is logged, loudly."""
    limits = [Limit(each) for each in configured]
    names = {each.name for each in configured}
    for name, body in stored.items():
        if name in names:
            continue
        try:
            limits.append(Limit(read_limit(name, body), stored=True))
        except InvalidRequest as error:
            _log.error("the stored limit %r cannot be read, and limits nothing: %s", name, error)
    return limits


_log = logging.getLogger("sampan.quota")
