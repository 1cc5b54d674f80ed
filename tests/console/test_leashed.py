"""A program on the leash: what it tells is read, it is stopped politely, and it ends with whoever started it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from stubs import program

from sampan.console import leashed
from sampan.errors import CallError

TALKS = """
import json, os, sys
print(json.dumps({"event": "plan", "key": os.environ.get("SAMPAN_ADMIN_KEY", "none"), "nice": os.nice(0)}))
print("no JSON")
print("[1]")
print("sampan: out of luck", file=sys.stderr)
sys.exit(3)
"""
WAITS = """
import json, os, signal, sys, threading
print(json.dumps({"event": "here", "pid": os.getpid()}), flush=True)
threading.Event().wait()
"""
STARTS = """
import asyncio, os, sys
from sampan.console import leashed

async def main():
    process = await leashed.start(["waits"], os.environ)
    async for event in process.events():
        print(event["pid"], flush=True)

asyncio.run(main())
"""


async def everything(process: leashed.Leashed) -> list[Any]:
    return [event async for event in process.events()]


async def test_what_it_tells_and_how_it_ended(tmp_path: Path) -> None:
    environ = {**program(tmp_path, "talks", TALKS), "SAMPAN_ADMIN_KEY": "secret"}
    process = await leashed.start(["talks"], environ)
    [told] = await everything(process)
    assert told["key"] == "none", "the key of the gateway is none of its business"
    assert told["nice"] >= os.nice(0)
    assert await process.ended() == 3
    assert process.last_words == "out of luck" and not process.stopped


async def test_it_is_stopped_politely(tmp_path: Path) -> None:
    process = await leashed.start(["waits"], program(tmp_path, "waits", WAITS))
    async for _ in process.events():
        process.stop()
    assert await process.ended() == 128 + signal.SIGTERM
    assert process.stopped
    process.stop()  # once more does no harm


async def test_where_nothing_can_be_started_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(CallError, match="no process can be started"):
        await leashed.start(["talks"], {})


def test_it_ends_with_whoever_started_it_however_that_ends(tmp_path: Path) -> None:
    program(tmp_path, "starts", STARTS)
    environ = {**program(tmp_path, "waits", WAITS), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "starts"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as starter:
        assert starter.stdout is not None
        handle = os.pidfd_open(int(starter.stdout.readline()))
        starter.kill()
    try:
        assert select.select([handle], [], [], 60)[0], "it still runs"
    finally:
        os.close(handle)
