"""`sampan cache warm`: asks a running gateway what people will ask, so that the answers are kept before they do."""

from __future__ import annotations

import http.client
import json
import os
import queue
import ssl
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sampan.config import Config, split_listen
from sampan.config.verbs import ConfigOption, load
from sampan.errors import ConfigError

cache_cli = typer.Typer(no_args_is_help=True, help="Answers that are kept.")
PATHS = {"messages": "/v1/messages", "prompt": "/v1/images/generations", "input": "/v1/embeddings"}
VERSION = "2026-10-21"
"""The version of the wire is part of a question: people ask in that of the SDK. (To ask it costs seconds of import.)"""

TIMEOUT = 600.0  # seconds: a picture may take minutes


@dataclass(frozen=True, slots=True)
class Question:
    """One line of the list: a body, and the path it is sent to."""

    line: int
    path: str
    body: bytes


def read_questions(path: Path) -> list[Question]:
    """One JSON object a line: a request's body, or `{"path": …, "body": {…}}`. Raises `ConfigError` with the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
    return [_question(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _question(path: Path, number: int, line: str) -> Question:
    try:
        asked: Any = json.loads(line)
    except ValueError:
        raise ConfigError(f"{path}, line {number}: is not JSON") from None
    if not isinstance(asked, dict):
        raise ConfigError(f"{path}, line {number}: must be an object")
    place = asked.get("path")
    body = asked.get("body") if place else asked
    place = place or next((PATHS[name] for name in PATHS if name in asked), None)
    if not isinstance(place, str) or not place.startswith("/v1/") or not isinstance(body, dict):
        raise ConfigError(
            f'{path}, line {number}: must be the body of a call (with `messages`, `prompt` or `input`), or {{"path": '
            '"/v1/…", "body": {…}}'
        )
    return Question(number, place, json.dumps(body, ensure_ascii=False).encode())


class Warmer:
    """Asks with `workers` connections at once; what came of each question is counted."""

    def __init__(self, url: str, key: str, workers: int, trust: ssl.SSLContext) -> None:
        self._parts = urlsplit(url)
        self._key = key
        self._trust = trust
        self._workers = workers
        self._stopped = threading.Event()
        self.told: Counter[str] = Counter()
        self.failures: list[str] = []

    def run(self, questions: list[Question], progress: Progress) -> None:
        """Blocks until all are answered; Ctrl-C lets those that are under way go."""
        waiting: queue.SimpleQueue[Question] = queue.SimpleQueue()
        for question in questions:
            waiting.put(question)
        done: queue.SimpleQueue[None] = queue.SimpleQueue()
        task = progress.add_task("Asking", total=len(questions))
        for _ in range(min(self._workers, len(questions))):
            threading.Thread(target=self._work, args=(waiting, done), daemon=True).start()
        try:
            for _ in questions:
                done.get()
                progress.advance(task)
        finally:
            self._stopped.set()

    def _work(self, waiting: queue.SimpleQueue[Question], done: queue.SimpleQueue[None]) -> None:
        connection = self._connect()
        while not self._stopped.is_set():
            try:
                question = waiting.get_nowait()
            except queue.Empty:
                break
            try:
                status, kept = self._ask(connection, question)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self._failed(question, _why(error))
            else:
                if status != 200:
                    self._failed(question, f"status {status}")
                self.told["failed" if status != 200 else kept or "not kept"] += 1
            done.put(None)
        connection.close()

    def _failed(self, question: Question, why: str) -> None:
        self.failures.append(f"line {question.line}: {why}")

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "127.0.0.1", self._parts.port
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=self._trust)
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT)

    def _ask(self, connection: http.client.HTTPConnection, question: Question) -> tuple[int, str]:
        headers = {"anthropic-version": VERSION, "x-api-key": self._key, "content-type": "application/json"}
        connection.request("POST", self._parts.path.rstrip("/") + question.path, question.body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("x-sampan-cache") or ""


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}): see --ca and --url"
    return getattr(error, "strerror", None) or type(error).__name__


def own_url(loaded: Config) -> str:
    """Where a gateway of this configuration is reached. Raises `ConfigError` where only its process knows."""
    if loaded.server.public_url:
        return loaded.server.public_url
    host, port = split_listen(loaded.server.listen)
    if not port:
        raise ConfigError("[server] listen names no port: say with --url where the gateway is")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"{'https' if loaded.tls.certificate else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _check_url(url: str) -> str:
    """Raises `ConfigError` for what is no URL of a gateway."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ConfigError(f"--url {url[:200]!r}: must be a URL such as https://host:port")
    return url


def _trust(ca: Path | None) -> ssl.SSLContext:
    """Trusts the authorities of this machine, or those of `ca` alone. Raises `ConfigError`."""
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:  # an SSLError is one
        raise ConfigError(f"--ca {ca}: cannot be read: {error.strerror or 'it holds no certificate'}") from None


@cache_cli.command("warm")
def warm(
    file: Annotated[Path, typer.Argument(help="Common questions: the body of a call a line, as JSON.")],
    url: Annotated[str, typer.Option(help="Where the gateway is. Default: where the configuration says.")] = "",
    key: Annotated[
        str, typer.Option(envvar="SAMPAN_API_KEY", help="Key to ask with: its department will have them.")
    ] = "",
    workers: Annotated[int, typer.Option(min=1, max=64, help="Questions asked at once.")] = 4,
    ca: Annotated[
        Path | None, typer.Option(help="PEM file of the authorities to trust. Default: this machine's.")
    ] = None,
    path: ConfigOption = None,
) -> None:
    """Asks a running gateway a list of common questions, so that their answers are kept; status 1 where one fails."""
    key = key or os.environ.get("SAMPAN_ADMIN_KEY", "")
    if not key:
        raise ConfigError("a key is needed: --key, or SAMPAN_API_KEY")
    url, trust = _check_url(url) if url else own_url(load(path)), _trust(ca)
    questions = read_questions(file)
    if not questions:
        raise ConfigError(f"{file} holds no question")
    warmer = Warmer(url, key, workers, trust)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        warmer.run(questions, progress)
    told = warmer.told
    failed = len(warmer.failures)
    print(f"answers: {told['miss']} new, {told['hit'] + told['shared']} kept already, ", end="")
    print(f"{told['not kept']} not kept by their route, {failed} failed")
    for failure in warmer.failures[:20]:
        print(f"sampan: {failure}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)
