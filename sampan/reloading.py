"""Reading the configuration again while calls are open: the server's side of it, and the verb's.

sampan reload ──checks the file──▶ SIGHUP to the pid in DATA/sampan.pid ──▶ the server swaps, or keeps the old
              ◀─────────────────── DATA/sampan.reload: what came of it
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from sampan import config
from sampan.config import Config
from sampan.errors import ConfigError
from sampan.storage.db import make_file, make_folder

log = logging.getLogger("sampan.reload")

PID, OUTCOME = "sampan.pid", "sampan.reload"
WAIT = 10.0  # seconds that the verb waits for the server's word
DONE = "ok"


class Reloader:
    """The server's side. `with` it the pid stands in the data folder; each `ask` reads the file once more."""

    def __init__(self, path: Path | None, data: Path, swap: Callable[[Config], Awaitable[None]]) -> None:
        self._path = path
        self._data = data
        self._swap = swap
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    def __enter__(self) -> Reloader:
        make_folder(self._data)
        make_file(self._data / PID)
        (self._data / PID).write_text(str(os.getpid()))
        return self

    def __exit__(self, *failure: object) -> None:
        (self._data / PID).unlink(missing_ok=True)

    def ask(self) -> None:
        """From a signal handler: one at a time, each in its turn."""
        task = asyncio.get_running_loop().create_task(self._reload())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload(self) -> None:
        async with self._turn:
            said = DONE
            try:
                await self._swap(await asyncio.to_thread(config.load, self._path))
                log.info("the configuration was read again and is in force: %s", self._path or "embedded defaults")
            except ConfigError as error:
                said = str(error)
                log.error("the configuration was read again and is not used, the old one stays in force: %s", error)
            except Exception:
                said = "a mistake of ours; the server's log has it, and the old configuration stays in force"
                log.exception("the configuration could not be swapped, the old one stays in force")
            with suppress(OSError):
                make_file(self._data / OUTCOME)
                (self._data / OUTCOME).write_text(said)


def ask_server(data: Path) -> None:
    """The verb's side: tells the server on this data folder, and waits for its word. Raises `ConfigError`."""
    try:
        pid = int((data / PID).read_text())
        (data / OUTCOME).unlink(missing_ok=True)
        os.kill(pid, signal.SIGHUP)
    except (OSError, ValueError):
        raise ConfigError(f"no server runs on the data folder {data}; start one with `sampan serve`") from None
    pause = threading.Event()
    for _ in range(round(WAIT / 0.05)):
        with suppress(OSError):
            said = (data / OUTCOME).read_text()
            if said == DONE:
                return
            if said:
                raise ConfigError(f"the server keeps its old configuration: {said}")
        pause.wait(0.05)
    raise ConfigError(f"the server (pid {pid}) did not answer within {WAIT:g} seconds; its log says more")


def check_swap(before: Config, after: Config) -> None:
    """Raises `ConfigError` for what only a restart can change."""
    fixed = {
        "[server] listen": (before.server.listen, after.server.listen),
        "[server] data": (before.server.data, after.server.data),
        "[server] public_url": (before.server.public_url, after.server.public_url),
        "[server] idle_timeout": (before.server.idle_timeout, after.server.idle_timeout),
        "[server] batch_calls": (before.server.batch_calls, after.server.batch_calls),
        "[server] log_level": (before.server.log_level, after.server.log_level),
        "[storage]": (before.storage, after.storage),
        "[cache] bytes": (before.cache.bytes, after.cache.bytes),
        "[egress]": (before.egress, after.egress),
        "[telemetry]": (_restart_only(before), _restart_only(after)),
        "[engines]": (before.engines, after.engines),
    }
    changed = [name for name, (old, new) in fixed.items() if old != new]
    if changed:
        raise ConfigError(f"{', '.join(changed)}: only a restart can change this; nothing was changed")


def _restart_only(config: Config) -> object:
    return replace(config.telemetry, calls=False)
