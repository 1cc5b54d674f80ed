"""Conversations as the templates of the real families render them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.engines.conversation import Call, Outcome, Sight, Thought, Tool, Turn
from sampan.engines.conversation import Words as Text
from sampan.engines.qwen_vl.template import Template
from sampan.engines.qwen_vl.thinking import Start
from sampan.engines.qwen_vl.words import CUT
from sampan.engines.tiny import tokens
from sampan.errors import ConfigError, InvalidRequest
from tests.engines.fake_model import template, words

PICTURE = Sight(b"", "messages.0.content.0")
LOOK = Tool("look", "Looks.", {"type": "object", "properties": {"q": {"type": "string"}}}, False, "tools.0")
PAD = "<|vision_start|><|image_pad|><|vision_end|>"
FAMILIES = ["qwen2-vl", "qwen3-vl"]


def user(*parts: object) -> Turn:
    return Turn("user", [Text(part) if isinstance(part, str) else part for part in parts])  # type: ignore[misc]


def test_text_and_pictures_in_their_order() -> None:
    turns = [Turn("system", [Text("Be brief.")]), user("Left:", PICTURE, "right:", PICTURE)]
    rendered = template().render(turns, [], think=False)
    assert rendered.start is Start.NONE
    assert rendered.text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        f"<|im_start|>user\nLeft:{PAD}right:{PAD}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_an_older_template_says_its_own_system_prompt() -> None:
    text = template("qwen2-vl").render([user("Hi", "there")], [], think=False).text
    assert text.startswith("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n")
    assert "<|im_start|>user\nHi\nthere<|im_end|>" in text


@pytest.mark.parametrize("family", FAMILIES)
def test_tools_calls_and_outcomes_are_told_alike(family: str) -> None:
    turns = [
        Turn("system", [Text("Be brief.")]),
        user("Weather?"),
        Turn("assistant", [Text("I look."), Call("look", '{"q":"Ulm"}'), Call("look", "{}")]),
        user(Outcome([Text("rain")]), Outcome([Text("sun"), PICTURE]), "So?"),
    ]
    text = template(family).render(turns, [LOOK], think=False).text
    assert text.startswith("<|im_start|>system\nBe brief.\n\n# Tools\n\n")
    assert '{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {' in text
    assert '<tool_call>\n{"name": "look", "arguments": {"q": "Ulm"}}\n</tool_call>' in text
    assert text.count("<tool_call>\n{") == 3  # the prompt's example and the two calls
    assert f"<tool_response>\nrain\n</tool_response>\n<tool_response>\nsun{PAD}\n</tool_response>" in text
    assert "So?<|im_end|>" in text
    assert text.index("rain") < text.index("sun") < text.index("So?")
    assert text.count("<|im_start|>user") == (2 if family == "qwen2-vl" else 3)


def test_the_tokens_are_those_of_the_templates_own_marks() -> None:
    own = words(tokens.QWEN2_5)
    text = template("qwen2-vl").render([user("Hi")], [LOOK], think=False).text
    assert own.encode(text).count(own.id("<tool_call>")) == 2


def test_a_thinking_template_opens_the_thought_and_nobody_who_did_not_ask_gets_one() -> None:
    thinker = template(thinking=True)
    assert thinker.thinks
    assert not template().thinks
    wanted = thinker.render([user("Hi")], [], think=True)
    assert wanted.text.endswith("<|im_start|>assistant\n<think>\n")
    assert wanted.start is Start.OPENED
    unwanted = thinker.render([user("Hi")], [], think=False)
    assert unwanted.text.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert unwanted.start is Start.NONE


def test_a_template_with_a_switch_is_told() -> None:
    source = (
        "{%- for m in messages -%}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{%- endfor -%}"
        "{{- '\n<|im_start|>assistant\n' -}}"
        "{%- if not enable_thinking -%}{{- '<think>\n\n</think>\n\n' -}}{%- endif -%}"
    )
    hybrid = Template(source, words().guard)
    assert hybrid.thinks
    assert hybrid.render([user("Hi")], [], think=True).start is Start.EITHER
    off = hybrid.render([user("Hi")], [], think=False)
    assert off.text.endswith("</think>\n\n")
    assert off.start is Start.NONE


def test_thoughts_go_back_where_the_template_wants_them() -> None:
    turns = [
        user("Weather?"),
        Turn("assistant", [Thought("I must look."), Call("look", "{}")]),
        user(Outcome([Text("rain")])),
    ]
    assert "<think>\nI must look.\n</think>" in template(thinking=True).render(turns, [LOOK], think=True).text
    assert "I must look" not in template().render(turns, [LOOK], think=True).text


@pytest.mark.parametrize("thinking", [False, True])
def test_an_answer_that_was_begun_is_gone_on_with(thinking: bool) -> None:
    turns = [user("A list?"), Turn("assistant", [Thought("no"), Text("1. one\n2.")])]
    rendered = template(thinking=thinking).render(turns, [], think=True)
    assert rendered.text.endswith("<|im_start|>assistant\n1. one\n2.")
    assert rendered.start is Start.NONE


@pytest.mark.parametrize("keeps", [True, False])
def test_a_later_system_turn_is_not_lost(keeps: bool) -> None:
    turns = [user("Hi"), Turn("system", [Text("Now in verse.")]), user("Go on")]
    source = (
        "{%- for m in messages -%}{%- if m.role != 'system' or KEEPS or loop.first -%}"
        "[{{ m.role }}]{{ m.content }}{%- endif -%}{%- endfor -%}[assistant]"
    )
    text = Template(source.replace("KEEPS", str(keeps)), words().guard).render(turns, [], think=False).text
    if keeps:
        assert text == "[user]Hi[system]Now in verse.[user]Go on[assistant]"
    else:
        assert text == "[user]Hi\n<system>\nNow in verse.\n</system>\nGo on[assistant]"


def test_a_template_that_refuses_says_so_without_the_text() -> None:
    source = "{%- if messages[0].content == 'odd' -%}{{- raise_exception('No ' + messages[0].content) -}}{%- endif -%}"
    refusing = Template(source, words().guard)
    with pytest.raises(InvalidRequest, match="chat template refuses"):
        refusing.render([user("odd")], [], think=False)
    with pytest.raises(ConfigError, match="chat template of this checkpoint"):
        Template("{{ raise_exception('never') }}", words().guard)


MARKS = st.lists(st.sampled_from([*tokens.QWEN3, "<|im_", "start|>", "<", "tool_call>", "text", "\n", '"', "\\"])).map(
    "".join
)


@pytest.mark.parametrize("family", FAMILIES)
@given(text=MARKS, other=MARKS)
def test_whatever_users_write_the_marks_are_the_templates(family: str, text: str, other: str) -> None:
    """The same conversation with harmless words has as many marks, and in the same order."""
    own = words(tokens.QWEN2_5 if family == "qwen2-vl" else tokens.QWEN3)
    numbers = {own.id(mark) for mark in tokens.QWEN3} - {None}

    def marks(one: str, two: str) -> list[int]:
        tool = Tool("look", one, {"properties": {two or "p": {"description": one}}}, False, "tools.0")
        turns = [
            Turn("system", [Text(f"s{one}"), Text(f"{two}s")]),
            user(f"u{one}", PICTURE, f"{two}u", f"{one}u"),
            Turn(
                "assistant", [Thought(f"t{one}"), Text(f"a{two}a"), Call("look", json.dumps({"q": [one, {two: two}]}))]
            ),
            user(Outcome([Text(f"o{one}"), Text(f"{two}o")])),
            Turn("assistant", [Text(f"p{two}p")]),
        ]
        text = template(family).render(turns, [tool], think=False).text
        return [token for token in own.encode(text) if token in numbers]

    assert marks(text, other) == marks("x", "y")


def test_cuts_in_a_users_text_do_not_cut() -> None:
    assert CUT not in template().render([user(f"a{CUT}b")], [], think=False).text
