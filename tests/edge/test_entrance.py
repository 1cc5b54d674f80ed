"""Before a key is known: who asks, how many connections it may have, how often it may guess."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_wire_requests import Counter, Transport, connected

from sampan.config import Config, ServerSettings
from sampan.core import Incoming
from sampan.edge import crowd as crowd_module
from sampan.edge import guesses as guesses_module
from sampan.edge.addresses import Proxies, place, plain
from sampan.edge.crowd import PER_ADDRESS, Crowd, CrowdLimits
from sampan.edge.entrance import Entrance
from sampan.edge.exchange import Exchange
from sampan.edge.guesses import FIRST_LOCK, FORGIVEN, LONGEST_LOCK, PER_MINUTE, Guesses
from sampan.edge.wire import Wire
from sampan.errors import ConfigError

STRANGER = "203.0.113.9"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# Who asks.


@pytest.mark.parametrize(
    ("said", "is_"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", ""),
        ("unknown", ""),
        ("203.0.113.09", ""),
    ],
)
def test_an_address_has_one_spelling(said: str, is_: str) -> None:
    assert plain(said) == is_


@pytest.mark.parametrize(
    ("forwarded", "asks"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("1.2.3.4, 203.0.113.9", "203.0.113.9"),  # the first is what that one says of itself
        ("203.0.113.9, 10.9.9.9", "203.0.113.9"),  # by two proxies of ours
        ("10.1.1.1, 10.2.2.2", "10.1.1.1"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::7]:443,10.0.0.2", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("", "10.0.0.1"),
        ("unknown", "10.0.0.1"),
        ("203.0.113.9, _hidden", "10.0.0.1"),
        ("203.0.113.9,, 10.0.0.3", "10.0.0.3"),
        ("1.2.3.4\x00, x", "10.0.0.1"),
        ("1.1.1.1," * 5000 + "10.0.0.2," * 40 + "10.0.0.2", "10.0.0.2"),
    ],
)
def test_the_last_that_is_no_proxy_of_ours_asks(forwarded: str, asks: str) -> None:
    assert Proxies(["10.0.0.0/8", "fd00::/8"]).asker("10.0.0.1", forwarded) == asks


@given(st.text(max_size=80))
def test_whatever_is_forwarded_an_address_asks(forwarded: str) -> None:
    asks = Proxies(["10.0.0.0/8"]).asker("10.0.0.1", forwarded)
    assert plain(asks) == asks != ""


GET = b"GET /x HTTP/1.1\r\nHost: x\r\n%b\r\n"
POST = b"POST /v1/x HTTP/1.1\r\nHost: x\r\ncontent-length: 1\r\n%b\r\na"
FORWARDED = b"x-forwarded-for: 203.0.113.9\r\n"


def wired(desk: Any, address: tuple[str, int] | str) -> tuple[Wire, Transport]:
    wire, _ = connected(desk)
    wire.connection_made(transport := Transport(address))  # type: ignore[arg-type]
    return wire, transport


def test_every_way_in_says_who_asks() -> None:
    desk = Counter()
    wire, _ = wired(desk, ("::ffff:198.51.100.7", 4000))
    for data in (GET % FORWARDED, POST % b"", POST % b"", POST % FORWARDED):  # the third by a head that is known
        wire.data_received(data)
    assert desk.peers == ["198.51.100.7"] * 4
    desk = Counter()
    wire, _ = wired(desk, ("10.0.0.1", 4000))
    for data in (GET % FORWARDED, POST % FORWARDED, POST % FORWARDED, POST % b"", POST % b""):
        wire.data_received(data)
    assert desk.peers == [STRANGER] * 3 + ["10.0.0.1"] * 2
    desk = Counter()
    wire, _ = wired(desk, "")  # a Unix socket
    wire.data_received(POST % b"")
    assert desk.peers == [""]


def test_a_proxy_that_is_trusted_no_more_is_believed_no_more() -> None:
    desk = Counter()
    wire, _ = wired(desk, ("10.0.0.1", 4000))
    wire.data_received(POST % FORWARDED)
    desk.proxies = Proxies([])
    wire.forget()
    wire.data_received(POST % FORWARDED)
    assert desk.peers == [STRANGER, "10.0.0.1"]


# How many connections.


def test_an_ipv6_site_is_one_place() -> None:
    assert place("2001:db8:1:2:3::4") == place("2001:db8:1:2::9") != place("2001:db8:1:3::9")
    assert place(STRANGER) == STRANGER


def test_an_address_has_its_share_and_the_others_theirs() -> None:
    crowd = Crowd(CrowdLimits(total=5, per_address=2, per_second=100), Clock())
    assert [crowd.enter(STRANGER) for _ in range(2)] == [None, None]
    refused = crowd.enter(STRANGER)
    assert refused is not None and refused[0] == 429 and "2 connections" in refused[1]
    assert crowd.enter("198.51.100.1") is None
    assert [crowd.enter("10.0.0.1", known=True) for _ in range(2)] == [None, None]
    full = crowd.enter("198.51.100.2")
    assert full is not None and full[0] == 503
    crowd.leave("10.0.0.1")
    assert crowd.enter("198.51.100.2") is None
    for address in (STRANGER, STRANGER, "198.51.100.1", "198.51.100.2", "10.0.0.1"):
        crowd.leave(address)
    assert crowd._open == {} and crowd._total == 0
    assert crowd.enter(STRANGER) is None


def test_by_default_this_machine_itself_is_not_bounded_and_others_are() -> None:
    crowd = Crowd(CrowdLimits(total=10_000), clock := Clock())
    for _ in range(PER_ADDRESS + 1):
        clock.now += 1
        assert crowd.enter("127.0.0.1") is None
    taken = 0
    while crowd.enter(STRANGER) is None:
        clock.now += 1
        taken += 1
    assert taken == PER_ADDRESS
    strict = Crowd(CrowdLimits(total=9, per_address=1), Clock())
    assert strict.enter("127.0.0.1") is None
    assert strict.enter("127.0.0.1") is not None


def test_new_connections_are_bounded_by_the_second() -> None:
    crowd = Crowd(CrowdLimits(total=9999, per_address=9999, per_second=10), clock := Clock())
    assert [crowd.enter(STRANGER) is None for _ in range(25)].count(True) == 20  # two seconds' worth at once
    clock.now += 0.5
    assert [crowd.enter(STRANGER) is None for _ in range(25)].count(True) == 5
    assert crowd.enter("198.51.100.1") is None


def test_what_is_remembered_of_arrivals_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd_module, "PLACES", 500)
    crowd = Crowd(CrowdLimits(total=10**9, per_address=1, per_second=1), Clock())
    for number in range(550):
        address = f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1"
        crowd.enter(address)
        crowd.leave(address)
    assert len(crowd._arrivals) == 500 and not crowd._open


def test_a_flood_is_told_in_the_log_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    crowd = Crowd(CrowdLimits(total=1), clock := Clock())
    crowd.enter(STRANGER)
    for _ in range(100):
        crowd.enter(STRANGER)
    clock.now += 60
    crowd.enter(STRANGER)
    assert [record.getMessage().split()[0] for record in caplog.records] == ["1", "100"]


def test_a_connection_over_the_limit_is_told_why() -> None:
    class Full(Counter):
        def joined(self, wire: Wire) -> None:
            wire.refuse(429, "too many")

    wire, transport = connected(Full())
    assert transport.written.startswith(b"HTTP/1.1 429 ") and b"rate_limit_error" in transport.written
    assert transport.closed == "closed"
    wire.data_received(GET % b"")
    wire.connection_lost(None)


# How many guesses.


def test_wrong_keys_lock_an_address_out_longer_each_time() -> None:
    guesses = Guesses(5, clock := Clock())
    waits = []
    for _ in range(9):
        for _ in range(5):
            assert guesses.wait(STRANGER, "any") == 0
            guesses.failed(STRANGER)
        waits.append(guesses.wait(STRANGER, "any"))
        assert guesses.wait("198.51.100.1", "any") == 0
        clock.now += waits[-1]
    assert waits[:3] == [FIRST_LOCK, 2 * FIRST_LOCK, 4 * FIRST_LOCK]
    assert waits[-1] == LONGEST_LOCK
    clock.now += FORGIVEN + 1
    for _ in range(5):
        guesses.failed(STRANGER)
    assert guesses.wait(STRANGER, "any") == FIRST_LOCK


def test_a_few_wrong_keys_now_and_then_are_nobody_s_concern() -> None:
    guesses = Guesses(5, clock := Clock())
    for _ in range(50):
        guesses.failed(STRANGER)
        clock.now += 20
    assert guesses.wait(STRANGER, "any") == 0


def test_a_key_that_was_good_from_there_stays_good_while_a_neighbour_guesses() -> None:
    guesses = Guesses(2, Clock())
    guesses.passed(STRANGER, "good")
    for _ in range(2):
        guesses.failed(STRANGER)
    assert guesses.wait(STRANGER, "good") == 0
    assert guesses.wait(STRANGER, "bad") > 0
    assert guesses.wait(STRANGER, "") > 0
    assert not [each for each in guesses._welcome if b"good" in each]


def test_what_is_held_against_addresses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guesses_module, "PLACES", 500)
    monkeypatch.setattr(guesses_module, "WELCOME", 400)
    guesses = Guesses(2, Clock())
    for number in range(550):
        guesses.failed(f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1")
        guesses.passed(STRANGER, str(number))
    assert len(guesses._slates) == 500
    assert len(guesses._welcome) == 400


def test_by_default_this_machine_itself_may_be_wrong() -> None:
    guesses = Guesses(None, Clock())
    for _ in range(PER_MINUTE):
        guesses.failed("127.0.0.1")
        guesses.failed(STRANGER)
    assert guesses.wait("127.0.0.1", "any") == 0
    assert guesses.wait(STRANGER, "any") > 0


class Locked(Counter):
    """Knows the key `good`; three wrong ones are too many."""

    async def answer(self, incoming: Incoming, exchange: Exchange) -> None:
        self.taken.append((incoming.method, incoming.path, incoming.body))
        good = incoming.credential == "good" or incoming.path == "/x"
        exchange.answer(200 if good else 401, b"", b"")


def test_wrong_keys_over_a_connection_are_counted_and_then_not_looked_at() -> None:
    desk = Locked()
    used, answered = wired(desk, (STRANGER, 1))
    used.data_received(POST % b"x-api-key: good\r\n")
    guessing, _ = wired(desk, (STRANGER, 2))
    for _ in range(3):
        guessing.data_received(POST % b"x-api-key: bad\r\n")
    assert len(desk.taken) == 4
    for key in (b"x-api-key: bad\r\n", b"authorization: Bearer other\r\n", b"cookie: a=b\r\n", b""):
        wire, refused = wired(desk, (STRANGER, 3))
        wire.data_received(POST % key)
        assert refused.written.startswith(b"HTTP/1.1 429 ") and b"retry-after: 15\r\n" in refused.written
        assert b"connection: close\r\n" in refused.written
        wire.data_received(b"POST")
    assert len(desk.taken) == 4, "a key was looked at"
    used.data_received(POST % b"x-api-key: good\r\n")
    fresh, _ = wired(desk, (STRANGER, 4))
    fresh.data_received(POST % b"x-api-key: good\r\n")
    health, _ = wired(desk, (STRANGER, 5))
    health.data_received(GET % b"")
    assert len(desk.taken) == 7
    desk.now += 15.0
    wire, _ = wired(desk, (STRANGER, 6))
    wire.data_received(POST % b"x-api-key: bad\r\n")
    assert len(desk.taken) == 8
    assert answered.written.count(b" 200 ") == 2


def test_a_key_that_is_good_no_more_is_counted_on_an_old_connection_too() -> None:
    desk = Locked()
    wire, transport = wired(desk, (STRANGER, 1))
    for _ in range(2):
        wire.data_received(POST % b"x-api-key: good\r\n")
    for _ in range(4):
        wire.data_received(POST % b"x-api-key: went\r\n")
    assert [part[:3] for part in transport.written.split(b"HTTP/1.1 ")[1:]] == [b"200"] * 2 + [b"401"] * 3 + [b"429"]


# Bodies.


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"zstd, gzip", b"GZIP"])
def test_a_packed_body_is_refused_before_a_byte_of_it_is_unpacked(coding: bytes) -> None:
    desk = Counter()
    wire, transport = wired(desk, (STRANGER, 1))
    wire.data_received(POST % b"content-encoding: %b\r\n" % coding)
    assert transport.written.startswith(b"HTTP/1.1 415 ") and desk.taken == []
    wire, transport = wired(desk, (STRANGER, 1))
    wire.data_received(POST % b"content-encoding: identity\r\n")
    assert len(desk.taken) == 1


class Slow(Counter):
    pace = 100.0
    patience = 60.0


@pytest.mark.parametrize(("size", "late"), [(10, 10.0), (1500, 15.0), (100_000, 60.0)])
def test_a_body_that_comes_by_drops_is_not_waited_for(size: int, late: float) -> None:
    desk = Slow()
    wire, transport = wired(desk, (STRANGER, 1))
    wire.data_received(b"POST /x HTTP/1.1\r\nHost: x\r\ncontent-length: 150000\r\n\r\n" + b"a" * size)
    began = wire._began
    for tenths in range(10, 700):
        wire.look(began + tenths / 10)
        if transport.written:
            break
    assert desk.refused == ["late"]
    assert late - 0.2 < tenths / 10 < late + 1.2


# The configuration, read again.


def configured(**server: Any) -> Config:
    return Config(server=dataclasses.replace(ServerSettings(), **server))


def test_limits_are_swapped_and_what_is_counted_stays() -> None:
    entrance = Entrance(configured(connections=2), Clock())
    told: list[str] = []
    entrance.changed = lambda: told.append("changed")
    assert entrance.enter(STRANGER) is None
    adopt = entrance.prepare(configured(connections=1, trusted_proxies=["203.0.113.0/24"], guesses_per_minute=1))
    assert not told and not entrance.proxies.trusts(STRANGER)
    adopt()
    assert told == ["changed"] and entrance.proxies.trusts(STRANGER)
    assert entrance.enter("198.51.100.1") is not None
    entrance.guesses.failed("198.51.100.1")
    assert entrance.guesses.wait("198.51.100.1", "") > 0


def test_there_are_no_more_connections_than_files_for_them() -> None:
    entrance = Entrance(configured(connections=100))
    entrance.fit(40)
    assert entrance.crowd.limits.total == 30
    entrance.prepare(configured(connections=20))()
    assert entrance.crowd.limits.total == 20
    entrance.prepare(configured(connections=50))()
    assert entrance.crowd.limits.total == 30
    entrance.fit(-1)  # without a bound
    assert entrance.crowd.limits.total == 30


def test_tls_is_turned_on_by_a_restart_only() -> None:
    config = configured()
    with pytest.raises(ConfigError, match="only a restart"):
        Entrance(config).prepare(dataclasses.replace(config, tls=dataclasses.replace(config.tls, certificate="x")))
