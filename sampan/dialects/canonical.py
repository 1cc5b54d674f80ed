"""The same question in the same bytes: what two calls must agree in to be given one answer."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from sampan.core import Call
from sampan.dialects import form
from sampan.errors import InvalidRequest

# Who asks, and what it is filed under: they change nothing of the answer.
ASIDE = frozenset({"metadata", "user", "safety_identifier", "prompt_cache_key", "store"})
# Headers that change what an upstream does, and what their absence means.
TELLING = {"anthropic-beta": "", "anthropic-version": "2023-06-01", "openai-beta": ""}


def digest(call: Call, *scope: str) -> bytes | None:
    """32 bytes that calls share which ask the same within `scope`: members in any order, a form with any boundary.

    None where the body cannot be read. Numbers are compared as they are written: 1 and 1.0 are two questions.
    """
    hashed = hashlib.sha256()
    said = (call.dialect, call.operation, call.model, call.path, "stream" if call.stream else "whole", *scope)
    telling = (f"{name}={call.headers.get(name, absent)}" for name, absent in TELLING.items())
    for word in (*said, *telling):
        hashed.update(word.encode("utf-8", "surrogatepass") + b"\0")
    try:
        if call.content_type.startswith("multipart/form-data"):
            _add_form(hashed, call)
        else:
            _add_json(hashed, msgspec.json.decode(call.body))
    except (msgspec.DecodeError, InvalidRequest, RecursionError):
        return None
    return hashed.digest()


def _add_json(hashed: Any, asked: Any) -> None:
    if isinstance(asked, dict):
        asked = {name: value for name, value in asked.items() if name not in ASIDE}
    hashed.update(msgspec.json.encode(asked, order="sorted"))


def _add_form(hashed: Any, call: Call) -> None:
    """Each part by name, kind and length, so that no content can pass for a border. A file's name changes nothing."""
    for part in form.parse(call.content_type, call.body):
        if part.name in ASIDE:
            continue
        kind = "value" if part.filename is None else "file"
        hashed.update(f"{kind}\0{part.name}\0{len(part.data)}\0".encode("utf-8", "surrogatepass"))
        hashed.update(part.data)
