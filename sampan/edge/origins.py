"""Pages of other origins that may ask us from a browser: CORS, https://fetch.spec.whatwg.org/#http-cors-protocol."""

from __future__ import annotations

import re

from sampan.config.edge import ANY_ORIGIN, METHODS, CorsSettings
from sampan.core import Answer, Incoming
from sampan.errors import Forbidden, InvalidRequest

PATHS = ("/v1/", "/artifacts/")
EXPOSED = (
    *("request-id", "x-request-id", "x-should-retry", "retry-after", "content-range"),
    *("x-sampan-upstream", "x-sampan-tier", "x-sampan-attempts", "x-sampan-receipt", "x-sampan-count"),
    *("x-sampan-cache", "x-sampan-quota"),
)
ASKED_LIMIT = 4096
"""Characters of header names that a browser may ask for at once."""

_NAMES = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+( ?, ?[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")
_VARY = b"vary: origin\r\n"


class Origins:
    """Made from the configuration; says nothing, and costs nothing, where no origin is set."""

    def __init__(self, settings: CorsSettings) -> None:
        self._any = ANY_ORIGIN in settings.origins
        self._methods = tuple(method.upper() for method in settings.methods or METHODS)
        self._headers = ", ".join(settings.headers)
        self._max_age = str(settings.max_age)
        more = b"access-control-expose-headers: %b\r\n" % ", ".join(EXPOSED).encode()
        if settings.credentials:
            more += b"access-control-allow-credentials: true\r\n"
        self._told = {origin: _allowing(origin) + more + _VARY for origin in settings.origins}

    def headers(self, incoming: Incoming) -> bytes:
        """What every answer to this request begins with, refusals too; lines with their ends.

        `vary` stands there for others as well: what a cache kept for one origin is not for the next.
        """
        if not self._told or not incoming.path.startswith(PATHS):
            return b""
        if self._any:
            return self._told[ANY_ORIGIN]
        return self._told.get(incoming.headers.get("origin", ""), _VARY)

    def asks(self, incoming: Incoming) -> bool:
        """Whether this is a browser's question before the call itself. It comes without a key."""
        return (
            incoming.method == "OPTIONS"
            and bool(self._told)
            and "access-control-request-method" in incoming.headers
            and incoming.path.startswith(PATHS)
        )

    def answer(self, incoming: Incoming) -> Answer:
        """The answer to it, without what `headers` says anyway. Raises `CallError`."""
        origin = incoming.headers.get("origin", "")
        if not self._any and origin not in self._told:
            raise Forbidden("pages of this origin may not ask here; [cors] origins says whose may")
        method = incoming.headers["access-control-request-method"]
        if method.upper() not in self._methods:
            raise Forbidden(f"pages may not use this method here, but {', '.join(self._methods)}")
        asked = incoming.headers.get("access-control-request-headers", "").strip()
        if asked and (len(asked) > ASKED_LIMIT or not _NAMES.fullmatch(asked)):
            raise InvalidRequest("access-control-request-headers: is no list of header names")
        told = [("access-control-allow-methods", ", ".join(self._methods)), ("access-control-max-age", self._max_age)]
        names = self._headers or asked
        if names:
            told.append(("access-control-allow-headers", names))
        return Answer(204, tuple(told), b"")


def _allowing(origin: str) -> bytes:
    return f"access-control-allow-origin: {origin}\r\n".encode()
