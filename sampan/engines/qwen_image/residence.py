"""Which part is on the accelerator: all of them, or, with `offload = "cpu"`, only the one that is at work."""

from __future__ import annotations

from typing import Any


class Residence:
    """The parts and the device they work on. Used by the drawing thread alone."""

    def __init__(self, device: Any, *, moves: bool) -> None:
        self.device = device
        self._moves = moves
        self._parts: dict[str, Any] = {}
        self._working: Any = None

    @property
    def moves(self) -> bool:
        """Whether parts come and go."""
        return self._moves

    def settle(self, name: str, part: Any) -> None:
        """Takes a part in: onto the device, or to wait until it is wanted."""
        self._parts[name] = part
        if not self._moves and part.device != self.device:  # where weights were quantised, even that is refused
            part.to(self.device)

    def want(self, part: Any) -> None:
        """Has a part on the device; what worked before it makes room first."""
        if not self._moves or part is self._working:
            return
        if not any(part is settled for settled in self._parts.values()):
            return
        if self._working is not None:
            self._working.to("cpu")
        part.to(self.device)
        self._working = part
