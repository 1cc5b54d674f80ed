"""Two streams joined at a seam: the official accumulators read one answer, without a word lost or said twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages_replay import replay

from sampan.core import Dialect, Usage
from sampan.dialects import handover, sse
from sampan.dialects.overlap import SHORTEST_REPEAT

Block = tuple[str, Sequence[str]]


def event(kind: str, **members: Any) -> bytes:
    return sse.frame(json.dumps({"type": kind, **members}).encode(), kind)


def message(blocks: Sequence[Block], *, reason: str = "end_turn", output: int = 7, name: str = "msg_1") -> list[bytes]:
    """The frames of a Messages stream of these blocks, each with its pieces."""
    start = {"id": name, "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
    frames = [event("message_start", message={**start, "usage": {"input_tokens": 11, "output_tokens": 1}})]
    for index, (kind, pieces) in enumerate(blocks):
        empty: dict[str, Any] = {"type": kind, **({"text": ""} if kind == "text" else {})}
        if kind == "thinking":
            empty |= {"thinking": "", "signature": ""}
        if kind == "tool_use":
            empty |= {"id": f"toolu_{index}", "name": "f", "input": {}}
        frames.append(event("content_block_start", index=index, content_block=empty))
        names = {"text": ("text_delta", "text"), "thinking": ("thinking_delta", "thinking")}
        delta, member = names.get(kind, ("input_json_delta", "partial_json"))
        frames += [event("content_block_delta", index=index, delta={"type": delta, member: piece}) for piece in pieces]
        frames.append(event("content_block_stop", index=index))
    stop = {"stop_reason": reason, "stop_sequence": None}
    return [*frames, event("message_delta", delta=stop, usage={"output_tokens": output}), event("message_stop")]


def seam(said: Sequence[bytes], *, asked: bool = False, models: tuple[str, str] | None = None) -> handover.Seam:
    found = handover.seam(Dialect.ANTHROPIC, said, asked=asked, models=models)
    assert found is not None
    return found


def spoken(content: Sequence[Any]) -> str:
    return "".join(block.text for block in content if block.type == "text")


words = st.text(alphabet="ab 水\n", max_size=12)
pieces = st.lists(words.filter(bool), min_size=1, max_size=6)


@given(pieces, st.integers(1, 40), st.data())
def test_what_a_prefilled_target_says_follows_at_once(parts: list[str], cut: int, data: st.DataObject) -> None:
    first = message([("text", parts)])
    said = first[: 2 + cut % (len(parts) + 1)]
    joint = seam(said)
    text = "".join(parts)
    read = "".join(parts[: len(said) - 2])
    assert joint.text == read.rstrip()
    rest = text[len(joint.text) :]  # a target that is given the prefill without blanks says them again
    at = data.draw(st.integers(0, len(rest)))
    second = message([("text", [piece for piece in (rest[:at], rest[at:]) if piece])], output=5, name="msg_2")
    whole = b"".join(said) + b"".join(joint.join(frame) for frame in second)
    answer = replay(whole)
    assert spoken(answer.content) == text
    assert len(answer.content) == 1
    assert answer.id == "msg_1"
    assert answer.usage.output_tokens == 5 + joint.usage.output_tokens


@given(st.text(alphabet="abcdefg ", min_size=30, max_size=80), st.integers(20, 29), st.integers(0, 40))
def test_what_a_target_repeats_is_said_once(text: str, cut: int, again: int) -> None:
    said = message([("text", [text[:cut]])])[:3]
    joint = seam(said, asked=True)
    repeated = text[max(0, cut - again) : cut] if again >= SHORTEST_REPEAT else ""
    new = "ZZZ" + text[cut:]
    second = message([("text", list(repeated + new))])
    answer = replay(b"".join(said) + b"".join(joint.join(frame) for frame in second))
    assert spoken(answer.content) == text[:cut] + new


def test_thinking_that_was_open_is_closed_and_the_answer_begins_behind_it() -> None:
    said = message([("thinking", ["let me", " see"])])[:4]
    joint = seam(said)
    assert (joint.text, joint.whole) == ("", False)
    second = message([("thinking", ["hm"]), ("text", ["It is 4."])])
    answer = replay(b"".join(said) + b"".join(joint.join(frame) for frame in second))
    assert [block.type for block in answer.content] == ["thinking", "thinking", "text"]
    assert spoken(answer.content) == "It is 4."


def test_a_target_that_thinks_first_goes_on_in_a_block_of_its_own() -> None:
    said = message([("text", ["It"])])[:3]
    joint = seam(said)
    second = message([("thinking", ["hm"]), ("text", [" is 4."]), ("tool_use", ['{"a":1}'])], reason="tool_use")
    answer = replay(b"".join(said) + b"".join(joint.join(frame) for frame in second))
    assert [block.type for block in answer.content] == ["text", "thinking", "text", "tool_use"]
    assert spoken(answer.content) == "It is 4."
    assert answer.stop_reason == "tool_use"


@pytest.mark.parametrize("upto", [3, 4])
def test_nobody_goes_on_inside_of_a_tool_call(upto: int) -> None:
    said = message([("tool_use", ['{"a"', ":1}"])])[: upto - 1]
    assert handover.seam(Dialect.ANTHROPIC, said, asked=False) is None


def test_whole_tool_calls_end_the_answer() -> None:
    said = message([("text", ["I call."]), ("tool_use", ['{"a":1}'])])[:-2]
    joint = seam(said)
    assert joint.whole
    answer = replay(b"".join(said) + joint.end())
    assert answer.stop_reason == "tool_use"
    assert answer.content[1].type == "tool_use"
    assert answer.content[1].input == {"a": 1}


def test_an_answer_that_lacks_only_its_end_is_given_it() -> None:
    said = message([("text", ["Done."])])[:-1]
    joint = seam(said)
    assert joint.whole
    assert replay(b"".join(said) + joint.end()).stop_reason == "end_turn"


def test_a_third_target_goes_on_where_the_second_broke() -> None:
    said = message([("text", ["one "])])[:3]
    first = seam(said)
    said = [*said, *(first.join(frame) for frame in message([("text", [" two", " thr"])], name="msg_2")[:4])]
    second = seam(said)
    assert second.text == "one two thr"
    end = [second.join(frame) for frame in message([("text", ["ee"])], name="msg_3")]
    assert spoken(replay(b"".join([*said, *end])).content) == "one two three"


def test_clients_that_know_the_fallback_block_are_told() -> None:
    said = message([("text", ["It"])])[:3]
    joint = seam(said, models=("claude-a", "qwen-b"))
    joined = b"".join(said) + b"".join(joint.join(frame) for frame in message([("text", [" is"])]))
    starts = [json.loads(data) for data in sse.payloads(joined) if b"content_block_start" in data]
    assert [start["index"] for start in starts] == [0, 1, 2]
    assert starts[1]["content_block"]["from"] == {"model": "claude-a"}
    assert starts[1]["content_block"]["to"] == {"model": "qwen-b"}


@pytest.mark.parametrize("data", [b"", b"event: x\ndata: {\n\n", b'data: {"type":"content_block_stop","index":3}\n\n'])
def test_what_cannot_be_read_is_not_gone_on_with(data: bytes) -> None:
    for dialect in Dialect:
        found = handover.seam(dialect, [data], asked=False)
        assert found is None or found.text == ""


# Chat.


def chunk(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    given = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return sse.frame(json.dumps({**given, **more}).encode())


def chat(parts: Sequence[str], **more: Any) -> list[bytes]:
    frames = [chunk({"role": "assistant", "content": ""}, **more)]
    frames += [chunk({"content": part}, **more) for part in parts]
    usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
    return [*frames, chunk({}, "stop", **more), chunk(None, usage=usage, **more), sse.frame(b"[DONE]")]


@given(pieces, st.integers(1, 40), st.data())
def test_chat_goes_on_under_one_id(parts: list[str], cut: int, data: st.DataObject) -> None:
    said = chat(parts)[: 1 + cut % (len(parts) + 1)]
    joint = handover.seam(Dialect.OPENAI_CHAT, said, asked=False)
    assert joint is not None
    assert not joint.whole
    text = "".join(parts)
    rest = text[len(joint.text) :]
    at = data.draw(st.integers(0, len(rest)))
    second = chat([rest[:at], rest[at:]], id="chatcmpl-2", model="other")
    read = [json.loads(each) for each in sse.payloads(b"".join([*said, *map(joint.join, second)])) if each[:2] == b" {"]
    assert {each["id"] for each in read} == {"chatcmpl-1"}
    assert {each["model"] for each in read} == {"m"}
    deltas = [choice["delta"] for each in read for choice in each["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == text
    assert [delta for delta in deltas if "role" in delta] == deltas[:1]
    assert read[-1]["usage"]["completion_tokens"] == 5 + joint.usage.output_tokens


def test_chat_calls_cannot_be_gone_on_with_and_whole_ones_need_no_more() -> None:
    call = {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}]}
    assert handover.seam(Dialect.OPENAI_CHAT, [chunk({"content": "a"}), chunk(call)], asked=False) is None
    done = handover.seam(Dialect.OPENAI_CHAT, [chunk(call), chunk({}, "tool_calls")], asked=False)
    assert done is not None
    assert done.whole
    assert done.end() == sse.frame(b"[DONE]")


# How the next target is asked.

ASKED = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}], "odd": 1}


def test_a_prefill_and_what_goes_with_it() -> None:
    body = json.dumps({**ASKED, "thinking": {"type": "enabled", "budget_tokens": 2000}}).encode()
    made = json.loads(handover.continued(body, "four score", asked=False))
    assert made["messages"][1:] == [{"role": "assistant", "content": [{"type": "text", "text": "four score"}]}]
    assert (made["max_tokens"], made["odd"], "thinking" in made) == (97, 1, False)
    assert [turn["role"] for turn in json.loads(handover.continued(body, "x", asked=True))["messages"]] == [
        "user",
        "assistant",
        "user",
    ]
    assert handover.continued(body, "", asked=False) is body


def test_a_chat_server_is_told_to_go_on() -> None:
    body = json.dumps(ASKED).encode()
    made = json.loads(handover.continued_chat(body, "four", asked=False, flags=True))
    assert made["messages"][1] == {"role": "assistant", "content": "four"}
    assert (made["continue_final_message"], made["add_generation_prompt"], made["max_tokens"]) == (True, False, 99)
    plain = json.loads(handover.continued_chat(body, "four", asked=True, flags=True))
    assert plain["messages"][2]["role"] == "user"
    assert "continue_final_message" not in plain
    assert handover.continued_chat(body, "", asked=False, flags=True) is body


def test_the_first_part_s_cost_is_estimated_where_nobody_told() -> None:
    assert seam(message([("text", ["x" * 400])])[:3]).usage == Usage(11, 100)
