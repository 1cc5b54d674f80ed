"""API keys: made here, shown once, kept only as a hash."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, or_, select, update

from sampan.errors import ConfigError, InvalidRequest, NotFound
from sampan.storage.db import Database, Watch, bump
from sampan.storage.people import (
    PEOPLE_VERSION,
    Department,
    User,
    find_department,
    find_user,
    read_departments,
    read_users,
)
from sampan.storage.tables import KEYS, SETTINGS

ROLES = ("admin", "operator", "auditor", "member")
"""The roles that are always there."""

SERVICE = "service"
MAX_NETWORKS = 100
MAX_OVERLAP = 30 * 86_400.0
SECRET_PREFIX = "sk-sampan-"
MIN_SECRET = 6  # the owner's own choice; the start warns of one below STRONG_SECRET
STRONG_SECRET = 16
_SHOWN = 16


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What is known of a key; its secret is not. Times are Unix seconds; `expires`, `revoked`, `last_used` may be None.

    `prefix` is the part of the secret that may be shown, for people to tell keys apart. `last_used` is a few seconds
    late: it is written in groups. `kind` is `key`, or `service` for one that a program holds. `department` is the
    user's, where it has a `user`; `role` empty means the user's. `networks` are where it may be used from (CIDR, none:
    anywhere). The secret before the last rotation is good until `overlap`.
    """

    id: str
    prefix: str
    name: str
    role: str
    created: float
    expires: float | None = None
    revoked: float | None = None
    last_used: float | None = None
    kind: str = "key"
    department: str = ""
    user: str = ""
    networks: tuple[str, ...] = ()
    confined: bool = False
    rotated: float | None = None
    overlap: float | None = None

    def usable(self, now: float) -> bool:
        """Neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or now < self.expires)


@dataclass(frozen=True, slots=True)
class Belonging:
    """Whose a key is: a user's, a department's, or nobody's; and what it is held to."""

    department: str = ""
    user: str = ""
    service: bool = False
    networks: Sequence[str] = ()
    confined: bool = False


@dataclass(frozen=True, slots=True)
class Roster:
    """Everything that says who a key is, as it was at one moment. `keys` are those not revoked, by the `digest` of
    their secret; `previous` likewise by the digest before the last rotation."""

    version: str
    keys: Mapping[bytes, KeyInfo]
    previous: Mapping[bytes, KeyInfo] = field(default_factory=dict)
    departments: Mapping[str, Department] = field(default_factory=dict)
    users: Mapping[str, User] = field(default_factory=dict)


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
        self,
        name: str,
        role: str = "member",
        expires: float | None = None,
        secret: str | None = None,
        belonging: Belonging = Belonging(),
        roles: Collection[str] = ROLES,
    ) -> tuple[KeyInfo, str]:
        """Makes a key and returns it with its secret, which is not kept and cannot be shown again.

        `secret` presets it (SAMPAN_ADMIN_KEY); a preset key that is there already is returned as it is. `expires` is in
        Unix seconds. `role` is one of `roles`, or empty for a user's own. Raises `InvalidRequest` that names what is
        wrong, `ConfigError` for a bad preset.
        """
        info = KeyInfo(
            id="",
            prefix="",
            name=name.strip(),
            role=role,
            created=0.0,
            expires=expires,
            kind=SERVICE if belonging.service else "key",
            department=belonging.department,
            user=belonging.user,
            networks=tuple(belonging.networks),
            confined=belonging.confined,
        )
        info = self._check(info, roles)
        if expires is not None and not expires > self._clock():
            raise InvalidRequest("A key expires in the future, or never.", param="expires")
        if secret is not None:
            _check_preset(secret)
        with self._database.write() as connection:
            return self._create(connection, info, secret)

    def list(self) -> tuple[KeyInfo, ...]:
        """All keys, revoked ones too, the oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(KEYS).order_by(KEYS.c.created, KEYS.c.id)).all()
            users = read_users(connection)
        return tuple(_info(row, users) for row in rows)

    def find(self, id_or_prefix: str) -> KeyInfo:
        """The one key whose id or shown prefix begins so. Raises `NotFound`, or `InvalidRequest` for several."""
        with self._database.read() as connection:
            return _find(connection, id_or_prefix)

    def change(self, id_or_prefix: str, roles: Collection[str] = ROLES, **changes: Any) -> KeyInfo:
        """Changes `name`, `role`, `networks`, `confined` or `expires`; it is in force as soon as a new key would be.

        Raises `NotFound`, or `InvalidRequest` that names what is wrong.
        """
        with self._database.write() as connection:
            before = _find(connection, id_or_prefix)
            info = replace(before, **changes)
            # A role that was taken away may stay: only what is new has to be known.
            info = self._check(info, roles if info.role != before.role else (*roles, info.role))
            values = {name: getattr(info, name) for name in changes}
            if "networks" in values:
                values["networks"] = " ".join(info.networks)
            if values:
                connection.execute(update(KEYS).where(KEYS.c.id == info.id).values(**values))
                bump(connection, PEOPLE_VERSION)
        return info

    def rotate(self, id_or_prefix: str, overlap: float = 0.0) -> tuple[KeyInfo, str]:
        """Gives a key another secret under the same id, and returns it; the old one is good for `overlap` seconds more.

        Of two rotations only the last old secret is good. Raises `NotFound`, or `InvalidRequest` for a key that is
        revoked, expired or preset.
        """
        if not 0 <= overlap <= MAX_OVERLAP:
            raise InvalidRequest(f"An overlap has 0 to {MAX_OVERLAP:,.0f} seconds.", param="overlap")
        now = self._clock()
        secret = SECRET_PREFIX + secrets.token_urlsafe(32)
        with self._database.write() as connection:
            info = _find(connection, id_or_prefix)
            if not info.usable(now):
                raise InvalidRequest("A key that was revoked or has expired cannot be rotated. Make another.")
            if not info.prefix.startswith(SECRET_PREFIX):
                raise InvalidRequest("A preset key (SAMPAN_ADMIN_KEY) is changed where it is set. Make another.")
            info = replace(info, prefix=_shown(secret), rotated=now, overlap=now + overlap if overlap else None)
            values = {"previous": KEYS.c.digest if overlap else "", "overlap": info.overlap, "rotated": now}
            hashed = digest(secret).hex()
            connection.execute(
                update(KEYS).where(KEYS.c.id == info.id).values(digest=hashed, prefix=info.prefix, **values)
            )
            bump(connection, PEOPLE_VERSION)
        return info, secret

    def revoke(self, id_or_prefix: str) -> KeyInfo:
        """Revokes the one key whose id or shown prefix begins so. A second time changes nothing.

        Raises `NotFound` when there is none, `InvalidRequest` when there are several.
        """
        with self._database.write() as connection:
            info = _find(connection, id_or_prefix)
            if info.revoked is not None:
                return info
            revoked = self._clock()
            connection.execute(update(KEYS).where(KEYS.c.id == info.id).values(revoked=revoked))
            bump(connection, PEOPLE_VERSION)
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
            if _has_admin(connection, self._clock()):
                return None
            return self._create(connection, KeyInfo("", "", "admin", "admin", 0.0), None)[1]

    def snapshot(self) -> Roster:
        """The keys that are not revoked, and the people that they belong to."""
        with self._database.read() as connection:
            rows = connection.execute(select(KEYS).where(KEYS.c.revoked.is_(None))).all()
            users = read_users(connection)
            infos = [(row, _info(row, users)) for row in rows]
            return Roster(
                _version(connection),
                {bytes.fromhex(row.digest): info for row, info in infos},
                {bytes.fromhex(row.previous): info for row, info in infos if row.previous},
                read_departments(connection),
                users,
            )

    def version(self) -> str:
        """Another text whenever keys, users or departments changed. (The record of a call or a `touch` is none.)"""
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

    def _check(self, info: KeyInfo, roles: Collection[str]) -> KeyInfo:
        """The key with its networks as they are written. Raises `InvalidRequest`."""
        if not info.name.strip() or len(info.name) > 100 or not info.name.isprintable():
            raise InvalidRequest("A key's name has 1 to 100 printable characters.", param="name")
        if info.role not in roles and not (info.user and not info.role):
            raise InvalidRequest(f"A key's role is one of: {', '.join(roles)}.", param="role")
        return replace(info, networks=_networks(info.networks))

    def _create(self, connection: Connection, info: KeyInfo, preset: str | None) -> tuple[KeyInfo, str]:
        secret = preset or SECRET_PREFIX + secrets.token_urlsafe(32)
        hashed = digest(secret).hex()
        found = connection.execute(select(KEYS).where(or_(KEYS.c.digest == hashed, KEYS.c.previous == hashed))).first()
        if found is not None:
            if found.digest != hashed:
                raise ConfigError("The key in SAMPAN_ADMIN_KEY was rotated since. Set the new one.")
            return _info(found, read_users(connection)), secret
        department = info.department
        if info.user:
            if department:
                raise InvalidRequest("A user's key is in the user's department: leave it out.", param="department")
            info = replace(info, department=find_user(connection, info.user).department)
        elif department:
            find_department(connection, department)
        info = replace(info, id="key_" + secrets.token_hex(8), prefix=_shown(secret), created=self._clock())
        connection.execute(
            insert(KEYS).values(
                id=info.id,
                digest=hashed,
                prefix=info.prefix,
                name=info.name,
                role=info.role,
                created=info.created,
                expires=info.expires,
                kind=info.kind,
                department=department,
                user=info.user,
                networks=" ".join(info.networks),
                confined=info.confined,
            )
        )
        bump(connection, PEOPLE_VERSION)
        return info, secret


def _has_admin(connection: Connection, now: float) -> bool:
    """Whether a key that is somebody's lets an admin in; those of people who were switched off do not count."""
    users, departments = read_users(connection), read_departments(connection)
    for row in connection.execute(select(KEYS).where(KEYS.c.role.in_(("admin", "")))):
        info = _info(row, users)
        user, department = users.get(info.user), departments.get(info.department)
        if not info.usable(now) or (info.department and (department is None or not department.active)):
            continue
        if not info.user or (user is not None and user.active and user.role == "admin"):
            return True
    return False


def _networks(texts: Sequence[str]) -> tuple[str, ...]:
    if len(texts) > MAX_NETWORKS:
        raise InvalidRequest(f"A key has at most {MAX_NETWORKS} networks.", param="networks")
    found = []
    for index, text in enumerate(texts):
        try:
            found.append(str(ipaddress.ip_network(text.strip())))
        except ValueError:
            raise InvalidRequest(
                "A network is an address or a CIDR without bits beyond its mask, such as 10.1.0.0/16.",
                param=f"networks.{index}",
            ) from None
    return tuple(dict.fromkeys(found))


def _check_preset(secret: str) -> None:
    if len(secret) < MIN_SECRET:
        raise ConfigError(f"A preset key has at least {MIN_SECRET} characters. Try: openssl rand -hex 32")
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ConfigError("A preset key has printable ASCII characters and no spaces, or no header could carry it.")


def _shown(secret: str) -> str:
    """16 characters of ours, and never more than a third of a preset one."""
    return secret[: min(_SHOWN, len(secret) // 3)]


def _find(connection: Connection, id_or_prefix: str) -> KeyInfo:
    users = read_users(connection)
    return _single([_info(row, users) for row in connection.execute(select(KEYS))], id_or_prefix.strip())


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
    return str(connection.execute(select(SETTINGS.c.value).where(SETTINGS.c.name == PEOPLE_VERSION)).scalar() or "")


def _info(row: Row[Any], users: Mapping[str, User]) -> KeyInfo:
    user = users.get(row.user)
    return KeyInfo(
        id=row.id,
        prefix=row.prefix,
        name=row.name,
        role=row.role,
        created=row.created,
        expires=row.expires,
        revoked=row.revoked,
        last_used=row.last_used,
        kind=row.kind or "key",
        department=user.department if user else row.department,
        user=row.user,
        networks=tuple(row.networks.split()),
        confined=bool(row.confined),
        rotated=row.rotated,
        overlap=row.overlap,
    )
