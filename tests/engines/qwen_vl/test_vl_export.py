"""The scheduler on an exported language model: many at once, each as it would be alone, and as torch says it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_exports import exported_talker
from tiny_models import tiny
from vl_models import GREEDY, ask, opened, picture, run

from sampan.engines.qwen_vl.job import Job
from sampan.errors import ConfigError

pytestmark = pytest.mark.timeout(900)  # the export is made here, unless another test has made it


@pytest.fixture(scope="module")
def text() -> Path:
    return exported_talker()


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_the_engine_answers_many_through_an_export_as_it_does_through_torch(text: Path, to: str) -> None:
    folder = str(text / "model")
    said = {}
    for runtime in ("torch", to):
        with opened("qwen3-vl", model=folder, runtime=runtime, batch=4, context=512) as model:
            jobs = [Job(ask(model, "word " * (7 * n), *[picture(n)] * (n % 2)), GREEDY, 8) for n in range(6)]
            said[runtime] = run(model, jobs)
            assert said[runtime][1] == run(model, [jobs[1]])[0], "an answer depends on its neighbours"
    assert said["torch"] == said[to]


def test_an_export_is_not_quantised_once_more(text: Path) -> None:
    with (
        pytest.raises(ConfigError, match="runs unquantised"),
        opened("qwen3-vl", model=str(text / "model"), runtime="onnx", quantization="int8"),
    ):
        pass
    with (
        pytest.raises(ConfigError, match="was not exported"),
        opened("qwen3-vl", model=str(tiny("qwen3-vl")), runtime="onnx"),
    ):
        pass
