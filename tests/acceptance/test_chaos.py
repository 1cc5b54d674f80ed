"""Chaos on ourselves: killed, its disk full, its database locked, its clock set, its engines shot; few notice."""

from __future__ import annotations

import base64
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos_births import Nursery, Reborn
from chaos_clocks import HOUR, WallClock
from chaos_disks import WAYS, small_disk
from chaos_load import Load, ask, call_id, drawing, metric, of_every_kind, talk
from clouds import Cloud
from gateway import DRAW, KEY, QUICK, TALK, Gateway, Reply, eventually, route, until, upstream

from tests.media.files import noted

WARM = 110.0  # seconds; an engine loads, on a machine that is busy with other things
RESPONSE = ("/v1/responses", {"model": "talk-model", "input": "Who are you?", "stream": False})
SEED = 20_261_122
KILLS = 20


def plain(cloud: Cloud, name: str) -> str:
    """One cloud that talks and one that draws."""
    config = QUICK + upstream("talk", cloud.url(f"{name}-talk"), "anthropic") + route("talk-model", TALK, "talk")
    return config + upstream("draw", cloud.url(f"{name}-draw"), "openai-images") + route("draw-model", DRAW, "draw")


def test_every_ended_answer_has_one_record_after_20_times_kill_9(cloud: Cloud, tmp_path: Path) -> None:
    """At random moments under load, some right at an answer's last byte, some while it still replays the last ones."""
    chance = random.Random(SEED)
    with Nursery() as nursery, Reborn(nursery, tmp_path, plain(cloud, "killed")) as gateway:
        with Load(gateway, 6) as load:
            for number in range(KILLS):
                load.wait_for(chance.randrange(1, 20))
                if number % 3:
                    threading.Event().wait(chance.uniform(0, 0.02))
                load.up.clear()
                gateway.kill()
                if number % 5 == 4:
                    child = gateway.conceive()
                    threading.Event().wait(chance.uniform(0, 0.4))
                    child.kill()
                    child.wait(30)
                gateway.start()
                load.up.set()
            load.wait_for(20)
        exported = gateway.records()
        times = Counter(record["id"] for record in exported)
        assert load.errors >= KILLS / 2, "nobody noticed: these kills hit nothing"
        assert not load.wrong
        assert [call for call in load.ended if times[call] != 1] == []
        assert set(times.values()) == {1}
        ended = set(load.ended)
        assert {record["outcome"] for record in exported if record["id"] in ended} == {"ok"}
        assert len(load.ended) == len(set(load.ended)) >= KILLS
        assert "Traceback" not in gateway.log


WAITING = "records cannot be written to the database, the spool keeps them"
AGAIN = "records are written to the database again"


@pytest.mark.parametrize("way", WAYS)
def test_a_full_disk_costs_no_call_and_no_record(cloud: Cloud, tmp_path: Path, way: str) -> None:
    """Calls go on, their records wait, and are there when there is room again; also those of a gateway that died."""
    with small_disk(way, tmp_path, plain(cloud, f"full-{way}")) as place:
        gateway, disk = place.gateway, place.disk
        asked = [ask(gateway, of_every_kind(number))[0] for number in range(5)]
        eventually(lambda: set(asked) <= set(place.records()))
        disk.fill()
        with Load(gateway, 4) as load:
            load.wait_for(20)
            eventually(lambda: WAITING in gateway.log, what="a word about it in the log")
            load.wait_for(20)
        assert (load.errors, load.wrong) == (0, [])
        asked += load.ended
        assert len(set(asked) - set(place.records())) > 15, "the disk was not full"
        gateway.kill()
        disk.free()
        gateway.start()
        assert sorted(place.records()) == sorted(asked)
        assert gateway.log.count(WAITING) == 1

        disk.fill()
        held = [ask(gateway, of_every_kind(number))[0] for number in range(5)]
        eventually(lambda: gateway.log.count(WAITING) == 2)
        disk.free()
        eventually(lambda: AGAIN in gateway.log, what="recovery")
        asked += held
        eventually(lambda: sorted(place.records()) == sorted(asked), what="the records")
        assert (gateway.log.count(WAITING), gateway.log.count(AGAIN)) == (2, 1)
        assert "Traceback" not in gateway.log


LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""
LOCKED = 10.5  # seconds; longer than any statement of ours waits


def test_a_database_that_another_process_locks_delays_records_and_nothing_else(cloud: Cloud, tmp_path: Path) -> None:
    with Gateway(tmp_path, plain(cloud, "locked")) as gateway:
        before = ask(gateway, of_every_kind(0))[0]
        gateway.record(before)
        command = [sys.executable, "-c", LOCKER, str(gateway.data / "sampan.db")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as locker:
            assert locker.stdout is not None and locker.stdin is not None
            assert locker.stdout.readline() == "locked\n"
            began = time.monotonic()
            with (
                Load(gateway, 1, lambda number: talk("talk-model", stream=number % 2 == 0)) as talks,
                Load(gateway, 3, lambda number: drawing("draw-model", stream=number % 2 == 0)) as draws,
                Load(gateway, 1, lambda number: RESPONSE) as responses,
            ):
                for load in (draws, responses):
                    load.wait_for(1, LOCKED + 5)  # they are kept, which a database that is locked holds up
                while time.monotonic() < began + LOCKED:
                    talks.wait_for(10)
                locker.stdin.close()
                eventually(lambda: AGAIN in gateway.log, what="recovery")
        for load in (talks, draws, responses):
            assert (load.errors, load.wrong) == (0, [])
        exported = [record["id"] for record in gateway.records()]
        ended = set(talks.ended)
        assert [call for call in exported if call in ended] == talks.ended, "their order"
        assert sorted(exported) == sorted([before, *talks.ended, *draws.ended, *responses.ended])
        assert (gateway.log.count(WAITING), gateway.log.count(AGAIN)) == (1, 1)
        assert "Traceback" not in gateway.log


def _ask(gateway: Gateway, model: str, key: str = KEY) -> Reply:
    return gateway.http("POST", "/v1/messages", talk(model, stream=False)[1], key=key)


def _breaker(gateway: Gateway, name: str) -> str:
    return str(gateway.http("GET", "/ready", key=None).json["breakers"][name]["text"])


DELAY = 3.0  # seconds of an open breaker


@pytest.fixture
def wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WallClock:
    folder = tmp_path / "clock"
    folder.mkdir()
    return WallClock(folder, monkeypatch)


@pytest.fixture
def hourly(cloud: Cloud, tmp_path: Path, wall: WallClock) -> Iterator[Gateway]:
    config = f"[breaker]\ndelay = {DELAY}\n[probes]\ninterval = 0\n[storage]\nlink_lifetime = 3600\n"
    for name in ("steady", "sick", "mute", "local"):
        more = "clocks = { connect = 5, first_event = 1, idle = 60 }\n" if name == "mute" else ""
        location = "local" if name == "local" else "cloud"
        config += upstream(name, cloud.url(f"hourly-{name}"), "anthropic", location=location, more=more)
        config += route(f"{name}-model", TALK, name, *(["local"] if name != "local" else []))
    config += upstream("draw", cloud.url("hourly-draw"), "openai-images") + route("draw-model", DRAW, "draw")
    with Gateway(tmp_path, config, server="keepalive = 0.1\n") as gateway:
        yield gateway


@pytest.mark.parametrize("jump", [5 * HOUR, -5 * HOUR], ids=["ahead", "back"])
def test_a_clock_that_is_set_moves_no_breaker_and_no_timeout(
    cloud: Cloud, wall: WallClock, hourly: Gateway, jump: float
) -> None:
    steady, sick, mute = (cloud.cell(f"hourly-{name}") for name in ("steady", "sick", "mute"))
    steady.behaviour, sick.behaviour, mute.behaviour = "gated_middle", "529", "silence"
    steady.gate.clear()
    for _ in range(3):
        opened = time.monotonic()
        _ask(hourly, "sick-model")
    with hourly.connect("/v1/messages", talk("steady-model", stream=True)[1]) as sock:
        head = until(sock, b": waiting")
        wall.set(jump)
        assert hourly.http("GET", "/health", key=None).headers["date"]
        attempts = _ask(hourly, "sick-model").headers["x-sampan-attempts"]
        assert attempts == "sick=breaker_open,local=ok" or time.monotonic() > opened + DELAY
        began = time.monotonic()
        assert _ask(hourly, "mute-model").headers["x-sampan-attempts"] == "mute=first_byte_timeout,local=ok"
        assert time.monotonic() - began > 0.9
        until(sock, b": waiting")
        sick.behaviour = "healthy"
        eventually(lambda: _ask(hourly, "sick-model").headers["x-sampan-upstream"] == "sick", DELAY + 15)
        assert _breaker(hourly, "sick") == "closed"
        assert time.monotonic() - opened >= DELAY
        steady.gate.set()
        until(sock, b"message_stop")
    for record in (hourly.record(call_id(head)), *hourly.latest()):
        assert 0 <= record["first_event_ms"] <= record["total_ms"] < 60_000


def test_a_clock_that_is_set_ends_keys_and_links_and_brings_them_back(wall: WallClock, hourly: Gateway) -> None:
    """What is over at a time of day goes by the time of day, whatever it says: nothing is forgotten on the way."""
    secret = hourly.verb("key", "create", "guest", "--days", "0.1").stdout.strip()
    eventually(lambda: _ask(hourly, "local-model", secret).status == 200, what="the key")
    answer = hourly.openai().images.generate(model="draw-model", prompt="a boat", response_format="url")
    assert answer.data and answer.data[0].url
    link = answer.data[0].url.removeprefix(hourly.url)
    for ahead, status, found in ((0, 200, 200), (5, 401, 403), (-5, 200, 200), (0, 200, 200)):
        wall.set(ahead * HOUR)
        assert _ask(hourly, "local-model", secret).status == status
        assert hourly.http("GET", link, key=None).status == found
        assert _ask(hourly, "local-model").status == 200


def test_an_engine_that_is_killed_under_load_fails_no_call(cloud: Cloud, tmp_path: Path) -> None:
    """Those in flight go on elsewhere; where there is nobody else they are told. Then it is back."""
    config = QUICK + upstream("stand-in", cloud.url("engine-stand-in"), "anthropic", location="local")
    config += '[engines.reader]\nkind = "reader"\n' + route("both", TALK, "reader", "stand-in")
    config += route("alone", TALK, "reader")
    with Gateway(tmp_path, config) as gateway:
        gateway.wait_ready(WARM)
        with Load(gateway, 3, lambda number: talk("both", stream=number % 2 == 0)) as load:
            load.wait_for(5)
            assert set(load.attempts) == {"reader=ok"}
            (engine,) = gateway.children
            os.kill(engine, signal.SIGSTOP)  # so that calls are in flight when it dies
            with gateway.connect(*talk("alone", stream=False)) as sock:
                eventually(lambda: metric(gateway, 'sampan_bulkhead_taken{upstream="reader"}') == 4)
                os.kill(engine, signal.SIGKILL)
                said = until(sock, b"}")
            assert said.startswith(b"HTTP/1.1 529") and _faults(said.decode()) <= AWAY, said
            load.wait_for(20)
            elsewhere = [attempts for attempts in load.attempts if attempts.endswith("stand-in=ok")]
            eventually(lambda: "reader=ok" in load.attempts[-3:], WARM, "the engine to be back")
        assert (load.errors, load.wrong) == (0, [])
        assert len(elsewhere) >= 3 and set().union(*map(_faults, elsewhere)) <= AWAY, elsewhere
        engines = gateway.http("GET", "/ready", key=None).json["engines"]
        assert engines["reader"]["restarts"] == 1
        assert _ask(gateway, "alone").status == 200


# A call in flight is cut. Where that was a kept connection, it is replaced before the first byte, and the port refuses.
AWAY = {"cut", "refused", "breaker_open"}


def _faults(said: str) -> set[str]:
    """What is told of the reader, wherever it stands."""
    return set(re.findall(r"reader=(\w+)", said))


def _workers(gateway: Gateway) -> list[int]:
    """The processes that decode."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in listed.splitlines() if "sampan.media.worker" in line]
    return [int(pid) for pid, parent, _ in rows if int(parent) == gateway.pid]


def _kill_one(gateway: Gateway, chance: random.Random) -> None:
    victim = chance.choice(eventually(lambda: _workers(gateway), what="a worker"))
    with contextlib.suppress(ProcessLookupError):  # replaced meanwhile
        os.kill(victim, signal.SIGKILL)


def test_a_media_worker_that_is_killed_under_load_fails_no_call(cloud: Cloud, tmp_path: Path) -> None:
    """Turned pictures are set upright before they leave the house. Idle or at work when it dies: no call is lost."""
    source = {"type": "base64", "media_type": "image/jpeg", "data": base64.b64encode(noted(6)["image/jpeg"]).decode()}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    path, body = talk("talk-model", stream=False)
    order = path, body | {"messages": [{"role": "user", "content": content}]}
    chance = random.Random(SEED)
    with Gateway(tmp_path, plain(cloud, "worker")) as gateway:
        ask(gateway, order)
        _kill_one(gateway, chance)  # while it is idle
        with Load(gateway, 4, lambda number: order) as load:
            for _ in range(8):
                # A call that two deaths hit has an unlucky file. Twice: one may still come to the dying worker.
                load.wait_for_all()
                load.wait_for_all()
                threading.Event().wait(chance.uniform(0, 0.05))
                _kill_one(gateway, chance)
            load.wait_for_all()
        assert (load.errors, load.wrong) == (0, [])
        assert "Traceback" not in gateway.log
    sent = cloud.cell("worker-talk").bodies[-1]
    assert source["data"].encode() not in sent, "no worker had anything to do"
