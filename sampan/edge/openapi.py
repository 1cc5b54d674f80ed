"""Our OpenAPI 3.1 description, served as `/openapi.json`: every path, what may be sent, and every status that we give.

Format: https://spec.openapis.org/oas/v3.1.1.html. Held to the code by tests, and to the running server by schemathesis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from sampan.edge.openapi_admin import admin_operations, sign_in_operations
from sampan.edge.openapi_admin_schemas import ADMIN
from sampan.edge.openapi_answers import (
    ANSWER_HEADERS,
    ANSWERS,
    CLAUDE_HEADERS,
    ERROR_HEADERS,
    LATER_HEADERS,
    PAGE_HEADERS,
    PART_HEADERS,
    PICTURE_HEADERS,
)
from sampan.edge.openapi_operate import OPERATE, operate_operations
from sampan.edge.openapi_operations import (
    ANYTHING,
    AWAY,
    FORM,
    JSON,
    KEYED,
    SSE,
    Operation,
    asked,
    links,
    made,
    page,
)
from sampan.edge.openapi_requests import (
    BETA,
    GOVERNED,
    PAGES,
    REQUESTS,
    TEXT,
    VERSION,
    Schema,
    header,
    place,
    query,
    ref,
)

PATH = "/openapi.json"
REFUSED = (406, 409, 411, 414, 415, 416, 422)
"""What an upstream may say of a request beside 400 and 413; it goes back as it came."""

_ABOUT = """
Point the official SDKs here: `anthropic` with this host as `base_url`, `openai` with `/v1` behind it.

Pages answer `HEAD` as well, but for those below `/auth/`. Any other path is a 404, and a known path with another method
a 405 with `allow`, in Anthropic's dialect for callers that send `anthropic-version` or `x-api-key`, else in OpenAI's.
Before a request is known at all: 400 for what is no HTTP, 408 for a head that does not arrive in time, 431 for one that
is too large, 415 for a body with a `content-encoding`, 429 for an address that sends many wrong keys or opens many
connections, 503 where no further connection has room.

Errors inside a stream that has begun are an event `error` (in chat streams a frame with `error`), where 502 would be
said of an answer that broke off.
"""

_SAYS: Mapping[int, str] = {
    400: "The request is wrong, or its body did not arrive in time.",
    401: "No key, or one that is unknown, revoked or expired.",
    403: "A rule or a role forbids it, or a link was changed or has expired.",
    404: "There is no such thing: a path, a model, a file, a batch, a response, a picture, or who or what is named.",
    405: "This path takes another method; `allow` says which.",
    408: "The head of the request did not arrive in time.",
    413: "The body is over the limit.",
    415: "The body has a `content-encoding`.",
    429: "A quota is spent, or many wrong keys came from this address; `retry-after` says when it begins anew.",
    431: "The head of the request is over 64 KiB, or has more than 100 headers.",
    500: "A mistake of ours; the log has it under the request id.",
    502: "The answer broke off after its first content: said inside a stream, never as a status.",
    503: "No target could answer, or what the answer needs is away.",
    529: "No target could answer, or what the answer needs is away.",
}
_CODES: Mapping[str, Sequence[int]] = {
    "ClaudeError": (400, 401, 403, 404, 405, 413, 429, 500, 502, 529),
    "OpenAIError": (400, 401, 403, 404, 405, 413, 429, 500, 502, 503),
    "EitherError": (400, 401, 403, 404, 405, 413, 500, 503, 529),
    "ConnectionError": (400, 408, 415, 429, 431, 503),
}
_SESSION = "Of a browser that has signed in; by https it is called `__Host-sampan`."
_CSRF = "The word of the session, which `GET /auth/me` tells: for whatever changes something by the session's cookie."
_STREAM: Schema = {
    "type": "object",
    "description": "Each server-sent event of this dialect; in chat streams events have no name.",
    "required": ["data"],
    "properties": {"event": TEXT, "data": {**TEXT, "description": "JSON; at the end of a chat stream `[DONE]`."}},
}


# Calls: what upstreams answer.


def _call(name: str, tag: str, summary: str, body: str, answer: str, *, streams: bool = True) -> Operation:
    claude = tag == "Messages"
    return Operation(
        name=name,
        tag=tag,
        summary=summary,
        bodies={JSON: ref(body)},
        answers={JSON: ref(answer)} | ({SSE: _STREAM} if streams else {}),
        errors="ClaudeCall" if claude else "OpenAICall",
        statuses=(400, 401, 403, 404, *REFUSED, 413, 429, 500, 529 if claude else 503),
        headers={**(CLAUDE_HEADERS if claude else PAGE_HEADERS), **ANSWER_HEADERS},
        parameters=(*((VERSION, BETA, query("beta", TEXT, "Handed on.")) if claude else ()), *GOVERNED),
    )


def _calls() -> dict[str, dict[str, Operation]]:
    messages = _call("createMessage", "Messages", "Asks a model.", "MessagesRequest", "Message")
    count = _call("countTokens", "Messages", "Counts what a call would cost.", "MessagesCount", "TokenCount")
    form = {JSON: ref("MessagesRequest"), FORM: ref("MessagesForm")}
    edits = _call("editImage", "Images", "Edits pictures.", "EditForm", "Pictures")
    varied = _call("varyImage", "Images", "Draws variations of a picture.", "VariationForm", "Pictures", streams=False)
    responses = _call("createResponse", "Responses", "Asks a model.", "ResponsesRequest", "Response")
    return {
        "/v1/messages": {"post": replace(messages, bodies=form)},
        "/v1/messages/count_tokens": {"post": replace(count, answers={JSON: ref("TokenCount")})},
        "/v1/chat/completions": {
            "post": _call("createChatCompletion", "Chat", "Asks a model.", "ChatRequest", "ChatCompletion")
        },
        "/v1/responses": {
            "post": replace(responses, links=links("response_id", "getResponse", "listInputItems", "deleteResponse"))
        },
        "/v1/embeddings": {
            "post": _call(
                "createEmbedding", "Embeddings", "Texts as vectors.", "EmbeddingsRequest", "Embeddings", streams=False
            )
        },
        "/v1/images/generations": {
            "post": _call("createImage", "Images", "Draws pictures.", "GenerationRequest", "Pictures")
        },
        "/v1/images/edits": {"post": replace(edits, bodies={FORM: ref("EditForm")})},
        "/v1/images/variations": {"post": replace(varied, bodies={FORM: ref("VariationForm")})},
    }


# Pages: what we answer ourselves.


def _batches() -> dict[str, dict[str, Operation]]:
    path, tag = "/v1/messages/batches", "Batches"
    one = place("batch_id", "^[A-Za-z0-9_-]{1,64}$", "As the batch was given it.")
    after = links("batch_id", "getBatch", "getBatchResults", "cancelBatch", "deleteBatch")
    results = page("getBatchResults", tag, "The results, once it has ended.", "Batch", 404)
    lines = {"application/x-jsonl": {"type": "string", "description": "A line of JSON for each request."}}
    return {
        path: {
            "get": asked(page("listBatches", tag, "The caller's batches.", "BatchList", 400), *PAGES["batches"]),
            "post": made(
                page("createBatch", tag, "Takes calls to be run in the background.", "Batch", 400),
                {JSON: ref("BatchRequest")},
                after,
            ),
        },
        path + "/{batch_id}": {
            "get": asked(page("getBatch", tag, "How far a batch is.", "Batch", 404), one),
            "delete": asked(page("deleteBatch", tag, "Forgets an ended batch.", "BatchDeleted", 400, 404), one),
        },
        path + "/{batch_id}/cancel": {
            "post": asked(page("cancelBatch", tag, "Begins nothing more of it.", "Batch", 400, 404), one)
        },
        path + "/{batch_id}/results": {"get": asked(replace(results, answers=lines), one)},
    }


def _files() -> dict[str, dict[str, Operation]]:
    path, tag = "/v1/files", "Files"
    one = place("file_id", "^[A-Za-z0-9_-]{1,64}$", "As the file was given it.")
    content = page("getFileContent", tag, "The bytes of a file that may be downloaded.", "File", 400, 404, *AWAY)
    headers = {**PAGE_HEADERS, "content-disposition": {"required": True, "schema": TEXT}}
    anything: Mapping[str, Schema] = {ANYTHING: {}}
    return {
        path: {
            "get": asked(page("listFiles", tag, "The caller's files.", "FileList", 400), *PAGES["files"]),
            "post": made(
                page("uploadFile", tag, "Keeps a file.", "File", 400, *AWAY),
                {FORM: ref("FileForm")},
                links("file_id", "getFile", "getFileContent", "deleteFile"),
            ),
        },
        path + "/{file_id}": {
            "get": asked(page("getFile", tag, "What is known of a file.", "File", 404), one),
            "delete": asked(page("deleteFile", tag, "Forgets a file.", "FileDeleted", 404), one),
        },
        path + "/{file_id}/content": {"get": asked(replace(content, answers=anything, headers=headers), one)},
    }


def _responses() -> dict[str, dict[str, Operation]]:
    path, tag = "/v1/responses/{response_id}", "Responses"
    one = place("response_id", "^[A-Za-z0-9_-]{1,200}$", "As the response was given it.")
    get = page("getResponse", tag, "A stored response.", "Response", 400, 404)
    whole = query("stream", {"type": "string", "enum": ["false"]}, "A stored response is returned whole.")
    items = page("listInputItems", tag, "What a stored response was asked.", "InputItems", 400, 404)
    cancel = page("cancelResponse", tag, "Always refused: nothing runs in the background.", "", 400, 404)
    cancel = replace(cancel, success=())
    return {
        path: {
            "get": asked(get, one, whole),
            "delete": asked(page("deleteResponse", tag, "Forgets a response.", "ResponseDeleted", 404), one),
        },
        path + "/input_items": {"get": asked(items, one, *PAGES["input_items"])},
        path + "/cancel": {"post": asked(cancel, one)},
    }


def _gateway() -> dict[str, dict[str, Operation]]:
    tag = "Gateway"
    known = place("model_id", "^[!-~]+$", "A model's name; it may have slashes.")
    model = page("getModel", "Models", "One model.", "Model", 404)
    plain: Mapping[str, Schema] = {"text/plain": {"type": "string"}}

    def public(name: str, summary: str, answer: str) -> Operation:
        return replace(page(name, tag, summary, answer), statuses=(500,), keyed=False)

    picture = replace(
        public("getArtifact", "A picture by its signed link, or a part of it.", ""),
        answers={ANYTHING: {}},
        statuses=(403, 404, 500, *AWAY),
        headers=PICTURE_HEADERS,
        parameters=(
            place("name", "^[!-~]+$", "As it stands in the link."),
            query("expires", TEXT, "As it stands in the link."),
            query("signature", TEXT, "As it stands in the link."),
            header("range", "One range of bytes, `bytes=0-1023`; anything else is answered with all of it."),
            header("if-range", "The `etag` of the part that is there already; with another all of it is the answer."),
        ),
        besides={"206": _part(), "416": _beyond()},
    )
    return {
        "/v1/models": {
            "get": asked(page("listModels", "Models", "What can be asked for.", "ModelList", 400), *PAGES["models"])
        },
        "/v1/models/{model_id}": {"get": asked(model, known)},
        "/artifacts/{name}": {"get": picture},
        "/": {"get": public("getGateway", "What this is.", "Gateway")},
        "/health": {"get": public("getHealth", "200 while the process lives.", "Health")},
        "/ready": {"get": public("getReadiness", "200 when every engine is warm.", "Readiness")},
        "/metrics": {"get": replace(public("getMetrics", "For Prometheus.", ""), answers=plain)},
        PATH: {"get": public("getDescription", "This description.", "Description")},
    }


def _part() -> dict[str, Any]:
    headers = {**PICTURE_HEADERS, **PART_HEADERS}
    return {"description": "The part that `range` asks for.", "headers": headers, "content": {ANYTHING: {"schema": {}}}}


def _beyond() -> dict[str, Any]:
    return {"description": "The picture ends before this range.", "headers": {**PAGE_HEADERS, **PART_HEADERS}}


# The whole.


def _shared_responses() -> dict[str, Any]:
    """Errors by shape and status. Calls may be refused in an upstream's words."""
    said: dict[str, Any] = {}
    for shape, codes in _CODES.items():
        headers = {} if shape == "ConnectionError" else {"request-id": CLAUDE_HEADERS["request-id"]}
        for code in codes:
            said[f"{shape}{code}"] = _error(code, ref(shape), headers if code != 429 else LATER_HEADERS)
    for name, shape, spent in (("ClaudeCall", "ClaudeError", 529), ("OpenAICall", "OpenAIError", 503)):
        headers = {"request-id": CLAUDE_HEADERS["request-id"], **ERROR_HEADERS}
        for code in (401, 403, 404, 429, 500, spent):
            said[f"{name}{code}"] = _error(code, ref(shape), headers if code != 429 else LATER_HEADERS)
        for code in (400, 413, *REFUSED):
            said[f"{name}{code}"] = _error(code, ref("Refusal"), headers)
        said[f"{name}413"]["content"][ANYTHING] = {}  # what stands in front of an upstream's API says it as it likes
    return said


def _error(code: int, schema: Schema, headers: Mapping[str, Any]) -> dict[str, Any]:
    description = _SAYS.get(code, "An upstream says that the request is wrong.")
    told: dict[str, Any] = {"description": description, "content": {JSON: {"schema": schema}}}
    return {**told, "headers": dict(headers)} if headers else told


def description(version: str) -> dict[str, Any]:
    """The whole description of a gateway of this version, as an OpenAPI Object."""
    operations = (
        _calls()
        | _batches()
        | _files()
        | _responses()
        | _gateway()
        | sign_in_operations()
        | admin_operations()
        | operate_operations()
    )
    paths = {path: {name: each.described(name) for name, each in told.items()} for path, told in operations.items()}
    ready = paths["/ready"]["get"]["responses"]
    ready["503"] = {**ready["200"], "description": "Not every engine is warm yet."}
    schemas = {
        **REQUESTS,
        **ANSWERS,
        **ADMIN,
        **OPERATE,
        "Description": {"type": "object", "required": ["openapi", "info", "paths"]},
    }
    keys = {
        "ApiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        "Bearer": {"type": "http", "scheme": "bearer"},
        "Session": {"type": "apiKey", "in": "cookie", "name": "sampan", "description": _SESSION},
        "Csrf": {"type": "apiKey", "in": "header", "name": "x-sampan-csrf", "description": _CSRF},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sampan",
            "version": version,
            "description": _ABOUT.strip(),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": list(KEYED),
        "paths": paths,
        "components": {"schemas": schemas, "responses": _shared_responses(), "securitySchemes": keys},
    }


def document(version: str) -> bytes:
    """The description as JSON."""
    return msgspec.json.encode(description(version))
