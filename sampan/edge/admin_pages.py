"""What the pages below `/admin/v1/` have in common: JSON in and out, lists cut in pages, and who may ask."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from sampan.core import Actor, Answer, Incoming, Permission
from sampan.edge.paging import JSON, limit_of, query_of
from sampan.errors import Forbidden, InvalidRequest, NotFound

T = TypeVar("T")
DEFAULT_PAGE, LONGEST_PAGE = 50, 200
LAST_TIME = 253_370_764_800
"""The beginning of 9999 in Unix seconds: no calendar that a time is written by goes much further."""

_WHERE = re.compile(r"(.*) - at `\$\.?(.*)`")


def require(actor: Actor, permission: Permission) -> None:
    """Raises `Forbidden` that names the permission."""
    if permission not in actor.permissions:
        raise Forbidden(f"This needs the permission `{permission}`, which the role {actor.role!r} does not give.")


def read(incoming: Incoming, kind: type[T]) -> T:
    """The body as a value of this type; an empty one is an empty object. Raises `InvalidRequest` naming the field."""
    try:
        return msgspec.json.decode(incoming.body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        found = _WHERE.fullmatch(str(error))
        where = found[2] if found else ""
        message = f"{where}: {found[1]}" if found and where else str(error).partition(" - at")[0]
        raise InvalidRequest(message[:300], param=where or None) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("the body must be a JSON object") from None


def changes(patch: msgspec.Struct) -> dict[str, Any]:
    """The fields of a PATCH that were sent. Raises `InvalidRequest` where there is none."""
    sent = {name: value for name, value in msgspec.structs.asdict(patch).items() if value is not msgspec.UNSET}
    if not sent:
        raise InvalidRequest(f"nothing to change; known here: {', '.join(patch.__struct_fields__)}")
    return sent


def check_time(name: str, seconds: float | None) -> None:
    """Raises `InvalidRequest` for what nobody could write as a date."""
    if seconds is not None and not 0 <= seconds <= LAST_TIME:
        raise InvalidRequest(f"{name}: must be Unix seconds, 0 to {LAST_TIME:,}", param=name)


def check_place(incoming: Incoming) -> None:
    """Raises `NotFound` for a path that nothing is called by: a NUL byte in it would upset some databases.

    What is PUT gets a name, and hears what is wrong with it.
    """
    if incoming.method != "PUT" and not incoming.path.isprintable():
        raise NotFound(f"there is nothing at {incoming.path[:200]!a}")


def reply(value: Any, status: int = 200) -> Answer:
    """A JSON answer."""
    return Answer(status, (JSON,), msgspec.json.encode(value))


def page(
    incoming: Incoming,
    items: Sequence[T],
    name: Callable[[T], str],
    shape: Callable[[T], Any],
    besides: Mapping[str, Any] | None = None,
) -> Answer:
    """One page of a list that is in order: `?limit=` of them after the one that `?after=` names.

    `besides` is what is told of the list as a whole.
    """
    query = query_of(incoming)
    limit = limit_of(query, DEFAULT_PAGE, LONGEST_PAGE)
    begin = 0
    if after := query.get("after", ""):
        begin = next((index + 1 for index, each in enumerate(items) if name(each) == after), -1)
        if begin < 0:
            raise InvalidRequest(f"after: there is no {after[:100]!r} in this list", param="after")
    cut = items[begin : begin + limit]
    told = {"data": [shape(each) for each in cut], "has_more": begin + limit < len(items)}
    return reply({**told, **(besides or {})})
