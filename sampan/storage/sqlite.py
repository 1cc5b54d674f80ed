"""SQLite: one file in the data folder, with a write-ahead log."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event

from sampan.errors import ConfigError


class Sqlite:
    """`<folder>/sampan.db`.

    Journal mode WAL, synchronous NORMAL: a commit costs no fsync and survives the death of the process; a power cut may
    take the last commits but never the file.
    """

    dialect = "sqlite"
    reading = "BEGIN"
    # Begun as a writer: a transaction that reads first and writes later would fail at once, not wait, when somebody
    # else wrote in between.
    writing = "BEGIN IMMEDIATE"
    joining = "BEGIN IMMEDIATE"

    def __init__(self, path: Path, busy_seconds: float) -> None:
        self.path = path
        self.place = str(path)
        self.name = f"The database {path}"
        self._busy_seconds = busy_seconds

    def engine(self) -> Engine:
        url = URL.create("sqlite", database=str(self.path))
        engine = create_engine(url, connect_args={"timeout": self._busy_seconds}, hide_parameters=True)

        def connected(connection: sqlite3.Connection, _: object) -> None:
            # The driver must not open transactions by itself (it does so late, and as a reader).
            connection.isolation_level = None
            connection.execute("PRAGMA synchronous=NORMAL")

        event.listen(engine, "connect", connected)
        return engine

    def prepare(self, engine: Engine) -> None:
        """Turns the write-ahead log on. Raises `ConfigError` where there can be none."""
        # Asked for on its own connection before anything else: the mode stays in the file and cannot be changed within
        # a transaction.
        with engine.connect().execution_options(sampan_begin="") as connection:
            mode = connection.exec_driver_sql("PRAGMA journal_mode=WAL").scalar_one()
        if mode != "wal":
            raise ConfigError(
                f"The database {self.path} cannot use a write-ahead log (it is in mode {mode}). "
                "Put the data folder on a local disk, not on a network share."
            )

    @contextmanager
    def opening(self) -> Iterator[None]:
        """One opener at a time: SQLite does not wait, it fails, when two switch a new file to WAL at once."""
        handle = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def patient_engine(self) -> Engine | None:
        """What a migration goes through, however long it takes; None: the same as everybody."""
        return None

    def seen(self, connection: Connection) -> str:
        """Changes whenever another connection than this one has committed."""
        return str(connection.exec_driver_sql("PRAGMA data_version").scalar_one())

    def others(self, connection: Connection) -> int:
        """Nobody can tell; the server's own lock is in the data folder."""
        return 0

    def words(self, error: BaseException) -> str:
        """The reason, in the driver's words, and the way out."""
        return (
            f"{self.name} cannot be used: {error}. Check the free space and the owner of the data folder, and that "
            "no other program holds the database open."
        )
