"""The windows that limits count over, and a clock that never takes one back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo

from sampan.config.quota import Period

SLEW = 0.5
"""How fast the ledger's clock goes while the machine's is behind it."""

FOR_EVER = 1 << 53


class SteadyClock:
    """Unix seconds that never go back, nor stand still.

    A clock that is set forward is followed at once. One that is set back is waited for: until it has caught up, ours
    goes at half its pace, so that nothing is spent twice in one window and no window lasts for ever. A restart takes
    the machine's clock as it is.
    """

    def __init__(self, wall: Callable[[], float], steady: Callable[[], float]) -> None:
        self._wall = wall
        self._steady = steady
        self._last = wall()
        self._at: float | None = None

    def now(self) -> float:
        wall = self._wall()
        if wall >= self._last:
            self._last = wall
            self._at = None
            return wall
        at = self._steady()
        if self._at is not None:
            self._last += max(0.0, at - self._at) * SLEW
        self._at = at
        return self._last


def window(period: Period, now: float, zone: tzinfo) -> tuple[int, int]:
    """The window that `now` lies in: its first second and the first one after it, as Unix seconds.

    Minutes, days and months are the calendar's, in `zone`; a day has 23 or 25 hours where the clocks change.
    """
    if period is Period.NONE:
        return 0, FOR_EVER
    if period is Period.MINUTE:
        since = int(now // 60) * 60
        return since, since + 60
    # The wall's day in one zone: arithmetic on such values is the calendar's, and `timestamp` knows the offsets.
    day = datetime.fromtimestamp(now, zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if period is Period.DAY:
        return _seconds(day), _seconds(day + timedelta(days=1))
    first = day.replace(day=1)
    return _seconds(first), _seconds((first + timedelta(days=32)).replace(day=1))


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
