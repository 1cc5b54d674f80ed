"""Spans: which calls have one, what it says, and how it travels."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import msgspec
import pytest
from test_telemetry import RECORD

from sampan.telemetry.tracing import Collector, Tracing
from tests.fake_collector import FakeCollector

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector() -> Iterator[FakeCollector]:
    with FakeCollector() as collector:
        yield collector


def test_a_call_is_told_as_the_conventions_say(collector: FakeCollector) -> None:
    tracing = Tracing(Collector(collector.url, {"authorization": "Bearer secret"}, "house"))
    span = tracing.begin({})
    assert span is not None
    record = msgspec.structs.replace(RECORD, attempts="claude=cut,vl=ok", upstream="vl", rule="r")
    span.end(record)
    tracing.close()
    (told,) = collector.spans()
    assert (told["service"], told["name"], told["kind"]) == ("house", "chat claude-x", 2)
    assert told["told"] | {"gen_ai.operation.name": "chat", "gen_ai.request.model": "claude-x"} == told["told"]
    assert (told["told"]["gen_ai.usage.input_tokens"], told["told"]["sampan.upstream"]) == ("12", "vl")
    attempts = [event["attributes"][0]["value"]["stringValue"] for event in told["events"]]
    assert attempts == ["claude", "vl"]
    assert int(told["endTimeUnixNano"]) >= int(told["startTimeUnixNano"]) > 1_600_000_000 * 10**9
    ((path, headers, _),) = collector.requests
    assert (path, headers["authorization"]) == ("/v1/traces", "Bearer secret")
    assert "ann" not in str(collector.requests)


def test_a_callers_trace_goes_on(collector: FakeCollector) -> None:
    tracing = Tracing(Collector(collector.url), 0.0)
    span = tracing.begin({"traceparent": PARENT})
    assert span is not None
    _, trace, own, flags = span.traceparent.split("-")
    assert (trace, flags) == (PARENT.split("-")[1], "01")
    assert own != PARENT.split("-")[2]
    span.end(msgspec.structs.replace(RECORD, outcome="failed", error="overloaded_error"))
    tracing.close()
    (told,) = collector.spans()
    assert (told["traceId"], told["spanId"], told["parentSpanId"]) == (trace, own, PARENT.split("-")[2])
    assert told["status"] == {"code": 2}


@pytest.mark.parametrize(
    "parent",
    [PARENT[:-2] + "00", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "junk", "", "01" + PARENT[2:], PARENT.upper()],
)
def test_what_is_not_to_be_traced_costs_nothing(parent: str, collector: FakeCollector) -> None:
    tracing = Tracing(Collector(collector.url), 0.0)
    assert tracing.begin({"traceparent": parent}) is None
    tracing.close()
    assert not collector.requests


@pytest.mark.parametrize(("luck", "traced"), [(0.0, True), (0.24, True), (0.25, False), (0.9, False)])
def test_a_share_of_the_others_is_traced(luck: float, traced: bool, collector: FakeCollector) -> None:
    tracing = Tracing(Collector(collector.url), 0.25, luck=lambda: luck)
    assert (tracing.begin({}) is not None) is traced
    tracing.close()


def test_a_collector_that_is_away_is_told_of_once(collector: FakeCollector, caplog: pytest.LogCaptureFixture) -> None:
    collector.status = 503
    tracing = Tracing(Collector(collector.url))
    with caplog.at_level(logging.INFO, logger="sampan.telemetry"):
        for status in (503, 503, 200):
            collector.status = status
            span = tracing.begin({})
            assert span is not None
            span.end(RECORD)
            tracing._provider.force_flush(5000)
    tracing.close()
    said = [record.message for record in caplog.records]
    assert said == ["traces are lost: 127.0.0.1 does not take them (status 503)", "traces are taken again by 127.0.0.1"]


def test_nothing_is_sent_where_it_may_not_go(collector: FakeCollector, caplog: pytest.LogCaptureFixture) -> None:
    def forbid(host: str, port: int) -> None:
        raise PermissionError(1, "not allowed")

    tracing = Tracing(Collector(collector.url), may_connect=forbid)
    span = tracing.begin({})
    assert span is not None
    span.end(RECORD)
    tracing.close()
    assert not collector.requests
    assert "not allowed" in caplog.text


def test_another_process_of_ours_is_told_where_to_send() -> None:
    collector = Collector("http://c:4318", {"authorization": "Bearer x: y", "b": "2"}, "house")
    assert Collector.of(collector.environment()) == collector
    assert Collector.of({}) is None
