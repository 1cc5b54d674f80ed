"""A drill of the user's own configuration, in a gateway of its own on this machine."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

from rich.console import Console

from sampan import __version__, config
from sampan.config import Config
from sampan.drill import certificates
from sampan.drill.callers import callers
from sampan.drill.child import Child
from sampan.drill.orders import Orders
from sampan.drill.phrases import Phrases
from sampan.drill.progress import watching
from sampan.drill.rehearsal import Stage, play, settle
from sampan.drill.relay import Relay
from sampan.drill.report import Report
from sampan.drill.scenes import Play, Scene, Wish, imagine, stage, trusted, with_clouds
from sampan.drill.scorecard import MARGIN, Card, Observed, Rules, judge, well_so_far
from sampan.drill.standin import Standin
from sampan.drill.troubles import Place


async def rehearse_home(orders: Orders, wish: Wish, console: Console, words: Phrases) -> Report:
    """Plays every scene of the configuration. Raises `ConfigError` for none, or a gateway that does not start."""
    path = Path(orders.config) if orders.config else None
    original = config.load(path)
    loaded = with_clouds(original)
    scenes = imagine(loaded, wish)
    began, when = time.monotonic(), datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    with tempfile.TemporaryDirectory(prefix="sampan-drill-") as name:
        acted, observed, log = await _act(orders, wish, loaded, scenes, Path(name), console, words)
    rules = _rules(acted, orders)
    cards: list[Card] = [judge(each, rules) for each in observed]
    settings = {**rules.clocks, "delay": acted.delay, "recovery": rules.recovery, "failures": float(acted.failures)}
    called = str(path) if path else "embedded defaults"
    seconds = time.monotonic() - began
    return Report(__version__, called, when, seconds, cards, settings, invented=loaded is not original, log=log)


def _rules(acted: Play, orders: Orders) -> Rules:
    return Rules(
        clocks={name: float(value) for name, value in asdict(acted.clocks).items() if value is not None},
        recovery=_recovery(acted),
        handover=orders.handover,
    )


def _recovery(acted: Play) -> float:
    return acted.delay + acted.config.probes.timeout + MARGIN


async def _act(
    orders: Orders, wish: Wish, loaded: Config, scenes: Sequence[Scene], folder: Path, console: Console, words: Phrases
) -> tuple[Play, list[Observed], bytes]:
    """Everything that must be cleaned up again: stand-ins, the gateway, its folder."""
    shown = await asyncio.to_thread(certificates.make, folder)
    relay = Relay(_origins(loaded, scenes)) if wish.real else None
    async with AsyncExitStack() as stack:
        standin = await stack.enter_async_context(Standin(shown, relay=relay))
        urls = {clone: await standin.add(clone, scene.trouble.place) for scene in scenes for clone in scene.clouds}
        acted = stage(loaded, scenes, urls, folder / "data", wish)
        if shown is not None:
            acted = trusted(acted, shown.authority)
        child = Child(acted.config, folder, lambda line: console.print(line, highlight=False, soft_wrap=True))
        with console.status(words["title"]):
            await stack.enter_async_context(child)
            await settle(standin, _probed(acted, scenes, trusted=shown is not None))
        sdks = await stack.enter_async_context(callers(child.url, child.key, ours=True))
        ground = Stage(standin, sdks, acted.failures, acted.delay, _recovery(acted))
        rules = _rules(acted, orders)
        with watching(orders.progress, console, words["title"], scenes) as watch:

            def played(each: Observed) -> None:
                watch.end(each.scene, well_so_far(each, rules))

            observed = await play(ground, scenes, orders.together, played, watch.begin)
        await child.stop()
        records, doubled = await child.records()
    return acted, [replace(each, records=records, doubled=doubled) for each in observed], child.log


def _origins(loaded: Config, scenes: Sequence[Scene]) -> dict[str, str]:
    pairs = (pair for scene in scenes for pair in scene.clouds.items())
    return {clone: loaded.upstreams[name].base_url for clone, name in pairs}


def _probed(acted: Play, scenes: Sequence[Scene], *, trusted: bool) -> list[str]:
    """The clones whose first probe the stand-in will see."""
    if not acted.config.probes.interval:
        return []
    hidden = {Place.NAME} if trusted else {Place.NAME, Place.TLS}
    clones = [clone for scene in scenes if scene.trouble.place not in hidden for clone in scene.clouds]
    return [clone for clone in clones if acted.config.upstreams[clone].probe.startswith("/")]
