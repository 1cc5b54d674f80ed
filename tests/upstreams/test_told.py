"""Calls that nobody awaits, at a real server on loopback: the same answers and faults as `fetch` gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from servers import Again, Close, Read, Reset, Send, Stage, Stall, Step, Tell, Wait, answer, chunked, playing
from test_upstream import CLOCKS, JSON, MESSAGE, SSE, TERMS, talk, upstream

from sampan.core import Call, Dialect, Event, Fault, Outcome, Prepared, Usage
from sampan.dialects.translation.manners import manners
from sampan.errors import Rejected, TargetFault
from sampan.upstreams.origin import Clocks, Origin
from sampan.upstreams.pool import Pool
from sampan.upstreams.upstream import Habits, HttpUpstream

LIMITS = ("anthropic-ratelimit-requests-remaining: 4",)
WARM = (Read(), Send(answer(MESSAGE, headers=JSON)))


class Ear:
    """Hears what came of a call."""

    def __init__(self) -> None:
        self.heard: list[Outcome] = []
        self._done = asyncio.Event()

    def __call__(self, outcome: Outcome) -> None:
        self.heard.append(outcome)
        self._done.set()

    async def outcome(self) -> Outcome:
        await asyncio.wait_for(self._done.wait(), 10)
        assert len(self.heard) == 1
        return self.heard[0]


@asynccontextmanager
async def warm(*script: Step, clocks: Clocks = CLOCKS) -> AsyncIterator[tuple[HttpUpstream, Stage]]:
    """An upstream with one idle connection, on which `script` is played next."""
    async with upstream(*WARM, *script, clocks=clocks) as (made, stage):
        await made.fetch(talk(), None)
        yield made, stage


async def came(*script: Step, clocks: Clocks = CLOCKS) -> Outcome:
    async with warm(*script, clocks=clocks) as (made, _):
        ear = Ear()
        assert made.ask(talk(), None, ear) is not None
        return await ear.outcome()


async def test_an_answer_in_one_piece_is_the_event_that_fetch_gives() -> None:
    script = (Read(), Send(answer(MESSAGE, headers=(*JSON, *LIMITS))), Again())
    async with warm(*script) as (made, stage):
        ear = Ear()
        assert made.ask(talk(), "claude-y", ear) is not None
        event = await ear.outcome()
        assert event == Event(MESSAGE, True, Usage(3, 2), (("anthropic-ratelimit-requests-remaining", "4"),))
        assert await made.fetch(talk(), "claude-y") == Event(MESSAGE, True, Usage(3, 2))
        assert stage.connections == 1
        assert stage.requests[1] == stage.requests[2]


@pytest.mark.parametrize(
    "data", [answer(MESSAGE, headers=JSON), chunked(MESSAGE[:20], MESSAGE[20:])], ids=["length", "chunks"]
)
async def test_an_answer_in_pieces(data: bytes) -> None:
    steps: list[Step] = []
    for place in range(0, len(data), 7):
        go = asyncio.Event()
        go.set()
        steps += [Send(data[place : place + 7]), Wait(go)]
    event = await came(Read(), *steps)
    assert isinstance(event, Event)
    assert (event.data, event.usage) == (MESSAGE, Usage(3, 2))


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ([Send(answer(b"{}", status="500 Oops"))], Fault.SERVER_ERROR),
        ([Send(answer(b'{"type":"error","error":{"type":"overloaded_error"}}', headers=JSON))], Fault.OVERLOADED),
        ([Send(answer(b"{", headers=JSON))], Fault.MALFORMED),
        ([Send(answer(b"", headers=JSON))], Fault.EMPTY),
        ([Send(answer(MESSAGE, headers=SSE))], Fault.MALFORMED),
        ([Send(b"HTTP/1.1 200 OK\r\nno header\r\n\r\n")], Fault.MALFORMED),
        ([Send(answer(MESSAGE)[:-9]), Close()], Fault.CUT),
        ([Send(b"HTTP/1.1 200"), Reset()], Fault.CUT),
    ],
)
async def test_faults_are_those_of_fetch(script: list[Step], kind: Fault) -> None:
    error = await came(Read(), *script)
    assert isinstance(error, TargetFault)
    assert error.fault is kind


async def test_a_rejection_is_told_with_its_bytes() -> None:
    body = b'{"type":"error","error":{"type":"invalid_request_error","message":"no"}}'
    error = await came(Read(), Send(answer(body, status="400 Bad Request", headers=JSON)))
    assert isinstance(error, Rejected)
    assert (error.status, error.body) == (400, body)


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nabc"])
async def test_the_clocks_run(begun: bytes) -> None:
    sent = [Send(begun)] if begun else []
    error = await came(Read(), *sent, Stall(), clocks=Clocks(2.0, 0.1, 0.1, 10.0))
    assert isinstance(error, TargetFault)
    assert error.fault is (Fault.IDLE_TIMEOUT if begun else Fault.FIRST_BYTE_TIMEOUT)


async def test_a_connection_that_was_closed_meanwhile_is_no_fault_and_the_other_idle_ones_are_let_go() -> None:
    asked, go = asyncio.Event(), asyncio.Event()
    first = (Read(), Tell(asked), Wait(go), Send(answer(MESSAGE, headers=JSON)), Read(), Close())
    async with playing(first) as stage:
        pool = Pool(Origin.parse(stage.url), headers={})
        made = HttpUpstream("u", pool, manners(Dialect.ANTHROPIC, TERMS), Habits(CLOCKS, "off", 5.0))
        one = asyncio.create_task(made.fetch(talk(), None))
        await asked.wait()
        two = asyncio.create_task(made.fetch(talk(), None))
        go.set()
        await asyncio.gather(one, two)
        assert pool.idle == stage.connections == 2
        ear = Ear()
        assert made.ask(talk(), None, ear) is not None
        assert await ear.outcome() is None
        assert pool.size == 0
        await made.aclose()


async def test_whoever_gives_up_closes_the_connection_and_hears_nothing() -> None:
    async with warm(Read(), Stall()) as (made, stage):
        ear = Ear()
        give_up = made.ask(talk(), None, ear)
        assert give_up is not None
        stage.asked.clear()
        await stage.asked.wait()
        give_up()
        await asyncio.wait_for(stage.left.wait(), 10)
        assert ear.heard == []


async def test_who_is_told_may_ask_again_at_once_over_the_same_connection() -> None:
    async with warm(Read(), Send(answer(MESSAGE, headers=JSON)), Again()) as (made, stage):
        ear, again = Ear(), Ear()

        def once_more(outcome: Outcome) -> None:
            ear(outcome)
            assert made.ask(talk(), None, again) is not None

        assert made.ask(talk(), None, once_more) is not None
        assert isinstance(await ear.outcome(), Event)
        assert isinstance(await again.outcome(), Event)
        assert stage.connections == 1


async def test_nothing_is_sent_where_no_connection_is_idle() -> None:
    async with upstream(Read(), Stall()) as (made, stage):
        assert made.ask(talk(), None, Ear()) is None
        assert stage.connections == 0


class Picky:
    """Wants to prepare what is not known to be text."""

    def is_needed(self, body: bytes, *, plain: bool = False) -> bool:
        return not plain

    async def prepare(self, call: Call, body: bytes, model: str) -> Prepared:
        return Prepared(body)


@pytest.mark.parametrize(
    "call",
    [
        talk(),
        msgspec.structs.replace(talk(), plain=True, partial="said"),
        msgspec.structs.replace(talk(), plain=True, dialect=Dialect.OPENAI_CHAT),
    ],
    ids=["to be prepared", "to be gone on with", "to be translated"],
)
async def test_what_takes_more_than_handing_on_is_not_asked_this_way(call: Call) -> None:
    async with playing((*WARM, Again())) as stage:
        pool = Pool(Origin.parse(stage.url), headers={})
        made = HttpUpstream("u", pool, manners(Dialect.ANTHROPIC, TERMS), Habits(CLOCKS, "off", 5.0), preparer=Picky())
        await made.fetch(talk(), None)
        assert made.ask(call, None, Ear()) is None
        ear = Ear()
        assert made.ask(msgspec.structs.replace(talk(), plain=True), None, ear) is not None
        assert isinstance(await ear.outcome(), Event)
        await made.aclose()


async def test_an_engine_that_may_have_to_be_waited_for_is_not_asked_this_way() -> None:
    async def awake() -> None: ...

    async with playing((*WARM, Again())) as stage:
        pool = Pool(Origin.parse(stage.url), headers={})
        made = HttpUpstream("u", pool, manners(Dialect.ANTHROPIC, TERMS), Habits(CLOCKS, "off", 5.0), awake=awake)
        await made.fetch(talk(), None)
        assert made.ask(talk(), None, Ear()) is None
        await made.aclose()
