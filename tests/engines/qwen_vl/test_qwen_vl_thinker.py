"""A real engine process with a tiny Qwen3-VL that thinks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.engines.engine_process import warm_engine
from tests.tiny_models import tiny

TURNS: list[Any] = [{"role": "user", "content": "What do you think?"}]


@pytest.fixture(scope="module")
def client() -> Iterator[anthropic.Anthropic]:
    options = ["--model", str(tiny("qwen3-vl-thinking")), "--context", "1024", "--batch", "4"]
    with (
        warm_engine("qwen_vl", *options, seconds=110) as running,
        anthropic.Anthropic(base_url=running.url, api_key="x", max_retries=0) as made,
    ):
        yield made


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_thought_ends_within_its_budget(client: anthropic.Anthropic, seed: int) -> None:
    how: dict[str, Any] = {"model": "m", "messages": TURNS, "max_tokens": 120}
    how["thinking"] = {"type": "enabled", "budget_tokens": 20}
    how["extra_body"] = {"temperature": 1.0, "sampan": {"seed": seed}}
    message = client.messages.create(**how)
    kinds = [block.type for block in message.content]
    assert kinds in (["thinking", "text"], ["thinking"])
    details = message.usage.output_tokens_details
    assert details is not None
    assert 0 < details.thinking_tokens <= 21
    with client.messages.stream(**how) as stream:
        streamed = stream.get_final_message()
    said, wanted = (
        [(block.type, getattr(block, block.type)) for block in each.content]  # the SDK's classes differ
        for each in (streamed, message)
    )
    assert said == wanted
    assert streamed.usage.output_tokens_details == details


def test_without_being_asked_it_answers_at_once(client: anthropic.Anthropic) -> None:
    message = client.messages.create(model="m", messages=TURNS, max_tokens=20)
    assert [block.type for block in message.content] == ["text"]
    counted = client.messages.count_tokens(model="m", messages=TURNS)
    assert message.usage.input_tokens == counted.input_tokens


def test_a_thought_then_json(client: anthropic.Anthropic) -> None:
    message = client.messages.create(
        model="m",
        messages=TURNS,
        max_tokens=200,
        thinking={"type": "enabled", "budget_tokens": 30},
        output_config={"format": {"type": "json_schema", "schema": {"enum": ["yes", "no"]}}},
    )
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[1].text in ('"yes"', '"no"')  # type: ignore[union-attr]


def test_an_answer_that_was_begun_has_no_thought(client: anthropic.Anthropic) -> None:
    turns = [*TURNS, {"role": "assistant", "content": "I think"}]
    message = client.messages.create(
        model="m", messages=turns, max_tokens=20, thinking={"type": "enabled", "budget_tokens": 10}
    )
    assert [block.type for block in message.content] == ["text"]
