"""Another's chat server as far as a gateway sees one: `fake_chat_server.py --port PORT --release NAME[+QUIRK]…`

Standard library only, so that it starts in no time. It answers `NAME w1 w2 … w12`, goes on with what stands in a last
assistant turn, and says its pid when it listens. Quirks: `slow` is healthy at its tenth poll; `never` never is; `mute`
says other words; `every3` answers each third call with 500; `refuse` answers the words "please" with 400; `crash9` ends
for good in the middle of its ninth answer; `sick9` says 500 to its health from its ninth call on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = tuple(f"w{number}" for number in range(1, 13))
PACE = 0.005  # seconds between two words: an answer is long enough to be broken off


class Release:
    """What it is called, how it behaves, and how often it was asked."""

    def __init__(self, text: str) -> None:
        self.name, *quirks = text.split("+")
        found = [re.fullmatch(r"([a-z]+)([0-9]*)", quirk) for quirk in quirks]
        self._quirks = {match[1]: int(match[2] or 10) for match in found if match}
        self._calls = itertools.count(1)
        self._polls = itertools.count(1)
        self.called = 0

    def call(self) -> int:
        self.called = next(self._calls)
        return self.called

    def at(self, quirk: str) -> int | None:
        return self._quirks.get(quirk)

    def healthy(self) -> bool:
        sick = self.at("sick")
        if self.at("never") or (sick is not None and self.called >= sick):
            return False
        return next(self._polls) >= (self.at("slow") or 0)

    def words(self, said: str) -> list[str]:
        """What is still to be said."""
        whole = ["mumble"] if self.at("mute") else [self.name, *WORDS]
        return whole[len(said.split()) :]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    release: Release

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/health":
            self._send(200 if self.release.healthy() else 503, {})
        elif self.path == "/v1/models":
            self._send(200, {"object": "list", "data": [{"id": "fake", "object": "model"}]})
        else:
            self._send(404, {"error": {"message": "no such page"}})

    def do_POST(self) -> None:
        ask = json.loads(self.rfile.read(int(self.headers["content-length"])))
        number = self.release.call()
        every = self.release.at("every")
        if self.release.at("refuse") and "please" in json.dumps(ask["messages"]):
            self._send(400, {"error": {"message": "no such word", "type": "invalid_request_error"}})
            return
        if every is not None and number % every == 0:
            self._send(500, {"error": {"message": "out of luck"}})
            return
        last = ask["messages"][-1]
        said = last["content"] if last["role"] == "assistant" else ""
        words = self.release.words(said)
        dies = number == self.release.at("crash")
        if ask.get("stream"):
            self._stream(words, said, dies)
        elif dies:
            os._exit(9)
        else:
            text = (" " if said else "") + " ".join(words)
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 3, "completion_tokens": len(words), "total_tokens": 3 + len(words)}
            self._send(200, {**self._head("chat.completion"), "choices": [choice], "usage": usage})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": "fake"}

    def _stream(self, words: list[str], said: str, dies: bool) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        pause = threading.Event()
        for position, word in enumerate(words):
            if dies and position == len(words) // 2:
                os._exit(9)
            self._chunk({"content": (" " if said or position else "") + word}, None)
            pause.wait(PACE)
        self._chunk({}, "stop")
        usage = {"prompt_tokens": 3, "completion_tokens": len(words), "total_tokens": 3 + len(words)}
        self._frame(json.dumps({**self._head("chat.completion.chunk"), "choices": [], "usage": usage}))
        self._frame("[DONE]")
        self.close_connection = True

    def _chunk(self, delta: dict[str, str], end: str | None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": end}
        self._frame(json.dumps({**self._head("chat.completion.chunk"), "choices": [choice]}))

    def _frame(self, data: str) -> None:
        self.wfile.write(f"data: {data}\n\n".encode())
        self.wfile.flush()

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--release", default="v1")
    orders = parser.parse_args()
    Handler.release = Release(orders.release)
    server = ThreadingHTTPServer(("127.0.0.1", orders.port), Handler)
    print(f"release {orders.release} runs as {os.getpid()}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
