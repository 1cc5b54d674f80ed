"""Bad input, said in words: which field, and what it must be."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from sampan.core import Fault
from sampan.errors import InvalidRequest, TargetFault

T = TypeVar("T")

# What msgspec raises for a body that is no JSON of the wanted shape, one nested a thousand levels deep included.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)


def _dotted(path: str) -> str:
    """`.messages[0].role` as the wires write it: `messages.0.role`."""
    return re.sub(r"\[(\d+|\.\.\.)\]", r".\1", path).strip(".")


def invalid(error: Exception, prefix: str = "") -> InvalidRequest:
    """A decoder's complaint as a caller's mistake; `prefix` is where the decoded part stood."""
    if not isinstance(error, msgspec.ValidationError):
        return InvalidRequest(f"{prefix or 'body'}: is not valid JSON", param=prefix or None)
    found = _PLACE.match(str(error))
    what, path = (found["what"], _dotted(found["path"] or "")) if found else (str(error), "")
    missing = re.fullmatch(r"Object missing required field `(.+)`", what)
    if missing:
        path, what = f"{path}.{missing[1]}".strip("."), "Field required"
    path = f"{prefix}.{path}".strip(".")
    return InvalidRequest(f"{path}: {what}" if path else what, param=path or None)


def read_answer(body: bytes, decode: Callable[[bytes], T], kind: str) -> T:
    """What a server's 200 says; `kind` names what it should be. Raises `TargetFault` otherwise."""
    if not body.strip():
        raise TargetFault(Fault.EMPTY, "a 200 without a body")
    try:
        return decode(body)
    except UNREADABLE:
        raise TargetFault(Fault.MALFORMED, f"a 200 that is no {kind}") from None


def number(fields: Mapping[str, str], name: str, default: int) -> int:
    """A form's whole number; raises `InvalidRequest`."""
    text = fields.get(name, "").strip()
    if not text:
        return default
    if not re.fullmatch(r"\d{1,9}", text):
        raise InvalidRequest(f"{name}: must be a whole number", param=name)
    return int(text)


def flag(fields: Mapping[str, str], name: str) -> bool:
    """A form's yes or no; raises `InvalidRequest`."""
    text = fields.get(name, "").strip().lower()
    if text in ("", "0", "false", "no"):
        return False
    if text in ("1", "true", "yes", "on"):
        return True
    raise InvalidRequest(f"{name}: must be true or false", param=name)


def too_large(where: str, size: int, limit: int) -> InvalidRequest:
    """The one sentence for a picture over the limit, both in bytes."""
    message = f"{where}: the image is {size:,} bytes; the limit is {limit:,} bytes. Send a smaller one"
    return InvalidRequest(message, param=where)


def with_members(body: bytes, changes: Mapping[str, str | None]) -> bytes:
    """The JSON object `body` with some text members set, or removed (None); the others byte for byte as they were."""
    members: dict[str, msgspec.Raw] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    for name, value in changes.items():
        if value is None:
            members.pop(name, None)
        else:
            members[name] = msgspec.Raw(msgspec.json.encode(value))
    return msgspec.json.encode(members)
