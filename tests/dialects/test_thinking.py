"""Thinking across the border: who may see whose, and what is left of a conversation without it."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.dialects import sse
from sampan.dialects.thinking import PREFIX, ThinkingSigner, for_cloud, for_local, sign, sign_whole, verify
from sampan.errors import InvalidRequest

SECRET = b"a secret of thirty-two bytes....."
OURS = (SECRET, "acme", "qwen")
CLOUDS = {"type": "thinking", "thinking": "Hm.", "signature": "EqQBCgIYAhIM"}
REDACTED = {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix"}
TEXT = {"type": "text", "text": "Hello"}
CALLS = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "a cat"}


def local(text: str = "Let me see.", *seal: Any) -> dict[str, Any]:
    secret, tenant, model = seal or OURS
    return {"type": "thinking", "thinking": text, "signature": sign(secret, tenant, model, text)}


def body(*turns: tuple[str, Any], **more: Any) -> bytes:
    messages = [{"role": role, "content": content} for role, content in turns]
    return json.dumps({"model": "claude-x", "max_tokens": 9, "messages": messages, **more}).encode()


def turns(data: bytes) -> list[tuple[str, Any]]:
    return [(turn["role"], turn["content"]) for turn in json.loads(data)["messages"]]


def test_a_signature_is_of_tenant_model_and_text_and_of_nothing_less() -> None:
    signature = sign(*OURS, "Let me see.")
    assert signature.startswith(PREFIX)
    assert verify(*OURS, "Let me see.", signature)
    for other in (
        (b"other", "acme", "qwen", "Let me see."),
        (SECRET, "acm", "eqwen", "Let me see."),
        (SECRET, "acme", "qwen2", "Let me see."),
        (SECRET, "acme", "qwen", "Let me see"),
    ):
        assert not verify(*other, signature)
    assert not verify(*OURS, "Let me see.", signature + "A")
    assert not verify(*OURS, "Let me see.", "é")


@given(st.tuples(st.text(), st.text(), st.text()), st.tuples(st.text(), st.text(), st.text()))
def test_no_two_things_share_a_signature(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (sign(SECRET, *one) == sign(SECRET, *other)) is (one == other)


@pytest.mark.parametrize("adapt", [for_cloud, lambda data: for_local(data, *OURS)])
def test_a_request_that_never_thought_is_the_same_object(adapt: Any) -> None:
    data = body(("user", "Hi"), ("assistant", "Hello"), ("user", "caf\u00e9"))
    assert adapt(data) is data


def test_thinking_that_may_stay_leaves_the_request_the_same_object() -> None:
    to_cloud = body(("user", "Hi"), ("assistant", [CLOUDS, REDACTED, TEXT]), ("user", "And?"), thinking={"type": "x"})
    assert for_cloud(to_cloud) is to_cloud
    to_local = body(("user", "Hi"), ("assistant", [local(), TEXT]), ("user", "thinking of you"))
    assert for_local(to_local, *OURS) is to_local


@pytest.mark.parametrize(
    ("block", "cloud", "here"),
    [
        (local(), False, True),
        ({**local(), "thinking": "Something else."}, False, False),
        (local("Hm.", SECRET, "others", "qwen"), False, False),
        (local("Hm.", SECRET, "acme", "llava"), False, False),
        ({**CLOUDS, "signature": PREFIX + "forged"}, False, False),
        (CLOUDS, True, False),
        (REDACTED, True, False),
        ({"type": "redacted_thinking", "data": PREFIX + "sealed"}, False, False),
        ({"type": "thinking", "thinking": "Hm.", "signature": ""}, False, False),
        ({"type": "thinking", "thinking": "Hm."}, False, False),
    ],
)
def test_who_sees_which_thinking(block: dict[str, Any], cloud: bool, here: bool) -> None:
    data = body(("user", "Hi"), ("assistant", [block, TEXT]), ("user", "And?"))
    assert turns(for_cloud(data))[1] == ("assistant", [block, TEXT] if cloud else [TEXT])
    assert turns(for_local(data, *OURS))[1] == ("assistant", [block, TEXT] if here else [TEXT])


def test_a_name_spelt_in_escapes_is_no_way_around() -> None:
    data = body(("user", "Hi"), ("assistant", [local(), TEXT])).replace(b'"thinking"', b'"th\\u0069nking"')
    assert turns(for_cloud(data))[1] == ("assistant", [TEXT])


def test_a_turn_of_nothing_but_thinking_goes_and_its_neighbours_become_one() -> None:
    data = body(("user", "Hi"), ("assistant", [local()]), ("user", [{"type": "text", "text": "Go on"}]), ("user", "!"))
    assert turns(for_cloud(data)) == [
        ("user", [{"type": "text", "text": "Hi"}, {"type": "text", "text": "Go on"}]),
        ("user", "!"),
    ]
    last = body(("user", "Hi"), ("assistant", [local()]))
    assert turns(for_cloud(last)) == [("user", "Hi")]
    with pytest.raises(InvalidRequest) as caught:
        for_cloud(body(("assistant", [local()])))
    assert caught.value.param == "messages"


def test_a_turn_that_calls_a_tool_stays_and_the_cloud_is_not_asked_to_have_thought() -> None:
    enabled = {"type": "enabled", "budget_tokens": 2000}
    loop = [("user", "Look"), ("assistant", [local(), CALLS]), ("user", [RESULT])]
    sent = json.loads(for_cloud(body(*loop, thinking=enabled)))
    assert [turn["content"] for turn in sent["messages"]] == ["Look", [CALLS], [RESULT]]
    assert sent["thinking"] == {"type": "disabled"}
    adaptive = json.loads(for_cloud(body(*loop, thinking={"type": "adaptive"})))
    assert adaptive["thinking"] == {"type": "adaptive"}
    later = json.loads(for_cloud(body(*loop, ("assistant", [CLOUDS, TEXT]), ("user", "Go on"), thinking=enabled)))
    assert later["thinking"] == enabled


@pytest.mark.parametrize(
    "data",
    [
        b'{"messages": "thinking"}',
        b'["thinking"]',
        b'{"thinking',
        b'{"messages": [{"role": "assistant", "content": [{"type": "thinking", "signature": 5}]}]}',
        b'{"messages": [{"role": "assistant", "content": [7, "thinking"]}]}',
    ],
)
def test_what_is_no_request_is_the_callers_mistake(data: bytes) -> None:
    with pytest.raises(InvalidRequest):
        for_cloud(data)
    with pytest.raises(InvalidRequest):
        for_local(data, *OURS)


BLOCKS = st.sampled_from([local(), CLOUDS, REDACTED, TEXT, CALLS, {"type": "thinking", "thinking": "?"}])
TURNS = st.lists(
    st.one_of(
        st.tuples(st.just("user"), st.sampled_from(["Hi", [TEXT], [RESULT, TEXT]])),
        st.tuples(st.just("assistant"), st.lists(BLOCKS, min_size=1, max_size=4)),
    ),
    max_size=6,
).map(lambda rest: [("user", "Hi"), *rest])


@given(TURNS)
def test_whatever_crosses_the_rest_keeps_its_order(conversation: list[tuple[str, Any]]) -> None:
    def rest(data: bytes) -> list[Any]:
        found = []
        for role, content in turns(data):
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
            found += [(role, block) for block in blocks if "thinking" not in block["type"]]
        return found

    data = body(*conversation)
    for crossed in (for_cloud(data), for_local(data, *OURS), for_local(for_cloud(data), *OURS)):
        assert rest(crossed) == rest(data)
        assert all(content for _, content in turns(crossed))
    assert PREFIX not in for_cloud(data).decode()
    assert for_cloud(for_cloud(data)) == for_cloud(data)


def test_a_whole_answer_is_signed_over_whatever_its_server_made_up() -> None:
    answer = {"type": "message", "content": [{**CLOUDS, "x": 1}, REDACTED, TEXT], "usage": {"input_tokens": 1}}
    signed = json.loads(sign_whole(json.dumps(answer).encode(), *OURS))
    thought, redacted, text = signed["content"]
    assert thought == {"type": "thinking", "thinking": "Hm.", "signature": sign(*OURS, "Hm."), "x": 1}
    assert redacted["data"].startswith(PREFIX)
    assert text == TEXT and signed["usage"] == {"input_tokens": 1}
    back = body(("user", "Hi"), ("assistant", signed["content"]), ("user", "And?"))
    assert turns(for_local(back, *OURS))[1] == ("assistant", [thought, TEXT])
    assert turns(for_cloud(back))[1] == ("assistant", [TEXT])


@pytest.mark.parametrize("data", [b'{"content":[{"type":"text"}]}', b"{thinking", b'{"thinking":1}'])
def test_an_answer_that_did_not_think_is_the_same_object(data: bytes) -> None:
    assert sign_whole(data, *OURS) is data


def event(kind: str, **more: Any) -> bytes:
    return sse.frame(json.dumps({"type": kind, **more}).encode(), kind)


def stream(*thoughts: str, signature: str | None = None) -> list[bytes]:
    usage = {"input_tokens": 3, "output_tokens": 1}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "q", "content": [], "usage": usage}
    message |= {"stop_reason": None, "stop_sequence": None}
    start = {"type": "thinking", "thinking": "", "signature": ""}
    frames = [event("message_start", message=message), event("content_block_start", index=0, content_block=start)]
    for thought in thoughts:
        delta = {"type": "thinking_delta", "thinking": thought}
        frames.append(event("content_block_delta", index=0, delta=delta))
    frames.append(event("ping"))
    if signature is not None:
        delta = {"type": "signature_delta", "signature": signature}
        frames.append(event("content_block_delta", index=0, delta=delta))
    frames.append(event("content_block_stop", index=0))
    frames.append(event("content_block_start", index=1, content_block={"type": "text", "text": ""}))
    frames.append(event("content_block_delta", index=1, delta={"type": "text_delta", "text": "Yes"}))
    frames.append(event("content_block_stop", index=1))
    frames.append(event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5}))
    frames.append(event("message_stop"))
    return frames


def accumulated(data: bytes) -> anthropic.types.Message:
    """What the official SDK makes of a stream."""
    answer = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=data)
    transport = httpx2.MockTransport(lambda request: answer)
    client = anthropic.Anthropic(api_key="k", http_client=httpx2.Client(transport=transport))
    asked: Any = {"model": "q", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    with client.messages.stream(**asked) as events:
        return events.get_final_message()


@given(st.lists(st.text(), max_size=5), st.sampled_from([None, "made up"]), st.integers(1, 4))
def test_a_stream_is_signed_before_its_thinking_ends(thoughts: list[str], own: str | None, at_once: int) -> None:
    signer = ThinkingSigner(*OURS)
    frames = stream(*thoughts, signature=own)
    groups = [b"".join(frames[at : at + at_once]) for at in range(0, len(frames), at_once)]
    sent = b"".join(signer.feed(group) for group in groups)
    payloads = [json.loads(data) for data in sse.payloads(sent)]
    signatures = [at for at, each in enumerate(payloads) if each.get("delta", {}).get("type") == "signature_delta"]
    assert len(signatures) == 1
    assert payloads[signatures[0]]["delta"]["signature"] == sign(*OURS, "".join(thoughts))
    assert payloads[signatures[0] + 1] == {"type": "content_block_stop", "index": 0}


def test_the_sdk_reads_a_signed_stream_and_hands_back_what_is_kept() -> None:
    signer = ThinkingSigner(*OURS)
    message = accumulated(b"".join(signer.feed(frame) for frame in stream("Let me ", "see: 好", signature="made up")))
    thought = message.content[0].model_dump(exclude_none=True)
    assert thought == local("Let me see: 好")
    back = body(("user", "Hi"), ("assistant", [thought, TEXT]), ("user", "And?"))
    assert for_local(back, *OURS) is back


def test_frames_without_thinking_are_the_same_object() -> None:
    signer = ThinkingSigner(*OURS)
    frames = b": waiting\n\n" + event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"})
    assert signer.feed(frames) is frames


def test_a_stream_hides_a_signature_and_redacted_data_of_its_server() -> None:
    signer = ThinkingSigner(*OURS)
    start = {"type": "thinking", "thinking": "Hm", "signature": "made up"}
    sent = signer.feed(event("content_block_start", index=0, content_block=start) + b": still here\n\n")
    assert json.loads(next(sse.payloads(sent)))["content_block"] == {**start, "signature": ""}
    assert b": still here\n\n" in sent
    sent = signer.feed(event("content_block_stop", index=0))
    assert json.loads(next(sse.payloads(sent)))["delta"]["signature"] == sign(*OURS, "Hm")
    sent = signer.feed(event("content_block_start", index=1, content_block=REDACTED))
    assert json.loads(next(sse.payloads(sent)))["content_block"]["data"] == PREFIX + REDACTED["data"]
    broken = b"data: {thinking\n\n"
    assert signer.feed(broken) == broken


def test_odd_members_are_left_to_the_cloud_and_odd_blocks_to_the_watch() -> None:
    odd = body(("user", "Hi"), ("assistant", [CALLS]), thinking={"type": 5})
    assert for_cloud(odd) is odd
    nobody = body((5, "thinking"), ("user", "Hi"))  # type: ignore[arg-type]
    assert for_cloud(nobody) is nobody
    frame = event("content_block_start", index=0, content_block={"type": "thinking", "signature": 5})
    assert ThinkingSigner(*OURS).feed(frame) == frame
