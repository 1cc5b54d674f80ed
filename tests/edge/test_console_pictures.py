from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from test_artifacts_page import body_of

from sampan.core import Actor, Answer, Incoming, Permission
from sampan.edge.console_pictures import PATH, PicturesPages
from sampan.errors import Forbidden, InvalidRequest, NotFound, RequestTooLarge
from sampan.storage.db import Database
from sampan.storage.objects import Objects

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
NAME = hashlib.sha256(PNG).hexdigest()
ANN = Actor("key_ann", "ann", "member", permissions=frozenset({Permission.CALL}))
BOB = Actor("key_bob", "bob", "member", permissions=frozenset({Permission.CALL}))
EVE = Actor("key_eve", "eve", "auditor", permissions=frozenset({Permission.AUDIT}))


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Objects]:
    with closing(Database(tmp_path)) as database:
        yield Objects(database)


@pytest.fixture
def pages(objects: Objects) -> PicturesPages:
    return PicturesPages(objects, lambda: {"default": "sketcher", "models": []}, 300)


async def ask(
    pages: PicturesPages, actor: Actor, path: str, method: str = "GET", body: bytes = b"", **headers: str
) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await pages.handle(Incoming(method, path, "", named, body), actor)


async def test_a_picture_is_its_owners_alone(pages: PicturesPages, objects: Objects) -> None:
    await objects.put(PNG, "image/png", ANN.key_id, {})
    answer = await ask(pages, ANN, f"{PATH}/{NAME}")
    headers = dict(answer.headers)
    assert (answer.status, await body_of(answer)) == (200, PNG)
    assert headers["content-type"] == "image/png" and headers["content-length"] == str(len(PNG))
    assert headers["cache-control"].startswith("private") and "immutable" in headers["cache-control"]
    assert headers["content-security-policy"].startswith("sandbox")
    with pytest.raises(NotFound):
        await ask(pages, BOB, f"{PATH}/{NAME}")
    await objects.put(PNG, "image/png", BOB.key_id, {})
    assert (await ask(pages, BOB, f"{PATH}/{NAME}")).status == 200


async def test_what_a_browser_has_is_not_sent_again(pages: PicturesPages, objects: Objects) -> None:
    await objects.put(PNG, "image/png", ANN.key_id, {})
    answer = await ask(pages, ANN, f"{PATH}/{NAME}", if_none_match=f'"{NAME}"')
    assert (answer.status, answer.body) == (304, b"")
    with pytest.raises(NotFound):
        await ask(pages, BOB, f"{PATH}/{NAME}", if_none_match=f'"{NAME}"')


async def test_what_is_no_picture_is_never_shown(pages: PicturesPages, objects: Objects) -> None:
    page = await objects.put(b"<script>", "text/html", ANN.key_id, {})
    with pytest.raises(NotFound):
        await ask(pages, ANN, f"{PATH}/{page.sha256}")


async def test_a_picture_that_is_brought_along_is_kept(pages: PicturesPages) -> None:
    answer = await ask(pages, ANN, PATH, "POST", PNG)
    assert isinstance(answer.body, bytes) and answer.status == 201
    assert msgspec.json.decode(answer.body) == {"sha256": NAME, "media_type": "image/png", "size": len(PNG)}
    assert await body_of(await ask(pages, ANN, f"{PATH}/{NAME}")) == PNG


async def test_what_cannot_be_kept_says_why(pages: PicturesPages) -> None:
    for body in (b"", b"GIF89a", b"%PDF-1.7", b"<svg/>"):
        with pytest.raises(InvalidRequest, match="PNG, JPEG or WebP"):
            await ask(pages, ANN, PATH, "POST", body)
    with pytest.raises(RequestTooLarge, match="the limit is 300"):
        await ask(pages, ANN, PATH, "POST", PNG + bytes(100))


async def test_what_one_can_draw_with_is_told(pages: PicturesPages) -> None:
    answer = await ask(pages, ANN, PATH)
    assert answer.body == b'{"default":"sketcher","models":[]}'


async def test_it_needs_the_permission_to_call(pages: PicturesPages) -> None:
    for path, method in ((PATH, "GET"), (PATH, "POST"), (f"{PATH}/{NAME}", "GET")):
        with pytest.raises(Forbidden, match="call"):
            await ask(pages, EVE, path, method, PNG)


def test_its_paths(pages: PicturesPages) -> None:
    assert pages.methods(PATH) == ("GET", "HEAD", "POST")
    assert pages.methods(f"{PATH}/{NAME}") == ("GET", "HEAD")
    for path in (f"{PATH}/", f"{PATH}/{NAME[:-1]}", f"{PATH}/{NAME.upper()}", f"{PATH}/{NAME}/x"):
        assert pages.methods(path) == ()
