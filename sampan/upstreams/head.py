"""The head of a request: one block of bytes, what is constant prepared once. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sampan.upstreams.origin import Origin

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_TARGET = re.compile(r"/[!-~]*")

# The client decides where a request ends and whom it is for; a caller who could say it too could smuggle a second one.
_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect"}
)
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})

# Calls differ in few headers: what was checked and joined once is kept for so many different ones.
_KEPT = 64


class HeadBlock:
    """Renders request heads for one origin; `headers` are sent with every request."""

    __slots__ = ("_constant", "_kept", "_lines", "_names", "_path")

    def __init__(self, origin: Origin, headers: Mapping[str, str]) -> None:
        """Raises ValueError for a header that could not be sent as it stands, or that is the client's own."""
        self._path = origin.path
        self._lines = {name.lower(): _line(name, value) for name, value in headers.items()}
        self._names = frozenset(self._lines)
        self._lines["host"] = f"host: {origin.host_header}\r\n"
        self._constant = "".join(self._lines.values())
        self._kept: dict[tuple[str, str, tuple[tuple[str, str], ...]], bytes] = {}

    def render(self, method: str, target: str, headers: Sequence[tuple[str, str]], length: int) -> bytes:
        """The bytes up to and with the empty line, for a body of `length` bytes.

        A header given here replaces the constant one of the same name. Raises ValueError for anything that would
        end a line early: `target` is visible ASCII and begins with a slash.
        """
        key = (method, target, tuple(headers))
        start = self._kept.get(key)
        if start is None:
            start = self._prepare(method, target, headers)
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[key] = start
        if length or method in _WITH_BODY:
            return b"%bcontent-length: %d\r\n\r\n" % (start, length)
        return start + b"\r\n"

    def _prepare(self, method: str, target: str, headers: Sequence[tuple[str, str]]) -> bytes:
        if _TOKEN.fullmatch(method) is None:
            raise ValueError("the method of a request must be a token")
        if _TARGET.fullmatch(target) is None:
            raise ValueError("the target of a request must begin with a slash and hold visible ASCII only")
        own = "".join([_line(name, value) for name, value in headers])
        constant = self._constant
        if headers and not self._names.isdisjoint(replaced := {name.lower() for name, _ in headers}):
            constant = "".join(line for name, line in self._lines.items() if name not in replaced)
        return f"{method} {self._path}{target} HTTP/1.1\r\n{constant}{own}".encode("latin-1")


def _line(name: str, value: str) -> str:
    if _TOKEN.fullmatch(name) is None:
        raise ValueError("the name of a header must be a token")
    if name.lower() in _OURS:
        raise ValueError(f"the header {name.lower()} is the client's own")
    if _VALUE.fullmatch(value) is None:
        raise ValueError(f"the header {name.lower()} has a value that cannot be sent")
    return f"{name}: {value}\r\n"
