"""API keys: made here, shown once, kept only as a hash."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Row, bindparam, insert, or_, select, update

from sampan.errors import ConfigError, InvalidRequest, NotFound
from sampan.storage.db import Database, Watch, bump
from sampan.storage.tables import KEYS, SETTINGS

ROLES = ("admin", "member")
SECRET_PREFIX = "sk-sampan-"
MIN_SECRET = 6  # the owner's own choice; the start warns of one below STRONG_SECRET
STRONG_SECRET = 16
_SHOWN = 16
_VERSION = "keys_version"


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What is known of a key; its secret is not. Times are Unix seconds; `expires`, `revoked`, `last_used` may be None.

    `prefix` is the part of the secret that may be shown, for people to tell keys apart. `last_used` is a few seconds
    late: it is written in groups.
    """

    id: str
    prefix: str
    name: str
    role: str
    created: float
    expires: float | None = None
    revoked: float | None = None
    last_used: float | None = None

    def usable(self, now: float) -> bool:
        """Neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def digest(secret: str) -> bytes:
    """What a secret is looked up by.

    A plain SHA-256, no salt and no slow hash: those protect secrets that people make up and that can be guessed. Ours
    hold 256 random bits, which nobody can try out, and a slow hash would cost every call milliseconds. (A preset key is
    as good as its owner made it.)
    """
    # surrogatepass: whatever bytes a header held give some digest, never an error.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


class Keys:
    """The keys in the database. Blocks: from threads only. Every method raises `ConfigError` if the database fails."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def create(
        self, name: str, role: str = "member", expires: float | None = None, secret: str | None = None
    ) -> tuple[KeyInfo, str]:
        """Makes a key and returns it with its secret, which is not kept and cannot be shown again.

        `secret` presets it (SAMPAN_ADMIN_KEY); a preset key that is there already is returned as it is. `expires` is in
        Unix seconds. Raises `InvalidRequest` for a bad name, role or time, `ConfigError` for a bad preset.
        """
        self._check(name, role, expires)
        if secret is not None:
            _check_preset(secret)
        with self._database.write() as connection:
            return self._create(connection, name, role, expires, secret)

    def list(self) -> tuple[KeyInfo, ...]:
        """All keys, revoked ones too, the oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(KEYS).order_by(KEYS.c.created, KEYS.c.id)).all()
        return tuple(_info(row) for row in rows)

    def revoke(self, id_or_prefix: str) -> KeyInfo:
        """Revokes the one key whose id or shown prefix begins so. A second time changes nothing.

        Raises `NotFound` when there is none, `InvalidRequest` when there are several.
        """
        text = id_or_prefix.strip()
        with self._database.write() as connection:
            infos = [_info(row) for row in connection.execute(select(KEYS)).all()]
            info = _single(infos, text)
            if info.revoked is not None:
                return info
            revoked = self._clock()
            connection.execute(update(KEYS).where(KEYS.c.id == info.id).values(revoked=revoked))
            bump(connection, _VERSION)
        return replace(info, revoked=revoked)

    def ensure_admin(self, preset: str | None = None) -> str | None:
        """Sees to it that somebody can come in: returns the secret of the admin key it made, to be printed once.

        None when a usable admin key is there, or when `preset` (SAMPAN_ADMIN_KEY) is the key. Of two that start at once
        one makes it. Raises `ConfigError` when the preset is too weak, revoked, expired or no admin's.
        """
        if preset is not None:
            info, _ = self.create("admin", "admin", None, preset)
            if info.role != "admin" or not info.usable(self._clock()):
                state = "belongs to a key that is no admin's" if info.role != "admin" else "was revoked or has expired"
                raise ConfigError(f"The key in SAMPAN_ADMIN_KEY {state}. Set another one.")
            return None
        with self._database.write() as connection:
            admins = connection.execute(select(KEYS).where(KEYS.c.role == "admin")).all()
            if any(_info(row).usable(self._clock()) for row in admins):
                return None
            return self._create(connection, "admin", "admin", None, None)[1]

    def snapshot(self) -> tuple[str, dict[bytes, KeyInfo]]:
        """The version of the keys, and those not revoked by the `digest` of their secret."""
        with self._database.read() as connection:
            rows = connection.execute(select(KEYS).where(KEYS.c.revoked.is_(None))).all()
            return _version(connection), {bytes.fromhex(row.digest): _info(row) for row in rows}

    def version(self) -> str:
        """Another text whenever a key was made or revoked. (The record of a call or a `touch` does not change it.)"""
        with self._database.read() as connection:
            return _version(connection)

    def watch(self) -> Watch:
        """A cheap way to learn that `version` may have changed."""
        return self._database.watch()

    def touch(self, used: Mapping[str, float]) -> None:
        """Notes when keys, by their id, were last used."""
        if not used:
            return
        later = or_(KEYS.c.last_used.is_(None), KEYS.c.last_used < bindparam("at"))
        statement = update(KEYS).where(KEYS.c.id == bindparam("key"), later).values(last_used=bindparam("at"))
        with self._database.write() as connection:
            connection.execute(statement, [{"key": key, "at": at} for key, at in used.items()])

    def _check(self, name: str, role: str, expires: float | None) -> None:
        if not name.strip() or len(name) > 100 or not name.isprintable():
            raise InvalidRequest("A key's name has 1 to 100 printable characters.", param="name")
        if role not in ROLES:
            raise InvalidRequest(f"A key's role is one of: {', '.join(ROLES)}.", param="role")
        if expires is not None and not expires > self._clock():
            raise InvalidRequest("A key expires in the future, or never.", param="expires")

    def _create(
        self, connection: Connection, name: str, role: str, expires: float | None, preset: str | None
    ) -> tuple[KeyInfo, str]:
        secret = preset or SECRET_PREFIX + secrets.token_urlsafe(32)
        hashed = digest(secret).hex()
        found = connection.execute(select(KEYS).where(KEYS.c.digest == hashed)).one_or_none()
        if found is not None:
            return _info(found), secret
        info = KeyInfo("key_" + secrets.token_hex(8), _shown(secret), name.strip(), role, self._clock(), expires)
        connection.execute(
            insert(KEYS).values(
                id=info.id,
                digest=hashed,
                prefix=info.prefix,
                name=info.name,
                role=role,
                created=info.created,
                expires=expires,
            )
        )
        bump(connection, _VERSION)
        return info, secret


def _check_preset(secret: str) -> None:
    if len(secret) < MIN_SECRET:
        raise ConfigError(f"A preset key has at least {MIN_SECRET} characters. Try: openssl rand -hex 32")
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ConfigError("A preset key has printable ASCII characters and no spaces, or no header could carry it.")


def _shown(secret: str) -> str:
    """16 characters of ours, and never more than a third of a preset one."""
    return secret[: min(_SHOWN, len(secret) // 3)]


def _single(infos: list[KeyInfo], text: str) -> KeyInfo:
    exact = [info for info in infos if text == info.id]
    found = exact or [info for info in infos if text and (info.id.startswith(text) or info.prefix.startswith(text))]
    if not found:
        raise NotFound("No key has this id or prefix. `sampan key list` shows them.")
    if len(found) > 1:
        ids = ", ".join(info.id for info in found[:5]) + (", …" if len(found) > 5 else "")
        raise InvalidRequest(f"{len(found)} keys begin so: {ids}. Give the whole id.")
    return found[0]


def _version(connection: Connection) -> str:
    return str(connection.execute(select(SETTINGS.c.value).where(SETTINGS.c.name == _VERSION)).scalar() or "")


def _info(row: Row[tuple[object, ...]]) -> KeyInfo:
    return KeyInfo(row.id, row.prefix, row.name, row.role, row.created, row.expires, row.revoked, row.last_used)
