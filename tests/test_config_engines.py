"""Settings of engines and releases that do not fit are refused, each with its line."""

from __future__ import annotations

import pytest

from sampan.config import EngineSettings, ModelSettings, engine_flags, parse
from sampan.core import Dialect, Tier
from sampan.errors import ConfigError

QWEN = 'kind = "qwen_vl"\nmodel = "Qwen/Tiny"\n'
SERVER = 'kind = "server"\nmodel = "m"\ncommand = ["serve", "{model}", "{port}"]\n'
ATTACHED = 'kind = "server"\nurl = "http://127.0.0.1:11434"\n'


def engine(lines: str) -> EngineSettings:
    return parse(f"[engines.x]\n{lines}", "sampan.toml", {}).engines["x"]


@pytest.mark.parametrize(
    ("lines", "line", "why"),
    [
        ('kind = "vllm"', 2, "engines.x.kind: 'vllm' is not one of reader, sketcher, qwen_vl, qwen_image, server"),
        (QWEN + 'quantization = "int3"', 4, "engines.x.quantization: 'int3' is not one of none, int8, int4, fp8"),
        (QWEN + 'dtype = "fp64"', 4, "engines.x.dtype"),
        (QWEN + 'attention = "x"', 4, "engines.x.attention"),
        (QWEN + 'runtime = "x"', 4, "engines.x.runtime"),
        (QWEN + 'offload = "x"', 4, "engines.x.offload"),
        (QWEN + 'preset = "x"', 4, "engines.x.preset"),
        (QWEN + 'device = "gpu"', 4, "engines.x.device: 'gpu' is no device such as auto, cpu or cuda:0"),
        (QWEN + 'sizes = ["1024"]', 4, "engines.x.sizes: '1024' is no size such as 1024x1024"),
        (QWEN + 'command = ["a"]', 4, "engines.x.command: means something for kind = `server` only"),
        (QWEN + 'url = "http://h"', 4, "engines.x.url: means something for"),
        (QWEN + 'api_key = "k"', 4, "engines.x.api_key: means something for"),
        ('kind = "qwen_vl"', 1, "engines.x: needs `model`"),
        ('kind = "reader"\nmodel = "m"', 3, "engines.x.model: a reader has no model"),
        ('kind = "sketcher"\nrevision = "m"', 3, "engines.x.revision: a sketcher has no model"),
        ('kind = "reader"\nloras = { a = "b" }', 3, "engines.x.loras: a reader has no model"),
        ('kind = "server"', 1, "engines.x: a server needs either `command`, which starts it, or `url`"),
        (SERVER + 'url = "http://h"', 1, "engines.x: a server needs either"),
        (SERVER + 'server = "tgi"', 5, "engines.x.server: 'tgi' is not one of any, vllm"),
        (SERVER + 'dialect = "openai-responses"', 5, "engines.x.dialect: "),
        (SERVER + 'health = "health"', 5, "engines.x.health: must be a path"),
        (SERVER + 'api_key = "a b"', 5, "engines.x.api_key: has a blank"),
        (SERVER + 'sizes = ["64x64"]', 5, "engines.x.sizes: a server of another's is told that in its `command`"),
        ('kind = "server"\ncommand = ["serve"]', 3, "engines.x.command: must say where the server is to listen"),
        ('kind = "server"\ncommand = ["a", "{port}", "{model}"]', 3, "engines.x.command: has {model} in it, and no"),
        ('kind = "server"\ncommand = ["a", "{port}", "{release}"]', 3, "engines.x.command: has {release} in it: set"),
        ('kind = "server"\ncommand = ["a", "{port}"]\nrevision = "v1"', 4, "engines.x.revision: changes nothing"),
        ('kind = "server"\nurl = "https://h"', 3, "engines.x.url: must be a URL such as http://host:port; one behind"),
        ('kind = "server"\nurl = "http://h:99999"', 3, "engines.x.url: must be"),
        ('kind = "server"\nurl = "http://u:p@h"', 3, "engines.x.url: must be"),
        ('kind = "server"\nurl = "http://["', 3, "engines.x.url: must be"),
        (ATTACHED + 'listen = "127.0.0.1:1"', 4, "engines.x.listen: is the business of whoever runs the server"),
        (ATTACHED + 'revision = "v1"', 4, "engines.x.revision: is the business"),
        (ATTACHED + 'env = { A = "b" }', 4, "engines.x.env: is the business"),
        (QWEN + "[releases]\nshares = [0.1, 1.5]", 5, "releases.shares: a share of the calls is more than 0"),
        (QWEN + "[releases]\nshares = [0]", 5, "releases.shares: a share"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(lines: str, line: int, why: str) -> None:
    with pytest.raises(ConfigError) as raised:
        engine(lines)
    assert str(raised.value).startswith(f"sampan.toml, line {line}: {why}")


def test_a_secret_is_not_shown() -> None:
    with pytest.raises(ConfigError) as raised:
        engine(SERVER + 'api_key = "secret key"')
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("lines", "speaks"),
    [
        (SERVER, Dialect.OPENAI_CHAT),
        (SERVER + 'revision = "abc"', Dialect.OPENAI_CHAT),
        ('kind = "server"\ncommand = ["docker", "{port}", "i:{release}"]\nrevision = "v1"', Dialect.OPENAI_CHAT),
        (ATTACHED + 'model = "qwen2.5vl"\nserver = "ollama"\nhealth = "/"', Dialect.OPENAI_CHAT),
        (SERVER + 'dialect = "openai-images"', Dialect.OPENAI_IMAGES),
        (QWEN + 'device = "cuda:1"\nsizes = ["64x64"]', Dialect.ANTHROPIC),
    ],
)
def test_what_fits_is_taken(lines: str, speaks: Dialect) -> None:
    taken = engine(lines)
    assert (taken.speaks, taken.tier) == (speaks, Tier.LOCAL)


def test_only_what_is_not_as_usual_becomes_a_flag() -> None:
    assert engine_flags(ModelSettings()) == []
    settings = ModelSettings(model="m", compile=True, sizes=["1x1", "2x2"], loras={"a": "b.st"}, max_pixels=9)
    flags = ["--model", "m", "--max-pixels", "9", "--compile", "--sizes", "1x1", "2x2", "--loras", "a=b.st"]
    assert engine_flags(settings) == flags
