"""A request made fit for a target: every block in its place, nothing else touched, nothing dropped."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.errors import InvalidRequest, NotFound, Unavailable
from sampan.media.adapting import Adapted, adapt
from sampan.media.crew import Crew
from sampan.media.fetching import Exemption, Fetcher, Larder, Policy
from sampan.media.pages import sheets
from sampan.media.pictures import FORMATS, Unusable, look, redraw
from sampan.media.receipt import Became, Entry, Receipt, compact
from sampan.media.serving import Diet, Means
from sampan.media.worker import Job, Redraw, Redrawn, Sheets
from sampan.upstreams.fetch import Strangers
from tests.media.files import SECRET, bomb, encoded, half, noted, pdf, scan
from tests.upstreams.servers import Read, Send, answer, playing

PNG = encoded(half(), "PNG")
LETTER = pdf("The first page says this", "The second page says that")
TEXT = {"type": "text", "text": "What is \u597d this?"}
EYES = Diet()
EVERYTHING = Diet(picture_urls=True, pdf=True, pdf_urls=True, files=True, documents=True, unknown=True)
NOWHERE = "http://pictures.test/a"


@dataclass
class House:
    """A web, a file store and a decoder in this process; keeps what was asked for."""

    web: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    failing: Exception | None = None

    async def fetch(self, url: str, path: str, wanted: frozenset[str]) -> bytes:
        if url not in self.web:
            raise InvalidRequest(f"{path}: nothing there", param=path)
        return self.web[url]

    async def load(self, file_id: str) -> tuple[bytes, str]:
        if file_id not in self.files:
            raise NotFound("no such file")
        return self.files[file_id]

    async def run(self, job: Job) -> Redrawn | Sheets:
        self.jobs.append(job)
        if self.failing is not None:
            raise self.failing
        if isinstance(job, Redraw):
            return Redrawn(*redraw(job.data, frozenset(job.formats), job.most_pixels))
        return Sheets(sheets(job.data, job.most, job.side, draw=job.draw))

    @property
    def means(self) -> Means:
        return Means(self, self.fetch, self.load)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def image(data: bytes = PNG, media_type: str = "image/png", **more: Any) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": b64(data)}, **more}


def document(data: bytes = LETTER, **more: Any) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "application/pdf", "data": b64(data)}
    return {"type": "document", "source": source, **more}


def named(kind: str, how: str, name: str) -> dict[str, Any]:
    return {"type": kind, "source": {"type": how, {"url": "url", "file": "file_id"}[how]: name}}


def body(*blocks: Any, **more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": list(blocks)}], **more}).encode()


def content(adapted: Adapted, turn: int = 0) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = json.loads(adapted.body)["messages"][turn]["content"]
    return blocks


def data_of(block: dict[str, Any]) -> bytes:
    return base64.b64decode(block["source"]["data"])


async def refused(data: bytes, eats: Diet, house: House) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        await adapt(data, eats, house.means)
    return caught.value


@pytest.mark.parametrize(
    "data", [body(TEXT), body("x"), b"no JSON", body({"type": "text", "text": "caf\u00e9"}), b'{"messages": []}']
)
async def test_a_body_without_media_is_the_same_object(data: bytes) -> None:
    adapted = await adapt(data, EYES, House().means)
    assert adapted.body is data and adapted.receipt.header == ""


async def test_what_the_target_eats_is_the_same_object_and_still_told() -> None:
    later = {"type": "image", "source": {"type": "cloud", "id": 3}}
    data = body(TEXT, image(), document(), named("image", "url", NOWHERE), named("document", "file", "file_1"), later)
    adapted = await adapt(data, EVERYTHING, Means(House()))
    assert adapted.body is data
    sha = hashlib.sha256(PNG).hexdigest()
    assert adapted.receipt.entries[0] == Entry("messages.0.content.1", sha, Became.PATCHES, 6)
    assert [str(each).rpartition(":")[2] for each in adapted.receipt.entries] == ["6t", "pdf", "url", "file", "file"]


async def test_a_url_becomes_bytes_in_its_place() -> None:
    house = House({NOWHERE: PNG, NOWHERE + ".pdf": LETTER})
    cached = {**named("image", "url", NOWHERE), "cache_control": {"type": "ephemeral"}}
    data = body(TEXT, cached, TEXT, named("document", "url", NOWHERE + ".pdf"))
    adapted = await adapt(data, replace(EYES, pdf=True), house.means)
    assert content(adapted) == [TEXT, {**image(), "cache_control": {"type": "ephemeral"}}, TEXT, document()]
    assert adapted.receipt.header == (
        f"messages.0.content.1={hashlib.sha256(PNG).hexdigest()[:16]}:6t,"
        f"messages.0.content.3={hashlib.sha256(LETTER).hexdigest()[:16]}:pdf"
    )


async def test_files_are_loaded_by_what_they_are() -> None:
    house = House(files={"p": (PNG, "image/png"), "d": (LETTER, "application/pdf"), "t": (b"Hi", "text/plain; a=b")})
    data = body(named("image", "file", "p"), named("document", "file", "d"), named("document", "file", "t"))
    adapted = await adapt(data, replace(EYES, pdf=True), house.means)
    assert content(adapted) == [image(), document(), {"type": "text", "text": "[Document]\nHi"}]
    kept = await adapt(data, replace(EYES, pdf=True, documents=True), house.means)
    assert content(kept)[2]["source"] == {"type": "text", "media_type": "text/plain", "data": "Hi"}


async def test_pages_stand_in_order_where_their_document_stood() -> None:
    block = document(title="Letter", context="from the post", cache_control={"type": "ephemeral"})
    adapted = await adapt(body(TEXT, block, TEXT), EYES, House().means)
    before, one, first, two, second, after = content(adapted)
    assert before == after == TEXT
    assert one["text"] == "[Letter, page 1 of 2]\nfrom the post\nThe first page says this"
    assert two["text"] == "[Letter, page 2 of 2]\nThe second page says that"
    assert look(data_of(first)).width == 1568 and data_of(first) != data_of(second)
    assert second["cache_control"] == {"type": "ephemeral"} and "cache_control" not in first
    assert str(adapted.receipt.entries[0]).endswith(":2p")


async def test_a_target_that_cannot_see_gets_words_where_they_are_all_there_is() -> None:
    blind = Diet(pictures=False)
    adapted = await adapt(body(document()), blind, House().means)
    assert [block["type"] for block in content(adapted)] == ["text", "text"]
    assert adapted.receipt.header.endswith(":2w")
    for unseen, said in ((image(), "sees no pictures"), (document(scan()), "page 1 is more than its text")):
        error = await refused(body(TEXT, unseen), blind, House())
        assert error.param == "messages.0.content.1" and said in error.message


async def test_documents_of_text_and_of_content_are_opened() -> None:
    plain = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Hello"}, "title": "T"}
    inner = [TEXT, named("image", "url", NOWHERE)]
    mixed = {"type": "document", "source": {"type": "content", "content": inner}, "context": "C"}
    words = {"type": "document", "source": {"type": "content", "content": "Words"}}
    house = House({NOWHERE: PNG})
    adapted = await adapt(body(plain, mixed, words), EYES, house.means)
    head = {"type": "text", "text": "[Document]\nC"}
    told = [{"type": "text", "text": "[T]\nHello"}, head, TEXT, image(), {"type": "text", "text": "[Document]\nWords"}]
    assert content(adapted) == told
    paths = [entry.path for entry in adapted.receipt.entries]
    assert paths == [f"messages.0.content.{at}" for at in ("0", "1", "1.source.content.1", "2")]
    kept = await adapt(body(plain, mixed, words), replace(EYES, documents=True), house.means)
    assert content(kept)[0] == plain and content(kept)[2] == words
    assert content(kept)[1] == {**mixed, "source": {"type": "content", "content": [TEXT, image()]}}


@pytest.mark.parametrize("source", [{}, {"content": None}, {"content": {}}, {"content": 7}])
async def test_a_document_of_content_without_any_is_refused_by_its_path(source: dict[str, Any]) -> None:
    error = await refused(body({"type": "document", "source": {"type": "content", **source}}), EYES, House())
    assert error.param == "messages.0.content.0" and "neither text nor a list" in error.message


async def test_pictures_inside_a_tools_result_are_found() -> None:
    inner = {"type": "document", "source": {"type": "content", "content": [named("image", "url", NOWHERE)]}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [TEXT, document(), inner], "is_error": False}
    eats = replace(EYES, documents=True)
    [changed] = content(await adapt(body(result), eats, House({NOWHERE: PNG}).means))
    assert [block["type"] for block in changed["content"]] == ["text", "text", "image", "text", "image", "document"]
    assert changed["content"][5]["source"]["content"] == [image()]
    assert (changed["tool_use_id"], changed["is_error"]) == ("t", False)
    error = await refused(body(TEXT, result), eats, House())
    assert error.param == "messages.0.content.1.content.2.source.content.0"


async def test_what_was_not_touched_stays_byte_for_byte() -> None:
    odd = b'{"type":"text",  "text":"\\u597d \\/ 1e3", "x":1.50}'
    data = b'{"temperature":1.0, "messages":[{"role":"user","content":[%s,%s]},{"role":"user","content":"\\u00e9"}]}'
    data = data % (odd, json.dumps(named("image", "url", NOWHERE)).encode())
    adapted = await adapt(data, EYES, House({NOWHERE: PNG}).means)
    assert odd in adapted.body and b'"temperature":1.0' in adapted.body and b'"\\u00e9"' in adapted.body


async def test_a_picture_leaves_clean_and_upright() -> None:
    lying = noted(6)["image/jpeg"]
    told = noted(1)["image/png"]
    house = House()
    adapted = await adapt(body(image(lying, "image/jpeg"), image(told), image()), EYES, house.means)
    upright, clean, plain = (data_of(block) for block in content(adapted))
    assert look(upright).turn == 1 and look(upright).width == 40 and SECRET not in upright + clean
    assert plain == PNG and len(house.jobs) == 1
    assert [entry.count for entry in adapted.receipt.entries] == [6, 6, 6]
    assert adapted.receipt.entries[1].sha256 == hashlib.sha256(told).hexdigest()
    data = body(image(lying, "image/jpeg"))
    assert (await adapt(data, replace(EYES, clean=False), house.means)).body is data


async def test_a_format_that_the_target_does_not_take_is_redrawn_and_a_wrong_label_righted() -> None:
    webp = encoded(half(), "WEBP", lossless=True)
    eats = replace(EYES, formats=frozenset({"image/png", "image/jpeg"}))
    first, second = content(await adapt(body(image(webp, "image/webp"), image(PNG, "image/jpeg")), eats, House().means))
    assert first["source"]["media_type"] == "image/png" == look(data_of(first)).media_type
    assert second == image()


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (image(bomb()), "60000×60000 pixels"),
        (image(b"BM" + bytes(50)), "no JPEG, PNG, GIF or WebP"),
        (image(PNG[:20]), "broken"),
        (document(b"%PDF-1.4"), "broken"),
        (document(b"Hello"), "no PDF"),
        (document(citations={"enabled": True}), "no citations"),
        (named("image", "url", "http://elsewhere.test"), "nothing there"),
        (named("image", "file", "f"), "no file of that id"),
        ({"type": "image", "source": {"type": "cloud", "id": 3}}, "a source of type 'cloud'"),
        ({"type": "image", "source": {"type": "text", "data": "x"}}, "a source of type 'text'"),
        ({"type": "document", "source": {"type": "text", "data": [1]}}, "its text is no text"),
        ({**document(), "source": {"type": "text", "data": "x"}, "citations": {"enabled": True}}, "no citations"),
        ({**document(), "source": {"type": "content", "content": []}, "citations": {"enabled": True}}, "no citations"),
        (named("document", "file", "latin"), "no text in UTF-8"),
    ],
)
async def test_what_cannot_be_given_is_refused_by_its_path(block: dict[str, Any], said: str) -> None:
    house = House(files={"latin": (b"caf\xe9", "text/plain")})
    error = await refused(body(TEXT, image(), block), EYES, house)
    assert error.param == "messages.0.content.2" and said in error.message


@pytest.mark.parametrize(
    ("data", "param"),
    [
        (b'{"image": 1, "document"', None),
        (b'{"messages": "\\u0041"}', "messages"),
        (body({"type": "image"}), "messages.0.content.0.source"),
        (body({"type": "image", "source": 1}), "messages.0.content.0.source"),
        (body(7, image()), "messages.0.content"),
        (body({**image(), "source": {"type": "base64", "data": "*"}}), "messages.0.content.0.source.data"),
        (body({"type": "tool_result", "content": [image(), 5]}), "messages.0.content.0.content"),
        (body({**document(), "title": 5}), "messages.0.content.0"),
    ],
)
async def test_what_is_no_request_is_the_callers_mistake(data: bytes, param: str | None) -> None:
    error = await refused(data, EYES, House())
    assert error.param is None if param is None else (error.param or "").startswith(param)


async def test_blocks_nested_without_end_are_refused() -> None:
    block: dict[str, Any] = image()
    for _ in range(5):
        block = {"type": "tool_result", "content": [block]}
    assert "nested too deep" in (await refused(body(block), EYES, House())).message


async def test_a_name_spelt_in_escapes_is_no_way_around() -> None:
    data = body(named("image", "url", "http://inner.test")).replace(b'"image"', b'"im\\u0061ge"')
    assert (await refused(data, EYES, House())).param == "messages.0.content.0"


async def test_without_means_references_are_refused_and_a_full_crew_is_no_mistake() -> None:
    for block in (named("image", "url", NOWHERE), named("document", "file", "f")):
        with pytest.raises(InvalidRequest, match="send the bytes as base64"):
            await adapt(body(block), EYES, Means(House()))
    with pytest.raises(Unavailable):
        await adapt(body(document()), EYES, House(failing=Unavailable("full")).means)
    error = await refused(body(document(), image()), EYES, House(failing=Unusable("reading it failed")))
    assert error.param == "messages.0.content.0" and "reading it failed" in error.message


MARKS = st.lists(st.sampled_from(["text", "image", "url", "pdf", "document", "result"]), max_size=7)


@settings(deadline=None, max_examples=40)
@given(st.lists(MARKS, min_size=1, max_size=3), st.booleans(), st.booleans())
async def test_the_order_of_everything_is_kept(shape: list[list[str]], pdfs: bool, documents: bool) -> None:
    """Each block carries a mark; after adapting, the marks are read in the same order."""
    count = 0

    def made(kind: str) -> dict[str, Any]:
        nonlocal count
        count += 1
        mark = f"mark {count}."
        if kind == "text":
            return {"type": "text", "text": mark}
        if kind == "image":
            return {**image(), "cache_control": mark}
        if kind == "url":
            return {**named("image", "url", NOWHERE), "cache_control": mark}
        if kind == "pdf":
            return document(title=mark)
        if kind == "document":
            inner = [{"type": "text", "text": "in"}, named("image", "url", NOWHERE)]
            return {"type": "document", "source": {"type": "content", "content": inner}, "title": mark}
        return {"type": "tool_result", "tool_use_id": mark, "content": [named("image", "url", NOWHERE)]}

    messages = [{"role": "user", "content": [made(kind) for kind in turn]} for turn in shape]
    data = json.dumps({"messages": messages}).encode()
    house = House({NOWHERE: PNG})
    eats = replace(EYES, pdf=pdfs, documents=documents, side=28)
    adapted = await adapt(data, eats, house.means)
    told = adapted.body.decode()
    places = [told.index(f"mark {number}") for number in range(1, count + 1)]
    assert places == sorted(places)
    assert '"url"' not in told
    again = await adapt(adapted.body, eats, house.means)
    assert again.body is adapted.body


async def test_all_of_it_together_over_sockets_and_processes() -> None:
    async with playing([Read(), Send(answer(noted(6)["image/jpeg"]))]) as stage:
        strangers, crew = Strangers(), Crew(1)
        policy = Policy((Exemption.parse(stage.url.removeprefix("http://")),))
        larder = Larder(Fetcher(strangers.get, strangers.resolve, policy))
        try:
            data = body(named("image", "url", f"{stage.url}/a.jpg"), document(title="Letter"))
            adapted = await adapt(data, EYES, Means(crew, larder.fetch))
            again = await adapt(data, EYES, Means(crew, larder.fetch))
        finally:
            strangers.close()
            await crew.aclose()
    upright, text, *_ = content(adapted)
    assert look(data_of(upright)).width == 40 and text["text"].startswith("[Letter, page 1 of 2]")
    assert again.body == adapted.body and stage.connections == 1


def test_a_receipt_is_ascii_and_bounded() -> None:
    entries = tuple(Entry(f"messages.{at}.content.1", f"{at:064x}", Became.PAGES, 3) for at in range(200))
    receipt = Receipt(entries)
    for told, limit in ((receipt.header, 1024), (receipt.record, 4096)):
        parts = told.split(",")
        assert told.isascii() and len(told) <= limit
        assert int(parts[-1].removeprefix("+")) + len(parts) - 1 == 200
    assert compact(entries[:2], 1024).split(",") == [str(entry) for entry in entries[:2]]
    assert str(entries[7]) == "messages.7.content.1=0000000000000000:3p"
    assert Receipt().header == "" and Diet().formats == FORMATS
