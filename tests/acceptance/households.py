"""Servers for a house and the world around it: models that answer, break off or are silent, pictures, and names.

Standard library, each in a thread of whatever namespace it is started in. A cell is the first part of a path and says
how its model behaves: `good`, `echo` (says what it was asked), `breaks` (off in the middle), `silent` (closes without a
word).
"""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cells import PICTURE, PICTURE64

PDF = base64.b64decode(
    "JVBERi0xLjQKMSAwIG9iajw8L1R5cGUvQ2F0YWxvZy9QYWdlcyAyIDAgUj4+ZW5kb2JqCjIgMCBvYmo8PC9UeXBlL1BhZ2VzL0tpZHNbMyAwIFJd"
    "L0NvdW50IDE+PmVuZG9iagozIDAgb2JqPDwvVHlwZS9QYWdlL1BhcmVudCAyIDAgUi9NZWRpYUJveFswIDAgOTkgOTldPj5lbmRvYmoKdHJhaWxl"
    "cjw8L1Jvb3QgMSAwIFI+PgolJUVPRgo="
)
TEXT = "the answer of a model"
USAGE = {"input_tokens": 3, "output_tokens": 4}
CHAT_USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


class Servers:
    """One port of models and pictures. `posts` counts what each cell was asked, `bodies` are those requests; `traces`
    is what it was told as a collector."""

    def __init__(self, address: str) -> None:
        self.posts: dict[str, int] = {}
        self.bodies: list[bytes] = []
        self.traces: list[bytes] = []
        self._server = ThreadingHTTPServer((address, 0), type("Bound", (_Handler,), {"servers": self}))
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    servers: Servers
    disable_nagle_algorithm = True

    def log_message(self, format: str, *arguments: object) -> None:
        """Tests say what went wrong by themselves."""

    def do_GET(self) -> None:
        if self.path.startswith("/picture"):
            self._reply(PICTURE, "image/png")
        elif self.path.startswith("/document"):
            self._reply(PDF, "application/pdf")
        elif self.path.startswith("/away?"):
            self.send_response(302)
            self.send_header("location", self.path.partition("?")[2])
            self.send_header("content-length", "0")
            self.end_headers()
        else:
            self._reply(b'{"data":[{"id":"m"}]}')

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        cell, _, path = self.path.removeprefix("/").partition("/")
        if cell == "v1":
            self.servers.traces.append(body)
            self._reply(b"{}")
            return
        self.servers.posts[cell] = self.servers.posts.get(cell, 0) + 1
        self.servers.bodies.append(body)
        if cell == "silent":
            self.close_connection = True
            return
        streams = b'"stream":true' in body.replace(b" ", b"") or b'name="stream"' in body
        if streams:
            self._stream(_frames(f"/{path}", _words(cell, body)), breaks=cell == "breaks")
        elif cell == "breaks":
            self._reply(b"{}", cut=100)
        else:
            self._reply(json.dumps(_whole(f"/{path}", "".join(_words(cell, body)))).encode())

    def _reply(self, body: bytes, kind: str = "application/json", cut: int = 0) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body) + cut))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = self.close_connection or bool(cut)

    def _stream(self, frames: list[bytes], *, breaks: bool) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for each in frames[: 4 if breaks else None]:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(each), each))
        if breaks:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")


def _frame(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _message(content: list[Any], reason: str | None) -> dict[str, Any]:
    head: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
    return head | {"content": content, "stop_reason": reason, "stop_sequence": None, "usage": USAGE}


def _chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(head)}\n\n".encode()


def _words(cell: str, body: bytes) -> list[str]:
    """What a model says, in pieces."""
    if cell != "echo":
        return [TEXT[:10], TEXT[10:]]
    content = json.loads(body)["messages"][-1]["content"]
    text = content if isinstance(content, str) else "".join(block["text"] for block in content)
    return [text[at : at + 3] for at in range(0, len(text), 3)]


def _frames(path: str, words: list[str]) -> list[bytes]:
    """An answer as a stream; it says something in its third and fourth frame."""
    if "/images/" in path:
        name = "image_edit" if path.endswith("edits") else "image_generation"
        usage = USAGE | {"total_tokens": 7, "input_tokens_details": {"image_tokens": 0, "text_tokens": 3}}
        return [_frame({"type": f"{name}.completed", "b64_json": PICTURE64, "created_at": 1, "usage": usage})]
    if path.endswith("/chat/completions"):
        said = [_chunk({"role": "assistant"}), _chunk({}), *(_chunk({"content": word}) for word in words)]
        return [*said, _chunk({}, "stop"), b"data: [DONE]\n\n"]
    deltas = [{"type": "text_delta", "text": word} for word in words]
    return [
        _frame({"type": "message_start", "message": _message([], None)}),
        _frame({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        *(_frame({"type": "content_block_delta", "index": 0, "delta": delta}) for delta in deltas),
        _frame({"type": "content_block_stop", "index": 0}),
        _frame({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}),
        _frame({"type": "message_stop"}),
    ]


def _whole(path: str, text: str) -> dict[str, Any]:
    if path.endswith("/count_tokens"):
        return {"input_tokens": 3}
    if path.endswith("/embeddings"):
        datum = {"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}
        return {"object": "list", "model": "m", "data": [datum], "usage": CHAT_USAGE}
    if "/images/" in path:
        return {"created": 1, "data": [{"b64_json": PICTURE64}], "usage": USAGE}
    if path.endswith("/chat/completions"):
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [choice],
            "usage": CHAT_USAGE,
        }
    return _message([{"type": "text", "text": text}], "end_turn")


class Names:
    """A name server: every name has this one address. `asked` are the names."""

    def __init__(self, address: str) -> None:
        self.asked: list[str] = []
        self._address = socket.inet_aton(address)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                query, caller = self._socket.recvfrom(4096)
            except OSError:
                return
            if query:
                self._socket.sendto(self._answer(query), caller)

    def _answer(self, query: bytes) -> bytes:
        """RFC 1035, 4.1: the question, and for one of type A its answer."""
        labels, place = [], 12
        while query[place]:
            labels.append(query[place + 1 : place + 1 + query[place]].decode())
            place += query[place] + 1
        self.asked.append(".".join(labels))
        end = place + 5
        is_a = struct.unpack(">H", query[place + 1 : place + 3]) == (1,)
        head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, int(is_a), 0, 0)
        record = struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + self._address
        return head + query[12:end] + (record if is_a else b"")

    def close(self) -> None:
        self._socket.close()


def link(url: str) -> dict[str, Any]:
    """A picture by its URL."""
    return {"type": "image", "source": {"type": "url", "url": url}}


def events(body: bytes) -> list[str]:
    """The names of a stream's events."""
    return re.findall(r"^event: (\S+)$", body.decode(), re.MULTILINE)


def said(body: bytes, *, stream: bool) -> str:
    """The text of an answer in any dialect of talk."""
    if stream:
        found = ""
        for data in re.findall(r"^data: (\{.*)$", body.decode(), re.MULTILINE):
            event = json.loads(data)
            delta = event["choices"][0]["delta"] if event.get("choices") else event.get("delta")
            if isinstance(delta, str):
                found += delta
            elif isinstance(delta, dict):
                found += delta.get("text") or delta.get("content") or ""
        return found
    answer = json.loads(body)
    if "choices" in answer:
        return str(answer["choices"][0]["message"]["content"])
    blocks = answer["output"][0]["content"] if "output" in answer else answer["content"]
    return "".join(block["text"] for block in blocks)
