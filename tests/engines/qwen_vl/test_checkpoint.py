"""What is read from a checkpoint's folder, and that its own library would make the same tokens of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from sampan.engines.conversation import Call, Outcome, Tool, Turn
from sampan.engines.conversation import Words as Text
from sampan.engines.qwen_vl.checkpoint import read_checkpoint
from sampan.errors import ConfigError
from tests.tiny_models import tiny

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"q": {"type": "string"}}}
LOOK = Tool("look", "Looks.", SCHEMA, False, "tools.0")


def tokenizer(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


@pytest.mark.parametrize(
    ("kind", "patch", "absolute", "thinks"),
    [("qwen2-vl", 14, False, False), ("qwen2.5-vl", 14, True, False), ("qwen3-vl-thinking", 16, False, True)],
)
def test_families_differ(kind: str, patch: int, absolute: bool, thinks: bool) -> None:
    folder = tiny(kind)
    found = read_checkpoint(folder, tokenizer(folder))
    assert (found.patch, found.absolute, found.template.thinks) == (patch, absolute, thinks)


def test_the_tokens_are_the_librarys_own() -> None:
    folder = tiny("qwen3-vl")
    library = tokenizer(folder)
    found = read_checkpoint(folder, library)
    turns = [
        Turn("system", [Text("Be brief.")]),
        Turn("user", [Text("\n\n  Weather in 東京 < 5° | 100 %?\n")]),
        Turn("assistant", [Text("I look."), Call("look", '{"q":"東京"}')]),
        Turn("user", [Outcome([Text("rain")])]),
        Turn("assistant", [Text("Rain.")]),
        Turn("user", [Text("Thanks")]),
    ]
    call = {"type": "function", "function": {"name": "look", "arguments": {"q": "東京"}}}
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "\n\n  Weather in 東京 < 5° | 100 %?\n"},
        {"role": "assistant", "content": "I look.", "tool_calls": [call]},
        {"role": "tool", "content": "rain"},
        {"role": "assistant", "content": "Rain."},
        {"role": "user", "content": "Thanks"},
    ]
    tool = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": SCHEMA}}
    wanted = library.apply_chat_template(chat, tools=[tool], add_generation_prompt=True, tokenize=True)["input_ids"]
    assert found.words.encode(found.template.render(turns, [LOOK], think=False).text) == wanted


def test_a_template_may_stand_in_the_processors_file_and_none_at_all_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny("qwen2-vl"), folder, ignore=shutil.ignore_patterns("*.safetensors", "chat_template.jinja"))
    config = folder / "tokenizer_config.json"
    settings = json.loads(config.read_text())
    del settings["chat_template"]
    config.write_text(json.dumps(settings))
    assert (
        "Hello"
        in read_checkpoint(folder, tokenizer(folder))
        .template.render([Turn("user", [Text("Hello")])], [], think=False)
        .text
    )
    (folder / "chat_template.json").unlink()
    with pytest.raises(ConfigError, match="no chat template"):
        read_checkpoint(folder, tokenizer(folder))
    (folder / "chat_template.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_checkpoint(folder, tokenizer(folder))
