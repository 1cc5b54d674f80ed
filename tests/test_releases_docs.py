"""The examples of docs/releases.md are configurations, and golden probes, that are taken."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sampan.config import SERVER_KIND, parse
from sampan.releases import golden
from sampan.storage.releases import Stage

PAGE = (Path(__file__).parent.parent / "docs" / "releases.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", [text for text in EXAMPLES if "[engines." in text])
def test_each_example_of_a_server_is_a_configuration(text: str) -> None:
    [engine] = parse(text, "example", {}).engines.values()
    assert engine.kind == SERVER_KIND


def test_the_example_of_golden_probes_can_be_read(tmp_path: Path) -> None:
    [text] = [text for text in EXAMPLES if "[[probes]]" in text]
    (tmp_path / "golden.toml").write_text(text, encoding="utf-8")
    assert [probe.name for probe in golden.read(tmp_path / "golden.toml")] == ["reads the total", "draws square"]


def test_every_stage_is_told_and_every_server_has_its_example() -> None:
    for stage in Stage:
        assert stage in PAGE
    for server in ("vllm", "sglang", "llama.cpp", "ollama", "vllm/vllm-openai:{release}", "--omni"):
        assert any(server in text for text in EXAMPLES), server
