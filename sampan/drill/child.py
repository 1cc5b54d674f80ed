"""The gateway under test: a real `sampan serve` in a process and a folder of its own."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sampan.config import Config
from sampan.drill import toml
from sampan.errors import ConfigError

STOP_SECONDS = 10.0
SHOWN = 2000  # characters of its log that are shown where it did not start


class Child:
    """`async with Child(config, folder) as child:`; it has ended when the block has, however that ends."""

    def __init__(self, config: Config, folder: Path, say: Callable[[str], None] = lambda line: None) -> None:
        """`say` hears the lines it prints while it starts. `config` is written into `folder`, for the owner only."""
        self.key = f"sk-sampan-{secrets.token_urlsafe(24)}"
        self.url = ""
        self._config = config
        self._path = folder / "sampan.toml"
        self._log = folder / "sampan.log"
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Child:
        self._path.touch(mode=0o600)
        self._path.write_text(toml.write(self._config), encoding="utf-8")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SAMPAN_")}
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                # On a leash, so that it ends with the drill however that ends.
                *("-m", "sampan.engines.leash", "--grace", str(STOP_SECONDS - 1), "--"),
                *(sys.executable, "-m", "sampan", "serve", "--config", str(self._path)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=kept | {"SAMPAN_ADMIN_KEY": self.key},
            )
        try:
            await self._wait_ready(self._process)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._end()

    async def records(self) -> tuple[dict[str, Mapping[str, Any]], frozenset[str]]:
        """All records by id as `sampan audit export` writes them, and the ids that stand there more than once."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "sampan", "audit", "export", "--config", str(self._path)),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        found = [json.loads(line) for line in out.splitlines()]
        counted = Counter(record["id"] for record in found)
        return {record["id"]: record for record in found}, frozenset(id for id, times in counted.items() if times > 1)

    async def _wait_ready(self, process: asyncio.subprocess.Process) -> None:
        """Reads what it prints until it is ready. Raises `ConfigError` with its last words where it ends instead."""
        assert process.stdout is not None
        while line := (await process.stdout.readline()).decode().strip():
            if line.startswith("URL:"):
                self.url = line.removeprefix("URL:").strip()
            elif line.startswith("Engine:"):
                self._say(line)
            elif line.startswith("Ready"):
                self._reading = asyncio.create_task(_drain(process.stdout))
                return
        log = self.log.decode(errors="replace")[-SHOWN:].strip()
        raise ConfigError(f"the gateway of the drill did not start: {log}")

    @property
    def log(self) -> bytes:
        """What it wrote to standard error so far."""
        return self._log.read_bytes()

    async def stop(self) -> None:
        """Asks it to end, so that its records are complete."""
        await self._end()

    async def _end(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except (TimeoutError, asyncio.CancelledError):
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if self._reading is not None:
            self._reading.cancel()


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass
