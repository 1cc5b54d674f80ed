"""The OpenAI Responses dialect: https://platform.openai.com/docs/api-reference/responses, and the official SDK's types.

Words of this wire: a *response* is one answer; its input and its output are *items* (messages, function calls and their
outputs, reasoning), and the content of a message is made of *parts* (text, pictures, files, refusals).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from sampan.core import Call, Dialect, Incoming, Operation
from sampan.dialects import Limits, openai_errors, sse
from sampan.dialects.fields import UNREADABLE, invalid, too_large
from sampan.errors import CallError, InvalidRequest

PAGE = 20
PAGE_LIMIT = 100

LAST = 2**31 - 1
"""The sequence number of an error frame: a codec does not know how many events went before, but it comes after all."""

SEEING = ("input_image", "input_file")


class Part(msgspec.Struct):
    """A part of a message's or of a tool output's content."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None


class Item(msgspec.Struct):
    """An item of the input; `kind` says what it is, for the wire lets `type` be left out."""

    type: str | None = None
    id: str | None = None
    role: str | None = None
    content: str | list[Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | dict[str, msgspec.Raw] | None = None
    output: str | list[Part] | dict[str, msgspec.Raw] | None = None
    encrypted_content: str | None = None

    @property
    def kind(self) -> str:
        if self.type is not None:
            return self.type
        return "message" if self.role is not None or self.id is None else "item_reference"


class Glance(msgspec.Struct):
    """What routing, limits and keeping need of a request; other fields travel on as they came."""

    model: str
    input: str | list[Item] | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    store: bool | None = None
    previous_response_id: str | None = None

    @property
    def kept(self) -> bool:
        """Whether the answer is to be stored: it is unless the caller says no."""
        return self.store is not False

    @property
    def references(self) -> tuple[str, ...]:
        """The ids of stored items that the input points to."""
        items = self.input if isinstance(self.input, list) else ()
        return tuple(item.id for item in items if item.kind == "item_reference" and item.id)


class Page(msgspec.Struct, frozen=True):
    """Which of a response's input items are asked for; `after` is an item's id."""

    after: str | None = None
    limit: int = PAGE
    descending: bool = True


_glance = msgspec.json.Decoder(Glance)
_item = msgspec.json.Decoder(Item)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_input = msgspec.json.Decoder(str | list[msgspec.Raw] | None)


class OpenAIResponses(openai_errors.ErrorCodec):
    """The codec of `POST /v1/responses`."""

    dialect = Dialect.OPENAI_RESPONSES

    def parse(self, incoming: Incoming, limits: Limits) -> Call:
        asked = glance(incoming.body)
        if not asked.model:
            raise InvalidRequest("model: must name a model", param="model")
        if not asked.input and asked.previous_response_id is None:
            raise InvalidRequest("input: text or at least one item is required", param="input")
        most = asked.max_output_tokens
        if most is not None and most < 1:
            raise InvalidRequest("max_output_tokens: must be 1 or more", param="max_output_tokens")
        sees = False
        if isinstance(asked.input, list):
            for index, item in enumerate(asked.input):
                sees |= _inspect(item, f"input.{index}", limits)
        return Call(
            dialect=self.dialect,
            operation=Operation.VISION if sees else Operation.TEXT,
            model=asked.model,
            path=f"{incoming.path}?{incoming.query}" if incoming.query else incoming.path,
            body=incoming.body,
            content_type="application/json",
            stream=bool(asked.stream),
            answer_tokens=most or 0,
        )

    def error_frame(self, error: CallError, request_id: str) -> bytes:
        """The `error` event of this wire, and beside its fields the object that makes the SDKs raise."""
        said = openai_errors.members(error)
        event: dict[str, Any] = {"type": "error", "code": said["code"] or said["type"], "message": said["message"]}
        event |= {"param": said["param"], "sequence_number": LAST, "error": said}
        return sse.frame(msgspec.json.encode(event), "error")


def glance(body: bytes) -> Glance:
    """What routing and keeping need of a request. Raises `InvalidRequest` naming the field."""
    try:
        return _glance.decode(body)
    except UNREADABLE as error:
        raise invalid(error) from None


def parts(item: Item) -> Iterator[tuple[str, Part]]:
    """The parts of an item, each with its path within the item."""
    for name, content in (("content", item.content), ("output", item.output)):
        if isinstance(content, list):
            for index, part in enumerate(content):
                yield f"{name}.{index}", part


def _inspect(item: Item, path: str, limits: Limits) -> bool:
    """True where an item holds a picture or a document; raises `InvalidRequest` for a picture over the limit."""
    sees = False
    for place, part in parts(item):
        if part.type not in SEEING:
            continue
        sees = True
        if part.image_url is not None and part.image_url.startswith("data:"):
            size = (len(part.image_url) - part.image_url.find(",") - 1) * 3 // 4
            if size > limits.image:
                raise too_large(f"{path}.{place}.image_url", size, limits.image)
    return sees


def unfolded(call: Call, earlier: Sequence[bytes], referenced: Mapping[str, bytes]) -> Call:
    """The call as it would read without a memory of ours: earlier items in front, references replaced by the items.

    Raises `InvalidRequest` for a reference to an item that is not in `referenced`.
    """
    if not earlier and not glance(call.body).references:
        return call
    members = _members.decode(call.body)
    own = _input.decode(members.get("input", msgspec.Raw(b'""')))
    items = [msgspec.Raw(item) for item in earlier]
    if own is None or isinstance(own, str):
        if own:
            items.append(msgspec.Raw(msgspec.json.encode({"type": "message", "role": "user", "content": own})))
    else:
        items += [msgspec.Raw(_resolved(bytes(each), index, referenced)) for index, each in enumerate(own)]
    members["input"] = msgspec.Raw(msgspec.json.encode(items))
    members.pop("previous_response_id", None)
    sees = call.operation is Operation.VISION or any(
        part.type in SEEING for raw in items for _, part in parts(_item.decode(raw))
    )
    operation = Operation.VISION if sees else call.operation
    return msgspec.structs.replace(call, body=msgspec.json.encode(members), operation=operation)


def _resolved(raw: bytes, index: int, referenced: Mapping[str, bytes]) -> bytes:
    item = _item.decode(raw)
    if item.kind != "item_reference":
        return raw
    found = referenced.get(item.id or "")
    if found is None:
        raise InvalidRequest(f"input.{index}.id: there is no stored item with this id", param=f"input.{index}.id")
    return found


_FULL = {"function_call_output": "fco", "function_call": "fc", "reasoning": "rs", "message": "msg"}


def input_items(body: bytes, response_id: str, referenced: Mapping[str, bytes] | None = None) -> tuple[bytes, ...]:
    """The input of a request as full items, each with an id, a type and a status, as they are stored and listed.

    An item keeps the id it came with; others get one from `response_id` and their place. Raises `InvalidRequest`.
    """
    try:
        own = _input.decode(_members.decode(body).get("input", msgspec.Raw(b'""')))
        if own is None or isinstance(own, str):
            given: list[dict[str, Any]] = [{"role": "user", "content": own}] if own else []
        else:
            resolved = [_resolved(bytes(each), index, referenced or {}) for index, each in enumerate(own)]
            given = [msgspec.json.decode(each) for each in resolved]
    except UNREADABLE as error:
        raise invalid(error, "input") from None
    stem = response_id.removeprefix("resp_")
    return tuple(msgspec.json.encode(_full(item, f"{stem}i{index:04x}")) for index, item in enumerate(given))


def _full(item: dict[str, Any], stem: str) -> dict[str, Any]:
    kind = item.get("type") or "message"
    full: dict[str, Any] = {**item, "type": kind}
    if not item.get("id"):
        full["id"] = f"{_FULL.get(kind, 'item')}_{stem}"
    if kind != "reasoning" and not item.get("status"):
        full["status"] = "completed"
    spoken = item.get("role") == "assistant"
    for name in ("content", "output"):
        content = item.get(name)
        if isinstance(content, str) and name == "content" and kind == "message":
            full[name] = [{"type": "output_text" if spoken else "input_text", "text": content}]
    for part in full.get("content") or ():
        if isinstance(part, dict):
            _fill(part)
    if isinstance(full.get("output"), list):
        for part in full["output"]:
            _fill(part)
    return full


def _fill(part: dict[str, Any]) -> None:
    """The members that the wire requires of a part that is listed, and that a caller may leave out."""
    if part.get("type") == "input_image":
        part.setdefault("detail", "auto")
    elif part.get("type") == "output_text":
        part.setdefault("annotations", [])


def page(query: str) -> Page:
    """What `GET /v1/responses/{id}/input_items` asks for. Raises `InvalidRequest`."""
    said = dict(parse_qsl(query))
    limit, order = said.get("limit", str(PAGE)), said.get("order", "desc")
    if not re.fullmatch(r"\d{1,3}", limit) or not 1 <= int(limit) <= PAGE_LIMIT:
        raise InvalidRequest(f"limit: must be 1 to {PAGE_LIMIT}", param="limit")
    if order not in ("asc", "desc"):
        raise InvalidRequest("order: must be `asc` or `desc`", param="order")
    return Page(said.get("after") or None, int(limit), order == "desc")


def check_retrieval(query: str) -> None:
    """Raises `InvalidRequest` where `GET /v1/responses/{id}` asks for a replayed stream: answers are kept whole."""
    said = dict(parse_qsl(query))
    if said.get("stream", "").lower() == "true":
        raise InvalidRequest("stream: a stored response is returned whole; leave `stream` out", param="stream")


def listing(items: Sequence[tuple[str, bytes]], has_more: bool) -> bytes:
    """The answer to `GET /v1/responses/{id}/input_items`, from pairs of an item's id and its JSON."""
    return msgspec.json.encode(
        {
            "object": "list",
            "data": [msgspec.Raw(data) for _, data in items],
            "first_id": items[0][0] if items else "",
            "last_id": items[-1][0] if items else "",
            "has_more": has_more,
        }
    )


def deleted(response_id: str) -> bytes:
    """The answer to `DELETE /v1/responses/{id}`."""
    return msgspec.json.encode({"id": response_id, "object": "response", "deleted": True})


def refuse_cancel() -> InvalidRequest:
    """What `POST /v1/responses/{id}/cancel` is told: only a background response can be cancelled, and we run none."""
    return InvalidRequest("Only background responses can be cancelled, and this gateway runs none.")
