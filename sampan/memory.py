"""What the Responses wire remembers between calls: the answers that a caller may go on from, and read again."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable

import msgspec

from sampan.core import Actor, Call
from sampan.dialects import openai_responses, sse
from sampan.dialects.translation.claude_answers_responses import envelope
from sampan.errors import ConfigError
from sampan.storage.responses import Kept, Responses

log = logging.getLogger("sampan.memory")


class _Last(msgspec.Struct):
    response: msgspec.Raw = msgspec.Raw()


_last = msgspec.json.Decoder(_Last)


class Memory:
    """Built once; `wall` gives Unix seconds."""

    def __init__(self, responses: Responses, wall: Callable[[], float]) -> None:
        self._responses = responses
        self._wall = wall

    async def recall(self, call: Call, actor: Actor) -> Call:
        """The call as it would read without a memory of ours, and what its answer will repeat of it.

        Raises `InvalidRequest` for a response or an item that is not there.
        """
        asked = openai_responses.glance(call.body)
        identifier = "resp_" + secrets.token_hex(24)
        echo = envelope(call.body, identifier, self._wall(), call.model)
        earlier: tuple[bytes, ...] = ()
        referenced: dict[str, bytes] = {}
        if asked.previous_response_id is not None:
            earlier = await asyncio.to_thread(self._responses.chain, actor.key_id, asked.previous_response_id)
        if asked.references:
            referenced = await asyncio.to_thread(self._responses.items, actor.key_id, asked.references)
        return msgspec.structs.replace(openai_responses.unfolded(call, earlier, referenced), echo=echo)

    async def keep(self, asked: bytes, call: Call, actor: Actor, response: bytes) -> None:
        """Keeps an answer whose caller did not say no; `asked` is the request as it came, `response` the JSON.

        One that cannot be kept is not lost: it goes out all the same, and whoever wants to go on from it is told then.
        """
        seen = openai_responses.glance(asked)
        if not seen.kept:
            return
        identifier = str(call.echo["id"])
        referenced: dict[str, bytes] = {}
        try:
            if seen.references:
                referenced = await asyncio.to_thread(self._responses.items, actor.key_id, seen.references)
            items = openai_responses.input_items(asked, identifier, referenced)
            kept = Kept(identifier, response, items, float(call.echo["created_at"]), seen.previous_response_id)
            await asyncio.to_thread(self._responses.save, actor.key_id, kept)
        except ConfigError as error:
            log.error("a response could not be kept: %s", error)


def streamed(frames: bytes) -> bytes:
    """The whole response in the last frame of its stream."""
    *_, data = sse.payloads(frames)
    return bytes(_last.decode(data).response)
