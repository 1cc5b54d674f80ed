"""Callers who go on and on, each over a connection of its own, and what they were told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

from callers import messages
from gateway import KEY, SOON, Gateway, until

Order = tuple[str, dict[str, Any]]


def talk(model: str, *, stream: bool, sees: bool = False) -> Order:
    body = {"model": model, "max_tokens": 9, "messages": messages(sees), "stream": stream}
    return "/v1/messages", body


def drawing(model: str, *, stream: bool) -> Order:
    return "/v1/images/generations", {"model": model, "prompt": "a boat", "stream": stream}


def of_every_kind(number: int, talks: str = "talk-model", draws: str = "draw-model") -> Order:
    """Streaming and not, seeing and not, talk and pictures, in turn."""
    if number % 5 == 4:
        return drawing(draws, stream=number % 2 == 0)
    return talk(talks, stream=number % 2 == 0, sees=number % 4 == 1)


class Wrong(AssertionError):
    """An answer that is none of those that were promised."""


def ask(gateway: Gateway, order: Order) -> tuple[str, bytes]:
    """One call; its id and the whole answer, as soon as the last byte is here. Raises `OSError` where it is cut."""
    path, body = order
    with gateway.connect(path, body) as sock:
        try:
            seen = until(sock, b"\r\n\r\n")
        except AssertionError as error:
            raise ConnectionError("cut in the head") from error
        while not whole(seen):
            data = sock.recv(65536)
            if not data:
                raise ConnectionError("cut in the body")
            seen += data
    if not seen.startswith(b"HTTP/1.1 200"):
        raise Wrong(seen)
    if body["stream"] and b"event: error" in seen:
        raise Wrong(seen)
    return call_id(seen), seen


def call_id(seen: bytes) -> str:
    return seen.partition(b"\r\nrequest-id: ")[2].partition(b"\r\n")[0].decode()


def whole(seen: bytes) -> bool:
    """Whether all of an answer is here, by its own framing."""
    head, found, body = seen.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head:
        return seen.endswith(b"\r\n0\r\n\r\n")
    return bool(found) and len(body) >= int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])


class Load:
    """`with Load(gateway, 4) as load:` has callers at work. A connection error makes one wait until it is `up` again.

    `ended` are the ids of the calls whose last byte came, in that order; `errors` counts connection errors, and `wrong`
    holds everything else that was not a good answer.
    """

    def __init__(self, gateway: Gateway, callers: int, order: Callable[[int], Order] = of_every_kind) -> None:
        self.ended: list[str] = []
        self.attempts: list[str] = []
        self.wrong: list[BaseException] = []
        self.errors = 0
        self.up = threading.Event()
        self.up.set()
        self._gateway = gateway
        self._order = order
        self._over = False
        self._told = threading.Condition()
        self._next = 0
        self._answered = [0] * callers
        self._threads = [threading.Thread(target=self._call_on, args=(each,), daemon=True) for each in range(callers)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._over = True
        self.up.set()
        for thread in self._threads:
            thread.join(2 * SOON)
        assert not any(thread.is_alive() for thread in self._threads), "a call hangs"

    def wait_for(self, more: int, within: float = SOON) -> None:
        """Until so many more answers have ended."""
        with self._told:
            wanted = len(self.ended) + more
            done = self._told.wait_for(lambda: len(self.ended) >= wanted or self.wrong, within)
        assert done and not self.wrong, f"{wanted - len(self.ended)} answers are missing; wrong: {self.wrong[:3]}"

    def wait_for_all(self, within: float = SOON) -> None:
        """Until all calls that are open now have ended."""
        with self._told:
            before = list(self._answered)
            done = self._told.wait_for(
                lambda: self.wrong or all(now > then for now, then in zip(self._answered, before, strict=True)), within
            )
        assert done and not self.wrong, f"not all have ended; wrong: {self.wrong[:3]}"

    def _call_on(self, caller: int) -> None:
        while not self._over:
            with self._told:
                number, self._next = self._next, self._next + 1
            try:
                call, answer = ask(self._gateway, self._order(number))
            except OSError:
                with self._told:
                    self.errors += 1
                if not self.up.wait(2 * SOON):
                    return
            except Exception as error:
                with self._told:
                    self.wrong.append(error)
                    self._told.notify_all()
                return
            else:
                with self._told:
                    self._answered[caller] += 1
                    self.ended.append(call)
                    self.attempts.append(_attempts(answer))
                    self._told.notify_all()


def _attempts(seen: bytes) -> str:
    """The last word on who was asked: in the head, or in a comment at a seam."""
    return seen.rpartition(b"x-sampan-attempts: ")[2].partition(b"\r\n")[0].partition(b"\n")[0].decode()


def begun(gateway: Gateway, *parts: bytes) -> socket.socket:
    """A connection on which only this much was said."""
    sock = socket.create_connection(gateway.address, SOON)
    for part in parts:
        sock.sendall(part)
    return sock


HEAD = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-type: application/json\r\n".encode()


def metric(gateway: Gateway, line: str) -> float:
    """One figure of /metrics, by its name and labels as they stand there."""
    said = gateway.http("GET", "/metrics", key=None).body.decode().splitlines()
    found = [each for each in said if each.startswith(f"{line} ")]
    assert len(found) == 1, f"{line}: {found}"
    return float(found[0].split()[-1])
