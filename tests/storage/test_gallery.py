from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from sampan.core import Actor, Call, Dialect, Location, Operation, Target, Tier
from sampan.errors import NotFound
from sampan.storage.db import Database
from sampan.storage.gallery import Gallery
from sampan.storage.objects import Objects

NOW = 1_700_000_000.0
PNG = b"\x89PNG\r\n\x1a\n" + bytes(50)
ANN = Actor("key_1", "ann", "member")
SKETCHER = Target("sketcher", None, Dialect.OPENAI_IMAGES, Location.LOCAL, Tier.DEGRADED)


@pytest.fixture
def objects(database: Database) -> Objects:
    return Objects(database, lambda: NOW)


def call(*, url_wanted: bool) -> Call:
    return Call(
        Dialect.OPENAI_IMAGES,
        Operation.GENERATE,
        "gpt-image-1",
        "/v1/images/generations",
        b"{}",
        "application/json",
        url_wanted=url_wanted,
    )


def answer(*pictures: str) -> bytes:
    return json.dumps({"created": 1, "data": [{"b64_json": each} for each in pictures]}).encode()


BODY = answer(base64.b64encode(PNG).decode(), base64.b64encode(b"no picture").decode())


async def test_pictures_are_kept_and_the_answer_left_as_it_is(objects: Objects) -> None:
    gallery = Gallery(objects, "http://a", 60, lambda: NOW)
    assert await gallery.keep(call(url_wanted=False), ANN, SKETCHER, BODY) is BODY
    link = objects.sign(await digest(objects, PNG), "image/png", int(NOW) + 1)
    path, _, query = link.partition("?")
    assert await objects.read(objects.verify(path, query, NOW).sha256) == PNG


async def digest(objects: Objects, data: bytes) -> str:
    return (await objects.put(data, "image/png", "key_2", {})).sha256


async def test_links_are_signed_for_the_public_host_and_lead_to_the_pictures(objects: Objects) -> None:
    gallery = Gallery(objects, "https://ai.example.org/", 60, lambda: NOW)
    data = json.loads(await gallery.keep(call(url_wanted=True), ANN, SKETCHER, BODY))["data"]
    assert [set(datum) for datum in data] == [{"url"}, {"url"}]
    found = []
    for datum in data:
        path, _, query = datum["url"].removeprefix("https://ai.example.org").partition("?")
        link = objects.verify(path, query, NOW + 59)
        found.append((link.media_type, await objects.read(link.sha256)))
        assert link.expires == int(NOW) + 60
    assert found == [("image/png", PNG), ("application/octet-stream", b"no picture")]


async def test_an_answer_whose_pictures_cannot_be_kept_goes_out_as_it_came(objects: Objects, tmp_path: Path) -> None:
    gallery = Gallery(objects, "http://a", 60, lambda: NOW)
    damaged = answer("A" * 64 + "!!!!")
    assert await gallery.keep(call(url_wanted=True), ANN, SKETCHER, damaged) is damaged
    (tmp_path / "objects" / "incoming").rmdir()
    (tmp_path / "objects" / "incoming").write_bytes(b"a file where the folder was")
    assert await gallery.keep(call(url_wanted=True), ANN, SKETCHER, BODY) is BODY


async def test_a_streamed_picture_is_kept_and_its_frames_left_as_they_are(objects: Objects) -> None:
    streamed = replace(call(url_wanted=True), stream=True)
    part = {"type": "image_generation.partial_image", "b64_json": base64.b64encode(b"half").decode()}
    done = {"type": "image_generation.completed", "b64_json": base64.b64encode(PNG).decode()}
    frames = b"".join(f"event: x\ndata: {json.dumps(each)}\n\n".encode() for each in (part, done)) + b"data: [DONE]\n\n"
    gallery = Gallery(objects, "http://a", 60, lambda: NOW)
    assert await gallery.keep(streamed, ANN, SKETCHER, frames) is frames
    assert (await objects.find(hashlib.sha256(PNG).hexdigest())).size == len(PNG)
    with pytest.raises(NotFound):
        await objects.find(hashlib.sha256(b"half").hexdigest())
