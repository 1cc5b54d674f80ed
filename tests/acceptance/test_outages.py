"""Every way in which a cloud fails before it answers: callers never see it, headers and records tell the truth."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme
from behaviours import INPUT_TOKENS, OUTPUT_TOKENS, answer_text
from callers import SHAPES, Clients, Told, ask, clients, draws, operation
from clouds import Cloud
from gateway import DRAW, QUICK, TALK, Gateway, eventually, route, upstream

CONNECT, FIRST_EVENT, DELAY, PROBE = 0.5, 1.0, 1.0, 1.0  # seconds, as in the configuration below and QUICK
MARGIN = 2.0  # for the local answer, on a machine that is busy with other things

ALL = tuple(SHAPES)
PROBED = ("text", "text_stream", "generate", "edit_stream")
STREAMS = tuple(shape for shape in ALL if shape.endswith("_stream"))


@dataclass(frozen=True)
class Trouble:
    """One way to fail. `fault` is its name in the closed list, `clock` how long it may take until it is one.

    `port` says which cloud is broken as a whole; else `behaviour` is what the cell does. `counts` False: it says
    something about one model and nothing about the upstream, so that the breaker stays closed.
    """

    name: str
    fault: str
    clock: float = 0.0
    port: str = ""
    shapes: Sequence[str] = ALL
    counts: bool = True


TROUBLES = (
    Trouble("closed_port", "refused", port="shut"),
    Trouble("black_hole", "connect_timeout", CONNECT, port="hole"),
    Trouble("no_such_name", "dns", port="dns"),
    Trouble("bad_certificate", "tls", port="tls"),
    Trouble("500", "server_error"),
    Trouble("502_html", "server_error"),
    Trouble("503", "server_error"),
    Trouble("529", "overloaded"),
    Trouble("429", "rate_limited"),
    Trouble("402", "billing"),
    Trouble("empty_account", "billing"),
    Trouble("401", "unauthorized"),
    Trouble("403_html", "region_blocked"),
    Trouble("403_forbidden", "region_blocked"),
    Trouble("404", "model_missing", counts=False),
    Trouble("html_200", "malformed"),
    Trouble("silence", "first_byte_timeout", FIRST_EVENT),
    Trouble("half_head_stall", "first_byte_timeout", FIRST_EVENT),
    Trouble("half_head_close", "cut"),
    Trouble("hang_up", "cut"),
    Trouble("reset", "cut"),
    Trouble("short_body", "cut"),
    Trouble("unfinished_chunks", "cut"),
    Trouble("garbage_chunks", "malformed"),
    Trouble("malformed", "malformed"),
    Trouble("wrong_shape", "malformed"),
    Trouble("empty", "empty"),
    Trouble("error_first", "overloaded", shapes=STREAMS),
    Trouble("opening_stall", "first_byte_timeout", FIRST_EVENT, shapes=STREAMS),
    Trouble("opening_end", "cut", shapes=STREAMS),
)


@dataclass(frozen=True)
class Sky:
    """The clouds of this file by what may be done to them, and the gateway under them."""

    clouds: dict[str, Cloud]
    good: trustme.LeafCert
    bad: trustme.LeafCert
    context: ssl.SSLContext
    gateway: Gateway
    told: list[tuple[Trouble, str, str, Told]]

    def break_(self, trouble: Trouble) -> None:
        if trouble.port == "shut":
            self.clouds["shut"].close()
        elif trouble.port == "hole":
            self.clouds["hole"].swallow()
        elif trouble.port == "tls":
            self.bad.configure_cert(self.context)
            self.clouds["tls"].break_connections()
        elif not trouble.port:
            for shape in trouble.shapes:
                self.clouds["open"].cell(_name(trouble, shape)).behaviour = trouble.name

    def heal(self, trouble: Trouble) -> None:
        if trouble.port == "tls":
            self.good.configure_cert(self.context)
        elif trouble.port:
            self.clouds[trouble.port].open()
        else:
            for shape in trouble.shapes:
                self.clouds["open"].cell(_name(trouble, shape)).behaviour = "healthy"

    def posts(self, trouble: Trouble, shape: str) -> int:
        cloud = self.clouds.get(trouble.port or "open")
        return cloud.cell(_name(trouble, shape)).posts if cloud else 0


def _name(trouble: Trouble, shape: str) -> str:
    return f"{trouble.name}-{shape}"


def _is_probed(trouble: Trouble, shape: str) -> bool:
    """Some have probes and some have none, for either way back: a good probe and a trial, or only a trial."""
    return shape in PROBED and trouble.port != "dns"


def _configuration(clouds: dict[str, Cloud], authority: Path) -> str:
    """One upstream and one route for each trouble and shape: every one has a breaker of its own."""
    clocks = f"clocks = {{ connect = {CONNECT}, first_event = {FIRST_EVENT}, idle = 1, total = 20 }}\n"
    text = QUICK
    for end, dialect in (("talk", "anthropic"), ("draw", "openai-images")):
        text += upstream(f"local-{end}", clouds["open"].url(f"local-{end}"), dialect, location="local")
    for trouble in TROUBLES:
        for shape in trouble.shapes:
            name = _name(trouble, shape)
            more = clocks + (f'ca = "{authority}"\n' if trouble.port == "tls" else "")
            more += "" if _is_probed(trouble, shape) else 'probe = "off"\n'
            url = "http://nowhere.invalid" if trouble.port == "dns" else clouds[trouble.port or "open"].url(name)
            draw = draws(shape)
            text += upstream(name, url, "openai-images" if draw else "anthropic", more=more)
            text += route(name, DRAW if draw else TALK, name, "local-draw" if draw else "local-talk")
    return text


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sky]:
    folder = tmp_path_factory.mktemp("sky")
    trusted, stranger = trustme.CA(), trustme.CA()
    authority = folder / "ca.pem"
    trusted.cert_pem.write_to_path(str(authority))
    good, bad = trusted.issue_cert("127.0.0.1"), stranger.issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    good.configure_cert(context)
    with Cloud() as ordinary, Cloud() as shut, Cloud() as hole, Cloud(context) as tls:
        clouds = {"open": ordinary, "shut": shut, "hole": hole, "tls": tls}
        with Gateway(folder, _configuration(clouds, authority)) as gateway:
            eventually(lambda: not _unseen(gateway), what="the first probe of all")
            yield Sky(clouds, good, bad, context, gateway, [])


def _unseen(gateway: Gateway) -> list[str]:
    """The upstreams that were not found well by a probe yet."""
    metrics = gateway.http("GET", "/metrics", key=None).body.decode()
    names = [_name(trouble, shape) for trouble in TROUBLES for shape in trouble.shapes if _is_probed(trouble, shape)]
    return [name for name in names if f'sampan_probes_total{{fault="ok",upstream="{name}"}} 1.0' not in metrics]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
async def test_an_outage_is_answered_locally(sky: Sky, trouble: Trouble) -> None:
    """Three calls meet the fault and are answered locally, the fourth does not ask the cloud, and the way back is free.

    All shapes go through it at once, each with an upstream of its own.
    """
    sky.break_(trouble)
    try:
        async with clients(sky.gateway) as sdk:
            await _each(trouble, lambda shape: _three_calls(sky, sdk, trouble, shape))
            await _each(trouble, lambda shape: _fourth_call(sky, sdk, trouble, shape))
            if trouble.port == "dns":
                return  # a name that does not exist does not heal
            sky.heal(trouble)
            healed = time.monotonic()
            await _each(trouble, lambda shape: _way_back(sky, sdk, trouble, shape, healed))
    finally:
        if trouble.port != "dns":
            sky.heal(trouble)


async def _each(trouble: Trouble, step) -> None:
    """`step` for all shapes at once; says of each that failed why."""
    results = await asyncio.gather(*(step(shape) for shape in trouble.shapes), return_exceptions=True)
    wrong = [f"{shape}: {error!r}" for shape, error in zip(trouble.shapes, results, strict=True) if error is not None]
    assert not wrong, "\n".join(wrong)


async def _three_calls(sky: Sky, sdk: Clients, trouble: Trouble, shape: str) -> None:
    for _ in range(3):
        told = await ask(sdk, shape, _name(trouble, shape))
        _answered_locally(sky, trouble, shape, told, trouble.fault)
        assert told.seconds < trouble.clock + MARGIN, f"took {told.seconds:.2f} s"
        assert told.seconds >= trouble.clock * 0.95, f"took only {told.seconds:.2f} s"


async def _fourth_call(sky: Sky, sdk: Clients, trouble: Trouble, shape: str) -> None:
    before = sky.posts(trouble, shape)
    assert before >= 3 or trouble.port, "the cloud was not even asked"
    told = await ask(sdk, shape, _name(trouble, shape))
    if trouble.counts:
        _answered_locally(sky, trouble, shape, told, "breaker_open")
        assert sky.posts(trouble, shape) == before, "the cloud was asked although its breaker is open"
        assert told.seconds < MARGIN
    else:
        _answered_locally(sky, trouble, shape, told, trouble.fault)


def _answered_locally(sky: Sky, trouble: Trouble, shape: str, told: Told, fault: str) -> None:
    local = "local-draw" if draws(shape) else "local-talk"
    assert told.attempts == f"{_name(trouble, shape)}={fault},{local}=ok"
    assert (told.upstream, told.tier) == (local, "local")
    assert told.content == ("picture" if draws(shape) else answer_text(local))
    assert told.id.startswith("req_")
    sky.told.append((trouble, shape, fault, replace(told, headers=dict(told.headers))))


async def _way_back(sky: Sky, sdk: Clients, trouble: Trouble, shape: str, healed: float) -> None:
    """Goes on calling: no call fails, and soon the cloud answers again."""
    name = _name(trouble, shape)
    while True:
        began = time.monotonic()
        told = await ask(sdk, shape, name)
        if told.upstream == name:
            assert (told.tier, told.attempts) == ("cloud", f"{name}=ok")
            assert told.content == ("picture" if draws(shape) else answer_text(name))
            return
        assert told.attempts.startswith((f"{name}=breaker_open,", f"{name}={trouble.fault},"))
        assert began - healed < DELAY + PROBE + MARGIN, f"still not back: {told.attempts}"
        await asyncio.sleep(0.05)


async def test_records_say_what_the_headers_said(sky: Sky) -> None:
    """One record for each of all these calls, with the same truth and with what it cost."""
    shut = next(trouble for trouble in TROUBLES if trouble.port == "shut")
    sky.clouds["shut"].close()
    async with clients(sky.gateway) as sdk:
        for shape in shut.shapes:
            told = await ask(sdk, shape, _name(shut, shape))
            fault = told.attempts.partition("=")[2].partition(",")[0]
            _answered_locally(sky, shut, shape, told, fault)
    sky.heal(shut)
    sky.gateway.record(sky.told[-1][-1].id)  # the last is kept, and so are all before it
    exported = sky.gateway.records()
    records = {record["id"]: record for record in exported}
    assert len(records) == len(exported)
    for trouble, shape, fault, told in sky.told:
        record = records[told.id]
        draw = draws(shape)
        expected = {
            "model": _name(trouble, shape),
            "dialect": "openai-images" if draw else "anthropic",
            "operation": operation(shape),
            "stream": shape.endswith("_stream"),
            "outcome": "ok",
            "status": 200,
            "error": "",
            "upstream": told.upstream,
            "tier": "local",
            "attempts": f"{_name(trouble, shape)}={fault},{told.upstream}=ok",
            "input_tokens": INPUT_TOKENS,
            "output_tokens": OUTPUT_TOKENS,
            "images": 1 if draw else 0,
            "key_name": records[told.id]["key_name"],
        }
        assert {name: record[name] for name in expected} == expected
        assert record["key_id"] and record["key_name"]
        assert record["bytes_in"] > 20 and record["bytes_out"] > 100
        slowest = told.seconds * 1000 + 1
        assert 0 < record["first_event_ms"] <= record["total_ms"] <= slowest
        assert abs(record["started"] - time.time()) < 600
