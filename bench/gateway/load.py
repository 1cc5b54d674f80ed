"""The load: keep-alive connections that ask again as soon as they are answered, or at a given rate.

Run as a process: `python -m bench.gateway.load PORT KEY {json|stream} CALLS CONNECTIONS RATE`; RATE 0 is as fast as it
goes. Prints one JSON object: calls, seconds, p50/p99 of the whole call and of the first byte of the body, in ms.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from statistics import median, quantiles

import uvloop

PROMPT = "What does the letter say about the boats? " * 20


def request(key: str, streams: bool) -> bytes:
    """A Messages call of about 1 KB."""
    body = {"model": "claude-bench", "max_tokens": 512, "messages": [{"role": "user", "content": PROMPT}]}
    data = json.dumps({**body, "stream": True} if streams else body, separators=(",", ":")).encode()
    head = f"POST /v1/messages HTTP/1.1\r\nhost: bench\r\nx-api-key: {key}\r\nanthropic-version: 2023-06-01\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data


class Caller(asyncio.Protocol):
    """One connection; `ask` sends a call and waits for the end of its answer."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._done: asyncio.Future[float] | None = None
        self._first = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]  # uvloop registers none

    def connection_lost(self, error: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(error or ConnectionError("closed"))

    def data_received(self, data: bytes) -> None:
        if not self._first:
            self._first = time.perf_counter()
        self._data += data
        if self._ended() and self._done is not None and not self._done.done():
            self._done.set_result(time.perf_counter())

    def _ended(self) -> bool:
        if self._data.endswith(b"0\r\n\r\n") and b"chunked" in self._data[:600].lower():
            return True
        head = self._data.find(b"\r\n\r\n")
        if head < 0:
            return False
        lower = bytes(self._data[:head]).lower()
        at = lower.find(b"content-length:")
        return at >= 0 and len(self._data) >= head + 4 + int(lower[at + 15 :].split(b"\r\n", 1)[0])

    async def ask(self, data: bytes) -> tuple[float, float]:
        """Seconds to the first byte and to the end."""
        self._data.clear()
        self._first = 0.0
        self._done = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        self._transport.write(data)
        ended = await self._done
        if not self._data.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(bytes(self._data[:300]))
        return self._first - began, ended - began


async def main(port: int, data: bytes, calls: int, connections: int, rate: float) -> None:
    loop = asyncio.get_running_loop()
    callers = [(await loop.create_connection(Caller, "127.0.0.1", port))[1] for _ in range(connections)]
    times: list[tuple[float, float]] = []
    left = calls

    async def work(caller: Caller) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            times.append(await caller.ask(data))

    async def paced() -> None:
        free: asyncio.LifoQueue[Caller] = asyncio.LifoQueue()
        for caller in callers:
            free.put_nowait(caller)
        tasks = []

        async def one() -> None:
            caller = await free.get()
            times.append(await caller.ask(data))
            free.put_nowait(caller)

        start = loop.time()
        for index in range(calls):
            await asyncio.sleep(max(0.0, start + index / rate - loop.time()))
            tasks.append(asyncio.create_task(one()))
        await asyncio.gather(*tasks)

    began = time.perf_counter()
    await (paced() if rate else asyncio.gather(*map(work, callers)))
    seconds = time.perf_counter() - began
    first, whole = ([1000 * each[side] for each in times] for side in (0, 1))
    said = {"calls": len(times), "seconds": seconds}
    for name, values in (("first", first), ("whole", whole)):
        said[f"{name}_p50"], said[f"{name}_p99"] = median(values), quantiles(values, n=100)[98]
    print(json.dumps(said))


if __name__ == "__main__":
    port, key, kind, calls, connections, rate = sys.argv[1:]
    uvloop.run(main(int(port), request(key, kind == "stream"), int(calls), int(connections), float(rate)))
