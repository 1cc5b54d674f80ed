"""The settings of quota: limits, prices, and what all of them share."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta, timezone, tzinfo
from enum import StrEnum

from sampan.config.declare import required, setting
from sampan.config.reading import Source
from sampan.core import Operation


class Measure(StrEnum):
    """What is counted. Money and what is measured in fractions is kept in millionths."""

    CALLS = "calls"
    TOKENS = "tokens"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    PICTURES = "pictures"
    MEGAPIXELS = "megapixels"
    ENGINE_SECONDS = "engine_seconds"
    MONEY = "money"
    CONCURRENCY = "concurrency"


class Period(StrEnum):
    """Over how long it is counted, by the calendar of the time zone; open calls are counted over none."""

    MINUTE = "minute"
    DAY = "day"
    MONTH = "month"
    NONE = ""


MOST = 1_000_000_000.0
"""The largest limit: its millionths are exact in Redis, whose scripts count in doubles (2^53)."""

_NAME = r"[^\s;|=,/\x00-\x1f\x7f](?:[^;|=,/\x00-\x1f\x7f]{0,62}[^\s;|=,/\x00-\x1f\x7f])?"


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """One limit. Where a scope is a name or a pattern, all that it fits share one pot; `*` gives each its own."""

    name: str = required("Its name, in answers and verbs.")
    what: Measure = required("What is counted.")
    most: float = required("How much of it may be spent; 0 forbids it.")
    per: Period = setting(Period.NONE, "Over how long; nothing for `concurrency`, which counts open calls.")
    department: str = setting("", "Departments: a name or pattern shares one pot, `*` gives each its own. Empty: any.")
    role: str = setting("", "Roles, in the same way.")
    user: str = setting("", "Users, in the same way.")
    key: str = setting("", "Keys, by name or id, in the same way.")
    model: str = setting("", "Models as callers name them, in the same way.")
    operation: str = setting("", "Operations, in the same way.")
    soft: float = setting(0.8, "Share of it from which on answers carry `x-sampan-quota`; 1 or more: never.", minimum=0)


@dataclass(frozen=True, slots=True)
class PriceSettings:
    """What a target takes, in units of `[quota] currency`. The first that fits is the price."""

    upstream: str = setting("*", "Upstream or engine, a name or pattern.")
    model: str = setting("*", "Model as the upstream knows it, a name or pattern.")
    input: float = setting(0.0, "Price of a million input tokens.", minimum=0)
    output: float = setting(0.0, "Price of a million output tokens.", minimum=0)
    picture: float = setting(0.0, "Price of a picture.", minimum=0)
    megapixel: float = setting(0.0, "Price of a million pixels drawn.", minimum=0)
    engine_second: float = setting(0.0, "Price of a second of an engine or server of one's own.", minimum=0)


@dataclass(frozen=True, slots=True)
class QuotaSettings:
    time_zone: str = setting("Asia/Shanghai", "Whose days and months: a name, or `+08:00`.")
    currency: str = setting("CNY", "What prices are in.")
    answer_tokens: int = setting(
        8192, "Output tokens that are reserved where a caller names no longest answer.", minimum=1
    )
    picture_tokens: int = setting(6500, "Tokens that are reserved for each picture, seen or drawn.", minimum=0)
    document_tokens: int = setting(100_000, "Tokens that are reserved for each document.", minimum=0)
    picture_megapixels: float = setting(
        4.2, "Megapixels that are reserved and charged for a picture whose size is not named.", minimum=0
    )
    engine_seconds: float = setting(
        600.0, "Engine seconds that are reserved for a call that an engine may answer.", minimum=0
    )
    when_away: str = setting(
        "refuse", "While a shared store is away: `refuse` limited calls, or let each server spend its share: `local`."
    )
    lost_after: float = setting(
        3600.0, "Seconds of silence after which what a dead server had reserved is charged in full.", minimum=1
    )


def read_zone(text: str) -> tzinfo:
    """`UTC`, `+08:00` or a name of the time zone database. Raises `ValueError`."""
    if text == "UTC":
        return UTC
    if found := re.fullmatch(r"([+-])(0[0-9]|1[0-4]):([0-5][0-9])", text):
        offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return timezone(-offset if found[1] == "-" else offset)
    try:
        return zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{text!r} is no time zone; write `Asia/Shanghai`, `+08:00` or `UTC`") from None


def limit_mistake(limit: LimitSettings) -> tuple[str, str] | None:
    """The field that is wrong with a limit, and why; None where nothing is."""
    if not re.fullmatch(_NAME, limit.name) or not limit.name.isprintable():
        return "name", "has 1 to 64 signs, none of `; | = , /`, and no blanks around"
    if not 0 <= limit.most <= MOST:
        return "most", f"must be 0 to {MOST:,.0f}"
    if limit.what is Measure.CONCURRENCY and limit.per is not Period.NONE:
        return "per", "open calls are not counted over a time; leave it out"
    if limit.what is not Measure.CONCURRENCY and limit.per is Period.NONE:
        return "per", "must be `minute`, `day` or `month`"
    if limit.operation not in ("", "*", *Operation):
        return "operation", f"must be `*` or one of {', '.join(Operation)}"
    return None


def check_quota(limits: Sequence[LimitSettings], quota: QuotaSettings, source: Source) -> None:
    """What no single value can know. Raises `ConfigError` with the line."""
    seen: set[str] = set()
    for index, limit in enumerate(limits):
        path = ("limits", str(index))
        if mistake := limit_mistake(limit):
            raise source.error((*path, mistake[0]), mistake[1])
        if limit.name in seen:
            raise source.error((*path, "name"), f"there are two limits {limit.name!r}")
        seen.add(limit.name)
    try:
        read_zone(quota.time_zone)
    except ValueError as error:
        raise source.error(("quota", "time_zone"), str(error)) from None
    if quota.when_away not in ("refuse", "local"):
        raise source.error(("quota", "when_away"), "must be `refuse` or `local`")
    if not re.fullmatch(r"[A-Za-z]{1,8}", quota.currency):
        raise source.error(("quota", "currency"), "must be 1 to 8 letters, such as `CNY`")
