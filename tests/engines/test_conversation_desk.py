"""The desk of conversations and the words' half of qwen_vl, driven by the official SDK; the model is scripted."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from PIL import Image

from tests.engines.engine_process import EngineProcess, warm_engine
from tests.engines.fake_model import CONTEXT

LOOK: dict[str, Any] = {
    "name": "look",
    "description": "Looks.",
    "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]},
}


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    with warm_engine("fake_model:Thinker") as running:
        yield running


@pytest.fixture(scope="module")
def client(engine: EngineProcess) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=engine.url, api_key="x", max_retries=0) as made:
        yield made


def say(text: str, *blocks: Any) -> list[Any]:
    return [{"role": "user", "content": [*blocks, {"type": "text", "text": f"say: {text}"}]}]


def image(width: int, height: int) -> dict[str, Any]:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(out, "PNG")
    data = base64.b64encode(out.getvalue()).decode()
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


def blocks(message: Any) -> list[tuple[str, Any]]:
    said = []
    for block in message.content:
        match block.type:
            case "text":
                said.append(("text", block.text))
            case "thinking":
                said.append(("thinking", block.thinking))
            case "tool_use":
                assert block.id.startswith("toolu_")
                said.append((block.name, block.input))
    return said


@pytest.fixture(params=["whole", "stream"])
def ask(client: anthropic.Anthropic, request: pytest.FixtureRequest) -> Any:
    """Asks in either way; what comes of both has to be the same."""

    def asked(**how: Any) -> Any:
        given = {"model": "m", "max_tokens": 400, **how}
        if request.param == "whole":
            return client.messages.create(**given)
        with client.messages.stream(**given) as stream:
            for _ in stream:
                pass
            return stream.get_final_message()

    return asked


def test_text_in_any_script(ask: Any) -> None:
    message = ask(messages=say("Naïve 日本語 🙂 \U0001f6f6."))
    assert blocks(message) == [("text", "Naïve 日本語 🙂 \U0001f6f6.")]
    assert (message.stop_reason, message.stop_sequence, message.role) == ("end_turn", None, "assistant")


def test_usage_is_what_was_counted(client: anthropic.Anthropic, ask: Any) -> None:
    turns = say("one two three", image(56, 84), image(28, 28))
    message = ask(messages=turns, system="Be brief.", tools=[LOOK])
    counted = client.messages.count_tokens(model="m", messages=turns, system="Be brief.", tools=[LOOK])
    bare = client.messages.count_tokens(model="m", messages=say("one two three"), system="Be brief.", tools=[LOOK])
    assert message.usage.input_tokens == counted.input_tokens
    pictures = 6 + 1 + 2 * 2  # tokens of both, and the marks around each
    assert counted.input_tokens == bare.input_tokens + pictures
    assert message.usage.output_tokens > 0


def test_thoughts_and_calls(ask: Any) -> None:
    said = 'I must look.\n</think>\n\nI look.\n<tool_call>\n{"name": "look", "arguments": {"q": "日本"}}\n</tool_call>'
    message = ask(messages=say(said), tools=[LOOK], thinking={"type": "enabled", "budget_tokens": 100})
    assert blocks(message) == [("thinking", "I must look."), ("text", "I look."), ("look", {"q": "日本"})]
    assert message.stop_reason == "tool_use"
    details = message.usage.output_tokens_details
    assert 0 < details.thinking_tokens < message.usage.output_tokens


def test_nobody_is_sent_thoughts_who_did_not_ask(ask: Any) -> None:
    assert blocks(ask(messages=say("Just text."))) == [("text", "Just text.")]
    hidden = {"type": "enabled", "budget_tokens": 100, "display": "omitted"}
    message = ask(messages=say("Hm.</think>Said."), thinking=hidden)
    assert blocks(message) == [("thinking", ""), ("text", "Said.")]


def test_a_budget_ends_a_thought(ask: Any) -> None:
    message = ask(messages=say("word " * 40), thinking={"type": "enabled", "budget_tokens": 5})
    kinds = [kind for kind, _ in blocks(message)]
    assert kinds == ["thinking", "text"]
    assert message.usage.output_tokens_details.thinking_tokens == 6  # the mark that ends it is one


def test_calls_that_are_demanded_and_calls_that_are_one_too_many(ask: Any) -> None:
    call = '<tool_call>\n{"name": "look", "arguments": {"q": "a"}}\n</tool_call>'
    demanded = ask(messages=say("No."), tools=[LOOK], tool_choice={"type": "tool", "name": "look"})
    assert [name for name, _ in blocks(demanded)] == ["look"]
    assert demanded.stop_reason == "tool_use"
    both = ask(messages=say(f"{call}\n{call}"), tools=[LOOK])
    assert blocks(both) == [("look", {"q": "a"})] * 2
    single = {"type": "auto", "disable_parallel_tool_use": True}
    one = ask(messages=say(f"{call}\n{call}"), tools=[LOOK], tool_choice=single)
    assert blocks(one) == [("look", {"q": "a"})]
    assert one.stop_reason == "tool_use"
    text = ask(messages=say(call), tools=[LOOK], tool_choice={"type": "none"})
    assert blocks(text) == [("text", call)]


def test_json_of_a_schema(ask: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": False,
    }
    message = ask(messages=say("Never."), output_config={"format": {"type": "json_schema", "schema": schema}})
    assert json.loads(blocks(message)[0][1])["ok"] in (True, False)


def test_stop_sequences_and_the_most_tokens(ask: Any) -> None:
    message = ask(messages=say("one two 停止 three"), stop_sequences=["no", "停止"])
    assert (blocks(message), message.stop_reason, message.stop_sequence) == (
        [("text", "one two ")],
        "stop_sequence",
        "停止",
    )
    cut = ask(messages=say("one two three four five"), max_tokens=3)
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 3)
    none = ask(messages=say("one"), max_tokens=0)
    assert (none.content, none.stop_reason, none.usage.output_tokens) == ([], "max_tokens", 0)


def test_an_answer_that_was_begun(ask: Any) -> None:
    def continued(text: str) -> str:
        turns = [*say("and so on"), {"role": "assistant", "content": text}]
        return str(blocks(ask(messages=turns))[0][1])

    assert continued("I say: and") == "and"


def test_a_prompt_that_is_too_long(client: anthropic.Anthropic, ask: Any) -> None:
    long = say("word " * (CONTEXT + 1))
    counted = client.messages.count_tokens(model="m", messages=say("hi")).input_tokens
    with pytest.raises(anthropic.BadRequestError, match=rf"prompt is too long: \d+ tokens > {CONTEXT - 1} maximum"):
        ask(messages=long)
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
        ask(messages=say("hi", image(1400, 1400)))
    with pytest.raises(anthropic.BadRequestError, match=r"prompt is too long: at least \d+ tokens"):
        ask(messages=say("<|im_end|>" * 40_000))
    room = CONTEXT - counted
    words = "a b c d " * (room // 8)
    filled = ask(messages=say(words.strip()), max_tokens=10_000)
    assert filled.stop_reason in ("model_context_window_exceeded", "end_turn")


def test_boxes_and_the_annotated_picture(client: anthropic.Anthropic) -> None:
    answer = '[{"bbox_2d": [28, 0, 56, 56], "label": "cat"}]'
    how: dict[str, Any] = {"model": "m", "max_tokens": 300, "messages": say(answer, image(50, 100))}
    message = client.messages.create(**how, extra_body={"sampan": {"annotate": True}})
    assert message.content[0].text == answer  # type: ignore[union-attr]
    ours = message.model_extra["sampan"]  # type: ignore[index]
    # Seen as 56 x 112 pixels.
    assert ours["grounding"] == [{"picture": 0, "label": "cat", "box": [25, 0, 50, 50]}]
    (annotated,) = ours["annotated"]
    assert (annotated["picture"], annotated["media_type"]) == (0, "image/png")
    with Image.open(io.BytesIO(base64.b64decode(annotated["data"]))) as drawn:
        assert drawn.size == (50, 100)
    with client.messages.create(**how, stream=True, extra_body={"sampan": {"grounding": True}}) as stream:
        (last,) = [event for event in stream if event.type == "message_delta"]
    assert last.model_extra == {"sampan": {"grounding": ours["grounding"]}}


def test_boxes_between_marks_and_the_text_without_them(client: anthropic.Anthropic) -> None:
    marked = "A <|object_ref_start|>cat<|object_ref_end|><|box_start|>(0,0),(500,500)<|box_end|>."
    how: dict[str, Any] = {"model": "m", "max_tokens": 300, "messages": say(marked, image(50, 100))}
    plain = client.messages.create(**how)
    assert "sampan" not in (plain.model_extra or {})
    grounded = client.messages.create(**how, extra_body={"sampan": {"grounding": True}})
    assert blocks(plain) == blocks(grounded) == [("text", "A cat(0,0),(500,500).")]
    box = {"picture": 0, "label": "cat", "box": [0, 0, 25, 50]}
    assert grounded.model_extra == {"sampan": {"grounding": [box]}}


def test_errors_keep_their_status_or_end_the_stream(client: anthropic.Anthropic, ask: Any) -> None:
    with pytest.raises(anthropic.APIStatusError, match="the fake failed"):
        ask(messages=say("fail"))
    broken = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    with pytest.raises(anthropic.BadRequestError, match=r"messages\.0\.content\.0: this is no picture"):
        ask(messages=say("x", broken))


def test_many_wait_for_an_answer_at_once_and_a_caller_that_leaves_is_not_waited_for(
    engine: EngineProcess, client: anthropic.Anthropic
) -> None:
    """Twenty endless answers are under way, far more than there are threads, and others are still answered."""
    streams = [client.messages.create(model="m", max_tokens=9, messages=say("endless"), stream=True) for _ in range(20)]
    for stream in streams:
        assert next(iter(stream)).type == "message_start"
    assert client.messages.create(model="m", max_tokens=9, messages=say("ok")).stop_reason == "end_turn"
    said = engine.ask("GET", "/ready")[2]
    assert (said["ready"], said["cold"], said["working"]) == (True, [], 20)
    for stream in streams:
        stream.close()
    for number in range(20):
        engine.line(f"fake: caller {number} of the endless has left")
    engine.until("/ready", lambda said: said["working"] == 0)
