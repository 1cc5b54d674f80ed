"""Which release of an engine's model is in force, and what is being done about it: `promote`, `rollback`.

The verbs ask here and the server does it, so that a promotion needs no way into the server but the data folder that
both have. What was promoted stays in force until the configuration itself names another revision.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Update, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from sampan.errors import ConfigError
from sampan.storage.db import Database
from sampan.storage.tables import PINS, PROMOTIONS

PID = "sampan.pid"  # in the data folder, for as long as a server runs on it


class Kind(StrEnum):
    """What is asked for."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"


class Stage(StrEnum):
    """How far it is. The last three are ends."""

    ASKED = "asked"
    STARTING = "starting"
    PROBING = "probing"
    SHARING = "sharing"
    FINISHED = "finished"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


ENDS = frozenset({Stage.FINISHED, Stage.ROLLED_BACK, Stage.FAILED})


@dataclass(frozen=True, slots=True)
class Promotion:
    """One row: `share` is 0 to 1, times are in Unix seconds.

    `revision` is what to promote; of a rollback the release whose promotion it is to stop, or nothing.
    """

    id: int
    engine: str
    revision: str
    kind: Kind
    stage: Stage
    share: float
    detail: str
    asked: float
    ended: float | None


@dataclass(frozen=True, slots=True)
class Pin:
    """What is in force for an engine, and what was before it (empty: nothing ran).

    `configured` is the revision that the configuration named then: where it names another by now, it has the last word.
    """

    engine: str
    revision: str
    previous: str
    configured: str


class Releases:
    """The two tables. Blocks: for threads. Raises `ConfigError` where the database cannot be used."""

    def __init__(self, database: Database, wall: Callable[[], float]) -> None:
        self._database = database
        self._wall = wall
        self.watch = database.watch

    def ask(self, engine: str, kind: Kind, revision: str = "") -> int:
        """Asks for a promotion, or a rollback, and returns its id. Raises `ConfigError` while a promotion goes on.

        A rollback stops a promotion that goes on; what was in force before that stays so.
        """
        with self._database.write() as connection:
            running = select(PROMOTIONS).where(PROMOTIONS.c.engine == engine, PROMOTIONS.c.ended.is_(None))
            for row in connection.execute(running):
                if kind is Kind.PROMOTE or row.kind == Kind.ROLLBACK:
                    stop = "" if row.kind == Kind.ROLLBACK else f", or stop it: `sampan models rollback {engine}`"
                    raise ConfigError(f"a {row.kind} of {engine} goes on ({row.stage}): wait for its end{stop}")
                revision = row.revision
            values = {"engine": engine, "revision": revision, "kind": kind, "stage": Stage.ASKED}
            fresh = {"share": 0.0, "detail": "", "asked": self._wall()}
            statement = insert(PROMOTIONS).values(**values, **fresh).returning(PROMOTIONS.c.id)
            return int(connection.execute(statement).scalar_one())

    def note(self, identifier: int, stage: Stage, detail: str = "", share: float = 0.0) -> None:
        """How far it is; an end is for ever."""
        ended = self._wall() if stage in ENDS else None
        values = {"stage": stage, "detail": detail, "share": share, "ended": ended}
        with self._database.write() as connection:
            connection.execute(_still_open(identifier).values(**values))

    def get(self, identifier: int) -> Promotion:
        """One of them. Raises `ConfigError` where there is none."""
        with self._database.read() as connection:
            row = connection.execute(select(PROMOTIONS).where(PROMOTIONS.c.id == identifier)).one_or_none()
        if row is None:
            raise ConfigError(f"there is no promotion {identifier}")
        return _promotion(row)

    def open(self) -> Sequence[Promotion]:
        """Those that have not ended, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(PROMOTIONS).where(PROMOTIONS.c.ended.is_(None)).order_by(PROMOTIONS.c.id))
            return [_promotion(row) for row in rows]

    def history(self, engine: str, limit: int = 20) -> Sequence[Promotion]:
        """The last ones of an engine, newest first."""
        statement = select(PROMOTIONS).where(PROMOTIONS.c.engine == engine).order_by(PROMOTIONS.c.id.desc())
        with self._database.read() as connection:
            return [_promotion(row) for row in connection.execute(statement.limit(limit))]

    def pin(self, pin: Pin) -> None:
        """Says what the next start loads, where no server runs."""
        with self._database.write() as connection:
            self._pin(connection, pin)

    def enforce(self, identifier: int, pin: Pin, detail: str) -> None:
        """Puts a release in force and ends its promotion, both or neither: a dead server must not leave half of it."""
        ended = {"stage": Stage.FINISHED, "detail": detail, "share": 1.0, "ended": self._wall()}
        with self._database.write() as connection:
            self._pin(connection, pin)
            connection.execute(_still_open(identifier).values(**ended))

    def _pin(self, connection: Connection, pin: Pin) -> None:
        values = {"revision": pin.revision, "previous": pin.previous, "configured": pin.configured}
        statement = upsert(PINS).values(engine=pin.engine, since=self._wall(), **values)
        fresh = {**values, "since": statement.excluded.since}
        connection.execute(statement.on_conflict_do_update(index_elements=["engine"], set_=fresh))

    def pinned(self, engine: str, configured: str) -> Pin | None:
        """What was promoted, unless the configuration has named another revision since."""
        with self._database.read() as connection:
            row = connection.execute(select(PINS).where(PINS.c.engine == engine)).one_or_none()
        if row is None or row.configured != configured:
            return None
        return Pin(row.engine, row.revision, row.previous, row.configured)


def server_pid(data: Path) -> int | None:
    """The process of the server that runs on a data folder, or None where none does."""
    try:
        pid = int((data / PID).read_text())
        if pid > 0:
            os.kill(pid, 0)
    except PermissionError:  # it is another user's, and it is there
        return pid
    except (OSError, ValueError):
        return None
    return pid if pid > 0 else None


def _still_open(identifier: int) -> Update:
    return update(PROMOTIONS).where(PROMOTIONS.c.id == identifier, PROMOTIONS.c.ended.is_(None))


def _promotion(row: Row[Any]) -> Promotion:
    kind, stage = Kind(row.kind), Stage(row.stage)
    return Promotion(row.id, row.engine, row.revision, kind, stage, row.share, row.detail, row.asked, row.ended)
