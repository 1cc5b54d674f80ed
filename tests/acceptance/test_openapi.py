"""schemathesis asks a running gateway whatever its own description allows, and much that it does not.

Behind it stand a cloud that answers or refuses, in every dialect, and our own engines: all of them well, so that any
5xx is a bug of ours. What may be said when nobody can answer is asked of a gateway whose clouds are gone.
"""

from __future__ import annotations

import base64
import copy
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from cells import PICTURE
from gateway import DRAW, KEY, QUICK, TALK, Gateway, eventually, form, route, upstream
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from PIL import Image
from schemathesis import Case, Response
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.config import SchemathesisConfig
from scribes import Scribe

from sampan import __version__
from sampan.edge import openapi
from sampan.edge.openapi_requests import REQUESTS

WARM = 110.0  # seconds; both engines load at once, on a machine that is busy with other things
LONG = 100
MODELS = ("alpha", "beta", "gamma", "nobody")
CONFIG = {"generation": {"deterministic": True, "with-security-parameters": False}}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
HONEST = CHECKS[1:]
BATCHES = "/v1/messages/batches"
BRIEF = settings(
    max_examples=12,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def described() -> schemathesis.BaseSchema:
    """Our description, asking for models that there are, and with few fields of nobody's: they are mostly a 400."""
    told = copy.deepcopy(openapi.description(__version__))  # its parts are constants of the product
    schemas = told["components"]["schemas"]
    for name in REQUESTS:
        close(schemas[name])
    limit = schemas["MessagesRequest"]["properties"]["max_tokens"]
    limit["minimum"] = 1  # 0 only warms a cache, which few targets have
    schemas["BatchRequest"]["properties"]["requests"]["items"]["properties"]["params"] = {"type": "object"}
    responses = schemas["ResponsesRequest"]  # without a memory, which random names are not in
    responses["required"].append("input")
    responses["properties"]["input"]["anyOf"].pop()
    del responses["properties"]["previous_response_id"]
    schemas["ModelName"] = {"type": "string", "enum": list(MODELS)}
    return schemathesis.openapi.from_dict(told, config=SchemathesisConfig.from_dict(CONFIG))


def close(told: Any) -> None:
    """Says of every object whose fields are told that it has no others, and of no text that it may be very long."""
    if isinstance(told, dict):
        for bound in ("maxLength", "maxItems"):
            if told.get(bound, 0) > LONG:
                del told[bound]  # unit tests try what takes seconds to make up
        if isinstance(told.get("properties"), dict):
            told.setdefault("additionalProperties", False)
        told = list(told.values())
    if isinstance(told, list):
        for each in told:
            close(each)


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
schema = described()


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


def asked(gateway: Gateway, method: str, path: str, key: dict[str, str], checks: list[Any], **how: Any) -> Response:
    """One call, and a look whether its answer is as described."""
    case = schema[path][method].Case(**how)
    answer: Response = case.call_and_validate(base_url=gateway.url, headers=key, checks=checks)
    return answer


TALKED = {"model": "alpha", "messages": [{"role": "user", "content": "Which boats are in?"}]}


@pytest.mark.parametrize("key", KEYS, ids=["anthropic", "openai"])
def test_what_was_made_is_answered_for_as_described(quay: Gateway, key: dict[str, str]) -> None:
    """The pages of files, batches and responses that there are: names that are made up only find what there is not."""

    def ask(method: str, path: str, **how: Any) -> Response:
        return asked(quay, method, path, key, CHECKS, **how)

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


def test_when_nobody_can_answer_it_is_said_as_described(tmp_path: Path) -> None:
    picture = {"image": ("a.png", "image/png", PICTURE)}
    with Scribe() as cloud:
        cloud.close()
        config = QUICK
        for name, operations in (("anthropic", TALK), ("openai-images", DRAW), ("openai-embeddings", '"embed"')):
            config += upstream(name, cloud.url(name), name, more='probe = "off"') + route("alpha", operations, name)
        with Gateway(tmp_path, config + '[engines.reader]\nkind = "reader"\n') as gateway:
            assert asked(gateway, "GET", "/ready", {}, HONEST).status_code == 503  # it takes seconds to be warm
            for path, body, status in (
                ("/v1/messages", TALKED | {"max_tokens": 9}, 529),
                ("/v1/messages/count_tokens", TALKED, 529),
                ("/v1/chat/completions", TALKED, 503),
                ("/v1/responses", {"model": "alpha", "input": "hi"}, 503),
                ("/v1/embeddings", {"model": "alpha", "input": "hi"}, 503),
                ("/v1/images/generations", {"model": "alpha", "prompt": "a boat"}, 503),
            ):
                how = {"body": body, "media_type": "application/json"}
                answer = asked(gateway, "POST", path, KEYS[0], HONEST, **how)
                assert answer.status_code == status, path
            sent, kind = form({"model": "alpha", "prompt": "a boat"}, picture)
            assert gateway.http("POST", "/v1/images/edits", sent, {"content-type": kind}).status == 503
