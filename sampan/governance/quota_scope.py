"""Limits made ready to be asked: whom one concerns, and which pot a call of theirs spends."""

from __future__ import annotations

import hashlib
import math
from fnmatch import fnmatchcase

from sampan.config.quota import LimitSettings, Measure
from sampan.core import Actor, Operation

EACH = "*"
LONG = 100  # characters of a name in a pot; a longer one, which callers may invent, is told by its digest
MILLIONTHS = frozenset({Measure.MEGAPIXELS, Measure.ENGINE_SECONDS, Measure.MONEY})
SCOPES = ("department", "role", "user", "key", "model", "operation")


def units(what: Measure) -> int:
    """How many of the whole numbers that pots hold make one of what people say."""
    return 1_000_000 if what in MILLIONTHS else 1


class Limit:
    """One limit in force; `stored` where it came from outside the configuration.

    `meter` is what its pots are kept under: its name, what it counts, and over how long. `most` and `mark`, from which
    on answers warn, are in the units that pots hold.
    """

    __slots__ = ("_scopes", "mark", "meter", "most", "settings", "stored")

    def __init__(self, settings: LimitSettings, *, stored: bool = False) -> None:
        self.settings = settings
        self.stored = stored
        self.meter = f"{settings.name}|{settings.what}|{settings.per}"
        self.most = round(settings.most * units(settings.what))
        self.mark = max(1, math.ceil(self.most * settings.soft))
        scopes = ((name, str(getattr(settings, name))) for name in SCOPES)
        self._scopes = tuple((name, wanted) for name, wanted in scopes if wanted)

    def pot(self, actor: Actor, model: str, operation: Operation) -> str | None:
        """The pot of a call; None where the limit does not concern it. What has no name is `*`'s pot of no name."""
        told = []
        for name, wanted in self._scopes:
            values = _values(name, actor, model, operation)
            if wanted != EACH and not any(_fits(wanted, value) for value in values):
                return None
            told.append(f"{name}={_plain(values[0] if wanted == EACH else wanted)}")
        return ",".join(told)


def _values(name: str, actor: Actor, model: str, operation: Operation) -> tuple[str, ...]:
    if name == "key":
        return actor.key_id, actor.name
    if name == "model":
        return (model,)
    if name == "operation":
        return (operation.value,)
    return (str(getattr(actor, name)),)


def _fits(wanted: str, value: str) -> bool:
    if "*" not in wanted and "?" not in wanted:
        return wanted == value
    return fnmatchcase(value, wanted.replace("[", "[[]"))  # fnmatch would read a class of characters


def _plain(value: str) -> str:
    """A name that cannot be taken for two, nor break a line or a key."""
    if len(value) > LONG:
        value = value[:LONG] + "~" + hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()[:16]
    value = value.encode("utf-8", "replace").decode()
    for sign in "%,=|":
        value = value.replace(sign, f"%{ord(sign):02X}")
    return "".join(sign if sign.isprintable() else f"%{ord(sign):02X}" for sign in value)
