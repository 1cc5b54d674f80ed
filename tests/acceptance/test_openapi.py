"""schemathesis asks a running gateway whatever its own description allows, and much that it does not.

Behind it stand a cloud that answers or refuses, in every dialect, and our own engines: all of them well, so that any
5xx is a bug of ours. What may be said when nobody can answer is asked of a gateway whose clouds are gone.
"""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import schemathesis
from cells import PICTURE
from described import ADMIN, BRIEF, CHECKS, HONEST, MODELS, asked, described
from gateway import DRAW, KEY, QUICK, TALK, Gateway, eventually, form, route, upstream
from hypothesis import strategies as st
from PIL import Image
from schemathesis import Case, Response
from scribes import Scribe

from sampan import __version__
from sampan.edge import openapi

WARM = 110.0  # seconds; both engines load at once, on a machine that is busy with other things
BATCHES = "/v1/messages/batches"


def painted() -> bytes:
    """A picture with an alpha channel, as a mask must be."""
    out = io.BytesIO()
    Image.new("RGBA", (16, 16), (200, 40, 40, 0)).save(out, "PNG")
    return out.getvalue()


PICTURES = [painted(), PICTURE]
DATA_URL = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
schemathesis.openapi.format("binary", st.sampled_from([*PICTURES, b"", b"GIF89a", b"%PDF-1.4\n", b"text"]))
schemathesis.openapi.format("byte", st.sampled_from([base64.b64encode(PICTURE).decode(), "R0lGODlh", "no base64!"]))
schemathesis.openapi.format("uri", st.sampled_from([DATA_URL, "http://127.0.0.1:1/a.png", "data:,a", "ftp://a"]))
schema = described().exclude(path_regex=ADMIN)


@pytest.fixture(scope="module")
def quay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """`alpha` talks in Messages, `beta` in chat, `gamma` by our reader; `alpha` draws in a cloud, `beta` here."""
    with Scribe() as cloud:
        config = QUICK
        for name in ("anthropic", "openai-chat", "openai-images", "openai-embeddings"):
            config += upstream(name, cloud.url(name), name, more='probe = "off"')
        for kind in ("reader", "sketcher"):
            config += f'[engines.{kind}]\nkind = "{kind}"\n'
        config += route("alpha", TALK, "anthropic") + route("beta", TALK, "openai-chat")
        config += route("gamma", TALK, "reader")
        config += route("beta", DRAW, "sketcher") + route("*", DRAW, "openai-images")
        for name in MODELS[:3]:
            config += route(name, '"embed"', "openai-embeddings")
        with Gateway(tmp_path_factory.mktemp("quay"), config) as gateway:
            gateway.wait_ready(WARM)
            yield gateway


def test_what_is_served_is_the_description(quay: Gateway) -> None:
    reply = quay.http("GET", openapi.PATH, key=None)
    assert reply.status == 200 and reply.headers["content-type"] == "application/json"
    assert reply.json == openapi.description(__version__)


KEYS = ({"x-api-key": KEY}, {"authorization": f"Bearer {KEY}"})


@schema.parametrize()
@BRIEF
def test_nothing_is_answered_that_is_not_described(case: Case, quay: Gateway) -> None:
    luck = zlib.crc32(repr((case.path_parameters, case.query, case.body)).encode("utf-8", "replace"))
    case.call_and_validate(base_url=quay.url, headers=KEYS[luck % 2], checks=CHECKS)


TALKED = {"model": "alpha", "messages": [{"role": "user", "content": "Which boats are in?"}]}


@pytest.mark.parametrize("key", KEYS, ids=["anthropic", "openai"])
def test_what_was_made_is_answered_for_as_described(quay: Gateway, key: dict[str, str]) -> None:
    """The pages of files, batches and responses that there are: names that are made up only find what there is not."""

    def ask(method: str, path: str, **how: Any) -> Response:
        return asked(quay, schema, f"{method} {path}", key, CHECKS, **how)

    body, kind = form({} if "x-api-key" in key else {"purpose": "user_data"}, {"file": ("a.txt", "text/plain", b"hi")})
    file = quay.http("POST", "/v1/files", body, {"content-type": kind} | key, key=None).json["id"]
    for method, path, status in (
        ("GET", "/v1/files", 200),
        ("GET", "/v1/files/{file_id}", 200),
        ("GET", "/v1/files/{file_id}/content", 400 if "x-api-key" in key else 200),
        ("DELETE", "/v1/files/{file_id}", 200),
    ):
        assert ask(method, path, path_parameters={"file_id": file}).status_code == status, path
    made = ask("POST", "/v1/responses", body={"model": "gamma", "input": "hi"}, media_type="application/json").json()
    for method, path, status in (
        ("GET", "/v1/responses/{response_id}", 200),
        ("GET", "/v1/responses/{response_id}/input_items", 200),
        ("POST", "/v1/responses/{response_id}/cancel", 400),
        ("DELETE", "/v1/responses/{response_id}", 200),
    ):
        assert ask(method, path, path_parameters={"response_id": made["id"]}).status_code == status, path
    calls = {"requests": [{"custom_id": "a", "params": TALKED | {"max_tokens": 9, "model": "gamma"}}]}
    batch = {"batch_id": ask("POST", BATCHES, body=calls, media_type="application/json").json()["id"]}
    one = BATCHES + "/{batch_id}"
    eventually(lambda: ask("GET", one, path_parameters=batch).json()["processing_status"] == "ended", 60)
    for method, path, status in (
        ("GET", f"{one}/results", 200),
        ("POST", f"{one}/cancel", 400),
        ("DELETE", one, 200),
        ("GET", f"{one}/results", 404),
    ):
        assert ask(method, path, path_parameters=batch).status_code == status, path


def test_a_picture_is_answered_for_whole_and_in_part(quay: Gateway) -> None:
    wanted = {"model": "beta", "prompt": "a boat", "size": "64x64", "response_format": "url"}
    drawn = asked(quay, schema, "POST /v1/images/generations", KEYS[0], body=wanted, media_type="application/json")
    link = urlsplit(drawn.json()["data"][0]["url"])
    how = {"path_parameters": {"name": link.path.removeprefix("/artifacts/")}, "query": dict(parse_qsl(link.query))}
    for span, status in ((None, 200), ("bytes=0-9", 206), ("bytes=99999999-", 416)):
        headers = {"range": span} if span else {}
        answer = asked(quay, schema, "GET /artifacts/{name}", headers, **how)
        assert answer.status_code == status, span


def test_when_nobody_can_answer_it_is_said_as_described(tmp_path: Path) -> None:
    picture = {"image": ("a.png", "image/png", PICTURE)}
    with Scribe() as cloud:
        cloud.close()
        config = QUICK
        for name, operations in (("anthropic", TALK), ("openai-images", DRAW), ("openai-embeddings", '"embed"')):
            config += upstream(name, cloud.url(name), name, more='probe = "off"') + route("alpha", operations, name)
        with Gateway(tmp_path, config + '[engines.reader]\nkind = "reader"\n') as gateway:
            assert asked(gateway, schema, "GET /ready", {}, HONEST).status_code == 503  # it takes seconds to be warm
            for path, body, status in (
                ("/v1/messages", TALKED | {"max_tokens": 9}, 529),
                ("/v1/messages/count_tokens", TALKED, 529),
                ("/v1/chat/completions", TALKED, 503),
                ("/v1/responses", {"model": "alpha", "input": "hi"}, 503),
                ("/v1/embeddings", {"model": "alpha", "input": "hi"}, 503),
                ("/v1/images/generations", {"model": "alpha", "prompt": "a boat"}, 503),
            ):
                how = {"body": body, "media_type": "application/json"}
                answer = asked(gateway, schema, f"POST {path}", KEYS[0], HONEST, **how)
                assert answer.status_code == status, path
            sent, kind = form({"model": "alpha", "prompt": "a boat"}, picture)
            assert gateway.http("POST", "/v1/images/edits", sent, {"content-type": kind}).status == 503
