"""The same drill aimed at any gateway with an Anthropic- or OpenAI-compatible API, whose upstream is the stand-in.

There is one stand-in address and one model per dialect, so scenes are played one after another, each after the gateway
has come back from the one before.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import datetime

from rich.console import Console

from sampan import __version__, config
from sampan.core import Dialect, Tier
from sampan.drill.callers import Source, callers
from sampan.drill.exchange import Double
from sampan.drill.orders import Orders
from sampan.drill.phrases import Phrases
from sampan.drill.progress import watching
from sampan.drill.rehearsal import Stage, play
from sampan.drill.report import Report
from sampan.drill.scenes import Scene, Shape, Wish
from sampan.drill.scorecard import Observed, Rules, judge, well_so_far
from sampan.drill.standin import Standin
from sampan.drill.troubles import Place
from sampan.errors import ConfigError

EVERYTHING = "stand-in"
FAILURES = 3
DELAY = 30.0
"""Seconds that its breaker, or cooldown, is taken to wait where nobody says."""
WAIT = 30.0
"""Seconds that a caller may wait for an answer of a gateway whose clocks we do not know."""
SLACK = 15.0
"""Seconds beside its delay that it may take to come back."""
PLAYABLE = (Place.ANSWER, Place.CLOSED, Place.HOLE)
"""A certificate or a name is in the other gateway's configuration: those troubles cannot be played to it."""
DEFAULT = {Dialect.ANTHROPIC: "claude-sonnet-5-5"}


async def rehearse_elsewhere(orders: Orders, wish: Wish, console: Console, words: Phrases) -> Report:
    """Raises `ConfigError` where the stand-in's address is taken or the gateway does not ask it."""
    scenes = imagine(wish)
    delay = wish.delay or DELAY
    began, when = time.monotonic(), datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    try:
        host, port = config.split_listen(orders.listen)
    except ValueError as error:
        raise ConfigError(f"--listen: {error}") from None
    async with AsyncExitStack() as stack:
        standin = await stack.enter_async_context(Standin())
        double = standin.doubles[EVERYTHING] = standin.everything = Double(EVERYTHING)
        try:
            await standin.listen(host, port)
        except OSError as error:
            raise ConfigError(f"--listen: cannot listen on {orders.listen}: {error.strerror}") from None
        console.print(f"stand-in: {standin.url} (/v1/messages, /v1/chat/completions, /v1/images/…)", highlight=False)
        sdks = await stack.enter_async_context(callers(orders.url, orders.key, ours=False))
        ground = Stage(standin, sdks, FAILURES, delay, delay + SLACK, EVERYTHING)
        for shape, model in {scene.shape: scene.model for scene in scenes}.items():
            seen = await sdks.ask(shape, model)
            if seen.source is not Source.CLOUD:
                raise ConfigError(
                    f"{orders.url} did not answer {shape.operation.value} for {model!r} from the stand-in at "
                    f"{standin.url}, which was asked {double.posts} times: {seen.ending.value} {seen.error}"
                )
        rules = Rules({}, delay + SLACK, ours=False, handover=orders.handover, margin=WAIT)
        with watching(orders.progress, console, words["title"], scenes) as watch:

            def played(each: Observed) -> None:
                watch.end(each.scene, well_so_far(each, rules))

            observed = await play(ground, scenes, 1, played, watch.begin)
    cards = [judge(each, rules) for each in observed]
    settings = {"delay": delay, "recovery": rules.recovery, "failures": float(FAILURES)}
    return Report(__version__, orders.url, when, time.monotonic() - began, cards, settings, url=orders.url)


def imagine(wish: Wish) -> tuple[Scene, ...]:
    """All scenes that can be played to a gateway of which nothing is known but a model name for each dialect."""
    scenes: list[Scene] = []
    for dialect, model in _models(wish.models).items():
        for operation in config.DIALECT_OPERATIONS[dialect]:
            for stream in (False, True):
                for trouble in wish.troubles:
                    if operation in wish.operations and stream in trouble.streams and trouble.place in PLAYABLE:
                        shape = Shape(dialect, operation, stream)
                        clouds, others = {EVERYTHING: EVERYTHING}, {"other": Tier.LOCAL}
                        scenes.append(Scene(len(scenes) + 1, trouble, shape, dialect.value, model, (), clouds, others))
    if not scenes:
        raise ConfigError("there is nothing to rehearse for these dialects, operations and faults")
    return tuple(scenes)


def _models(models: Mapping[str, str]) -> dict[Dialect, str]:
    """Which model to ask for in each dialect; raises `ConfigError` for one that cannot be asked."""
    known = {dialect.value: dialect for dialect in config.DIALECT_OPERATIONS}
    for name in models:
        if name not in known:
            raise ConfigError(f"--model: {name!r} is not one of {', '.join(known)}")
    return {known[name]: model for name, model in models.items()} or DEFAULT
