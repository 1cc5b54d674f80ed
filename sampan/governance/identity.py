"""From a credential to an actor, without I/O: the keys are held in memory and kept fresh from the database."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from sampan.core import Actor, Incoming
from sampan.errors import ConfigError, Unauthenticated
from sampan.storage.keys import KeyInfo, Keys, digest

_MISSING = "No API key was sent. Send it as `x-api-key: …` or `authorization: Bearer …`."
# One text for unknown, expired and revoked: whoever guesses shall not learn that a key once was good.
_NOT_VALID = "The API key is not valid."


class Identity:
    """Knows who asks. A key made or revoked by another process is seen by `watch` within its `interval`."""

    def __init__(
        self,
        keys: Keys,
        clock: Callable[[], float] = time.time,
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
        self._version, self._actors = "", dict[bytes, tuple[Actor, float | None]]()
        self._by_id = dict[str, tuple[Actor, float | None]]()
        self._used: dict[str, float] = {}
        self._steady = steady
        self._touched = steady()
        self._is_failing = False
        self.refresh()

    def identify(self, incoming: Incoming) -> Actor:
        """Who asks this. Raises `Unauthenticated`. No I/O: made for the event loop."""
        return self.authenticate(incoming.credential)

    def authenticate(self, credential: str) -> Actor:
        """The actor whose key this is. Raises `Unauthenticated`. No I/O: made for the event loop.

        The look-up is by digest, so how long it takes says nothing about a key.
        """
        if not credential:
            raise Unauthenticated(_MISSING)
        now = self._clock()
        found = self._actors.get(digest(credential))
        if found is None or (found[1] is not None and now >= found[1]):
            raise Unauthenticated(_NOT_VALID)
        actor = found[0]
        self._used[actor.key_id] = now
        return actor

    def find(self, key_id: str) -> Actor:
        """The actor of a key by its id, for what was asked with it and is done later. Raises `Unauthenticated`."""
        found = self._by_id.get(key_id)
        if found is None or (found[1] is not None and self._clock() >= found[1]):
            raise Unauthenticated(_NOT_VALID)
        return found[0]

    def refresh(self) -> bool:
        """Loads the keys again if they changed, and says whether it did. Blocks. Raises `ConfigError`."""
        if not self._watch.changed():
            return False
        # Records are written all the time, so a change of the database is no news of the keys yet.
        try:
            if self._version and self._keys.version() == self._version:
                return False
            self._version, snapshot = self._keys.snapshot()
        except ConfigError:
            self._watch.forget()
            raise
        self._actors = _actors(snapshot)
        self._by_id = {found[0].key_id: found for found in self._actors.values()}
        return True

    def touch(self) -> None:
        """Writes down when keys were last used. Blocks. Raises `ConfigError`."""
        # The loop goes on noting meanwhile: into a new dict, and at worst once more into the old one, hence the copy.
        used, self._used = self._used, {}
        self._touched = self._steady()
        try:
            self._keys.touch(dict(used))
        except ConfigError:
            self._used = used | self._used
            raise

    async def watch(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Keeps the keys fresh until it is cancelled.

        A database that fails leaves the keys as they were, and is logged once.
        """
        while True:
            await sleep(self._interval)
            await asyncio.to_thread(self._freshen)

    def close(self) -> None:
        """Writes down the last uses and lets go of the database. Blocks; `watch` must have ended."""
        try:
            self.touch()
        except ConfigError as error:
            self._log.warning("the last uses of keys were not written down: %s", error)
        self._watch.close()

    def _freshen(self) -> None:
        try:
            self.refresh()
            if self._steady() - self._touched >= self._touch_after:
                self.touch()
        except ConfigError as error:
            if not self._is_failing:
                self._log.error("keys cannot be read, the last known ones stay in force: %s", error)
            self._is_failing = True
        else:
            self._is_failing = False


def _actors(snapshot: Mapping[bytes, KeyInfo]) -> dict[bytes, tuple[Actor, float | None]]:
    return {hashed: (Actor(info.id, info.name, info.role), info.expires) for hashed, info in snapshot.items()}
