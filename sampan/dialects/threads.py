"""Conversations that a server holds: `thread` of the Messages API (beta message-threads-2026-08-12).

A request that goes on with a thread carries only what is new in it. Whoever does not hold the rest would answer without
having read it, so that such a request is for Anthropic's own servers only. Any other says so in the words that the
SDK's tool runner and threads understand: they then send the whole conversation, without a thread.
"""

from __future__ import annotations

import msgspec

from sampan.dialects.fields import UNREADABLE
from sampan.errors import InvalidRequest

_ESCAPE = b"\\u00"  # a name may be spelt in escapes, to be overlooked


class _Body(msgspec.Struct):
    thread: msgspec.Raw = msgspec.Raw()


_body = msgspec.json.Decoder(_Body)


def may_name_one(body: bytes) -> bool:
    """False where a request surely names no thread: told without parsing it."""
    return b'"thread"' in body or _ESCAPE in body


def refuse(body: bytes) -> None:
    """Raises `InvalidRequest` for a Messages request that begins a thread or goes on with one."""
    if not may_name_one(body):
        return
    try:
        named = bytes(_body.decode(body).thread)
    except UNREADABLE:
        return  # what is wrong with it, others say better
    if named not in (b"", b"null"):
        message = "thread: this model's server holds no conversations; send the whole one without `thread`"
        details = {"error_code": "thread_unsupported_request"}
        raise InvalidRequest(message, param="thread", details=details)
