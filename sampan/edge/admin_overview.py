"""Pages of the overview below `/admin/v1/overview`, one of them live; and targets that are isolated by hand."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from sampan.core import Actor, Answer, Incoming, Permission
from sampan.dialects import sse
from sampan.edge.admin_pages import check_place, read, reply, require
from sampan.edge.paging import JSON
from sampan.errors import CallError

ROOT, EVENTS, TARGETS = "/admin/v1/overview", "/admin/v1/overview/events", "/admin/v1/targets"
STREAM = (
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-store"),
    ("x-accel-buffering", "no"),  # a proxy on the way is not to wait for more
)
_HERE = sse.comment("here")


@dataclass(frozen=True, slots=True)
class Overlook:
    """What the pages are made of; each is built once, by `app`.

    `snapshot` is JSON; `watch` gives events as they go out, and nothing (`b""`) after a silence. `isolate` takes a
    target out or lets it go again, and returns its state; raises `NotFound`.
    """

    snapshot: Callable[[], Awaitable[bytes]]
    watch: Callable[[], AsyncGenerator[bytes, None]]
    isolate: Callable[[str, str, bool, Actor], str]
    identify: Callable[[Incoming], Actor]


class Wanted(StrEnum):
    """What a target is asked to be."""

    ISOLATED = "isolated"
    AUTO = "auto"


class _Turn(msgspec.Struct, forbid_unknown_fields=True):
    state: Wanted


class OverviewPages:
    """A `Shelf` for those who may OPERATE."""

    def __init__(self, overlook: Overlook) -> None:
        self._overlook = overlook

    def methods(self, path: str) -> tuple[str, ...]:
        """What may be asked of a path; nothing where it is none of these pages."""
        if path == ROOT:
            return ("GET", "HEAD")
        if path == EVENTS:
            return ("GET",)
        parts = path.removeprefix(f"{TARGETS}/").split("/")
        return ("POST",) if path.startswith(f"{TARGETS}/") and len(parts) == 2 and all(parts) else ()

    async def handle(self, incoming: Incoming, actor: Actor) -> Answer:
        """Raises `CallError`."""
        require(actor, Permission.OPERATE)
        check_place(incoming)
        if incoming.path == ROOT:
            return Answer(200, (JSON,), await self._overlook.snapshot())
        if incoming.path == EVENTS:
            return Answer(200, STREAM, self._events(incoming))
        upstream, operation = incoming.path.removeprefix(f"{TARGETS}/").split("/")
        turn = read(incoming, _Turn)
        state = self._overlook.isolate(upstream, operation, turn.state is Wanted.ISOLATED, actor)
        return reply({"upstream": upstream, "operation": operation, "state": state})

    async def _events(self, incoming: Incoming) -> AsyncGenerator[bytes, None]:
        """Until the viewer leaves, or may not see it any more: the session is looked at before each event."""
        async with aclosing(self._overlook.watch()) as events:
            async for data in events:
                try:
                    require(self._overlook.identify(incoming), Permission.OPERATE)
                except CallError:
                    return
                yield data or _HERE
