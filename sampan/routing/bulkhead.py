"""A bound on the calls that one upstream has open at once, so that a slow one cannot take the whole gateway along."""

from __future__ import annotations

from types import TracebackType

from sampan.core import Fault
from sampan.errors import TargetFault


class Bulkhead:
    """`size` slots. `with bulkhead:` holds one; raises `TargetFault(bulkhead_full)` where there is none."""

    __slots__ = ("_size", "_taken")

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken = 0

    @property
    def taken(self) -> int:
        return self._taken

    def __enter__(self) -> None:
        if self._taken >= self._size:
            raise TargetFault(Fault.BULKHEAD_FULL, f"{self._size} calls are open", retry_after=1.0)
        self._taken += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._taken -= 1
