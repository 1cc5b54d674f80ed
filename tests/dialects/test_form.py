from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.dialects import form
from sampan.errors import InvalidRequest

TYPE = "multipart/form-data; boundary=frontier"
NAMES = st.text(alphabet="abcdefgh_[]-", min_size=1, max_size=12)


def part(name: str, data: bytes, filename: str | None = None) -> form.Part:
    disposition = f'form-data; name="{name}"' + ("" if filename is None else f'; filename="{filename}"')
    headers: tuple[tuple[bytes, bytes], ...] = ((b"Content-Disposition", disposition.encode()),)
    if filename is not None:
        headers += ((b"Content-Type", b"image/png"), (b"X-Unknown", b"kept"))
    return form.Part(name, filename, headers, data)


PARTS = st.lists(
    st.builds(
        part,
        NAMES,
        st.binary(max_size=200).filter(lambda data: b"--frontier" not in data),
        st.none() | st.text(alphabet="abc. 图", max_size=8),
    ),
    min_size=1,
    max_size=6,
)


@given(PARTS)
def test_what_is_built_is_read_as_it_was(parts: list[form.Part]) -> None:
    assert form.parse(TYPE, form.build(TYPE, parts)) == parts


@given(PARTS)
def test_a_rewrite_changes_nothing(parts: list[form.Part]) -> None:
    body = form.build(TYPE, parts)
    assert form.build(TYPE, form.parse(TYPE, body)) == body


@given(st.binary(max_size=300) | st.builds(lambda body: b"--frontier\r\n" + body, st.binary(max_size=300)))
def test_no_bytes_do_anything_but_parse_or_be_refused(body: bytes) -> None:
    try:
        form.parse(TYPE, body)
    except InvalidRequest as error:
        assert error.message


@given(PARTS, st.data())
def test_a_form_cut_anywhere_is_refused(parts: list[form.Part], data: st.DataObject) -> None:
    whole = form.build(TYPE, parts)
    cut = data.draw(st.integers(0, len(whole) - len(b"--\r\n") - 1))
    with pytest.raises(InvalidRequest):
        form.parse(TYPE, whole[:cut])


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=x",
        "\xff;=",
    ],
)
def test_a_type_without_a_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(InvalidRequest, match="boundary"):
        form.parse(content_type, b"--x--\r\n")


@pytest.mark.parametrize(
    "headers",
    [
        b"",
        b"Content-Type: text/plain\r\n",
        b"Content-Disposition: attachment; name=a\r\n",
        b"Content-Disposition: form-data\r\n",
    ],
)
def test_a_part_without_a_name_is_refused(headers: bytes) -> None:
    with pytest.raises(InvalidRequest):
        form.parse(TYPE, b"--frontier\r\n" + headers + b"\r\nx\r\n--frontier--\r\n")


def test_parts_are_bounded() -> None:
    many = [form.value("a", b"1")] * (form.PART_LIMIT + 1)
    with pytest.raises(InvalidRequest, match=re.escape(str(form.PART_LIMIT))):
        form.parse(TYPE, form.build(TYPE, many))
    assert len(form.parse(TYPE, form.build(TYPE, many[1:]))) == form.PART_LIMIT


def test_a_value_that_is_no_text_is_named() -> None:
    with pytest.raises(InvalidRequest) as raised:
        part("prompt", b"\xff").text()
    assert raised.value.param == "prompt"
