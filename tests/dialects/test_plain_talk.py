"""A call that is known to be nothing but text is not searched for pictures, documents and thoughts."""

from __future__ import annotations

import msgspec
import pytest

from sampan.core import Incoming
from sampan.dialects import Limits
from sampan.dialects.anthropic import Anthropic

LIMITS = Limits(1000, "claude-default", "image-default")
TEXT = {"type": "text", "text": 'a "image" of thinking'}


@pytest.mark.parametrize(
    ("contents", "plain"),
    [
        (["hi"], True),
        (['a "document"', [TEXT, TEXT]], True),
        ([[]], True),
        (["hi", [TEXT, {"type": "thinking", "thinking": "…", "signature": "s"}]], False),
        ([[{"type": "tool_use", "id": "t", "name": "n", "input": {}}], "hi"], False),
        ([[{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}}]], False),
        ([[{"type": "document", "source": {"type": "text", "data": "x"}}]], False),
        ([[{"type": "of next year"}]], False),
    ],
)
def test_what_is_plain(contents: list[object], plain: bool) -> None:
    turns = [{"role": "user", "content": content} for content in contents]
    body = msgspec.json.encode({"model": "m", "max_tokens": 1, "messages": turns})
    incoming = Incoming("POST", "/v1/messages", "", {"content-type": "application/json"}, body)
    assert Anthropic().parse(incoming, LIMITS).plain is plain
