"""Decode steps recorded once for each shape and played back: one launch for a step instead of some thousand.

Only for CUDA. A shape that cannot be recorded (an operation that waits for the CPU) is run as it is, and said so once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeAlias

Decode: TypeAlias = Callable[[Any, int], Any]

log = logging.getLogger("sampan.engine")


class Graphs:
    """`decode` of a table [3, rows] and a reach, recorded for each pair (rows, reach) that is met."""

    def __init__(self, decode: Decode, device: Any) -> None:
        self._decode = decode
        self._device = device
        self._recorded: dict[tuple[int, int], _Recorded | None] = {}
        self._pool: Any = None

    def run(self, table: Any, reach: int) -> Any:
        """The logits for `table`, a CPU tensor; they are overwritten by the next step of this shape."""
        shape = (table.shape[1], reach)
        if shape not in self._recorded:
            self._recorded[shape] = self._record(table, reach)
        recorded = self._recorded[shape]
        if recorded is None:
            return self._decode(table.to(self._device), reach)
        recorded.table.copy_(table.pin_memory(), non_blocking=True)
        recorded.graph.replay()
        return recorded.logits

    def _record(self, table: Any, reach: int) -> _Recorded | None:
        import torch

        kept = table.to(self._device)
        try:
            with torch.cuda.device(self._device):
                for _ in range(2):  # libraries choose their kernels and take their memory in the first runs
                    self._decode(kept, reach)
                torch.cuda.synchronize()
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                    logits = self._decode(kept, reach)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            log.warning("a step of %d rows cannot be recorded and runs as it is: %s", table.shape[1], error)
            return None
        self._pool = graph.pool()
        return _Recorded(graph, kept, logits)


class _Recorded:
    """A graph with the tensors that it reads and writes."""

    def __init__(self, graph: Any, table: Any, logits: Any) -> None:
        self.graph, self.table, self.logits = graph, table, logits
