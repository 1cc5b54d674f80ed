"""What two calls must agree in to be given one answer."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.core import Call, Dialect, Operation
from sampan.dialects.canonical import digest

ASKED = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "你好"}]}


def call(body: object, **more: Any) -> Call:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    made = Call(Dialect.ANTHROPIC, Operation.TEXT, "m", "/v1/messages", data, "application/json")
    return msgspec.structs.replace(made, **more)


def form(mark: str, fields: dict[str, str], file: bytes = b"png", name: str = "a.png") -> Call:
    out = b""
    for field, value in fields.items():
        out += f'--{mark}\r\ncontent-disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
    out += f'--{mark}\r\ncontent-disposition: form-data; name="image"; filename="{name}"\r\n\r\n'.encode()
    out += file + f"\r\n--{mark}--\r\n".encode()
    return call(out, content_type=f"multipart/form-data; boundary={mark}", dialect=Dialect.OPENAI_IMAGES)


def test_order_blanks_and_escapes_change_nothing() -> None:
    turned = dict(reversed(ASKED.items()))
    assert digest(call(ASKED)) == digest(call(turned))
    assert digest(call(ASKED)) == digest(call(json.dumps(ASKED, ensure_ascii=False, indent=2).encode()))


def test_who_asks_changes_nothing() -> None:
    assert digest(call(ASKED)) == digest(call(ASKED | {"metadata": {"user_id": "ann"}, "user": "ann"}))


@pytest.mark.parametrize(
    "more",
    [{"max_tokens": 6}, {"temperature": 0}, {"messages": [{"role": "user", "content": "您好"}]}, {"unknown": 1}],
)
def test_whatever_may_change_the_answer_is_another_question(more: dict[str, Any]) -> None:
    assert digest(call(ASKED)) != digest(call(ASKED | more))


@pytest.mark.parametrize(
    "more",
    [
        {"stream": True},
        {"model": "other"},
        {"path": "/v1/messages/count_tokens"},
        {"dialect": Dialect.OPENAI_CHAT},
        {"headers": {"anthropic-beta": "x"}},
    ],
)
def test_so_is_another_way_of_asking(more: dict[str, Any]) -> None:
    assert digest(call(ASKED)) != digest(call(ASKED, **more))


def test_scopes_are_kept_apart() -> None:
    assert len({digest(call(ASKED), scope) for scope in ("", "department:a", "department:b", "key:a")}) == 4
    assert digest(call(ASKED), "ab", "c") != digest(call(ASKED), "a", "bc")


def test_the_boundary_and_the_name_of_a_file_change_nothing() -> None:
    one = digest(form("AaBb", {"prompt": "a cat", "size": "1024x1024"}))
    assert one == digest(form("CcDd", {"prompt": "a cat", "size": "1024x1024"}, name="b.png"))
    assert one != digest(form("AaBb", {"prompt": "a cat", "size": "512x512"}))
    assert one != digest(form("AaBb", {"prompt": "a cat", "size": "1024x1024"}, file=b"jpg"))


def test_what_cannot_be_read_is_not_kept() -> None:
    assert digest(call(b"{")) is None
    assert digest(call(b"x", content_type="multipart/form-data; boundary=q")) is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(VALUES, VALUES)
def test_two_questions_are_one_only_where_they_are_equal(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest(call({"x": one})) == digest(call({"x": other}))) is same
