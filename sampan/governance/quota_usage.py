"""Limits and usage as people are told them: by the verbs and by the pages of the console."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

import msgspec

from sampan.config.quota import LimitSettings, Period
from sampan.errors import InvalidRequest
from sampan.governance.quota_clock import window
from sampan.governance.quota_scope import SCOPES
from sampan.governance.quota_terms import Bar
from sampan.storage.db import Database
from sampan.storage.usage import FIELDS, UsageLine, parted, summed

DAY = "day"
COUNTS = ("calls", "not_answered", "input_tokens", "output_tokens", "pictures")


def month_window(text: str, now: float, zone: tzinfo) -> tuple[str, int, int]:
    """`2026-11`, or nothing for this month → its name, and its bounds in Unix seconds. Raises `InvalidRequest`."""
    moment = datetime.fromtimestamp(now, zone)
    if text:
        found = re.fullmatch(r"([0-9]{4})-(0[1-9]|1[0-2])", text)
        if not found or not 1971 <= int(found[1]) <= 9000:
            raise InvalidRequest("month: must be written as 2026-11", param="month")
        moment = datetime(int(found[1]), int(found[2]), 2, tzinfo=zone)
    since, until = window(Period.MONTH, moment.timestamp(), zone)
    return f"{moment:%Y-%m}", since, until


def used(
    database: Database, by: str, bounds: tuple[int, int], only: Mapping[str, str], zone: tzinfo
) -> list[UsageLine]:
    """The lines of a report; those of days are named `2026-11-03`, as the calendar of `zone` has them. Blocks.

    Raises `InvalidRequest` for what cannot be summed by, and `ConfigError`.
    """
    if by == DAY:
        edges = [bounds[0]]
        while edges[-1] < bounds[1]:
            edges.append(window(Period.DAY, edges[-1], zone)[1])
        names = [f"{datetime.fromtimestamp(edge, zone):%Y-%m-%d}" for edge in edges]
        lines = parted(database, edges, only)
        told = [(names[int(each.name)], each) for each in lines]
        return [msgspec.structs.replace(each, name=name, label=name) for name, each in told]
    if by not in FIELDS:
        raise InvalidRequest(f"by: must be one of {', '.join((*FIELDS, DAY))}", param="by")
    return summed(database, by, *bounds, only)


def as_csv(by: str, lines: Sequence[UsageLine], currency: str) -> str:
    """A table as spreadsheets read it: `cost_cny` is a plain number, to a millionth.

    A name that one would take for a formula gets a `'` before it.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([by, *(("name",) if by == "key" else ()), *COUNTS, f"cost_{currency.lower()}"])
    for line in lines:
        names = [line.name, line.label] if by == "key" else [line.name]
        writer.writerow([*map(_harmless, names), *(getattr(line, name) for name in COUNTS), f"{line.cost:.6f}"])
    return out.getvalue()


def _harmless(name: str) -> str:
    return f"'{name}" if name[:1] in ("=", "+", "-", "@", "\t", "\r") else name


def told(settings: LimitSettings, *, stored: bool) -> dict[str, Any]:
    """A limit as it is written, with the scopes that it names."""
    scope = {name: getattr(settings, name) for name in SCOPES if getattr(settings, name)}
    return {
        "name": settings.name,
        "what": settings.what.value,
        "most": settings.most,
        "per": settings.per.value or None,
        "scope": scope,
        "soft": settings.soft,
        "stored": stored,
    }


def told_with_bars(bars: Sequence[Bar]) -> list[dict[str, Any]]:
    """Each limit by name, with how far each of its pots is spent."""
    found: dict[str, dict[str, Any]] = {}
    for bar in bars:
        settings = bar.limit.settings
        entry = found.setdefault(settings.name, told(settings, stored=bar.limit.stored) | {"pots": []})
        used_up = bar.spent + bar.reserved
        entry["pots"].append(
            {
                "pot": bar.pot,
                "spent": bar.spent,
                "reserved": bar.reserved,
                "left": max(0.0, settings.most - used_up),
                "share": used_up / settings.most if settings.most else 1.0,
                "since": bar.since,
                "resets": bar.until,
            }
        )
    return [found[name] for name in sorted(found)]


def body_of(settings: LimitSettings) -> dict[str, Any]:
    """A limit as it is stored."""
    body: dict[str, Any] = msgspec.to_builtins(settings)
    del body["name"]
    return body
