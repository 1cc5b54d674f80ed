"""A client of the Redis that the gateways share, and what is said of it when it is away."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sampan.errors import ConfigError


def client_of(url: str, timeout: float | None, connect: float) -> Redis:
    """`url` is `redis://[user:password@]host[:port][/db]`; an exchange may take `timeout` seconds, None for ever.

    Never tries again by itself: whoever asks knows better when.
    """
    parts = urlsplit(url)
    return Redis(
        host=parts.hostname or "localhost",
        port=parts.port or 6379,
        db=int(parts.path.strip("/") or 0),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        socket_timeout=timeout,
        socket_connect_timeout=connect,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


def server_of(url: str) -> str:
    """Host and port, without the password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 6379}"


def lost(server: str, timeout: float, error: Exception) -> ConfigError:
    """Names the server and the reason; neither has the password in it."""
    reason = f"no answer within {timeout:g} s" if isinstance(error, TimeoutError) else str(error)
    return ConfigError(f"Redis at {server} cannot be used: {reason or type(error).__name__}")
