"""Requests that two programs in a row may read as different ones: each is refused, and nothing behind it is heard.

The list is that of https://portswigger.net/web-security/request-smuggling and RFC 9112, 11.2.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from house import House, opened
from smuggled import BEHIND, CHUNKED, LAST, POST, REFUSED
from test_wire_requests import Counter as Desk
from test_wire_requests import connected, feed

from sampan.edge.wire import FRAMING_LIMIT


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("cut", [False, True], ids=["at once", "byte by byte"])
def test_it_is_refused_and_so_is_what_comes_behind(data: bytes, cut: bool) -> None:
    whole = data + BEHIND
    desk, transport = feed(whole, range(1, len(whole)) if cut and len(whole) < 1000 else ())
    assert desk.taken == []
    assert transport.closed == "closed"
    assert transport.written.count(b"content-length:") == 1
    assert transport.written.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 414 ", b"HTTP/1.1 505 "))
    assert b"connection: close\r\n" in transport.written


@pytest.mark.parametrize(
    "body",
    [
        b"3;" + b"a" * 2 * FRAMING_LIMIT + b"\r\nabc\r\n" + LAST,
        b"3\r\nabc\r\n0\r\n" + b"a: b\r\n" * FRAMING_LIMIT + b"\r\n",
        b"0" * 2 * FRAMING_LIMIT + b"3\r\nabc\r\n" + LAST,
        (b"1;" + b"a" * 40 + b"\r\na\r\n") * FRAMING_LIMIT + LAST,
    ],
    ids=["an extension", "trailers", "zeros before a size", "an extension with each byte"],
)
def test_what_stands_around_chunks_is_bounded(body: bytes) -> None:
    data = CHUNKED + body
    desk, transport = feed(data, range(0, len(data), 16_384))
    assert desk.taken == []
    assert transport.closed == "closed"


def test_many_small_chunks_are_one_piece_in_memory() -> None:
    desk = Desk(at_once=False)
    wire, _ = connected(desk)
    wire.data_received(CHUNKED)
    for _ in range(5):
        wire.data_received(b"1\r\na\r\n" * 2000)
    assert len(wire._body) == 5
    wire.data_received(LAST)
    assert desk.taken == [("POST", "/a", b"a" * 10_000)]


@pytest.mark.parametrize(
    ("data", "target"),
    [
        (b"POST http://evil.example/a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "/a?b"),
        (b"POST HTTPS://x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "/"),
    ],
)
def test_an_absolute_target_is_its_path_whatever_host_it_names(data: bytes, target: str) -> None:
    """A server must take it (RFC 9112, 3.2.2); nothing here is chosen by the host."""
    desk, transport = feed(data)
    assert desk.taken == [("POST", target, b"abc")]
    assert not transport.closed


def test_requests_sent_ahead_are_answered_in_their_order() -> None:
    data = b"".join(b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d" % (n, n) for n in range(9))
    desk, transport = feed(data)
    assert [target for _, target, _ in desk.taken] == [f"/{n}" for n in range(9)]
    assert [part[-1:] for part in transport.written.split(b"HTTP/1.1 200")[1:]] == [b"%d" % n for n in range(9)]


def test_a_known_head_with_a_zero_before_its_length_is_refused_too() -> None:
    desk = Desk()
    wire, transport = connected(desk)
    wire.data_received(POST + b"Content-Length: 3\r\n\r\nabc")
    wire.data_received(POST + b"Content-Length: 03\r\n\r\nabc")
    assert len(desk.taken) == 1
    assert transport.closed == "closed"


@pytest.mark.parametrize("first", [b"GET /\r\n\r\n", b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_a_broken_first_line_is_answered_over_a_socket_and_not_a_mistake(tmp_path: Path, first: bytes) -> None:
    async with opened(House(tmp_path)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(first)
        assert (await reader.read()).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        writer.close()
