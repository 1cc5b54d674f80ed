"""Pages of the console for what a person keeps: `/console/v1/papers`, and their own files at `/console/v1/files/{id}`;
and `/console/v1/models`, whom one can talk to.

Files of Anthropic's kind cannot be downloaded by its wire, and a page that shows a conversation has to show them.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec

from sampan.core import Actor, Answer, Incoming, Permission
from sampan.edge.admin_pages import DEFAULT_PAGE, LONGEST_PAGE, read, reply, require
from sampan.edge.artifacts import SANDBOXED
from sampan.edge.paging import limit_of, query_of
from sampan.errors import CallError, ConfigError, InvalidRequest
from sampan.storage.files import Files
from sampan.storage.papers import MAX_BODY, Draft, Heading, Papers

PAPERS_PATH, FILES_PATH, MODELS_PATH = "/console/v1/papers", "/console/v1/files", "/console/v1/models"
BODY_LIMIT = MAX_BODY + (1 << 18)
"""Bytes of a request: what is a little over the limit of a paper is told so in its own words."""

SHOWN = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""What a browser may show by itself; everything else it saves."""

_PAPER = re.compile(rf"{PAPERS_PATH}/([A-Za-z0-9_-]{{1,64}})")
_FILE = re.compile(rf"{FILES_PATH}/([A-Za-z0-9_-]{{1,64}})")
_UNKEPT = ("cache-control", "no-store")
log = logging.getLogger("sampan.edge")


class _NewPaper(msgspec.Struct, forbid_unknown_fields=True):
    kind: str
    title: str
    body: dict[str, Any]


class _Changed(msgspec.Struct, forbid_unknown_fields=True):
    title: str
    body: dict[str, Any]
    updated: float


class PapersPages:
    """A `Shelf` for whoever may CALL. `voices` tells whom one can talk to."""

    def __init__(self, papers: Papers, files: Files, voices: Callable[[], object]) -> None:
        self._papers = papers
        self._files = files
        self._voices = voices

    def methods(self, path: str) -> tuple[str, ...]:
        if path == PAPERS_PATH:
            return ("GET", "HEAD", "POST")
        if _PAPER.fullmatch(path):
            return ("GET", "HEAD", "PUT", "DELETE")
        return ("GET", "HEAD") if path == MODELS_PATH or _FILE.fullmatch(path) else ()

    async def handle(self, incoming: Incoming, actor: Actor) -> Answer:
        """The answer. Raises `CallError`."""
        require(actor, Permission.CALL)
        if incoming.path == MODELS_PATH:
            return reply(self._voices())
        try:
            if file := _FILE.fullmatch(incoming.path):
                return await self._file(file[1], actor)
            answer = await asyncio.to_thread(self._answer, incoming, _owner(actor))
        except ConfigError as error:
            log.error("what people keep cannot be read or written: %s", error)
            raise CallError("the database cannot be used at the moment; the log says why") from None
        return msgspec.structs.replace(answer, headers=(*answer.headers, _UNKEPT))

    def _answer(self, incoming: Incoming, owner: str) -> Answer:
        """Blocks: a paper of two megabytes is not read on the loop either."""
        found = _PAPER.fullmatch(incoming.path)
        if found is None:
            return self._add(incoming, owner) if incoming.method == "POST" else self._list(incoming, owner)
        if incoming.method == "PUT":
            asked = read(incoming, _Changed)
            return reply(self._papers.change(owner, found[1], Draft(asked.title, asked.body), asked.updated))
        if incoming.method == "DELETE":
            self._papers.remove(owner, found[1])
            return Answer(204, (), b"")
        heading, body = self._papers.find(owner, found[1])
        return reply({**msgspec.to_builtins(heading), "body": msgspec.Raw(body)})

    def _list(self, incoming: Incoming, owner: str) -> Answer:
        query = query_of(incoming)
        limit = limit_of(query, DEFAULT_PAGE, LONGEST_PAGE)
        after = query.get("after", "")
        if "\0" in after:
            raise InvalidRequest("after: holds a NUL", param="after")
        found, more = self._papers.list(owner, query.get("kind", ""), limit, after)
        return reply({"data": found, "has_more": more})

    def _add(self, incoming: Incoming, owner: str) -> Answer:
        asked = read(incoming, _NewPaper)
        kept: Heading = self._papers.add(owner, asked.kind, Draft(asked.title, asked.body))
        return reply(kept, 201)

    async def _file(self, identifier: str, actor: Actor) -> Answer:
        file = await self._files.find(actor.key_id, identifier)
        shown = file.mime_type in SHOWN
        disposition = "inline" if shown else "attachment"
        headers = (
            ("content-type", file.mime_type),
            ("content-length", str(file.size)),
            ("content-disposition", f"{disposition}; filename*=UTF-8''{quote(file.filename, safe='')}"),
            SANDBOXED,
            ("x-content-type-options", "nosniff"),
            ("cache-control", "private, max-age=300"),
        )
        return Answer(200, headers, await self._files.stream(file))


def _owner(actor: Actor) -> str:
    """A person's papers are theirs by whichever of their keys they come; a key of nobody's has its own."""
    return f"user:{actor.user}" if actor.user else f"key:{actor.key_id}"
