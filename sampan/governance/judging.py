"""Policy and residency as the pipeline asks for them: `core.Judge`, kept fresh, and the same said in detail."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sampan.config.policy import PolicySettings, ResidencySettings, RuleSettings
from sampan.core import Actor, Call, Incoming, Ruling
from sampan.errors import CallError, ConfigError
from sampan.governance.conditions import Facts
from sampan.governance.policy import NOTHING as NO_VERDICT
from sampan.governance.policy import Denied, Policy, Rule, Verdict, compile_rule, read_rule
from sampan.governance.residency import HEADER, PREFIX, UNREAD, Residency, Senses, read_wish
from sampan.storage.statutes import Statutes

KIND = "rule"


@dataclass(frozen=True, slots=True)
class Code:
    """What the configuration says; rules in the database come to it."""

    rules: Sequence[RuleSettings] = ()
    policy: PolicySettings = field(default_factory=PolicySettings)
    residency: ResidencySettings = field(default_factory=ResidencySettings)


class RuleTold(msgspec.Struct, frozen=True):
    """One rule of an explanation: whether it concerns the call, and if not, which condition says so."""

    name: str
    effect: str
    stored: bool
    concerns: bool
    why: str = ""


class Explanation(msgspec.Struct, frozen=True):
    """What is said of a call, and why. `error` is what its caller would be told, empty where it may be asked."""

    rules: tuple[RuleTold, ...]
    allowed: bool
    rule: str
    error: str = ""
    confined: str = ""
    masked: bool = False
    unseen: bool = False


class _Said(msgspec.Struct, frozen=True):
    """A ruling, or the refusal and its rule."""

    rule: str = ""
    refusal: str = ""
    ruling: Ruling | None = None


_NOTHING = _Said()
_NO_SENSES = Senses()


class PolicyJudge:
    """Says who may ask what, and what may leave. A rule that another process stores is in force within `interval`."""

    def __init__(
        self,
        code: Code = Code(),
        statutes: Statutes | None = None,
        senses: Senses = _NO_SENSES,
        clock: Callable[[], float] = time.time,
        *,
        interval: float = 0.5,
    ) -> None:
        """Loads the stored rules, so it blocks. `clock` says what time it is, in Unix seconds. Raises `ConfigError`."""
        self._statutes = statutes
        self._senses = senses
        self._clock = clock
        self._interval = interval
        self._log = logging.getLogger("sampan.policy")
        self._watch = statutes.watch() if statutes is not None else None
        self._version: str | None = None
        self._stored: tuple[RuleSettings, ...] = ()
        self._is_failing = False
        self._code = code
        self._policy = Policy()
        self._idle = False
        self._compiling = threading.Lock()
        self.adopt(code)
        self.refresh()

    # Of calls. No I/O: made for the event loop.

    def judge(self, call: Call, actor: Actor, incoming: Incoming) -> Ruling | None:
        """None where nothing concerns the call. Raises `Denied` naming the rule, `InvalidRequest` for a bad header."""
        if self._idle and not actor.confined and HEADER not in incoming.headers:
            return None
        standing = self._policy.standing(actor)
        stays_free = HEADER not in incoming.headers and not self._residency.concerns(actor)
        if stays_free and standing.idle:
            return None
        verdict = standing.judge(call, incoming, self._clock())
        if stays_free and verdict is NO_VERDICT:
            return None
        said = self._say(verdict, call, actor, incoming)
        if said.refusal:
            raise Denied(said.refusal, said.rule)
        return said.ruling

    async def inspect(self, call: Call, actor: Actor, ruling: Ruling) -> Ruling:
        """The ruling of a call whose pictures, or whose long text, have been looked at. Raises `Denied`."""
        besides = "" if ruling.confined == UNREAD else ruling.confined
        outcome = await self._residency.inspect(call, confined=besides, masked=ruling.masked)
        if outcome.refusal:
            raise Denied(outcome.refusal, outcome.denied)
        if besides:
            return msgspec.structs.replace(ruling, unseen=False)
        masked = ruling.masked or bool(outcome.masked)
        return Ruling(outcome.confined or ruling.rule or outcome.masked or outcome.noted, outcome.confined, masked)

    def explain(self, call: Call, actor: Actor, incoming: Incoming, now: float | None = None) -> Explanation:
        """What `judge` says, rule by rule; `now` is when, in Unix seconds."""
        facts = Facts(call, actor, incoming, self._clock() if now is None else now)
        verdict, looked = self._policy.explain(facts)
        told = tuple(
            RuleTold(
                rule.name,
                rule.effect.value,
                rule.stored,
                missed is None,
                "" if missed is None else f"{missed.name}: {missed.wanted}",
            )
            for rule, missed in looked
        )
        try:
            said = self._say(verdict, call, actor, incoming)
        except CallError as error:
            return Explanation(told, False, "", error.message)
        ruling = said.ruling or Ruling()
        allowed = not said.refusal
        return Explanation(told, allowed, said.rule, said.refusal, ruling.confined, ruling.masked, ruling.unseen)

    def _say(self, verdict: Verdict, call: Call, actor: Actor, incoming: Incoming) -> _Said:
        """The one way from a verdict to a ruling, of calls and of explanations. Raises `InvalidRequest`."""
        if verdict.refusal:
            return _Said(verdict.rule, verdict.refusal)
        demanded = self._residency.demand(call, actor, read_wish(incoming))
        confined = demanded or verdict.confined
        outcome = self._residency.look(call, confined=bool(confined), masked=bool(verdict.masked))
        if outcome.refusal:
            return _Said(outcome.denied, outcome.refusal)
        detected = "" if outcome.confined == UNREAD else outcome.confined
        rule = (demanded and _short(demanded)) or verdict.confined or detected
        rule = rule or verdict.masked or outcome.masked or verdict.rule or outcome.noted
        confined = confined or outcome.confined
        if not rule and not confined:
            return _NOTHING
        return _Said(rule, "", Ruling(rule, confined, bool(verdict.masked or outcome.masked), outcome.unseen))

    # What is in force.

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules in force: the configuration's, and those stored."""
        return self._policy.rules

    @property
    def code(self) -> Code:
        """What the configuration says."""
        return self._code

    def besides(self) -> dict[str, Any]:
        """As JSON, what the configuration says beside rules: the default, whose hours are meant, what may not leave."""
        policy, residency = self._code.policy, self._code.residency
        return {
            "policy": {"default": policy.default, "time_zone": policy.time_zone},
            "residency": {
                "departments": list(residency.departments),
                "models": list(residency.models),
                "detect": dict(residency.detect),
            },
        }

    def adopt(self, code: Code) -> None:
        """What another configuration says is in force from now on."""
        with self._compiling:
            self._code = code
            self._residency = Residency(code.residency, self._senses)
            self._compile()

    def refresh(self) -> bool:
        """Loads the stored rules again if they changed, and says whether it did. Blocks. Raises `ConfigError`."""
        if self._statutes is None or self._watch is None or not self._watch.changed():
            return False
        try:
            if self._version is not None and self._statutes.version(KIND) == self._version:
                return False
            version, found = self._statutes.snapshot(KIND)
            try:
                stored = tuple(read_rule(each.id, each.body) for each in found)
            except CallError as error:
                raise ConfigError(
                    f"A stored rule cannot be used: {error}. `sampan policy remove` takes it away."
                ) from None
        except ConfigError:
            self._watch.forget()
            raise
        with self._compiling:
            self._version, self._stored = version, stored
            self._compile()
        return True

    async def watch(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Keeps the stored rules fresh until it is cancelled. A database that fails leaves them as they were."""
        while True:
            await sleep(self._interval)
            await asyncio.to_thread(self._freshen)

    def close(self) -> None:
        """Lets go of the database; `watch` must have ended."""
        if self._watch is not None:
            self._watch.close()

    def _freshen(self) -> None:
        try:
            self.refresh()
        except ConfigError as error:
            if not self._is_failing:
                self._log.error("rules cannot be read, the last known ones stay in force: %s", error)
            self._is_failing = True
        else:
            self._is_failing = False

    def _compile(self) -> None:
        code = self._code
        zone = code.policy.time_zone
        own = {rule.name for rule in code.rules}
        rules = [compile_rule(rule, zone) for rule in code.rules]
        # Of the same name both are in force: a stored rule must not be lost because a file names another so.
        rules += [compile_rule(rule, zone, stored=True) for rule in self._stored]
        for name in sorted(own & {rule.name for rule in self._stored}):
            self._log.warning("there is a rule %r in the configuration and a stored one: both are in force", name)
        self._policy = Policy(rules, code.policy.default)
        self._idle = not rules and code.policy.default == "allow" and not self._residency.concerns_all


def _short(confined: str) -> str:
    """The rule that confines, without whose department or key it was: names of rules are few."""
    return confined.partition(" ")[0] if confined.startswith((PREFIX + "department ", PREFIX + "key ")) else confined
