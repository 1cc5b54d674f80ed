"""schemathesis asks the admin pages of a running gateway whatever its own description allows, with an admin's key.

It has a gateway of its own: rules and limits that a machine makes up would stop what other tests ask.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from described import ADMIN, BRIEF, CHECKS, asked, described
from gateway import KEY, QUICK, TALK, Gateway, eventually, route, upstream
from schemathesis import Case, Response
from scribes import Scribe

from tests.postgres_process import PostgresProcess

schema = described().include(path_regex=ADMIN)
# What would start other programs, which ask hubs and take minutes, is asked by tests that know what they ask; and the
# one page that never ends is read by them.
harmless = schema.exclude(operation_id=["beginFetch", "beginDrill", "watchOverview"])
KEYED = {"authorization": f"Bearer {KEY}"}
GOVERNED = """
[[rules]]
name = "nights"
effect = "local"
hours = ["22:00-06:00"]
[[limits]]
name = "house"
what = "tokens"
most = 1000000
per = "month"
department = "*"
"""


@pytest.fixture(scope="module")
def office(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresProcess, postgres_template: str
) -> Iterator[Gateway]:
    """With somebody in it, and a call that was asked. On PostgreSQL, which takes less than SQLite does."""
    with Scribe() as cloud:
        storage = f'[storage]\ndatabase = "{postgres.url(postgres.make(postgres_template))}"\n'
        config = storage + QUICK + GOVERNED
        config += upstream("anthropic", cloud.url("anthropic"), "anthropic", more='probe = "off"')
        with Gateway(tmp_path_factory.mktemp("office"), config + route("alpha", TALK, "anthropic")) as gateway:
            for name, body in (
                ("departments", {"name": "icu"}),
                ("roles", {"name": "nurse", "permissions": ["call"]}),
                ("users", {"name": "li", "department": "icu", "role": "nurse"}),
                ("keys", {"name": "laptop", "user": "li"}),
            ):
                assert gateway.http("POST", f"/admin/v1/{name}", body).status == 201
            talked = {"model": "alpha", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
            call = gateway.http("POST", "/v1/messages", talked).headers["request-id"]
            eventually(lambda: gateway.http("GET", f"/admin/v1/audit/{call}").status == 200)
            yield gateway


@harmless.parametrize()
@BRIEF
def test_nothing_is_answered_that_is_not_described(case: Case, office: Gateway) -> None:
    case.call_and_validate(base_url=office.url, headers=KEYED, checks=CHECKS, allow_redirects=False)


class Clerk:
    """Asks one thing after the other, and looks whether each answer is as described."""

    def __init__(self, gateway: Gateway, headers: dict[str, str] = KEYED) -> None:
        self._gateway = gateway
        self._headers = headers

    def ask(self, line: str, status: int, body: Any = None, **how: Any) -> Response:
        """`GET /keys/{key_id=key_1}`: a path with what stands in the place of its names."""
        places = dict(re.findall(r"\{(\w+)=([^}]*)\}", line))
        line = re.sub(r"\{(\w+)=[^}]*\}", r"{\1}", line)
        if body is not None:
            how |= {"body": body, "media_type": "application/json"}
        answer = asked(self._gateway, schema, line, self._headers, path_parameters=places, **how)
        assert answer.status_code == status, f"{line}: {answer.text}"
        return answer


@pytest.fixture
def clerk(office: Gateway) -> Clerk:
    return Clerk(office)


def test_people_are_answered_for_as_described(clerk: Clerk) -> None:
    clerk.ask("GET /admin/v1/me", 200)
    one = "/admin/v1/departments/{name=放射科}"
    clerk.ask("POST /admin/v1/departments", 201, {"name": "放射科", "title": "Radiology", "confined": True})
    clerk.ask("POST /admin/v1/departments", 400, {"name": "放射科"})
    clerk.ask(f"PATCH {one}", 200, {"active": True})
    clerk.ask(f"GET {one}", 200)
    user = "/admin/v1/users/{name=wang}"
    clerk.ask("POST /admin/v1/users", 201, {"name": "wang", "department": "放射科", "role": "member"})
    clerk.ask(f"PATCH {user}", 200, {"email": "wang@example.org"})
    clerk.ask(f"DELETE {one}", 400)
    clerk.ask(f"GET {user}", 200)
    clerk.ask(f"DELETE {user}", 200)
    clerk.ask(f"DELETE {one}", 200)
    clerk.ask(f"GET {one}", 404)
    role = "/admin/v1/roles/{name=clerk}"
    clerk.ask("POST /admin/v1/roles", 201, {"name": "clerk", "permissions": ["audit"]})
    clerk.ask(f"PATCH {role}", 200, {"permissions": ["audit", "call"]})
    clerk.ask(f"GET {role}", 200)
    clerk.ask(f"DELETE {role}", 200)
    clerk.ask("DELETE /admin/v1/roles/{name=admin}", 403)
    for name in ("departments", "users", "keys", "roles"):
        clerk.ask(f"GET /admin/v1/{name}", 200, query={"limit": 2})


def test_keys_are_answered_for_as_described(clerk: Clerk, office: Gateway) -> None:
    made = clerk.ask("POST /admin/v1/keys", 201, {"name": "auditor", "role": "auditor", "networks": ["127.0.0.0/8"]})
    key, secret = made.json()["id"], made.json()["key"]
    one = f"/admin/v1/keys/{{key_id={key}}}"
    clerk.ask(f"GET {one}", 200)
    clerk.ask(f"PATCH {one}", 200, {"name": "the auditor", "expires": None})
    clerk.ask(f"PATCH {one}", 400, {"expires": 1.0})
    other = Clerk(office, {"x-api-key": secret})
    other.ask("GET /admin/v1/audit", 200)
    other.ask("GET /admin/v1/limits", 200)
    for line in ("GET /admin/v1/keys", "GET /admin/v1/rules", f"DELETE {one}"):
        other.ask(line, 403)
    other.ask("PUT /admin/v1/limits/{name=mine}", 403, {"what": "calls", "most": 1, "per": "day"})
    rotated = clerk.ask(f"POST {one}".replace("}", "}/rotate"), 200, {"overlap": 0}).json()["key"]
    other.ask("GET /admin/v1/me", 401)
    assert Clerk(office, {"x-api-key": rotated}).ask("GET /admin/v1/me", 200).json()["role"] == "auditor"
    assert clerk.ask(f"DELETE {one}", 200).json()["state"] == "revoked"
    told = clerk.ask("POST /admin/v1/explain", 400, {"key": key, "model": "alpha"}).json()
    assert told["error"]["param"] == "key"  # it is not the asker's own that is revoked
    clerk.ask("GET /admin/v1/keys/{key_id=key_0000000000000000}", 404)


def test_rules_and_limits_are_answered_for_as_described(clerk: Clerk, office: Gateway) -> None:
    for stored in clerk.ask("GET /admin/v1/rules", 200, query={"limit": 200}).json()["data"]:
        if stored["source"] == "stored":  # made up before, and it might forbid what is asked here
            office.http("DELETE", f"/admin/v1/rules/{quote(stored['name'])}")
    rule = "/admin/v1/rules/{name=cheap}"
    body = {"effect": "deny", "departments": ["lab", "labb"], "over_pictures": 3, "days": ["sun"]}
    assert any("'labb'" in note for note in clerk.ask(f"PUT {rule}", 201, body).json()["notes"])
    clerk.ask(f"PUT {rule}", 200, body)
    clerk.ask(f"GET {rule}", 200)
    clerk.ask("GET /admin/v1/rules/{name=nights}", 200)
    clerk.ask("PUT /admin/v1/rules/{name=nights}", 400, {"effect": "allow"})
    asked_for = {"department": "icu", "model": "alpha", "at": "2026-11-22T23:30"}
    told = clerk.ask("POST /admin/v1/explain", 200, asked_for).json()
    assert told["confined"] and told["decision"] == "deny"  # there is no target in the house
    assert told["limits"] == [{"name": "house", "pot": "department=icu"}]
    clerk.ask("POST /admin/v1/explain", 400, {"model": "alpha", "at": 1e300})
    clerk.ask(f"DELETE {rule}", 200)
    clerk.ask(f"DELETE {rule}", 404)
    limit, calls = "/admin/v1/limits/{name=calls of each}", {"what": "calls", "most": 900, "per": "day", "user": "*"}
    clerk.ask(f"PUT {limit}", 201, calls)
    clerk.ask(f"PUT {limit}", 200, calls | {"most": 901})
    clerk.ask(f"GET {limit}", 200)
    clerk.ask("GET /admin/v1/limits/{name=house}", 200)
    clerk.ask(f"DELETE {limit}", 200)
    clerk.ask(f"GET {limit}", 404)
    for by in ("key", "day"):
        assert clerk.ask("GET /admin/v1/usage", 200, query={"by": by}).json()["data"]
    table = clerk.ask("GET /admin/v1/usage", 200, query={"format": "csv", "department": "icu"})
    assert table.headers["content-type"] == ["text/csv; charset=utf-8"]


def test_the_audit_is_answered_for_as_described(clerk: Clerk) -> None:
    [record, *_] = clerk.ask("GET /admin/v1/audit", 200, query={"limit": 1}).json()["data"]
    assert record["id"] in clerk.ask(f"GET /admin/v1/audit/{{request_id={record['id']}}}", 200).json()["story"]
    assert clerk.ask("GET /admin/v1/audit/count", 200).json()["count"]
    clerk.ask(f"GET /admin/v1/audit/{{request_id={record['id']}}}/content", 404)
    for form in ("jsonl", "csv", "proof"):
        clerk.ask("GET /admin/v1/audit/export", 200, query={"format": form})
    clerk.ask("POST /admin/v1/audit/verify", 202)
    found = lambda: clerk.ask("GET /admin/v1/audit/verify", 200).json()  # noqa: E731
    assert eventually(lambda: (told := found())["state"] == "done" and told)["result"]["good"] is True
    clerk.ask("POST /admin/v1/audit/holds", 201, {"name": "case 7", "department": "icu", "since": 0})
    clerk.ask("POST /admin/v1/audit/holds", 400, {"name": "case 7"})
    clerk.ask("GET /admin/v1/audit/holds", 200)
    clerk.ask("DELETE /admin/v1/audit/holds/{name=case 7}", 204)
    clerk.ask("DELETE /admin/v1/audit/holds/{name=case 7}", 404)


def test_models_and_the_drill_are_answered_for_as_described(clerk: Clerk) -> None:
    path = "/admin/v1/models"
    assert clerk.ask(f"GET {path}", 200).json()["engines"] == []
    clerk.ask(f"GET {path}/fetches", 200)
    clerk.ask(f"POST {path}/fetch", 400, {"name": "../etc"})
    clerk.ask(f"DELETE {path}/fetches/{{fetch_id=fetch_0123456789abcdef}}", 404)
    clerk.ask(f"DELETE {path}/releases/{{release=Qwen--Tiny@c0ffee}}", 404)
    for verb, body in (("promote", {"revision": "v2"}), ("rollback", None)):
        clerk.ask(f"POST {path}/engines/{{engine=chat}}/{verb}", 404, body)
    clerk.ask(f"GET {path}/engines/{{engine=chat}}/history", 404)
    clerk.ask(f"POST {path}/verify", 202, {})
    clerk.ask(f"GET {path}/verify", 200)
    drill = "/admin/v1/drill"
    assert clerk.ask(f"GET {drill}", 200).json() == {"state": "never"}
    clerk.ask(f"POST {drill}", 400, {"only": ["no-such-fault"]})
    clerk.ask(f"DELETE {drill}", 200)
    clerk.ask(f"GET {drill}/faults", 200)
    clerk.ask(f"GET {drill}/scorecard", 200)
    clerk.ask(f"GET {drill}/report", 404)


def test_sign_in_is_answered_for_as_described(office: Gateway) -> None:
    stranger = Clerk(office, {})
    assert stranger.ask("GET /auth/ways", 200).json() == {"key": True, "provider": False}
    stranger.ask("POST /auth/login", 401, {"key": "sk-sampan-nobody"})
    stranger.ask("GET /auth/me", 401)
    signed_in = stranger.ask("POST /auth/login", 200, {"key": KEY})
    cookie = signed_in.headers["set-cookie"][0].partition(";")[0]
    browser = Clerk(office, {"cookie": cookie})
    csrf = browser.ask("GET /auth/me", 200).json()["csrf"]
    browser.ask("GET /admin/v1/keys", 200)
    browser.ask("POST /admin/v1/roles", 403, {"name": "typist", "permissions": []})
    sure = Clerk(office, {"cookie": cookie, "x-sampan-csrf": csrf})
    sure.ask("POST /admin/v1/roles", 201, {"name": "typist", "permissions": []})
    sure.ask("POST /auth/logout", 200)
    browser.ask("GET /auth/me", 401)


@pytest.mark.parametrize(
    "line",
    [
        "GET /admin/v1/rules/%00",
        "DELETE /admin/v1/rules/%00",
        "DELETE /admin/v1/limits/%00",
        "GET /admin/v1/limits/%00",
        "GET /admin/v1/audit/%00",
        "DELETE /admin/v1/audit/holds/%00",
        "PUT /admin/v1/rules/%00",
        "PUT /admin/v1/limits/%00",
        "GET /admin/v1/users/%00",
        "GET /admin/v1/keys/%00",
        "DELETE /admin/v1/roles/%00",
    ],
)
def test_what_no_database_takes_for_a_name_is_not_there(office: Gateway, line: str) -> None:
    method, _, path = line.partition(" ")
    body = {"effect": "allow"} if "rules" in path else {"what": "calls", "most": 1, "per": "day"}
    answer = office.http(method, path, body if method == "PUT" else None)
    assert answer.status == (400 if method == "PUT" else 404), answer.body
