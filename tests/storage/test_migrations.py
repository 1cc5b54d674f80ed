"""From every released schema to ours and back, on both databases, with rows in the tables."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.runtime.migration import MigrationContext
from postgres_process import PostgresProcess
from sqlalchemy import (
    URL,
    BigInteger,
    Boolean,
    Connection,
    Engine,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    create_engine,
    inspect,
    select,
)

from sampan.errors import ConfigError
from sampan.storage.db import Database
from sampan.storage.migrating import migrate
from sampan.storage.schema import SCHEMA_VERSION
from sampan.storage.tables import METADATA

RELEASED = Path(__file__).parent / "released"
OLD = range(1, SCHEMA_VERSION)
ROWS = 3
OURS = {"alembic_version", "settings", "sqlite_sequence"}  # what a database says of itself


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Engine]]:
    """A database without tables: its URL in our configuration, and a way in past us."""
    if request.param == "sqlite":
        yield "sqlite", create_engine(URL.create("sqlite", database=str(tmp_path / "sampan.db")))
        return
    server: PostgresProcess = request.getfixturevalue("postgres")
    name = server.make()
    engine = server.engine(name)
    yield server.url(name), engine
    engine.dispose()
    server.drop(name)


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as connection:
        yield connection


def make(engine: Engine, schema: int) -> None:
    """The tables of a released schema: those that its program made, or on PostgreSQL, which none knew, our steps."""
    if engine.dialect.name == "sqlite":
        with closing(sqlite3.connect(str(engine.url.database))) as connection:
            connection.executescript((RELEASED / f"schema_{schema}.sql").read_text())
    else:
        with transaction(engine) as connection:
            migrate(connection, 0, schema)


def fill(engine: Engine) -> None:
    """A few rows for every table, no two values alike where they might be keys."""
    found = reflect(engine)
    with transaction(engine) as connection:
        for table in found.values():
            rows = [{column.name: value(table, column, row) for column in table.columns} for row in range(1, ROWS + 1)]
            connection.execute(table.insert(), rows)


def value(table: Table, column: Any, row: int) -> Any:
    if column.nullable and row == ROWS:
        return None
    for kind, made in ((Boolean, row % 2 == 0), ((Integer, BigInteger), row), (Float, row + 0.5)):
        if isinstance(column.type, kind):
            return made
    if isinstance(column.type, LargeBinary):
        return bytes([0, 255, row])
    return f"{table.name} {column.name} 墨水 {row}"


def reflect(engine: Engine) -> dict[str, Table]:
    metadata = MetaData()
    metadata.reflect(engine)
    return {name: table for name, table in metadata.tables.items() if name not in OURS}


def content(engine: Engine, only: dict[str, Table] | None = None) -> dict[str, list[dict[str, Any]]]:
    """The rows of all tables, or of the tables and columns of `only`, by a column that they all have."""
    tables = only or reflect(engine)
    with engine.connect() as connection:
        return {
            name: sorted(
                (dict(row._mapping) for row in connection.execute(select(*table.columns))),
                key=lambda row: str(sorted(row.items())),
            )
            for name, table in tables.items()
        }


@pytest.mark.parametrize("schema", OLD)
def test_the_steps_make_what_the_released_programs_made(schema: int, tmp_path: Path) -> None:
    def shapes(path: Path) -> dict[str, object]:
        """What was added later stands at the end, and says what it is where it was not told: neither is looked at."""
        with closing(sqlite3.connect(path)) as connection:
            found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
            return {
                name: (
                    "AUTOINCREMENT" in sql,
                    {(row[1], row[2], row[3], row[5]) for row in connection.execute(f"PRAGMA table_info({name})")},
                    {
                        (
                            row[1] if row[3] == "c" else "",
                            *row[2:5],
                            *(place[2] for place in connection.execute(f"PRAGMA index_info({row[1]})")),
                        )
                        for row in connection.execute(f"PRAGMA index_list({name})")
                    },
                )
                for name, sql in found
                if name != "alembic_version"
            }

    with closing(sqlite3.connect(tmp_path / "released.db")) as connection:
        connection.executescript((RELEASED / f"schema_{schema}.sql").read_text())
    engine = create_engine(URL.create("sqlite", database=str(tmp_path / "steps.db")))
    with transaction(engine) as connection:
        migrate(connection, 0, schema)
    engine.dispose()
    assert shapes(tmp_path / "steps.db") == shapes(tmp_path / "released.db")


@pytest.mark.parametrize("schema", OLD)
def test_a_released_schema_is_brought_up_to_date_and_back_without_loss(
    schema: int, empty: tuple[str, Engine], tmp_path: Path
) -> None:
    url, engine = empty
    make(engine, schema)
    fill(engine)
    tables, before = reflect(engine), content(engine)
    assert all(len(rows) == ROWS for rows in before.values())
    with closing(Database(tmp_path, url)) as database:
        assert database.schema_version() == SCHEMA_VERSION
        assert content(engine, tables) == before
        for down in range(SCHEMA_VERSION - 1, schema - 1, -1):
            database.migrate(down)
            assert database.schema_version() == down
    assert set(reflect(engine)) == set(tables)
    assert content(engine) == before
    # An older program wrote on, and the newer one came back.
    with closing(Database(tmp_path, url)) as database:
        assert database.schema_version() == SCHEMA_VERSION
        assert content(engine, tables) == before


def test_the_steps_lead_to_the_tables_that_the_program_uses(empty: tuple[str, Engine]) -> None:
    """Where this fails, it prints what the newest step in `storage/migrations` lacks."""
    _, engine = empty
    with transaction(engine) as connection:
        migrate(connection, 0, SCHEMA_VERSION)
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        lacking = render_python_code(produce_migrations(context, METADATA).upgrade_ops)
        assert not compare_metadata(context, METADATA), lacking
        found = inspect(connection)
        keys = {name: set(found.get_pk_constraint(name)["constrained_columns"]) for name in METADATA.tables}
        assert keys == {name: {column.name for column in table.primary_key} for name, table in METADATA.tables.items()}


def test_going_down_and_up_again_leaves_the_same_tables(empty: tuple[str, Engine], tmp_path: Path) -> None:
    url, engine = empty
    with closing(Database(tmp_path, url)) as database:
        fill(engine)
        before = content(engine)
        database.migrate(SCHEMA_VERSION - 1)
        database.migrate(SCHEMA_VERSION)
        after = content(engine)
    assert set(after) == set(before)
    assert len(after["records"]) == len(before["records"])


def test_a_newer_schema_is_refused_and_left_alone(empty: tuple[str, Engine], tmp_path: Path) -> None:
    url, engine = empty
    Database(tmp_path, url).close()
    with transaction(engine) as connection:
        connection.exec_driver_sql("UPDATE settings SET value = '99' WHERE name = 'schema_version'")
        connection.exec_driver_sql("DROP TABLE keys")
    with pytest.raises(ConfigError, match=r"schema 99, made by a newer Sampan.*sampan migrate"):
        Database(tmp_path, url)
    assert "keys" not in reflect(engine)


def test_a_step_that_fails_leaves_the_database_as_it_was(empty: tuple[str, Engine], tmp_path: Path) -> None:
    url, engine = empty
    make(engine, 1)
    fill(engine)
    with transaction(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE promotions (other TEXT)")  # in the way of schema 3
    before = content(engine)
    with pytest.raises(ConfigError, match="promotions"):
        Database(tmp_path, url)
    assert content(engine) == before
    assert "files" not in before
    with engine.connect() as connection:
        version = connection.exec_driver_sql("SELECT value FROM settings WHERE name = 'schema_version'").scalar()
    assert version == "1"


def test_many_that_start_at_once_migrate_once(empty: tuple[str, Engine], tmp_path: Path) -> None:
    url, engine = empty
    make(engine, 1)
    fill(engine)
    before, tables = content(engine), reflect(engine)
    barrier, errors = threading.Barrier(4), list[BaseException]()

    def start() -> None:
        barrier.wait()
        try:
            Database(tmp_path, url).close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert content(engine, tables) == before
