"""Streams whose placeholders are cut anywhere: what a caller, and the official SDKs, read of them."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.core import Call, Continuing, Dialect, Event, Operation, Outcome, Usage
from sampan.dialects import sse
from sampan.errors import Rejected
from sampan.governance.detect import Detector
from sampan.governance.masked import Masked
from sampan.governance.redaction import Mask, Redaction
from sampan.governance.restoration import Mender, mender

PHONE, CARD = "13812345678", "6222021234567890128"
REDACTION = Redaction(Detector().find, b"s" * 32)
TEXT, MASK = REDACTION.mask_text(f"拨 {PHONE} 或 [{CARD}],再拨{PHONE}")
BACK = MASK.restore(TEXT)
JSON = json.dumps({"to": TEXT.split()[1], "all": TEXT}, ensure_ascii=False)
splits = st.lists(st.integers(0, max(len(TEXT), len(JSON))), max_size=20)


def cut(text: str, places: Sequence[int]) -> list[str]:
    ends = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(ends)]


def frame(event: dict[str, Any]) -> bytes:
    return sse.frame(json.dumps(event, ensure_ascii=False).encode(), event.get("type"))


def messages(text: Sequence[str], thought: Sequence[str], called: Sequence[str]) -> list[bytes]:
    start: dict[str, Any] = {
        **{"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None},
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    out = [frame({"type": "message_start", "message": start}), frame({"type": "ping"})]
    blocks: list[tuple[dict[str, Any], str, str, Sequence[str]]] = [
        ({"type": "thinking", "thinking": "", "signature": ""}, "thinking_delta", "thinking", thought),
        ({"type": "text", "text": ""}, "text_delta", "text", text),
        ({"type": "tool_use", "id": "t", "name": "f", "input": {}}, "input_json_delta", "partial_json", called),
    ]
    for index, (block, name, member, pieces) in enumerate(blocks):
        out.append(frame({"type": "content_block_start", "index": index, "content_block": block}))
        for piece in pieces:
            delta = {"type": name, member: piece}
            out.append(frame({"type": "content_block_delta", "index": index, "delta": delta}))
        if name == "thinking_delta":
            delta = {"type": "signature_delta", "signature": "c2lnbmVk"}
            out.append(frame({"type": "content_block_delta", "index": index, "delta": delta}))
        out.append(frame({"type": "content_block_stop", "index": index}))
    end: dict[str, Any] = {"stop_reason": "tool_use", "stop_sequence": None}
    out.append(frame({"type": "message_delta", "delta": end, "usage": {"output_tokens": 9}}))
    return [*out, frame({"type": "message_stop"})]


def chat(text: Sequence[str], thought: Sequence[str], called: Sequence[str]) -> list[bytes]:
    def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        head: dict[str, Any] = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        return sse.frame(json.dumps({**head, "choices": [choice]}, ensure_ascii=False).encode())

    out = [chunk({"role": "assistant", "content": ""})]
    out += [chunk({"reasoning_content": piece}) for piece in thought]
    out += [chunk({"content": piece}) for piece in text]
    for index in range(2):
        call: dict[str, Any] = {"index": index, "id": f"call_{index}", "type": "function"}
        out.append(chunk({"tool_calls": [call | {"function": {"name": "f", "arguments": ""}}]}))
        out += [chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}) for piece in called]
    return [*out, chunk({}, "tool_calls"), sse.frame(b"[DONE]")]


def mended(made: Mender, frames: Sequence[bytes], together: int = 1) -> bytes:
    groups = [b"".join(frames[at : at + together]) for at in range(0, len(frames), together)]
    return b"".join(made.feed(group)[0] for group in groups)


def transport(body: bytes) -> httpx2.MockTransport:
    return httpx2.MockTransport(
        lambda request: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)
    )


@settings(max_examples=40)
@given(splits, splits, splits, st.integers(1, 9))
def test_a_messages_stream_is_whole_again(
    text: list[int], thought: list[int], called: list[int], together: int
) -> None:
    frames = messages(cut(TEXT, text), cut(TEXT, thought), cut(JSON, called))
    out = mended(mender(Dialect.ANTHROPIC, MASK), frames, together)
    events = [json.loads(data) for data in sse.payloads(out)]
    read = ["", "", ""]
    opened: list[int] = []
    for event in events:
        if event["type"] == "content_block_start":
            opened.append(event["index"])
        elif event["type"] == "content_block_delta":
            assert opened[-1:] == [event["index"]], "a piece outside of its block"
            delta = event["delta"]
            read[event["index"]] += delta.get("text") or delta.get("thinking") or delta.get("partial_json") or ""
        elif event["type"] == "content_block_stop":
            assert event["index"] == opened[-1]
    assert read[0] == read[1] == BACK
    assert json.loads(read[2]) == json.loads(MASK.restore(JSON, escape=True))
    kinds = [event["type"] for event in events if event["type"] != "content_block_delta"]
    assert kinds == [
        json.loads(next(sse.payloads(each)))["type"]
        for each in frames
        if b"_delta\n" not in each or b"message_delta" in each
    ]


@settings(max_examples=40)
@given(splits, splits, splits, st.integers(1, 9))
def test_a_chat_stream_is_whole_again(text: list[int], thought: list[int], called: list[int], together: int) -> None:
    frames = chat(cut(TEXT, text), cut(TEXT, thought), cut(JSON, called))
    out = mended(mender(Dialect.OPENAI_CHAT, MASK), frames, together)
    said, reasoned, arguments = "", "", ["", ""]
    order: list[str] = []
    for data in sse.payloads(out):
        if data == b" [DONE]":
            order.append("done")
            continue
        [choice] = json.loads(data)["choices"]
        delta = choice["delta"]
        for name in ("reasoning_content", "content"):
            if delta.get(name):
                order.append(name)
        reasoned += delta.get("reasoning_content") or ""
        said += delta.get("content") or ""
        for call in delta.get("tool_calls") or ():
            arguments[call["index"]] += call["function"]["arguments"]
            order.append(str(call["index"]))
        if choice["finish_reason"]:
            order.append("end")
    assert said == reasoned == BACK
    assert [json.loads(each) for each in arguments] == [json.loads(MASK.restore(JSON, escape=True))] * 2
    runs = [name for place, name in enumerate(order) if order[place - 1 : place] != [name]]
    assert runs == ["reasoning_content", "content", "0", "1", "end", "done"], "a text goes on after it ended"


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_the_anthropic_sdk_reads_it(size: int) -> None:
    grouped = [[each[at : at + size] for at in range(0, len(each), size)] for each in (TEXT, TEXT, JSON)]
    body = mended(mender(Dialect.ANTHROPIC, MASK), messages(grouped[0], grouped[1], grouped[2]))
    client = anthropic.Anthropic(
        api_key="k", base_url="http://127.0.0.1", http_client=anthropic.DefaultHttpxClient(transport=transport(body))
    )
    with client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]) as stream:
        final = stream.get_final_message()
    thought, text, call = final.content
    assert thought.type == "thinking" and thought.thinking == BACK and thought.signature == "c2lnbmVk"
    assert text.type == "text" and text.text == BACK
    assert call.type == "tool_use" and call.input == json.loads(MASK.restore(JSON, escape=True))


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_the_openai_sdk_reads_it(size: int) -> None:
    grouped = [[each[at : at + size] for at in range(0, len(each), size)] for each in (TEXT, TEXT, JSON)]
    body = mended(mender(Dialect.OPENAI_CHAT, MASK), chat(grouped[0], grouped[1], grouped[2]))
    client = openai.OpenAI(
        api_key="k", base_url="http://127.0.0.1", http_client=openai.DefaultHttpxClient(transport=transport(body))
    )
    with client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "x"}]) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    message = final.choices[0].message
    assert message.content == BACK and message.tool_calls is not None
    for call in message.tool_calls:
        assert json.loads(call.function.arguments) == json.loads(MASK.restore(JSON, escape=True))


@given(splits, splits)
@settings(max_examples=40)
def test_a_responses_stream_is_whole_again_and_numbered(text: list[int], called: list[int]) -> None:
    events: list[dict[str, Any]] = [{"type": "response.created", "response": {"id": "r", "output": []}}]
    place = {"item_id": "i", "output_index": 0, "content_index": 0}
    events += [{"type": "response.output_text.delta", **place, "delta": piece} for piece in cut(TEXT, text)]
    events.append({"type": "response.output_text.done", **place, "text": TEXT})
    place = {"item_id": "j", "output_index": 1}
    events += [
        {"type": "response.function_call_arguments.delta", **place, "delta": piece} for piece in cut(JSON, called)
    ]
    events.append({"type": "response.function_call_arguments.done", **place, "arguments": JSON})
    item = {"type": "function_call", "arguments": JSON}
    events.append({"type": "response.completed", "response": {"output": [{"content": [{"text": TEXT}]}, item]}})
    frames = [frame({**event, "sequence_number": number}) for number, event in enumerate(events)]
    out = [json.loads(data) for data in sse.payloads(mended(mender(Dialect.OPENAI_RESPONSES, MASK), frames))]
    assert [event["sequence_number"] for event in out] == list(range(len(out)))
    said = "".join(event["delta"] for event in out if event["type"] == "response.output_text.delta")
    arguments = "".join(event["delta"] for event in out if event["type"] == "response.function_call_arguments.delta")
    whole = MASK.restore(JSON, escape=True)
    assert said == BACK and arguments == whole
    assert [event["text"] for event in out if "text" in event] == [BACK]
    assert [event["arguments"] for event in out if "arguments" in event] == [whole]
    assert out[-1]["response"]["output"][0]["content"][0]["text"] == BACK
    assert out[-1]["response"]["output"][1]["arguments"] == whole


def test_a_picture_stream_is_touched_only_where_it_has_a_placeholder() -> None:
    core = next(iter(MASK.values))
    one = sse.frame(b'{"type":"image_generation.completed","b64_json":"aaaa"}', "image_generation.completed")
    two = sse.frame(json.dumps({"type": "x", "revised_prompt": f"[{core}]"}).encode(), "x")
    made = mender(Dialect.OPENAI_IMAGES, MASK)
    assert made.feed(one) == (one, True)
    out, _ = made.feed(one + two)
    assert out.startswith(one) and json.loads(list(sse.payloads(out))[1])["revised_prompt"] == MASK.values[core]
    assert out.endswith(b"\n\n")


class FakeCloud:
    """Says again what it was asked, as a stream or whole; or refuses it."""

    name = "cloud"
    continues = Continuing.PREFILL
    models = ("m",)

    def __init__(self, *, refuses: bool = False) -> None:
        self.asked: list[Call] = []
        self.probed = self.closed = 0
        self._refuses = refuses

    def _heard(self, call: Call) -> str:
        self.asked.append(call)
        text: str = json.loads(call.body)["messages"][0]["content"]
        if self._refuses:
            raise Rejected(400, json.dumps({"error": {"message": f"bad: {text}"}}).encode(), {})
        return text

    async def fetch(self, call: Call, model: str | None) -> Event:
        body = json.dumps({"type": "message", "content": [{"type": "text", "text": self._heard(call)}]}).encode()
        return Event(body, content=True, usage=Usage(1, 1), headers=(("x-ratelimit-limit", "7"),))

    async def attempt(self, call: Call, model: str | None) -> AsyncGenerator[Event, None]:
        frames = messages(list(self._heard(call)), [], [])
        for each in frames:
            ended = b"message_stop" in each
            yield Event(each, b"content_block_delta" in each, Usage(1, 1) if ended else None)

    def ask(self, call: Call, model: str | None, done: Callable[[Outcome], None]) -> Callable[[], None] | None:
        self.asked.append(call)
        return lambda: None

    async def probe(self) -> None:
        self.probed += 1

    async def aclose(self) -> None:
        self.closed += 1


def talk(text: str, *, stream: bool = False, masked: bool = True) -> Call:
    body = json.dumps(
        {"model": "m", "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": text}]}
    )
    path, kind = "/v1/messages", "application/json"
    return Call(Dialect.ANTHROPIC, Operation.TEXT, "m", path, body.encode(), kind, stream, masked=masked)


async def test_a_cloud_never_sees_what_its_caller_reads() -> None:
    cloud = FakeCloud()
    upstream = Masked(cloud, REDACTION)
    whole = await upstream.fetch(talk(f"我的号码 {PHONE}"), None)
    assert json.loads(whole.data)["content"][0]["text"] == f"我的号码 {PHONE}"
    assert whole.headers == (("x-ratelimit-limit", "7"),) and whole.usage == Usage(1, 1)
    events = [event async for event in upstream.attempt(talk(f"我的号码 {PHONE}", stream=True), None)]
    deltas = [json.loads(data) for event in events for data in sse.payloads(event.data)]
    said = "".join(each["delta"].get("text", "") for each in deltas if each["type"] == "content_block_delta")
    assert said == f"我的号码 {PHONE}" and events[-1].usage == Usage(1, 1)
    assert [event.content for event in events if b'"text":""' in event.data] == [False] * sum(
        b'"text":""' in event.data for event in events
    )
    for call in cloud.asked:
        assert PHONE.encode() not in call.body and not call.masked


async def test_a_refusal_is_restored_too() -> None:
    upstream = Masked(FakeCloud(refuses=True), REDACTION)
    for stream in (False, True):
        with pytest.raises(Rejected) as raised:
            async for _ in upstream.attempt(talk(PHONE, stream=stream), None):
                pass
        assert json.loads(raised.value.body)["error"]["message"] == f"bad: {PHONE}"


async def test_a_call_that_is_not_to_be_masked_passes_untouched() -> None:
    cloud = FakeCloud()
    upstream = Masked(cloud, REDACTION)
    plain = talk(PHONE, masked=False)
    await upstream.fetch(plain, None)
    assert upstream.ask(plain, None, lambda outcome: None) is not None
    async for _ in upstream.attempt(plain, None):
        pass
    assert all(call is plain for call in cloud.asked) and len(cloud.asked) == 3
    assert upstream.ask(talk(PHONE), None, lambda outcome: None) is None and len(cloud.asked) == 3
    await upstream.probe()
    await upstream.aclose()
    assert (upstream.name, upstream.models, upstream.continues) == ("cloud", ("m",), Continuing.PREFILL)
    assert (cloud.probed, cloud.closed) == (1, 1)


def test_frames_that_nobody_understands_go_on_as_they_came() -> None:
    for dialect in (Dialect.ANTHROPIC, Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES):
        odd = b": a comment\n\ndata: [1]\n\ndata: {no json\n\n"
        assert mender(dialect, Mask({"MOBILE-BCDFGH": PHONE})).feed(odd)[0] == odd
