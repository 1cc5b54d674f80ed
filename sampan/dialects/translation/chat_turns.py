"""The messages of a chat as turns of Messages: who said what, in an order that Messages takes.

Messages wants each `tool_use` answered in the very next user turn, unique tool ids of [a-zA-Z0-9_-], no text block
without a visible character, and no white space at the end of an answer that is to be gone on with.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Literal

import msgspec

from sampan.dialects import pictures
from sampan.dialects.fields import UNREADABLE
from sampan.errors import InvalidRequest

_SNIFFED = 64  # base64 characters that tell a type: 48 bytes
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_KINDS = {"system": {"text"}, "assistant": {"text", "refusal"}}
_USER_KINDS = {"text", "image_url", "file"}


class Url(msgspec.Struct):
    url: str


class File(msgspec.Struct):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class Part(msgspec.Struct):
    """One part of a message's content."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: Url | str | None = None
    file: File | None = None


class Called(msgspec.Struct):
    """A function's name and its arguments, a JSON object as text."""

    name: str
    arguments: str = ""


class ToolCall(msgspec.Struct):
    id: str
    type: str = "function"
    function: Called | None = None


class Message(msgspec.Struct):
    """One message of a chat, of any role."""

    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Called | None = None
    tool_call_id: str | None = None
    audio: Any = None


_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Turns:
    """Takes messages one by one. Raises `InvalidRequest` naming the message that cannot stand where it does."""

    def __init__(self) -> None:
        self.system: list[str] = []
        self._turns: list[dict[str, Any]] = []
        self._names: dict[str, str] = {}
        self._used: set[str] = set()
        self._open: dict[tuple[str, str], str] = {}  # (kind of reference, what it says) → the id sent for it
        self._open_at = ""

    def add(self, message: Message, where: str) -> None:
        """`where` is the message's path, `messages.0`."""
        match message.role:
            case "system" | "developer":
                self._add_system(message, where)
            case "user":
                self._settle()
                blocks = _blocks(message.content, f"{where}.content", _USER_KINDS)
                if not blocks:
                    raise InvalidRequest(f"{where}.content: must not be empty", param=f"{where}.content")
                self._append("user", blocks)
            case "assistant":
                self._settle()
                self._add_assistant(message, where)
            case "tool":
                if message.tool_call_id is None:
                    raise InvalidRequest(f"{where}.tool_call_id: Field required", param=f"{where}.tool_call_id")
                self._add_result(message, ("id", message.tool_call_id), f"{where}.tool_call_id", where)
            case "function":
                if message.name is None:
                    raise InvalidRequest(f"{where}.name: Field required", param=f"{where}.name")
                self._add_result(message, ("name", message.name), f"{where}.name", where)
        if message.name is not None and message.role not in ("tool", "function"):  # there it is the function's
            self._know(message.role, message.name, where)

    def finish(self) -> list[dict[str, Any]]:
        """All turns; none is a mistake."""
        self._settle()
        if not self._turns:
            raise InvalidRequest("messages: at least one message of a user is required", param="messages")
        last = self._turns[-1]
        if last["role"] == "assistant":  # to be gone on with
            block = last["content"][-1]
            block["text"] = block["text"].rstrip()
        return self._turns

    def _append(self, role: str, blocks: list[dict[str, Any]]) -> None:
        if self._turns and self._turns[-1]["role"] == role:
            self._turns[-1]["content"] += blocks
        else:
            self._turns.append({"role": role, "content": blocks})

    def _settle(self) -> None:
        """Nothing but results may follow calls until each call has its own."""
        if self._open:
            raise InvalidRequest(
                f"{self._open_at}: each call must be answered by a message right after it", param=self._open_at
            )

    def _know(self, role: str, name: str, where: str) -> None:
        """A name tells speakers of one role apart. Messages has none, which loses nothing while there is only one."""
        if self._names.setdefault(role, name) != name:
            raise InvalidRequest(
                f"{where}.name: the upstream that answers cannot tell two names of one role apart",
                param=f"{where}.name",
            )

    def _add_system(self, message: Message, where: str) -> None:
        for block in _blocks(message.content, f"{where}.content", _KINDS["system"]):
            self.system.append(block["text"])

    def _add_assistant(self, message: Message, where: str) -> None:
        if message.audio is not None:
            raise InvalidRequest(f"{where}.audio: sound is not understood here yet", param=f"{where}.audio")
        blocks = _blocks(message.content, f"{where}.content", _KINDS["assistant"])
        if message.refusal and message.refusal.strip():
            blocks.append(_text(message.refusal))
        for index, call in enumerate(message.tool_calls or ()):
            here = f"{where}.tool_calls.{index}"
            if call.type != "function" or call.function is None:
                raise InvalidRequest(f"{here}: only calls of functions can be used here", param=here)
            if not call.id:
                raise InvalidRequest(f"{here}.id: must not be empty", param=f"{here}.id")
            if ("id", call.id) in self._open:
                raise InvalidRequest(f"{here}.id: is there twice", param=f"{here}.id")
            sent = self._open[("id", call.id)] = self._name(call.id)
            self._open_at = f"{where}.tool_calls"
            blocks.append(_use(call.function, sent, f"{here}.function"))
        if message.function_call is not None:
            called = message.function_call
            sent = self._open[("name", called.name)] = self._name(f"call_{where.removeprefix('messages.')}")
            self._open_at = f"{where}.function_call"
            blocks.append(_use(called, sent, self._open_at))
        if blocks:
            self._append("assistant", blocks)

    def _name(self, wanted: str) -> str:
        """An id that Messages takes: only its signs, and no other call's; servers that count from 0 repeat theirs."""
        known = _NOT_IN_IDS.sub("_", wanted)
        name, number = known, 1
        while name in self._used:
            number += 1
            name = f"{known}_{number}"
        self._used.add(name)
        return name

    def _add_result(self, message: Message, reference: tuple[str, str], named_at: str, where: str) -> None:
        sent = self._open.pop(reference, None)
        if sent is None:
            raise InvalidRequest(f"{named_at}: answers no call of the message before it", param=named_at)
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": sent}
        if isinstance(message.content, str):
            if message.content:
                block["content"] = message.content
        else:
            blocks = _blocks(message.content, f"{where}.content", _USER_KINDS)
            if blocks:
                block["content"] = blocks
        self._append("user", [block])


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _blocks(content: str | list[Part] | None, where: str, kinds: set[str]) -> list[dict[str, Any]]:
    """Content as blocks; text without a visible character says nothing and is none."""
    if content is None:
        return []
    if isinstance(content, str):
        return [_text(content)] if content.strip() else []
    blocks = []
    for index, part in enumerate(content):
        here = f"{where}.{index}"
        if part.type not in kinds:
            known = ", ".join(sorted(kinds))
            raise InvalidRequest(f"{here}.type: must be one of: {known}", param=f"{here}.type")
        if part.type == "image_url":
            blocks.append(_picture(part, f"{here}.image_url"))
        elif part.type == "file":
            blocks.append(_file(part, f"{here}.file"))
        else:
            text = part.text if part.type == "text" else part.refusal
            if text is None:
                raise InvalidRequest(f"{here}.{part.type}: Field required", param=f"{here}.{part.type}")
            if text.strip():
                blocks.append(_text(text))
    return blocks


def _use(called: Called, name: str, where: str) -> dict[str, Any]:
    """A call; its arguments go on as they were written, once they are known to be a JSON object."""
    arguments = called.arguments.encode() if called.arguments.strip() else b"{}"
    try:
        _members.decode(arguments)
    except UNREADABLE:
        raise InvalidRequest(f"{where}.arguments: must be a JSON object", param=f"{where}.arguments") from None
    return {"type": "tool_use", "id": name, "name": called.name, "input": msgspec.Raw(arguments)}


def _picture(part: Part, where: str) -> dict[str, Any]:
    if part.image_url is None:
        raise InvalidRequest(f"{where}: Field required", param=where)
    url = part.image_url
    if isinstance(url, Url):
        url, where = url.url, f"{where}.url"
    if url[:8].lower().startswith(("http://", "https://")):
        return {"type": "image", "source": {"type": "url", "url": url}}
    if url[:5].lower() != "data:":
        raise InvalidRequest(f"{where}: must be a link (http, https) or a data URL in base64", param=where)
    _, data = _opened(url, where)
    block = _seen(data, where)
    if block is None:
        raise InvalidRequest(f"{where}: is no PNG, JPEG, GIF, WebP or PDF", param=where)
    return block


def _file(part: Part, where: str) -> dict[str, Any]:
    file = part.file
    if file is None:
        raise InvalidRequest(f"{where}: Field required", param=where)
    if file.file_data is None:
        if file.file_id is None:
            raise InvalidRequest(f"{where}: either file_data or file_id is required", param=where)
        return {"type": "document", "source": {"type": "file", "file_id": file.file_id}}
    where = f"{where}.file_data"
    named, data = _opened(file.file_data, where) if file.file_data[:5].lower() == "data:" else ("", file.file_data)
    block = _seen(data, where)
    if block is None and named.startswith("text/"):
        block = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": _read(data, where)}}
    if block is None:
        raise InvalidRequest(f"{where}: is no PDF, PNG, JPEG, GIF, WebP or text", param=where)
    if file.filename and block["type"] == "document":
        block["title"] = file.filename
    return block


def _opened(url: str, where: str) -> tuple[str, str]:
    """A data URL's media type, as somebody calls it, and its base64 (RFC 2397)."""
    head, comma, data = url.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise InvalidRequest(f"{where}: a data URL must be in base64", param=where)
    return head[5:].partition(";")[0].strip().lower(), data


def _seen(data: str, where: str) -> dict[str, Any] | None:
    """A picture or a PDF as a block, its type told by its first bytes; None for anything else."""
    try:
        media_type = pictures.media_type(base64.b64decode(data[:_SNIFFED]))
    except (binascii.Error, ValueError):
        raise InvalidRequest(f"{where}: is not base64", param=where) from None
    if media_type is None:
        return None
    source = {"type": "base64", "media_type": media_type, "data": data}
    return {"type": "document" if media_type == "application/pdf" else "image", "source": source}


def _read(data: str, where: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except ValueError:  # bad base64 and bad UTF-8 both
        raise InvalidRequest(f"{where}: is no text in UTF-8", param=where) from None
