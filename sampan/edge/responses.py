"""The pages of stored responses: `GET` and `DELETE /v1/responses/{id}`, `…/input_items`, `…/cancel`."""

from __future__ import annotations

import asyncio
import re

from sampan.core import Actor, Answer, Incoming
from sampan.dialects import openai_responses
from sampan.edge.paging import JSON
from sampan.errors import MethodNotAllowed, NotFound
from sampan.storage.responses import Responses

_RESPONSE = re.compile(r"/v1/responses/([A-Za-z0-9_-]{1,200})(/input_items|/cancel)?")


class ResponsesPages:
    """Only the key that a response was made with sees it."""

    def __init__(self, responses: Responses) -> None:
        self._responses = responses

    def methods(self, path: str) -> tuple[str, ...]:
        """What may be asked of a path; nothing where it is none of these pages."""
        found = _RESPONSE.fullmatch(path)
        if found is None:
            return ()
        return {"/input_items": ("GET", "HEAD"), "/cancel": ("POST",)}.get(found[2] or "", ("GET", "HEAD", "DELETE"))

    async def handle(self, incoming: Incoming, actor: Actor) -> Answer:
        """The answer in OpenAI's dialect. Raises `CallError`."""
        found = _RESPONSE.fullmatch(incoming.path)
        if found is None:
            raise NotFound(f"there is nothing at {incoming.path[:200]}")
        if incoming.method not in self.methods(incoming.path):
            raise MethodNotAllowed(f"this path takes {', '.join(self.methods(incoming.path))} only")
        identifier, part = found[1], found[2]
        if part == "/cancel":
            await asyncio.to_thread(self._responses.find, actor.key_id, identifier)
            raise openai_responses.refuse_cancel()
        if part == "/input_items":
            page = openai_responses.page(incoming.query)
            items, more = await asyncio.to_thread(
                self._responses.input_items,
                actor.key_id,
                identifier,
                page.after,
                page.limit,
                descending=page.descending,
            )
            return Answer(200, (JSON,), openai_responses.listing(items, more))
        if incoming.method == "DELETE":
            await asyncio.to_thread(self._responses.delete, actor.key_id, identifier)
            return Answer(200, (JSON,), openai_responses.deleted(identifier))
        openai_responses.check_retrieval(incoming.query)
        return Answer(200, (JSON,), await asyncio.to_thread(self._responses.find, actor.key_id, identifier))
