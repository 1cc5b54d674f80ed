"""What OpenAI's wires leave out or say in other words, as Messages is asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ANSWER_TOKENS = 4096
"""The longest answer where the caller sets no limit: Messages wants one."""

JSON_ONLY = "Answer with one JSON object and nothing else: no words around it, and no code fence."
EFFORTS: Mapping[str, str] = MappingProxyType(
    {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
)
