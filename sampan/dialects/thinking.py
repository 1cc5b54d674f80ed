"""Thinking that crosses the border: our own signatures, and which thinking may be shown to whom. No I/O.

A model's thinking goes back to it with the next turn, and its maker checks the signature. So thinking that a local
model wrote must never reach a cloud, which refuses the whole request for it, and a cloud's thinking is nothing to a
local model. Local thinking is signed here: `sampan1.` and the base64url of an HMAC-SHA256 over tenant, model and text.

| block in the request | to a cloud | to the local model that wrote it | to another local model |
|---|---|---|---|
| signed by us, as it should be | removed | kept | removed |
| signed by us, altered or of another tenant | removed | removed | removed |
| signed by somebody else | kept | removed | removed |
| not signed | removed | removed | removed |

A turn that held nothing else is removed, and what stood around it becomes one turn; any other turn keeps its place, so
that a `tool_use` never loses the `tool_result` behind it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from sampan.dialects import sse
from sampan.dialects.fields import UNREADABLE, invalid
from sampan.errors import InvalidRequest

PREFIX = "sampan1."
_ESCAPE = b"\\u00"  # a name may be spelt in escapes, to be overlooked


def sign(secret: bytes, tenant: str, model: str, text: str) -> str:
    """The signature of a thinking block with that text, written by `model` for `tenant`."""
    mac = _begun(secret, tenant, model)
    mac.update(text.encode("utf-8", "surrogatepass"))
    return _told(mac)


def verify(secret: bytes, tenant: str, model: str, text: str, signature: str) -> bool:
    """Whether `signature` is ours, for exactly this."""
    return hmac.compare_digest(sign(secret, tenant, model, text).encode(), signature.encode("utf-8", "surrogatepass"))


def _begun(secret: bytes, tenant: str, model: str) -> hmac.HMAC:
    """Each name goes in behind its length: `ab` with `c` must not be `a` with `bc`."""
    mac = hmac.new(secret, digestmod=hashlib.sha256)
    for part in (tenant, model):
        name = part.encode("utf-8", "surrogatepass")
        mac.update(struct.pack(">Q", len(name)) + name)
    return mac


def _told(mac: hmac.HMAC) -> str:
    return PREFIX + base64.urlsafe_b64encode(mac.digest()).decode("ascii").rstrip("=")


# Requests.


class _Block(msgspec.Struct):
    type: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""


class _Asked(msgspec.Struct):
    type: str = ""


_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_turns = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_list = msgspec.json.Decoder(list[msgspec.Raw])
_content: msgspec.json.Decoder[str | list[msgspec.Raw]] = msgspec.json.Decoder(str | list[msgspec.Raw])
_block = msgspec.json.Decoder(_Block)
_text = msgspec.json.Decoder(str)
_asked = msgspec.json.Decoder(_Asked)

_THINKING = frozenset({"thinking", "redacted_thinking"})
_DISABLED = msgspec.Raw(b'{"type":"disabled"}')


def for_cloud(body: bytes) -> bytes:
    """A Messages request without the thinking that we signed or nobody did; the same object where it holds none.

    Where the last assistant turn calls a tool and has lost its thinking, or never had any, `thinking` of type `enabled`
    becomes `disabled` for this one request: the wire refuses such a turn otherwise. Raises `InvalidRequest`.
    """
    if not _may_think(body):
        return body
    request, turns = _read(body)
    kept, changed = _without(turns, _is_theirs)
    if _must_not_think(request, kept):
        request["thinking"] = _DISABLED
        changed = True
    return _written(request, kept) if changed else body


def for_local(body: bytes, secret: bytes, tenant: str, model: str) -> bytes:
    """A Messages request without any thinking but that which `model` itself wrote for `tenant`, as we signed it.

    The same object where nothing is to be removed. Raises `InvalidRequest`.
    """
    if not _may_think(body):
        return body
    request, turns = _read(body)

    def ours(block: _Block) -> bool:
        return block.type == "thinking" and verify(secret, tenant, model, block.thinking, block.signature)

    kept, changed = _without(turns, ours)
    return _written(request, kept) if changed else body


def _is_theirs(block: _Block) -> bool:
    """Signed, and not by us: then by the cloud, the only other one that a caller has it from."""
    seal = block.signature or block.data
    return bool(seal) and not seal.startswith(PREFIX)


def _may_think(body: bytes) -> bool:
    return b"thinking" in body or _ESCAPE in body


def _read(body: bytes) -> tuple[dict[str, msgspec.Raw], list[dict[str, msgspec.Raw]]]:
    try:
        request = _object.decode(body)
    except UNREADABLE as error:
        raise invalid(error) from None
    try:
        return request, _turns.decode(request.get("messages", msgspec.Raw(b"[]")))
    except UNREADABLE as error:
        raise invalid(error, "messages") from None


def _written(request: dict[str, msgspec.Raw], turns: list[dict[str, msgspec.Raw]]) -> bytes:
    if not turns:
        raise InvalidRequest("messages: nothing is left of them but thinking for another model", param="messages")
    request["messages"] = msgspec.Raw(msgspec.json.encode(turns))
    return msgspec.json.encode(request)


def _without(
    turns: list[dict[str, msgspec.Raw]], keep: Callable[[_Block], bool]
) -> tuple[list[dict[str, msgspec.Raw]], bool]:
    """The turns with only the thinking that `keep` says, and whether any was removed."""
    kept: list[dict[str, msgspec.Raw]] = []
    changed = gap = False
    for index, turn in enumerate(turns):
        blocks, left = _divided(turn, index, keep)
        if len(left) == len(blocks):
            if gap and kept and _role(kept[-1]) == _role(turn):
                kept[-1] = _merged(kept[-1], turn)
            else:
                kept.append(turn)
            gap = False
            continue
        changed = True
        if left:
            kept.append({**turn, "content": msgspec.Raw(msgspec.json.encode(left))})
            gap = False
        else:
            gap = True
    return kept, changed


def _divided(
    turn: dict[str, msgspec.Raw], index: int, keep: Callable[[_Block], bool]
) -> tuple[list[msgspec.Raw], list[msgspec.Raw]]:
    """All blocks of a turn, and those that stay. Text alone, and turns of a caller, are left as they are."""
    content = turn.get("content", msgspec.Raw(b'""'))
    view = memoryview(content)
    if _role(turn) != "assistant" or bytes(view[:1]) != b"[":
        return [], []
    path = f"messages.{index}.content"
    try:
        blocks = _list.decode(content)
        left = []
        for raw in blocks:
            block = _block.decode(raw) if _may_think(bytes(memoryview(raw))) else _Block()
            if block.type not in _THINKING or keep(block):
                left.append(raw)
    except UNREADABLE as error:
        raise invalid(error, path) from None
    return blocks, left


def _role(turn: dict[str, msgspec.Raw]) -> str:
    try:
        return _text.decode(turn.get("role", msgspec.Raw(b'""')))
    except UNREADABLE:
        return ""


def _merged(before: dict[str, msgspec.Raw], turn: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """Two turns of one role, between which a turn of the other went away, as one."""
    blocks = [*_as_blocks(before), *_as_blocks(turn)]
    return {**before, **turn, "content": msgspec.Raw(msgspec.json.encode(blocks))}


def _as_blocks(turn: dict[str, msgspec.Raw]) -> list[msgspec.Raw]:
    try:
        content = _content.decode(turn.get("content", msgspec.Raw(b"[]")))
    except UNREADABLE as error:
        raise invalid(error, "messages") from None
    if isinstance(content, str):
        return [msgspec.Raw(msgspec.json.encode({"type": "text", "text": content}))] if content else []
    return content


def _must_not_think(request: dict[str, msgspec.Raw], turns: list[dict[str, msgspec.Raw]]) -> bool:
    """Whether thinking is enabled and the last assistant turn calls a tool without having thought first."""
    try:
        if "thinking" not in request or _asked.decode(request["thinking"]).type != "enabled":
            return False
        last = next((turn for turn in reversed(turns) if _role(turn) == "assistant"), None)
        kinds = [_asked.decode(raw).type for raw in _as_blocks(last)] if last is not None else []
    except UNREADABLE:
        return False  # what is wrong with it, the cloud says better
    return "tool_use" in kinds and kinds[0] not in _THINKING


# Answers.


class _Whole(msgspec.Struct):
    content: list[msgspec.Raw]


_whole = msgspec.json.Decoder(_Whole)


def sign_whole(body: bytes, secret: bytes, tenant: str, model: str) -> bytes:
    """A local model's Message with its thinking signed by us, whatever it was signed with before.

    Some local servers make a signature up; it would look like a cloud's and poison the next request to one. The same
    object where there is no thinking, and for what is no Message: others check that.
    """
    if not _may_think(body):
        return body
    try:
        blocks = _whole.decode(body).content
        signed = [_signed(raw, secret, tenant, model) for raw in blocks]
    except UNREADABLE:
        return body
    if all(new is old for new, old in zip(signed, blocks, strict=True)):
        return body
    message = _object.decode(body)
    message["content"] = msgspec.Raw(msgspec.json.encode(signed))
    return msgspec.json.encode(message)


def _signed(raw: msgspec.Raw, secret: bytes, tenant: str, model: str) -> msgspec.Raw:
    block = _block.decode(raw)
    if block.type not in _THINKING:
        return raw
    members = _object.decode(raw)
    if block.type == "thinking":
        members["signature"] = msgspec.Raw(msgspec.json.encode(sign(secret, tenant, model, block.thinking)))
    else:
        members["data"] = msgspec.Raw(msgspec.json.encode(PREFIX + block.data))  # known as local, and never sent back
    return msgspec.Raw(msgspec.json.encode(members))


class _Delta(msgspec.Struct):
    type: str = ""
    thinking: str = ""


class _Frame(msgspec.Struct):
    type: str = ""
    index: int = 0
    content_block: msgspec.Raw = msgspec.Raw()
    delta: _Delta | None = None


_frame = msgspec.json.Decoder(_Frame)


@dataclass(slots=True)
class _Open:
    """The thinking block that is being written."""

    index: int
    mac: hmac.HMAC


class ThinkingSigner:
    """Signs the thinking of a local model's Messages stream: the signature goes in before its block's end.

    Feed it whole frames. Any signature of the upstream's own is left out, as `sign_whole` does.
    """

    def __init__(self, secret: bytes, tenant: str, model: str) -> None:
        self._secret = secret
        self._tenant = tenant
        self._model = model
        self._open: _Open | None = None

    def feed(self, frames: bytes) -> bytes:
        """The frames to send on: the same object where they hold nothing of a thinking block."""
        if self._open is None and not _may_think(frames):
            return frames
        out = [self._frame(frame + b"\n\n") for frame in frames.split(b"\n\n") if frame]
        return b"".join(out)

    def _frame(self, frame: bytes) -> bytes:
        data = next(sse.payloads(frame), None)
        if data is None:
            return frame
        try:
            event = _frame.decode(data)
        except UNREADABLE:
            return frame  # whoever watches the stream says what is wrong with it
        if event.type == "content_block_start":
            return self._start(frame, data, event)
        if self._open is None or event.index != self._open.index:
            return frame
        if event.type == "content_block_delta" and event.delta is not None:
            self._open.mac.update(event.delta.thinking.encode("utf-8", "surrogatepass"))
            return b"" if event.delta.type == "signature_delta" else frame
        if event.type == "content_block_stop":
            told, self._open = self._signature(self._open), None
            return told + frame
        return frame

    def _start(self, frame: bytes, data: bytes, event: _Frame) -> bytes:
        try:
            block = _block.decode(event.content_block)
        except UNREADABLE:
            return frame
        if block.type == "thinking":
            mac = _begun(self._secret, self._tenant, self._model)
            mac.update(block.thinking.encode("utf-8", "surrogatepass"))
            self._open = _Open(event.index, mac)
            changed = _with_signature(event.content_block, "") if block.signature else event.content_block
        else:
            changed = _signed(event.content_block, self._secret, self._tenant, self._model)
        if changed is event.content_block:
            return frame
        members = _object.decode(data)
        members["content_block"] = changed
        return sse.frame(msgspec.json.encode(members), "content_block_start")

    def _signature(self, block: _Open) -> bytes:
        event = {
            "type": "content_block_delta",
            "index": block.index,
            "delta": {"type": "signature_delta", "signature": _told(block.mac)},
        }
        return sse.frame(msgspec.json.encode(event), "content_block_delta")


def _with_signature(raw: msgspec.Raw, signature: str) -> msgspec.Raw:
    members = _object.decode(raw)
    members["signature"] = msgspec.Raw(msgspec.json.encode(signature))
    return msgspec.Raw(msgspec.json.encode(members))
