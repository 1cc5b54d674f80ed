"""The scorecard on a terminal."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from sampan.drill.phrases import Phrases
from sampan.drill.report import Column, Report, first_event, touches
from sampan.drill.scorecard import Card

NUMBERS = ("detected", "recovered", "first event", "touched")
WIDTHS = (92, 104, 118, 140)
"""Columns of a terminal from which on each of the numbers has room beside six pairs of route and operation."""
LISTED = 40  # broken scenes that are told one by one


def show(console: Console, report: Report, words: Phrases, lang: str) -> None:
    """Prints grid, notes, what was broken, and the verdict last: it is what stands above the prompt."""
    console.print(_grid(console, report, words, lang))
    console.print(Text(f"✓ {words['kept']}   ! {words['nobody']}   ✗ {words['not kept']}   · {words['not rehearsed']}"))
    for line in notes(report, words):
        console.print(Text(line))
    console.print(_verdict(report, words))


def notes(report: Report, words: Phrases) -> list[str]:
    """What must be known to read the scorecard."""
    told = words["told"].format(
        configuration=report.configuration,
        scenes=len(report.cards),
        calls=report.calls,
        seconds=report.seconds,
        when=report.when,
    )
    lines = [told]
    if report.url:
        lines.append(words["elsewhere"].format(url=report.url))
    else:
        lines.append(words["shortened"].format(**report.settings))
    if report.invented:
        lines.append(words["invented"])
    if report.alone:
        lines.append(words["alone"].format(count=len(report.alone)))
    return lines


def _grid(console: Console, report: Report, words: Phrases, lang: str) -> Table:
    """One column for each route and operation; its two marks are for whole answers and for streams."""
    numbers = NUMBERS[: bisect_right(WIDTHS, console.width)]
    pairs = list(dict.fromkeys((route, operation) for route, operation, _ in report.columns))
    table = Table(title=words["title"], title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(words["fault"], no_wrap=True)
    for route, operation in pairs:
        table.add_column(Text(f"{route}\n{words[operation]}"), justify="center")
    for name in numbers:
        table.add_column(words[name], justify="right", no_wrap=True)
    for trouble, cards in report.rows:
        told = trouble.zh if lang == "zh" else trouble.name
        table.add_row(escape(told), *(_marks(cards, pair) for pair in pairs), *_numbers(cards)[: len(numbers)])
    return table


def _numbers(cards: Mapping[Column, Card]) -> list[str]:
    """The worst of the row, in seconds, and the calls that touched the sick upstream one after another."""
    detected = [card.observed.detect for card in cards.values() if card.observed.detect is not None]
    back = [card.observed.recovery for card in cards.values() if card.observed.recovery is not None]
    worst = max((touches(card) for card in cards.values()), key=lambda counts: (counts[-1], sum(counts)))
    return [
        f"{max(detected):.2f} s" if detected else "",
        f"{max(back):.1f} s" if back else "",
        f"{max(first_event(card) for card in cards.values()):.2f} s",
        " ".join(map(str, worst)),
    ]


def _marks(cards: Mapping[Column, Card], pair: tuple[str, str]) -> Text:
    return Text.assemble(_mark(cards.get((*pair, False))), " ", _mark(cards.get((*pair, True))))


def _mark(card: Card | None) -> Text:
    if card is None:
        return Text("·", style="dim")
    if not card.kept:
        return Text("✗", style="bold red")
    return Text("!", style="bold yellow") if card.observed.alone else Text("✓", style="green")


def _verdict(report: Report, words: Phrases) -> RenderableType:
    if report.kept:
        return Text(words["all kept"], style="bold green")
    lines: list[RenderableType] = []
    for card in report.broken[:LISTED]:
        for promise, note in card.broken.items():
            lines.append(Text.assemble((f"✗ {card.observed.scene.name} ", "red"), f"{promise.value}: {note}"))
    if len(report.broken) > LISTED:
        lines.append(Text("…"))
    said = words["broken"].format(count=len(report.broken), all=len(report.cards))
    return Group(*lines, Text(said, style="bold red"))
