"""From the drills' JSON to one table: what became of the calls, gateway beside gateway. Pure."""

from __future__ import annotations

import html
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OUTCOMES = {
    "answered": "answered in full",
    "error": "honest error",
    "broken": "connection broken, or bytes that the SDK cannot read",
    "empty": "an empty answer as if it were one",
    "half": "clean end of half an answer",
    "hung": "hung",
}
"""From best to worst: a scene is as bad as its worst call."""
Key = tuple[str, str, bool]
"""Dialect, fault, streaming or not."""


@dataclass(frozen=True)
class Cell:
    """One scene at one gateway. `touched` are the calls that reached the sick upstream, for each of four in a row;
    seconds are None where there were none to measure. `promises` says which were kept; none if the drill never
    ended.
    """

    outcome: str
    continued: bool = False
    touched: tuple[int, ...] = ()
    detect: float | None = None
    recovery: float | None = None
    promises: Mapping[str, bool] | None = None

    def __str__(self) -> str:
        told = ["continued" if self.continued and self.outcome == "answered" else self.outcome]
        if self.touched:
            told.append(" ".join(map(str, self.touched)))
        if self.detect is not None:
            told.append(f"{self.detect:.1f} s")
        if self.promises is not None:
            told.append("–" if self.recovery is None else f"back {self.recovery:.1f} s")
        return "; ".join(told)


def outcome(call: Mapping[str, Any], breaks: bool) -> str:
    """What a call came to; `breaks`: its fault breaks an answer in its content, so the cloud cannot have ended it."""
    ending, source = call["ending"], call["answered_by"]
    if ending != "whole":
        return str(ending)
    if source == "nobody":
        return "empty"
    return "half" if breaks and source == "cloud" else "answered"


def cell(scene: Mapping[str, Any]) -> Cell:
    """A scene of `drill.json`."""
    breaks = scene["when"] == "content"
    tried = [call for call in scene["calls"] if call["phase"] in ("sick", "after")]
    ends = [outcome(call, breaks and call["touched"] > 0) for call in tried]
    return Cell(
        max(ends, key=list(OUTCOMES).index),
        any(call["answered_by"] == "both" for call in tried),
        tuple(scene["touched"]),
        scene["detect_s"],
        scene["recovery_s"],
        scene["promises"],
    )


def cells(scenes: Sequence[Mapping[str, Any]]) -> dict[Key, Cell]:
    return {(scene["dialect"], scene["fault"], scene["stream"]): cell(scene) for scene in scenes}


Grid = Mapping[str, Mapping[Key, Cell]]
"""By the gateway's title."""
Rows = list[list[str]]


def summary(grid: Grid) -> Rows:
    """Counts of scenes, and promises kept; the first row is the head."""
    rows = [["", *grid], ["scenes", *(str(len(found)) for found in grid.values())]]
    for name, told in OUTCOMES.items():
        rows.append([told, *(str(sum(each.outcome == name for each in found.values())) for found in grid.values())])
    promises = dict.fromkeys(name for found in grid.values() for each in found.values() for name in each.promises or {})
    for name in promises:
        rows.append([f"promise `{name}` kept", *(_kept(found, name) for found in grid.values())])
    rows.append(["calls to the sick upstream, of four in a row (mean)", *(_touches(f) for f in grid.values())])
    rows.append(["time to detect (median, worst)", *(_spread([c.detect for c in f.values()]) for f in grid.values())])
    rows.append(["recovery (median, worst)", *(_spread([c.recovery for c in f.values()]) for f in grid.values())])
    return rows


def _kept(found: Mapping[Key, Cell], name: str) -> str:
    said = [each.promises[name] for each in found.values() if each.promises and name in each.promises]
    return f"{sum(said)} of {len(said)}"


def _touches(found: Mapping[Key, Cell]) -> str:
    sums = [sum(each.touched) for each in found.values() if each.touched]
    return f"{statistics.mean(sums):.1f}" if sums else "–"


def _spread(seconds: Sequence[float | None]) -> str:
    known = [each for each in seconds if each is not None]
    return f"{statistics.median(known):.1f} s, {max(known):.1f} s" if known else "–"


def details(grid: Grid, order: Sequence[str], dialect: str) -> Rows:
    """A row for each fault and form in one dialect, in the order of the drill's list."""
    rows = [["fault", "form", *grid]]
    for fault in order:
        for stream in (False, True):
            found = [each.get((dialect, fault, stream)) for each in grid.values()]
            if any(found):
                form = "stream" if stream else "whole"
                rows.append([fault, form, *("·" if each is None else str(each) for each in found)])
    return rows


def markdown(rows: Rows) -> str:
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body]) + "\n"


def page(title: str, parts: Sequence[tuple[str, Rows]]) -> str:
    """All tables on one page of HTML."""
    style = "body{font:14px sans-serif;margin:2em}td,th{border:1px solid #ccc;padding:3px 7px;text-align:left}"
    told = [f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{style}"]
    told.append(f"table{{border-collapse:collapse}}</style><h1>{html.escape(title)}</h1>")
    for name, rows in parts:
        told.append(f"<h2>{html.escape(name)}</h2><table>")
        for number, row in enumerate(rows):
            tag = "td" if number else "th"
            told.append("<tr>" + "".join(f"<{tag}>{html.escape(each)}</{tag}>" for each in row))
        told.append("</table>")
    return "\n".join(told)
