"""Nothing of a call's content, and no key, may stand in a log, a metric, a record, or in anybody else's answer."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from callers import PROMPT
from cells import png
from clouds import Cloud
from gateway import KEY, Gateway, form

WORDS = "CANARY-in-the-prompt-5f0c"
SYSTEM = "CANARY-in-the-system-prompt-77aa"
PIXELS = png((1, 2, 3), 24)
WRONG_KEY = "sk-sampan-CANARY-wrong-key-000000"
CLOUD_KEY = "sk-cloud-secret-canary"


def _calls(house: Gateway) -> list[tuple[str, bytes | dict[str, Any], dict[str, str], str]]:
    """Calls that go well, fail, are refused, are malformed; each carries canaries."""
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PIXELS).decode()}
    content = [{"type": "image", "source": source}, {"type": "text", "text": WORDS}]
    talk = {"max_tokens": 9, "system": SYSTEM, "messages": [{"role": "user", "content": content}]}
    models = ("good-talk-model", "alone-talk-model", "rejecting-talk-model", "nobody", "after-error-talk-model")
    calls: list[tuple[str, bytes | dict[str, Any], dict[str, str], str]] = []
    for model in models:
        for stream in (False, True):
            calls.append(("/v1/messages", talk | {"model": model, "stream": stream}, {}, KEY))
    calls.append(("/v1/messages", talk | {"model": "good-talk-model"}, {}, WRONG_KEY))
    calls.append(("/v1/messages", {"model": "good-talk-model", "max_tokens": 9, "messages": WORDS}, {}, KEY))
    calls.append(("/v1/messages", {"model": "good-talk-model", "max_tokens": WORDS, "messages": []}, {}, KEY))
    json_type = {"content-type": "application/json"}
    calls.append(("/v1/messages", f'{{"model": "{WORDS}'.encode(), json_type, KEY))
    calls.append((f"/v1/messages?q={WORDS}", talk | {"model": "good-talk-model"}, {}, KEY))
    body, kind = form({"prompt": WORDS, "model": "good-draw-model"}, {"image": ("a.png", "image/png", PIXELS)})
    calls.append(("/v1/images/edits", body, {"content-type": kind}, KEY))
    calls.append(("/v1/images/edits", body[:-30], {"content-type": kind}, KEY))
    for model in ("good-draw-model", "alone-draw-model"):
        calls.append(("/v1/images/generations", {"model": model, "prompt": WORDS, "n": 1}, {}, KEY))
    calls.append(("/v1/images/generations", {"model": "good-draw-model", "prompt": WORDS, "n": WORDS}, {}, KEY))
    return calls


def _canaries() -> list[bytes]:
    whole = base64.b64encode(PIXELS)
    return [each.encode() for each in (WORDS, SYSTEM, KEY, WRONG_KEY, CLOUD_KEY)] + [PIXELS[30:60], whole[40:90]]


@pytest.fixture(scope="module")
def refusals(house: Gateway, cloud: Cloud) -> list[bytes]:
    """Makes all the calls; the bodies of those that the gateway itself refused."""
    for end in ("talk", "draw"):
        cloud.cell(f"alone-{end}").behaviour = "500"
    cloud.cell("rejecting-talk").behaviour = "rejects"
    cell = cloud.cell("after-error-talk")
    cell.behaviour = "after_error"
    cell.gate.set()
    replies = [house.http("POST", path, body, headers, key=key) for path, body, headers, key in _calls(house)]
    assert {200, 400, 401, 404} <= {reply.status for reply in replies}, "the calls did not go as this test wants"
    last = replies[-1].headers["request-id"]
    house.record(last)
    return [reply.body for reply in replies if reply.status >= 400]


def test_logs_and_metrics_hold_nothing_of_a_call(house: Gateway, refusals: list[bytes]) -> None:
    log = house.errors.read_bytes() + "\n".join(house.lines).encode()
    metrics = house.http("GET", "/metrics", key=None).body + house.http("GET", "/ready", key=None).body
    assert b"alone-talk=server_error" in log, "the log was not even written"
    for canary in _canaries():
        assert canary not in log and canary not in metrics, canary


def test_refusals_hold_no_content_and_no_key(house: Gateway, refusals: list[bytes]) -> None:
    for canary in _canaries():
        assert not [body for body in refusals if canary in body], canary


def test_records_hold_no_content_and_no_key(house: Gateway, refusals: list[bytes]) -> None:
    exported = "\n".join(map(json.dumps, house.latest())).encode()
    for canary in _canaries():
        assert canary not in exported, canary


def test_only_the_kept_pictures_are_on_the_disk(house: Gateway, refusals: list[bytes]) -> None:
    """The data folder holds no prompt and no key in clear; pictures that callers sent are not kept at all."""
    files = [path for path in house.data.rglob("*") if path.is_file()]
    assert any("objects" in path.parts for path in files), "not even the pictures that were made are kept"
    for path in files:
        data = Path(path).read_bytes()
        for canary in (*_canaries(), PROMPT.encode()):
            assert canary not in data, f"{canary!r} in {path.name}"


def test_the_data_folder_is_its_owners_alone(house: Gateway) -> None:
    for path in (house.data, *house.data.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, f"{path} can be read by others"
