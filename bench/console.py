"""`python -m bench.console`: what viewers of the overview cost the gateway, in CPU time of its own from /proc.

A real gateway with a cloud of this program's before it, idle and at an even rate of calls; each with nobody who watches
and with 20 viewers of the event stream, who read what they are sent and do nothing. Rounds are interleaved, medians
are shown. The target: 20 viewers cost no more than 1 % of a core. Needs Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

KEY = "sk-bench-" + "k" * 32
EVENTS = "/admin/v1/overview/events"
CONFIG = """
[server]
listen = "127.0.0.1:0"
data = "{data}"
[probes]
interval = 10
[upstreams.cloud]
dialect = "anthropic"
base_url = "{url}"
[upstreams.spare]
dialect = "anthropic"
base_url = "{url}"
location = "local"
[[routes]]
model = "claude-*"
operations = ["text"]
targets = ["cloud", "spare"]
"""
ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "well"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "output_tokens": 3},
}
CALL = {"model": "claude-x", "max_tokens": 8, "messages": [{"role": "user", "content": "well?"}]}


async def _read(reader: asyncio.StreamReader) -> bytes:
    """One message with a content-length; its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: (\d+)", head)
    return await reader.readexactly(int(found[1])) if found else b""


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The cloud: says the same to everybody."""
    body = json.dumps(ANSWER).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        while True:
            await _read(reader)
            writer.write(head + body)
    writer.close()


@contextlib.asynccontextmanager
async def gateway() -> AsyncIterator[tuple[asyncio.subprocess.Process, str, int]]:
    """A process, and where it listens."""
    cloud = await asyncio.start_server(_answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{cloud.sockets[0].getsockname()[1]}"
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "sampan.toml"
        config.write_text(CONFIG.format(data=f"{folder}/data", url=url))
        command = [sys.executable, "-m", "sampan", "serve", "--config", str(config)]
        pipe, none = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        env = {**os.environ, "SAMPAN_ADMIN_KEY": KEY}
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=none, env=env)
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                if line.startswith(b"URL:"):
                    parts = urlsplit(line.decode().removeprefix("URL:").strip())
                    yield process, parts.hostname or "", parts.port or 0
                    break
        finally:
            process.terminate()
            await process.wait()
            cloud.close()


async def _view(host: str, port: int, told: list[int]) -> None:
    """One viewer, who counts the bytes."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {EVENTS} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n\r\n".encode())
    try:
        while data := await reader.read(1 << 16):
            told.append(len(data))
    finally:
        writer.close()


async def _call(host: str, port: int, rate: float) -> None:
    """Calls on one connection, evenly spread."""
    body = json.dumps(CALL).encode()
    head = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-length: {len(body)}\r\n"
    reader, writer = await asyncio.open_connection(host, port)
    due = time.monotonic()
    try:
        while True:
            due += 1 / rate
            writer.write(head.encode() + b"content-type: application/json\r\n\r\n" + body)
            await _read(reader)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    finally:
        writer.close()


def spent(pid: int) -> float:
    """Seconds of CPU time of one process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(viewers: int, rate: float, seconds: float, place: tuple[int, str, int]) -> tuple[float, float]:
    """The share of a core that the gateway took, and the bytes a second that a viewer was sent."""
    pid, host, port = place
    told: list[int] = []
    works = [asyncio.create_task(_view(host, port, told)) for _ in range(viewers)]
    if rate:
        works.append(asyncio.create_task(_call(host, port, rate)))
    await asyncio.sleep(3.0)  # connections and first snapshots are not what is measured
    told.clear()
    began, before = time.monotonic(), spent(pid)
    await asyncio.sleep(seconds)
    took, share = time.monotonic() - began, spent(pid) - before
    for work in works:
        work.cancel()
    await asyncio.gather(*works, return_exceptions=True)
    return share / took, sum(told) / took / max(1, viewers)


async def run(
    seconds: float, rounds: int, viewers: int, rate: float
) -> dict[tuple[float, int], list[tuple[float, float]]]:
    """All rounds, by calls a second and viewers."""
    found: dict[tuple[float, int], list[tuple[float, float]]] = {}
    async with gateway() as (process, host, port):
        await asyncio.sleep(5.0)  # a start settles
        for _ in range(rounds):
            for calls in (0.0, rate):
                for count in (0, viewers):
                    place = process.pid, host, port
                    found.setdefault((calls, count), []).append(await measure(count, calls, seconds, place))
    return found


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.console", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--viewers", type=int, default=20)
    parser.add_argument("--rate", type=float, default=20.0, help="calls a second")
    asked = parser.parse_args(words)
    found = asyncio.run(run(asked.seconds, asked.rounds, asked.viewers, asked.rate))
    table = Table(title="CPU time of the gateway, % of a core (median; least to most)")
    for name in ("calls/s", "viewers", "CPU", "least", "most", "for the viewers", "bytes/s to each"):
        table.add_column(name, justify="right")
    for (calls, count), rounds in found.items():
        shares = [share * 100 for share, _ in rounds]
        alone = median(share * 100 for share, _ in found[calls, 0])
        more = f"{median(shares) - alone:.2f}" if count else ""
        size = f"{median(size for _, size in rounds):,.0f}" if count else ""
        figures = (f"{median(shares):.2f}", f"{min(shares):.2f}", f"{max(shares):.2f}")
        table.add_row(f"{calls:g}", str(count), *figures, more, size)
    Console().print(table)


if __name__ == "__main__":
    main()
