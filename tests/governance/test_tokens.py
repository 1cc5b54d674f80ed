"""Tokens that are as they should be, and every way in which they are not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

from sampan.config.identity import IssuerSettings
from sampan.errors import ConfigError, SampanError, Unauthenticated
from sampan.governance.claims import find
from sampan.governance.jwks import read_keys
from sampan.governance.tokens import GAP, MAX_TOKEN, Tokens
from sampan.storage.sessions import key_id
from tests.fake_oidc import jwk

NOW = 1_700_000_000.0
ISSUER, US = "https://id.example", "sampan"
SHARED = "a shared key of more than thirty-two bytes"
GOOD = {"iss": ISSUER, "aud": US, "sub": "u-17", "exp": NOW + 60}


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def ed_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


@pytest.fixture
def jwks(tmp_path: Path, rsa_key: Any, ec_key: Any, ed_key: Any) -> Path:
    file = tmp_path / "jwks.json"
    keys = [jwk(rsa_key, "rsa"), jwk(ec_key, "ec", ECAlgorithm), jwk(ed_key, "ed", OKPAlgorithm)]
    file.write_text(json.dumps({"keys": keys}))
    return file


@pytest.fixture
def tokens(jwks: Path) -> Tokens:
    return Tokens([IssuerSettings(issuer=ISSUER, audience=US, jwks=str(jwks))], Clock())


def shared(**more: Any) -> Tokens:
    return Tokens([IssuerSettings(**{"issuer": ISSUER, "audience": US, "key": SHARED, **more})], Clock())


def signed(claims: dict[str, Any], key: Any = SHARED, algorithm: str = "HS256", **headers: Any) -> str:
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers or None)


def part(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def by_hand(header: Any, claims: Any, key: bytes = SHARED.encode()) -> str:
    """A token that no library would make, with a good signature by HMAC."""
    text = f"{part(header)}.{part(claims)}"
    return f"{text}.{part(hmac.digest(key, text.encode(), hashlib.sha256))}"


def refusal(tokens: Tokens, token: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        tokens.verify(token)
    return caught.value.message


def test_good_tokens_of_each_kind(tokens: Tokens, rsa_key: Any, ec_key: Any, ed_key: Any) -> None:
    for key, algorithm, kid in ((rsa_key, "RS256", "rsa"), (ec_key, "ES256", "ec"), (ed_key, "EdDSA", "ed")):
        verified = tokens.verify(signed(GOOD, key, algorithm, kid=kid))
        assert (verified.subject.subject, verified.subject.name, verified.until) == ("u-17", "u-17", NOW + 90)
        assert tokens.verify(signed(GOOD, key, algorithm)) == verified  # one key fits: it need not be named
    assert shared().verify(signed(GOOD)).subject.issuer == ISSUER


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "nOnE", "", "HS256", "hs256", "RS512", "ES256K", None, 1]
)
def test_what_the_header_says_of_algorithms_is_no_permission(tokens: Tokens, algorithm: Any) -> None:
    claims, header = part(GOOD), part({"alg": algorithm, "kid": "rsa"})
    for signature in ("", part(b"x"), part(b"\0" * 256)):
        assert refusal(tokens, f"{header}.{claims}.{signature}") == "The token is not valid."


def test_a_public_key_is_never_a_shared_one(tokens: Tokens, jwks: Path, rsa_key: Any) -> None:
    """RS256 → HS256: whoever knows the public key, which is everybody, could sign."""
    public = rsa_key.public_key()
    forms = [
        public.public_bytes(encoding, kind)
        for encoding, kind in (
            (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            (Encoding.PEM, PublicFormat.PKCS1),
            (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        )
    ]
    forms += [jwks.read_bytes(), json.dumps(jwk(rsa_key, "rsa")).encode(), b""]
    for form in forms:
        for kid in ({"kid": "rsa"}, {}):
            assert refusal(tokens, by_hand({"alg": "HS256", **kid}, GOOD, form)) == "The token is not valid."


def test_a_key_verifies_only_what_it_is_for(tokens: Tokens, rsa_key: Any, ec_key: Any, ed_key: Any) -> None:
    for key, algorithm in ((rsa_key, "RS256"), (ec_key, "ES256"), (ed_key, "EdDSA")):
        for kid in {"rsa", "ec", "ed"} - {{"RS256": "rsa", "ES256": "ec", "EdDSA": "ed"}[algorithm]}:
            assert "not known" in refusal(tokens, signed(GOOD, key, algorithm, kid=kid))
    assert refusal(tokens, signed(GOOD, rsa_key, "PS256", kid="rsa")) == "The token is not valid."


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../dev/null",
        "/etc/passwd",
        "http://127.0.0.1/keys",
        "rsa' OR '1'='1",
        "rsa\0",
        "RSA",
        "",
        "密",
        "x" * 3000,
    ],
)
def test_a_kid_is_looked_up_and_nothing_else(tokens: Tokens, kid: str) -> None:
    forger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert refusal(tokens, signed(GOOD, forger, "RS256", kid=kid)).startswith("The token")
    # The classic: a key that names an empty file, so that an empty secret signs.
    assert refusal(tokens, by_hand({"alg": "HS256", "kid": kid}, GOOD, b"")) == "The token is not valid."


@pytest.mark.parametrize("kid", [1, None, ["rsa"], {"a": 1}, True])
def test_a_kid_that_is_no_text(kid: Any) -> None:
    assert refusal(shared(), by_hand({"alg": "HS256", "kid": kid}, GOOD)) == "The token is not valid."


def test_keys_in_the_header_are_not_looked_at(tokens: Tokens) -> None:
    forger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    headers = {
        "jwk": jwk(forger, "mine"),
        "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/x",
        "x5c": ["MII"],
    }
    assert "not known" in refusal(tokens, signed(GOOD, forger, "RS256", kid="mine", **headers))
    assert refusal(tokens, signed(GOOD, forger, "RS256", kid="rsa", **headers)) == "The token is not valid."
    # Ignored, not refused, where the signature is good.
    assert shared().verify(by_hand({"alg": "HS256", **headers}, GOOD)).subject.subject == "u-17"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"exp": NOW - 30}, "has expired"),
        ({"exp": None}, "never expires"),
        ({"exp": "2030-01-01"}, "`exp` is no time"),
        ({"exp": True}, "`exp` is no time"),
        ({"exp": 10**400}, "`exp` is no time"),
        ({"nbf": NOW + 31}, "not valid yet"),
        ({"iat": NOW + 31}, "not valid yet"),
        ({"iat": [NOW]}, "`iat` is no time"),
        ({"aud": "another"}, "somebody else"),
        ({"aud": ["another", US + "x"]}, "somebody else"),
        ({"aud": None}, "somebody else"),
        ({"aud": {US: 1}}, "somebody else"),
        ({"aud": [[US]]}, "somebody else"),
        ({"iss": "https://id.example/"}, "not valid"),
        ({"iss": "https://evil.example"}, "not valid"),
        ({"iss": None}, "not valid"),
        ({"iss": [ISSUER]}, "not valid"),
        ({"sub": None}, "`sub`"),
        ({"sub": ""}, "`sub`"),
        ({"sub": 17}, "`sub`"),
        ({"sub": "a\nb"}, "`sub`"),
        ({"sub": "\ud800"}, "`sub`"),
        ({"sub": "x" * 256}, "`sub`"),
    ],
)
def test_claims_that_do_not_fit(change: dict[str, Any], said: str) -> None:
    claims = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    assert said in refusal(shared(), by_hand({"alg": "HS256"}, claims))


def test_times_may_be_off_by_the_leeway() -> None:
    edge = {**GOOD, "exp": NOW - 29, "nbf": NOW + 30, "iat": NOW + 30, "aud": ["x", US]}
    assert shared().verify(by_hand({"alg": "HS256"}, edge)).until == NOW + 1
    assert "has expired" in refusal(shared(leeway=0.0), by_hand({"alg": "HS256"}, {**GOOD, "exp": NOW}))


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "HS256", "crit": ["exp"]},
        {"alg": "HS256", "crit": []},
        {"alg": "HS256", "b64": False, "crit": ["b64"]},
        {"alg": "HS256", "typ": "logout+jwt"},
        {"alg": "HS256", "typ": ["JWT"]},
        b'{"alg":"HS256","alg":"none"}',
        b'{"alg":"none","alg":"HS256"}',
        b'["HS256"]',
        b'"HS256"',
        b"{" * 3000,
        b"[" * 3000,
        b"\xff\xfe{\0}\0",
        '{"alg":"HS256"}'.encode("utf-16"),
        b"",
    ],
)
def test_headers_that_are_not_understood(header: Any) -> None:
    assert refusal(shared(), by_hand(header, GOOD)) == "The token is not valid."


def test_members_that_stand_there_twice() -> None:
    text = json.dumps(GOOD)[:-1]
    for more in (f', "exp": {NOW + 9e9}}}', ', "aud": "sampan"}', ', "role": {"a": 1, "a": 2}}'):
        assert refusal(shared(), by_hand({"alg": "HS256"}, (text + more).encode())) == "The token is not valid."
    for bad in ("NaN", "Infinity", "9" * 5000):
        assert (
            refusal(shared(), by_hand({"alg": "HS256"}, f'{text}, "x": {bad}}}'.encode())) == "The token is not valid."
        )


def test_what_is_no_token() -> None:
    good = signed(GOOD)
    head, body, signature = good.split(".")
    for bad in (
        "a.b.c",
        "..",
        f"{head}.{body}.",
        f"{head}.{body}.{signature}=",
        f"{head}.{body}.{signature}\n",
        f" {good}",
        f"{good}.x",
        f"{head}.{body}",
        f"{head}.{body}.{signature[:-2]}",
        "é.é.é",
        f"{body}.{head}.{signature}",
    ):
        assert refusal(shared(), bad) == "The token is not valid."
    long = signed({**GOOD, "x": "y" * MAX_TOKEN})
    assert "8,192 bytes" in refusal(shared(), long)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 63))
def test_no_changed_sign_is_taken(position: int, sign: int) -> None:
    """Any other character anywhere: refused, but where it only changes the unused bits of the last one."""
    good = signed(GOOD)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    position %= len(good)
    if good[position] == ".":
        return
    changed = good[:position] + alphabet[sign] + good[position + 1 :]
    same = [base64.urlsafe_b64decode(each + "==") for each in changed.split(".")] == [
        base64.urlsafe_b64decode(each + "==") for each in good.split(".")
    ]
    if not same:
        refusal(shared(), changed)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jku", "zip"]), JSON | st.just("HS256")),
    st.dictionaries(st.sampled_from([*GOOD, "nbf", "iat", "role", "dept", "preferred_username"]), JSON),
)
def test_whatever_is_signed_is_somebody_or_refused(header: dict[str, Any], change: dict[str, Any]) -> None:
    """Nothing else is ever raised, nothing that came in is said again, and who comes in has a name that fits."""
    tokens = shared(role="role", department="dept")
    token = by_hand({"alg": "HS256", **header}, {**GOOD, **change})
    try:
        subject = tokens.verify(token).subject
    except Unauthenticated as error:
        assert token not in error.message and SHARED not in error.message
    else:
        for text in (subject.name, subject.role, subject.department, subject.subject):
            assert text.isprintable() and len(text) <= 255


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ae0_-.=+/ é\n\0", max_size=40))
def test_whatever_comes_in_is_refused(text: str) -> None:
    refusal(shared(), text)


def test_two_issuers_do_not_vouch_for_each_other(jwks: Path, rsa_key: Any) -> None:
    both = Tokens(
        [
            IssuerSettings(issuer=ISSUER, audience=US, jwks=str(jwks)),
            IssuerSettings(issuer="https://other.example", audience=US, key=SHARED, prefix="other:"),
        ],
        Clock(),
    )
    assert both.verify(signed({**GOOD, "iss": "https://other.example"})).subject.name == "other:u-17"
    assert refusal(both, signed(GOOD)) == "The token is not valid."
    crossed = signed({**GOOD, "iss": "https://other.example"}, rsa_key, "RS256", kid="rsa")
    assert refusal(both, crossed) == "The token is not valid."
    assert key_id(ISSUER, "u-17") != key_id("https://other.example", "u-17")


def test_claims_become_department_and_role() -> None:
    tokens = shared(
        name="profile.login",
        department="https://example.org/groups",
        departments={"cn=icu": "重症监护", "cn=lab": "检验科"},
        role="realm.roles",
        roles={"boss": "admin", "staff": "member"},
        default_role="",
    )
    claims = {
        **GOOD,
        "profile": {"login": "li.wei"},
        "https://example.org/groups": ["cn=lab", "cn=icu"],
        "realm": {"roles": ["staff", "boss"]},
    }
    subject = tokens.verify(signed(claims)).subject
    assert (subject.name, subject.department, subject.role) == ("li.wei", "重症监护", "admin")
    bare = tokens.verify(signed({**GOOD, "realm": {"roles": "none of them"}})).subject
    assert (bare.name, bare.department, bare.role, bare.default_role) == ("u-17", "", "", "")
    plain = (
        shared(department="dept", role="role").verify(signed({**GOOD, "dept": "icu", "role": ["auditor", "x"]})).subject
    )
    assert (plain.department, plain.role) == ("icu", "auditor")
    odd = shared(name="n", role="role").verify(signed({**GOOD, "n": " blank", "role": {"admin": True}})).subject
    assert (odd.name, odd.role, odd.default_role) == ("u-17", "", "member")


def test_dotted_paths() -> None:
    assert find({"a.b": 1, "a": {"b": 2}}, "a.b") == 1
    assert find({"a": {"b.c": 3}}, "a.b.c") == 3
    assert find({"a": [1]}, "a.b") is None
    assert find({"a": 1}, "") is None
    assert find({"a": {}}, "a." * 20) is None


# Key sets.


class Site:
    """What URLs answer. It counts, and fails when told to."""

    def __init__(self) -> None:
        self.pages: dict[str, Any] = {}
        self.asked: list[str] = []
        self.failing = False

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if self.failing:
            raise SampanError("it is away")
        page = self.pages[url]
        return page if isinstance(page, bytes) else json.dumps(page).encode()


@pytest.fixture
def site(rsa_key: Any) -> Site:
    site = Site()
    site.pages = {
        f"{ISSUER}/.well-known/openid-configuration": {"issuer": ISSUER, "jwks_uri": "https://id.example/keys"},
        "https://id.example/keys": {"keys": [jwk(rsa_key, "one")]},
    }
    return site


def fetching(site: Site, steady: Clock, **more: Any) -> Tokens:
    return Tokens([IssuerSettings(issuer=ISSUER, audience=US, **more)], Clock(), fetch=site.fetch, steady=steady)


async def test_keys_are_found_by_discovery_and_read_again(site: Site, rsa_key: Any, ec_key: Any) -> None:
    steady = Clock(1000.0)
    tokens = fetching(site, steady, refresh=300.0)
    token = signed(GOOD, rsa_key, "RS256", kid="one")
    with pytest.raises(Unauthenticated) as caught:  # a call does not wait for them
        tokens.verify(token)
    assert caught.value.retry_after == 1.0 and site.asked == []
    await tokens.freshen()
    assert tokens.verify(token).subject.subject == "u-17"
    await tokens.freshen()
    assert len(site.asked) == 2
    forgotten: list[int] = []
    tokens.listen(lambda: forgotten.append(1))
    site.pages["https://id.example/keys"] = {"keys": [jwk(rsa_key, "one"), jwk(ec_key, "two", ECAlgorithm)]}
    steady.now += 300
    await tokens.freshen()
    assert tokens.verify(signed(GOOD, ec_key, "ES256", kid="two")) and not forgotten
    site.pages["https://id.example/keys"] = {"keys": [jwk(ec_key, "one", ECAlgorithm)]}
    steady.now += 300
    await tokens.freshen()
    assert forgotten == [1]
    assert "not known" in refusal(tokens, token)


async def test_an_unknown_kid_has_the_keys_read_once_in_a_while(site: Site, rsa_key: Any) -> None:
    steady = Clock(1000.0)
    tokens = fetching(site, steady, jwks="https://id.example/keys")
    await tokens.freshen()
    for number in range(50):
        assert "not known" in refusal(tokens, signed(GOOD, rsa_key, "RS256", kid=f"new{number}"))
        await tokens.freshen()
    assert len(site.asked) == 1
    steady.now += GAP
    refusal(tokens, signed(GOOD, rsa_key, "RS256", kid="new"))
    site.pages["https://id.example/keys"] = {"keys": [jwk(rsa_key, "new")]}
    await tokens.freshen()
    assert tokens.verify(signed(GOOD, rsa_key, "RS256", kid="new")) and len(site.asked) == 2


async def test_keys_that_cannot_be_read_leave_the_old_ones(
    site: Site, rsa_key: Any, caplog: pytest.LogCaptureFixture
) -> None:
    steady = Clock(1000.0)
    tokens = fetching(site, steady, jwks="https://id.example/keys")
    await tokens.freshen()
    token = signed(GOOD, rsa_key, "RS256", kid="one")
    site.failing = True
    for page in (b"{}", b"[]", b'{"keys": []}', b'{"keys": [{"kty": "oct", "k": "AAAA"}]}', b"\xff", b"x" * (2 << 20)):
        steady.now += 300
        await tokens.freshen()
        assert tokens.verify(token)
        site.failing, site.pages["https://id.example/keys"] = False, page
    assert caplog.text.count("the last known ones stay in force") == 1


async def test_discovery_of_somebody_else_is_not_believed(site: Site) -> None:
    page = f"{ISSUER}/.well-known/openid-configuration"
    for said in (
        {"issuer": "https://evil.example", "jwks_uri": "https://id.example/keys"},
        {"issuer": ISSUER, "jwks_uri": "http://id.example/keys"},
        {"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"},
        {"issuer": ISSUER, "jwks_uri": "https://id.example/keys\r\nx: y"},
        {"issuer": ISSUER},
    ):
        site.pages[page] = said
        site.asked.clear()
        await fetching(site, Clock(1000.0)).freshen()
        assert site.asked == [page]


async def test_the_background_task_reads_them_at_the_start_and_when_asked(site: Site, rsa_key: Any) -> None:
    steady = Clock(1000.0)
    token = signed(GOOD, rsa_key, "RS256", kid="two")
    came = asyncio.Event()

    async def fetch(url: str) -> bytes:
        came.set()
        return await site.fetch(url)

    url = "https://id.example/keys"
    tokens = Tokens([IssuerSettings(issuer=ISSUER, audience=US, jwks=url)], Clock(), fetch=fetch, steady=steady)
    running = asyncio.create_task(tokens.run())
    await asyncio.wait_for(came.wait(), 10)
    came.clear()
    site.pages["https://id.example/keys"] = {"keys": [jwk(rsa_key, "two")]}
    steady.now += GAP
    refusal(tokens, token)
    await asyncio.wait_for(came.wait(), 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_a_file_that_is_no_key_set_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    for text in ("", "{}", '{"keys": {}}', '{"keys": [{"kty": "oct", "k": "QUJD", "kid": "a"}]}'):
        file.write_text(text)
        with pytest.raises(ConfigError, match="key set"):
            Tokens([IssuerSettings(issuer=ISSUER, audience=US, jwks=str(file))])


def test_a_public_key_cannot_be_shared_by_mistake(rsa_key: Any) -> None:
    pem = rsa_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(ConfigError, match="public key"):
        shared(key=pem)


def test_what_is_published_is_sorted_out(rsa_key: Any, ec_key: Any, make_weak: Callable[[], Any]) -> None:
    keys = read_keys(
        json.dumps(
            {
                "keys": [
                    jwk(rsa_key, "good"),
                    jwk(rsa_key, "for one", alg="PS256"),
                    {**jwk(rsa_key, "to encrypt"), "use": "enc"},
                    jwk(rsa_key, "of another kind", alg="ES256"),
                    {"kty": "oct", "k": "QUJDREVGRw", "kid": "shared"},
                    {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "curve"},
                    {"kty": "RSA", "n": "AA", "e": "AQAB", "kid": "broken"},
                    jwk(make_weak(), "weak"),
                    {**jwk(ec_key, "number", ECAlgorithm), "kid": 5},
                    "text",
                    jwk(ec_key, "curve", ECAlgorithm),
                ]
            }
        ).encode()
    )
    assert set(keys) == {"good", "for one", "curve"}
    assert keys["for one"].algorithms == {"PS256"} and keys["curve"].algorithms == {"ES256"}


@pytest.fixture
def make_weak() -> Callable[[], Any]:
    return lambda: rsa.generate_private_key(public_exponent=65537, key_size=1024)


def test_keys_survive_a_new_configuration(jwks: Path, rsa_key: Any) -> None:
    site = Site()
    site.pages["https://id.example/keys"] = {"keys": [jwk(rsa_key, "one")]}
    old = fetching(site, Clock(), jwks="https://id.example/keys")
    asyncio.run(old.freshen())
    settings = IssuerSettings(issuer=ISSUER, audience="us, renamed", jwks="https://id.example/keys")
    new = Tokens([settings], Clock(), before=old)
    assert new.verify(signed({**GOOD, "aud": "us, renamed"}, rsa_key, "RS256", kid="one"))
