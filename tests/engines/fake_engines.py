"""Engines for tests, loaded by the shell as `fake_engines:NAME`. What they do stands in the question or the prompt."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sampan.core import Usage
from sampan.engines.contract import Order, Source, Stopped, units
from sampan.errors import InvalidRequest

PIXEL = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00"
    b"\nIDATx\x9cc\x00\x01\x00\x00\x05\x00\x01\r\n-\xb4\x00\x00\x00\x00IEND\xaeB`\x82"
)


def tell(line: str) -> None:
    print(f"fake: {line}", file=sys.stderr, flush=True)


def hold(stopped: Stopped) -> None:
    """Works until the caller leaves, the way a real engine looks between two steps."""
    pause = threading.Event()
    while not stopped():
        pause.wait(0.002)


def wait_for(file: Path) -> None:
    while not file.exists():
        threading.Event().wait(0.005)


class Talker:
    """Echoes; `say A|B` yields pieces, `hold` works until it is stopped, and so on."""

    def __init__(self, *, threads: int) -> None:
        tell(f"threads {threads}")
        gate = os.environ.get("FAKE_GATE")
        if gate:
            wait_for(Path(gate))

    def warm_up(self) -> None:
        tell("warm")

    def count(self, question: str, sources: Sequence[Source]) -> int:
        return units(question) + sum(len(source.data) for source in sources)

    def answer(self, question: str, sources: Sequence[Source], stopped: Stopped) -> Generator[str, None, Usage]:
        tell("asked")
        verb, _, rest = question.partition(" ")
        try:
            yield from self._pieces(verb, rest, sources, stopped)
        finally:
            tell("closed")
        return Usage(self.count(question, sources), 7)

    def _pieces(self, verb: str, rest: str, sources: Sequence[Source], stopped: Stopped) -> Iterator[str]:
        match verb:
            case "say":
                yield from rest.split("|")
            case "hold":
                yield "holding"
                hold(stopped)
                tell("stopped")
            case "silent":
                hold(stopped)
                tell("stopped")
            case "until":
                yield "waiting "
                wait_for(Path(rest))
                yield "done"
            case "endless":
                while True:
                    yield "again "
            case "refuse" | "crash" | "break" | "grip":
                yield from self._trouble(verb, rest)
            case _:
                listed = [f"{source.kind}@{source.where}={len(source.data)}" for source in sources]
                yield f"question: {verb} {rest}".strip() + "\n" + "\n".join(listed)

    def _trouble(self, verb: str, rest: str) -> Iterator[str]:
        match verb:
            case "refuse":
                raise InvalidRequest("the picture cannot be opened", param="messages.0.content.1")
            case "break":
                yield "half an "
                raise ValueError(f"secret {rest}")
            case "grip":
                tell("gripping")
                ctypes.PyDLL(None).sleep(60)  # a native call that keeps the interpreter's lock: no thread runs
            case _:
                raise ValueError(f"secret {rest}")


@dataclass(frozen=True)
class Drawn:
    data: bytes
    revised_prompt: str
    seed: int
    width: int = 1024
    height: int = 512
    format: str = "png"
    background: str = "opaque"


class Painter:
    """Gives back a pixel and says what was ordered."""

    def __init__(self, *, threads: int) -> None:
        tell(f"threads {threads}")

    def warm_up(self) -> None:
        tell("warm")

    def generate(self, order: Order, stopped: Stopped) -> Iterator[Drawn]:
        if order.prompt == "nothing":
            raise InvalidRequest("nothing in this prompt can be drawn", param="prompt")
        if order.prompt == "hold":
            tell("asked")
            hold(stopped)
            tell("stopped")
            return
        for number in range(order.n):
            yield Drawn(PIXEL, f"{order}", (order.seed or 0) + number)
            if order.prompt == "break":
                raise ValueError("secret")

    def edit(self, order: Order, images: Sequence[bytes], mask: bytes | None, stopped: Stopped) -> Iterator[Drawn]:
        yield Drawn(images[0], f"{len(images)} images, mask {len(mask or b'')}: {order.prompt}", order.seed or 0)

    def vary(self, order: Order, image: bytes, stopped: Stopped) -> Iterator[Drawn]:
        for number in range(order.n):
            yield Drawn(image, f"{order}", (order.seed or 0) + number)


def neither(*, threads: int) -> object:
    return object()


def broken(*, threads: int) -> object:
    raise RuntimeError("the model file is damaged")
