"""A Responses request as the Messages request that means the same.

| Responses | Messages |
|---|---|
| model, stream, top_p | the same |
| instructions; messages of `system` and `developer` | `system`, joined by an empty line, wherever they stood |
| input text; messages of `user` and `assistant` | turns; those of one role in a row are one turn |
| input_text, output_text, refusal | text (an empty one is left out) |
| input_image | image: base64 (type told by its first bytes), `url`, or `file` |
| input_file | document: PDF as base64, plain text as `text`, `url`, or `file`; `filename` → `title` |
| function_call | `tool_use`; ids keep their letters, others than -_ become _ |
| function_call_output | `tool_result` in the user turn right after its `tool_use` |
| reasoning | `thinking` or `redacted_thinking` where `encrypted_content` was sealed here; else left out |
| item_reference | the stored item; see `referenced` |
| previous_response_id | the stored items of the chain; see `earlier`. Its instructions are not carried over |
| tools: function | `tools`; `parameters` → `input_schema`, `strict` kept |
| tool_choice | none, auto; required → any; function → tool; allowed_tools → fewer tools |
| parallel_tool_calls: false | `tool_choice.disable_parallel_tool_use` |
| text.format: json_schema | `output_config.format` |
| text.format: json_object | a sentence in `system` |
| reasoning.effort | `output_config.effort` (minimal → low); none → thinking disabled |
| reasoning.summary | thinking `adaptive`, its display `summarized` |
| max_output_tokens | `max_tokens`; 4096 where it is not given, for Messages must have one |
| temperature | over 1 → 1: the hottest there is |
| safety_identifier, user | `metadata.user_id` |

Refused with a 400 that names the field: background, conversation, prompt, moderation, context_management, top_logprobs,
`include` of anything but encrypted reasoning and pictures' addresses, tools and items of OpenAI's own services, custom
tools, sound, reasoning mode `pro`, and any field that is not on this wire. Left out, for the answer means the same
without: metadata, store, service_tier, prompt_cache_*, stream_options, max_tool_calls (it counts OpenAI's own tools),
truncation (an input that is too long is refused by the model's server, not cut), `detail` of a picture, text.verbosity,
name and description of a schema.

An assistant's message at the end of the input is what the answer goes on from, as Messages has it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from sampan.dialects import pictures
from sampan.dialects.fields import UNREADABLE, invalid
from sampan.dialects.openai_responses import Item, Part
from sampan.dialects.translation.terms import ANSWER_TOKENS, EFFORTS, JSON_ONLY
from sampan.errors import InvalidRequest

HOTTEST = 1.0
SEAL = "sampan1."
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")

# What would change the answer and cannot be said: each with the values that ask for nothing.
REFUSED: dict[str, tuple[object, ...]] = {
    "background": (False,),
    "background_options": ({},),
    "conversation": (),
    "prompt": (),
    "moderation": (),
    "context_management": ([],),
    "top_logprobs": (0,),
}
INCLUDED = ("reasoning.encrypted_content", "message.input_image.image_url")

_FOREIGN = re.compile(r"[^a-zA-Z0-9_-]")
_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]*)`$")
_DATA = re.compile(r"data:(?P<type>[^;,]*)(?:;[^;,]*)*;base64,", re.IGNORECASE)


class _Tool(msgspec.Struct):
    type: str
    name: str | None = None
    description: str | None = None
    parameters: dict[str, msgspec.Raw] | None = None
    strict: bool | None = None
    defer_loading: bool | None = None
    asynchronous: bool | None = msgspec.field(default=None, name="async")


class _Named(msgspec.Struct):
    type: str = "function"
    name: str | None = None


class _Choice(msgspec.Struct):
    type: str
    name: str | None = None
    mode: Literal["auto", "required"] = "auto"
    tools: list[_Named] = []


class _Format(msgspec.Struct):
    type: str
    schema: dict[str, msgspec.Raw] | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None


class _Reasoning(msgspec.Struct):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
    mode: str | None = None


class _Request(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    model: str
    input: str | list[Item] | None = None
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    tools: list[_Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | _Choice | None = None
    parallel_tool_calls: bool | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    include: list[str] | None = None
    previous_response_id: str | None = None
    safety_identifier: str | None = None
    user: str | None = None
    truncation: Literal["auto", "disabled"] | None = None
    # Refused unless they ask for nothing: see REFUSED.
    background: Any = None
    background_options: Any = None
    conversation: Any = None
    prompt: Any = None
    moderation: Any = None
    context_management: Any = None
    top_logprobs: Any = None
    # Left out.
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: msgspec.Raw = msgspec.Raw()
    prompt_cache_key: msgspec.Raw = msgspec.Raw()
    prompt_cache_options: msgspec.Raw = msgspec.Raw()
    prompt_cache_retention: msgspec.Raw = msgspec.Raw()
    stream_options: msgspec.Raw = msgspec.Raw()
    max_tool_calls: msgspec.Raw = msgspec.Raw()


_request = msgspec.json.Decoder(_Request)
_item = msgspec.json.Decoder(Item)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_sealed = msgspec.json.Decoder(tuple[str, str, str])


def request(
    body: bytes, model: str | None, earlier: Sequence[bytes] = (), referenced: Mapping[str, bytes] | None = None
) -> bytes:
    """The Messages request that a Responses request means; `model` None keeps the one it names.

    `earlier` are the stored items (JSON) of the previous responses, oldest first, `referenced` those that the input
    points to, by their id. Raises `InvalidRequest` naming the field that is wrong or that Messages has no word for.
    """
    asked = _read(body)
    turns = _Turns()
    for raw in earlier:
        turns.add(_item.decode(raw), "previous_response_id")
    if isinstance(asked.input, str):
        turns.say("user", [{"type": "text", "text": asked.input}] if asked.input.strip() else [])
    else:
        for index, item in enumerate(asked.input or ()):
            turns.add(_followed(item, f"input.{index}", referenced or {}), f"input.{index}")
    system = [asked.instructions] if asked.instructions and asked.instructions.strip() else []
    wanted = asked.text.format if asked.text is not None else None
    messages = turns.finish()
    system += turns.system
    if wanted is not None and wanted.type == "json_object":
        system.append(JSON_ONLY)
    said: dict[str, Any] = {
        "model": asked.model if model is None else model,
        "max_tokens": asked.max_output_tokens or ANSWER_TOKENS,
        "messages": messages,
    }
    if system:
        said["system"] = "\n\n".join(system)
    if asked.temperature is not None:
        said["temperature"] = min(asked.temperature, HOTTEST)
    if asked.top_p is not None:
        said["top_p"] = asked.top_p
    said |= _tools(asked) | _form(asked, wanted)
    if asked.stream:
        said["stream"] = True
    user = asked.safety_identifier or asked.user
    if user:
        said["metadata"] = {"user_id": user}
    return msgspec.json.encode(said)


def sealed(thinking: str, signature: str, data: str = "") -> str:
    """Reasoning as the `encrypted_content` that takes it through the caller and back; `data` is a redacted block's.

    It is packed, not encrypted: who may see it has seen it. Whether a signature may go to a target is not decided here.
    """
    packed = msgspec.json.encode((thinking, signature, data))
    return SEAL + base64.urlsafe_b64encode(packed).decode()


def _opened(seal: str | None) -> dict[str, Any] | None:
    """The block that was sealed; None for reasoning that is not from here."""
    if seal is None or not seal.startswith(SEAL):
        return None
    try:
        thinking, signature, data = _sealed.decode(base64.urlsafe_b64decode(seal[len(SEAL) :]))
    except (*UNREADABLE, ValueError):
        return None
    if data:
        return {"type": "redacted_thinking", "data": data}
    return {"type": "thinking", "thinking": thinking, "signature": signature}


def _wrong(path: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{path}: {what}", param=path)


def _read(body: bytes) -> _Request:
    try:
        asked = _request.decode(body)
    except UNREADABLE as error:
        unknown = _UNKNOWN.search(str(error))
        if unknown:
            raise _wrong(unknown["name"], "the upstream that answers has no such field") from None
        raise invalid(error) from None
    for name, harmless in REFUSED.items():
        value = getattr(asked, name)
        if value is not None and value not in harmless:
            raise _wrong(name, "the upstream that answers cannot do this")
    for index, name in enumerate(asked.include or ()):
        if name not in INCLUDED:
            raise _wrong(f"include.{index}", f"can be one of: {', '.join(INCLUDED)}")
    return asked


def _followed(item: Item, path: str, referenced: Mapping[str, bytes]) -> Item:
    """The item itself, or the stored one that it points to."""
    if item.kind != "item_reference":
        return item
    raw = referenced.get(item.id or "")
    if raw is None:
        raise _wrong(f"{path}.id", "there is no stored item with this id")
    return _item.decode(raw)


class _Turns:
    """Puts items into turns: the results of tools right after the turn that used them, as Messages wants it."""

    def __init__(self) -> None:
        self.system: list[str] = []
        self._messages: list[dict[str, Any]] = []
        self._waiting: dict[str, tuple[dict[str, Any], str]] = {}  # calls without a result: their turn, their path

    def add(self, item: Item, path: str) -> None:
        """Raises `InvalidRequest` for an item that Messages has no word for."""
        kind = item.kind
        if kind == "message":
            self._message(item, path)
        elif kind == "function_call":
            self._call(item, path)
        elif kind == "function_call_output":
            self._output(item, path)
        elif kind == "reasoning":
            block = _opened(item.encrypted_content)
            if block is not None:
                self.say("assistant", [block])
        else:
            raise _wrong(f"{path}.type", f"the upstream that answers cannot take items of type `{kind}`")

    def say(self, role: str, blocks: list[dict[str, Any]]) -> None:
        """Adds blocks to the turn of this role, a new one if it is the other's."""
        if not blocks:
            return
        if not self._messages or self._messages[-1]["role"] != role:
            self._messages.append({"role": role, "content": []})
        self._messages[-1]["content"] += blocks

    def finish(self) -> list[dict[str, Any]]:
        """The turns. Raises `InvalidRequest` for none, and for a call whose result is not there."""
        for call_id, (_, path) in self._waiting.items():
            raise InvalidRequest(f"{path}: there is no output for the function call {call_id}", param=path)
        # A turn of nothing but thinking is an answer that was cut before its first word: nothing to go on from.
        messages = [turn for turn in self._messages if any("thinking" not in each["type"] for each in turn["content"])]
        if not messages:
            raise _wrong("input", "at least one message with content is required")
        return messages

    def _message(self, item: Item, path: str) -> None:
        if item.role not in ("user", "assistant", "system", "developer"):
            raise _wrong(f"{path}.role", "must be `user`, `assistant`, `system` or `developer`")
        if item.content is None:
            raise _wrong(f"{path}.content", "Field required")
        blocks = _blocks(item.content, f"{path}.content")
        if item.role == "user":
            self.say("user", blocks)
            return
        for index, block in enumerate(blocks):
            if block["type"] != "text":
                raise _wrong(f"{path}.content.{index}", f"a message of role `{item.role}` can only hold text")
        if item.role == "assistant":
            self.say("assistant", blocks)
        else:
            self.system += [block["text"] for block in blocks]

    def _call(self, item: Item, path: str) -> None:
        if not item.call_id:
            raise _wrong(f"{path}.call_id", "Field required")
        if not item.name:
            raise _wrong(f"{path}.name", "Field required")
        if item.call_id in self._waiting:
            raise _wrong(f"{path}.call_id", "is there twice, and the first has no output")
        try:
            arguments = _object.decode(item.arguments or "{}") if not isinstance(item.arguments, dict) else None
        except UNREADABLE:
            arguments = None
        if arguments is None:
            raise _wrong(f"{path}.arguments", "must be a JSON object as text")
        block = {"type": "tool_use", "id": _plain(item.call_id), "name": item.name, "input": arguments}
        self.say("assistant", [block])
        self._waiting[item.call_id] = (self._messages[-1], path)

    def _output(self, item: Item, path: str) -> None:
        """The result goes to the front of the turn after its call, whatever was said in between."""
        if item.output is None or isinstance(item.output, dict):
            raise _wrong(f"{path}.output", "must be text or a list of parts")
        turn, _ = self._waiting.pop(item.call_id or "", (None, ""))
        if turn is None:
            raise _wrong(f"{path}.call_id", "there is no function call with this id before it that waits for an output")
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": _plain(item.call_id or "")}
        content = item.output if isinstance(item.output, str) else _blocks(item.output, f"{path}.output")
        if content:
            block["content"] = content
        after = next(index for index, each in enumerate(self._messages) if each is turn) + 1
        if after == len(self._messages):
            self._messages.append({"role": "user", "content": []})
        results = self._messages[after]["content"]
        first = next((index for index, each in enumerate(results) if each["type"] != "tool_result"), len(results))
        results.insert(first, block)


def _plain(call_id: str) -> str:
    """An id with the letters that Messages allows; the answer's own ids need no way back."""
    return _FOREIGN.sub("_", call_id)


def _blocks(content: str | list[Part], path: str) -> list[dict[str, Any]]:
    """Parts as blocks; text without a visible character is left out, for Messages refuses it."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content.strip() else []
    blocks: list[dict[str, Any]] = []
    for index, part in enumerate(content):
        here = f"{path}.{index}"
        if part.type in ("input_text", "output_text", "text", "refusal"):
            name = "refusal" if part.type == "refusal" else "text"
            text = part.refusal if part.type == "refusal" else part.text
            if text is None:
                raise _wrong(f"{here}.{name}", "Field required")
            if text.strip():
                blocks.append({"type": "text", "text": text})
        elif part.type == "input_image":
            blocks.append({"type": "image", "source": _picture(part, here)})
        elif part.type == "input_file":
            blocks.append(_document(part, here))
        else:
            raise _wrong(f"{here}.type", f"the upstream that answers cannot take parts of type `{part.type}`")
    return blocks


def _picture(part: Part, path: str) -> dict[str, Any]:
    if part.file_id:
        return {"type": "file", "file_id": part.file_id}
    url = part.image_url
    if not url:
        raise _wrong(f"{path}.image_url", "Field required")
    if url[:5].lower() != "data:":
        return _address(url, f"{path}.image_url")
    data, head = _base64(url, f"{path}.image_url")
    media_type = pictures.media_type(head)
    if media_type not in PICTURES:
        raise _wrong(f"{path}.image_url", "is no PNG, JPEG, GIF or WebP")
    return {"type": "base64", "media_type": media_type, "data": data}


def _document(part: Part, path: str) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "document"}
    if part.filename:
        block["title"] = part.filename
    if part.file_id:
        block["source"] = {"type": "file", "file_id": part.file_id}
    elif part.file_url:
        block["source"] = _address(part.file_url, f"{path}.file_url")
    elif part.file_data:
        block["source"] = _file(part.file_data, part.filename or "", f"{path}.file_data")
    else:
        raise _wrong(f"{path}.file_data", "one of file_data, file_url and file_id is required")
    return block


def _file(text: str, filename: str, path: str) -> dict[str, Any]:
    """A PDF as it is, plain text as text; the type is told by the first bytes, then by the data URL or the name."""
    data, head = _base64(text, path)
    if head.startswith(b"%PDF-"):
        return {"type": "base64", "media_type": "application/pdf", "data": data}
    said = _DATA.match(text)
    if (said and said["type"].lower().startswith("text/")) or filename.lower().endswith((".txt", ".md")):
        try:
            plain = base64.b64decode(data, validate=True).decode()
        except ValueError:
            raise _wrong(path, "is no UTF-8 text in base64") from None
        return {"type": "text", "media_type": "text/plain", "data": plain}
    raise _wrong(path, "is neither a PDF nor plain text; send a picture as `input_image`")


def _base64(text: str, path: str) -> tuple[str, bytes]:
    """The base64 of a data URL (or of bare base64), and its first bytes."""
    start = _DATA.match(text)
    if start is None and text[:5].lower() == "data:":
        raise _wrong(path, "a data URL must be base64: data:image/png;base64,…")
    data = text[start.end() :] if start else text
    beginning = pictures.beginning(data)
    if not beginning:
        raise _wrong(path, "is not valid base64")
    return data, beginning


def _address(url: str, path: str) -> dict[str, Any]:
    if not url.lower().startswith(("http://", "https://")):
        raise _wrong(path, "must be an http or https address, or a data URL")
    return {"type": "url", "url": url}


def _form(asked: _Request, wanted: _Format | None) -> dict[str, Any]:
    """How the answer is to be made: its format and its effort."""
    said: dict[str, Any] = {}
    config: dict[str, Any] = {}
    if wanted is not None and wanted.type == "json_schema":
        if wanted.schema is None:
            raise _wrong("text.format.schema", "Field required")
        config["format"] = {"type": "json_schema", "schema": wanted.schema}
    elif wanted is not None and wanted.type not in ("text", "json_object"):
        raise _wrong("text.format.type", "must be `text`, `json_schema` or `json_object`")
    reasoning = asked.reasoning or _Reasoning()
    if reasoning.mode not in (None, "standard"):
        raise _wrong("reasoning.mode", "the upstream that answers cannot do this")
    if reasoning.effort == "none":
        said["thinking"] = {"type": "disabled"}
    else:
        if reasoning.effort is not None:
            config["effort"] = EFFORTS[reasoning.effort]
        if reasoning.summary or reasoning.generate_summary:
            said["thinking"] = {"type": "adaptive", "display": "summarized"}
    if config:
        said["output_config"] = config
    return said


def _tools(asked: _Request) -> dict[str, Any]:
    tools: dict[str, dict[str, Any]] = {}
    for index, tool in enumerate(asked.tools or ()):
        made = _tool(tool, f"tools.{index}")
        if made["name"] in tools:
            raise _wrong(f"tools.{index}.name", "is there twice")
        tools[made["name"]] = made
    choice = _choice(asked.tool_choice, tools)
    if not tools:
        if choice is not None and choice["type"] in ("any", "tool"):
            raise _wrong("tool_choice", "there are no tools to choose from")
        return {}
    if asked.parallel_tool_calls is False:
        choice = choice or {"type": "auto"}
        if choice["type"] != "none":
            choice["disable_parallel_tool_use"] = True
    said: dict[str, Any] = {"tools": list(tools.values())}
    if choice is not None:
        said["tool_choice"] = choice
    return said


def _tool(tool: _Tool, path: str) -> dict[str, Any]:
    if tool.type != "function":
        raise _wrong(path, f"the upstream that answers has no tool of type `{tool.type}`; only functions can be used")
    if not tool.name:
        raise _wrong(f"{path}.name", "Field required")
    if tool.defer_loading or tool.asynchronous:
        raise _wrong(f"{path}.{'defer_loading' if tool.defer_loading else 'async'}", "cannot be done here")
    said: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        said["description"] = tool.description
    schema: dict[str, Any] = tool.parameters or {"properties": {}}
    said["input_schema"] = schema if "type" in schema else {"type": "object", **schema}
    if tool.strict:
        said["strict"] = True
    return said


def _choice(wanted: str | _Choice | None, tools: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """What `tool_choice` means; `allowed_tools` takes the others out of `tools`."""
    if wanted is None:
        return None
    if isinstance(wanted, str):
        return {"type": "any" if wanted == "required" else wanted}
    if wanted.type == "function":
        return {"type": "tool", "name": _known(wanted.name, tools, "tool_choice.name")}
    if wanted.type != "allowed_tools":
        raise _wrong("tool_choice", "only functions can be chosen here")
    allowed = set()
    for index, each in enumerate(wanted.tools):
        if each.type != "function":
            raise _wrong(f"tool_choice.tools.{index}", "only functions can be chosen here")
        allowed.add(_known(each.name, tools, f"tool_choice.tools.{index}.name"))
    if not allowed:
        raise _wrong("tool_choice.tools", "must name a tool")
    for name in [name for name in tools if name not in allowed]:
        del tools[name]
    return {"type": "any" if wanted.mode == "required" else "auto"}


def _known(name: str | None, tools: Mapping[str, Any], path: str) -> str:
    if name is None or name not in tools:
        raise _wrong(path, "there is no such tool")
    return name
