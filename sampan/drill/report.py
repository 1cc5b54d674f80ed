"""The scorecard as values: what stands in the JSON, and what table and page are drawn from."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sampan.drill.callers import Ending, Seen, Source
from sampan.drill.scenes import Scene
from sampan.drill.scorecard import Card
from sampan.drill.troubles import TROUBLES, Trouble

Column = tuple[str, str, bool]
"""Route, operation, streaming or not."""


@dataclass(frozen=True, slots=True)
class Report:
    """A whole drill. `settings` are the numbers in force, in seconds; `log` is what the gateway under test logged."""

    version: str
    configuration: str
    when: str
    seconds: float
    cards: Sequence[Card]
    settings: Mapping[str, float]
    invented: bool = False
    url: str = ""
    log: bytes = b""

    @property
    def kept(self) -> bool:
        return all(card.kept for card in self.cards)

    @property
    def broken(self) -> list[Card]:
        return [card for card in self.cards if not card.kept]

    @property
    def alone(self) -> list[Card]:
        return [card for card in self.cards if card.observed.alone]

    @property
    def calls(self) -> int:
        return sum(len(card.observed.calls) for card in self.cards)

    @property
    def columns(self) -> list[Column]:
        return list(dict.fromkeys(column(card.observed.scene) for card in self.cards))

    @property
    def rows(self) -> list[tuple[Trouble, dict[Column, Card]]]:
        """By trouble, in the catalogue's order."""
        found: dict[str, dict[Column, Card]] = {}
        for card in self.cards:
            found.setdefault(card.observed.scene.trouble.name, {})[column(card.observed.scene)] = card
        return [(trouble, found[trouble.name]) for trouble in TROUBLES if trouble.name in found]

    @property
    def slowest_detection(self) -> float:
        return max((card.observed.detect or 0.0 for card in self.cards), default=0.0)

    @property
    def slowest_recovery(self) -> float:
        return max((card.observed.recovery or 0.0 for card in self.cards), default=0.0)


def column(scene: Scene) -> Column:
    return scene.route, scene.shape.operation.value, scene.shape.stream


def first_event(card: Card) -> float:
    """The median over the calls that met the trouble, in seconds."""
    return statistics.median(seen.first or seen.seconds for seen in card.observed.sick)


def touches(card: Card) -> list[int]:
    """Calls that reached the sick upstream, for each call in a row."""
    return [seen.touched for seen in (*card.observed.sick, card.observed.after)]


def answered_by(card: Card) -> str:
    """Who answered the calls that met the trouble, and how they ended where it broke the content; keys of `phrases`."""
    seen = card.observed.sick[-1]
    if seen.ending is Ending.ERROR:
        return "error event" if seen.source is not Source.NOBODY else "honest error"
    if seen.source is Source.BOTH:
        return "continued"
    upstream = seen.headers.get("x-sampan-upstream", seen.source.value)
    return card.observed.scene.clouds.get(upstream, upstream)


def encode(report: Report) -> bytes:
    """The JSON, indented; its members are told in docs/drill.md."""
    told = {
        "sampan": report.version,
        "configuration": report.configuration,
        "url": report.url or None,
        "when": report.when,
        "seconds": round(report.seconds, 1),
        "kept": report.kept,
        "settings": dict(report.settings),
        "clouds_invented": report.invented,
        "scenes": [_scene(card) for card in report.cards],
    }
    return json.dumps(told, ensure_ascii=False, indent=1).encode()


def _scene(card: Card) -> dict[str, Any]:
    observed, scene = card.observed, card.observed.scene
    phases = [
        *(["well"] if observed.well else []),
        *["sick"] * len(observed.sick),
        "after",
        *["back"] * len(observed.back),
    ]
    return {
        "fault": scene.trouble.name,
        "when": scene.trouble.when.value,
        "route": scene.route,
        "dialect": scene.shape.dialect.value,
        "operation": scene.shape.operation.value,
        "stream": scene.shape.stream,
        "clouds": dict(scene.clouds),
        "others": {name: tier.value for name, tier in scene.others.items()},
        "alone": observed.alone,
        "kept": card.kept,
        "promises": {promise.value: not note for promise, note in card.findings.items()},
        "broken": {promise.value: note for promise, note in card.broken.items()},
        "answered_by": answered_by(card),
        "first_event_s": round(first_event(card), 3),
        "detect_s": _rounded(observed.detect),
        "touched": touches(card),
        "recovery_s": _rounded(observed.recovery),
        "calls": [_call(phase, seen) for phase, seen in zip(phases, observed.calls, strict=True)],
    }


def _call(phase: str, seen: Seen) -> dict[str, Any]:
    return {
        "phase": phase,
        "ending": seen.ending.value,
        "answered_by": seen.source.value,
        "status": seen.status or None,
        "first_event_s": round(seen.first, 3) if seen.first else None,
        "seconds": round(seen.seconds, 3),
        "touched": seen.touched,
        "headers": dict(seen.headers),
        "error": seen.error or None,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
