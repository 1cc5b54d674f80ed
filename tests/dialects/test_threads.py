from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest

from sampan.dialects import threads
from sampan.dialects.anthropic import Anthropic
from sampan.errors import InvalidRequest


def body(**more: Any) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], **more}).encode()


@pytest.mark.parametrize("thread", [{"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}, {}, "x"])
def test_a_thread_is_refused_in_words_that_the_sdk_understands(thread: Any) -> None:
    with pytest.raises(InvalidRequest) as raised:
        threads.refuse(body(thread=thread))
    assert raised.value.param == "thread"
    said = json.loads(Anthropic().error(raised.value, "req_1"))
    details = anthropic.types.ThreadUnsupportedRequestErrorDetails.model_validate(said["error"]["details"])
    assert details.error_code == "thread_unsupported_request" and said["error"]["type"] == "invalid_request_error"


def test_a_name_in_escapes_is_one_too() -> None:
    with pytest.raises(InvalidRequest):
        threads.refuse(body(thread={}).replace(b'"thread"', b'"\\u0074hread"'))


@pytest.mark.parametrize(
    "data",
    [body(), body(thread=None), body(system='about a "thread"'), body(metadata={"thread": {}}), b'{"thread"', b"\\u00"],
)
def test_what_names_none_passes(data: bytes) -> None:
    threads.refuse(data)


def test_most_requests_are_not_parsed_for_it() -> None:
    assert not threads.may_name_one(body()) and threads.may_name_one(body(thread={}))


def test_other_errors_have_no_details() -> None:
    assert "details" not in json.loads(Anthropic().error(InvalidRequest("no"), "req_1"))["error"]
