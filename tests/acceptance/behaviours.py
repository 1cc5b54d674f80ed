"""What a cell says, in both dialects: the good answer, and every bad one that a cloud was seen to give."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from cells import PICTURE64, Exchange

INPUT_TOKENS, OUTPUT_TOKENS = 11, 7


def frame(event: str | None, data: dict[str, Any]) -> bytes:
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(data)}\n\n".encode()


def message(text: str, model: str = "cloud-model") -> dict[str, Any]:
    return {
        "id": "msg_cloud",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
    }


def answer_text(cell: str) -> str:
    """What a healthy cell says: who it is, so that a test sees who really answered."""
    return f"the answer of {cell}"


def opening(cell: str) -> bytes:
    """The frames of a Messages stream before its first content."""
    start = message("", "cloud-model") | {"content": [], "stop_reason": None}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    return frame("message_start", {"type": "message_start", "message": start}) + frame("content_block_start", block)


def words(text: str) -> bytes:
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    return frame("content_block_delta", delta)


def closing() -> bytes:
    delta = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": OUTPUT_TOKENS},
    }
    return (
        frame("content_block_stop", {"type": "content_block_stop", "index": 0})
        + frame("message_delta", delta)
        + frame("message_stop", {"type": "message_stop"})
    )


PICTURE_FACTS = {
    "b64_json": PICTURE64,
    "background": "opaque",
    "created_at": 1,
    "output_format": "png",
    "quality": "low",
    "size": "1024x1024",
}


def picture_event(exchange: Exchange, kind: str) -> bytes:
    name = f"{'image_edit' if exchange.edits else 'image_generation'}.{kind}"
    facts = {"type": name, **PICTURE_FACTS}
    if kind == "partial_image":
        return frame(name, facts | {"partial_image_index": 0})
    usage = {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS, "total_tokens": 18}
    return frame(name, facts | {"usage": usage | {"input_tokens_details": {"image_tokens": 0, "text_tokens": 11}}})


def pictures() -> dict[str, Any]:
    usage = {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS, "total_tokens": 18}
    usage_details = {"input_tokens_details": {"image_tokens": 0, "text_tokens": 11}}
    return {"created": 1, "data": [{"b64_json": PICTURE64}], "usage": usage | usage_details}


def error_body(exchange: Exchange, kind: str, words_: str, code: str | None = None) -> dict[str, Any]:
    """An API error as the dialect's cloud writes it."""
    if exchange.pictures:
        return {"error": {"message": words_, "type": kind, "param": None, "code": code}}
    return {"type": "error", "error": {"type": kind, "message": words_}, "request_id": "req_cloud"}


Behaviour = Callable[[Exchange], Awaitable[None]]


async def healthy(x: Exchange) -> None:
    if x.method == "GET":
        await x.reply(200, {"data": [{"id": f"listed-by-{x.cell.name}", "type": "model"}], "has_more": False})
    elif x.path.split("?")[0].endswith("/count_tokens"):
        await x.reply(200, {"input_tokens": INPUT_TOKENS})
    elif not x.stream:
        await x.reply(200, pictures() if x.pictures else message(answer_text(x.cell.name)), **RATE_HEADERS)
    else:
        await x.begin_stream()
        await x.piece(first_content(x))
        await x.piece(last_content(x))
        await x.end_stream()


RATE_HEADERS = {"anthropic_ratelimit_requests_remaining": "41"}


def first_content(x: Exchange) -> bytes:
    if x.pictures:
        return picture_event(x, "partial_image")
    return opening(x.cell.name) + words(answer_text(x.cell.name))


def last_content(x: Exchange) -> bytes:
    return picture_event(x, "completed") if x.pictures else closing()


def says(status: int, kind: str, words_: str, code: str | None = None, **headers: str) -> Behaviour:
    """An API error in the caller's dialect."""

    async def behave(x: Exchange) -> None:
        await x.reply(status, error_body(x, kind, words_, code), **headers)

    return behave


def page(status: int) -> Behaviour:
    """A page of HTML, as what stands in front of an API sends."""

    async def behave(x: Exchange) -> None:
        await x.reply(status, b"<!doctype html><html><h1>Sorry</h1></html>", "text/html; charset=utf-8")

    return behave


async def empty_account(x: Exchange) -> None:
    if x.pictures:
        words_ = "You exceeded your current quota, please check your plan and billing details."
        await x.reply(429, error_body(x, "insufficient_quota", words_, "insufficient_quota"))
    else:
        words_ = (
            "Your credit balance is too low to access the Anthropic API. "
            "Please go to Plans & Billing to upgrade or purchase credits."
        )
        await x.reply(400, error_body(x, "invalid_request_error", words_))


async def silence(x: Exchange) -> None:
    await x.until_gone()


async def half_head_stall(x: Exchange) -> None:
    await x.send(b"HTTP/1.1 200 OK\r\ncontent-ty")
    await x.until_gone()


async def half_head_close(x: Exchange) -> None:
    await x.send(b"HTTP/1.1 200 OK\r\ncontent-ty")
    x.writer.close()


async def hang_up(x: Exchange) -> None:
    x.writer.close()


async def reset(x: Exchange) -> None:
    x.writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    x.writer.transport.abort()


async def short_body(x: Exchange) -> None:
    """Less than its content-length says; a stream is cut inside its opening frames."""
    data = opening(x.cell.name) if x.stream else json.dumps(message("cut")).encode()
    kind = b"text/event-stream" if x.stream else b"application/json"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (kind, len(data) + 100)
    await x.send(head + (data[:20] if x.pictures else data))
    x.writer.close()


async def unfinished_chunks(x: Exchange) -> None:
    kind = b"text/event-stream" if x.stream else b"application/json"
    await x.send(b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n" % kind)
    await x.piece(b": comment\n\n" if x.stream else b'{"type": "message", "content": [')
    x.writer.close()


async def garbage_chunks(x: Exchange) -> None:
    await x.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello")
    await x.until_gone()


async def malformed(x: Exchange) -> None:
    """Half a JSON document, well framed; in a stream, data that is no JSON."""
    if x.stream:
        await x.begin_stream()
        await x.piece(b'event: message_start\ndata: {"type": "message_start", "mess\n\n')
        await x.until_gone()
    else:
        await x.reply(200, b'{"type": "message", "content": [{"ty')


async def wrong_shape(x: Exchange) -> None:
    """JSON, but none of this dialect's."""
    await x.reply(200, {"choices": [{"text": "hello"}]})


async def empty(x: Exchange) -> None:
    """A 200 with nothing in it."""
    if x.stream:
        await x.begin_stream()
        await x.end_stream()
    else:
        await x.reply(200, b"")


async def error_first(x: Exchange) -> None:
    """A 200 stream that begins with an error."""
    await x.begin_stream()
    body = error_body(x, "overloaded_error", "Overloaded", "overloaded")
    await x.piece(frame("error", body | {"type": "error"}))
    await x.end_stream()


async def opening_stall(x: Exchange) -> None:
    """A stream that says hello and then nothing."""
    await x.begin_stream()
    await x.piece(b": hello\n\n" if x.pictures else opening(x.cell.name))
    await x.until_gone()


async def opening_end(x: Exchange) -> None:
    """A stream that ends cleanly before it said anything."""
    await x.begin_stream()
    await x.piece(b": hello\n\n" if x.pictures else opening(x.cell.name))
    await x.end_stream()


def after(how: Behaviour) -> Behaviour:
    """Begins well, and breaks when the gate opens: a break that comes along with the first content is no break yet."""

    async def behave(x: Exchange) -> None:
        await x.begin_stream()
        await x.piece(first_content(x))
        if await x.until_let():
            await how(x)

    return behave


async def error_frame(x: Exchange) -> None:
    await x.piece(frame("error", error_body(x, "overloaded_error", "Overloaded") | {"type": "error"}))
    await x.end_stream()


async def garbage_frame(x: Exchange) -> None:
    await x.piece(b"event: content_block_delta\ndata: {not json\n\n")
    await x.until_gone()


async def gated(x: Exchange) -> None:
    """Answers only when the gate opens; sees the caller leave before that."""
    if x.method == "GET" or await x.until_let():
        await healthy(x)


async def gated_middle(x: Exchange) -> None:
    """Begins its answer, and ends it only when the gate opens."""
    if x.method == "GET" or not x.stream:
        await healthy(x)
        return
    await x.begin_stream()
    await x.piece(first_content(x))
    if await x.until_let():
        await x.piece(last_content(x))
        await x.end_stream()


async def flood(x: Exchange) -> None:
    """A stream without an end, as fast as it is read; `cell.sent` counts what went out."""
    await x.begin_stream()
    piece = first_content(x) + words("x" * 60_000)
    while True:
        await x.piece(piece)
        x.cell.sent += len(piece)
        piece = words("x" * 60_000)


REJECTION = (
    b'{"type":"error","error":{"type":"invalid_request_error","message":"messages.0: the cloud\'s own  words"}}\n'
)


async def rejects(x: Exchange) -> None:
    """The caller's own mistake, in odd but legal spelling: it must come back byte for byte."""
    await x.reply(400, REJECTION)


async def gated_rejects(x: Exchange) -> None:
    if await x.until_let():
        await rejects(x)


async def rejects_size(x: Exchange) -> None:
    await x.reply(413, error_body(x, "request_too_large", "Request exceeds the maximum allowed number of bytes."))


BEHAVIOURS: dict[str, Behaviour] = {
    "healthy": healthy,
    "500": says(500, "api_error", "Internal server error"),
    "502_html": page(502),
    "503": says(503, "api_error", "Service unavailable"),
    "529": says(529, "overloaded_error", "Overloaded"),
    "429": says(429, "rate_limit_error", "Number of requests has exceeded your limit", retry_after="7"),
    "402": says(402, "billing_error", "Payment required"),
    "401": says(401, "authentication_error", "invalid x-api-key", "invalid_api_key"),
    "403_html": page(403),
    "403_forbidden": says(403, "forbidden", "Request not allowed"),
    "404": says(404, "not_found_error", "model: cloud-model", "model_not_found"),
    "html_200": page(200),
    "empty_account": empty_account,
    "silence": silence,
    "half_head_stall": half_head_stall,
    "half_head_close": half_head_close,
    "hang_up": hang_up,
    "reset": reset,
    "short_body": short_body,
    "unfinished_chunks": unfinished_chunks,
    "garbage_chunks": garbage_chunks,
    "malformed": malformed,
    "wrong_shape": wrong_shape,
    "empty": empty,
    "error_first": error_first,
    "opening_stall": opening_stall,
    "opening_end": opening_end,
    "after_cut": after(hang_up),
    "after_end": after(Exchange.end_stream),  # as HTTP should end, without the dialect's terminal event
    "after_error": after(error_frame),
    "after_stall": after(silence),
    "after_garbage": after(garbage_frame),
    "gated": gated,
    "gated_middle": gated_middle,
    "flood": flood,
    "rejects": rejects,
    "gated_rejects": gated_rejects,
    "rejects_size": rejects_size,
}

# What a probe meets too: the server itself is sick. All else is said only to calls.
SICK = frozenset({"500", "502_html", "503", "silence", "half_head_stall", "half_head_close", "hang_up", "reset"})
