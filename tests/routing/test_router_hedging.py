"""Asking a local target beside a late one, as playbooks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from fake_upstreams import STREAM, WHOLE, Gate, Scripted, call, fault, target
from test_router import Yard

from sampan.core import Event, Fault, Location, Operation
from sampan.errors import Unavailable
from sampan.routing.router import Trail

USUAL = 0.001  # seconds: what counts as late here


def yard_of(*upstreams: Scripted) -> Yard:
    """The first is a cloud whose first events come at once as a rule; the others stand at home."""
    yard = Yard(*upstreams)
    yard.plan = [
        replace(target(each.name), hedged=True, location=Location.LOCAL if index else Location.CLOUD)
        for index, each in enumerate(upstreams)
    ]
    for _ in range(20):
        yard.router._attempts.latencies.add(upstreams[0].name, Operation.TEXT, USUAL)
    return yard


async def streamed(yard: Yard) -> list[Event]:
    return await yard.ask()


async def fetched(yard: Yard) -> list[Event]:
    yard.trail = Trail()
    return [await yard.router.fetch(call(), yard.plan, yard.trail)]


Ask = Callable[[Yard], Awaitable[list[Event]]]
WAYS = pytest.mark.parametrize(("ask", "said"), [(streamed, STREAM), (fetched, (WHOLE,))], ids=["stream", "whole"])


@WAYS
async def test_a_late_target_is_outrun_and_closed(ask: Ask, said: tuple[Event, ...]) -> None:
    late = Scripted("cloud", (Gate(), *said))
    yard = yard_of(late, Scripted("near", said))
    events = await ask(yard)
    assert events[-1].usage is not None
    assert str(yard.trail) == "cloud=outrun,near=ok"
    assert yard.trail.target is not None
    assert yard.trail.target.upstream == "near"
    assert late.ends == ["closed"]
    assert yard.observed == ["near=ok"]
    assert yard.guards["cloud"].bulkhead.taken == yard.guards["near"].bulkhead.taken == 0


@WAYS
async def test_a_target_in_time_is_asked_alone(ask: Ask, said: tuple[Event, ...]) -> None:
    near = Scripted("near", said)
    yard = yard_of(Scripted("cloud", said), near)
    await ask(yard)
    assert str(yard.trail) == "cloud=ok"
    assert near.asked == []


@WAYS
async def test_a_late_target_may_still_be_first(ask: Ask, said: tuple[Event, ...]) -> None:
    late, other = Gate(), Gate()
    near = Scripted("near", (other, *said))
    yard = yard_of(Scripted("cloud", (late, *said)), near)
    asking = asyncio.ensure_future(ask(yard))
    await other.reached()
    late.open()
    await asking
    assert str(yard.trail) == "near=outrun,cloud=ok"
    assert near.ends == ["closed"]


@WAYS
async def test_one_that_fails_does_not_win(ask: Ask, said: tuple[Event, ...]) -> None:
    late = Gate()
    near = Scripted("near", (fault(Fault.REFUSED),))
    yard = yard_of(Scripted("cloud", (late, *said)), near)
    asking = asyncio.ensure_future(ask(yard))
    await late.reached()
    await asyncio.wait_for(near.over.wait(), 10)
    late.open()
    await asking
    assert sorted(map(str, yard.trail.attempts)) == ["cloud=ok", "near=refused"]


@WAYS
async def test_both_may_fail_and_each_is_asked_once(ask: Ask, said: tuple[Event, ...]) -> None:
    late = Gate()
    near = Scripted("near", (fault(Fault.REFUSED),))
    yard = yard_of(Scripted("cloud", (late, fault(Fault.CUT))), near, Scripted("third", said))
    asking = asyncio.ensure_future(ask(yard))
    await late.reached()
    await asyncio.wait_for(near.over.wait(), 10)
    late.open()
    await asking
    assert str(yard.trail) == "cloud=cut,near=refused,third=ok"
    assert len(near.asked) == 1


@WAYS
async def test_without_a_usual_there_is_no_late(ask: Ask, said: tuple[Event, ...]) -> None:
    yard = Yard(Scripted("cloud", said), Scripted("near", said))
    yard.plan = [replace(each, hedged=True) for each in yard.plan]
    await ask(yard)
    assert str(yard.trail) == "cloud=ok"
    yard = Yard(Scripted("cloud", (fault(Fault.CUT),)))
    with pytest.raises(Unavailable):
        await ask(yard)
