"""Requests made fit for each upstream: the diet of its target, and only such thinking as it may see.

Built once; `preparer` gives each upstream its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from sampan.core import Call, Prepared
from sampan.dialects import thinking, threads
from sampan.media import adapting, linking
from sampan.media.crew import Decoder
from sampan.media.fetching import Fetcher, Larder
from sampan.media.serving import Diet, Means

LoadFile = Callable[[str, str], Awaitable[tuple[bytes, str]]]


@dataclass(frozen=True, slots=True)
class Kitchen:
    """What requests are prepared with. `load_file(key id, file id)` gives bytes and media type, or raises `NotFound`.

    `secret` signs local thinking. `most_pixels` bounds a picture that has to be decoded.
    """

    decoder: Decoder
    fetcher: Fetcher
    load_file: LoadFile
    secret: bytes
    most_pixels: int

    def preparer(self, diet: Diet, *, is_cloud: bool) -> Cook:
        """For one upstream."""
        return Cook(self, diet, is_cloud=is_cloud)


class Cook:
    """Prepares the requests of one upstream: a `core.Preparer`."""

    def __init__(self, kitchen: Kitchen, diet: Diet, *, is_cloud: bool) -> None:
        self._kitchen = kitchen
        self._diet = diet
        self._is_cloud = is_cloud

    def is_needed(self, body: bytes, *, plain: bool = False) -> bool:
        if not plain and (b"thinking" in body or adapting.may_hold_media(body)):
            return True
        return not self._diet.threads and threads.may_name_one(body)

    async def prepare(self, call: Call, body: bytes, model: str) -> Prepared:
        kitchen = self._kitchen
        if not self._diet.threads:
            threads.refuse(body)
        if self._is_cloud:
            body = thinking.for_cloud(body)
        else:
            body = thinking.for_local(body, kitchen.secret, call.tenant, call.model)

        async def load(identifier: str) -> tuple[bytes, str]:
            return await kitchen.load_file(call.tenant, identifier)

        larder = Larder(kitchen.fetcher, inside=bool(call.confined))
        means = Means(kitchen.decoder, larder.fetch, load, kitchen.most_pixels)
        adapted = await adapting.adapt(body, self._diet, means)
        return Prepared(adapted.body, adapted.receipt.header)

    async def bring(self, call: Call) -> Call:
        """A chat call that may not leave the house, with what it links to in it: its server would else fetch that.

        Raises `InvalidRequest` for a link that leads outside.
        """
        body = await linking.bring(call.body, Larder(self._kitchen.fetcher, inside=True).fetch)
        return call if body is call.body else msgspec.structs.replace(call, body=body)
