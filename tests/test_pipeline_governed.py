"""Policy, residency, quota and what is kept of content, as the pipeline asks for them on either way of a call."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from fake_upstreams import HEL, START, STREAM, WHOLE, Scripted, fault
from test_pipeline import REQUEST, House, body_of, read
from test_pipeline_express import Begun, Prompt

from sampan.core import Actor, Call, Fault, Incoming, Permission, Record, Ruling, Spent, Target, Usage
from sampan.errors import Forbidden, QuotaExceeded


class Judge:
    """Rules as it is told; what it saw on pictures is the second ruling."""

    def __init__(self, ruling: Ruling | None, seen: Ruling | None = None) -> None:
        self._ruling = ruling
        self._seen = seen
        self.asked = 0

    def judge(self, call: Call, actor: Actor, incoming: Incoming) -> Ruling | None:
        self.asked += 1
        if self._ruling is not None and self._ruling.rule == "no":
            raise Forbidden("rule 'no' forbids this")
        return self._ruling

    async def inspect(self, call: Call, actor: Actor, ruling: Ruling) -> Ruling:
        assert self._seen is not None and ruling.unseen
        return self._seen


class Lease:
    def __init__(self) -> None:
        self.ends: list[Spent | None] = []

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("x-sampan-quota", "calls; left=1"),)

    def settle(self, spent: Spent) -> float:
        self.ends.append(spent)
        return 0.25

    def refund(self) -> None:
        self.ends.append(None)


class Ledger:
    """One lease for each call, `most` at the most; `waits` as a ledger that is shared does."""

    def __init__(self, most: int = 1, *, waits: bool = False) -> None:
        self.waits = waits
        self.leases: list[Lease] = []
        self._most = most

    def reserve(self, call: Call, actor: Actor, plan: Sequence[Target]) -> Lease:
        if len(self.leases) == self._most:
            error = QuotaExceeded("limit 'calls' of 1 a day is spent", retry_after=60.0)
            error.rule = "limit:calls"
            raise error
        self.leases.append(Lease())
        return self.leases[-1]

    async def take(self, call: Call, actor: Actor, plan: Sequence[Target]) -> Lease:
        assert self.waits
        return self.reserve(call, actor, plan)


AT_HOME = Ruling("house", confined="rule house")


async def test_a_confined_call_only_sees_targets_at_home() -> None:
    cloud, own = Scripted("a", STREAM), Scripted("own", STREAM)
    house = House(cloud, own, judge=Judge(AT_HOME))
    answer = await house.ask()
    await read(answer)
    assert dict(answer.headers)["x-sampan-upstream"] == "own"
    assert not cloud.asked
    assert own.asked[0][0].confined == "rule house"
    assert (house.record.rule, house.record.confined) == ("house", "rule house")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_confined_call_with_nobody_at_home_is_refused(stream: bool) -> None:
    cloud = Scripted("a", STREAM)
    house = House(cloud, judge=Judge(AT_HOME))
    answer = await house.ask(stream=stream)
    assert answer.status == 403
    assert b"may not leave the house (rule house)" in await read(answer)
    assert not cloud.asked
    assert (house.record.outcome, house.record.confined) == ("refused", "rule house")


def test_the_quick_way_is_confined_as_well() -> None:
    cloud, own = Prompt("a"), Prompt("own")
    begun = Begun(cloud, own, judge=Judge(AT_HOME))
    own.says(WHOLE)
    assert begun.line.answers[0].status == 200
    assert not cloud.asked


@pytest.mark.parametrize("stream", [True, False])
async def test_what_was_masked_is_told(stream: bool) -> None:
    upstream = Scripted("a", STREAM if stream else [WHOLE])
    house = House(upstream, judge=Judge(Ruling("names", masked=True)))
    await read(await house.ask(stream=stream))
    assert upstream.asked[0][0].masked
    assert (house.record.rule, house.record.masked) == ("names", "yes")


async def test_a_forbidden_call_asks_nobody() -> None:
    house = House(Scripted("a", STREAM), judge=Judge(Ruling("no")))
    answer = await house.ask()
    assert (answer.status, house.record.outcome, house.record.error) == (403, "refused", "permission_error")


async def test_a_role_without_the_permission_makes_no_calls() -> None:
    house = House(Scripted("a", STREAM))
    auditor = Actor("key_2", "eve", "auditor", permissions=frozenset({Permission.AUDIT}))
    object.__setattr__(house.pipeline._parts, "authenticate", lambda incoming: auditor)
    answer = await house.ask()
    assert answer.status == 403
    assert b"role 'auditor' may not make calls" in await read(answer)


async def test_pictures_are_looked_at_before_a_target_is_chosen() -> None:
    cloud, own = Prompt("a"), Prompt("own")
    judge = Judge(Ruling("seen", confined="pictures", unseen=True), Ruling("seen"))
    begun = Begun(cloud, own, judge=judge)
    assert begun.rest is not None
    assert not cloud.asked
    cloud._scripts = [[WHOLE]]
    answer = await begun.rest
    assert dict(answer.headers)["x-sampan-upstream"] == "a"
    assert begun.house.record.confined == ""


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("waits", [True, False])
async def test_what_was_answered_is_charged_once(stream: bool, waits: bool) -> None:
    ledger = Ledger(waits=waits)
    house = House(Scripted("a", STREAM if stream else [WHOLE]), ledger=ledger)
    answer = await house.ask(stream=stream)
    assert dict(answer.headers)["x-sampan-quota"] == "calls; left=1"
    body = await read(answer)
    (spent,) = ledger.leases[0].ends
    assert spent is not None and spent.target is not None
    assert (spent.usage, spent.sent, spent.target.upstream, spent.seconds) == (Usage(12, 3), len(body), "a", 0.0)
    assert house.record.cost == 0.25
    refused = await house.ask()
    assert refused.status == 429
    assert dict(refused.headers)["retry-after"] == "60"
    assert house.records[-1].rule == "limit:calls"


async def test_the_quick_way_reserves_once_also_where_it_fails() -> None:
    ledger = Ledger(2)
    first = Prompt("a", [WHOLE])
    begun = Begun(first, ledger=ledger)
    first.says(None)
    assert (await begun.line.rests[0]).status == 200
    (lease,) = ledger.leases
    assert len(lease.ends) == 1


async def test_a_ledger_that_waits_is_not_asked_in_passing() -> None:
    begun = Begun(Prompt("a", [WHOLE]), ledger=Ledger(waits=True))
    assert begun.rest is not None
    assert (await begun.rest).status == 200


@pytest.mark.parametrize("stream", [True, False])
async def test_what_nobody_answered_is_given_back(stream: bool) -> None:
    ledger = Ledger()
    house = House(Scripted("a", [fault(Fault.REFUSED)]), ledger=ledger)
    answer = await house.ask(stream=stream)
    await read(answer)
    assert answer.status == 529
    assert ledger.leases[0].ends == [None]


async def test_who_leaves_in_the_middle_pays_for_what_was_said() -> None:
    ledger = Ledger()
    house = House(Scripted("own", (START, HEL, HEL, *STREAM)), ledger=ledger)
    stream = body_of(await house.ask())
    sent = len(await anext(stream))
    house.clock.now += 4
    await stream.aclose()
    (spent,) = ledger.leases[0].ends
    assert spent is not None
    assert (spent.usage, spent.sent, spent.seconds) == (None, sent, 4.0)


async def test_an_answer_that_breaks_off_is_charged_for_what_was_said() -> None:
    ledger = Ledger()
    house = House(Scripted("a", (START, HEL, fault(Fault.CUT))), ledger=ledger)
    await read(await house.ask())
    (spent,) = ledger.leases[0].ends
    assert spent is not None and spent.usage is None and spent.sent > 0


@pytest.mark.parametrize("stream", [True, False])
async def test_content_is_kept_with_the_record_that_names_it(stream: bool) -> None:
    kept: list[tuple[Any, ...]] = []

    def keep(*about: Any) -> str:
        kept.append(about)
        return "sha256-x"

    house = House(Scripted("a", STREAM if stream else [WHOLE]), keep_content=keep)
    answer = await house.ask(stream=stream)
    body = await read(answer)
    record = house.record
    ((identifier, incoming, actor, said),) = kept
    assert (identifier, said, actor.name) == (record.id, body, "ann")
    assert json.loads(incoming.body)["messages"] == REQUEST["messages"]
    assert record.content == "sha256-x"


async def test_a_trace_goes_on_with_the_call_and_ends_with_its_record() -> None:
    ends: list[Record] = []

    class Span:
        traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        end = ends.append

    upstream = Scripted("a", STREAM)
    house = House(upstream, trace=lambda incoming: Span())
    await read(await house.ask())
    assert upstream.asked[0][0].trace == Span.traceparent
    assert ends == house.records
