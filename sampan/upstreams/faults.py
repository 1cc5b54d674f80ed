"""An upstream's refusals become faults here and nowhere else.

A 4xx about the request is the caller's and goes back as it came. Whatever else an upstream says is a reason to ask
another: its key, its bill, its region, its load. The words are those that the clouds really send.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import msgspec

from sampan.core import Fault
from sampan.dialects.fields import UNREADABLE
from sampan.errors import Rejected, SampanError, TargetFault

HANDED_ON = ("content-type", "retry-after")
# A code is compared whole and a message by its beginning: an API that repeats what a caller wrote (a model's name, a
# field) must not be made to speak of bills by it.
BILLING_CODES = frozenset({"billing_error", "insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
BILLING_MESSAGES = (
    "your credit balance is too low",
    "you exceeded your current quota",
    "you have reached your specified api usage limits",
    "billing hard limit has been reached",
)
DISABLED_MESSAGES = ("this organization has been disabled",)
REGION_CODES = frozenset({"forbidden", "unsupported_country_region_territory"})
REGION_MESSAGES = (
    "request not allowed",
    "country, region, or territory not supported",
    "claude is not available in your region",
)
# llama.cpp without a projector says so with a 500: a model that cannot see is no sick server.
BLIND_MESSAGES = ("image input is not supported",)
REQUEST_STATUSES = frozenset({400, 406, 409, 411, 414, 415, 416, 422})

FAULTS = {
    204: Fault.EMPTY,
    401: Fault.UNAUTHORIZED,
    402: Fault.BILLING,
    407: Fault.UNREACHABLE,
    408: Fault.SERVER_ERROR,
    425: Fault.OVERLOADED,
    429: Fault.RATE_LIMITED,
    451: Fault.REGION_BLOCKED,
    529: Fault.OVERLOADED,
}
LONGEST_WAIT = 86_400.0


def _error(body: bytes) -> dict[str, Any] | None:
    """The error object of an API's answer, in either dialect; None for a page or anything else."""
    try:
        answer = msgspec.json.decode(body)
    except UNREADABLE:
        return None
    if not isinstance(answer, dict):
        return None
    error = answer.get("error")
    if isinstance(error, str):
        return {"message": error}
    if isinstance(error, dict):
        return error
    detail = answer.get("detail") or answer.get("message")
    return {"message": str(detail)} if detail else None


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that an upstream asks us to wait (RFC 9110 §10.2.3, and Anthropic's `retry-after-ms`), a day at most."""
    try:
        if "retry-after-ms" in headers:
            seconds = float(headers["retry-after-ms"]) / 1000
        elif re.fullmatch(r"[0-9]{1,9}", headers.get("retry-after", "")):
            seconds = float(headers["retry-after"])
        elif headers.get("retry-after"):
            seconds = parsedate_to_datetime(headers["retry-after"]).timestamp() - (time() if now is None else now)
        else:
            return None
    except (ValueError, OverflowError):
        return None  # a date or a number that nobody can read asks for nothing
    return min(max(0.0, seconds), LONGEST_WAIT) if math.isfinite(seconds) else None


def _account(error: Mapping[str, Any] | None) -> Fault | None:
    """What an error says about our account or our place, whatever its status; None where it says nothing of them."""
    if error is None:
        return None
    codes = {str(error.get("type", "")).lower(), str(error.get("code", "")).lower()}
    message = str(error.get("message", "")).lower()
    if codes & BILLING_CODES or message.startswith(BILLING_MESSAGES):
        return Fault.BILLING
    if codes & REGION_CODES or message.startswith(REGION_MESSAGES):
        return Fault.REGION_BLOCKED
    return Fault.UNAUTHORIZED if message.startswith(DISABLED_MESSAGES) else None


def _is_thread(error: Mapping[str, Any] | None) -> bool:
    """Whether a thread of Anthropic's is lost, and not the model: its SDK sends the whole conversation then."""
    details = error.get("details") if error is not None else None
    return isinstance(details, dict) and details.get("error_code") == "thread_not_found"


def classify(status: int, headers: Mapping[str, str], body: bytes) -> SampanError:
    """What to raise for an answer that is not 200: `Rejected`, or a `TargetFault`."""
    error = _error(body)
    detail = f"status {status}"
    wait = retry_after(headers)
    account = _account(error)
    if account is not None:
        return TargetFault(account, detail, retry_after=wait)
    if error is not None and str(error.get("message", "")).lower().startswith(BLIND_MESSAGES):
        return TargetFault(Fault.MODEL_MISSING, detail)
    if status == 413 or (status in REQUEST_STATUSES and error is not None) or (status == 404 and _is_thread(error)):
        return Rejected(status, body, {name: headers[name] for name in HANDED_ON if name in headers})
    if status == 403:  # a page of HTML: the edge in front of the API turned us away
        return TargetFault(Fault.UNAUTHORIZED if error is not None else Fault.REGION_BLOCKED, detail)
    if status == 404:
        return TargetFault(Fault.MODEL_MISSING if error is not None else Fault.MALFORMED, detail)
    fault = FAULTS.get(status, Fault.SERVER_ERROR if status >= 500 else Fault.MALFORMED)
    return TargetFault(fault, detail, retry_after=wait)
