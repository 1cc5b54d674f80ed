"""Streams that break in the middle, over real sockets: the official SDKs read one whole answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from gateway import KEY, QUICK, Gateway, route, upstream

TEXT = "".join(f"{number} 艘小船 and {number * 7} oars\n" for number in range(1, 30))
PIECE = 9  # characters of a delta
STREAMS = 200
NEVER = (10**9, "")
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Talker:
    """A server that says `TEXT` from where a prefill ends, as Messages or as chat, and breaks where it is told to."""

    def __init__(self) -> None:
        self.cuts: dict[str, tuple[int, str]] = {}  # by the user's words: after so many characters, and how
        self.asked: list[dict[str, Any]] = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = asyncio.run_coroutine_threadsafe(self._start(), self.loop).result(10)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def _start(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.server.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A gateway that has what it wants, or was let down on purpose, hangs up.
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.split("content-length: ")[1].split("\r\n")[0]) if "content-length" in head else 0
                body = json.loads(await reader.readexactly(length) or b"{}")
                path = head.split("\r\n")[0]
                self.asked.append(body)
                writer.write(HEAD)
                if not await self._say(body, writer, chat="/chat/" in path, sick="/cloud/" in path):
                    return
                writer.write(b"0\r\n\r\n")

    async def _say(self, body: dict[str, Any], writer: asyncio.StreamWriter, *, chat: bool, sick: bool) -> bool:
        turns = body["messages"]
        words = _plain(turns[0]["content"])
        prefill = _plain(turns[-1]["content"]) if turns[-1]["role"] == "assistant" else ""
        after, how = self.cuts.get(words, NEVER) if sick else NEVER
        said = 0
        for frame, length in _frames(TEXT[len(prefill) :], chat=chat):
            if said >= after:
                if how == "error":
                    _chunk(writer, b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n')
                return False
            _chunk(writer, frame)
            said += length
            await writer.drain()
        return True


def _plain(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


def _frames(text: str, *, chat: bool) -> Iterator[tuple[bytes, int]]:
    pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
    if chat:
        one = {"id": "chatcmpl-x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        for delta in ({"role": "assistant"}, *({"content": piece} for piece in pieces)):
            chunk = {**one, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
            yield b"data: %b\n\n" % json.dumps(chunk).encode(), len(delta.get("content", ""))
        chunk = {**one, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        yield b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(chunk).encode(), 0
        return
    message = {"id": "msg_x", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
    usage = {"input_tokens": 10, "output_tokens": 1}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
            for piece in pieces
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": len(pieces)}},
        {"type": "message_stop"},
    ]
    for event in events:
        data = b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())
        yield data, len(event.get("delta", {}).get("text", ""))


@pytest.fixture(scope="module")
def talker() -> Iterator[Talker]:
    talker = Talker()
    yield talker
    talker.stop()


@pytest.fixture(scope="module")
def house(talker: Talker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    quiet = 'probe = "off"\n'
    config = "".join(
        [
            upstream("cloud", f"{talker.url}/cloud", "anthropic", more=quiet),
            upstream("gpt", f"{talker.url}/cloud", "openai-chat", more=quiet),
            upstream("near", talker.url, "anthropic", location="local", more=quiet),
            upstream("vllm", talker.url, "openai-chat", location="local", more=quiet + 'server = "vllm"\n'),
            route("claude-near", '"text"', "cloud", "near"),
            route("claude-vllm", '"text"', "cloud", "vllm"),
            route("gpt-near", '"text"', "gpt", "near"),
            route("gpt-vllm", '"text"', "gpt", "vllm"),
            QUICK,
        ]
    ).replace("[breaker]\n", "[breaker]\nfailures = 100000\n")
    with Gateway(tmp_path_factory.mktemp("handover"), config) as house:
        yield house


@pytest.mark.parametrize("how", ["cut", "error"])
@pytest.mark.parametrize("model", ["claude-near", "claude-vllm"])
def test_a_claude_client_reads_one_answer(house: Gateway, talker: Talker, model: str, how: str) -> None:
    words = f"{model} {how}"
    talker.cuts[words] = (70, how)
    with house.anthropic().messages.stream(
        model=model, max_tokens=900, messages=[{"role": "user", "content": words}]
    ) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
        call = stream.response.headers["request-id"]
    assert text == TEXT
    assert [block.type for block in message.content] == ["text"]
    if how == "cut":  # an error may come in the same gulp as the first words: then nobody had read a thing
        assert message.id == "msg_x"
    record = house.record(call)
    first, second = ("overloaded" if how == "error" else "cut"), model.removeprefix("claude-")
    assert (record["outcome"], record["attempts"]) == ("ok", f"cloud={first},{second}=ok")
    assert (record["upstream"], record["tier"]) == (second, "local")


@pytest.mark.parametrize("model", ["gpt-near", "gpt-vllm"])
def test_a_chat_client_reads_one_answer(house: Gateway, talker: Talker, model: str) -> None:
    talker.cuts[model] = (70, "cut")
    stream = house.openai().chat.completions.create(
        model=model, stream=True, messages=[{"role": "user", "content": model}]
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT
    assert {chunk.id for chunk in chunks} == {"chatcmpl-x"}
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("model", ["claude-near", "claude-vllm", "gpt-near", "gpt-vllm"])
def test_a_responses_client_reads_one_answer_and_may_go_on_from_it(house: Gateway, talker: Talker, model: str) -> None:
    words = f"{model} responses"
    talker.cuts[words] = (70, "cut")
    client = house.openai()
    with client.responses.stream(model=model, input=words) as stream:
        events = list(stream)
        response = stream.get_final_response()
    assert response.output_text == TEXT
    assert [item.type for item in response.output] == ["message"]
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == TEXT
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert client.responses.retrieve(response.id).output_text == TEXT


async def test_many_streams_that_break_anywhere_lose_no_word(house: Gateway, talker: Talker) -> None:
    """Three in ten of the cloud's answers breaks at a random point, all at once."""
    dice = random.Random(7)
    for number in range(STREAMS):
        if dice.random() < 0.3:
            talker.cuts[f"many {number}"] = (dice.randrange(0, len(TEXT)), dice.choice(["cut", "error"]))
    claude = anthropic.AsyncAnthropic(api_key=KEY, base_url=house.url, max_retries=0)
    gpt = openai.AsyncOpenAI(api_key=KEY, base_url=f"{house.url}/v1", max_retries=0)

    async def ask(number: int) -> str:
        turns: Any = [{"role": "user", "content": f"many {number}"}]
        target = ("near", "vllm")[number % 2]
        if number % 4 < 2:
            async with claude.messages.stream(model=f"claude-{target}", max_tokens=900, messages=turns) as stream:
                return "".join([piece async for piece in stream.text_stream])
        chunks = await gpt.chat.completions.create(model=f"gpt-{target}", stream=True, messages=turns)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])

    async with claude, gpt:
        answers = await asyncio.gather(*map(ask, range(STREAMS)))
    assert [number for number, answer in enumerate(answers) if answer != TEXT] == []
