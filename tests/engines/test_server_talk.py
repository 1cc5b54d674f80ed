"""The talk side of the shell, driven by the official SDK and by worse callers."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from engine_process import EngineProcess, warm_engine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PNG = base64.b64encode(b"\x89PNG not really").decode()


@pytest.fixture(scope="module")
def talker() -> Iterator[EngineProcess]:
    with warm_engine("fake_engines:Talker") as running:
        yield running


@pytest.fixture(scope="module")
def client(talker: EngineProcess) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=talker.url, api_key="x", max_retries=0) as made:
        yield made


def user(content: Any) -> list[Any]:
    return [{"role": "user", "content": content}]


def image(data: str = PNG, media_type: str = "image/png") -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content)


def test_an_answer_at_once(client: anthropic.Anthropic) -> None:
    message = client.messages.create(model="any-name", max_tokens=50, messages=user("say 你好| world"))
    assert text_of(message) == "你好 world"
    assert message.id.startswith("msg_")
    assert (message.model, message.role, message.stop_reason) == ("any-name", "assistant", "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (6, 7)
    assert message._request_id is not None
    assert message._request_id.startswith("req_")


def test_an_answer_that_streams(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model="m", max_tokens=50, messages=user("say a|b|c")) as stream:
        events = [event.type for event in stream]
        message = stream.get_final_message()
    assert text_of(message) == "abc"
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (3, 7)
    raw = [name for name in events if name not in ("text",)]
    assert raw[:2] == ["message_start", "content_block_start"]
    assert raw.count("content_block_delta") == 3
    assert raw[-3:] == ["content_block_stop", "message_delta", "message_stop"]


async def test_async_and_many_at_once(talker: EngineProcess) -> None:
    async with anthropic.AsyncAnthropic(base_url=talker.url, api_key="x", max_retries=0) as client:

        async def one(number: int) -> str:
            if number % 2:
                return text_of(await client.messages.create(model="m", max_tokens=50, messages=user(f"say n{number}")))
            async with client.messages.stream(model="m", max_tokens=50, messages=user(f"say n{number}")) as stream:
                return "".join([text async for text in stream.text_stream])

        assert await asyncio.gather(*(one(number) for number in range(20))) == [f"n{number}" for number in range(20)]


def test_tokens_are_counted(client: anthropic.Anthropic) -> None:
    assert client.messages.count_tokens(model="m", messages=user("four words are here")).input_tokens == 5
    counted = client.messages.count_tokens(model="m", messages=user([image(), {"type": "text", "text": "what"}]))
    assert counted.input_tokens == 16


def test_max_tokens_and_stop_sequences(client: anthropic.Anthropic) -> None:
    cut = client.messages.create(model="m", max_tokens=3, messages=user("say one two| three four"))
    assert (text_of(cut), cut.stop_reason, cut.usage.output_tokens) == ("one two thre", "max_tokens", 3)
    endless = client.messages.create(model="m", max_tokens=100, messages=user("endless"))
    assert endless.usage.output_tokens == 100
    none = client.messages.create(model="m", max_tokens=0, messages=user("say one"))
    assert (none.content, none.stop_reason, none.usage.input_tokens) == ([], "max_tokens", 2)
    stopped = client.messages.create(
        model="m", max_tokens=50, stop_sequences=["E N", "END"], messages=user("say text E|N|D more")
    )
    assert (text_of(stopped), stopped.stop_reason, stopped.stop_sequence) == ("text ", "stop_sequence", "END")
    almost = client.messages.create(model="m", max_tokens=50, stop_sequences=["END"], messages=user("say text E|N"))
    assert (text_of(almost), almost.stop_reason) == ("text EN", "end_turn")


def test_sources_and_question_are_told_apart(client: anthropic.Anthropic) -> None:
    pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PNG}}
    note = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a note"}}
    pasted = {"type": "text", "text": "long " * 100}
    message = client.messages.create(
        model="m", max_tokens=999, messages=user([image(), pdf, note, pasted, {"type": "text", "text": "Who? "}])
    )
    where = "messages.0.content"
    assert text_of(message).splitlines() == [
        "question: Who?",
        f"image@{where}.0=15",
        f"pdf@{where}.1=15",
        f"text@{where}.2=6",
        f"text@{where}.3=499",
    ]


def test_a_follow_up_question_still_has_its_picture(client: anthropic.Anthropic) -> None:
    turns = [
        *user([image()]),
        {"role": "assistant", "content": "I see."},
        *user("And the date?"),
    ]
    message = client.messages.create(model="m", max_tokens=99, messages=turns)
    assert text_of(message) == "question: And the date?\nimage@messages.0.content.0=15"


def test_a_tools_result_is_a_source_and_no_question(client: anthropic.Anthropic) -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": [image(), {"type": "text", "text": "found it"}]}
    turns = [
        *user("Which amount?"),
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "look", "input": {}}]},
        *user([result]),
    ]
    message = client.messages.create(model="m", max_tokens=99, messages=turns)
    assert text_of(message).splitlines() == [
        "question: Which amount?",
        "image@messages.2.content.0.content.0=15",
        "text@messages.2.content.0.content.1=8",
    ]


def test_a_large_picture_is_parsed_off_the_loop_all_the_same(client: anthropic.Anthropic) -> None:
    large = base64.b64encode(bytes(3_000_000)).decode()
    message = client.messages.create(model="m", max_tokens=99, messages=user([image(large)]))
    assert text_of(message) == "question:\nimage@messages.0.content.0=3000000"


async def test_a_silent_stream_is_kept_alive() -> None:
    async def before_it_begins(running: EngineProcess) -> None:
        reader, writer = await ask(running, "silent", stream=True)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        assert head.startswith(b"HTTP/1.1 200")
        assert b": working\n\n" in await reader.readuntil(b"\n\n")  # an event may not stand before message_start
        writer.transport.abort()

    async def after_it_began(running: EngineProcess) -> None:
        reader, writer = await ask(running, "hold", stream=True)
        said = await asyncio.wait_for(reader.readuntil(b"event: ping"), 20)
        assert said.index(b"message_start") < said.index(b"holding")
        writer.transport.abort()

    with warm_engine("fake_engines:Talker", "--threads", "2") as running:
        await asyncio.gather(before_it_begins(running), after_it_began(running))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "x"}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": user([{"text": "x"}])}, "messages.0.content.0.type"),
        ({"messages": user([{"type": "text"}])}, "messages.0.content.0.text"),
        ({"messages": user([{"type": "audio"}])}, "messages.0.content.0"),
        ({"messages": user([image("not base64!")])}, "messages.0.content.0.source.data"),
        ({"messages": user([image("")])}, "messages.0.content.0.source.data"),
        ({"messages": user([image(media_type="image/bmp")])}, "messages.0.content.0.source.media_type"),
        ({"messages": user([{"type": "image", "source": {"type": "url", "url": "http://x"}}])}, ".0.source.type"),
        ({"messages": user([{"type": "document", "source": {"type": "file", "file_id": "f"}}])}, ".0.source.type"),
        ({"messages": [*user("x"), {"role": "assistant", "content": "I"}]}, "messages.1"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"model": ""}, "model"),
        ({"stop_sequences": [" "]}, "stop_sequences.0"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"output_config": {"format": {"type": "json_schema", "schema": {}}}}, "output_config.format"),
    ],
)
def test_a_mistake_is_named_to_the_field(talker: EngineProcess, change: dict[str, Any], field: str) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": user("x"), **change}
    status, _, said = talker.ask("POST", "/v1/messages", json.dumps(body).encode())
    assert (status, said["error"]["type"]) == (400, "invalid_request_error")
    assert field in said["error"]["message"].partition(": ")[0]


def test_the_engines_own_refusal_keeps_its_words_and_names_its_place(client: anthropic.Anthropic) -> None:
    for stream in (False, True):
        with pytest.raises(anthropic.BadRequestError, match=r"messages.0.content.1: the picture cannot be opened"):
            client.messages.create(model="m", max_tokens=9, stream=stream, messages=user("refuse"))


def test_a_crash_is_a_500_that_says_nothing_and_a_log_that_says_where(
    talker: EngineProcess, client: anthropic.Anthropic
) -> None:
    for stream in (False, True):
        begun = len(talker.lines)
        with pytest.raises(anthropic.InternalServerError) as caught:
            client.messages.create(model="m", max_tokens=9, stream=stream, messages=user("crash 4711"))
        assert "4711" not in str(caught.value)
        talker.line("builtins.ValueError", after=begun)
        assert any("fake_engines.py" in line for line in talker.lines[begun:])
        assert not any("4711" in line for line in talker.lines[begun:])


def test_a_crash_in_the_middle_is_an_error_event_and_no_clean_end(client: anthropic.Anthropic) -> None:
    got = []
    with pytest.raises(anthropic.APIStatusError, match="something went wrong inside this engine") as caught:
        for event in client.messages.create(model="m", max_tokens=9, stream=True, messages=user("break 4711")):
            got.append(event.type)
    assert got == ["message_start", "content_block_start", "content_block_delta"]
    assert "4711" not in str(caught.value)


async def ask(talker: EngineProcess, question: str, *, stream: bool = False) -> tuple[Any, asyncio.StreamWriter]:
    """A bare connection with a call on it, so that a test can leave when it likes."""
    body = json.dumps({"model": "m", "max_tokens": 99, "stream": stream, "messages": user(question)}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", talker.port)
    writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    await writer.drain()
    return reader, writer


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("question", ["hold", "silent"])
async def test_an_engine_is_told_when_its_caller_leaves(talker: EngineProcess, question: str, stream: bool) -> None:
    begun = len(talker.lines)
    _, writer = await ask(talker, question, stream=stream)
    await asyncio.to_thread(talker.line, "fake: asked", after=begun)
    writer.transport.abort()
    await asyncio.to_thread(talker.line, "fake: stopped", after=begun)
    await asyncio.to_thread(talker.until, "/ready", lambda said: said["working"] == 0)


async def test_the_queue_is_bounded_and_places_come_back_when_callers_leave(talker: EngineProcess) -> None:
    def waiting(count: int) -> Any:
        return asyncio.to_thread(talker.until, "/ready", lambda said: (said["working"], said["waiting"]) == (1, count))

    calls = [await ask(talker, "hold") for _ in range(65)]
    await waiting(64)  # and the engine still says at once that it is alive
    status, headers, said = await asyncio.to_thread(
        talker.ask, "POST", "/v1/messages", b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}'
    )
    assert (status, said["error"]["type"], headers["retry-after"]) == (529, "overloaded_error", "2")
    calls.pop()[1].transport.abort()
    await waiting(63)
    last = await ask(talker, "say at last")
    await waiting(64)
    for _, writer in calls:
        writer.transport.abort()
    answer = await asyncio.wait_for(last[0].readuntil(b"at last"), 20)
    assert answer.startswith(b"HTTP/1.1 200")
    last[1].close()
    await asyncio.to_thread(talker.until, "/ready", lambda said: said["working"] == 0)


async def test_a_caller_that_leaves_in_its_body_does_no_harm(talker: EngineProcess) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", talker.port)
    writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{")
    await writer.drain()
    writer.transport.abort()
    assert (await asyncio.to_thread(talker.ask, "GET", "/ready"))[0] == 200
    assert not any("Traceback" in line for line in talker.lines)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
wild = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner))
blocks = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["text", "image", "document", "tool_result", "search_result", "thinking"]) | wild,
        "text": st.just("x") | wild,
        "source": st.fixed_dictionaries(
            {},
            optional={
                "type": st.sampled_from(["base64", "text", "content", "url"]) | wild,
                "media_type": st.sampled_from(["image/png", "application/pdf"]) | wild,
                "data": st.sampled_from(["", "YQ==", "\ud800"]) | wild,
                "content": wild,
            },
        )
        | wild,
        "content": wild,
    },
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "model": st.just("m") | wild,
        "max_tokens": st.just(9) | wild,
        "messages": st.lists(
            st.fixed_dictionaries({"role": st.just("user") | wild, "content": st.lists(blocks, max_size=3) | wild}),
            max_size=3,
        )
        | wild,
        "stream": st.booleans() | wild,
        "stop_sequences": wild,
        "tool_choice": wild,
    },
)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=bodies.map(lambda body: json.dumps(body).encode()) | st.binary(max_size=50))
def test_no_body_at_all_makes_it_fail(talker: EngineProcess, body: bytes) -> None:
    client = talker.ask("POST", "/v1/messages/count_tokens", body)
    assert client[0] in (200, 400)
    if client[0] == 400:
        assert client[2]["error"]["type"] == "invalid_request_error"
        assert client[2]["error"]["message"]
