"""What may be fetched: URLs, addresses, redirects. No socket here; see tests/upstreams/test_fetch.py for those."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sampan.config.egress import embedded
from sampan.core import Fault
from sampan.errors import ConfigError, InvalidRequest, TargetFault
from sampan.media.fetching import (
    Exemption,
    Fetcher,
    Larder,
    Place,
    Policy,
    Refused,
    follow,
    is_public,
    split,
)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
WANTED = frozenset({"image/png", "image/jpeg"})
PUBLIC = "93.184.216.34"
PATH = "messages.0.content.1"

v4 = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)
v6 = st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address)


def inside(address: ipaddress.IPv4Address) -> list[ipaddress.IPv6Address]:
    """Every way in which an IPv6 address carries that one."""
    n = int(address)
    return [
        ipaddress.IPv6Address(0xFFFF << 32 | n),
        ipaddress.IPv6Address(0x64FF9B << 96 | n),
        ipaddress.IPv6Address(0x2002 << 112 | n << 80 | 1),
        ipaddress.IPv6Address(0x2A00 << 112 | 0x5EFE << 32 | n),
        ipaddress.IPv6Address(0x2A00 << 112 | 0x2005EFE << 32 | n),
    ]


@given(st.one_of(v4, v6))
@example(ipaddress.ip_address("169.254.169.254"))
@example(ipaddress.ip_address("0.0.0.0"))
@example(ipaddress.ip_address("255.255.255.255"))
@example(ipaddress.ip_address("::1"))
@example(ipaddress.ip_address("fe80::1"))
@example(ipaddress.ip_address("fd00:ec2::254"))
@example(ipaddress.ip_address("ff02::1"))
@example(ipaddress.ip_address("::"))
def test_what_the_library_calls_special_is_never_public(address: ipaddress.IPv4Address) -> None:
    special = (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
    )
    if special and embedded(address) is None:  # an embedded one is judged by what is inside
        assert not is_public(address)


@given(v4)
@example(ipaddress.IPv4Address("127.0.0.1"))
@example(ipaddress.IPv4Address("10.0.0.1"))
@example(ipaddress.IPv4Address("100.100.100.200"))
@example(ipaddress.IPv4Address(PUBLIC))
def test_an_address_inside_another_is_found_and_judged(address: ipaddress.IPv4Address) -> None:
    for outer in inside(address):
        assert embedded(outer) == address
        assert is_public(outer) is is_public(address), outer


@pytest.mark.parametrize("text", [PUBLIC, "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "100.63.255.255"])
def test_the_public_internet_is_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["100.64.0.1", "168.63.129.16", "192.0.0.192", "64:ff9b:1::1", "2001:0:1::1", "::2"])
def test_the_odd_corners_are_not(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://example.com", Place("https", "example.com", 443, "/")),
        ("HTTP://EXAMPLE.com.:8080/a b".replace(" ", "%20"), Place("http", "example.com", 8080, "/a%20b")),
        ("https://example.com/图?q=图#part", Place("https", "example.com", 443, "/%E5%9B%BE?q=%E5%9B%BE")),
        ("https://例子.测试/x?a=[1]", Place("https", "xn--fsqu00a.xn--0zwm56d", 443, "/x?a=[1]")),
        ("http://[2606:4700:0::1111]/", Place("http", "2606:4700::1111", 80, "/")),
    ],
)
def test_a_url_taken_apart(url: str, place: Place) -> None:
    assert split(url) == place


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/a.png",
        "//example.com/a.png",
        "ftp://example.com/a",
        "file:///etc/passwd",
        "gopher://example.com/",
        "data:image/png;base64,AAAA",
        "http://user@example.com/",
        "http://user:word@example.com/",
        "http://@example.com/",
        "http://example.com\\@127.0.0.1/",
        "http://example.com/a b",
        "http://example.com/\r\nhost: inner",
        "http://exa\tmple.com/",
        "http://example.com:0/",
        "http://example.com:99999/",
        "http://example.com:x/",
        "http:///a",
        "http://exa%6dple.com/",
        "http://ex!mple.com/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://℀.com/",
        "http://example.com/" + "a" * 9000,
    ],
)
def test_a_url_that_is_a_trick_or_none(url: str) -> None:
    with pytest.raises(Refused):
        split(url)


@given(st.text())
def test_no_text_breaks_the_splitter(text: str) -> None:
    for url in (text, f"http://{text}", f"https://example.com/{text}"):
        try:
            place = split(url)
        except Refused:
            continue
        assert place.target.startswith("/") and all("!" <= letter <= "~" for letter in place.target)
        assert split(place.url) == place


def test_a_redirect_starts_again() -> None:
    here = split("https://example.com/a/b.png?x")
    assert follow(here, "c.png") == split("https://example.com/a/c.png")
    assert follow(here, "//other.org/d") == split("https://other.org/d")
    for wrong in ("", "http://example.com/", "ftp://example.com/", "https://a@b.org/", "https://[", "javascript:1"):
        with pytest.raises(Refused):
            follow(here, wrong)


@pytest.mark.parametrize(
    ("text", "host", "address", "covered"),
    [
        ("10.0.0.0/8", "x", "10.9.8.7", True),
        ("10.0.0.0/8", "x", "::ffff:10.9.8.7", True),
        ("10.0.0.0/8", "x", "11.0.0.1", False),
        ("10.0.0.0/8", "x", "fd00::1", False),
        ("fd00::1", "x", "fd00::1", True),
        ("[fd00::1]:9000", "x", "fd00::1", True),
        ("files.lan", "files.lan", "192.168.1.1", True),
        ("files.lan", "evil.files.lan", "192.168.1.1", False),
        ("Files.LAN.", "files.lan", "192.168.1.1", True),
    ],
)
def test_what_an_exemption_covers(text: str, host: str, address: str, covered: bool) -> None:
    assert Exemption.parse(text).covers(host, ipaddress.ip_address(address)) is covered


@pytest.mark.parametrize("text", ["", "http://files.lan", "10.0.0.0/40", "files.lan:99999", "files.lan:0", "a b"])
def test_an_exemption_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError):
        Exemption.parse(text)


@dataclass
class Answered:
    status: int = 200
    body: bytes = PNG
    headers: dict[str, str] = field(default_factory=dict)
    oversize: bool = False


@dataclass
class Web:
    """A small internet: names with their addresses, and what each URL answers. Keeps what was asked."""

    names: dict[str, list[str]]
    answers: dict[str, Answered | TargetFault] = field(default_factory=dict)
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        if host not in self.names:
            raise TargetFault(Fault.DNS, "secret.lan has no address")
        return self.names[host]

    async def ask(
        self, scheme: str, host: str, port: int, target: str, *, addresses: Sequence[str], most: int, seconds: float
    ) -> Answered:
        url = f"{scheme}://{host}:{port}{target}"
        self.asked.append((url, tuple(addresses)))
        answer = self.answers.get(url, Answered())
        if isinstance(answer, TargetFault):
            raise answer
        return answer

    def fetcher(self, policy: Policy | None = None) -> Fetcher:
        return Fetcher(self.ask, self.resolve, policy)


async def refusal(web: Web, url: str, policy: Policy | None = None) -> str:
    with pytest.raises(InvalidRequest) as caught:
        await web.fetcher(policy).fetch(url, PATH, WANTED)
    assert caught.value.param == PATH and caught.value.message.startswith(f"{PATH}: ")
    assert caught.value.__cause__ is None
    return caught.value.message


async def test_the_addresses_that_were_judged_are_those_that_are_asked() -> None:
    web = Web({"a.org": [PUBLIC, "2606:4700::1111"]})
    assert await web.fetcher().fetch("https://a.org/x.png", PATH, WANTED) == PNG
    assert web.asked == [("https://a.org:443/x.png", (PUBLIC, "2606:4700::1111"))]


@pytest.mark.parametrize("addresses", [["127.0.0.1"], [PUBLIC, "10.0.0.1"], ["fe80::1%eth0"], ["::ffff:7f00:1"], []])
async def test_a_name_that_leads_inside_is_not_asked(addresses: list[str]) -> None:
    web = Web({"a.org": addresses})
    inner = await refusal(web, "http://a.org/")
    assert web.asked == []
    assert inner == await refusal(web, "http://unknown.org/")  # nobody learns which inner names there are


async def test_each_redirect_is_judged_again() -> None:
    web = Web({"a.org": [PUBLIC], "b.org": ["192.168.0.9"]})
    web.answers["http://a.org:80/"] = Answered(302, headers={"location": "http://b.org/x"})
    await refusal(web, "http://a.org/")
    assert [url for url, _ in web.asked] == ["http://a.org:80/"]


async def test_a_name_that_changes_its_mind_is_judged_each_time() -> None:
    """Rebinding: public when it is first looked up, loopback for the redirect to itself."""
    found = iter([[PUBLIC], ["127.0.0.1"]])
    web = Web({})

    async def resolve(host: str, port: int) -> Sequence[str]:
        return next(found)

    web.answers["http://a.org:80/"] = Answered(307, headers={"location": "/again"})
    with pytest.raises(InvalidRequest):
        await Fetcher(web.ask, resolve).fetch("http://a.org/", PATH, WANTED)
    assert web.asked == [("http://a.org:80/", (PUBLIC,))]


@pytest.mark.parametrize(("redirects", "reached"), [(5, True), (6, False)])
async def test_so_many_redirects_and_no_more(redirects: int, reached: bool) -> None:
    web = Web({"a.org": [PUBLIC]})
    for number in range(redirects):
        web.answers[f"http://a.org:80/{number}"] = Answered(302, headers={"location": f"/{number + 1}"})
    if reached:
        assert await web.fetcher().fetch("http://a.org/0", PATH, WANTED) == PNG
    else:
        assert "redirects more than 5 times" in await refusal(web, "http://a.org/0")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answered(404), "answered with 404"),
        (Answered(body=b"<html>"), "leads to none of image/jpeg, image/png"),
        (Answered(body=b"%PDF-1.7"), "leads to none of"),
        (Answered(headers={"content-encoding": "gzip"}), "compressed"),
        (Answered(oversize=True), "larger than"),
        (TargetFault(Fault.REFUSED, "the connect was refused"), "does not answer"),
    ],
)
async def test_what_is_not_taken(answer: Answered | TargetFault, said: str) -> None:
    assert said in await refusal(Web({"a.org": [PUBLIC]}, {"http://a.org:80/": answer}), "http://a.org/")


async def test_an_exempted_host_is_asked_and_its_answers_are_not_told() -> None:
    policy = Policy((Exemption.parse("10.0.0.0/8"), Exemption.parse("files.lan:9000")))
    web = Web({"files.lan": ["192.168.1.2"], "other.lan": ["10.1.1.1"]})
    assert await web.fetcher(policy).fetch("http://files.lan:9000/a", PATH, WANTED) == PNG
    assert await web.fetcher(policy).fetch("http://other.lan/a", PATH, WANTED) == PNG
    web.answers["http://other.lan:80/a"] = Answered(403)
    assert "403" not in await refusal(web, "http://other.lan/a", policy)
    for closed in ("http://files.lan/a", "http://other.lan:9000/a", "http://10.1.1.1:22/"):
        await refusal(web, closed, policy)


async def test_other_ports_are_closed() -> None:
    web = Web({"a.org": [PUBLIC]})
    assert "port 22" in await refusal(web, "http://a.org:22/")
    assert web.asked == []
    open_port = Policy((Exemption.parse("a.org:8443"),))
    assert await web.fetcher(open_port).fetch("https://a.org:8443/", PATH, WANTED) == PNG


async def test_a_resolver_that_hangs_is_given_up() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError

    fetcher = Fetcher(Web({}).ask, resolve, Policy(seconds=0.02))
    with pytest.raises(InvalidRequest, match="too long"):
        await fetcher.fetch("http://a.org/", PATH, WANTED)


async def test_a_larder_fetches_once_and_only_so_much() -> None:
    web = Web({"a.org": [PUBLIC]})
    larder = Larder(web.fetcher(), most_urls=2, most_bytes=len(PNG) + 1)
    for _ in range(2):
        assert await larder.fetch("http://a.org/1", PATH, WANTED) == PNG
    assert len(web.asked) == 1
    with pytest.raises(InvalidRequest, match="too large together"):
        await larder.fetch("http://a.org/2", PATH, WANTED)
    with pytest.raises(InvalidRequest, match="may name 2"):
        await larder.fetch("http://a.org/3", PATH, WANTED)


async def test_a_call_that_may_not_leave_is_given_only_what_is_inside() -> None:
    policy = Policy(
        (Exemption.parse("10.0.0.0/8"), Exemption.parse("files.lan:9000"), Exemption.parse("203.0.113.0/24"))
    )
    web = Web({"files.lan": ["192.168.1.2"]})
    looked_up: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        looked_up.append(host)
        return web.names.get(host, [host])

    fetcher = Fetcher(web.ask, resolve, policy)
    for inner in ("http://files.lan:9000/a", "http://10.1.1.1/a", "http://203.0.113.9/a"):
        assert await fetcher.fetch(inner, PATH, WANTED, inside=True) == PNG
    looked_up.clear()
    for outer in ("http://a.org/", "http://files.lan/", f"https://{PUBLIC}/", "http://10.1.1.1:22/", "http://9.9.9.9/"):
        with pytest.raises(InvalidRequest) as caught:
            await fetcher.fetch(outer, PATH, WANTED, inside=True)
        assert caught.value.param == PATH
    assert looked_up == [], "to look a name up is to leave the house"
    web.names["files.lan"] = [PUBLIC]
    with pytest.raises(InvalidRequest, match="may not leave the house"):
        await fetcher.fetch("http://files.lan:9000/a", PATH, WANTED, inside=True)


async def test_a_redirect_out_of_the_house_is_not_followed_for_it() -> None:
    web = Web({"files.lan": ["192.168.1.2"], "a.org": [PUBLIC]})
    web.answers["http://files.lan:80/"] = Answered(302, headers={"location": "http://a.org/x"})
    fetcher = web.fetcher(Policy((Exemption.parse("files.lan"),)))
    assert await fetcher.fetch("http://files.lan/", PATH, WANTED) == PNG
    larder = Larder(fetcher, inside=True)
    with pytest.raises(InvalidRequest, match="may not leave the house"):
        await larder.fetch("http://files.lan/", PATH, WANTED)
    assert [url for url, _ in web.asked].count("http://a.org:80/x") == 1
