from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator

import msgspec
import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from sampan.core import Fault, Operation, Record
from sampan.routing.breaker import State
from sampan.routing.bulkhead import Bulkhead, Slot
from sampan.telemetry import Metrics, configure_logging, log_call
from sampan.telemetry.metrics import BREAKER_STATES, MOST, SECONDS

RECORD = Record(
    id="req_1",
    started=1.0,
    key_id="key_1",
    key_name="ann",
    dialect="anthropic",
    operation="text",
    model="claude-x",
    stream=True,
    outcome="ok",
    status=200,
    error="",
    upstream="claude",
    tier="cloud",
    attempts="claude=ok",
    input_tokens=12,
    output_tokens=3,
    images=0,
    bytes_in=10,
    bytes_out=20,
    first_event_ms=40.0,
    total_ms=1500.0,
)


def samples(metrics: Metrics) -> dict[str, float]:
    """What a scraper reads: `name{label="value",…}` with labels in alphabetical order."""
    found = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def test_nothing_happened_yet() -> None:
    assert samples(Metrics())["sampan_open_calls{}"] == 0


def test_calls_are_open_until_their_record_closes_them() -> None:
    metrics = Metrics()
    metrics.opened()
    metrics.opened()
    metrics.closed(RECORD)
    assert samples(metrics)["sampan_open_calls{}"] == 1


def test_a_call_is_counted_by_how_it_ended() -> None:
    metrics = Metrics()
    left = msgspec.structs.replace(RECORD, outcome="left", first_event_ms=0.0, total_ms=10.0, input_tokens=0)
    for record in (RECORD, RECORD, left):
        metrics.opened()
        metrics.closed(record)
    found = samples(metrics)
    assert found["sampan_calls_total{dialect=anthropic,operation=text,outcome=ok,tier=cloud}"] == 2
    assert found["sampan_calls_total{dialect=anthropic,operation=text,outcome=left,tier=cloud}"] == 1
    assert sum(value for name, value in found.items() if name.startswith("sampan_call_seconds_count")) == 3
    assert sum(value for name, value in found.items() if name.startswith("sampan_call_seconds_sum")) == 3.01
    assert sum(value for name, value in found.items() if name.startswith("sampan_first_event_seconds_count")) == 2
    tokens = {name: value for name, value in found.items() if name.startswith("sampan_tokens_total")}
    assert sum(value for name, value in tokens.items() if "input" in name) == 24
    assert sum(value for name, value in tokens.items() if "output" in name) == 9


@pytest.mark.parametrize("seconds", [0.0, *SECONDS, 0.007, 10_000.0])
def test_a_bucket_counts_what_took_that_long_at_most(seconds: float) -> None:
    metrics = Metrics()
    metrics.closed(msgspec.structs.replace(RECORD, total_ms=seconds * 1000))
    buckets = {
        float(name.partition("le=")[2].rstrip("}").split(",")[0].replace("+Inf", "inf")): value
        for name, value in samples(metrics).items()
        if name.startswith("sampan_call_seconds_bucket")
    }
    assert len(buckets) == len(SECONDS) + 1
    assert {bound for bound, value in buckets.items() if value} == {bound for bound in buckets if seconds <= bound}


def test_attempts_probes_engines_and_breakers() -> None:
    metrics = Metrics()
    metrics.attempted("claude", Operation.TEXT, None)
    metrics.attempted("claude", Operation.TEXT, Fault.DNS)
    metrics.attempted("claude", Operation.TEXT, Fault.DNS)
    metrics.probed("claude", None)
    metrics.probed("claude", Fault.REFUSED)
    metrics.engine("reader", False)
    metrics.engine("reader", True)
    metrics.breaker("claude", Operation.TEXT, "closed")
    metrics.breaker("claude", Operation.TEXT, "open")
    found = samples(metrics)
    assert found["sampan_attempts_total{fault=ok,operation=text,upstream=claude}"] == 1
    assert found["sampan_attempts_total{fault=dns,operation=text,upstream=claude}"] == 2
    assert found["sampan_probes_total{fault=ok,upstream=claude}"] == 1
    assert found["sampan_probes_total{fault=refused,upstream=claude}"] == 1
    assert found["sampan_engine_ready{engine=reader}"] == 1
    states = {name: value for name, value in found.items() if name.startswith("sampan_breaker_state")}
    assert [name for name, value in states.items() if value == 1] == [
        "sampan_breaker_state{operation=text,state=open,upstream=claude}"
    ]


def test_bulkheads_are_looked_at_when_somebody_scrapes() -> None:
    metrics = Metrics()
    bulkhead = Bulkhead(2)
    metrics.bulkhead("claude", bulkhead)
    assert samples(metrics)["sampan_bulkhead_taken{upstream=claude}"] == 0
    slot = bulkhead.enter("ann")
    assert isinstance(slot, Slot)
    with slot:
        found = samples(metrics)
        assert found["sampan_bulkhead_taken{upstream=claude}"] == 1
        assert found["sampan_bulkhead_waiting{upstream=claude}"] == 0


def test_the_states_shown_are_those_that_there_are() -> None:
    assert list(BREAKER_STATES) == [state.value for state in State]


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("sampan")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    structlog.reset_defaults()


def test_logs_are_one_line_each_on_standard_error(monkeypatch: pytest.MonkeyPatch, logging_as_it_was: None) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    configure_logging("info")
    logging.getLogger("sampan.app").info("engine %s is warm", "reader")
    logging.getLogger("sampan.app").debug("too much")
    logging.getLogger("uvicorn.error").info("nothing of ours")
    logging.getLogger("uvicorn.error").warning("theirs")
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert 'level=info logger=sampan.app event="engine reader is warm"' in lines[0]
    assert "level=warning logger=uvicorn.error event=theirs" in lines[1]
    assert lines[0].startswith("timestamp=")


def test_rules_money_and_kept_answers_are_counted() -> None:
    metrics = Metrics()
    kept = msgspec.structs.replace(RECORD, cache="hit", department="放射科", cost=0.5, rule="r", confined="rule r")
    refused = msgspec.structs.replace(RECORD, outcome="refused", rule="r")
    for record in (kept, kept, refused):
        metrics.opened()
        metrics.closed(record)
    seen = samples(metrics)
    assert seen["sampan_cache_calls_total{cache=hit}"] == 2
    assert seen["sampan_rule_calls_total{outcome=confined,rule=r}"] == 2
    assert seen["sampan_rule_calls_total{outcome=refused,rule=r}"] == 1
    assert seen["sampan_cost_total{department=放射科}"] == 1.0


def test_series_are_bounded_whatever_rules_and_departments_are_called() -> None:
    metrics = Metrics()
    for number in range(1000):
        metrics.closed(msgspec.structs.replace(RECORD, department=f"d{number}", rule=f"r{number}", cost=1.0))
    seen = samples(metrics)
    assert len([name for name in seen if name.startswith(("sampan_cost", "sampan_rule"))]) <= 2 * (MOST + 1)
    assert seen["sampan_cost_total{department=other}"] == 1000 - MOST
    assert seen["sampan_rule_calls_total{outcome=other,rule=other}"] == 1000 - MOST


@pytest.mark.parametrize("form", ["json", "logfmt"])
def test_a_call_is_one_line_without_who_asked(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", form)
    log_call(msgspec.structs.replace(RECORD, user="ann", peer="10.0.0.9", department="放射科", cost=0.25))
    (line,) = capsys.readouterr().err.splitlines()
    assert "ann" not in line and "10.0.0.9" not in line and "key_1" not in line
    if form == "json":
        told = json.loads(line)
        assert (told["event"], told["logger"], told["id"], told["department"]) == (
            "call",
            "sampan.calls",
            "req_1",
            "放射科",
        )
        assert (told["total_ms"], told["upstream"], told["cost"]) == (1500.0, "claude", 0.25)
    else:
        assert "event=call" in line and "upstream=claude" in line and "department=放射科" in line
