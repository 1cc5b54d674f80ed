from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.core import Fault
from sampan.dialects.sse import FrameBuffer, comment, frame, payloads
from sampan.errors import TargetFault

# Lines without their ends; an empty one ends a frame.
LINES = st.lists(st.sampled_from([b"data: x", b"data:y", b"event: ping", b": hello", b"", b"", b"id: 7", b"data"]))
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def split_streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream with any line ends, as it is with LF, and the same stream cut anywhere."""
    lines = draw(LINES)
    ends = [draw(ENDS) for _ in lines]
    # LF after CR is one end, not two: a stream cannot say CR and then LF
    for number in range(1, len(lines)):
        if ends[number - 1] == b"\r" and ends[number] == b"\n" and not lines[number]:
            ends[number] = b"\r"
    raw = b"".join(line + end for line, end in zip(lines, ends, strict=True))
    cuts = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    chunks = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    return b"".join(line + b"\n" for line in lines), chunks


@given(split_streams())
def test_any_split_of_any_line_ends_gives_the_same_frames(stream: tuple[bytes, list[bytes]]) -> None:
    plain, chunks = stream
    buffer = FrameBuffer()
    pieces = [buffer.feed(chunk) for chunk in chunks]
    assert all(piece == b"" or piece.endswith(b"\n\n") for piece in pieces)
    got = b"".join(pieces)
    end = plain.rfind(b"\n\n") + 2 if b"\n\n" in plain else 0
    assert plain.startswith(got)
    assert not plain[len(got) : end].strip()  # a further empty line may wait for the next frame: it says nothing
    assert buffer.pending is bool(plain[end:].strip())
    assert list(payloads(got)) == list(payloads(plain[:end]))


@given(st.lists(st.binary(max_size=20)))
def test_nothing_is_lost_whatever_comes(chunks: list[bytes]) -> None:
    buffer = FrameBuffer()
    got = b"".join(map(buffer.feed, chunks)) + b"".join(buffer._parts)
    assert got == b"".join(chunks).replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def test_a_frame_without_end_is_bounded() -> None:
    buffer = FrameBuffer(limit=100)
    with pytest.raises(TargetFault) as raised:
        for _ in range(20):
            buffer.feed(b"data: xxxx")
    assert raised.value.fault is Fault.MALFORMED
    buffer = FrameBuffer(limit=100)
    for _ in range(20):
        assert buffer.feed(b"data: xxxx\n\n")  # whole ones are not held


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (b"data: 1\n\ndata:2\n\n", [b" 1", b"2"]),
        (b"event: a\ndata: 1\nid: 3\n\n", [b"1"]),
        (b"data: 1\ndata: 2\n\n", [b"1\n2"]),
        (b": data: no\n\nevent: data:\n\ndata\n\n\n\n", []),
        (b"event: xdata:\ndata: {}\n\n", [b"{}"]),
        (b"\ndata: {}\n\n", [b" {}"]),
        (b"", []),
    ],
)
def test_payloads(frames: bytes, expected: list[bytes]) -> None:
    assert list(payloads(frames)) == expected


def test_what_we_say_can_be_read() -> None:
    said = frame(json.dumps({"a": 1}).encode(), "error")
    assert said == b'event: error\ndata: {"a": 1}\n\n'
    assert [json.loads(data) for data in payloads(frame(b"{}"))] == [{}]
    assert comment("waiting\nfor it") == b": waiting for it\n\n"
    assert list(payloads(comment("data: no"))) == []
