"""What stands at the door: TLS with one's own certificate, pages of other origins, proxies that are believed."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sampan.config.declare import setting
from sampan.config.reading import Source

ANY_ORIGIN = "*"
METHODS = ["GET", "HEAD", "POST", "PATCH", "DELETE"]
_ORIGIN = re.compile(r"https?://([a-z0-9_.-]{1,253}|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")


@dataclass(frozen=True, slots=True)
class TlsSettings:
    certificate: str = setting(
        "", "PEM file: one's own certificate, then those between it and the root. Empty: plain HTTP."
    )
    key: str = setting("", "PEM file of its private key, without a passphrase.")
    client_ca: str = setting(
        "", "PEM file of authorities: only callers that show a certificate of theirs are let in. Empty: anybody."
    )
    handshake: float = setting(10.0, "Seconds that a caller has to agree on TLS.", minimum=0.05)
    hsts: int = setting(31_536_000, "Seconds that a browser shall come by https only; 0 does not ask it to.", minimum=0)


@dataclass(frozen=True, slots=True)
class CorsSettings:
    origins: list[str] = setting(
        [], "Origins whose pages may ask us, such as `https://app.example.org`; `*` is any. None: CORS is off."
    )
    methods: list[str] = setting([], "Methods that they may use. None: GET, HEAD, POST, PATCH and DELETE.")
    headers: list[str] = setting([], "Headers that they may send. None: those that a browser asks for.")
    credentials: bool = setting(False, "Whether browsers may send cookies along; never with `*`.")
    max_age: int = setting(600, "Seconds that a browser may remember what it was allowed.", minimum=0)


def check_edge(tls: TlsSettings, cors: CorsSettings, trusted: Sequence[str], source: Source) -> None:
    """What no single value can know. Raises `ConfigError`."""
    for name, other in (("certificate", "key"), ("key", "certificate"), ("client_ca", "certificate")):
        if getattr(tls, name) and not getattr(tls, other):
            raise source.error(("tls", name), f"needs `{other}` beside it")
        if getattr(tls, name) and not Path(getattr(tls, name)).is_file():
            raise source.error(("tls", name), "there is no such file")
    for origin in cors.origins:
        if origin != ANY_ORIGIN and not _ORIGIN.fullmatch(origin):
            said = f"{origin!r} is no origin: scheme, host and perhaps a port in lower case, such as https://a.example"
            raise source.error(("cors", "origins"), said)
    if cors.credentials and ANY_ORIGIN in cors.origins:
        raise source.error(("cors", "credentials"), "cannot be true where `origins` has `*`: name the origins")
    for name in ("methods", "headers"):
        for value in getattr(cors, name):
            if not _TOKEN.fullmatch(value):
                raise source.error(("cors", name), f"{value!r} is no name of a {name[:-1]}")
    for network in trusted:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise source.error(("server", "trusted_proxies"), f"{error}; such as 10.0.0.0/8") from None
