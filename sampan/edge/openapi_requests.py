"""What may be sent, as JSON Schema: as strict as our codecs are and no stricter, for fields that we do not know go on.

Shapes: the official SDKs' types. Where a field only matters to the model that answers, its target judges it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.dialects.openai_embeddings import INPUT_LIMIT
from sampan.dialects.openai_images import NUMBER_LIMIT, PROMPT_LIMIT
from sampan.dialects.openai_responses import PAGE_LIMIT
from sampan.edge.batches import REQUEST_LIMIT
from sampan.edge.files import ANTHROPIC_EXPIRY, OPENAI_EXPIRY, PURPOSES

Schema = dict[str, Any]


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def fields(required: str = "", /, **properties: Schema) -> Schema:
    """An object that may hold more than what is told; `required` are names with blanks between them."""
    told: Schema = {"type": "object"}
    if required:
        told["required"] = required.split()
    return told | ({"properties": properties} if properties else {})


def texts(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def kind(name: str, required: str = "", /, **properties: Schema) -> Schema:
    """An object that is told from its neighbours by `type`."""
    return fields(f"type {required}", type={"type": "string", "const": name}, **properties)


def either(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def some(item: Schema, least: int = 0, most: int | None = None) -> Schema:
    told: Schema = {"type": "array", "items": item}
    if least:
        told["minItems"] = least
    return told if most is None else {**told, "maxItems": most}


def maybe(schema: Schema) -> Schema:
    """The same, or null."""
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return either(schema, {"type": "null"})


def whole(least: int | None = None, most: int | None = None) -> Schema:
    told: Schema = {"type": "integer"}
    if least is not None:
        told["minimum"] = least
    return told if most is None else {**told, "maximum": most}


def number(least: float, most: float) -> Schema:
    return {"type": "number", "minimum": least, "maximum": most}


TEXT: Schema = {"type": "string"}
FILLED: Schema = {"type": "string", "minLength": 1}
WORDS: Schema = {"type": "string", "pattern": r"\S"}
FLAG: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
BYTES: Schema = {"type": "string", "format": "binary"}
BASE64: Schema = {"type": "string", "format": "byte", "contentEncoding": "base64"}
LINK: Schema = {"type": "string", "format": "uri"}

# Messages.

_KEPT = (kind("url", "url", url=LINK), kind("file", "file_id", file_id=TEXT))
_PICTURE_TYPES = texts("image/jpeg", "image/png", "image/gif", "image/webp")
_PICTURE = either(kind("base64", "media_type data", media_type=_PICTURE_TYPES, data=BASE64), *_KEPT)
_PAPER = either(
    kind("base64", "media_type data", media_type=texts("application/pdf"), data=BASE64),
    *_KEPT,
    kind("text", "media_type data", media_type=texts("text/plain"), data=TEXT),
    kind("content", "content", content=either(TEXT, some(ref("MessagesPart")))),
)
_SAID = kind("text", "text", text=TEXT)
_COUNT: Mapping[str, Schema] = {
    "model": ref("ModelName"),
    "messages": some(ref("MessagesTurn"), least=1),
    "system": either(TEXT, some(_SAID)),
    "tools": some(ref("MessagesTool")),
    "tool_choice": fields("type", type=texts("auto", "any", "tool", "none"), name=TEXT),
    "thinking": fields("type", type=texts("enabled", "adaptive", "disabled"), budget_tokens=whole()),
}
_MESSAGES: Mapping[str, Schema] = {
    "MessagesPart": either(_SAID, kind("image", "source", source=_PICTURE)),
    "MessagesBlock": either(
        ref("MessagesPart"),
        kind("document", "source", source=_PAPER, title=maybe(TEXT), context=maybe(TEXT)),
        kind("tool_use", "id name input", id=TEXT, name=TEXT, input=OBJECT),
        kind(
            "tool_result",
            "tool_use_id",
            tool_use_id=TEXT,
            content=either(TEXT, some(ref("MessagesPart"))),
            is_error=maybe(FLAG),
        ),
        kind("thinking", "thinking signature", thinking=TEXT, signature=TEXT),
        kind("redacted_thinking", "data", data=TEXT),
        kind("search_result", "source title content", source=TEXT, title=TEXT, content=some(_SAID)),
    ),
    "MessagesTurn": fields(
        "role content", role=texts("user", "assistant", "system"), content=either(TEXT, some(ref("MessagesBlock")))
    ),
    "MessagesTool": fields("name", name=TEXT, description=TEXT, input_schema=OBJECT, type=maybe(TEXT)),
    "MessagesCount": fields("model messages", **_COUNT),
    "MessagesRequest": fields(
        "model max_tokens messages",
        **_COUNT,
        max_tokens=whole(0),
        stream=maybe(FLAG),
        stop_sequences=some(TEXT),
        temperature=number(0, 1),
        top_p=number(0, 1),
        top_k=whole(),
        metadata=fields(user_id=maybe(TEXT)),
        output_config=fields(effort=texts("low", "medium", "high", "xhigh", "max")),
    ),
    "MessagesForm": fields(
        prompt=TEXT,
        image=either(BYTES, some(BYTES)),
        document=either(BYTES, some(BYTES)),
        model=ref("ModelName"),
        max_tokens=whole(0, 999_999_999),
        system=TEXT,
        stream=texts("true", "false"),
    )
    | {"additionalProperties": False},
    "BatchRequest": fields(
        "requests",
        requests=some(
            fields(
                "custom_id params",
                custom_id={"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"},
                params=either(ref("MessagesRequest"), OBJECT),
            )
            | {"additionalProperties": False},
            least=1,
            most=REQUEST_LIMIT,
        ),
    )
    | {"additionalProperties": False},
}

# Chat completions.

_SHOWN = fields("url", url=LINK, detail=texts("auto", "low", "high"))
_CALL = fields("name arguments", name=TEXT, arguments=TEXT)
_CHAT: Mapping[str, Schema] = {
    "ChatPart": either(
        kind("text", "text", text=TEXT),
        kind("refusal", "refusal", refusal=TEXT),
        kind("image_url", "image_url", image_url=either(_SHOWN, LINK)),
        kind("file", "file", file=fields(file_data=LINK, file_id=TEXT, filename=TEXT)),
    ),
    "ChatMessage": fields(
        "role",
        role=texts("developer", "system", "user", "assistant", "tool", "function"),
        content=either(TEXT, some(ref("ChatPart")), {"type": "null"}),
        name=TEXT,
        refusal=maybe(TEXT),
        tool_call_id=TEXT,
        tool_calls=some(kind("function", "id function", id=TEXT, function=_CALL)),
    ),
    "ChatTool": kind("function", "function", function=fields("name", name=FILLED, description=TEXT, parameters=OBJECT)),
    "ChatRequest": fields(
        "model messages",
        model=ref("ModelName"),
        messages=some(ref("ChatMessage"), least=1),
        stream=maybe(FLAG),
        stream_options=maybe(fields(include_usage=FLAG)),
        max_completion_tokens=maybe(whole(1)),
        max_tokens=maybe(whole(1)),
        n=maybe(whole(1)),
        temperature=maybe(number(0, 2)),
        top_p=maybe(number(0, 1)),
        stop=either(TEXT, some(TEXT), {"type": "null"}),
        tools=some(ref("ChatTool")),
        tool_choice=either(
            texts("none", "auto", "required"), kind("function", "function", function=fields("name", name=TEXT))
        ),
        parallel_tool_calls=FLAG,
        reasoning_effort=maybe(texts("none", "minimal", "low", "medium", "high", "xhigh", "max")),
        response_format=either(
            kind("text"),
            kind("json_object"),
            kind("json_schema", "json_schema", json_schema=fields("name", name=TEXT, schema=OBJECT)),
        ),
        user=TEXT,
        seed=maybe(whole()),
    ),
}

# Responses.

_RESPONSES: Mapping[str, Schema] = {
    "ResponsesPart": either(
        kind("input_text", "text", text=TEXT),
        kind("output_text", "text", text=TEXT),
        kind("refusal", "refusal", refusal=TEXT),
        kind("input_image", image_url=maybe(LINK), file_id=maybe(TEXT), detail=texts("auto", "low", "high")),
        kind("input_file", file_data=LINK, file_id=maybe(TEXT), file_url=LINK, filename=TEXT),
    ),
    "ResponsesItem": either(
        fields(
            "role content",
            role=texts("user", "assistant", "system", "developer"),
            content=either(TEXT, some(ref("ResponsesPart"))),
            type={"type": "string", "const": "message"},
        ),
        kind("function_call", "call_id name arguments", call_id=TEXT, name=TEXT, arguments=TEXT),
        kind("function_call_output", "call_id output", call_id=TEXT, output=either(TEXT, some(ref("ResponsesPart")))),
        kind("reasoning", "id summary", id=TEXT, summary=some(OBJECT), encrypted_content=maybe(TEXT)),
        kind("item_reference", "id", id=TEXT),
    ),
    "ResponsesRequest": fields(
        "model",
        model=ref("ModelName"),
        input=either(FILLED, some(ref("ResponsesItem"), 1), {"type": "null"}),
        instructions=maybe(TEXT),
        previous_response_id=maybe(TEXT),
        store=maybe(FLAG),
        stream=maybe(FLAG),
        max_output_tokens=maybe(whole(1)),
        temperature=maybe(number(0, 2)),
        top_p=maybe(number(0, 1)),
        tools=some(kind("function", "name", name=FILLED, description=maybe(TEXT), parameters=maybe(OBJECT))),
        tool_choice=either(texts("none", "auto", "required"), kind("function", "name", name=TEXT)),
        parallel_tool_calls=maybe(FLAG),
        reasoning=maybe(fields(effort=maybe(texts("none", "minimal", "low", "medium", "high", "xhigh", "max")))),
        text=fields(
            format=either(
                kind("text"), kind("json_object"), kind("json_schema", "name schema", name=TEXT, schema=OBJECT)
            )
        ),
        metadata=maybe({"type": "object", "additionalProperties": TEXT}),
    )
    | {"description": "`input` may be left out only where `previous_response_id` is given."},
}

# Embeddings, pictures and files.

_SIZES = "`auto`, or WIDTHxHEIGHT as the target has them."
_REST: Mapping[str, Schema] = {
    "EmbeddingsRequest": fields(
        "model input",
        model=ref("ModelName"),
        input=either(FILLED, some(FILLED, 1, INPUT_LIMIT), some(whole(0), 1), some(some(whole(0), 1), 1, INPUT_LIMIT)),
        dimensions=maybe(whole(1)),
        encoding_format=maybe(texts("float", "base64")),
        user=TEXT,
    ),
    "GenerationRequest": fields(
        "prompt",
        prompt={**WORDS, "maxLength": PROMPT_LIMIT},
        model=maybe(ref("ModelName")),
        n=maybe(whole(1, NUMBER_LIMIT)),
        size={"type": ["string", "null"], "description": _SIZES},
        response_format=maybe(texts("url", "b64_json")),
        background=maybe(texts("transparent", "opaque", "auto")),
        output_format=maybe(texts("png", "jpeg", "webp")),
        stream=maybe(FLAG),
        partial_images=maybe(whole(0, 3)),
    ),
    "EditForm": fields(
        "prompt image",
        prompt={**WORDS, "maxLength": PROMPT_LIMIT},
        image=either(BYTES, some(BYTES, 1)),
        mask={**BYTES, "description": "Where its alpha is 0, the picture is to be edited."},
        model=ref("ModelName"),
        n=whole(1, NUMBER_LIMIT),
        size={**TEXT, "description": _SIZES},
        response_format=texts("url", "b64_json"),
        stream=texts("true", "false"),
    )
    | {"description": "`image` may also be sent as `image[]`."},
    "VariationForm": fields(
        "image",
        image=BYTES,
        model=ref("ModelName"),
        n=whole(1, NUMBER_LIMIT),
        size={**TEXT, "description": _SIZES},
        response_format=texts("url", "b64_json"),
    ),
    "FileForm": fields(
        "file",
        file=BYTES,
        purpose={**texts(*PURPOSES), "description": "OpenAI's dialect, required there."},
        expires_in_seconds={**whole(*ANTHROPIC_EXPIRY), "description": "Anthropic's dialect."},
        **{
            "expires_after[anchor]": {**texts("created_at"), "description": "OpenAI's dialect."},
            "expires_after[seconds]": {**whole(*OPENAI_EXPIRY), "description": "OpenAI's dialect."},
        },
    )
    | {"additionalProperties": False},
}

REQUESTS: Mapping[str, Schema] = {
    "ModelName": {**FILLED, "description": "A model of `GET /v1/models`, or any name that a route's pattern matches."},
    **_MESSAGES,
    **_CHAT,
    **_RESPONSES,
    **_REST,
}


# Queries and headers.


def query(name: str, schema: Schema, description: str = "") -> Schema:
    told: Schema = {"name": name, "in": "query", "schema": schema}
    return told | ({"description": description} if description else {})


def header(name: str, description: str) -> Schema:
    return {
        "name": name,
        "in": "header",
        "schema": {"type": "string", "pattern": "^[!-~]+$"},
        "description": description,
    }


def place(name: str, pattern: str, description: str) -> Schema:
    """A part of the path."""
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": description}


VERSION = header("anthropic-version", "The caller speaks Anthropic's dialect; on shared paths this is how it is known.")
BETA = header("anthropic-beta", "Handed on to upstreams of the same dialect.")
GOVERNED: tuple[Schema, ...] = (
    {
        **header("x-sampan-residency", "The call may not leave the house. Nothing can be demanded but this."),
        "schema": texts("local"),
    },
    header(
        "x-sampan-collection", "The collection that the call is about, as rules know it; several with commas between."
    ),
    header("cache-control", "`no-cache` asks anew where answers are kept, `no-store` keeps nothing of this call."),
)
"""What any call may say of itself."""

PAGES: Mapping[str, tuple[Schema, ...]] = {
    "models": (
        query("limit", whole(1, 1000), "Anthropic's dialect."),
        query("after_id", TEXT, "Anthropic's dialect."),
        query("before_id", TEXT, "Anthropic's dialect."),
    ),
    "batches": (query("limit", whole(1, 1000)), query("after_id", TEXT), query("before_id", TEXT)),
    "files": (
        query("limit", whole(1, 10_000), "At most 1,000 in Anthropic's dialect."),
        query("after_id", TEXT, "Anthropic's dialect."),
        query("before_id", TEXT, "Anthropic's dialect."),
        query("page", {"type": "string", "pattern": "^page_[0-9a-f]{1,15}$"}, "Anthropic's dialect."),
        query("ids[]", some(TEXT, most=100), "Anthropic's dialect."),
        query("after", TEXT, "OpenAI's dialect."),
        query("purpose", texts(*PURPOSES), "OpenAI's dialect."),
        query("order", texts("asc", "desc"), "OpenAI's dialect."),
    ),
    "input_items": (query("limit", whole(1, PAGE_LIMIT)), query("after", TEXT), query("order", texts("asc", "desc"))),
}
