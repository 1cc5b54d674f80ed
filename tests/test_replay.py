"""Answers given again, through the pipeline: to whom, by whom, and what identical calls at once ask."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fake_upstreams import HEL, LO, START, STREAM, WHOLE, Gate, Scripted, fault
from test_pipeline import REQUEST, House, body_of, read
from test_pipeline_express import Begun, Prompt
from test_pipeline_governed import Ledger

from sampan.core import Actor, Answer, Fault, Operation, Record, Target
from sampan.replay import Replays, Terms
from sampan.storage.cache import Cache


class Kitchen:
    """What replays ask of the rest."""

    def __init__(self, *, shared: bool = False) -> None:
        self.terms: Terms | None = Terms(60.0, shared)
        self.releases: dict[str, str | None] = {}
        self.usable = True
        self.now = 0.0
        self.cache = Cache(1_000_000, lambda: self.now)

    def replays(self) -> Replays:
        return Replays(
            self.cache,
            lambda model, operation: self.terms,
            lambda upstream: self.releases.get(upstream, ""),
            self._usable,
            lambda: self.now,
        )

    def _usable(self, target: Target, operation: Operation) -> bool:
        return self.usable


def actors(house: House, **by_key: Actor) -> None:
    object.__setattr__(house.pipeline._parts, "authenticate", lambda incoming: by_key[incoming.credential])


def said(answer: Answer) -> str:
    return dict(answer.headers).get("x-sampan-cache", "")


def last(house: House) -> Record:
    return house.records[-1]


@pytest.mark.parametrize("stream", [True, False])
async def test_the_same_question_is_asked_once(stream: bool) -> None:
    kitchen = Kitchen()
    upstream = Scripted("a", STREAM if stream else [WHOLE])
    house = House(upstream, replays=kitchen.replays())
    first = await house.ask(stream=stream)
    whole = await read(first)
    assert (said(first), last(house).cache, last(house).input_tokens) == ("miss", "miss", 12)
    second = await house.ask(stream=stream)
    assert isinstance(second.body, bytes) is not stream
    assert await read(second) == whole
    headers = dict(second.headers)
    assert (headers["x-sampan-cache"], headers["x-sampan-upstream"]) == ("hit", "a")
    assert "x-ratelimit-limit" not in headers  # of then
    assert len(upstream.asked) == 1
    record = last(house)
    assert (record.outcome, record.cache, record.attempts, record.input_tokens) == ("ok", "hit", "", 0)


async def test_an_answer_is_kept_for_its_time() -> None:
    kitchen = Kitchen()
    upstream = Scripted("a", [WHOLE])
    house = House(upstream, replays=kitchen.replays())
    await house.ask(stream=False)
    kitchen.now = 60.0
    assert said(await house.ask(stream=False)) == "miss"
    assert len(upstream.asked) == 2


async def test_departments_do_not_see_each_others_answers() -> None:
    ann = Actor("key_1", "ann", "member", department="radiology")
    bob = Actor("key_2", "bob", "member", department="radiology")
    eve = Actor("key_3", "eve", "member", department="billing")
    tom = Actor("key_4", "tom", "member")
    ida = Actor("key_5", "ida", "member")
    for shared, want in ((False, ["miss", "hit", "miss", "miss", "miss"]), (True, ["miss", *["hit"] * 4])):
        house = House(Scripted("a", [WHOLE]), replays=Kitchen(shared=shared).replays())
        actors(house, ann=ann, bob=bob, eve=eve, tom=tom, ida=ida)
        seen = [said(await house.ask(stream=False, key=key)) for key in ("ann", "bob", "eve", "tom", "ida")]
        assert seen == want


async def test_identical_calls_at_once_ask_one_upstream() -> None:
    gate = Gate()
    upstream = Scripted("a", [START, HEL, gate, *STREAM[3:]])
    upstream._scripts = [[START, HEL, gate, LO, STREAM[-1]]]
    house = House(upstream, replays=Kitchen().replays())
    calls = [asyncio.create_task(_whole(house)) for _ in range(5)]
    await gate.reached()
    gate.open()
    bodies = await asyncio.gather(*calls)
    assert len(set(bodies)) == 1
    assert len(upstream.asked) == 1
    assert sorted(record.cache for record in house.records) == ["miss", *["shared"] * 4]


async def _whole(house: House) -> bytes:
    return await read(await house.ask())


async def test_those_who_wait_ask_themselves_where_the_first_one_fails() -> None:
    gate = Gate()
    house = House(Scripted("a", [gate, fault(Fault.CUT)]), replays=Kitchen().replays())
    first = asyncio.create_task(house.ask(stream=False))
    await gate.reached()
    other = asyncio.create_task(house.ask(stream=False))
    await asyncio.sleep(0)
    gate.open()
    assert [(await first).status, (await other).status] == [529, 529]
    assert [record.attempts for record in house.records] == ["a=cut", "a=breaker_open"]


async def test_who_leaves_does_not_take_the_others_along() -> None:
    kitchen = Kitchen()
    gate = Gate()
    upstream = Scripted("a", [START, HEL, gate, LO, STREAM[-1]], STREAM)
    house = House(upstream, replays=kitchen.replays())
    stream = body_of(await house.ask())
    await anext(stream)
    other = asyncio.create_task(_whole(house))
    await asyncio.sleep(0)
    await stream.aclose()
    assert await other == b"".join(event.data for event in STREAM)
    assert house.records[-1].outcome == "ok"


async def test_what_somebody_worse_said_does_not_outlive_the_outage() -> None:
    kitchen = Kitchen()
    cloud = Scripted("a", [fault(Fault.REFUSED)], [WHOLE])
    own = Scripted("own", [WHOLE])
    house = House(cloud, own, replays=kitchen.replays())
    await house.ask(stream=False)
    assert last(house).upstream == "own"
    kitchen.usable = False  # its breaker is open
    assert said(await house.ask(stream=False)) == "hit"
    kitchen.usable = True
    house.clock.now += 60
    assert said(await house.ask(stream=False)) == "miss"
    assert last(house).upstream == "a"


async def test_another_release_answers_anew() -> None:
    kitchen = Kitchen()
    upstream = Scripted("a", [WHOLE])
    house = House(upstream, replays=kitchen.replays())
    await house.ask(stream=False)
    kitchen.releases["a"] = "sha-2"
    assert said(await house.ask(stream=False)) == "miss"
    kitchen.releases["a"] = None  # one takes the place of the other
    assert said(await house.ask(stream=False)) == "miss"
    assert said(await house.ask(stream=False)) == "miss"


@pytest.mark.parametrize("script", [[fault(Fault.CUT)], [START, HEL, fault(Fault.CUT)]])
async def test_what_failed_or_broke_off_is_not_kept(script: list[Any]) -> None:
    kitchen = Kitchen()
    house = House(Scripted("a", script), replays=kitchen.replays())
    await read(await house.ask())
    assert len(kitchen.cache) == 0
    assert not kitchen.cache._flights


async def test_a_caller_may_want_a_new_one_or_none_kept() -> None:
    kitchen = Kitchen()
    upstream = Scripted("a", [WHOLE])
    house = House(upstream, replays=kitchen.replays())

    async def ask(wanted: str) -> str:
        body = json.dumps(REQUEST).encode()
        headers = {"x-api-key": "good", "content-type": "application/json", "cache-control": wanted}
        return said(await house.send(body, headers))

    assert [await ask("no-store"), len(kitchen.cache)] == ["", 0]
    assert await ask("") == "miss"
    assert await ask("no-cache") == "miss"
    assert await ask("max-age=0, no-cache") == "miss"
    assert await ask("") == "hit"
    assert len(upstream.asked) == 4


async def test_a_kept_answer_costs_a_call_and_no_tokens() -> None:
    ledger = Ledger(2)
    house = House(Scripted("own", [WHOLE]), replays=Kitchen().replays(), ledger=ledger)
    await house.ask(stream=False)
    house.clock.now += 5
    await house.ask(stream=False)
    spent = ledger.leases[1].ends[0]
    assert spent is not None
    assert (spent.cached, spent.seconds) == (True, 0.0)


def test_a_route_that_keeps_nothing_goes_the_quick_way() -> None:
    kitchen = Kitchen()
    kitchen.terms = None
    upstream = Prompt("a")
    begun = Begun(upstream, replays=kitchen.replays())
    assert begun.rest is None
    upstream.says(WHOLE)
    assert "x-sampan-cache" not in dict(begun.line.answers[0].headers)
