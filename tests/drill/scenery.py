"""Scenes and observations for the tests of the judgement: one where every promise was kept, to be broken one by one."""

from __future__ import annotations

from typing import Any

from sampan.core import Dialect, Operation, Tier
from sampan.drill.callers import Ending, Seen, Source
from sampan.drill.scenes import Scene, Shape
from sampan.drill.scorecard import Observed, Rules
from sampan.drill.script import LEFT, SAID
from sampan.drill.troubles import TROUBLES

RULES = Rules(clocks={"connect": 1.0, "first_event": 2.0, "idle": 2.0, "total": 5.0}, recovery=8.0)
TALK = Shape(Dialect.ANTHROPIC, Operation.TEXT, True)
DRAW = Shape(Dialect.OPENAI_IMAGES, Operation.GENERATE, True)


def scene(trouble: str, shape: Shape = TALK, **changes: Any) -> Scene:
    found = next(each for each in TROUBLES if each.name == trouble)
    values: dict[str, Any] = {
        "number": 1,
        "trouble": found,
        "shape": shape,
        "route": "claude-*",
        "model": "drill-1",
        "targets": ("claude", "reader"),
        "clouds": {"claude.1": "claude"},
        "others": {"reader": Tier.DEGRADED},
    }
    return Scene(**values | changes)


def seen(number: int, upstream: str, attempts: str, **changes: Any) -> Seen:
    """An answer that took a tenth of a second, from the cloud or from `reader`."""
    cloud = upstream.startswith("claude")
    values: dict[str, Any] = {
        "ending": Ending.WHOLE,
        "text": SAID + LEFT if cloud else "an answer",
        "source": Source.CLOUD if cloud else Source.OTHER,
        "first": 0.1,
        "seconds": 0.2,
        "status": 200,
        "headers": {
            "request-id": f"req_{number}",
            "x-sampan-upstream": upstream,
            "x-sampan-tier": "cloud" if cloud else "degraded",
            "x-sampan-attempts": attempts,
        },
        "touched": int(cloud),
    }
    return Seen(**values | changes)


def record(call: Seen, **changes: Any) -> dict[str, Any]:
    """The record that tells what the headers told."""
    told = {name: call.headers[f"x-sampan-{name}"] for name in ("upstream", "tier", "attempts")}
    outcome = "ok" if call.ending is Ending.WHOLE else "interrupted"
    return {"operation": "text", "stream": True, "outcome": outcome, **told} | changes


def kept(trouble: str = "500", fault: str = "server_error", **changes: Any) -> Observed:
    """A scene as it should be: three calls meet the trouble, the fourth does not, and the cloud comes back."""
    well = seen(1, "claude.1", "claude.1=ok")
    sick = [seen(number, "reader", f"claude.1={fault},reader=ok", touched=1) for number in (2, 3, 4)]
    after = seen(5, "reader", "claude.1=breaker_open,reader=ok", touched=0)
    back = [seen(6, "claude.1", "claude.1=ok")]
    values: dict[str, Any] = {
        "scene": scene(trouble),
        "well": well,
        "sick": sick,
        "after": after,
        "back": back,
        "recovery": 3.0,
        "detect": 0.01,
        "records": {call.id: record(call) for call in (well, *sick, after, *back)},
    }
    return Observed(**values | changes)


def broken_off(**changes: Any) -> Observed:
    """A scene whose stream breaks after content: three error events, and records that tell of them."""
    text = {"ending": Ending.ERROR, "text": SAID, "seconds": 0.4}
    sick = [seen(number, "claude.1", "claude.1=ok", **text) for number in (2, 3, 4)]
    whole = kept("content-cut", "cut", sick=sick)
    told = {call.id: record(call, attempts="claude.1=cut", outcome="interrupted") for call in sick}
    values: dict[str, Any] = {"records": {**whole.records, **told}} | changes
    return kept("content-cut", "cut", sick=sick, **values) if "sick" not in changes else kept("content-cut", **values)
