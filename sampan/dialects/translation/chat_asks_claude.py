"""A chat completions request as the Messages request that means the same.

    chat                                       Messages
    model, stream, top_p, top_k                the same
    messages: system, developer                `system`, joined by an empty line, wherever they stood
    messages: user, assistant                  turns; those of one role in a row are one turn
    messages: tool, function                   `tool_result` in the user turn right after its `tool_use`
    text, refusal                              text (one without a visible character is left out)
    image_url                                  image: base64 (type told by its first bytes) or url; a PDF: document
    file.file_data                             document (PDF, or plain text), image; `filename` → `title`
    file.file_id                               document, source `file`
    tool_calls, function_call                  `tool_use`; ids keep their letters, other signs than -_ become _
    tools, functions                           `tools`; `parameters` → `input_schema`, `strict` kept
    tool_choice, function_call                 none, auto; required → any; a name → tool; allowed_tools → fewer tools
    parallel_tool_calls: false                 `tool_choice.disable_parallel_tool_use`; always so with `functions`
    max_completion_tokens, max_tokens          `max_tokens`; 4096 where neither is given, for Messages must have one
    temperature                                over 1 → 1: the hottest there is, as Anthropic's own chat endpoint does
    stop                                       `stop_sequences`
    response_format: json_schema               `output_config.format`
    response_format: json_object               a sentence in `system`
    reasoning_effort                           `output_config.effort` (minimal → low); none → thinking disabled
    safety_identifier, user                    `metadata.user_id`
    name of a message                          left out; two names for one role cannot be told apart: 400

Refused with a 400 that names the field: n over 1, logprobs, top_logprobs, logit_bias, prediction, modalities and audio
with sound, web_search_options, moderation, custom tools, white space as `stop`, and any field that is not on this wire.
Left out, for the answer means the same without: seed, frequency_penalty, presence_penalty and other servers' sampling
hints, verbosity, metadata, store, service_tier, prompt_cache_*, stream_options, `detail` of a picture, the name of a
schema, and reasoning of earlier turns (Messages takes only reasoning that it signed).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec

from sampan.dialects.fields import UNREADABLE, invalid
from sampan.dialects.translation.chat_turns import Message, Turns
from sampan.dialects.translation.terms import ANSWER_TOKENS, EFFORTS, JSON_ONLY
from sampan.errors import InvalidRequest

HOTTEST = 1.0

# What would change the answer and cannot be said: each with the values that ask for nothing.
REFUSED: dict[str, tuple[object, ...]] = {
    "n": (None, 1),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "logit_bias": (None, {}),
    "prediction": (None,),
    "modalities": (None, [], ["text"]),
    "audio": (None,),
    "web_search_options": (None,),
    "moderation": (None,),
}

_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]*)`$")


class _Function(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(msgspec.Struct):
    type: str
    function: _Function | None = None


class _Named(msgspec.Struct):
    name: str


class _Allowed(msgspec.Struct):
    mode: Literal["auto", "required"]
    tools: list[_NamedTool]


class _NamedTool(msgspec.Struct):
    type: str = "function"
    function: _Named | None = None


class _Choice(msgspec.Struct):
    type: str = "function"
    function: _Named | None = None
    allowed_tools: _Allowed | None = None


class _Schema(msgspec.Struct):
    schema: dict[str, Any] | None = None
    description: str | None = None


class _Format(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _Schema | None = None


class _Request(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    model: str
    messages: list[Message]
    stream: bool | None = None
    max_completion_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    top_k: int | None = None
    stop: str | list[str] | None = None
    tools: list[_Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | _Choice | None = None
    parallel_tool_calls: bool | None = None
    functions: list[_Function] | None = None
    function_call: Literal["none", "auto"] | _Named | None = None
    response_format: _Format | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    # Refused unless they ask for nothing: see REFUSED.
    n: Any = None
    logprobs: Any = None
    top_logprobs: Any = None
    logit_bias: Any = None
    prediction: Any = None
    modalities: Any = None
    audio: Any = None
    web_search_options: Any = None
    moderation: Any = None
    # Left out. The second half are sampling hints of vLLM, SGLang and llama.cpp.
    stream_options: msgspec.Raw = msgspec.Raw()
    seed: msgspec.Raw = msgspec.Raw()
    frequency_penalty: msgspec.Raw = msgspec.Raw()
    presence_penalty: msgspec.Raw = msgspec.Raw()
    verbosity: msgspec.Raw = msgspec.Raw()
    metadata: msgspec.Raw = msgspec.Raw()
    store: msgspec.Raw = msgspec.Raw()
    service_tier: msgspec.Raw = msgspec.Raw()
    prompt_cache_key: msgspec.Raw = msgspec.Raw()
    prompt_cache_options: msgspec.Raw = msgspec.Raw()
    prompt_cache_retention: msgspec.Raw = msgspec.Raw()
    min_p: msgspec.Raw = msgspec.Raw()
    repetition_penalty: msgspec.Raw = msgspec.Raw()
    repeat_penalty: msgspec.Raw = msgspec.Raw()


_request = msgspec.json.Decoder(_Request)


def request(body: bytes, model: str | None) -> bytes:
    """The Messages request that a chat request means; `model` None keeps the one it names.

    Raises `InvalidRequest` naming the field that is wrong or that Messages has no word for.
    """
    asked = _read(body)
    turns = Turns()
    for index, message in enumerate(asked.messages):
        turns.add(message, f"messages.{index}")
    messages = turns.finish()
    system = turns.system
    if asked.response_format is not None and asked.response_format.type == "json_object":
        system = [*system, JSON_ONLY]
    said: dict[str, Any] = {
        "model": asked.model if model is None else model,
        "max_tokens": asked.max_completion_tokens or asked.max_tokens or ANSWER_TOKENS,
        "messages": messages,
    }
    if system:
        said["system"] = "\n\n".join(system)
    said |= _sampling(asked) | _tools(asked) | _form(asked)
    if asked.stream:
        said["stream"] = True
    user = asked.safety_identifier or asked.user
    if user:
        said["metadata"] = {"user_id": user}
    return msgspec.json.encode(said)


def _read(body: bytes) -> _Request:
    try:
        asked = _request.decode(body)
    except UNREADABLE as error:
        unknown = _UNKNOWN.search(str(error))
        if unknown:
            name = unknown["name"]
            raise InvalidRequest(f"{name}: the upstream that answers has no such field", param=name) from None
        raise invalid(error) from None
    for name, harmless in REFUSED.items():
        value = getattr(asked, name)
        if value is not None and value not in harmless:
            raise InvalidRequest(f"{name}: the upstream that answers cannot do this", param=name)
    return asked


def _sampling(asked: _Request) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if asked.temperature is not None:
        said["temperature"] = min(asked.temperature, HOTTEST)
    if asked.top_p is not None:
        said["top_p"] = asked.top_p
    if asked.top_k is not None:
        said["top_k"] = asked.top_k
    if asked.stop:
        stops = [asked.stop] if isinstance(asked.stop, str) else asked.stop
        for index, stop in enumerate(stops):
            if not stop.strip():
                where = "stop" if isinstance(asked.stop, str) else f"stop.{index}"
                raise InvalidRequest(f"{where}: the upstream that answers cannot stop at white space", param=where)
        said["stop_sequences"] = stops
    return said


def _form(asked: _Request) -> dict[str, Any]:
    """How the answer is to be made: its format and its effort."""
    said: dict[str, Any] = {}
    config: dict[str, Any] = {}
    wanted = asked.response_format
    if wanted is not None and wanted.type == "json_schema":
        where = "response_format.json_schema"
        if wanted.json_schema is None:
            raise InvalidRequest(f"{where}: Field required", param=where)
        schema = wanted.json_schema.schema
        if schema is None:
            raise InvalidRequest(f"{where}.schema: Field required", param=f"{where}.schema")
        if wanted.json_schema.description:
            schema = {"description": wanted.json_schema.description, **schema}
        config["format"] = {"type": "json_schema", "schema": schema}
    if asked.reasoning_effort == "none":
        said["thinking"] = {"type": "disabled"}
    elif asked.reasoning_effort is not None:
        config["effort"] = EFFORTS[asked.reasoning_effort]
    if config:
        said["output_config"] = config
    return said


def _tools(asked: _Request) -> dict[str, Any]:
    functions = _functions(asked)
    choice = _choice(asked, functions)
    if not functions:
        if choice is not None and choice["type"] in ("any", "tool"):
            raise InvalidRequest("tool_choice: there are no tools to choose from", param="tool_choice")
        return {}
    if asked.parallel_tool_calls is False or (asked.functions and not asked.tools):
        choice = choice or {"type": "auto"}
        if choice["type"] != "none":
            choice["disable_parallel_tool_use"] = True
    said: dict[str, Any] = {"tools": [_tool(function) for function in functions.values()]}
    if choice is not None:
        said["tool_choice"] = choice
    return said


def _functions(asked: _Request) -> dict[str, _Function]:
    functions: dict[str, _Function] = {each.name: each for each in asked.functions or ()}
    for index, tool in enumerate(asked.tools or ()):
        where = f"tools.{index}"
        if tool.type != "function":
            raise InvalidRequest(f"{where}: only tools of type `function` can be used here", param=where)
        if tool.function is None:
            raise InvalidRequest(f"{where}.function: Field required", param=f"{where}.function")
        if tool.function.name in functions:
            raise InvalidRequest(f"{where}.function.name: is there twice", param=f"{where}.function.name")
        functions[tool.function.name] = tool.function
    return functions


def _tool(function: _Function) -> dict[str, Any]:
    said: dict[str, Any] = {"name": function.name}
    if function.description is not None:
        said["description"] = function.description
    schema = function.parameters or {"type": "object", "properties": {}}
    said["input_schema"] = schema if "type" in schema else {"type": "object", **schema}
    if function.strict:
        said["strict"] = True
    return said


def _choice(asked: _Request, functions: dict[str, _Function]) -> dict[str, Any] | None:
    """What `tool_choice` means; `allowed_tools` takes the others out of `functions`."""
    wanted = asked.tool_choice if asked.tool_choice is not None else asked.function_call
    where = "tool_choice" if asked.tool_choice is not None else "function_call"
    if wanted is None:
        return None
    if isinstance(wanted, str):
        return {"type": "any" if wanted == "required" else wanted}
    if isinstance(wanted, _Named):
        return {"type": "tool", "name": _known(wanted, functions, f"{where}.name")}
    if wanted.type == "function" and wanted.function is not None:
        return {"type": "tool", "name": _known(wanted.function, functions, f"{where}.function.name")}
    if wanted.type == "allowed_tools" and wanted.allowed_tools is not None:
        where = f"{where}.allowed_tools.tools"
        allowed = {
            _known(each.function, functions, f"{where}.{index}")
            for index, each in enumerate(wanted.allowed_tools.tools)
        }
        if not allowed:
            raise InvalidRequest(f"{where}: must name a tool", param=where)
        for name in [name for name in functions if name not in allowed]:
            del functions[name]
        return {"type": "any" if wanted.allowed_tools.mode == "required" else "auto"}
    raise InvalidRequest(f"{where}: only functions can be chosen here", param=where)


def _known(named: _Named | None, functions: dict[str, _Function], where: str) -> str:
    if named is None:
        raise InvalidRequest(f"{where}: only functions can be chosen here", param=where)
    if named.name not in functions:
        raise InvalidRequest(f"{where}: there is no such tool", param=where)
    return named.name
