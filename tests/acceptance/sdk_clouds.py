"""A stage: fake servers that play what a test has written, in whichever dialect they are asked.

A test gives a script a name and asks for the model `claude-chat-NAME`: the route picks the upstream by the beginning,
the stage picks the script by the end, and what it heard is found by the same name. A `Play` is written once and is told
as a Message or as a chat completion, whole or streamed, so that one test can ask each kind of upstream the same.

    stage.plays("weather", Play(ToolCall("weather", {"city": "Oslo"})), Play(Text("Rain.")))
    client.messages.create(model=model("chat", "weather"), …)
    stage.heard("weather")[0].json["tools"]

The last script of a name is played again and again. Paths that are not talk behave as in `clouds`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from behaviours import frame
from cells import Exchange, Gate
from clouds import Cloud
from gateway import route, upstream

COUNTED = 321  # what the fake cloud counts
SEAL = "EqQBCkYIBxgCKkCcloud"  # how the fake cloud signs what it thought
EVERYTHING = '"text", "vision"'
# Beginning of a model's name → the upstreams it is answered by, best first.
TARGETS: Mapping[str, tuple[str, ...]] = {
    "cloud": ("claude",),  # Anthropic
    "near": ("near",),  # a server of one's own that speaks Messages
    "chat": ("vllm",),  # a server of one's own that speaks chat
    "openai": ("openai",),  # OpenAI
    "over": ("claude", "vllm"),  # the cloud, and one's own behind it
    "away": ("openai", "near"),
}
# What each fake server says that it has, to the gateway's probe.
LISTED: Mapping[str, tuple[str, ...]] = {
    server: tuple(f"{family}-{beginning}-listed-{number}" for family in ("claude", "gpt") for number in (1, 2, 3))
    for beginning, (server, *_) in TARGETS.items()
    if beginning not in ("over", "away")
}


def model(target: str, script: str, family: str = "claude") -> str:
    return f"{family}-{target}-{script}"


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Thought:
    text: str
    signature: str = SEAL


@dataclass(frozen=True)
class ToolCall:
    name: str
    input: Mapping[str, Any]
    id: str = "toolu_1"


@dataclass(frozen=True)
class Bill:
    """`fresh` input tokens were not in a cache, `cached` were."""

    fresh: int = 25
    output: int = 15
    cached: int = 10


Piece = Text | Thought | ToolCall


@dataclass(frozen=True, init=False)
class Play:
    """An answer: pieces in their order, why it ends (Anthropic's word for it), and what it costs."""

    pieces: Sequence[Piece]
    stop: str
    sequence: str | None
    bill: Bill

    def __init__(self, *pieces: Piece, stop: str = "", sequence: str | None = None, bill: Bill | None = None) -> None:
        calls = any(isinstance(piece, ToolCall) for piece in pieces)
        object.__setattr__(self, "pieces", pieces)
        object.__setattr__(self, "stop", stop or ("tool_use" if calls else "end_turn"))
        object.__setattr__(self, "sequence", sequence)
        object.__setattr__(self, "bill", bill or Bill())


@dataclass(frozen=True)
class Says:
    """An answer to the byte: a whole body, or the frames of a stream as they are written one after the other."""

    body: bytes = b""
    frames: Sequence[bytes] = ()


@dataclass(frozen=True)
class Fails:
    """An error; `after` frames of `play` where it comes in the middle of a stream.

    Where it `waits`, it comes when the test lets it (`Stage.let`), having seen what came before.
    """

    status: int
    kind: str = "api_error"
    message: str = "something went wrong"
    headers: Mapping[str, str] = field(default_factory=dict)
    play: Play | None = None
    after: int = 0
    waits: bool = False
    details: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Held:
    """An answer that does not begin before the test lets it."""

    play: Play


Script = Play | Says | Fails | Held


@dataclass(frozen=True)
class Heard:
    """A request as it came to the stage."""

    upstream: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Stage(Cloud):
    """`with Stage() as stage:`; each cell (`stage.url("vllm")`) is a server of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._scripts: dict[str, list[Script]] = {}
        self._heard: dict[str, list[Heard]] = {}
        self._shown: dict[str, tuple[bytes, str]] = {}
        self._fetched: list[str] = []
        self._numbers = itertools.count(1)
        self._gates: dict[str, Gate] = {}

    def plays(self, name: str, *scripts: Script) -> str:
        """What `name` plays from now on; what was heard under it is forgotten."""
        self._gates[name] = Gate(self._loop)
        self._scripts[name] = list(scripts)
        self._heard[name] = []
        return name

    def new(self, *scripts: Script) -> str:
        """The same under a name that nobody else has."""
        return self.plays(f"s{next(self._numbers)}", *scripts)

    def let(self, name: str) -> None:
        """Lets what waits under `name` go on, now and from now on."""
        self._gates[name].set()

    def heard(self, name: str) -> list[Heard]:
        return self._heard[name]

    def shows(self, name: str, data: bytes, kind: str) -> str:
        """The URL under which `data` can be fetched."""
        self._shown[name] = data, kind
        return f"{self.url('shown')}/{name}"

    @property
    def fetched(self) -> list[str]:
        """The names that were really fetched."""
        return self._fetched

    async def _behave(self, exchange: Exchange) -> None:
        path = exchange.path.split("?")[0]
        if exchange.cell.name == "shown":
            self._fetched.append(path.removeprefix("/"))
            data, kind = self._shown[path.removeprefix("/")]
            await exchange.reply(200, data, kind)
        elif exchange.method == "POST" and path in ("/v1/messages", "/v1/messages/count_tokens"):
            await self._act(exchange, _messages, _messages_frames)
        elif exchange.method == "POST" and path == "/v1/chat/completions":
            await self._act(exchange, _completion, _chunks)
        elif exchange.method == "GET" and path == "/v1/models":
            listed = [{"id": name, "type": "model"} for name in LISTED.get(exchange.cell.name, ())]
            await exchange.reply(200, {"data": listed, "has_more": False})
        else:
            await super()._behave(exchange)

    async def _act(self, exchange: Exchange, whole: Any, frames: Any) -> None:
        asked = json.loads(exchange.body)
        name = asked["model"].split("-", 2)[-1]
        cell = exchange.cell
        heard = self._heard.setdefault(name, [])
        heard.append(Heard(cell.name, exchange.path, cell.heads[-1], exchange.body))
        scripts = self._scripts.get(name)
        if not scripts:
            await _fail(exchange, Fails(400, "invalid_request_error", f"no script is named {name!r}"))
            return
        if "/count_tokens" in exchange.path:
            await exchange.reply(200, {"input_tokens": COUNTED})
            return
        script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        if isinstance(script, Held):
            await self._gates[name].wait()
            script = script.play
        if isinstance(script, Fails) and script.play is None:
            await _fail(exchange, script)
        elif not exchange.stream:
            body = script.body if isinstance(script, Says) else whole(script, asked)
            await exchange.reply(200, body, **LIMITS)
        else:
            head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in LIMITS.items())
            kind = "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
            await exchange.send(f"HTTP/1.1 200 OK\r\n{kind}{head}\r\n".encode())
            for piece in _stream(script, asked, frames):
                if piece is None:
                    await self._gates[name].wait()
                else:
                    await exchange.piece(piece)
            await exchange.end_stream()


LIMITS = {
    "anthropic_ratelimit_requests_limit": "50",
    "anthropic_ratelimit_requests_remaining": "41",
    "anthropic_ratelimit_requests_reset": "2026-11-22T08:00:00Z",
    "request_id": "req_of_the_fake_server",
}


def _stream(script: Play | Says | Fails, asked: Mapping[str, Any], frames: Any) -> Iterator[bytes | None]:
    """The frames; None where the stream waits for its gate."""
    if isinstance(script, Says):
        yield from script.frames
    elif isinstance(script, Play):
        yield from frames(script, asked)
    else:
        assert script.play is not None
        yield from itertools.islice(frames(script.play, asked), script.after)
        if script.waits:
            yield None
        error = {"type": script.kind, "message": script.message}
        if frames is _chunks:
            yield f"data: {json.dumps({'error': error | {'code': script.status}})}\n\n".encode()
        else:
            yield frame("error", {"type": "error", "error": error})


async def _fail(exchange: Exchange, script: Fails) -> None:
    error: dict[str, Any] = {"type": script.kind, "message": script.message}
    if exchange.path.startswith("/v1/chat"):
        body: dict[str, Any] = {"error": error | {"param": None, "code": script.status}}
    else:
        if script.details is not None:
            error["details"] = script.details
        body = {"type": "error", "error": error, "request_id": "req_of_the_fake_server"}
    await exchange.reply(script.status, body, **{name.replace("-", "_"): each for name, each in script.headers.items()})


def words(text: str | None) -> list[str]:
    """A text as it is streamed: word by word, each blank with the word before it."""
    parts = text.split(" ") if text else []
    return [f"{part} " for part in parts[:-1]] + parts[-1:]


# As Anthropic tells it.


def _usage(bill: Bill, output: int) -> dict[str, Any]:
    return {
        "input_tokens": bill.fresh,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": bill.cached,
        "output_tokens": output,
        "service_tier": "standard",
    }


def _block(piece: Piece) -> dict[str, Any]:
    if isinstance(piece, Text):
        return {"type": "text", "text": piece.text}
    if isinstance(piece, Thought):
        return {"type": "thinking", "thinking": piece.text, "signature": piece.signature}
    return {"type": "tool_use", "id": piece.id, "name": piece.name, "input": dict(piece.input)}


def _messages(play: Play, asked: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": "msg_of_the_cloud",
        "type": "message",
        "role": "assistant",
        "model": asked["model"],
        "content": [_block(piece) for piece in play.pieces],
        "stop_reason": play.stop,
        "stop_sequence": play.sequence,
        "usage": _usage(play.bill, play.bill.output),
    }


def _messages_frames(play: Play, asked: Mapping[str, Any]) -> Iterator[bytes]:
    start = _messages(play, asked) | {"content": [], "stop_reason": None, "stop_sequence": None}
    start["usage"] = _usage(play.bill, 1)
    yield frame("message_start", {"type": "message_start", "message": start})
    yield frame("ping", {"type": "ping"})
    for index, piece in enumerate(play.pieces):
        block = _block(piece) | _EMPTY[type(piece)]
        yield frame("content_block_start", {"type": "content_block_start", "index": index, "content_block": block})
        for delta in _deltas(piece):
            yield frame("content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta})
        yield frame("content_block_stop", {"type": "content_block_stop", "index": index})
    end = {"stop_reason": play.stop, "stop_sequence": play.sequence}
    yield frame("message_delta", {"type": "message_delta", "delta": end, "usage": {"output_tokens": play.bill.output}})
    yield frame("message_stop", {"type": "message_stop"})


_EMPTY: Mapping[type, dict[str, Any]] = {
    Text: {"text": ""},
    Thought: {"thinking": "", "signature": ""},
    ToolCall: {"input": {}},
}


def _deltas(piece: Piece) -> Iterator[dict[str, Any]]:
    if isinstance(piece, Text):
        yield from ({"type": "text_delta", "text": word} for word in words(piece.text))
    elif isinstance(piece, Thought):
        yield from ({"type": "thinking_delta", "thinking": word} for word in words(piece.text))
        yield {"type": "signature_delta", "signature": piece.signature}
    else:
        yield {"type": "input_json_delta", "partial_json": ""}
        text = json.dumps(dict(piece.input), ensure_ascii=False)
        for part in (text[: len(text) // 2], text[len(text) // 2 :]):
            yield {"type": "input_json_delta", "partial_json": part}


# As a chat server tells it: OpenAI's shape with what vLLM adds to it.

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def _chat_usage(bill: Bill) -> dict[str, Any]:
    prompt = bill.fresh + bill.cached
    return {
        "prompt_tokens": prompt,
        "completion_tokens": bill.output,
        "total_tokens": prompt + bill.output,
        "prompt_tokens_details": {"cached_tokens": bill.cached},
    }


def _joined(play: Play, kind: type[Text] | type[Thought]) -> str | None:
    return "".join(piece.text for piece in play.pieces if isinstance(piece, kind)) or None


def _calls(play: Play) -> list[dict[str, Any]]:
    called = [piece for piece in play.pieces if isinstance(piece, ToolCall)]
    return [
        {"id": each.id, "type": "function", "function": {"name": each.name, "arguments": json.dumps(dict(each.input))}}
        for each in called
    ]


def _completion(play: Play, asked: Mapping[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": _joined(play, Text), "refusal": None}
    if calls := _calls(play):
        message["tool_calls"] = calls
    if thought := _joined(play, Thought):
        message["reasoning_content"] = thought
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": FINISH[play.stop]}
    return {
        "id": "chatcmpl-of-the-server",
        "object": "chat.completion",
        "created": 1,
        "model": asked["model"],
        "choices": [choice | {"stop_reason": play.sequence}],
        "usage": _chat_usage(play.bill),
    }


def _chunks(play: Play, asked: Mapping[str, Any]) -> Iterator[bytes]:
    head = {"id": "chatcmpl-of-the-server", "object": "chat.completion.chunk", "created": 1, "model": asked["model"]}
    wanted = asked.get("stream_options") or {}
    # vLLM counts in each chunk where it is asked to, but tells only at the end what was cached.
    early = {name: count for name, count in _chat_usage(play.bill).items() if name != "prompt_tokens_details"}
    each = {"usage": early} if wanted.get("continuous_usage_stats") else {}

    def chunk(delta: dict[str, Any], **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None} | more
        return frame(None, head | {"choices": [choice]} | each)

    yield chunk({"role": "assistant", "content": ""})
    for word in words(_joined(play, Thought)):
        yield chunk({"reasoning_content": word})
    for word in words(_joined(play, Text)):
        yield chunk({"content": word})
    for index, call in enumerate(_calls(play)):
        arguments = call["function"]["arguments"]
        begun = call | {"index": index, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield chunk({"tool_calls": [begun]})
        for part in (arguments[: len(arguments) // 2], arguments[len(arguments) // 2 :]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
    yield chunk({}, finish_reason=FINISH[play.stop], stop_reason=play.sequence)
    if wanted.get("include_usage"):
        yield frame(None, head | {"choices": [], "usage": _chat_usage(play.bill)})
    yield b"data: [DONE]\n\n"


# The gateway in front of it.


def sdk_config(stage: Stage) -> str:
    """All that both SDKs ask for: talk of every kind behind `claude-*` and `gpt-*`, pictures, and the reader."""
    patient = (
        "[breaker]\nfailures = 100000\n[probes]\ninterval = 3600\n"  # a test of errors is not to close the next's door
    )
    secret = 'api_key = "sk-of-the-cloud"\n'
    config = patient + f'[media]\nfetch_allow = ["127.0.0.1:{stage.port}"]\n[engines.reader]\nkind = "reader"\n'
    config += upstream("claude", stage.url("claude"), "anthropic", more=secret)
    config += upstream("near", stage.url("near"), "anthropic", location="local")
    config += upstream("vllm", f"{stage.url('vllm')}/v1", "openai-chat", location="local", more='server = "vllm"\n')
    config += upstream("openai", f"{stage.url('openai')}/v1", "openai-chat", more=f'server = "openai"\n{secret}')
    config += upstream("draw", f"{stage.url('draw')}/v1", "openai-images", more=secret)
    config += route("gpt-image*", '"generate", "edit"', "draw")
    for family in ("claude", "gpt"):
        config += route(f"{family}-reader", EVERYTHING, "reader")
        for beginning, targets in TARGETS.items():
            config += route(model(beginning, "*", family), EVERYTHING, *targets)
    return config
