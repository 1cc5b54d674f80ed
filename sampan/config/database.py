"""`[storage] database`: `sqlite`, or the URL of a PostgreSQL server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from sampan.config.reading import Source

SQLITE = "sqlite"
SSL_MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
EXAMPLE = "postgresql://user:password@host:5432/name"


@dataclass(frozen=True, slots=True)
class Server:
    """Where a PostgreSQL server is, which database of it is ours, and how it is spoken to. Never shows the password.

    `sslmode` means what it means to libpq; `sslrootcert` is a file of certificates to trust instead of the system's.
    """

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)
    sslmode: str = "prefer"
    sslrootcert: str = ""

    @property
    def place(self) -> str:
        """`host:port/name`, for people."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}/{self.name}"


def read_database(text: str) -> Server | None:
    """The server that the setting names; None for SQLite. Raises `ValueError` that says what is wrong, but no value."""
    if text == SQLITE:
        return None
    form = f"must be `{SQLITE}`, or a URL such as {EXAMPLE}"
    try:
        parts = urlsplit(text)
        port = parts.port or 5432
    except ValueError:
        raise ValueError(f"{form}; a password with signs such as / : @ # ? needs them percent-encoded") from None
    name = unquote(parts.path[1:])
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or not name or "/" in name:
        raise ValueError(form)
    if not parts.username:
        raise ValueError(f"{form}; it names no user")
    if parts.fragment:
        raise ValueError(f"{form}; a # in the password is written %23")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    mode, root = options.pop("sslmode", "prefer"), options.pop("sslrootcert", "")
    if options:
        raise ValueError(f"knows the options sslmode and sslrootcert, not {', '.join(sorted(options))}")
    if mode not in SSL_MODES:
        raise ValueError(f"sslmode must be one of {', '.join(SSL_MODES)}")
    user, password = unquote(parts.username), unquote(parts.password or "")
    if "\0" in user + password + name:
        raise ValueError(form)
    return Server(parts.hostname, port, name, user, password, mode, root)


def check_database(text: str, source: Source) -> None:
    """Raises `ConfigError` with the line where it cannot be used; the value is not shown: there is a password in it."""
    try:
        server = read_database(text)
    except ValueError as error:
        raise source.error(("storage", "database"), str(error)) from None
    if server is not None and server.sslrootcert and not Path(server.sslrootcert).is_file():
        raise source.error(("storage", "database"), f"there is no file {server.sslrootcert} (sslrootcert)")
