"""Takes a database from one schema to another, by the steps in `migrations`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, delete, insert

from sampan.storage.schema import NAME
from sampan.storage.tables import SETTINGS

FOLDER = Path(__file__).parent / "migrations"


def revision(schema: int) -> str:
    """How the steps call a schema: `0003` is schema 3, `base` is an empty database."""
    return f"{schema:04d}" if schema else "base"


def describe(above: int, to: int) -> list[str]:
    """What came with each schema above one, up to another."""
    scripts = ScriptDirectory(str(FOLDER))
    return [scripts.get_revision(revision(schema)).doc for schema in range(above + 1, to + 1)]


def migrate(connection: Connection, have: int, want: int) -> None:
    """Goes up or down, all steps within the connection's transaction: all of them or none."""
    scripts = ScriptDirectory(str(FOLDER))
    logging.getLogger("sampan.storage").info("the database goes from schema %d to %d", have, want)

    def steps(here: Any, context: MigrationContext) -> Sequence[Any]:
        way = scripts._upgrade_revs if want > have else scripts._downgrade_revs
        return way(revision(want), here)

    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(connection=connection, transactional_ddl=True)
        context = environment.get_context()
        # Schemas 1 to 3 were made before there were steps: what counts is what the database says of itself.
        context.stamp(scripts, revision(have))
        environment.run_migrations()
    if want:
        connection.execute(delete(SETTINGS).where(SETTINGS.c.name == NAME))
        connection.execute(insert(SETTINGS).values(name=NAME, value=str(want)))
