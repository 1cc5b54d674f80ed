"""What clouds and servers really say when they do not answer, and what we make of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.core import Fault
from sampan.errors import Rejected, TargetFault
from sampan.upstreams.faults import LONGEST_WAIT, REQUEST_STATUSES, classify, retry_after


def anthropic(kind: str, message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}).encode()


def openai(
    message: str, kind: str = "invalid_request_error", code: str | None = None, param: str | None = None
) -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}}).encode()


HTML = b"<html><head><title>403 Forbidden</title></head><body>cloudflare</body></html>"
CREDIT = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade."
LIMITS = "You have reached your specified API usage limits. You will regain access on 2026-01-01 at 00:00 UTC."
QUOTA = "You exceeded your current quota, please check your plan and billing details."
COUNTRY = "Country, region, or territory not supported"

FAULTS = [
    (500, openai("image input is not supported - hint: you may need to provide the mmproj"), Fault.MODEL_MISSING),
    # Anthropic
    (400, anthropic("invalid_request_error", CREDIT), Fault.BILLING),
    (400, anthropic("invalid_request_error", LIMITS), Fault.BILLING),
    (400, anthropic("invalid_request_error", "This organization has been disabled."), Fault.UNAUTHORIZED),
    (401, anthropic("authentication_error", "invalid x-api-key"), Fault.UNAUTHORIZED),
    (402, anthropic("billing_error", "payment required"), Fault.BILLING),
    (403, anthropic("permission_error", "Your API key does not have permission"), Fault.UNAUTHORIZED),
    (403, anthropic("forbidden", "Request not allowed"), Fault.REGION_BLOCKED),
    (403, b'{"error":{"type":"forbidden","message":"Request not allowed"}}', Fault.REGION_BLOCKED),
    (404, anthropic("not_found_error", "model: claude-9"), Fault.MODEL_MISSING),
    (
        429,
        anthropic("rate_limit_error", "This request would exceed your organization's rate limit"),
        Fault.RATE_LIMITED,
    ),
    (500, anthropic("api_error", "Internal server error"), Fault.SERVER_ERROR),
    (504, anthropic("timeout_error", "Request timed out"), Fault.SERVER_ERROR),
    (529, anthropic("overloaded_error", "Overloaded"), Fault.OVERLOADED),
    # OpenAI
    (400, openai("Billing hard limit has been reached", code="billing_hard_limit_reached"), Fault.BILLING),
    (401, openai("Incorrect API key provided: sk-x.", code="invalid_api_key"), Fault.UNAUTHORIZED),
    (403, openai(COUNTRY, "request_forbidden", "unsupported_country_region_territory"), Fault.REGION_BLOCKED),
    (403, openai("Your organization must be verified to use the model `gpt-image-1`."), Fault.UNAUTHORIZED),
    (404, openai("The model `x` does not exist", code="model_not_found"), Fault.MODEL_MISSING),
    (429, openai(QUOTA, "insufficient_quota", "insufficient_quota"), Fault.BILLING),
    (429, openai("Your account is not active", "billing_not_active", "billing_not_active"), Fault.BILLING),
    (429, openai("Rate limit reached for gpt-image-1", "requests", "rate_limit_exceeded"), Fault.RATE_LIMITED),
    (500, openai("The server had an error", "server_error"), Fault.SERVER_ERROR),
    (503, openai("The engine is currently overloaded", "service_unavailable"), Fault.SERVER_ERROR),
    # what stands in between, or instead
    (403, HTML, Fault.REGION_BLOCKED),
    (403, b"", Fault.REGION_BLOCKED),
    (404, HTML, Fault.MALFORMED),
    (400, HTML, Fault.MALFORMED),
    (400, b"[1]", Fault.MALFORMED),
    (400, b"{}", Fault.MALFORMED),
    (400, b"[" * 100_000, Fault.MALFORMED),
    (401, HTML, Fault.UNAUTHORIZED),
    (402, b"", Fault.BILLING),
    (407, HTML, Fault.UNREACHABLE),
    (408, b"", Fault.SERVER_ERROR),
    (451, HTML, Fault.REGION_BLOCKED),
    (502, HTML, Fault.SERVER_ERROR),
    (503, b"upstream connect error", Fault.SERVER_ERROR),
    (599, b"", Fault.SERVER_ERROR),
    (204, b"", Fault.EMPTY),
    (206, b"part", Fault.MALFORMED),
    (301, HTML, Fault.MALFORMED),
    (418, b"", Fault.MALFORMED),
]


@pytest.mark.parametrize(("status", "body", "fault"), FAULTS)
def test_what_is_wrong_with_the_upstream_is_a_fault(status: int, body: bytes, fault: Fault) -> None:
    raised = classify(status, {}, body)
    assert isinstance(raised, TargetFault)
    assert raised.fault is fault
    assert raised.detail == f"status {status}"  # nothing of what was said


THREAD_LOST = (
    b'{"type":"error","error":{"type":"not_found_error","message":"no thread",'
    b'"details":{"error_code":"thread_not_found"}}}'
)
REJECTIONS = [
    (400, anthropic("invalid_request_error", "messages: at least one message is required")),
    (400, anthropic("invalid_request_error", "messages.0: the text says 'your credit balance is too low'")),
    (400, openai("Your request was rejected by the safety system.", "user_error", "moderation_blocked")),
    (400, openai("Unknown parameter: 'x'. insufficient_quota", param="x", code="unknown_parameter")),
    (400, b'{"detail":"a server of our own says so"}'),
    (400, b'{"object":"error","message":"This model\'s maximum context length is 4096 tokens","code":400}'),
    (400, b'{"error":"model is required"}'),
    (404, THREAD_LOST),
    (409, anthropic("invalid_request_error", "conflict")),
    (413, anthropic("request_too_large", "Request exceeds the maximum size")),
    (413, HTML),
    (422, b'{"detail":[{"loc":["body","messages"],"msg":"field required"}]}'),
]


@pytest.mark.parametrize(("status", "body"), REJECTIONS)
def test_what_is_wrong_with_the_request_goes_back_as_it_came(status: int, body: bytes) -> None:
    headers = {"content-type": "application/json", "retry-after": "5", "set-cookie": "x", "server": "theirs"}
    raised = classify(status, headers, body)
    assert isinstance(raised, Rejected)
    assert (raised.status, raised.body) == (status, body)
    assert raised.headers == {"content-type": "application/json", "retry-after": "5"}


def test_a_caller_cannot_name_a_model_that_opens_the_breaker() -> None:
    for words in ("credit balance is too low", "insufficient_quota", "your credit balance is too low"):
        raised = classify(404, {}, anthropic("not_found_error", f"model: {words}"))
        assert isinstance(raised, TargetFault)
        assert raised.fault is Fault.MODEL_MISSING


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:30 GMT"}, 10.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "999999999"}, LONGEST_WAIT),
        ({"retry-after": "9" * 500}, None),
        ({"retry-after-ms": "inf"}, None),
        ({"retry-after-ms": "nan"}, None),
        ({"retry-after-ms": "-5"}, 0.0),
    ],
)
def test_how_long_we_are_asked_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=1_700_000_000.0) == seconds


@pytest.mark.parametrize(("status", "expected"), [(429, 7.0), (503, 7.0), (529, 7.0)])
def test_a_wait_travels_with_its_fault(status: int, expected: float) -> None:
    raised = classify(status, {"retry-after": "7"}, b"")
    assert isinstance(raised, TargetFault)
    assert raised.retry_after == expected


@given(st.integers(200, 599), st.binary(max_size=60), st.dictionaries(st.sampled_from(["retry-after"]), st.text()))
def test_whatever_is_said_becomes_one_of_the_two(status: int, body: bytes, headers: dict[str, str]) -> None:
    raised = classify(status, headers, body)
    assert isinstance(raised, TargetFault | Rejected)
    assert isinstance(raised, TargetFault) or status in REQUEST_STATUSES | {413}
