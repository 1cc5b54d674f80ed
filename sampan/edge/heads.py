"""The head of a request: what it says, where it can be read in one way only; and heads that came before.

A caller who keeps a connection says the same with every call, but for a length.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from sampan.core import Incoming

HEADERS_LIMIT = 100
TARGET_LIMIT = 16_384
"""Characters of a path and its query."""

LONGEST = 8192
"""Bytes of a head that is worth remembering, for each connection."""

_LENGTH = re.compile(rb"\r\ncontent-length: ?([0-9]{1,9})(?=\r\n)", re.IGNORECASE)
_SPECIAL = frozenset({"expect", "transfer-encoding", "upgrade"})


class Head(NamedTuple):
    """`length` is that of the body in bytes, -1 where it comes in chunks; `newest` is whether this is HTTP/1.1."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    length: int
    newest: bool


def parse(data: bytes, *, upgrade: bool) -> Head | tuple[int, str]:
    """What a head says that llhttp has accepted, up to its empty line; or the status and sentence that refuse it.

    Refused is what another program on the way might read as another request: the ground of request smuggling (RFC 9112,
    11.2). llhttp sees to most of it; these are what it lets through, and our limits.
    """
    lines = data.decode("latin-1").split("\r\n")
    if len(lines) > HEADERS_LIMIT + 1:
        return 431, f"the request has more than {HEADERS_LIMIT} headers"
    said = lines[0].split(" ")
    if len(said) != 3:
        return 400, "this is no HTTP request: its first line is not method, target and version with one blank between"
    method, target, version = said
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        return 505, "HTTP/1.1 is spoken here, and HTTP/1.0"
    if len(target) > TARGET_LIMIT:
        return 414, f"the path and query are longer than {TARGET_LIMIT} characters"
    headers = _fields(lines)
    length = headers.get("content-length", "0")
    coding = headers.get("transfer-encoding")
    if not length.isdecimal() or not length.isascii() or (length[0] == "0" and len(length) > 1):
        return 400, "the request's length is not clear"
    if coding is not None and (coding.lower() != "chunked" or upgrade or version == "HTTP/1.0"):
        return 400, "the request's length is not clear: its transfer-encoding can only be `chunked`, in HTTP/1.1"
    if "," in headers.get("host", ""):
        return 400, "the request names more than one host"
    path, _, query = (target if target[:1] == "/" else _path_of(target)).partition("?")
    return Head(method, path, query, headers, int(length) if coding is None else -1, version == "HTTP/1.1")


def _fields(lines: list[str]) -> dict[str, str]:
    """The headers, a name that stands there more than once with all its values."""
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        name = name.lower()
        value = value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _path_of(target: str) -> str:
    """The path in a target that names its host too, as a proxy is asked (RFC 9112, 3.2.2); others are no page."""
    scheme, found, rest = target.partition("://")
    if not found or scheme.lower() not in ("http", "https"):
        return target
    _, slash, path = rest.partition("/")
    return slash + path or "/"


class KnownHead:
    """The head of a POST that was accepted, as the bytes around its length. The same bytes mean the same again."""

    __slots__ = ("_before", "_behind", "_headers", "_incoming", "_start")

    def __init__(self, before: bytes, behind: bytes, incoming: Incoming, headers: Mapping[str, str]) -> None:
        self._before = before
        self._start = len(before)
        self._behind = behind
        self._incoming = incoming
        self._headers = headers

    @classmethod
    def of(cls, head: bytes, incoming: Incoming) -> KnownHead | None:
        """What to remember of a head, bytes up to and with its empty line; None where that would not be plain."""
        if len(head) > LONGEST or incoming.method != "POST" or not _SPECIAL.isdisjoint(incoming.headers):
            return None
        found = _LENGTH.findall(head)
        place = _LENGTH.search(head)
        if place is None or len(found) != 1:
            return None
        headers = {name: value for name, value in incoming.headers.items() if name != "content-length"}
        return cls(head[: place.start(1)], head[place.end(1) :], incoming, headers)

    def read(self, data: bytes, limit: int) -> Incoming | None:
        """The request in `data` where that is this head again and its whole body, of at most `limit` bytes."""
        if not data.startswith(self._before):
            return None
        start = self._start
        end = data.find(b"\r", start)
        if not data.startswith(self._behind, end):
            return None
        body = data[end + len(self._behind) :]
        size = len(body)
        if size > limit or data[start:end] != b"%d" % size:
            return None
        known = self._incoming
        return Incoming(known.method, known.path, known.query, self._headers, body, known.peer)
