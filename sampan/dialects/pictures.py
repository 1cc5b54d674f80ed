"""What a picture or a document is, told by its first bytes and not by what somebody calls it."""

from __future__ import annotations

import base64


def media_type(data: bytes) -> str | None:
    """The media type of a PNG, JPEG, GIF, WebP or PDF; None for anything else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data.startswith(b"%PDF-"):
        return "application/pdf"
    return None


def beginning(text: str) -> bytes:
    """The first bytes behind base64; none where its length or its beginning shows that it is no such thing.

    No more than that: to decode megabytes here would stop every other call.
    """
    try:
        return base64.b64decode(text[:64], validate=True) if len(text) % 4 == 0 else b""
    except ValueError:
        return b""
