"""A head that came before on a connection is known by its bytes; whatever is not plainly it is read as ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_wire_requests import Counter, connected

from sampan.core import Incoming
from sampan.edge.heads import LONGEST, KnownHead

HEAD = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nx-api-key: k\r\n\r\n"
HEADERS = {"host": "x", "content-length": "4", "x-api-key": "k"}


def known(head: bytes = HEAD, headers: dict[str, str] = HEADERS, method: str = "POST") -> KnownHead | None:
    return KnownHead.of(head, Incoming(method, "/v1/messages", "", headers, b""))


def of_length(said: bytes, body: bytes) -> bytes:
    return HEAD.replace(b"Length: 4", b"Length: " + said) + body


def test_the_same_head_with_another_length() -> None:
    head = known()
    assert head is not None
    read = head.read(of_length(b"11", b"hello there"), 100)
    assert read == Incoming("POST", "/v1/messages", "", {"host": "x", "x-api-key": "k"}, b"hello there")


@pytest.mark.parametrize(
    "data",
    [
        of_length(b"4", b"abc"),  # more is to come
        of_length(b"4", b"abcdPOST"),  # the next request is here too
        of_length(b"+4", b"abcd"),
        of_length(b"4 ", b"abcd"),
        of_length(b"4_0", b"a" * 40),
        of_length(b"", b""),
        of_length("٤".encode(), b"abcd"),
        of_length(b"101", b"a" * 101),  # over the limit
        HEAD.replace(b"key: ", b"key:") + b"abcd",
        HEAD.replace(b"POST", b"post") + b"abcd",
        HEAD.replace(b"\r\nx-api", b"\r\nexpect: 100-continue\r\nx-api") + b"abcd",
        HEAD[:-4] + b"abcd",
    ],
)
def test_what_is_not_plainly_the_same_is_not_read(data: bytes) -> None:
    head = known()
    assert head is not None
    assert head.read(data, 100) is None


@pytest.mark.parametrize(
    ("head", "extra", "method"),
    [
        (HEAD, {"expect": "100-continue"}, "POST"),
        (HEAD, {"transfer-encoding": "chunked"}, "POST"),
        (HEAD, {"upgrade": "h2c"}, "POST"),
        (HEAD, {}, "GET"),
        (HEAD.replace(b"Content-Length: 4\r\n", b""), {}, "POST"),
        (HEAD.replace(b"Host", b"content-length: 4\r\nHost"), {}, "POST"),
        (HEAD.replace(b"k\r\n", b"k" * LONGEST + b"\r\n"), {}, "POST"),
    ],
)
def test_what_is_not_worth_remembering(head: bytes, extra: dict[str, str], method: str) -> None:
    assert known(head, HEADERS | extra, method) is None


BODIES = st.lists(st.binary(min_size=1, max_size=40), min_size=2, max_size=5)
CASES = st.sampled_from([b"Content-Length", b"content-length", b"CONTENT-LENGTH"])


@given(BODIES, CASES, st.lists(st.integers(0, 400), max_size=4))
def test_a_connection_answers_as_if_it_remembered_nothing(bodies: list[bytes], name: bytes, cuts: list[int]) -> None:
    requests = [
        b"POST /m%d HTTP/1.1\r\n%s: %d\r\nx: y\r\n\r\n%s" % (index // 2, name, len(body), body)
        for index, body in enumerate(bodies)
    ]
    apart = Counter()
    for request in requests:
        wire, _ = connected(apart)
        wire.data_received(request)
    together = Counter()
    wire, transport = connected(together)
    for index, request in enumerate(requests):
        cut = cuts[index] if index < len(cuts) else 0
        for piece in filter(None, (request[:cut], request[cut:])):
            wire.data_received(piece)
    assert together.taken == apart.taken
    assert not transport.closed
    data = b"".join(requests)
    wire, _ = connected(piped := Counter())
    for start in range(0, len(data), 97):
        wire.data_received(data[start : start + 97])
    assert piped.taken == apart.taken


class Narrow(Counter):
    def limit(self, path: str) -> int:
        return 1000


def test_a_known_head_is_held_to_the_limit_of_its_path() -> None:
    counter = Narrow()
    wire, _ = connected(counter)
    for size in (3, 3000):
        wire.data_received(b"POST /m HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % size + b"a" * size)
    assert [len(body) for _, _, body in counter.taken] == [3]
    assert counter.refused == ["large"]


def test_a_server_that_stops_answers_a_known_head_once_more_and_closes() -> None:
    counter = Counter()
    wire, transport = connected(counter)
    request = b"POST /m HTTP/1.1\r\ncontent-length: 1\r\n\r\na"
    wire.data_received(request)
    counter.stopping = True
    wire.data_received(request)
    assert len(counter.taken) == 2
    assert transport.closed
    assert b"connection: close" in transport.written
