"""Who may ask what: rules compiled once, those that concern an actor picked once, and a verdict that names its rule.

Words: a rule *concerns* a call if all of its conditions hold. Of the rules that concern a call one `deny` forbids it,
whatever else says; where the default is `deny`, one `allow` must let it; `local` and `mask` add up, and nothing takes
them back. So another `deny` never allows more, and another `local` never lets anything out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from sampan.config.policy import Effect, RuleSettings, rule_mistake
from sampan.config.reading import Source, TableReader
from sampan.core import Actor, Call, Incoming
from sampan.errors import ConfigError, Forbidden, InvalidRequest
from sampan.governance.conditions import Condition, Facts, Stage, conditions_of

PREFIX = "policy:"
ACTORS = 4096
"""Actors whose rules are kept picked; one more lets all be picked again."""

MODELS = 64
"""The same for one actor's models; callers invent names."""

_LONGEST_NAME = 200  # characters of a model's name that is worth keeping
_NOBODY = Incoming("POST", "", "", {}, b"")
_NO_CALL: Any = None  # where conditions that look at the actor alone are asked
_DEFAULT = "no rule allows it, and what no rule allows is forbidden here; ask those who govern this gateway for a rule"


class Rule(msgspec.Struct, frozen=True):
    """One rule, compiled; `stored`: it comes from the database, not from the configuration."""

    settings: RuleSettings
    conditions: tuple[Condition, ...]
    stored: bool = False

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def effect(self) -> Effect:
        return self.settings.effect

    def misses(self, facts: Facts) -> Condition | None:
        """The first condition that does not hold; None where the rule concerns the call."""
        return next((each for each in self.conditions if not each.holds(facts)), None)

    def refusal(self, facts: Facts) -> str:
        """What a caller is told. It holds nothing of whom else the rule speaks."""
        ways = [each.advice(facts) for each in self.conditions if each.advice is not None]
        return f"rule {self.name!r} forbids this call; {' or '.join(ways) or 'ask those who govern this gateway'}"


class Denied(Forbidden):
    """A call that a rule forbids; `rule` is its name."""

    def __init__(self, message: str, rule: str) -> None:
        super().__init__(message)
        self.rule = rule


class Verdict(msgspec.Struct, frozen=True):
    """What rules say together: `refusal` is what a caller is told of a call that is forbidden, empty where it is not.

    `rule` decided; `confined` and `masked` name the rules that say so.
    """

    rule: str = ""
    refusal: str = ""
    confined: str = ""
    masked: str = ""


NOTHING = Verdict()


def decide(concerned: Iterable[Rule], facts: Facts, default: str) -> Verdict:
    """The verdict of the rules that concern a call, in whatever order they come."""
    named: dict[Effect, Rule] = {}
    for rule in concerned:
        found = named.get(rule.effect)
        if found is None or rule.name < found.name:
            named[rule.effect] = rule
    if not named and default == "allow":
        return NOTHING
    deny, allow = named.get(Effect.DENY), named.get(Effect.ALLOW)
    if deny is not None:
        return Verdict(PREFIX + deny.name, deny.refusal(facts))
    if allow is None and default == "deny":
        return Verdict(PREFIX + "default", _DEFAULT)
    local, mask = named.get(Effect.LOCAL), named.get(Effect.MASK)
    decided = local or mask or allow
    return Verdict(
        PREFIX + decided.name if decided else "",
        confined=PREFIX + local.name if local else "",
        masked=PREFIX + mask.name if mask else "",
    )


class Case(msgspec.Struct, frozen=True):
    """The rules for one actor, model, operation and dialect: those that concern every such call, and those that may."""

    certain: tuple[Rule, ...]
    open: tuple[tuple[Rule, tuple[Condition, ...]], ...]
    settled: Verdict | None
    """The verdict, where no rule looks at the call itself and none forbids it."""


class Standing:
    """The rules that may concern one actor, sorted by what they still have to look at."""

    __slots__ = ("_cases", "_default", "actor", "idle", "rules")

    def __init__(self, actor: Actor, rules: Sequence[Rule], default: str) -> None:
        self.actor = actor
        self._default = default
        self.rules = tuple(rule for rule in rules if _concerns(rule, actor))
        self.idle = not self.rules and default == "allow"
        self._cases: dict[tuple[str, int, int], Case] = {}

    def judge(self, call: Call, incoming: Incoming, now: float) -> Verdict:
        """The verdict about one call. Raises `InvalidRequest` where a rule looks at a body that cannot be read."""
        if self.idle:
            return NOTHING
        # Of operation and dialect there is one object each; to hash one takes 0.4 µs.
        key = (call.model, id(call.operation), id(call.dialect))
        case = self._cases.get(key)
        if case is None:
            case = self._sort(call)
            if len(call.model) <= _LONGEST_NAME:
                if len(self._cases) >= MODELS:
                    self._cases.clear()
                self._cases[key] = case
        if case.settled is not None:
            return case.settled
        facts = Facts(call, self.actor, incoming, now)
        concerned = list(case.certain)
        for rule, conditions in case.open:
            for condition in conditions:
                if not condition.holds(facts):
                    break
            else:
                concerned.append(rule)
        return decide(concerned, facts, self._default)

    def _sort(self, call: Call) -> Case:
        facts = Facts(call, self.actor, _NOBODY, 0.0)
        certain: list[Rule] = []
        open_: list[tuple[Rule, tuple[Condition, ...]]] = []
        for rule in self.rules:
            if all(each.holds(facts) for each in rule.conditions if each.stage is Stage.KIND):
                left = tuple(each for each in rule.conditions if each.stage is Stage.CALL)
                if left:
                    open_.append((rule, left))
                else:
                    certain.append(rule)
        settled = None
        if not open_:
            verdict = decide(certain, facts, self._default)
            settled = verdict if not verdict.refusal else None
        return Case(tuple(certain), tuple(open_), settled)


class Policy:
    """All rules in force; a new one is made whenever they change."""

    def __init__(self, rules: Sequence[Rule] = (), default: str = "allow") -> None:
        self.rules = tuple(rules)
        self.default = default
        self._standings: dict[str, Standing] = {}

    def standing(self, actor: Actor) -> Standing:
        """The rules that may concern an actor; picked once."""
        found = self._standings.get(actor.key_id)
        if found is None or (found.actor is not actor and found.actor != actor):
            if len(self._standings) >= ACTORS:
                self._standings.clear()
            found = self._standings[actor.key_id] = Standing(actor, self.rules, self.default)
        return found

    def explain(self, facts: Facts) -> tuple[Verdict, list[tuple[Rule, Condition | None]]]:
        """The verdict from all rules, one by one, and of each the condition that does not hold."""
        looked = [(rule, rule.misses(facts)) for rule in self.rules]
        return decide((rule for rule, missed in looked if missed is None), facts, self.default), looked


def _concerns(rule: Rule, actor: Actor) -> bool:
    facts = Facts(_NO_CALL, actor, _NOBODY, 0.0)
    return all(each.holds(facts) for each in rule.conditions if each.stage is Stage.ACTOR)


def compile_rule(settings: RuleSettings, zone: str, *, stored: bool = False) -> Rule:
    """`zone` is whose hours are meant where a rule does not say."""
    return Rule(settings, conditions_of(settings, zone), stored)


def read_rule(name: str, body: Mapping[str, Any]) -> RuleSettings:
    """A rule as it is stored or sent, without its name. Raises `InvalidRequest` naming the field."""
    try:
        rule = TableReader(Source("", "rule"), {}).table(RuleSettings, {**body, "name": name}, ())
    except ConfigError as error:
        message = str(error).removeprefix("rule: ").lstrip(": ")
        raise InvalidRequest(message, param=message.partition(":")[0]) from None
    mistake = rule_mistake(rule)
    if mistake is not None:
        raise InvalidRequest(f"{mistake[0]}: {mistake[1]}", param=mistake[0])
    return rule


def tell_rule(rule: RuleSettings) -> dict[str, Any]:
    """A rule as JSON, without what is not set."""
    told: dict[str, Any] = msgspec.to_builtins(rule)
    return {name: value for name, value in told.items() if value not in (None, [], "")}


def body_of(rule: RuleSettings) -> dict[str, Any]:
    """A rule as it is stored."""
    body = tell_rule(rule)
    del body["name"]
    return body
