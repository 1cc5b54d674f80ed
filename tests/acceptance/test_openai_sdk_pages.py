"""The rest of the official `openai` client: embeddings, files, models, every class of error, and bodies to the byte."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from gateway import KEY, Gateway
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sdk_clouds import Fails, Play, Says, Stage, Text, model
from sdk_openai_clouds import Studio, vector
from test_openai_sdk import UPSTREAMS, USER

EMBED = "embed-3"


@pytest.fixture(scope="module")
def sdk(quay: Gateway) -> openai.OpenAI:
    return quay.openai()


@pytest.fixture
async def async_sdk(quay: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with quay.async_openai() as client:
        yield client


def gpt(target: str, script: str) -> str:
    return model(target, script, "gpt")


# Embeddings.


@pytest.mark.parametrize(
    "given", ["一段文字", ["one", "three"], [1, 2, 3], [[1, 2], [3]]], ids=["text", "texts", "tokens", "lists"]
)
async def test_embeddings_in_every_form(
    sdk: openai.OpenAI, async_sdk: openai.AsyncOpenAI, studio: Studio, given: Any
) -> None:
    one = isinstance(given, str) or isinstance(given[0], int)
    want = [vector(each) for each in ([given] if one else given)]
    raw = sdk.embeddings.with_raw_response.create(model=EMBED, input=given, dimensions=3, user="u")
    assert studio.json("embed")["encoding_format"] == "base64", "the SDK asks for base64 by itself"
    floats = await async_sdk.embeddings.create(model=EMBED, input=given, encoding_format="float")
    assert studio.json("embed") == {"model": EMBED, "input": given, "encoding_format": "float"}
    for answer in (raw.parse(), floats, await async_sdk.embeddings.create(model=EMBED, input=given)):
        assert [datum.embedding for datum in answer.data] == want
        assert [datum.index for datum in answer.data] == list(range(len(want)))
        assert (answer.model, answer.usage.prompt_tokens) == (EMBED, 8)
    assert raw.headers["x-sampan-upstream"] == "embeddings" and raw.headers["x-request-id"]
    text = sdk.embeddings.create(model=EMBED, input=given, encoding_format="base64")
    assert isinstance(text.data[0].embedding, str), "base64 that was asked for stays base64"
    assert studio.cell("embed").heads[-1]["authorization"] == "Bearer sk-of-the-studio"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": ["a", ""]}, "input.1"),
        ({"input": ["a", 1]}, "input.1"),
        ({"input": ["a"] * 2049}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"model": ""}, "model"),
    ],
)
def test_mistakes_in_embeddings(sdk: openai.OpenAI, change: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as failure:
        sdk.embeddings.create(**{"model": EMBED, "input": "x", **change})
    assert failure.value.param == param


def test_talk_and_vectors_are_not_mistaken_for_one_another(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as failure:
        sdk.embeddings.create(model="gpt-cloud-x", input="x")
    assert failure.value.param == "model" and "embed-*" in failure.value.message
    with pytest.raises(openai.NotFoundError):
        sdk.chat.completions.create(model=EMBED, messages=USER)


# Files.


async def test_a_file_s_life(sdk: openai.OpenAI, async_sdk: openai.AsyncOpenAI) -> None:
    data = "第一行\nsecond\n".encode() * 1000
    made = sdk.files.create(file=("笔记.txt", data, "text/plain"), purpose="user_data")
    other = await async_sdk.files.create(file=("b.pdf", b"%PDF-1.4\n"), purpose="assistants")
    assert (made.object, made.bytes, made.filename, made.purpose) == ("file", len(data), "笔记.txt", "user_data")
    assert made.created_at > 1_700_000_000 and made.status == "processed"
    assert sdk.files.retrieve(made.id).to_dict() == made.to_dict()
    assert (await async_sdk.files.retrieve(other.id)).filename == "b.pdf"
    assert sdk.files.content(made.id).read() == data
    assert (await async_sdk.files.content(made.id)).text == data.decode()
    with sdk.files.with_streaming_response.content(made.id) as content:
        assert b"".join(content.iter_bytes()) == data
    assert sdk.files.with_raw_response.retrieve(made.id).headers["x-request-id"]
    ids = [file.id async for file in async_sdk.files.list(limit=1, order="asc")]
    assert ids.index(made.id) < ids.index(other.id), "pages of one do not give them all in order"
    assert [file.id for file in sdk.files.list(purpose="assistants")] == [other.id]
    for client_file in (made, other):
        deleted = sdk.files.delete(client_file.id)
        assert deleted.deleted is True and deleted.id == client_file.id and deleted.object == "file"
    for ask in (sdk.files.retrieve, sdk.files.content, sdk.files.delete):
        with pytest.raises(openai.NotFoundError) as failure:
            ask(made.id)
        assert failure.value.request_id
    with pytest.raises(openai.NotFoundError):
        await async_sdk.files.content(other.id)


def test_a_file_expires_and_mistakes_are_named(sdk: openai.OpenAI) -> None:
    made = sdk.files.create(
        file=("a.txt", b"x"), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert made.expires_at == made.created_at + 3600
    sdk.files.delete(made.id)
    right: dict[str, Any] = {"file": ("a.txt", b"x"), "purpose": "user_data"}
    change: dict[str, Any]
    for change, param in (
        ({"purpose": "decoration"}, "purpose"),
        ({"file": ("a.txt", b"")}, "file"),
        ({"expires_after": {"anchor": "created_at", "seconds": 5}}, "expires_after[seconds]"),
    ):
        with pytest.raises(openai.BadRequestError) as failure:
            sdk.files.create(**{**right, **change})
        assert failure.value.param == param


# Models.


async def test_models_are_listed_and_found(sdk: openai.OpenAI, async_sdk: openai.AsyncOpenAI) -> None:
    names = [each.id for each in sdk.models.list()]
    assert [each.id async for each in async_sdk.models.list()] == names
    assert {"gpt-reader", "claude-reader", "sketcher", "studio-alias"} <= set(names) and "gpt-cloud-*" not in names
    for name in ("sketcher", "gpt-cloud-anything"):
        found = sdk.models.retrieve(name)
        assert (found.id, found.object, found.owned_by) == (name, "model", "sampan")
    assert (await async_sdk.models.retrieve("gpt-reader")).id == "gpt-reader"
    with pytest.raises(openai.NotFoundError) as failure:
        sdk.models.retrieve("nobody")
    assert (failure.value.param, failure.value.code) == ("model", "model_not_found")


# Errors.


def _talk(sdk: openai.OpenAI, name: str, **facts: Any) -> Any:
    return sdk.chat.completions.create(model=name, messages=USER, **facts)


def test_what_is_refused_before_anybody_is_asked(quay: Gateway, sdk: openai.OpenAI) -> None:
    """(class, status, type, code, param) of each, in every part of the API."""
    stranger = quay.openai("sk-nobody")
    large = "x" * (33 << 20)
    for ask, kind, said in (
        (lambda: _talk(stranger, "gpt-reader"), openai.AuthenticationError, (401, "invalid_api_key", None)),
        (stranger.models.list, openai.AuthenticationError, (401, "invalid_api_key", None)),
        (stranger.files.list, openai.AuthenticationError, (401, "invalid_api_key", None)),
        (lambda: stranger.responses.retrieve("resp_1"), openai.AuthenticationError, (401, "invalid_api_key", None)),
        (lambda: _talk(sdk, "nobody"), openai.NotFoundError, (404, "model_not_found", "model")),
        (
            lambda: sdk.responses.create(model="nobody", input="x"),
            openai.NotFoundError,
            (404, "model_not_found", "model"),
        ),
        (lambda: _talk(sdk, ""), openai.BadRequestError, (400, None, "model")),
        (lambda: _talk(sdk, "gpt-reader", n=0), openai.BadRequestError, (400, None, "n")),
        (lambda: _talk(sdk, "gpt-reader", max_tokens=0), openai.BadRequestError, (400, None, "max_tokens")),
        (lambda: sdk.responses.create(model="gpt-reader", input=""), openai.BadRequestError, (400, None, "input")),
        (
            lambda: _talk(sdk, "gpt-reader", extra_body={"x": large}),
            openai.APIStatusError,
            (413, "request_too_large", None),
        ),
        (lambda: sdk.post("/models", cast_to=object), openai.APIStatusError, (405, None, None)),
        (lambda: sdk.get("/nothing", cast_to=object), openai.NotFoundError, (404, None, None)),
    ):
        with pytest.raises(kind) as failure:
            ask()
        error = failure.value
        assert isinstance(error, openai.APIStatusError)
        assert (error.status_code, error.code, error.param) == said
        assert error.type == "invalid_request_error" and (error.request_id or "").startswith("req_")


def test_what_is_not_served_here_says_so(sdk: openai.OpenAI) -> None:
    """The client's other methods: a 404 or a 405 with a sentence, at once and never a 5xx."""
    answer: dict[str, Any] = {"model": "gpt-reader", "input": "x"}
    ask: Any
    for ask, status in (
        (sdk.chat.completions.list, 405),
        (lambda: sdk.chat.completions.retrieve("chatcmpl-1"), 404),
        (lambda: sdk.completions.create(model="gpt-reader", prompt="x"), 404),
        (lambda: sdk.responses.input_tokens.count(**answer), 405),
        (lambda: sdk.responses.compact(**answer), 405),
        (lambda: sdk.models.delete("gpt-reader"), 405),
        (lambda: sdk.moderations.create(input="x"), 404),
        (lambda: sdk.audio.speech.create(model="x", voice="alloy", input="x"), 404),
        (sdk.batches.list, 404),
        (sdk.vector_stores.list, 404),
        (lambda: sdk.uploads.create(bytes=1, filename="a", mime_type="a/b", purpose="vision"), 404),
        (sdk.fine_tuning.jobs.list, 404),
    ):
        with pytest.raises(openai.APIStatusError) as failure:
            ask()
        error = failure.value
        assert (error.status_code, error.type) == (status, "invalid_request_error"), error.message
        assert error.request_id and ("there is nothing at" in error.message or "takes" in error.message)


@pytest.mark.parametrize("target", UPSTREAMS)
@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, openai.BadRequestError), (409, openai.ConflictError), (422, openai.UnprocessableEntityError)],
)
def test_an_upstream_s_refusal_is_told(
    sdk: openai.OpenAI, stage: Stage, target: str, status: int, kind: type[openai.APIStatusError]
) -> None:
    """In its own words, in the caller's shape, whichever wire it was said on; and nobody asks again by themselves."""
    script = stage.new(Fails(status, "invalid_request_error", "the prompt is too long: 9 > 8"))
    for stream in (False, True):
        with pytest.raises(kind, match="the prompt is too long: 9 > 8") as failure:
            _talk(sdk, gpt(target, script), stream=stream)
        assert failure.value.type == "invalid_request_error" and failure.value.request_id
        assert failure.value.response.headers["x-should-retry"] == "false"
        with pytest.raises(kind, match="the prompt is too long: 9 > 8"):
            sdk.responses.create(model=gpt(target, script), input="x", stream=stream)
    assert len(stage.heard(script)) == 4


@pytest.mark.parametrize("target", UPSTREAMS)
@pytest.mark.parametrize(
    ("status", "said", "fault"),
    [
        (401, "authentication_error", "unauthorized"),
        (403, "permission_error", "unauthorized"),
        (404, "not_found_error", "model_missing"),
        (429, "rate_limit_error", "rate_limited"),
        (500, "api_error", "server_error"),
        (529, "overloaded_error", "overloaded"),
    ],
)
async def test_an_upstream_s_trouble_is_a_503(
    async_sdk: openai.AsyncOpenAI, stage: Stage, target: str, status: int, said: str, fault: str
) -> None:
    script = stage.new(Fails(status, said, headers={"retry-after": "7"}))
    name = gpt(target, script)
    asks: list[Any] = [
        lambda: async_sdk.chat.completions.create(model=name, messages=USER),
        lambda: async_sdk.chat.completions.create(model=name, messages=USER, stream=True),
        lambda: async_sdk.responses.create(model=name, input="x"),
    ]
    for ask in asks:
        with pytest.raises(openai.InternalServerError, match=f"{UPSTREAMS[target]}={fault}") as failure:
            await ask()
        error = failure.value
        assert (error.status_code, error.type, error.code) == (503, "server_error", "overloaded")
        assert error.response.headers.get("retry-after") == ("7" if status not in (403, 404) else None)
        assert error.request_id


def test_the_sdk_s_own_retries_are_told_to_stop(quay: Gateway, stage: Stage) -> None:
    script = stage.new(Fails(500))
    with pytest.raises(openai.InternalServerError):
        _talk(quay.openai(max_retries=4), gpt("cloud", script))
    assert len(stage.heard(script)) == 1


def test_another_target_answers_where_the_first_cannot(sdk: openai.OpenAI, stage: Stage) -> None:
    script = stage.new(Fails(529, "overloaded_error"), Play(Text("I can.")))
    for name in (gpt("over", script), gpt("away", script)):  # cloud then chat, chat then one's own
        stage.plays(script, Fails(529, "overloaded_error"), Play(Text("I can.")))
        raw = sdk.chat.completions.with_raw_response.create(model=name, messages=USER)
        assert raw.parse().choices[0].message.content == "I can."
        first, second = raw.headers["x-sampan-attempts"].split(",")
        assert first.endswith("=overloaded") and second.endswith("=ok")
    # What only the second can do is no reason to refuse the call.
    stage.plays(script, Says(json.dumps({"choices": [{"message": {"content": "Two."}}] * 2}).encode()))
    answer = _talk(sdk, gpt("over", script), n=2)
    assert len(answer.choices) == 2 and stage.heard(script)[-1].upstream == "vllm"


# To the byte.

SPACE = st.sampled_from(["", " ", "\n", "\t ", "  "])
WRITTEN = st.sampled_from(
    ["1.50", "1e3", "-0.0", "1E-7", '"\\u00e9\\/"', "[ ]", '{"a":1,"a":2}', "12345678901234567890123"]
)
SCALARS = st.text(max_size=12) | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.none()
UNKNOWN = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def objects(draw: st.DrawFn, known: dict[str, Any]) -> bytes:
    """A JSON object of these members and unknown ones, in any order, spacing and way of writing text and numbers."""
    names = st.text("abcdefgh_", min_size=1, max_size=8).map("x_".__add__)
    space, ascii_only = draw(SPACE), draw(st.booleans())
    more = draw(st.dictionaries(names, UNKNOWN.map(lambda value: json.dumps(value, ensure_ascii=ascii_only)) | WRITTEN))
    texts = {**more, **{name: json.dumps(value) for name, value in known.items()}}
    members = draw(st.permutations(list(texts.items())))
    text = ",".join(f"{space}{json.dumps(name)}:{space}{value}" for name, value in members)
    return f"{{{text}{space}}}".encode()


TURNS = {"messages": USER}
ANSWER = {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}], "usage": None}
CHUNK = {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]}


@pytest.mark.parametrize("target", ["chat", "openai"])
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_same_dialect_passes_to_the_byte(quay: Gateway, stage: Stage, target: str, data: st.DataObject) -> None:
    """Unknown fields, their order and how they were written survive: in the request, the answer, and each frame."""
    script = "bytes"
    for stream in (False, True):
        asked = data.draw(objects({**TURNS, "model": gpt(target, script), "stream": stream}))
        body = data.draw(objects(ANSWER))
        chunks = [data.draw(objects(CHUNK)).replace(b"\n", b" ") for _ in range(2)]
        frames = [b"data: " + chunk + b"\n\n" for chunk in (*chunks, b"[DONE]")]
        stage.plays(script, Says(body, frames))
        headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
        reply = quay.http("POST", "/v1/chat/completions", asked, headers, key=None)
        assert reply.status == 200, reply.body
        assert stage.heard(script)[-1].body == asked
        assert reply.body == (b"".join(frames) if stream else body)


def test_what_the_sdk_does_not_know_survives(sdk: openai.OpenAI, stage: Stage) -> None:
    said = {**ANSWER, "id": "x", "future": {"a": [1.5]}, "object": "chat.completion", "created": 1, "model": "m"}
    script = stage.new(Says(json.dumps(said).encode()))
    answer = _talk(sdk, gpt("openai", script), extra_body={"min_p": 0.1, "next": None}, extra_query={"beta": "true"})
    assert answer.to_dict()["future"] == {"a": [1.5]}
    heard = stage.heard(script)[-1]
    assert heard.json["min_p"] == 0.1 and heard.json["next"] is None and heard.path.endswith("?beta=true")
    assert heard.headers["authorization"] == "Bearer sk-of-the-cloud", "the caller's key left the house"
