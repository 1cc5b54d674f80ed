"""Limits and prices of one gateway: whom they concern, what calls take of them, and what callers hear."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.config.quota import LimitSettings, Period, PriceSettings, read_zone
from sampan.core import Call, Dialect, Operation, Spent, Usage
from sampan.errors import InvalidRequest, QuotaExceeded, Unavailable
from sampan.governance import quota as ledgers
from sampan.governance.quota import Quota
from sampan.governance.quota_bounds import Bounds, Prices
from sampan.governance.quota_clock import SteadyClock, window
from sampan.governance.quota_scope import Limit
from sampan.governance.quota_sources import Settings
from sampan.governance.quota_terms import read_limit
from sampan.storage.db import Database
from sampan.storage.ledger import Books
from sampan.storage.statutes import Statutes
from tests.governance.quota_house import CLOUD, ENGINE, LI, NOBODY, PLAN, WANG, ZHAO, Hands, call, limit, settings, took

GUESS = len(call().body) // 3 + 64


class Shop:
    """Ledgers over one database, and the clocks that they go by."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder)
        self.statutes = Statutes(self.database)
        self.hands = Hands()
        self.open: list[Quota] = []

    def ledger(self, wanted: Settings, **more: Any) -> Quota:
        books = Books(self.database, capacity=more.pop("capacity", 1 << 16))
        quota = Quota(
            books, self.statutes, wanted, wall=lambda: self.hands.wall, steady=lambda: self.hands.steady, **more
        )
        quota.start()
        self.open.append(quota)
        return quota

    def restart(self) -> Quota:
        self.open[-1].close()
        return self.ledger(self.open.pop()._settings)

    def close(self) -> None:
        for quota in self.open:
            quota.close()
        self.database.close()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    found = Shop(tmp_path)
    yield found
    found.close()


def bars(quota: Quota) -> dict[tuple[str, str], tuple[float, float]]:
    found = asyncio.run(quota.bars())
    return {(bar.limit.settings.name, bar.pot): (bar.spent, bar.reserved) for bar in found}


# Whom a limit concerns.


def test_a_name_is_shared_and_a_star_is_each_ones_own(shop: Shop) -> None:
    quota = shop.ledger(
        settings(
            limit("together", "calls", 9, "day", department="radiology"),
            limit("each", "calls", 9, "day", department="radiology", user="*"),
            limit("all", "calls", 9, "day"),
            limit("keys", "calls", 9, "day", key="key_l*"),
            limit("drawn", "calls", 9, "day", operation="generate"),
            limit("models", "calls", 9, "day", model="claude-*", role="member"),
        )
    )
    for actor in (LI, LI, WANG, ZHAO):
        quota.reserve(call(), actor, PLAN)
    assert {place: reserved for place, (_, reserved) in bars(quota).items()} == {
        ("together", "department=radiology"): 3,
        ("each", "department=radiology,user=li"): 2,
        ("each", "department=radiology,user=wang"): 1,
        ("all", ""): 4,
        ("keys", "key=key_l*"): 2,
        ("drawn", ""): 0,
        ("models", "role=member,model=claude-*"): 3,
    }


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_no_two_callers_share_a_pot_of_their_own(user: str, department: str, user2: str, department2: str) -> None:
    each = Limit(limit("each", "calls", 9, "day", department="*", user="*"))
    one, other = ((name, place) for name, place in ((user, department), (user2, department2)))
    pots = [each.pot(_actor(name, place), "m", Operation.TEXT) for name, place in (one, other)]
    same = [part.encode("utf-8", "replace") for part in one] == [part.encode("utf-8", "replace") for part in other]
    assert (pots[0] == pots[1]) == same
    assert all(pot is not None and pot.isprintable() and "|" not in pot for pot in pots)


def _actor(user: str, department: str) -> Any:
    return type(LI)("k", "n", "member", department, user)


def test_where_nothing_limits_there_is_no_lease(shop: Shop) -> None:
    quota = shop.ledger(settings(limit("r", "calls", 9, "day", department="radiology")))
    assert quota.reserve(call(), NOBODY, PLAN) is None
    quota.adopt(settings(prices=(PriceSettings(upstream="claude", input=3, output=15),)))
    lease = quota.reserve(call(), NOBODY, PLAN)
    assert lease is not None and lease.headers == ()
    assert lease.settle(took(1000, 100)) == pytest.approx(0.003 + 0.0015)
    assert bars(quota) == {}


# What callers hear.


def test_a_spent_limit_says_what_when_and_how_long(shop: Shop) -> None:
    quota = shop.ledger(
        settings(
            limit("minute", "calls", 2, "minute"),
            limit("影像科", "calls", 2, "month", department="radiology"),
            quota={"time_zone": "+08:00"},
        )
    )
    shop.hands.wall += 15
    for _ in range(2):
        lease = quota.reserve(call(), LI, PLAN)
        assert lease is not None
        lease.settle(took())
    with pytest.raises(QuotaExceeded) as full:
        quota.reserve(call(), LI, PLAN)
    assert full.value.message == (
        "limit '影像科' (department=radiology): 2 calls a month, 0 left; this call may need 1; "
        "it begins anew at 2027-02-01T00:00:00+08:00"
    )
    assert full.value.retry_after == datetime(2027, 1, 31, 16, tzinfo=UTC).timestamp() - shop.hands.wall
    assert not full.value.should_retry
    with pytest.raises(QuotaExceeded) as full:
        quota.reserve(call(), ZHAO, PLAN)
    assert (full.value.retry_after, full.value.should_retry) == (45.0, True)


def test_what_never_fits_is_not_to_be_asked_again(shop: Shop) -> None:
    quota = shop.ledger(settings(limit("t", "tokens", 500, "day"), limit("none", "pictures", 0, "day")))
    with pytest.raises(QuotaExceeded, match=r"'t': 500 tokens a day, 500 left; this call may need 1,1") as full:
        quota.reserve(call(answer=1000), LI, PLAN)
    assert full.value.retry_after is None and not full.value.should_retry
    assert quota.reserve(call(answer=10), LI, PLAN) is not None, "text needs no pictures"
    drawing = Call(
        Dialect.OPENAI_IMAGES, Operation.GENERATE, "gpt", "/v1/images/generations", b"{}", "application/json"
    )
    quota.adopt(settings(limit("none", "pictures", 0, "day")))
    with pytest.raises(QuotaExceeded, match="none"):
        quota.reserve(drawing, LI, PLAN)


def test_open_calls_end_with_their_calls(shop: Shop) -> None:
    quota = shop.ledger(settings(limit("open", "concurrency", 2, user="*")))
    leases = [quota.reserve(call(), LI, PLAN) for _ in range(2)]
    with pytest.raises(QuotaExceeded, match="2 open calls at once") as full:
        quota.reserve(call(), LI, PLAN)
    assert (full.value.retry_after, full.value.should_retry) == (1.0, True)
    for lease in leases:
        assert lease is not None
        lease.settle(took())
    assert bars(quota) == {("open", "user=li"): (0, 0)}
    assert shop.restart().reserve(call(), LI, PLAN) is not None


def test_the_tightest_limit_warns(shop: Shop) -> None:
    quota = shop.ledger(
        settings(
            limit("wide", "calls", 10, "day", soft=0.1),
            limit("tight", "calls", 5, "day", soft=0.6),
            limit("never", "calls", 3, "day", soft=1.5),
        )
    )
    told = []
    for _ in range(3):
        lease = quota.reserve(call(), LI, PLAN)
        assert lease is not None
        told.append(dict(lease.headers)["x-sampan-quota"].partition("; resets")[0])
        lease.settle(took())
    assert told == ["wide; limit=10; left=9", "wide; limit=10; left=8", "tight; limit=5; left=2"]


# What is charged.


def test_what_was_reserved_is_a_bound_and_what_was_taken_is_charged(shop: Shop) -> None:
    price = PriceSettings(upstream="claude", input=2, output=10)
    quota = shop.ledger(
        settings(limit("t", "tokens", 9000, "day"), limit("yuan", "money", 1, "day"), prices=(price,)),
    )
    lease = quota.reserve(call("你好" * 20, answer=1000), LI, PLAN)
    assert lease is not None
    (_, tokens), (_, money) = bars(quota)["t", ""], bars(quota)["yuan", ""]
    assert tokens == len(call("你好" * 20).body) + 64 + 1000
    assert money == pytest.approx((tokens - 1000) * 2e-6 + 1000 * 10e-6)
    assert lease.settle(took(100, 50)) == pytest.approx(0.0007)
    assert bars(quota) == {("t", ""): (150, 0), ("yuan", ""): (0.0007, 0)}
    with pytest.raises(RuntimeError):
        lease.refund()


@pytest.mark.parametrize(
    ("spent", "tokens"),
    [
        (Spent(None, 0, None), GUESS),  # the question, as near as can be known
        (Spent(None, 320, CLOUD), GUESS + 10),
        (Spent(None, 10**9, CLOUD), GUESS + 100),
        (Spent(Usage(5, 5), 10, CLOUD, cached=True), 0),
        (Spent(Usage(-5, 1 << 70), 10, CLOUD), 1 << 40),
    ],
)
def test_a_call_that_broke_off_pays_for_what_is_known(shop: Shop, spent: Spent, tokens: int) -> None:
    quota = shop.ledger(settings(limit("t", "tokens", 10**9, "day"), limit("c", "calls", 9, "day")))
    lease = quota.reserve(call(), LI, PLAN)
    assert lease is not None
    lease.settle(spent)
    assert bars(quota)["t", ""] == (tokens, 0)
    assert bars(quota)["c", ""] == (1, 0)


def test_what_is_more_than_was_reserved_is_charged_and_noted(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    quota = shop.ledger(settings(limit("t", "output_tokens", 100, "day")))
    lease = quota.reserve(call(answer=60), LI, PLAN)
    assert lease is not None
    with caplog.at_level(logging.WARNING):
        lease.settle(took(10, 150))
    assert "took 150, and 60 were reserved" in caplog.text and quota.excess == 1
    assert bars(quota) == {("t", ""): (150, 0)}
    with pytest.raises(QuotaExceeded, match="0 left"):
        quota.reserve(call(answer=1), LI, PLAN)


def test_engine_seconds_and_pictures(shop: Shop) -> None:
    quota = shop.ledger(
        settings(
            limit("s", "engine_seconds", 100, "day"),
            limit("p", "pictures", 5, "day"),
            limit("mp", "megapixels", 50, "day"),
            prices=(PriceSettings(upstream="qwen", picture=0.5, megapixel=0.1, engine_second=0.01),),
            quota={"engine_seconds": 30.0},
        )
    )
    body = b'{"prompt": "a junk", "size": "1024x1536", "n": 3}'
    drawing = Call(
        Dialect.OPENAI_IMAGES, Operation.GENERATE, "gpt", "/v1/images/generations", body, "application/json", pictures=3
    )
    assert quota.reserve(drawing, LI, (CLOUD,)) is not None
    assert bars(quota) == {("s", ""): (0, 0), ("p", ""): (0, 3), ("mp", ""): (0, 3 * 1.572864)}
    quota = shop.restart()
    lease = quota.reserve(drawing, LI, PLAN)
    assert lease is not None
    assert bars(quota)["s", ""] == (0, 30)
    assert lease.settle(took(9, 9, 2, target=ENGINE, seconds=12.5)) == pytest.approx(1.0 + 0.3145728 + 0.125)
    assert bars(quota) == {("s", ""): (12.5, 0), ("p", ""): (2, 0), ("mp", ""): (2 * 1.572864, 0)}
    lease = quota.reserve(drawing, LI, PLAN)
    assert lease is not None
    lease.settle(Spent(None, 0, ENGINE, 1.0))
    assert bars(quota)["p", ""] == (5, 0), "an upstream that began draws to the end"


def test_bounds_see_pictures_documents_and_choices() -> None:
    bounds = Bounds(settings(quota={"picture_tokens": 1000, "document_tokens": 5000}).quota)
    blocks = [
        {"type": "text", "text": "what is this"},
        {"type": "image", "source": {"type": "base64", "data": "A" * 100_000}},
        {"type": "tool_result", "content": [{"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}]},
        {"type": "document", "source": {"type": "base64", "data": "A" * 100_000}},
        {"type": "document", "source": {"type": "text", "data": "long " * 1000}},
    ]
    body = json.dumps({"messages": [{"role": "user", "content": blocks}]}).encode()
    load = bounds.of(call(body=body, plain=False), PLAN)
    assert 7000 + 5000 < load.input < 7000 + 5000 + 1000
    asked = json.dumps({"n": 4, "messages": [{"role": "user", "content": "hi"}]}).encode()
    assert bounds.of(call(body=asked, dialect=Dialect.OPENAI_CHAT, answer=0), PLAN).output == 4 * 8192
    assert bounds.of(call(path="/v1/messages/count_tokens"), PLAN).input == 0
    assert bounds.of(call(dialect=Dialect.OPENAI_EMBEDDINGS, operation=Operation.EMBED), PLAN).output == 0


def test_the_first_price_that_fits_is_the_price() -> None:
    prices = Prices(
        (
            PriceSettings(upstream="claude", model="claude-haiku*", input=1),
            PriceSettings(upstream="claude", input=3),
            PriceSettings(model="Qwen/*", input=0.5),
        )
    )
    assert prices.of(CLOUD, call(model="claude-haiku-4")).input == pytest.approx(1e-6)
    assert prices.of(CLOUD, call(model="claude-opus")).input == pytest.approx(3e-6)
    assert prices.of(ENGINE, call(model="claude-opus")).input == pytest.approx(0.5e-6)
    assert Prices((PriceSettings(upstream="openai"),)).of(CLOUD, call()).input == 0


# Windows and clocks.


def test_windows_are_the_calendars_in_the_time_zone() -> None:
    shanghai = read_zone("Asia/Shanghai")
    at = datetime(2026, 11, 30, 17, 30, 12, tzinfo=UTC).timestamp()  # the 1st of December in Shanghai
    assert window(Period.DAY, at, shanghai) == (_at(2026, 11, 30, 16), _at(2026, 12, 1, 16))
    assert window(Period.MONTH, at, shanghai) == (_at(2026, 11, 30, 16), _at(2026, 12, 31, 16))
    assert window(Period.MINUTE, at, shanghai) == (_at(2026, 11, 30, 17, 30), _at(2026, 11, 30, 17, 31))
    berlin = ZoneInfo("Europe/Berlin")
    since, until = window(Period.DAY, _at(2026, 10, 25, 12), berlin)
    assert until - since == 25 * 3600


def _at(*fields: int) -> int:
    year, month, day, *rest = fields
    return int(datetime(year, month, day, *rest, tzinfo=UTC).timestamp())


@given(st.floats(0, 4e9), st.sampled_from(["UTC", "+08:00", "-03:30", "Asia/Shanghai", "America/New_York"]))
def test_windows_follow_one_another_without_a_gap(now: float, zone: str) -> None:
    for period in (Period.MINUTE, Period.DAY, Period.MONTH):
        since, until = window(period, now, read_zone(zone))
        assert since <= now < until
        assert window(period, until, read_zone(zone))[0] == until
        assert window(period, until - 1, read_zone(zone)) == (since, until)


def test_a_clock_that_is_set_back_is_waited_for_at_half_pace() -> None:
    hands = Hands(1000.0)
    clock = SteadyClock(lambda: hands.wall, lambda: hands.steady)
    hands.pass_by(5)
    assert clock.now() == 1005
    hands.wall -= 100
    assert clock.now() == 1005
    hands.pass_by(50)
    assert clock.now() == 1030
    hands.pass_by(200)
    assert clock.now() == hands.wall


def test_spent_windows_are_found_again_after_a_restart_with_another_clock(shop: Shop) -> None:
    quota = shop.ledger(settings(limit("few", "calls", 1, "day")))
    first = quota.reserve(call(), LI, PLAN)
    assert first is not None
    shop.hands.pass_by(86_400)
    second = quota.reserve(call(), LI, PLAN)
    assert second is not None
    first.settle(took())
    second.settle(took())
    shop.hands.wall -= 86_400
    quota = shop.restart()
    with pytest.raises(QuotaExceeded):
        quota.reserve(call(), LI, PLAN)


# Limits that come and go.


def test_stored_limits_are_in_force_with_the_configurations(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    quota = shop.ledger(settings(limit("few", "calls", 5, "day")))
    quota.reserve(call(), LI, PLAN)
    shop.statutes.put("limit", "few", {"what": "calls", "most": 1, "per": "day"})
    shop.statutes.put("limit", "fewer", {"what": "calls", "most": 1, "per": "day"})
    shop.statutes.put("limit", "odd", {"what": "smiles", "most": 1, "per": "day"})
    asyncio.run(quota.renew())
    assert [each.settings.name for each in quota.terms.limits] == ["few", "fewer"]
    assert "stored limit 'odd' cannot be read" in caplog.text
    lease = quota.reserve(call(), LI, PLAN)
    assert lease is not None
    with pytest.raises(QuotaExceeded, match="fewer"):
        quota.reserve(call(), LI, PLAN)
    lease.settle(took())
    shop.statutes.remove("limit", "fewer")
    asyncio.run(quota.renew())
    assert quota.reserve(call(), LI, PLAN) is not None
    shop.statutes.put("limit", "fewer", {"what": "calls", "most": 2, "per": "day"})
    asyncio.run(quota.renew())
    assert bars(quota)["fewer", ""] == (1, 0), "what was spent stays spent"


async def test_another_process_is_followed(shop: Shop) -> None:
    quota = shop.ledger(settings())
    looked = asyncio.Event()

    async def beat(seconds: float) -> None:
        looked.set()
        await asyncio.sleep(0)

    watching = asyncio.create_task(quota.run(beat))
    await asyncio.to_thread(shop.statutes.put, "limit", "few", {"what": "calls", "most": 1, "per": "day"})
    while not quota.terms.limits:
        looked.clear()
        await looked.wait()
    watching.cancel()
    await asyncio.wait((watching,))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"what": "calls", "most": 1}, "per"),
        ({"what": "concurrency", "most": 1, "per": "day"}, "per"),
        ({"what": "smiles", "most": 1}, "what"),
        ({"what": "calls", "per": "day"}, "limit"),
        ({"what": "calls", "per": "day", "most": -1}, "most"),
        ({"what": "calls", "per": "day", "most": float("inf")}, "most"),
        ({"what": "calls", "per": "day", "most": "1"}, "most"),
        ({"what": "calls", "per": "day", "most": 1, "colour": "red"}, "colour"),
        ({"what": "calls", "per": "day", "most": 1, "operation": "sing"}, "operation"),
        ({"what": "calls", "per": "day", "most": 1, "soft": -1}, "soft"),
    ],
)
def test_a_bad_limit_names_its_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as bad:
        read_limit("x", body)
    assert bad.value.param == field
    with pytest.raises(InvalidRequest, match="name"):
        read_limit("a;b", {"what": "calls", "per": "day", "most": 1})


# Bounds of memory and of the journal.


def test_names_that_callers_invent_fill_no_memory(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "MANY", 5)
    monkeypatch.setattr(ledgers, "THIN_EVERY", 0.0)
    quota = shop.ledger(settings(LimitSettings(**{**_fields(limit("m", "calls", 3, "day")), "model": "*"})))
    for number in range(20):
        lease = quota.reserve(call(model=f"free-{number}"), LI, PLAN)
        assert lease is not None
        lease.refund()
    for number in range(8):
        lease = quota.reserve(call(model=f"m-{number}"), LI, PLAN)
        assert lease is not None
        lease.settle(took())
    assert bars(quota)["m", "(others)"] == (3, 0)
    with pytest.raises(QuotaExceeded):
        quota.reserve(call(model="m-9"), LI, PLAN)
    assert len(bars(quota)) <= 6


def _fields(each: LimitSettings) -> dict[str, Any]:
    return {name: getattr(each, name) for name in LimitSettings.__dataclass_fields__}


def test_nothing_is_given_that_could_not_be_kept(shop: Shop) -> None:
    quota = shop.ledger(settings(limit("few", "calls", 50, "day")), capacity=128)
    quota._books.close()
    with pytest.raises(Unavailable):
        quota.reserve(call(), LI, PLAN)
    quota._books.open()
