"""Answers that are kept, as the SDKs and `sampan cache warm` meet them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from clouds import Cloud
from gateway import DRAW, KEY, QUICK, TALK, Gateway, eventually, route, sampan, upstream

from sampan.warming import VERSION

ASKED: list[Any] = [{"role": "user", "content": "你好"}]
KEEPS = "cache = true\ncache_seconds = 600\n"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def house(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    config = QUICK + upstream("talk", cloud.url("talk"), "anthropic", more='probe = "off"')
    config += upstream("draw", cloud.url("draw"), "openai-images", more='probe = "off"')
    config += route("claude-*", TALK, "talk") + KEEPS + route("gpt-image-*", DRAW, "draw") + KEEPS
    config += route("other", TALK, "talk")
    with Gateway(tmp_path_factory.mktemp("kept"), config) as gateway:
        yield gateway


def ask(house: Gateway, model: str = "claude-x", key: str = KEY, **more: Any) -> tuple[str, Any]:
    client = house.anthropic(key)
    raw = client.messages.with_raw_response.create(model=model, max_tokens=99, messages=ASKED, **more)
    return raw.headers.get("x-sampan-cache", ""), raw.parse()


def test_the_same_question_is_answered_without_the_cloud(house: Gateway, cloud: Cloud) -> None:
    before = cloud.cell("talk").posts
    miss, first = ask(house)
    hit, second = ask(house)
    assert (miss, hit) == ("miss", "hit")
    assert first.to_dict() == second.to_dict()
    assert cloud.cell("talk").posts == before + 1
    newest = eventually(lambda: next((each for each in house.latest()[:1] if each["cache"] == "hit"), None))
    assert newest is not None
    assert (newest["upstream"], newest["attempts"], newest["input_tokens"]) == ("talk", "", 0)
    cloud.close()
    try:
        assert ask(house)[0] == "hit"
    finally:
        cloud.open()


def test_a_stream_comes_back_as_a_stream(house: Gateway, cloud: Cloud) -> None:
    seen = []
    for _ in range(2):
        with house.anthropic().messages.stream(model="claude-s", max_tokens=99, messages=ASKED) as stream:
            pieces = list(stream.text_stream)
            seen.append((stream.response.headers["x-sampan-cache"], pieces, stream.get_final_message().to_dict()))
    assert [how for how, _, _ in seen] == ["miss", "hit"]
    assert seen[0][1:] == seen[1][1:]


def test_another_key_without_a_department_has_its_own(house: Gateway) -> None:
    secret = house.verb("key", "create", "bob").stdout.strip()
    assert ask(house, "claude-k")[0] == "miss"
    assert eventually(lambda: house.http("GET", "/v1/models", key=secret).status == 200)
    assert ask(house, "claude-k", secret)[0] == "miss"
    assert ask(house, "claude-k", secret)[0] == "hit"


def test_identical_calls_at_once_ask_once(house: Gateway, cloud: Cloud) -> None:
    cell = cloud.cell("talk")
    before = cell.posts
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: ask(house, "claude-many"), range(8)))
    assert cell.posts == before + 1
    assert sorted({how for how, _ in told}) in (["hit", "miss"], ["hit", "miss", "shared"], ["miss", "shared"])
    assert len({json.dumps(message.to_dict(), sort_keys=True) for _, message in told}) == 1


def test_pictures_are_kept_by_what_was_asked(house: Gateway, cloud: Cloud) -> None:
    def draw(**more: Any) -> tuple[str, bytes]:
        raw = house.openai().images.with_raw_response.generate(model="gpt-image-1", prompt="猫", **more)
        [picture] = raw.parse().data or []
        return raw.headers["x-sampan-cache"], (picture.b64_json or "").encode()

    first, again, other = draw(size="1024x1024"), draw(size="1024x1024"), draw(size="1536x1024")
    assert (first[0], again[0], other[0]) == ("miss", "hit", "miss")
    assert first[1] == again[1]


def test_a_route_that_does_not_say_so_keeps_nothing(house: Gateway) -> None:
    assert [ask(house, "other")[0] for _ in range(2)] == ["", ""]


def test_common_questions_are_asked_before_people_do(house: Gateway, tmp_path: Path) -> None:
    path = tmp_path / "common.jsonl"
    bodies = [{"model": f"claude-w{number}", "max_tokens": 99, "messages": ASKED} for number in range(5)]
    lines = [json.dumps(body, ensure_ascii=False) for body in bodies]
    lines.append(json.dumps({"path": "/v1/messages", "body": bodies[0] | {"model": "other"}}))
    path.write_text("\n".join([*lines, ""]))
    for want in ("answers: 5 new, 0 kept already", "answers: 0 new, 5 kept already"):
        done = sampan("cache", "warm", str(path), "--url", house.url, env={"SAMPAN_API_KEY": KEY})
        assert done.returncode == 0, done.stderr
        assert want in done.stdout
        assert "1 not kept by their route, 0 failed" in done.stdout
    assert ask(house, "claude-w3")[0] == "hit"


def test_the_configuration_says_where_to_ask(house: Gateway, cloud: Cloud, tmp_path: Path) -> None:
    path = tmp_path / "common.jsonl"
    path.write_text(json.dumps({"model": "claude-c", "max_tokens": 99, "messages": ASKED}))
    config = tmp_path / "house.toml"
    config.write_text(f'[server]\nlisten = "{house.url.removeprefix("http://")}"\n')
    done = sampan("cache", "warm", str(path), "--config", str(config), env={"SAMPAN_API_KEY": KEY})
    assert (done.returncode, "answers: 1 new" in done.stdout) == (0, True), done.stderr


def test_questions_are_asked_in_the_version_that_people_ask_in(house: Gateway) -> None:
    assert house.anthropic().default_headers["anthropic-version"] == VERSION


def test_a_list_that_is_wrong_is_told_by_its_line(house: Gateway, tmp_path: Path) -> None:
    path = tmp_path / "common.jsonl"
    path.write_text('{"model": "claude-x", "max_tokens": 9, "messages": []}\n\n{"nothing": 1}\n')
    done = sampan("cache", "warm", str(path), "--url", house.url, env={"SAMPAN_API_KEY": KEY})
    assert (done.returncode, "line 3" in done.stderr) == (1, True)
    path.write_text(json.dumps({"model": "nobody", "max_tokens": 9, "messages": ASKED}))
    done = sampan("cache", "warm", str(path), "--url", house.url, env={"SAMPAN_API_KEY": KEY})
    assert (done.returncode, "line 1: status 404" in done.stderr) == (1, True)
