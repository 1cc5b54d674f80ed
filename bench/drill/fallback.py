"""The local server behind every primary: always well, answers Messages and chat completions, whole and streamed.

Run as a process: `python -m bench.drill.fallback PORT`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import Any

TEXT = "here speaks the local fallback"
Body = dict[str, Any]


def frame(data: Body | str, event: str = "") -> bytes:
    told = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {event}\n" if event else "").encode() + f"data: {told}\n\n".encode()


def message(content: list[Body], stop: str | None) -> Body:
    usage = {"input_tokens": 5, "output_tokens": 5}
    facts = {"id": "msg_local", "type": "message", "role": "assistant", "model": "local", "usage": usage}
    return {**facts, "content": content, "stop_reason": stop, "stop_sequence": None}


def chat(kind: str, **choice: Any) -> Body:
    choices = [{"index": 0, **choice}]
    return {"id": "chatcmpl-local", "object": kind, "created": 1, "model": "local", "choices": choices}


def whole(talks: bool) -> bytes:
    """The answer to a call that does not stream; `talks`: to a Messages call."""
    if talks:
        return json.dumps(message([{"type": "text", "text": TEXT}], "end_turn")).encode()
    said = chat("chat.completion", message={"role": "assistant", "content": TEXT}, finish_reason="stop")
    return json.dumps(said | {"usage": {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}}).encode()


def stream(talks: bool) -> bytes:
    """The same as a stream."""
    if not talks:
        kind = "chat.completion.chunk"
        told = chat(kind, delta={"role": "assistant", "content": TEXT}, finish_reason=None)
        return frame(told) + frame(chat(kind, delta={}, finish_reason="stop")) + frame("[DONE]")
    events: list[Body] = [
        {"type": "message_start", "message": message([], None)},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]
    return b"".join(frame(event, event["type"]) for event in events)


async def body_of(reader: asyncio.StreamReader, head: str) -> bytes:
    """The request's body, of a known length or in chunks."""
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head.split("\r\n"))}
    if "chunked" not in fields.get("transfer-encoding", ""):
        return await reader.readexactly(int(fields.get("content-length", "0")))
    pieces = b""
    while size := int(await reader.readline(), 16):
        pieces += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return pieces


async def serve_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One call: of a server that is to go away, no connection may stay."""
    await serve(reader, writer, keeps=False)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, keeps: bool = True) -> None:
    """One connection, kept until its caller closes it."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            body = await body_of(reader, head)
            talks = "/messages" in head.split("\r\n")[0]
            kind, answer = "application/json", b'{"object": "list", "data": []}'
            if head.startswith("POST"):
                streams = bool(json.loads(body).get("stream"))
                kind = "text/event-stream" if streams else kind
                answer = stream(talks) if streams else whole(talks)
            chunked = kind == "text/event-stream"
            length = "transfer-encoding: chunked" if chunked else f"content-length: {len(answer)}"
            length += "" if keeps else "\r\nconnection: close"
            writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{length}\r\n\r\n".encode())
            writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(answer), answer) if chunked else answer)
            await writer.drain()
            if not keeps:
                break
    writer.close()


async def main(port: int) -> None:
    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
