"""The server's side of HTTP/1.1: what it takes h11 takes too, however the bytes come, and what it writes h11 reads."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.core import Incoming
from sampan.edge.addresses import Proxies
from sampan.edge.exchange import Exchange
from sampan.edge.guesses import Guesses
from sampan.edge.wire import AHEAD_LIMIT, HEAD_LIMIT, SMALL_BODY, Wire

LIMIT = 200_000
Taken = list[tuple[str, str, bytes]]


class Transport:
    """Keeps what is written; `closed` is how it ended."""

    def __init__(self, peer: tuple[str, int] | str = ("198.51.100.7", 4000)) -> None:
        self.peer = peer
        self.written = b""
        self.closed = ""
        self.reading = True
        self.unsent = 0

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def get_extra_info(self, name: str) -> Any:
        return self.peer if name == "peername" else None

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written += data

    def close(self) -> None:
        self.closed = self.closed or "closed"

    def abort(self) -> None:
        self.closed = "aborted"

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Counter:
    """A desk and a host in one: answers every request at once with its own body."""

    patience = 10.0
    pace = 0.0
    idle = 75.0
    stopping = False
    date = b"date: now\r\n"

    def __init__(self, *, at_once: bool = True) -> None:
        self.proxies = Proxies(["10.0.0.0/8"])
        self.guesses = Guesses(3, lambda: self.now)
        self.now = 0.0
        self.peers: list[str] = []
        self.taken: Taken = []
        self.refused: list[str] = []
        self.open: list[tuple[Incoming, Exchange]] = []
        self._at_once = at_once

    def limit(self, path: str) -> int:
        return LIMIT

    def attire(self, incoming: Incoming) -> bytes:
        return b""

    def admits(self, incoming: Incoming, length: int, exchange: Exchange) -> bool:
        return True

    def too_large(self, incoming: Incoming, exchange: Exchange) -> None:
        self.refused.append("large")
        exchange.answer(413, b"", b"large")

    def too_late(self, incoming: Incoming, exchange: Exchange) -> None:
        self.refused.append("late")
        exchange.answer(400, b"", b"late")

    async def answer(self, incoming: Incoming, exchange: Exchange) -> None:
        target = f"{incoming.path}?{incoming.query}" if incoming.query else incoming.path
        self.taken.append((incoming.method, target, incoming.body))
        self.peers.append(incoming.peer)
        self.open.append((incoming, exchange))
        if self._at_once:
            exchange.answer(200, b"x-kept: 1\r\n", incoming.body)

    def joined(self, wire: Wire) -> None: ...

    def parted(self, wire: Wire) -> None: ...

    def begin(self, answering: Coroutine[Any, Any, None]) -> None:
        with pytest.raises(StopIteration):
            answering.send(None)


def connected(counter: Counter) -> tuple[Wire, Transport]:
    loop = asyncio.new_event_loop()
    loop.close()  # its clock goes on, and a timer would be an error: these answers need none
    wire, transport = Wire(counter, counter, loop), Transport()
    wire.connection_made(transport)  # type: ignore[arg-type]
    return wire, transport


def feed(data: bytes, cuts: Sequence[int] = ()) -> tuple[Counter, Transport]:
    counter = Counter()
    wire, transport = connected(counter)
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    start = 0
    for end in ends:
        if end > start and not transport.closed:
            wire.data_received(data[start:end])
        start = end
    return counter, transport


def as_h11(data: bytes) -> Taken:
    """What h11 makes of the same bytes, up to the first that it refuses; empty lines in front count for none."""
    taken: Taken = []
    while data := data.lstrip(b"\r\n"):
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(data)
        body = b""
        try:
            request = connection.next_event()
            if not isinstance(request, h11.Request):
                break
            while isinstance(event := connection.next_event(), h11.Data):
                body += bytes(event.data)
        except h11.RemoteProtocolError:
            break
        if not isinstance(event, h11.EndOfMessage):
            break
        taken.append((request.method.decode(), request.target.decode("latin-1"), body))
        if connection.their_state is not h11.DONE:
            break
        data = connection.trailing_data[0]
    return taken


def replies(data: bytes, methods: Sequence[str]) -> list[tuple[int, bytes]]:
    """What h11 as the client reads."""
    found = []
    for method in methods:
        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        connection.send(h11.EndOfMessage())
        connection.receive_data(data)
        head = connection.next_event()
        assert isinstance(head, h11.Response)
        body = b""
        while isinstance(event := connection.next_event(), h11.Data):
            body += bytes(event.data)
        assert isinstance(event, h11.EndOfMessage)
        found.append((head.status_code, body))
        data = connection.trailing_data[0]
    assert data == b""
    return found


def piece(method: str, target: str, body: bytes, chunks: Sequence[int] | None) -> bytes:
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\n".encode()
    if chunks is None:
        return head + (b"Content-Length: %d\r\n\r\n%b" % (len(body), body) if body or method == "POST" else b"\r\n")
    out, start = b"", 0
    for size in (*chunks, len(body)):
        part = body[start : start + size]
        if part:
            out += b"%x\r\n%b\r\n" % (len(part), part)
        start += len(part)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + out + b"0\r\n\r\n"


requests = st.builds(
    piece,
    st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    st.sampled_from(["/", "/v1/messages", "/v1/x?beta=true&a=%20"]),
    st.binary(max_size=200),
    st.none() | st.lists(st.integers(1, 90), max_size=3),
)


@given(st.lists(requests, min_size=1, max_size=4), st.lists(st.integers(0, 1500), max_size=6))
def test_requests_come_in_whole_however_they_are_cut(pieces: list[bytes], cuts: list[int]) -> None:
    data = b"".join(pieces)
    counter, transport = feed(data, cuts)
    expected = as_h11(data)
    # A body in chunks with the next request in the very same bytes ends the connection; the caller asks again.
    assert counter.taken == expected[: len(counter.taken)]
    assert len(counter.taken) == len(expected) or transport.closed
    assert counter.taken
    said = replies(transport.written, [method for method, _, _ in counter.taken])
    assert said == [(200, body) for _, _, body in counter.taken]


FRAGMENTS = """
    GET / HTTP/1.1~|POST /a HTTP/1.1~|POST /a HTTP/1.0~|GET / HTTP/2.0~|G\x00T / HTTP/1.1~|Host: x~|HTTP/1.1 200 OK~
    |Content-Length: 3~|Content-Length: 3, 3~|Content-Length: +3~|content-length:3\n|Connection: close~| folded~|X : y~
    |Transfer-Encoding: chunked~|Transfer-Encoding: gzip, chunked~|Transfer-Encoding: xchunked~|X: \x00~|X: y\rz~
    |Upgrade: h2c~Connection: upgrade~|~|\n|abc|3~abc~|0~~|3;x=1~abc~|-1~|3~abcd~|\xff
"""
fragments = st.sampled_from([each.strip("\n").replace("~", "\r\n").encode("latin-1") for each in FRAGMENTS.split("|")])


@given(
    st.lists(fragments, min_size=1, max_size=12).map(b"".join) | st.binary(max_size=300), st.lists(st.integers(0, 300))
)
def test_nothing_is_taken_that_h11_would_read_otherwise(data: bytes, cuts: list[int]) -> None:
    counter, transport = feed(data, cuts)
    taken = counter.taken
    if b"pgrade" not in data:  # h11 stops at a switch of protocols, which we decline by going on
        assert taken == as_h11(data)[: len(taken)]
    if not transport.closed and transport.written:
        assert transport.written.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: xchunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding : chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\n folded: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nhost: x\n\n\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"b" * HEAD_LIMIT + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"b" * (2 * HEAD_LIMIT), 431),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n", 400),
    ],
)
def test_what_could_hide_a_second_request_is_refused(data: bytes, status: int) -> None:
    counter, transport = feed(data)
    assert counter.taken == []
    assert transport.closed == "closed"
    assert [each for each, _ in replies(transport.written, ["GET"])] == [status]
    assert b"connection: close\r\n" in transport.written


@pytest.mark.parametrize("size", [0, 5, SMALL_BODY + 1])
def test_an_upgrade_is_declined_by_an_ordinary_answer(size: int) -> None:
    """Java's client asks for HTTP/2 with every call in the clear."""
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
    call = b"POST / HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%b" % (upgrade, size, bytes(size))
    counter, transport = feed(call + call + b"GET /last HTTP/1.1\r\nHost: x\r\n\r\n", [7, 300, 400])
    assert counter.taken == [("POST", "/", bytes(size))] * 2 + [("GET", "/last", b"")]
    assert not transport.closed


def test_a_caller_who_runs_ahead_is_not_read_until_it_is_its_turn() -> None:
    counter = Counter(at_once=False)
    wire, transport = connected(counter)
    call = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    wire.data_received(call)
    ahead = AHEAD_LIMIT // len(call) + 2
    for _ in range(ahead):
        wire.data_received(call)
    assert len(counter.open) == 1
    assert not transport.reading
    for asked in range(ahead + 1):
        assert len(counter.open) == asked + 1
        counter.open[asked][1].answer(200, b"", b"")
    assert transport.reading


def test_a_late_word_for_an_answered_call_reaches_nobody() -> None:
    counter = Counter()
    wire, transport = connected(counter)
    wire.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    written = transport.written
    _, exchange = counter.open[0]
    exchange.answer(200, b"", b"again")
    exchange.end()
    exchange.close()
    assert (transport.written, transport.closed) == (written, "")


def test_an_answer_that_is_given_up_cuts_the_connection() -> None:
    counter = Counter(at_once=False)
    wire, transport = connected(counter)
    wire.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    counter.open[0][1].close()
    assert (transport.written, transport.closed) == (b"", "aborted")


def test_an_idle_connection_is_let_go_and_a_busy_one_is_not() -> None:
    counter = Counter(at_once=False)
    wire, transport = connected(counter)
    wire.look(wire.due - 1)
    wire.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    wire.look(wire.due + 1000)
    counter.open[0][1].answer(200, b"", b"")
    wire.look(wire.due + 1)
    assert transport.closed == "closed"


@pytest.mark.parametrize("whole", [True, False])
def test_a_caller_who_takes_nothing_of_its_answer_is_let_go_and_a_slow_one_is_not(whole: bool) -> None:
    counter = Counter(at_once=False)
    wire, transport = connected(counter)
    wire.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    exchange = counter.open[0][1]
    left: list[str] = []
    exchange.left = lambda: left.append("left")
    if whole:
        exchange.answer(200, b"", bytes(100_000))
    transport.unsent = 100_000
    wire.pause_writing()
    for taken in (0, 1, 0):  # it takes a byte between two looks, or so much that more is written
        wire.look(wire.due + 1)
        transport.unsent -= taken
        if not taken:
            wire.resume_writing()
            wire.pause_writing()
    assert not transport.closed
    wire.look(wire.due + 1)
    wire.look(wire.due - 1)
    assert not transport.closed, "too early"
    wire.look(wire.due + 1)
    assert transport.closed == "aborted"
    wire.connection_lost(None)
    assert left == ([] if whole else ["left"]), "who answers is not told"
