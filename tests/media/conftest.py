"""As in tests/upstreams: modules that say `LOOPS = ("asyncio", "uvloop")` run on each loop, others on uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.upstreams.conftest import FACTORIES


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    names = getattr(getattr(item, "module", None), "LOOPS", ("uvloop",))
    return {name: FACTORIES[name] for name in names}
