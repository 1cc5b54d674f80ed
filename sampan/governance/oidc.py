"""Sign-in with an OpenID Connect provider: the authorization code flow with PKCE (RFC 7636), state and nonce.

What has to be remembered between the two halves travels in a cookie that only we can read (Fernet: AES-128 and HMAC),
so that the provider may send the browser back to any node.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from sampan.config.identity import ConsoleSettings, is_safe_url
from sampan.errors import InvalidRequest, SampanError, Unauthenticated, Unavailable
from sampan.governance.claims import subject_of
from sampan.governance.jwks import read_object
from sampan.governance.tokens import Fetch, Tokens, discover
from sampan.storage.sessions import Subject

Post = Callable[[str, Mapping[str, str], bytes], Awaitable[tuple[int, bytes]]]
"""POSTs a body with headers to an https URL, and gives status and body back. Raises `SampanError` or `OSError`."""

PATIENCE = 600  # seconds between the two halves
STALE = 3600.0  # seconds that what the provider says of itself is believed
CALLBACK = "/auth/callback"
SCOPES = ("openid", "profile", "email")


class _Begun(msgspec.Struct, frozen=True):
    """What the first half leaves for the second."""

    state: str
    nonce: str
    verifier: str
    back: str


class SignIn:
    """People's way in by the provider that `[identity.console]` names. `secret` is shared by all nodes."""

    def __init__(
        self,
        settings: ConsoleSettings,
        tokens: Tokens,
        secret: bytes,
        public_url: str,
        fetch: Fetch,
        post: Post,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`public_url` is what browsers know us by: the provider sends them back to `/auth/callback` there."""
        self._settings = settings
        self._tokens = tokens
        key = hmac.digest(secret, b"sampan sign-in", "sha256")
        self._fernet = Fernet(urlsafe_b64encode(key))
        self._redirect = public_url.rstrip("/") + CALLBACK
        self._fetch = fetch
        self._post = post
        self._clock = clock
        self._found: tuple[float, Mapping[str, Any]] | None = None

    async def begin(self, back: str) -> tuple[str, str]:
        """Where to send the browser, and what it is to hold meanwhile. `back` is the page to end at.

        Raises `Unavailable` where the provider cannot be reached.
        """
        endpoint = await self._endpoint("authorization_endpoint")
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        begun = _Begun(state, nonce, verifier, local_path(back))
        challenge = urlsafe_b64encode(hashlib.sha256(begun.verifier.encode()).digest()).decode().rstrip("=")
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._redirect,
            "scope": " ".join(self._settings.scopes or SCOPES),
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        held = self._fernet.encrypt_at_time(msgspec.json.encode(begun), int(self._clock()))
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(query)}", held.decode()

    async def finish(self, query: Mapping[str, str], held: str) -> tuple[Subject, str]:
        """Who has signed in, and the page to end at. Raises `Unauthenticated`, `InvalidRequest` or `Unavailable`."""
        begun = self._begun(held)
        if not hmac.compare_digest(query.get("state", "").encode(), begun.state.encode()):
            raise InvalidRequest("This sign-in was not begun in this browser. Begin again.", param="state")
        issuer = self._settings.issuer
        if query.get("iss", issuer) != issuer:  # RFC 9207: a code of another provider would be handed to this one
            raise InvalidRequest("This sign-in comes from another provider.", param="iss")
        code = query.get("code", "")
        if "error" in query or not code:
            raise Unauthenticated("The provider did not sign you in.")
        claims = await self._claims(await self._redeem(code, begun.verifier), begun.nonce)
        return subject_of(self._tokens.settings(issuer), claims), begun.back

    def _begun(self, held: str) -> _Begun:
        try:
            data = self._fernet.decrypt_at_time(held.encode(), PATIENCE, int(self._clock()))
            return msgspec.json.decode(data, type=_Begun)
        except (InvalidToken, msgspec.DecodeError, UnicodeEncodeError):
            raise InvalidRequest(
                f"This sign-in was not begun in this browser, or over {PATIENCE // 60} minutes ago. Begin again.",
                param="state",
            ) from None

    async def _redeem(self, code: str, verifier: str) -> str:
        """The ID token for a code (RFC 6749, 4.1.3)."""
        endpoint = await self._endpoint("token_endpoint")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect,
            "code_verifier": verifier,
        }
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        if self._settings.client_secret and await self._takes_basic():
            name, secret = (quote(each, safe="") for each in (self._settings.client_id, self._settings.client_secret))
            headers["authorization"] = "Basic " + b64encode(f"{name}:{secret}".encode()).decode()
        else:
            form["client_id"] = self._settings.client_id
            if self._settings.client_secret:
                form["client_secret"] = self._settings.client_secret
        try:
            status, body = await self._post(endpoint, headers, urlencode(form).encode())
            token = read_object(body).get("id_token") if status == 200 else None
        except (SampanError, OSError, TimeoutError, ValueError):
            raise Unavailable("The provider cannot be reached, or does not answer as it should.") from None
        if not isinstance(token, str):
            raise Unauthenticated("The provider did not take the sign-in. Begin again.")
        return token

    async def _claims(self, token: str, nonce: str) -> Mapping[str, Any]:
        """What an ID token says, once it is found good (OpenID Connect Core 1.0, 3.1.3.7)."""
        client = self._settings.client_id
        try:
            claims = self._tokens.claims(token, self._settings.issuer, client)
        except Unauthenticated as error:
            if error.retry_after is None:
                raise
            await self._tokens.renew(self._settings.issuer)  # its key may be new
            claims = self._tokens.claims(token, self._settings.issuer, client)
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise Unauthenticated("The provider's token is that of another sign-in. Begin again.")
        if claims.get("azp", client) != client or (
            isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and "azp" not in claims
        ):
            raise Unauthenticated("The provider's token was given to another application.")
        return claims

    async def _takes_basic(self) -> bool:
        """Without a word of it, it does (RFC 8414)."""
        methods = (await self._discovered()).get("token_endpoint_auth_methods_supported")
        return not isinstance(methods, list) or "client_secret_basic" in methods

    async def _endpoint(self, name: str) -> str:
        url = (await self._discovered()).get(name)
        if not isinstance(url, str) or not is_safe_url(url):
            raise Unavailable(f"The provider names no https URL for its `{name}`.")
        return url

    async def _discovered(self) -> Mapping[str, Any]:
        now = self._clock()
        if self._found is None or not 0 <= now - self._found[0] < STALE:
            try:
                self._found = now, await discover(self._fetch, self._settings.issuer)
            except (SampanError, OSError, TimeoutError):
                if self._found is None:
                    raise Unavailable("The provider cannot be reached. Try again, or sign in with a key.") from None
        return self._found[1]


def local_path(back: str) -> str:
    """A page of ours to end at: nobody is sent elsewhere by a link that looks like ours."""
    fits = back.startswith("/") and not back.startswith("//") and "\\" not in back and back.isascii()
    return back if fits and back.isprintable() and " " not in back and len(back) <= 500 else "/"
