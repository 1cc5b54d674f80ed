"""A store of shared facts in this process, with a clock that is passed in and a plug that can be pulled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from sampan.errors import ConfigError
from sampan.storage.state import Fact, Known

MICRO = 1_000_000


class FakeState:
    """Keeps the promises of `storage.state.State`; `tests/storage/test_state.py` holds it to them. Never suspends."""

    shared = True

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.away = False
        self.rows: dict[str, tuple[Fact, int, float]] = {}
        self.leases: dict[str, tuple[str, float]] = {}
        self.asked = 0
        self.told = asyncio.Event()

    def forget(self) -> None:
        """As a Redis without persistence that was restarted."""
        self.rows.clear()
        self.leases.clear()

    def _check(self) -> float:
        self.asked += 1
        if self.away:
            raise ConfigError("the store was unplugged")
        return self._clock()

    async def exchange(self, told: Mapping[str, Fact], names: Sequence[str]) -> Mapping[str, Known]:
        now = self._check()
        self.rows = {name: row for name, row in self.rows.items() if not row[0].keep or row[2] + row[0].keep > now}
        for name, fact in told.items():
            stamp = round((now - fact.age) * MICRO)
            kept = self.rows.get(name)
            if kept is not None and kept[0].by == fact.by:
                stamp = max(stamp, kept[1] + 1)
            if kept is None or stamp > kept[1]:
                self.rows[name] = (fact, stamp, now)
                self.told.set()
        found = {name: self.rows[name] for name in names if name in self.rows}
        return {
            name: Known(fact.value, fact.by, max(0.0, now - stamp / MICRO), stamp)
            for name, (fact, stamp, _) in found.items()
        }

    async def lease(self, name: str, by: str, seconds: float) -> bool:
        now = self._check()
        holder, until = self.leases.get(name, (by, now))
        if holder != by and now < until:
            return False
        self.leases[name] = (by, now + seconds)
        return True

    async def release(self, name: str, by: str) -> None:
        self._check()
        if self.leases.get(name, ("", 0.0))[0] == by:
            del self.leases[name]
            self.told.set()

    async def heard(self, by: str) -> None:
        self._check()
        await self.told.wait()
        self.told.clear()

    async def aclose(self) -> None:
        return
