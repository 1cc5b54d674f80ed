"""Gateways and clouds for the acceptance tests, each started once; every test has upstreams of its own in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from clouds import Cloud
from gateway import DRAW, QUICK, TALK, Gateway, route, upstream


@pytest.fixture(scope="session", autouse=True)
def plain_environment() -> Iterator[None]:
    """No proxy and no key of the machine's may get between an SDK and the gateway."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.lower().endswith("_proxy") or name.startswith(("ANTHROPIC_", "OPENAI_", "SAMPAN_")):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """A cloud whose port is always open; its cells misbehave one by one."""
    with Cloud() as running:
        yield running


CELLS = (
    "good",
    "alone",
    "gated",
    "middle",
    "rejecting",
    "oversized",
    "after-cut",
    "after-end",
    "after-error",
    "after-stall",
    "after-garbage",
)


@pytest.fixture(scope="session")
def house(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with one healthy cloud and one healthy local server for each dialect, and `gated`, `fragile` ones."""
    config = QUICK
    for dialect, operations, end in (("anthropic", TALK, "talk"), ("openai-images", DRAW, "draw")):
        config += upstream(f"local-{end}", cloud.url(f"house-local-{end}"), dialect, location="local")
        for name in CELLS:
            more = 'api_key = "sk-cloud-secret-canary"\nclocks = { connect = 1, first_event = 20, idle = 1 }\n'
            config += upstream(f"{name}-{end}", cloud.url(f"{name}-{end}"), dialect, more=more)
            targets = (f"{name}-{end}",) if name == "alone" else (f"{name}-{end}", f"local-{end}")
            config += route(f"{name}-{end}-model", operations, *targets)
        config += route(f"alias-{end}-model", operations, f"good-{end}:cloud-name")
    folder: Path = tmp_path_factory.mktemp("house")
    server = "max_body = 8_000_000\nkeepalive = 60\n"
    with Gateway(folder, config + "[storage]\nlink_lifetime = 3\n", server=server) as gateway:
        yield gateway
