"""Feeds an answer reader with whatever comes. `python tests/upstreams/fuzz_http1.py` with atheris, or through pytest.

What must hold for any bytes, cut at any places: nothing but TargetFault is raised; what is complete has a valid
status; bounds are kept; and where the bytes are cut changes nothing of what is read.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator

from sampan.core import Fault
from sampan.errors import TargetFault
from sampan.upstreams.answer import CHUNK_COST, AnswerReader
from sampan.upstreams.origin import Limits

Outcome = tuple[str, int, dict[str, str], bytes, bool, bool]

SMALL = Limits(head_bytes=512, headers=8, informational=2)


def pieces(data: bytes, cuts: bytes) -> Iterator[bytes]:
    """`data` in pieces; each byte of `cuts` is the length of one, the last piece is the rest."""
    position = 0
    for cut in cuts:
        if position >= len(data):
            return
        yield data[position : position + cut + 1]
        position += cut + 1
    if position < len(data):
        yield data[position:]


def outcome(data: bytes, cuts: bytes, *, bodiless: bool = False, limits: Limits = SMALL) -> Outcome:
    """How an answer of these bytes ends: `complete`, `cut` or `malformed`, and what had been read by then."""
    reader = AnswerReader(limits)
    reader.begin(bodiless=bodiless)
    verdict = "cut"
    try:
        for piece in pieces(data, cuts):
            reader.feed(piece)
        reader.end()
        if reader.complete:
            verdict = "complete"
    except TargetFault as fault:
        assert fault.fault is Fault.MALFORMED, fault
        assert fault.detail
        verdict = "malformed"
    body = b"".join(reader.chunks)
    assert reader.charged == len(body) + CHUNK_COST * len(reader.chunks)
    assert len(reader.headers) <= limits.headers
    assert len(reader._held) <= limits.head_bytes
    if reader.head_complete:
        assert 200 <= reader.status <= 599
    else:
        assert not body
    return verdict, reader.status, reader.headers, body, reader.framed, reader.complete and reader.reusable


def check(data: bytes, cuts: bytes, *, bodiless: bool) -> None:
    """Raises AssertionError if cutting makes a difference."""
    whole = outcome(data, b"", bodiless=bodiless)
    split = outcome(data, cuts, bodiless=bodiless)
    assert whole[0] == split[0], (whole, split)
    if whole[0] != "malformed":  # before a refusal more or less of the body may have been read
        assert whole == split


def test_one_input(data: bytes) -> None:
    """The entry of the fuzzer: one byte of flags, one that says how many cuts follow, then the answer."""
    if len(data) >= 2:
        count = data[1] % 16
        check(data[2 + count :], data[2 : 2 + count], bodiless=bool(data[0] & 1))


test_one_input.__test__ = False  # type: ignore[attr-defined]


def main() -> None:
    atheris = importlib.import_module("atheris")  # an optional tool, for those who have it
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
