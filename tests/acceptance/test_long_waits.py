"""Streams that wait long for their first word, and outages that probes see before a caller does."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from behaviours import answer_text
from callers import messages
from cells import Cell
from clouds import Cloud
from gateway import DRAW, TALK, Gateway, Reply, eventually, route, until, upstream

KEEPALIVE, INTERVAL, DELAY = 0.1, 0.2, 0.6  # seconds

CELLS = ("waiting", "silent", "refusing", "lonely", "sick", "narrow", "trial", "model-sick")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Cloud]]:
    config = f"[breaker]\ndelay = {DELAY}\n[probes]\ninterval = {INTERVAL}\ntimeout = 0.5\n"
    with Cloud() as cloud:
        clocks = "clocks = { connect = 1, first_event = 1, idle = 5 }\n"
        patient = "clocks = { connect = 1, first_event = 20, idle = 5 }\n"
        for dialect, operations, end in (("anthropic", TALK, "talk"), ("openai-images", DRAW, "draw")):
            config += upstream(f"local-{end}", cloud.url(f"local-{end}"), dialect, location="local")
            for cell in CELLS:
                name = f"{cell}-{end}"
                more = patient if cell in ("waiting", "refusing", "narrow", "trial") else clocks
                more += "concurrency = 1\n" if cell == "narrow" else ""
                config += upstream(name, cloud.url(name), dialect, more=more)
                targets = (name,) if cell == "lonely" else (name, f"local-{end}")
                config += route(f"{name}-model", operations, *targets)
        folder = tmp_path_factory.mktemp("waits")
        with Gateway(folder, config, server=f"keepalive = {KEEPALIVE}\n") as running:
            yield running, cloud


def _body(model: str) -> dict[str, Any]:
    return {"model": model, "max_tokens": 9, "messages": messages(False), "stream": True}


def test_a_stream_that_waits_is_kept_alive(gateway: tuple[Gateway, Cloud]) -> None:
    """The head goes out early, comments keep the connection, and the whole answer comes in the end."""
    house, cloud = gateway
    cell = cloud.cell("waiting-talk")
    cell.behaviour = "gated"
    with house.connect("/v1/messages", _body("waiting-talk-model")) as sock:
        seen = until(sock, b": waiting")
        assert seen.startswith(b"HTTP/1.1 200") and b"text/event-stream" in seen and b"event:" not in seen
        cell.gate.set()
        rest = until(sock, b"message_stop")
    assert answer_text("waiting-talk").encode() in rest
    assert b"x-sampan-attempts: waiting-talk=ok" in rest, "the headers went out too early to say it, so a comment must"


def test_the_sdk_does_not_notice_a_late_failover(gateway: tuple[Gateway, Cloud]) -> None:
    house, cloud = gateway
    cloud.cell("silent-talk").behaviour = "gated"  # its probes are well, its calls are silent
    with house.anthropic().messages.stream(**_without_stream("silent-talk-model")) as stream:
        call = stream.response.headers["request-id"]
        assert "".join(stream.text_stream) == answer_text("local-talk")
    record = house.record(call)
    assert record["attempts"] == "silent-talk=first_byte_timeout,local-talk=ok"
    assert record["first_event_ms"] >= 950
    cloud.cell("silent-draw").behaviour = "gated"
    pictures = house.openai().images.generate(model="silent-draw-model", prompt="a boat", stream=True)
    assert [event.type for event in pictures][-1] == "image_generation.completed"


def _without_stream(model: str) -> dict[str, Any]:
    return {name: value for name, value in _body(model).items() if name != "stream"}


def test_a_late_failure_is_an_error_and_no_clean_end(gateway: tuple[Gateway, Cloud]) -> None:
    house, cloud = gateway
    cloud.cell("lonely-talk").behaviour = cloud.cell("lonely-draw").behaviour = "gated"
    with (
        pytest.raises(anthropic.APIError) as talk,
        house.anthropic().messages.stream(**_without_stream("lonely-talk-model")) as stream,
    ):
        call = stream.response.headers["request-id"]
        stream.get_final_message()
    assert "lonely-talk=first_byte_timeout" in str(talk.value)
    record = house.record(call)
    assert (record["outcome"], record["attempts"]) == ("failed", "lonely-talk=first_byte_timeout")
    with pytest.raises(openai.APIError, match="lonely-draw=first_byte_timeout"):
        list(house.openai().images.generate(model="lonely-draw-model", prompt="a boat", stream=True))


def test_a_late_rejection_carries_the_clouds_words(gateway: tuple[Gateway, Cloud]) -> None:
    house, cloud = gateway
    cell = cloud.cell("refusing-talk")
    cell.behaviour = "gated_rejects"
    posts = cloud.cell("local-talk").posts
    with house.connect("/v1/messages", _body("refusing-talk-model")) as sock:
        until(sock, b": waiting")
        cell.gate.set()
        rest = until(sock, b"own  words")
    assert b"event: error" in rest
    assert cloud.cell("local-talk").posts == posts


def test_leaving_while_waiting_closes_the_upstream(gateway: tuple[Gateway, Cloud]) -> None:
    house, cloud = gateway
    cell = _gated_again(cloud, "waiting-draw")
    body = {"model": "waiting-draw-model", "prompt": "a boat", "stream": True}
    with house.connect("/v1/images/generations", body) as sock:
        head = until(sock, b": waiting")
        assert cell.asked.is_set()
    assert cell.gone.wait(2), "the upstream's connection was left open"
    call = head.partition(b"request-id: ")[2].partition(b"\r\n")[0].decode()
    assert house.record(call)["outcome"] == "left"


def _gated_again(cloud: Cloud, name: str) -> Cell:
    cell = cloud.cell(name)
    cell.behaviour = "gated"
    for event in (cell.asked, cell.gate, cell.gone):
        event.clear()
    return cell


def _ask(house: Gateway, model: str) -> Reply:
    return house.http("POST", "/v1/messages", _body(model) | {"stream": False})


def _breaker(house: Gateway, name: str) -> str:
    return str(house.http("GET", "/ready", key=None).json["breakers"][name]["text"])


def test_probes_see_an_outage_before_a_caller_does(gateway: tuple[Gateway, Cloud]) -> None:
    """Free GETs alone open the breaker and, after the healing, let one live call try; nobody's call fails."""
    house, cloud = gateway
    cell = cloud.cell("sick-talk")
    cell.behaviour = "500"
    eventually(lambda: _breaker(house, "sick-talk") == "open", 5, "the breaker to open")
    reply = _ask(house, "sick-talk-model")
    assert reply.headers["x-sampan-attempts"] == "sick-talk=breaker_open,local-talk=ok"
    assert cell.posts == 0, "a probe cost something, or a call was sent into a known outage"
    cell.behaviour = "healthy"
    eventually(lambda: _breaker(house, "sick-talk") != "open", DELAY + 3, "the breaker to cool")
    reply = _ask(house, "sick-talk-model")
    assert reply.headers["x-sampan-attempts"] == "sick-talk=ok" and cell.posts == 1
    assert _breaker(house, "sick-talk") == "closed"
    metrics = house.http("GET", "/metrics", key=None).body.decode()
    assert 'sampan_probes_total{fault="server_error",upstream="sick-talk"}' in metrics


def _another_probe(cell: Cell) -> None:
    gets = cell.gets
    eventually(lambda: cell.gets > gets, 5, "another good probe")


def test_good_probes_do_not_hide_failing_calls(gateway: tuple[Gateway, Cloud]) -> None:
    """A server whose GETs are well while every message fails still trips, and comes back only by a call that works."""
    house, cloud = gateway
    cell = cloud.cell("model-sick-talk")
    cell.behaviour = "529"
    for _ in range(3):
        assert _ask(house, "model-sick-talk-model").headers["x-sampan-upstream"] == "local-talk"
        _another_probe(cell)
    assert cell.posts == 3
    reply = _ask(house, "model-sick-talk-model")
    assert reply.headers["x-sampan-attempts"].startswith("model-sick-talk=breaker_open,")
    assert cell.posts == 3


def test_a_full_upstream_is_passed_by(gateway: tuple[Gateway, Cloud]) -> None:
    """More calls than an upstream may have open are answered elsewhere, and say nothing about its health."""
    house, cloud = gateway
    cell = _gated_again(cloud, "narrow-talk")
    with house.connect("/v1/messages", _body("narrow-talk-model") | {"stream": False}) as first:
        assert cell.asked.wait(5)
        for _ in range(4):
            reply = _ask(house, "narrow-talk-model")
            assert reply.headers["x-sampan-attempts"] == "narrow-talk=bulkhead_full,local-talk=ok"
        cell.gate.set()
        assert b"narrow-talk=ok" in until(first, answer_text("narrow-talk").encode())
    assert _breaker(house, "narrow-talk") == "closed"
    assert _ask(house, "narrow-talk-model").headers["x-sampan-attempts"] == "narrow-talk=ok"


def test_one_trial_at_a_time_finds_out_whether_it_is_healed(gateway: tuple[Gateway, Cloud]) -> None:
    """While the trial is out everybody else is answered locally; a caller who leaves gives the trial back."""
    house, cloud = gateway
    cell = _gated_again(cloud, "trial-talk")
    cell.behaviour = "529"
    for _ in range(3):
        _ask(house, "trial-talk-model")
    cell.behaviour = "gated"
    cell.asked.clear()
    eventually(lambda: _breaker(house, "trial-talk") == "half_open", DELAY + 3, "a probe to half open the breaker")
    posts = cell.posts
    with house.connect("/v1/messages", _body("trial-talk-model") | {"stream": False}):
        eventually(lambda: cell.posts == posts + 1, 5, "the trial")
        for _ in range(3):
            reply = _ask(house, "trial-talk-model")
            assert reply.headers["x-sampan-attempts"] == "trial-talk=breaker_open,local-talk=ok"
        assert cell.posts == posts + 1
    assert cell.gone.wait(2)
    assert _breaker(house, "trial-talk") == "half_open"
    cell.gate.set()
    assert _ask(house, "trial-talk-model").headers["x-sampan-attempts"] == "trial-talk=ok"
    assert _breaker(house, "trial-talk") == "closed"


def test_a_caller_who_sends_half_a_request_costs_nobody_else(gateway: tuple[Gateway, Cloud]) -> None:
    house, _ = gateway
    with socket.create_connection(house.address) as half:
        half.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{")
        assert house.http("GET", "/health", key=None).status == 200
    assert house.process.poll() is None
