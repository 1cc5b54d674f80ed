"""Listings of models, in the shape of either dialect's `GET /v1/models`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from sampan.core import Operation
from sampan.errors import InvalidRequest, NotFound

# The wire asks for a date. Ours are names of routes, not of releases, and Anthropic says "epoch" where it knows none.
EPOCH = "1970-01-01T00:00:00Z"


def _anthropic(name: str) -> dict[str, Any]:
    """What a route does not know of its models is null: the wire allows it, and half a list of capabilities not."""
    unknown = ("capabilities", "deprecated_at", "line", "max_input_tokens", "max_tokens")
    known = {"id": name, "type": "model", "display_name": name, "created_at": EPOCH, "lifecycle": "active"}
    return known | dict.fromkeys(unknown)


def _openai(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "sampan"}


def one(name: str, operations: Sequence[Operation], *, anthropic: bool) -> bytes:
    """One model; raises `NotFound` where no route serves it."""
    if not operations:
        raise NotFound(f"model: no route for {name[:100]!r}", param="model")
    return msgspec.json.encode(_anthropic(name) if anthropic else _openai(name))


def listing(models: Mapping[str, Sequence[Operation]], query: Mapping[str, str], *, anthropic: bool) -> bytes:
    """All models by name; Anthropic's pages (`limit` 1–1000, `after_id`, `before_id`). Raises `InvalidRequest`."""
    if not anthropic:
        return msgspec.json.encode({"object": "list", "data": [_openai(name) for name in models]})
    text = query.get("limit", "20")
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= 1000:
        raise InvalidRequest("limit: must be 1 to 1000", param="limit")
    limit, names = int(text), list(models)
    after, before = query.get("after_id"), query.get("before_id")
    for field, cursor in (("after_id", after), ("before_id", before)):
        if cursor and cursor not in models:
            raise InvalidRequest(f"{field}: no such model", param=field)
    if before:
        names = names[: names.index(before)]
        page, more = names[-limit:], len(names) > limit
    else:
        names = names[names.index(after) + 1 :] if after else names
        page, more = names[:limit], len(names) > limit
    return msgspec.json.encode(
        {
            "data": [_anthropic(name) for name in page],
            "has_more": more,
            "first_id": page[0] if page else None,
            "last_id": page[-1] if page else None,
        }
    )
