"""The content blocks of a Messages request, as far as a chat server can be told of them.

A block that is not here is refused by name: `messages.0.content.2.type: Invalid value '…'`. Members of a block that
are not here (`cache_control`, `caller`, …) do not change what the block says.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Raw = msgspec.Raw  # `Raw()`, which is empty, stands for what is not there: msgspec knows no optional Raw


class _Tagged(msgspec.Struct, tag_field="type"):
    """A block knows its kind by `type`."""


class Base64(_Tagged, tag="base64"):
    media_type: str
    data: str


class Link(_Tagged, tag="url"):
    url: str


class Kept(_Tagged, tag="file"):
    file_id: str


class Plain(_Tagged, tag="text"):
    data: str


class Citations(msgspec.Struct):
    enabled: bool | None = None


class Text(_Tagged, tag="text"):
    text: str


class Image(_Tagged, tag="image"):
    source: Base64 | Link | Kept


class Content(_Tagged, tag="content"):
    content: str | list[Text | Image]


class Document(_Tagged, tag="document"):
    source: Base64 | Link | Kept | Plain | Content
    title: str | None = None
    context: str | None = None
    citations: Citations | None = None


class SearchResult(_Tagged, tag="search_result"):
    source: str
    title: str
    content: list[Text]
    citations: Citations | None = None


class Thinking(_Tagged, tag="thinking"):
    """Left out of what is sent: its signature is another house's."""


class RedactedThinking(_Tagged, tag="redacted_thinking"):
    """Left out of what is sent: nobody but its maker can read it."""


class ToolUse(_Tagged, tag="tool_use"):
    id: str
    name: str
    input: Raw


class ToolResult(_Tagged, tag="tool_result"):
    tool_use_id: str
    content: str | list[Text | Image | Document | SearchResult] | None = None
    is_error: bool | None = None


class LateSystem(_Tagged, tag="mid_conv_system"):
    content: str | list[Text]


Block = Text | Image | Document | SearchResult | Thinking | RedactedThinking | ToolUse | ToolResult | LateSystem


class Turn(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class ToolChoice(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Tool(msgspec.Struct):
    name: str = ""
    type: str | None = None
    description: str | None = None
    input_schema: Raw = Raw()
    input_examples: list[Raw] | None = None
    strict: bool | None = None
    allowed_callers: list[str] | None = None


class OutputFormat(msgspec.Struct):
    type: str
    schema: Raw = Raw()


class OutputConfig(msgspec.Struct):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None


class ThinkingConfig(msgspec.Struct):
    type: Literal["enabled", "adaptive", "between_tools", "disabled"]
    budget_tokens: int | None = None


class Metadata(msgspec.Struct):
    user_id: str | None = None


class Body(msgspec.Struct):
    """A Messages request: what is translated, and `None` for what is not there."""

    model: str
    max_tokens: int
    messages: list[Turn]
    system: str | list[Text] | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    metadata: Metadata | None = None
    container: Raw = Raw()
    mcp_servers: list[Raw] | None = None
    inference_geo: str | None = None
