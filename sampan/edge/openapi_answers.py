"""What is answered, as JSON Schema: what callers may rely on; upstreams of the same dialect may say more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.edge.openapi_requests import (
    FLAG,
    OBJECT,
    TEXT,
    Schema,
    either,
    fields,
    kind,
    maybe,
    ref,
    some,
    texts,
    whole,
)

# Errors.

_KINDS = (
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    "rate_limit_error",
    "api_error",
    "timeout_error",
    "overloaded_error",
)
_CLAUDE_ERROR = fields(
    "type error",
    type=texts("error"),
    error=fields("type message", type={**TEXT, "examples": list(_KINDS)}, message=TEXT, details=OBJECT),
    request_id=maybe(TEXT),
)
_OPENAI_ERROR = fields(
    "error",
    error=fields(
        "message", message=TEXT, type=maybe(TEXT), param=maybe(TEXT), code={"type": ["string", "integer", "null"]}
    ),
)
_ERRORS: Mapping[str, Schema] = {
    "ClaudeError": _CLAUDE_ERROR,
    "OpenAIError": _OPENAI_ERROR,
    "EitherError": either(ref("ClaudeError"), ref("OpenAIError"))
    | {"description": "Anthropic's for callers that send `anthropic-version` or `x-api-key`, else OpenAI's."},
    "Refusal": either(
        ref("EitherError"), fields("error", error=TEXT), fields("detail"), fields("message", message=TEXT)
    )
    | {"description": "An upstream's own words about the request; in its own shape where it speaks this dialect."},
    "ConnectionError": fields("type error", type=texts("error"), error=_OPENAI_ERROR["properties"]["error"])
    | {"description": "In a shape that the SDKs of both dialects can read."},
}

# Messages.

_MESSAGES: Mapping[str, Schema] = {
    "Message": kind(
        "message",
        "id role model content stop_reason usage",
        id=TEXT,
        role=texts("assistant"),
        model=TEXT,
        content=some(
            either(
                kind("text", "text", text=TEXT),
                kind("thinking", "thinking signature", thinking=TEXT, signature=TEXT),
                kind("redacted_thinking", "data", data=TEXT),
                kind("tool_use", "id name input", id=TEXT, name=TEXT, input=OBJECT),
                fields(
                    "type",
                    type={"type": "string", "pattern": "^(server_tool_use|.+_result|container_upload|fallback)$"},
                ),
            )
        ),
        stop_reason=maybe(TEXT),
        stop_sequence=maybe(TEXT),
        usage=fields("input_tokens output_tokens", input_tokens=whole(0), output_tokens=whole(0)),
    ),
    "TokenCount": fields("input_tokens", input_tokens=whole(0)),
    "Batch": kind(
        "message_batch",
        "id processing_status request_counts created_at expires_at ended_at cancel_initiated_at archived_at "
        "results_url",
        id=TEXT,
        processing_status=texts("in_progress", "canceling", "ended"),
        request_counts=fields(
            "processing succeeded errored canceled expired",
            processing=whole(0),
            succeeded=whole(0),
            errored=whole(0),
            canceled=whole(0),
            expired=whole(0),
        ),
        created_at=ref("Time"),
        expires_at=ref("Time"),
        ended_at=maybe(ref("Time")),
        cancel_initiated_at=maybe(ref("Time")),
        archived_at=maybe(ref("Time")),
        results_url=maybe(TEXT),
    ),
    "BatchList": fields(
        "data has_more first_id last_id",
        data=some(ref("Batch")),
        has_more=FLAG,
        first_id=maybe(TEXT),
        last_id=maybe(TEXT),
    ),
    "BatchDeleted": kind("message_batch_deleted", "id", id=TEXT),
    "Time": {"type": "string", "format": "date-time"},
}

# OpenAI's talk.

_CHAT_MESSAGE = fields(
    "role",
    role=texts("assistant"),
    content=maybe(TEXT),
    refusal=maybe(TEXT),
    reasoning_content=maybe(TEXT),
    tool_calls=maybe(
        some(kind("function", "id function", id=TEXT, function=fields("name arguments", name=TEXT, arguments=TEXT)))
    ),
)
_TALK: Mapping[str, Schema] = {
    "ChatCompletion": fields(
        "id object created model choices",
        id=TEXT,
        object=texts("chat.completion"),
        created=whole(0),
        model=TEXT,
        choices=some(
            fields("index message finish_reason", index=whole(0), message=_CHAT_MESSAGE, finish_reason=maybe(TEXT)),
            least=1,
        ),
        usage=maybe(
            fields(
                "prompt_tokens completion_tokens total_tokens",
                prompt_tokens=whole(0),
                completion_tokens=whole(0),
                total_tokens=whole(0),
            )
        ),
    ),
    "Response": fields(
        "id object created_at model output status error incomplete_details usage parallel_tool_calls tool_choice tools",
        id=TEXT,
        object=texts("response"),
        created_at=whole(0),
        model=TEXT,
        status=texts("completed", "incomplete", "failed", "in_progress"),
        output=some(
            either(
                kind(
                    "message",
                    "id role content status",
                    id=TEXT,
                    role=texts("assistant"),
                    content=some(
                        either(
                            kind("output_text", "text annotations", text=TEXT, annotations=some(OBJECT)),
                            kind("refusal", "refusal", refusal=TEXT),
                        )
                    ),
                ),
                kind("function_call", "call_id name arguments", call_id=TEXT, name=TEXT, arguments=TEXT),
                kind("reasoning", "id summary", id=TEXT, summary=some(OBJECT)),
            )
        ),
        usage=maybe(
            fields(
                "input_tokens output_tokens total_tokens",
                input_tokens=whole(0),
                output_tokens=whole(0),
                total_tokens=whole(0),
            )
        ),
    ),
    "ResponseDeleted": fields("id object deleted", id=TEXT, object=texts("response"), deleted=FLAG),
    "InputItems": fields(
        "object data first_id last_id has_more",
        object=texts("list"),
        data=some(fields("id type", id=TEXT, type=TEXT)),
        first_id=TEXT,
        last_id=TEXT,
        has_more=FLAG,
    ),
    "Embeddings": fields(
        "data",
        object=texts("list"),
        data=some(fields("embedding", index=whole(0), embedding=either(some({"type": "number"}), TEXT)), least=1),
        model=TEXT,
        usage=fields(prompt_tokens=whole(0), total_tokens=whole(0)),
    ),
}

# Pictures, files, models, and the gateway itself.

_CLAUDE_FILE = kind(
    "file",
    "id filename mime_type size_bytes created_at downloadable",
    id=TEXT,
    filename=TEXT,
    mime_type=TEXT,
    size_bytes=whole(0),
    created_at=ref("Time"),
    downloadable=FLAG,
    expires_at=maybe(ref("Time")),
)
_OPENAI_FILE = fields(
    "id object bytes created_at filename purpose status",
    id=TEXT,
    object=texts("file"),
    bytes=whole(0),
    created_at=whole(0),
    filename=TEXT,
    purpose=TEXT,
    status=texts("processed"),
    expires_at=whole(0),
)
_CLAUDE_MODEL = kind("model", "id display_name created_at", id=TEXT, display_name=TEXT, created_at=ref("Time"))
_OPENAI_MODEL = fields("id object created owned_by", id=TEXT, object=texts("model"), created=whole(0), owned_by=TEXT)


def _listing(item: Schema) -> Schema:
    """A page of a list in Anthropic's dialect."""
    return fields(
        "data has_more first_id last_id",
        data=some(item),
        has_more=FLAG,
        first_id=maybe(TEXT),
        last_id=maybe(TEXT),
        next_page=maybe(TEXT),
    )


_PAGES: Mapping[str, Schema] = {
    "Pictures": fields(
        "data",
        created=whole(0),
        data=some(
            either(fields("b64_json", b64_json=TEXT), fields("url", url=TEXT))
            | {"properties": {"revised_prompt": maybe(TEXT)}},
            least=1,
        ),
        usage=maybe(fields(input_tokens=whole(0), output_tokens=whole(0))),
    ),
    "ClaudeFile": _CLAUDE_FILE,
    "OpenAIFile": _OPENAI_FILE,
    "File": either(ref("ClaudeFile"), ref("OpenAIFile")),
    "FileList": either(
        _listing(ref("ClaudeFile")),
        fields("object data has_more", object=texts("list"), data=some(ref("OpenAIFile")), has_more=FLAG),
    ),
    "FileDeleted": either(
        kind("file_deleted", "id", id=TEXT), fields("id object deleted", id=TEXT, object=texts("file"), deleted=FLAG)
    ),
    "ClaudeModel": _CLAUDE_MODEL,
    "OpenAIModel": _OPENAI_MODEL,
    "Model": either(ref("ClaudeModel"), ref("OpenAIModel")),
    "ModelList": either(
        _listing(ref("ClaudeModel")),
        fields("object data", object=texts("list"), data=some(ref("OpenAIModel"))),
    ),
    "Gateway": fields("name version ready models", name=TEXT, version=TEXT, ready=TEXT, models=TEXT),
    "Health": fields("status version", status=texts("ok"), version=TEXT),
    "Readiness": fields(
        "ready engines breakers",
        ready=FLAG,
        engines={
            "type": "object",
            "additionalProperties": fields("state restarts", state=TEXT, restarts=whole(0), stage=TEXT),
        },
        breakers={"type": "object", "additionalProperties": OBJECT},
    ),
}

ANSWERS: Mapping[str, Schema] = {**_ERRORS, **_MESSAGES, **_TALK, **_PAGES}

# Headers.


def _told(description: str, **schema: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string", **schema}}


def _always(header: dict[str, Any]) -> dict[str, Any]:
    return {**header, "required": True}


_ID = _told("The id of the call, and of its record.", pattern="^req_[0-9a-f]+$")
_ATTEMPTS = _told("Everybody who was asked, in order: `claude=connect_timeout,reader=ok`.")
_WHO: Mapping[str, dict[str, Any]] = {
    "x-sampan-upstream": _told("Who really answered."),
    "x-sampan-tier": _told("How good that source is.", enum=["cloud", "local", "degraded"]),
    "x-sampan-attempts": _ATTEMPTS,
}
PAGE_HEADERS: Mapping[str, Any] = {"request-id": _always(_ID), "x-request-id": _always(_ID)}
CLAUDE_HEADERS: Mapping[str, Any] = {"request-id": _always(_ID)}
ANSWER_HEADERS: Mapping[str, Any] = {
    **_WHO,
    "x-sampan-receipt": _told("What became of each picture and document: block, SHA-256, pages or patches."),
    "x-sampan-count": _told("On a count of tokens that no tokenizer made.", enum=["estimated"]),
    "x-sampan-cache": _told("Where answers are kept: whether this is one of them.", enum=["hit", "shared", "miss"]),
    "x-sampan-quota": _told("The limit that is nearly spent: `tokens a day; limit=1000; left=90; resets=…`."),
}
ERROR_HEADERS: Mapping[str, Any] = {
    "x-sampan-attempts": _ATTEMPTS,
    "x-should-retry": _told("Whether an SDK is to ask again by itself.", enum=["false"]),
    "retry-after": _told("Seconds, where an upstream, a breaker or a limit named a time."),
}
LATER_HEADERS: Mapping[str, Any] = {"request-id": _ID, **ERROR_HEADERS}
"""Of a 429: what is refused by its address alone has no id."""

PICTURE_HEADERS: Mapping[str, Any] = {
    **PAGE_HEADERS,
    "accept-ranges": _always(_told("Ranges of bytes can be asked for.", enum=["bytes"])),
    "etag": _always(_told("SHA-256 of all of it.", pattern='^"[0-9a-f]{64}"$')),
    "cache-control": _always(_told("For as long as the link is good.")),
}
PART_HEADERS: Mapping[str, Any] = {
    "content-range": _always(_told("`bytes 0-1023/4096`, or `bytes */4096` where there is nothing.", pattern="^bytes "))
}
