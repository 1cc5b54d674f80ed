"""One picture or document, made what the target takes: passed, fetched, cleaned, drawn page by page, or refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sampan.dialects import pictures as signs
from sampan.dialects.fields import UNREADABLE
from sampan.errors import InvalidRequest, NotFound
from sampan.media import pictures
from sampan.media.crew import Decoder
from sampan.media.pages import Sheet
from sampan.media.pictures import FORMATS, MOST_PIXELS, Sight, Unusable
from sampan.media.receipt import Became, Entry, digest
from sampan.media.worker import Pages, Redraw, Redrawn, Sheets

PDF = "application/pdf"
IN_THREAD = 1 << 20  # from this size on hashing and looking would hold up the loop, in bytes

Fetch = Callable[[str, str, frozenset[str]], Awaitable[bytes]]
LoadFile = Callable[[str], Awaitable[tuple[bytes, str]]]


@dataclass(frozen=True, slots=True)
class Diet:
    """What a target consumes by itself. What it does not is made so, or refused.

    `pictures`: base64 pictures of the media types in `formats`; `documents`: documents of text and of content;
    `files`: file ids, as the target knows them; `unknown`: hand on sources of a type that we do not know; `threads`:
    conversations that it holds itself.
    `clean`: take metadata off pictures and turn them upright, as what leaves the house should be. PDFs that must be
    drawn have `pages` pages at most, their long sides `side` pixels.
    """

    pictures: bool = True
    picture_urls: bool = False
    pdf: bool = False
    pdf_urls: bool = False
    files: bool = False
    documents: bool = False
    unknown: bool = False
    threads: bool = False
    formats: frozenset[str] = FORMATS
    clean: bool = True
    pages: int = 20
    side: int = 1568


@dataclass(frozen=True, slots=True)
class Means:
    """What serving takes: the crew that decodes, and ways to bytes that are not in the request.

    `fetch(url, path, wanted media types)` and `load_file(file id) -> (bytes, media type)`, which raises `NotFound`;
    None: such a source is refused.
    """

    decoder: Decoder
    fetch: Fetch | None = None
    load_file: LoadFile | None = None
    most_pixels: int = MOST_PIXELS


class Source(msgspec.Struct, frozen=True):
    """Where a block's bytes are."""

    type: str
    media_type: str = ""
    url: str = ""
    file_id: str = ""
    data: msgspec.Raw = msgspec.Raw()
    content: msgspec.Raw = msgspec.Raw()


@dataclass(frozen=True, slots=True)
class Morsel:
    """One picture or document of a request; `cited` says that citations are asked for."""

    path: str
    kind: str
    source: Source
    title: str = ""
    context: str = ""
    cited: bool = False
    cache_control: msgspec.Raw = field(default_factory=msgspec.Raw)

    def refusal(self, why: str) -> InvalidRequest:
        return InvalidRequest(f"{self.path}: the {self.kind} cannot be given to this model: {why}", param=self.path)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a morsel became, as JSON: another `source` for its block, or `blocks` in its place; neither: untouched.

    Where it was `opened`, what is inside it follows its `blocks`.
    """

    entry: Entry
    source: bytes = b""
    blocks: Sequence[bytes] = ()
    opened: bool = False

    @property
    def touched(self) -> bool:
        return bool(self.source or self.blocks)


async def serve(morsel: Morsel, eats: Diet, means: Means) -> Outcome:
    """Raises `InvalidRequest` naming the morsel's path, and `Unavailable` where too many wait."""
    source = morsel.source
    picture = morsel.kind == "image"
    if picture and not eats.pictures:
        raise morsel.refusal("it sees no pictures")
    if source.type == "base64":
        data = await _off(len(memoryview(source.data)), _decoded, morsel)
        return await _bytes(morsel, data, source.media_type, eats, means, came=True)
    if source.type == "url":
        if eats.picture_urls if picture else eats.pdf_urls:
            return Outcome(Entry(morsel.path, digest(source.url.encode()), Became.URL))
        if means.fetch is None:
            raise morsel.refusal("it follows no URLs; send the bytes as base64")
        data = await means.fetch(source.url, morsel.path, FORMATS if picture else frozenset({PDF}))
        return await _bytes(morsel, data, "", eats, means, came=False)
    if source.type == "file":
        if eats.files:
            return Outcome(Entry(morsel.path, digest(source.file_id.encode()), Became.FILE))
        if means.load_file is None:
            raise morsel.refusal("it knows no files; send the bytes as base64")
        try:
            data, media_type = await means.load_file(source.file_id)
        except NotFound:
            raise morsel.refusal("there is no file of that id") from None
        return await _bytes(morsel, data, media_type, eats, means, came=False)
    if source.type in ("text", "content") and not picture:
        return _text(morsel, eats)
    if eats.unknown:
        return Outcome(Entry(morsel.path, digest(memoryview(source.data)), Became.FILE))
    raise morsel.refusal(f"nobody knows a source of type {source.type[:40]!r}")


async def _bytes(morsel: Morsel, data: bytes, media_type: str, eats: Diet, means: Means, *, came: bool) -> Outcome:
    """`came` True: the bytes stand in the block already."""
    if morsel.kind == "image":
        return await _picture(morsel, data, eats, means, came=came)
    if signs.media_type(data) == PDF:
        return await _pdf(morsel, data, eats, means, came=came)
    if media_type.partition(";")[0].strip().startswith("text/"):
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise morsel.refusal("it is no text in UTF-8") from None
        return _document(morsel, text, digest(data), eats, came=False)
    raise morsel.refusal("it is no PDF")


async def _picture(morsel: Morsel, data: bytes, eats: Diet, means: Means, *, came: bool) -> Outcome:
    try:
        sha, sight = await _off(len(data), _examined, data, means.most_pixels)
        kept, media_type, patches = data, sight.media_type, sight.patches
        if sight.media_type not in eats.formats or (eats.clean and sight.turn != 1):
            done = await means.decoder.run(Redraw(data, tuple(eats.formats), means.most_pixels))
            if not isinstance(done, Redrawn):
                raise Unusable("it cannot be decoded")
            kept, media_type, patches = done.data, done.media_type, pictures.patches(done.width, done.height)
        elif eats.clean and sight.told:
            kept = await _off(len(data), pictures.strip, data)
    except Unusable as unusable:
        raise morsel.refusal(str(unusable)) from None
    if came and kept is data and morsel.source.media_type == media_type:
        return Outcome(Entry(morsel.path, sha, Became.PATCHES, patches))
    return Outcome(Entry(morsel.path, sha, Became.PATCHES, patches), _base64(media_type, kept))


async def _pdf(morsel: Morsel, data: bytes, eats: Diet, means: Means, *, came: bool) -> Outcome:
    sha = await _off(len(data), digest, data)
    if eats.pdf:
        if came and morsel.source.media_type == PDF:
            return Outcome(Entry(morsel.path, sha, Became.PDF))
        return Outcome(Entry(morsel.path, sha, Became.PDF), _base64(PDF, data))
    if morsel.cited:
        raise morsel.refusal("it gives no citations; ask without them")
    try:
        done = await means.decoder.run(Pages(data, eats.pages, eats.side, eats.pictures))
    except Unusable as unusable:
        raise morsel.refusal(str(unusable)) from None
    sheets = done.sheets if isinstance(done, Sheets) else []
    if not eats.pictures:
        for number, sheet in enumerate(sheets, 1):
            if not sheet.plain:
                raise morsel.refusal(f"it sees no pictures, and page {number} is more than its text")
    became = Became.PAGES if eats.pictures else Became.WORDS
    entry = Entry(morsel.path, sha, became, len(sheets))
    return Outcome(entry, blocks=_marked(morsel, list(_page_blocks(morsel, sheets))))


def _page_blocks(morsel: Morsel, sheets: Sequence[Sheet]) -> Sequence[dict[str, Any]]:
    """A text block for each page, with what its text layer says, and its picture."""
    name = morsel.title or "Document"
    blocks: list[dict[str, Any]] = []
    for number, sheet in enumerate(sheets, 1):
        label = f"[{name}, page {number} of {len(sheets)}]"
        if number == 1 and morsel.context:
            label += f"\n{morsel.context}"
        blocks.append({"type": "text", "text": f"{label}\n{sheet.text}" if sheet.text else label})
        if sheet.picture:
            source = {"type": "base64", "media_type": sheet.media_type, "data": sheet.picture}
            blocks.append({"type": "image", "source": source})
    return blocks


def _text(morsel: Morsel, eats: Diet) -> Outcome:
    """A document of text, or of content: its blocks are morsels of their own where they are any."""
    source = morsel.source
    raw = source.data if source.type == "text" else source.content
    try:
        text = msgspec.json.decode(raw, type=str) if bytes(memoryview(raw)[:1]) == b'"' else None
    except UNREADABLE:
        raise morsel.refusal("its text is no text") from None
    if text is not None:
        return _document(morsel, text, digest(text.encode()), eats, came=True)
    if source.type == "text":
        raise morsel.refusal("its text is no text")
    if bytes(memoryview(raw)[:1]) != b"[":
        raise morsel.refusal("its content is neither text nor a list of blocks")
    entry = Entry(morsel.path, digest(memoryview(raw)), Became.TEXT)
    if eats.documents:
        return Outcome(entry)
    if morsel.cited:
        raise morsel.refusal("it gives no citations; ask without them")
    head = "\n".join(part for part in (f"[{morsel.title or 'Document'}]", morsel.context) if part)
    return Outcome(entry, blocks=_marked(morsel, [{"type": "text", "text": head}]), opened=True)


def _document(morsel: Morsel, text: str, sha: str, eats: Diet, *, came: bool) -> Outcome:
    if eats.documents:
        if came:
            return Outcome(Entry(morsel.path, sha, Became.TEXT))
        source = {"type": "text", "media_type": "text/plain", "data": text}
        return Outcome(Entry(morsel.path, sha, Became.TEXT), msgspec.json.encode(source))
    if morsel.cited:
        raise morsel.refusal("it gives no citations; ask without them")
    whole = "\n".join(part for part in (f"[{morsel.title or 'Document'}]", morsel.context, text) if part)
    entry = Entry(morsel.path, sha, Became.TEXT)
    return Outcome(entry, blocks=_marked(morsel, [{"type": "text", "text": whole}]))


def _marked(morsel: Morsel, blocks: list[dict[str, Any]]) -> list[bytes]:
    """The new blocks as JSON; what the old one said of the cache, the last one says."""
    if blocks and memoryview(morsel.cache_control).nbytes:
        blocks[-1]["cache_control"] = morsel.cache_control
    return [msgspec.json.encode(block) for block in blocks]


def _base64(media_type: str, data: bytes) -> bytes:
    return msgspec.json.encode({"type": "base64", "media_type": media_type, "data": data})


def _decoded(morsel: Morsel) -> bytes:
    try:
        return msgspec.json.decode(morsel.source.data, type=bytes)
    except UNREADABLE:
        raise InvalidRequest(f"{morsel.path}.source.data: is not base64", param=f"{morsel.path}.source.data") from None


def _examined(data: bytes, most_pixels: int) -> tuple[str, Sight]:
    return digest(data), pictures.look(data, most_pixels)


async def _off(size: int, work: Callable[..., Any], *arguments: object) -> Any:
    """What takes milliseconds happens in a thread; what takes less is not worth the way there."""
    return work(*arguments) if size < IN_THREAD else await asyncio.to_thread(work, *arguments)
