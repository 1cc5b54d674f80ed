"""What the tests of releases share: a small model, and a fetcher that does not wait long."""

from __future__ import annotations

import random
import threading
from pathlib import Path

from fake_hub import FakeHub

from sampan.releases.choice import Wanted
from sampan.releases.fetch import Fetcher
from sampan.releases.hub import HuggingFace
from sampan.releases.progress import Lines
from sampan.releases.store import Release, Store
from sampan.releases.wire import Patience, Wire

README = b"---\nlicense: apache-2.0\ntags: [tiny]\n---\n# Tiny\n"
HURRY = Patience(tries=3, first=0.001, longest=0.001)


def small_model(seed: int = 0, weights: int = 50_000) -> dict[str, bytes]:
    """The files of a model, in the layout of the hubs."""
    noise = random.Random(seed)
    return {
        "config.json": b'{"model_type": "tiny"}',
        "README.md": README,
        ".gitattributes": b"*.safetensors filter=lfs\n",
        "model-00001-of-00002.safetensors": noise.randbytes(weights),
        "model-00002-of-00002.safetensors": noise.randbytes(weights // 2),
        "text_encoder/model.safetensors": noise.randbytes(2_000),
        "分词/词表.txt": "你好\n".encode(),
    }


class House:
    """A data folder, and what was said while something was fetched into it."""

    def __init__(self, data: Path) -> None:
        self.store = Store(data)
        self.said: list[str] = []
        self.now = 1_000.0

    def wire(self, timeout: float = 10.0) -> Wire:
        return Wire(threading.Event(), HURRY, timeout)

    def fetcher(self, wire: Wire, jobs: int = 2) -> Fetcher:
        self.now += 1
        return Fetcher(self.store, wire, Lines(self.said.append), jobs, lambda: self.now)

    def fetch(self, hub: FakeHub, revision: str = "", wanted: Wanted | None = None, token: str = "") -> Release:
        wire = self.wire()
        source = HuggingFace(wire, hub.url, token)
        return self.fetcher(wire).fetch(source, hub.name, revision, wanted or Wanted())
