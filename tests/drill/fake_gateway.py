"""A gateway of some lines that fails over as it should, or sins in one way: the drill must tell which."""

from __future__ import annotations

import asyncio
import json
import time

from sampan.core import Dialect
from sampan.drill.script import Part, error_frame, whole

END = b"0\r\n\r\n"
STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
)
ANTHROPIC = Part(Dialect.ANTHROPIC)
LOCAL = "the answer of a model at home"
FAILURES, DELAY, PATIENCE = 3, 0.3, 0.4


class FakeGateway:
    """`async with FakeGateway(upstream, "no-breaker") as gateway:`; speaks Messages at `gateway.url`, texts only.

    Sins: `no-failover`, `no-breaker`, `never-back`, `clean-end` (half an answer ends as if it were whole), `silent-cut`
    (it ends without a word), `hangs`, `local-first` (never asks the cloud). "" is none.
    """

    def __init__(self, upstream: str, sin: str = "") -> None:
        self._host, _, port = upstream.removeprefix("http://").partition(":")
        self._port = int(port)
        self._sin = sin
        self._failed = 0
        self._opened = float("-inf")
        self._started = False
        self.url = ""

    async def __aenter__(self) -> FakeGateway:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *failure: object) -> None:
        self._server.close()

    @property
    def _open(self) -> bool:
        if self._sin == "local-first":
            return True
        if self._failed < FAILURES or self._sin == "no-breaker":
            return False
        return self._sin == "never-back" or time.monotonic() < self._opened + DELAY

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        body = await reader.readexactly(int(length.partition(b":")[2]))
        stream = bool(json.loads(body).get("stream"))
        self._started = False
        try:
            if self._open:
                self._answer(writer, stream)
            else:
                await asyncio.wait_for(self._forward(head + body, writer, stream), PATIENCE)
                self._failed = 0
        except (OSError, EOFError, TimeoutError):
            self._failed += 1
            self._opened = time.monotonic()
            await self._failover(writer, stream)
        writer.close()

    async def _failover(self, writer: asyncio.StreamWriter, stream: bool) -> None:
        if self._sin == "hangs":
            await asyncio.Event().wait()
        elif self._started:
            ends = {"clean-end": END, "silent-cut": b""}
            frame = error_frame(ANTHROPIC)
            writer.write(ends.get(self._sin, b"%x\r\n%b\r\n" % (len(frame), frame) + END))
        elif self._sin == "no-failover":
            writer.write(b"HTTP/1.1 502 Bad\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        else:
            self._answer(writer, stream)

    def _answer(self, writer: asyncio.StreamWriter, stream: bool) -> None:
        message = whole(ANTHROPIC) | {"content": [{"type": "text", "text": LOCAL}]}
        if not stream:
            data = json.dumps(message).encode()
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n"
            writer.write(head + b"content-length: %d\r\n\r\n" % len(data) + data)
            return
        events = (
            {"type": "message_start", "message": message | {"content": [], "stop_reason": None}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": LOCAL}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
            {"type": "message_stop"},
        )
        frames = b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)
        writer.write(STREAM + b"%x\r\n%b\r\n" % (len(frames), frames) + END)

    async def _forward(self, request: bytes, writer: asyncio.StreamWriter, stream: bool) -> None:
        """Hands a good answer on; raises for any other. `_started` says whether some of it went out."""
        up, down = await asyncio.open_connection(self._host, self._port)
        try:
            down.write(request)
            head = await up.readuntil(b"\r\n\r\n")
            if b" 200 " not in head[:16]:
                raise EOFError
            seen = b""
            if stream:
                while not seen.endswith(END):
                    data = await up.read(65536)
                    if not data:
                        raise EOFError
                    writer.write(data if self._started else STREAM + data)
                    self._started = True
                    seen += data
            else:
                length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
                writer.write(
                    head.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n") + await up.readexactly(int(length))
                )
        finally:
            down.close()
