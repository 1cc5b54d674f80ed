"""The settings of policy and residency: who may ask what, and what may not leave the house."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network

from sampan.config.declare import required, setting
from sampan.config.quota import read_zone
from sampan.config.reading import Source
from sampan.core import Dialect, Operation


class Effect(StrEnum):
    """What a rule says of the calls that it concerns."""

    ALLOW = "allow"
    DENY = "deny"
    LOCAL = "local"
    MASK = "mask"


class Action(StrEnum):
    """What is done where something is detected."""

    LOCAL = "local"
    MASK = "mask"
    DENY = "deny"
    NOTE = "note"


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DETECTED = ("resident_id", "passport", "bank_card", "mobile", "credit_code", "record_number", "medical")
_HOURS = re.compile(
    r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])|([01][0-9]|2[0-3]):([0-5][0-9])-24:00"
)


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """One rule. It concerns a call if all of its conditions hold; one that is not set holds.

    In each list are names, or patterns with * and ?; with `!` before it, what must not be.
    """

    name: str = required("Its name, in answers, records and verbs.")
    effect: Effect = required(
        "`allow`, `deny`, `local` (may not leave) or `mask` (identifiers are masked if it leaves)."
    )
    departments: list[str] = setting([], "Departments that it concerns.")
    roles: list[str] = setting([], "Roles that it concerns.")
    users: list[str] = setting([], "Users that it concerns.")
    keys: list[str] = setting([], "Keys that it concerns, by id or name.")
    models: list[str] = setting([], "Models as callers name them.")
    operations: list[Operation] = setting([], "Operations that it concerns.")
    dialects: list[Dialect] = setting([], "Wire formats that it concerns.")
    tools: list[str] = setting([], "Calls that offer such a tool, by its name or type.")
    collections: list[str] = setting([], "Calls that name such a collection in `x-sampan-collection`.")
    over_megapixels: float | None = setting(
        None,
        "Calls for pictures of more megapixels than this, each. `auto` counts as the largest it may become.",
        minimum=0,
    )
    over_pictures: int | None = setting(None, "Calls for more pictures than this.", minimum=0)
    over_tokens: int | None = setting(
        None, "Calls whose answer may have more tokens than this, or that name no longest answer.", minimum=0
    )
    hours: list[str] = setting([], "Times of the day, such as `08:00-18:00`; `22:00-06:00` ends on the day after.")
    days: list[str] = setting([], "Days of the week on which those hours begin: `mon`, `tue` and so on.")
    time_zone: str = setting("", "Whose hours and days. Empty: that of `[policy]`.")
    networks: list[str] = setting([], "Networks that the caller asks from, as CIDR.")


@dataclass(frozen=True, slots=True)
class PolicySettings:
    default: str = setting("allow", "What is said of a call that no rule allows: `allow` or `deny`.")
    time_zone: str = setting("Asia/Shanghai", "Whose hours and days rules mean: a name, or `+08:00`.")


@dataclass(frozen=True, slots=True)
class ResidencySettings:
    departments: list[str] = setting([], "Departments whose calls may not leave the house.")
    models: list[str] = setting([], "Models whose calls may not leave, as callers name them.")
    detect: Mapping[str, str] = setting(
        {}, "What is looked for in calls, and then: `local`, `mask`, `deny` or `note`. Empty: nothing."
    )
    at_least: Mapping[str, int] = setting(
        {}, "How many different ones of a kind must be in a call. Default 1; 2 of `medical` words."
    )
    medical_words: list[str] = setting([], "Further words of medical records.")
    pictures: bool = setting(
        True, "Read the text of pictures too; one that cannot be read keeps its call in the house."
    )
    inline: int = setting(
        65536, "Largest body in bytes that is looked through at once; a larger one in a thread.", minimum=1024
    )
    most_pictures: int = setting(20, "Pictures and pages that are read for one call; one with more stays.", minimum=0)
    seconds: float = setting(
        30.0, "Seconds that reading one call's pictures may take; it stays after that.", minimum=0.1
    )


def rule_mistake(rule: RuleSettings) -> tuple[str, str] | None:
    """The field that is wrong with a rule, and why; None where nothing is."""
    if not rule.name.strip() or rule.name != rule.name.strip() or len(rule.name) > 64 or not rule.name.isprintable():
        return "name", "has 1 to 64 printable signs, and no blanks around"
    if "/" in rule.name:
        return "name", "has no `/`"
    for name in ("departments", "roles", "users", "keys", "models", "tools", "collections"):
        for pattern in getattr(rule, name):
            if not pattern.removeprefix("!") or len(pattern) > 200:
                return name, "each is a name or a pattern of 1 to 200 signs"
    for text in rule.networks:
        try:
            ip_network(text.removeprefix("!"))
        except ValueError:
            return "networks", f"{text!r} is no network such as 10.0.0.0/8"
    for text in rule.hours:
        if not _HOURS.fullmatch(text) or text[:5] == text[6:]:
            return "hours", f"{text!r} is no span such as 08:00-18:00"
    for day in rule.days:
        if day not in DAYS:
            return "days", f"{day!r} is not one of {', '.join(DAYS)}"
    return _zone_mistake(rule.time_zone)


def _zone_mistake(zone: str) -> tuple[str, str] | None:
    try:
        read_zone(zone or "UTC")
    except ValueError as error:
        return "time_zone", str(error)
    return None


def check_policy(
    rules: Sequence[RuleSettings], policy: PolicySettings, residency: ResidencySettings, source: Source
) -> None:
    """What no single value can know. Raises `ConfigError` with the line."""
    seen: set[str] = set()
    for index, rule in enumerate(rules):
        path = ("rules", str(index))
        if mistake := rule_mistake(rule):
            raise source.error((*path, mistake[0]), mistake[1])
        if rule.name in seen:
            raise source.error((*path, "name"), f"there are two rules {rule.name!r}")
        seen.add(rule.name)
    if policy.default not in ("allow", "deny"):
        raise source.error(("policy", "default"), "must be `allow` or `deny`")
    if mistake := _zone_mistake(policy.time_zone):
        raise source.error(("policy", "time_zone"), mistake[1])
    for kind, action in residency.detect.items():
        if kind not in DETECTED:
            raise source.error(("residency", "detect", kind), f"is not one of {', '.join(DETECTED)}")
        if action not in (*Action,):
            raise source.error(("residency", "detect", kind), f"must be one of {', '.join(Action)}")
        if kind == "medical" and action == Action.MASK:
            raise source.error(("residency", "detect", kind), "words cannot be masked: `local`, `deny` or `note`")
    for kind, least in residency.at_least.items():
        if kind not in DETECTED or least < 1:
            raise source.error(("residency", "at_least", kind), "must name a kind, and 1 or more")
