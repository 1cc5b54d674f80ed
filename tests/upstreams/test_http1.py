"""One exchange after another with servers that behave in every way there is: reuse, faults, limits, cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from sampan.core import Fault
from sampan.errors import TargetFault
from sampan.upstreams.http1 import Clocks, Limits, Origin, Pool, Response
from tests.upstreams.servers import (
    SERVE,
    Again,
    Close,
    Read,
    ReadHead,
    Reset,
    Send,
    Stage,
    Stall,
    Step,
    Tell,
    Wait,
    answer,
    chunked,
    playing,
)

LOOPS = ("asyncio", "uvloop")

PATIENT = Clocks(connect=20, first_event=20, idle=20, total=60)
HURRIED = 0.03  # for what can only fail
BRISK = 0.4  # for what must first go right for a while, on a busy machine too


@contextlib.asynccontextmanager
async def asking(stage: Stage, *, limit: int = 256, keep_alive: float = 30.0) -> AsyncIterator[Pool]:
    pool = Pool(Origin.parse(stage.url), headers={"x-api-key": "k"}, max_connections=limit, keep_alive=keep_alive)
    try:
        yield pool
    finally:
        await pool.aclose()


async def ask(pool: Pool, clocks: Clocks = PATIENT, *, method: str = "POST", body: bytes = b"{}") -> Response:
    return await pool.request(method, "/v1/messages", body=body, clocks=clocks)


async def ask_all(pool: Pool, clocks: Clocks = PATIENT, *, method: str = "POST", body: bytes = b"{}") -> bytes:
    async with await ask(pool, clocks, method=method, body=body) as response:
        return await response.read(1 << 20)


async def fault_of(*script: Step, clocks: Clocks = PATIENT, method: str = "POST") -> TargetFault:
    """The fault that a whole exchange with such a server ends in."""
    async with playing(script) as stage, asking(stage) as pool:
        with pytest.raises(TargetFault) as caught:
            await ask_all(pool, clocks, method=method)
        assert pool.size == 0, "a connection that failed must not be kept"
        return caught.value


# What is sent and what comes back.


async def test_request_is_sent_as_asked() -> None:
    async with playing(SERVE) as stage:
        pool = Pool(Origin.parse(stage.url + "/base/"), headers={"X-Api-Key": "k", "accept": "a"})
        async with await pool.request(
            "POST", "/v1/x?y=1", headers=[("accept", "b")], body=b"12345", clocks=PATIENT
        ) as response:
            assert (response.status, await response.read(5)) == (200, b"hello")
        await pool.aclose()
        assert stage.requests == [
            b"POST /base/v1/x?y=1 HTTP/1.1\r\nX-Api-Key: k\r\n"
            b"host: 127.0.0.1:%d\r\naccept: b\r\ncontent-length: 5\r\n\r\n12345" % stage.port
        ]


async def test_headers_are_lower_case_and_joined() -> None:
    reply = answer(b"x", headers=["X-One:  1 ", "x-one: 2", "X-Empty:"])
    async with playing([Read(), Send(reply)]) as stage, asking(stage) as pool, await ask(pool) as response:
        assert response.headers == {"content-length": "1", "x-one": "1, 2", "x-empty": ""}
        assert response.framed


async def test_chunks_come_as_they_were_sent() -> None:
    more = asyncio.Event()
    head = chunked(b"one", end=False)
    async with (
        playing([Read(), Send(head), Wait(more), Send(b"3\r\ntwo\r\n0\r\n\r\n"), Again()]) as stage,
        asking(stage) as pool,
        await ask(pool) as response,
    ):
        chunks = response.chunks()
        assert await anext(chunks) == b"one"
        more.set()
        assert [chunk async for chunk in chunks] == [b"two"]
        assert pool.idle == 1


async def test_a_body_longer_than_wanted_is_refused() -> None:
    for reply in (answer(b"x" * 11), chunked(b"x" * 6, b"x" * 5)):
        async with playing([Read(), Send(reply), Again()]) as stage, asking(stage) as pool:
            async with await ask(pool) as response:
                with pytest.raises(TargetFault, match="more than 10 bytes"):
                    await response.read(10)
            async with await ask(pool) as response:
                assert len(await response.read(11)) == 11


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_statuses_without_a_body(status: str) -> None:
    reply = f"HTTP/1.1 {status}\r\ncontent-length: 7\r\n\r\n".encode()
    async with playing([Read(), Send(reply), Again()]) as stage, asking(stage) as pool:
        assert [await ask_all(pool) for _ in range(2)] == [b"", b""]
        assert stage.connections == 1


async def test_head_has_no_body_and_is_not_reused() -> None:
    reply = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"
    async with playing([Read(), Send(reply), Stall()]) as stage, asking(stage) as pool:
        assert await ask_all(pool, method="HEAD", body=b"") == b""
        assert pool.size == 0
        assert b"content-length" not in stage.requests[0]


async def test_informational_answers_are_passed_over() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    async with (
        playing([Read(), Send(hints * 2 + answer(b"x"))]) as stage,
        asking(stage) as pool,
        await ask(pool) as response,
    ):
        assert "link" not in response.headers
        assert await response.read(9) == b"x"


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_body_that_ends_with_the_connection_is_not_framed(version: bytes) -> None:
    async with (
        playing([Read(), Send(b"HTTP/" + version + b" 200 OK\r\n\r\nall of it"), Close()]) as stage,
        asking(stage) as pool,
        await ask(pool) as response,
    ):
        assert not response.framed
        assert await response.read(100) == b"all of it"
        assert pool.size == 0


@pytest.mark.parametrize("bad", ["a\r\nb: c", "a\nb", "a\0b", "\x7f", "€"])
async def test_nothing_can_be_injected(bad: str) -> None:
    pool = Pool(Origin.parse("http://127.0.0.1:1"), headers={})
    for method, target, headers in (
        (bad, "/", []),
        ("GET", "/" + bad, []),
        ("GET", "/a b", []),
        ("GET", "//x", [("x", bad)]),
        ("GET", "/", [(bad, "x")]),
    ):
        with pytest.raises(ValueError, match=r"request|header"):
            await pool.request(method, target, headers=headers, clocks=PATIENT)
    with pytest.raises(ValueError, match="header"):
        Pool(Origin.parse("http://127.0.0.1:1"), headers={"x": bad})


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "connection", "expect"])
async def test_framing_is_the_clients_own(name: str) -> None:
    pool = Pool(Origin.parse("http://127.0.0.1:1"), headers={})
    with pytest.raises(ValueError, match="own"):
        await pool.request("GET", "/", headers=[(name, "1")], clocks=PATIENT)


# Keeping connections.


async def test_connections_are_reused_last_in_first_out() -> None:
    async with playing(SERVE) as stage, asking(stage) as pool:
        assert await asyncio.gather(*[ask_all(pool) for _ in range(3)]) == [b"hello"] * 3
        assert pool.idle == 3
        for _ in range(5):
            assert await ask_all(pool) == b"hello"
        assert (stage.connections, pool.idle, pool.size) == (3, 3, 3)


@pytest.mark.parametrize(
    "reply", [answer(b"x", headers=["connection: close"]), b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx"]
)
async def test_a_connection_that_the_peer_will_close_is_not_kept(reply: bytes) -> None:
    async with playing([Read(), Send(reply), Stall()]) as stage, asking(stage) as pool:
        assert await ask_all(pool) == b"x"
        assert pool.size == 0
        await stage.left.wait()


async def test_an_idle_connection_expires() -> None:
    async with playing([Read(), Send(answer(b"x")), Stall()]) as stage, asking(stage, keep_alive=BRISK) as pool:
        await ask_all(pool)
        assert pool.idle == 1
        await stage.left.wait()
        assert (pool.idle, pool.size) == (0, 0)


async def test_a_stale_connection_is_replaced_once() -> None:
    for ending in (Close(), Reset()):
        async with (
            playing([Read(), Send(answer(b"a")), Read(), ending], [Read(), Send(answer(b"b"))]) as stage,
            asking(stage) as pool,
        ):
            assert await ask_all(pool) == b"a"
            assert await ask_all(pool) == b"b"
            assert (stage.connections, len(stage.requests)) == (2, 3)


async def test_a_second_connection_is_not_replaced() -> None:
    dying: list[Step] = [Read(), Close()]
    async with playing([Read(), Send(answer(b"a")), *dying], dying, SERVE) as stage, asking(stage) as pool:
        await ask_all(pool)
        with pytest.raises(TargetFault, match="cut"):
            await ask_all(pool)
        assert stage.connections == 2


async def test_nothing_is_asked_again_after_the_first_byte() -> None:
    script: list[Step] = [Read(), Send(answer(b"a")), Read(), Send(b"H"), Close()]
    async with playing(script, SERVE) as stage, asking(stage) as pool:
        await ask_all(pool)
        with pytest.raises(TargetFault, match="cut"):
            await ask_all(pool)
        assert stage.connections == 1


async def test_a_stale_connection_is_replaced_in_a_full_pool() -> None:
    script: list[Step] = [Read(), Send(answer(b"a")), Read(), Close()]
    async with playing(script, SERVE) as stage, asking(stage, limit=1) as pool:
        assert [await ask_all(pool) for _ in range(2)] == [b"a", b"hello"]
        assert pool.size == 1


async def test_bytes_that_nobody_asked_for_are_never_an_answer() -> None:
    late, sent = asyncio.Event(), asyncio.Event()
    script: list[Step] = [Read(), Send(answer(b"a")), Wait(late), Send(answer(b"evil")), Tell(sent), Stall()]
    async with playing(script, SERVE) as stage, asking(stage) as pool:
        assert await ask_all(pool) == b"a"
        late.set()
        await sent.wait()
        await stage.left.wait()
        assert await ask_all(pool) == b"hello"


async def test_an_answer_that_is_not_read_aborts_its_connection() -> None:
    async with playing([Read(), Send(answer(b"x" * 100)[:-1]), Stall()]) as stage, asking(stage) as pool:
        async with await ask(pool):
            pass
        await stage.left.wait()
        assert pool.size == 0


async def test_a_drained_answer_keeps_its_connection() -> None:
    more = asyncio.Event()
    script: list[Step] = [Read(), Send(chunked(b"one", end=False)), Wait(more), Send(b"1\r\nx\r\n0\r\n\r\n"), Again()]
    async with playing(script) as stage, asking(stage, limit=1) as pool:
        async with await ask(pool) as response:
            assert await anext(response) == b"one"
            await response.drain()
        assert (pool.size, pool.idle) == (1, 0)
        more.set()
        assert await ask_all(pool) == b"onex"
        assert stage.connections == 1


async def test_a_drained_answer_without_end_is_dropped() -> None:
    async with playing([Read(), Send(chunked(b"one", end=False)), Stall()]) as stage, asking(stage) as pool:
        async with await ask(pool) as response:
            await response.drain()
        await stage.left.wait()
        assert pool.size == 0


async def test_a_probe_connects_and_leaves() -> None:
    async with playing([Stall()]) as stage, asking(stage, limit=1) as pool:
        await pool.connect(PATIENT)
        await stage.left.wait()
        assert pool.size == 0


# Limits.


async def test_a_full_pool_serves_in_order() -> None:
    go = asyncio.Event()
    async with playing([Read(), Wait(go), Send(answer(b"x")), Again()]) as stage, asking(stage, limit=1) as pool:
        order: list[int] = []

        async def queue(number: int) -> None:
            await ask_all(pool)
            order.append(number)

        tasks = [asyncio.create_task(queue(number)) for number in range(5)]
        await stage.asked.wait()
        assert len(stage.requests) == 1
        go.set()
        await asyncio.gather(*tasks)
        assert (order, stage.connections) == ([0, 1, 2, 3, 4], 1)


async def test_a_pool_that_stays_full_is_a_fault() -> None:
    async with playing([Read(), Send(chunked(b"x", end=False)), Stall()]) as stage, asking(stage, limit=1) as pool:
        async with await ask(pool):
            with pytest.raises(TargetFault) as caught:
                await ask(pool, Clocks(connect=HURRIED))
            assert caught.value.fault is Fault.BULKHEAD_FULL
        assert pool.size == 0


async def test_a_slot_that_fails_goes_to_the_next_in_line() -> None:
    async with playing([Read(), Stall()], SERVE) as stage, asking(stage, limit=1) as pool:
        first = asyncio.create_task(ask_all(pool))
        second = asyncio.create_task(ask_all(pool))
        third = asyncio.create_task(ask_all(pool))
        await stage.asked.wait()
        second.cancel()
        first.cancel()
        assert await third == b"hello"
        assert pool.size == 1


async def test_a_waiter_cancelled_in_its_turn_gives_it_back() -> None:
    go = asyncio.Event()
    script: list[Step] = [Read(), Send(chunked(b"a", end=False)), Wait(go), Send(b"0\r\n\r\n"), Again()]
    async with playing(script) as stage, asking(stage, limit=1) as pool:
        held = await ask(pool)
        waiting = asyncio.create_task(ask_all(pool))
        await asyncio.sleep(0)
        go.set()
        await held.read(9)  # hands the connection over ...
        waiting.cancel()  # ... to one who is gone before it looks
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (pool.size, pool.idle, len(stage.requests)) == (1, 1, 1)
        assert await ask_all(pool) == b"a"
        assert stage.connections == 1


async def test_a_connection_lost_on_its_way_to_a_waiter_is_replaced_in_its_slot() -> None:
    go = asyncio.Event()
    script: list[Step] = [Read(), Send(chunked(b"a", end=False)), Wait(go), Send(b"0\r\n\r\n"), Stall()]
    async with playing(script, SERVE) as stage, asking(stage, limit=1) as pool:
        held = await ask(pool)
        waiting = [asyncio.create_task(ask_all(pool)) for _ in range(2)]
        await asyncio.sleep(0)
        go.set()
        await held.read(9)  # hands the connection over ...
        for connection in list(pool._open):
            connection.abort()  # ... and it is lost before the waiter looks
        assert await asyncio.gather(*waiting) == [b"hello", b"hello"]
        assert (pool.size, stage.connections) == (1, 2)


async def test_a_closed_pool_answers_nobody() -> None:
    async with playing([Read(), Stall()]) as stage, asking(stage, limit=1) as pool:
        asked = asyncio.create_task(ask(pool))
        queued = asyncio.create_task(ask(pool))
        await stage.asked.wait()
        await pool.aclose()
        for task in (asked, queued, asyncio.create_task(ask(pool))):
            with pytest.raises(TargetFault, match="closed"):
                await task
        await stage.left.wait()
        assert pool.size == 0


async def test_cancelling_closes_the_peers_socket() -> None:
    scripts: list[list[Step]] = [
        [Read(), Stall()],
        [Read(), Send(chunked(b"one", end=False)), Stall()],
    ]
    for script in scripts:
        async with playing(script) as stage, asking(stage) as pool:
            task = asyncio.create_task(ask_all(pool))
            await stage.asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await stage.left.wait()
            assert pool.size == 0


# Faults.


async def test_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening
        pool = Pool(Origin.parse(f"http://127.0.0.1:{taken.getsockname()[1]}"), headers={})
        with pytest.raises(TargetFault) as caught:
            await ask(pool)
    assert (caught.value.fault, pool.size) == (Fault.REFUSED, 0)


async def test_unreachable() -> None:
    # A link-local address without a link: the system refuses it before anything is sent.
    pool = Pool(Origin.parse("http://[fe80::1]:80"), headers={})
    with pytest.raises(TargetFault) as caught:
        await ask(pool)
    assert (caught.value.fault, pool.size) == (Fault.UNREACHABLE, 0)


async def test_dns() -> None:
    for host in ("sampan.invalid", "x" * 70 + ".invalid", "a..b"):
        pool = Pool(Origin.parse(f"http://{host}"), headers={})
        with pytest.raises(TargetFault) as caught:
            await ask(pool)
        assert (caught.value.fault, pool.size) == (Fault.DNS, 0)


async def test_connect_timeout() -> None:
    with socket.socket() as deaf, contextlib.ExitStack() as crowd:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(3):  # fills the queue that nobody accepts from: later SYNs get no answer
            waiting = crowd.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        pool = Pool(Origin.parse(f"http://127.0.0.1:{deaf.getsockname()[1]}"), headers={})
        with pytest.raises(TargetFault) as caught:
            await ask(pool, Clocks(connect=HURRIED))
        assert (caught.value.fault, pool.size) == (Fault.CONNECT_TIMEOUT, 0)
        with pytest.raises(TargetFault) as caught:
            await ask(pool, Clocks(connect=9, total=HURRIED))
        assert caught.value.fault is Fault.TOTAL_TIMEOUT


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\ncontent-le"])
async def test_first_byte_timeout(sent: bytes) -> None:
    fault = await fault_of(Read(), Send(sent), Stall(), clocks=Clocks(first_event=HURRIED))
    assert fault.fault is Fault.FIRST_BYTE_TIMEOUT


async def test_first_event_counts_until_it_is_seen() -> None:
    async with playing([Read(), Send(chunked(b": ping", end=False)), Stall()]) as stage, asking(stage) as pool:
        async with await ask(pool, Clocks(first_event=BRISK, idle=30)) as response:
            assert await anext(response) == b": ping"
            with pytest.raises(TargetFault) as caught:
                await anext(response)
            assert caught.value.fault is Fault.FIRST_BYTE_TIMEOUT
        await stage.left.wait()


async def test_idle_timeout() -> None:
    async with playing([Read(), Send(chunked(b"one", end=False)), Stall()]) as stage, asking(stage) as pool:
        async with await ask(pool, Clocks(first_event=30, idle=HURRIED)) as response:
            assert await anext(response) == b"one"
            response.first_event_seen()
            with pytest.raises(TargetFault) as caught:
                await anext(response)
            assert caught.value.fault is Fault.IDLE_TIMEOUT
        await stage.left.wait()


async def test_total_timeout() -> None:
    for sent in (b"", chunked(b"one", end=False)):
        fault = await fault_of(Read(), Send(sent), Stall(), clocks=Clocks(total=HURRIED))
        assert fault.fault is Fault.TOTAL_TIMEOUT


async def test_total_timeout_reaches_a_reader_who_is_away() -> None:
    async with playing([Read(), Send(chunked(b"one", end=False)), Stall()]) as stage, asking(stage) as pool:
        response = await ask(pool, Clocks(total=BRISK))
        await stage.left.wait()
        assert await anext(response) == b"one"
        with pytest.raises(TargetFault, match="total_timeout"):
            await anext(response)


@pytest.mark.parametrize("ending", [Close(), Reset()], ids=["eof", "reset"])
@pytest.mark.parametrize(
    "sent",
    [b"", b"HTTP/1.1 200 OK\r\nconte", answer(b"x" * 100)[:-1], chunked(b"one", end=False), chunked(b"one")[:-1]],
    ids=["before head", "mid-head", "short", "no last chunk", "mid-trailer"],
)
async def test_cut(sent: bytes, ending: Step) -> None:
    fault = await fault_of(Read(), Send(sent), ending)
    assert fault.fault is Fault.CUT


async def test_what_came_before_a_cut_is_handed_on() -> None:
    async with (
        playing([Read(), Send(chunked(b"one", b"two", end=False)), Close()]) as stage,
        asking(stage) as pool,
        await ask(pool) as response,
    ):
        seen = []
        with pytest.raises(TargetFault, match="cut"):
            async for chunk in response.chunks():
                seen.append(chunk)
        assert seen == [b"one", b"two"]


OK = b"HTTP/1.1 200 OK\r\n"
MALFORMED = {
    "no http": b"SSH-2.0-OpenSSH_9.2\r\n",
    "html": b"<html>",
    "version": b"HTTP/2.0 200 OK\r\n\r\n",
    "status": b"HTTP/1.1 2x0 OK\r\n\r\n",
    "status 600": b"HTTP/1.1 600 X\r\ncontent-length: 0\r\n\r\n",
    "upgrade": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "bare lf": b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
    "leading empty line": b"\r\n" + answer(b"x"),
    "both": OK + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "both, other order": OK + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "two lengths": OK + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "one length twice": OK + b"content-length: 3\r\ncontent-length: 3\r\n\r\nabc",
    "list of lengths": OK + b"content-length: 3, 3\r\n\r\nabc",
    "signed length": OK + b"content-length: +3\r\n\r\nabc",
    "no length": OK + b"content-length:\r\n\r\n",
    "huge length": OK + b"content-length: 99999999999999999999999\r\n\r\n",
    "gzip": OK + b"transfer-encoding: gzip, chunked\r\n\r\n",
    "coding in 1.0": b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk size": OK + b"transfer-encoding: chunked\r\n\r\nxyz\r\n",
    "chunk end": OK + b"transfer-encoding: chunked\r\n\r\n1\r\nabc",
    "chunk too large": OK + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffffffff\r\n",
    "obs-fold": OK + b"x: 1\r\n 2\r\ncontent-length: 0\r\n\r\n",
    "nul": OK + b"x: \0\r\ncontent-length: 0\r\n\r\n",
    "blank before colon": OK + b"content-length : 0\r\n\r\n",
    "long head": OK + b"x: " + b"y" * 65536,
    "long complete head": OK + b"x: " + b"y" * 65536 + b"\r\n\r\n",
    "many headers": OK + b"x: y\r\n" * 101 + b"\r\n",
    "many 1xx": b"HTTP/1.1 100 Continue\r\n\r\n" * 9,
    "behind a length": answer(b"abc") + b"d",
    "behind no body": answer(b"") + b"d",
    "behind the last chunk": chunked(b"abc") + b"d",
    "another answer": answer(b"abc") + answer(b"def"),
    "empty line behind a length": answer(b"abc\n") + b"\r\n",
    "empty line behind the last chunk": chunked(b"abc") + b"\r\n",
    "endless chunk extension": OK + b"transfer-encoding: chunked\r\n\r\n1;" + b"x" * 65537,
    "endless trailer": chunked(b"abc")[:-2] + b"x: " + b"y" * 600_000,
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED.keys())
async def test_malformed(sent: bytes) -> None:
    fault = await fault_of(Read(), Send(sent), Stall())
    assert fault.fault is Fault.MALFORMED


async def test_head_with_a_body_is_malformed() -> None:
    fault = await fault_of(Read(), Send(answer(b"body")), Stall(), method="HEAD")
    assert fault.fault is Fault.MALFORMED


async def test_limits_are_settings() -> None:
    async with playing([Read(), Send(answer(b"x", headers=["a: b"] * 4)), Stall()]) as stage:
        pool = Pool(Origin.parse(stage.url), headers={}, limits=Limits(headers=4))
        with pytest.raises(TargetFault, match="more than 4 headers"):
            await ask(pool)
        await pool.aclose()


async def test_every_fault_leaves_the_peer_alone() -> None:
    """What is malformed is not read to its end: the peer sees the connection go."""
    async with playing([ReadHead(), Send(b"nonsense"), Stall()]) as stage, asking(stage) as pool:
        with pytest.raises(TargetFault):
            await ask(pool)
        await stage.left.wait()
