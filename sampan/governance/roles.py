"""Roles: names for what is allowed. Four are built in; others stand in the configuration or were decreed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sampan.core import Permission

BUILT_IN: Mapping[str, frozenset[Permission]] = {
    "admin": frozenset(Permission),
    "operator": frozenset({Permission.CALL, Permission.OPERATE}),
    "auditor": frozenset({Permission.AUDIT}),
    "member": frozenset({Permission.CALL}),
}
NOTHING: frozenset[Permission] = frozenset()


def union(
    configured: Mapping[str, Collection[Permission]], stored: Iterable[tuple[str, Mapping[str, Any]]]
) -> dict[str, frozenset[Permission]]:
    """All roles with what they allow. What is built in stays as it is, and so does what the configuration says.

    A stored role is `{"permissions": ["call", …]}`; of what a newer program wrote there only the known is in force.
    """
    roles = {name: read_permissions(body) for name, body in stored}
    roles |= {name: frozenset(permissions) for name, permissions in configured.items()}
    return {**roles, **BUILT_IN}


def read_permissions(body: Mapping[str, Any]) -> frozenset[Permission]:
    """The permissions in a stored role."""
    said = body.get("permissions")
    if not isinstance(said, list):
        return NOTHING
    known = {each.value: each for each in Permission}
    return frozenset(known[each] for each in said if isinstance(each, str) and each in known)
