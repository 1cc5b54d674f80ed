"""Signing in with a browser: by a key, and at a provider over real HTTP."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from sampan.config.identity import ConsoleSettings, IssuerSettings
from sampan.core import Answer, Incoming
from sampan.edge.sign_in import CALLBACK, LOGIN, LOGOUT, ME, WAYS, Reception, SignInPages
from sampan.errors import CallError, Forbidden, InvalidRequest, NotFound, SampanError, Unauthenticated, Unavailable
from sampan.governance.cookies import CSRF, Cookies
from sampan.governance.identity import Beside, Identity
from sampan.governance.oidc import PATIENCE, SignIn, local_path
from sampan.governance.tokens import Tokens
from sampan.storage.db import Database
from sampan.storage.keys import Belonging, Keys
from sampan.storage.people import People, User
from sampan.storage.sessions import Sessions
from tests.fake_oidc import CLIENT, SECRET, FakeProvider

PUBLIC = "https://ai.example.org"


@pytest.fixture(scope="module")
def started() -> Iterator[FakeProvider]:
    with FakeProvider().running() as provider:
        yield provider


@pytest.fixture
def provider(started: FakeProvider) -> FakeProvider:
    started.person = {"sub": "u-17", "preferred_username": "li.wei", "groups": ["staff"]}
    started.lie, started.refusing = {}, False
    started.asked.clear()
    return started


def browsing() -> httpx2.AsyncClient:
    """A client that reads no certificates: there are none on loopback, and they take their time."""
    return httpx2.AsyncClient(verify=False, trust_env=False)


async def fetch(url: str) -> bytes:
    async with browsing() as client:
        answer = await client.get(url)
    if answer.status_code != 200:
        raise SampanError(f"status {answer.status_code}")
    return answer.content


async def post(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
    async with browsing() as client:
        answer = await client.post(url, headers=dict(headers), content=body)
    return answer.status_code, answer.content


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


class Browser:
    """Keeps cookies, and nothing else."""

    def __init__(self, pages: SignInPages) -> None:
        self.pages = pages
        self.jar: dict[str, str] = {}
        self.said: list[str] = []

    async def ask(
        self, method: str, path: str, query: str = "", body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        cookies = {"cookie": "; ".join(f"{name}={value}" for name, value in self.jar.items())} if self.jar else {}
        kind = {"content-type": "application/json"} if body else {}
        answer = await self.pages.handle(Incoming(method, path, query, {**kind, **cookies, **headers}, body))
        return self._take(answer)

    def _take(self, answer: Answer) -> tuple[int, dict[str, str], bytes]:
        for name, value in answer.headers:
            if name == "set-cookie":
                self.said.append(value)
                pair, *more = value.split("; ")
                key, _, kept = pair.partition("=")
                self.jar[key] = kept
                if "Max-Age=0" in more:
                    del self.jar[key]
        assert isinstance(answer.body, bytes)
        return answer.status, dict(answer.headers), answer.body

    async def me(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((await self.ask("GET", ME))[2])
        return found


@dataclass
class House:
    clock: Clock
    keys: Keys
    people: People
    identity: Identity
    sign_in: SignIn
    pages: SignInPages


@pytest.fixture
def house(tmp_path: Path, provider: FakeProvider) -> Iterator[House]:
    clock = Clock()
    with closing(Database(tmp_path)) as database, closing(Database(tmp_path)) as writing:
        issuer = IssuerSettings(
            issuer=provider.url, audience="the API", role="groups", roles={"staff": "operator"}, default_role=""
        )
        tokens = Tokens([issuer], clock, fetch=fetch)
        cookies, sessions = Cookies(b"house", secure=True), Sessions(database, clock)
        identity = Identity(Keys(database, clock), clock, Beside({}, tokens, None, sessions, cookies))
        settings = ConsoleSettings(issuer=provider.url, client_id=CLIENT, client_secret=SECRET)
        sign_in = SignIn(settings, tokens, b"house", PUBLIC, fetch, post, clock)
        reception = Reception(
            sessions, cookies, identity.identify, identity.enter, identity.refresh, 3600.0, provider=sign_in
        )
        pages = SignInPages(reception)
        yield House(clock, Keys(writing, clock), People(writing, clock), identity, sign_in, pages)
        identity.close()


async def walk(browser: Browser, back: str = "/console") -> str:
    """To the provider and back; returns the query that the callback is asked with."""
    status, headers, _ = await browser.ask("GET", LOGIN, f"back={back}")
    assert status == 302
    async with browsing() as client:
        there = await client.get(headers["location"])
    assert there.status_code == 302
    home = urlsplit(there.headers["location"])
    assert f"{home.scheme}://{home.netloc}{home.path}" == PUBLIC + CALLBACK
    return home.query


async def test_a_person_signs_in_and_out_at_the_provider(house: House, provider: FakeProvider) -> None:
    browser = Browser(house.pages)
    status, headers, _ = await browser.ask("GET", CALLBACK, await walk(browser))
    assert (status, headers["location"]) == (302, "/console")
    assert set(browser.jar) == {"__Host-sampan"}
    for said in browser.said:
        assert "; HttpOnly; SameSite=Lax; Secure" in said and "; Path=/;" in said and "Domain" not in said
    me = await browser.me()
    assert (me["name"], me["user"], me["role"], me["permissions"]) == (
        "li.wei",
        "li.wei",
        "operator",
        ["call", "operate"],
    )
    word = str(me["csrf"])
    with pytest.raises(Forbidden):
        await browser.ask("POST", LOGOUT)
    before = dict(browser.jar)
    await browser.ask("POST", LOGOUT, **{CSRF: word})
    assert browser.jar == {}
    browser.jar = before
    with pytest.raises(Unauthenticated):
        await browser.me()


async def test_what_is_sent_to_the_provider(house: House) -> None:
    url, held = await house.sign_in.begin("/x")
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert query["redirect_uri"] == PUBLIC + CALLBACK and query["scope"] == "openid profile email"
    other = parse_qs(urlsplit((await house.sign_in.begin("/x"))[0]).query)
    for name in ("state", "nonce", "code_challenge"):
        assert len(query[name]) >= 43 and other[name] != [query[name]]
    for secret in (query["state"], query["nonce"]):
        assert secret not in held


async def refused(browser: Browser, query: str) -> CallError:
    with pytest.raises(CallError) as caught:
        await browser.ask("GET", CALLBACK, query)
    assert "__Host-sampan" not in browser.jar
    assert "code-" not in caught.value.message and "eyJ" not in caught.value.message
    return caught.value


async def test_a_sign_in_that_another_browser_began(house: House) -> None:
    browser, victim = Browser(house.pages), Browser(house.pages)
    query = await walk(browser)
    assert isinstance(await refused(victim, query), InvalidRequest)
    await walk(victim)
    assert isinstance(await refused(victim, query), InvalidRequest)  # its own state, another's code
    for changed in (query.replace("state=", "state=x"), query.replace("state=", "stat="), ""):
        assert isinstance(await refused(browser, changed), InvalidRequest)
    assert isinstance(await refused(browser, query.replace("iss=", "iss=https://evil.example&x=")), InvalidRequest)
    assert isinstance(await refused(browser, "error=access_denied&" + query), Unauthenticated)
    house.clock.now += PATIENCE + 1
    assert "minutes ago" in (await refused(browser, query)).message


async def test_a_code_is_good_once(house: House) -> None:
    browser = Browser(house.pages)
    query = await walk(browser)
    half = dict(browser.jar)
    await browser.ask("GET", CALLBACK, query)
    again = Browser(house.pages)
    again.jar = half
    assert isinstance(await refused(again, query), Unauthenticated)


@pytest.mark.parametrize(
    "lie",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "the API"},
        {"aud": [CLIENT, "other"]},
        {"aud": [CLIENT, "other"], "azp": "other"},
        {"azp": "other"},
        {"exp": 1},
        {"iss": "https://evil.example"},
        {"sub": ""},
    ],
)
async def test_id_tokens_that_do_not_fit(house: House, provider: FakeProvider, lie: dict[str, object]) -> None:
    browser = Browser(house.pages)
    query = await walk(browser)
    provider.lie = lie
    assert isinstance(await refused(browser, query), Unauthenticated)


async def test_a_provider_that_is_away(house: House, provider: FakeProvider) -> None:
    provider.refusing = True
    with pytest.raises(Unavailable):
        await Browser(house.pages).ask("GET", LOGIN)
    provider.refusing = False
    await Browser(house.pages).ask("GET", LOGIN)


async def test_whoever_is_switched_off_comes_no_further(house: House) -> None:
    await asyncio.to_thread(house.people.add_user, User("li.wei"))
    await asyncio.to_thread(lambda: house.people.change_user("li.wei", active=False))
    browser = Browser(house.pages)
    await browser.ask("GET", CALLBACK, await walk(browser))
    with pytest.raises(Unauthenticated):
        await browser.me()


async def test_whom_no_group_lets_in_is_allowed_nothing(house: House, provider: FakeProvider) -> None:
    provider.person = {"sub": "u-18", "groups": ["visitors"]}
    browser = Browser(house.pages)
    await browser.ask("GET", CALLBACK, await walk(browser))
    assert (await browser.me())["permissions"] == []


async def test_a_sign_in_by_a_key(house: House) -> None:
    info, key = await asyncio.to_thread(house.keys.create, "ann", "admin")
    house.identity.refresh()
    browser = Browser(house.pages)
    status, _, body = await browser.ask("POST", LOGIN, body=json.dumps({"key": key}).encode())
    told = json.loads(body)
    assert status == 200 and told["key_id"] == info.id and told["csrf"] and key.encode() not in body
    assert key not in browser.jar["__Host-sampan"]
    assert (await browser.me())["csrf"] == told["csrf"]
    first = dict(browser.jar)
    await browser.ask("POST", LOGIN, body=json.dumps({"key": key}).encode())
    browser.jar, second = first, dict(browser.jar)
    with pytest.raises(Unauthenticated):  # signing in again ended the sign-in before
        await browser.me()
    browser.jar = second
    await asyncio.to_thread(house.keys.revoke, info.id)
    house.identity.refresh()
    with pytest.raises(Unauthenticated):
        await browser.me()


async def test_a_sign_in_by_a_key_that_does_not_fit(house: House, provider: FakeProvider) -> None:
    _, ward = await asyncio.to_thread(lambda: house.keys.create("w", belonging=Belonging(networks=["10.0.0.0/8"])))
    _, key = await asyncio.to_thread(house.keys.create, "ann")
    house.identity.refresh()
    token = provider.sign({"aud": "the API", "sub": "u-17"})

    async def sent(body: bytes, **headers: str) -> type[CallError]:
        browser = Browser(house.pages)
        with pytest.raises(CallError) as caught:
            await browser.ask("POST", LOGIN, body=body, **headers)
        assert browser.jar == {}
        assert "sk-sampan" not in caught.value.message.replace("sk-sampan-…", "")
        return type(caught.value)

    assert await sent(b'{"key": "sk-sampan-guess"}') is Unauthenticated
    assert await sent(json.dumps({"key": token}).encode()) is Unauthenticated
    assert await sent(json.dumps({"key": ward}).encode()) is Forbidden
    for bad in (b"", b"{}", b'{"key": ""}', b'{"key": 5}', b"[]", b"\xff"):
        assert await sent(bad, **{"content-type": "application/json"}) is InvalidRequest
    good = json.dumps({"key": key}).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        assert await sent(good, **{"content-type": kind}) is InvalidRequest
    assert await sent(good, **{"sec-fetch-site": "cross-site"}) is Forbidden


async def test_what_there_is(house: House, tmp_path: Path) -> None:
    assert house.pages.methods(LOGIN) == ("GET", "POST") and house.pages.methods("/auth/other") == ()
    with pytest.raises(Unauthenticated):
        await Browser(house.pages).me()
    cookies = Cookies(b"house", secure=False)
    with closing(Database(tmp_path)) as database:
        identity = house.identity
        bare = SignInPages(Reception(Sessions(database), cookies, identity.identify, identity.enter, print, 60.0))
        assert json.loads((await Browser(bare).ask("GET", WAYS))[2]) == {"key": True, "provider": False}
        assert json.loads((await Browser(house.pages).ask("GET", WAYS))[2]) == {"key": True, "provider": True}
        with pytest.raises(NotFound, match="POST your key"):
            await Browser(bare).ask("GET", LOGIN)
    assert cookies.set("a", "b", 5) == ("set-cookie", "a=b; Path=/; Max-Age=5; HttpOnly; SameSite=Lax")


@pytest.mark.parametrize(
    "back",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "evil",
        "",
        "/a b",
        "/a\r\nset-cookie: x",
        "/密",
        "/\t/e",
    ],
)
def test_nobody_is_sent_elsewhere(back: str) -> None:
    assert local_path(back) == "/"
    assert local_path("/console/keys?department=icu#top") == "/console/keys?department=icu#top"
