"""Hands calls on to the real cloud while a double is well: only where `--real` asked for it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from sampan.drill.exchange import Exchange

DROPPED = frozenset({"host", "connection", "content-length", "transfer-encoding", "expect"})
CONNECT_SECONDS = 10.0


class Relay:
    """Speaks plain HTTP/1.1 and closes after each answer; knows no proxy."""

    def __init__(self, origins: Mapping[str, str]) -> None:
        """`origins` are the real base URLs by the name of the double."""
        self._origins = origins

    async def __call__(self, x: Exchange) -> None:
        """Sends the request on and the answer back as it comes. Raises `OSError` where the cloud is out of reach."""
        parts = urlsplit(self._origins[x.double.name])
        secure = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if secure else 80)
        context = ssl.create_default_context() if secure else None
        opening = asyncio.open_connection(host, port, ssl=context)
        reader, writer = await asyncio.wait_for(opening, CONNECT_SECONDS)
        try:
            prefix = parts.path.rstrip("/").removesuffix("/v1")
            lines = [f"{x.method} {prefix}{x.path} HTTP/1.1", f"host: {parts.netloc.rpartition('@')[2]}"]
            lines += [f"{name}: {value}" for name, value in x.headers.items() if name not in DROPPED]
            lines += ["connection: close", f"content-length: {len(x.body)}"]
            writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + x.body)
            await writer.drain()
            await _hand_on(reader, x)
            x.double.whole += 1
        finally:
            writer.close()
            x.hang_up()


async def _hand_on(reader: asyncio.StreamReader, x: Exchange) -> None:
    """The answer, byte for byte, as far as its head says that it goes: not every server closes when it is asked to."""
    head = await reader.readuntil(b"\r\n\r\n")
    await x.send(head)
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        size = -1
        while size:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            await x.send(line + await reader.readexactly(size + 2))
    elif b"content-length" in fields:
        left = int(fields[b"content-length"])
        while left:
            data = await reader.read(min(left, 65536))
            if not data:
                raise ConnectionResetError("the cloud closed inside its answer")
            await x.send(data)
            left -= len(data)
    else:
        while data := await reader.read(65536):
            await x.send(data)
