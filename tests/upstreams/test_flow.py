"""Backpressure both ways: a peer that sends more than is read, and one that reads less than is sent."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from sampan.errors import TargetFault
from sampan.upstreams.answer import CHUNK_COST
from sampan.upstreams.http1 import Clocks, Limits, Origin, Pool
from tests.upstreams.servers import Flood, Read, ReadHead, ReadRest, Send, Stall, Step, Tell, Wait, answer, playing

LOOPS = ("asyncio", "uvloop")

PATIENT = Clocks(connect=20, first_event=20, idle=20, total=60)
PIECE = 65_536
TIMES = 800  # 50 MB
TOTAL = PIECE * TIMES
# What sockets on loopback and asyncio's streams may hold between the two programs, in bytes.
IN_BETWEEN = 16 << 20


def queued(response: object) -> int:
    chunks: list[bytes] = list(getattr(response, "_chunks"))  # noqa: B009
    return sum(len(chunk) + CHUNK_COST for chunk in chunks)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_a_reader_that_does_not_read_holds_the_peer(
    secure: bool, serving: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % TOTAL
    script: list[Step] = [Read(), Send(head), Flood(b"x" * PIECE, TIMES), Stall()]
    async with playing(script, tls=serving if secure else None) as stage:
        pool = Pool(Origin.parse(stage.url), ssl_context=trusting, headers={})
        async with await pool.request("GET", "/", clocks=PATIENT) as response:
            await settled(lambda: stage.flooded)
            assert stage.flooded < IN_BETWEEN, "the peer was not held back"
            assert queued(response) < Limits().high_water + 2 * 262_144
            size = most = 0
            async for chunk in response.chunks():
                size += len(chunk)
                most = max(most, queued(response))
            assert size == TOTAL
            assert most < Limits().high_water + 2 * 262_144
        assert pool.idle == 1
        await pool.aclose()


async def settled(measure: object) -> None:
    """Wait until a number has not moved for many turns of the loop: nothing more is going to happen by itself."""
    assert callable(measure)
    last, still = -1, 0
    while still < 2000:
        now = measure()
        still = still + 1 if now == last and now > 0 else 0
        last = now
        await asyncio.sleep(0)


async def test_tiny_chunks_are_bounded_too() -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    script: list[Step] = [Read(), Send(head), Flood(b"2\r\nab\r\n" * 1000, 300), Send(b"0\r\n\r\n")]
    async with playing(script) as stage:
        pool = Pool(Origin.parse(stage.url), headers={}, limits=Limits(high_water=65_536, low_water=16_384))
        async with await pool.request("GET", "/", clocks=PATIENT) as response:
            await settled(lambda: stage.flooded)
            segment = 262_144 // 7 * (2 + CHUNK_COST)
            assert queued(response) < 65_536 + segment
            assert sum([len(chunk) async for chunk in response.chunks()]) == 600_000
        await pool.aclose()


async def test_slow_reading_is_not_the_peers_silence() -> None:
    """The idle clock runs while the reader waits, not while it is busy elsewhere."""
    body = b"x" * 2_000_000
    async with playing([Read(), Send(answer(body)), Stall()]) as stage:
        pool = Pool(Origin.parse(stage.url), headers={})
        async with await pool.request("GET", "/", clocks=Clocks(idle=0.3, first_event=20)) as response:
            response.first_event_seen()
            size = len(await anext(response))
            loop = asyncio.get_running_loop()
            later = loop.create_future()
            loop.call_later(0.5, later.set_result, None)
            await later
            async for chunk in response.chunks():
                size += len(chunk)
            assert size == len(body)
        await pool.aclose()


async def test_a_large_request_goes_out_as_the_peer_reads() -> None:
    body = bytes(range(256)) * 80_000  # 20 MB
    go = asyncio.Event()
    async with playing([Wait(go), Read(), Send(answer(b"done")), Stall()]) as stage:
        pool = Pool(Origin.parse(stage.url), headers={})
        task = asyncio.create_task(pool.request("POST", "/", body=body, clocks=PATIENT))
        await stage.met.wait()
        go.set()
        async with await task as response:
            assert await response.read(9) == b"done"
        assert stage.requests[0].endswith(body)
        assert pool.idle == 1
        await pool.aclose()


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_an_early_refusal_is_heard(secure: bool, serving: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    refusal = answer(b"too large", status="413 Content Too Large")
    async with playing([ReadHead(), Send(refusal), Stall()], tls=serving if secure else None) as stage:
        pool = Pool(Origin.parse(stage.url), ssl_context=trusting, headers={})
        async with await pool.request("POST", "/", body=b"x" * 30_000_000, clocks=PATIENT) as response:
            assert response.status == 413
            assert await response.read(99) == b"too large"
        await stage.left.wait()
        assert pool.size == 0, "the request never went out whole: the connection cannot be asked again"
        await pool.aclose()


async def test_an_early_head_does_not_stop_the_request() -> None:
    body = b"x" * 10_000_000
    heard = asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
    async with playing([ReadHead(), Send(head), Wait(heard), ReadRest(), Send(b"ok")]) as stage:
        pool = Pool(Origin.parse(stage.url), headers={})
        task = asyncio.create_task(pool.request("POST", "/", body=body, clocks=PATIENT))
        async with await task as response:
            heard.set()
            assert await response.read(9) == b"ok"
        assert stage.requests[0].endswith(body)
        await pool.aclose()


async def test_a_peer_that_takes_nothing_is_a_fault() -> None:
    never = asyncio.Event()
    async with playing([ReadHead(), Wait(never)]) as stage:
        pool = Pool(Origin.parse(stage.url), headers={})
        with pytest.raises(TargetFault, match="first_byte_timeout"):
            await pool.request("POST", "/", body=b"x" * 30_000_000, clocks=Clocks(first_event=0.1))
        assert pool.size == 0
        await pool.aclose()


async def test_leaving_a_paused_answer_closes_it() -> None:
    told = asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % TOTAL
    async with playing([Read(), Send(head), Tell(told), Flood(b"x" * PIECE, TIMES)]) as stage:
        pool = Pool(Origin.parse(stage.url), headers={})
        async with await pool.request("GET", "/", clocks=PATIENT):
            await told.wait()
            await settled(lambda: stage.flooded)
        assert pool.size == 0
        assert stage.flooded < TOTAL
        await pool.aclose()
