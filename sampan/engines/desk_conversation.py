"""The desk in front of a converser: Anthropic Messages, as many answers at once as its engine writes.

A conversation is heard in a worker thread (pictures are opened there), of which there are few; its answer then comes on
the event loop and needs none.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from functools import partial

from sampan.dialects.anthropic import Anthropic
from sampan.engines import wire_conversation
from sampan.engines.contract import Converser, Heard, Stopped
from sampan.engines.conversation import Conversation, Piece
from sampan.engines.desks import Handler, comment, parsed, send_stream
from sampan.engines.exchange import Exchange
from sampan.engines.wire_answer import Frames, message
from sampan.engines.wire_talk import PING
from sampan.engines.workers import Workers


class ConversationDesk:
    """Anthropic Messages in front of a converser. A caller that leaves ends its answer at once."""

    codec = Anthropic()

    def __init__(self, engine: Converser, workers: Workers) -> None:
        self._engine = engine
        self._workers = workers
        self.handlers: Mapping[str, Handler] = {
            "/v1/messages": self._messages,
            "/v1/messages/count_tokens": self._count,
        }

    async def _messages(self, exchange: Exchange, body: bytes) -> None:
        conversation = await parsed(partial(wire_conversation.parse, peer=exchange.peer), body)
        message_id = f"msg_{secrets.token_hex(12)}"
        if conversation.stream:
            frames = Frames(conversation.model, message_id)
            said = self._stream(conversation, frames)
            await send_stream(exchange, said, lambda: PING if frames.begun else comment(), self.codec)
            return
        async with aclosing(self._answer(conversation)) as answer:
            pieces = [piece async for some in answer for piece in some]
        await exchange.answer(200, message(pieces, conversation.model, message_id))

    async def _count(self, exchange: Exchange, body: bytes) -> None:
        heard = await self._hear(await parsed(wire_conversation.parse_count, body))
        await exchange.answer(200, b'{"input_tokens":%d}' % heard.input_tokens)

    async def _hear(self, conversation: Conversation) -> Heard:
        async with aclosing(self._workers.run(partial(_hear, self._engine, conversation))) as heard:
            return await anext(heard)

    async def _answer(self, conversation: Conversation) -> AsyncGenerator[list[Piece], None]:
        heard = await self._hear(conversation)
        async with aclosing(heard.answer()) as answer:
            async for pieces in answer:
                yield list(pieces)

    async def _stream(self, conversation: Conversation, frames: Frames) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._answer(conversation)) as answer:
            async for pieces in answer:
                if data := frames.write(pieces):
                    yield data


def _hear(engine: Converser, conversation: Conversation, stopped: Stopped) -> Iterator[Heard]:
    yield engine.hear(conversation)
