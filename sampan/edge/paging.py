"""What pages that list things have in common: the caller's dialect, its query, and times as the wires write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from sampan.core import Incoming
from sampan.errors import InvalidRequest

JSON = ("content-type", "application/json")


def speaks_anthropic(incoming: Incoming) -> bool:
    """Which dialect a caller of a shared path speaks: Anthropic's SDK always names its version."""
    return "anthropic-version" in incoming.headers or "x-api-key" in incoming.headers


def query_of(incoming: Incoming) -> dict[str, str]:
    """The query's fields; of a repeated one the last."""
    return dict(parse_qsl(incoming.query))


def limit_of(query: Mapping[str, str], default: int, most: int) -> int:
    """The `limit` of a list, 1 to `most`. Raises `InvalidRequest`."""
    text = query.get("limit", str(default))
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= most:
        raise InvalidRequest(f"limit: must be 1 to {most:,}", param="limit")
    return int(text)


def rfc3339(seconds: float | None) -> str | None:
    """Unix seconds as Anthropic writes a time, to the microsecond (RFC 3339); None stays None."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
