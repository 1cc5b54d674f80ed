"""Which schema a database has, and how it gets to another one. How it gets there stands in `migrations`."""

from __future__ import annotations

from importlib import import_module

from sqlalchemy import Connection, inspect, select

from sampan.errors import ConfigError
from sampan.storage.tables import METADATA, SETTINGS

SCHEMA_VERSION = 5
"""Raised by one with every release that changes a table; an older program refuses a newer database, it does not guess.

It is kept as the setting `schema_version`, which programs before schema 4 knew, too.
"""

NAME = "schema_version"


def found(connection: Connection) -> int:
    """The schema of the tables; 0 where there are none."""
    if not inspect(connection).has_table(SETTINGS.name):
        return 0
    value = connection.execute(select(SETTINGS.c.value).where(SETTINGS.c.name == NAME)).scalar()
    return int(value) if value else 0


def check(version: int, name: str) -> None:
    """Raises `ConfigError` for a schema of a newer program; `name` is that of the database."""
    if version > SCHEMA_VERSION:
        raise ConfigError(
            f"{name} has schema {version}, made by a newer Sampan; this one knows {SCHEMA_VERSION}. Run the newer "
            "version, let it go back (`sampan migrate --to`), or restore a backup from before the upgrade."
        )


def bring(connection: Connection, to: int, name: str) -> None:
    """Brings the tables to the schema `to`, within the transaction. Raises `ConfigError`."""
    version = found(connection)  # somebody else may have done it while we waited for our turn
    check(version, name)
    if version == to:
        return
    if version == 0 and to == SCHEMA_VERSION:
        METADATA.create_all(connection)
        connection.execute(SETTINGS.insert().values(name=NAME, value=str(to)))
        return
    # Its library takes a fifth of a second to import, which is for those to pay who need it.
    import_module("sampan.storage.migrating").migrate(connection, version, to)
