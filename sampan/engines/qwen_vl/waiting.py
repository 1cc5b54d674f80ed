"""Who is next: owners take turns, and each owner's own jobs keep their order."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Queue(Generic[T]):
    """A queue for each owner, served in turn. Not locked: whoever shares it between threads locks it."""

    def __init__(self) -> None:
        self._owners: OrderedDict[str, deque[T]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, owner: str, item: T) -> None:
        """Behind the owner's others; an owner that had none comes after all who have."""
        self._owners.setdefault(owner, deque()).append(item)
        self._count += 1

    def take(self) -> T:
        """The next one; its owner goes to the end. Raises `IndexError` where nobody waits."""
        if not self._owners:
            raise IndexError("nobody waits")
        owner, items = next(iter(self._owners.items()))
        item = items.popleft()
        self._count -= 1
        if items:
            self._owners.move_to_end(owner)
        else:
            del self._owners[owner]
        return item

    def remove(self, owner: str, item: T) -> bool:
        """Whether it was still waiting."""
        items = self._owners.get(owner)
        if items is None or item not in items:
            return False
        items.remove(item)
        self._count -= 1
        if not items:
            del self._owners[owner]
        return True

    def clear(self) -> list[T]:
        """Everything that waited, owner by owner."""
        items = [item for owned in self._owners.values() for item in owned]
        self._owners.clear()
        self._count = 0
        return items
