"""The text of pictures and documents, for who has to know what is in them: asked of the reader, as anybody would."""

from __future__ import annotations

import base64
from collections.abc import Callable

import msgspec

from sampan.core import Call, Dialect, Operation, Upstream
from sampan.dialects import pictures
from sampan.errors import ConfigError

MOST = 8192  # tokens of an answer: a page has a thousand
WHOLE_TEXT = "提取文字"


class _Block(msgspec.Struct):
    type: str = ""
    text: str = ""


class _Message(msgspec.Struct):
    content: list[_Block]
    stop_reason: str | None = None


class Eyes:
    """`reader` is the engine to ask; None where there is none. Nothing leaves the house: it is asked directly."""

    def __init__(self, reader: Callable[[], Upstream | None]) -> None:
        self._reader = reader

    async def read(self, picture: bytes) -> str:
        """The text of a picture. Raises whatever keeps it from being known."""
        media_type = pictures.media_type(picture)
        if media_type is None:
            raise ValueError("it is no picture that can be read")
        return await self._ask({"type": "image", "source": _source(media_type, picture)})

    async def read_document(self, document: bytes) -> str:
        """The text of a PDF, all its pages. Raises as `read` does."""
        return await self._ask({"type": "document", "source": _source("application/pdf", document)})

    async def _ask(self, block: dict[str, object]) -> str:
        reader = self._reader()
        if reader is None:
            raise ConfigError("no engine of kind `reader` is configured: what is in pictures cannot be known")
        content = [block, {"type": "text", "text": WHOLE_TEXT}]
        asked = {"model": reader.name, "max_tokens": MOST, "messages": [{"role": "user", "content": content}]}
        body = msgspec.json.encode(asked)
        call = Call(
            Dialect.ANTHROPIC,
            Operation.VISION,
            reader.name,
            "/v1/messages",
            body,
            "application/json",
            answer_tokens=MOST,
            confined="its pictures are being looked at",
        )
        event = await reader.fetch(call, None)
        message = msgspec.json.decode(event.data, type=_Message)
        if message.stop_reason == "max_tokens":
            raise ValueError("there is more text in it than can be read at once")
        return "\n".join(block.text for block in message.content if block.type == "text")


def _source(media_type: str, data: bytes) -> dict[str, str]:
    return {"type": "base64", "media_type": media_type, "data": base64.b64encode(data).decode("ascii")}
