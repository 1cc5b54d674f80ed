"""Pages of the console for pictures: `/console/v1/pictures`, what one can draw with and what one brings along, and
`/console/v1/pictures/{sha256}`, a picture of one's own by its content's name, for as long as it is kept.

A signed link ends within the hour; a drawing that is opened next week has to show its pictures still.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from sampan.core import Actor, Answer, Incoming, Permission
from sampan.dialects import pictures
from sampan.edge.admin_pages import reply, require
from sampan.edge.artifacts import SANDBOXED
from sampan.errors import CallError, ConfigError, InvalidRequest, NotFound, RequestTooLarge, Unavailable
from sampan.storage.objects import Objects

PATH = "/console/v1/pictures"
SHOWN = frozenset({"image/png", "image/jpeg", "image/webp"})
"""What pictures are edited in, and browsers show without running anything."""

_ONE = re.compile(rf"{PATH}/([0-9a-f]{{64}})")
_READING = ("GET", "HEAD")
_YEAR = 31_536_000
log = logging.getLogger("sampan.edge")


class PicturesPages:
    """A `Shelf` for whoever may CALL. `offers` tells what one can draw with; `limit` is in bytes, of a picture."""

    def __init__(self, objects: Objects, offers: Callable[[], object], limit: int) -> None:
        self._objects = objects
        self._offers = offers
        self._limit = limit

    def methods(self, path: str) -> tuple[str, ...]:
        if path == PATH:
            return (*_READING, "POST")
        return _READING if _ONE.fullmatch(path) else ()

    async def handle(self, incoming: Incoming, actor: Actor) -> Answer:
        """The answer. Raises `CallError`."""
        require(actor, Permission.CALL)
        found = _ONE.fullmatch(incoming.path)
        if found is not None:
            return await self._show(incoming, found[1], actor)
        if incoming.method == "POST":
            return await self._keep(incoming.body, actor)
        return reply(self._offers())

    async def _show(self, incoming: Incoming, sha256: str, actor: Actor) -> Answer:
        artifact = await self._objects.find(sha256, actor.key_id)
        if artifact.media_type not in SHOWN:
            raise NotFound("this is no picture that can be shown")
        etag = f'"{sha256}"'
        headers = (
            ("content-type", artifact.media_type),
            ("cache-control", f"private, max-age={_YEAR}, immutable"),
            ("etag", etag),
            SANDBOXED,
        )
        if incoming.headers.get("if-none-match") == etag:
            return Answer(304, headers, b"")
        return Answer(200, (*headers, ("content-length", str(artifact.size))), self._objects.stream(sha256))

    async def _keep(self, data: bytes, actor: Actor) -> Answer:
        """A picture that somebody brings along, kept as long as those that were made here."""
        kind = pictures.media_type(data)
        if kind not in SHOWN:
            raise InvalidRequest("the body must be a PNG, JPEG or WebP")
        if len(data) > self._limit:
            raise RequestTooLarge(f"the picture has {len(data):,} bytes; the limit is {self._limit:,}")
        try:
            kept = await self._objects.put(data, kind, actor.key_id, {"operation": "upload"})
        except OSError as error:
            log.error("a picture could not be kept: %s", error)
            said = "The picture could not be kept: the store cannot be used now. Try again later."
            raise Unavailable(said, should_retry=True) from None
        except ConfigError as error:
            log.error("a picture could not be kept: %s", error)
            raise CallError("the picture could not be kept; the log says why") from None
        return reply(kept, 201)
