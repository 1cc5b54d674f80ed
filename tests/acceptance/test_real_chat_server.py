"""A Claude client is served by a real OpenAI-compatible server: llama.cpp's own, with a model of random numbers.

What the server would have said is asked of it directly, so that nothing here depends on what a random model says.
A `grammar` (llama.cpp's own member, handed on) makes it say what a test needs.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from clouds import Cloud
from gateway import KEY, QUICK, SOON, Gateway, Reply, eventually, route, until, upstream
from tiny_chat import TinyServer
from tiny_model import CALL_ID, CALLED_ID, CONTEXT, END_ID

MODEL = "claude-x"
TEXT = '"text"'
QUESTION = "Who are you?"
LONG = 10_000  # tokens, seconds of work even for this model
STILL = {"temperature": 0}  # the Claude SDK has no such argument any more; the wire has
WEATHER = {
    "type": "object",
    "properties": {"city": {"enum": ["Oslo", "Bergen"]}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL: dict[str, Any] = {"name": "weather", "description": "The weather of a city.", "input_schema": WEATHER}
# With a tool to be called the server's own grammar lets the model talk first; a random one would never come to it.
CALLS = STILL | {"logit_bias": [[CALL_ID, 100], [CALLED_ID, 100], [END_ID, 200]]}


def said(text: str) -> dict[str, Any]:
    """Members that make the model say `text` and end."""
    return STILL | {"grammar": f"root ::= {json.dumps(text, ensure_ascii=False)}"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyServer]:
    with TinyServer(tmp_path_factory.mktemp("tiny")) as server:
        yield server


@pytest.fixture(scope="module")
def house(tiny: TinyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Two clouds that are unreachable, and the tiny server behind each and alone."""
    with Cloud() as cloud:
        cloud.close()
        shut = f"http://127.0.0.1:{cloud.port}"
        more = 'server = "llama.cpp"\n'
        config = QUICK + upstream("tiny", f"{tiny.url}/v1", "openai-chat", location="local", more=more)
        config += upstream("anthropic", shut, "anthropic", more='probe = "off"\n')
        config += upstream("openai", f"{shut}/v1", "openai-chat", more='probe = "off"\n')
        config += route("claude-cloud-*", TEXT, "anthropic", "tiny")
        config += route("gpt-cloud-*", TEXT, "openai", "tiny")
        config += route("claude-*", TEXT, "tiny") + route("gpt-*", TEXT, "tiny")
        with Gateway(tmp_path_factory.mktemp("house"), config) as gateway:
            yield gateway


@pytest.fixture
def claude(house: Gateway) -> anthropic.Anthropic:
    return house.anthropic()


def ask(question: str = QUESTION, **facts: Any) -> dict[str, Any]:
    """Arguments of a call: one question, no luck in the answer, 40 tokens."""
    messages = [{"role": "user", "content": question}]
    return {"model": MODEL, "max_tokens": 40, "messages": messages, "extra_body": STILL} | facts


def directly(tiny: TinyServer, question: str = QUESTION, **facts: Any) -> dict[str, Any]:
    """What the server says to one who speaks its own wire."""
    body = {"max_tokens": 40, "messages": [{"role": "user", "content": question}]} | STILL | facts
    return dict(json.loads(tiny.post("/v1/chat/completions", body)))


def text_of(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


# A Claude client.


def test_a_claude_client_is_answered(house: Gateway, tiny: TinyServer) -> None:
    raw = house.anthropic().messages.with_raw_response.create(**ask())
    message, straight = raw.parse(), directly(tiny)
    assert text_of(message) == straight["choices"][0]["message"]["content"] != ""
    assert (message.role, message.model, message.stop_reason) == ("assistant", MODEL, "max_tokens")
    usage = message.usage
    assert usage.output_tokens == straight["usage"]["completion_tokens"] == 40
    assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == straight["usage"]["prompt_tokens"]
    assert raw.headers["x-sampan-upstream"] == "tiny" and raw.headers["x-sampan-tier"] == "local"
    record = house.record(raw.headers["request-id"])
    assert (record["upstream"], record["tier"], record["outcome"]) == ("tiny", "local", "ok")
    assert record["output_tokens"] == 40


def test_a_stream_says_what_the_whole_answer_says(house: Gateway) -> None:
    claude = house.anthropic()
    whole = claude.messages.create(**ask())
    with claude.messages.stream(**ask()) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
        headers = stream.response.headers
    assert "".join(pieces) == text_of(message) == text_of(whole)
    assert len(pieces) == 40, "it came in pieces, as the server made it"
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 40)
    assert headers["x-sampan-upstream"] == "tiny" and headers["x-sampan-tier"] == "local"
    assert house.record(headers["request-id"])["output_tokens"] == 40


def test_system_and_turns_reach_the_model(claude: anthropic.Anthropic, tiny: TinyServer) -> None:
    turns: list[Any] = [
        {"role": "user", "content": [{"type": "text", "text": "hello"}]},
        {"role": "assistant", "content": "harbour"},
        {"role": "user", "content": [{"type": "text", "text": "and"}, {"type": "text", "text": "now?"}]},
    ]
    message = claude.messages.create(**ask(messages=turns, system=[{"type": "text", "text": "Be brief."}]))
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "harbour"},
        {"role": "user", "content": "and\n\nnow?"},
    ]
    assert text_of(message) == directly(tiny, messages=chat)["choices"][0]["message"]["content"]
    assert text_of(message) != directly(tiny, messages=chat[1:])["choices"][0]["message"]["content"]


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_a_stop_sequence_ends_the_answer(claude: anthropic.Anthropic, streams: bool) -> None:
    words = text_of(claude.messages.create(**ask())).split()
    word = words[4]
    call = ask(stop_sequences=["no such word", word])
    if streams:
        with claude.messages.stream(**call) as stream:
            message = stream.get_final_message()
    else:
        message = claude.messages.create(**call)
    assert text_of(message).split() == words[: words.index(word)]
    assert message.stop_reason == "end_turn", "the server does not say which sequence it met"
    assert message.usage.output_tokens < 40


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_an_answer_ends_by_itself_in_any_script(claude: anthropic.Anthropic, streams: bool) -> None:
    """Signs that are no tokens of its own the server puts together from bytes; none may be torn."""
    text = "你好,小船 🛶 {1}"
    call = ask(max_tokens=100, extra_body=said(text))
    if streams:
        with claude.messages.stream(**call) as stream:
            assert "".join(stream.text_stream) == text
            message = stream.get_final_message()
    else:
        message = claude.messages.create(**call)
    assert (text_of(message), message.stop_reason) == (text, "end_turn")


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_a_prefill_is_gone_on_with_and_not_repeated(claude: anthropic.Anthropic, streams: bool) -> None:
    turns = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "I am"}]
    call = ask(messages=turns, extra_body=said(" a boat"))
    if streams:
        with claude.messages.stream(**call) as stream:
            message = stream.get_final_message()
    else:
        message = claude.messages.create(**call)
    assert (text_of(message), message.stop_reason) == (" a boat", "end_turn")


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_thinking_is_told_apart_and_signed(claude: anthropic.Anthropic, streams: bool) -> None:
    call = ask(max_tokens=2000, extra_body=said("<think>hm, no</think>yes"))
    call["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    if streams:
        with claude.messages.stream(**call) as stream:
            message = stream.get_final_message()
    else:
        message = claude.messages.create(**call)
    thinking, text = message.content
    assert thinking.type == "thinking" and (thinking.thinking, bool(thinking.signature)) == ("hm, no", True)
    assert text.type == "text" and text.text == "yes"
    turns = [*call["messages"], {"role": "assistant", "content": message.content}, {"role": "user", "content": "why?"}]
    assert text_of(claude.messages.create(**ask(messages=turns, thinking=call["thinking"], max_tokens=2000))) != ""


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "weather"}], ids=["any", "tool"])
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_a_tool_is_called_and_its_result_answered(
    claude: anthropic.Anthropic, streams: bool, choice: dict[str, Any]
) -> None:
    other = {"name": "tide", "input_schema": {"type": "object", "properties": {}}}
    call = ask(max_tokens=200, tools=[TOOL, other], extra_body=CALLS)
    call["tool_choice"] = choice
    if choice["type"] == "any":
        call["tools"] = [TOOL]
    if streams:
        with claude.messages.stream(**call) as stream:
            message = stream.get_final_message()
    else:
        message = claude.messages.create(**call)
    assert message.stop_reason == "tool_use"
    (used,) = message.content
    assert used.type == "tool_use" and used.name == "weather" and used.id
    assert used.input["city"] in ("Oslo", "Bergen")  # type: ignore[index]
    result = {"type": "tool_result", "tool_use_id": used.id, "content": [{"type": "text", "text": "rain"}]}
    turns = [
        *call["messages"],
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [result]},
    ]
    after = claude.messages.create(**ask(messages=turns, tools=[TOOL]))
    assert (text_of(after) != "", after.stop_reason) == (True, "max_tokens")


def test_an_answer_keeps_to_a_schema(claude: anthropic.Anthropic) -> None:
    output: Any = {"format": {"type": "json_schema", "schema": WEATHER}}
    message = claude.messages.create(**ask(max_tokens=200, output_config=output))
    assert json.loads(text_of(message))["city"] in ("Oslo", "Bergen") and message.stop_reason == "end_turn"


def test_tokens_are_counted_without_an_answer(claude: anthropic.Anthropic, tiny: TinyServer) -> None:
    def count(question: str) -> int:
        messages: list[Any] = [{"role": "user", "content": question}]
        return claude.messages.count_tokens(model=MODEL, messages=messages).input_tokens

    before = tiny.spoken
    assert 0 < count("boat") < count("boat " * 100)
    assert tiny.spoken == before


# What goes wrong.


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_what_the_server_refuses_is_a_400_in_its_words(house: Gateway, streams: bool) -> None:
    too_long = ask("ocean " * CONTEXT, stream=streams)
    with pytest.raises(anthropic.BadRequestError) as failure:
        house.anthropic().messages.create(**too_long)
    assert failure.value.body["error"]["type"] == "invalid_request_error"  # type: ignore[index]
    assert "context" in failure.value.message and str(CONTEXT) in failure.value.message
    with pytest.raises(anthropic.BadRequestError) as failure:
        house.anthropic().messages.create(**ask(stream=streams, extra_body={"grammar": "root ::= ("}))
    assert "rammar" in failure.value.message or "sampl" in failure.value.message
    assert text_of(house.anthropic().messages.create(**ask())), "it answers the next call as if nothing had been"


def test_a_model_without_a_route_is_a_404(house: Gateway) -> None:
    with pytest.raises(anthropic.NotFoundError):
        house.anthropic().messages.create(**ask(model="mistral-large"))
    with pytest.raises(openai.NotFoundError):
        house.openai().chat.completions.create(model="mistral-large", messages=[{"role": "user", "content": "hi"}])


def test_a_caller_who_leaves_frees_the_slot(house: Gateway, tiny: TinyServer) -> None:
    """The server has one: the next caller waits for as long as it works on.

    Only a stream: of one who waits for a whole answer this server does not notice that the connection has gone.
    """
    before = tiny.spoken
    messages = [{"role": "user", "content": "Go on"}]
    body = {"model": MODEL, "max_tokens": LONG, "stream": True, "messages": messages} | STILL
    with house.connect("/v1/messages", body) as sock:
        until(sock, b"content_block_delta")
        eventually(lambda: tiny.is_busy, what="the server to work on it")
    eventually(lambda: not tiny.is_busy, what="the slot to be free")
    assert text_of(house.anthropic().messages.create(**ask()))
    assert tiny.spoken - before < LONG, "the server worked to the end for nobody"


def test_a_server_that_dies_in_its_answer_is_no_clean_end(tmp_path: Path) -> None:
    with TinyServer(tmp_path) as server:
        config = upstream("tiny", f"{server.url}/v1", "openai-chat", location="local") + route("claude-*", TEXT, "tiny")
        with Gateway(tmp_path, QUICK + config) as gateway:
            claude = gateway.anthropic()
            with claude.messages.stream(**ask(max_tokens=LONG)) as stream:
                with pytest.raises(anthropic.APIStatusError) as failure:
                    for event in stream:
                        if event.type == "text":
                            server.kill()
                call = stream.response.headers["request-id"]
            assert failure.value.body["type"] == "error"  # type: ignore[index]
            assert gateway.record(call)["outcome"] != "ok"
            with pytest.raises(anthropic.APIStatusError) as failure:
                claude.messages.create(**ask())
            assert failure.value.status_code == 529


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_the_cloud_is_dead_and_the_tiny_server_answers(house: Gateway, tiny: TinyServer, streams: bool) -> None:
    call = ask(model="claude-cloud-1")
    if streams:
        with house.anthropic().messages.stream(**call) as stream:
            message, headers = stream.get_final_message(), stream.response.headers
    else:
        raw = house.anthropic().messages.with_raw_response.create(**call)
        message, headers = raw.parse(), raw.headers
    assert text_of(message) == directly(tiny)["choices"][0]["message"]["content"]
    assert message.model == "claude-cloud-1"
    assert headers["x-sampan-upstream"] == "tiny" and headers["x-sampan-tier"] == "local"
    assert re.fullmatch("anthropic=(refused|breaker_open),tiny=ok", headers["x-sampan-attempts"])


async def test_many_callers_share_its_one_slot(house: Gateway) -> None:
    async with house.async_anthropic() as claude:
        answers = await asyncio.gather(*(claude.messages.create(**ask(f"Number {n}?")) for n in range(8)))
    assert {message.stop_reason for message in answers} == {"max_tokens"}
    assert len({text_of(message) for message in answers}) > 1, "each has the answer to its own question"


# An OpenAI client: nothing is translated.

OWN = re.compile(rb'"(?:id|created|timings)":(?:"[^"]*"|\d+|\{[^}]*\})|"cached_tokens":\d+')


def chat(**facts: Any) -> dict[str, Any]:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    return {"model": "gpt-tiny", "max_tokens": 12, "messages": messages, "temperature": 0} | facts


@pytest.mark.parametrize("facts", [{}, {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}])
def test_an_openai_client_gets_the_servers_own_bytes(house: Gateway, tiny: TinyServer, facts: dict[str, Any]) -> None:
    """But for what differs between any two answers: id, date, how long it took."""
    tiny.post("/v1/chat/completions", chat())  # the prompt is in its cache for both
    straight = tiny.post("/v1/chat/completions", chat(**facts))
    reply: Reply = house.http("POST", "/v1/chat/completions", chat(**facts), {"authorization": f"Bearer {KEY}"})
    assert OWN.sub(b"", reply.body) == OWN.sub(b"", straight)
    assert reply.headers["x-sampan-upstream"] == "tiny" and reply.headers["x-sampan-tier"] == "local"
    kind = "text/event-stream" if facts else "application/json"
    assert reply.headers["content-type"].startswith(kind)


def test_the_openai_sdk_talks_and_streams(house: Gateway, tiny: TinyServer) -> None:
    sdk = house.openai()
    raw = sdk.chat.completions.with_raw_response.create(**chat(logprobs=True, top_logprobs=2))
    answer = raw.parse()
    assert answer.choices[0].finish_reason == "length" and answer.usage is not None
    assert answer.choices[0].logprobs is not None, "what only this server has is not lost"
    assert house.record(raw.headers["x-request-id"])["output_tokens"] == answer.usage.completion_tokens == 12
    with sdk.chat.completions.create(**chat(stream=True, stream_options={"include_usage": True})) as stream:
        chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert (
        text == answer.choices[0].message.content == directly(tiny, max_tokens=12)["choices"][0]["message"]["content"]
    )
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 12


def test_the_openai_sdk_calls_a_tool(house: Gateway) -> None:
    function = {"name": "weather", "parameters": WEATHER}
    facts = chat(tools=[{"type": "function", "function": function}], tool_choice="required", extra_body=CALLS)
    answer = house.openai().chat.completions.create(**facts | {"max_tokens": 200})
    calls = answer.choices[0].message.tool_calls
    assert calls is not None and json.loads(calls[0].function.arguments)["city"] in ("Oslo", "Bergen")
    with pytest.raises(openai.BadRequestError) as failure:
        house.openai().chat.completions.create(**chat(n=2))
    assert "n" in failure.value.message, "the server's own words"


def test_an_openai_clients_cloud_is_dead_too(house: Gateway) -> None:
    raw = house.openai().chat.completions.with_raw_response.create(**chat(model="gpt-cloud-1"))
    assert raw.parse().choices[0].message.content
    assert raw.headers["x-sampan-upstream"] == "tiny" and raw.headers["x-sampan-tier"] == "local"


def test_the_responses_api_is_answered_too(house: Gateway, tiny: TinyServer) -> None:
    sdk = house.openai()
    told = directly(tiny)["choices"][0]["message"]["content"]
    facts: dict[str, Any] = {"model": "gpt-tiny", "input": QUESTION, "max_output_tokens": 40, "temperature": 0}
    answer = sdk.responses.create(**facts)
    assert answer.output_text == told and answer.usage is not None and answer.usage.output_tokens == 40
    with sdk.responses.stream(**facts) as stream:
        assert "".join(event.delta for event in stream if event.type == "response.output_text.delta") == told


def test_texts_become_vectors(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("embed")
    with TinyServer(folder, "embed") as server:
        config = upstream("vectors", f"{server.url}/v1", "openai-embeddings", location="local")
        with Gateway(folder, QUICK + config + route("text-*", '"embed"', "vectors")) as gateway:
            sdk = gateway.openai(timeout=SOON)
            raw = sdk.embeddings.with_raw_response.create(model="text-tiny", input=["boat", "harbour"])
            answer = raw.parse()
            one = sdk.embeddings.create(model="text-tiny", input="harbour", encoding_format="float")
    assert [len(item.embedding) for item in answer.data] == [64, 64]
    assert one.data[0].embedding == pytest.approx(answer.data[1].embedding, abs=1e-5)
    assert raw.headers["x-sampan-upstream"] == "vectors" and answer.usage.prompt_tokens > 2
