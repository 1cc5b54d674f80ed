"""A chat request with the pictures that it links to in it, for a server that would else go and fetch them itself.

Only for calls that may not leave the house: other links are a server's own business.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from sampan.dialects import pictures
from sampan.dialects.fields import UNREADABLE, invalid
from sampan.errors import InvalidRequest
from sampan.media.pictures import FORMATS
from sampan.media.serving import Fetch

# What parts of a chat may link to, by their type: the member that holds the link, or an object with `url`.
LINKING = ("image_url", "video_url", "audio_url", "file", "input_image", "input_file")
MEMBERS = ("url", "file_url", "image_url", "file_data")


async def bring(body: bytes, fetch: Fetch) -> bytes:
    """`body`, a chat request, with each linked picture as a data URL; the same object where it links to none.

    Raises `InvalidRequest` naming the part whose link leads to no picture, or may not be followed.
    """
    try:
        request = msgspec.json.decode(body)
    except UNREADABLE as error:
        raise invalid(error) from None
    turns = request.get("messages") if isinstance(request, dict) else None
    changed = False
    for index, turn in enumerate(turns if isinstance(turns, list) else ()):
        parts = turn.get("content") if isinstance(turn, dict) else None
        for place, part in enumerate(parts if isinstance(parts, list) else ()):
            if isinstance(part, dict) and part.get("type") in LINKING:
                changed |= await _bring_part(part, f"messages.{index}.content.{place}", fetch)
    return msgspec.json.encode(request) if changed else body


async def _bring_part(part: dict[str, Any], path: str, fetch: Fetch) -> bool:
    """Whether anything of a part had to be fetched."""
    changed = False
    for holder, where in [(part, path), *((each, f"{path}.{name}") for name, each in part.items())]:
        if not isinstance(holder, dict):
            continue
        for member in MEMBERS:
            link = holder.get(member)
            if not isinstance(link, str) or link[:5].lower() == "data:" or "://" not in link:
                continue
            if part["type"] not in ("image_url", "input_image"):
                message = f"{where}.{member}: a call that may not leave the house cannot link to this; send its bytes"
                raise InvalidRequest(message, param=f"{where}.{member}")
            data = await fetch(link, f"{where}.{member}", FORMATS)
            holder[member] = f"data:{pictures.media_type(data)};base64,{base64.b64encode(data).decode()}"
            changed = True
    return changed
