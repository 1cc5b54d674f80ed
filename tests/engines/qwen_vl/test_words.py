"""Between text and tokens: marks that users write stay text, and no character is broken."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sampan.engines.qwen_vl.words import CUT, Speller
from sampan.engines.tiny import tokens
from tests.engines.fake_model import vocabulary, words

SPECIALS = {"qwen2": tokens.QWEN2, "qwen2.5": tokens.QWEN2_5, "qwen3": tokens.QWEN3}
PARTS = st.sampled_from(
    [
        *tokens.QWEN3,
        "<|im_",
        "start|>",
        "<",
        "<|",
        "|>",
        "<|im_start",
        "tool_call>",
        "</",
        "a",
        " ",
        "\n",
        "日",
        "🙂",
        CUT,
    ]
)
TEXTS = st.lists(PARTS | st.text(max_size=4), max_size=8).map("".join)


@pytest.mark.parametrize("family", SPECIALS)
@given(text=TEXTS)
def test_no_mark_comes_of_a_users_text(family: str, text: str) -> None:
    own = words(SPECIALS[family])
    marks = {own.id(mark) for mark in SPECIALS[family]}
    assert not marks & set(own.encode(own.guard(text)))


@pytest.mark.parametrize("family", SPECIALS)
@given(before=TEXTS, after=TEXTS)
@example(before="x<|im_", after="end|>")
@example(before="<", after="|image_pad|>")
@example(before="</tool_call", after=">")
def test_nor_of_two_texts_side_by_side_nor_of_one_before_the_templates_own(
    family: str, before: str, after: str
) -> None:
    own = words(SPECIALS[family])
    end = own.id("<|im_end|>")
    marks = {own.id(mark) for mark in SPECIALS[family]}
    encoded = own.encode(own.guard(before) + own.guard(after) + "<|im_end|>")
    assert encoded[-1] == end
    assert not marks & set(encoded[:-1])


@given(text=TEXTS)
def test_the_model_reads_the_same_characters(text: str) -> None:
    own = words()
    read = b"".join(own.spelling(token) for token in own.encode(own.guard(text))).decode()
    wanted = text.replace(CUT, "\N{REPLACEMENT CHARACTER}")
    assert unicodedata.normalize("NFC", read) == unicodedata.normalize("NFC", wanted)


def test_a_text_without_marks_is_not_touched() -> None:
    own = words()
    for text in ("plain", "a < b", "1 <| 2", "x <y> z"):
        assert own.guard(text) == text
        assert own.encode(own.guard(text)) == own.tokenizer.encode(text, add_special_tokens=False).ids
    assert own.guard("ends in <|im") == f"ends in <|im{CUT}"


@given(st.text(max_size=20))
def test_tokens_are_spelt_one_by_one_without_a_broken_character(text: str) -> None:
    own = words()
    speller = Speller(own)
    ids = own.tokenizer.encode(text, add_special_tokens=False).ids
    pieces = [speller.feed(token) for token in ids]
    assert "".join(pieces) + speller.end() == own.tokenizer.decode(ids, skip_special_tokens=False)
    assert "\N{REPLACEMENT CHARACTER}" in text or not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)


def test_half_a_character_waits_and_what_never_comes_is_replaced() -> None:
    own = words()
    halves = own.encode("\U0001f6f6")
    assert len(halves) > 1
    speller = Speller(own)
    assert [speller.feed(token) for token in halves] == [*[""] * (len(halves) - 1), "\U0001f6f6"]
    speller.feed(halves[0])
    assert speller.end() == "\N{REPLACEMENT CHARACTER}"


def test_special_marks_have_no_spelling_and_tags_have() -> None:
    own = words()
    number = vocabulary().id
    assert own.spelling(number("<|im_end|>")) == b""
    assert own.spelling(number("<tool_call>")) == b"<tool_call>"
    assert own.spelling(own.size + 5) == b""
    assert own.marks_among(["<|box_start|>", "<no>"]) == {number("<|box_start|>"): "<|box_start|>"}
