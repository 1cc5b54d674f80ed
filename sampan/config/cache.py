"""Settings of the cache of answers. Which routes keep answers stands with the routes."""

from __future__ import annotations

from dataclasses import dataclass

from sampan.config.declare import setting

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class CacheSettings:
    bytes: int = setting(256 * MEBIBYTE, "Memory for kept answers; the least recently used make room.", minimum=0)
    seconds: float = setting(3600.0, "Seconds that an answer is kept, where its route does not say.", minimum=1)
