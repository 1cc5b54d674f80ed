"""What is masked of a call, that nothing of it is left in what leaves, and that it all comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.core import Call, Dialect, Operation
from sampan.dialects import form
from sampan.errors import InvalidRequest, TargetFault
from sampan.governance.detect import Detector
from sampan.governance.redaction import Mask, Redaction

SECRET = b"s" * 32
FIND = Detector().find
REDACTION = Redaction(FIND, SECRET)
PHONE = "13812345678"
IDCARD = "11010519491231002X"
CARD = "6222021234567890128"
SPACED = "138 1234 5678"
VALUES = (PHONE, IDCARD, CARD, "13900001111", "15011112222")

pieces = st.one_of(
    st.sampled_from(
        [*VALUES, SPACED, "电话:", " ", "\n", "[", "]", "-", "[MOBILE-", "MASKED", "masked_", '"', "\\", "\\u0031"]
    ),
    st.text(max_size=12),
)
texts = st.lists(pieces, max_size=12).map("".join)


def talk(body: dict[str, Any] | bytes, dialect: Dialect = Dialect.ANTHROPIC, **more: Any) -> Call:
    data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    members: dict[str, Any] = {
        "dialect": dialect,
        "operation": Operation.TEXT,
        "model": "m",
        "path": "/v1/messages",
        "body": data,
        "content_type": "application/json",
        "masked": True,
        "tenant": "key_1",
    }
    return Call(**(members | more))


def said(text: str) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": text}]}


def masked(body: dict[str, Any], dialect: Dialect = Dialect.ANTHROPIC, *, seen: bool = False) -> tuple[Any, Mask]:
    call, mask = REDACTION.mask(talk(body, dialect), seen=seen)
    assert not call.masked
    return json.loads(call.body), mask


def test_the_values_of_these_tests_are_found() -> None:
    assert {found.value for value in VALUES for found in FIND(f"号码 {value} 完")} == set(VALUES)


@given(texts)
def test_whatever_is_masked_comes_back_as_it_was(text: str) -> None:
    out, mask = REDACTION.mask_text(text)
    assert mask.restore(out) == text
    assert mask.restore(out, strict=True) == text


@given(texts)
def test_nothing_of_what_is_found_leaves(text: str) -> None:
    out, _ = REDACTION.mask_text(text)
    for found in FIND(text):
        assert text[found.start : found.end] not in out and found.value not in out


@given(texts, st.lists(st.integers(1, 40), min_size=1, max_size=8), st.booleans())
def test_a_text_that_comes_in_pieces_comes_back_whole(text: str, sizes: list[int], strict: bool) -> None:
    out, mask = REDACTION.mask_text(text)
    restorer = mask.restorer(strict=strict)
    back, at, turn = "", 0, 0
    while at < len(out):
        size = sizes[turn % len(sizes)]
        back += restorer.feed(out[at : at + size])
        at, turn = at + size, turn + 1
    assert back + restorer.rest() == text


@given(texts, st.integers(1, 30))
def test_only_the_beginning_of_a_placeholder_is_held_back(text: str, size: int) -> None:
    _, mask = REDACTION.mask_text(f"{PHONE} {text}")
    restorer = mask.restorer()
    fed, back = "", ""
    for at in range(0, len(text), size):
        fed += text[at : at + size]
        back += restorer.feed(text[at : at + size])
        assert len(mask.restore(fed)) - len(back) <= max(len(core) + 2 for core in mask.values)


def test_the_same_value_has_the_same_placeholder_in_every_turn() -> None:
    first, _ = masked(said(f"给 {PHONE} 打电话"))
    later, _ = masked(
        {
            "model": "m",
            "max_tokens": 9,
            "system": f"客服 {CARD}",
            "messages": [
                {"role": "user", "content": f"给 {PHONE} 打电话"},
                {"role": "assistant", "content": f"已拨 {PHONE}"},
                {"role": "user", "content": "谢谢"},
            ],
        }
    )
    assert first["messages"][0] == later["messages"][0]
    word = first["messages"][0]["content"].split()[1]
    assert later["messages"][1]["content"] == f"已拨 {word}"


def test_another_key_has_other_placeholders() -> None:
    ours, _ = REDACTION.mask(talk(said(PHONE)))
    theirs, _ = REDACTION.mask(talk(said(PHONE), tenant="key_2"))
    assert ours.body != theirs.body


def test_a_placeholder_that_the_caller_wrote_stands_for_nothing() -> None:
    core = next(iter(REDACTION.mask_text(PHONE)[1].values))
    text = f"[{core}] 是 {PHONE}"
    out, mask = REDACTION.mask_text(text)
    assert out.startswith(f"[{core}] 是 [MOBILE-") and out.count(core) == 1
    assert mask.restore(out) == text


def test_a_placeholder_is_known_without_its_brackets() -> None:
    core, value = next(iter(REDACTION.mask_text(PHONE)[1].values.items()))
    mask = Mask({core: value})
    assert mask.restore(f"【{core}】 \\[{core}\\]") == f"【{PHONE}】 \\[{PHONE}\\]"
    assert mask.restore(f"【{core}】", strict=True) == f"【{core}】"


def test_every_text_of_a_messages_request_is_masked() -> None:
    body = {
        "model": "m",
        "max_tokens": 9,
        "metadata": {"user_id": PHONE},
        "system": [{"type": "text", "text": f"a {PHONE}"}],
        "stop_sequences": [PHONE],
        "tools": [
            {"name": "call", "description": f"b {PHONE}", "input_schema": {"properties": {"c": {"enum": [PHONE]}}}}
        ],
        "messages": [
            {"role": "user", "content": f"d {PHONE} {IDCARD}"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": f"e {PHONE}", "signature": "c2ln"},
                    {"type": "tool_use", "id": "toolu_1", "name": "call", "input": {PHONE: [PHONE, int(PHONE)]}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": CARD}]},
                    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": f"f {PHONE}"}},
                    {"type": "document", "source": {"type": "content", "content": f"g {PHONE}"}, "title": PHONE},
                ],
            },
        ],
    }
    out, mask = masked(body)
    sent = json.dumps(out, ensure_ascii=False)
    for value in (PHONE, IDCARD, CARD):
        assert value not in sent
    assert out["messages"][1]["content"][0]["signature"] == "c2ln"
    assert out["max_tokens"] == 9 and out["messages"][1]["content"][1]["id"] == "toolu_1"
    back = mask.restore_value(out)
    back["messages"][1]["content"][1]["input"][PHONE][1] = int(PHONE)
    assert back == body


def test_numbers_in_json_within_a_string_stay_json() -> None:
    arguments = json.dumps({"phone": int(PHONE), "note": f'"{SPACED}"', "ok": 1.5})
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    out, _ = masked({"model": "m", "messages": [{"role": "assistant", "tool_calls": [call]}]}, Dialect.OPENAI_CHAT)
    read = json.loads(out["messages"][0]["tool_calls"][0]["function"]["arguments"])
    assert read["phone"].startswith("[MOBILE-") and SPACED not in read["note"] and read["ok"] == 1.5


def test_a_name_with_an_identifier_stays_a_name() -> None:
    name = f"call_{PHONE}"
    body = {
        "model": "m",
        "messages": [
            {"role": "assistant", "tool_calls": [{"id": name, "type": "function", "function": {"name": "f"}}]},
            {"role": "tool", "tool_call_id": name, "content": "ok"},
        ],
    }
    out, mask = masked(body, Dialect.OPENAI_CHAT)
    made = out["messages"][0]["tool_calls"][0]["id"]
    assert made == out["messages"][1]["tool_call_id"] and made.replace("_", "a").isalnum() and PHONE not in made
    assert mask.restore(made) == name


def test_a_value_is_masked_where_its_surroundings_hide_it() -> None:
    out, _ = masked(said(f"电话 {PHONE},编号 x{PHONE}y,{SPACED}"))
    assert PHONE not in json.dumps(out) and SPACED not in json.dumps(out)


def test_prompts_of_pictures_and_texts_to_embed_are_masked() -> None:
    out, _ = masked({"model": "m", "prompt": f"名片 {PHONE}"}, Dialect.OPENAI_IMAGES)
    assert PHONE not in out["prompt"]
    out, _ = masked({"model": "m", "input": ["a", PHONE]}, Dialect.OPENAI_EMBEDDINGS)
    assert out["input"][0] == "a" and PHONE not in out["input"][1]
    for tokens in ([1, 2], [[1], [2]]):
        with pytest.raises(InvalidRequest, match="tokens"):
            REDACTION.mask(talk({"model": "m", "input": tokens}, Dialect.OPENAI_EMBEDDINGS))


PICTURES: list[tuple[Dialect, dict[str, Any]]] = [
    (Dialect.ANTHROPIC, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aaaa"}}),
    (Dialect.ANTHROPIC, {"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
    (Dialect.ANTHROPIC, {"type": "document", "source": {"type": "url", "url": "https://a.org/b.pdf"}}),
    (Dialect.ANTHROPIC, {"type": "document", "source": {"type": "content", "content": [{"type": "image"}]}}),
    (Dialect.ANTHROPIC, {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": {}}]}),
    (Dialect.OPENAI_CHAT, {"type": "image_url", "image_url": {"url": "data:image/png;base64,aaaa"}}),
    (Dialect.OPENAI_CHAT, {"type": "file", "file": {"file_id": "f"}}),
    (Dialect.OPENAI_RESPONSES, {"type": "input_file", "file_data": "data:application/pdf;base64,aaaa"}),
]


@pytest.mark.parametrize(("dialect", "block"), PICTURES)
def test_what_nobody_has_looked_at_does_not_leave(dialect: Dialect, block: dict[str, Any]) -> None:
    member = "input" if dialect is Dialect.OPENAI_RESPONSES else "messages"
    call = talk({"model": "m", member: [{"role": "user", "content": [block]}]}, dialect)
    with pytest.raises(InvalidRequest, match=rf"{member}\.0\.content\.0.*identifiers are masked"):
        REDACTION.mask(call)
    out, mask = REDACTION.mask(call, seen=True)
    assert json.loads(out.body) == json.loads(call.body) and not mask


def test_a_form_is_masked_and_its_pictures_are_not_looked_into() -> None:
    kind = "multipart/form-data; boundary=xx"
    body = form.build(
        kind, [form.value("prompt", f"写上 {PHONE}".encode()), form.value("image", b"\x89PNG" + PHONE.encode())]
    )
    call = talk(body, Dialect.OPENAI_IMAGES, operation=Operation.EDIT, content_type=kind)
    with pytest.raises(InvalidRequest, match="image"):
        REDACTION.mask(call)
    out, _ = REDACTION.mask(call, seen=True)
    prompt, image = form.parse(kind, out.body)
    assert PHONE not in prompt.text() and image.data == b"\x89PNG" + PHONE.encode()


def test_the_query_and_the_model_are_looked_at_too() -> None:
    out, _ = REDACTION.mask(talk(said("x"), path=f"/v1/messages?a={PHONE}", model=f"m {PHONE}"))
    assert out.path == "/v1/messages" and PHONE not in out.model
    kept, _ = REDACTION.mask(talk(said(PHONE), path="/v1/messages?beta=true"))
    assert kept.path == "/v1/messages?beta=true"


def test_an_answer_is_gone_on_with_masked_but_never_inside_of_an_identifier() -> None:
    out, _ = REDACTION.mask(talk(said(PHONE), partial=f"电话是 {PHONE},卡号"))
    assert PHONE not in out.partial and out.partial.startswith("电话是 [MOBILE-")
    with pytest.raises(TargetFault, match="broke off"):
        REDACTION.mask(talk(said(PHONE), partial=f"电话是 {PHONE[:7]}"))


def test_a_call_without_identifiers_is_left_as_it_is() -> None:
    call = talk(said("写一首关于 2026 年的诗,要 300 字"))
    out, mask = REDACTION.mask(call)
    assert out.body is call.body and not mask


def test_what_is_no_json_is_the_callers_mistake() -> None:
    with pytest.raises(InvalidRequest):
        REDACTION.mask(talk(b'{"model": "\xff"'))


@given(st.sampled_from(['a"b13812345678', "13812345678\n"]), st.booleans())
def test_a_value_is_escaped_where_it_goes_into_json(value: str, strict: bool) -> None:
    mask = Mask({"MOBILE-BCDFGH": value})
    assert json.loads(mask.restore('{"x": "[MOBILE-BCDFGH]"}', escape=True, strict=strict)) == {"x": value}
    body = json.dumps({"text": "[MOBILE-BCDFGH]", "arguments": '{"x": "[MOBILE-BCDFGH]"}'}).encode()
    read = json.loads(mask.restore_body(body))
    assert read["text"] == value and json.loads(read["arguments"]) == {"x": value}
