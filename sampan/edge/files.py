"""The Files API of both dialects on the paths that they share: `/v1/files`, `/v1/files/{id}`, `/v1/files/{id}/content`.

Shapes: the official SDKs' types; https://platform.claude.com/docs/en/api/files-create and
https://platform.openai.com/docs/api-reference/files. One store behind both: a file that was uploaded in one dialect is
there in the other.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

import msgspec

from sampan.core import Actor, Answer, Incoming
from sampan.dialects import form, pictures
from sampan.dialects.fields import number
from sampan.edge.paging import JSON, limit_of, query_of, rfc3339, speaks_anthropic
from sampan.errors import InvalidRequest, MethodNotAllowed, NotFound, RequestTooLarge
from sampan.storage.files import Files, StoredFile, Upload, Wanted

PATH = "/v1/files"
SIZE_LIMIT = 500 * 1024 * 1024
FILENAME_LIMIT = 255
IDS_LIMIT = 100
PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
OWN_PURPOSE = "user_data"  # what OpenAI's wire is told of a file that came without a purpose
BATCH_SECONDS = 30 * 86_400  # OpenAI's files for batches expire by themselves
ANTHROPIC_EXPIRY = (3_600, 7_776_000)
OPENAI_EXPIRY = (3_600, 2_592_000)
UNKNOWN_TYPE = "application/octet-stream"
EXTENSIONS: Mapping[str, str] = {
    "application/pdf": "pdf",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
    "text/plain": "txt",
    "text/markdown": "md",
    "text/csv": "csv",
    "application/json": "json",
    "application/jsonl": "jsonl",
}

_TYPES = {extension: media_type for media_type, extension in EXTENSIONS.items()} | {"jpeg": "image/jpeg"}
_FILE = re.compile(r"/v1/files/([A-Za-z0-9_-]{1,64})(/content)?")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}(; ?charset=[A-Za-z0-9_-]{1,40})?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FORBIDDEN = re.compile(r'[<>:"|?*]')
_CURSOR = re.compile(r"page_([0-9a-f]{1,15})")


class FilesPages:
    """`limit` is the largest file in bytes; `wall` gives Unix seconds."""

    def __init__(self, files: Files, wall: Callable[[], float], limit: int = SIZE_LIMIT) -> None:
        self._files = files
        self._wall = wall
        self._limit = limit

    def methods(self, path: str) -> tuple[str, ...]:
        """What may be asked of a path; nothing where it is none of these pages."""
        if path == PATH:
            return ("GET", "HEAD", "POST")
        found = _FILE.fullmatch(path)
        if found is None:
            return ()
        return ("GET", "HEAD") if found[2] else ("GET", "HEAD", "DELETE")

    async def handle(self, incoming: Incoming, actor: Actor) -> Answer:
        """The answer in the caller's dialect. Raises `CallError`."""
        methods = self.methods(incoming.path)
        if not methods:
            raise NotFound(f"there is nothing at {incoming.path[:200]}")
        if incoming.method not in methods:
            raise MethodNotAllowed(f"this path takes {', '.join(methods)} only")
        anthropic = speaks_anthropic(incoming)
        found = _FILE.fullmatch(incoming.path)
        if found is None:
            if incoming.method == "POST":
                return await self._upload(incoming, actor, anthropic)
            return await (self._list_anthropic if anthropic else self._list_openai)(incoming, actor)
        if found[2]:
            return await self._content(found[1], actor, anthropic)
        if incoming.method == "DELETE":
            await self._files.delete(actor.key_id, found[1])
            deleted = {"type": "file_deleted"} if anthropic else {"object": "file", "deleted": True}
            return _json({"id": found[1], **deleted})
        return _json(_shape(await self._files.find(actor.key_id, found[1]), anthropic))

    async def _upload(self, incoming: Incoming, actor: Actor, anthropic: bool) -> Answer:
        upload = await asyncio.to_thread(self._read_form, incoming, anthropic)
        return _json(_shape(await self._files.keep(actor.key_id, upload), anthropic))

    def _read_form(self, incoming: Incoming, anthropic: bool) -> Upload:
        file: form.Part | None = None
        fields: dict[str, str] = {}
        for part in form.parse(incoming.content_type, incoming.body):
            if part.name != "file":
                fields[part.name] = part.text()
            elif file is not None:
                raise InvalidRequest("file: one file a call", param="file")
            else:
                file = part
        if file is None:
            raise InvalidRequest("file: Field required", param="file")
        if not file.data:
            raise InvalidRequest("file: is empty", param="file")
        if len(file.data) > self._limit:
            raise RequestTooLarge(f"file: is over the limit of {self._limit:,} bytes; send a smaller one")
        purpose, seconds = _anthropic_fields(fields) if anthropic else _openai_fields(fields)
        mime_type = _mime_type(file)
        return Upload(
            filename=_filename(file, mime_type, anthropic),
            mime_type=mime_type,
            data=file.data,
            purpose=purpose,
            downloadable=not anthropic,
            expires=self._wall() + seconds if seconds else None,
        )

    async def _list_anthropic(self, incoming: Incoming, actor: Actor) -> Answer:
        query = query_of(incoming)
        ids = {value for name, value in parse_qsl(incoming.query) if name in ("ids", "ids[]")}
        page = query.get("page", "")
        if ids and (page or "limit" in query):
            raise InvalidRequest("ids: cannot be used together with page or limit", param="ids")
        if len(ids) > IDS_LIMIT:
            raise InvalidRequest(f"ids: at most {IDS_LIMIT}", param="ids")
        cursor = _CURSOR.fullmatch(page)
        if page and cursor is None:
            raise InvalidRequest("page: is no cursor that a list gave", param="page")
        wanted = Wanted(
            limit=IDS_LIMIT if ids else limit_of(query, 20, 1000),
            after=query.get("after_id", ""),
            before=query.get("before_id", ""),
            page=int(cursor[1], 16) if cursor else None,
            ids=ids or None,
        )
        files, more = await self._files.list(actor.key_id, wanted)
        said = {
            "data": [_shape(file, True) for file in files],
            "has_more": more,
            "first_id": files[0].id if files else None,
            "last_id": files[-1].id if files else None,
            # A sequence and no id: the next page can be found even when the last file of this one is deleted.
            "next_page": f"page_{files[-1].sequence:x}" if more and not wanted.before else None,
        }
        return _json(said)

    async def _list_openai(self, incoming: Incoming, actor: Actor) -> Answer:
        query = query_of(incoming)
        order = query.get("order", "desc")
        if order not in ("asc", "desc"):
            raise InvalidRequest("order: must be asc or desc", param="order")
        wanted = Wanted(
            limit=limit_of(query, 10_000, 10_000),
            after=query.get("after", ""),
            purpose=query.get("purpose", ""),
            oldest_first=order == "asc",
            names=("after", "before"),
        )
        files, more = await self._files.list(actor.key_id, wanted)
        said = {
            "object": "list",
            "data": [_shape(file, False) for file in files],
            "first_id": files[0].id if files else None,
            "last_id": files[-1].id if files else None,
            "has_more": more,
        }
        return _json(said)

    async def _content(self, identifier: str, actor: Actor, anthropic: bool) -> Answer:
        if anthropic:
            file = await self._files.known(actor.key_id, identifier)
            if file.expired(self._wall()):
                return _coded(404, "not_found_error", "the file has expired; upload it again", "file_expired")
            if not file.downloadable:
                said = "only files that a tool made can be downloaded, not what was uploaded here"
                return _coded(400, "invalid_request_error", said, "file_not_downloadable")
        else:
            file = await self._files.find(actor.key_id, identifier)
        headers = (
            ("content-type", file.mime_type),
            ("content-length", str(file.size)),
            # Somebody's upload must never run in a browser as a page of this origin.
            ("content-disposition", f"attachment; filename*=UTF-8''{quote(file.filename, safe='')}"),
            ("x-content-type-options", "nosniff"),
        )
        return Answer(200, headers, await self._files.stream(file))


def _anthropic_fields(fields: Mapping[str, str]) -> tuple[str, int]:
    """The purpose (none here), and seconds until the file expires (0: never)."""
    _check_known(fields, ("expires_in_seconds",))
    if "expires_in_seconds" not in fields:
        return OWN_PURPOSE, 0
    return OWN_PURPOSE, _seconds(fields, "expires_in_seconds", ANTHROPIC_EXPIRY)


def _openai_fields(fields: Mapping[str, str]) -> tuple[str, int]:
    anchor, seconds = "expires_after[anchor]", "expires_after[seconds]"
    _check_known(fields, ("purpose", anchor, seconds))
    purpose = fields.get("purpose", "")
    if purpose not in PURPOSES:
        raise InvalidRequest(f"purpose: must be one of {', '.join(PURPOSES)}", param="purpose")
    if anchor not in fields and seconds not in fields:
        return purpose, BATCH_SECONDS if purpose == "batch" else 0
    if fields.get(anchor) != "created_at":
        raise InvalidRequest(f"{anchor}: must be created_at", param=anchor)
    return purpose, _seconds(fields, seconds, OPENAI_EXPIRY)


def _check_known(fields: Mapping[str, str], known: tuple[str, ...]) -> None:
    for name in fields:
        if name not in known:
            raise InvalidRequest(f"{name[:100]}: is no field of this form; known: file, {', '.join(known)}", param=name)


def _seconds(fields: Mapping[str, str], name: str, bounds: tuple[int, int]) -> int:
    value = number(fields, name, 0)
    if not bounds[0] <= value <= bounds[1]:
        raise InvalidRequest(f"{name}: must be {bounds[0]:,} to {bounds[1]:,} seconds", param=name)
    return value


def _mime_type(part: form.Part) -> str:
    """As the caller said, where it said anything; else by the first bytes, the name, or as text."""
    said = (
        next((value for name, value in part.headers if name.lower() == b"content-type"), b"").decode("latin-1").strip()
    )
    if _MEDIA_TYPE.fullmatch(said) and said.lower() != UNKNOWN_TYPE:
        return said
    extension = (part.filename or "").rpartition(".")[2].lower()
    return pictures.media_type(part.data) or _TYPES.get(extension) or UNKNOWN_TYPE


def _filename(part: form.Part, mime_type: str, anthropic: bool) -> str:
    """The last component of the name. Raises `InvalidRequest` for one that Anthropic's documentation forbids."""
    name = re.split(r"[/\\]", part.filename or "")[-1]
    if not name:
        extension = EXTENSIONS.get(mime_type.partition(";")[0].lower())
        return f"unnamed.{extension}" if extension else "unnamed"
    if len(name) > FILENAME_LIMIT:
        raise InvalidRequest(f"file: its name is over {FILENAME_LIMIT} characters", param="file")
    if _CONTROL.search(name) or (anthropic and _FORBIDDEN.search(name)):
        raise InvalidRequest(
            'file: its name has a character that is not allowed: < > : " | ? * or a control', param="file"
        )
    return name


def _shape(file: StoredFile, anthropic: bool) -> dict[str, Any]:
    """A file's metadata as the dialect writes it."""
    if anthropic:
        return {
            "id": file.id,
            "type": "file",
            "filename": file.filename,
            "mime_type": file.mime_type,
            "size_bytes": file.size,
            "created_at": rfc3339(file.created),
            "downloadable": file.downloadable,
            "expires_at": rfc3339(file.expires),
        }
    shape = {
        "id": file.id,
        "object": "file",
        "bytes": file.size,
        "created_at": int(file.created),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }
    return shape if file.expires is None else {**shape, "expires_at": int(file.expires)}


def _json(said: dict[str, Any]) -> Answer:
    return Answer(200, (JSON,), msgspec.json.encode(said))


def _coded(status: int, kind: str, message: str, code: str) -> Answer:
    """An error that Anthropic's SDK has a class of its own for, told by `error.details.error_code`."""
    error = {"type": kind, "message": message, "details": {"error_code": code}}
    return Answer(status, (JSON,), msgspec.json.encode({"type": "error", "error": error}))
