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

from sqlalchemy import Connection, Row, Update, func, insert, select, update

from sampan.errors import ConfigError
from sampan.storage.chain import node_of
from sampan.storage.db import Database, upsert
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
    """The two tables. Blocks: for threads. Raises `ConfigError` where the database cannot be used.

    Models and engines are those of one machine, its data folder's: where several share a database, `NODE:` stands
    before the names of its engines there.
    """

    def __init__(self, database: Database, wall: Callable[[], float]) -> None:
        self._database = database
        self._wall = wall
        self._scope = "" if database.dialect == "sqlite" else f"{node_of(database.folder)}:"
        self.watch = database.watch

    def ask(self, engine: str, kind: Kind, revision: str = "") -> int:
        """Asks for a promotion, or a rollback, and returns its id. Raises `ConfigError` while a promotion goes on.

        A rollback stops a promotion that goes on; what was in force before that stays so.
        """
        with self._database.write() as connection:
            mine = PROMOTIONS.c.engine == self._scope + engine
            running = select(PROMOTIONS).where(mine, PROMOTIONS.c.ended.is_(None))
            for row in connection.execute(running):
                if kind is Kind.PROMOTE or row.kind == Kind.ROLLBACK:
                    stop = "" if row.kind == Kind.ROLLBACK else f", or stop it: `sampan models rollback {engine}`"
                    raise ConfigError(f"a {row.kind} of {engine} goes on ({row.stage}): wait for its end{stop}")
                revision = row.revision
            values = {"engine": self._scope + engine, "revision": revision, "kind": kind, "stage": Stage.ASKED}
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
        mine = PROMOTIONS.c.engine.startswith(self._scope)
        query = select(PROMOTIONS).where(PROMOTIONS.c.ended.is_(None), mine).order_by(PROMOTIONS.c.id)
        with self._database.read() as connection:
            return [_promotion(row) for row in connection.execute(query)]

    def history(self, engine: str, limit: int = 20) -> Sequence[Promotion]:
        """The last ones of an engine, newest first."""
        mine = PROMOTIONS.c.engine == self._scope + engine
        statement = select(PROMOTIONS).where(mine).order_by(PROMOTIONS.c.id.desc())
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
        statement = upsert(connection, PINS).values(engine=self._scope + pin.engine, since=self._wall(), **values)
        fresh = {**values, "since": statement.excluded.since}
        connection.execute(statement.on_conflict_do_update(index_elements=["engine"], set_=fresh))

    def pinned(self, engine: str, configured: str) -> Pin | None:
        """What was promoted, unless the configuration has named another revision since."""
        # One without a node came here from a node's own database, when that was moved; its own has the last word.
        either = PINS.c.engine.in_((self._scope + engine, engine))
        with self._database.read() as connection:
            row = connection.execute(select(PINS).where(either).order_by(func.length(PINS.c.engine).desc())).first()
        if row is None or row.configured != configured:
            return None
        return Pin(engine, row.revision, row.previous, row.configured)


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
    engine = row.engine.rpartition(":")[2]
    return Promotion(row.id, engine, row.revision, kind, stage, row.share, row.detail, row.asked, row.ended)
