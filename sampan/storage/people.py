"""Departments and the users in them. Their names are what keys, rules, limits and records refer to."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, insert, select, update

from sampan.errors import InvalidRequest, NotFound
from sampan.storage.db import Database, bump
from sampan.storage.tables import DEPARTMENTS, KEYS, USERS

PEOPLE_VERSION = "keys_version"
"""The setting that changes whenever a department, a user or a key does: what they mean, they mean together."""

MAX_NAME = 100
MAX_TITLE = 200
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,190}")


@dataclass(frozen=True, slots=True)
class Department:
    """`title` is its name in words. `confined`: whatever it asks stays in the house. One that is not `active` asks
    nothing, nor do its users."""

    name: str
    title: str = ""
    confined: bool = False
    active: bool = True
    created: float = 0.0


@dataclass(frozen=True, slots=True)
class User:
    """`department` is empty where the user is in none. `role` is the most that any key of the user's allows."""

    name: str
    department: str = ""
    role: str = "member"
    email: str = ""
    active: bool = True
    created: float = 0.0


class People:
    """The people in the database. Blocks: from threads only. Every method raises `ConfigError` if the database fails,
    and `InvalidRequest` that names the field at fault."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def departments(self) -> tuple[Department, ...]:
        """All departments, by name."""
        with self._database.read() as connection:
            return tuple(sorted(read_departments(connection).values(), key=lambda each: each.name))

    def users(self) -> tuple[User, ...]:
        """All users, by name."""
        with self._database.read() as connection:
            return tuple(sorted(read_users(connection).values(), key=lambda each: each.name))

    def department(self, name: str) -> Department:
        """Raises `NotFound`."""
        with self._database.read() as connection:
            return find_department(connection, name)

    def user(self, name: str) -> User:
        """Raises `NotFound`."""
        with self._database.read() as connection:
            return find_user(connection, name)

    def add_department(self, department: Department) -> Department:
        """Adds a department; when it was made is set here."""
        department = replace(department, created=self._clock())
        _check_department(department)
        with self._database.write() as connection:
            if department.name in read_departments(connection):
                raise InvalidRequest(f"There is a department {department.name!r} already.", param="name")
            connection.execute(insert(DEPARTMENTS).values(**asdict(department)))
            bump(connection, PEOPLE_VERSION)
        return department

    def change_department(self, name: str, **changes: Any) -> Department:
        """Changes `title`, `confined` or `active`; switched off, all keys of the department stop. Raises `NotFound`."""
        with self._database.write() as connection:
            department = replace(find_department(connection, name), **changes)
            _check_department(department)
            connection.execute(update(DEPARTMENTS).where(DEPARTMENTS.c.name == name).values(**asdict(department)))
            bump(connection, PEOPLE_VERSION)
        return department

    def remove_department(self, name: str) -> Department:
        """Removes a department that nobody belongs to: one that is in use is switched off. Raises `NotFound`."""
        with self._database.write() as connection:
            department = find_department(connection, name)
            used = select(USERS.c.name).where(USERS.c.department == name).limit(1)
            held = select(KEYS.c.id).where(KEYS.c.department == name).limit(1)
            if connection.execute(used).first() or connection.execute(held).first():
                raise InvalidRequest(
                    f"The department {name!r} has users or keys, and what it asked is told by its name. Switch it off.",
                    param="name",
                )
            connection.execute(delete(DEPARTMENTS).where(DEPARTMENTS.c.name == name))
            bump(connection, PEOPLE_VERSION)
        return department

    def add_user(self, user: User) -> User:
        """Adds a user; when is set here. That the role exists is for the caller to see to."""
        user = replace(user, created=self._clock())
        with self._database.write() as connection:
            _check_user(connection, user)
            if user.name in read_users(connection):
                raise InvalidRequest(f"There is a user {user.name!r} already.", param="name")
            connection.execute(insert(USERS).values(**asdict(user)))
            bump(connection, PEOPLE_VERSION)
        return user

    def change_user(self, name: str, **changes: Any) -> User:
        """Changes `department`, `role`, `email` or `active`; the user's keys follow at once. Raises `NotFound`."""
        with self._database.write() as connection:
            user = replace(find_user(connection, name), **changes)
            _check_user(connection, user)
            connection.execute(update(USERS).where(USERS.c.name == name).values(**asdict(user)))
            bump(connection, PEOPLE_VERSION)
        return user

    def remove_user(self, name: str) -> User:
        """Removes a user who never had a key: others are switched off. Raises `NotFound`."""
        with self._database.write() as connection:
            user = find_user(connection, name)
            if connection.execute(select(KEYS.c.id).where(KEYS.c.user == name).limit(1)).first():
                raise InvalidRequest(f"The user {name!r} has keys. Switch the user off.", param="name")
            connection.execute(delete(USERS).where(USERS.c.name == name))
            bump(connection, PEOPLE_VERSION)
        return user


def read_departments(connection: Connection) -> dict[str, Department]:
    """All departments by their names."""
    return {row.name: _department(row) for row in connection.execute(select(DEPARTMENTS))}


def read_users(connection: Connection) -> dict[str, User]:
    """All users by their names."""
    return {row.name: _user(row) for row in connection.execute(select(USERS))}


def find_department(connection: Connection, name: str) -> Department:
    """Raises `NotFound`."""
    row = _row(connection, DEPARTMENTS, name)
    if row is None:
        raise NotFound(f"There is no department {name[:MAX_NAME]!r}. `sampan department list` shows them.")
    return _department(row)


def find_user(connection: Connection, name: str) -> User:
    """Raises `NotFound`."""
    row = _row(connection, USERS, name)
    if row is None:
        raise NotFound(f"There is no user {name[:MAX_NAME]!r}. `sampan user list` shows them.")
    return _user(row)


def _row(connection: Connection, table: Table, name: str) -> Row[Any] | None:
    if not name.isprintable():  # a NUL byte, say, which a server of databases takes for a mistake of ours
        return None
    return connection.execute(select(table).where(table.c.name == name)).one_or_none()


def check_name(what: str, name: str) -> None:
    """A name that can stand in a URL's path, a rule and a record. Raises `InvalidRequest`."""
    if not name or name != name.strip() or len(name) > MAX_NAME or not name.isprintable() or "/" in name:
        raise InvalidRequest(
            f"A {what}'s name has 1 to {MAX_NAME} printable characters, no `/`, and no blanks around.", param="name"
        )


def _check_department(department: Department) -> None:
    check_name("department", department.name)
    if len(department.title) > MAX_TITLE or not department.title.isprintable():
        raise InvalidRequest(f"A department's title has at most {MAX_TITLE} printable characters.", param="title")


def _check_user(connection: Connection, user: User) -> None:
    check_name("user", user.name)
    if user.email and (not _EMAIL.fullmatch(user.email) or not user.email.isprintable()):
        raise InvalidRequest("An e-mail address looks like name@host.", param="email")
    if user.department and user.department not in read_departments(connection):
        raise InvalidRequest(
            f"There is no department {user.department[:MAX_NAME]!r}. `sampan department add` makes one.",
            param="department",
        )


def _department(row: Row[Any]) -> Department:
    return Department(row.name, row.title, bool(row.confined), bool(row.active), row.created)


def _user(row: Row[Any]) -> User:
    return User(row.name, row.department, row.role, row.email, bool(row.active), row.created)
