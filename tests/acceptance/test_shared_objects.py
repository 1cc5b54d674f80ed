"""Two servers over one PostgreSQL and one bucket of a real S3 server, which is killed and started again."""

from __future__ import annotations

import http.client
import io
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from cells import PICTURE, PICTURE64
from clouds import Cloud
from gateway import DRAW, QUICK, Gateway, eventually, route, upstream
from postgres_process import PostgresProcess
from s3_process import SECRET_KEY, S3Process

PUBLIC = "pictures.hospital.example"


@pytest.fixture(scope="module")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Process]:
    with S3Process(tmp_path_factory.mktemp("swift")) as running:
        yield running


@pytest.fixture(scope="module")
def pair(
    cloud: Cloud,
    swift: S3Process,
    postgres: PostgresProcess,
    postgres_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Gateway, Gateway]]:
    """The second gives links of the store's own."""
    database, bucket = postgres.make(postgres_template), swift.bucket()
    config = QUICK + upstream("draw", cloud.url("objects-draw"), "openai-images") + route("draw-model", DRAW, "draw")
    config += f"""
[storage]
database = "{postgres.url(database)}"
objects = "s3://{bucket.name}/house?endpoint={swift.endpoint}&public=http://{PUBLIC}:{swift.port}"
access_key = "test:tester"
secret_key = "{SECRET_KEY}"
"""
    one, other = (tmp_path_factory.mktemp(name) for name in ("one", "other"))
    with Gateway(one, config) as first, Gateway(other, config + 'links = "store"\n') as second:
        yield first, second
    postgres.drop(database)


def link(gateway: Gateway) -> Any:
    answer = gateway.openai().images.generate(model="draw-model", prompt="a boat", response_format="url")
    assert answer.data is not None
    return answer.data[0]


def get(url: str, to: str, **headers: str) -> tuple[int, bytes]:
    """What a browser gets; `to` is where the host's name leads on this machine."""
    parts, place = urlsplit(url), urlsplit(to)
    with closing(http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)) as connection:
        connection.request("GET", f"{parts.path}?{parts.query}", headers={"host": parts.netloc, **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_a_picture_that_one_server_kept_is_shown_by_the_other(pair: tuple[Gateway, Gateway]) -> None:
    one, other = pair
    url = link(one).url
    assert get(url, one.url) == (200, PICTURE)
    assert get(url, other.url) == (200, PICTURE)
    assert get(url, other.url, range="bytes=1-3") == (206, PICTURE[1:4])
    assert not list(one.data.glob("objects/??/*")), "nothing lies in the folder"


def test_a_link_of_the_store_is_for_the_host_that_browsers_see(pair: tuple[Gateway, Gateway], swift: S3Process) -> None:
    url = link(pair[1]).url
    assert urlsplit(url).netloc == f"{PUBLIC}:{swift.port}"
    assert get(url, swift.endpoint) == (200, PICTURE)


def test_a_file_is_the_same_on_both(pair: tuple[Gateway, Gateway]) -> None:
    one, other = (gateway.openai() for gateway in pair)
    data = bytes(range(256)) * 100_000
    kept = one.files.create(file=("scan.bin", io.BytesIO(data)), purpose="user_data")
    assert other.files.content(kept.id).read() == data
    other.files.delete(kept.id)
    assert [file.id for file in one.files.list()] == []


def test_without_the_store_pictures_are_handed_out_as_bytes(pair: tuple[Gateway, Gateway], swift: S3Process) -> None:
    one, _ = pair
    url = link(one).url
    swift.kill()
    try:
        began = time.monotonic()
        drawn = link(one)
        assert (drawn.url, drawn.b64_json) == (None, PICTURE64)
        assert link(one).b64_json == PICTURE64
        assert time.monotonic() - began < 30
        assert get(url, one.url)[0] in (503, 529)
        with pytest.raises(openai.InternalServerError, match="Try again later"):
            one.openai().files.create(file=("a.txt", b"text"), purpose="user_data")
    finally:
        swift.start()
    eventually(lambda: link(one).url, what="a link again")
    assert get(url, one.url) == (200, PICTURE)


def test_no_credential_is_ever_shown(pair: tuple[Gateway, Gateway]) -> None:
    for gateway in pair:
        told = gateway.log + "\n".join(gateway.lines) + gateway.http("GET", "/metrics").body.decode()
        assert SECRET_KEY not in told and "test:tester" not in told and "Signature=" not in told


def test_a_bucket_that_is_not_there_stops_the_start(swift: S3Process, tmp_path: Path) -> None:
    config = f"""
[storage]
objects = "s3://nobodys-bucket?endpoint={swift.endpoint}"
access_key = "test:tester"
secret_key = "{SECRET_KEY}"
"""
    gateway = Gateway(tmp_path, config)
    command = [sys.executable, "-m", "sampan", "serve", "--config", str(gateway.path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode != 0
    assert "has no bucket nobodys-bucket" in ended.stderr and "Traceback" not in ended.stderr
