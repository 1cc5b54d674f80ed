"""The OpenAI embeddings dialect: https://platform.openai.com/docs/api-reference/embeddings, and the SDK's types.

An input is a text, a list of texts, one text as token numbers, or a list of such; the answer has one vector for each.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from sampan.core import Call, Dialect, Fault, Incoming, Operation, Usage
from sampan.dialects import Limits, openai_errors
from sampan.dialects.fields import UNREADABLE, invalid, read_answer
from sampan.dialects.openai_errors import WireError
from sampan.errors import InvalidRequest, TargetFault

INPUT_LIMIT = 2048

_Token = Annotated[int, msgspec.Meta(ge=0)]


class _Body(msgspec.Struct):
    model: str
    input: str | list[str | _Token | list[_Token]]
    dimensions: Annotated[int, msgspec.Meta(ge=1)] | None = None
    encoding_format: Literal["float", "base64"] | None = None


class _Datum(msgspec.Struct):
    embedding: msgspec.Raw = msgspec.Raw()


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None


class _Answer(msgspec.Struct):
    data: list[_Datum] | None = None
    usage: _Usage | None = None
    error: WireError | str | None = None


_body = msgspec.json.Decoder(_Body)
_answer = msgspec.json.Decoder(_Answer)


class OpenAIEmbeddings(openai_errors.ErrorCodec):
    """The codec of `POST /v1/embeddings`."""

    dialect = Dialect.OPENAI_EMBEDDINGS

    def parse(self, incoming: Incoming, limits: Limits) -> Call:
        try:
            body = _body.decode(incoming.body)
        except UNREADABLE as error:
            raise invalid(error) from None
        if not body.model:
            raise InvalidRequest("model: must name a model", param="model")
        _check_input(body.input)
        return Call(
            dialect=self.dialect,
            operation=Operation.EMBED,
            model=body.model,
            path=f"{incoming.path}?{incoming.query}" if incoming.query else incoming.path,
            body=incoming.body,
            content_type="application/json",
        )


def _check_input(given: str | list[str | int | list[int]]) -> None:
    """Raises `InvalidRequest` for an input with nothing in it, too much of it, or of two kinds."""
    if not given:
        raise InvalidRequest("input: must not be empty", param="input")
    if isinstance(given, str) or isinstance(given[0], int):
        kind: type = int
    else:
        kind = type(given[0])
        if len(given) > INPUT_LIMIT:
            raise InvalidRequest(f"input: has {len(given):,} entries; the limit is {INPUT_LIMIT:,}", param="input")
    if isinstance(given, str):
        return
    for index, each in enumerate(given):
        if type(each) is not kind:
            raise InvalidRequest(f"input.{index}: entries must be all of one kind", param=f"input.{index}")
        if each in ("", []):
            raise InvalidRequest(f"input.{index}: must not be empty", param=f"input.{index}")


def check(body: bytes) -> Usage:
    """The usage of a whole answer. Raises `TargetFault` for one without vectors."""
    answer = read_answer(body, _answer.decode, "list of vectors")
    if answer.error is not None:
        raise openai_errors.fault(answer.error)
    if answer.data is None or not all(_is_vector(datum.embedding) for datum in answer.data):
        raise TargetFault(Fault.MALFORMED, "a 200 that is no list of vectors")
    if not answer.data or any(len(memoryview(datum.embedding)) <= 2 for datum in answer.data):
        raise TargetFault(Fault.EMPTY, "an answer without a vector")
    return Usage(answer.usage.prompt_tokens or 0 if answer.usage else 0)


def _is_vector(embedding: msgspec.Raw) -> bool:
    """Told by its first byte: numbers, or base64. A thousand floats each are nothing to decode only to be counted."""
    view = memoryview(embedding)
    return bool(view) and view[0] in b'["'
