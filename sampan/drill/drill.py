"""The drill from beginning to end: read the orders, rehearse, tell."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from sampan.core import Operation
from sampan.drill import page, table
from sampan.drill.elsewhere import rehearse_elsewhere
from sampan.drill.home import rehearse_home
from sampan.drill.orders import Orders, Watching
from sampan.drill.phrases import Phrases, phrases
from sampan.drill.report import encode
from sampan.drill.scenes import Wish
from sampan.drill.troubles import TROUBLES, chosen
from sampan.errors import ConfigError


async def run(orders: Orders) -> int:
    """Does what was ordered and prints it; returns the exit status. Raises `ConfigError`."""
    words = phrases(orders.lang)
    console = Console(stderr=orders.progress is Watching.JSON)
    if orders.listing:
        _list(console, words, orders.lang)
        return 0
    wish = wish_of(orders)
    out = _folder(orders.out)
    rehearse = rehearse_elsewhere if orders.url else rehearse_home
    report = await rehearse(orders, wish, console, words)
    table.show(console, report, words, orders.lang)
    if out is not None:
        (out / "drill.json").write_bytes(encode(report))
        (out / "drill.html").write_text(page.draw(report, words, orders.lang), encoding="utf-8")
        (out / "drill.log").write_bytes(report.log)
        console.print(f"{out / 'drill.html'}\n{out / 'drill.json'}", soft_wrap=True, highlight=False)
    return 0 if report.kept else 1


def wish_of(orders: Orders) -> Wish:
    """What to rehearse; raises `ConfigError` for a name that means nothing."""
    known = {operation.value: operation for operation in Operation}
    for name in orders.operation:
        if name not in known:
            raise ConfigError(f"--operation: {name!r} is not one of {', '.join(known)}")
    models = {}
    for pair in orders.model:
        what, sign, model = pair.partition("=")
        if not sign or not what or not model:
            raise ConfigError(f"--model: {pair!r} is not WHAT=NAME")
        models[what] = model
    operations = tuple(known[name] for name in orders.operation) or tuple(Operation)
    return Wish(chosen(orders.only), operations, models, orders.real, orders.delay)


def _folder(out: str) -> Path | None:
    """The folder of the results, made now: to learn after minutes that it cannot be written would be a pity."""
    if not out:
        return None
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out: {out} cannot be made: {error.strerror}") from None
    return folder


def _list(console: Console, words: Phrases, lang: str) -> None:
    shown = Table(words["fault"], "", "", title_justify="left")
    for trouble in TROUBLES:
        shown.add_row(trouble.name, trouble.zh if lang == "zh" else trouble.en, words[trouble.when.value])
    console.print(shown)
