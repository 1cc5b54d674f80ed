"""`kill -9` at the worst moments: what was answered has its record, once, and the next start goes on."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from callers import messages
from clouds import Cloud
from gateway import DRAW, QUICK, SOON, TALK, Gateway, route, until, upstream

ROUNDS = 2
CALLERS = 4
ENOUGH = 40  # answers before the server is killed amid the next ones


@pytest.fixture
def gateway(cloud: Cloud, tmp_path: Path) -> Iterator[Gateway]:
    config = QUICK + upstream("talk", cloud.url("crash-talk"), "anthropic") + route("m", TALK, "talk")
    config += upstream("draw", cloud.url("crash-draw"), "openai-images") + route("m", DRAW, "draw")
    config += upstream("middle", cloud.url("crash-middle"), "anthropic") + route("middle", TALK, "middle")
    with Gateway(tmp_path, config) as running:
        yield running


def _order(number: int) -> tuple[str, dict[str, Any]]:
    """Calls of every kind in turn."""
    talk = {"model": "m", "max_tokens": 9, "messages": messages(number % 4 == 1), "stream": number % 2 == 0}
    if number % 5 == 4:
        return "/v1/images/generations", {"model": "m", "prompt": "a boat", "stream": number % 2 == 0}
    return "/v1/messages", talk


def _ask(gateway: Gateway, number: int) -> str:
    """One call over a socket of its own; its id, as soon as its last byte is here."""
    path, body = _order(number)
    with gateway.connect(path, body) as sock:
        head = until(sock, b"\r\n\r\n")
        mark = b"\r\n0\r\n\r\n" if body["stream"] else None
        seen = head
        while not (_ended(seen) if mark is None else seen.endswith(mark)):
            data = sock.recv(65536)
            if not data:
                raise ConnectionError("cut")
            seen += data
    assert head.startswith(b"HTTP/1.1 200"), head
    return head.partition(b"request-id: ")[2].partition(b"\r\n")[0].decode()


def _ended(seen: bytes) -> bool:
    """Whether a whole answer is here, by its content-length."""
    head, _, body = seen.partition(b"\r\n\r\n")
    return len(body) >= int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])


def test_every_ended_answer_has_one_record_after_kill_9(gateway: Gateway) -> None:
    """First the server dies right after one answer's last byte, then amid many callers; several times."""
    ended: list[str] = []
    for number in range(ROUNDS):
        ended += [_ask(gateway, number), _ask(gateway, number + 1)]
        gateway.kill()
        gateway.start()
        ended += _killed_amid_calls(gateway)
        gateway.start()
    exported = gateway.records()
    times = Counter(record["id"] for record in exported)
    assert len(ended) >= ROUNDS * (ENOUGH + 2)
    assert not [call for call in ended if times[call] == 0], "an answered call has no record"
    assert set(times.values()) == {1}, "a record was kept twice"
    of_ended = [record for record in exported if record["id"] in set(ended)]
    assert {record["outcome"] for record in of_ended} == {"ok"}
    assert all(record["total_ms"] > 0 and record["output_tokens"] for record in of_ended)


def _killed_amid_calls(gateway: Gateway) -> list[str]:
    ended: list[str] = []
    enough = threading.Event()

    def call_on(offset: int) -> None:
        number = offset
        while True:
            try:
                ended.append(_ask(gateway, number))
            except (OSError, AssertionError):
                return  # the server is dead: this answer did not end
            number += 1
            if len(ended) >= ENOUGH:
                enough.set()

    callers = [threading.Thread(target=call_on, args=(offset,)) for offset in range(CALLERS)]
    for caller in callers:
        caller.start()
    assert enough.wait(SOON), "the gateway answers too slowly"
    gateway.kill()
    for caller in callers:
        caller.join(SOON)
    return ended


def test_links_and_keys_outlive_kill_9(gateway: Gateway) -> None:
    made = gateway.verb("key", "create", "survivor").stdout.strip()
    answer = gateway.openai().images.generate(model="m", prompt="a boat", response_format="url")
    assert answer.data and answer.data[0].url
    link = answer.data[0].url.removeprefix(gateway.url)
    gateway.kill()
    gateway.start()
    reply = gateway.http("GET", link, key=None)
    assert reply.status == 200 and reply.body.startswith(b"\x89PNG")
    path, body = _order(0)
    assert gateway.http("POST", path, body, key=made).status == 200


def test_a_stream_cut_by_kill_9_is_no_clean_end(gateway: Gateway, cloud: Cloud) -> None:
    cell = cloud.cell("crash-middle")
    cell.behaviour = "gated_middle"
    body = {"model": "middle", "max_tokens": 9, "messages": messages(False), "stream": True}
    with gateway.connect("/v1/messages", body) as sock:
        until(sock, b"content_block_delta")
        gateway.kill()
        rest = b""
        try:
            while data := sock.recv(65536):
                rest += data
        except ConnectionError:
            rest += b" reset"
        assert b"message_stop" not in rest and not rest.endswith(b"0\r\n\r\n")
    assert cell.gone.wait(SOON), "the upstream was not let go"
