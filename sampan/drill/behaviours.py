"""How a stand-in answers when it is well, and how under each trouble of the catalogue."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Awaitable, Callable

from sampan.drill import script
from sampan.drill.exchange import Exchange

DRIP = 0.2
"""Seconds between two drops: below any idle clock, so that only a deadline or a least rate ends it."""

Behaviour = Callable[[Exchange], Awaitable[None]]
HTML = "text/html; charset=utf-8"
PAGE = b"<!doctype html><html><h1>Sorry</h1></html>"
HALF_HEAD = b"HTTP/1.1 200 OK\r\ncontent-ty"
NO_CREDIT = (
    "Your credit balance is too low to access the Anthropic API. "
    "Please go to Plans & Billing to upgrade or purchase credits."
)


async def healthy(x: Exchange) -> None:
    """The whole answer, or the whole stream."""
    if not x.asks:
        await x.reply(200, {"object": "list", "data": [{"id": "stand-in", "object": "model", "type": "model"}]})
        return
    if x.path.endswith("/count_tokens"):
        await x.reply(200, {"input_tokens": script.INPUT_TOKENS})
    elif not x.stream:
        await x.reply(200, script.whole(x.part))
    else:
        await x.begin_stream()
        await x.piece(script.opening(x.part) + script.first(x.part))
        await x.piece(script.rest(x.part))
        await x.end_stream()
    x.double.whole += 1


def says(status: int, kind: str, message: str, code: str | None = None, more: str = "") -> Behaviour:
    """An API error in the caller's dialect."""

    async def behave(x: Exchange) -> None:
        await x.reply(status, script.error(x.part, kind, message, code), more=more)

    return behave


def page(status: int) -> Behaviour:
    """A page of HTML, as what stands in front of an API sends."""

    async def behave(x: Exchange) -> None:
        await x.reply(status, PAGE, HTML)

    return behave


async def silence(x: Exchange) -> None:
    await x.until_gone()


async def half_head(x: Exchange) -> None:
    await x.send(HALF_HEAD)
    await x.until_gone()


async def half_head_cut(x: Exchange) -> None:
    await x.send(HALF_HEAD)
    x.hang_up()


async def slow_head(x: Exchange) -> None:
    await x.send(b"HTTP/1.1 200 OK\r\nx-drip: ")
    await x.drip(b"a", DRIP)


async def hang_up(x: Exchange) -> None:
    x.hang_up()


async def reset(x: Exchange) -> None:
    sock = x.writer.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    x.writer.transport.abort()


async def empty(x: Exchange) -> None:
    if x.stream:
        await x.begin_stream()
        await x.end_stream()
    else:
        await x.reply(200, b"")


async def malformed(x: Exchange) -> None:
    if x.stream:
        await x.begin_stream()
        await x.piece(script.broken_frame(x.part))
        await x.until_gone()
    else:
        data = json.dumps(script.whole(x.part)).encode()
        await x.reply(200, data[: len(data) // 2])


async def cut_body(x: Exchange) -> None:
    """Less than the head promised; a stream is cut inside its opening."""
    await _half_body(x)
    x.hang_up()


async def stalled_body(x: Exchange) -> None:
    await _half_body(x)
    await x.until_gone()


async def _half_body(x: Exchange) -> None:
    if x.stream:
        await x.begin_stream()
        await x.piece(script.opening(x.part)[:20])
        return
    data = json.dumps(script.whole(x.part)).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    await x.send(head.encode() + data[: len(data) // 2])


async def stale(x: Exchange) -> None:
    """Well on a new connection; one that was kept is closed in the moment of its next use, as if idle for too long."""
    if x.used:
        x.hang_up()
    else:
        await healthy(x)


async def error_first(x: Exchange) -> None:
    await x.begin_stream()
    await x.piece(script.error_frame(x.part))
    await x.end_stream()


def opening(how: Behaviour) -> Behaviour:
    """Breaks behind the frames that come before content."""

    async def behave(x: Exchange) -> None:
        await x.begin_stream()
        await x.piece(script.opening(x.part))
        await how(x)

    return behave


def content(how: Behaviour) -> Behaviour:
    """Breaks in the middle of its content, once the caller has the first half: before that it is no break yet."""

    async def behave(x: Exchange) -> None:
        await x.begin_stream()
        await x.piece(script.opening(x.part) + script.first(x.part))
        if await x.until_let():
            await how(x)

    return behave


async def drip_beats(x: Exchange) -> None:
    await x.drip_pieces(script.beat(x.part), DRIP)


async def drip_content(x: Exchange) -> None:
    await x.drip_pieces(script.drop(x.part), DRIP)


async def break_frame(x: Exchange) -> None:
    await x.piece(script.broken_frame(x.part))
    await x.until_gone()


async def error_event(x: Exchange) -> None:
    await x.piece(script.error_frame(x.part))
    await x.end_stream()


BEHAVIOURS: dict[str, Behaviour] = {
    "silence": silence,
    "half-head": half_head,
    "half-head-cut": half_head_cut,
    "slow-head": slow_head,
    "hang-up": hang_up,
    "reset": reset,
    "500": says(500, "api_error", "Internal server error"),
    "502-html": page(502),
    "503": says(503, "api_error", "Service unavailable"),
    "529": says(529, "overloaded_error", "Overloaded"),
    "429": says(429, "rate_limit_error", "This request would exceed your rate limit", more="retry-after: 7\r\n"),
    "402": says(402, "billing_error", "Payment required"),
    "no-credit": says(400, "invalid_request_error", NO_CREDIT),
    "401": says(401, "authentication_error", "invalid x-api-key", "invalid_api_key"),
    "403-html": page(403),
    "404-model": says(404, "not_found_error", "model: stand-in", "model_not_found"),
    "html-200": page(200),
    "empty": empty,
    "malformed": malformed,
    "cut-body": cut_body,
    "stalled-body": stalled_body,
    "stale": stale,
    "error-first": error_first,
    "opening-cut": opening(hang_up),
    "opening-end": opening(Exchange.end_stream),
    "opening-stall": opening(silence),
    "opening-drip": opening(drip_beats),
    "opening-malformed": opening(break_frame),
    "content-cut": content(hang_up),
    "content-end": content(Exchange.end_stream),
    "content-stall": content(silence),
    "content-drip": content(drip_content),
    "content-malformed": content(break_frame),
    "content-error": content(error_event),
}
"""By the name of the trouble; those of a whole port are played by the port."""
