"""Sign-ins of browsers, and those who came with a token. What a browser holds is kept only as a hash, as a key is."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select, update

from sampan.errors import ConfigError
from sampan.storage.db import Database, bump, upsert
from sampan.storage.keys import digest
from sampan.storage.tables import SESSIONS, SETTINGS, SUBJECTS

KEPT = 7 * 86_400.0  # seconds that an ended session stays in the table, for whoever looks into something
REMEMBERED = 400 * 86_400.0  # seconds after which nobody's batch is waiting any more
TOKEN_PREFIX = "jwt_"
MAX_SUBJECTS = 10_000
MAX_OF_ONE = 50  # sign-ins of one key
_VERSION = "sessions_version"


class Subject(msgspec.Struct, frozen=True):
    """Who a token or a provider's sign-in says it is. `department` and `role` are empty where nothing was said;
    `default_role` is for somebody who is not in our list either."""

    issuer: str
    subject: str
    name: str
    department: str = ""
    role: str = ""
    default_role: str = ""

    @property
    def key_id(self) -> str:
        """What its calls, files and limits go by: the same for every token, on every node."""
        return key_id(self.issuer, self.subject)


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in, by a key or by a provider (`subject`). Times are Unix seconds.

    `credential` is the digest of the key's secret: when that is good no more, neither is what was begun with it.
    """

    created: float
    expires: float
    credential: bytes = b""
    subject: Subject | None = None
    revoked: float | None = None


class Sessions:
    """The sessions in the database. Blocks: from threads only. Every method raises `ConfigError` if that fails."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def begin(self, seconds: float, *, credential: bytes = b"", subject: Subject | None = None) -> tuple[Session, str]:
        """Keeps a new session, and returns it with its secret, which is not kept."""
        secret = secrets.token_urlsafe(32)
        now = self._clock()
        session = Session(now, now + seconds, credential, subject)
        with self._database.write() as connection:
            bump(connection, _VERSION)
            connection.execute(delete(SESSIONS).where(SESSIONS.c.expires < now - KEPT))
            if subject is not None:
                _remember(connection, subject, now)
            else:
                _make_room(connection, credential)
            connection.execute(
                insert(SESSIONS).values(
                    id=digest(secret).hex(),
                    credential=credential.hex(),
                    subject=msgspec.json.encode(subject).decode() if subject else "",
                    created=now,
                    expires=session.expires,
                )
            )
        return session, secret

    def revoke(self, secret: str) -> None:
        """Ends a session; one that is not there is over already."""
        with self._database.write() as connection:
            here = (SESSIONS.c.id == digest(secret).hex(), SESSIONS.c.revoked.is_(None))
            if connection.execute(update(SESSIONS).where(*here).values(revoked=self._clock())).rowcount:
                bump(connection, _VERSION)

    def remember(self, subjects: Collection[Subject]) -> None:
        """Keeps who had a token."""
        now = self._clock()
        with self._database.write() as connection:
            bump(connection, _VERSION)
            connection.execute(delete(SUBJECTS).where(SUBJECTS.c.seen < now - REMEMBERED))
            for subject in subjects:
                _remember(connection, subject, now)

    def snapshot(self) -> tuple[str, Mapping[bytes, Session], Mapping[str, Subject]]:
        """The version of all this, the sessions that are neither over nor revoked, by the `digest` of their secret, and
        who had a token lately."""
        open_ones = select(SESSIONS).where(SESSIONS.c.revoked.is_(None), SESSIONS.c.expires > self._clock())
        latest = select(SUBJECTS).order_by(SUBJECTS.c.seen.desc(), SUBJECTS.c.id).limit(MAX_SUBJECTS)
        with self._database.read() as connection:
            sessions = {bytes.fromhex(row.id): _session(row) for row in connection.execute(open_ones)}
            subjects = {row.id: _subject(row.subject) for row in connection.execute(latest)}
            return _version(connection), sessions, subjects

    def version(self) -> str:
        """Another text whenever a session began or was revoked, or a new subject came; empty until the first."""
        with self._database.read() as connection:
            return _version(connection)


def key_id(issuer: str, subject: str) -> str:
    """The key id of whoever an issuer calls so."""
    return TOKEN_PREFIX + hashlib.sha256(f"{issuer}\0{subject}".encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _remember(connection: Connection, subject: Subject, now: float) -> None:
    values = {"subject": msgspec.json.encode(subject).decode(), "seen": now}
    statement = upsert(connection, SUBJECTS).values(id=subject.key_id, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))


def _make_room(connection: Connection, credential: bytes) -> None:
    """Nobody who has a key can fill the table with it: the oldest sign-ins make room."""
    its = SESSIONS.c.credential == credential.hex()
    oldest = select(SESSIONS.c.id).where(its).order_by(SESSIONS.c.created.desc(), SESSIONS.c.id)
    for row in connection.execute(oldest).all()[MAX_OF_ONE - 1 :]:
        connection.execute(delete(SESSIONS).where(SESSIONS.c.id == row.id))


def _version(connection: Connection) -> str:
    return str(connection.execute(select(SETTINGS.c.value).where(SETTINGS.c.name == _VERSION)).scalar() or "")


def _subject(text: str) -> Subject:
    try:
        return msgspec.json.decode(text, type=Subject)
    except msgspec.DecodeError as error:
        raise ConfigError(f"A stored subject is not as it was written: {error}") from None


def _session(row: Row[Any]) -> Session:
    subject = _subject(row.subject) if row.subject else None
    return Session(row.created, row.expires, bytes.fromhex(row.credential), subject, row.revoked)
