"""How a drill is watched: a bar that moves while scenes are played, or a line of JSON for each step, for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sampan.drill.orders import Watching
from sampan.drill.scenes import Scene


class Watch(Protocol):
    """Told of every scene, from the event loop."""

    def begin(self, scene: Scene) -> None: ...

    def end(self, scene: Scene, kept: bool) -> None:
        """It was played. `kept`: no promise was broken, as far as can be told before the records are read."""
        ...


class Bar:
    """A bar that counts scenes; nothing stays of it on the screen."""

    def __init__(self, advance: Callable[[], None]) -> None:
        self._advance = advance

    def begin(self, scene: Scene) -> None: ...

    def end(self, scene: Scene, kept: bool) -> None:
        self._advance()


class Events:
    """One JSON object a line: all scenes first, then each by its number as it begins and ends."""

    def __init__(self, print: Callable[[str], None], scenes: Sequence[Scene]) -> None:
        self._print = print
        self._send("plan", scenes=[_told(scene) for scene in scenes])

    def begin(self, scene: Scene) -> None:
        self._send("begin", scene=scene.number)

    def end(self, scene: Scene, kept: bool) -> None:
        self._send("end", scene=scene.number, kept=kept)

    def _send(self, event: str, **facts: Any) -> None:
        self._print(json.dumps({"event": event, **facts}, ensure_ascii=False))


def _told(scene: Scene) -> dict[str, Any]:
    return {
        "number": scene.number,
        "fault": scene.trouble.name,
        "route": scene.route,
        "operation": scene.shape.operation.value,
        "stream": scene.shape.stream,
    }


@contextmanager
def watching(how: Watching, console: Console, title: str, scenes: Sequence[Scene]) -> Iterator[Watch]:
    """Bar on the console, or events on standard output."""
    if how is Watching.JSON:
        yield Events(lambda line: print(line, flush=True), scenes)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=len(scenes))
        yield Bar(lambda: progress.advance(task))
