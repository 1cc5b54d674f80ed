"""HTTP for whoever is no upstream: keys of an identity provider, webhooks, telemetry. One client, under `[egress]`.

Redirects are not followed: what is asked stands in the configuration, and an answer that points elsewhere is told as
it is. The connections to each origin are kept for the next time.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from sampan import __version__
from sampan.config.egress import ANYWHERE, Egress
from sampan.core import Fault
from sampan.errors import ConfigError, SampanError, TargetFault
from sampan.upstreams.dial import look_up, tls_context
from sampan.upstreams.origin import Clocks, Origin
from sampan.upstreams.pool import Pool

CONNECTIONS = 8  # to each origin
ANSWER_LIMIT = 1024 * 1024
SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Outside:
    """Asks URLs that the configuration names. Make one, and close it; it belongs to one event loop."""

    def __init__(self, egress: Egress = ANYWHERE, *, context: ssl.SSLContext | None = None, proxy: str = "") -> None:
        """Without `context` TLS is `tls_context()`. Raises ConfigError for a `proxy` that is none."""
        self._egress = egress
        self._context = context or tls_context()
        self._proxy = proxy or None
        self._pools: dict[Origin, Pool] = {}

    async def get(self, url: str, headers: Mapping[str, str], limit: int, seconds: float) -> bytes:
        """The body of a 200 of at most `limit` bytes. Raises ConfigError for what is no URL, TargetFault otherwise."""
        reply = await self.ask("GET", url, headers, b"", limit=limit, seconds=seconds)
        if reply.status != 200:
            raise TargetFault(Fault.SERVER_ERROR, f"it answered {reply.status}")
        return reply.body

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> int:
        """The status of the answer, whatever it is. Raises as `get`."""
        return (await self.ask("POST", url, headers, body, limit=ANSWER_LIMIT, seconds=seconds)).status

    async def fetch(self, url: str) -> bytes:
        """`get` within `SECONDS`, of at most `ANSWER_LIMIT` bytes."""
        return await self.get(url, {"accept": "application/json"}, ANSWER_LIMIT, SECONDS)

    async def exchange(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """POSTs, and gives status and body back. Raises as `get`."""
        reply = await self.ask("POST", url, headers, body, limit=ANSWER_LIMIT, seconds=SECONDS)
        return reply.status, reply.body

    async def deliver(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """`post` within `SECONDS`, for who knows no error of ours: raises OSError."""
        try:
            return await self.post(url, headers, body, SECONDS)
        except SampanError as error:
            raise ConnectionError(str(error)) from None

    async def connect(
        self, host: str, port: int, *, ssl: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """As `asyncio.open_connection`, to what egress allows. Raises OSError."""
        failure: Exception = OSError("the name has no address")
        try:
            self._egress.check(host, port)
            for *_, address in await look_up(host, port):
                try:
                    self._egress.check_address(str(address[0]), port, host)
                    named = host if ssl is not None else None
                    return await asyncio.open_connection(str(address[0]), port, ssl=ssl, server_hostname=named)
                except (OSError, ConfigError) as error:
                    failure = error
        except SampanError as error:
            failure = error
        if isinstance(failure, OSError):
            raise failure
        raise ConnectionError(str(failure)) from None

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, *, limit: int, seconds: float
    ) -> Reply:
        """One request and its answer, redirects and refusals as they come. Raises as `get`."""
        address, _, query = url.partition("?")
        origin = replace(Origin.parse(address), path="")
        target = (urlsplit(address).path or "/") + (f"?{query}" if query else "")
        clocks = Clocks(connect=seconds, first_event=seconds, idle=seconds, total=seconds)
        try:
            response = await self._pool(origin).request(
                method, target, headers=list(headers.items()), body=body, clocks=clocks
            )
        except ValueError:
            raise TargetFault(Fault.MALFORMED, "a request that cannot be sent") from None
        async with response:
            return Reply(response.status, dict(response.headers), await response.read(limit))

    def _pool(self, origin: Origin) -> Pool:
        pool = self._pools.get(origin)
        if pool is None:
            headers = {"user-agent": f"sampan/{__version__}", "accept-encoding": "identity"}
            pool = self._pools[origin] = Pool(
                origin,
                ssl_context=self._context if origin.secure else None,
                proxy=self._proxy,
                headers=headers,
                max_connections=CONNECTIONS,
                egress=self._egress,
            )
        return pool

    async def aclose(self) -> None:
        """Lets go of every connection."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.aclose()
