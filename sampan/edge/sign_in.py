"""`/auth/…`: how a browser comes by a session, asks who it is, and gives the session back. Strangers may come in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from sampan.core import Actor, Answer, Incoming
from sampan.edge.paging import JSON, query_of
from sampan.errors import Forbidden, InvalidRequest, NotFound, Unauthenticated
from sampan.storage.keys import digest
from sampan.storage.sessions import Session, Sessions, Subject

LOGIN, CALLBACK, LOGOUT, ME, WAYS = "/auth/login", "/auth/callback", "/auth/logout", "/auth/me", "/auth/ways"
_METHODS = {LOGIN: ("GET", "POST"), CALLBACK: ("GET",), LOGOUT: ("POST",), ME: ("GET",), WAYS: ("GET",)}
_MINUTES = 600.0
_NEVER_KEPT = ("cache-control", "no-store")


class Provider(Protocol):
    """Sign-in with somebody else's word."""

    async def begin(self, back: str) -> tuple[str, str]:
        """Where to send the browser, and what it is to hold meanwhile."""
        ...

    async def finish(self, query: Mapping[str, str], held: str) -> tuple[Subject, str]:
        """Who has signed in, and the page to end at."""
        ...


class Cookies(Protocol):
    """What browsers hold, signed."""

    @property
    def name(self) -> str: ...

    def seal(self, secret: str) -> str: ...

    def open(self, headers: Mapping[str, str]) -> str: ...

    def find(self, headers: Mapping[str, str], name: str) -> str: ...

    def csrf(self, secret: str) -> str: ...

    def set(self, name: str, value: str, seconds: float) -> tuple[str, str]: ...


@dataclass(frozen=True, slots=True)
class Reception:
    """What the pages need. `identify` and `enter` are Identity's, `renew` has it look at the database now."""

    sessions: Sessions
    cookies: Cookies
    identify: Callable[[Incoming], Actor]
    enter: Callable[[str, str], Actor]
    renew: Callable[[], object]
    seconds: float
    provider: Provider | None = None


class SignInPages:
    """Built anew when the configuration changes."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._pages: Mapping[tuple[str, str], Callable[[Incoming], Awaitable[Answer]]] = {
            ("GET", LOGIN): self._begin,
            ("POST", LOGIN): self._enter,
            ("GET", CALLBACK): self._finish,
            ("POST", LOGOUT): self._leave,
            ("GET", ME): self._tell,
            ("GET", WAYS): self._name_ways,
        }

    def methods(self, path: str) -> tuple[str, ...]:
        """What may be asked of a path; nothing where it is none of these pages."""
        return _METHODS.get(path, ())

    async def handle(self, incoming: Incoming) -> Answer:
        """Answers whoever asks: nobody has to be known here. Raises `CallError`."""
        page = self._pages.get((incoming.method, incoming.path))
        if page is None:
            raise NotFound(f"there is nothing at {incoming.path[:200]}")
        return await page(incoming)

    async def _begin(self, incoming: Incoming) -> Answer:
        provider = self._provider()
        url, held = await provider.begin(query_of(incoming).get("back", "/"))
        cookies = self._reception.cookies
        return Answer(302, (("location", url), cookies.set(self._half, held, _MINUTES), _NEVER_KEPT), b"")

    async def _finish(self, incoming: Incoming) -> Answer:
        cookies = self._reception.cookies
        held = cookies.find(incoming.headers, self._half)
        subject, back = await self._provider().finish(query_of(incoming), held)
        session, secret = await self._open(incoming, subject=subject)
        headers = (
            ("location", back),
            cookies.set(self._half, "", 0),
            self._kept(session, secret),
            _NEVER_KEPT,
            # The address of this page holds a code.
            ("referrer-policy", "no-referrer"),
        )
        return Answer(302, headers, b"")

    async def _enter(self, incoming: Incoming) -> Answer:
        """Sign-in by an API key: `{"key": "sk-sampan-…"}`."""
        if not incoming.content_type.startswith("application/json"):
            # A form of another site can be sent here with the other site's key, and JSON cannot.
            raise InvalidRequest("content-type: must be application/json", param="content-type")
        if incoming.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Forbidden("A page of another site may not sign anybody in here.")
        try:
            said = msgspec.json.decode(incoming.body, type=dict[str, str])
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise InvalidRequest('must be JSON such as {"key": "sk-sampan-…"}') from None
        key = said.get("key", "").strip()
        if not key:
            raise InvalidRequest("key: Field required", param="key")
        self._reception.enter(key, incoming.peer)
        session, secret = await self._open(incoming, credential=digest(key))
        told = await self._told(secret, incoming)
        return Answer(200, (JSON, self._kept(session, secret), _NEVER_KEPT), msgspec.json.encode(told))

    async def _leave(self, incoming: Incoming) -> Answer:
        cookies = self._reception.cookies
        self._reception.identify(incoming)  # it checks that our own page asks
        secret = cookies.open(incoming.headers)
        if secret:
            await asyncio.to_thread(self._reception.sessions.revoke, secret)
            await asyncio.to_thread(self._reception.renew)
        return Answer(200, (JSON, cookies.set(cookies.name, "", 0), _NEVER_KEPT), b'{"signed_in":false}')

    async def _tell(self, incoming: Incoming) -> Answer:
        secret = self._reception.cookies.open(incoming.headers)
        try:
            self._reception.identify(incoming)
        except Unauthenticated:
            if not secret:
                raise
            # It may have begun on another node a moment ago.
            await asyncio.to_thread(self._reception.renew)
        return Answer(200, (JSON, _NEVER_KEPT), msgspec.json.encode(await self._told(secret, incoming)))

    async def _name_ways(self, incoming: Incoming) -> Answer:
        """What a page that asks people to sign in can offer them."""
        ways = {"key": True, "provider": self._reception.provider is not None}
        return Answer(200, (JSON, _NEVER_KEPT), msgspec.json.encode(ways))

    async def _told(self, secret: str, incoming: Incoming) -> dict[str, object]:
        cookies = self._reception.cookies
        if secret and not incoming.credential:
            headers = {"cookie": f"{cookies.name}={cookies.seal(secret)}"}
            incoming = Incoming("GET", incoming.path, "", headers, b"", incoming.peer)
        return {
            "signed_in": True,
            **describe(self._reception.identify(incoming)),
            "csrf": cookies.csrf(secret) if secret else "",
        }

    async def _open(
        self, incoming: Incoming, *, credential: bytes = b"", subject: Subject | None = None
    ) -> tuple[Session, str]:
        """A new session, known on this node at once. One that the browser had before is over."""
        sessions, before = self._reception.sessions, self._reception.cookies.open(incoming.headers)
        if before:
            await asyncio.to_thread(sessions.revoke, before)
        seconds = self._reception.seconds
        session, secret = await asyncio.to_thread(
            lambda: sessions.begin(seconds, credential=credential, subject=subject)
        )
        await asyncio.to_thread(self._reception.renew)
        return session, secret

    def _kept(self, session: Session, secret: str) -> tuple[str, str]:
        cookies = self._reception.cookies
        return cookies.set(cookies.name, cookies.seal(secret), session.expires - session.created)

    @property
    def _half(self) -> str:
        return f"{self._reception.cookies.name}-sign-in"

    def _provider(self) -> Provider:
        if self._reception.provider is None:
            raise NotFound("No provider is configured ([identity.console]). POST your key here instead.")
        return self._reception.provider


def describe(actor: Actor) -> dict[str, object]:
    """An actor as pages tell it to themselves."""
    return {
        "key_id": actor.key_id,
        "name": actor.name,
        "role": actor.role,
        "department": actor.department,
        "user": actor.user,
        "permissions": sorted(actor.permissions),
        "confined": actor.confined,
    }
