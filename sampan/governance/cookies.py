"""The cookie of a signed-in browser, and the word that a page has to add to whatever changes something."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping

from sampan.errors import Forbidden

CSRF = "x-sampan-csrf"
SAFE = ("GET", "HEAD")


class Cookies:
    """Signs what browsers hold. `secure` is for a gateway that is reached by https: the cookie then goes no other way.

    A cookie is `SECRET.MAC`: what nobody has signed is refused without a look at the sessions.
    """

    def __init__(self, secret: bytes, *, secure: bool) -> None:
        self._secret = secret
        self._secure = secure
        self.name = "__Host-sampan" if secure else "sampan"

    def seal(self, secret: str) -> str:
        """The cookie's value for a session."""
        return f"{secret}.{self._mac('session', secret)}"

    def open(self, headers: Mapping[str, str]) -> str:
        """The session's secret in a request's cookies; empty where there is none that we signed."""
        secret, _, mac = self.find(headers, self.name).partition(".")
        return secret if secret and hmac.compare_digest(mac.encode(), self._mac("session", secret).encode()) else ""

    def find(self, headers: Mapping[str, str], name: str) -> str:
        """The value of a cookie; empty where there is none. Of several of the same name the first."""
        for pair in headers.get("cookie", "").split(";"):
            found, _, value = pair.strip().partition("=")
            if found == name:
                return value
        return ""

    def csrf(self, secret: str) -> str:
        """The word of a session that its pages know, and pages of other sites do not."""
        return self._mac("csrf", secret)

    def check(self, secret: str, method: str, headers: Mapping[str, str]) -> None:
        """A browser adds its cookies to what other sites have it ask, too. Raises `Forbidden`."""
        if method in SAFE:
            return
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            raise Forbidden("A page of another site may not change anything here.")
        if not hmac.compare_digest(headers.get(CSRF, "").encode(), self.csrf(secret).encode()):
            raise Forbidden(f"With a cookie, whatever changes something needs the header {CSRF}: /auth/me tells it.")

    def set(self, name: str, value: str, seconds: float) -> tuple[str, str]:
        """The header that has a browser keep a cookie; 0 seconds have it forget it."""
        safe = "; Secure" if self._secure else ""
        return "set-cookie", f"{name}={value}; Path=/; Max-Age={seconds:.0f}; HttpOnly; SameSite=Lax{safe}"

    def _mac(self, purpose: str, secret: str) -> str:
        mac = hmac.digest(self._secret, f"{purpose}\0{secret}".encode("utf-8", "surrogatepass"), "sha256")
        return urlsafe_b64encode(mac).decode().rstrip("=")
