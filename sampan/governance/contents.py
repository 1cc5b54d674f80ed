"""What a call holds: its texts, the tools that it offers, the pictures it asks for, and what only shows when looked at.

A *medium* is what is no text of its own: a picture, a document, a link to one, a file by its id. Nothing of a medium is
searched as text, for base64 has digits of its own.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from sampan.core import Call, Operation
from sampan.dialects import form, pictures
from sampan.dialects.fields import UNREADABLE, invalid

UNNAMED_MEGAPIXELS = 4.2
"""What a picture whose size is not named, or `auto`, counts as: 2048 × 2048, the largest that any server draws so."""

_SIZE = re.compile(r"\s*([0-9]{1,6})\s*[x×*]\s*([0-9]{1,6})\s*", re.IGNORECASE)
_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE)
_EMBED = Operation.EMBED  # looked up by name it costs 0.4 µs
_OPAQUE = frozenset({"signature", "encrypted_content"})  # a cloud's own words to itself
_LINKS = frozenset({"image_url", "video_url", "file_url"})
_FRAME = frozenset({"type", "role"})
_NAMED = _OPAQUE | _LINKS | _FRAME | {"file_id", "file_data", "b64_json", "partial_image_b64"}
_KINDS = frozenset({"base64", "redacted_thinking", "url", "image_generation_call", "input_audio", "audio_url"})
_PLAIN_TYPES = frozenset({"function", "custom"})  # say nothing of what a tool does
_LEAST_NUMBER = 10_000_000  # a JSON number of fewer digits is part of no identifier


class Kind(StrEnum):
    """What a medium is, as far as its place tells."""

    PICTURE = "picture"
    DOCUMENT = "document"
    LINK = "link"
    FILE = "file"
    UNKNOWN = "unknown"


class Medium(msgspec.Struct, frozen=True):
    """`data` is base64 text or bytes of a picture or document, the URL of a link, or the id of a file."""

    kind: Kind
    data: str | bytes

    def bytes(self) -> bytes:
        """A picture's or document's bytes. Raises `ValueError` for what is no base64."""
        if isinstance(self.data, bytes):
            return self.data
        try:
            return base64.b64decode(self.data)
        except binascii.Error as error:
            raise ValueError("no base64") from error


class Contents(msgspec.Struct, frozen=True):
    """All texts of a call, one to a line or more, and its media in their order."""

    text: str
    media: tuple[Medium, ...] = ()


class _Named(msgspec.Struct):
    name: str | None = None


class _Tool(msgspec.Struct):
    name: str | None = None
    type: str | None = None
    server_label: str | None = None
    function: _Named | None = None


class _Offer(msgspec.Struct):
    tools: list[_Tool] | None = None
    functions: list[_Named] | None = None
    mcp_servers: list[_Named] | None = None
    web_search_options: msgspec.Raw = msgspec.Raw()


class _Sized(msgspec.Struct):
    size: str | None = None


_offer = msgspec.json.Decoder(_Offer)
_sized = msgspec.json.Decoder(_Sized)


def offered_tools(call: Call) -> tuple[tuple[str, ...], ...]:
    """Name and type of each tool that the call offers. Raises `InvalidRequest` where they cannot be read."""
    if call.content_type.startswith("multipart/") or b'"' not in call.body:
        return ()
    try:
        offer = _offer.decode(call.body)
    except UNREADABLE as error:
        raise invalid(error) from None
    found = []
    for tool in offer.tools or ():
        names = (tool.name, tool.server_label, tool.function.name if tool.function else None)
        types = (tool.type,) if tool.type not in _PLAIN_TYPES else ()
        found.append(tuple(name for name in (*names, *types) if name))
    found += [(each.name or "",) for each in (*(offer.functions or ()), *(offer.mcp_servers or ()))]
    if bytes(offer.web_search_options) not in (b"", b"null"):
        found.append(("web_search",))
    return tuple(found)


def asked_megapixels(call: Call) -> float:
    """The size of each picture that the call asks for, in millions of pixels; 0 where it asks for none."""
    if call.operation not in (Operation.GENERATE, Operation.EDIT):
        return 0.0
    if call.operation is Operation.EDIT:
        parts = form.parse(call.content_type, call.body)
        size = next((part.text() for part in parts if part.name == "size"), "")
    else:
        try:
            size = _sized.decode(call.body).size or ""
        except UNREADABLE as error:
            raise invalid(error) from None
    match = _SIZE.fullmatch(size)
    return int(match[1]) * int(match[2]) / 1e6 if match else UNNAMED_MEGAPIXELS


def read_contents(call: Call) -> Contents:
    """Reads the whole body. Raises `InvalidRequest` for one that cannot be read."""
    reader = _Reader()
    if call.content_type.startswith("multipart/"):
        for part in form.parse(call.content_type, call.body):
            if part.filename is not None:
                reader.texts.append(part.filename)
            if part.filename is None and pictures.media_type(part.data) is None:
                reader.texts.append(part.text())
            else:
                reader.see(part.data)
    else:
        try:
            body = msgspec.json.decode(call.body)
        except UNREADABLE as error:
            raise invalid(error) from None
        reader.read(body)
        if call.operation is _EMBED and isinstance(body, dict) and not _is_text(body.get("input")):
            reader.media.append(Medium(Kind.UNKNOWN, ""))
    return Contents("\n".join(reader.texts), tuple(reader.media))


def _is_text(value: Any) -> bool:
    """False for the token numbers that an embedding may be asked of: text that nobody here can read."""
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(each, str) for each in value))


class _Reader:
    """Walks through a body, a level at a time on a list of its own: what callers nest is not our stack's to bear."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.media: list[Medium] = []
        self._left: list[Any] = []

    def read(self, value: Any) -> None:
        left, texts = self._left, self.texts
        left.append(value)
        while left:
            value = left.pop()
            # As they are decoded: of these types themselves, and of none below them.
            kind = type(value)
            if kind is str:
                if value[:5].lower() != "data:" or not self._data_url(value):
                    texts.append(value)
            elif kind is dict:
                self._members(value)
            elif kind is list:
                left.extend(reversed(value))
            elif kind is int and value >= _LEAST_NUMBER:
                texts.append(str(value))

    def see(self, data: bytes) -> None:
        """Bytes of which their beginning says what they are."""
        media_type = pictures.media_type(data)
        kind = Kind.DOCUMENT if media_type == "application/pdf" else Kind.PICTURE if media_type else Kind.UNKNOWN
        self.media.append(Medium(kind, data))

    def _members(self, node: Mapping[str, Any]) -> None:
        kind = node.get("type")
        taken = ""
        if isinstance(kind, str) and kind in _KINDS:
            if kind in ("input_audio", "audio_url"):
                self.media.append(Medium(Kind.UNKNOWN, ""))
                return
            taken = self._medium(kind, node)
        rest = []
        for name, value in node.items():
            # Most names are words, which is sooner seen than that none of their signs is a digit.
            if len(name) > 7 and not name.replace("_", "").isalpha() and any(sign.isdigit() for sign in name):
                self.texts.append(name)  # tools are called with whatever names their callers give
            if name in _NAMED:
                if isinstance(value, str) and self._member(name, value):
                    continue
                value = self._inner_link(name, value)
            if name != taken or not taken:
                rest.append(value)
        rest.reverse()
        self._left += rest

    def _medium(self, kind: str, node: Mapping[str, Any]) -> str:
        """Takes what an object of this kind holds that is no text, and returns the name that it has there."""
        if kind == "base64" and isinstance(node.get("data"), str):
            self._base64(str(node.get("media_type", "")), node["data"])
            return "data"
        if kind == "redacted_thinking":
            return "data"
        if kind == "url" and isinstance(node.get("url"), str):
            self._link(node["url"])
            return "url"
        if kind == "image_generation_call" and isinstance(node.get("result"), str):
            self._base64("image/", node["result"])
            return "result"
        return ""

    def _member(self, name: str, value: str) -> bool:
        """Whether a text of one of the names in `_NAMED` was something else than its letters."""
        if name in _FRAME and value.isascii() and value.replace("_", "").isalpha():
            return True  # between two texts that are read one after the other these words would part a number
        if name in _OPAQUE:
            return True
        if name in _LINKS:
            self._link(value)
            return True
        if name == "file_id":
            self.media.append(Medium(Kind.FILE, value))
            return True
        if name == "file_data":
            if not self._data_url(value):
                self._base64("", value)
            return True
        if name in ("b64_json", "partial_image_b64"):
            self._base64("image/", value)
            return True
        return False

    def _inner_link(self, name: str, value: Any) -> Any:
        """What is left of a member: of `{"image_url": {"url": …}}` all but the link, which is seen to."""
        if name in _LINKS and isinstance(value, dict) and isinstance(value.get("url"), str):
            self._link(value["url"])
            return {key: each for key, each in value.items() if key != "url"}
        return value

    def _link(self, url: str) -> None:
        if not self._data_url(url):
            self.texts.append(url)
            self.media.append(Medium(Kind.LINK, url))

    def _data_url(self, value: str) -> bool:
        match = _DATA_URL.match(value[:400])
        if match is None or ";base64" not in match[2].lower():
            return False
        self._base64(match[1].lower(), value[match.end() :])
        return True

    def _base64(self, media_type: str, data: str) -> None:
        if media_type.startswith("text/"):
            try:
                self.texts.append(base64.b64decode(data).decode())
                return
            except ValueError:
                self.media.append(Medium(Kind.UNKNOWN, data))
                return
        seen = pictures.media_type(pictures.beginning(data))
        if seen == "application/pdf" or (seen is None and media_type == "application/pdf"):
            kind = Kind.DOCUMENT
        elif seen is not None or media_type.startswith("image/"):
            kind = Kind.PICTURE
        else:
            kind = Kind.UNKNOWN
        self.media.append(Medium(kind, data))
