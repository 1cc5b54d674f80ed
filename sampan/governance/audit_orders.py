"""The options of the verbs that look for records: one dataclass is both their help and what they are given."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Annotated

import typer

from sampan.config.verbs import ConfigOption, JsonOption
from sampan.errors import ConfigError
from sampan.storage.records import Wanted


@dataclass(frozen=True, slots=True)
class Filters:
    """Which records are looked for."""

    since: Annotated[str, typer.Option(help="Only calls that started then or later: Unix time or 2026-11-22T08.")] = ""
    until: Annotated[str, typer.Option(help="Only calls that started before.")] = ""
    id: Annotated[str, typer.Option(help="How the request id begins.")] = ""
    key: Annotated[str, typer.Option(help="Id or name of the key.")] = ""
    department: Annotated[str, typer.Option(help="Its name.")] = ""
    user: Annotated[str, typer.Option(help="Their name.")] = ""
    model: Annotated[str, typer.Option(help="The model that was asked for.")] = ""
    upstream: Annotated[str, typer.Option(help="Who answered.")] = ""
    outcome: Annotated[str, typer.Option(help="ok, rejected, refused, failed, interrupted or left.")] = ""
    operation: Annotated[str, typer.Option(help="text, vision, generate, edit or embed.")] = ""
    tier: Annotated[str, typer.Option(help="cloud, local or degraded.")] = ""
    rule: Annotated[str, typer.Option(help="The rule that decided.")] = ""
    node: Annotated[str, typer.Option(help="The node that recorded it.")] = ""
    confined: Annotated[bool, typer.Option("--confined", help="Only calls that could not leave the house.")] = False
    config: ConfigOption = None

    def wanted(self) -> Wanted:
        """The same for the records. Raises `ConfigError` for a time that is none."""
        given = {each.name: getattr(self, each.name) for each in fields(Filters)}
        del given["config"]
        given |= {"since": read_time(self.since), "until": read_time(self.until)}
        return Wanted(**{**given, "confined": self.confined or None})


@dataclass(frozen=True, slots=True)
class ListOrders(Filters):
    """Which records to list, and how."""

    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest first.")] = 50
    after: Annotated[str, typer.Option(help="Only those after this request id, where the last list ended.")] = ""
    as_json: JsonOption = False


@dataclass(frozen=True, slots=True)
class ExportOrders(Filters):
    """Which records to export, and how."""

    format: Annotated[str, typer.Option(help="jsonl or csv.")] = "jsonl"
    proof: Annotated[
        bool, typer.Option("--proof", help="With seals and without gaps, to be verified; takes no filter but --since.")
    ] = False


def read_time(text: str) -> float | None:
    """Unix seconds, or a date with or without a time, in UTC where it names no zone; None for nothing."""
    if not text:
        return None
    with suppress(ValueError):  # no number: it may be a date
        return float(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{text[:50]!r} is no time: write Unix seconds, or 2026-11-22, or 2026-11-22T08:00."
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
