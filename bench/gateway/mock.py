"""A cloud that answers at once: the same bytes for every call, streamed where the body asks for a stream.

Run as a process: `python -m bench.gateway.mock PORT EVENTS PACE`. PACE is milliseconds between two events; 0 sends all
of them in separate writes without waiting.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping

import uvloop

TEXT = "The harbour was quiet and the boats were back before the storm. " * 12
MESSAGE = {
    "id": "msg_bench",
    "type": "message",
    "role": "assistant",
    "model": "claude-bench",
    "content": [{"type": "text", "text": TEXT}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 210, "output_tokens": 180},
}
BODY = json.dumps(MESSAGE).encode()
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def frame(event: Mapping[str, object]) -> bytes:
    """One SSE frame in one HTTP chunk."""
    data = b"event: %s\ndata: %s\n\n" % (str(event["type"]).encode(), json.dumps(event).encode())
    return b"%x\r\n%s\r\n" % (len(data), data)


def stream(events: int) -> list[bytes]:
    """The chunks of a stream of `events` events, the last with the end of the answer."""
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " harbour and boats"}}
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": events}}
    chunks = [frame({"type": "message_start", "message": {**MESSAGE, "content": []}}), frame(start)]
    chunks += [frame(delta)] * (events - 5)
    chunks += [frame({"type": "content_block_stop", "index": 0}), frame(end)]
    return [*chunks, frame({"type": "message_stop"}) + b"0\r\n\r\n"]


class Mock(asyncio.Protocol):
    """Reads requests by their length and answers them one after another."""

    def __init__(self, chunks: list[bytes], pace: float) -> None:
        self._chunks = chunks
        self._pace = pace
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]  # uvloop registers none

    def data_received(self, data: bytes) -> None:
        self._data += data
        while True:
            head = self._data.find(b"\r\n\r\n")
            if head < 0:
                return
            lower = self._data[:head].lower()
            at = lower.find(b"content-length:")
            length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._data) < head + 4 + length:
                return
            body = self._data[head + 4 : head + 4 + length]
            self._data = self._data[head + 4 + length :]
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        if b'"stream":true' not in body:
            self._transport.write(WHOLE)
            return
        self._transport.write(HEAD)
        self._next(0)

    def _next(self, index: int) -> None:
        self._transport.write(self._chunks[index])
        if index + 1 < len(self._chunks):
            loop = asyncio.get_running_loop()
            if self._pace:
                loop.call_later(self._pace, self._next, index + 1)
            else:
                loop.call_soon(self._next, index + 1)


async def main(port: int, events: int, pace: float) -> None:
    chunks = stream(events)
    server = await asyncio.get_running_loop().create_server(lambda: Mock(chunks, pace), "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000))
