"""The audit of one gateway: its records with what is kept beside them, sealed, dropped and delivered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from sampan.config import AuditSettings
from sampan.core import Actor, Incoming
from sampan.governance.audit_content import Contents, read_public
from sampan.governance.audit_delivery import Delivery, make_sink
from sampan.governance.audit_export import lines
from sampan.governance.audit_keeping import Custodian
from sampan.governance.audit_sinks import Connect, Post
from sampan.governance.audit_verify import Progress, check_database, result_of
from sampan.governance.detect import Finding
from sampan.storage.chain import AuditKey
from sampan.storage.db import Database
from sampan.storage.evidence import Evidence
from sampan.storage.records import Records, Wanted

Told = Callable[[str, int, bool], None]
"""Hears of a sink: its name, how many records wait for it, whether it is away."""


class Audit:
    """Built once; blocks. `start` and `close` are those of its `records`, with a last seal. Raises `ConfigError`.

    `find` is `Detector.find`; webhooks are asked through `post`, syslog is connected to through `connect`.
    """

    def __init__(
        self,
        database: Database,
        settings: AuditSettings,
        find: Callable[[str], list[Finding]],
        post: Post,
        *,
        connect: Connect = asyncio.open_connection,
        told: Told = lambda name, waiting, away: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._post = post
        self._connect = connect
        self._told = told
        self._wall = wall
        self._contents = Contents(self._mode_of, lambda: self._settings.content_bytes, find, _public_key(settings))
        self._key = AuditKey.of(database.folder)
        self._deliveries: tuple[Delivery, ...] = ()
        self._changed = asyncio.Event()
        self.records = Records(database, keeping=self._contents)
        self.evidence = Evidence(database, self.records.node, wall)
        self._custodian = Custodian(
            self.evidence,
            self._key,
            lambda: self.records.head,
            lambda: self._settings,
            delivered=self._delivered,
            wall=wall,
        )

    def start(self) -> int:
        """Starts the records and returns how many were replayed."""
        return self.records.start()

    def close(self) -> None:
        """Drains the records and seals the end of the chain."""
        self.records.close()
        self._custodian.seal()

    def adopt(self, settings: AuditSettings) -> None:
        """What comes from now on goes by these. On the event loop. Raises `ConfigError` for a bad public key."""
        self._contents.public_key = _public_key(settings)
        self._settings = settings
        self._changed.set()

    async def run(self) -> None:
        """Seals, drops and delivers until it is cancelled."""
        while True:
            self._changed.clear()
            self._deliveries = tuple(self._delivery(index) for index in range(len(self._settings.sinks)))
            works = [self._custodian.run(), *(delivery.run() for delivery in self._deliveries), self._changed.wait()]
            tasks = [asyncio.create_task(work) for work in works]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                for task in tasks:
                    with suppress(asyncio.CancelledError):
                        await task

    # What the pipeline and the pages ask.

    @property
    def keep_content(self) -> Callable[[str, Incoming, Actor | None, bytes], str] | None:
        """For `Parts`: None where nothing is kept of anybody, so that answers are not held for it."""
        settings = self._settings
        wanted = {settings.content, *settings.content_of.values()} - {"none"}
        return self._contents.keep if wanted else None

    def lines(self, form: str, wanted: Wanted) -> Iterator[str]:
        """An export."""
        return lines(self.records, self.evidence, form, wanted)

    def verify(self, told: Progress) -> Mapping[str, Any]:
        """Checks everything that the database holds. Blocks. With one node, only its own key may have signed."""
        alone = self.evidence.nodes() in ((), (self.evidence.node,))
        keys = frozenset({self._key.public}) if alone else frozenset[str]()
        return result_of(check_database(self.evidence, keys, (), told))

    def _mode_of(self, actor: Actor) -> str:
        return self._settings.content_of.get(actor.department, self._settings.content)

    def _delivery(self, index: int) -> Delivery:
        sink = self._settings.sinks[index]
        made = make_sink(sink, self._post, self._connect, self._wall)
        return Delivery(self.evidence, sink.name, made, lambda: self.records.head, batch=sink.batch, told=self._told)

    def _delivered(self) -> int | None:
        """How far the slowest sink is. Blocks."""
        return min((self.evidence.delivered(sink.name) for sink in self._settings.sinks), default=None)


def _public_key(settings: AuditSettings) -> X25519PublicKey | None:
    return read_public(Path(settings.public_key)) if settings.public_key else None
