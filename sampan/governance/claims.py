"""What a token says about somebody, as its issuer's settings say it is to be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.config.identity import IssuerSettings
from sampan.storage.people import MAX_NAME
from sampan.storage.sessions import Subject, key_id

MAX_DEPTH = 8


def subject_of(settings: IssuerSettings, claims: Mapping[str, Any]) -> Subject:
    """Who it is; `claims` have been verified, `sub` among them."""
    names = _texts(find(claims, settings.name)) or _texts(claims["sub"])
    name = names[0] if names else key_id(settings.issuer, str(claims["sub"]))
    return Subject(
        issuer=settings.issuer,
        subject=claims["sub"],
        name=settings.prefix + name,
        department=_mapped(claims, settings.department, settings.departments),
        role=_mapped(claims, settings.role, settings.roles),
        default_role=settings.default_role,
    )


def find(claims: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, or None. A claim whose own name has dots (`https://example.org/groups`) is found."""
    for _ in range(MAX_DEPTH):
        if not path:
            return None
        if path in claims:
            return claims[path]
        first, _, path = path.partition(".")
        inner = claims.get(first)
        if not isinstance(inner, dict):
            return None
        claims = inner
    return None


def _mapped(claims: Mapping[str, Any], path: str, table: Mapping[str, str]) -> str:
    """What the claim means: by the order of the table, for groups in a token have none."""
    values = _texts(find(claims, path))
    if table:
        return next((meaning for value, meaning in table.items() if value in values), "")
    return values[0] if values else ""


def _texts(value: Any) -> list[str]:
    """The texts in a claim that can be names here: one, or a list."""
    texts = value if isinstance(value, list) else [value]
    return [each for each in texts if isinstance(each, str) and _is_name(each)]


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MAX_NAME and text.isprintable() and text == text.strip()
