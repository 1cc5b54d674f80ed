"""Where limits come from: the configuration, and what was stored from outside."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sampan.config.quota import LimitSettings, PriceSettings, QuotaSettings
from sampan.errors import ConfigError
from sampan.storage.statutes import Statutes

KIND = "limit"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the configuration says of quota."""

    limits: Sequence[LimitSettings]
    prices: Sequence[PriceSettings]
    quota: QuotaSettings


class StoredLimits:
    """The limits in the database, by name. `refresh` blocks."""

    def __init__(self, statutes: Statutes | None) -> None:
        self._statutes = statutes
        self._watch = None if statutes is None else statutes.watch()
        self._version: str | None = None
        self._log = logging.getLogger("sampan.quota")
        self._failing = False
        self._one = threading.Lock()
        self.bodies: Mapping[str, Mapping[str, Any]] = {}

    def refresh(self) -> bool:
        """Whether they changed. Raises `ConfigError`."""
        with self._one:
            return self._refresh()

    def _refresh(self) -> bool:
        if self._statutes is None or self._watch is None or not self._watch.changed():
            return False
        try:
            if self._version is not None and self._statutes.version(KIND) == self._version:
                return False
            self._version, found = self._statutes.snapshot(KIND)
        except ConfigError:
            self._watch.forget()
            raise
        self.bodies = {each.id: each.body for each in found}
        return True

    def refresh_quietly(self) -> bool:
        """The same; a database that fails leaves them as they were, and is logged once."""
        try:
            changed = self.refresh()
        except ConfigError as error:
            if not self._failing:
                self._log.error("stored limits cannot be read, the last known ones stay in force: %s", error)
            self._failing = True
            return False
        self._failing = False
        return changed

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()
