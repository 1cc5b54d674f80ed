"""What stands behind a signed link: an artifact, or the part of it that a `range` header asks for.

https://www.rfc-editor.org/rfc/rfc9110#name-range-requests. One range of bytes; to anything else all of it is the
answer, as the RFC lets a server do. A player of sound seeks by it, and a download that broke off goes on.
"""

from __future__ import annotations

import re

from sampan.core import Answer, Incoming
from sampan.storage.objects import Objects

SANDBOXED = ("content-security-policy", "sandbox; default-src 'none'; frame-ancestors 'none'")
"""Of bytes that somebody brought along: they must never run in a browser as a page of this origin."""

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


async def artifact_answer(objects: Objects, incoming: Incoming, now: float) -> Answer:
    """Raises `NotFound`, `Forbidden` for a link that is not good, and `Unavailable` while the store is away."""
    link = objects.verify(incoming.path, incoming.query, now)
    artifact = await objects.find(link.sha256)
    etag = f'"{link.sha256}"'
    headers = (
        ("content-type", link.media_type),
        ("cache-control", f"private, max-age={max(0, int(link.expires - now))}, immutable"),
        ("etag", etag),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
    )
    asked = incoming.headers.get("range", "") if incoming.headers.get("if-range", etag) == etag else ""
    span = _span(asked, artifact.size) if incoming.method == "GET" else None
    if span is None:
        length = ("content-length", str(artifact.size))
        return Answer(200, (*headers, length), objects.stream(link.sha256))
    start, end = span
    if start >= end:
        return Answer(416, (("content-range", f"bytes */{artifact.size}"), ("content-length", "0")), b"")
    part = (("content-length", str(end - start)), ("content-range", f"bytes {start}-{end - 1}/{artifact.size}"))
    return Answer(206, (*headers, *part), objects.stream(link.sha256, start, end))


def _span(asked: str, size: int) -> tuple[int, int] | None:
    """From where to before where; None where all is asked for. An empty span is one that the artifact does not have."""
    found = _RANGE.fullmatch(asked.replace(" ", ""))
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        return max(0, size - int(found[2])), size
    last = int(found[2]) if found[2] else size - 1
    if found[2] and last < int(found[1]):
        return None  # no range at all, says the RFC
    return int(found[1]), min(last + 1, size)
