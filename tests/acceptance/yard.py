"""A gateway whose engines change their releases, and a hub on this machine that they are fetched from."""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway import QUICK, Gateway, route

from sampan.releases.store import Facts, ReleaseFile, Store
from tests.releases.fake_hub import FakeHub

SERVER = Path(__file__).parent.parent / "fake_chat_server.py"
GOLDEN = """
[[probes]]
name = "counts"
ask = { max_tokens = 50, messages = [{ role = "user", content = "Count." }] }
contains = ["w3 w4"]
"""
FIRST, SECOND = "7d5f0c1b9a6e4f32b8c40a9d1e5f67283b4c5d60", "c202236235762e1c871ad0ccb60c8ee5ba337b9a"
"""Commits of `Qwen/Tiny`."""


@dataclass(frozen=True)
class Yard:
    """`chat` has tags of its own, `brain` releases of `Qwen/Tiny`, `reader` none, `away` is somebody else's."""

    gateway: Gateway
    hub: FakeHub

    def fetch(self, commit: str) -> None:
        """Has a release here, by the verb."""
        self.hub.commit = commit
        self.hub.branches = {"main": commit, "master": commit}
        done = self.gateway.verb("models", "fetch", self.hub.name, "--revision", commit)
        assert done.returncode == 0, done.stderr

    def have(self, commit: str, fetched: float) -> None:
        """Puts a release here as if it had been fetched then: a fetch takes a process."""
        store = Store(self.gateway.data)
        (store.place(self.hub.name, commit) / "config.json").write_bytes(b"{}")
        files = [ReleaseFile("config.json", 2, hashlib.sha256(b"{}").hexdigest())]
        store.note(Facts(self.hub.name, commit, "huggingface", files, fetched, whole=True))


def model(weights: int) -> dict[str, bytes]:
    """Files of a model, in the layout of the hubs."""
    noise = random.Random(7)
    return {
        "config.json": b'{"model_type": "tiny"}',
        "README.md": b"---\nlicense: apache-2.0\n---\n# Tiny\n",
        "model.safetensors": noise.randbytes(weights),
        "tokenizer.json": b"{}",
    }


@contextmanager
def opened(folder: Path, *, watch: float, weights: int = 3_000_000) -> Iterator[Yard]:
    """Each share of a promotion is watched for so many seconds."""
    golden = folder / "golden.toml"
    golden.write_text(GOLDEN)
    with FakeHub(model(weights)).running() as hub:
        started = [sys.executable, "-S", "-E", str(SERVER), "--port", "{port}", "--release"]
        config = QUICK
        config += f'[engines.chat]\nkind = "server"\nrevision = "v1"\ncommand = {[*started, "{release}"]!r}\n'
        config += f'[engines.brain]\nkind = "server"\nmodel = "Qwen/Tiny"\ncommand = {[*started, "{model}"]!r}\n'
        config += '[engines.reader]\nkind = "reader"\n'
        config += route("brain-*", '"text", "vision"', "brain", "chat")
        config += route("*", '"text", "vision"', "chat", "brain", "reader")
        config += f'[releases]\nshares = [0.1, 0.5]\nwatch = {watch}\nkeep = 3600\ngolden = "{golden}"\n'
        config += f'huggingface = "{hub.url}"\nmodelscope = "{hub.url}"\n'
        with Gateway(folder, config) as gateway:
            gateway.wait_ready(120.0)
            yield Yard(gateway, hub)
