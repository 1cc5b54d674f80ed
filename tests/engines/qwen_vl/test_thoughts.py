"""Thoughts and stop sequences, told apart from what is said however the answer is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.engines.qwen_vl.stops import Stops
from sampan.engines.qwen_vl.thinking import Start, Thoughts


def split(text: str, start: Start, cuts: list[int] | None = None) -> tuple[str, str]:
    thoughts = Thoughts(start)
    pairs: list[tuple[str, str]] = []
    at = 0
    for cut in [*sorted(cut % (len(text) + 1) for cut in cuts or ()), len(text)]:
        pairs.append(thoughts.feed(text[at:cut]))
        at = max(at, cut)
    pairs.append(thoughts.end())
    return "".join(thought for thought, _ in pairs), "".join(said for _, said in pairs)


@pytest.mark.parametrize(
    ("text", "start", "parts"),
    [
        ("I see.\n</think>\n\nA cat.", Start.OPENED, ("I see.", "A cat.")),
        ("\nI see < this\n", Start.OPENED, ("I see < this", "")),
        ("</think>A cat.", Start.OPENED, ("", "A cat.")),
        ("a</thin</think>b</think>", Start.OPENED, ("a</thin", "b</think>")),
        ("<think>\nI see.\n</think>\nA cat.", Start.EITHER, ("I see.", "A cat.")),
        (" A cat <think>.", Start.EITHER, ("", " A cat <think>.")),
        (" <th", Start.EITHER, ("", " <th")),
        ("<think>a</think> b", Start.NONE, ("", "<think>a</think> b")),
    ],
)
def test_thoughts(text: str, start: Start, parts: tuple[str, str]) -> None:
    assert split(text, start) == parts
    assert split(text, start, list(range(len(text)))) == parts


def test_a_thought_is_handed_on_while_it_comes() -> None:
    thoughts = Thoughts(Start.OPENED)
    assert thoughts.feed("one ") == ("one", "")
    assert thoughts.inside
    assert thoughts.feed("two</th") == (" two", "")
    assert thoughts.feed("ink>\n\n") == ("", "")
    assert not thoughts.inside
    assert thoughts.feed("said") == ("", "said")
    assert thoughts.feed(" <think>") == ("", " <think>")


def stopped(text: str, sequences: list[str], cuts: list[int]) -> tuple[str, str | None]:
    stops = Stops(sequences)
    out: list[str] = []
    at = 0
    for cut in [*sorted(cut % (len(text) + 1) for cut in cuts), len(text)]:
        out.append(stops.feed(text[at:cut]))
        at = max(at, cut)
        if stops.found is not None:
            return "".join(out), stops.found
    return "".join(out) + stops.end(), None


@given(
    st.text("ab停🙂", max_size=12),
    st.lists(st.text("ab停🙂", min_size=1, max_size=4), max_size=3, unique=True),
    st.lists(st.integers(0, 20), max_size=5),
)
def test_a_text_ends_before_a_stop_sequence(text: str, sequences: list[str], cuts: list[int]) -> None:
    """Of sequences that end at the same place nobody can say which came first; where the text is cut may decide."""
    said, found = stopped(text, sequences, cuts)
    if found is None:
        assert said == text
        assert not any(each in text for each in sequences)
    else:
        assert text.startswith(said + found)
        assert not any(each in said for each in sequences)


def test_the_first_and_the_longer_one_wins() -> None:
    assert stopped("one END two", ["END two", "END"], []) == ("one ", "END two")
    assert stopped("one STOP END", ["END", "STOP"], [3]) == ("one ", "STOP")
    assert stopped("E N EN", ["END"], [1, 2, 3, 4, 5]) == ("E N EN", None)
