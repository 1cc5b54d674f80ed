"""A real chat server with a model of random numbers: what stands behind the gateway on a machine without a GPU."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import tiny_model
from gateway import SOON, environment

SCRIPT = Path(__file__).with_name("tiny_server.py")


class TinyServer:
    """`with TinyServer(folder) as server:` answers at `server.url`; with `use="embed"` it makes vectors instead."""

    def __init__(self, folder: Path, use: Literal["talk", "embed"] = "talk") -> None:
        self._model = folder / "tiny.gguf"
        self._errors = folder / f"tiny-{use}.log"
        self._use = use
        self.url = ""

    def __enter__(self) -> TinyServer:
        tiny_model.write(self._model)
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, str(SCRIPT), str(self._model), self._use],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment(),
            )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()  # an empty line: it ended, and says why in its log
        assert self.url, f"the chat server ended: {self.log}"
        assert self.get("/health") == {"status": "ok"}
        return self

    def __exit__(self, *failure: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(SOON)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(SOON)

    @property
    def log(self) -> str:
        return self._errors.read_text()

    def get(self, path: str) -> Any:
        """What it says of itself."""
        return json.loads(self._ask("GET", path))

    def post(self, path: str, body: dict[str, Any]) -> bytes:
        """What it answers to one who asks it without the gateway."""
        return self._ask("POST", path, json.dumps(body).encode())

    @property
    def is_busy(self) -> bool:
        return any(slot["is_processing"] for slot in self.get("/slots"))

    @property
    def spoken(self) -> int:
        """Tokens that it has made, over all calls that ended."""
        name = "llamacpp:tokens_predicted_total "
        lines = self._ask("GET", "/metrics").decode().splitlines()
        return int(next(line for line in lines if line.startswith(name)).removeprefix(name))

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=SOON)
        try:
            connection.request(method, path, body, {"content-type": "application/json"})
            answer = connection.getresponse()
            read = answer.read()
            assert answer.status == 200, read
            return read
        finally:
            connection.close()
