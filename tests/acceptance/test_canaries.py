"""A key, a prompt, a picture and a file's name, sent in every way that goes wrong: only their owner sees them again.

Nothing of them may stand in the log (even at `debug`), in /metrics, in /ready, in a record, or in what another caller
is told. Each has `CANARY` in it, so that a part, an escape or a repr of it is found too.
"""

from __future__ import annotations

import base64
import copy
import json
import os
import signal
import struct
import threading
import urllib.parse
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from behaviours import BEHAVIOURS, error_body, first_content
from cells import Exchange
from clouds import Cloud
from gateway import DRAW, KEY, QUICK, TALK, Gateway, Reply, eventually, form, route, upstream
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WORD = "CANARY"
PROMPT = f"{WORD}-prompt-5f0c: the number of my passport is E{WORD}1234567"
SYSTEM = f"{WORD}-system-77aa"
FILE_NAME = f"{WORD}-of-Mrs-Example.pdf"
WRONG_KEY = f"sk-sampan-{WORD}-wrong-key-000000"
CLOUD_KEY = f"sk-cloud-{WORD}-0123456789"


def noted_picture() -> bytes:
    """A PNG whose very bytes say what they are: its rows are stored, not packed."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\x00" + (f"{WORD}-pixels".encode() * 20)[:72]
    head = struct.pack(">IIBBBBB", 24, 24, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(row * 24, 0))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + data + chunk(b"IEND", b"")


PICTURE = noted_picture()
PICTURE64 = base64.b64encode(PICTURE).decode()
SIGNS = (
    *(WORD.encode(), KEY.encode(), KEY.encode().hex().encode(), WORD.encode().hex().encode()),
    *(base64.b64encode(b"x" * lead + WORD.encode())[4 * (lead > 0) : -4] for lead in range(3)),
)


def found(data: bytes) -> list[bytes]:
    return [sign for sign in SIGNS if sign in data]


def test_the_signs_are_found_however_they_are_written() -> None:
    for lead in range(3):
        assert found(base64.b64encode(b"-" * lead + PROMPT.encode()))
    assert found(PICTURE) and found(PICTURE64.encode()) and found(repr(PICTURE).encode())
    assert found(json.dumps({"a": PROMPT}).encode()) and not found(b"nothing of it")


# An upstream that says again what it was told.


async def echo_500(x: Exchange) -> None:
    await x.reply(500, error_body(x, "api_error", f"cannot answer: {x.body.decode('utf-8', 'replace')}"))


async def echo_400(x: Exchange) -> None:
    await x.reply(400, error_body(x, "invalid_request_error", x.body.decode("utf-8", "replace")))


async def echo_page(x: Exchange) -> None:
    await x.reply(502, b"<html>" + x.body + x.cell.heads[-1].get("x-api-key", "").encode(), kind="text/html")


async def echo_garbage(x: Exchange) -> None:
    await x.reply(200, x.body[:-1])


async def echo_head(x: Exchange) -> None:
    await x.send(
        b"HTTP/1.1 200 " + PROMPT.encode() + b"\r\nx: " + x.body[:200] + b"\r\n\x00" + x.body[:900] + b"\r\n\r\n"
    )
    x.writer.transport.abort()


async def echo_amid(x: Exchange) -> None:
    """In a stream that has begun well."""
    if not x.stream:
        await echo_500(x)
        return
    await x.begin_stream()
    await x.piece(first_content(x))
    await x.piece(b"event: error\ndata: " + json.dumps(error_body(x, "api_error", PROMPT)).encode() + b"\n\n")
    await x.piece(b"data: " + x.body[:300] + b"\n\n")
    x.writer.transport.abort()


ECHOES = {each.__name__: each for each in (echo_500, echo_400, echo_page, echo_garbage, echo_head, echo_amid)}
KNOWN = ("healthy", "500", "429", "401", "hang_up", "reset", "short_body", "garbage_chunks", "malformed", "wrong_shape")
CELLS = (*ECHOES, *KNOWN, "empty", "error_first", "opening_end", "after_cut", "after_error", "rejects")


@pytest.fixture(scope="module")
def glass(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A model for each behaviour, of each dialect that there is an upstream for; and an engine of our own."""
    config = QUICK.replace("delay = 1", "delay = 0\nfailures = 1000")
    for name in CELLS:
        for end, dialect, operations in (("talk", "anthropic", TALK), ("draw", "openai-images", DRAW)):
            cell = cloud.cell(f"glass-{name}-{end}")
            cell.behaviour = name
            cell.gate.set()
            more = f'api_key = "{CLOUD_KEY}"\nclocks = {{ connect = 1, first_event = 2, idle = 1 }}\n'
            config += upstream(f"{end}-{name}", cloud.url(cell.name), dialect, more=more)
            config += route(f"{end}-{name}", operations, f"{end}-{name}")
    config += '[engines.reader]\nkind = "reader"\n' + route("reader", TALK, "reader")
    with pytest.MonkeyPatch.context() as patch:
        for name, behaviour in ECHOES.items():
            patch.setitem(BEHAVIOURS, name, behaviour)
        with Gateway(tmp_path_factory.mktemp("glass"), config, server='log_level = "debug"\n') as gateway:
            yield gateway


def looked_through(gateway: Gateway) -> None:
    """Fails where a canary stands in what others than its owner can see."""
    for path in ("/metrics", "/ready", "/health", "/"):
        assert not found(gateway.http("GET", path, key=None).body), path
    assert not found(gateway.errors.read_bytes()), [line for line in gateway.log.splitlines() if found(line.encode())]
    assert not found("\n".join(gateway.lines).encode())
    assert not found("\n".join(map(json.dumps, gateway.latest())).encode())


def talk(model: str, **more: Any) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "image/png", "data": PICTURE64}
    content = [{"type": "image", "source": source}, {"type": "text", "text": PROMPT}]
    said: dict[str, Any] = {"model": model, "max_tokens": 9, "system": SYSTEM}
    return said | {"messages": [{"role": "user", "content": content}]} | more


def chat(model: str, **more: Any) -> dict[str, Any]:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE64}"}}
    content = [picture, {"type": "text", "text": PROMPT}]
    said = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": content}]
    return {"model": model, "max_tokens": 9, "messages": said} | more


def drawn(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "prompt": PROMPT, "user": SYSTEM} | more


def told(model: str, **more: Any) -> dict[str, Any]:
    """The Responses wire."""
    content = [
        {"type": "input_text", "text": PROMPT},
        {"type": "input_image", "image_url": f"data:;base64,{PICTURE64}"},
    ]
    return {"model": model, "instructions": SYSTEM, "input": [{"role": "user", "content": content}]} | more


@pytest.mark.parametrize("name", CELLS)
def test_whatever_an_upstream_does(glass: Gateway, cloud: Cloud, name: str) -> None:
    for stream in (False, True):
        for path, body in (
            ("/v1/messages", talk(f"talk-{name}", stream=stream)),
            ("/v1/chat/completions", chat(f"talk-{name}", stream=stream)),
            ("/v1/responses", told(f"talk-{name}", stream=stream)),
            ("/v1/images/generations", drawn(f"draw-{name}", stream=stream)),
        ):
            reply = glass.http("POST", path, body)
            assert KEY.encode() not in reply.body and CLOUD_KEY.encode() not in reply.body, (path, reply)
    filed = {"image": (FILE_NAME, "image/png", PICTURE)}
    body, kind = form({"prompt": PROMPT, "model": f"draw-{name}"}, filed)
    glass.http("POST", "/v1/images/edits", body, {"content-type": kind})
    for end in ("talk", "draw"):
        cell = cloud.cell(f"glass-{name}-{end}")
        assert cell.posts and not [head for head in cell.heads if KEY in str(head)], (
            "a caller's key went to an upstream"
        )
    looked_through(glass)


SHAPES = (
    ("/v1/messages", talk("talk-healthy")),
    ("/v1/messages/count_tokens", talk("talk-healthy")),
    ("/v1/chat/completions", chat("talk-healthy")),
    ("/v1/responses", told("talk-healthy")),
    ("/v1/images/generations", drawn("draw-healthy")),
    ("/v1/embeddings", {"model": "talk-healthy", "input": [PROMPT]}),
    ("/v1/messages/batches", {"requests": [{"custom_id": "a", "params": talk("talk-healthy")}]}),
)
ODD = st.sampled_from(
    [PROMPT, [PROMPT], {PROMPT: PROMPT}, None, -1, 1e99, True, "", PICTURE64, f"data:x;base64,{PICTURE64}"]
)


def places(body: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value but the model, which records and labels do name."""
    pairs = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for name, value in pairs:
        if name != "model":
            yield (*way, name)
            yield from places(value, (*way, name))


@st.composite
def broken(draw: st.DrawFn) -> tuple[str, bytes]:
    """A call in which something is otherwise than it should be: a value, a name, the JSON itself, the path."""
    path, body = draw(st.sampled_from(SHAPES))
    body = copy.deepcopy(body)
    for _ in range(draw(st.integers(1, 3))):
        way = draw(st.sampled_from(list(places(body))))
        place = body
        for step in way[:-1]:
            place = place[step]
        change = draw(st.sampled_from(["value", "name", "gone"]))
        if change == "value":
            place[way[-1]] = draw(ODD)
        elif isinstance(place, dict):
            value = place.pop(way[-1])
            if change == "name":
                place[f"{way[-1]}_{WORD}"] = value
        if not list(places(body)):
            break
    data = json.dumps(body).encode()
    cut = draw(st.sampled_from([len(data), len(data) - 1, len(data) // 2, 1]))
    return draw(st.sampled_from([path, SHAPES[0][0], SHAPES[4][0]])), data[:cut]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(broken(), st.sampled_from(["application/json", "multipart/form-data; boundary=x", "text/plain", PROMPT]))
def test_whatever_is_wrong_with_a_call(glass: Gateway, call: tuple[str, bytes], kind: str) -> None:
    path, body = call
    reply = glass.http("POST", path, body, {"content-type": kind})
    assert reply.status < 500 or reply.status == 529, reply
    assert KEY.encode() not in reply.body
    assert PICTURE64.encode() not in reply.body or reply.status == 200
    assert not found(glass.errors.read_bytes()), glass.log[-2000:]


def test_after_all_of_that(glass: Gateway) -> None:
    looked_through(glass)
    assert "server_error" in glass.log, "the log was not even written"
    assert "Traceback" not in glass.log


def member(gateway: Gateway) -> str:
    done = gateway.verb("key", "create", "somebody-else")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_another_caller_is_told_nothing_of_them(glass: Gateway) -> None:
    body, kind = form({}, {"file": (FILE_NAME, "image/png", PICTURE)})
    uploaded = glass.http("POST", "/v1/files", body, {"content-type": kind})
    assert uploaded.status == 200, uploaded
    mine = uploaded.json["id"]
    kept = glass.http("POST", "/v1/responses", told("talk-healthy", store=True))
    batch = glass.http("POST", "/v1/messages/batches", SHAPES[6][1])
    assert kept.status == batch.status == 200, (kept, batch)
    other = member(glass)
    eventually(lambda: glass.http("GET", "/v1/models", key=other).status == 200, what="the other key")
    replies: list[Reply] = []
    for path in (
        *(f"/v1/files/{mine}", f"/v1/files/{mine}/content", "/v1/files", "/v1/models"),
        *(f"/v1/responses/{kept.json['id']}", f"/v1/responses/{kept.json['id']}/input_items"),
        *(f"/v1/messages/batches/{batch.json['id']}", f"/v1/messages/batches/{batch.json['id']}/results"),
        "/v1/messages/batches",
    ):
        for method in ("GET", "DELETE"):
            replies.append(glass.http(method, path, key=other))
    followed = told("talk-healthy") | {"input": "hi", "instructions": "", "previous_response_id": kept.json["id"]}
    replies.append(glass.http("POST", "/v1/responses", followed, key=other))
    for name in ("echo_500", "after_cut", "empty"):
        asked = {"model": f"talk-{name}", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        replies.append(glass.http("POST", "/v1/messages", asked, key=other))
    for reply in replies:
        assert not found(reply.body) and not found(str(reply.headers).encode()), reply
    looked_through(glass)


def test_keys_in_every_place_where_people_put_them(glass: Gateway) -> None:
    quoted = urllib.parse.quote(WRONG_KEY)
    for headers in (
        {"x-api-key": WRONG_KEY},
        {"authorization": f"Bearer {WRONG_KEY}"},
        {"authorization": f"Basic {base64.b64encode(WRONG_KEY.encode()).decode()}"},
        {"authorization": WRONG_KEY},
        {"cookie": f"key={WRONG_KEY}"},
        {"api-key": WRONG_KEY, "x-goog-api-key": WRONG_KEY},
    ):
        for method, path in (
            ("POST", "/v1/messages"),
            ("GET", "/v1/models"),
            ("POST", "/v1/files"),
            ("GET", "/nothing"),
        ):
            reply = glass.http(method, path, talk("talk-healthy") if method == "POST" else None, headers, key=None)
            assert reply.status in (401, 404) and not found(reply.body)
    for path in (f"/v1/messages?key={quoted}", f"/v1/messages?api_key={KEY}"):
        assert not found(glass.http("POST", path, talk("talk-healthy"), key=None).body)
    looked_through(glass)


def test_what_is_no_http(glass: Gateway) -> None:
    data = PROMPT.replace(":", "").encode()
    for sent in (data + b"\r\n\r\n", b"GET /" + data + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + data + b"\r\n\r\n"):
        with glass.connect("/v1/messages", talk("talk-healthy")) as sock:
            sock.sendall(sent)
            with_end = b"".join(iter(lambda: _some(sock), b""))
        assert not found(with_end.partition(b"HTTP/1.1 400")[2])
    looked_through(glass)


def _some(sock: Any) -> bytes:
    try:
        return bytes(sock.recv(65_536))
    except ConnectionError:
        return b""


def test_callers_who_leave_and_engines_that_die(glass: Gateway) -> None:
    """The engine is killed under its calls, once as a crash that dumps what it had and once without a word."""
    glass.wait_ready(120)
    for number in (signal.SIGABRT, signal.SIGKILL):
        asking = [threading.Thread(target=_ask_reader, args=(glass,)) for _ in range(4)]
        for thread in asking:
            thread.start()
        with glass.connect("/v1/messages", talk("reader", stream=True)):
            pass
        for child in glass.children:
            os.kill(child, number)
        for thread in asking:
            thread.join()
        eventually(lambda: "reader" in glass.log, what="a word of the engine")
        # That it is dead may be news yet: what counts is that it is asked again in the end.
        eventually(lambda: _answers(glass), 120, what="the reader to be asked again")
    looked_through(glass)


def _answers(gateway: Gateway) -> bool:
    return gateway.http("POST", "/v1/messages", talk("reader")).status == 200


def _ask_reader(gateway: Gateway) -> None:
    reply = gateway.http("POST", "/v1/messages", talk("reader"))
    assert reply.status in (200, 502, 529), reply


def test_nothing_but_what_is_to_be_kept_is_on_the_disk(glass: Gateway) -> None:
    """A file is kept as it was sent, and a response that is to be stored; no key ever is."""
    assert glass.stop() == 0
    for path in Path(glass.data).rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert KEY.encode() not in data and WRONG_KEY.encode() not in data and CLOUD_KEY.encode() not in data, path
    assert not found(glass.errors.read_bytes())
