"""Where engines listen: ports that are held for them before they run, and servers that run already."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from sampan.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Address:
    """Where an engine listens; `held` is the socket that keeps the port, where the system has a way to."""

    host: str
    port: int
    held: socket.socket | None

    @property
    def listen(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def put_into(self, text: str) -> str:
        """A part of a command with the address filled in; other braces are the command's own."""
        for name, value in (("{listen}", self.listen), ("{host}", self.host), ("{port}", str(self.port))):
            text = text.replace(name, value)
        return text


def reach(url: str) -> Address:
    """The address of a server that somebody else runs. Raises `ConfigError` for what is no http:// URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or port == 0 or parts.scheme != "http":
        raise ConfigError(f"an engine's url {url!r} is no http://HOST:PORT")
    return Address(host, port or 80, None)


def reserve(listen: str, *, others: bool = False) -> Address:
    """Takes a port and holds it without listening. Raises `ConfigError` for a wrong or taken address.

    `others`: for a program that knows nothing of SO_REUSEPORT, or runs as another user. It gets in beside the socket
    that holds the port where it sets SO_REUSEADDR, as servers do; a port that was named is not held for it at all.
    """
    host, colon, digits = (listen or "127.0.0.1:0").rpartition(":")
    host = host.strip("[]")
    if not (colon and host and digits.isascii() and digits.isdigit() and int(digits) < 65536):
        raise ConfigError(f"an engine's listen {listen!r} is no HOST:PORT")
    held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    shared = hasattr(socket, "SO_REUSEPORT")
    try:
        if int(digits):
            # Somebody of the same user who also shares the port would not be noticed below: two engines on one port.
            _refuse_taken(host, int(digits))
        if others:  # Linux lets two with SO_REUSEADDR have a port of which one listens at the most
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:  # ours without SO_REUSEADDR, or the trial of another supervisor would succeed beside this socket
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((host, int(digits)))
    except OSError as error:
        held.close()
        raise ConfigError(f"an engine cannot listen on {listen}: {error.strerror}") from None
    port = held.getsockname()[1]
    if shared and not (others and int(digits)):
        return Address(host, port, held)
    held.close()
    return Address(host, port, None)


def _refuse_taken(host: str, port: int) -> None:
    """Raises `OSError` where the port is in use."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind((host, port))
