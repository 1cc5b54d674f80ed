"""Wrong keys, counted by address: who sends many is not listened to for a while, longer each time."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sampan.edge.addresses import is_own, place

log = logging.getLogger("sampan.edge")

PER_MINUTE = 60
PLACES = 65_536
WELCOME = 16_384
FIRST_LOCK, LONGEST_LOCK = 15.0, 900.0
FORGIVEN = 3600.0
"""Seconds after its last lock that an address begins anew."""


@dataclass(slots=True)
class _Slate:
    """What is held against an address: wrong keys since a moment, and how often it was locked out."""

    wrong: int
    since: float
    locks: int = 0
    until: float = 0.0


class Guesses:
    """`per_minute` None is the default, which does not hold for this machine itself; `clock` never goes back.

    An address may be a whole house behind one router. So a key that was good from there stays good while somebody
    beside it guesses; all others wait. Connections that are in use are not looked at again at all.
    """

    def __init__(self, per_minute: int | None, clock: Callable[[], float]) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._salt = secrets.token_bytes(16)
        self._slates: OrderedDict[str, _Slate] = OrderedDict()
        self._welcome: OrderedDict[bytes, None] = OrderedDict()

    def wait(self, address: str, credential: str) -> float:
        """Seconds for which a credential from this address is not looked at; 0 where it is."""
        if not self._slates:
            return 0.0
        slate = self._slates.get(place(address))
        if slate is None:
            return 0.0
        left = slate.until - self._clock()
        return 0.0 if left <= 0 or self._digest(address, credential) in self._welcome else left

    def failed(self, address: str) -> None:
        """A key from this address was none, or there was none where one is needed."""
        most = self.per_minute
        if most is None:
            if is_own(address):
                return
            most = PER_MINUTE
        where, now = place(address), self._clock()
        slate = self._slates.pop(where, None)
        if slate is None or now - max(slate.since, slate.until) > FORGIVEN:
            slate = _Slate(0, now)
        self._slates[where] = slate
        if len(self._slates) > PLACES:
            self._slates.popitem(last=False)
        if now - slate.since >= 60.0:
            slate.wrong, slate.since = 0, now
        slate.wrong += 1
        if slate.wrong >= most and slate.until <= now:
            seconds = min(LONGEST_LOCK, FIRST_LOCK * 2.0**slate.locks)
            slate.locks += 1
            slate.wrong, slate.since, slate.until = 0, now + seconds, now + seconds
            log.warning("%d wrong keys from %s within a minute: refused for %g seconds", most, where or "here", seconds)

    def passed(self, address: str, credential: str) -> None:
        """This credential was good from this address."""
        known = self._digest(address, credential)
        self._welcome.pop(known, None)
        self._welcome[known] = None
        if len(self._welcome) > WELCOME:
            self._welcome.popitem(last=False)

    def _digest(self, address: str, credential: str) -> bytes:
        """No key is kept in the clear for this."""
        said = f"{place(address)}\n{credential}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(said, digest_size=16, key=self._salt).digest()


def credential_of(headers: Mapping[str, str]) -> str:
    """All of a head that may prove who asks."""
    said = (headers.get("x-api-key"), headers.get("authorization"), headers.get("cookie"))
    return "\n".join(filter(None, said))
