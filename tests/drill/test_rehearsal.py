"""Whole scenes against a gateway that sins in a known way, over real sockets and with the real SDK."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_gateway import DELAY, FakeGateway
from scenery import TALK, scene

from sampan.core import Tier
from sampan.drill.callers import callers
from sampan.drill.exchange import Double
from sampan.drill.promises import Promise
from sampan.drill.rehearsal import Stage, rehearse
from sampan.drill.scorecard import Card, Rules, judge
from sampan.drill.standin import Standin

RULES = Rules({}, recovery=DELAY + 1.0, ours=False, margin=3.0)
DOUBLE = "everything"


async def drilled(trouble: str, sin: str, stream: bool) -> Card:
    async with Standin() as standin, FakeGateway(standin.url, sin) as gateway:
        standin.doubles[DOUBLE] = standin.everything = Double(DOUBLE)
        async with callers(gateway.url, "key", ours=True, patience=1.0) as sdks:
            stage = Stage(standin, sdks, 3, DELAY, RULES.recovery, DOUBLE)
            asked = scene(trouble, replace(TALK, stream=stream), others={"home": Tier.LOCAL})
            return judge(await rehearse(stage, asked), RULES)


@pytest.mark.parametrize(
    ("trouble", "stream"), [("500", False), ("500", True), ("silence", False), ("refused", True), ("content-cut", True)]
)
async def test_a_gateway_without_sin_keeps_every_promise(trouble: str, stream: bool) -> None:
    card = await drilled(trouble, "", stream)
    assert card.kept, card.broken
    assert card.observed.recovery is not None and card.observed.recovery >= DELAY
    assert [seen.touched for seen in card.observed.sick] == ([0, 0, 0] if trouble == "refused" else [1, 1, 1])


@pytest.mark.parametrize(
    ("sin", "trouble", "stream", "promise"),
    [
        ("local-first", "500", False, Promise.WELL),
        ("no-failover", "500", False, Promise.ANSWERED),
        ("hangs", "hang-up", True, Promise.ANSWERED),
        ("no-breaker", "503", True, Promise.BREAKER),
        ("never-back", "529", False, Promise.RECOVERY),
        ("clean-end", "content-cut", True, Promise.ENDING),
        ("silent-cut", "content-cut", True, Promise.ENDING),
    ],
)
async def test_a_sin_is_told_by_its_name(sin: str, trouble: str, stream: bool, promise: Promise) -> None:
    assert promise in (await drilled(trouble, sin, stream)).broken
