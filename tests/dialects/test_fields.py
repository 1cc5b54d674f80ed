from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.dialects.fields import flag, invalid, number, with_members
from sampan.errors import InvalidRequest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON, max_size=6), st.text(), st.booleans(), st.booleans())
def test_every_other_member_stays_byte_for_byte(
    members: dict[str, object], model: str, ascii_only: bool, spaced: bool
) -> None:
    separators = (", ", " : ") if spaced else (",", ":")
    body = json.dumps({"model": "old"} | members, ensure_ascii=ascii_only, separators=separators).encode()
    before = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    after = msgspec.json.decode(
        with_members(body, {"model": model, "added": "x", "gone": None}), type=dict[str, msgspec.Raw]
    )
    assert msgspec.json.decode(after["model"]) == model
    assert msgspec.json.decode(after["added"]) == "x"
    assert "gone" not in after
    others = {name: bytes(raw) for name, raw in before.items() if name not in ("model", "added", "gone")}
    assert {name: bytes(raw) for name, raw in after.items() if name not in ("model", "added")} == others
    assert [name for name in after if name != "added"] == [name for name in before if name not in ("added", "gone")]


class Inner(msgspec.Struct):
    role: str


class Outer(msgspec.Struct):
    messages: list[Inner]


@pytest.mark.parametrize(
    ("body", "prefix", "param", "message"),
    [
        (
            b'{"messages":[{"role":"a"},{"role":1}]}',
            "",
            "messages.1.role",
            "messages.1.role: Expected `str`, got `int`",
        ),
        (b'{"messages":[{}]}', "", "messages.0.role", "messages.0.role: Field required"),
        (b"{}", "", "messages", "messages: Field required"),
        (b"{}", "a.0", "a.0.messages", "a.0.messages: Field required"),
        (b"[]", "", None, "Expected `object`, got `array`"),
        (b"{", "", None, "body: is not valid JSON"),
        (b"", "a.0", "a.0", "a.0: is not valid JSON"),
    ],
)
def test_a_complaint_names_the_field(body: bytes, prefix: str, param: str | None, message: str) -> None:
    with pytest.raises(msgspec.DecodeError) as raised:
        msgspec.json.decode(body, type=Outer)
    error = invalid(raised.value, prefix)
    assert (error.param, error.message) == (param, message)


def test_a_form_s_numbers_and_flags() -> None:
    assert number({}, "n", 3) == number({"n": " "}, "n", 3) == 3
    assert number({"n": " 12 "}, "n", 3) == 12
    for text in ("-1", "1.5", "x", "1234567890"):
        with pytest.raises(InvalidRequest, match="n: must be a whole number"):
            number({"n": text}, "n", 3)
    assert [flag({"f": text}, "f") for text in ("", "0", "False", "no")] == [False] * 4
    assert [flag({"f": text}, "f") for text in ("1", "TRUE", "yes", "on")] == [True] * 4
    with pytest.raises(InvalidRequest, match="f: must be true or false"):
        flag({"f": "perhaps"}, "f")
