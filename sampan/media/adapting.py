"""A Messages request made one that its target can consume to the last pixel, or refused by the path of a block.

    body → morsels found → each served at once with the others → the touched blocks put back in their places

| block and source | the target takes it | else |
|---|---|---|
| image, base64 | as it is; where `clean`, without metadata and upright | redrawn as a format it takes, or refused |
| image, url | as it is | fetched, then as base64 |
| document, base64 PDF | as it is | its pages, each a text block and an image block |
| document, url | as it is | fetched, then as base64 PDF |
| image or document, file | as it is | loaded, then as base64 or as text |
| document, text | as it is | a text block |
| document, content | as it is, its inner blocks by these rules | a text block for its title, then its inner blocks |

Blocks inside `tool_result` and `document` are found too. Everything else of the request stays byte for byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from sampan.dialects.fields import UNREADABLE, invalid
from sampan.errors import InvalidRequest
from sampan.media.receipt import Receipt
from sampan.media.serving import Diet, Means, Morsel, Outcome, Source, serve

AT_ONCE = 4  # morsels of one call that are fetched or decoded at the same time
DEEPEST = 4  # tool_result > document > content > image is three

_NEEDLES = (b'"image"', b'"document"', b"\\u00")  # the last: a name may be spelt in escapes, to be overlooked


@dataclass(frozen=True, slots=True)
class Adapted:
    """The request as the target gets it (the same object where nothing was touched), and what became of its media."""

    body: bytes
    receipt: Receipt


class _Block(msgspec.Struct):
    type: str = ""
    source: Source | str | None = None
    content: msgspec.Raw = msgspec.Raw()
    title: msgspec.Raw = msgspec.Raw()
    context: msgspec.Raw = msgspec.Raw()
    citations: msgspec.Raw = msgspec.Raw()
    cache_control: msgspec.Raw = msgspec.Raw()


class _Turn(msgspec.Struct):
    content: str | list[_Block] = ""


class _Request(msgspec.Struct):
    messages: list[_Turn] = []


class _Citations(msgspec.Struct):
    enabled: bool = False


_request = msgspec.json.Decoder(_Request)
_blocks = msgspec.json.Decoder(list[_Block])
_text = msgspec.json.Decoder(str | None)
_citations = msgspec.json.Decoder(_Citations | None)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_objects = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_list = msgspec.json.Decoder(list[msgspec.Raw])


async def adapt(body: bytes, eats: Diet, means: Means) -> Adapted:
    """`body`, a Messages request, for a target of that diet.

    Raises `InvalidRequest` naming the block that the target cannot be given, and `Unavailable` where too many wait.
    """
    morsels = find(body)
    if not morsels:
        return Adapted(body, Receipt())
    outcomes = await _serve_all(morsels, eats, means)
    receipt = Receipt(tuple(outcome.entry for outcome in _in_order(morsels, outcomes)))
    changes = {morsel.path: outcome for morsel, outcome in zip(morsels, outcomes, strict=True) if outcome.touched}
    return Adapted(rebuild(body, changes) if changes else body, receipt)


def may_hold_media(body: bytes) -> bool:
    """False where a request surely holds no picture and no document: told without parsing it."""
    return any(needle in body for needle in _NEEDLES)


def find(body: bytes) -> list[Morsel]:
    """The morsels of a request; what is inside one stands before it. Raises `InvalidRequest`."""
    if not may_hold_media(body):
        return []
    try:
        turns = _request.decode(body).messages
    except UNREADABLE as error:
        raise invalid(error) from None
    return [
        morsel
        for index, turn in enumerate(turns)
        if not isinstance(turn.content, str)
        for morsel in _morsels(turn.content, f"messages.{index}.content", 1)
    ]


def _morsels(blocks: Sequence[_Block], path: str, depth: int) -> Iterator[Morsel]:
    for index, block in enumerate(blocks):
        here = f"{path}.{index}"
        if block.type in ("image", "document"):
            morsel = _morsel(block, here)
            if morsel.source.type == "content":
                yield from _inside(morsel.source.content, f"{here}.source.content", depth)
            yield morsel
        elif block.type in ("tool_result", "mcp_tool_result"):
            yield from _inside(block.content, f"{here}.content", depth)


def _inside(raw: msgspec.Raw, path: str, depth: int) -> Iterator[Morsel]:
    if not _is_list(raw):
        return
    if depth >= DEEPEST:
        raise InvalidRequest(f"{path}: blocks are nested too deep", param=path)
    try:
        blocks = _blocks.decode(raw)
    except UNREADABLE as error:
        raise invalid(error, path) from None
    yield from _morsels(blocks, path, depth + 1)


def _is_list(raw: msgspec.Raw) -> bool:
    return bytes(memoryview(raw)[:64]).lstrip()[:1] == b"["


def _morsel(block: _Block, path: str) -> Morsel:
    if not isinstance(block.source, Source):
        raise InvalidRequest(f"{path}.source: Field required", param=f"{path}.source")
    try:
        citations = _citations.decode(block.citations) if block.citations else None
        title = _text.decode(block.title) if block.title else None
        context = _text.decode(block.context) if block.context else None
    except UNREADABLE as error:
        raise invalid(error, path) from None
    return Morsel(
        path=path,
        kind=block.type,
        source=block.source,
        title=title or "",
        context=context or "",
        cited=citations is not None and citations.enabled,
        cache_control=block.cache_control,
    )


async def _serve_all(morsels: Sequence[Morsel], eats: Diet, means: Means) -> list[Outcome]:
    """All outcomes, in the morsels' order; the first that fails ends the others."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(morsel: Morsel) -> Outcome:
        async with places:
            return await serve(morsel, eats, means)

    if len(morsels) == 1:
        return [await serve(morsels[0], eats, means)]
    tasks = [asyncio.ensure_future(one(morsel)) for morsel in morsels]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _in_order(morsels: Sequence[Morsel], outcomes: Sequence[Outcome]) -> list[Outcome]:
    """As a reader meets the blocks: a document before what is inside it."""
    pairs = sorted(zip(morsels, outcomes, strict=True), key=lambda pair: _place(pair[0].path))
    return [outcome for _, outcome in pairs]


def _place(path: str) -> list[int]:
    return [int(part) for part in path.split(".") if part.isdecimal()]


def rebuild(body: bytes, changes: Mapping[str, Outcome]) -> bytes:
    """A request with its morsels changed, by path; whatever holds none of them stays byte for byte."""
    request = _object.decode(body)
    turns = _objects.decode(request["messages"])
    rebuilder = _Rebuilder(changes, frozenset(holder for path in changes for holder in _holders(path)))
    for index, turn in enumerate(turns):
        turn["content"] = rebuilder.content(turn["content"], f"messages.{index}.content")
    request["messages"] = msgspec.Raw(msgspec.json.encode(turns))
    return msgspec.json.encode(request)


@dataclass(frozen=True, slots=True)
class _Rebuilder:
    """Puts outcomes in the places of their blocks; `holders` are the paths of what has any inside."""

    changes: Mapping[str, Outcome]
    holders: frozenset[str]

    def content(self, raw: msgspec.Raw, path: str) -> msgspec.Raw:
        """A list of blocks, with the changes inside it."""
        if path not in self.holders:
            return raw
        blocks = [piece for at, block in enumerate(_list.decode(raw)) for piece in self.block(block, f"{path}.{at}")]
        return msgspec.Raw(b"[" + b",".join(blocks) + b"]")

    def block(self, raw: msgspec.Raw, path: str) -> Sequence[bytes | memoryview]:
        """What stands in a block's place."""
        outcome = self.changes.get(path)
        if outcome is not None and outcome.opened:
            source = _object.decode(_object.decode(raw)["source"])
            inner = _list.decode(self.content(source["content"], f"{path}.source.content"))
            return [*outcome.blocks, *[memoryview(each) for each in inner]]
        if outcome is not None and outcome.blocks:
            return outcome.blocks
        if outcome is None and path not in self.holders:
            return [memoryview(raw)]
        members = _object.decode(raw)
        if outcome is not None:
            members["source"] = msgspec.Raw(outcome.source)
        elif f"{path}.source" in self.holders:
            source = _object.decode(members["source"])
            source["content"] = self.content(source["content"], f"{path}.source.content")
            members["source"] = msgspec.Raw(msgspec.json.encode(source))
        else:
            members["content"] = self.content(members["content"], f"{path}.content")
        return [msgspec.json.encode(members)]


def _holders(path: str) -> Iterator[str]:
    """Every path above another."""
    while path := path.rpartition(".")[0]:
        yield path
