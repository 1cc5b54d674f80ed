"""Keeps the pictures of an answer, and puts links in their place where links were asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from sampan.core import Actor, Call, Target
from sampan.dialects import openai_images, pictures
from sampan.errors import ConfigError, TargetFault
from sampan.storage.objects import Objects

log = logging.getLogger("sampan.gallery")


class Gallery:
    """`public_url` is the host that links are for, `lifetime` how many seconds they work."""

    def __init__(self, objects: Objects, public_url: str, lifetime: int, wall: Callable[[], float]) -> None:
        self._objects = objects
        self._public_url = public_url.rstrip("/")
        self._lifetime = lifetime
        self._wall = wall

    async def keep(self, call: Call, actor: Actor, target: Target, body: bytes) -> bytes:
        """The answer `body`, its pictures kept; with links instead of bytes where the caller wants them.

        Frames of a stream keep their bytes: its wire has no links. A picture that cannot be kept is not lost: the
        answer then goes out as it came, bytes and all.
        """
        find = openai_images.pictures_in_frames if call.stream else openai_images.pictures_in
        try:
            found = await asyncio.to_thread(find, body)
        except TargetFault as fault:
            log.error("a picture could not be kept: %s", fault)
            return body
        provenance = {"operation": call.operation.value, "upstream": target.upstream, "tier": target.tier.value}
        provenance["model"] = target.model or call.model
        links = []
        for picture in found:
            media_type = pictures.media_type(picture) or "application/octet-stream"
            try:
                artifact = await self._objects.put(picture, media_type, actor.key_id, provenance)
            except (OSError, ConfigError) as error:
                log.error("a picture could not be kept: %s", error)
                return body
            expires = int(self._wall()) + self._lifetime
            links.append(self._objects.link(self._public_url, artifact.sha256, media_type, expires))
        if call.stream or not call.url_wanted or not links:
            return body
        return await asyncio.to_thread(openai_images.with_links, body, links)
