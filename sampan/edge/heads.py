"""Heads that came before: a caller who keeps a connection says the same with every call, but for a length."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sampan.core import Incoming

LONGEST = 8192
"""Bytes of a head that is worth remembering, for each connection."""

_LENGTH = re.compile(rb"\r\ncontent-length: ?([0-9]{1,9})(?=\r\n)", re.IGNORECASE)
_SPECIAL = frozenset({"expect", "transfer-encoding", "upgrade"})


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
        length = data[start:end]
        if not (data.startswith(self._behind, end) and length.isdigit() and len(length) < 10):
            return None
        body = data[end + len(self._behind) :]
        size = len(body)
        if size != int(length) or size > limit:
            return None
        known = self._incoming
        return Incoming(known.method, known.path, known.query, self._headers, body)
