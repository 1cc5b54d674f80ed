"""Plays scenes: break the doubles, call as users do, heal, and watch the way back."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from sampan.core import Dialect
from sampan.drill.callers import Callers, Seen, Source
from sampan.drill.scenes import Scene
from sampan.drill.scorecard import Observed
from sampan.drill.standin import Standin
from sampan.drill.troubles import TROUBLES, Place

LEAST = 0.9
"""The part of the breaker's delay after which a trial is its right: detection is only known to a few milliseconds."""
DRAWING = 4
"""Pictures cost more than words: as many times fewer scenes with them are played at once."""
STEP = 0.1
"""Seconds between two calls on the way back."""
SETTLE = 15.0
"""Seconds that the first probes of all upstreams may take."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where scenes are played. `failures` open a breaker, `delay` is how long it waits, `recovery` the longest
    way back.

    `names` are the doubles of a scene, where they are not the clones of its clouds.
    """

    standin: Standin
    callers: Callers
    failures: int
    delay: float
    recovery: float
    single: str = ""

    def doubles(self, scene: Scene) -> tuple[str, ...]:
        return (self.single,) if self.single else tuple(scene.clouds)


async def play(
    stage: Stage,
    scenes: Sequence[Scene],
    together: int,
    played: Callable[[Observed], None],
    begun: Callable[[Scene], None] = lambda scene: None,
) -> list[Observed]:
    """All scenes, `together` at a time, the slow ones first and the shapes mixed, so that no engine idles.

    `begun` and `played` hear of each; they come back in the order of `scenes`.
    """
    gate, easel = asyncio.Semaphore(together), asyncio.Semaphore(max(1, together // DRAWING))

    async def one(scene: Scene) -> Observed:
        async with gate if scene.shape.dialect is not Dialect.OPENAI_IMAGES else easel:
            begun(scene)
            observed = await rehearse(stage, scene)
        played(observed)
        return observed

    order = [trouble.name for trouble in TROUBLES]
    ordered = sorted(scenes, key=lambda scene: (not scene.trouble.clock, order.index(scene.trouble.name)))
    async with asyncio.TaskGroup() as group:
        tasks = {scene.number: group.create_task(one(scene)) for scene in ordered}
    return [tasks[scene.number].result() for scene in scenes]


async def settle(standin: Standin, probed: Sequence[str]) -> None:
    """Waits until each of these doubles was probed once: a first probe that meets a trouble would count."""
    with suppress(TimeoutError):  # a probe that never comes is the gateway's affair, and shows in what follows
        async with asyncio.timeout(SETTLE):
            for name in probed:
                await standin.doubles[name].probed.wait()


async def rehearse(stage: Stage, scene: Scene) -> Observed:
    """One scene: a call while all is well, as many as open the breaker, one more, and the way back."""
    well = await _ask(stage, scene) if scene.trouble.heals else None  # what never heals was never well
    names = stage.doubles(scene)
    for name in names:
        stage.standin.doubles[name].waits.clear()
        await stage.standin.break_(name, scene.trouble)
    try:
        sick = [await _ask(stage, scene) for _ in range(stage.failures)]
        after = await _ask(stage, scene)
        # Where nothing reaches the stand-in, the last moment at which the upstream may have been tried.
        hidden = after.at + after.seconds if scene.trouble.place is not Place.ANSWER else 0.0
        touched = max(hidden, *(stage.standin.doubles[name].latest for name in names))
    finally:
        for name in names:
            await stage.standin.heal(name)
    healed = time.monotonic()
    heals = scene.trouble.heals and not (scene.trouble.place is Place.TLS and stage.standin.certificates is None)
    back: list[Seen] = []
    recovery = await _way_back(stage, scene, healed, back) if heals else None
    detect = _detected(stage, scene, sick, after)
    late = touched - _opened(scene, sick[-1], detect) > LEAST * stage.delay
    return Observed(scene, well, sick, after, back, heals, recovery, detect, late)


def _opened(scene: Scene, last: Seen, detect: float | None) -> float:
    """When the breaker opened, at the earliest: the last of the failures was detected."""
    return last.at + (last.first if scene.trouble.breaks_content else 0.0) + (detect or 0.0)


async def _ask(stage: Stage, scene: Scene) -> Seen:
    doubles = [stage.standin.doubles[name] for name in stage.doubles(scene)]
    posts, whole = (sum(double.posts for double in doubles), sum(double.whole for double in doubles))
    for double in doubles:
        double.gate.clear()

    def heard() -> None:
        for double in doubles:
            double.gate.set()

    seen = await stage.callers.ask(scene.shape, scene.model, heard)
    relayed = stage.standin.relays and sum(double.whole for double in doubles) > whole
    source = Source.CLOUD if relayed and seen.source is Source.OTHER else seen.source
    return replace(seen, source=source, touched=sum(double.posts for double in doubles) - posts)


async def _way_back(stage: Stage, scene: Scene, healed: float, back: list[Seen]) -> float | None:
    """Goes on calling until the cloud answers; returns how long after healing that was, or None."""
    pause = stage.delay if scene.trouble.counts else 0.0
    while time.monotonic() - healed <= stage.recovery:
        await asyncio.sleep(pause)
        began = time.monotonic()
        back.append(await _ask(stage, scene))
        if back[-1].source is Source.CLOUD:
            return began - healed
        pause = min(max(STEP, stage.delay / 10), 5.0)
    return None


def _detected(stage: Stage, scene: Scene, sick: Sequence[Seen], after: Seen) -> float | None:
    """Seconds until the gateway gave the sick upstream up, as the stand-in saw it; else by what the calls lost."""
    if not scene.trouble.faults:
        return None
    waits = [wait for name in stage.doubles(scene)[:1] for wait in stage.standin.doubles[name].waits]
    if scene.trouble.breaks_content:
        return max(0.0, statistics.median(seen.seconds - seen.first for seen in sick))
    if waits:
        return statistics.median(waits)
    lost = statistics.median((seen.first or seen.seconds) for seen in sick) - (after.first or after.seconds)
    return max(0.0, lost)
