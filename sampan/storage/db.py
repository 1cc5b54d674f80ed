"""The database: one SQLite file in the data folder, its tables, and the ways in: `read`, `write` and `watch`."""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import (
    URL,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

from sampan.core import Record
from sampan.errors import ConfigError

SCHEMA_VERSION = 3
"""Raised by one whenever a table changes; an older program refuses a newer database instead of guessing."""

BUSY_SECONDS = 5.0
"""How long a statement waits for another process's write before it fails as locked."""

METADATA = MetaData()

SETTINGS = Table(
    "settings",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

KEYS = Table(
    "keys",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("prefix", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("revoked", Float),
    Column("last_used", Float),
)

ARTIFACTS = Table(
    "artifacts",
    METADATA,
    Column("sequence", Integer, primary_key=True),
    Column("sha256", Text, nullable=False, index=True),
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("owner_key_id", Text, nullable=False),
    Column("created", Float, nullable=False, index=True),
    Column("provenance", Text, nullable=False),
)

_COLUMN_TYPES: dict[object, type[TypeEngine[Any]]] = {str: Text, int: BigInteger, float: Float, bool: Boolean}

# The columns are the fields of `Record`, in its order: a field cannot be kept in the spool and forgotten in the table.
# `sequence` is the order of arrival, which times cannot give (a record's `started` lies before its end).
RECORDS = Table(
    "records",
    METADATA,
    Column("sequence", Integer, primary_key=True),
    *(
        Column(field.name, _COLUMN_TYPES[field.type], nullable=False, unique=field.name == "id")
        for field in msgspec.structs.fields(Record)
    ),
    Index("records_started", "started"),
)


# Files and batches (schema 2). `sequence` is the order of arrival, which pages are cut by.
FILES = Table(
    "files",
    METADATA,
    Column("sequence", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("owner_key_id", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("purpose", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("downloadable", Boolean, nullable=False),
    Index("files_owner", "owner_key_id", "sequence"),
    sqlite_autoincrement=True,
)

# The four counts are those of an ended batch: until then the wire wants zeros, and nobody has to keep them.
BATCHES = Table(
    "batches",
    METADATA,
    Column("sequence", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("owner_key_id", Text, nullable=False),
    Column("headers", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float, nullable=False),
    Column("cancel_initiated", Float),
    Column("ended", Float),
    Column("archived", Float),
    Column("total", Integer, nullable=False),
    Column("succeeded", Integer, nullable=False, default=0),
    Column("errored", Integer, nullable=False, default=0),
    Column("canceled", Integer, nullable=False, default=0),
    Column("expired", Integer, nullable=False, default=0),
    Index("batches_owner", "owner_key_id", "sequence"),
    sqlite_autoincrement=True,
)

BATCH_REQUESTS = Table(
    "batch_requests",
    METADATA,
    Column("batch_sequence", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("custom_id", Text, nullable=False),
    Column("params", LargeBinary, nullable=False),
    Column("outcome", Text),
    Column("result", LargeBinary),
)
Index(
    "batch_requests_pending",
    BATCH_REQUESTS.c.batch_sequence,
    BATCH_REQUESTS.c.position,
    sqlite_where=BATCH_REQUESTS.c.outcome.is_(None),
)


# The answers of the Responses wire: see `storage.responses`.
RESPONSES = Table(
    "responses",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("owner_key_id", Text, nullable=False),
    Column("created", Float, nullable=False, index=True),
    Column("previous", Text),
    Column("response", LargeBinary, nullable=False),
)

# `side` is 0 for the input and 1 for the output; an item's own id may come back in many inputs and is no key.
RESPONSE_ITEMS = Table(
    "response_items",
    METADATA,
    Column("sequence", Integer, primary_key=True),
    Column("response_id", Text, nullable=False),
    Column("side", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("id", Text, nullable=False, index=True),
    Column("item", LargeBinary, nullable=False),
    Index("response_items_place", "response_id", "side", "position"),
)

# Releases of models (schema 3): see `storage.releases`. `configured` is the revision that the configuration named then.
PINS = Table(
    "pins",
    METADATA,
    Column("engine", Text, primary_key=True),
    Column("revision", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("configured", Text, nullable=False),
    Column("since", Float, nullable=False),
)

PROMOTIONS = Table(
    "promotions",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("engine", Text, nullable=False, index=True),
    Column("revision", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("share", Float, nullable=False),
    Column("detail", Text, nullable=False),
    Column("asked", Float, nullable=False),
    Column("ended", Float),
    sqlite_autoincrement=True,
)


class Database:
    """`<folder>/sampan.db`, opened (and made, if need be) for this process. Used from threads, never on the event loop.

    Journal mode WAL, synchronous NORMAL: a commit costs no fsync and survives the death of the process; a power cut may
    take the last commits but never the file. Raises `ConfigError` with the reason and the way out.
    """

    def __init__(self, folder: Path, busy_seconds: float = BUSY_SECONDS) -> None:
        self.folder = folder
        self.path = folder / "sampan.db"
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
            connection.execute(insert(SETTINGS).values(name=name, value=make()).on_conflict_do_nothing())
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
                if "receipt" not in {column["name"] for column in inspect(connection).get_columns("records")}:
                    connection.exec_driver_sql("ALTER TABLE records ADD COLUMN receipt TEXT NOT NULL DEFAULT ''")
                statement = insert(SETTINGS).values(name="schema_version", value=str(SCHEMA_VERSION))
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


def bump(connection: Connection, name: str) -> None:
    """Gives the setting `name` a value it never had, within the transaction: see `Keys.version`."""
    value = secrets.token_hex(8)
    statement = insert(SETTINGS).values(name=name, value=value)
    connection.execute(statement.on_conflict_do_nothing())
    connection.execute(update(SETTINGS).where(SETTINGS.c.name == name).values(value=value))


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
