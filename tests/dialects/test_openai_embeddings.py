from __future__ import annotations

import base64
import json
import struct

import httpx2
import openai
import pytest

from sampan.core import Call, Fault, Incoming, Operation, Usage
from sampan.dialects import Limits, sse
from sampan.dialects.openai_embeddings import OpenAIEmbeddings, check
from sampan.errors import InvalidRequest, TargetFault, Unavailable

LIMITS = Limits(image=1000, default_model="claude-default", default_image_model="image-default")
CODEC = OpenAIEmbeddings()


def parse(what: object) -> Call:
    raw = what if isinstance(what, bytes) else json.dumps(what).encode()
    return CODEC.parse(Incoming("POST", "/v1/embeddings", "a=1", {"content-type": "application/json"}, raw), LIMITS)


@pytest.mark.parametrize(
    "given", ["text", ["a", "b"], [1, 2, 3], [[1], [2, 3]], ["x"] * 2048, list(range(8000))], ids=str
)
def test_every_input_of_the_wire(given: object) -> None:
    call = parse({"model": "e", "input": given, "dimensions": 64, "encoding_format": "base64", "unknown": 1})
    assert (call.operation, call.model, call.path, call.stream) == (Operation.EMBED, "e", "/v1/embeddings?a=1", False)
    assert json.loads(call.body)["unknown"] == 1


@pytest.mark.parametrize(
    ("what", "param"),
    [
        (b"", None),
        (b'{"x":' + b"[" * 100_000, None),
        (b'{"model":"e","input":"\xff"}', None),
        ({"input": "x"}, "model"),
        ({"model": "", "input": "x"}, "model"),
        ({"model": "e"}, "input"),
        ({"model": "e", "input": ""}, "input"),
        ({"model": "e", "input": []}, "input"),
        ({"model": "e", "input": None}, "input"),
        ({"model": "e", "input": ["x"] * 2049}, "input"),
        ({"model": "e", "input": ["a", ""]}, "input.1"),
        ({"model": "e", "input": [[1], []]}, "input.1"),
        ({"model": "e", "input": ["a", 1]}, "input.1"),
        ({"model": "e", "input": [1, "a"]}, "input.1"),
        ({"model": "e", "input": [-1]}, "input.0"),
        ({"model": "e", "input": "x", "dimensions": 0}, "dimensions"),
        ({"model": "e", "input": "x", "encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_mistakes_are_named(what: object, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse(what)
    assert (raised.value.param or "").replace("...", "0") == (param or "")


def answer(*vectors: object, **more: object) -> bytes:
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return json.dumps({"object": "list", "model": "e", "data": data, **more}).encode()


def test_the_usage_of_an_answer() -> None:
    assert check(answer([0.5], "AAAA", usage={"prompt_tokens": 8, "total_tokens": 8})) == Usage(8)
    assert check(answer([0.5])) == Usage()


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", Fault.EMPTY),
        (b"{", Fault.MALFORMED),
        (b"{}", Fault.MALFORMED),
        (answer(5), Fault.MALFORMED),
        (b'{"data":[{"index":0}]}', Fault.MALFORMED),
        (answer(), Fault.EMPTY),
        (answer([]), Fault.EMPTY),
        (answer([1.0], ""), Fault.EMPTY),
        (b'{"error":{"code":"insufficient_quota"}}', Fault.BILLING),
    ],
)
def test_a_200_that_is_none(body: bytes, fault: Fault) -> None:
    with pytest.raises(TargetFault) as raised:
        check(body)
    assert raised.value.fault is fault


def test_the_sdk_asks_and_reads() -> None:
    asked: list[Call] = []
    vector = base64.b64encode(struct.pack("<2f", 0.5, -1.0)).decode()

    def serve(request: httpx2.Request) -> httpx2.Response:
        asked.append(parse(request.content))
        body = answer(vector, usage={"prompt_tokens": 2, "total_tokens": 2})
        assert check(body) == Usage(2)
        return httpx2.Response(200, content=body)

    http = httpx2.Client(transport=httpx2.MockTransport(serve))
    client = openai.OpenAI(base_url="http://sampan/v1", api_key="k", http_client=http)
    result = client.embeddings.create(model="e", input="x")
    assert result.data[0].embedding == [0.5, -1.0]
    assert asked[0].model == "e"


def test_errors_are_openai_s() -> None:
    error = Unavailable("all spent")
    members = {"message": "all spent", "type": "server_error", "param": None, "code": "overloaded"}
    assert (CODEC.status(error), json.loads(CODEC.error(error, "r"))) == (503, {"error": members})
    assert [json.loads(data) for data in sse.payloads(CODEC.error_frame(error, "r"))] == [{"error": members}]
