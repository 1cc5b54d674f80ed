"""How a setting is declared: its default, a sentence of help, and the least number that makes sense."""

from __future__ import annotations

import dataclasses
from typing import Any


def setting(default: Any, help: str, *, minimum: float | None = None) -> Any:
    """Declares one setting; `minimum` is the least number that makes sense."""
    metadata = {"help": help, "minimum": minimum}
    if isinstance(default, dict | list):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def required(help: str) -> Any:
    """Declares a setting without a default."""
    return dataclasses.field(metadata={"help": help, "minimum": None}, kw_only=True)
