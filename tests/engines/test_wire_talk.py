"""Cutting answers and telling pasted text from questions, by property."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.engines.contract import cut, units
from sampan.engines.wire_talk import Cutter, parse

texts = st.text(alphabet="ab 中文,\n", max_size=30)


@pytest.mark.parametrize(
    ("text", "size"), [("", 0), ("  \n", 0), ("发票", 2), ("invoice", 2), ("a-b", 1), ("総額：1,234円 ok", 7)]
)
def test_units(text: str, size: int) -> None:
    assert units(text) == size


@given(texts, st.integers(0, 40))
def test_a_cut_text_is_a_beginning_within_its_limit(text: str, limit: int) -> None:
    short = cut(text, limit)
    assert text.startswith(short)
    assert units(short) == min(limit, units(text))


@given(st.lists(texts, max_size=5), st.lists(st.text(alphabet="ab中,", min_size=1, max_size=4), max_size=3))
def test_a_stop_sequence_is_found_however_the_pieces_fall(pieces: list[str], stops: list[str]) -> None:
    cutter = Cutter(10**6, stops)
    out = ""
    for piece in pieces:
        out += cutter.feed(piece)
        if cutter.reason:
            break
    else:
        out += cutter.finish()
    whole = "".join(pieces)
    places = [whole.find(stop) for stop in stops if stop in whole]
    if not places:
        assert (out, cutter.reason) == (whole, None)
    else:
        assert cutter.reason == "stop_sequence"
        assert cutter.stop_sequence in stops
        assert whole.startswith(out + str(cutter.stop_sequence))
        assert not any(stop in out for stop in stops)


@given(st.lists(texts, max_size=5), st.integers(1, 20))
def test_no_more_units_go_out_than_are_allowed(pieces: list[str], limit: int) -> None:
    cutter = Cutter(limit, ())
    out = ""
    for piece in pieces:
        out += cutter.feed(piece)
        if cutter.reason:
            break
    assert cutter.units <= limit
    assert "".join(pieces).startswith(out)
    assert (cutter.reason == "max_tokens") == ("".join(pieces) != out)


LONG = "\n".join(f"Line {number} of a contract between two parties." for number in range(20))


@pytest.mark.parametrize(
    ("text", "question", "pasted"),
    [
        ("Who signed it?", "Who signed it?", None),
        (f"{LONG}\n\nWho signed it?", "Who signed it?", LONG),
        (f"谁签的？\n\n{LONG}", "谁签的？", LONG),
        (f"Summarise this:\n{LONG}", "Summarise this:", LONG),
        (f"{LONG}\n列出双方的名称", "列出双方的名称", LONG),
        (LONG, "", LONG),
        ("word " * 200, "", ("word " * 200).strip()),
    ],
)
def test_a_question_is_told_from_the_text_it_is_about(text: str, question: str, pasted: str | None) -> None:
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": text}]}
    asked = parse(json.dumps(body).encode())
    assert asked.question == question
    if pasted is not None:
        assert [source.data.decode() for source in asked.sources] == [pasted]


def test_nested_blocks_end_somewhere() -> None:
    block: dict[str, object] = {"type": "text", "text": "deep"}
    for _ in range(10):
        block = {"type": "tool_result", "tool_use_id": "t", "content": [block]}
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [block]}]}
    with pytest.raises(Exception, match="nested too deep"):
        parse(json.dumps(body).encode())
