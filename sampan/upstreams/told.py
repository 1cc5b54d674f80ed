"""An answer that nobody awaits: whoever asked is told when there is something to look at."""

from __future__ import annotations

from collections.abc import Callable

from sampan.errors import TargetFault
from sampan.upstreams.origin import Clocks
from sampan.upstreams.response import Response, Wire


class Told(Response):
    """A `Response` for callbacks: `told` is called with it when its head, some of its body or its end is there.

    A task, its futures and the loop's turns between them cost a short call more than its HTTP.
    """

    __slots__ = ("_told",)

    def __init__(self, wire: Wire, clocks: Clocks, total_by: float, told: Callable[[Told], None]) -> None:
        Response.__init__(self, wire, clocks, total_by, bodiless=False)
        self._told: Callable[[Told], None] | None = told

    @property
    def headed(self) -> bool:
        """Whether the head is there."""
        return self._headed

    @property
    def fault(self) -> TargetFault | None:
        """Why nothing more will come, if so."""
        return self._fault

    def sent(self, now: float) -> None:
        self._first_by = now + self._clocks.first_event
        self._deadline = min(self._first_by, self._total_by)

    def wake(self) -> None:
        if not self._over or self._fault is not None:
            self.released()

    def released(self) -> None:
        """An end is told only now, for whoever is told may ask again at once."""
        told = self._told
        if told is not None:
            told(self)

    def expect_more(self) -> None:
        """Not all is there yet: the clock that now counts is set, as whoever awaits sets it."""
        wire = self._wire
        if wire is not None:
            by = wire.loop.time() + self._clocks.idle if self._seen else self._first_by
            self._deadline = by = min(by, self._total_by)
            wire.arm(by)

    def close(self) -> None:
        self._told = None
        super().close()
