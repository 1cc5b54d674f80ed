"""The two kinds of sinks: syslog (RFC 5424 over UDP, TCP or TLS) and webhooks."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import hmac
import json
import socket
import ssl
import struct
import termios
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from sampan.governance.audit_export import as_dict
from sampan.storage.chain import Entry

Post = Callable[[str, Mapping[str, str], bytes], Awaitable[int]]
"""POSTs a body to a URL and returns the status; raises `OSError` where nobody answers."""

Connect = Callable[..., Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
"""As `asyncio.open_connection`."""

SECONDS = 10.0
"""For a batch to be taken by the other side."""

_FACILITY = 13  # log audit
_SEVERITY = {"ok": 6, "left": 6, "refused": 5, "rejected": 5, "interrupted": 4, "failed": 4}
_PORTS = {"syslog+udp": 514, "syslog+tcp": 601, "syslog+tls": 6514}
_SLICES = 1000


def syslog_message(entry: Entry, host: str) -> bytes:
    """A record as RFC 5424 has it, its JSON as the message: in ASCII, so that no byte order mark is needed."""
    record = entry.record
    priority = _FACILITY * 8 + _SEVERITY.get(record.outcome, 5)
    when = datetime.fromtimestamp(record.started, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = f"<{priority}>1 {when} {host} sampan - {record.outcome or '-'} - "
    return head.encode("ascii", "replace") + json.dumps(as_dict(entry)).encode()


class Syslog:
    """One connection, opened when there is something to say. Octet counting (RFC 6587, RFC 5425) over TCP and TLS."""

    acknowledges = False

    def __init__(self, url: str, ca: str = "", connect: Connect = asyncio.open_connection) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._kind = parts.scheme
        self._port = parts.port or _PORTS[parts.scheme]
        self._ca = ca
        self._connect = connect
        self._own = "".join(sign for sign in socket.gethostname() if "!" <= sign <= "~")[:255] or "-"
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._datagrams: _Datagrams | None = None

    async def send(self, entries: Sequence[Entry]) -> None:
        messages = [syslog_message(entry, self._own) for entry in entries]
        if self._kind == "syslog+udp":
            await self._send_datagrams(messages)
            return
        await self.check()
        async with asyncio.timeout(SECONDS):  # its TimeoutError is an OSError
            if self._stream is None:
                self._stream = await self._connect(self._host, self._port, ssl=self._tls())
            _, writer = self._stream
            writer.write(b"".join(b"%d %b" % (len(message), message) for message in messages))
            await writer.drain()
            for _ in range(_SLICES):  # at its end the deadline has passed
                if not _unacknowledged(writer):
                    break
                await asyncio.sleep(SECONDS / _SLICES)
        await self.check()

    async def check(self) -> None:
        if self._datagrams is not None and self._datagrams.error is not None:
            raise self._datagrams.error
        if self._stream is not None and (self._stream[0].at_eof() or self._stream[1].is_closing()):
            raise ConnectionResetError("the connection was closed by the other side")

    async def aclose(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream[1].close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await stream[1].wait_closed()
        datagrams, self._datagrams = self._datagrams, None
        if datagrams is not None and datagrams.transport is not None:
            datagrams.transport.close()

    def _tls(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=self._ca or None) if self._kind == "syslog+tls" else None

    async def _send_datagrams(self, messages: Sequence[bytes]) -> None:
        if self._datagrams is None:
            loop = asyncio.get_running_loop()
            _, self._datagrams = await loop.create_datagram_endpoint(_Datagrams, remote_addr=(self._host, self._port))
        transport = self._datagrams.transport
        for message in messages:
            if transport is not None:
                transport.sendto(message)
        await asyncio.sleep(0)
        await self.check()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.transport: asyncio.DatagramTransport | None = None
        self.error: OSError | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def error_received(self, exc: Exception) -> None:
        self.error = exc if isinstance(exc, OSError) else OSError(str(exc))


def _unacknowledged(writer: asyncio.StreamWriter) -> int:
    """Bytes that the other side's kernel has not acknowledged yet (SIOCOUTQ, tcp(7))."""
    found = writer.get_extra_info("socket")
    if found is None or writer.is_closing():
        raise ConnectionResetError("the connection was closed")
    held: int = struct.unpack("i", fcntl.ioctl(found.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
    return held


class Webhook:
    """POSTs batches as JSON: `{"node", "first", "last", "records"}`. Any 2xx takes a batch; all else is tried again.

    `x-sampan-signature` is `v1=` and HMAC-SHA256 (RFC 2104), in hexadecimal digits, of `x-sampan-timestamp`, a full
    stop and the body, under the shared secret.
    """

    acknowledges = True

    def __init__(self, url: str, secret: str, post: Post, wall: Callable[[], float] = time.time) -> None:
        self._url = url
        self._secret = secret.encode()
        self._post = post
        self._wall = wall

    async def send(self, entries: Sequence[Entry]) -> None:
        first, last = entries[0], entries[-1]
        batch = {
            "node": first.node,
            "first": first.number,
            "last": last.number,
            "records": [as_dict(entry) for entry in entries],
        }
        body = json.dumps(batch, ensure_ascii=False).encode()
        timestamp = str(int(self._wall()))
        signature = hmac.new(self._secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers = {
            "content-type": "application/json",
            "x-sampan-batch": f"{first.node}:{first.number}-{last.number}",
            "x-sampan-timestamp": timestamp,
            "x-sampan-signature": f"v1={signature}",
        }
        async with asyncio.timeout(SECONDS):
            status = await self._post(self._url, headers, body)
        if not 200 <= status < 300:
            raise ConnectionError(f"it answered {status}")

    async def check(self) -> None:
        return

    async def aclose(self) -> None:
        return
