"""What the `openai` client asks for beside talk: a cloud that embeds, one that makes pictures, and ways to reach them.

Both answer with what they were asked, so that a test sees what arrived: a vector begins with the length of its input,
a picture is as large as its place in the answer says, and every body is kept (`clouds.Cell.bodies`).
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping
from typing import Any

from behaviours import frame
from cells import Exchange, png
from clouds import Cloud
from gateway import DRAW, route, upstream

from sampan.dialects import form

DIMENSIONS = 3
PARTIALS = 2
USAGE = {
    "input_tokens": 12,
    "input_tokens_details": {"text_tokens": 2, "image_tokens": 10},
    "output_tokens": 30,
    "output_tokens_details": {"text_tokens": 0, "image_tokens": 30},
    "total_tokens": 42,
}


def vector(given: Any) -> list[float]:
    """The vector of a text or of token numbers; all its values are exact in 32 bits."""
    return [float(len(given)), 0.25, -1.5]


def picture(number: int, colour: tuple[int, int, int] = (200, 40, 40)) -> bytes:
    """The picture at a place in an answer, from 0 on."""
    return png(colour, 16 + number)


def partial(number: int) -> bytes:
    """The unfinished picture at a place in a stream."""
    return png((90, 90, 90), 4 + number)


class Studio(Cloud):
    """`studio.url("embed")` and `studio.url("draw")` are the two clouds; `…-blank` pictures are refused."""

    async def _behave(self, exchange: Exchange) -> None:
        path = exchange.path.split("?")[0]
        if exchange.method != "POST":
            await super()._behave(exchange)
        elif path == "/v1/embeddings":
            await _embed(exchange)
        else:
            await _draw(exchange)

    def fields(self, cell: str) -> dict[str, list[bytes]]:
        """The last form that a cloud was sent: all values of each field, in their order."""
        heard = self.cell(cell)
        found: dict[str, list[bytes]] = {}
        for part in form.parse(heard.heads[-1]["content-type"], heard.bodies[-1]):
            found.setdefault(part.name, []).append(part.data)
        return found

    def json(self, cell: str) -> Any:
        return json.loads(self.cell(cell).bodies[-1])


async def _embed(exchange: Exchange) -> None:
    asked = json.loads(exchange.body)
    given = asked["input"]
    one = isinstance(given, str) or isinstance(given[0], int)
    data = []
    for index, each in enumerate([given] if one else given):
        values: Any = vector(each)
        if asked.get("encoding_format") == "base64":
            values = base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *values)).decode()
        data.append({"object": "embedding", "index": index, "embedding": values})
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    await exchange.reply(200, {"object": "list", "data": data, "model": asked["model"], "usage": usage})


async def _draw(exchange: Exchange) -> None:
    asked = _asked(exchange)
    gpt = str(asked.get("model", "")).startswith("chatgpt-image")
    if gpt and "response_format" in asked:  # as OpenAI does
        await _refuse(exchange, "Unknown parameter: 'response_format'.", "response_format", "unknown_parameter")
    elif str(asked.get("model", "")).endswith("-blank"):
        await _refuse(exchange, "Your request was rejected.", None, "moderation_blocked")
    elif exchange.stream:
        await _stream(exchange, int(asked.get("partial_images") or 0))
    else:
        number = int(asked.get("n") or 1)
        data = [{"b64_json": base64.b64encode(picture(each)).decode()} for each in range(number)]
        await exchange.reply(200, {"created": 1, "data": data, "future": [1.50], "usage": USAGE})


async def _refuse(exchange: Exchange, message: str, param: str | None, code: str) -> None:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    await exchange.reply(400, {"error": error})


async def _stream(exchange: Exchange, partials: int) -> None:
    kind = "image_edit" if exchange.edits else "image_generation"
    facts = {
        "created_at": 1,
        "background": "opaque",
        "output_format": "png",
        "quality": "low",
        "size": "1024x1024",
    }
    await exchange.begin_stream()
    for number in range(partials):
        said = {"b64_json": base64.b64encode(partial(number)).decode(), "partial_image_index": number}
        name = f"{kind}.partial_image"
        await exchange.piece(frame(name, {"type": name, **said, **facts}))
    said = {"b64_json": base64.b64encode(picture(0)).decode()}
    await exchange.piece(frame(f"{kind}.completed", {"type": f"{kind}.completed", **said, **facts, "usage": USAGE}))
    await exchange.end_stream()


def _asked(exchange: Exchange) -> Mapping[str, Any]:
    """The text fields of a form, or the body as JSON."""
    kind = exchange.cell.heads[-1].get("content-type", "")
    if not kind.startswith("multipart/"):
        return dict(json.loads(exchange.body))
    return {part.name: part.text() for part in form.parse(kind, exchange.body) if not part.filename}


def openai_config(studio: Studio) -> str:
    """Embeddings, pictures and the sketcher, to stand behind `sdk_clouds.sdk_config`."""
    secret = 'api_key = "sk-of-the-studio"\n'
    config = '[engines.sketcher]\nkind = "sketcher"\n'
    config += upstream("embeddings", f"{studio.url('embed')}/v1", "openai-embeddings", more=secret)
    config += upstream("studio", f"{studio.url('draw')}/v1", "openai-images", more=secret)
    config += route("embed-*", '"embed"', "embeddings")
    config += route("sketcher", DRAW, "sketcher")
    for name in ("dall-e-*", "chatgpt-image-*"):
        config += route(name, DRAW, "studio")
    config += route("studio-alias", DRAW, "studio:dall-e-2")
    return config
