"""`sampan limit …` and `sampan usage`: who may spend how much, and what was used."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from sqlalchemy import func, select

from sampan import config
from sampan.config.quota import Measure, read_zone
from sampan.config.verbs import ConfigOption, JsonOption, load, print_table
from sampan.errors import InvalidRequest
from sampan.governance.directory import directory_of, of_limit
from sampan.governance.quota_clock import window
from sampan.governance.quota_scope import SCOPES, Limit, units
from sampan.governance.quota_sources import KIND
from sampan.governance.quota_terms import in_force, priced, read_limit, said
from sampan.governance.quota_usage import as_csv, body_of, month_window, told, used
from sampan.storage.db import Database
from sampan.storage.statutes import Statutes
from sampan.storage.tables import QUOTA_SPENT

limits_cli = typer.Typer(no_args_is_help=True, help="Lists, sets and removes limits.")


@dataclass(frozen=True, slots=True)
class _Opened:
    """What the verbs read and write."""

    loaded: config.Config
    database: Database
    statutes: Statutes

    @property
    def limits(self) -> list[Limit]:
        """Those in force, by name."""
        stored = {each.id: each.body for each in self.statutes.list(KIND)}
        return sorted(in_force(self.loaded.limits, stored), key=lambda each: each.settings.name)


def _open(path: Path | None) -> _Opened:
    loaded = load(path)
    database = Database(Path(loaded.server.data), loaded.storage.database)
    return _Opened(loaded, database, Statutes(database))


@limits_cli.command("list")
def limit_list(path: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Lists the limits in force, and how much of each fullest pot is spent; what is reserved only the gateway knows."""
    opened = _open(path)
    now, zone = time.time(), read_zone(opened.loaded.quota.time_zone)
    spent = fullest(opened.database, now)
    currency = opened.loaded.quota.currency
    rows = []
    for limit in opened.limits:
        settings = limit.settings
        since, _ = window(settings.per, now, zone)
        amount, pot = spent.get((limit.meter, since), (0, ""))
        if as_json:
            entry = told(settings, stored=limit.stored)
            print(msgspec.json.encode(entry | {"spent": amount / units(settings.what), "pot": pot}).decode())
            continue
        scope = " ".join(f"{name}={value}" for name, value in told(settings, stored=False)["scope"].items())
        where = "the database" if limit.stored else "the configuration"
        shown = said(settings.what, amount) if settings.per else "–"
        rows.append((settings.name, priced(limit, currency), scope or "all", where, shown, pot))
    if not as_json:
        columns = ("name", "at most", "for", "stands in", "spent", "of the fullest pot")
        print_table(columns, rows, whole=("name", "of the fullest pot"), spare=("stands in", "for"))


def fullest(database: Database, now: float) -> dict[tuple[str, int], tuple[int, str]]:
    """Of each limit and window that has not ended, the pot that most is spent of, as the table has it."""
    columns = (QUOTA_SPENT.c.meter, QUOTA_SPENT.c.since, QUOTA_SPENT.c.pot)
    query = select(*columns, func.sum(QUOTA_SPENT.c.spent)).where(QUOTA_SPENT.c.until > now).group_by(*columns)
    found: dict[tuple[str, int], tuple[int, str]] = {}
    with database.read() as connection:
        for meter, since, pot, amount in connection.execute(query):
            found[meter, since] = max(found.get((meter, since), (0, "")), (int(amount), pot))
    return found


@limits_cli.command("set")
def limit_set(
    name: Annotated[str, typer.Argument(help="Its name.")],
    what: Annotated[str, typer.Option(help=", ".join(Measure))],
    most: Annotated[float, typer.Option(min=0, help="How much of it may be spent; 0 forbids it.")],
    per: Annotated[str, typer.Option(help="minute, day or month; nothing for concurrency.")] = "",
    whose: Annotated[
        list[str] | None,
        typer.Option("--for", help="Whom it concerns, such as department=radiology or 'user=*'; may be given again."),
    ] = None,
    soft: Annotated[float, typer.Option(min=0, help="Share of it from which on answers warn.")] = 0.8,
    path: ConfigOption = None,
) -> None:
    """Sets a limit, or changes one that was set so; what is spent already stays spent."""
    opened = _open(path)
    if any(limit.name == name for limit in opened.loaded.limits):
        raise InvalidRequest(f"limit {name!r} stands in the configuration: change it there", param="name")
    scope = {}
    for each in whose or ():
        field, sign, value = each.partition("=")
        if field not in SCOPES or not sign or not value:
            raise InvalidRequest(
                f"--for {each!r}: must be FIELD=NAME, and FIELD one of {', '.join(SCOPES)}", param="for"
            )
        scope[field] = value
    limit = read_limit(name, {"what": what, "most": most, "per": per, "soft": soft, **scope})
    opened.statutes.put(KIND, name, body_of(limit))
    print(f"limit {name}: {priced(Limit(limit), opened.loaded.quota.currency)}")
    roles = {role: settings.permissions for role, settings in opened.loaded.roles.items()}
    for note in directory_of(opened.database, roles).strangers(of_limit(limit)):
        print(f"limit {name}: {note}", file=sys.stderr)


@limits_cli.command("remove")
def limit_remove(name: Annotated[str, typer.Argument(help="Its name.")], path: ConfigOption = None) -> None:
    """Takes a limit away that was set with `set` or by the console."""
    opened = _open(path)
    if any(limit.name == name for limit in opened.loaded.limits):
        raise InvalidRequest(f"limit {name!r} stands in the configuration: take it out there", param="name")
    opened.statutes.remove(KIND, name)
    print(f"limit {name} is gone")


def usage(
    by: Annotated[str, typer.Option(help="department, user, key, model, upstream or day.")] = "department",
    month: Annotated[str, typer.Option(help="Which month, such as 2026-11; this one by default.")] = "",
    department: Annotated[str, typer.Option(help="Only of this department.")] = "",
    user: Annotated[str, typer.Option(help="Only of this user.")] = "",
    as_csv_table: Annotated[bool, typer.Option("--csv", help="As CSV.")] = False,
    as_json: JsonOption = False,
    path: ConfigOption = None,
) -> None:
    """Says what was used in a month, summed from the records: calls, tokens, pictures and money."""
    opened = _open(path)
    quota = opened.loaded.quota
    zone = read_zone(quota.time_zone)
    title, since, until = month_window(month, time.time(), zone)
    only = {name: value for name, value in (("department", department), ("user", user)) if value}
    lines = used(opened.database, by, (since, until), only, zone)
    if as_csv_table:
        sys.stdout.write(as_csv(by, lines, quota.currency))
        return
    if as_json:
        for line in lines:
            print(msgspec.json.encode(msgspec.to_builtins(line) | {"currency": quota.currency}).decode())
        return
    rows = []
    for line in lines:
        counts = (line.calls, line.not_answered, line.input_tokens, line.output_tokens, line.pictures)
        rows.append((line.label or "–", *(f"{count:,}" for count in counts), f"{line.cost:,.4f}"))
    columns = (by, "calls", "not answered", "input tokens", "output tokens", "pictures", quota.currency)
    print_table(columns, rows, whole=(by,), spare=("pictures", "output tokens", "input tokens"), title=title)
