from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.core import Fault, Usage
from sampan.dialects.translation.asked import Asked, asked
from sampan.dialects.translation.chat_answers_claude import ChatToMessages, rejection, whole
from sampan.dialects.translation.chat_server import SERVERS
from sampan.errors import InvalidRequest, TargetFault
from tests.dialects.chat_frames import ASKED, CLOCK, DONE, JINAN, QINGDAO, blocks, call, chunk, follow, watch
from tests.dialects.messages_replay import receive, replay

STREAMS = Path(__file__).parent / "streams"
# The recorded oddities: what a Claude client gets of each; a fault where the stream says that it failed.
ANSWERS: dict[str, tuple[list[tuple[Any, ...]], str, tuple[int, int] | None]] = {
    "vllm_reasoning_and_stop_sequence": (
        [("thinking", "Two and two."), ("text", "It is 4.")],
        "stop_sequence",
        (31, 12),
    ),
    "vllm_continuous_usage": ([("text", "Ahoy!")], "end_turn", (9, 2)),
    "vllm_tools_new_id_in_each_delta": ([QINGDAO, JINAN], "tool_use", None),
    "vllm_tools_without_index": ([QINGDAO], "tool_use", None),
    "sglang_reasoning": ([("thinking", "Easy."), ("text", "Blue whale")], "end_turn", (20, 7)),
    "sglang_stop_sequence": ([("text", "one ")], "stop_sequence", None),
    "sglang_tools": ([QINGDAO], "tool_use", None),
    "llamacpp_timings_and_no_blank_after_done": ([("text", "Hi there")], "end_turn", (14, 3)),
    "llamacpp_reasoning": ([("thinking", "Hmm."), ("text", "Yes.")], "end_turn", (14, 4)),
    "llamacpp_parallel_tools": ([QINGDAO, CLOCK], "tool_use", (140, 30)),
    "ollama_whole_tool_calls": ([QINGDAO, CLOCK], "tool_use", (169, 28)),
    "ollama_all_tool_calls_at_index_0": ([QINGDAO, JINAN], "tool_use", None),
    "ollama_tool_calls_without_index": ([QINGDAO, CLOCK], "tool_use", None),
    "ollama_thinking": ([("thinking", "Let me see."), ("text", "Four.")], "end_turn", None),
    "lmstudio_tools_with_empty_names": ([QINGDAO], "tool_use", None),
    "lmstudio_tool_call_left_in_the_text": ([("text", "I will look.\n"), QINGDAO, CLOCK], "tool_use", None),
    "openai_parallel_tools": ([QINGDAO, CLOCK], "tool_use", (80, 33)),
    "openai_refusal": ([("text", "I can't help with that.")], "refusal", None),
    "azure_filter_results_first": ([("text", "No")], "refusal", None),
    "openrouter_comments": ([("text", "Still here")], "end_turn", (5, 2)),
    "hermes_thinking_in_the_text": (
        [("thinking", "The tool knows.\n"), ("text", "Looking. "), QINGDAO],
        "tool_use",
        None,
    ),
}
FAULTS = {
    "vllm_error_in_the_stream": Fault.SERVER_ERROR,
    "vllm_error_of_the_old_shape": Fault.OVERLOADED,
    "sglang_abort": Fault.SERVER_ERROR,
    "llamacpp_error_in_a_field_of_its_own": Fault.OVERLOADED,
    "llamacpp_error_with_done": Fault.SERVER_ERROR,
    "ollama_error_as_a_word": Fault.SERVER_ERROR,
    "lmstudio_error_event": Fault.SERVER_ERROR,
    "openrouter_error_beside_a_choice": Fault.SERVER_ERROR,
}


def recorded(name: str) -> bytes:
    return (STREAMS / f"{name}.txt").read_bytes()


def test_every_recording_is_told_of_and_names_its_source() -> None:
    files = {path.stem for path in STREAMS.glob("*.txt")}
    assert files == set(ANSWERS) | set(FAULTS)
    servers = ("vLLM", "SGLang", "llama.cpp", "Ollama", "LM Studio", "OpenAI", "Azure", "OpenRouter", "Qwen3")
    assert all(recorded(name).startswith(tuple(f": {each}".encode() for each in servers)) for name in files)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_recorded_stream_as_a_claude_client_sees_it(name: str) -> None:
    content, reason, usage = ANSWERS[name]
    stream = recorded(name)
    followed = watch()
    message = replay(follow([stream], followed))
    assert blocks(message) == content
    assert message.stop_reason == reason
    assert message.stop_sequence == ("END" if reason == "stop_sequence" else None)
    assert message.model == "claude-x" and message.id.startswith("msg_")
    total = followed.feed(b"").usage
    if usage is None:  # nothing reported: estimated, and never nothing
        assert total.input_tokens == 11 and total.output_tokens > 0
    else:
        assert total == Usage(*usage)
    cached = message.usage.cache_read_input_tokens or 0
    assert (message.usage.input_tokens + cached, message.usage.output_tokens) == (
        total.input_tokens,
        total.output_tokens,
    )
    frames = [frame + b"\n\n" for frame in stream.split(b"\n\n") if frame]
    for cut in (frames, [stream[at : at + 7] for at in range(0, len(stream), 7)]):
        again = replay(follow(cut, watch()))
        assert (blocks(again), again.stop_reason, again.usage) == (content, reason, message.usage)


@pytest.mark.parametrize("name", FAULTS)
def test_a_recorded_failure_is_a_fault_and_never_a_clean_end(name: str) -> None:
    for size in (7, 10_000):
        stream = recorded(name)
        with pytest.raises(TargetFault) as raised:
            follow([stream[at : at + size] for at in range(0, len(stream), size)], watch())
        assert raised.value.fault is FAULTS[name]


def test_cached_and_thinking_tokens_stand_where_anthropic_has_them() -> None:
    usage = {
        "prompt_tokens": 31,
        "completion_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 16},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    message = replay(follow([chunk({"content": "x"}), chunk({}, "stop"), chunk(usage=usage)], watch()))
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (15, 16)
    assert message.usage.output_tokens_details is not None
    assert message.usage.output_tokens_details.thinking_tokens == 5
    absurd = {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}}
    message = replay(follow([chunk({"content": "x"}), chunk({}, "stop"), chunk(usage=absurd)], watch()))
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (0, 3)


def test_message_start_knows_the_input_before_the_server_says_it() -> None:
    first = watch().feed(chunk({"role": "assistant", "content": ""}))
    assert b'"usage":{"input_tokens":11,"output_tokens":1,' in (first.data or b"")
    assert not first.content and not first.ended
    reported = watch().feed(chunk({"role": "assistant"}, usage={"prompt_tokens": 9, "completion_tokens": 0}))
    assert b'"usage":{"input_tokens":9,' in (reported.data or b"")


def test_content_begins_with_the_first_block_and_not_before() -> None:
    followed = watch()
    assert not followed.feed(b": waiting\n\n").content
    assert not followed.feed(chunk({"role": "assistant", "content": "\n"})).content
    assert followed.feed(chunk({"content": "x"})).content


def test_a_comment_becomes_a_ping_once_there_is_a_message() -> None:
    followed = watch()
    assert followed.feed(b": ping\n\n").data == b""
    followed.feed(chunk({"content": "x"}))
    assert followed.feed(b": ping\n\n").data == b'event: ping\ndata: {"type":"ping"}\n\n'


def test_the_end_comes_with_the_bill_where_no_done_follows() -> None:
    followed = watch()
    followed.feed(chunk({"content": "x"}, "stop"))
    assert not followed.feed(chunk({"content": ""})).ended
    seen = followed.feed(chunk(usage={"prompt_tokens": 3, "completion_tokens": 1}))
    assert seen.ended and seen.usage == Usage(3, 1)
    assert followed.feed(DONE).data == b""


@pytest.mark.parametrize(
    ("stream", "fault"),
    [
        ([chunk({"content": "x"})], Fault.CUT),
        ([chunk({"content": "x"}), DONE], Fault.CUT),
        ([chunk({"content": "x"}), b"data: {oops\n\n"], Fault.MALFORMED),
        ([b"data: [1]\n\n"], Fault.MALFORMED),
        ([b'data: {"choices":[{"delta":{"content":7}}]}\n\n'], Fault.MALFORMED),
        ([b'event: error\ndata: {"message":"no","code":429}\n\n'], Fault.RATE_LIMITED),
        ([b"error: what\n\n"], Fault.SERVER_ERROR),
        ([chunk(call("{oops", "weather", "a")), chunk({}, "tool_calls")], Fault.MALFORMED),
        ([chunk(call("[1]", "weather", "a")), chunk({}, "tool_calls"), DONE], Fault.MALFORMED),
        ([chunk(call("{}", None, "a")), chunk({}, "tool_calls"), DONE], Fault.MALFORMED),
        ([chunk(call('{"a":1}', "weather", "a")), chunk({"content": "t"}), chunk(call("x"))], Fault.MALFORMED),
    ],
)
def test_a_broken_stream_is_a_fault(stream: list[bytes], fault: Fault) -> None:
    with pytest.raises(TargetFault) as raised:
        follow(stream if stream[-1] != chunk({}, "tool_calls") else [*stream, DONE], watch())
    assert raised.value.fault is fault


def test_frames_that_say_nothing_are_passed_over() -> None:
    odd = [b"data:\n\n", b'data:{"type":"ping"}\n\n', b"event: ping\n\n"]
    message = replay(follow([*odd, chunk({"content": "x"}), *odd, chunk({}, "stop"), DONE], watch()))
    assert blocks(message) == [("text", "x")]


def test_interleaved_calls_are_written_one_after_the_other() -> None:
    stream = [
        chunk(call('{"city":', "weather", "a", 0)),
        chunk(call("{", "clock", "b", 3)),
        chunk(call('"Qing', index=0)),
        chunk({"content": "Both at once."}),
        chunk(call("}", index=3)),
        chunk(call('dao"}', index=0)),
        chunk({}, "tool_calls"),
        DONE,
    ]
    message = replay(follow(stream, watch()))
    assert blocks(message) == [QINGDAO, CLOCK, ("text", "Both at once.")]
    assert [block.id for block in message.content if block.type == "tool_use"] == ["a", "b"]


def test_a_call_goes_out_as_it_comes() -> None:
    followed = watch()
    followed.feed(chunk(call("", "weather", "a")))
    assert b'"partial_json":"{\\"city\\":' in (followed.feed(chunk(call('{"city":'))).data or b"")


@pytest.mark.parametrize(
    "deltas",
    [
        [call("", "wea", "a"), call(None, "ther"), call('{"city":"Qingdao"}')],
        [call("", "weather", "a"), call("", "weather", "a"), call('{"city":"Qingdao"}')],
        [call('{"city":', "weather", "a"), call('"Qingdao"}', "weather", "a")],
        [call('{"city":', "weather", "a", None), call('"Qingdao"}', None, None, None)],
        [{"function_call": {"name": "weather"}}, {"function_call": {"arguments": '{"city":"Qingdao"}'}}],
        [{"tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Qingdao"}}}]}],
    ],
    ids=["split name", "repeated name", "everything repeated", "no index", "function_call", "arguments as an object"],
)
def test_the_ways_to_say_one_call(deltas: list[Any]) -> None:
    message = replay(follow([*(chunk(delta) for delta in deltas), chunk({}, "stop"), DONE], watch()))
    assert blocks(message) == [QINGDAO]
    assert message.stop_reason == "tool_use"


def test_missing_and_repeated_ids_are_made_anew() -> None:
    same = call('{"city":"Jinan"}', "weather", "call_0", None)
    calls = [call("{}", "clock", "", 0), call("{}", "clock", None, 1), same, call("{}", "clock", "call_0", 7)]
    message = replay(follow([*(chunk(each) for each in calls), chunk({}, "tool_calls"), DONE], watch()))
    assert [block.id for block in message.content if block.type == "tool_use"] == [
        "toolu_made1",
        "toolu_made2",
        "call_0",
        "toolu_made3",
    ]


@pytest.mark.parametrize(
    "deltas",
    [
        [call('{"city":"Qingdao"}', "weather"), call("{}", "clock")],
        [call('{"city":"Qingdao"}', "weather", None, None), call("{}", "clock", None, None)],
        [call('{"city":"Qingdao"}', "weather", "a"), call(None, "clock", "b")],
        [call('{"city":"Qingdao"}', "weather", "a", None), call(None, "clock", "b", None), call("{}", None, "b", None)],
    ],
    ids=["index 0 and no id", "neither", "index 0", "no index"],
)
def test_two_calls_that_only_their_names_or_ids_tell_apart(deltas: list[Any]) -> None:
    message = replay(follow([*(chunk(delta) for delta in deltas), chunk({}, "stop"), DONE], watch()))
    assert blocks(message) == [QINGDAO, CLOCK]


def test_a_second_choice_is_nobodys_answer() -> None:
    other = b'data: {"choices":[{"index":1,"delta":{"content":"no"},"finish_reason":"length"}]}\n\n'
    message = replay(follow([chunk({"content": "x"}), other, chunk({}, "stop"), other, DONE], watch()))
    assert (blocks(message), message.stop_reason) == ([("text", "x")], "end_turn")


def test_a_stop_that_the_caller_did_not_name_is_an_end_of_turn() -> None:
    ended = {"index": 0, "delta": {"content": "x"}, "finish_reason": "stop", "stop_reason": "<|im_end|>"}
    frame = b"data: " + json.dumps({"choices": [ended]}).encode() + b"\n\n"
    message = replay(follow([frame, DONE], watch()))
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)


@pytest.mark.parametrize("arguments", [None, "", " ", "null"])
def test_no_arguments_are_an_empty_object(arguments: str | None) -> None:
    stream = [chunk(call(arguments, "clock", "a")), chunk(call("{}", "clock", "b", 1)), chunk({}, "tool_calls"), DONE]
    assert blocks(replay(follow(stream, watch()))) == [CLOCK, CLOCK]


def test_a_call_that_the_limit_cut_off() -> None:
    """Streamed as far as it came; left out of a whole answer, where only an object can stand."""
    cut = call('{"city":"Qing', "weather", "a")
    message = replay(follow([chunk({"content": "So:"}), chunk(cut), chunk({}, "length"), DONE], watch()))
    assert message.stop_reason == "max_tokens"
    assert blocks(message)[:1] == [("text", "So:")] and len(message.content) == 2
    body, _ = whole(answer({"content": "So:", **cut}, "length"), "claude-x", ASKED)
    message = receive(body)
    assert (blocks(message), message.stop_reason) == ([("text", "So:")], "max_tokens")


def test_thinking_is_signed_where_it_ends() -> None:
    signed = watch(sign=lambda text: f"signed:{text}")
    stream = [chunk({"reasoning_content": "a"}), chunk({"reasoning_content": "b", "reasoning": "b"}), chunk({}, "stop")]
    message = replay(follow([*stream, DONE], signed))
    assert [block.to_dict() for block in message.content] == [
        {"type": "thinking", "thinking": "ab", "signature": "signed:ab"}
    ]
    again = [chunk({"reasoning": "a"}), chunk({"content": "x"}), chunk({"reasoning": "b"}), chunk({}, "stop"), DONE]
    message = replay(follow(again, watch(sign=lambda text: f"signed:{text}")))
    assert [block.signature for block in message.content if block.type == "thinking"] == ["signed:a", "signed:b"]


def test_tags_are_text_where_nobody_asked_for_them() -> None:
    said = 'Write <think> and <tool_call>{"name":"other","arguments":{}}</tool_call> <tool_call>{"name":"weather"'
    tagged = [chunk({"content": said[at : at + 3]}) for at in range(0, len(said), 3)]
    assert blocks(replay(follow([*tagged, chunk({}, "stop"), DONE], watch()))) == [("text", said)]
    plain = ["<think>x</think>", '<tool_call>{"name":"clock"}</tool_call>']
    stream = [*(chunk({"content": each}) for each in plain), chunk({}, "stop"), DONE]
    assert blocks(replay(follow(stream, watch(server=SERVERS["openai"])))) == [("text", "".join(plain))]
    none_asked = ChatToMessages("claude-x", Asked())
    assert blocks(replay(follow(stream, none_asked))) == [("thinking", "x"), ("text", plain[1])]


def test_what_looked_like_a_tag_comes_before_what_follows_it() -> None:
    clock = chunk(call("{}", "clock", "a"))
    for kept in ("a <", "a <tool_call>{"):
        stream = [chunk({"content": kept}), clock, chunk({"content": "then"}), chunk({}, "stop"), DONE]
        assert blocks(replay(follow(stream, watch()))) == [("text", kept), CLOCK, ("text", "then")]


def test_white_space_around_a_call_in_the_text_belongs_to_nobody() -> None:
    said = '<tool_call>{"name":"clock","parameters":{}}</tool_call>\n\nthen'
    assert blocks(replay(follow([chunk({"content": said}), chunk({}, "stop")], watch()))) == [CLOCK, ("text", "then")]


def test_white_space_alone_is_no_block() -> None:
    clock = chunk(call("{}", "clock", "a"))
    stream = [chunk({"content": "\n"}), clock, chunk({"content": "\n"}), chunk({"content": "x"}), chunk({}, "stop")]
    assert blocks(replay(follow([*stream, DONE], watch()))) == [CLOCK, ("text", "\nx")]
    stream = [chunk({"content": "\n"}), chunk({"reasoning": "a"}), chunk({"content": "x"}), chunk({}, "stop"), DONE]
    assert blocks(replay(follow(stream, watch()))) == [("thinking", "a"), ("text", "x")]
    stream = [chunk({"reasoning": "a"}), chunk({"content": "\n\n"}), chunk(call("{}", "clock", "a")), chunk({}, "stop")]
    assert blocks(replay(follow([*stream, DONE], watch()))) == [("thinking", "a"), CLOCK]
    stream = [chunk({"content": "\n"}), chunk({"content": " x "}), chunk({}, "stop"), DONE]
    assert blocks(replay(follow(stream, watch()))) == [("text", "\n x ")]


# Whole answers.


def answer(message: dict[str, Any] | None, finish: str | None = "stop", **more: Any) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], **more}).encode()


@pytest.mark.parametrize(
    ("message", "finish", "content", "reason"),
    [
        ({"content": "Hi"}, "stop", [("text", "Hi")], "end_turn"),
        ({"content": "Hi"}, None, [("text", "Hi")], "end_turn"),
        ({"content": "Hi"}, "eos_token", [("text", "Hi")], "end_turn"),
        ({"content": "Hi"}, "tool_calls", [("text", "Hi")], "end_turn"),
        ({"content": "Hi"}, "length", [("text", "Hi")], "max_tokens"),
        ({"content": None}, "stop", [], "end_turn"),
        (
            {"content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]},
            "stop",
            [("text", "Hi")],
            "end_turn",
        ),
        ({"content": None, "refusal": "No."}, "stop", [("text", "No.")], "refusal"),
        ({"content": ""}, "content_filter", [], "refusal"),
        ({"content": "\n", **call('{"city":"Qingdao"}', "weather", "a")}, "stop", [QINGDAO], "tool_use"),
        ({"content": None, **call("", "clock", "a")}, "tool_calls", [CLOCK], "tool_use"),
        ({"function_call": {"name": "clock", "arguments": "{}"}}, "function_call", [CLOCK], "tool_use"),
        ({"reasoning_content": "hm", "content": "4"}, "stop", [("thinking", "hm"), ("text", "4")], "end_turn"),
        ({"content": "<think>\nhm</think>\n\n4"}, "stop", [("thinking", "hm"), ("text", "4")], "end_turn"),
        (
            {"content": 'ok <tool_call>{"name":"weather","arguments":{"city":"Jinan"}}</tool_call>'},
            "stop",
            [("text", "ok "), JINAN],
            "tool_use",
        ),
    ],
)
def test_a_whole_answer(message: dict[str, Any], finish: str | None, content: list[Any], reason: str) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}}
    body, spent = whole(answer({"role": "assistant", **message}, finish, usage=usage), "claude-x", ASKED)
    received = receive(body)
    assert (blocks(received), received.stop_reason, received.model) == (content, reason, "claude-x")
    assert spent == Usage(5, 2)
    assert (received.usage.input_tokens, received.usage.cache_read_input_tokens) == (4, 1)


def test_a_whole_answer_names_the_stop_sequence_and_counts_what_nobody_counted() -> None:
    said = json.loads(answer({"content": "word " * 8}))
    said["choices"][0]["stop_reason"] = "END"
    body, spent = whole(json.dumps(said).encode(), "claude-x", ASKED)
    received = receive(body)
    assert (received.stop_reason, received.stop_sequence) == ("stop_sequence", "END")
    assert spent == Usage(11, 10)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", Fault.EMPTY),
        (b"  ", Fault.EMPTY),
        (b"<html>", Fault.MALFORMED),
        (b"{}", Fault.MALFORMED),
        (b'{"choices":[]}', Fault.EMPTY),
        (b'{"choices":[{"index":0}]}', Fault.MALFORMED),
        (b'{"error":{"message":"x","code":"insufficient_quota"}}', Fault.BILLING),
        (b'{"error":"x"}', Fault.SERVER_ERROR),
        (b'{"object":"error","message":"x","code":404}', Fault.MODEL_MISSING),
        (answer(call('{"city":"Qing', "weather", "a"), "tool_calls"), Fault.MALFORMED),
        (answer(call("42", "weather", "a"), "tool_calls"), Fault.MALFORMED),
        (answer({"content": "x"}, "abort"), Fault.SERVER_ERROR),
    ],
)
def test_a_whole_answer_that_is_none(body: bytes, fault: Fault) -> None:
    with pytest.raises(TargetFault) as raised:
        whole(body, "claude-x", ASKED)
    assert raised.value.fault is fault


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error":{"message":"too long","type":"BadRequestError","code":400}}', "too long"),
        (b'{"error":"too long"}', "too long"),
        (b'{"object":"error","message":"too long","code":400}', "too long"),
        (b"<html>", "the upstream rejected the request"),
        (b"[1]", "the upstream rejected the request"),
    ],
)
def test_a_refusal_of_the_request_in_anthropics_words(body: bytes, words: str) -> None:
    said = {"type": "error", "error": {"type": "invalid_request_error", "message": words}}
    assert json.loads(rejection(body)) == said


# What is known of the request.


def test_what_was_asked() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 40_000}}
    result = {"type": "tool_result", "tool_use_id": "a", "content": [picture, {"type": "text", "text": "x" * 400}]}
    body = {
        "messages": [{"role": "user", "content": [picture, result]}, {"role": "user", "content": "y" * 400}],
        "tools": [{"name": "weather"}, {"name": "clock"}],
        "stop_sequences": ["END"],
    }
    known = asked(json.dumps(body).encode())
    assert (known.tools, known.stops) == (ASKED.tools, ASKED.stops)
    assert 2_200 < known.input_tokens < 2_400
    with pytest.raises(InvalidRequest, match="messages"):
        asked(b"{}")


# Properties.

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(max_size=5), JSON, max_size=3)
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<"), min_size=1, max_size=12).filter(
    lambda text: not text.isspace()
)
PLANS = st.lists(
    st.tuples(st.just("text"), WORDS)
    | st.tuples(st.just("thinking"), WORDS)
    | st.tuples(st.just("tool_use"), st.sampled_from(["weather", "clock"]), OBJECTS),
    max_size=5,
)


def merged(plan: list[Any]) -> list[Any]:
    """Neighbours of one kind are one block: the chat wire knows no border between them."""
    made: list[Any] = []
    for each in plan:
        if made and each[0] != "tool_use" and made[-1][0] == each[0]:
            made[-1] = (each[0], made[-1][1] + each[1])
        else:
            made.append(each)
    return made


def cut(data: st.DataObject, text: str) -> list[str]:
    places = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=3)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


def chunks_of(data: st.DataObject, plan: list[Any]) -> list[bytes]:
    """A valid chat stream that says `plan`, in one of the ways that servers say it."""
    indexed, identified, repeated = (data.draw(st.booleans()) for _ in range(3))
    field = data.draw(st.sampled_from(["reasoning", "reasoning_content"]))
    made, number = [chunk({"role": "assistant", "content": data.draw(st.sampled_from(["", None]))})], 0
    for each in plan:
        if each[0] != "tool_use":
            key = "content" if each[0] == "text" else field
            made += [chunk({key: piece}) for piece in cut(data, each[1])]
            continue
        index = number * 2 if indexed else None
        id = f"call_{number}" if identified or indexed is False else None
        pieces = cut(data, json.dumps(each[2], ensure_ascii=data.draw(st.booleans())))
        made.append(chunk(call(pieces[0], each[1], id, index)))
        made += [chunk(call(piece, None, id if repeated else None, index)) for piece in pieces[1:]]
        number += 1
    if data.draw(st.booleans()):
        made.insert(data.draw(st.integers(0, len(made))), b": keepalive\n\n")
    made.append(chunk({}, "tool_calls" if number else "stop"))
    if data.draw(st.booleans()):
        made.append(chunk(usage={"prompt_tokens": 5, "completion_tokens": 6}))
    return [*made, DONE] if data.draw(st.booleans()) else made


@settings(max_examples=150, deadline=None)
@given(PLANS, st.data())
def test_whatever_a_server_says_reaches_the_client(plan: list[Any], data: st.DataObject) -> None:
    stream = b"".join(chunks_of(data, plan))
    size = data.draw(st.integers(1, 400))
    message = replay(follow([stream[at : at + size] for at in range(0, len(stream), size)], watch()))
    assert blocks(message) == merged(plan)
    assert message.stop_reason == ("tool_use" if any(each[0] == "tool_use" for each in plan) else "end_turn")
    ids = [block.id for block in message.content if block.type == "tool_use"]
    assert len(set(ids)) == len(ids)


@settings(max_examples=150, deadline=None)
@given(PLANS, st.data())
def test_a_broken_stream_never_ends_cleanly_in_the_wrong_order(plan: list[Any], data: st.DataObject) -> None:
    """Frames lost, doubled, swapped or torn: a good Message comes out, or a fault."""
    stream = chunks_of(data, plan)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(stream) - 1))
        how = data.draw(st.sampled_from(["lose", "double", "swap", "tear", "error"]))
        if how == "lose" and len(stream) > 1:
            del stream[at]
        elif how == "double":
            stream.insert(at, stream[at])
        elif how == "swap":
            other = data.draw(st.integers(0, len(stream) - 1))
            stream[at], stream[other] = stream[other], stream[at]
        elif how == "tear":
            stream[at] = stream[at][: data.draw(st.integers(0, len(stream[at])))]
        else:
            stream.insert(at, b'data: {"error":{"message":"x"}}\n\n')
    try:
        told = follow(stream, watch())
    except TargetFault:
        return
    message = replay(told)
    assert message.stop_reason is not None
    assert all(isinstance(block.input, dict) for block in message.content if block.type == "tool_use")


@settings(max_examples=60, deadline=None)
@given(PLANS, st.data())
def test_whole_and_streamed_answers_agree(plan: list[Any], data: st.DataObject) -> None:
    texts = "".join(each[1] for each in plan if each[0] == "text")
    thoughts = "".join(each[1] for each in plan if each[0] == "thinking")
    calls = [each for each in plan if each[0] == "tool_use"]
    said = {
        "content": texts or None,
        "reasoning_content": thoughts or None,
        "tool_calls": [
            {
                "id": f"call_{number}",
                "type": "function",
                "function": {"name": each[1], "arguments": json.dumps(each[2])},
            }
            for number, each in enumerate(calls)
        ],
    }
    body, _ = whole(answer(said, "stop"), "claude-x", ASKED)
    received = receive(body)
    ordered = [each for each in plan if each[0] == "thinking"] + [each for each in plan if each[0] == "text"] + calls
    streamed = replay(follow(chunks_of(data, ordered), watch()))
    assert blocks(received) == blocks(streamed) == merged(ordered)
    assert received.stop_reason == streamed.stop_reason


HERMES = st.lists(
    st.text('<>/tool_cahink{}" x\n', max_size=30) | st.sampled_from(["<think>", "<tool_call>", "</tool_call>"])
)


@settings(max_examples=100, deadline=None)
@given(HERMES, st.integers(1, 9))
def test_tags_are_found_wherever_the_text_is_cut(parts: list[str], size: int) -> None:
    said = "".join(parts)
    if not said.strip():
        return
    once = blocks(replay(follow([chunk({"content": said}), chunk({}, "stop")], watch())))
    cut_up = [chunk({"content": said[at : at + size]}) for at in range(0, len(said), size)]
    assert blocks(replay(follow([*cut_up, chunk({}, "stop")], watch()))) == once
    if "<think>" not in said and '{"name":"clock"}' not in said:
        assert once == [("text", said)]
