"""Who there is: callers made from names as the gateway would know them, and names that nobody here has."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from sampan.config.policy import RuleSettings
from sampan.config.quota import LimitSettings
from sampan.core import Actor, Permission
from sampan.errors import InvalidRequest
from sampan.governance.roles import union
from sampan.governance.standing import Facts, actor_of, hold
from sampan.storage.db import Database
from sampan.storage.keys import KeyInfo, Keys
from sampan.storage.people import MAX_NAME
from sampan.storage.sessions import TOKEN_PREFIX, Subject
from sampan.storage.statutes import Statutes

NOBODY = "(somebody)"
_TOKEN = " (a token may still bring it)"

Named = Mapping[str, Iterable[str]]
"""Names and patterns, by `department`, `role`, `user` and `key`; other words are passed over."""


class Caller(msgspec.Struct, frozen=True):
    """Who would ask. `refusal` is why such a caller is let ask nothing, empty where it is; `notes` are for people."""

    actor: Actor
    refusal: str = ""
    notes: tuple[str, ...] = ()


class Directory:
    """Asked rarely, by people. `find` knows keys by the beginning of their id; it may block. `clock`: Unix seconds."""

    def __init__(
        self, find: Callable[[str], KeyInfo], facts: Callable[[], Facts], clock: Callable[[], float] = time.time
    ) -> None:
        self._find = find
        self._facts = facts
        self._clock = clock

    def by_key(self, key: str) -> Caller:
        """Whoever has this key. Raises `NotFound`, and `InvalidRequest` for one that is good no more."""
        info = self._find(key)
        if not info.usable(self._clock()):
            state = "was revoked" if info.revoked is not None else "has expired"
            raise InvalidRequest(f"key: {info.id} of {info.name!r} {state}", param="key")
        facts = self._facts()
        held = hold(info, _awake(facts))
        if held is None:
            raise InvalidRequest(f"key: the user or department of {info.id} is not here", param="key")
        return Caller(held.actor, _refusal(held.actor, facts))

    def by_name(self, department: str, role: str, user: str) -> Caller:
        """Whoever has a key or a token that says so; what is empty is the user's own. Raises `InvalidRequest`."""
        facts = self._facts()
        known = facts.roster.users.get(user)
        if user and known is None:
            raise InvalidRequest(f"user: {_missing('user', user)}. `sampan user list` shows them", param="user")
        if role and role not in facts.roles:
            raise InvalidRequest(f"role: {_missing('role', role)}; there are: {', '.join(facts.roles)}", param="role")
        found = actor_of(Subject("", "", user, department, role, "member"), _awake(facts))
        assert found is not None  # nobody is switched off among those awake
        actor = replace(found, key_id=NOBODY, name=NOBODY)
        notes = [_missing("department", actor.department) + _TOKEN] if _is_strange(actor.department, facts) else []
        if known is not None and actor.department != known.department:
            own = f"in the department {known.department!r}" if known.department else "in no department"
            notes.append(f"{user} is {own} here: only a token could bring {actor.department!r}")
        if known is not None and not actor.permissions <= facts.roles.get(known.role, frozenset()):
            notes.append(f"{user} has the role {known.role!r} here: only a token could bring {actor.role!r}")
        return Caller(actor, _refusal(actor, facts), tuple(notes))

    def strangers(self, named: Named) -> tuple[str, ...]:
        """A sentence to each name that nobody here has. Patterns are for those who come later, and none of these."""
        facts = self._facts()
        notes: dict[str, None] = {}
        for what, names in named.items():
            plain = [name.removeprefix("!") for name in names]
            plain = [name for name in plain if name and "*" not in name and "?" not in name]
            if not plain or what not in ("department", "role", "user", "key"):
                continue
            known = self._known(what, facts)
            told = "" if what == "role" else _TOKEN  # a role that there is not allows a token nothing
            for name in plain:
                if name not in known and not (what == "key" and name.startswith(TOKEN_PREFIX)):
                    notes[_missing(what, name) + told] = None
        return tuple(notes)

    def _known(self, what: str, facts: Facts) -> Collection[str]:
        roster = facts.roster
        if what == "department":
            return roster.departments
        if what == "role":
            return facts.roles
        if what == "user":
            return roster.users
        # Of a token the name is its user's.
        good = [info for info in roster.keys.values() if info.usable(self._clock())]
        return {*(info.id for info in good), *(info.name for info in good), *roster.users}


def directory_of(
    database: Database, roles: Mapping[str, Collection[Permission]], clock: Callable[[], float] = time.time
) -> Directory:
    """The directory of a database beside which no gateway need run; `roles` are the configuration's. Blocks."""
    keys = Keys(database)
    stored = ((each.id, each.body) for each in Statutes(database).list("role"))
    facts = Facts(keys.snapshot(), union(roles, stored))
    return Directory(keys.find, lambda: facts, clock)


def of_rule(rule: RuleSettings) -> dict[str, Sequence[str]]:
    """Whom a rule names."""
    return {"department": rule.departments, "role": rule.roles, "user": rule.users, "key": rule.keys}


def of_limit(limit: LimitSettings) -> dict[str, Sequence[str]]:
    """Whom a limit names."""
    return {name: [getattr(limit, name)] for name in ("department", "role", "user", "key")}


def _missing(what: str, name: str) -> str:
    return f"there is no {'valid ' if what == 'key' else ''}{what} {name[:MAX_NAME]!r} here"


def _is_strange(department: str, facts: Facts) -> bool:
    return bool(department) and department not in facts.roster.departments


def _refusal(actor: Actor, facts: Facts) -> str:
    """Why nobody like this is let ask anything; empty where somebody is."""
    user, department = facts.roster.users.get(actor.user), facts.roster.departments.get(actor.department)
    if user is not None and not user.active:
        return f"the user {user.name!r} is switched off: such a caller is refused"
    if department is not None and not department.active:
        return f"the department {department.name!r} is switched off: such a caller is refused"
    if Permission.CALL not in actor.permissions:
        return f"the role {actor.role!r} may not make calls: such a caller is refused"
    return ""


def _awake(facts: Facts) -> Facts:
    """The same, and nobody is switched off: what would be said of a call is told of those, too."""
    roster = facts.roster
    departments = {name: replace(each, active=True) for name, each in roster.departments.items()}
    users = {name: replace(each, active=True) for name, each in roster.users.items()}
    return replace(facts, roster=replace(roster, departments=departments, users=users))
