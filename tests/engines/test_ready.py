"""What an engine says of itself while it loads: the shell in this process, asked as a server would ask it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from typing import Any

from sampan.engines.conversation import Conversation
from sampan.engines.options import Options
from sampan.engines.server import Shell

GATE = threading.Event()


class Slow:
    """A converser that is loaded once the gate is open."""

    def __init__(self, *, threads: int) -> None:
        self.stage = "reading the first shard"
        self.cold: Sequence[str] = ["weights"]
        self.working, self.waiting = 3, 4

    def warm_up(self) -> None:
        GATE.wait(60)
        self.cold, self.stage = [], ""

    def hear(self, conversation: Conversation) -> Any:
        raise AssertionError("nobody asks")


async def ready(shell: Shell) -> tuple[int, Any]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": "/ready", "headers": []}
    await shell(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


async def test_ready_says_how_far_it_is_and_what_is_cold() -> None:
    shell = Shell(f"{__name__}:Slow", Options(name="tiny"))
    status, said = await ready(shell)
    assert (status, said) == (503, {"ready": False, "stage": "starting", "model": "tiny"})
    loading = asyncio.ensure_future(asyncio.to_thread(shell.load))
    while "cold" not in said:
        await asyncio.sleep(0)
        status, said = await ready(shell)
    assert (status, said["stage"], said["cold"]) == (503, "reading the first shard", ["weights"])
    GATE.set()
    shell.open(await loading)
    status, said = await ready(shell)
    assert status == 200
    assert said == {"ready": True, "stage": "ready", "model": "tiny", "cold": [], "working": 3, "waiting": 4}
