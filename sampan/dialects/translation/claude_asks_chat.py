"""A Messages request as a chat/completions request.

    Messages                                      chat/completions
    system (text, blocks), leading system turns   the first message, role system
    role system, mid_conv_system                  a message of role system where it stood (`late_system`)
    text                                          content; runs of one role become one message, as Anthropic reads them
    image base64 / url                            image_url with a data: URL / the link
    document of text or of content, search_result text between tags that carry title and context; its pictures
    tool_use                                      tool_calls of the assistant's message, id and arguments as they are
    tool_result                                   a message of role tool, right after the call; an error is told in
                                                  words, pictures follow in a user message naming the call
    thinking, redacted_thinking                   left out
    trailing assistant turn (prefill)             the same, with `continue_final_message` where the server wants it
    tools, tool_choice                            tools, tool_choice (any → required); disable_parallel_tool_use →
                                                  parallel_tool_calls false; input_examples → told in the description
    max_tokens, stop_sequences                    max_tokens or max_completion_tokens, stop
    temperature, top_p, top_k, metadata.user_id   temperature, top_p, top_k, user
    output_config.format                          response_format json_schema
    thinking, output_config.effort                reasoning_effort, chat_template_kwargs.enable_thinking
    stream                                        stream, stream_options.include_usage (and, where the server has it,
                                                  continuous_usage_stats)

Refused with the path of the field: PDFs and kept files (they are rendered or fetched before), citations, server tools
and their blocks, containers, MCP servers, a promised place of inference, `max_tokens` 0, tool results without a call
and calls without a result. Left out, for they do not change the answer: cache_control, service_tier, speed,
context_management, fallbacks, diagnostics, profile ids. Members of the body that this wire does not know are handed on
as they came, so that a caller can use what a server has beyond it (`seed`, `min_p`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from sampan.dialects.fields import UNREADABLE, invalid
from sampan.dialects.translation import claude_blocks as claude
from sampan.dialects.translation.chat_server import ANY, ChatServer
from sampan.errors import InvalidRequest

LEFT_OUT = frozenset(
    {
        "cache_control",
        "context_management",
        "diagnostics",
        "fallback_credit_token",
        "fallbacks",
        "service_tier",
        "speed",
        "user_profile_id",
        "workspace_id",
    }
)
OURS = frozenset(  # names of the chat wire that are written here, or that change what comes back
    {
        "audio",
        "echo",
        "function_call",
        "functions",
        "logprobs",
        "max_completion_tokens",
        "modalities",
        "n",
        "parallel_tool_calls",
        "reasoning_effort",
        "response_format",
        "stop",
        "stream_options",
        "top_logprobs",
        "user",
    }
)
KNOWN = frozenset(claude.Body.__struct_fields__)
CHOICES = {"auto": "auto", "any": "required", "none": "none"}
BUDGETS = ((4096, "low"), (16384, "medium"))  # tokens of thinking below which an effort is meant

_body = msgspec.json.Decoder(claude.Body)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode

Part = dict[str, Any]


def _refusal(path: str, words: str) -> InvalidRequest:
    return InvalidRequest(f"{path}: {words}", param=path)


def request(body: bytes, model: str | None, server: ChatServer = ANY) -> bytes:
    """The chat request; `model` None asks for the one that the caller named. Raises `InvalidRequest` with the path."""
    try:
        asked = _body.decode(body)
        extra = {name: value for name, value in _members.decode(body).items() if name not in KNOWN}
    except UNREADABLE as error:
        raise invalid(error) from None
    _refuse(asked)
    answer: Part = {"model": model or asked.model, "messages": _Conversation(asked, server).messages()}
    answer |= _sampling(asked, server) | _tools(asked, server) | _reasoning(asked, server) | _format(asked)
    if answer["messages"][-1]["role"] == "assistant":
        if server.prefill == "refuse":
            last = f"messages.{len(asked.messages) - 1}"
            raise _refusal(last, "this model cannot go on from an assistant's turn; end with a user's")
        if server.prefill == "flags":
            answer |= {"continue_final_message": True, "add_generation_prompt": False}
    for name, value in extra.items():
        if name in OURS:
            raise _refusal(name, "Extra inputs are not permitted")
        if name not in LEFT_OUT:
            answer[name] = value
    return _encode(answer)


def _refuse(asked: claude.Body) -> None:
    """Raises for what no chat server can do, whatever stands in the conversation."""
    if asked.max_tokens < 1:
        raise _refusal("max_tokens", "must be 1 or more; this upstream keeps no prompt cache to warm")
    if bytes(asked.container) not in (b"", b"null"):
        raise _refusal("container", "this upstream has no containers")
    if asked.mcp_servers:
        raise _refusal("mcp_servers", "this upstream calls no MCP servers")
    if asked.inference_geo not in (None, "global"):
        raise _refusal("inference_geo", "this upstream promises no place")


def _sampling(asked: claude.Body, server: ChatServer) -> Part:
    """Limits and sampling, and how the answer travels."""
    made: Part = {server.tokens: asked.max_tokens}
    if asked.temperature is not None:
        made["temperature"] = asked.temperature
    if asked.top_p is not None:
        made["top_p"] = asked.top_p
    if asked.top_k is not None:
        if not server.top_k:
            raise _refusal("top_k", "this upstream does not sample with top_k")
        made["top_k"] = asked.top_k
    if asked.stop_sequences:
        if server.stops is not None and len(asked.stop_sequences) > server.stops:
            words = f"this upstream takes {server.stops} at most, not {len(asked.stop_sequences)}"
            raise _refusal("stop_sequences", words)
        made["stop"] = asked.stop_sequences
    if asked.metadata is not None and asked.metadata.user_id:
        made["user"] = asked.metadata.user_id
    if asked.stream:
        made["stream"] = True
        if server.stream_usage:
            early = {"continuous_usage_stats": True} if server.counts_early else {}
            made["stream_options"] = {"include_usage": True} | early
    return made


def _tools(asked: claude.Body, server: ChatServer) -> Part:
    choice = asked.tool_choice
    if not asked.tools:
        if choice is not None and choice.type in ("any", "tool"):
            raise _refusal("tool_choice", "may only be given with tools")
        return {}
    made: Part = {"tools": [_tool(tool, f"tools.{index}") for index, tool in enumerate(asked.tools)]}
    if choice is None:
        return made
    if choice.type == "tool":
        if choice.name not in {tool.name for tool in asked.tools}:
            raise _refusal("tool_choice.name", f"no tool is named {choice.name!r}")
        if server.tool_choice == "named":
            made["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
        else:
            made["tool_choice"] = "required"
            made["tools"] = [tool for tool in made["tools"] if tool["function"]["name"] == choice.name]
    else:
        made["tool_choice"] = CHOICES[choice.type]
    if choice.disable_parallel_tool_use:
        made["parallel_tool_calls"] = False
    return made


def _tool(tool: claude.Tool, path: str) -> Part:
    if tool.type not in (None, "custom"):
        raise _refusal(path, f"this upstream has no {tool.type}; give a tool with an input_schema")
    if tool.allowed_callers is not None and "direct" not in tool.allowed_callers:
        raise _refusal(f"{path}.allowed_callers", "must contain `direct`")
    if not tool.name:
        raise _refusal(f"{path}.name", "Field required")
    if not bytes(tool.input_schema):
        raise _refusal(f"{path}.input_schema", "Field required")
    function: Part = {"name": tool.name}
    described = tool.description or ""
    if tool.input_examples:
        told = [_object_text(each, f"{path}.input_examples.{at}") for at, each in enumerate(tool.input_examples)]
        examples = "\n".join(told)
        described = f"{described}\n\nExamples of its input:\n{examples}".strip()
    if described:
        function["description"] = described
    function["parameters"] = tool.input_schema
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _reasoning(asked: claude.Body, server: ChatServer) -> Part:
    """How much is to be thought: nothing is said where the caller said nothing."""
    made: Part = {}
    thinking = asked.thinking
    effort: str | None = asked.output_config.effort if asked.output_config else None
    off = thinking is not None and thinking.type == "disabled"
    if thinking is not None and thinking.type == "enabled" and effort is None:
        budget = thinking.budget_tokens or 0
        effort = next((name for bound, name in BUDGETS if budget < bound), "high")
    if server.reasoning in ("effort", "both"):
        if off and server.effort_off is not None:
            made["reasoning_effort"] = server.effort_off
        elif effort is not None and not off:
            made["reasoning_effort"] = effort if effort in server.efforts else server.efforts[-1]
    if server.reasoning in ("template", "both") and thinking is not None:
        made["chat_template_kwargs"] = {"enable_thinking": not off}
    return made


def _format(asked: claude.Body) -> Part:
    wanted = asked.output_config.format if asked.output_config else None
    path = "output_config.format"
    if wanted is None:
        wanted, path = asked.output_format, "output_format"
    if wanted is None:
        return {}
    if wanted.type != "json_schema" or not bytes(wanted.schema):
        raise _refusal(path, "must be a json_schema with its schema")
    schema = {"name": "answer", "schema": wanted.schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _text(text: str) -> Part:
    return {"type": "text", "text": text}


def _object_text(raw: msgspec.Raw, path: str) -> str:
    """A JSON object as it was written; msgspec does not look into what it hands on."""
    try:
        text = bytes(raw).decode()
    except UnicodeDecodeError:
        raise _refusal(path, "is not valid UTF-8") from None
    if not text.startswith("{"):
        raise _refusal(path, "must be an object")
    return text


def _quoted(text: str) -> str:
    return _encode(text).decode()


class _Conversation:
    """Walks the turns once; what is being gathered for the next user and assistant message stands in its fields."""

    def __init__(self, asked: claude.Body, server: ChatServer) -> None:
        self._asked = asked
        self._server = server
        self._made: list[Part] = []
        self._parts: list[Part] = []
        self._after_tools: list[Part] = []
        self._said: list[str] = []
        self._calls: list[Part] = []
        self._open: dict[str, str] = {}
        self._opened_at = ""

    def messages(self) -> list[Part]:
        """All messages. Raises `InvalidRequest`."""
        asked = self._asked
        system = [asked.system] if isinstance(asked.system, str) else [each.text for each in asked.system or []]
        turns = list(enumerate(asked.messages))
        while turns and turns[0][1].role == "system":
            index, turn = turns.pop(0)
            system += _system_texts(turn.content, f"messages.{index}.content")
        if any(system):
            self._made.append({"role": "system", "content": "\n\n".join(filter(None, system))})
        for index, turn in turns:
            path = f"messages.{index}"
            if turn.role == "assistant":
                self._flush_user()
                self._assistant(turn, path)
            elif turn.role == "system":
                self._late("\n\n".join(_system_texts(turn.content, f"{path}.content")), path)
            else:
                self._flush_assistant()
                self._user(turn, path)
        self._flush_user()
        self._flush_assistant()
        if self._open:
            raise self._unanswered()
        if all(message["role"] == "system" for message in self._made):
            raise _refusal("messages", "at least one message with content is required")
        return self._made

    def _unanswered(self) -> InvalidRequest:
        named = ", ".join(self._open)
        path = self._opened_at
        return _refusal(path, f"each tool_use needs its tool_result in the next turn; none for {named}")

    def _late(self, text: str, path: str) -> None:
        if self._server.late_system == "user":
            self._flush_assistant()
            self._parts.append(_text(f"<system>\n{text}\n</system>"))
            return
        self._flush_user()
        self._flush_assistant()
        if self._open:
            raise self._unanswered()
        self._made.append({"role": "system", "content": text})

    def _assistant(self, turn: claude.Turn, path: str) -> None:
        if isinstance(turn.content, str):
            self._said.append(turn.content)
            return
        joined = False
        for index, block in enumerate(turn.content):
            here = f"{path}.content.{index}"
            if isinstance(block, claude.Text):
                if joined and self._said:
                    self._said[-1] += block.text
                else:
                    self._said.append(block.text)
                joined = True
                continue
            joined = False
            if isinstance(block, claude.ToolUse):
                call = {"name": block.name, "arguments": _object_text(block.input, f"{here}.input")}
                self._calls.append({"id": block.id, "type": "function", "function": call})
                self._open[block.id] = block.name
                self._opened_at = path
            elif not isinstance(block, claude.Thinking | claude.RedactedThinking):
                raise _refusal(here, "cannot stand in an assistant's turn")

    def _flush_assistant(self) -> None:
        if not self._said and not self._calls:
            return
        text = "\n\n".join(filter(None, self._said))
        message: Part = {"role": "assistant", "content": text or None if self._calls else text}
        if self._calls:
            message["tool_calls"] = self._calls
        if text or self._calls:
            self._made.append(message)
        self._said, self._calls = [], []

    def _user(self, turn: claude.Turn, path: str) -> None:
        if isinstance(turn.content, str):
            self._parts.append(_text(turn.content))
            return
        for index, block in enumerate(turn.content):
            here = f"{path}.content.{index}"
            if isinstance(block, claude.ToolResult):
                self._result(block, here)
            elif isinstance(block, claude.LateSystem):
                self._late("\n\n".join(_system_texts(block.content, here)), path)
            else:
                self._parts += self._seen(block, here)
        if self._open:
            raise self._unanswered()

    def _result(self, block: claude.ToolResult, path: str) -> None:
        """A tool's answer stands right behind its call, so its pictures have to come after all answers."""
        name = self._open.pop(block.tool_use_id, None)
        if name is None:
            raise _refusal(f"{path}.tool_use_id", f"no tool_use of the turn before has the id {block.tool_use_id!r}")
        parts: list[Part] = []
        if isinstance(block.content, str):
            parts.append(_text(block.content))
        for index, inner in enumerate(block.content or () if not isinstance(block.content, str) else ()):
            parts += self._seen(inner, f"{path}.content.{index}")
        texts = [part["text"] for part in parts if part["type"] == "text"]
        pictures = [part for part in parts if part["type"] != "text"]
        if block.is_error:
            texts.insert(0, "The tool failed:")
        if pictures:
            counted = "1 picture" if len(pictures) == 1 else f"{len(pictures)} pictures"
            texts.append(f"({counted} of this result: see the next user message)")
            self._after_tools += [_text(f"The result of the tool call {block.tool_use_id} ({name}):"), *pictures]
        self._made.append({"role": "tool", "tool_call_id": block.tool_use_id, "content": "\n\n".join(texts)})

    def _flush_user(self) -> None:
        parts = self._after_tools + self._parts
        self._parts, self._after_tools = [], []
        if not parts:
            return
        content: str | list[Part] = parts
        if all(part["type"] == "text" for part in parts):  # a string is what every server takes
            content = "\n\n".join(part["text"] for part in parts)
        self._made.append({"role": "user", "content": content})

    def _seen(self, block: claude.Block, path: str) -> list[Part]:
        """A block of a user's turn or of a tool's answer, as parts of a message."""
        if isinstance(block, claude.Text):
            return [_text(block.text)]
        if isinstance(block, claude.Image):
            return [self._image(block, path)]
        if isinstance(block, claude.Document):
            return self._document(block, path)
        if isinstance(block, claude.SearchResult):
            _refuse_citations(block.citations, path)
            text = "\n".join(each.text for each in block.content)
            named = f"source={_quoted(block.source)} title={_quoted(block.title)}"
            return [_text(f"<search_result {named}>\n{text}\n</search_result>")]
        raise _refusal(path, "cannot stand in a user's turn")

    def _image(self, block: claude.Image, path: str) -> Part:
        source = block.source
        if isinstance(source, claude.Base64):
            url = f"data:{source.media_type};base64,{source.data}"
        elif isinstance(source, claude.Link):
            if not self._server.picture_links:
                raise _refusal(f"{path}.source", "this upstream fetches no links; send the picture itself")
            url = source.url
        else:
            raise _refusal(f"{path}.source", "this upstream keeps no files; send the picture itself")
        image: Part = {"url": url}
        if self._server.detail is not None:
            image["detail"] = self._server.detail
        return {"type": "image_url", "image_url": image}

    def _document(self, block: claude.Document, path: str) -> list[Part]:
        _refuse_citations(block.citations, path)
        source = block.source
        inner: list[Part] = []
        if isinstance(source, claude.Plain):
            inner.append(_text(source.data))
        elif isinstance(source, claude.Content):
            if isinstance(source.content, str):
                inner.append(_text(source.content))
            else:
                for index, each in enumerate(source.content):
                    inner += self._seen(each, f"{path}.source.content.{index}")
        else:
            raise _refusal(path, "this upstream reads no such document; send its text or its pages")
        title = f" title={_quoted(block.title)}" if block.title else ""
        context = f"\n<context>{block.context}</context>" if block.context else ""
        head, foot = f"<document{title}>{context}", "</document>"
        if len(inner) == 1 and inner[0]["type"] == "text":
            return [_text(f"{head}\n{inner[0]['text']}\n{foot}")]
        return [_text(head), *inner, _text(foot)]


def _refuse_citations(citations: claude.Citations | None, path: str) -> None:
    if citations is not None and citations.enabled:
        here = f"{path}.citations"
        raise _refusal(here, "this upstream cites no sources; ask without citations")


def _system_texts(content: str | list[claude.Block] | list[claude.Text], path: str) -> list[str]:
    if isinstance(content, str):
        return [content]
    texts: list[str] = []
    for index, block in enumerate(content):
        if not isinstance(block, claude.Text):
            raise _refusal(f"{path}.{index}", "a system turn holds text only")
        texts.append(block.text)
    return texts
