"""The answer reader against h11, an independent implementation, and against whatever bytes there are.

Where ours refuses and h11 does not, ours is stricter on purpose; `stricter` names every such case, and nothing else
may differ. Where h11 refuses, ours must never see a complete answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import h11
import pytest
from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st

from sampan.upstreams.answer import AnswerReader
from sampan.upstreams.origin import Limits
from tests.upstreams.fuzz_http1 import check, outcome, pieces

Seen = tuple[str, int, dict[str, str], bytes]


def ours(data: bytes, cuts: bytes, *, bodiless: bool = False) -> Seen:
    """What our reader makes of the bytes; the coding's case aside, which h11 does not keep."""
    verdict, status, headers, content, _, _ = outcome(data, cuts, bodiless=bodiless, limits=Limits())
    folded = {name: text.lower() if name == "transfer-encoding" else text for name, text in headers.items()}
    return verdict, status, folded, content


@dataclass
class Oracle:
    """An h11 client that has asked, and what it has made of the answer so far."""

    connection: h11.Connection
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def drain(self) -> str:
        """Take every event there is; a verdict if one of them is the last."""
        while True:
            match self.connection.next_event():
                case h11.NEED_DATA | h11.PAUSED:
                    return ""
                case h11.InformationalResponse(status_code=101):
                    return "malformed"  # we never ask for one
                case h11.Response() as head:
                    self.take(head)
                case h11.Data() as data:
                    self.body += bytes(data.data)
                case h11.EndOfMessage():
                    return "malformed" if self.connection.trailing_data[0] else "complete"
                case h11.ConnectionClosed():
                    return "cut"

    def take(self, head: h11.Response) -> None:
        self.status = head.status_code
        for name, value in head.headers:
            key, text = name.decode(), value.decode("latin-1")
            self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text


def oracle(data: bytes, cuts: bytes, method: bytes) -> Seen:
    """What h11 makes of the bytes, in the words of `outcome`; what it leaves behind the end is malformed."""
    seen = Oracle(h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20))
    seen.connection.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    seen.connection.send(h11.EndOfMessage())
    verdict = ""
    try:
        for piece in [*pieces(data, cuts), b""]:
            if verdict == "complete" and piece:
                verdict = "malformed"
            elif not verdict:
                seen.connection.receive_data(piece)
                verdict = seen.drain()
    except h11.RemoteProtocolError as error:
        cut = "peer unexpectedly closed" in str(error) or "without sending complete" in str(error)
        verdict = "cut" if cut else "malformed"
    return verdict or "cut", seen.status, seen.headers, seen.body


def stricter(data: bytes) -> str:
    """Why ours may refuse what h11 takes; empty if it may not."""
    parts = data.split(b"\r\n\r\n")
    final = next((part for part in parts if not re.match(rb"HTTP/1.1 1", part)), b"")
    heads = parts[: parts.index(final) + 1] if final else [data]
    head = b"\r\n".join(heads)
    lowered = head.lower()
    rules = {
        "bare lf": re.search(rb"(?<!\r)\n", data),
        "obs-fold": re.search(rb"\n[ \t]", data),
        "a length said twice": len(re.findall(rb"\ncontent-length", data.lower())) > 1
        or re.search(rb"content-length:[^\r]*,", lowered),
        "length and coding": b"content-length" in lowered and b"transfer-encoding" in lowered,
        "coding in 1.0": b"http/1.0" in lowered and b"transfer-encoding" in lowered,
        "a blank behind a chunk's size": re.search(rb"\n[0-9a-f]+[ \t]+[\r;]", data.lower()),
        "status": any(re.match(rb"HTTP/1.[01] [06-9]", each) for each in heads) or b"HTTP/1.1 0" in data,
        "reason": any(re.match(rb"HTTP/\d.\d \d+[^ \r\d]|HTTP/\d.\d  ", each) for each in heads),
        "version": any(re.match(rb"HTTP/(?!1\.[01])", each) for each in heads),
        "obs-text or controls": re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xff]", head),
        "chunk extension": re.search(rb"\n[0-9a-f]+;", data.lower()),
        "an empty trailer or length": re.search(rb"length:[ \t]*\r", lowered),
    }
    return ", ".join(name for name, hit in rules.items() if hit)


# Valid answers, and answers with something wrong at one place.

token = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_", min_size=1, max_size=10).filter(
    lambda name: name.lower() not in {"content-length", "transfer-encoding", "connection", "upgrade"}
)
value = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=12)
fields = st.tuples(token, st.sampled_from([":", ": ", ":  ", ":\t"]), value, st.sampled_from(["", " "]))
body = st.binary(max_size=60)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """A valid answer: any status, framing, headers; perhaps after informational ones."""
    version = draw(st.sampled_from(["1.1", "1.1", "1.1", "1.0"]))
    status = draw(st.sampled_from([200, 201, 204, 304, 400, 413, 429, 500, 529]))
    reason = draw(st.sampled_from([" OK", " ", " Too Many Requests", ""]))
    lines = [f"{name}{colon}{text}{blank}" for name, colon, text, blank in draw(st.lists(fields, max_size=5))]
    content = draw(body)
    kind = draw(st.sampled_from(["length", "length", "chunked", "eof"]))
    if kind == "chunked" and version == "1.1" and status not in (204, 304):
        lines.insert(
            draw(st.integers(0, len(lines))),
            draw(st.sampled_from(["Transfer-Encoding: chunked", "transfer-encoding:CHUNKED"])),
        )
        payload = b""
        while content:
            size = draw(st.integers(1, len(content)))
            payload += (
                f"{size:{draw(st.sampled_from(['x', 'X', '04x']))}}".encode() + b"\r\n" + content[:size] + b"\r\n"
            )
            content = content[size:]
        payload += b"0\r\n" + draw(st.sampled_from([b"", b"x-trailer: 1\r\n"])) + b"\r\n"
    elif kind == "eof" or status in (204, 304):
        payload = b"" if status in (204, 304) else content
    else:
        lines.insert(draw(st.integers(0, len(lines))), f"Content-Length: {len(content)}")
        payload = content
    if draw(st.booleans()):
        lines.append(draw(st.sampled_from(["connection: close", "Connection: keep-alive"])))
    hints = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * draw(st.integers(0, 2))
    return hints + "\r\n".join([f"HTTP/{version} {status}{reason}", *lines]).encode() + b"\r\n\r\n" + payload


SNIPPETS = [
    b"\r\n", b"\n", b"\r", b" ", b":", b";", b",", b"0", b"1", b"f", b"-", b"+", b"\0", b"\x7f", b"\xff", b"H", b"\t",
    b"0\r\n\r\n", b"\r\n\r\n", b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n", b"HTTP/1.1 200 OK\r\n",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid answer with up to three places changed: something put in, taken out, or cut off."""
    data = draw(answers())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        until = min(at + draw(st.integers(0, 4)), len(data))
        data = data[:at] + draw(st.sampled_from([b"", *SNIPPETS])) + data[until:]
    return data[: draw(st.integers(1, len(data)))] if data and draw(st.integers(0, 3)) == 0 else data


cutting = st.binary(max_size=30)


@settings(max_examples=150, deadline=None)
@given(data=answers(), cuts=cutting)
def test_valid_answers_are_read_as_h11_reads_them(data: bytes, cuts: bytes) -> None:
    seen = ours(data, cuts)
    assert seen == oracle(data, cuts, b"GET")
    assert seen[0] == "complete"


@settings(max_examples=400, deadline=None)
@given(data=mutated(), cuts=cutting, bodiless=st.booleans())
@example(data=b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx\r\n", cuts=b"", bodiless=False)
@example(data=b"HTTP/1.1 103 x\r\n\r\nHTTP/0.1 200 OK\r\nContent-Length: 0\r\n\r\n", cuts=b"", bodiless=False)
def test_mutated_answers_are_never_taken_for_more_than_h11_does(data: bytes, cuts: bytes, bodiless: bool) -> None:
    assume(data)
    seen = ours(data, cuts, bodiless=bodiless)
    theirs = oracle(data, cuts, b"HEAD" if bodiless else b"GET")
    event(f"{seen[0]} / {theirs[0]}")
    if seen[0] == "complete" or theirs[0] == "complete":
        if seen[0] == "malformed":
            assert stricter(data), (seen, theirs)
        else:
            assert seen == theirs


# Any bytes.


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200) | mutated(), cuts=cutting, bodiless=st.booleans())
def test_where_bytes_are_cut_makes_no_difference(data: bytes, cuts: bytes, bodiless: bool) -> None:
    check(data, cuts, bodiless=bodiless)


@settings(max_examples=100, deadline=None)
@given(
    parts=st.lists(st.sampled_from([*SNIPPETS, b"HTTP/1.1 ", b"200", b"101 x", b"x" * 300]), max_size=30), cuts=cutting
)
def test_bytes_that_almost_make_sense(parts: list[bytes], cuts: bytes) -> None:
    check(b"".join(parts), cuts, bodiless=False)


def test_one_reader_reads_many_answers() -> None:
    reader = AnswerReader(Limits())
    for number in range(50):
        reader.begin()
        text = b"%d" % number
        reader.feed(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nx: " % len(text) + text + b"\r\n\r\n" + text)
        assert (reader.complete, reader.reusable, b"".join(reader.chunks)) == (True, True, text)
        assert reader.headers["x"] == str(number)


PLAIN = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n"


@pytest.mark.parametrize(
    "head",
    [
        PLAIN,
        PLAIN + "Connection: close\r\n",
        PLAIN.replace("1.1", "1.0"),
        PLAIN.replace(": ", ":\t"),
        PLAIN.replace("5", "4"),
        PLAIN.replace("5", "6"),
        PLAIN.replace("200 OK", "204 No Content"),
        PLAIN.replace("200 OK", "100 Continue"),
        PLAIN.replace("200 OK", "600 What"),
        PLAIN.replace("200 OK", "200 O\x01K"),
        PLAIN.replace("HTTP", "http"),
        PLAIN.replace("HTTP/1.1", "HTTP/2.0"),
        "\r\n" + PLAIN,
        PLAIN + "content-length: 5\r\n",
        PLAIN + "content-length: 50\r\n",
        PLAIN + "transfer-encoding: chunked\r\n",
        PLAIN + "".join(f"x-{number}: y\r\n" for number in range(100)),
        PLAIN + "x: " + "y" * 65_536 + "\r\n",
        PLAIN + "no colon\r\n",
        PLAIN + " folded: 1\r\n",
    ],
)
def test_an_answer_in_one_piece_is_what_it_is_in_many(head: str) -> None:
    """In one piece it is taken in one step."""
    data = head.encode("latin-1") + b"\r\nhello"
    seen = outcome(data, b"", limits=Limits())
    for length in (1, 7, len(head) - 1, len(head) + 1):
        cuts = bytes([min(length, 255)] * (len(data) // min(length + 1, 256) + 1))
        apart = outcome(data, cuts, limits=Limits())
        assert seen[0] == apart[0]
        if seen[0] == "complete":
            assert seen == apart
