"""The dashboard and the alert rules ask for series that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from test_telemetry import RECORD

from sampan.core import Fault, Operation
from sampan.routing.bulkhead import Bulkhead
from sampan.telemetry import Metrics

DEPLOY = Path(__file__).parent.parent / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana.json").read_text())
ALERTS = (DEPLOY / "alerts.yml").read_text()


def exposed() -> dict[str, set[str]]:
    """Every series by its name, with the names of its labels."""
    metrics = Metrics()
    metrics.opened()
    metrics.closed(msgspec.structs.replace(RECORD, images=1, cache="hit", rule="r", cost=1.0, department="d"))
    metrics.attempted("a", Operation.TEXT, Fault.CUT)
    metrics.probed("a", None)
    metrics.breaker("a", Operation.TEXT, "open")
    metrics.bulkhead("a", Bulkhead(1))
    metrics.engine("vl", True)
    metrics.shared_state(True)
    metrics.delivered("siem", 3, True)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


EXPRESSIONS = [
    *(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]),
    *re.findall(r"expr: (?:\|\n)?(.+?)\n        for:", ALERTS, re.DOTALL),
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_series_and_label_is_exposed(expression: str) -> None:
    known = exposed()
    names = re.findall(r"sampan_\w+", expression)
    assert names or expression.startswith("up{"), expression
    for name in names:
        assert name in known, name
    for name, labels in re.findall(r"(sampan_\w+)\{([^}]*)\}", expression):
        for label in re.findall(r"(\w+)(?:=|!=)", labels):
            assert label in known[name], f"{name} has no label {label}"
    for labels in re.findall(r"by \(([^)]*)\)", expression):
        for label in labels.split(", "):
            assert any(label in known[name] for name in names), label


def test_all_alerts_are_explained() -> None:
    manual = (DEPLOY.parent / "docs" / "observability.md").read_text()
    alerts = re.findall(r"- alert: (\w+)", ALERTS)
    assert len(alerts) == len(set(alerts)) >= 8
    for alert in alerts:
        assert re.search(rf"^\| `{alert}` \|", manual, re.MULTILINE), alert


def test_panels_have_a_place_of_their_own() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        spot = panel["gridPos"]
        cells = {(spot["x"] + x, spot["y"] + y) for x in range(spot["w"]) for y in range(spot["h"])}
        assert not cells & taken, panel["title"]
        assert spot["x"] + spot["w"] <= 24
        taken |= cells
