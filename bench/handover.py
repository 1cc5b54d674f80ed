"""`python -m bench.handover`: what broken streams cost those who read them.

200 callers at once (the official `anthropic` SDK) stream a text of 20 pieces, a tenth of a second apart, through a real
gateway; first with a cloud that is well, then with one that breaks three calls in ten at a random point: refused with
500, silent before its first event, cut, silent in the middle, an error event. Every text is compared with what was to
be said, and the seconds of the slowest streams with those of the first round. The target: nobody fails, no word is
wrong, and the 99th percentile grows by no more than the configured clocks.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import random
import re
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import anthropic

PIECES = 20
PACE = 0.1  # seconds
TEXT = "".join(f"word {number} of the answer; " for number in range(PIECES))
SIZE = len(TEXT) // PIECES
FAULTS = ("500", "silence", "cut", "stall", "error")
FIRST_EVENT, IDLE = 3.0, 2.0
KEY = "sk-bench-" + "k" * 32
CONFIG = """
[server]
listen = "127.0.0.1:0"
data = "{data}"

[upstreams.cloud]
dialect = "anthropic"
base_url = "{url}/cloud"
probe = "off"
clocks = {{ connect = 1, first_event = {first}, idle = {idle}, total = 120 }}

[upstreams.near]
dialect = "anthropic"
base_url = "{url}/near"
location = "local"
concurrency = 1000
probe = "off"

[breaker]
failures = 1000000

[[routes]]
model = "claude-*"
operations = ["text"]
targets = ["cloud", "near"]
"""


def _event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Both servers: `/cloud` does what the question says, `/near` is always well and goes on from a prefill."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            body = json.loads(await reader.readexactly(int(length[1]) if length else 0))
            if not await _answer(head.startswith(b"POST /cloud"), body["messages"], writer):
                break
    except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        return
    finally:
        writer.close()


async def _answer(is_cloud: bool, turns: Sequence[dict[str, Any]], writer: asyncio.StreamWriter) -> bool:
    fault, _, place = _plain(turns[0]["content"]).partition(" ") if is_cloud else ("well", "", "")
    after = int(place) if place.isdigit() else PIECES + 1
    if fault == "500":
        writer.write(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n")
        return True
    if fault == "silence":
        await asyncio.sleep(60)
        return False
    said = _plain(turns[-1]["content"]) if turns[-1]["role"] == "assistant" else ""
    rest = TEXT[len(said) :]
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
    }
    usage = {"input_tokens": 5, "output_tokens": 1}
    writer.write(_chunk(_event("message_start", message={**message, "usage": usage})))
    writer.write(_chunk(_event("content_block_start", index=0, content_block={"type": "text", "text": ""})))
    for number, start in enumerate(range(0, len(rest), SIZE)):
        if number == after:
            if fault == "stall":
                await asyncio.sleep(60)
            if fault == "error":
                writer.write(_chunk(_event("error", error={"type": "overloaded_error", "message": "Overloaded"})))
            return False
        delta = {"type": "text_delta", "text": rest[start : start + SIZE]}
        writer.write(_chunk(_event("content_block_delta", index=0, delta=delta)))
        await writer.drain()
        await asyncio.sleep(PACE)
    writer.write(_chunk(_event("content_block_stop", index=0)))
    writer.write(_chunk(_event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": PIECES})))
    writer.write(_chunk(_event("message_stop")) + b"0\r\n\r\n")
    return True


def _plain(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _servers(listener: socket.socket) -> None:
    """A process of their own: they must not wait for the callers."""

    async def run() -> None:
        server = await asyncio.start_server(_serve, sock=listener, backlog=1000)
        async with server:
            await server.serve_forever()

    asyncio.run(run())


@contextlib.asynccontextmanager
async def _gateway(url: str) -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sampan.toml"
        data = Path(folder) / "data"
        path.write_text(CONFIG.format(data=data, url=url, first=FIRST_EVENT, idle=IDLE) + "\n[engines]\n")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sampan", "serve", "--config", str(path)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"SAMPAN_ADMIN_KEY": KEY, "PATH": "/usr/bin:/bin"},
        )
        assert process.stdout is not None
        try:
            where = ""
            while not where:
                line = (await process.stdout.readline()).decode()
                if not line:
                    raise SystemExit("the gateway did not start")
                where = line.removeprefix("URL:").strip() if line.startswith("URL:") else ""
            yield where
        finally:
            process.terminate()
            await process.wait()


async def _read(client: anthropic.AsyncAnthropic, words: str) -> tuple[str, float]:
    """What one caller reads, and in how many seconds; a failure is its words."""
    began = time.monotonic()
    try:
        async with client.messages.stream(
            model="claude-x", max_tokens=900, messages=[{"role": "user", "content": words}]
        ) as stream:
            text = "".join([piece async for piece in stream.text_stream])
    except anthropic.AnthropicError as error:
        text = f"failed: {error}"
    return text, time.monotonic() - began


async def _round(client: anthropic.AsyncAnthropic, words: Sequence[str]) -> list[tuple[str, float]]:
    return await asyncio.gather(*(_read(client, each) for each in words))


def _percentile(read: Sequence[tuple[str, float]], hundredth: int) -> float:
    return statistics.quantiles([seconds for _, seconds in read], n=100)[hundredth - 1]


async def _bench(callers: int, seed: int) -> None:
    luck = random.Random(seed)
    sick = [
        f"{luck.choice(FAULTS)} {luck.randrange(1, PIECES)}" if luck.random() < 0.3 else f"well {number}"
        for number in range(callers)
    ]
    listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
    servers = multiprocessing.Process(target=_servers, args=(listener,), daemon=True)
    servers.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with _gateway(url) as where:
        client = anthropic.AsyncAnthropic(api_key=KEY, base_url=where, max_retries=0, timeout=120)
        await _round(client, ["well"] * callers)  # connections made, everything loaded
        well = await _round(client, ["well"] * callers)
        broken = await _round(client, sick)
        await client.close()
    servers.terminate()
    failed = sum(text.startswith("failed") for text, _ in broken)
    wrong = sum(text != TEXT for text, _ in broken) - failed
    hit = sum(not words.startswith("well") for words in sick)
    print(f"{callers} streams at once, {hit} broken: {failed} failed, {wrong} with wrong words")
    for name, read in (("well", well), ("broken", broken)):
        print(f"{name:7} p50 {_percentile(read, 50):.2f} s   p99 {_percentile(read, 99):.2f} s")
    added = _percentile(broken, 99) - _percentile(well, 99)
    print(f"added at the 99th percentile: {added:.2f} s; clocks: first event {FIRST_EVENT:g} s, idle {IDLE:g} s")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.handover", description=__doc__)
    parser.add_argument("--callers", type=int, default=200, help="streams at once")
    parser.add_argument("--seed", type=int, default=1, help="which calls break, and where")
    asked = parser.parse_args()
    asyncio.run(_bench(asked.callers, asked.seed))


if __name__ == "__main__":
    main()
