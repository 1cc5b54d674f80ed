"""Backup, restore and move, as an operator does them around a gateway that works."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clouds import Cloud
from gateway import DRAW, KEY, QUICK, TALK, Gateway, route, sampan, upstream

from tests.postgres_process import PostgresProcess
from tests.s3_process import ACCESS_KEY, SECRET_KEY, S3Process

ASKED: list[Any] = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Process]:
    with S3Process(tmp_path_factory.mktemp("s3")) as server:
        yield server


def config(cloud: Cloud) -> str:
    made = QUICK + upstream("talk", cloud.url("talk"), "anthropic", more='probe = "off"')
    made += upstream("draw", cloud.url("draw"), "openai-images", more='probe = "off"')
    return made + route("claude-*", TALK, "talk") + route("gpt-image-*", DRAW, "draw")


def use(house: Gateway) -> str:
    """A call, a picture, a file and a key; the id of the file."""
    house.anthropic().messages.create(model="claude-x", max_tokens=9, messages=ASKED)
    house.openai().images.generate(model="gpt-image-1", prompt="猫")
    assert house.verb("key", "create", "财务部").returncode == 0
    uploaded = house.anthropic().beta.files.upload(file=("a.txt", "合同".encode() * 5000, "text/plain"))
    return uploaded.id


def told(house: Gateway, file: str) -> tuple[list[str], int, str]:
    """What a gateway knows: its calls, the size of a file, and the names of its keys."""
    calls = [record["id"] for record in house.records()]
    size = house.anthropic().beta.files.retrieve_metadata(file).size_bytes
    return calls, size, house.verb("key", "list", "--json").stdout


def test_a_backup_of_a_running_gateway_is_another_gateway(tmp_path: Path, cloud: Cloud) -> None:
    file = tmp_path / "all.zip"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with Gateway(tmp_path / "a", config(cloud)) as house:
        upload = use(house)
        before = told(house, upload)
        done = house.verb("backup", str(file))
        assert done.returncode == 0, done.stderr
        assert "whole" in done.stdout
        refused = house.verb("restore", str(file))
        assert (refused.returncode, "Another gateway" in refused.stderr) == (1, True)
    assert sampan("backup", "--check", str(file)).returncode == 0
    other = Gateway(tmp_path / "b", config(cloud))
    done = other.verb("restore", str(file))
    assert done.returncode == 0, done.stderr
    with other:
        calls, size, keys = told(other, upload)
        assert calls[: len(before[0])] == before[0]
        assert (size, "财务部" in keys) == (before[1], True)
        other.anthropic().messages.create(model="claude-x", max_tokens=9, messages=ASKED)
        assert other.verb("audit", "verify").returncode == 0
    again = other.verb("restore", str(file))
    assert (again.returncode, "is not empty" in again.stderr) == (1, True)


def test_house_is_moved_to_postgresql_and_s3(
    tmp_path: Path, cloud: Cloud, postgres: PostgresProcess, s3: S3Process
) -> None:
    with Gateway(tmp_path, config(cloud)) as house:
        upload = use(house)
        before = told(house, upload)
    bucket = s3.bucket()
    address = f"s3://{bucket.name}?endpoint={s3.endpoint}"
    storage = f'[storage]\ndatabase = "{postgres.url(postgres.make())}"\nobjects = "{address}"\n'
    storage += f'access_key = "{ACCESS_KEY}"\nsecret_key = "{SECRET_KEY}"\n'
    small = house.path.read_text()
    big = tmp_path / "big.toml"
    big.write_text(small + storage)
    done = house.verb("move", "--to", str(big))
    assert done.returncode == 0, done.stderr
    assert "nothing was removed here" in done.stdout
    assert SECRET_KEY not in done.stdout + done.stderr
    house.path.write_text(big.read_text())
    house.start()
    try:
        calls = [record["id"] for record in house.records()]
        assert calls[: len(before[0])] == before[0]
        assert house.anthropic().beta.files.retrieve_metadata(upload).size_bytes == before[1]
        made = house.openai().images.generate(model="gpt-image-1", prompt="狗")
        assert made.data and base64.b64decode(made.data[0].b64_json or "")
        assert KEY not in house.log and SECRET_KEY not in house.log
    finally:
        house.stop()
    again = sampan("move", "--to", str(big), "--config", str(tmp_path / "sampan.toml"))
    assert (again.returncode, "already" in again.stderr) == (1, True)
