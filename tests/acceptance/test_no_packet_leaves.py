"""A call that may not leave the house sends no packet out of it: counted on the one link that there is.

A collector of traces stands outside too: not even that a `local` call was made is told there.

The gateway stands in a network namespace of its own, its own servers beside it on loopback. Clouds, a web server, and
the name server that the house asks stand in another, behind a veth pair; each packet on its near end is counted, by the
kernel and by a tap. Free probes of clouds are off here: they carry nothing of a call, and go on whoever calls.

A control says that the meter counts: the same calls without `local` do send packets.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cells import PICTURE, PICTURE64
from gateway import KEY, Gateway, Reply, eventually, form, route, upstream
from households import PDF, Names, Servers, events, link, said
from namespaces import Meter, Namespace, join

HOUSE, WORLD = "93.184.216.1", "93.184.216.2"  # as good as public: what is private is refused for another reason
LOCAL = {"x-sampan-residency": "local"}
TALK, DRAW, EMBED = '"text", "vision"', '"generate", "edit"', '"embed"'
IDCARD, PHONE = "11010519491231002X", "13812345678"


@dataclass(frozen=True)
class Estate:
    """The house, the world, and the link between them."""

    inside: Namespace
    gateway: Gateway
    meter: Meter
    near: Servers
    far: Servers
    names: Names

    def http(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        return self.inside.do(self.gateway.http, method, path, body, headers)

    def pages(self, port: int) -> str:
        return f"http://127.0.0.1:{port}"


def configuration(near: Servers, far: Servers) -> str:
    config = "[breaker]\nfailures = 1000\n[probes]\ninterval = 0\n"
    config += f'[media]\nfetch_allow = ["127.0.0.1:{near.port}"]\n'
    config += (
        '[residency]\nmodels = ["homely"]\ndetect = { resident_id = "local", mobile = "mask" }\npictures = false\n'
    )
    config += f'[telemetry]\ntraces = "http://collector.example:{far.port}"\n'
    config += '[[rules]]\nname = "no-tools-outside"\neffect = "local"\ntools = ["lookup"]\n'
    kinds = (("talk", "anthropic"), ("chat", "openai-chat"), ("draw", "openai-images"), ("embed", "openai-embeddings"))
    for end, dialect in kinds:
        more = "clocks = { connect = 2, first_event = 5 }\n"
        config += upstream(f"far-{end}", f"http://cloud.example:{far.port}/good", dialect, more=more)
        config += upstream(f"near-{end}", f"http://127.0.0.1:{near.port}/good", dialect, location="local")
    config += upstream("far-echo", f"http://cloud.example:{far.port}/echo", "anthropic")
    config += upstream("far-chat-echo", f"http://cloud.example:{far.port}/echo", "openai-chat")
    config += route("echo", TALK, "far-echo") + route("chat-echo", TALK, "far-chat-echo")
    for cell in ("breaks", "silent"):
        config += upstream(cell, f"http://127.0.0.1:{near.port}/{cell}", "anthropic", location="local")
    for model in ("talk", "homely"):
        config += route(model, TALK, "far-talk", "near-talk")
    config += route("chat", TALK, "far-chat", "near-chat") + route("draw", DRAW, "far-draw", "near-draw")
    config += route("embed", EMBED, "far-embed", "near-embed") + route("cloudy", TALK, "far-talk")
    config += route("hedged", TALK, "silent", "far-talk", "near-talk") + "hedge = true\n"
    return config + route("breaks", TALK, "breaks", "far-talk") + route("silent", TALK, "silent", "far-talk")


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    folder: Path = tmp_path_factory.mktemp("estate")
    names_file = folder / "resolv.conf"
    names_file.write_text(f"nameserver {WORLD}\noptions timeout:2 attempts:1\n")
    with Namespace("inside", names_file) as inside, Namespace("outside") as outside:
        join(inside, outside, HOUSE, WORLD)
        near, far = inside.do(Servers, "127.0.0.1"), outside.do(Servers, WORLD)
        names = outside.do(Names, WORLD)
        gateway = Gateway(folder, configuration(near, far))
        inside.do(gateway.start)
        meter = Meter(inside)
        yield Estate(inside, gateway, meter, near, far, names)
        inside.do(gateway.stop)
        for each in (meter, near, far, names):
            each.close()


def talk(content: Any, model: str = "talk", **more: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": content}]} | more


TEXT = {"type": "text", "text": "see http://93.184.216.2/ and http://pictures.example/"}
SHOWN = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE64}}
PRINTED = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(PDF).decode()},
}
TOOLS = [
    {"name": "fetch", "description": "gets https://pictures.example", "input_schema": {"type": "object"}},
    {"type": "web_search_20250305", "name": "web_search"},
]
USED = [
    {"role": "user", "content": "x"},
    {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "t1", "name": "fetch", "input": {"url": "http://a.example/"}}],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [TEXT, SHOWN]}]},
]
THOUGHT = [
    {"role": "user", "content": "x"},
    {"role": "assistant", "content": [{"type": "thinking", "thinking": "h", "signature": "c2ln"}, TEXT]},
    {"role": "user", "content": "y"},
]
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "text": ("/v1/messages", talk("x")),
    "vision": ("/v1/messages", talk([SHOWN, TEXT])),
    "a PDF": ("/v1/messages", talk([PRINTED, TEXT])),
    "names in texts": (
        "/v1/messages",
        talk([TEXT], system="http://b.example/", metadata={"user_id": "http://c.example/"}),
    ),
    "tools": ("/v1/messages", talk("x", tools=TOOLS, messages=USED)),
    "thinking": (
        "/v1/messages",
        talk("x", messages=THOUGHT, thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2000),
    ),
    "a query": ("/v1/messages?beta=true&to=http://d.example/", talk("x")),
    "hedging": ("/v1/messages", talk("x", model="hedged")),
    "chat, translated": ("/v1/chat/completions", talk("x")),
    "chat": ("/v1/chat/completions", talk("x", model="chat")),
    "messages, translated": ("/v1/messages", talk([SHOWN, TEXT], model="chat")),
    "responses": ("/v1/responses", {"model": "talk", "input": "x"}),
    "responses, translated": ("/v1/responses", {"model": "chat", "input": "x", "metadata": {"a": "http://e.example/"}}),
    "generate": ("/v1/images/generations", {"model": "draw", "prompt": "http://f.example/"}),
}
WHOLE: dict[str, tuple[str, dict[str, Any]]] = {
    "count_tokens": ("/v1/messages/count_tokens", {"model": "talk", "messages": [{"role": "user", "content": "x"}]}),
    "embed": ("/v1/embeddings", {"model": "embed", "input": "x"}),
    "links to pictures": ("/v1/images/generations", {"model": "draw", "prompt": "x", "response_format": "url"}),
}
CASES = [
    *[(name, path, body | {"stream": stream}) for name, (path, body) in ASKED.items() for stream in (False, True)],
    *[(name, path, body) for name, (path, body) in WHOLE.items()],
]

IDS = [f"{name}{' streamed' * bool(body.get('stream'))}" for name, _, body in CASES]


def silence(estate: Estate) -> int:
    """Takes up counting from here."""
    estate.meter.packets()
    return estate.meter.count


def assert_silent(estate: Estate, before: int) -> None:
    packets = estate.meter.packets()
    assert (estate.meter.count - before, packets) == (0, [])


@pytest.mark.parametrize(("name", "path", "body"), CASES, ids=IDS)
def test_a_local_call_sends_no_packet(estate: Estate, name: str, path: str, body: dict[str, Any]) -> None:
    before = silence(estate)
    reply = estate.http("POST", path, body, LOCAL)
    assert_silent(estate, before)
    assert reply.status == 200, reply.body
    assert reply.headers["x-sampan-tier"] == "local"
    assert estate.far.posts == {} and estate.names.asked == []


@pytest.mark.parametrize("path", ["/v1/images/edits", "/v1/images/variations"])
def test_a_local_form_sends_no_packet(estate: Estate, path: str) -> None:
    fields = {"model": "draw"} | ({"prompt": "http://a.example/"} if path.endswith("edits") else {})
    body, kind = form(fields, {"image": ("http://a.example/", "image/png", PICTURE)})
    before = silence(estate)
    reply = estate.http("POST", path, body, LOCAL | {"content-type": kind})
    assert_silent(estate, before)
    assert reply.status == 200 and reply.headers["x-sampan-tier"] == "local"


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_that_goes_on_sends_no_packet(estate: Estate, stream: bool) -> None:
    before = silence(estate)
    first = estate.http("POST", "/v1/responses", {"model": "talk", "input": "x"}, LOCAL)
    more = {"model": "talk", "input": "y", "previous_response_id": first.json["id"], "stream": stream}
    assert estate.http("POST", "/v1/responses", more, LOCAL).status == 200
    assert estate.http("GET", f"/v1/responses/{first.json['id']}").status == 200
    assert_silent(estate, before)


def test_files_send_no_packet(estate: Estate) -> None:
    before = silence(estate)
    body, kind = form({}, {"file": ("a.png", "image/png", PICTURE)})
    kept = estate.http("POST", "/v1/files", body, {"content-type": kind})
    assert kept.status in (200, 201), kept.body
    picture = {"type": "image", "source": {"type": "file", "file_id": kept.json["id"]}}
    reply = estate.http("POST", "/v1/messages", talk([picture, TEXT]), LOCAL)
    assert_silent(estate, before)
    assert reply.status == 200, reply.body


def test_a_batch_sends_no_packet(estate: Estate) -> None:
    """Its calls are made later, by nobody's connection; what its caller demanded goes with them."""
    before = silence(estate)
    asked = [{"custom_id": name, "params": talk("x", model=name)} for name in ("talk", "homely", "chat")]
    begun = estate.http("POST", "/v1/messages/batches", {"requests": asked}, LOCAL)
    assert begun.status == 200, begun.body
    where = f"/v1/messages/batches/{begun.json['id']}"
    eventually(lambda: estate.http("GET", where).json["processing_status"] == "ended", what="the batch's end")
    results = estate.http("GET", f"{where}/results").body
    assert_silent(estate, before)
    assert [json.loads(line)["result"]["type"] for line in results.splitlines()] == ["succeeded"] * 3


DEMANDED: dict[str, dict[str, Any]] = {
    "a model": talk("x", model="homely"),
    "a rule": talk("x", tools=[{"name": "lookup", "input_schema": {"type": "object"}}]),
    "what it says": talk(f"身份证 {IDCARD}"),
    "what a tool said": talk(
        "x",
        messages=[
            *USED[:2],
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": IDCARD}]},
        ],
    ),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", DEMANDED)
def test_whoever_demands_it_no_packet_is_sent(estate: Estate, name: str, stream: bool) -> None:
    before = silence(estate)
    reply = estate.http("POST", "/v1/messages", DEMANDED[name] | {"stream": stream})
    assert_silent(estate, before)
    assert reply.status == 200 and reply.headers["x-sampan-tier"] == "local", reply.body


OUTSIDE = (f"http://{WORLD}/picture", "http://pictures.example/picture", "https://pictures.example/picture")


def linking(url: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Every way to have somebody follow a link."""
    document = {"type": "document", "source": {"type": "url", "url": url}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [link(url)]}
    chat = [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": url}}]
    item = {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": url}]}
    return {
        "a picture": ("/v1/messages", talk([link(url)])),
        "a document": ("/v1/messages", talk([document])),
        "in a tool's result": ("/v1/messages", talk("x", messages=[*USED[:2], {"role": "user", "content": [result]}])),
        "to a chat server": ("/v1/messages", talk([link(url)], model="chat")),
        "in a chat": ("/v1/chat/completions", talk(chat, model="chat")),
        "in a chat, translated": ("/v1/chat/completions", talk(chat)),
        "in a response": ("/v1/responses", {"model": "talk", "input": [item]}),
    }


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", linking(""))
@pytest.mark.parametrize("url", [*OUTSIDE, "inside, and away"])
def test_a_link_that_leads_outside_is_refused_and_not_followed(
    estate: Estate, url: str, name: str, stream: bool
) -> None:
    if not url.startswith("http"):
        url = f"http://127.0.0.1:{estate.near.port}/away?http://pictures.example:{estate.far.port}/picture"
    path, body = linking(url)[name]
    before = silence(estate)
    reply = estate.http("POST", path, body | {"stream": stream}, LOCAL)
    assert_silent(estate, before)
    assert reply.status == 400 and b"may not leave the house" in reply.body, reply.body
    assert estate.names.asked == []


@pytest.mark.parametrize("name", sorted(set(linking("")) - {"a document"}))
def test_a_link_that_stays_inside_is_followed(estate: Estate, name: str) -> None:
    path, body = linking(f"http://127.0.0.1:{estate.near.port}/picture")[name]
    before = silence(estate)
    estate.near.bodies.clear()
    reply = estate.http("POST", path, body, LOCAL)
    assert_silent(estate, before)
    assert reply.status == 200, reply.body
    assert PICTURE64.encode() in estate.near.bodies[-1], "the server was not given the picture itself"


def test_an_answer_that_breaks_off_is_not_gone_on_with_outside(estate: Estate) -> None:
    before = silence(estate)
    reply = estate.http("POST", "/v1/messages", talk("x", model="breaks", stream=True), LOCAL)
    assert_silent(estate, before)
    assert reply.status == 200 and events(reply.body)[-1] == "error" and "message_stop" not in events(reply.body)
    whole = estate.http("POST", "/v1/messages", talk("x", model="breaks"), LOCAL)
    assert_silent(estate, before)
    assert whole.status == 529, whole.body


@pytest.mark.parametrize("stream", [False, True])
def test_where_nobody_at_home_answers_nobody_outside_is_asked(estate: Estate, stream: bool) -> None:
    before = silence(estate)
    down = estate.http("POST", "/v1/messages", talk("x", model="silent", stream=stream), LOCAL)
    cloudy = estate.http("POST", "/v1/messages", talk("x", model="cloudy", stream=stream), LOCAL)
    assert_silent(estate, before)
    assert down.status == 529 and b"silent=" in down.body, down.body
    assert cloudy.status == 403 and b"may not leave the house" in cloudy.body, cloudy.body


# Controls: from here on packets are sent.


@pytest.mark.parametrize("model", ["breaks", "silent"])
def test_without_it_the_cloud_goes_on(estate: Estate, model: str) -> None:
    before = silence(estate)
    reply = estate.http("POST", "/v1/messages", talk("x", model=model, stream=True))
    assert reply.status == 200 and events(reply.body)[-1] == "message_stop"
    assert estate.meter.count > before and estate.meter.packets()
    assert "cloud.example" in estate.names.asked


@pytest.mark.parametrize(("name", "path", "body"), CASES, ids=IDS)
def test_the_meter_counts_the_same_calls_without_it(estate: Estate, name: str, path: str, body: dict[str, Any]) -> None:
    before = silence(estate)
    reply = estate.http("POST", path, body)
    assert reply.status == 200 and reply.headers["x-sampan-tier"] == "cloud", reply.body
    assert estate.meter.count > before and estate.meter.packets()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["echo", "chat-echo"])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/v1/responses"])
def test_a_masked_call_leaves_without_its_identifiers(estate: Estate, path: str, model: str, stream: bool) -> None:
    """Both clouds say again what they were asked, in pieces of three signs."""
    question = f"请拨 {PHONE},再拨 {PHONE}。"
    body = talk(question, model=model, stream=stream)
    if path == "/v1/responses":
        body = {"model": model, "input": question, "stream": stream}
    estate.far.bodies.clear()
    reply = estate.http("POST", path, body)
    assert reply.status == 200 and reply.headers["x-sampan-tier"] == "cloud", reply.body
    sent = b"".join(estate.far.bodies)
    assert PHONE.encode() not in sent and b"[MOBILE-" in sent
    assert said(reply.body, stream=stream) == question


def test_the_collector_hears_only_of_calls_that_may_leave(estate: Estate) -> None:
    """Spans gather for seconds, and go out in their order: with this one, all of those before it would have."""
    assert estate.http("POST", "/v1/messages", talk("x", model="echo")).status == 200
    eventually(lambda: b"chat echo" in b"".join(estate.far.traces), what="a trace at the collector")
    told = b"".join(estate.far.traces)
    assert b"chat talk" in told and b"residency:detected mobile" in told
    for rule in (b"residency:header", b"residency:model", b"resident_id", b"no-tools-outside"):
        assert rule not in told


def test_a_link_is_followed_outside_where_the_call_may_leave(estate: Estate) -> None:
    """By the gateway, for a server of one's own; at the usual port, where nobody stands here."""
    before = silence(estate)
    reply = estate.http("POST", "/v1/messages", talk([link("http://pictures.example/picture")], model="chat"))
    assert estate.meter.count > before and reply.status in (200, 400)


def test_the_key_was_never_sent_out(estate: Estate) -> None:
    assert estate.far.bodies
    for body in estate.far.bodies:
        assert KEY.encode() not in body and IDCARD.encode() not in body and PHONE.encode() not in body
