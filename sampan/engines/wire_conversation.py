"""The Messages wire in front of a converser: a body becomes a conversation. Pure. (Its answer: `wire_answer`.)

    Messages                                   conversation
    system, leading system turns               the first turn, of role system
    system turns later on, mid_conv_system     turns of role system where they stood
    turns of one role in a row                 one turn
    text, image (base64), document, search_result  words, sights, papers; titles and contexts stand in tags around
    tool_use, tool_result                      calls and their outcomes; each call needs its outcome in the next turn
    thinking                                   a thought; redacted_thinking is nobody's here and goes
    a last turn of the assistant's             to be gone on with (prefill)
    tools, tool_choice                         tools (none with `none`) and how they are to be called
    thinking, temperature, top_p, top_k, stop_sequences, output_config.format, metadata.user_id

Refused with the path of the field: links and kept files (the gateway fetches them), citations, tools that run at
Anthropic, containers, MCP servers. Left out, for they do not change the answer: cache_control, effort, service_tier,
context_management and members that nobody knows. Ours beyond the wire: `sampan` with `grounding`, `annotate`, `seed`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec

from sampan.dialects.fields import UNREADABLE, invalid
from sampan.dialects.translation import claude_blocks as claude
from sampan.engines.conversation import (
    Call,
    Choice,
    Conversation,
    Format,
    Outcome,
    Paper,
    Part,
    Seen,
    Sight,
    Style,
    Thinking,
    Thought,
    Tool,
    Turn,
    Words,
)
from sampan.errors import InvalidRequest

STOPS = 64  # stop sequences
STOP_CHARACTERS = 1024
TOOLS = 256
_IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_NOTHING = (b"", b"null")
T = TypeVar("T")
Shown: TypeAlias = claude.Text | claude.Image | claude.Document | claude.SearchResult


class _Thinking(msgspec.Struct, tag_field="type", tag="thinking"):
    """Unlike the chat servers' this one is read: templates know what to do with it."""

    thinking: str = ""


_Block: TypeAlias = (
    claude.Text
    | claude.Image
    | claude.Document
    | claude.SearchResult
    | _Thinking
    | claude.RedactedThinking
    | claude.ToolUse
    | claude.ToolResult
    | claude.LateSystem
)


class _Turn(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[_Block]


class _Thought(msgspec.Struct):
    type: Literal["enabled", "adaptive", "between_tools", "disabled"]
    budget_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    display: Literal["summarized", "omitted", "full"] | None = None


class _Ours(msgspec.Struct, forbid_unknown_fields=True):
    grounding: bool = False
    annotate: bool = False
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None


class _Count(msgspec.Struct):
    model: Annotated[str, msgspec.Meta(min_length=1)]
    messages: Annotated[list[_Turn], msgspec.Meta(min_length=1, max_length=100_000)]
    system: str | list[claude.Text] | None = None
    tools: Annotated[list[claude.Tool], msgspec.Meta(max_length=TOOLS)] | None = None
    tool_choice: claude.ToolChoice | None = None
    thinking: _Thought | None = None
    output_config: claude.OutputConfig | None = None
    output_format: claude.OutputFormat | None = None
    container: msgspec.Raw = msgspec.Raw()
    mcp_servers: list[msgspec.Raw] | None = None
    sampan: _Ours | None = None


class _Ask(_Count, kw_only=True):
    max_tokens: Annotated[int, msgspec.Meta(ge=0)]
    stream: bool | None = None
    stop_sequences: Annotated[list[str], msgspec.Meta(max_length=STOPS)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    top_k: Annotated[int, msgspec.Meta(ge=0)] | None = None
    metadata: claude.Metadata | None = None


def parse(body: bytes, peer: str = "") -> Conversation:
    """A Messages body; `peer` owns it where no `metadata.user_id` says whose it is. Raises `InvalidRequest`."""
    ask = _decode(body, _Ask)
    if ask.thinking is not None and (ask.thinking.budget_tokens or 0) >= ask.max_tokens > 0:
        raise _refusal("thinking.budget_tokens", f"must be less than max_tokens, which is {ask.max_tokens}")
    ours = ask.sampan or _Ours()
    return replace(
        _conversation(ask),
        max_tokens=ask.max_tokens,
        stream=bool(ask.stream),
        stops=_stops(ask.stop_sequences or ()),
        style=Style(ask.temperature, ask.top_p, ask.top_k, ours.seed),
        owner=(ask.metadata.user_id if ask.metadata else None) or peer,
        grounding=ours.grounding or ours.annotate,
        annotate=ours.annotate,
    )


def parse_count(body: bytes) -> Conversation:
    """A count_tokens body. Raises `InvalidRequest`."""
    return _conversation(_decode(body, _Count))


def _decode(body: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except UNREADABLE as error:
        raise invalid(error) from None


def _refusal(path: str, words: str) -> InvalidRequest:
    return InvalidRequest(f"{path}: {words}", param=path)


def _conversation(ask: _Count) -> Conversation:
    if bytes(ask.container) not in _NOTHING:
        raise _refusal("container", "this engine has no containers")
    if ask.mcp_servers:
        raise _refusal("mcp_servers", "this engine calls no MCP servers")
    tools, choice = _tools(ask)
    return Conversation(
        ask.model,
        _Turns(ask).read(),
        tools=tools,
        choice=choice,
        thinking=_thinking(ask.thinking),
        format=_format(ask),
    )


def _stops(given: Sequence[str]) -> Sequence[str]:
    for number, stop in enumerate(given):
        if not stop.strip() or len(stop) > STOP_CHARACTERS:
            words = f"a stop sequence is 1 to {STOP_CHARACTERS} characters, not all white space"
            raise _refusal(f"stop_sequences.{number}", words)
    return tuple(given)


def _thinking(given: _Thought | None) -> Thinking:
    """Nobody who does not ask for thoughts is sent any, as with Anthropic."""
    if given is None or given.type == "disabled":
        return Thinking()
    return Thinking(True, given.budget_tokens, given.display != "omitted")


def _format(ask: _Count) -> Format | None:
    wanted = ask.output_config.format if ask.output_config else None
    path = "output_config.format"
    if wanted is None:
        wanted, path = ask.output_format, "output_format"
    if wanted is None:
        return None
    if wanted.type != "json_schema" or bytes(wanted.schema) in _NOTHING:
        raise _refusal(path, "must be a json_schema with its schema")
    if ask.messages[-1].role == "assistant":
        raise _refusal(f"messages.{len(ask.messages) - 1}", f"an answer that was begun cannot be given {path}")
    if ask.tool_choice is not None and ask.tool_choice.type in ("any", "tool"):
        raise _refusal(path, "cannot be given with a tool_choice that forces a call")
    return Format(_object(wanted.schema, f"{path}.schema"), f"{path}.schema")


def _object(raw: msgspec.Raw, path: str) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except UNREADABLE as error:
        raise invalid(error, path) from None


# Tools.


def _tools(ask: _Count) -> tuple[Sequence[Tool], Choice]:
    tools = tuple(_tool(tool, f"tools.{index}") for index, tool in enumerate(ask.tools or ()))
    names = [tool.name for tool in tools]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise _refusal(f"tools.{index}.name", "tool names must be unique")
    asked = ask.tool_choice
    if asked is None:
        return tools, Choice()
    if asked.type == "none":
        return (), Choice()
    parallel = not asked.disable_parallel_tool_use
    if asked.type == "auto":
        return tools, Choice(parallel=parallel)
    if not tools:
        raise _refusal("tool_choice", "may only be given with tools")
    if ask.messages[-1].role == "assistant":
        raise _refusal("tool_choice", "an answer that was begun cannot be made a tool call")
    if asked.type == "any":
        return tools, Choice(True, "", parallel)
    if asked.name not in names:
        raise _refusal("tool_choice.name", f"no tool is named {(asked.name or '')[:128]!r}")
    return tools, Choice(True, asked.name or "", False)


def _tool(tool: claude.Tool, path: str) -> Tool:
    if tool.type not in (None, "custom"):
        raise _refusal(path, f"this engine has no {tool.type[:40]}; give a tool with an input_schema")
    if not _TOOL_NAME.fullmatch(tool.name):
        raise _refusal(f"{path}.name", "must be 1 to 128 of the characters a-z, A-Z, 0-9, _ and -")
    if not bytes(tool.input_schema):
        raise _refusal(f"{path}.input_schema", "Field required")
    described = tool.description or ""
    if tool.input_examples:
        examples = [dict(_object(each, f"{path}.input_examples.{at}")) for at, each in enumerate(tool.input_examples)]
        told = "\n".join(msgspec.json.encode(each).decode() for each in examples)
        described = f"{described}\nExamples of its input:\n{told}".strip()
    schema = _object(tool.input_schema, f"{path}.input_schema")
    return Tool(tool.name, described, schema, bool(tool.strict), f"{path}.input_schema")


# Turns.


class _Turns:
    """Walks the messages once. `_open` are the calls of the turn before that have no outcome yet."""

    def __init__(self, ask: _Count) -> None:
        self._ask = ask
        self._made: list[tuple[Literal["system", "user", "assistant"], list[Part]]] = []
        self._open: dict[str, str] = {}
        self._ids: set[str] = set()

    def read(self) -> Sequence[Turn]:
        system = self._ask.system
        for text in [system] if isinstance(system, str) else [each.text for each in system or ()]:
            self._add("system", [Words(text)])
        for index, message in enumerate(self._ask.messages):
            path = f"messages.{index}"
            match message.role:
                case "system":
                    self._system(message.content, f"{path}.content")
                case "assistant":
                    self._assistant(message, path)
                case "user":
                    self._user(message, path)
        if self._open:
            raise self._unanswered(f"messages.{len(self._ask.messages) - 1}")
        if all(role == "system" for role, _ in self._made):
            raise _refusal("messages", "at least one user message is needed")
        return tuple(Turn(role, tuple(parts)) for role, parts in self._made)

    def _add(self, role: Literal["system", "user", "assistant"], parts: Sequence[Part]) -> None:
        """Texts of nothing but white space go: templates would say them, and models stumble over them."""
        kept = [part for part in parts if not isinstance(part, Words) or part.text.strip()]
        if not kept:
            return
        if self._made and self._made[-1][0] == role:
            self._made[-1][1].extend(kept)
        else:
            self._made.append((role, kept))

    def _unanswered(self, path: str) -> InvalidRequest:
        named = ", ".join(self._open)[:200]
        return _refusal(path, f"each tool_use needs its tool_result in the next turn; none for {named}")

    def _system(self, content: str | list[_Block] | list[claude.Text], path: str) -> None:
        if self._open:
            raise self._unanswered(path)
        if isinstance(content, str):
            self._add("system", [Words(content)])
            return
        for index, block in enumerate(content):
            if not isinstance(block, claude.Text):
                raise _refusal(f"{path}.{index}", "a system turn holds text only")
            self._add("system", [Words(block.text)])

    def _assistant(self, message: _Turn, path: str) -> None:
        if self._open and self._made[-1][0] != "assistant":
            raise self._unanswered(path)
        last = message is self._ask.messages[-1]
        if isinstance(message.content, str):
            parts: list[Part] = [Words(message.content)]
        else:
            parts = [
                part
                for index, block in enumerate(message.content)
                for part in self._said(block, f"{path}.content.{index}")
            ]
        if last and parts and isinstance(parts[-1], Words) and parts[-1].text != parts[-1].text.rstrip():
            raise _refusal(path, "the answer to be gone on with cannot end with white space")
        self._add("assistant", parts)

    def _said(self, block: _Block, path: str) -> Sequence[Part]:
        match block:
            case claude.Text():
                return [Words(block.text)]
            case _Thinking():
                return [Thought(block.thinking)]
            case claude.RedactedThinking():
                return []
            case claude.ToolUse():
                if block.id in self._ids:
                    raise _refusal(f"{path}.id", "tool_use ids must be unique")
                if not _TOOL_NAME.fullmatch(block.name):
                    raise _refusal(f"{path}.name", "must be 1 to 128 of the characters a-z, A-Z, 0-9, _ and -")
                self._ids.add(block.id)
                self._open[block.id] = path
                given = msgspec.json.encode(_object(block.input, f"{path}.input")).decode()
                return [Call(block.name, given)]
            case _:
                raise _refusal(path, "cannot stand in an assistant's turn")

    def _user(self, message: _Turn, path: str) -> None:
        if isinstance(message.content, str):
            if self._open:
                raise self._unanswered(path)
            if not message.content.strip():
                raise _refusal(f"{path}.content", "a message needs content")
            self._add("user", [Words(message.content)])
            return
        if not message.content:
            raise _refusal(f"{path}.content", "a message needs content")
        for index, block in enumerate(message.content):
            here = f"{path}.content.{index}"
            match block:
                case claude.ToolResult():
                    self._add("user", [self._outcome(block, here)])
                case claude.LateSystem():
                    self._system(block.content, f"{here}.content")
                case claude.Text() | claude.Image() | claude.Document() | claude.SearchResult():
                    self._add("user", _seen(block, here))
                case _:
                    raise _refusal(here, "cannot stand in a user's turn")
        if self._open:
            raise self._unanswered(path)

    def _outcome(self, block: claude.ToolResult, path: str) -> Outcome:
        if self._open.pop(block.tool_use_id, None) is None:
            named = f"no tool_use of the turn before has the id {block.tool_use_id[:128]!r}"
            raise _refusal(f"{path}.tool_use_id", named)
        parts: list[Seen] = [Words("The tool failed:\n")] if block.is_error else []
        if isinstance(block.content, str):
            parts.append(Words(block.content))
        else:
            for index, inner in enumerate(block.content or ()):
                parts += _seen(inner, f"{path}.content.{index}")
        return Outcome(tuple(parts))


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _seen(block: Shown, path: str) -> Sequence[Seen]:
    match block:
        case claude.Text():
            return [Words(block.text)]
        case claude.Image():
            return [_sight(block.source, path)]
        case claude.SearchResult():
            _refuse_citations(block.citations, path)
            text = "\n".join(each.text for each in block.content)
            named = f"source={_quoted(block.source)} title={_quoted(block.title)}"
            return [Words(f"<search_result {named}>\n{text}\n</search_result>\n")]
        case claude.Document():
            return _document(block, path)


def _sight(source: claude.Base64 | claude.Link | claude.Kept, path: str) -> Sight:
    if not isinstance(source, claude.Base64):
        raise _elsewhere(source, "picture", path)
    if source.media_type not in _IMAGE_TYPES:
        raise _refusal(f"{path}.source.media_type", "a picture is image/jpeg, image/png, image/gif or image/webp")
    return Sight(_base64(source, path), path)


def _document(block: claude.Document, path: str) -> Sequence[Seen]:
    _refuse_citations(block.citations, path)
    source = block.source
    inner: list[Seen] = []
    match source:
        case claude.Plain():
            inner.append(Words(source.data))
        case claude.Content():
            if isinstance(source.content, str):
                inner.append(Words(source.content))
            else:
                for index, each in enumerate(source.content):
                    inner += _seen(each, f"{path}.source.content.{index}")
        case claude.Base64():
            if source.media_type != "application/pdf":
                raise _refusal(f"{path}.source.media_type", "a base64 document is application/pdf")
            inner.append(Paper(_base64(source, path), path))
        case _:
            raise _elsewhere(source, "document", path)
    title = f" title={_quoted(block.title)}" if block.title else ""
    context = f"\n<context>{block.context}</context>" if block.context else ""
    return [Words(f"<document{title}>{context}\n"), *inner, Words("\n</document>\n")]


def _elsewhere(source: claude.Link | claude.Kept, what: str, path: str) -> InvalidRequest:
    kind = "url" if isinstance(source, claude.Link) else "file"
    return _refusal(
        f"{path}.source.type",
        f"this engine opens nothing over the network: send the {what} itself as base64, not as {kind}",
    )


def _base64(source: claude.Base64, path: str) -> bytes:
    try:
        data = base64.b64decode(source.data, validate=True)
    except (binascii.Error, ValueError):
        raise _refusal(f"{path}.source.data", "this is not base64") from None
    if not data:
        raise _refusal(f"{path}.source.data", "this is empty")
    return data


def _refuse_citations(citations: claude.Citations | None, path: str) -> None:
    if citations is not None and citations.enabled:
        raise _refusal(f"{path}.citations", "this engine cites no sources; ask without citations")
