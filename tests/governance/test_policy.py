"""Which rules concern a call, what they say together, and that explaining and judging are one."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.config import parse
from sampan.config.policy import Effect, PolicySettings, RuleSettings
from sampan.core import Actor, Call, Dialect, Incoming, Operation, Ruling
from sampan.errors import CallError, ConfigError, Forbidden, InvalidRequest
from sampan.governance.judging import Code, PolicyJudge
from sampan.governance.policy import ACTORS, MODELS, Denied, Policy, compile_rule, read_rule, tell_rule

NURSE = Actor("key_1", "ward", "member", "放射科", "li")
DOCTOR = Actor("key_2", "desk", "doctor", "内科", "wang")
SUNDAY = datetime(2026, 11, 22, 12, 0, tzinfo=UTC).timestamp()


def rule(effect: str, name: str = "r", **settings: Any) -> RuleSettings:
    return read_rule(name, {"effect": effect, **settings})


def text(model: str = "claude-x", body: dict[str, Any] | None = None, **fields: Any) -> Call:
    encoded = msgspec.json.encode({"model": model, "messages": [], **(body or {})})
    fields = {"answer_tokens": 100, **fields}
    return Call(Dialect.ANTHROPIC, Operation.TEXT, model, "/v1/messages", encoded, "application/json", **fields)


def picture(size: str = "1024x1024", pictures: int = 1) -> Call:
    body = msgspec.json.encode({"prompt": "p", "size": size} if size else {"prompt": "p"})
    path = "/v1/images/generations"
    operation = Operation.GENERATE
    return Call(Dialect.OPENAI_IMAGES, operation, "gpt-image-2", path, body, "application/json", pictures=pictures)


def incoming(peer: str = "10.1.2.3", **headers: str) -> Incoming:
    return Incoming(
        "POST", "/v1/messages", "", {name.replace("_", "-"): each for name, each in headers.items()}, b"", peer
    )


def judge(*rules: RuleSettings, default: str = "allow", now: float = SUNDAY, zone: str = "UTC") -> PolicyJudge:
    return PolicyJudge(Code(rules, PolicySettings(default, zone)), clock=lambda: now)


def denied(judge: PolicyJudge, call: Call, actor: Actor = NURSE, came: Incoming | None = None) -> str:
    """What the caller is told of a call that is forbidden; nothing where it is allowed."""
    try:
        judge.judge(call, actor, came or incoming())
    except Forbidden as error:
        return error.message
    return ""


def test_without_rules_there_is_nothing_to_say() -> None:
    assert judge().judge(text(), NURSE, incoming()) is None
    assert judge(rule("deny", roles=["doctor"])).judge(text(), NURSE, incoming()) is None


@pytest.mark.parametrize(
    "conditions",
    [
        {"departments": ["放射科"]},
        {"departments": ["放*", "内科"]},
        {"departments": ["!内科"]},
        {"roles": ["member"], "users": ["li"]},
        {"keys": ["key_1"]},
        {"keys": ["wa?d"]},
        {"models": ["claude-*"]},
        {"operations": ["text"], "dialects": ["anthropic"]},
        {"tools": ["bash*"]},
        {"tools": ["!search"]},
        {"collections": ["病历"]},
        {"over_tokens": 99},
        {"networks": ["10.0.0.0/8"]},
        {"networks": ["!192.168.0.0/16"]},
        {"hours": ["11:00-13:00"]},
        {"days": ["sun"]},
        {"hours": ["20:00-18:00"], "days": ["sun"], "time_zone": "+08:00"},
    ],
)
def test_a_rule_concerns_a_call_that_fits(conditions: dict[str, Any]) -> None:
    call = text(body={"tools": [{"name": "search"}, {"type": "bash_20250124", "name": "bash"}]})
    came = incoming(x_sampan_collection="公告, 病历")
    with pytest.raises(Denied) as refused:
        judge(rule("deny", "no", **conditions)).judge(call, NURSE, came)
    assert refused.value.rule == "policy:no"
    assert "rule 'no' forbids this call" in refused.value.message


@pytest.mark.parametrize(
    "conditions",
    [
        {"departments": ["内科"]},
        {"departments": ["!放射科"]},
        {"departments": ["放*", "!放射科"]},
        {"departments": ["[放]射科"]},
        {"roles": ["member"], "users": ["wang"]},
        {"models": ["gpt-*"]},
        {"models": ["claude"]},
        {"operations": ["vision"]},
        {"tools": ["bash*"]},
        {"collections": ["病历"]},
        {"over_tokens": 100},
        {"over_pictures": 0},
        {"over_megapixels": 0},
        {"networks": ["10.0.0.0/16"]},
        {"networks": ["10.0.0.0/8", "!10.1.0.0/16"]},
        {"hours": ["12:01-13:00", "08:00-12:00"]},
        {"days": ["mon", "sat"]},
        {"hours": ["20:00-06:00"], "days": ["sun"]},
    ],
)
def test_a_rule_does_not_concern_a_call_that_misses_one_condition(conditions: dict[str, Any]) -> None:
    call = text(body={"tools": [{"name": "search"}]})
    assert judge(rule("deny", **conditions)).judge(call, NURSE, incoming()) is None


def test_a_span_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    nights = rule("deny", hours=["22:00-06:00"], days=["fri"])
    for day, hour, forbidden in (
        (20, 21, False),
        (20, 22, True),
        (21, 5, True),
        (21, 6, False),
        (21, 23, False),
        (20, 5, False),
    ):
        now = datetime(2026, 11, day, hour, 30, tzinfo=UTC).timestamp()
        assert bool(denied(judge(nights, now=now), text())) is forbidden, (day, hour)


def test_hours_are_those_of_the_zone_also_where_clocks_change() -> None:
    morning = rule("deny", hours=["02:00-03:00"], time_zone="Europe/Berlin")
    for moment, forbidden in (
        ("2026-03-29T00:30", False),
        ("2026-03-29T01:30", False),
        ("2026-10-25T00:30", True),
        ("2026-10-25T01:30", True),
        ("2026-10-25T02:30", False),
    ):
        now = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
        assert bool(denied(judge(morning, now=now), text())) is forbidden, moment


@pytest.mark.parametrize(
    ("call", "limit", "forbidden"),
    [
        (picture("1024x1024"), {"over_megapixels": 1.0}, True),
        (picture("1024x1024"), {"over_megapixels": 1.05}, False),
        (picture("auto"), {"over_megapixels": 4.0}, True),
        (picture(""), {"over_megapixels": 4.0}, True),
        (picture(""), {"over_megapixels": 4.2}, False),
        (picture(pictures=5), {"over_pictures": 4}, True),
        (picture(pictures=4), {"over_pictures": 4}, False),
        (text(answer_tokens=0), {"over_tokens": 10_000}, True),
        (text(answer_tokens=10_000), {"over_tokens": 10_000}, False),
        (picture(), {"over_tokens": 1}, False),
    ],
)
def test_sizes_are_looked_at(call: Call, limit: dict[str, Any], forbidden: bool) -> None:
    told = denied(judge(rule("deny", **limit)), call)
    assert bool(told) is forbidden
    if forbidden:
        [(_, value)] = limit.items()
        assert f"{value:g}" in told and "at most" in told


def test_tools_of_every_dialect_are_seen() -> None:
    shell = judge(rule("deny", tools=["shell"]))
    for body in (
        {"tools": [{"name": "shell", "input_schema": {}}]},
        {"tools": [{"type": "function", "function": {"name": "shell"}}]},
        {"tools": [{"type": "shell"}]},
        {"tools": [{"type": "mcp", "server_label": "shell"}]},
        {"functions": [{"name": "shell"}]},
        {"mcp_servers": [{"type": "url", "name": "shell"}]},
    ):
        assert "leave out the tool 'shell'" in denied(shell, text(body=body)), body
    assert not denied(shell, text(body={"tools": [{"name": "search"}]}))
    assert denied(judge(rule("deny", tools=["web_search"])), text(body={"web_search_options": {}}))
    with pytest.raises(InvalidRequest) as refused:
        shell.judge(text(body={"tools": "shell"}), NURSE, incoming())
    assert refused.value.param == "tools"


def test_who_is_not_known_by_address_is_not_taken_for_ours() -> None:
    ours = ["10.0.0.0/8"]
    assert not denied(judge(rule("deny", networks=ours)), text(), came=incoming(""))
    assert denied(judge(rule("deny", networks=["!10.0.0.0/8"])), text(), came=incoming(""))
    assert denied(judge(rule("allow", networks=ours), default="deny"), text(), came=incoming(""))
    assert denied(judge(rule("allow", networks=["!10.0.0.0/8"]), default="deny"), text(), came=incoming(""))


def test_where_the_default_is_deny_something_must_allow() -> None:
    strict = judge(rule("allow", "docs", departments=["内科"]), default="deny")
    assert strict.judge(text(), DOCTOR, incoming()) == Ruling("policy:docs")
    told = denied(strict, text())
    assert "no rule allows it" in told and "内科" not in told


def test_what_a_caller_is_told_holds_nobody_else() -> None:
    told = denied(judge(rule("deny", departments=["放射科", "内科"], users=["li", "wang"], keys=["key_*"])), text())
    assert not any(name in told for name in ("内科", "wang", "key_", "放射科", "li,"))


def test_rules_add_up_and_name_themselves() -> None:
    both = judge(rule("local", "home"), rule("mask", "veil"), rule("allow", "fine"))
    assert both.judge(text(), NURSE, incoming()) == Ruling("policy:home", "policy:home", True)
    assert judge(rule("mask", "veil")).judge(text(), NURSE, incoming()) == Ruling("policy:veil", "", True)
    assert judge(rule("allow", "fine")).judge(text(), NURSE, incoming()) == Ruling("policy:fine")


def test_an_actor_who_has_changed_is_looked_at_again() -> None:
    one = judge(rule("deny", departments=["内科"]))
    assert not denied(one, text())
    moved = msgspec.convert({**{name: getattr(NURSE, name) for name in NURSE.__slots__}, "department": "内科"}, Actor)
    assert denied(one, text(), moved)
    assert not denied(one, text())


def test_what_is_kept_of_actors_and_models_is_bounded() -> None:
    policy = Policy([compile_rule(rule("deny", models=["m1"]), "UTC")])
    standing = policy.standing(NURSE)
    for number in range(3 * MODELS):
        verdict = standing.judge(text(f"m{number}"), incoming(), SUNDAY)
        assert bool(verdict.refusal) is (number == 1)
    assert len(standing._cases) <= MODELS
    for number in range(ACTORS + 10):
        policy.standing(Actor(f"key_{number}", "n", "member"))
    assert len(policy._standings) <= ACTORS


names = st.sampled_from(["放射科", "内科", "*科", "!内科", "none"])
settings = st.fixed_dictionaries(
    {"effect": st.sampled_from([each.value for each in Effect])},
    optional={
        "departments": st.lists(names, max_size=2),
        "roles": st.lists(st.sampled_from(["member", "doctor", "!doctor"]), max_size=2),
        "models": st.lists(st.sampled_from(["claude-*", "gpt-*", "claude-x", "!claude-y"]), max_size=2),
        "operations": st.lists(st.sampled_from(["text", "generate"]), max_size=1),
        "tools": st.lists(st.sampled_from(["bash", "!bash"]), max_size=1),
        "over_tokens": st.sampled_from([0, 50, 500]),
        "over_pictures": st.sampled_from([0, 2]),
        "over_megapixels": st.sampled_from([0.5, 3.0]),
        "hours": st.lists(st.sampled_from(["08:00-18:00", "22:00-06:00"]), max_size=2),
        "days": st.lists(st.sampled_from(["sun", "mon"]), max_size=1),
        "networks": st.lists(st.sampled_from(["10.0.0.0/8", "!10.1.0.0/16", "192.168.0.0/16"]), max_size=2),
    },
)
lists = st.lists(settings, max_size=6).map(lambda each: [read_rule(f"r{index}", one) for index, one in enumerate(each)])
calls = st.one_of(
    st.builds(
        text,
        st.sampled_from(["claude-x", "claude-y", "gpt-5"]),
        st.sampled_from([{}, {"tools": [{"name": "bash"}]}, {"tools": [{"name": "look"}]}]),
        answer_tokens=st.sampled_from([0, 50, 100, 1000]),
    ),
    st.builds(picture, st.sampled_from(["512x512", "2048x2048", "auto"]), st.integers(1, 4)),
)
actors = st.sampled_from([NURSE, DOCTOR, Actor("key_3", "k", "member")])
comings = st.builds(incoming, st.sampled_from(["", "10.1.2.3", "10.2.0.1", "8.8.8.8"]))
defaults = st.sampled_from(["allow", "deny"])
times = st.integers(0, 14 * 24).map(lambda hours: SUNDAY + hours * 3600.0)


def ruled(one: PolicyJudge, call: Call, actor: Actor, came: Incoming) -> Ruling | None:
    """The ruling; None where the call is forbidden."""
    with suppress(Forbidden):
        return one.judge(call, actor, came) or Ruling()
    return None


@given(lists, st.lists(st.tuples(calls, actors, comings), min_size=1, max_size=5), defaults, times)
def test_explaining_says_what_judging_does(
    rules: list[RuleSettings], asked: list[tuple[Call, Actor, Incoming]], default: str, now: float
) -> None:
    one = judge(*rules, default=default, now=now)
    for call, actor, came in [*asked, *asked]:  # the second time from what is kept
        explained = one.explain(call, actor, came)
        try:
            found = one.judge(call, actor, came) or Ruling()
        except Denied as error:
            assert (explained.allowed, explained.rule, explained.error) == (False, error.rule, error.message)
        else:
            assert explained.allowed
            assert (explained.rule, explained.confined, explained.masked) == (found.rule, found.confined, found.masked)


@given(lists, calls, actors, comings, defaults, times, st.randoms())
def test_a_deny_wins_in_whatever_order(
    rules: list[RuleSettings], call: Call, actor: Actor, came: Incoming, default: str, now: float, random: Any
) -> None:
    before = ruled(judge(*rules, default=default, now=now), call, actor, came)
    shuffled = list(rules)
    random.shuffle(shuffled)
    assert ruled(judge(*shuffled, default=default, now=now), call, actor, came) == before
    place = random.randint(0, len(rules))
    assert (
        ruled(judge(*rules[:place], rule("deny", "no"), *rules[place:], default=default, now=now), call, actor, came)
        is None
    )


@given(lists, settings, calls, actors, comings, defaults, times)
def test_no_further_rule_lets_anything_out(
    rules: list[RuleSettings], more: dict[str, Any], call: Call, actor: Actor, came: Incoming, default: str, now: float
) -> None:
    before = ruled(judge(*rules, default=default, now=now), call, actor, came)
    after = ruled(judge(*rules, read_rule("more", more), default=default, now=now), call, actor, came)
    if more["effect"] == "deny" and before is None:
        assert after is None
    if before is not None and after is not None:
        assert bool(after.confined) >= bool(before.confined)
        assert after.masked >= before.masked
    if more["effect"] != "allow" and after is not None:
        assert before is not None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"effect": "forbid"}, "effect: 'forbid' is not one of"),
        ({}, "needs `effect`"),
        ({"effect": "deny", "hours": ["8-18"]}, "hours: '8-18' is no span"),
        ({"effect": "deny", "hours": ["08:00-08:00"]}, "hours: '08:00-08:00' is no span"),
        ({"effect": "deny", "hours": ["25:00-08:00"]}, "is no span"),
        ({"effect": "deny", "days": ["sunday"]}, "days: 'sunday' is not one of"),
        ({"effect": "deny", "networks": ["10.0.0.1/8"]}, "networks: '10.0.0.1/8' is no network"),
        ({"effect": "deny", "models": ["!"]}, "models: each is a name"),
        ({"effect": "deny", "models": "x"}, "models: must be a list"),
        ({"effect": "deny", "over_tokens": -1}, "over_tokens: must be at least 0"),
        ({"effect": "deny", "time_zone": "Mars"}, "time_zone: 'Mars' is no time zone"),
        ({"effect": "deny", "models": ["env:HOME"]}, "the environment variable HOME is not set"),
        ({"effect": "deny", "who": ["x"]}, "who: is no setting"),
    ],
)
def test_a_bad_rule_is_named_with_its_field(body: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_rule("r", body)
    assert message in refused.value.message


@given(settings)
def test_a_rule_is_told_as_it_was_sent(body: dict[str, Any]) -> None:
    made = read_rule("r", body)
    told = tell_rule(made)
    assert read_rule(told.pop("name"), told) == made


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('[[rules]]\nname = "a"\neffect = "deny"\n[[rules]]\nname = "a"\neffect = "deny"', "there are two rules 'a'"),
        ('[[rules]]\nname = "a"\neffect = "deny"\nhours = ["x"]', "line 4: rules.0.hours: 'x' is no span"),
        ('[policy]\ndefault = "maybe"', "must be `allow` or `deny`"),
        ('[policy]\ntime_zone = "Mars"', "is no time zone"),
        ('[residency]\ndetect = { dna = "local" }', "is not one of resident_id"),
        ('[residency]\ndetect = { mobile = "burn" }', "must be one of local, mask, deny, note"),
        ('[residency]\ndetect = { medical = "mask" }', "words cannot be masked"),
        ("[residency]\nat_least = { mobile = 0 }", "must name a kind, and 1 or more"),
    ],
)
def test_a_bad_configuration_is_named_with_its_line(toml: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(toml, "sampan.toml", {})
    assert message in str(refused.value)


def test_rules_of_a_configuration_are_read() -> None:
    loaded = parse('[[rules]]\nname = "a"\neffect = "local"\ndepartments = ["放射科"]', "sampan.toml", {})
    one = PolicyJudge(Code(loaded.rules, loaded.policy, loaded.residency))
    found = one.judge(text(), NURSE, incoming())
    assert found == Ruling("policy:a", "policy:a")
    with pytest.raises(CallError):
        one.judge(text(), NURSE, incoming(x_sampan_residency="cloud"))
