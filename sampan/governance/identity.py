"""From a credential to an actor, without I/O: who is who is held in memory and kept fresh from the database."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from sampan.core import Actor, Incoming, Permission
from sampan.errors import ConfigError, Forbidden, Unauthenticated
from sampan.governance.cookies import Cookies
from sampan.governance.roles import union
from sampan.governance.standing import Facts, Held, Standing
from sampan.governance.tokens import Tokens
from sampan.storage.keys import Keys, Roster, digest
from sampan.storage.sessions import TOKEN_PREFIX, Session, Sessions, Subject
from sampan.storage.statutes import Statutes

MAX_TOKENS = 10_000
"""Verified tokens that are remembered; one more has the oldest verified again."""

_MISSING = "No API key was sent. Send it as `x-api-key: …` or `authorization: Bearer …`."
# One text for unknown, expired and revoked: whoever guesses shall not learn that a key once was good.
_NOT_VALID = "The API key is not valid."
_SWITCHED_OFF = "The token is not valid here: its user or department is switched off."
_ELSEWHERE = "This key may not be used from this address."


@dataclass(frozen=True, slots=True)
class Beside:
    """What there may be beside keys. `roles` are the configuration's, `cookies` sign what browsers hold."""

    roles: Mapping[str, Collection[Permission]] = field(default_factory=dict)
    tokens: Tokens | None = None
    statutes: Statutes | None = None
    sessions: Sessions | None = None
    cookies: Cookies | None = None


class Identity:
    """Knows who asks. What another process changes is seen by `watch` within its `interval`."""

    def __init__(
        self,
        keys: Keys,
        clock: Callable[[], float] = time.time,
        beside: Beside = Beside(),
        *,
        interval: float = 0.5,
        touch_after: float = 30.0,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """Loads the keys, so it blocks; `interval` and `touch_after` (how late `last_used` may be) are in seconds.

        `clock` says when keys expire and were used, `steady` how much time has passed: the first may be set back.
        """
        self._keys = keys
        self._clock = clock
        self._interval = interval
        self._touch_after = touch_after
        self._log = logging.getLogger("sampan.identity")
        self._watch = keys.watch()
        self._beside = beside
        self._believe(beside.roles, beside.tokens)
        self._loading = threading.Lock()
        self._versions: tuple[str, str, str] | None = None
        self._roster = Roster("", {})
        self._standing = Standing(Facts(self._roster))
        self._stored: tuple[tuple[str, Mapping[str, object]], ...] = ()
        self._sessions: Mapping[bytes, Session] = {}
        self._subjects: Mapping[str, Subject] = {}
        self._came: dict[str, Subject] = {}
        self._used: dict[str, float] = {}
        self._steady = steady
        self._touched = steady()
        self._is_failing = False
        self.refresh()

    # Who asks. No I/O: made for the event loop.

    def identify(self, incoming: Incoming) -> Actor:
        """Who asks this. Raises `Unauthenticated`, or `Forbidden` for an address that the key is not for."""
        credential = incoming.credential
        now = self._clock()
        if credential:
            hashed = digest(credential)
            held = self._standing.held.get(hashed)
            if held is None or now >= held.until:
                held = self._find(credential, hashed, now)
        else:
            held = self._find_session(incoming, now)
        if held.networks is not None and not held.networks.hold(incoming.peer):
            raise Forbidden(_ELSEWHERE)
        self._used[held.actor.key_id] = now
        return held.actor

    def authenticate(self, credential: str, peer: str = "") -> Actor:
        """The actor whose key or token this is. Raises as `identify` does.

        The look-up is by digest, so how long it takes says nothing about a key.
        """
        return self.identify(Incoming("GET", "", "", {"x-api-key": credential}, b"", peer))

    def enter(self, key: str, peer: str) -> Actor:
        """The actor of a key that somebody signs in with; a token, which is for once, is none. Raises as `identify`."""
        if digest(key) not in self._standing.held:
            raise Unauthenticated(_NOT_VALID)
        return self.authenticate(key, peer)

    def find(self, key_id: str) -> Actor:
        """The actor of a key by its id, for what was asked with it and is done later. Raises `Unauthenticated`."""
        standing = self._standing
        held = standing.by_id(key_id)
        if held is not None and self._clock() < held.until:
            return held.actor
        subject = self._came.get(key_id) or standing.facts.subjects.get(key_id)
        actor = standing.actor(subject) if subject is not None else None
        if actor is None:
            raise Unauthenticated(_NOT_VALID)
        return actor

    @property
    def roles(self) -> Mapping[str, frozenset[Permission]]:
        """What each role allows."""
        return self._standing.facts.roles

    @property
    def facts(self) -> Facts:
        """What actors are made of now."""
        return self._standing.facts

    def permissions(self, role: str, user: str = "") -> frozenset[Permission]:
        """What a key of this role would allow, in the hands of this user; an empty role is the user's own."""
        facts = self._standing.facts
        owner = facts.roster.users.get(user)
        allowed = facts.roles.get(role or (owner.role if owner else ""), frozenset())
        return allowed & facts.roles.get(owner.role, frozenset()) if owner else allowed

    def _find(self, credential: str, hashed: bytes, now: float) -> Held:
        standing = self._standing
        held = standing.held.get(hashed) or standing.tokens.get(hashed)
        if held is not None and now < held.until:
            return held
        tokens = self._beside.tokens
        if tokens is None or credential.count(".") != 2:
            raise Unauthenticated(_NOT_VALID)
        return self._admit(standing, tokens, credential, hashed)

    def _admit(self, standing: Standing, tokens: Tokens, token: str, hashed: bytes) -> Held:
        """Verifies a token, once. What was learnt is kept with the people and roles that it was learnt with."""
        standing.tokens.pop(hashed, None)
        verified = tokens.verify(token)
        actor = standing.actor(verified.subject)
        if actor is None:
            raise Unauthenticated(_SWITCHED_OFF)
        if len(standing.tokens) >= MAX_TOKENS:
            standing.tokens.pop(next(iter(standing.tokens)))
        held = standing.tokens[hashed] = Held(actor, verified.until)
        # A batch goes on in the name of whoever asked for it, after the token has expired and on any node.
        if standing.facts.subjects.get(actor.key_id) != verified.subject:
            if len(self._came) >= MAX_TOKENS:
                self._came.pop(next(iter(self._came)))
            self._came[actor.key_id] = verified.subject
        return held

    def _find_session(self, incoming: Incoming, now: float) -> Held:
        cookies = self._beside.cookies
        secret = cookies.open(incoming.headers) if cookies is not None else ""
        if cookies is None or not secret:
            raise Unauthenticated(_MISSING)
        held = self._standing.sessions.get(digest(secret))
        if held is None or now >= held.until:
            raise Unauthenticated("The sign-in is over. Sign in again.")
        cookies.check(secret, incoming.method, incoming.headers)
        return held

    # Keeping it fresh.

    def adopt(self, roles: Mapping[str, Collection[Permission]], tokens: Tokens | None) -> None:
        """Puts another configuration in force. Blocks. Call it where `tokens` is looked after."""
        with self._loading:
            self._believe(roles, tokens)
            self._stand(None)  # tokens that were good may be so no more

    def _believe(self, roles: Mapping[str, Collection[Permission]], tokens: Tokens | None) -> None:
        tokens = tokens if tokens is not None and tokens.any else None
        self._beside = replace(self._beside, roles=roles, tokens=tokens)
        if tokens is not None:
            tokens.listen(self._forget_tokens)

    def refresh(self) -> bool:
        """Loads again what changed in the database, and says whether anything did. Blocks. Raises `ConfigError`."""
        with self._loading:
            if not self._watch.changed():
                return False
            try:
                return self._load()
            except ConfigError:
                self._watch.forget()
                raise

    def _load(self) -> bool:
        # Records are written all the time, so a change of the database is no news of the keys yet.
        statutes, sessions = self._beside.statutes, self._beside.sessions
        found = (
            self._keys.version(),
            statutes.version("role") if statutes else "",
            sessions.version() if sessions else "",
        )
        if found == self._versions:
            return False
        people, roles, signed_in = before = self._versions or ("", "", "")
        if self._versions is None or found[0] != people:
            self._roster = self._keys.snapshot()
            people = self._roster.version
        if statutes is not None and found[1] != before[1]:
            roles, stored = statutes.snapshot("role")
            self._stored = tuple((each.id, each.body) for each in stored)
        if sessions is not None and found[2] != before[2]:
            signed_in, self._sessions, self._subjects = sessions.snapshot()
        self._versions = (people, roles, signed_in)
        self._stand(self._standing)
        return True

    def _forget_tokens(self) -> None:
        self._standing.tokens.clear()

    def _stand(self, before: Standing | None) -> None:
        roles = union(self._beside.roles, self._stored)
        self._standing = Standing(Facts(self._roster, roles, self._sessions, self._subjects), before)

    def remember(self) -> None:
        """Writes down who came with a token and is not known from before. Blocks. Raises `ConfigError`."""
        sessions, came = self._beside.sessions, dict(self._came)
        if sessions is None or not came:
            return
        sessions.remember(tuple(came.values()))
        self.refresh()
        for name, subject in came.items():
            if self._came.get(name) is subject:
                self._came.pop(name, None)

    def touch(self) -> None:
        """Writes down when keys were last used. Blocks. Raises `ConfigError`."""
        # The loop goes on noting meanwhile: into a new dict, and at worst once more into the old one, hence the copy.
        used, self._used = self._used, {}
        self._touched = self._steady()
        try:
            self._keys.touch({key: at for key, at in dict(used).items() if not key.startswith(TOKEN_PREFIX)})
        except ConfigError:
            self._used = used | self._used
            raise

    async def watch(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Keeps everything fresh until it is cancelled.

        A database that fails leaves the keys as they were, and is logged once.
        """
        while True:
            await sleep(self._interval)
            await asyncio.to_thread(self._freshen)

    def close(self) -> None:
        """Writes down the last uses and lets go of the database. Blocks; `watch` must have ended."""
        try:
            self.remember()
            self.touch()
        except ConfigError as error:
            self._log.warning("the last uses of keys were not written down: %s", error)
        self._watch.close()

    def _freshen(self) -> None:
        try:
            self.refresh()
            self.remember()
            if self._steady() - self._touched >= self._touch_after:
                self.touch()
        except ConfigError as error:
            if not self._is_failing:
                self._log.error("keys cannot be read, the last known ones stay in force: %s", error)
            self._is_failing = True
        else:
            self._is_failing = False
