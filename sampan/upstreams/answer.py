"""One answer after another, from bytes to a head and chunks: every protocol decision, and no I/O.

Stricter than RFC 9112 asks a client to be, because what is odd here is a broken or hostile middlebox:

- no bare LF as a line's end, no obs-fold, no blank in front of a header's colon or behind a chunk's size;
- exactly one Content-Length, of digits only; never together with Transfer-Encoding;
- Transfer-Encoding is `chunked` alone, and only in HTTP/1.1;
- HTTP/1.0 and 1.1 only, a status from 200 to 599 after at most a few 1xx, and never 101;
- an answer starts with its status line: no empty line in front;
- nothing comes behind an answer's end, not even an empty line.
"""

from __future__ import annotations

import re
from collections import deque
from typing import NoReturn

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from sampan.core import Fault
from sampan.errors import TargetFault
from sampan.upstreams.origin import Limits

# What a queued chunk costs beside its bytes (object header, slot), so that a flood of tiny ones is bounded too.
CHUNK_COST = 64

# RFC 9112, 4; the parser takes any version and status of three digits, and control characters in the reason.
_STATUS_LINE = re.compile(r"HTTP/1\.[01] [1-5][0-9][0-9](?: [\t\x20-\x7e\x80-\xff]*)?")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r\n", re.IGNORECASE)
_BEHIND = "bytes behind the end of the answer"


class AnswerReader:
    """Reads the answers of one connection, one `begin` for each. The public attributes are those of the current one.

    `chunks` fills as body arrives and is the reader's to empty; `charged` counts what was ever put there, each chunk
    with `CHUNK_COST` on top. `reusable` says whether the connection may be asked again, once `complete`.

    The parser checks a head as it comes in; its fields are cut from the held bytes afterwards, which costs a quarter
    of a callback for each. Both must see its end at the same place.
    """

    __slots__ = (
        "_bodiless",
        "_held",
        "_informational",
        "_length",
        "_limits",
        "_parser",
        "_past_head",
        "_quiet",
        "_reason",
        "_tail",
        "charged",
        "chunks",
        "complete",
        "framed",
        "head_complete",
        "headers",
        "reusable",
        "status",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parser = HttpResponseParser(self)
        self.begin()

    def begin(self, *, bodiless: bool = False) -> None:
        """Expect the next answer; `bodiless` if the request was HEAD or CONNECT, whose answers end with their head."""
        self._bodiless = bodiless
        self._held = b""
        self._past_head = False
        self._informational = 0
        self._length: int | None = None
        self._quiet = 0
        self._reason = ""
        self._tail = b""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.chunks: deque[bytes] = deque()
        self.charged = 0
        self.framed = True
        self.head_complete = False
        self.complete = False
        self.reusable = False

    def feed(self, data: bytes) -> None:
        """Take what arrived, not empty. Raises TargetFault(MALFORMED); chunks read before that point stay."""
        if not (self.head_complete or self._held) and self._take_whole(data):
            return
        while not self.head_complete:
            data = self._feed_head(data)
            if not data:
                return
        if self.complete:
            self._refuse(_BEHIND)
        before = self.charged
        self._parse(data)
        if self._length is None:
            self._look_behind(data)
        else:
            self._length -= len(data)
            if self._length < 0:
                self._refuse(_BEHIND)
        if self.charged != before:
            self._quiet = 0
        elif not self.complete:
            # A chunk's extension or a trailer that never ends: the parser keeps it, or we wait for it for ever.
            self._quiet += len(data)
            if self._quiet > self._limits.head_bytes:
                self._refuse(f"more than {self._limits.head_bytes} bytes in a row without body")

    def end(self) -> None:
        """The peer sends no more: ends an answer that only the connection's end can end. See `complete` after it."""
        if self.head_complete and not self.framed:
            self.complete = True

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self.complete:
            self._refuse(_BEHIND)

    def on_headers_complete(self) -> None:
        self._past_head = True

    def on_body(self, body: bytes) -> None:
        self.chunks.append(body)
        self.charged += len(body) + CHUNK_COST

    def on_message_complete(self) -> None:
        self.complete = True
        self.reusable = self._parser.should_keep_alive()

    # Decisions.

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            raise TargetFault(Fault.MALFORMED, self._reason or str(error)) from None

    def _take_whole(self, data: bytes) -> bool:
        """Whether `data` is one plain answer with its length said, which is then taken in one step: most short ones."""
        end = data.find(b"\r\n\r\n") + 4
        size = len(data) - end
        if not (4 <= end <= self._limits.head_bytes and size and not self._bodiless and data[9:10] != b"1"):
            return False
        length = _LENGTH.search(data, 0, end)
        if length is None or int(length[1]) != size:
            return False
        try:
            if data[:1] != b"H":
                self._refuse("the answer does not start with a status line")
            self._parse(data)
            if not self.complete or self.charged != size + CHUNK_COST:
                self._refuse("a head whose end is not clear")
            self._take_head(data[: end - 4].decode("latin-1").split("\r\n"))
            self._take_framing(self.headers, "1.1")
        except TargetFault:
            self.chunks.clear()  # of an answer whose head is none
            self.charged = 0
            self.head_complete = self.complete = self.reusable = False
            raise
        return True

    def _feed_head(self, data: bytes) -> bytes:
        """Take what belongs to the head; what is left is the next informational answer's, the final one's, or body."""
        held = self._held
        if not held and data[:1] != b"H":
            self._refuse("the answer does not start with a status line")
        head = held + data if held else data
        end = head.find(b"\r\n\r\n", max(len(held) - 3, 0))
        size = end + 4 if end >= 0 else len(head)
        if size > self._limits.head_bytes:
            self._refuse(f"a head of more than {self._limits.head_bytes} bytes")
        self._parse(head[len(held) : size])
        if self._past_head is not (end >= 0):
            self._refuse("a head whose end is not clear")
        if end < 0:
            self._held = head
            return b""
        self._take_head(head[:end].decode("latin-1").split("\r\n"))
        return head[size:]

    def _take_head(self, lines: list[str]) -> None:
        """Decide on a head that the parser has accepted: `lines` without ends, the status line first."""
        if len(lines) > self._limits.headers + 1:
            self._refuse(f"more than {self._limits.headers} headers")
        if _STATUS_LINE.fullmatch(lines[0]) is None:
            self._refuse("a status line that is none")
        status = self._parser.get_status_code()
        if status < 200:
            self._skip_informational(status)
            return
        headers = self.headers
        for line in lines[1:]:
            name, _, value = line.partition(":")
            name = name.lower()
            value = value.strip(" \t")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self.status = status
        if self._bodiless:
            # The parser cannot be told that no body follows. Where it waits for one, the connection ends here.
            self.complete = True
        elif not self.complete:
            self._take_framing(headers, lines[0][5:8])
        self.head_complete = True

    def _take_framing(self, headers: dict[str, str], version: str) -> None:
        """How the body will end (RFC 9112, 6.3)."""
        coding = headers.get("transfer-encoding")
        length = headers.get("content-length")
        if coding is not None:
            if length is not None:
                self._refuse("both a length and a transfer coding")
            if coding.lower() != "chunked":
                self._refuse("a transfer coding other than chunked")
            if version == "1.0":
                self._refuse("a transfer coding in HTTP/1.0")
        elif length is None:
            self.framed = False
        elif length.isascii() and length.isdecimal():
            self._length = int(length)
        else:
            self._refuse("a length that is no number")

    def _look_behind(self, data: bytes) -> None:
        """The parser passes over empty lines behind a last chunk: before its two line ends stands no third one."""
        self._tail = data[-5:] if len(data) >= 5 else (self._tail + data)[-5:]
        if self.complete and self._tail[:1] in (b"\r", b"\n"):
            self._refuse(_BEHIND)

    def _skip_informational(self, status: int) -> None:
        if status == 101:
            self._refuse("an upgrade that was not asked for")
        self._informational += 1
        if self._informational > self._limits.informational:
            self._refuse(f"more than {self._limits.informational} informational answers")
        self._held = b""
        self._past_head = self.complete = self.reusable = False

    def _refuse(self, reason: str) -> NoReturn:
        self._reason = reason
        raise TargetFault(Fault.MALFORMED, reason)
