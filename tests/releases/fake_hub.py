"""Hugging Face and ModelScope on real sockets, with a CDN on another port, and whatever can go wrong with them."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "1234567890abcdef1234567890abcdef12345678"
LARGE = 1000  # bytes from which on a file is with LFS


@dataclass(frozen=True)
class Cut:
    """The connection breaks after so many bytes of the body."""

    after: int


@dataclass(frozen=True)
class Status:
    """Another answer instead."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wrong:
    """Other bytes of the same length, by the range that was asked for."""


@dataclass(frozen=True)
class Longer:
    """More bytes than announced, without saying how many."""


@dataclass(frozen=True)
class Whole:
    """200 and all bytes, whatever range was asked for."""


@dataclass(frozen=True)
class OtherRange:
    """206, but from the beginning."""


@dataclass(frozen=True)
class Held:
    """So many bytes, and the rest once somebody lets go."""

    after: int


Fault = Cut | Status | Wrong | Longer | Whole | OtherRange | Held


@dataclass(frozen=True)
class Seen:
    """One request: `where` is `hub` or `cdn`."""

    where: str
    target: str
    headers: dict[str, str]

    @property
    def range(self) -> str:
        return self.headers.get("range", "")


class FakeHub:
    """One model, `Qwen/Tiny`, at one commit; `faults` of a path are played one after the other, then all is well."""

    def __init__(self, files: dict[str, bytes], name: str = "Qwen/Tiny") -> None:
        self.name = name
        self.files = files
        self.commit = COMMIT
        self.branches = {"main": COMMIT, "master": COMMIT}
        self.announced: dict[str, dict[str, Any]] = {}  # what a listing says instead, by path
        self.faults: dict[str, list[Fault]] = {}
        self.listing_faults: list[Status] = []
        self.seen: list[Seen] = []
        self.holding = threading.Event()
        self.let_go = threading.Event()
        self.gated = False
        self.token = ""  # asked for where it is set
        self.etag = '"{sha}"'
        self._lock = threading.Lock()
        self._servers = [
            ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self, "where": where}))
            for where in ("hub", "cdn")
        ]
        self.url, self.cdn = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)

    @contextmanager
    def running(self) -> Iterator[FakeHub]:
        for server in self._servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield self
        finally:
            self.let_go.set()
            for server in self._servers:
                server.shutdown()
                server.server_close()

    def bytes_requests(self, path: str) -> list[Seen]:
        """The requests that were answered with bytes of a file, or could have been."""
        where = "cdn" if len(self.files[path]) >= LARGE else "hub"
        return [seen for seen in self.seen if seen.where == where and path in unquote(seen.target).replace("+", " ")]

    def next_fault(self, path: str) -> Fault | None:
        with self._lock:
            left = self.faults.get(path)
            return left.pop(0) if left else None

    def siblings(self) -> list[dict[str, Any]]:
        listed = []
        for path, data in self.files.items():
            entry: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": git_name(data)}
            if len(data) >= LARGE:
                entry["blobId"] = "0" * 40  # that of the pointer, which is not the file's
                entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            listed.append(entry | self.announced.get(path, {}))
        return listed

    def entries(self) -> list[dict[str, Any]]:
        folders = sorted({path.rsplit("/", 1)[0] for path in self.files if "/" in path})
        listed: list[dict[str, Any]] = [{"Path": each, "Name": each, "Type": "tree", "Size": 0} for each in folders]
        for path, data in self.files.items():
            entry = {
                "Path": path,
                "Name": path.rsplit("/", 1)[-1],
                "Type": "blob",
                "Size": len(data),
                "Sha256": hashlib.sha256(data).hexdigest(),
                "IsLFS": len(data) >= LARGE,
                "Revision": COMMIT if path.endswith(".json") else "f" * 40,
            }
            listed.append(entry | self.announced.get(path, {}))
        return listed


def git_name(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    """One connection; `hub` and `where` are set by a subclass for each server."""

    hub: FakeHub
    where: str
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Tests look at `seen`."""

    def do_GET(self) -> None:
        self.hub.seen.append(Seen(self.where, self.path, {name.lower(): value for name, value in self.headers.items()}))
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        path = unquote(parts.path)
        if self.where == "cdn":
            self.give(path.removeprefix("/blobs/"))
        elif self.hub.token and self.headers.get("authorization") != f"Bearer {self.hub.token}":
            self.answer(401, b'{"error":"Invalid username or password."}', {"X-Error-Code": "RepoNotFound"})
        elif path.startswith("/api/v1/models/"):
            self.modelscope(path.removeprefix("/api/v1/models/"), query)
        else:
            self.huggingface(path)

    def huggingface(self, path: str) -> None:
        if self.hub.gated:
            return self.answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        listed = re.fullmatch(r"/api/models/(.+)/revision/(.+)", path)
        file = re.fullmatch(r"/(.+)/resolve/([^/]+)/(.+)", path)
        if listed and self.hub.listing_faults:
            fault = self.hub.listing_faults.pop(0)
            return self.answer(fault.status, b"", fault.headers)
        if listed and listed[1] == self.hub.name:
            commit = self.hub.branches.get(listed[2], listed[2])
            if commit != self.hub.commit:
                return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            data = {"id": self.hub.name, "sha": commit, "siblings": self.hub.siblings()}
            return self.answer(200, json.dumps(data).encode())
        if file and file[1] == self.hub.name and file[2] == self.hub.commit and file[3] in self.hub.files:
            return self.file(file[3])
        return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def modelscope(self, path: str, query: dict[str, str]) -> None:
        revision = query.get("Revision", "master")
        known = revision in self.hub.branches or revision == self.hub.commit
        if path == f"{self.hub.name}/repo/files":
            committer = {"ShortId": self.hub.commit[:8], "Id": ""} if known else None
            data = {"Files": self.hub.entries() if known else None, "LatestCommitter": committer}
            return self.answer(200, json.dumps({"Code": 200, "Data": data, "Success": True}).encode())
        if path == f"{self.hub.name}/revisions":
            branches = [{"Revision": name, "CreatedAt": 1} for name in self.hub.branches]
            data = {"RevisionMap": {"Branches": branches, "Tags": [{"Revision": "v1.0"}]}}
            return self.answer(200, json.dumps({"Code": 200, "Data": data, "Success": True}).encode())
        if path == f"{self.hub.name}/repo" and known and query.get("FilePath") in self.hub.files:
            return self.file(query["FilePath"])
        return self.answer(404, b'{"Code":10010205001,"Message":"not found","Success":false}')

    def file(self, path: str) -> None:
        """Large files are elsewhere, as with both."""
        if len(self.hub.files[path]) >= LARGE:
            return self.answer(302, b"", {"Location": f"{self.hub.cdn}/blobs/{path}", "X-Linked-Etag": '"x"'})
        return self.give(path)

    def give(self, path: str) -> None:
        fault = self.hub.next_fault(path)
        if isinstance(fault, Status):
            return self.answer(fault.status, b"", fault.headers)
        data = self.hub.files[path]
        etag = self.hub.etag.format(sha=hashlib.sha256(data).hexdigest())
        start = self.start(data, etag, fault)
        if start is None:
            return self.answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        if isinstance(fault, Wrong):
            data = bytes(255 - each for each in data)
        body = data[start:]
        self.send_response(200 if start == 0 and not isinstance(fault, OtherRange) else 206)
        if start or isinstance(fault, OtherRange):
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("ETag", etag)
        if isinstance(fault, Longer):
            self.send_header("Connection", "close")
            body += b"more"
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.send(body, fault)

    def start(self, data: bytes, etag: str, fault: Fault | None) -> int | None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if not asked or isinstance(fault, Whole | OtherRange):
            return 0
        if self.headers.get("If-Range", etag) != etag:
            return 0
        return int(asked[1]) if int(asked[1]) < len(data) else None

    def send(self, body: bytes, fault: Fault | None) -> None:
        if isinstance(fault, Cut | Held):
            self.wfile.write(body[: fault.after])
            self.wfile.flush()
            self.close_connection = True
            if isinstance(fault, Held):
                self.hub.holding.set()
                self.hub.let_go.wait(60)
                self.wfile.write(body[fault.after :])
            return
        self.wfile.write(body)
        self.close_connection = self.close_connection or isinstance(fault, Longer)

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
