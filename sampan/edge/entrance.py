"""What the configuration says of callers before they have shown a key; swapped as a whole when it is read again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from sampan.config import Config
from sampan.edge.addresses import Proxies
from sampan.edge.certificates import Certificates
from sampan.edge.crowd import Crowd, CrowdLimits
from sampan.edge.guesses import Guesses
from sampan.errors import ConfigError

LOOK_EVERY = 2.0
"""Seconds between two looks at the files of a certificate."""


class Entrance:
    """Built once. `changed` is called after a swap, by whom the listener has set."""

    def __init__(self, config: Config, clock: Callable[[], float] = time.monotonic) -> None:
        """Blocks: reads the certificate. Raises `ConfigError`."""
        self.changed: Callable[[], None] = _nobody
        self.proxies = Proxies(config.server.trusted_proxies)
        self.guesses = Guesses(config.server.guesses_per_minute, clock)
        self._files = 0
        self.crowd = Crowd(self._limits(config), clock)
        self.certificates = Certificates(config.tls) if config.tls.certificate else None

    def fit(self, files: int) -> None:
        """How many files the process may have open: callers get three quarters, the rest is for what they ask for."""
        self._files = files
        self.crowd.limits = replace(self.crowd.limits, total=self._fitting(self.crowd.limits.total))

    def _limits(self, config: Config) -> CrowdLimits:
        server = config.server
        return CrowdLimits(
            self._fitting(server.connections), server.connections_per_address, server.connections_per_second
        )

    def _fitting(self, connections: int) -> int:
        return min(connections, max(1, self._files * 3 // 4)) if self._files > 0 else connections

    def enter(self, address: str) -> tuple[int, str] | None:
        """Counts a connection in, or says why not: the HTTP status and a sentence. `crowd.leave` counts it out."""
        return self.crowd.enter(address, known=self.proxies.trusts(address))

    async def watch(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Takes a certificate whose files change into force, until it is cancelled."""
        while self.certificates is not None:
            await sleep(LOOK_EVERY)
            await asyncio.to_thread(self.certificates.refresh)

    def prepare(self, config: Config) -> Callable[[], None]:
        """Reads what another configuration names; what is returned puts it in force. Blocks. Raises `ConfigError`."""
        if bool(config.tls.certificate) != (self.certificates is not None):
            raise ConfigError("[tls] certificate: only a restart can turn TLS on or off; nothing was changed")
        certificates = Certificates(config.tls) if config.tls.certificate else None

        def adopt() -> None:
            self.certificates = certificates
            self.proxies = Proxies(config.server.trusted_proxies)
            self.guesses.per_minute = config.server.guesses_per_minute
            self.crowd.limits = self._limits(config)
            self.changed()

        return adopt


def _nobody() -> None: ...
