"""What goes out as the head of an answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.core import Answer
from sampan.edge.exchange import lines


def test_headers_stand_in_lines_of_their_own() -> None:
    answer = Answer(200, (("content-type", "text/plain"), ("x-name", "a: \xe9")), b"")
    assert lines(answer) == b"content-type: text/plain\r\nx-name: a: \xe9\r\n"
    assert lines(Answer(204, (), b"")) == b""


@pytest.mark.parametrize("mark", ["\r\n", "\n", "\r", "\0", "\n\r"])
def test_no_value_begins_a_line(mark: str) -> None:
    said = lines(Answer(200, (("x", f"a{mark}set-cookie: b"), (f"y{mark}z", "c")), b""))
    blank = " " * len(mark)
    assert said == f"x: a{blank}set-cookie: b\r\ny{blank}z: c\r\n".encode()


@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=20)), max_size=5))
def test_there_are_as_many_lines_as_headers(headers: list[tuple[str, str]]) -> None:
    said = lines(Answer(200, tuple(headers), b""))
    assert said.count(b"\n") == said.count(b"\r") == said.count(b"\r\n") == len(headers)
    assert b"\0" not in said
