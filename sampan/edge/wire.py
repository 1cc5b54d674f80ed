"""One connection of a caller's: requests in, one at a time, answers out. Our own HTTP/1.1, for the heart of a gateway.

    HEAD ──head──▶ BODY ──whole──▶ ANSWERING ──answered──▶ HEAD          any ──lost──▶ CLOSED
                    └──refused──▶ DRAINING ──whole, or too much of it──▶ CLOSED

Measured beside a general server's protocol on this path: that one takes four times as long for its scopes, messages and
timers. llhttp (by httptools) checks what comes; the fields are cut from the bytes that it accepted.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Mapping
from enum import IntEnum
from http import HTTPStatus
from typing import Any, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from sampan.core import Answer, Incoming
from sampan.edge.addresses import Proxies, plain
from sampan.edge.exchange import Exchange, refusal
from sampan.edge.guesses import Guesses, credential_of
from sampan.edge.heads import Head, KnownHead, parse

SMALL_BODY = 65_536
"""Bytes of a body that is waited for before anybody is asked; a larger one is worth a look at its head first."""

HEAD_LIMIT = 65_536
FRAMING_LIMIT = 65_536
FRAMING_SHARE = 16
"""Bytes around the chunks of a body, and for each byte in them: more are there for our trouble only."""

GRACE = 10.0
"""Seconds that a body may take to come at any rate."""

AHEAD_LIMIT = 65_536
"""Bytes that a caller may send ahead of the answer that it waits for; then we stop reading."""

DRAIN_LIMIT = 64 << 20
DRAIN_SECONDS = 2.0
"""A connection that is closed on bytes which nobody has read is reset, and the refusal may be lost with it."""

_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"connection: close\r\n"
_JSON = b"content-type: application/json\r\n"


class State(IntEnum):
    HEAD = 0
    BODY = 1
    ANSWERING = 2
    DRAINING = 3
    CLOSED = 4


_MOVES: tuple[frozenset[State], ...] = (
    frozenset({State.BODY, State.ANSWERING, State.CLOSED}),
    frozenset({State.ANSWERING, State.DRAINING, State.CLOSED}),
    frozenset({State.HEAD, State.CLOSED}),
    frozenset({State.CLOSED}),
    frozenset(),
)
# Looked up by name each costs 0.4 µs, and a short call does it a dozen times.
_HEAD, _BODY, _ANSWERING, _DRAINING, _CLOSED = State.HEAD, State.BODY, State.ANSWERING, State.DRAINING, State.CLOSED


class Desk(Protocol):
    """Who answers: the door. All but `answer` at once, on the exchange, where it refuses."""

    @property
    def patience(self) -> float:
        """Seconds that a body may take to come."""
        ...

    @property
    def pace(self) -> float:
        """Bytes a second that it must bring on average, after its first seconds; 0 for any."""
        ...

    def attire(self, incoming: Incoming) -> bytes:
        """Headers of every answer to this request, lines with their ends."""
        ...

    def limit(self, path: str) -> int:
        """Bytes of a body that this path takes."""
        ...

    def admits(self, incoming: Incoming, length: int, exchange: Exchange) -> bool:
        """Whether a large body is worth reading: `length` bytes of it, or -1 where the caller does not say."""
        ...

    def too_large(self, incoming: Incoming, exchange: Exchange) -> None: ...

    def too_late(self, incoming: Incoming, exchange: Exchange) -> None: ...

    def answer(self, incoming: Incoming, exchange: Exchange) -> Coroutine[Any, Any, None] | None:
        """What is left to do; None where it is answered, or will be without a task."""
        ...

    def attend(self, rest: Coroutine[Any, Any, Answer], exchange: Exchange) -> Coroutine[Any, Any, None]: ...


class Host(Protocol):
    """What a connection asks of the listener that it came in by."""

    idle: float
    """Seconds between two requests; also how long an answer may wait for a caller who takes nothing of it."""

    stopping: bool
    date: bytes
    proxies: Proxies
    guesses: Guesses

    def joined(self, wire: Wire) -> None: ...

    def parted(self, wire: Wire) -> None: ...

    def begin(self, answering: Coroutine[Any, Any, None]) -> None: ...


class Wire(asyncio.Protocol):
    """Made for each connection by the listener, which also calls `look` now and then: no timer is made for a call."""

    __slots__ = (
        "_afresh",
        "_asker",
        "_attire",
        "_began",
        "_body",
        "_chunked",
        "_complete",
        "_credential",
        "_desk",
        "_doubted",
        "_exchange",
        "_held",
        "_host",
        "_incoming",
        "_keep",
        "_known",
        "_left_over",
        "_limit",
        "_overrun",
        "_parser",
        "_past_head",
        "_paused",
        "_proxied",
        "_raw",
        "_size",
        "_state",
        "_transport",
        "_unsent",
        "_wanted",
        "bodiless",
        "came",
        "chunks",
        "clogged",
        "counted",
        "due",
        "loop",
        "peer",
    )

    def __init__(self, desk: Desk, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._desk = desk
        self._host = host
        self._transport: asyncio.Transport | None = None
        self._parser = HttpRequestParser(self)
        self._state = _HEAD
        self._exchange: Exchange | None = None
        self._incoming: Incoming | None = None
        self._known: KnownHead | None = None
        self._held = b""  # of a head that is not whole
        self._left_over = b""  # what came behind the request that is being answered
        self._body: list[bytes] = []
        self._size = 0
        self._raw = 0  # bytes that a body in chunks came in
        self._began = 0.0  # when the body was first waited for
        self._wanted = 0  # bytes of the body still to come
        self._unsent = 0  # of the answer, when last looked at; 0 as soon as the caller has taken some
        self._limit = 0
        self._afresh = False  # whether the next request needs a new parser
        self._chunked = self._complete = self._past_head = self._overrun = self._paused = False
        self._keep = True
        # Who is at the other end, whether that is a proxy of ours, and who asks then. A head that came before came from
        # the same, and its answer has the same headers: what was found out for the last head is not looked at again.
        self.peer = self._asker = ""
        self.came = self.counted = self._proxied = False
        self._attire = b""
        self._credential = ""
        self._doubted = False  # whether it is news that this credential is good
        # Of the answer: none to HEAD, in chunks but for HTTP/1.0. `clogged` is there while the caller does not read.
        self.bodiless = False
        self.chunks = True
        self.clogged: asyncio.Future[None] | None = None
        self.due = loop.time() + host.idle  # when `look` has something to do, on the loop's clock

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses
        self.came = True
        address = transport.get_extra_info("peername")
        self.peer = self._asker = plain(address[0]) if isinstance(address, tuple) else ""
        self._proxied = self._host.proxies.trusts(self.peer)
        self._host.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._state is not _CLOSED:
            self._move(_CLOSED)
        if self.clogged is not None and not self.clogged.done():
            self.clogged.set_result(None)
        exchange, self._exchange = self._exchange, None
        self._incoming = None
        self._host.parted(self)
        if exchange is not None:
            exchange.lose()

    def eof_received(self) -> bool:
        return False  # a caller who says nothing more is taken for one who has left, as every common server does

    def pause_writing(self) -> None:
        if self.clogged is None:
            self.clogged = self.loop.create_future()

    def resume_writing(self) -> None:
        self._unsent = 0
        clogged, self.clogged = self.clogged, None
        if clogged is not None and not clogged.done():
            clogged.set_result(None)

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state is _HEAD:
            if self._known is None or not self._take_known(self._known, data):
                self._take_head(data)
        elif state is _ANSWERING:
            self._left_over += data
            if len(self._left_over) > AHEAD_LIMIT and not self._paused:
                self._paused = True
                self._live().pause_reading()
        elif state is not _CLOSED:
            self._take_body(data)

    def forget(self) -> None:
        """The configuration was read again: what was found out of this caller may be otherwise now."""
        self._known = None
        self._proxied = self._host.proxies.trusts(self.peer)
        self._asker = self.peer

    # What the parser calls.

    def on_headers_complete(self) -> None:
        self._past_head = True
        self._keep = self._parser.should_keep_alive()  # only right until the message is complete

    def on_message_begin(self) -> None:
        self._overrun = self._complete  # a second request in the bytes of the first one's chunks

    def on_body(self, body: bytes) -> None:
        if self._chunked and not self._complete:
            self._body.append(body)
            self._size += len(body)

    def on_message_complete(self) -> None:
        self._complete = True

    # A request comes in.

    def _take_head(self, data: bytes) -> None:
        held = self._held
        if held:
            data = held + data
        elif data[:1] in b"\r\n":
            data = data.lstrip(b"\r\n")  # RFC 9112, 2.2: some end a body with one line end too many
            if not data:
                return
        end = data.find(b"\r\n\r\n", max(len(held) - 3, 0))
        if (end if end >= 0 else len(data)) > HEAD_LIMIT:
            self._refuse(431, f"the head of the request is longer than {HEAD_LIMIT} bytes")
            return
        if end < 0:
            if not held:
                self.due = self.loop.time() + self._desk.patience
            self._held = data
            return
        self._held = b""
        self._read_head(data, end)
        if len(data) > end + 4 and self._state is not _CLOSED:
            self.data_received(data[end + 4 :])

    def _read_head(self, data: bytes, end: int) -> None:
        """`end` is where the head's last line ends."""
        self._past_head = self._complete = False
        upgrade = False
        try:
            self._parser.feed_data(data[: end + 4])
        except HttpParserUpgrade:
            upgrade = True  # to HTTP/2, by some clients with every call: declined by not speaking of it (RFC 9110, 7.8)
        except HttpParserError as error:
            self._refuse(400, f"this is no HTTP request: {error}")
            return
        if not self._past_head:
            self._refuse(400, "this is no HTTP request: a head whose end is not clear")
            return
        self._known = None
        head = parse(data[:end], upgrade=upgrade)
        if isinstance(head, Head):
            self._open(head, upgrade=upgrade)
        else:
            self._refuse(*head)
            return
        if self._state is _BODY and self._keep and self.chunks and not self._afresh and self._incoming is not None:
            self._known = KnownHead.of(data[: end + 4], self._incoming)

    def _take_known(self, known: KnownHead, data: bytes) -> bool:
        """Whether this is a whole request with the head of the one before, which need not be taken apart again.

        The parser is left out of it, and stands where it stood: before a request.
        """
        incoming = None if self._held else known.read(data, SMALL_BODY)
        if incoming is None or len(incoming.body) > self._desk.limit(incoming.path):
            return False
        self._keep = not self._host.stopping
        self._exchange = exchange = Exchange(self)
        self._state = _ANSWERING  # from HEAD, which is legal
        self._begin(incoming, exchange)
        return True

    def _open(self, head: Head, *, upgrade: bool) -> None:
        """Decides on a head that the parser has accepted, and that can be read in one way only."""
        method, path, query, headers, length, newest = head
        self._keep &= not self._host.stopping
        self.bodiless = method == "HEAD"
        self.chunks = newest
        if self._proxied:
            self._asker = self._host.proxies.asker(self.peer, headers.get("x-forwarded-for", ""))
        self._incoming = incoming = Incoming(method, path, query, headers, b"", self._asker)
        self._attire = self._desk.attire(incoming)
        self._exchange = Exchange(self)
        self._chunked = length < 0
        self._wanted = max(length, 0)
        self._afresh = upgrade or length > SMALL_BODY
        if self._turns_away(incoming):
            return
        if length:
            self._expect_body(headers, length)
        else:
            if upgrade:
                self._parser = HttpRequestParser(self)
            self._whole(b"")

    def _turns_away(self, incoming: Incoming) -> bool:
        """Whether the request is refused by its head alone, in words; the body that may follow is read out."""
        headers = incoming.headers
        credential = credential_of(headers)
        coding = headers.get("content-encoding", "")
        wait = 0.0
        if credential or incoming.method == "POST":
            wait = self._host.guesses.wait(self._asker, credential)
        if wait:
            said = f"too many wrong keys came from this address; ask again in {math.ceil(wait)} seconds"
            away = 429, "rate_limit_error", said, b"retry-after: %d\r\n" % math.ceil(wait)
        elif coding.lower() not in ("", "identity"):
            said = f"a body with content-encoding {coding[:40]!r} is not read here; send it as it is"
            away = 415, "invalid_request_error", said, b""
        else:
            news = self._proxied or credential != self._credential
            self._doubted = news and incoming.method == "POST" and incoming.path.startswith("/v1/")
            self._credential = credential
            return False
        assert self._exchange is not None
        self._keep = False
        if self._wanted or self._chunked:
            self._move(_BODY)
        else:
            self._move(_ANSWERING)
        status, kind, said, more = away
        self._exchange.answer(status, _JSON + more, refusal(kind, said))
        return True

    def _heed(self, status: int) -> None:
        """What an answer says of who asked: a wrong key, or one that was not known to be good."""
        self._doubted = False
        if status == 401:
            self._known = None
            self._host.guesses.failed(self._asker)
        if self._credential and 200 <= status < 300:
            self._host.guesses.passed(self._asker, self._credential)
        else:
            self._credential = ""

    def _expect_body(self, headers: Mapping[str, str], length: int) -> None:
        """`length` in bytes, or -1 where its chunks will say."""
        assert self._incoming is not None and self._exchange is not None
        self._move(_BODY)
        self._limit = self._desk.limit(self._incoming.path)
        self._began = self.loop.time()
        self._raw = 0
        self.due = self._began + (min(self._desk.patience, GRACE) if self._desk.pace else self._desk.patience)
        if length > self._limit:
            self._desk.too_large(self._incoming, self._exchange)
            return
        admitted = 0 <= length <= SMALL_BODY or self._desk.admits(self._incoming, length, self._exchange)
        if admitted and headers.get("expect", "").lower() == "100-continue":
            self.send(_CONTINUE)

    def _take_body(self, data: bytes) -> None:
        if self._chunked:
            self._take_chunks(data)
        else:
            wanted = self._wanted
            if len(data) > wanted:
                data, rest = data[:wanted], data[wanted:]
                self._left_over = rest
            self._wanted = wanted - len(data)
            if self._state is _BODY:
                self._body.append(data)
            self._size += len(data)
            self._complete = not self._wanted
            if self._keep:
                self._advance(data)
        if self._state is _DRAINING:
            if self._complete or self._size > DRAIN_LIMIT:
                self._live().close()
        elif self._complete and self._state is _BODY:
            body, self._body = self._body, []
            self._whole(body[0] if len(body) == 1 else b"".join(body))

    def _advance(self, data: bytes) -> None:
        """Takes the parser along over a body of known length, so that it stands at the next request.

        Not over a large one, which it would copy: the next request then gets a new parser.
        """
        if not self._afresh:
            self._parser.feed_data(data)
        elif not self._wanted:
            self._parser = HttpRequestParser(self)

    def _take_chunks(self, data: bytes) -> None:
        before = self._size
        pieces = len(self._body)
        self._raw += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if self._state is _DRAINING or self._complete:
                self._overrun = True
            else:
                self._refuse(400, f"the chunks of the body cannot be read: {error}")
                return
        if self._overrun:
            self._keep = False
        if self._state is _DRAINING:
            self._body.clear()
            self._size = max(self._size, before + len(data))
        elif self._size > self._limit:
            self._body.clear()
            assert self._incoming is not None and self._exchange is not None
            self._desk.too_large(self._incoming, self._exchange)
        elif self._raw - self._size > FRAMING_LIMIT + FRAMING_SHARE * self._size:
            self._refuse(400, "the chunks of the body have more around them than in them")
        elif len(self._body) > pieces + 1:  # thirty-five bytes for each that is kept by itself
            self._body[pieces:] = [b"".join(self._body[pieces:])]

    def _whole(self, body: bytes) -> None:
        """The whole request is here."""
        incoming, exchange = self._incoming, self._exchange
        assert incoming is not None and exchange is not None
        self._state = _ANSWERING  # from HEAD or BODY, both legal
        self._incoming = None
        self._size = 0
        if body:
            incoming = Incoming(incoming.method, incoming.path, incoming.query, incoming.headers, body, incoming.peer)
        self._begin(incoming, exchange)

    def _begin(self, incoming: Incoming, exchange: Exchange) -> None:
        answering = self._desk.answer(incoming, exchange)
        if answering is not None:
            self._host.begin(answering)

    def resume(self, rest: Coroutine[Any, Any, Answer], exchange: Exchange) -> None:
        self._host.begin(self._desk.attend(rest, exchange))

    # An answer goes out.

    def start(self, status: int, headers: bytes) -> bytes:
        """The head of an answer up to what says where it ends."""
        if self._state is not _ANSWERING or not self.chunks:
            self._keep = False  # refused before its body was here, or HTTP/1.0
        if status == 401 or self._doubted:
            self._heed(status)
        line = _LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
        return b"%b%b%b%b%b" % (line, self._host.date, self._attire, headers, b"" if self._keep else _CLOSE)

    def send(self, data: bytes) -> None:
        self._live().write(data)

    def complete(self, data: bytes) -> None:
        """The last bytes of an answer; then the next request's turn."""
        transport = self._live()
        if data:
            transport.write(data)
        self._exchange = None
        if self._state is _BODY:
            self._move(_DRAINING)
            self._body.clear()
            self.due = self.loop.time() + DRAIN_SECONDS
            return
        if not self._keep:
            transport.close()
            return
        self._move(_HEAD)
        self.due = self.loop.time() + self._host.idle
        if self._paused:
            self._paused = False
            transport.resume_reading()
        if self._left_over:
            data, self._left_over = self._left_over, b""
            self._take_head(data)

    def cut(self) -> None:
        """Ends the connection so that nobody takes it for the end of an answer."""
        self._exchange = None
        self._live().abort()

    def look(self, now: float) -> None:
        """Whether what was waited for is late; called a few times a second."""
        if now < self.due or self._state is _CLOSED:
            return
        if self.clogged is not None or self._state is _ANSWERING:
            self._look_at_answer(now)
        elif self._state is _BODY and self._exchange is not None and self._incoming is not None:
            self._look_at_body(now, self._incoming, self._exchange)
        elif self._held and self._state is _HEAD:
            self._refuse(408, f"the head of the request did not arrive within {self._desk.patience:g} seconds")
        else:
            self._live().close()

    def _look_at_body(self, now: float, incoming: Incoming, exchange: Exchange) -> None:
        """Whether a body may still come: within its time, and not by drops."""
        took = now - self._began
        left = self._desk.patience - took
        if left > 0 and self._size >= self._desk.pace * took:
            self.due = now + min(left, 1.0)
        else:
            self._desk.too_late(incoming, exchange)

    def _look_at_answer(self, now: float) -> None:
        """A caller who takes nothing must not hold an upstream, nor a place before it, for ever."""
        unsent = self._live().get_write_buffer_size() if self.clogged is not None else 0
        if unsent and unsent == self._unsent:
            self.abort()
        else:
            self._unsent = unsent
            self.due = now + self._host.idle

    def retire(self) -> None:
        """The server stops: an answer under way is the last one."""
        self._keep = False
        if self._state is _HEAD:
            self._live().close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def refuse(self, status: int, message: str) -> None:
        """There is no room for the connection."""
        self._refuse(status, message, "rate_limit_error" if status == 429 else "overloaded_error")

    def _refuse(self, status: int, message: str, kind: str = "invalid_request_error") -> None:
        """What is no request of any dialect. Nothing that comes behind it is looked at."""
        body = refusal(kind, message)
        self._keep = self._doubted = False
        self._attire = b""
        head = self.start(status, _JSON)
        transport = self._live()
        transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body))
        self._move(_CLOSED)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.lose()
        transport.close()

    def _move(self, state: State) -> None:
        if state not in _MOVES[self._state]:
            raise RuntimeError(f"a caller's connection cannot go from {self._state.name} to {state.name}")
        self._state = state

    def _live(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport
