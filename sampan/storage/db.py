"""The database: one SQLite file in the data folder, its tables, and the ways in: `read`, `write` and `watch`."""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from sampan.errors import ConfigError
from sampan.storage.tables import METADATA, SETTINGS

SCHEMA_VERSION = 3
"""Raised by one whenever a table changes; an older program refuses a newer database instead of guessing."""

BUSY_SECONDS = 5.0
"""How long a statement waits for another process's write before it fails as locked."""


class Database:
    """`<folder>/sampan.db`, opened (and made, if need be) for this process. Used from threads, never on the event loop.

    Journal mode WAL, synchronous NORMAL: a commit costs no fsync and survives the death of the process; a power cut may
    take the last commits but never the file. Raises `ConfigError` with the reason and the way out.
    """

    def __init__(self, folder: Path, busy_seconds: float = BUSY_SECONDS) -> None:
        self.folder = folder
        self.path = folder / "sampan.db"
        self.dialect = "sqlite"
        make_folder(folder)
        make_file(self.path)
        self.engine = _engine(self.path, busy_seconds)
        try:
            with _opening(folder):
                self._prepare()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the connections of this process; the last one out folds the WAL into the file."""
        self.engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view for the length of the block. Raises `ConfigError` when the database cannot be read."""
        with self._translated(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, committed when the block ends well. Raises `ConfigError` when it cannot be written.

        It begins as a writer (BEGIN IMMEDIATE): a transaction that reads first and writes later would fail at once, not
        wait, when somebody else wrote in between.
        """
        with (
            self._translated(),
            self.engine.connect().execution_options(sampan_begin="BEGIN IMMEDIATE") as connection,
            connection.begin(),
        ):
            yield connection

    def setting(self, name: str, make: Callable[[], str]) -> str:
        """The value of `name`; the first to ask makes it, and all get the same even when they ask at once."""
        with self.write() as connection:
            connection.execute(upsert(connection, SETTINGS).values(name=name, value=make()).on_conflict_do_nothing())
            return str(connection.execute(select(SETTINGS.c.value).where(SETTINGS.c.name == name)).scalar_one())

    def watch(self) -> Watch:
        """A cheap way to learn whether anybody else has written."""
        return Watch(self)

    def _prepare(self) -> None:
        with self._translated():
            # Asked for on its own connection before anything else: the mode stays in the file and cannot be changed
            # within a transaction.
            with self.engine.connect().execution_options(sampan_begin="") as connection:
                mode = connection.exec_driver_sql("PRAGMA journal_mode=WAL").scalar_one()
            if mode != "wal":
                raise ConfigError(
                    f"The database {self.path} cannot use a write-ahead log (it is in mode {mode}). "
                    "Put the data folder on a local disk, not on a network share."
                )
            with self.write() as connection:
                found = _schema_version(connection)
                if found > SCHEMA_VERSION:
                    raise ConfigError(
                        f"The database {self.path} has schema {found}, made by a newer Sampan; this one knows "
                        f"{SCHEMA_VERSION}. Run the newer version, or restore a backup from before the upgrade."
                    )
                METADATA.create_all(connection)
                _add_columns(connection)
                statement = upsert(connection, SETTINGS).values(name="schema_version", value=str(SCHEMA_VERSION))
                connection.execute(
                    statement.on_conflict_do_update(index_elements=["name"], set_={"value": str(SCHEMA_VERSION)})
                )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            # The driver's own words and no more: SQLAlchemy's text would add the statement and its values.
            raise ConfigError(
                f"The database {self.path} cannot be used: {error.orig}. Check the free space and the owner of the "
                "data folder, and that no other program holds the database open."
            ) from error


class Watch:
    """Tells whether another connection has committed since the last time it was asked, for the price of one pragma."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._seen: int | None = None

    def changed(self) -> bool:
        """True the first time, and whenever something was written since. Raises `ConfigError`. One thread at a time."""
        # `data_version` compares with what *this* connection saw last, so it needs a connection of its own.
        with self._database._translated():
            if self._connection is None:
                self._connection = self._database.engine.connect().execution_options(sampan_begin="")
            version = int(self._connection.exec_driver_sql("PRAGMA data_version").scalar_one())
        changed, self._seen = version != self._seen, version
        return changed

    def forget(self) -> None:
        """The next `changed` says True: for whoever could not act on the last answer."""
        self._seen = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def upsert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that has `on_conflict_do_update` and `on_conflict_do_nothing`, for the database of the connection."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def bump(connection: Connection, name: str) -> None:
    """Gives the setting `name` a value it never had, within the transaction: see `Keys.version`."""
    value = secrets.token_hex(8)
    statement = upsert(connection, SETTINGS).values(name=name, value=value)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))


def make_folder(folder: Path) -> None:
    """Makes a folder that only its owner may enter, if it is not there. Raises `ConfigError`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"The data folder {folder} cannot be made: {error.strerror}. Choose another with [server] data, "
            "or give this user the right to write there."
        ) from error


def make_file(path: Path) -> None:
    """Makes an empty file that only its owner may read, if it is not there. Raises `ConfigError`.

    SQLite gives the mode of the database file to the files it puts beside it.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}. Choose another data folder with [server] data, "
            "or give this user the right to write there."
        ) from error


@contextmanager
def _opening(folder: Path) -> Iterator[None]:
    """One opener at a time: SQLite does not wait, it fails, when two switch a new file to WAL at once."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _add_columns(connection: Connection) -> None:
    """Adds what tables of older programs lack; what was never told is empty, 0, or NULL where that may be."""
    found = inspect(connection)
    quote = connection.dialect.identifier_preparer.quote
    for table in METADATA.sorted_tables:
        known = {column["name"] for column in found.get_columns(table.name)}
        for column in table.columns:
            if column.name not in known:
                default = "''" if isinstance(column.type, Text) else "0"
                connection.exec_driver_sql(
                    f"ALTER TABLE {quote(table.name)} ADD COLUMN {quote(column.name)} "
                    f"{column.type.compile(connection.dialect)}"
                    + ("" if column.nullable else f" NOT NULL DEFAULT {default}")
                )


def _schema_version(connection: Connection) -> int:
    if not inspect(connection).has_table("settings"):
        return 0
    value = connection.execute(select(SETTINGS.c.value).where(SETTINGS.c.name == "schema_version")).scalar()
    return int(value) if value else 0


def _engine(path: Path, busy_seconds: float) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": busy_seconds})

    def connected(connection: sqlite3.Connection, _: object) -> None:
        # The driver must not open transactions by itself (it does so late, and as a reader): `begun` does.
        connection.isolation_level = None
        connection.execute("PRAGMA synchronous=NORMAL")

    def begun(connection: Connection) -> None:
        statement = connection.get_execution_options().get("sampan_begin", "BEGIN")
        if statement:
            connection.exec_driver_sql(statement)

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
    return engine
