"""Tool calls found in an answer while it is written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.engines.conversation import CallBegun, CallDelta, CallEnded, Piece, TextDelta
from sampan.engines.qwen_vl.hermes import Hermes

TOOLS = {"look", "weigh"}


def call(name: str = "look", arguments: Any = None) -> str:
    given = json.dumps({"name": name, "arguments": arguments or {}})
    return f"<tool_call>\n{given}\n</tool_call>"


def told(pieces: list[Piece]) -> list[Any]:
    """Text as itself, calls as (name, input)."""
    out: list[Any] = []
    for piece in pieces:
        match piece:
            case TextDelta():
                if out and isinstance(out[-1], str):
                    out[-1] += piece.text
                else:
                    out.append(piece.text)
            case CallBegun():
                assert piece.id.startswith("toolu_")
                out.append([piece.name, ""])
            case CallDelta():
                out[-1][1] += piece.json
            case CallEnded():
                out[-1] = (out[-1][0], json.loads(out[-1][1]))
    return out


def heard(text: str, cuts: list[int] | None = None, *, continued: bool = False) -> list[Any]:
    hermes = Hermes(TOOLS, continued=continued)
    pieces: list[Piece] = []
    at = 0
    for cut in [*sorted(cut % (len(text) + 1) for cut in cuts or ()), len(text)]:
        pieces += hermes.feed(text[at:cut])
        at = max(at, cut)
    return told(pieces + hermes.end())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("No call at all.", ["No call at all."]),
        (call("look", {"q": "Ulm"}), [("look", {"q": "Ulm"})]),
        (f"I look.\n{call()}\n", ["I look.", ("look", {})]),
        (f"{call('look', {'a': 1})}\n{call('weigh', {'b': [2]})}", [("look", {"a": 1}), ("weigh", {"b": [2]})]),
        (f"{call()} and on", [("look", {}), "and on"]),
        (call("unknown", {"a": 1}), [call("unknown", {"a": 1})]),
        (f"{call('unknown')} then {call()}", [f"{call('unknown')} then", ("look", {})]),
        ("a <tool_call> is a tag", ["a <tool_call> is a tag"]),
        ("<tool_call>[1]</tool_call>!", ["<tool_call>[1]</tool_call>!"]),
        ('<tool_call>{"arguments": {"q": 1}, "name": "look"}</tool_call>', [("look", {"q": 1})]),
        ('<tool_call>{"name": "look", "arguments": "{\\"q\\": 1}"}</tool_call>', [("look", {"q": 1})]),
        ('<tool_call>{"name": "look"}</tool_call>', [("look", {})]),
        ('<tool_call>{"name": "look", "parameters": {"q": 1}}</tool_call>', [("look", {"q": 1})]),
        ('<tool_call>{"name": "look", "arguments": {"q": "a\nb",}}</tool_call>', [("look", {"q": "a\nb"})]),
        ('<tool_call>{"name": "look", "arguments": {"q": "Ul', [("look", {"q": "Ul"})]),
        ('<tool_call>{"name": "look", "arguments": {"q": 1}}', [("look", {"q": 1})]),
        ('<tool_call>{"name": "look", "arguments": {"q": 1</tool_call> x', [("look", {"q": 1}), "x"]),
        ("almost <tool_cal", ["almost <tool_cal"]),
    ],
)
def test_what_is_a_call_and_what_is_not(text: str, said: list[Any]) -> None:
    assert heard(text) == said
    assert heard(text, list(range(len(text)))) == said


@given(
    st.lists(st.sampled_from([call("look", {"q": "a<b"}), call("weigh"), "Hi", " <tool", "\n", "日本", call("no")])),
    st.lists(st.integers(0, 400), max_size=6),
)
def test_where_it_is_cut_makes_no_difference(parts: list[str], cuts: list[int]) -> None:
    text = "".join(parts)
    assert heard(text, cuts) == heard(text)


def test_a_call_is_handed_on_while_it_comes() -> None:
    hermes = Hermes(TOOLS)
    assert hermes.feed("I look. ") == [TextDelta("I look.")]
    assert hermes.feed('<tool_call>\n{"name": "look", ') == []
    begun = hermes.feed('"arguments": {"q": "U')
    assert [type(piece) for piece in begun] == [CallBegun, CallDelta]
    assert begun[1] == CallDelta('{"q":"U')
    assert hermes.feed("lm") == [CallDelta("lm")]
    assert hermes.feed('"}') == [CallDelta('"}')]
    assert hermes.feed("}\n</tool_call>") == [CallEnded()]
    assert hermes.calls == 1
    assert hermes.end() == []


def test_white_space_at_the_head_stays_where_an_answer_goes_on() -> None:
    assert heard(" world") == ["world"]
    assert heard(" world", continued=True) == [" world"]
