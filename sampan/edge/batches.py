"""Message Batches, as Anthropic's API has them: accepted at once, run in the background, fetched as JSON lines.

Shapes: the official SDK's types; https://platform.claude.com/docs/en/api/creating-message-batches.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec

from sampan.core import Actor, Answer, Incoming
from sampan.dialects.fields import UNREADABLE, invalid
from sampan.edge.paging import JSON, limit_of, query_of, rfc3339
from sampan.errors import InvalidRequest, MethodNotAllowed, NotFound, RequestTooLarge
from sampan.storage.batches import Asked, Batch, Batches, Status

PATH = "/v1/messages/batches"
SIZE_LIMIT = 256 * 1024 * 1024
REQUEST_LIMIT = 100_000
# What a request of a batch is run with, as if it had come alone.
HEADERS = ("anthropic-version", "anthropic-beta", "x-sampan-residency", "x-sampan-collection")
LINES = 64  # results that are read at a time

_BATCH = re.compile(r"/v1/messages/batches/([A-Za-z0-9_-]{1,64})(/cancel|/results)?")
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class _Item(msgspec.Struct, forbid_unknown_fields=True):
    custom_id: str
    params: msgspec.Raw


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    requests: list[_Item]


class _Params(msgspec.Struct):
    """What is asked of a request before it runs; the rest is for the pipeline to judge."""

    stream: bool | None = None


_body = msgspec.json.Decoder(_Body)
_params = msgspec.json.Decoder(_Params)


class BatchesPages:
    """`wake` tells the runner that there is news; `public_url` is the host that `results_url` names.

    Without a `public_url` it is a path, which the SDKs put behind the host that they ask already: better than a guess,
    for a key would be sent there.
    """

    def __init__(
        self, ledger: Batches, wake: Callable[[], None], public_url: str = "", limit: int = SIZE_LIMIT
    ) -> None:
        self._ledger = ledger
        self._wake = wake
        self._public_url = public_url.rstrip("/")
        self._limit = limit

    def methods(self, path: str) -> tuple[str, ...]:
        """What may be asked of a path; nothing where it is none of these pages."""
        if path == PATH:
            return ("GET", "HEAD", "POST")
        found = _BATCH.fullmatch(path)
        if found is None:
            return ()
        return {"/cancel": ("POST",), "/results": ("GET", "HEAD")}.get(found[2], ("GET", "HEAD", "DELETE"))

    async def handle(self, incoming: Incoming, actor: Actor) -> Answer:
        """The answer in Anthropic's dialect. Raises `CallError`."""
        methods = self.methods(incoming.path)
        if not methods:
            raise NotFound(f"there is nothing at {incoming.path[:200]}")
        if incoming.method not in methods:
            raise MethodNotAllowed(f"this path takes {', '.join(methods)} only")
        found = _BATCH.fullmatch(incoming.path)
        if found is None:
            return await (self._create if incoming.method == "POST" else self._list)(incoming, actor)
        identifier, part = found[1], found[2]
        if part == "/cancel":
            canceled = await asyncio.to_thread(self._ledger.cancel, actor.key_id, identifier)
            self._wake()
            return self._say(canceled)
        if part == "/results":
            return await self._results(identifier, actor)
        if incoming.method == "DELETE":
            await asyncio.to_thread(self._ledger.delete, actor.key_id, identifier)
            return _json({"id": identifier, "type": "message_batch_deleted"})
        return self._say(await asyncio.to_thread(self._ledger.find, actor.key_id, identifier))

    async def _create(self, incoming: Incoming, actor: Actor) -> Answer:
        if len(incoming.body) > self._limit:
            raise RequestTooLarge(f"the body is over the limit of {self._limit:,} bytes; send several batches")
        headers = {name: incoming.headers[name] for name in HEADERS if name in incoming.headers}

        def keep() -> Batch:
            return self._ledger.create(actor.key_id, headers, read_requests(incoming.body))

        batch = await asyncio.to_thread(keep)
        self._wake()
        return self._say(batch)

    async def _list(self, incoming: Incoming, actor: Actor) -> Answer:
        query = query_of(incoming)
        limit, after, before = limit_of(query, 20, 1000), query.get("after_id", ""), query.get("before_id", "")
        batches, more = await asyncio.to_thread(self._ledger.page, actor.key_id, limit, after, before)
        said = {
            "data": [self._shape(batch) for batch in batches],
            "has_more": more,
            "first_id": batches[0].id if batches else None,
            "last_id": batches[-1].id if batches else None,
        }
        return _json(said)

    async def _results(self, identifier: str, actor: Actor) -> Answer:
        batch = await asyncio.to_thread(self._ledger.find, actor.key_id, identifier)
        if batch.status is not Status.ENDED:
            raise NotFound(f"the batch {identifier} has no results yet: it is {batch.status.value}; ask again later")
        if batch.archived is not None:
            raise NotFound(f"the results of the batch {identifier} were archived on {rfc3339(batch.archived)}")
        return Answer(200, (("content-type", "application/x-jsonl"),), self._lines(batch))

    async def _lines(self, batch: Batch) -> AsyncGenerator[bytes, None]:
        """The results; breaks off, and does not end, where the batch is deleted meanwhile."""
        position = -1
        while position < batch.total - 1:
            results = await asyncio.to_thread(self._ledger.results, batch, position, LINES)
            if not results:
                raise NotFound(f"the batch {batch.id} was deleted while its results were read")
            position = results[-1].position
            yield b"".join(
                b'{"custom_id":' + msgspec.json.encode(each.custom_id) + b',"result":' + each.body + b"}\n"
                for each in results
            )

    def _say(self, batch: Batch) -> Answer:
        return _json(self._shape(batch))

    def _shape(self, batch: Batch) -> dict[str, Any]:
        ended, available = batch.status is Status.ENDED, batch.ended is not None and batch.archived is None
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": batch.status.value,
            "request_counts": {
                "processing": 0 if ended else batch.total,
                "succeeded": batch.succeeded,
                "errored": batch.errored,
                "canceled": batch.canceled,
                "expired": batch.expired,
            },
            "created_at": rfc3339(batch.created),
            "expires_at": rfc3339(batch.expires),
            "ended_at": rfc3339(batch.ended),
            "cancel_initiated_at": rfc3339(batch.cancel_initiated),
            "archived_at": rfc3339(batch.archived),
            "results_url": f"{self._public_url}{PATH}/{batch.id}/results" if available else None,
        }


def read_requests(body: bytes) -> list[Asked]:
    """The requests of a batch in their order. Raises `InvalidRequest` naming the one at fault.

    Only what would leave the batch without a name for a result, or a result that is no Message, is refused here: any
    other mistake is that request's own result, as on Anthropic's side.
    """
    try:
        items = _body.decode(body).requests
    except UNREADABLE as error:
        raise invalid(error) from None
    if not 1 <= len(items) <= REQUEST_LIMIT:
        raise InvalidRequest(f"requests: must be 1 to {REQUEST_LIMIT:,}, not {len(items):,}", param="requests")
    seen: dict[str, int] = {}
    asked: list[Asked] = []
    for index, item in enumerate(items):
        here = f"requests.{index}"
        if not _CUSTOM_ID.fullmatch(item.custom_id):
            message = "must be 1 to 64 letters, digits, hyphens and underscores"
            raise InvalidRequest(f"{here}.custom_id: {message}", param=f"{here}.custom_id")
        first = seen.setdefault(item.custom_id, index)
        if first != index:
            message = f"is the same as that of requests.{first}; each must be unique"
            raise InvalidRequest(f"{here}.custom_id: {message}", param=f"{here}.custom_id")
        params = bytes(item.params)
        try:
            streams = _params.decode(params).stream
        except UNREADABLE as error:
            raise invalid(error, f"{here}.params") from None
        if streams:
            message = "a batch has no stream; leave it out"
            raise InvalidRequest(f"{here}.params.stream: {message}", param=f"{here}.params.stream")
        asked.append(Asked(item.custom_id, params))
    return asked


def _json(said: dict[str, Any]) -> Answer:
    return Answer(200, (JSON,), msgspec.json.encode(said))
