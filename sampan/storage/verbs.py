"""`sampan migrate`: which schema the database has, and to another one."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from sampan.config.verbs import ConfigOption, load
from sampan.errors import ConfigError
from sampan.storage.db import Database, is_there
from sampan.storage.releases import server_pid
from sampan.storage.schema import SCHEMA_VERSION


def migrate(
    to: Annotated[str, typer.Option("--to", help="Schema to go to: a number, or `newest`.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Goes down without asking.")] = False,
    path: ConfigOption = None,
) -> None:
    """Shows which schema the database has; with --to, brings it up or down to another. The start goes up by itself."""
    loaded = load(path)
    data = Path(loaded.server.data)
    if not is_there(data, loaded.storage.database):
        raise ConfigError(f"there is no database in {data}")
    database = Database(data, loaded.storage.database, prepared=False)
    try:
        _migrate(database, to, yes)
    finally:
        database.close()


def _migrate(database: Database, to: str, yes: bool) -> None:
    have = database.schema_version()
    print(f"{database.place}: schema {have or 'none yet'}; this program uses {SCHEMA_VERSION}")
    if not to:
        return
    want = _wanted(to)
    if want == have:
        return
    pid, others = server_pid(database.folder), database.others()
    if pid is not None or others:
        who = f"process {pid}" if pid is not None else f"{others} connections"
        raise ConfigError(f"a gateway uses the database ({who}); stop all of them first")
    if want < have and not yes:
        _ask(have, want)
    database.migrate(want)
    print(f"{database.place}: schema {want}")


def _wanted(to: str) -> int:
    if to == "newest":
        return SCHEMA_VERSION
    if not to.isascii() or not to.isdecimal() or not 1 <= int(to) <= SCHEMA_VERSION:
        raise ConfigError(f"--to: there are the schemas 1 to {SCHEMA_VERSION}, and `newest`; not {to!r}")
    return int(to)


def _ask(have: int, want: int) -> None:
    lines = import_module("sampan.storage.migrating").describe(want, have)
    print(f"Schema {want} has no place for all that is kept; this will be forgotten for good:", file=sys.stderr)
    print("\n".join(f"  {line}" for line in lines), file=sys.stderr)
    print("An older program lets every key that is there ask everything. Have you a backup?", file=sys.stderr)
    if not typer.confirm(f"Go down to schema {want}?", err=True):
        raise typer.Exit(1)
