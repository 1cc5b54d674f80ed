"""`python -m bench.drill`: the same drill for Sampan, LiteLLM and Portkey, and one table of what became of the calls.

The others are installed from their packages into a cache folder, once. Each gateway is one process; the drill runs in
slices side by side, each with a stand-in and a model of its own, so that one which hangs costs minutes, not hours.
Writes beside.md, beside.html and beside.json. Needs the network the first time, and node for Portkey.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.drill import fallback, peers, table
from bench.drill.front import front
from bench.drill.peers import CHAT, MESSAGES, Launch, Slice

STICKY = (
    ("content-drip",),
    ("opening-drip",),
    ("content-stall",),
    ("opening-stall",),
    ("content-malformed",),
    ("slow-head",),
    ("opening-malformed",),
    ("malformed",),
    ("stalled-body",),
    ("silence", "black-hole", "half-head"),
)
"""Faults at which a gateway may hang until the callers' patience ends; the slices of those begin first."""
QUICK = 2  # slices of all others
DEADLINE = 380.0
"""Seconds for one slice: four calls that hang for 90 s each, and the way back. A drip never ends by itself."""
UP = 300.0  # seconds for a gateway to start
PAUSE = 4.0  # seconds between two starts of drills: a machine that is busy starting SDKs measures badly


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.drill", description=__doc__)
    parser.add_argument("--peers", default="litellm,portkey", help="beside Sampan, which always is")
    parser.add_argument("--operation", default="text", choices=["text"], help="what is asked")
    parser.add_argument("--only", action="append", default=[], help="a fault; may be given again")
    parser.add_argument("--together", type=int, default=28, help="slices of one gateway at once")
    parser.add_argument("--deadline", type=float, default=DEADLINE, help="seconds for a slice")
    parser.add_argument("--out", type=Path, default=Path("bench/out/drill"))
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "sampan-bench")
    return parser.parse_args()


def catalogue() -> list[str]:
    """All faults, as `sampan drill --list` names them."""
    command = [sys.executable, "-m", "sampan", "drill", "--list"]
    shown = subprocess.check_output(command, text=True, env={**os.environ, "COLUMNS": "200"})
    return [line.split("│")[1].strip() for line in shown.splitlines() if line.startswith("│")]


def free_ports() -> Iterator[int]:
    """Ports that nobody listens on, below those that the kernel gives to callers, each once."""
    for port in range(21000, 32000):
        with contextlib.suppress(OSError):
            socket.create_server(("127.0.0.1", port)).close()
            yield port


def cut(faults: Sequence[str], dialects: Sequence[str], ports: Iterator[int]) -> list[Slice]:
    """All faults in slices, the sticky ones first and alone."""
    sticky = [tuple(name for name in group if name in faults) for group in STICKY]
    quick = [name for name in faults if name not in {each for group in STICKY for each in group}]
    groups = [group for group in [*sticky, *(tuple(quick[part::QUICK]) for part in range(QUICK))] if group]
    pairs = [(group, dialect) for group in groups for dialect in dialects]
    return [Slice(n, d, g, next(ports), next(ports)) for n, (g, d) in enumerate(pairs)]


@contextlib.asynccontextmanager
async def process(command: Sequence[str], log: Path, **environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process whose output goes to a file, ended with the block."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SAMPAN_", "OPENAI_"))}
    with log.open("wb") as file:
        started = await asyncio.create_subprocess_exec(
            *command, env=kept | environ, stdout=file, stderr=asyncio.subprocess.STDOUT
        )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.terminate()
            try:
                await asyncio.wait_for(started.wait(), 10)
            except TimeoutError:
                started.kill()
                await started.wait()


async def until_up(port: int, path: str) -> None:
    """Returns once this page answers 200; raises `TimeoutError`."""
    async with asyncio.timeout(UP):
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
                line = await reader.readline()
                writer.close()
                if b" 200 " in line:
                    return
            await asyncio.sleep(0.3)


class Bench:
    """One gateway's drill: `await Bench(...).run(slices)` gives the scenes of all slices."""

    def __init__(
        self, name: str, folder: Path, ports: Iterator[int], options: argparse.Namespace, starts: asyncio.Lock
    ) -> None:
        self.name, self.folder, self.ports, self.options = name, folder, ports, options
        self._gate, self._starts = asyncio.Semaphore(options.together), starts

    async def run(self, slices: Sequence[Slice]) -> list[dict[str, Any]]:
        self.folder.mkdir(parents=True, exist_ok=True)
        local, port = next(self.ports), next(self.ports)
        launch = peers.START[self.name](self.folder, self.options.cache, port, local, slices)
        async with contextlib.AsyncExitStack() as stack:
            # Healthy clouds until each slice's drill takes its port: nobody may count a cloud that is not there yet.
            holders = [await asyncio.start_server(fallback.serve_once, "127.0.0.1", each.standin) for each in slices]
            await stack.enter_async_context(await asyncio.start_server(fallback.serve, "127.0.0.1", local))
            log = self.folder / "gateway.log"
            await stack.enter_async_context(process(launch.command, log, **launch.environ))
            await until_up(port, launch.up)
            urls = [await self._enter(stack, each, launch, port) for each in slices]
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._drill(*each)) for each in zip(slices, urls, holders, strict=True)]
            return [scene for task in tasks for scene in task.result()]

    async def _enter(self, stack: contextlib.AsyncExitStack, each: Slice, launch: Launch, port: int) -> str:
        """Where this slice's callers go: the gateway, or the front that adds a header for it."""
        if each.number not in launch.headers:
            return f"http://127.0.0.1:{port}"
        serve = front(port, launch.headers[each.number])
        await stack.enter_async_context(await asyncio.start_server(serve, "127.0.0.1", each.front))
        return f"http://127.0.0.1:{each.front}"

    async def _drill(self, each: Slice, url: str, holder: asyncio.Server) -> list[dict[str, Any]]:
        out = self.folder / str(each.number)
        command = [sys.executable, "-m", "sampan", "drill", "--url", url, "--listen", f"127.0.0.1:{each.standin}"]
        command += ["--model", f"{each.dialect}={each.model}", "--delay", str(peers.DELAY), "--operation", "text"]
        command += ["--out", str(out), *(part for name in each.faults for part in ("--only", name))]
        async with self._gate:
            async with self._starts:
                await asyncio.sleep(PAUSE)
                holder.close()
            log = self.folder / f"{each.number}.log"
            async with process(command, log, SAMPAN_DRILL_KEY=peers.KEY) as drill:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(drill.wait(), self.options.deadline)
                hung = drill.returncode is None
        shown = f"{self.name}: {each.dialect} {' '.join(each.faults)}"
        if (out / "drill.json").exists():
            print(shown, flush=True)
            told: list[dict[str, Any]] = json.loads((out / "drill.json").read_text())["scenes"]
            return told
        print(f"{shown}: {'did not end' if hung else log.read_text(errors='replace')}", flush=True)
        return [{"fault": name, "dialect": each.dialect, "unended": True} for name in each.faults] if hung else []


def fill(scenes: Sequence[dict[str, Any]], forms: dict[str, list[bool]]) -> dict[table.Key, table.Cell]:
    """The cells of a gateway; those of a slice that had to be stopped are hung. `forms` has each fault's forms."""
    found = table.cells([scene for scene in scenes if "unended" not in scene])
    for scene in scenes:
        if "unended" in scene:
            for stream in forms.get(scene["fault"], [True]):
                found[scene["dialect"], scene["fault"], stream] = table.Cell("hung")
    return found


async def drill_all(options: argparse.Namespace, names: Sequence[str], faults: Sequence[str], home: Path) -> Any:
    """The scenes of each gateway; Ctrl-C, or SIGTERM, ends every process that was started."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    ports = free_ports()
    slices = {name: cut(faults, (CHAT, MESSAGES), ports) for name in names}
    starts = asyncio.Lock()
    async with asyncio.TaskGroup() as group:
        tasks = {
            name: group.create_task(Bench(name, home / name, ports, options, starts).run(slices[name]))
            for name in names
        }
    return {name: task.result() for name, task in tasks.items()}


def write(out: Path, names: Sequence[str], versions: dict[str, str], scenes: Any, faults: Sequence[str]) -> None:
    forms: dict[str, list[bool]] = {}
    for scene in [each for name in names for each in scenes[name] if "stream" in each]:
        known = forms.setdefault(scene["fault"], [])
        known += [scene["stream"]] if scene["stream"] not in known else []
    grid = {f"{peers.TITLES[name]} {versions[name].split()[0]}": fill(scenes[name], forms) for name in names}
    parts = [("Summary", table.summary(grid))]
    parts += [(dialect, table.details(grid, faults, dialect)) for dialect in (CHAT, MESSAGES)]
    when = datetime.now().astimezone().strftime("%Y-%m-%d")
    title = f"The drill, gateway beside gateway, {when}"
    out.mkdir(parents=True, exist_ok=True)
    told = {"when": when, "versions": versions, "scenes": scenes}
    (out / "beside.json").write_text(json.dumps(told, ensure_ascii=False, indent=1))
    (out / "beside.html").write_text(table.page(title, parts))
    drawn = "\n".join(f"### {name}\n\n{table.markdown(rows)}" for name, rows in parts)
    (out / "beside.md").write_text(f"{title}: {versions}\n\n{drawn}")
    print(table.markdown(parts[0][1]))


def main() -> int:
    options = arguments()
    names = ["sampan", *(name for name in options.peers.split(",") if name)]
    unknown = [name for name in names if name not in peers.START]
    if unknown:
        raise SystemExit(f"--peers: {unknown[0]} is not one of {', '.join(peers.START)}")
    options.cache.mkdir(parents=True, exist_ok=True)
    versions = {name: peers.INSTALL[name](options.cache) for name in names}
    for name, version in versions.items():
        print(f"{peers.TITLES[name]}: {version}", flush=True)
    faults = [name for name in catalogue() if not options.only or name in options.only]
    home = Path(tempfile.mkdtemp(prefix="sampan-bench-drill-"))
    try:
        scenes = asyncio.run(drill_all(options, names, faults, home))
        write(options.out, names, versions, scenes, faults)
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("stopped", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
