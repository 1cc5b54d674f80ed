"""Golden probes: which are asked, and in what words a release fails them."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sampan.core import Call, Continuing, Dialect, Event, Fault, Usage
from sampan.errors import ConfigError, InvalidRequest, Rejected, TargetFault
from sampan.releases import golden
from sampan.releases.golden import Probe, built_in, chosen, failure, read

TALK, DRAW, CHAT, EMBED = Dialect.ANTHROPIC, Dialect.OPENAI_IMAGES, Dialect.OPENAI_CHAT, Dialect.OPENAI_EMBEDDINGS
SECRET = "the-answer-itself"
MESSAGES = 'messages = [{ role = "user", content = "Hello?" }]'


class Oracle:
    """Answers everything with the same bytes, or raises."""

    name, continues = "oracle", Continuing.NO

    def __init__(self, said: bytes | Exception) -> None:
        self._said = said
        self.asked: list[tuple[Call, str | None]] = []

    async def fetch(self, call: Call, model: str | None) -> Event:
        self.asked.append((call, model))
        if isinstance(self._said, Exception):
            raise self._said
        return Event(self._said, content=True, usage=Usage())

    def attempt(self, call: Call, model: str | None) -> AsyncGenerator[Event, None]:
        raise AssertionError("a probe does not stream")

    async def probe(self) -> None: ...


def message(*texts: str, **more: Any) -> bytes:
    blocks = [{"type": "text", "text": text} for text in texts]
    return json.dumps({"type": "message", "content": blocks, "stop_reason": "end_turn"} | more).encode()


def picture(width: int, height: int) -> str:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def pictures(*data: str) -> bytes:
    return json.dumps({"created": 1, "data": [{"b64_json": each} for each in data]}).encode()


def write(folder: Path, text: str) -> Path:
    (folder / "golden.toml").write_text(text, encoding="utf-8")
    return folder / "golden.toml"


async def test_a_release_that_says_what_it_must_passes() -> None:
    oracle = Oracle(message("The total is 1,280.00 EUR, ", "ja."))
    probe = Probe("total", {"max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}, ("1,280.00", "JA"))
    assert await failure(oracle, TALK, "qwen", [probe, probe]) == ""
    assert len(oracle.asked) == 2
    call, model = oracle.asked[0]
    assert (call.model, model, call.stream, call.path) == ("qwen", "qwen", False, "/v1/messages")
    assert json.loads(call.body)["messages"] == [{"role": "user", "content": "?"}]


@pytest.mark.parametrize("dialect", [TALK, CHAT])
async def test_the_built_in_ones_for_talk(dialect: Dialect) -> None:
    oracle = Oracle(message("hello"))
    assert await failure(oracle, dialect, None, built_in(dialect, sees=True)) == ""
    assert [call.operation.value for call, _ in oracle.asked] == ["text", "vision"]
    assert {(call.dialect, model) for call, model in oracle.asked} == {(TALK, None)}


async def test_the_built_in_ones_for_pictures_and_vectors() -> None:
    assert await failure(Oracle(pictures(picture(256, 256))), DRAW, None, built_in(DRAW)) == ""
    assert await failure(Oracle(b'{"data": [{"embedding": [1]}]}'), EMBED, None, built_in(EMBED)) == ""


@pytest.mark.parametrize(
    ("dialect", "said", "why"),
    [
        (TALK, TargetFault(Fault.SERVER_ERROR, "status 500"), "server_error: status 500"),
        (TALK, Rejected(400, SECRET.encode(), {}), "it was refused with 400"),
        (TALK, InvalidRequest("messages.0: too large"), "messages.0: too large"),
        (TALK, SECRET.encode(), "its answer cannot be read"),
        (TALK, json.dumps({"content": SECRET}).encode(), "its answer cannot be read"),
        (TALK, message(), "it said nothing"),
        (DRAW, pictures(), "it drew nothing"),
        (DRAW, pictures(picture(64, 256)), "it drew 64x256"),
        (DRAW, pictures(base64.b64encode(SECRET.encode()).decode()), "its picture cannot be opened"),
        (DRAW, pictures(SECRET + "!"), "its picture cannot be opened"),
        (DRAW, pictures(picture(256, 256)[:60]), "its picture cannot be opened"),
        (EMBED, SECRET.encode(), "its answer lacks 'embedding'"),
        (EMBED, b"\xff" + SECRET.encode(), "its answer cannot be read"),
    ],
)
async def test_each_failure_is_said_in_words_without_the_answer(
    dialect: Dialect, said: bytes | Exception, why: str
) -> None:
    words = await failure(Oracle(said), dialect, None, built_in(dialect))
    assert words.startswith("golden probe '")
    assert words.endswith(f"': {why}")
    assert SECRET not in words


async def test_what_lacks_is_named_by_the_probe() -> None:
    probe = Probe("total", {"max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}, ("yes", "no", "maybe"))
    words = await failure(Oracle(message(f"no {SECRET}")), TALK, None, [probe])
    assert words == "golden probe 'total': its answer lacks 'yes', 'maybe'"


async def test_one_that_only_thought_until_its_limit_has_answered() -> None:
    assert await failure(Oracle(message(stop_reason="max_tokens")), CHAT, None, built_in(CHAT)) == ""


def test_a_file_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f'[[probes]]\nname = "你好"\nask = {{ max_tokens = 9, {MESSAGES} }}\ncontains = ["好"]\n'
        '[[probes]]\nname = "draws"\nask = { prompt = "a cat", size = "64x64" }\nengine = "painter"\n',
    )
    talk, draw = read(path)
    assert (talk.name, talk.contains, talk.engine) == ("你好", ("好",), "")
    assert (draw.ask["size"], draw.engine) == ("64x64", "painter")
    assert chosen([talk, draw], "qwen", TALK) == [talk]
    assert chosen([talk, draw], "painter", DRAW) == [draw]
    assert [probe.name for probe in chosen([talk, draw], "other", DRAW)] == ["draws"]
    assert chosen([talk, draw], "other", DRAW) != [draw]  # the built-in one of the same name
    assert [probe.name for probe in chosen([talk, draw], "x", EMBED)] == ["embeds"]
    assert [probe.name for probe in chosen([], "x", CHAT, sees=True)] == ["talks", "sees"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("probes = ", "golden.toml: "),
        ("probes = []", "there is none in it"),
        ("x = 1", "unknown field `x`"),
        ('[[probes]]\nname = "a"', "missing required field `ask`"),
        ('[[probes]]\nname = "a"\nask = { n = 1 }', "'a': ask: it has none of messages, prompt, input"),
        (f'[[probes]]\nname = "a"\nask = {{ {MESSAGES} }}', "'a': max_tokens"),
        ('[[probes]]\nname = "a"\nask = { max_tokens = 9, messages = "hello" }', "'a': messages"),
        (f'[[probes]]\nname = "a"\nask = {{ max_tokens = 9, stream = true, {MESSAGES} }}', "'a': stream: a probe"),
        ('[[probes]]\nname = "a"\nask = { prompt = 3 }', "'a': prompt"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(write(tmp_path, text))
    assert why in str(raised.value)
    assert "the golden probes" in str(raised.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'x = "\xff"')
    with pytest.raises(ConfigError, match="not UTF-8"):
        read(tmp_path / "latin.toml")


def test_a_dialect_that_no_server_speaks_has_no_probes() -> None:
    assert built_in(Dialect.OPENAI_RESPONSES) == []
    assert golden.asked_in(CHAT) is TALK
