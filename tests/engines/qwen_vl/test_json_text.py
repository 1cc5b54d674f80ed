"""JSON as models write it: handed on while it comes, and always made whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.engines.qwen_vl.json_text import JsonText

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def read(text: str, cuts: list[int] | None = None) -> tuple[Any, JsonText]:
    """The value that comes of a text, fed in pieces."""
    writer = JsonText()
    out: list[str] = []
    at = 0
    for cut in [*sorted(cut % (len(text) + 1) for cut in cuts or ()), len(text)]:
        out.append(writer.feed(text[at:cut]))
        at = max(at, cut)
    out.append(writer.close())
    return json.loads("".join(out)), writer


@given(VALUES, st.lists(st.integers(0, 500), max_size=4), st.sampled_from([None, 1]), st.booleans())
def test_sound_json_comes_through_however_it_is_cut(
    value: Any, cuts: list[int], indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert read(text, cuts)[0] == value


@given(VALUES, st.integers(0, 500))
def test_what_ends_early_is_made_whole(value: Any, cut: int) -> None:
    text = json.dumps({"a": value})
    read(text[: 1 + cut % len(text)])


@given(st.text(alphabet='{}[]",:\\u0123-.eEtrufalsnTFN \n\t', max_size=60))
def test_nonsense_is_made_whole_too(text: str) -> None:
    read("{" + text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": "one\ntwo\tthree\x01"}', {"a": "one\ntwo\tthree\x01"}),
        (r'{"a": "it\'s \d"}', {"a": r"it\'s \d"}),
        (r'{"a": "\u00"}', {"a": r"\u00"}),
        ('{"a": True, "b": [False, None]}', {"a": True, "b": [False, None]}),
        ('{"a": [1, 2, ], }', {"a": [1, 2]}),
        ('{"a": 1, "b', {"a": 1, "b": None}),
        ('{"a": 1, "b":', {"a": 1, "b": None}),
        ('{"a": 1,', {"a": 1}),
        ('{"a": -', {"a": 0}),
        ('{"a": 1.5e', {"a": 1.5}),
        ('{"a": tr', {"a": True}),
        ('{"a": [{"b": "c', {"a": [{"b": "c"}]}),
        ("{'a': 1}", {}),
        ('{"a": 1 oops, "b": 2}', {"a": 1}),
        ('{"a": 01}', {"a": 0}),
        ('{"a": 1}} and more', {"a": 1}),
    ],
)
def test_the_rules(text: str, value: Any) -> None:
    for cuts in ([], list(range(len(text)))):
        assert read(text, cuts)[0] == value


def test_it_says_where_it_stands() -> None:
    assert read('{"a": 1} more')[1].done
    writer = JsonText()
    assert writer.feed('{"a": "b') == '{"a":"b'
    assert writer.feed('c", "d"') == 'c","d"'
    assert not writer.done
    writer.feed("?")
    assert writer.broken
