"""JWT as credentials: RFC 7519, checked as RFC 8725 asks. The signature is PyJWT's to verify, what it means is ours.

Which algorithms and which keys count follows from the issuer's settings alone: of a token's header only `kid` is used,
to find a key in a dict, and `alg`, to be one of those allowed. Keys are fetched in the background, never for a call.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from jwt import PyJWS
from jwt.algorithms import HMACAlgorithm
from jwt.exceptions import PyJWTError

from sampan.config.identity import PUBLIC, SHARED, IssuerSettings, is_safe_url
from sampan.errors import ConfigError, SampanError, Unauthenticated
from sampan.governance.claims import subject_of
from sampan.governance.jwks import PublicKey, read_keys, read_object
from sampan.storage.sessions import Subject

Fetch = Callable[[str], Awaitable[bytes]]
"""The body of an https URL. Raises `SampanError` or `OSError`."""

MAX_TOKEN = 8192
GAP = 10.0  # seconds between two looks at an issuer's keys, however many unknown ones are named
MAX_TIME = 1e12
AGAIN = 30.0  # seconds until a failed look is repeated
_PARTS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_TYPES = ("", "jwt", "at+jwt", "application/at+jwt")
_NOT_VALID = "The token is not valid."


class Verified(msgspec.Struct, frozen=True):
    """Whom a token speaks of, and until when (Unix seconds)."""

    subject: Subject
    until: float


class Issuer:
    """One issuer, and what is known of its keys."""

    def __init__(self, settings: IssuerSettings) -> None:
        self.settings = settings
        self.algorithms = frozenset(settings.allowed)
        self.keys: Mapping[str, PublicKey] = {}
        try:
            self.shared = HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(settings.key) if settings.key else b""
        except PyJWTError:
            raise ConfigError(f"the key shared with {settings.issuer} is a public key, which everybody knows") from None
        self.due = -math.inf
        self.looked = -math.inf
        self.is_failing = False

    @property
    def file(self) -> Path | None:
        jwks = self.settings.jwks
        return Path(jwks) if jwks and "://" not in jwks else None

    def key(self, kid: str, algorithm: str) -> Any:
        """The key to verify with; None where there is none. Without a `kid` the only one that fits."""
        if self.shared:
            return self.shared
        if kid:
            found = self.keys.get(kid)
            return found.key if found is not None and algorithm in found.algorithms else None
        fit = [each.key for each in self.keys.values() if algorithm in each.algorithms]
        return fit[0] if len(fit) == 1 else None


class Tokens:
    """Verifies tokens of the configured issuers. Made anew when the configuration changes."""

    def __init__(
        self,
        issuers: Sequence[IssuerSettings],
        clock: Callable[[], float] = time.time,
        *,
        fetch: Fetch | None = None,
        steady: Callable[[], float] = time.monotonic,
        before: Tokens | None = None,
    ) -> None:
        """Reads the keys that lie in files, so it blocks, and raises `ConfigError`.

        `clock` gives Unix seconds, by which tokens expire; `steady` says how much time has passed. Keys that `before`
        fetched are kept.
        """
        self._clock = clock
        self._steady = steady
        self._fetch = fetch
        self._issuers = {settings.issuer: Issuer(settings) for settings in issuers}
        self._jws = PyJWS(algorithms=[*SHARED, *PUBLIC])
        self._wanted = asyncio.Event()
        self._changed: Callable[[], None] = lambda: None
        self._log = logging.getLogger("sampan.tokens")
        for issuer in self._issuers.values():
            known = before._issuers.get(issuer.settings.issuer) if before is not None else None
            if known is not None and known.settings.jwks == issuer.settings.jwks and not issuer.settings.key:
                issuer.keys = known.keys
            if issuer.file is not None:
                issuer.keys = _read_file(issuer.file)
                issuer.due = steady() + issuer.settings.refresh
            if issuer.settings.key:
                issuer.due = math.inf

    @property
    def any(self) -> bool:
        """Whether there is an issuer to believe."""
        return bool(self._issuers)

    def listen(self, changed: Callable[[], None]) -> None:
        """`changed` is called on the event loop whenever keys that were good are so no more."""
        self._changed = changed

    def settings(self, issuer: str) -> IssuerSettings:
        """Raises `KeyError`."""
        return self._issuers[issuer].settings

    def verify(self, token: str) -> Verified:
        """Whom a token speaks of. Raises `Unauthenticated`. No I/O: made for the event loop."""
        issuer, claims = self._open(token)
        until = self._check(issuer, claims, issuer.settings.audience)
        return Verified(subject_of(issuer.settings, claims), until)

    def claims(self, token: str, issuer: str, audience: str) -> Mapping[str, Any]:
        """The claims of a token that has to be of this issuer, for this audience. Raises `Unauthenticated`."""
        found, claims = self._open(token)
        if found.settings.issuer != issuer:
            raise Unauthenticated("The token is another issuer's.")
        self._check(found, claims, audience)
        return claims

    def _open(self, token: str) -> tuple[Issuer, Mapping[str, Any]]:
        """The issuer, and the claims that it signed."""
        if len(token) > MAX_TOKEN:
            raise Unauthenticated(f"The token is over {MAX_TOKEN:,} bytes.")
        if not _PARTS.fullmatch(token):
            raise Unauthenticated(_NOT_VALID)
        try:
            header, claims = (read_object(_decoded(part)) for part in token.split(".")[:2])
        except ValueError:
            raise Unauthenticated(_NOT_VALID) from None
        algorithm, kid, typ = (header.get(each, "") for each in ("alg", "kid", "typ"))
        name = claims.get("iss")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        texts = all(isinstance(each, str) for each in (algorithm, kid, typ))
        if issuer is None or not texts or algorithm not in issuer.algorithms or "crit" in header:
            raise Unauthenticated(_NOT_VALID)
        if typ.lower() not in _TYPES:  # a logout token, say, is signed by the same key and no credential
            raise Unauthenticated(_NOT_VALID)
        key = issuer.key(kid, algorithm)
        if key is None:
            self._want(issuer)
            raise Unauthenticated("The token's key is not known here, or not yet. Ask again.", retry_after=1.0)
        signed, _, signature = token.rpartition(".")
        try:
            is_good = self._jws.get_algorithm_by_name(algorithm).verify(signed.encode(), key, _decoded(signature))
        except (PyJWTError, ValueError, TypeError):
            is_good = False
        if not is_good:
            raise Unauthenticated(_NOT_VALID)
        return issuer, claims

    def _check(self, issuer: Issuer, claims: Mapping[str, Any], audience: str) -> float:
        """What was signed is for us and for now; returns until when. Raises `Unauthenticated`."""
        now, leeway = self._clock(), issuer.settings.leeway
        held = claims.get("aud")
        if audience not in (held if isinstance(held, list) else [held]):
            raise Unauthenticated("The token is for somebody else: its `aud` does not name us.")
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not subject.isprintable():
            raise Unauthenticated("The token does not say whom it speaks of (`sub`).")
        expires, not_before, issued = (_seconds(claims, name) for name in ("exp", "nbf", "iat"))
        if expires is None:
            raise Unauthenticated("The token never expires (`exp`): such tokens are not taken.")
        if now >= expires + leeway:
            raise Unauthenticated("The token has expired.")
        if (not_before is not None and now < not_before - leeway) or (issued is not None and now < issued - leeway):
            raise Unauthenticated("The token is not valid yet.")
        return expires + leeway

    # Keys.

    def _want(self, issuer: Issuer) -> None:
        """Asks for the keys of an issuer, who may have a new one."""
        if issuer.settings.key:
            return
        issuer.due = min(issuer.due, issuer.looked + GAP)
        if issuer.due <= self._steady():
            self._wanted.set()

    async def renew(self, issuer: str) -> None:
        """Looks at the keys of an issuer now, unless that was done a moment ago."""
        found = self._issuers[issuer]
        if self._steady() >= found.looked + GAP and not found.settings.key:
            await self._look(found)

    async def run(self) -> None:
        """Keeps keys fresh until it is cancelled."""
        while True:
            self._wanted.clear()
            await self.freshen()
            pause = min((each.due for each in self._issuers.values()), default=math.inf) - self._steady()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), None if pause == math.inf else max(pause, 0.05))

    async def freshen(self) -> None:
        """Looks at the keys of every issuer whose turn it is."""
        for issuer in self._issuers.values():
            if issuer.due <= self._steady():
                await self._look(issuer)

    async def _look(self, issuer: Issuer) -> None:
        """Reads the keys again; where that fails the old ones stay, and it is logged once."""
        issuer.looked = self._steady()
        try:
            keys = await self._load(issuer)
        except (SampanError, OSError, ValueError, TimeoutError) as error:
            if not issuer.is_failing:
                self._log.error(
                    "the keys of %s cannot be read, the last known ones stay in force: %s",
                    issuer.settings.issuer,
                    error,
                )
            issuer.is_failing = True
            issuer.due = issuer.looked + min(AGAIN, issuer.settings.refresh)
            return
        issuer.is_failing = False
        issuer.due = issuer.looked + issuer.settings.refresh
        lost = any(kid not in keys or keys[kid].print != key.print for kid, key in issuer.keys.items())
        issuer.keys = keys
        if lost:
            self._changed()

    async def _load(self, issuer: Issuer) -> Mapping[str, PublicKey]:
        if issuer.file is not None:
            return await asyncio.to_thread(_read_file, issuer.file)
        if self._fetch is None:
            raise ConfigError("there is nobody to fetch them with")
        url = issuer.settings.jwks
        if not url:
            found = (await discover(self._fetch, issuer.settings.issuer)).get("jwks_uri")
            url = found if isinstance(found, str) else ""
        if not is_safe_url(url):
            raise ConfigError("its discovery page names no https URL for its keys (`jwks_uri`)")
        return read_keys(await self._fetch(url))


async def discover(fetch: Fetch, issuer: str) -> Mapping[str, Any]:
    """What an issuer says of itself (OpenID Connect Discovery 1.0). Raises `ConfigError`, and as `fetch` does."""
    try:
        found = read_object(await fetch(issuer.rstrip("/") + "/.well-known/openid-configuration"))
    except ValueError as error:
        raise ConfigError(f"its discovery page is not as it should be: {error}") from None
    if found.get("issuer") != issuer:
        raise ConfigError("its discovery page is another issuer's: `issuer` has to be the same to the letter")
    return found


def _read_file(file: Path) -> Mapping[str, PublicKey]:
    try:
        return read_keys(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: cannot be read as a key set (JWKS): {error}") from None


def _decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _seconds(claims: Mapping[str, Any], name: str) -> float | None:
    """A time in a token. Raises `Unauthenticated` for what is none."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < MAX_TIME:
        raise Unauthenticated(f"The token's `{name}` is no time.")
    return float(value)
