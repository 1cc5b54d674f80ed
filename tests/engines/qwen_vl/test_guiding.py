"""Answers that have to follow a form, played by somebody who picks any token that is allowed."""

from __future__ import annotations

import json
import random
from functools import cache
from typing import Any

import jsonschema_rs
import pytest

from sampan.engines.conversation import Choice, Format, Tool
from sampan.engines.qwen_vl.guiding import Guiding, Thoughtful
from sampan.engines.qwen_vl.hermes import Hermes
from sampan.engines.qwen_vl.job import Guide
from sampan.engines.tiny import tokens
from sampan.errors import InternalError, InvalidRequest
from tests.engines.fake_model import FakeModel, vocabulary, words

FAMILIES = {"qwen2": tokens.QWEN2, "qwen3": tokens.QWEN3}
WHERE = "output_config.format.schema"
SCHEMA = {
    "type": "object",
    "properties": {
        "size": {"type": "integer", "minimum": 0, "maximum": 999},
        "kind": {"enum": ["invoice", "letter"]},
        "marks": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
        "name": {"type": "string", "maxLength": 4},
    },
    "required": ["size", "kind", "marks", "name"],
    "additionalProperties": False,
}
LOOK = Tool("look", "", {**SCHEMA}, False, "tools.0.input_schema")
ODD = Tool("odd", "", {"not": {"type": "string"}}, False, "tools.1.input_schema")


@cache
def guiding(family: str) -> Guiding:
    own = words(FAMILIES[family])
    return Guiding(own, sorted(FakeModel(own).ends))


def play(guide: Guide, family: str, *, begun: str = "", seed: int = 0, most: int = 300) -> tuple[str, bool]:
    """What comes of choosing at random among what is allowed: the text, and whether it came to its end."""
    own = words(FAMILIES[family])
    ends = FakeModel(own).ends
    chance = random.Random(seed)
    said: list[int] = []
    for token in own.encode(begun):
        assert guide.mask()[token]
        guide.accept(token)
        said.append(token)
    for _ in range(most):
        allowed: list[int] = guide.mask().nonzero().flatten().tolist()
        if not allowed or any(end in allowed for end in ends):
            return spelt(said, family), True
        token = chance.choice(allowed)
        guide.accept(token)
        said.append(token)
    return spelt(said, family), False


def spelt(said: list[int], family: str) -> str:
    own = words(FAMILIES[family])
    return b"".join(own.spelling(token) for token in said).decode()


@pytest.mark.parametrize("family", FAMILIES)
def test_whatever_is_drawn_follows_the_schema(family: str) -> None:
    for seed in range(10):
        text, ended = play(guiding(family).format(Format(SCHEMA, WHERE)), family, seed=seed)
        assert ended
        assert not text.startswith(" ")
        jsonschema_rs.validate(SCHEMA, json.loads(text))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_call_that_is_demanded_comes_and_nothing_else(family: str) -> None:
    for seed in range(5):
        text, ended = play(guiding(family).calls([ODD, LOOK], Choice(True, "look", False)), family, seed=seed)
        assert ended
        body = text.strip().removeprefix("<tool_call>\n").removesuffix("\n</tool_call>")
        given = json.loads(body)
        assert given["name"] == "look"
        jsonschema_rs.validate(SCHEMA, given["arguments"])
        hermes = Hermes({"look"})
        hermes.feed(text)
        assert hermes.calls == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_json_may_wait_for_what_a_tool_says(family: str) -> None:
    def made() -> Guide:
        return guiding(family).format(Format(SCHEMA, WHERE), [LOOK], Choice(parallel=False))

    call = '<tool_call>\n{"name": "look", "arguments": {"size": 1, "kind": "letter", "marks": [true], "name": ""}}\n'
    text, ended = play(made(), family, begun=f"{call}</tool_call>")
    assert (text, ended) == (f"{call}</tool_call>", True)
    text, ended = play(made(), family, begun='{"size": ')
    assert ended
    jsonschema_rs.validate(SCHEMA, json.loads(text))
    hello = words(FAMILIES[family]).encode("Hello")[0]
    assert not made().mask()[hello]


def test_any_call_may_be_followed_by_another_and_one_by_none() -> None:
    one = '<tool_call>\n{"name": "odd", "arguments": {"a": 1}}\n</tool_call>'
    number = vocabulary().id
    several = guiding("qwen3").calls([ODD, LOOK], Choice(True))
    text, ended = play(several, "qwen3", begun=f"{one}\n{one}")
    assert (text, ended) == (f"{one}\n{one}", True)
    single = guiding("qwen3").calls([ODD, LOOK], Choice(True, "", False))
    assert not single.mask()[number("<|im_end|>")]
    play(single, "qwen3", begun=one)
    assert not single.mask().any()  # the answer is whole: the model need not even say so


@pytest.mark.parametrize("family", FAMILIES)
def test_a_strict_tool_is_called_right_or_not_at_all(family: str) -> None:
    strict = Tool("look", "", SCHEMA, True, "tools.0.input_schema")
    end = words(FAMILIES[family]).id("<|im_end|>")
    free = guiding(family).tools_in_text([strict])
    assert play(free, family, begun="No call. a<b.")[1]
    guided = guiding(family).tools_in_text([strict])
    begun = 'I look.\n<tool_call>\n{"name": "look", "arguments": {"size": 12'
    for token in words(FAMILIES[family]).encode(begun):
        guided.accept(token)
    assert not guided.mask()[end]
    wrong = words(FAMILIES[family]).encode("z")[0]
    assert not guided.mask()[wrong]


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"not": {}}, "not"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "string", "format": "moon-phase"}, "moon-phase"),
        ({"type": "moon"}, "moon"),
        ({"$ref": "http://127.0.0.1:9/schema"}, "not present"),
        ({"$ref": "#/$defs/none"}, "none"),
    ],
)
def test_what_cannot_be_followed_is_named(schema: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named) as caught:
        guiding("qwen3").format(Format(schema, WHERE))
    assert caught.value.param == WHERE
    assert str(caught.value).startswith(WHERE)


def test_a_schema_is_named_for_strict_tools_and_waived_for_others() -> None:
    strict = Tool("odd", "", ODD.schema, True, "tools.0.input_schema")
    with pytest.raises(InvalidRequest, match=r"tools\.0\.input_schema"):
        guiding("qwen3").tools_in_text([strict])
    guiding("qwen3").calls([ODD], Choice(True))


def test_a_grammar_that_was_left_says_so() -> None:
    guide = guiding("qwen3").format(Format(SCHEMA, WHERE))
    guide.accept(words().encode("no")[0])
    with pytest.raises(InternalError):
        guide.mask()


def test_a_thought_ends_when_its_budget_is_spent_and_then_the_form_begins() -> None:
    own = words()
    ends = sorted(FakeModel(own).ends)
    close = own.id("</think>")
    assert close is not None
    inner = guiding("qwen3").format(Format({"type": "boolean"}, WHERE))
    guide = Thoughtful(own, ends, 3, inner)
    for token in own.encode("one two three")[:3]:
        mask = guide.mask()
        assert mask[close]
        assert mask[token]
        assert not any(mask[end] for end in ends)
        guide.accept(token)
    assert guide.mask().nonzero().flatten().tolist() == [close]
    guide.accept(close)
    text, ended = play(guide, "qwen3")
    assert ended
    assert json.loads(text) in (True, False)


def test_a_thought_may_end_by_itself_and_then_all_is_allowed() -> None:
    own = words()
    guide = Thoughtful(own, sorted(FakeModel(own).ends), None, None)
    guide.accept(own.encode("hm")[0])
    guide.accept(own.id("</think>") or 0)
    assert guide.mask().all()
    guide.accept(5)
    assert len(guide.mask()) == own.size
