"""What has to be known of a Messages request to translate its answer: tools, stop sequences, its size."""

from __future__ import annotations

import msgspec

from sampan.dialects.fields import UNREADABLE, invalid

BYTES_PER_TOKEN = 4  # of UTF-8: near enough for English, and for Chinese, where a token is one or two characters
PICTURE_TOKENS = 1000  # about a megapixel in patches of 28 pixels and four to a token, as Qwen-VL counts


class _Block(msgspec.Struct):
    type: str = ""
    text: str = ""
    source: msgspec.Raw = msgspec.Raw()
    content: msgspec.Raw = msgspec.Raw()


class _Turn(msgspec.Struct):
    content: str | list[_Block]
    role: str = "user"

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "".join(block.text for block in self.content if block.type == "text")


class _Tool(msgspec.Struct):
    name: str = ""


class _Body(msgspec.Struct):
    messages: list[_Turn]
    tools: list[_Tool] | None = None
    stop_sequences: list[str] | None = None


class Asked(msgspec.Struct, frozen=True):
    """`input_tokens` is an estimate, for servers that report no usage or only at the end.

    `prefill` is the assistant's turn that the answer goes on with.
    """

    tools: frozenset[str] = frozenset()
    stops: tuple[str, ...] = ()
    input_tokens: int = 1
    prefill: str = ""


_body = msgspec.json.Decoder(_Body)
_blocks = msgspec.json.Decoder(str | list[_Block])


def asked(body: bytes) -> Asked:
    """Reads a Messages request. Raises `InvalidRequest`."""
    try:
        read = _body.decode(body)
        size, pictures = len(body), 0
        for turn in read.messages:
            if not isinstance(turn.content, str):
                weight, seen = _weigh(turn.content)
                size, pictures = size - weight, pictures + seen
    except UNREADABLE as error:
        raise invalid(error) from None
    tokens = tokens_in(size) + pictures * PICTURE_TOKENS
    last = read.messages[-1] if read.messages else None
    prefill = last.text if last is not None and last.role == "assistant" else ""
    tools = frozenset(tool.name for tool in read.tools or ())
    return Asked(tools, tuple(read.stop_sequences or ()), tokens, prefill)


def tokens_in(size: int) -> int:
    """The tokens that `size` bytes of text are likely to be, at least one."""
    return max(1, -(-size // BYTES_PER_TOKEN))


def _weigh(blocks: list[_Block]) -> tuple[int, int]:
    """The bytes that are no text, and how many pictures they are; a tool's answer may hold some too."""
    size = pictures = 0
    for block in blocks:
        if block.type == "image":
            size, pictures = size + memoryview(block.source).nbytes, pictures + 1
        elif block.type == "tool_result" and memoryview(block.content).nbytes:
            inner = _blocks.decode(block.content)
            if not isinstance(inner, str):
                weight, seen = _weigh([each for each in inner if each.type == "image"])
                size, pictures = size + weight, pictures + seen
    return size, pictures
