"""Who is who at one moment: keys, people, roles and sessions made into actors, all at once and from one snapshot."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from sampan.core import Actor, Permission
from sampan.governance.networks import Networks
from sampan.governance.roles import BUILT_IN, NOTHING
from sampan.storage.keys import KeyInfo, Roster
from sampan.storage.sessions import Session, Subject


@dataclass(frozen=True, slots=True)
class Held:
    """What a credential stands for, until when (Unix seconds), and where it may be used (None: anywhere)."""

    actor: Actor
    until: float = math.inf
    networks: Networks | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What actors are made of."""

    roster: Roster
    roles: Mapping[str, frozenset[Permission]] = field(default_factory=lambda: BUILT_IN)
    sessions: Mapping[bytes, Session] = field(default_factory=dict)
    subjects: Mapping[str, Subject] = field(default_factory=dict)


class Standing:
    """Made anew whenever anything changes, never changed: only `tokens` grows. What is the same as `before` is kept."""

    __slots__ = ("_keys", "_people", "facts", "held", "sessions", "tokens")

    held: dict[bytes, Held]
    tokens: dict[bytes, Held]
    _keys: dict[str, Held]

    def __init__(self, facts: Facts, before: Standing | None = None) -> None:
        self.facts = facts
        if before is not None and before.facts.roster is facts.roster and before.facts.roles == facts.roles:
            # Somebody signed in, no more: keys and tokens mean what they did, and of keys there are many.
            self.held, self._keys, self.tokens = before.held, before._keys, before.tokens
        else:
            self.held, self._keys, self.tokens = {}, {}, {}
            self._hold_keys()
        self.sessions: dict[bytes, Held] = {}
        self._people: dict[str, Held] = {}
        for hashed, session in facts.sessions.items():
            held = self._resume(session)
            if held is not None:
                self.sessions[hashed] = held
                self._people[held.actor.key_id] = held

    def by_id(self, key_id: str) -> Held | None:
        """What a key id stands for, if it is a key's or that of somebody who is signed in."""
        return self._keys.get(key_id) or self._people.get(key_id)

    def _hold_keys(self) -> None:
        roster = self.facts.roster
        for hashed, info in roster.keys.items():
            held = hold(info, self.facts)
            if held is not None:
                self.held[hashed] = self._keys[info.id] = held
        for hashed, info in roster.previous.items():
            held = self._keys.get(info.id)
            if held is not None and info.overlap is not None:
                self.held[hashed] = Held(held.actor, min(held.until, info.overlap), held.networks)

    def actor(self, subject: Subject) -> Actor | None:
        """Who a token or a provider speaks of; None where we have switched off the user or the department."""
        return actor_of(subject, self.facts)

    def _resume(self, session: Session) -> Held | None:
        if session.subject is not None:
            actor = self.actor(session.subject)
            return None if actor is None else Held(actor, session.expires)
        held = self.held.get(session.credential)
        return None if held is None else Held(held.actor, min(held.until, session.expires), held.networks)


def actor_of(subject: Subject, facts: Facts) -> Actor | None:
    """Who a token or a provider speaks of; None where we have switched off the user or the department."""
    roster = facts.roster
    user = roster.users.get(subject.name)
    if user is not None and not user.active:
        return None
    name = subject.department or (user.department if user else "")
    department = roster.departments.get(name)
    if department is not None and not department.active:
        return None
    role = subject.role or (user.role if user else subject.default_role)
    return Actor(
        key_id=subject.key_id,
        name=subject.name,
        role=role,
        department=name,
        user=subject.name,
        permissions=facts.roles.get(role, NOTHING),
        confined=f"department {name}" if department is not None and department.confined else "",
    )


def hold(info: KeyInfo, facts: Facts) -> Held | None:
    """The actor of a key; None where it, its user or its department is switched off, or gone."""
    user = facts.roster.users.get(info.user)
    department = facts.roster.departments.get(info.department)
    if (info.user and (user is None or not user.active)) or (
        info.department and (department is None or not department.active)
    ):
        return None
    role = info.role or (user.role if user else "")
    permissions = facts.roles.get(role, NOTHING)
    if user is not None and not permissions <= (most := facts.roles.get(user.role, NOTHING)):
        # Rules and limits go by the role: a key that names too high a one must not be taken for that either.
        role, permissions = user.role, permissions & most
    confined = f"key {info.id}" if info.confined else ""
    if department is not None and department.confined:
        confined = f"department {department.name}"
    actor = Actor(info.id, info.name, role, info.department, info.user, permissions, confined, info.networks)
    networks = Networks(info.networks) if info.networks else None
    return Held(actor, math.inf if info.expires is None else info.expires, networks)
