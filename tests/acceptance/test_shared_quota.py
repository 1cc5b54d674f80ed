"""One quota, many callers: exactly as much is served as it allows, with a server killed in the middle."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from callers import messages
from clouds import Cloud
from gateway import QUICK, SOON, TALK, Gateway, Reply, eventually, route, upstream
from redis_process import RedisProcess

from sampan.storage.db import Database
from sampan.storage.ledger import Books
from tests.postgres_process import PostgresProcess

UNITS = 1_000
CALLERS = 64
KILL_AT = UNITS // 3  # answers after which a server is killed
LIMIT = f'[[limits]]\nname = "shared"\nwhat = "calls"\nmost = {UNITS}\nper = "month"\n'


class Crowd:
    """`CALLERS` clients that ask, each of the next server in turn, until they hear that the quota is spent.

    They have to hear it of the server that was killed: until it is back, what it had open counts as reserved.
    """

    def __init__(self, gateways: list[Gateway]) -> None:
        self._gateways = gateways
        self._lock = threading.Lock()
        self._pause = threading.Event()
        self.served = 0
        self.cut = 0
        self.half = threading.Event()
        self.back = threading.Event()
        self.end = time.monotonic() + 8 * SOON

    def run(self) -> None:
        with ThreadPoolExecutor(CALLERS) as threads:
            for done in [threads.submit(self._client, number) for number in range(CALLERS)]:
                done.result()

    def _client(self, number: int) -> None:
        turn = number
        while time.monotonic() < self.end:
            turn += 1
            gateway, back = self._gateways[turn % len(self._gateways)], self.back.is_set()
            answer = self._ask(gateway, number % 2 == 0)
            if answer is None or answer.status in (503, 529):
                self._pause.wait(0.5)  # dead, or just coming back
                continue
            if answer.status == 429:
                assert "limit 'shared'" in answer.json["error"]["message"]
                if back and gateway is self._gateways[0]:
                    return
                self._pause.wait(0.5)
                continue
            assert answer.status == 200, answer.body
            with self._lock:
                self.served += 1
                if self.served == KILL_AT:
                    self.half.set()
        raise AssertionError("the quota is never spent")

    def _ask(self, gateway: Gateway, stream: bool) -> Reply | None:
        body: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": messages(False), "stream": stream}
        try:
            answer = gateway.http("POST", "/v1/messages", body)
        except (OSError, ValueError, ArithmeticError):
            answer = None
        except Exception:  # http.client's own: an answer that was cut
            answer = None
        if answer is None or (answer.status == 200 and stream and b"message_stop" not in answer.body):
            with self._lock:
                self.cut += 1
            return None
        return answer


def spend(gateways: list[Gateway]) -> Crowd:
    """All of it, while one of the servers is killed and comes back."""
    crowd = Crowd(gateways)
    running = threading.Thread(target=crowd.run)
    running.start()
    assert crowd.half.wait(8 * SOON)
    gateways[0].kill()
    gateways[0].start()
    crowd.back.set()
    running.join()
    return crowd


def balance(gateway: Gateway) -> tuple[float, float]:
    """What is spent and what is reserved, as an administrator sees it."""
    answer = gateway.http("GET", "/admin/v1/limits/shared")
    assert answer.status == 200, answer.body
    [pot] = answer.json["pots"]
    return pot["spent"], pot["reserved"]


def written(folder: Path, url: str) -> int:
    """What the table says, over all nodes."""
    with closing(Database(folder, url)) as database:
        return sum(Books(database).spent(time.time()).values())


def settle(gateway: Gateway) -> None:
    """Waits until nothing is reserved, and all is spent."""
    seen: list[tuple[float, float]] = []

    def settled() -> bool:
        seen.append(balance(gateway))
        return seen[-1] == (UNITS, 0)

    try:
        eventually(settled)
    except AssertionError:
        raise AssertionError(f"the ledger does not balance: {seen[-1]}; {gateway.log[-2000:]}") from None


def check(crowd: Crowd, gateways: list[Gateway], url: str) -> None:
    for gateway in gateways:
        settle(gateway)
        assert gateway.http("POST", "/v1/messages", {"model": "m", "max_tokens": 9, "messages": []}).status != 200
    assert crowd.served <= UNITS <= crowd.served + crowd.cut, (crowd.served, crowd.cut)
    gateways[-1].stop()
    assert written(gateways[-1].data, url) == UNITS
    gateways[-1].start()
    assert balance(gateways[-1]) == (UNITS, 0), "a restart changes nothing"
    for gateway in gateways:
        assert "Traceback" not in gateway.log


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path) as running:
        yield running


@pytest.mark.timeout(600)
def test_three_servers_serve_exactly_one_quota(
    cloud: Cloud, redis: RedisProcess, postgres: PostgresProcess, postgres_template: str, tmp_path: Path
) -> None:
    name = postgres.make(postgres_template)
    url = postgres.url(name)
    text = QUICK + LIMIT + upstream("quota", cloud.url("quota-shared"), "anthropic") + route("m", TALK, "quota")
    text += f"[storage]\ndatabase = '{url}'\nstate = '{redis.url}'\n"
    with ExitStack() as stack:
        gateways = []
        for number in range(3):
            (tmp_path / str(number)).mkdir()
            gateways.append(stack.enter_context(Gateway(tmp_path / str(number), text)))
        check(spend(gateways), gateways, url)
    postgres.drop(name)


@pytest.mark.timeout(600)
def test_one_server_serves_exactly_its_quota(cloud: Cloud, tmp_path: Path) -> None:
    text = QUICK + LIMIT + upstream("quota", cloud.url("quota-alone"), "anthropic") + route("m", TALK, "quota")
    with Gateway(tmp_path, text) as gateway:
        check(spend([gateway]), [gateway], "sqlite")
