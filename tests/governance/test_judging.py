"""The judge follows what is stored and what is configured; questions about calls are answered by it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert
from typer.testing import CliRunner

from sampan.cli import cli
from sampan.config.policy import PolicySettings, ResidencySettings
from sampan.core import Actor, Call, Dialect, Incoming, Location, Operation, Permission, Target, Tier
from sampan.dialects import Limits
from sampan.errors import ConfigError, InvalidRequest, NotFound
from sampan.governance.directory import Directory
from sampan.governance.explaining import Explainer, Question, in_words, read_question
from sampan.governance.judging import Code, PolicyJudge
from sampan.governance.policy import Denied, read_rule
from sampan.governance.roles import BUILT_IN
from sampan.governance.standing import Facts
from sampan.storage.db import Database
from sampan.storage.keys import Belonging, KeyInfo, Keys, Roster
from sampan.storage.people import Department, People, User
from sampan.storage.statutes import Statutes
from sampan.storage.tables import STATUTES

NURSE = Actor("key_1", "ward", "member", "放射科")
CALL = Call(Dialect.ANTHROPIC, Operation.TEXT, "claude-x", "/v1/messages", b'{"messages":[]}', "application/json")
CAME = Incoming("POST", "/v1/messages", "", {}, b"")
CLOUD = Target("claude", None, Dialect.ANTHROPIC, Location.CLOUD, Tier.CLOUD)
HOME = Target("reader", None, Dialect.ANTHROPIC, Location.LOCAL, Tier.DEGRADED)
ID = "11010519491231002X"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path)) as database:
        yield database


@pytest.fixture
def statutes(database: Database) -> Statutes:
    return Statutes(database)


def allows(judge: PolicyJudge) -> bool:
    with suppress(Denied):
        judge.judge(CALL, NURSE, CAME)
        return True
    return False


async def test_what_another_process_stores_is_in_force(database: Database, statutes: Statutes) -> None:
    judge = PolicyJudge(Code(), statutes)
    steps: asyncio.Queue[None] = asyncio.Queue()
    waits = asyncio.Event()

    async def step(seconds: float) -> None:
        assert seconds <= 0.5
        waits.set()
        await steps.get()

    watching = asyncio.create_task(judge.watch(step))

    async def turn() -> None:
        await waits.wait()
        waits.clear()
        steps.put_nowait(None)
        await waits.wait()

    with closing(Database(database.folder)) as other:
        Statutes(other).put("rule", "no", {"effect": "deny", "departments": ["放射科"]})
        assert allows(judge)
        await turn()
        assert not allows(judge)
        Statutes(other).remove("rule", "no")
        await turn()
        assert allows(judge)
    watching.cancel()
    judge.close()


def test_the_union_of_stored_and_configured_rules_is_in_force(
    statutes: Statutes, caplog: pytest.LogCaptureFixture
) -> None:
    statutes.put("rule", "same", {"effect": "deny", "models": ["gpt-*"]})
    judge = PolicyJudge(Code([read_rule("same", {"effect": "local"})]), statutes)
    assert [(each.name, each.effect.value, each.stored) for each in judge.rules] == [
        ("same", "local", False),
        ("same", "deny", True),
    ]
    assert "both are in force" in caplog.text
    found = judge.judge(CALL, NURSE, CAME)
    assert found is not None and found.confined == "policy:same"
    judge.adopt(Code(policy=PolicySettings("deny")))  # a reload: the stored ones stay
    assert [each.stored for each in judge.rules] == [True]
    assert not allows(judge)
    assert judge.code.policy.default == "deny"


def test_a_stored_rule_that_cannot_be_read_leaves_the_last_ones(
    database: Database, statutes: Statutes, caplog: pytest.LogCaptureFixture
) -> None:
    statutes.put("rule", "no", {"effect": "deny"})
    judge = PolicyJudge(Code(), statutes)
    statutes.put("rule", "odd", {"effect": "deny", "unheard": 1})
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            judge._freshen()
    assert caplog.text.count("the last known ones stay in force") == 1
    assert not allows(judge)
    with pytest.raises(ConfigError, match=r"unheard: is no setting.*sampan policy remove"):
        PolicyJudge(Code(), statutes)
    statutes.remove("rule", "odd")
    statutes.remove("rule", "no")
    judge._freshen()
    assert allows(judge)
    with database.write() as connection:
        connection.execute(insert(STATUTES).values(kind="rule", id="a", body="no json", updated=1.0))
    with pytest.raises(ConfigError, match="no JSON object"):
        PolicyJudge(Code(), statutes)


# Questions.


def explainer(judge: PolicyJudge, *targets: Target) -> Explainer:
    def find(key: str) -> KeyInfo:
        if key != "key_1":
            raise NotFound("No key has this id or prefix.")
        return KeyInfo("key_1", "", "ward", "member", 0.0, department="放射科")

    def plan(call: Call) -> tuple[Target, ...]:
        if call.model == "unknown":
            raise NotFound("no route")
        return targets or (CLOUD, HOME)

    departments = {name: Department(name) for name in ("放射科", "内科")}
    roster = Roster("", {}, {}, departments, {"li": User("li")})
    facts = Facts(roster, {**BUILT_IN, "intern": frozenset({Permission.CALL})})
    return Explainer(judge, Directory(find, lambda: facts), plan, Limits(1000, "claude-x", "gpt-image-2"))


def told(judge: PolicyJudge, *targets: Target, **question: Any) -> dict[str, Any]:
    return explainer(judge, *targets).answer(msgspec.convert(question, Question)).told()


def test_a_question_is_answered_with_every_rule_and_where_the_call_may_go() -> None:
    rules = [
        read_rule("home", {"effect": "local", "departments": ["放射科"]}),
        read_rule("few", {"effect": "deny", "over_pictures": 2}),
    ]
    judge = PolicyJudge(Code(rules))
    assert told(judge, key="key_1", model="claude-x") == {
        "decision": "allow",
        "rule": "policy:home",
        "message": "",
        "confined": "policy:home",
        "masked": False,
        "unseen": False,
        "rules": [
            {"name": "home", "effect": "local", "stored": False, "concerns": True, "why": ""},
            {"name": "few", "effect": "deny", "stored": False, "concerns": False, "why": "over_pictures: more than 2"},
        ],
        "targets": [{"upstream": "reader", "model": None, "location": "local"}],
        "limits": [],
        "notes": [],
    }
    many = told(judge, department="内科", model="gpt-image-2", operation="generate", pictures=3)
    assert (many["decision"], many["rule"], many["targets"]) == ("deny", "policy:few", [])
    assert "at most 2 pictures" in many["message"]
    free = told(judge, department="内科", model="claude-x")
    assert [each["upstream"] for each in free["targets"]] == ["claude", "reader"]
    assert told(judge, CLOUD, key="key_1", model="claude-x")["decision"] == "deny"
    assert "no route" in told(judge, model="unknown")["message"]


def test_limits_of_a_question_and_what_is_said_beside_rules() -> None:
    code = Code((), PolicySettings("deny", "UTC"), ResidencySettings(["放射科"], ["own-*"], {"mobile": "mask"}))
    judge = PolicyJudge(code)
    assert judge.besides() == {
        "policy": {"default": "deny", "time_zone": "UTC"},
        "residency": {"departments": ["放射科"], "models": ["own-*"], "detect": {"mobile": "mask"}},
    }
    asked: list[str] = []

    def concerning(call: Call, actor: Actor) -> list[tuple[str, str]]:
        asked.append(f"{actor.department} {call.model}")
        return [("each", f"department={actor.department}")]

    known = Directory(
        lambda key: KeyInfo(key, "", "ward", "member", 0.0), lambda: Facts(Roster("", {}, {}, {}, {}), BUILT_IN)
    )
    limited = Explainer(judge, known, lambda call: (HOME,), Limits(1000, "claude-x", "gpt-image-2"), concerning)
    told = limited.answer(Question(department="内科", model="claude-x")).told()
    assert told["limits"] == [{"name": "each", "pot": "department=内科"}]
    assert asked == ["内科 claude-x"]


def test_a_question_may_name_all_that_rules_look_at() -> None:
    conditions: dict[str, dict[str, Any]] = {
        "tools": {"tools": ["bash"]},
        "over_megapixels": {"operation": "generate", "size": "2048x2048"},
        "over_tokens": {"answer_tokens": 5000},
        "collections": {"collection": "病历"},
        "networks": {"peer": "10.1.1.1"},
        "hours": {"at": "2026-11-22T23:30"},
        "users": {"user": "li"},
        "roles": {"role": "intern"},
        "dialects": {"dialect": "openai-chat"},
    }
    wanted = {
        "tools": ["bash"],
        "over_megapixels": 2.0,
        "over_tokens": 4000,
        "collections": ["病历"],
        "networks": ["10.0.0.0/8"],
        "hours": ["22:00-06:00"],
        "users": ["li"],
        "roles": ["intern"],
        "dialects": ["openai-chat"],
    }
    for name, question in conditions.items():
        judge = PolicyJudge(Code([read_rule("no", {"effect": "deny", name: wanted[name]})]))
        plain = {"model": "m", "at": "2026-11-22T12:00", "answer_tokens": 10}
        assert told(judge, **plain)["decision"] == "allow", name
        assert told(judge, **{**plain, **question})["decision"] == "deny", name
    edits = PolicyJudge(Code([read_rule("no", {"effect": "deny", "over_megapixels": 2.0})]))
    assert told(edits, model="m", operation="edit", size="2048x2048")["decision"] == "deny"
    assert told(edits, model="m", operation="edit", size="512x512")["decision"] == "allow"


def test_a_whole_call_may_be_asked_about() -> None:
    judge = PolicyJudge(Code(residency=ResidencySettings(detect={"resident_id": "local"})))
    body = {"model": "claude-x", "max_tokens": 5, "messages": [{"role": "user", "content": ID}]}
    assert told(judge, body=body)["confined"] == "residency:detected resident_id"
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    seen = told(judge, body={**body, "messages": [{"role": "user", "content": [picture]}]})
    assert (seen["unseen"], seen["confined"]) == (True, "residency:unread")
    assert told(judge, model="m", residency="cloud")["decision"] == "deny"
    assert told(judge, model="m", residency="local")["rule"] == "residency:header"
    denies = PolicyJudge(Code(residency=ResidencySettings(detect={"resident_id": "deny"})))
    assert told(denies, body=body)["rule"] == "residency:detected resident_id"


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"key": "key_1", "role": "admin", "model": "m"}, "key: says department, role and user itself"),
        ({"model": "m", "at": "noon"}, "at: 'noon' is no time"),
        ({"model": "m", "at": 1e300}, "at: must lie between 1970 and 9999"),
        ({"model": "m", "at": "9999-12-31T23:59"}, "at: must lie between 1970 and 9999"),
        ({}, "model: name a model"),
        ({"body": {"messages": []}}, "model: Field required"),
    ],
)
def test_a_question_that_cannot_be_asked_says_why(question: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        told(PolicyJudge(), **question)


def test_a_question_is_read_from_json() -> None:
    assert read_question(b'{"model":"m","operation":"edit"}') == Question(model="m", operation=Operation.EDIT)
    for body in (b"[]", b"{", b'{"modle":"m"}', b'{"operation":"dance"}'):
        with pytest.raises(InvalidRequest):
            read_question(body)


def test_an_answer_reads_as_people_speak() -> None:
    judge = PolicyJudge(Code([read_rule("veil", {"effect": "mask"})]))
    words = in_words(explainer(judge).answer(Question(model="m")))
    assert "mask  veil (configuration): concerns it" in words
    assert "Identifiers are masked" in words and "claude (cloud), reader (local)" in words
    strict = PolicyJudge(Code(policy=PolicySettings("deny")))
    assert "Denied, by policy:default" in in_words(explainer(strict).answer(Question(model="m")))


# Verbs.


def test_rules_are_set_listed_explained_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sampan.toml").write_text(
        '[[rules]]\nname = "夜间"\neffect = "deny"\noperations = ["generate"]\nhours = ["22:00-06:00"]\n',
        encoding="utf-8",
    )
    runner = CliRunner()

    def run(*words: str) -> str:
        done = runner.invoke(cli, ["policy", *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    noted = run("set", "home", '{"effect": "local", "departments": ["放射科"]}')
    assert noted.splitlines() == [
        "home: in force within a second",
        "home: there is no department '放射科' here (a token may still bring it)",
    ]
    listed = [msgspec.json.decode(line) for line in run("list", "--json").splitlines()]
    assert [(each["name"], each["effect"], each["stored"]) for each in listed] == [
        ("夜间", "deny", False),
        ("home", "local", True),
    ]
    assert "home" in run("list")
    with closing(Database(Path("data"))) as database:
        People(database).add_department(Department("放射科"))
        info, _ = Keys(database).create("ward", belonging=Belonging("放射科"))
        old, _ = Keys(database).create("old")
        Keys(database).revoke(old.id)
    again = runner.invoke(cli, ["policy", "set", "home", '{"effect": "local", "departments": ["放射科"]}'])
    assert (again.stdout, again.stderr) == ("home: in force within a second\n", "")
    explained = run("explain", "--key", info.id, "--model", "claude-x")
    assert "Allowed, by policy:home" in explained and "reader (local)" in explained
    night = run("explain", "--model", "sketcher", "--operation", "generate", "--at", "2026-11-22T23:00", "--json")
    assert msgspec.json.decode(night)["rule"] == "policy:夜间"
    Path("call.json").write_text(
        msgspec.json.encode({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}).decode()
    )
    assert "Allowed" in run("explain", "--body", "call.json", "--model", "claude-x")
    for words, message in (
        (("set", "bad", "[]"), "no JSON object"),
        (("set", "bad", '{"effect": "no"}'), "effect: 'no' is not one of"),
        (("set", "夜间", '{"effect": "deny"}'), "only its file can change"),
        (("remove", "夜间"), "only its file can change"),
        (("remove", "none"), "no stored rule 'none'"),
        (("explain", "--key", "key_none", "--model", "m"), "No key has this id"),
        (("explain", "--body", "none.json"), "cannot be read"),
        (("explain", "--key", old.id, "--model", "m"), f"key: {old.id} of 'old' was revoked"),
        (("explain", "--user", "nobody", "--model", "m"), "user: there is no user 'nobody' here"),
    ):
        done = runner.invoke(cli, ["policy", *words])
        assert message in str(done.exception), words
    run("remove", "home")
    assert "home" not in run("list")
