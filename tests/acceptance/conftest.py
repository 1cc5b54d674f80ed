"""Gateways and clouds for the acceptance tests, each started once; every test has upstreams of its own in them."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from browsing import open_browser
from clouds import Cloud
from gateway import DRAW, KEY, QUICK, SOON, TALK, Gateway, route, upstream
from house_console import CONSOLE_SERVER, console_config
from playwright.sync_api import Browser, sync_playwright
from sdk_clouds import Stage, sdk_config
from sdk_openai_clouds import Studio, openai_config


@pytest.fixture(scope="session", autouse=True)
def plain_environment() -> Iterator[None]:
    """No proxy and no key of the machine's may get between an SDK and the gateway."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            ours = name.startswith(("ANTHROPIC_", "OPENAI_", "SAMPAN_")) and name != "SAMPAN_CONSOLE_SITE"
            if ours or name.lower().endswith("_proxy"):
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
        # What a break does where nobody can go on; `test_handover` has those who can.
        url = cloud.url(f"house-local-{end}")
        config += upstream(f"local-{end}", url, dialect, location="local", more='continues = "no"')
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


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """The fake servers behind `quay`, which play what a test has written."""
    with Stage() as running:
        yield running


@pytest.fixture(scope="session")
def studio() -> Iterator[Studio]:
    """The fake clouds behind `quay` that embed and draw."""
    with Studio() as running:
        yield running


@pytest.fixture(scope="session")
def quay(stage: Stage, studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The one gateway that the conformance suites of both SDKs ask; its engines warm up meanwhile."""
    config = sdk_config(stage) + openai_config(studio)
    with Gateway(tmp_path_factory.mktemp("quay"), config, server="max_body = 4_000_000\n") as gateway:
        yield gateway


@pytest.fixture(scope="session")
def sdk(quay: Gateway) -> anthropic.Anthropic:
    """It asks once, unless a test wants it to ask again."""
    return quay.anthropic()


@pytest.fixture
async def async_sdk(quay: Gateway) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """One for each test's loop. No certificates are read for it: that would take most of its making."""
    plain = anthropic.DefaultAsyncHttpxClient(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    settings: Any = {"api_key": KEY, "base_url": quay.url, "max_retries": 0, "timeout": SOON}
    async with anthropic.AsyncAnthropic(**settings, http_client=plain) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium; each visit has cookies and a store of its own.

    It ends with the file of tests: while Playwright runs, no test in the same thread could have an event loop.
    """
    with sync_playwright() as playwright:
        opened = open_browser(playwright)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def console(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """What the console's pages are tried on; see `house_console`."""
    with Gateway(tmp_path_factory.mktemp("console"), console_config(cloud), server=CONSOLE_SERVER) as gateway:
        gateway.wait_ready(300.0)
        yield gateway
