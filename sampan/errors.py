"""Every error that Sampan raises on purpose: one tree, drawn here, rendered in the caller's dialect by `dialects`.

    SampanError
    ├── ConfigError            the configuration cannot be used; stops the start
    ├── CallError              the caller is answered with `status`; no other target is asked
    │   ├── InvalidRequest 400     RequestTooLarge 413
    │   ├── Unauthenticated 401    Forbidden 403          QuotaExceeded 429
    │   ├── NotFound 404           MethodNotAllowed 405
    │   ├── Unavailable 529        every target is spent
    │   ├── Interrupted 502        the answer broke after its first content
    │   └── InternalError 500      our own mistake; the message never says more
    ├── Rejected               an upstream says that the request itself is wrong: its answer goes back as it came
    └── TargetFault            a target failed for one reason of the closed list; another target may answer

A class exists only where somebody acts differently on it. Messages say what to do next and hold no key, prompt or path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from sampan.core import Fault


class SampanError(Exception):
    """The root: anything below it was raised on purpose and its message may be shown."""


class ConfigError(SampanError):
    """The configuration cannot be used. The message names the file's line where there is one."""


class CallError(SampanError):
    """The call ends here with `status`; `kind` is Anthropic's error type, which OpenAI's is derived from."""

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "api_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        should_retry: bool = False,
        details: Mapping[str, str] | None = None,
    ) -> None:
        """`param` is the path of the field at fault (`messages.0.content`); `retry_after` is in seconds.

        `should_retry` False tells SDKs not to ask again by themselves: our own chain is spent already. `details` are
        Anthropic's `error.details`: an `error_code` by which its SDK knows how to ask instead. Whoever raises it may
        set `rule`, the name of the rule or limit that says so: it stands in the record.
        """
        super().__init__(message)
        self.message = message
        self.param = param
        self.rule = ""
        self.retry_after = retry_after
        self.should_retry = should_retry
        self.details = details


class InvalidRequest(CallError):
    status, kind = 400, "invalid_request_error"


class Unauthenticated(CallError):
    status, kind = 401, "authentication_error"


class Forbidden(CallError):
    status, kind = 403, "permission_error"


class QuotaExceeded(CallError):
    """The message names the limit; `retry_after` is when it begins anew."""

    status, kind = 429, "rate_limit_error"


class NotFound(CallError):
    status, kind = 404, "not_found_error"


class MethodNotAllowed(CallError):
    status, kind = 405, "invalid_request_error"


class RequestTooLarge(CallError):
    status, kind = 413, "request_too_large"


class InternalError(CallError):
    status, kind = 500, "api_error"


class Interrupted(CallError):
    status, kind = 502, "api_error"


class Unavailable(CallError):
    status, kind = 529, "overloaded_error"


class Rejected(SampanError):
    """An upstream's own 4xx about the request: returned byte for byte, never retried elsewhere."""

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(f"the upstream rejected the request with {status}")
        self.status = status
        self.body = body
        self.headers = headers


class TargetFault(SampanError):
    """Why a target failed. `detail` is for logs and holds nothing of the call; `retry_after` is in seconds."""

    def __init__(self, fault: Fault, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(f"{fault.value}: {detail}" if detail else fault.value)
        self.fault = fault
        self.detail = detail
        self.retry_after = retry_after
