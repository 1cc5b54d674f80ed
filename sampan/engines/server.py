"""The shell that our engines share: it listens at once, loads its model behind that, and serves the engine's dialect.

    GET  /health              200 as soon as it listens
    GET  /ready               503 {"ready": false, "stage": "…"} until the warm-up has run a real call, then 200;
                              `cold` names what the next call may have to wait for
    GET  /v1/models[/{id}]    the one model that it is
    POST /v1/messages, /v1/messages/count_tokens            where the engine is a talker or a converser
    POST /v1/images/generations, /v1/images/edits, /v1/images/variations    where the engine is a painter

Run it with `sampan engine KIND --listen HOST:PORT`, or `python -m sampan.engines.server KIND --listen HOST:PORT`.
SIGTERM and SIGINT let open answers end for up to five seconds. With `--lifeline` standard input is a pipe that the
supervisor holds: when that ends, for whatever reason, so does the engine, and SIGINT is the supervisor's business.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import uvicorn
import uvloop

from sampan.dialects import Codec
from sampan.dialects.anthropic import Anthropic
from sampan.dialects.openai_images import OpenAIImages
from sampan.engines import kinds
from sampan.engines.contract import Busy, Converser, Engine, Painter, Shared, Staged, Talker
from sampan.engines.desk_conversation import ConversationDesk
from sampan.engines.desks import Desk, PictureDesk, TalkDesk, attended, told, trace
from sampan.engines.exchange import CallerLeft, Exchange, Message, Receive, Send
from sampan.engines.options import Options, add_flags, read_flags
from sampan.engines.workers import Workers
from sampan.errors import CallError, ConfigError, MethodNotAllowed, NotFound, Unavailable

if TYPE_CHECKING:
    from sampan.telemetry.tracing import Tracing

HELD_LIMIT = 512 * 1024 * 1024  # bytes of bodies at once: a full queue of large calls must not take all memory
BODY_LIMIT = 64 * 1024 * 1024  # bytes: the gateway's own limit is lower, this one keeps a lone engine alive
DRAIN = 5  # seconds
_KEEP_ALIVE = 75  # seconds; longer than a gateway keeps an idle connection, so that it is never cut under a call
_HEARERS = 4  # threads that open the pictures of conversations; their answers take none
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

_TALK = ("/v1/messages", "/v1/messages/count_tokens")
_PICTURES = ("/v1/images/generations", "/v1/images/edits", "/v1/images/variations")

log = logging.getLogger("sampan.engine")


class Shell:
    """The ASGI application. `stage` says how far the engine has come; calls are taken once it is `ready`."""

    def __init__(self, kind: str, options: Options, *, waiting: int = 64, held: int = HELD_LIMIT) -> None:
        self._kind = kind
        self.tracing: Tracing | None = None
        self._build = kinds.find(kind)
        self._model = kinds.name(kind, options)
        self._options = options
        self._waiting = waiting
        self._desk: Desk | None = None
        self._workers: Workers | None = None
        self._engine: Engine | None = None
        self._started = int(time.time())
        self._held = 0
        self._held_limit = held
        self.stage = "starting"

    def load(self) -> Engine:
        """Builds the engine and runs its warm-up: slow, for a thread."""
        self.stage = "loading"
        engine = self._engine = self._build(self._options)
        self.stage = "warming up"
        engine.warm_up()
        return engine

    def open(self, engine: Engine) -> None:
        """Calls are taken from now on. On the event loop."""
        threads = self._options.threads
        if isinstance(engine, Converser):
            threads = max(threads, _HEARERS)
        if isinstance(engine, Shared):
            threads = max(threads, engine.places)
        workers = self._workers = Workers(threads, waiting=self._waiting)
        self._desk = _desk(engine, workers)
        self.stage = "ready"

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"this engine speaks HTTP only, not {scope['type']}")
        exchange = Exchange(scope, receive, send, request_id=f"req_{secrets.token_hex(12)}")
        try:
            await self._answer(exchange)
        except CallerLeft:
            return
        except Exception as error:
            await self._fail(exchange, told(error))

    async def _answer(self, exchange: Exchange) -> None:
        if exchange.method in ("GET", "HEAD"):
            await self._look(exchange)
            return
        body = await exchange.body(BODY_LIMIT)
        known = self._desk.handlers if self._desk is not None else (*_TALK, *_PICTURES)
        if exchange.path not in known:
            raise _wrong_path(exchange)
        if exchange.method != "POST":
            raise MethodNotAllowed("send this by POST")
        if self._desk is None:
            raise Unavailable(f"this engine is not ready yet ({self.stage}); try again in a moment", retry_after=2)
        if self._held + len(body) > self._held_limit:
            raise Unavailable("this engine holds too many large calls; try again in a moment", retry_after=2)
        self._held += len(body)
        came = {"traceparent": exchange.header("traceparent")}
        span = None if self.tracing is None else self.tracing.begin(came, "engine")
        done = False
        try:
            await attended(exchange, _run(self._desk, exchange, body))
            done = True
        finally:
            self._held -= len(body)
            if span is not None:
                span.finish({"gen_ai.request.model": self._model, "sampan.engine": self._kind}, failed=not done)

    async def _look(self, exchange: Exchange) -> None:
        """The free questions. They never wait for a worker, so that a busy engine still says that it is alive."""
        path = exchange.path
        if path == "/health":
            await exchange.answer(200, b'{"status":"ok"}')
        elif path == "/ready":
            ready = self._workers is not None
            said = {"ready": ready, "stage": self.stage, "model": self._model}
            if isinstance(self._engine, Staged):
                said |= {"stage": self.stage if ready else self._engine.stage or self.stage, "cold": self._engine.cold}
            if self._workers is not None:
                busy = self._engine if isinstance(self._engine, Busy) else self._workers
                said |= {"working": busy.working, "waiting": busy.waiting}
            body = msgspec.json.encode(said)
            retry = [] if ready else [("retry-after", "1")]
            await exchange.answer(200 if ready else 503, body, retry)
        elif path == "/v1/models":
            listed = {"object": "list", "data": [self._entry()], "has_more": False}
            ends = {"first_id": self._model, "last_id": self._model}
            await exchange.answer(200, msgspec.json.encode({**listed, **ends}))
        elif path == f"/v1/models/{self._model}":
            await exchange.answer(200, msgspec.json.encode(self._entry()))
        elif path in (*_TALK, *_PICTURES):
            raise MethodNotAllowed("send this by POST")
        else:
            raise _wrong_path(exchange)

    def _entry(self) -> dict[str, str | int]:
        """The model as both dialects list it, so that either SDK can read it."""
        made = datetime.fromtimestamp(self._started, UTC).isoformat().replace("+00:00", "Z")
        anthropic = {"type": "model", "display_name": f"Sampan {self._model}", "created_at": made}
        return {"id": self._model, **anthropic, "object": "model", "created": self._started, "owned_by": "sampan"}

    async def _fail(self, exchange: Exchange, error: CallError) -> None:
        if exchange.started:
            return  # half an answer is out; the connection is cut, which no caller takes for an end
        codec: Codec = OpenAIImages() if exchange.path.startswith("/v1/images") else Anthropic()
        headers: list[tuple[str, str]] = []
        if error.retry_after is not None:
            headers.append(("retry-after", str(max(1, round(error.retry_after)))))
        if error.status == 413:
            headers.append(("connection", "close"))
        await exchange.answer(codec.status(error), codec.error(error, exchange.request_id), headers)


async def _run(desk: Desk, exchange: Exchange, body: bytes) -> None:
    await desk.handlers[exchange.path](exchange, body)


def _desk(engine: Engine, workers: Workers) -> Desk:
    if isinstance(engine, Converser):
        return ConversationDesk(engine, workers)
    if isinstance(engine, Talker):
        return TalkDesk(engine, workers)
    assert isinstance(engine, Painter)
    return PictureDesk(engine, workers)


def _wrong_path(exchange: Exchange) -> CallError:
    return NotFound(f"this engine has no {exchange.path[:200]}")


class _Server(uvicorn.Server):
    """uvicorn, but signals are ours: it would end by raising them again, and a drained engine is to exit with 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(kind: str, listen: str, options: Options, *, lifeline: bool = False) -> None:
    """Runs an engine until it is told to stop, then ends the process: worker threads cannot be waited for.

    `listen` is HOST:PORT (port 0: any). Raises `ConfigError` for an
    unknown kind or a wrong address, `OSError` for one that is taken.
    """
    shell = Shell(kind, options)
    shell.tracing = _tracing()
    sock = bind(listen, shared=lifeline)
    if lifeline:
        _hold_lifeline()
    host, port = sock.getsockname()[:2]
    log.info("%s listens on http://%s:%d", kind, f"[{host}]" if ":" in host else host, port)
    uvloop.run(_serve(shell, sock, lifeline=lifeline))
    if shell.tracing is not None:
        shell.tracing.close()
    log.info("%s stops", kind)
    _leave(0)


def _tracing() -> Tracing | None:
    """For what a caller traces: that is decided at the gateway. Its libraries take a third of a second to load."""
    if "SAMPAN_TRACES" not in os.environ:
        return None
    from sampan.telemetry.tracing import Collector, Tracing

    collector = Collector.of(os.environ)
    return None if collector is None else Tracing(collector, 0.0, service=f"{collector.service}-engine")


async def _serve(shell: Shell, sock: socket.socket, *, lifeline: bool) -> None:
    config = uvicorn.Config(
        shell,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=DRAIN,
    )
    server = _Server(config)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, _stop, server)
    # Ctrl+C in a terminal reaches the whole process group. A supervised engine leaves it to its supervisor, which
    # first lets the gateway's own answers end.
    loop.add_signal_handler(signal.SIGINT, (lambda: None) if lifeline else (lambda: _stop(server)))
    threading.Thread(target=_load, args=(shell, loop), name="load", daemon=True).start()
    await server.serve(sockets=[sock])


def _stop(server: _Server) -> None:
    if server.should_exit:
        _leave(0)
    server.should_exit = True


def _load(shell: Shell, loop: asyncio.AbstractEventLoop) -> None:
    """In a thread. An engine that cannot be loaded ends its process: whoever started it decides what to do next."""
    begun = time.monotonic()
    try:
        engine = shell.load()
    except ConfigError as error:
        log.error("%s", error)
        _leave(1)
    except BaseException as error:
        log.error("the engine cannot be loaded: %s\n%s", error, trace(error))
        _leave(1)
    else:
        log.info("ready after %.1f s", time.monotonic() - begun)
        if not loop.is_closed():
            loop.call_soon_threadsafe(shell.open, engine)


def bind(listen: str, *, shared: bool) -> socket.socket:
    """A listening socket at HOST:PORT. `shared`: beside the supervisor's, which only holds the port (SO_REUSEPORT)."""
    host, colon, port = listen.rpartition(":")
    host = host.strip("[]")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"listen: {listen!r} is no HOST:PORT")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared and hasattr(socket, "SO_REUSEPORT"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((host or "127.0.0.1", int(port)))
        sock.listen(2048)
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _hold_lifeline() -> None:
    """Ends this process with the one that started it, even if that is killed: by the pipe, and on Linux by the kernel.

    The pipe alone would do, were it not for a thread that holds the interpreter's lock in a long native call.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    threading.Thread(target=_watch_lifeline, name="lifeline", daemon=True).start()


def _watch_lifeline() -> None:
    while True:
        try:
            if not os.read(0, 4096):
                break
        except OSError:
            break
    _leave(0)


def _leave(code: int) -> None:
    """Ends the process from any thread, without waiting for the others."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m sampan.engines.server KIND --listen HOST:PORT [--lifeline] [--threads N] …`"""
    parser = argparse.ArgumentParser(prog="sampan engine", description="Runs one engine alone.")
    parser.add_argument(
        "kind", help="reader, sketcher, qwen_vl, qwen_image, or module:attribute for an engine of your own"
    )
    parser.add_argument("--listen", default="127.0.0.1:8010", metavar="HOST:PORT", help="where to listen")
    parser.add_argument("--lifeline", action="store_true", help="end when standard input does")
    add_flags(parser)
    asked = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    try:
        serve(asked.kind, asked.listen, read_flags(asked), lifeline=asked.lifeline)
    except (ConfigError, OSError) as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
