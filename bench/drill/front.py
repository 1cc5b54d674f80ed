"""A port before a gateway that adds one header to every request, and passes all other bytes as they come.

Portkey takes its configuration in a header that the callers of a drill do not send. Connections end on both sides
together: what breaks behind the front breaks before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

BROKEN = (ConnectionError, asyncio.IncompleteReadError)


def front(port: int, header: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """A connection handler for `asyncio.start_server`. `header` is a line without its end; `port` is on loopback."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, ahead = await asyncio.open_connection("127.0.0.1", port)
        asks = asyncio.ensure_future(_ask(reader, ahead, header))
        answers = asyncio.ensure_future(_answer(behind, writer))
        try:
            await asyncio.wait((asks, answers), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (asks, answers):
                task.cancel()
            await asyncio.wait((asks, answers))
            for side in (ahead, writer):
                side.close()

    return serve


async def _ask(reader: asyncio.StreamReader, ahead: asyncio.StreamWriter, header: str) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            ahead.write(head[:-2] + header.encode() + b"\r\n\r\n" + await reader.readexactly(_length(head)))
            await ahead.drain()
    except BROKEN:
        return


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _answer(behind: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await behind.read(65536):
            writer.write(data)
            await writer.drain()
    except BROKEN:
        writer.transport.abort()
