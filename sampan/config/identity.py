"""`[identity]` and `[roles]`: whose tokens are believed, how people sign in to the console, and roles of one's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sampan.config.declare import required, setting
from sampan.config.reading import Source
from sampan.core import Permission

BUILT_IN_ROLES = ("admin", "operator", "auditor", "member")
SHARED = {"HS256": 32, "HS384": 48, "HS512": 64}
"""Algorithms with a shared key, and the bytes that it has at least (RFC 7518, 3.2)."""

PUBLIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
DEFAULT_PUBLIC = ("RS256", "ES256", "EdDSA")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """Somebody whose tokens are believed."""

    issuer: str = required("What `iss` of its tokens is: for OpenID Connect its URL.")
    audience: str = required("What `aud` of its tokens must hold: we.")
    jwks: str = setting("", "Its public keys: an https URL or a file. Empty, without `key`: as its discovery says.")
    key: str = setting("", "Key shared with it, instead of `jwks`; at least 32 bytes.")
    algorithms: list[str] = setting(
        [], "Algorithms it may sign with. Default RS256, ES256 and EdDSA; HS256 where there is a `key`."
    )
    leeway: float = setting(30.0, "Seconds that its clock may be wrong.", minimum=0)
    refresh: float = setting(300.0, "Seconds after which its public keys are read again.", minimum=1)
    name: str = setting("preferred_username", "Claim that holds the user's name; a dotted path. Without it: `sub`.")
    prefix: str = setting("", "Put before its users' names, so that they are not those of another issuer.")
    department: str = setting("", "Claim that holds the department, or groups; a dotted path.")
    departments: Mapping[str, str] = setting(
        {}, "Departments by values of that claim, the first that fits. Empty: the claim is the department."
    )
    role: str = setting("", "Claim that holds the role, or groups; a dotted path.")
    roles: Mapping[str, str] = setting(
        {}, "Roles by values of that claim, the first that fits. Empty: the claim is the role."
    )
    default_role: str = setting("member", "Role where neither the token nor our list of users says one; empty: none.")

    @property
    def allowed(self) -> tuple[str, ...]:
        """The algorithms in force."""
        return tuple(self.algorithms) or (("HS256",) if self.key else DEFAULT_PUBLIC)


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """How people sign in."""

    issuer: str = setting("", "Which of the issuers people sign in with. Empty: with their API keys only.")
    client_id: str = setting("", "Our name there.")
    client_secret: str = setting("", "Our secret there, if it gave us one.")
    scopes: list[str] = setting([], "What is asked for. Default `openid`, `profile` and `email`.")
    hours: float = setting(12.0, "Hours that a sign-in lasts.", minimum=0.01)


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """Who is believed, and how."""

    issuers: list[IssuerSettings] = setting([], "Those whose tokens (JWT) are taken in the place of keys.")
    console: ConsoleSettings = setting(ConsoleSettings(), "How people sign in with a browser.")


@dataclass(frozen=True, slots=True)
class RoleSettings:
    """A role of one's own."""

    permissions: list[Permission] = required("What it allows.")


def check_identity(identity: IdentitySettings, roles: Mapping[str, RoleSettings], source: Source) -> None:
    """What no single value can know. Raises `ConfigError`."""
    seen: set[str] = set()
    for index, issuer in enumerate(identity.issuers):
        path = ("identity", "issuers", str(index))
        if issuer.issuer in seen or not issuer.issuer.strip():
            raise source.error((*path, "issuer"), "each issuer has a name, and stands here once")
        seen.add(issuer.issuer)
        if not issuer.audience.strip():
            raise source.error((*path, "audience"), "a token for anybody is none for us: say what `aud` must hold")
        _check_issuer(issuer, path, source)
    console = identity.console
    if console.issuer and console.issuer not in seen:
        raise source.error(("identity", "console", "issuer"), "there is no such issuer in `[[identity.issuers]]`")
    if console.issuer and not console.client_id:
        raise source.error(("identity", "console"), "needs `client_id`: our name at the issuer")
    if console.issuer and not is_safe_url(console.issuer):
        raise source.error(("identity", "console", "issuer"), "people sign in at an https URL")
    for name in roles:
        if name in BUILT_IN_ROLES:
            raise source.error(("roles", name), f"is built in, and means what it means: {', '.join(BUILT_IN_ROLES)}")
        if not re.fullmatch(r"[^\s/](?:[^/\n\r\t]{0,98}[^\s/])?", name) or not name.isprintable():
            raise source.error(("roles", name), "a role's name has 1 to 100 printable characters, no `/`")


def _check_issuer(issuer: IssuerSettings, path: tuple[str, ...], source: Source) -> None:
    if issuer.key and issuer.jwks:
        raise source.error(path, "has a `key` or `jwks`, not both: a public key must never be taken for a shared one")
    kind = tuple(SHARED) if issuer.key else PUBLIC
    for algorithm in issuer.allowed:
        if algorithm not in kind:
            other = "a shared `key`" if issuer.key else "public keys"
            raise source.error((*path, "algorithms"), f"{algorithm!r} is none with {other}: {', '.join(kind)}")
    if issuer.key:  # its value is never shown
        least = max(SHARED[algorithm] for algorithm in issuer.allowed)
        if len(issuer.key.encode()) < least:
            raise source.error((*path, "key"), f"has fewer than {least} bytes: it could be guessed")
        if re.match(r"-----BEGIN|ssh-|ecdsa-", issuer.key.lstrip()):
            raise source.error((*path, "key"), "is a public key: name it in `jwks`, for everybody knows it")
    elif issuer.jwks and "://" not in issuer.jwks:
        if not Path(issuer.jwks).is_file():
            raise source.error((*path, "jwks"), "there is no such file")
    elif not is_safe_url(issuer.jwks or issuer.issuer):
        raise source.error((*path, "jwks"), "must be an https URL, or a file: who can change the keys can be anybody")


def is_safe_url(url: str) -> bool:
    """Whether what comes from there is what was sent: https, or this machine."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    # urlsplit overlooks line ends, and these URLs stand in headers.
    if not parts.hostname or port == 0 or not re.fullmatch(r"[!-~]+", url):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
