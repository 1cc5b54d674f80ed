"""A connection without a socket: whatever arrives, an answer comes to an end, and states move as the table says."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.errors import TargetFault
from sampan.upstreams.connection import Connection
from sampan.upstreams.http1 import Clocks, Limits, Response
from tests.upstreams.fuzz_http1 import outcome, pieces, test_one_input
from tests.upstreams.servers import answer
from tests.upstreams.test_answer import cutting, mutated


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.aborted = False
        self.held = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.aborted
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        assert not self.held
        self.held = True

    def resume_reading(self) -> None:
        assert self.held
        self.held = False


class Ledger:
    """An owner that counts what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def recycle(self, connection: Connection) -> None:
        self.told.append("recycled")

    def discard(self, connection: Connection) -> None:
        self.told.append("discarded")

    def gone(self, connection: Connection) -> None:
        self.told.append("gone")


def connected() -> tuple[Connection, Wire, Ledger]:
    ledger, wire = Ledger(), Wire()
    connection = Connection(asyncio.get_running_loop(), ledger, Limits(), 30)
    connection.connection_made(wire)
    return connection, wire, ledger


def started(connection: Connection, body: bytes = b"") -> Response:
    response = Response(connection, Clocks(), connection.loop.time() + 60, bodiless=False)
    connection.start(response, b"GET / HTTP/1.1\r\n\r\n", body)
    return response


async def settled(data: bytes, cuts: bytes) -> tuple[str, bytes, list[str]]:
    """How an exchange ends in which these bytes arrive, and then the end of the stream."""
    connection, wire, ledger = connected()
    response = started(connection)
    for piece in pieces(data, cuts):
        if not wire.aborted and "recycled" not in ledger.told:
            connection.data_received(piece)
    if not wire.aborted and "recycled" not in ledger.told:
        connection.eof_received()
    body = b""
    try:
        async with asyncio.timeout(5):
            await response.head()
            async for chunk in response.chunks():
                body += chunk
    except TargetFault as fault:
        return fault.fault.value, body, ledger.told
    return "complete", body, ledger.told


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=100) | mutated(), cuts=cutting)
def test_every_answer_ends_and_every_lease_with_it(data: bytes, cuts: bytes) -> None:
    verdict, body, told = asyncio.run(settled(data, cuts))
    expected = outcome(data, cuts, limits=Limits())
    assert body == expected[3]
    assert len(told) == 1
    if told == ["recycled"]:  # complete; later pieces found nobody who waited
        assert verdict == "complete"
    else:
        assert verdict == expected[0]


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=100))
def test_the_fuzz_target_runs(data: bytes) -> None:
    test_one_input(data)


async def test_states_move_as_the_table_says() -> None:
    connection, wire, ledger = connected()
    started(connection)
    with pytest.raises(RuntimeError, match="BUSY to BUSY"):
        started(connection)
    connection.data_received(answer(b"x"))
    assert ledger.told == ["recycled"]
    with pytest.raises(RuntimeError, match="IDLE to IDLE"):
        connection.connection_made(wire)
    connection.abort()
    connection.abort()
    assert ledger.told == ["recycled", "discarded"]
    with pytest.raises(RuntimeError, match="CLOSED to BUSY"):
        started(connection)
    connection.connection_lost(None)
    assert ledger.told == ["recycled", "discarded", "gone"]


async def test_a_large_body_is_written_as_the_transport_takes_it() -> None:
    connection, wire, _ = connected()
    connection.pause_writing()
    response = started(connection, b"x" * 1_000_000)
    assert len(wire.written) < 100, "only the head goes out before the transport is ready"
    connection.resume_writing()
    assert len(wire.written) > 1_000_000
    connection.data_received(answer(b"x"))
    assert await response.read(9) == b"x"


async def test_an_early_refusal_ends_the_sending() -> None:
    connection, wire, ledger = connected()
    connection.pause_writing()
    response = started(connection, b"x" * 1_000_000)
    connection.data_received(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\n")
    connection.resume_writing()
    assert len(wire.written) < 100
    connection.data_received(b"no")
    assert await response.read(9) == b"no"
    assert ledger.told == ["discarded"]


async def test_reading_stops_above_the_high_water_and_goes_on_below_the_low() -> None:
    connection, wire, _ = connected()
    response = started(connection)
    connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 900000\r\n\r\n")
    for number in range(1, 6):
        assert wire.held == (number > 5)
        connection.data_received(b"x" * 15_000)
    assert wire.held
    taken = 0
    while wire.held:
        taken += len(await anext(response))
    assert cast(int, taken) == 60_000
    response.close()
    assert wire.aborted
