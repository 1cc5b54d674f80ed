"""What a node may spend by itself while nobody can be asked: its share of what was left when it last heard."""

from __future__ import annotations

from collections.abc import Iterable

from sampan.storage.ledger import Pot

MANY = 10_000


class Apart:
    """What was last seen of each pot, and what was reserved since then without asking."""

    def __init__(self) -> None:
        self._seen: dict[Pot, int] = {}
        self._used: dict[Pot, int] = {}
        self._open: dict[int, tuple[tuple[Pot, int], ...]] = {}

    def saw(self, pot: Pot, used: int) -> None:
        """So much of a pot is spent or reserved, by all."""
        if len(self._seen) >= MANY:
            self._seen.clear()
        self._seen[pot] = used

    def left(self, pot: Pot, most: int, nodes: int, own: int) -> int:
        """How much this node may still reserve: never more than its share of the whole, less what it spent itself
        (`own`), nor than its share of what was left when it last saw the pot.
        """
        share = min(most // nodes - own, (most - self._seen.get(pot, 0)) // nodes)
        return share - self._used.get(pot, 0)

    def take(self, lease: int, pots: tuple[tuple[Pot, int], ...]) -> None:
        for pot, amount in pots:
            self._used[pot] = self._used.get(pot, 0) + amount
        self._open[lease] = pots

    def settle(self, lease: int, took: Iterable[tuple[Pot, int]]) -> None:
        """A lease ended; one that was not taken here changes nothing."""
        pots = self._open.pop(lease, None)
        if pots is None:
            return
        for pot, amount in pots:
            self._used[pot] -= amount
        for pot, amount in took:
            self._used[pot] = self._used.get(pot, 0) + amount
