"""The configuration is read again while calls are open, as an operator would: `sampan reload` and SIGHUP."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import anthropic
import pytest
from callers import messages
from clouds import Cloud
from gateway import QUICK, TALK, Gateway, eventually, route, upstream


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


def text(cloud: Cloud, target: str) -> str:
    config = [upstream(name, cloud.url(name), "anthropic", more='probe = "off"') for name in "ab"]
    return "".join([*config, route("claude-*", TALK, target), QUICK])


def ask(house: Gateway) -> str:
    raw = house.anthropic().messages.with_raw_response
    return str(raw.create(model="claude-x", max_tokens=9, messages=messages(False)).headers["x-sampan-upstream"])


def rewrite(house: Gateway, config: str) -> None:
    head = house.path.read_text().split("[upstreams", 1)[0]
    house.path.write_text(head + config)


def test_calls_go_another_way_after_a_reload_and_none_is_dropped(tmp_path: Path, cloud: Cloud) -> None:
    with Gateway(tmp_path, text(cloud, "a")) as house:
        assert ask(house) == "a"
        seen: list[str] = []
        failed: list[Exception] = []
        done = threading.Event()

        def load() -> None:
            while not done.is_set():
                try:
                    seen.append(ask(house))
                except anthropic.APIError as error:
                    failed.append(error)

        workers = [threading.Thread(target=load) for _ in range(4)]
        for worker in workers:
            worker.start()
        for target in ("b", "a", "b"):
            rewrite(house, text(cloud, target))
            done_by = house.verb("reload")
            assert done_by.returncode == 0, done_by.stderr
            count = len(seen)
            eventually(lambda count=count: len(seen) > count + 20)  # type: ignore[misc]
            assert set(seen[count + 8 :]) == {target}
        done.set()
        for worker in workers:
            worker.join()
        assert failed == []


def test_a_bad_configuration_leaves_the_old_in_force(tmp_path: Path, cloud: Cloud) -> None:
    with Gateway(tmp_path, text(cloud, "a")) as house:
        rewrite(house, text(cloud, "nobody"))
        refused = house.verb("reload")
        assert refused.returncode == 1
        assert "nobody" in refused.stderr
        os.kill(house.pid, signal.SIGHUP)
        eventually(lambda: "is not used, the old one stays in force" in house.log)
        assert ask(house) == "a"
        rewrite(house, text(cloud, "b") + '[engines.reader]\nkind = "reader"\n')
        refused = house.verb("reload")
        assert refused.returncode == 1
        assert "[engines]: only a restart can change this" in refused.stderr
        assert ask(house) == "a"


def test_nobody_to_tell(tmp_path: Path, cloud: Cloud) -> None:
    house = Gateway(tmp_path, text(cloud, "a"))
    told = house.verb("reload")
    assert told.returncode == 1
    assert "no server runs" in told.stderr
