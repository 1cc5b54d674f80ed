from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import aclosing, closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.core import Answer, Incoming
from sampan.edge.artifacts import _span, artifact_answer
from sampan.errors import Forbidden
from sampan.storage.db import Database
from sampan.storage.objects import Objects

NOW = 1_700_000_000.0
DATA = bytes(range(256)) * 1000
NAME = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Objects]:
    with closing(Database(tmp_path)) as database:
        yield Objects(database, lambda: NOW)


async def ask(objects: Objects, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    path, _, query = objects.sign(NAME, "image/png", int(NOW) + 60).partition("?")
    incoming = Incoming(method, path, query, {name.replace("_", "-"): value for name, value in headers.items()}, b"")
    answer = await artifact_answer(objects, incoming, NOW)
    return answer.status, dict(answer.headers), await body_of(answer)


async def body_of(answer: Answer) -> bytes:
    if isinstance(answer.body, bytes):
        return answer.body
    async with aclosing(answer.body) as pieces:
        return b"".join([piece async for piece in pieces])


@pytest.fixture(autouse=True)
async def put(objects: Objects) -> None:
    await objects.put(DATA, "image/png", "key_1", {})


async def test_all_of_it(objects: Objects) -> None:
    status, headers, body = await ask(objects)
    assert (status, body) == (200, DATA)
    assert headers == {
        "content-type": "image/png",
        "content-length": "256000",
        "cache-control": "private, max-age=60, immutable",
        "etag": f'"{NAME}"',
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
    }


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-70000", 100, 70001),
        ("bytes=255999-", 255_999, 256_000),
        ("bytes=-5", -5, 256_000),
    ],
)
async def test_a_part_of_it(objects: Objects, asked: str, start: int, end: int) -> None:
    status, headers, body = await ask(objects, range=asked)
    assert (status, body) == (206, DATA[start:end])
    first = start if start >= 0 else len(DATA) + start
    assert headers["content-range"] == f"bytes {first}-{end - 1}/256000"
    assert headers["content-length"] == str(len(body))


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", "items=0-1", "bytes=-", "bytes=5-4", "bytes=a-b", "bytes=" + "9" * 19 + "-"]
)
async def test_what_is_no_single_range_gets_all_of_it(objects: Objects, asked: str) -> None:
    assert (await ask(objects, range=asked))[::2] == (200, DATA)


async def test_a_part_that_is_not_there(objects: Objects) -> None:
    for asked in ("bytes=256000-", "bytes=999999-1000000", "bytes=-0"):
        status, headers, body = await ask(objects, range=asked)
        assert (status, headers["content-range"], body) == (416, "bytes */256000", b"")


async def test_a_part_of_what_it_was_is_not_mixed_with_what_it_is(objects: Objects) -> None:
    assert (await ask(objects, range="bytes=0-0", if_range=f'"{NAME}"'))[0] == 206
    assert (await ask(objects, range="bytes=0-0", if_range='"other"'))[0] == 200
    assert (await ask(objects, "HEAD", range="bytes=0-0"))[0] == 200


async def test_a_link_that_is_not_good_is_refused_with_a_range_too(objects: Objects) -> None:
    path, _, query = objects.sign(NAME, "image/png", int(NOW)).partition("?")
    with pytest.raises(Forbidden, match="expired"):
        await artifact_answer(objects, Incoming("GET", path, query, {"range": "bytes=0-0"}, b""), NOW)


@given(st.from_regex(r"bytes=[0-9]{0,4}-[0-9]{0,4}", fullmatch=True), st.integers(0, 2000))
def test_a_span_lies_within_the_artifact_or_is_empty(asked: str, size: int) -> None:
    span = _span(asked, size)
    assert span is None or span[0] >= span[1] or 0 <= span[0] < span[1] <= size
