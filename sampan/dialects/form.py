"""multipart/form-data (RFC 7578), in and out, by python-multipart's push parser over a body in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from sampan.errors import InvalidRequest

PART_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Part:
    """One field. `filename` None is a plain value; `headers` are kept as they came, so that a rewrite loses nothing."""

    name: str
    filename: str | None
    headers: tuple[tuple[bytes, bytes], ...]
    data: bytes

    def text(self) -> str:
        """The value as text; raises `InvalidRequest`."""
        try:
            return self.data.decode()
        except UnicodeDecodeError:
            raise InvalidRequest(f"{self.name}: is not UTF-8 text", param=self.name) from None


class _Collector:
    """The parser's callbacks."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._headers: list[tuple[bytes, bytes]] = []
        self._field = b""
        self._value = b""
        self._data: list[bytes] = []

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._headers, self._data = [], []
        if len(self.parts) >= PART_LIMIT:
            raise InvalidRequest(f"the form has more than {PART_LIMIT} parts")

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers.append((self._field, self._value))
        self._field = self._value = b""

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def _part_end(self) -> None:
        disposition = next((value for field, value in self._headers if field.lower() == b"content-disposition"), b"")
        kind, options = parse_options_header(disposition)
        if kind != b"form-data" or b"name" not in options:
            raise InvalidRequest("a part of the form has no name: content-disposition must be form-data; name=…")
        filename = options.get(b"filename")
        self.parts.append(
            Part(
                name=options[b"name"].decode(errors="replace"),
                filename=None if filename is None else filename.decode(errors="replace"),
                headers=tuple(self._headers),
                data=b"".join(self._data),
            )
        )

    def _end(self) -> None:
        self.ended = True


def boundary(content_type: str) -> bytes:
    """The form's boundary; raises `InvalidRequest` where the header has none."""
    kind, options = parse_options_header(content_type)
    value = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not value:
        raise InvalidRequest("content-type: must be multipart/form-data with a boundary")
    return value


def parse(content_type: str, body: bytes) -> list[Part]:
    """The form's parts in their order; raises `InvalidRequest`."""
    collector = _Collector()
    try:
        parser = MultipartParser(boundary(content_type), collector.callbacks())  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise InvalidRequest("the body is not valid multipart/form-data") from None
    if not collector.ended:
        raise InvalidRequest("the multipart/form-data body ends before its closing boundary")
    return collector.parts


def build(content_type: str, parts: Sequence[Part]) -> bytes:
    """The parts as a body again, with the boundary that the caller chose."""
    mark = boundary(content_type)
    out: list[bytes] = []
    for part in parts:
        out += [b"--", mark, b"\r\n"]
        out += [line for field, value in part.headers for line in (field, b": ", value, b"\r\n")]
        out += [b"\r\n", part.data, b"\r\n"]
    out += [b"--", mark, b"--\r\n"]
    return b"".join(out)


def value(name: str, data: bytes) -> Part:
    """A plain field of our own."""
    return Part(name, None, ((b"Content-Disposition", f'form-data; name="{name}"'.encode()),), data)
