"""The OpenAI chat completions dialect: https://platform.openai.com/docs/api-reference/chat, and the SDK's types.

Parsing looks only at what routing and limits need; the body itself travels on as it came. Oddities of servers that
speak this dialect, all borne here: no `usage` (vLLM, SGLang and llama.cpp send it only on request), `usage` in every
chunk (vLLM's `continuous_usage_stats`), `choices: null` (Go servers), `reasoning_content` or `reasoning` beside
`content` (vLLM, SGLang, DeepSeek, Ollama), streams without `[DONE]`, errors as frames of a 200, and answers that the
server broke off but ends as if they were whole (`finish_reason` abort: vllm-project/vllm#57082).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from sampan.core import Call, Dialect, Fault, Incoming, Operation, Usage
from sampan.dialects import Limits, Seen, openai_errors, sse
from sampan.dialects.fields import UNREADABLE, invalid, read_answer, too_large
from sampan.dialects.openai_errors import WireError
from sampan.errors import InvalidRequest, TargetFault

PICTURE_PARTS = frozenset({"image_url", "file", "input_file", "input_image", "video_url"})
AUDIO_PARTS = frozenset({"input_audio", "audio_url"})
BROKEN_OFF = frozenset({"abort", "error"})  # what vLLM and SGLang call an answer that they gave up
_HEAD = 128  # characters of a data URL in which its `data:image/png;base64,` ends


class _Url(msgspec.Struct):
    url: msgspec.Raw


class _Part(msgspec.Struct):
    type: str
    image_url: _Url | str | None = None


class _Turn(msgspec.Struct):
    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: str | list[_Part] | None = None


class _Body(msgspec.Struct):
    model: str
    messages: list[_Turn]
    stream: bool | None = None
    max_completion_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    n: Annotated[int, msgspec.Meta(ge=1)] | None = None


class _Number(msgspec.Struct):
    n: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Said(msgspec.Struct):
    """A delta, or a message: whatever of it is not empty is something for the caller."""

    content: Any = None
    tool_calls: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    function_call: Any = None
    audio: Any = None

    @property
    def something(self) -> bool:
        return bool(
            self.content
            or self.tool_calls
            or self.reasoning_content
            or self.reasoning
            or self.refusal
            or self.function_call
            or self.audio
        )


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Said | None = None
    message: _Said | None = None
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    """A chunk, or a whole completion."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: WireError | str | None = None
    object: str | None = None
    type: Any = None
    code: Any = None

    def fault(self) -> TargetFault | None:
        """The error that stands where an answer should."""
        if self.error is not None:
            return openai_errors.fault(self.error)
        if self.object == "error":
            return openai_errors.fault(WireError(self.type, self.code))
        if self.choices and any(choice.finish_reason in BROKEN_OFF for choice in self.choices):
            return TargetFault(Fault.CUT, "the server broke the answer off")
        return None


_body = msgspec.json.Decoder(_Body)
_number = msgspec.json.Decoder(_Number)
_answer = msgspec.json.Decoder(_Answer)


class OpenAIChat(openai_errors.ErrorCodec):
    """The codec of `POST /v1/chat/completions`."""

    dialect = Dialect.OPENAI_CHAT

    def parse(self, incoming: Incoming, limits: Limits) -> Call:
        try:
            body = _body.decode(incoming.body)
        except UNREADABLE as error:
            raise invalid(error) from None
        if not body.messages:
            raise InvalidRequest("messages: at least one message is required", param="messages")
        if not body.model:
            raise InvalidRequest("model: must name a model", param="model")
        sees = False
        for index, turn in enumerate(body.messages):
            if isinstance(turn.content, list):
                for place, part in enumerate(turn.content):
                    sees |= _inspect(part, f"messages.{index}.content.{place}", limits)
        return Call(
            dialect=self.dialect,
            operation=Operation.VISION if sees else Operation.TEXT,
            model=body.model,
            path=f"{incoming.path}?{incoming.query}" if incoming.query else incoming.path,
            body=incoming.body,
            content_type="application/json",
            stream=bool(body.stream),
            answer_tokens=body.max_completion_tokens or body.max_tokens or 0,
        )


def _inspect(part: _Part, path: str, limits: Limits) -> bool:
    """True where a part is something to look at; raises `InvalidRequest` for sound, and a picture over the limit."""
    if part.type in AUDIO_PARTS:
        raise InvalidRequest(f"{path}: sound is not understood here yet; send its text", param=path)
    if part.type not in PICTURE_PARTS:
        return False
    if part.type == "image_url":
        path = f"{path}.image_url"
        if part.image_url is None:
            raise InvalidRequest(f"{path}: Field required", param=path)
        if isinstance(part.image_url, str):
            _weigh(part.image_url[:_HEAD].encode("ascii", "replace"), len(part.image_url), path, limits)
        else:
            # Looked at where it lies: to decode megabytes here would stop every call.
            view = memoryview(part.image_url.url)
            if not view or view[0] != ord('"'):
                raise InvalidRequest(f"{path}.url: Expected `str`", param=f"{path}.url")
            _weigh(bytes(view[1 : _HEAD + 1]), len(view) - 2, f"{path}.url", limits)
    return True


def _weigh(beginning: bytes, length: int, path: str, limits: Limits) -> None:
    """The size of a data URL's picture against the limit; a client that escapes each slash makes it look larger."""
    if beginning[:5].lower() != b"data:" and b"\\" not in beginning[:5]:  # an escape there can only be meant to hide it
        return
    size = (length - beginning.find(b",") - 1) * 3 // 4
    if size > limits.image:
        raise too_large(path, size, limits.image)


def check(body: bytes) -> Usage:
    """The usage of a whole completion. Raises `TargetFault` for what is none, and for one that says nothing."""
    answer = read_answer(body, _answer.decode, "completion")
    fault = answer.fault()
    if fault is not None:
        raise fault
    if answer.choices is None:
        raise TargetFault(Fault.MALFORMED, "a 200 that is no completion")
    if not answer.choices:
        raise TargetFault(Fault.EMPTY, "a completion without a choice")
    if any(choice.message is None for choice in answer.choices):
        raise TargetFault(Fault.MALFORMED, "a choice without a message")
    if not any(choice.finish_reason or (choice.message and choice.message.something) for choice in answer.choices):
        raise TargetFault(Fault.EMPTY, "a completion that says nothing")
    return _merged(answer.usage, Usage())


def _merged(usage: _Usage | None, before: Usage) -> Usage:
    if usage is None:
        return before
    return Usage(usage.prompt_tokens or before.input_tokens, usage.completion_tokens or before.output_tokens)


def watch(call: Call) -> ChatWatch:
    """Follows the stream that answers `call`, all of the choices that it asks for."""
    return ChatWatch(_number.decode(call.body).n or 1)


class ChatWatch:
    """Follows a chat stream: success is `[DONE]`, or an end after each of `choices` choices had its `finish_reason`.

    Where the caller did not ask for usage (`stream_options.include_usage`) none comes: then the chunks that said
    something are counted as output tokens, which is what most servers put into a chunk, and input is 0.
    """

    def __init__(self, choices: int = 1) -> None:
        self._choices = choices
        self._ended: set[int] = set()
        self._usage: Usage | None = None
        self._chunks = 0
        self._begun = False
        self._done = False

    @property
    def finished(self) -> bool:
        return self._done or len(self._ended) >= self._choices

    def feed(self, frames: bytes) -> Seen:
        content = False
        for data in sse.payloads(frames):
            if self._done:
                break
            if data.strip() == b"[DONE]":
                if not self._begun:
                    raise TargetFault(Fault.EMPTY, "a stream without a choice")
                self._done = True
                break
            content |= self._look(data)
        return Seen(content, self._done, self._usage or Usage(output_tokens=self._chunks))

    def _look(self, data: bytes) -> bool:
        """True where a chunk says something."""
        try:
            chunk = _answer.decode(data)
        except UNREADABLE:
            raise TargetFault(Fault.MALFORMED, "a stream frame that is no chunk") from None
        fault = chunk.fault()
        if fault is not None:
            raise fault
        if chunk.usage is not None:
            self._usage = _merged(chunk.usage, self._usage or Usage())
        content = False
        for choice in chunk.choices or ():
            self._begun = True
            if choice.delta is not None and choice.delta.something:
                content = True
            if choice.finish_reason:
                self._ended.add(choice.index)
        self._chunks += content
        return content
