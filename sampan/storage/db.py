"""The database: an SQLite file in the data folder or a PostgreSQL server, and the ways in: `read`, `write`, `watch`."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Table, event, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from sampan.config.database import SQLITE, read_database
from sampan.errors import ConfigError
from sampan.storage import schema
from sampan.storage.postgres import Postgres
from sampan.storage.schema import SCHEMA_VERSION
from sampan.storage.sqlite import Sqlite
from sampan.storage.tables import SETTINGS

BUSY_SECONDS = 5.0
"""How long a statement waits for another's write before it fails as locked."""


class Database:
    """The database of this process, opened (and made, if need be). Used from threads, never on the event loop.

    `url` is `[storage] database`: `sqlite` for `<folder>/sampan.db`, or a PostgreSQL URL; the folder is there for both.
    `dialect` is `sqlite` or `postgresql`; `place` says where it is and holds no password. Tables of older programs are
    brought up to date, if they are to be `prepared`. Raises `ConfigError` with the reason and the way out.
    """

    def __init__(
        self, folder: Path, url: str = SQLITE, busy_seconds: float = BUSY_SECONDS, *, prepared: bool = True
    ) -> None:
        self.folder = folder
        make_folder(folder)
        self._kind = _kind(folder, url, busy_seconds)
        self.dialect = self._kind.dialect
        self.place = self._kind.place
        self._soles: list[Sole] = []
        self.engine = self._kind.engine()
        event.listen(self.engine, "begin", _begun)
        try:
            if prepared:
                self._prepare()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the connections of this process; of SQLite's the last one out folds the WAL into the file."""
        for sole in self._soles:
            sole.close()
        self.engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view for the length of the block. Raises `ConfigError` when the database cannot be read."""
        with self._translated(), self._begin(self._kind.reading) as connection:
            yield connection

    @contextmanager
    def write(self, alone: bool = True) -> Iterator[Connection]:
        """One transaction, committed when the block ends well. Raises `ConfigError` when it cannot be written.

        Writers take turns, over all programs that use the database: what a block has read stays true until it commits.
        Not `alone`, it goes beside other writers where the database can do that: for blocks of which every statement is
        right by itself. Rows then may come to be seen in another order than that of their sequence.
        """
        with self._translated(), self._begin(self._kind.writing if alone else self._kind.joining) as connection:
            yield connection

    def setting(self, name: str, make: Callable[[], str]) -> str:
        """The value of `name`; the first to ask makes it, and all get the same even when they ask at once."""
        with self.write() as connection:
            connection.execute(upsert(connection, SETTINGS).values(name=name, value=make()).on_conflict_do_nothing())
            return str(connection.execute(select(SETTINGS.c.value).where(SETTINGS.c.name == name)).scalar_one())

    def watch(self) -> Watch:
        """A cheap way to learn whether anybody else has written."""
        return Watch(self)

    def sole(self, name: str) -> Sole:
        """For what one process alone may do, of all that use the database."""
        self._soles.append(Sole(self, name))
        return self._soles[-1]

    def schema_version(self) -> int:
        """The schema of its tables, and 0 where there are none."""
        with self.read() as connection:
            return schema.found(connection)

    def others(self) -> int:
        """How many connections other programs of ours have to it, where the database knows that; else 0."""
        with self.read() as connection:
            return self._kind.others(connection)

    def migrate(self, to: int) -> None:
        """Brings the tables to another schema, up or down, alone; no other program may be using them.

        Going down forgets what the older schema has no place for. Raises `ConfigError`.
        """
        engine = self._kind.patient_engine() or self.engine
        if engine is not self.engine:
            event.listen(engine, "begin", _begun)
        try:
            with self._translated(), engine.connect() as connection:
                connection = connection.execution_options(sampan_begin=self._kind.writing)
                with connection.begin():
                    schema.bring(connection, to, self._kind.name)
        finally:
            if engine is not self.engine:
                engine.dispose()

    def _prepare(self) -> None:
        with self._translated(), self._kind.opening():
            self._kind.prepare(self.engine)
            found = self.schema_version()
            schema.check(found, self._kind.name)
            if found != SCHEMA_VERSION:
                self.migrate(SCHEMA_VERSION)

    @contextmanager
    def _begin(self, statement: str) -> Iterator[Connection]:
        connection = self._connect(statement)
        with connection, connection.get_transaction() or connection.begin():
            yield connection

    def _connect(self, statement: str) -> Connection:
        """A connection with a transaction begun. A pooled one may have been lost while nobody used it (the server was
        restarted): its first statement finds out, and nothing is lost by beginning again on a new one."""
        for last in (False, True):
            connection = self.engine.connect().execution_options(sampan_begin=statement)
            try:
                connection.begin()
                return connection
            except DBAPIError as error:
                connection.close()
                if last or not error.connection_invalidated:
                    raise
            except BaseException:
                connection.close()
                raise
        raise AssertionError("the second attempt returns or raises")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            # The driver's own words and no more: SQLAlchemy's text would add the statement.
            words = self._kind.words(error.orig or error)
            error.args = (words,)  # whoever logs what led to it shall not see values either
            raise ConfigError(words) from error
        except PoolTimeoutError as error:
            raise ConfigError(self._kind.words(error)) from error


class Watch:
    """Tells whether another connection has committed since the last time it was asked, for the price of one statement.

    It may say so when nothing was committed, never the other way round.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._seen: str | None = None

    def changed(self) -> bool:
        """True the first time, and whenever something was written since. Raises `ConfigError`. One thread at a time."""
        # SQLite compares with what *this* connection saw last, so it needs a connection of its own.
        with self._database._translated():
            if self._connection is None:
                self._connection = self._database.engine.connect().execution_options(sampan_begin="")
            try:
                version = self._database._kind.seen(self._connection)
            except DBAPIError:
                self.close()
                raise
        changed, self._seen = version != self._seen, version
        return changed

    def forget(self) -> None:
        """The next `changed` says True: for whoever could not act on the last answer."""
        self._seen = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Sole:
    """Whether this process is the one: whoever asks first is, until it closes the database or ends."""

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def held(self) -> bool:
        """Takes it where it is free. Raises `ConfigError`, and then nobody knows."""
        kind = self._database._kind
        if isinstance(kind, Sqlite):
            return True  # there is one server on a data folder: the lock in it sees to that
        with self._lock, self._database._translated():
            if self._connection is None:
                self._connection = self._database.engine.connect().execution_options(sampan_begin="")
            try:
                return kind.take(self._connection, self._name)
            except DBAPIError:
                self._connection.close()
                self._connection = None
                raise

    def close(self) -> None:
        """Gives it back."""
        with self._lock:
            if self._connection is not None:
                self._connection.invalidate()  # it goes with the session, which the pool would keep
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


def is_there(folder: Path, url: str) -> bool:
    """Whether there is a database to open, for those who would not make one; of a server, that is always."""
    return url != SQLITE or (folder / "sampan.db").is_file()


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


def _kind(folder: Path, url: str, busy_seconds: float) -> Sqlite | Postgres:
    try:
        server = read_database(url)
    except ValueError as error:
        raise ConfigError(f"[storage] database {error}") from None
    if server is not None:
        return Postgres(server, busy_seconds)
    path = folder / "sampan.db"
    make_file(path)
    return Sqlite(path, busy_seconds)


def _begun(connection: Connection) -> None:
    statement = connection.get_execution_options().get("sampan_begin", "BEGIN")
    if statement:
        connection.exec_driver_sql(statement)
