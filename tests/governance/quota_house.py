"""Calls, callers and limits for the tests of quota."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.config.quota import LimitSettings, Measure, Period, PriceSettings, QuotaSettings
from sampan.core import Actor, Call, Dialect, Location, Operation, Spent, Target, Tier, Usage
from sampan.governance.quota_sources import Settings

CLOUD = Target("claude", None, Dialect.ANTHROPIC, Location.CLOUD, Tier.CLOUD)
ENGINE = Target("qwen", "Qwen/VL", Dialect.ANTHROPIC, Location.LOCAL, Tier.LOCAL)
PLAN = (CLOUD, ENGINE)
LI = Actor("key_li", "li's", "member", "radiology", "li")
WANG = Actor("key_wang", "wang's", "member", "radiology", "wang")
ZHAO = Actor("key_zhao", "zhao's", "admin", "surgery", "zhao")
NOBODY = Actor("key_x", "x", "member")
NOON = 1_800_014_400.0  # 2027-01-15T12:00:00Z


class Hands:
    """Two clocks that a test sets: the wall's, and the one that never goes back."""

    def __init__(self, now: float = NOON) -> None:
        self.wall = now
        self.steady = 0.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


def limit(name: str, what: str, most: float, per: str = "", **scope: Any) -> LimitSettings:
    return LimitSettings(name=name, what=Measure(what), most=most, per=Period(per), **scope)


def settings(
    *limits: LimitSettings, prices: tuple[PriceSettings, ...] = (), quota: Mapping[str, Any] | None = None
) -> Settings:
    return Settings(limits, prices, QuotaSettings(**(quota or {})))


def call(text: str = "hello", *, answer: int = 100, model: str = "claude-x", **more: Any) -> Call:
    body = f'{{"model":"{model}","messages":[{{"role":"user","content":"{text}"}}]}}'.encode()
    fields: dict[str, Any] = {
        "dialect": Dialect.ANTHROPIC,
        "operation": Operation.TEXT,
        "path": "/v1/messages",
        "body": body,
        "content_type": "application/json",
        "answer_tokens": answer,
        "plain": True,
    }
    return Call(model=model, **(fields | more))


def took(read: int = 10, written: int = 20, images: int = 0, *, target: Target = CLOUD, seconds: float = 0.0) -> Spent:
    return Spent(Usage(read, written, images), 100, target, seconds)
