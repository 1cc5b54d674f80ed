"""A call seen from outside: one trace through gateway and engine, and nothing of what was said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from clouds import Cloud
from gateway import QUICK, TALK, Gateway, eventually, route, upstream

from tests.fake_collector import FakeCollector

CANARY = "canary-7f3a-放射科-病人"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def collector() -> Iterator[FakeCollector]:
    with FakeCollector() as collector:
        yield collector


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def house(collector: FakeCollector, cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    config = QUICK + upstream("talk", cloud.url("traced"), "anthropic", more='probe = "off"')
    config += '[engines.reader]\nkind = "reader"\n'
    config += route("claude-*", TALK, "talk") + route("reader", TALK, "reader")
    config += f'[telemetry]\ntraces = "{collector.url}"\nlog_format = "json"\ncalls = true\n'
    with Gateway(tmp_path_factory.mktemp("traces"), config) as gateway:
        gateway.wait_ready(300)
        yield gateway


def ask(house: Gateway, model: str) -> str:
    messages: list[Any] = [{"role": "user", "content": f"{CANARY}: 合同编号 A-1。编号是什么?"}]
    raw = house.anthropic(timeout=120).messages.with_raw_response.create(
        model=model, max_tokens=50, messages=messages, extra_headers={"traceparent": PARENT}
    )
    return str(raw.headers["request-id"])


def spans_of(collector: FakeCollector, count: int, call: str) -> list[dict[str, Any]]:
    def found() -> list[dict[str, Any]] | None:
        ours = [span for span in collector.spans() if span["traceId"] == PARENT.split("-")[1]]
        roots = [span for span in ours if span["told"].get("sampan.request_id") == call]
        return ours if roots and len(ours) >= count else None

    return eventually(found) or []


def test_one_trace_goes_through_the_gateway_and_the_engine(house: Gateway, collector: FakeCollector) -> None:
    call = ask(house, "reader")
    spans = spans_of(collector, 2, call)
    (gateway,) = [span for span in spans if span["told"].get("sampan.request_id") == call]
    (engine,) = [span for span in spans if span["service"] == "sampan-engine"]
    assert gateway["parentSpanId"] == PARENT.split("-")[2]
    assert engine["parentSpanId"] == gateway["spanId"]
    assert (gateway["name"], gateway["told"]["sampan.upstream"]) == ("chat reader", "reader")
    assert engine["told"]["sampan.engine"] == "reader"


def test_a_cloud_is_not_told_of_our_traces(house: Gateway, cloud: Cloud) -> None:
    ask(house, "claude-x")
    assert all("traceparent" not in head for head in cloud.cell("traced").heads)


def test_each_call_is_a_line_of_json_and_nothing_tells_what_was_said(house: Gateway, collector: FakeCollector) -> None:
    call = ask(house, "claude-x")

    def line() -> dict[str, Any] | None:
        said = [json.loads(each) for each in house.log.splitlines() if each.startswith("{")]
        return next((each for each in said if each.get("id") == call), None)

    told = eventually(line)
    assert told is not None
    assert (told["logger"], told["outcome"], told["upstream"]) == ("sampan.calls", "ok", "talk")
    spans_of(collector, 1, call)
    metrics = house.http("GET", "/metrics", key=None).body.decode()
    for text in (house.log, str(collector.requests), metrics):
        assert "canary" not in text and "病人" not in text
        assert "sk-sampan" not in text
