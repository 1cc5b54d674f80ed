from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import anthropic
import openai
import pytest
from pages import ANN, BOB, ask, claude, gpt

from sampan.core import Incoming
from sampan.edge.files import FilesPages
from sampan.storage.db import Database
from sampan.storage.files import Files
from sampan.storage.objects import Objects

PDF = b"%PDF-1.7 " + bytes(200_000)
NOW = 1_700_000_000.25
CLAUDE = {"anthropic-version": "2023-06-01", "x-api-key": "k"}


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def files(tmp_path: Path, clock: Clock) -> Iterator[Files]:
    with closing(Database(tmp_path)) as database:
        yield Files(database, Objects(database, clock), clock)


@pytest.fixture
def pages(files: Files, clock: Clock) -> FilesPages:
    return FilesPages(files, clock, limit=300_000)


def multipart(*parts: tuple[str, str, bytes]) -> tuple[str, bytes]:
    """Each part by the rest of its disposition, a further header line (or none), and its data."""
    out = b""
    for disposition, header, data in parts:
        lines = f"--b\r\nContent-Disposition: form-data; {disposition}\r\n" + (f"{header}\r\n" if header else "")
        out += lines.encode() + b"\r\n" + data + b"\r\n"
    return "multipart/form-data; boundary=b", out + b"--b--\r\n"


async def post(
    pages: FilesPages, *parts: tuple[str, str, bytes], anthropic: bool = True
) -> tuple[int, dict[str, object]]:
    content_type, body = multipart(*parts)
    headers = {**(CLAUDE if anthropic else {}), "content-type": content_type}
    status, _, said = await ask(pages.handle, Incoming("POST", "/v1/files", "", headers, body))
    return status, json.loads(said)


async def get(pages: FilesPages, path: str, query: str = "", anthropic: bool = True) -> tuple[int, dict[str, object]]:
    incoming = Incoming("GET", path, query, CLAUDE if anthropic else {}, b"")
    status, _, said = await ask(pages.handle, incoming)
    return status, json.loads(said)


@pytest.mark.parametrize("beta", [False, True], ids=["files", "beta.files"])
async def test_anthropics_client_from_upload_to_deletion(pages: FilesPages, beta: bool) -> None:
    client = claude(pages.handle)
    api = client.beta.files if beta else client.files
    made = await api.upload(file=("合同.pdf", PDF, "application/pdf"))
    assert made.type == "file"
    assert (made.filename, made.mime_type, made.size_bytes) == ("合同.pdf", "application/pdf", len(PDF))
    assert made.created_at.timestamp() == NOW
    assert made.downloadable is False
    assert made.expires_at is None
    assert await api.retrieve_metadata(made.id) == made
    assert [file.id async for file in api.list()] == [made.id]
    with pytest.raises(anthropic.BadRequestError) as refused:
        await api.download(made.id)
    assert refused.value.error_code == "file_not_downloadable"
    deleted = await api.delete(made.id)
    assert (deleted.id, deleted.type) == (made.id, "file_deleted")
    with pytest.raises(anthropic.NotFoundError):
        await api.retrieve_metadata(made.id)


async def test_openais_client_from_upload_to_deletion(pages: FilesPages) -> None:
    client = gpt(pages.handle)
    made = await client.files.create(file=("a b.jsonl", b'{"a": 1}\n', "application/jsonl"), purpose="user_data")
    assert (made.object, made.filename, made.bytes, made.purpose) == ("file", "a b.jsonl", 9, "user_data")
    assert (made.created_at, made.expires_at, made.status) == (int(NOW), None, "processed")
    assert await client.files.retrieve(made.id) == made
    assert await client.files.wait_for_processing(made.id) == made
    content = await client.files.content(made.id)
    assert content.content == b'{"a": 1}\n'
    assert content.response.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20b.jsonl"
    assert content.response.headers["x-content-type-options"] == "nosniff"
    deleted = await client.files.delete(made.id)
    assert (deleted.id, deleted.object, deleted.deleted) == (made.id, "file", True)
    with pytest.raises(openai.NotFoundError):
        await client.files.content(made.id)


async def test_both_clients_see_one_store(pages: FilesPages) -> None:
    theirs = await gpt(pages.handle).files.create(file=("x.pdf", PDF), purpose="vision")
    ours = await claude(pages.handle).files.upload(file=("y.pdf", PDF))
    assert [file.id async for file in claude(pages.handle).files.list()] == [ours.id, theirs.id]
    downloaded = await claude(pages.handle).files.download(theirs.id)
    assert await downloaded.read() == PDF
    assert (await gpt(pages.handle).files.retrieve(ours.id)).purpose == "user_data"
    assert (await gpt(pages.handle).files.content(ours.id)).content == PDF


async def test_a_file_is_its_owners_alone(pages: FilesPages) -> None:
    made = await claude(pages.handle, ANN).files.upload(file=("y.txt", b"mine"))
    assert [file async for file in claude(pages.handle, BOB).files.list()] == []
    for attempt in (claude(pages.handle, BOB).files.retrieve_metadata, claude(pages.handle, BOB).files.delete):
        with pytest.raises(anthropic.NotFoundError):
            await attempt(made.id)
    with pytest.raises(openai.NotFoundError):
        await gpt(pages.handle, BOB).files.content(made.id)


async def test_clients_walk_through_all_pages(pages: FilesPages) -> None:
    client = claude(pages.handle)
    made = [(await client.files.upload(file=(f"{each}.txt", b"x"))).id for each in range(5)]
    newest = made[::-1]
    assert [file.id async for file in client.files.list(limit=2)] == newest
    assert [file.id async for file in client.files.list(ids=[made[1], made[3], "file_x"])] == [made[3], made[1]]
    assert [file.id async for file in gpt(pages.handle).files.list(limit=2)] == newest
    assert [file.id async for file in gpt(pages.handle).files.list(limit=2, order="asc")] == made
    assert [file.id async for file in gpt(pages.handle).files.list(purpose="batch")] == []


async def test_the_next_page_is_found_though_the_last_file_was_deleted(pages: FilesPages) -> None:
    client = claude(pages.handle)
    made = [(await client.files.upload(file=(f"{each}.txt", b"x"))).id for each in range(3)]
    page = await client.files.list(limit=1)
    await client.files.delete(made[2])
    assert [file.id for file in (await page.get_next_page()).data] == [made[1]]


async def test_pages_by_id_as_the_older_wire_has_them(pages: FilesPages) -> None:
    made = [(await claude(pages.handle).files.upload(file=(f"{each}.txt", b"x"))).id for each in range(3)]
    _, said = await get(pages, "/v1/files", f"after_id={made[2]}&limit=1")
    assert [said["has_more"], said["first_id"], said["last_id"]] == [True, made[1], made[1]]
    _, said = await get(pages, "/v1/files", f"before_id={made[1]}")
    assert [said["has_more"], said["first_id"], said["next_page"]] == [False, made[2], None]


async def test_expiry_as_each_wire_asks_for_it(pages: FilesPages, clock: Clock) -> None:
    client = claude(pages.handle)
    made = await client.files.upload(file=("y.txt", b"mine"), expires_in_seconds=3600)
    assert made.expires_at is not None
    assert made.expires_at.timestamp() == NOW + 3600
    theirs = await gpt(pages.handle).files.create(
        file=("y.txt", b"x"), purpose="vision", expires_after={"anchor": "created_at", "seconds": 7200}
    )
    assert theirs.expires_at == int(NOW + 7200)
    batch = await gpt(pages.handle).files.create(file=("y.jsonl", b"x"), purpose="batch")
    assert batch.expires_at == int(NOW + 30 * 86_400)
    clock.now += 3600
    with pytest.raises(anthropic.NotFoundError) as gone:
        await client.files.download(made.id)
    assert gone.value.error_code == "file_expired"
    with pytest.raises(anthropic.NotFoundError):
        await client.files.retrieve_metadata(made.id)


FILE = ('name="file"; filename="a.txt"', "Content-Type: text/plain", b"x")


@pytest.mark.parametrize(
    ("parts", "anthropic", "message"),
    [
        ([('name="purpose"', "", b"vision")], False, "file: Field required"),
        ([FILE], False, "purpose: must be one of"),
        ([FILE, ('name="purpose"', "", b"party")], False, "purpose: must be one of"),
        ([FILE, FILE], True, "file: one file a call"),
        ([('name="file"; filename="a.txt"', "", b"")], True, "file: is empty"),
        ([FILE, ('name="purpose"', "", b"vision")], True, "purpose: is no field of this form"),
        ([FILE, ('name="expires_in_seconds"', "", b"60")], True, "expires_in_seconds: must be 3,600 to 7,776,000"),
        ([FILE, ('name="expires_in_seconds"', "", b"soon")], True, "expires_in_seconds: must be a whole number"),
        (
            [FILE, ('name="purpose"', "", b"vision"), ('name="expires_after[seconds]"', "", b"3600")],
            False,
            "expires_after[anchor]: must be created_at",
        ),
        ([('name="file"; filename="a<b.txt"', "", b"x")], True, "a character that is not allowed"),
        (
            [('name="purpose"', "", b"vision"), ('name="file"; filename="a\tb.txt"', "", b"x")],
            False,
            "a character that is not allowed",
        ),
        ([(f'name="file"; filename="{"a" * 256}"', "", b"x")], True, "over 255 characters"),
    ],
)
async def test_mistakes_are_named(
    pages: FilesPages, parts: list[tuple[str, str, bytes]], anthropic: bool, message: str
) -> None:
    status, said = await post(pages, *parts, anthropic=anthropic)
    assert status == 400
    assert message in str(said["error"])
    _, listed = await get(pages, "/v1/files")
    assert listed["data"] == []


async def test_a_file_over_the_limit_is_a_413(pages: FilesPages) -> None:
    status, said = await post(pages, ('name="file"; filename="a"', "", bytes(300_001)))
    assert (status, said["error"]["type"]) == (413, "request_too_large")  # type: ignore[index]


@pytest.mark.parametrize(
    ("disposition", "header", "data", "filename", "mime_type"),
    [
        ('filename="../../etc/passwd"', "", b"x", "passwd", "application/octet-stream"),
        ('filename="C:\\dir\\a.TXT"', "", b"x", "a.TXT", "text/plain"),
        ('filename=""', "Content-Type: application/pdf", b"x", "unnamed.pdf", "application/pdf"),
        ('filename="scan"', "Content-Type: application/octet-stream", PDF[:20], "scan", "application/pdf"),
        ('filename="x"', "Content-Type: text/html; evil\x01", b"x", "x", "application/octet-stream"),
        ('filename="x.md"', "", b"# x", "x.md", "text/markdown"),
    ],
)
async def test_names_and_types_are_made_safe(
    pages: FilesPages, disposition: str, header: str, data: bytes, filename: str, mime_type: str
) -> None:
    status, said = await post(pages, (f'name="file"; {disposition}', header, data))
    assert (status, said.get("filename"), said.get("mime_type")) == (200, filename, mime_type)


@pytest.mark.parametrize(
    ("query", "anthropic", "message"),
    [
        ("limit=0", True, "limit: must be 1 to 1,000"),
        ("limit=1001", True, "limit: must be 1 to 1,000"),
        ("limit=10001", False, "limit: must be 1 to 10,000"),
        ("order=up", False, "order: must be asc or desc"),
        ("after=file_x", False, "after: there is no"),
        ("before_id=file_x", True, "before_id: there is no"),
        ("page=7", True, "page: is no cursor"),
        ("ids[]=a&limit=3", True, "ids: cannot be used together"),
        ("&".join(f"ids[]={each}" for each in range(101)), True, "ids: at most 100"),
    ],
)
async def test_lists_name_what_is_wrong_with_a_query(
    pages: FilesPages, query: str, anthropic: bool, message: str
) -> None:
    status, said = await get(pages, "/v1/files", query, anthropic)
    assert status == 400
    assert message in said["error"]["message"]  # type: ignore[index]


async def test_what_each_path_takes(pages: FilesPages) -> None:
    assert pages.methods("/v1/files") == ("GET", "HEAD", "POST")
    assert pages.methods("/v1/files/file_1") == ("GET", "HEAD", "DELETE")
    assert pages.methods("/v1/files/file_1/content") == ("GET", "HEAD")
    assert pages.methods("/v1/files/a/b") == ()
    status, _, _ = await ask(pages.handle, Incoming("PUT", "/v1/files", "", {}, b""))
    assert status == 405
    status, _, _ = await ask(pages.handle, Incoming("GET", "/v1/filesystem", "", {}, b""))
    assert status == 404
