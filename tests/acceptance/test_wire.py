"""What developers do with the official SDKs, and their mistakes: answered in their dialect, naming what is wrong."""

from __future__ import annotations

import base64
import json
import socket
import urllib.parse
from typing import Any

import anthropic
import openai
import pytest
from behaviours import INPUT_TOKENS, answer_text
from callers import IMAGE_BLOCK, messages
from cells import PICTURE, PICTURE64
from clouds import Cloud
from gateway import KEY, Gateway, Reply, eventually, form, until
from prometheus_client.parser import text_string_to_metric_families

TALK, DRAW = "good-talk-model", "good-draw-model"
MESSAGES, GENERATIONS, EDITS = "/v1/messages", "/v1/images/generations", "/v1/images/edits"


def _messages(**changes: Any) -> dict[str, Any]:
    return {"model": TALK, "max_tokens": 9, "messages": messages(False)} | changes


# Answers as they should be.


def test_a_body_goes_through_as_it_came(house: Gateway, cloud: Cloud) -> None:
    """Odd spacing, fields of next year, the beta query and header survive; the caller's key does not."""
    body = b'{ "model":"good-talk-model" ,"max_tokens": 9,"future":{"x":[1.50,null]},'
    body += b'"messages":[{"role":"user",\n"content":"hi"}]}'
    headers = {"content-type": "application/json", "anthropic-beta": "next-2027", "anthropic-version": "2023-06-01"}
    reply = house.http("POST", f"{MESSAGES}?beta=true", body, headers)
    cell = cloud.cell("good-talk")
    assert reply.status == 200 and cell.bodies[-1] == body
    assert cell.heads[-1]["anthropic-beta"] == "next-2027"
    assert cell.heads[-1]["anthropic-version"] == "2023-06-01"
    assert cell.heads[-1]["x-api-key"] == "sk-cloud-secret-canary"
    assert not any(KEY in value for value in cell.heads[-1].values()), "the caller's key left the house"
    assert reply.headers["anthropic-ratelimit-requests-remaining"] == "41"


def test_an_alias_changes_the_model_and_nothing_else(house: Gateway, cloud: Cloud) -> None:
    body = (
        b'{"model": "alias-talk-model", "max_tokens": 9, "future": 1.50, "messages": [{"role":"user","content":"hi"}]}'
    )
    assert house.http("POST", MESSAGES, body, {"content-type": "application/json"}).status == 200
    sent = json.loads(cloud.cell("good-talk").bodies[-1])
    assert sent == json.loads(body) | {"model": "cloud-name"}
    assert b'"future":1.50' in cloud.cell("good-talk").bodies[-1].replace(b" ", b"")


def test_bearer_keys_are_welcome_too(house: Gateway) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    assert house.http("POST", MESSAGES, _messages(), headers, key=None).status == 200


def test_the_synchronous_sdks_answer(house: Gateway) -> None:
    raw = house.anthropic().messages.with_raw_response.create(**_messages())
    assert raw.parse().content[0].text == answer_text("good-talk")
    assert raw.headers["x-sampan-attempts"] == "good-talk=ok" and raw.headers["x-sampan-tier"] == "cloud"
    with house.anthropic().messages.stream(**_messages()) as stream:
        assert stream.get_final_message().usage.input_tokens == INPUT_TOKENS
    answer = house.openai().images.generate(model=DRAW, prompt="a boat")
    assert answer.data and answer.data[0].b64_json == PICTURE64


def test_tokens_are_counted(house: Gateway) -> None:
    counted = house.anthropic().messages.count_tokens(model=TALK, messages=messages(True))
    assert counted.input_tokens == INPUT_TOKENS


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_browsers_form_is_a_messages_call(house: Gateway, cloud: Cloud, stream: bool) -> None:
    fields = {"prompt": "这是什么?", "model": TALK, "max_tokens": "50"} | ({"stream": "true"} if stream else {})
    body, kind = form(fields, {"image": ("船.png", "image/png", PICTURE)})
    reply = house.http("POST", MESSAGES, body, {"content-type": kind})
    assert reply.status == 200, reply.body
    sent = json.loads(cloud.cell("good-talk").bodies[-1])
    assert (sent["model"], sent["max_tokens"], bool(sent.get("stream"))) == (TALK, 50, stream)
    image, text = sent["messages"][0]["content"]
    assert base64.b64decode(image["source"]["data"]) == PICTURE and image["source"]["media_type"] == "image/png"
    assert text == {"type": "text", "text": "这是什么?"}
    assert cloud.cell("good-talk").heads[-1]["content-type"] == "application/json"
    if stream:
        assert reply.headers["content-type"].startswith("text/event-stream") and b"message_stop" in reply.body
    else:
        assert reply.json["content"][0]["text"] == answer_text("good-talk")
    assert house.record(reply.headers["request-id"])["operation"] == "vision"


def test_models_are_listed_for_both_sdks(house: Gateway) -> None:
    talk = [model.id for model in house.anthropic().models.list(limit=3)]  # pages of three
    draw = [model.id for model in house.openai().models.list()]
    assert {TALK, "alias-talk-model", DRAW} <= set(talk) and sorted(talk) == sorted(draw)
    assert len(set(talk)) == len(talk) > 3
    model = house.anthropic().models.retrieve(TALK)
    assert (model.id, model.type) == (TALK, "model")
    assert house.openai().models.retrieve(DRAW).object == "model"
    with pytest.raises(anthropic.NotFoundError):
        house.anthropic().models.retrieve("nobody")
    with pytest.raises(openai.NotFoundError):
        house.openai().models.retrieve("nobody")


# Pictures as links.


def _link(house: Gateway) -> str:
    answer = house.openai().images.generate(model=DRAW, prompt="a boat", response_format="url")
    assert answer.data and answer.data[0].b64_json is None and answer.data[0].url
    assert answer.data[0].url.startswith(f"{house.url}/")
    return answer.data[0].url.removeprefix(house.url)


def test_a_link_gives_the_picture_without_a_key_until_it_expires(house: Gateway, cloud: Cloud) -> None:
    link = _link(house)
    reply = house.http("GET", link, key=None)
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, PICTURE, "image/png")
    assert json.loads(cloud.cell("good-draw").bodies[-1])["response_format"] == "b64_json"
    late = eventually(lambda: _unless_ok(house.http("GET", link, key=None)), 10, "the end of the link")
    assert late.status == 403 and b"expired" in late.body


def _unless_ok(reply: Reply) -> Reply | None:
    return None if reply.status == 200 else reply


def test_a_changed_link_is_refused(house: Gateway) -> None:
    link = urllib.parse.urlsplit(_link(house))
    query = dict(urllib.parse.parse_qsl(link.query))
    longer = query | {"expires": str(int(query["expires"]) + 1000)}
    flipped = query | {"signature": query["signature"][:-1] + ("0" if query["signature"][-1] != "0" else "1")}
    for changed in (longer, flipped, {"expires": query["expires"]}, {}):
        assert house.http("GET", f"{link.path}?{urllib.parse.urlencode(changed)}", key=None).status == 403
    other = link.path.replace("/artifacts/", "/artifacts/../")
    assert house.http("GET", f"{other}?{link.query}", key=None).status in (403, 404)


def test_edits_give_links_too(house: Gateway, cloud: Cloud) -> None:
    answer = house.openai().images.edit(
        model=DRAW, prompt="a boat", image=("a.png", PICTURE), mask=("m.png", PICTURE), response_format="url"
    )
    assert answer.data and answer.data[0].url
    sent = cloud.cell("good-draw").bodies[-1]
    assert b'name="mask"' in sent and b"b64_json" in sent and sent.count(PICTURE) == 2
    assert house.http("GET", answer.data[0].url.removeprefix(house.url), key=None).body == PICTURE


# Pages.


def test_health_ready_and_metrics(house: Gateway) -> None:
    house.anthropic().messages.create(**_messages())
    assert house.http("GET", "/health", key=None).json["status"] == "ok"
    ready = house.http("GET", "/ready", key=None)
    assert ready.status == 200 and ready.json["ready"] is True
    reply = house.http("GET", "/metrics", key=None)
    families = {family.name: family for family in text_string_to_metric_families(reply.body.decode())}
    calls = {tuple(sorted(each.labels.items())): each.value for each in families["sampan_calls"].samples}
    key = {"dialect": "anthropic", "operation": "text", "outcome": "ok", "tier": "cloud"}
    assert calls[tuple(sorted(key.items()))] >= 1
    attempts = [each for each in families["sampan_attempts"].samples if each.labels["upstream"] == "good-talk"]
    assert any(each.labels["fault"] == "ok" and each.value >= 1 for each in attempts)
    assert {each.labels["state"] for each in families["sampan_breaker_state"].samples} >= {"closed"}


# Mistakes.


@pytest.mark.parametrize(("method", "path"), [("GET", MESSAGES), ("PUT", EDITS), ("POST", "/v1/models")])
def test_a_wrong_method_is_405(house: Gateway, method: str, path: str) -> None:
    reply = house.http(method, path, b"")
    assert reply.status == 405 and "error" in reply.json
    assert reply.headers["allow"] == ("GET, HEAD" if path == "/v1/models" else "POST")  # RFC 9110, 15.5.6


def test_an_unknown_path_is_404(house: Gateway) -> None:
    reply = house.http("POST", "/v1/completions", {"model": TALK})
    assert reply.status == 404 and reply.json["error"]["message"]


def test_an_unknown_model_is_404_in_the_callers_dialect(house: Gateway) -> None:
    with pytest.raises(anthropic.NotFoundError) as talk:
        house.anthropic().messages.create(**_messages(model="nobody"))
    assert talk.value.body["error"]["type"] == "not_found_error" and "nobody" in talk.value.message
    assert talk.value.request_id and talk.value.request_id.startswith("req_")
    with pytest.raises(openai.NotFoundError) as draw:
        house.openai().images.generate(model="nobody", prompt="a boat")
    assert draw.value.param == "model" and draw.value.code == "model_not_found"
    assert draw.value.request_id and draw.value.request_id.startswith("req_")
    assert house.record(talk.value.request_id)["outcome"] == "refused"


def test_a_talking_model_does_not_draw(house: Gateway) -> None:
    with pytest.raises(openai.NotFoundError):
        house.openai().images.generate(model=TALK, prompt="a boat")


def test_keys_are_needed(house: Gateway, cloud: Cloud) -> None:
    posts = cloud.cell("good-talk").posts
    with pytest.raises(anthropic.AuthenticationError) as wrong:
        house.anthropic("sk-sampan-wrong").messages.create(**_messages())
    assert wrong.value.body["error"]["type"] == "authentication_error"
    with pytest.raises(openai.AuthenticationError):
        house.openai("sk-sampan-wrong").images.generate(model=DRAW, prompt="a boat")
    for path in (MESSAGES, GENERATIONS, EDITS, "/v1/messages/count_tokens"):
        assert house.http("POST", path, _messages(), key=None).status == 401
    for path in ("/v1/models", f"/v1/models/{TALK}"):
        assert house.http("GET", path, key=None).status == 401
    assert cloud.cell("good-talk").posts == posts
    assert wrong.value.request_id
    record = house.record(wrong.value.request_id)
    assert (record["outcome"], record["status"], record["key_id"]) == ("refused", 401, "")


@pytest.mark.parametrize("path", [MESSAGES, GENERATIONS, "/v1/messages/count_tokens"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"model": "x"', b'"text"'])
def test_what_is_no_json_object_is_400(house: Gateway, path: str, body: bytes) -> None:
    reply = house.http("POST", path, body, {"content-type": "application/json"})
    assert reply.status == 400, reply.body
    assert reply.json["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("max_tokens", {"model": TALK, "messages": messages(False)}),
        ("messages", {"model": TALK, "max_tokens": 9}),
        ("messages", _messages(messages=[])),
        ("model", {"max_tokens": 9, "messages": messages(False)}),
        ("max_tokens", _messages(max_tokens="many")),
        ("messages.0.role", _messages(messages=[{"content": "hi"}])),
        ("messages.0.content", _messages(messages=[{"role": "user"}])),
    ],
)
def test_a_wrong_message_names_its_field(house: Gateway, field: str, body: dict[str, Any]) -> None:
    reply = house.http("POST", MESSAGES, body)
    assert reply.status == 400
    assert reply.json["error"]["message"].startswith(f"{field}:"), reply.json


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("prompt", {"model": DRAW}),
        ("prompt", {"model": DRAW, "prompt": "  "}),
        ("n", {"model": DRAW, "prompt": "a boat", "n": 11}),
        ("n", {"model": DRAW, "prompt": "a boat", "n": "two"}),
        ("response_format", {"model": DRAW, "prompt": "a boat", "response_format": "fax"}),
    ],
)
def test_a_wrong_picture_order_names_its_field(house: Gateway, field: str, body: dict[str, Any]) -> None:
    reply = house.http("POST", GENERATIONS, body)
    assert reply.status == 400
    assert reply.json["error"]["param"] == field and field in reply.json["error"]["message"]


BIG = b"\x89PNG\r\n\x1a\n" + bytes(5 * 1024 * 1024)


def test_a_picture_over_the_limit_is_named(house: Gateway) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(BIG).decode()}
    content = [IMAGE_BLOCK, {"type": "image", "source": source}, {"type": "text", "text": "?"}]
    with pytest.raises(anthropic.BadRequestError) as failure:
        house.anthropic().messages.create(**_messages(messages=[{"role": "user", "content": content}]))
    assert "messages.0.content.1" in failure.value.message and f"{5 * 1024 * 1024:,}" in failure.value.message
    with pytest.raises(openai.BadRequestError) as edit:
        house.openai().images.edit(model=DRAW, prompt="a boat", image=("a.png", BIG, "image/png"))
    assert edit.value.param == "image" and f"{5 * 1024 * 1024:,}" in edit.value.message
    body, kind = form({"prompt": "?"}, {"image": ("a.png", "image/png", BIG)})
    reply = house.http("POST", MESSAGES, body, {"content-type": kind})
    assert reply.status == 400 and "image" in reply.json["error"]["message"]


def test_a_body_over_the_limit_is_413_for_both_sdks(house: Gateway) -> None:
    """The SDK must see the answer, not a connection that broke while it sent."""
    with pytest.raises(anthropic.APIStatusError) as failure:
        house.anthropic().messages.create(**_messages(system="x" * 9_000_000))
    assert failure.value.status_code == 413
    assert failure.value.body["error"]["type"] == "request_too_large"
    assert "8,000,000" in failure.value.message
    with pytest.raises(openai.APIStatusError) as draw:
        house.openai().images.generate(model=DRAW, prompt="a boat", user="x" * 9_000_000)
    assert draw.value.status_code == 413
    assert failure.value.request_id
    assert house.record(failure.value.request_id)["status"] == 413


def test_a_chunked_body_over_the_limit_is_413(house: Gateway) -> None:
    with socket.create_connection(house.address, 30) as sock:
        sock.sendall(f"POST {MESSAGES} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n".encode())
        sock.sendall(b"content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(9):
            sock.sendall(b"f4240\r\n" + b" " * 1_000_000 + b"\r\n")
        sock.sendall(b"0\r\n\r\n")
        assert until(sock, b"\r\n").startswith(b"HTTP/1.1 413 ")


def test_a_bad_form_is_400(house: Gateway) -> None:
    for body, kind in (
        (b"nonsense", "multipart/form-data"),
        (b"nonsense", "multipart/form-data; boundary=x"),
        form({"max_tokens": "9"}, {}),
        form({"prompt": "?", "colour": "red"}, {}),
        form({"prompt": "?"}, {"image": ("a.txt", "image/png", b"hello")}),
    ):
        assert house.http("POST", MESSAGES, body, {"content-type": kind}).status == 400
    body, kind = form({"prompt": "a boat"}, {})
    reply = house.http("POST", EDITS, body, {"content-type": kind})
    assert reply.status == 400 and reply.json["error"]["param"] == "image"
    reply = house.http("POST", EDITS, {"prompt": "a boat"})
    assert reply.status == 400
