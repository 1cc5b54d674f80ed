"""OpenAI's one shape of error, both ways: ours as that wire says them, and an upstream's as faults.

`{"error": {"message", "type", "param", "code"}}`: https://platform.openai.com/docs/guides/error-codes, and
`openai._exceptions` of the official SDK. In a stream the same object is one `data:` frame, which the SDK raises as an
`APIError`. Servers that speak this dialect differ in small things: vLLM writes the HTTP status as `code`, and older
ones put the members beside `"object": "error"` instead of below `error`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sampan.core import Fault
from sampan.dialects import sse
from sampan.dialects.fields import UNREADABLE
from sampan.errors import CallError, TargetFault

STATUSES = {529: 503}
TYPES = {429: "rate_limit_exceeded", 500: "server_error", 502: "server_error", 503: "server_error"}
CODES = {
    401: "invalid_api_key",
    404: "model_not_found",
    413: "request_too_large",
    429: "rate_limit_exceeded",
    503: "overloaded",
}

FAULTS: dict[str, Fault] = {
    "insufficient_quota": Fault.BILLING,
    "billing_hard_limit_reached": Fault.BILLING,
    "billing_not_active": Fault.BILLING,
    "402": Fault.BILLING,
    "rate_limit_exceeded": Fault.RATE_LIMITED,
    "rate_limit_error": Fault.RATE_LIMITED,
    "requests": Fault.RATE_LIMITED,
    "tokens": Fault.RATE_LIMITED,
    "429": Fault.RATE_LIMITED,
    "model_not_found": Fault.MODEL_MISSING,
    "404": Fault.MODEL_MISSING,
    "overloaded": Fault.OVERLOADED,
    "overloaded_error": Fault.OVERLOADED,
    "engine_overloaded": Fault.OVERLOADED,
    "server_is_overloaded": Fault.OVERLOADED,
    "slow_down": Fault.OVERLOADED,
    "503": Fault.OVERLOADED,
    "529": Fault.OVERLOADED,
    "invalid_api_key": Fault.UNAUTHORIZED,
    "authentication_error": Fault.UNAUTHORIZED,
    "permission_error": Fault.UNAUTHORIZED,
    "401": Fault.UNAUTHORIZED,
    "403": Fault.UNAUTHORIZED,
    "unsupported_country_region_territory": Fault.REGION_BLOCKED,
}


class WireError(msgspec.Struct):
    """The members that say what went wrong; servers write numbers, nulls and words into both."""

    type: Any = None
    code: Any = None


class _Said(msgspec.Struct):
    type: Any = None
    message: Any = None


class _Foreign(msgspec.Struct):
    error: _Said | str | None = None


_foreign = msgspec.json.Decoder(_Foreign)


def status(error: CallError) -> int:
    """The HTTP status that this wire knows for an error; 529 is Anthropic's own."""
    return STATUSES.get(error.status, error.status)


def members(error: CallError) -> dict[str, str | None]:
    """What stands below `error`."""
    number = status(error)
    kind = TYPES.get(number, "invalid_request_error")
    # A 404 may as well be about a path, a file or a response: those have no code on this wire.
    code = None if number == 404 and error.param != "model" else CODES.get(number)
    return {"message": error.message, "type": kind, "param": error.param, "code": code}


def body(error: CallError) -> bytes:
    """The body of an error answer."""
    return msgspec.json.encode({"error": members(error)})


def frame(error: CallError) -> bytes:
    """An error inside a chat stream that has begun: an unnamed frame, as all of that stream are."""
    return sse.frame(body(error))


class ErrorCodec:
    """The half of a `Codec` that says errors, for every wire of OpenAI's."""

    def status(self, error: CallError) -> int:
        return status(error)

    def error(self, error: CallError, request_id: str) -> bytes:
        return body(error)

    def error_frame(self, error: CallError, request_id: str) -> bytes:
        return frame(error)


def fault(error: WireError | str) -> TargetFault:
    """An upstream's error, in a stream or under a 200, as a reason to ask another; the code says more than the type."""
    said = (error,) if isinstance(error, str) else (error.code, error.type)
    names = [str(each).lower() for each in said if each is not None]
    known = (FAULTS[name] for name in names if name in FAULTS)
    return TargetFault(next(known, Fault.SERVER_ERROR), "the answer is an error")


def from_messages(answer: bytes) -> bytes:
    """An Anthropic upstream's refusal of the request (a 4xx body) as this wire says it; its message is kept.

    Its path of a field is not: it points into a body that the caller never saw.
    """
    said: _Said | str | None = None
    try:
        said = _foreign.decode(answer).error
    except UNREADABLE:
        said = None  # a page or a proxy's words: nothing in it is for the caller
    message = said if isinstance(said, str) else said.message if said is not None else None
    kind = said.type if isinstance(said, _Said) else None
    code = "request_too_large" if kind == "request_too_large" else None
    text = message if isinstance(message, str) and message else "the upstream rejected the request"
    return msgspec.json.encode(
        {"error": {"message": text, "type": "invalid_request_error", "param": None, "code": code}}
    )
