"""What may not leave the house, whoever demands it and wherever it stands; it is never relaxed."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sampan.config.policy import ResidencySettings, RuleSettings
from sampan.core import Actor, Call, Dialect, Incoming, Operation, Ruling
from sampan.dialects import form
from sampan.errors import Forbidden, InvalidRequest
from sampan.governance.contents import Kind, Medium, read_contents
from sampan.governance.judging import Code, PolicyJudge
from sampan.governance.policy import Denied, read_rule
from sampan.governance.residency import SEEN, Senses

NURSE = Actor("key_1", "ward", "member", "放射科", "li")
GUARDED = Actor("key_2", "lab", "member", "检验科", confined="department 检验科")
ID = "11010519491231002X"
MOBILE = "13800138000"
PATHS = {
    Dialect.ANTHROPIC: "/v1/messages",
    Dialect.OPENAI_CHAT: "/v1/chat/completions",
    Dialect.OPENAI_RESPONSES: "/v1/responses",
    Dialect.OPENAI_EMBEDDINGS: "/v1/embeddings",
}


def drawn(colour: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("L", (8, 8), colour).save(file, "PNG")
    return file.getvalue()


PNG = drawn()
B64 = base64.b64encode(PNG).decode()
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": B64}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}}


def asked(content: Any, dialect: Dialect = Dialect.ANTHROPIC, **body: Any) -> Call:
    encoded = msgspec.json.encode({"model": "claude-x", "messages": [{"role": "user", "content": content}], **body})
    return call_of(encoded, dialect, Operation.TEXT if isinstance(content, str) else Operation.VISION)


def call_of(body: bytes, dialect: Dialect = Dialect.ANTHROPIC, operation: Operation = Operation.TEXT) -> Call:
    return Call(dialect, operation, "claude-x", PATHS[dialect], body, "application/json", tenant="key_1")


def edit(prompt: str, picture: bytes = PNG) -> Call:
    kind = "multipart/form-data; boundary=b"
    image = form.Part(
        "image", "a.png", ((b"Content-Disposition", b'form-data; name="image"; filename="a.png"'),), picture
    )
    body = form.build(kind, [form.value("prompt", prompt.encode()), image])
    return Call(Dialect.OPENAI_IMAGES, Operation.EDIT, "gpt-image-2", "/v1/images/edits", body, kind)


def incoming(residency: str | None = None) -> Incoming:
    return Incoming("POST", "/", "", {} if residency is None else {"x-sampan-residency": residency}, b"")


NOBODY = Senses()


def judge(*rules: RuleSettings, senses: Senses = NOBODY, **settings: Any) -> PolicyJudge:
    return PolicyJudge(Code(rules, residency=ResidencySettings(**settings)), senses=senses)


def reading(text: str) -> Senses:
    async def read(picture: bytes) -> str:
        return text

    return Senses(read=read, read_document=read)


async def cleared(one: PolicyJudge, call: Call, actor: Actor = NURSE) -> Ruling:
    """What is said in the end: pictures read where that is asked for."""
    ruling = one.judge(call, actor, incoming()) or Ruling()
    return await one.inspect(call, actor, ruling) if ruling.unseen else ruling


# Who demands it.


def test_a_caller_can_demand_that_a_call_stays_and_nothing_less() -> None:
    one = judge()
    for wish in ("local", " LOCAL "):
        assert one.judge(asked("x"), NURSE, incoming(wish)) == Ruling("residency:header", "residency:header")
    for wish in ("cloud", "", "any", "local, cloud"):
        with pytest.raises(InvalidRequest, match="must be `local` or left out") as refused:
            one.judge(asked("x"), NURSE, incoming(wish))
        assert refused.value.param == "x-sampan-residency"


def test_keys_departments_and_models_demand_it() -> None:
    ruling = judge().judge(asked("x"), GUARDED, incoming())
    assert ruling == Ruling("residency:department", "residency:department 检验科")
    by_department = judge(departments=["放*"])
    assert by_department.judge(asked("x"), NURSE, incoming()) == Ruling(
        "residency:department", "residency:department 放射科"
    )
    assert by_department.judge(asked("x"), Actor("k", "k", "member"), incoming()) is None
    by_model = judge(models=["claude-*"])
    assert by_model.judge(asked("x"), NURSE, incoming()) == Ruling("residency:model", "residency:model")


@given(
    st.booleans(),
    st.sampled_from([NURSE, GUARDED]),
    st.sampled_from([[], ["放射科"], ["*"]]),
    st.sampled_from([[], ["claude-x"]]),
    st.dictionaries(st.sampled_from(["mobile", "resident_id"]), st.sampled_from(["local", "mask", "note"])),
    st.sampled_from(["", MOBILE, ID]),
    st.lists(st.sampled_from(["allow", "local", "mask"]), max_size=3),
)
def test_no_demand_relaxes_another(
    wish: bool,
    actor: Actor,
    departments: list[str],
    models: list[str],
    detect: dict[str, str],
    said: str,
    effects: list[str],
) -> None:
    rules = [read_rule(f"r{index}", {"effect": effect}) for index, effect in enumerate(effects)]
    one = judge(*rules, departments=departments, models=models, detect=detect)
    ruling = one.judge(asked(said or "x"), actor, incoming("local" if wish else None)) or Ruling()
    kind = {MOBILE: "mobile", ID: "resident_id"}.get(said, "")
    demanded = (
        wish
        or actor is GUARDED
        or (departments and (departments == ["*"] or actor is NURSE))
        or models
        or "local" in effects
        or detect.get(kind) == "local"
    )
    assert bool(ruling.confined) is bool(demanded)
    if "mask" in effects or (detect.get(kind) == "mask" and not demanded):
        assert ruling.masked


# What is found in texts.


@pytest.mark.parametrize(
    "call",
    [
        asked(f"号码{MOBILE}"),
        asked([{"type": "text", "text": MOBILE}]),
        asked("x", system=[{"type": "text", "text": MOBILE}]),
        asked("x", metadata={"user_id": MOBILE}),
        asked([{"type": "tool_use", "id": "t", "name": "f", "input": {"phone": int(MOBILE)}}]),
        asked([{"type": "tool_use", "id": "t", "name": "f", "input": {MOBILE: True}}]),
        asked([{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": MOBILE}]}]),
        asked(
            [{"type": "document", "title": MOBILE, "source": {"type": "text", "media_type": "text/plain", "data": "x"}}]
        ),
        asked([{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": MOBILE}}]),
        asked(
            [{"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": "MTM4MDAxMzgwMDA="}}]
        ),
        asked("x", tools=[{"name": "f", "description": f"call {MOBILE}"}]),
        asked([{"type": "text", "text": "138"}, {"type": "text", "text": "00138000"}]),
        asked([{"type": "text", "text": MOBILE}], Dialect.OPENAI_CHAT),
        asked("x", Dialect.OPENAI_CHAT, tool_calls=[{"function": {"name": "f", "arguments": f'{{"a":"{MOBILE}"}}'}}]),
        call_of(msgspec.json.encode({"model": "m", "input": MOBILE}), Dialect.OPENAI_RESPONSES),
        call_of(msgspec.json.encode({"model": "m", "instructions": MOBILE}), Dialect.OPENAI_RESPONSES),
        call_of(
            msgspec.json.encode({"model": "m", "input": ["a", MOBILE]}), Dialect.OPENAI_EMBEDDINGS, Operation.EMBED
        ),
        call_of(b'{"messages":[{"content":"\\u0031\\u0033800138000"}]}'),
        asked([{"type": "image", "source": {"type": "url", "url": f"https://x/{MOBILE}.png"}}]),
    ],
)
def test_every_text_of_a_call_is_looked_at(call: Call) -> None:
    ruling = judge(detect={"mobile": "local"}).judge(call, NURSE, incoming())
    assert ruling is not None
    assert (ruling.rule, ruling.confined) == ("residency:detected mobile", "residency:detected mobile")


def test_pictures_are_never_searched_as_text() -> None:
    digits = base64.b64encode(PNG).decode()[:-8] + MOBILE + "A"
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": digits}}
    assert MOBILE not in read_contents(asked([picture])).text
    thought = {"type": "thinking", "thinking": "hm", "signature": MOBILE}
    assert judge(detect={"mobile": "local"}).judge(asked([thought]), NURSE, incoming()) is None


def test_what_is_done_about_it_is_what_the_configuration_says() -> None:
    call = asked(f"{ID} {MOBILE}")
    assert judge(detect={"mobile": "mask"}).judge(call, NURSE, incoming()) == Ruling(
        "residency:detected mobile", "", True
    )
    assert judge(detect={"mobile": "note"}).judge(call, NURSE, incoming()) == Ruling("residency:noted mobile")
    both = judge(detect={"mobile": "mask", "resident_id": "local"}).judge(call, NURSE, incoming())
    assert both == Ruling("residency:detected resident_id", "residency:detected resident_id", True)
    with pytest.raises(Denied) as refused:
        judge(detect={"mobile": "deny", "resident_id": "local"}).judge(call, NURSE, incoming())
    assert refused.value.rule == "residency:detected mobile"
    assert "mobile numbers" in refused.value.message and MOBILE not in refused.value.message
    with pytest.raises(Forbidden):  # what forbids a call does so at home too
        judge(detect={"mobile": "deny"}).judge(call, GUARDED, incoming())


def test_as_many_different_ones_must_be_there_as_the_configuration_says() -> None:
    one = judge(detect={"mobile": "local", "medical": "local"}, at_least={"mobile": 2})
    assert one.judge(asked(f"{MOBILE} {MOBILE}"), NURSE, incoming()) is None
    assert one.judge(asked(f"{MOBILE} 13900139000"), NURSE, incoming()) is not None
    assert one.judge(asked("医嘱 医嘱"), NURSE, incoming()) is None
    assert one.judge(asked("医嘱 主诉"), NURSE, incoming()) is not None


# What is found in pictures.


async def test_the_text_of_pictures_is_read() -> None:
    one = judge(detect={"mobile": "local"}, senses=reading(f"电话 {MOBILE}"))
    first = one.judge(asked([PICTURE]), NURSE, incoming())
    assert first == Ruling("", "residency:unread", False, True)  # until it is read it may not leave
    found = Ruling("residency:detected mobile", "residency:detected mobile")
    for call in (asked([PICTURE]), asked([PDF]), edit("红色"), asked([{"type": "tool_result", "content": [PICTURE]}])):
        assert await cleared(one, call) == found
    nothing = judge(detect={"mobile": "local"}, senses=reading("风景"))
    for call in (asked([PICTURE]), asked([PDF]), edit("红色")):
        assert await cleared(nothing, call) == Ruling()


@pytest.mark.parametrize(
    ("content", "dialect"),
    [
        ([{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{B64}"}}], Dialect.OPENAI_CHAT),
        (
            [{"type": "file", "file": {"file_data": f"data:application/pdf;base64,{B64}", "filename": "a"}}],
            Dialect.OPENAI_CHAT,
        ),
        ([{"type": "input_image", "image_url": f"data:image/png;base64,{B64}"}], Dialect.OPENAI_RESPONSES),
        ([{"type": "image_generation_call", "result": B64}], Dialect.OPENAI_RESPONSES),
    ],
)
async def test_pictures_of_other_dialects_are_read_too(content: list[dict[str, Any]], dialect: Dialect) -> None:
    one = judge(detect={"resident_id": "deny"}, senses=reading(ID))
    with pytest.raises(Denied, match="resident identity numbers"):
        await cleared(one, asked(content, dialect))


async def fails(_: Any) -> str:
    raise OSError("no reader")


async def hangs(_: Any) -> str:
    await asyncio.Event().wait()
    return ""


@pytest.mark.parametrize(
    ("content", "senses"),
    [
        ([PICTURE], Senses()),
        ([PICTURE], Senses(read=fails)),
        ([PICTURE], Senses(read=hangs)),
        ([PDF], Senses(read=reading("").read)),
        ([PICTURE] * 3, reading("")),
        ([{"type": "image", "source": {"type": "url", "url": "https://x/a.png"}}], reading("")),
        ([{"type": "image", "source": {"type": "file", "file_id": "file_1"}}], reading("")),
        ([{"type": "container_upload", "file_id": "file_1"}], reading("")),
        ([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A"}}], reading("")),
        (
            [{"type": "document", "source": {"type": "base64", "media_type": "application/zip", "data": "UEsDBA=="}}],
            reading(""),
        ),
        ([{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}], reading("")),
    ],
)
async def test_what_cannot_be_read_stays_in_the_house(content: list[dict[str, Any]], senses: Senses) -> None:
    one = judge(detect={"mobile": "local"}, senses=senses, most_pictures=2, seconds=0.1)
    assert await cleared(one, asked(content)) == Ruling("residency:unread", "residency:unread")


async def test_token_numbers_cannot_be_read() -> None:
    body = msgspec.json.encode({"model": "m", "input": [[1, 2, 3]]})
    call = call_of(body, Dialect.OPENAI_EMBEDDINGS, Operation.EMBED)
    assert (await cleared(judge(detect={"mobile": "local"}, senses=reading("")), call)).confined == "residency:unread"


async def test_links_and_files_are_read_where_they_can_be_had() -> None:
    async def load(file_id: str, tenant: str) -> bytes:
        assert (file_id, tenant) == ("file_1", "key_1")
        return PNG

    async def fetch(url: str) -> bytes:
        assert url == "https://x/a.png"
        return PNG

    content = [
        {"type": "image", "source": {"type": "url", "url": "https://x/a.png"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
    ]
    senses = Senses(read=reading("风景").read, load=load, fetch=fetch)
    assert await cleared(judge(detect={"mobile": "local"}, senses=senses), asked(content)) == Ruling()


async def test_a_picture_is_read_once() -> None:
    read: list[bytes] = []

    async def note(picture: bytes) -> str:
        read.append(picture)
        return MOBILE

    one = judge(detect={"mobile": "local"}, senses=Senses(read=note))
    for _ in range(3):
        assert (await cleared(one, asked([PICTURE, PICTURE]))).confined
    assert read == [PNG]
    assert MOBILE not in repr(one._residency._seen)
    one._residency._seen.update((str(number).encode(), {}) for number in range(2 * SEEN))
    other = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(drawn(9)).decode()}
    await cleared(one, asked([{"type": "image", "source": other}]))
    assert len(one._residency._seen) <= 2 * SEEN + 1


async def test_masking_does_not_reach_into_pictures() -> None:
    veil = read_rule("veil", {"effect": "mask"})
    clear = judge(veil, senses=reading("风景"))
    assert await cleared(clear, asked([PICTURE])) == Ruling("policy:veil", "", True)
    assert await cleared(judge(veil, senses=reading(ID)), asked([PICTURE])) == Ruling(
        "residency:masking a picture", "residency:masking a picture", True
    )
    assert (await cleared(judge(veil), asked([PICTURE]))).confined == "residency:unread"
    by_detection = judge(detect={"mobile": "mask"}, senses=reading(MOBILE))
    assert (await cleared(by_detection, asked([PICTURE]))).confined == "residency:masking a picture"
    unlooked = judge(veil, pictures=False)
    assert await cleared(unlooked, asked([PICTURE])) == Ruling("policy:veil", "", True)


async def test_what_stays_anyhow_is_not_read() -> None:
    one = judge(detect={"mobile": "local"}, senses=Senses(read=fails))
    assert one.judge(asked([PICTURE]), GUARDED, incoming()) == Ruling(
        "residency:department", "residency:department 检验科"
    )
    noting = judge(detect={"mobile": "note"}, senses=Senses(read=fails))
    assert noting.judge(asked([PICTURE]), NURSE, incoming()) is None
    denying = judge(detect={"mobile": "deny"}, senses=reading(MOBILE))
    with pytest.raises(Denied):
        await cleared(denying, asked([PICTURE]), GUARDED)
    quiet = judge(detect={"mobile": "deny"}, senses=reading(""))
    assert await cleared(quiet, asked([PICTURE]), GUARDED) == Ruling(
        "residency:department", "residency:department 检验科"
    )


@pytest.mark.parametrize("found", [True, False])
async def test_a_large_body_is_looked_through_elsewhere(found: bool) -> None:
    one = judge(detect={"mobile": "local"}, inline=2048)
    call = asked("字" * 4096 + (MOBILE if found else ""))
    first = one.judge(call, NURSE, incoming())
    assert first == Ruling("", "residency:unread", False, True)
    rule = "residency:detected mobile" if found else ""
    assert await one.inspect(call, NURSE, first) == Ruling(rule, rule)


async def test_a_rule_is_named_after_a_look_at_pictures_too() -> None:
    keep = read_rule("keep", {"effect": "allow"})
    one = judge(keep, detect={"mobile": "local"}, senses=reading("风景"))
    assert await cleared(one, asked([PICTURE])) == Ruling("policy:keep")


async def test_a_body_that_is_no_json_is_a_callers_mistake() -> None:
    with pytest.raises(InvalidRequest):
        judge(detect={"mobile": "local"}).judge(call_of(b"{"), NURSE, incoming())


def test_media_are_told_by_what_they_are() -> None:
    found = read_contents(edit("x")).media
    assert found == (Medium(Kind.PICTURE, PNG),)
    assert found[0].bytes() == PNG
    assert read_contents(asked([PICTURE])).media[0].bytes() == PNG
    renamed = {"type": "base64", "media_type": "image/png", "data": "JVBERi0xLjQK"}
    assert read_contents(asked([{"type": "image", "source": renamed}])).media[0].kind is Kind.DOCUMENT


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(MOBILE),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "text", "source", "data", "url", "input", "x"]), inner, max_size=3
            )
        ),
        max_leaves=12,
    )
)
def test_nothing_hides_in_the_shape_of_a_body(value: Any) -> None:
    text = read_contents(call_of(msgspec.json.encode(value))).text
    media = [str(each.data) for each in read_contents(call_of(msgspec.json.encode(value))).media]
    written = msgspec.json.encode(value).decode()
    if MOBILE in written and '"type":"base64"' not in written:
        assert MOBILE in text or any(MOBILE in each for each in media)
