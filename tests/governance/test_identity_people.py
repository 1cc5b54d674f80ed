"""Departments, users, roles, rotation, addresses, tokens and sign-ins, seen from two nodes that share one database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from sampan.config.identity import IssuerSettings
from sampan.core import Actor, Incoming, Permission
from sampan.errors import Forbidden, Unauthenticated
from sampan.governance.cookies import CSRF, Cookies
from sampan.governance.identity import Beside, Identity
from sampan.governance.roles import BUILT_IN, union
from sampan.governance.standing import Facts, Standing
from sampan.governance.tokens import Tokens
from sampan.storage.db import Database
from sampan.storage.keys import Belonging, Keys, digest
from sampan.storage.people import Department, People, User
from sampan.storage.sessions import MAX_OF_ONE, Sessions, Subject, key_id
from sampan.storage.statutes import Statutes
from sampan.storage.tables import SESSIONS

NOW = 1_700_000_000.0
ISSUER, US = "https://id.example", "sampan"
SHARED = "a shared key of more than thirty-two bytes"
COOKIES = Cookies(b"secret of the house", secure=True)
CALL, OPERATE, AUDIT, GOVERN = Permission.CALL, Permission.OPERATE, Permission.AUDIT, Permission.GOVERN


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class House:
    """Where verbs and pages write, and two gateways that only read."""

    clock: Clock
    keys: Keys
    people: People
    statutes: Statutes
    sessions: Sessions
    nodes: tuple[Identity, Identity]

    def tick(self) -> None:
        """Half a second later, on every node."""
        self.clock.now += 0.5
        for node in self.nodes:
            node.refresh()

    def everywhere(self, credential: str, peer: str = "") -> Actor:
        first, second = (node.authenticate(credential, peer) for node in self.nodes)
        assert first == second
        return first

    def nowhere(self, credential: str) -> None:
        for node in self.nodes:
            with pytest.raises(Unauthenticated):
                node.authenticate(credential)


def token(clock: Clock, **more: object) -> str:
    claims = {"iss": ISSUER, "aud": US, "sub": "u-17", "exp": clock.now + 3600, **more}
    return jwt.encode(claims, SHARED, algorithm="HS256")


def tokens(clock: Clock, **more: str) -> Tokens:
    settings = IssuerSettings(issuer=ISSUER, audience=US, key=SHARED, department="dept", role="role", **more)
    return Tokens([settings], clock)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with built(tmp_path, "sqlite") as house:
        yield house


@pytest.fixture
def house_on_each(tmp_path: Path, database_url: str) -> Iterator[House]:
    """For what a database could do otherwise than another."""
    with built(tmp_path, database_url) as house:
        yield house


@contextmanager
def built(tmp_path: Path, database_url: str) -> Iterator[House]:
    clock = Clock()
    with ExitStack() as stack:
        writing, one, two = (stack.enter_context(closing(Database(tmp_path, database_url))) for _ in range(3))
        nodes = []
        for database in (one, two):
            beside = Beside(
                {"librarian": [AUDIT]}, tokens(clock), Statutes(database), Sessions(database, clock), COOKIES
            )
            nodes.append(Identity(Keys(database, clock), clock, beside))
        yield House(
            clock,
            Keys(writing, clock),
            People(writing, clock),
            Statutes(writing, clock),
            Sessions(writing, clock),
            (nodes[0], nodes[1]),
        )
        for node in nodes:
            node.close()


def test_a_key_of_a_user_speaks_for_the_user_and_the_department(house: House) -> None:
    house.people.add_department(Department("icu", "重症监护室", confined=True))
    house.people.add_user(User("li.wei", "icu", "member"))
    info, secret = house.keys.create("laptop", "", belonging=Belonging(user="li.wei"))
    house.tick()
    actor = house.everywhere(secret)
    assert actor == Actor(info.id, "laptop", "member", "icu", "li.wei", frozenset({CALL}), "department icu")
    house.people.add_department(Department("lab"))
    house.people.change_user("li.wei", department="lab", role="operator")
    house.tick()
    actor = house.everywhere(secret)
    assert (actor.department, actor.role, actor.permissions, actor.confined) == ("lab", "operator", {CALL, OPERATE}, "")


def test_a_key_allows_no_more_than_its_user(house: House) -> None:
    house.people.add_user(User("li.wei", role="operator"))
    _, admin = house.keys.create("too much", "admin", belonging=Belonging(user="li.wei"))
    _, less = house.keys.create("less", "member", belonging=Belonging(user="li.wei"))
    house.tick()
    actor = house.everywhere(admin)
    assert (actor.role, actor.permissions) == ("operator", {CALL, OPERATE})
    assert (house.everywhere(less).role, house.everywhere(less).permissions) == ("member", {CALL})
    house.people.change_user("li.wei", role="auditor")
    house.tick()
    assert house.everywhere(admin).permissions == {AUDIT}
    assert house.everywhere(less).permissions == frozenset()


def test_switching_off_stops_all_keys_within_a_second_on_every_node(house_on_each: House) -> None:
    house = house_on_each
    house.people.add_department(Department("icu"))
    house.people.add_user(User("li.wei", "icu"))
    _, own = house.keys.create("own", "", belonging=Belonging(user="li.wei"))
    _, shared = house.keys.create("shared", belonging=Belonging(department="icu", service=True))
    house.tick()
    for secret in (own, shared):
        house.everywhere(secret)
    house.people.change_user("li.wei", active=False)
    house.tick()
    house.nowhere(own)
    house.everywhere(shared)
    house.people.change_user("li.wei", active=True)
    house.people.change_department("icu", active=False)
    house.tick()
    house.nowhere(own)
    house.nowhere(shared)
    house.people.change_department("icu", active=True)
    house.tick()
    house.everywhere(own)
    house.everywhere(shared)


def test_a_revoked_key_is_over_within_a_second_on_every_node(house_on_each: House) -> None:
    house = house_on_each
    info, secret = house.keys.create("one")
    began = house.clock.now
    house.tick()
    house.everywhere(secret)
    house.keys.revoke(info.id)
    house.tick()
    house.nowhere(secret)
    assert house.clock.now - began <= 1.0


def test_rotation_changes_the_secret_and_nothing_else(house: House) -> None:
    info, old = house.keys.create("one", "operator", belonging=Belonging(networks=["10.0.0.0/8"]))
    rotated, new = house.keys.rotate(info.id, 60)
    house.tick()
    assert rotated.id == info.id and new != old
    assert house.everywhere(old, "10.1.1.1") == house.everywhere(new, "10.1.1.1")
    assert house.everywhere(new, "10.1.1.1").key_id == info.id
    with pytest.raises(Forbidden):
        house.nodes[0].authenticate(old, "11.1.1.1")
    house.clock.now += 60
    house.nowhere(old)
    house.everywhere(new, "10.1.1.1")
    _, third = house.keys.rotate(info.id)
    house.tick()
    house.nowhere(new)
    house.everywhere(third, "10.1.1.1")
    house.keys.rotate(info.id, 60)
    house.keys.revoke(info.id)
    house.tick()
    house.nowhere(third)


def test_a_key_is_good_from_its_networks_only(house: House) -> None:
    _, secret = house.keys.create("ward", belonging=Belonging(networks=["10.1.0.0/16", "2001:db8::/32"]))
    house.tick()
    node = house.nodes[0]
    for peer in ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8::5"):
        assert node.identify(Incoming("POST", "/", "", {"x-api-key": secret}, b"", peer)).name == "ward"
    for peer in ("10.2.0.1", "", "::1", "nonsense"):
        with pytest.raises(Forbidden) as caught:
            node.identify(Incoming("POST", "/", "", {"x-api-key": secret}, b"", peer))
        assert "from this address" in caught.value.message and "10.1" not in caught.value.message


def test_roles_of_one_s_own(house: House) -> None:
    house.statutes.put("role", "nurse", {"permissions": ["call", "audit", "fly"]})
    roles = (*house.nodes[0].roles, "nurse")
    _, nurse = house.keys.create("n", "nurse", roles=roles)
    _, librarian = house.keys.create("l", "librarian", roles=roles)
    house.tick()
    assert house.everywhere(nurse).permissions == {CALL, AUDIT}
    assert house.everywhere(librarian).permissions == {AUDIT}
    house.statutes.put("role", "nurse", {"permissions": ["call"]})
    house.statutes.put("role", "librarian", {"permissions": ["govern"]})  # the configuration's stays in force
    house.statutes.put("role", "member", {"permissions": ["govern"]})
    house.tick()
    assert house.everywhere(nurse).permissions == {CALL}
    assert house.everywhere(librarian).permissions == {AUDIT}
    assert house.nodes[0].roles["member"] == {CALL}
    house.statutes.remove("role", "nurse")
    house.tick()
    assert house.everywhere(nurse).permissions == frozenset()
    house.nodes[0].adopt({}, None)
    assert house.nodes[0].authenticate(librarian).permissions == {GOVERN}


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.text(min_size=1, max_size=8), st.sets(st.sampled_from(Permission))),
    st.dictionaries(
        st.sampled_from([*BUILT_IN, "own"]), st.lists(st.sampled_from([*Permission, "other", 7, None]), max_size=6)
    ),
)
def test_what_is_built_in_cannot_be_redefined(configured: dict, stored: dict) -> None:  # type: ignore[type-arg]
    found = union(configured, [(name, {"permissions": said}) for name, said in stored.items()])
    assert {name: found[name] for name in BUILT_IN} == BUILT_IN
    for name, allowed in found.items():
        said = BUILT_IN.get(name) or configured.get(name, stored.get(name))
        assert allowed == {each for each in said if each in set(Permission)}


def test_a_token_is_an_actor(house: House) -> None:
    sent = token(house.clock, preferred_username="li.wei", dept="icu", role="auditor")
    expected = Actor(key_id(ISSUER, "u-17"), "li.wei", "auditor", "icu", "li.wei", frozenset({AUDIT}))
    assert house.everywhere(sent) == expected == house.everywhere(sent)
    assert house.everywhere(token(house.clock, preferred_username="li.wei", exp=NOW + 7200)).role == "member"
    assert house.nodes[0].find(expected.key_id).user == "li.wei"
    bearer = Incoming("POST", "/", "", {"authorization": f"Bearer {sent}"}, b"")
    assert house.nodes[0].identify(bearer) == expected


def test_what_a_token_leaves_open_our_own_list_says(house: House) -> None:
    house.people.add_department(Department("icu", confined=True))
    house.people.add_user(User("li.wei", "icu", "operator"))
    house.tick()
    actor = house.everywhere(token(house.clock, preferred_username="li.wei"))
    assert (actor.department, actor.role, actor.confined) == ("icu", "operator", "department icu")
    assert house.everywhere(token(house.clock, role="boss")).permissions == frozenset()


def test_a_remembered_token_ends_with_its_time_its_user_and_its_department(house: House) -> None:
    house.people.add_department(Department("icu"))
    house.people.add_user(User("li.wei"))
    house.tick()
    sent = token(house.clock, preferred_username="li.wei", dept="icu")
    house.everywhere(sent)
    house.people.change_user("li.wei", active=False)
    house.tick()
    house.nowhere(sent)
    with pytest.raises(Unauthenticated):
        house.nodes[0].find(key_id(ISSUER, "u-17"))
    house.people.change_user("li.wei", active=True)
    house.people.change_department("icu", active=False)
    house.tick()
    house.nowhere(sent)
    house.people.change_department("icu", active=True)
    house.tick()
    house.everywhere(sent)
    house.clock.now = NOW + 3600 + 31
    house.nowhere(sent)


def test_a_token_is_verified_once_and_again_when_keys_change(house: House) -> None:
    looked: list[str] = []

    class Counting(Tokens):
        def verify(self, token: str):  # type: ignore[no-untyped-def]
            looked.append(token)
            return super().verify(token)

    issuer = IssuerSettings(issuer=ISSUER, audience=US, key=SHARED)
    counting = Counting([issuer], house.clock)
    node = house.nodes[0]
    node.adopt({}, counting)
    sent = token(house.clock)
    for _ in range(3):
        node.authenticate(sent)
    assert len(looked) == 1
    house.sessions.begin(600, subject=Subject(ISSUER, "somebody else", "wang"))
    house.tick()
    node.authenticate(sent)
    assert len(looked) == 1
    house.keys.create("another")
    house.tick()
    node.authenticate(sent)
    assert len(looked) == 2
    node.adopt({}, None)
    with pytest.raises(Unauthenticated):
        node.authenticate(sent)


def test_what_was_asked_with_a_token_goes_on_in_its_name(house_on_each: House) -> None:
    """After the token has expired, on the other node, and after a restart; not where somebody is switched off."""
    house = house_on_each
    first, second = house.nodes
    actor = first.authenticate(token(house.clock, preferred_username="li.wei", role="operator"))
    assert first.find(actor.key_id) == actor
    with pytest.raises(Unauthenticated):
        second.find(actor.key_id)
    first.remember()
    house.tick()
    house.clock.now += 86_400
    assert first.find(actor.key_id) == second.find(actor.key_id) == actor
    # The same again is nothing new, other claims are.
    version = house.sessions.version()
    first.authenticate(token(house.clock, preferred_username="li.wei", role="operator"))
    first.remember()
    assert house.sessions.version() == version
    second.authenticate(token(house.clock, preferred_username="li.wei", role="auditor"))
    second.remember()
    house.tick()
    assert first.find(actor.key_id).role == "auditor"
    house.people.add_user(User("li.wei"))
    house.people.change_user("li.wei", active=False)
    house.tick()
    for node in house.nodes:
        with pytest.raises(Unauthenticated):
            node.find(actor.key_id)


def test_a_key_is_looked_up_by_its_digest(house: House) -> None:
    """Nothing is compared sign by sign: what is near a key has a digest that is nowhere near."""
    _, secret = house.keys.create("one")
    standing = Standing(Facts(house.keys.snapshot()))
    assert set(standing.held) == {digest(secret)} and len(digest(secret)) == 32
    near = {secret[:index] + ("A" if sign != "A" else "B") + secret[index + 1 :] for index, sign in enumerate(secret)}
    assert len(near) == len(secret)
    assert not [each for each in near if digest(each)[:3] == digest(secret)[:3]]


# Sign-ins.


def browser(secret: str, method: str = "GET", peer: str = "", **headers: str) -> Incoming:
    cookie = f"theme=dark; {COOKIES.name}={COOKIES.seal(secret)}"
    return Incoming(method, "/", "", {"cookie": cookie, **headers}, b"", peer)


def test_a_sign_in_is_as_good_as_its_key(house: House) -> None:
    info, key = house.keys.create("admin", "admin", belonging=Belonging(networks=["10.0.0.0/8"]))
    _, secret = house.sessions.begin(600, credential=digest(key))
    house.tick()
    for node in house.nodes:
        assert node.identify(browser(secret, peer="10.0.0.1")).key_id == info.id
        with pytest.raises(Forbidden):
            node.identify(browser(secret, peer="11.0.0.1"))
    house.keys.rotate(info.id, 60)
    house.tick()
    assert house.nodes[0].identify(browser(secret, peer="10.0.0.1")).key_id == info.id
    house.clock.now += 60
    with pytest.raises(Unauthenticated, match="over"):
        house.nodes[1].identify(browser(secret, peer="10.0.0.1"))


def test_a_sign_in_by_a_provider_ends_with_its_time_its_user_and_its_end(house_on_each: House) -> None:
    house = house_on_each
    subject = Subject(ISSUER, "u-17", "li.wei", "icu", "admin")
    _, secret = house.sessions.begin(600, subject=subject)
    _, other = house.sessions.begin(600, subject=subject)
    house.people.add_user(User("li.wei"))
    house.tick()
    for node in house.nodes:
        assert node.identify(browser(secret)).permissions == BUILT_IN["admin"]
    house.sessions.revoke(secret)
    house.tick()
    for node in house.nodes:
        with pytest.raises(Unauthenticated):
            node.identify(browser(secret))
        node.identify(browser(other))
    house.people.change_user("li.wei", active=False)
    house.tick()
    with pytest.raises(Unauthenticated):
        house.nodes[0].identify(browser(other))
    house.people.change_user("li.wei", active=True)
    house.tick()
    actor = house.nodes[0].identify(browser(other))
    house.clock.now = NOW + 601
    assert house.nodes[1].find(actor.key_id) == actor  # a batch that was begun in the browser goes on
    with pytest.raises(Unauthenticated):
        house.nodes[0].identify(browser(other))


def test_what_changes_something_needs_the_word_of_our_own_pages(house: House) -> None:
    _, key = house.keys.create("admin", "admin")
    _, secret = house.sessions.begin(600, credential=digest(key))
    house.tick()
    node, word = house.nodes[0], COOKIES.csrf(secret)
    for method in ("GET", "HEAD"):
        node.identify(browser(secret, method))
    for method in ("POST", "PATCH", "DELETE", "PUT", "OPTIONS", "get"):
        assert node.identify(browser(secret, method, **{CSRF: word})).role == "admin"
        assert node.identify(browser(secret, method, **{CSRF: word, "sec-fetch-site": "same-origin"})).role == "admin"
        for headers in (
            {},
            {CSRF: ""},
            {CSRF: word[:-1]},
            {CSRF: secret},
            {CSRF: COOKIES.csrf("other")},
            {CSRF: "密"},
            {CSRF: word, "sec-fetch-site": "cross-site"},
            {CSRF: word, "sec-fetch-site": "same-site"},
            {"sec-fetch-site": "same-origin"},
        ):
            with pytest.raises(Forbidden):
                node.identify(browser(secret, method, **headers))
    # With a key of its own, a call is what it was.
    assert node.identify(Incoming("POST", "/", "", {"x-api-key": key, "cookie": "x=y"}, b"")).role == "admin"


def test_a_cookie_that_we_did_not_sign_is_none(house: House) -> None:
    _, key = house.keys.create("admin", "admin")
    _, secret = house.sessions.begin(600, credential=digest(key))
    house.tick()
    good, foreign = COOKIES.seal(secret), Cookies(b"another", secure=True).seal(secret)
    for value in (secret, good[:-1], good + "x", foreign, f"{secret}.", ".", "", f"{secret}.密", "\ud800.x"):
        with pytest.raises(Unauthenticated):
            house.nodes[0].identify(Incoming("GET", "/", "", {"cookie": f"{COOKIES.name}={value}"}, b""))
    with pytest.raises(Unauthenticated):
        house.nodes[0].identify(Incoming("GET", "/", "", {"cookie": f"sampan={good}"}, b""))


def test_the_secret_of_a_session_is_kept_as_a_hash(house: House, tmp_path: Path) -> None:
    _, secret = house.sessions.begin(600, subject=Subject(ISSUER, "u", "li"))
    with closing(Database(tmp_path)) as database, database.read() as connection:
        stored = str(connection.execute(select(SESSIONS)).all())
    assert secret not in stored and digest(secret).hex() in stored
    house.clock.now += 8 * 86_400
    house.sessions.begin(600, subject=Subject(ISSUER, "u", "li"))
    assert len(house.sessions.snapshot()[1]) == 1


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_whatever_a_cookie_holds_is_refused(text: str) -> None:
    cookies = Cookies(b"house", secure=False)
    for header in (text, f"{cookies.name}={text}", f"{cookies.name}=a.{text}"):
        assert cookies.open({"cookie": header}) == ""
    with pytest.raises(Forbidden):
        cookies.check("secret", "POST", {CSRF: text})


def test_the_sign_ins_of_one_key_are_only_so_many(house: House) -> None:
    _, key = house.keys.create("one")
    _, other = house.keys.create("other")
    _, kept = house.sessions.begin(600, credential=digest(other))
    secrets = []
    for _ in range(MAX_OF_ONE + 2):
        house.clock.now += 1
        secrets.append(house.sessions.begin(600, credential=digest(key))[1])
    found = house.sessions.snapshot()[1]
    assert set(found) == {digest(each) for each in (*secrets[2:], kept)}
