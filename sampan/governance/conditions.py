"""The conditions of a rule, compiled: each is a question about one call, and knows what to say of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from enum import IntEnum
from fnmatch import translate
from typing import NamedTuple

from sampan.config.policy import DAYS, Effect, RuleSettings
from sampan.config.quota import read_zone
from sampan.core import Actor, Call, Incoming, Operation
from sampan.governance.contents import asked_megapixels, offered_tools
from sampan.governance.networks import Networks

COLLECTION = "x-sampan-collection"
_ANSWERING = (Operation.TEXT, Operation.VISION)
_DRAWING = (Operation.GENERATE, Operation.EDIT)
_DAY = 24 * 60


class Facts:
    """What conditions ask about. What costs reading the body is read when it is asked for, once."""

    __slots__ = ("_megapixels", "_tools", "actor", "call", "incoming", "now")

    def __init__(self, call: Call, actor: Actor, incoming: Incoming, now: float) -> None:
        self.call = call
        self.actor = actor
        self.incoming = incoming
        self.now = now
        self._tools: tuple[tuple[str, ...], ...] | None = None
        self._megapixels: float | None = None

    @property
    def tools(self) -> tuple[tuple[str, ...], ...]:
        if self._tools is None:
            self._tools = offered_tools(self.call)
        return self._tools

    @property
    def megapixels(self) -> float:
        if self._megapixels is None:
            self._megapixels = asked_megapixels(self.call)
        return self._megapixels

    @property
    def collections(self) -> tuple[str, ...]:
        named = self.incoming.headers.get(COLLECTION, "")
        return tuple(name.strip() for name in named.split(",") if name.strip())


class Stage(IntEnum):
    """What a condition looks at: the actor; model, operation and dialect; or this very call."""

    ACTOR = 0
    KIND = 1
    CALL = 2


class Condition(NamedTuple):
    """`wanted` says what it wants, for those who govern; `advice` tells a caller how not to meet it."""

    name: str
    stage: Stage
    holds: Callable[[Facts], bool]
    wanted: str
    advice: Callable[[Facts], str] | None = None


class Patterns:
    """Names and patterns with * and ?, of which one must fit; and those with `!`, of which none may."""

    __slots__ = ("_names", "_not", "_patterns")

    def __init__(self, texts: Iterable[str]) -> None:
        texts = list(texts)
        wanted = [text for text in texts if not text.startswith("!")]
        self._names = frozenset(text for text in wanted if not _is_pattern(text))
        self._patterns = [_compile(text) for text in wanted if _is_pattern(text)]
        self._not = [_compile(text[1:]) for text in texts if text.startswith("!")]

    def fit(self, *values: str) -> bool:
        """Whether they fit one who has these names."""
        if any(pattern(value) for pattern in self._not for value in values):
            return False
        if not self._names and not self._patterns:
            return True
        return any(value in self._names or any(pattern(value) for pattern in self._patterns) for value in values)


def _is_pattern(text: str) -> bool:
    return "*" in text or "?" in text


def _compile(text: str) -> Callable[[str], object]:
    return re.compile(translate(text.replace("[", "[[]"))).match  # fnmatch would read a class of characters


class Calendar:
    """The day of the week and the minute of the day in a zone; worked out once a minute."""

    __slots__ = ("_found", "_zone")

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._found = (-1, (0, 0))  # in one piece: an explanation for another time may ask from a thread

    def at(self, now: float) -> tuple[int, int]:
        minute = int(now // 60)
        at, found = self._found
        if minute != at:
            local = datetime.fromtimestamp(now, self._zone)
            found = local.weekday(), local.hour * 60 + local.minute
            self._found = minute, found
        return found


class Spans:
    """Times of the day on days of the week; a span over midnight belongs to the day on which it begins."""

    __slots__ = ("_calendar", "_days", "_spans")

    def __init__(self, hours: Sequence[str], days: Sequence[str], calendar: Calendar) -> None:
        self._calendar = calendar
        self._days = frozenset(DAYS.index(day) for day in days) or frozenset(range(7))
        self._spans = [_span(text) for text in hours] or [(0, _DAY)]

    def hold(self, now: float) -> bool:
        day, minute = self._calendar.at(now)
        before = (day - 1) % 7
        for begin, end in self._spans:
            if begin < end:
                if begin <= minute < end and day in self._days:
                    return True
            elif (minute >= begin and day in self._days) or (minute < end and before in self._days):
                return True
        return False


def _span(text: str) -> tuple[int, int]:
    begin, end = (int(part[:2]) * 60 + int(part[3:]) for part in text.split("-"))
    return begin, end


def conditions_of(rule: RuleSettings, zone: str) -> tuple[Condition, ...]:
    """All that a rule asks; `zone` is whose hours are meant where it does not say."""
    found = [*_who(rule), *_kind(rule), *_size(rule), *_offer(rule)]
    if rule.hours or rule.days:
        zone = rule.time_zone or zone
        spans = Spans(rule.hours, rule.days, Calendar(read_zone(zone)))
        said = f"{', '.join([*rule.hours, *rule.days])} ({zone})"
        found.append(
            Condition("hours", Stage.CALL, lambda facts: spans.hold(facts.now), said, lambda _: f"ask outside {said}")
        )
    if rule.networks:
        found.append(_from(rule))
    return tuple(found)


def _who(rule: RuleSettings) -> Iterator[Condition]:
    asks: tuple[tuple[str, list[str], Callable[[Actor], tuple[str, ...]]], ...] = (
        ("departments", rule.departments, lambda actor: (actor.department,)),
        ("roles", rule.roles, lambda actor: (actor.role,)),
        ("users", rule.users, lambda actor: (actor.user,)),
        ("keys", rule.keys, lambda actor: (actor.key_id, actor.name)),
    )
    for name, texts, names in asks:
        if texts:
            patterns = Patterns(texts)
            yield Condition(name, Stage.ACTOR, _fitting(patterns, names), ", ".join(texts))


def _fitting(patterns: Patterns, names: Callable[[Actor], tuple[str, ...]]) -> Callable[[Facts], bool]:
    return lambda facts: patterns.fit(*names(facts.actor))


def _kind(rule: RuleSettings) -> Iterator[Condition]:
    if rule.models:
        models = Patterns(rule.models)
        yield Condition(
            "models",
            Stage.KIND,
            lambda facts: models.fit(facts.call.model),
            ", ".join(rule.models),
            lambda facts: f"ask another model than {facts.call.model[:100]!r}",
        )
    if rule.operations:
        operations = tuple(rule.operations)
        yield Condition(
            "operations",
            Stage.KIND,
            lambda facts: facts.call.operation in operations,
            ", ".join(operations),
            lambda facts: f"ask for something else than `{facts.call.operation.value}`",
        )
    if rule.dialects:
        dialects = tuple(rule.dialects)
        yield Condition(
            "dialects",
            Stage.KIND,
            lambda facts: facts.call.dialect in dialects,
            ", ".join(dialects),
            lambda facts: f"ask in another wire format than `{facts.call.dialect.value}`",
        )


def _size(rule: RuleSettings) -> Iterator[Condition]:
    over_pictures, over_megapixels, over_tokens = rule.over_pictures, rule.over_megapixels, rule.over_tokens
    if over_pictures is not None:
        most = over_pictures
        yield Condition(
            "over_pictures",
            Stage.CALL,
            lambda facts: facts.call.operation in _DRAWING and max(1, facts.call.pictures) > most,
            f"more than {most}",
            lambda _: f"ask for at most {most} pictures" if most else "ask for no pictures",
        )
    if over_megapixels is not None:
        largest = over_megapixels
        yield Condition(
            "over_megapixels",
            Stage.CALL,
            lambda facts: facts.call.operation in _DRAWING and facts.megapixels > largest,
            f"more than {largest:g}",
            lambda _: f"name a `size` of at most {largest:g} megapixels",
        )
    if over_tokens is not None:
        longest = over_tokens
        yield Condition(
            "over_tokens",
            Stage.CALL,
            # No longest answer named is any length: or leaving it out would be the way around the rule.
            lambda facts: facts.call.operation in _ANSWERING and not 0 < facts.call.answer_tokens <= longest,
            f"more than {longest}, or none named",
            lambda _: f"ask for an answer of at most {longest} tokens",
        )


def _offer(rule: RuleSettings) -> Iterator[Condition]:
    if rule.tools:
        tools = Patterns(rule.tools)
        yield Condition(
            "tools",
            Stage.CALL,
            lambda facts: any(tools.fit(*names) for names in facts.tools),
            ", ".join(rule.tools),
            lambda facts: f"leave out the tool {_first(tools, facts.tools)[:100]!r}",
        )
    if rule.collections:
        collections = Patterns(rule.collections)
        yield Condition(
            "collections",
            Stage.CALL,
            lambda facts: any(collections.fit(name) for name in facts.collections),
            ", ".join(rule.collections),
            lambda facts: "name another collection",
        )


def _first(patterns: Patterns, tools: Sequence[tuple[str, ...]]) -> str:
    return next((names[0] for names in tools if names and patterns.fit(*names)), "")


def _from(rule: RuleSettings) -> Condition:
    """Where nobody knows the address (calls of a batch), what forbids strangers holds; what allows ours does not."""
    inside = Networks([text for text in rule.networks if not text.startswith("!")])
    outside = Networks([text[1:] for text in rule.networks if text.startswith("!")])
    anywhere = all(text.startswith("!") for text in rule.networks)
    allows = rule.effect is Effect.ALLOW

    def holds(facts: Facts) -> bool:
        peer = facts.incoming.peer
        if not peer:
            return anywhere and not allows
        return (anywhere or inside.hold(peer)) and not outside.hold(peer)

    return Condition("networks", Stage.CALL, holds, ", ".join(rule.networks), lambda _: "ask from another network")
