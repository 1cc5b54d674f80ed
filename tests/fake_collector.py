"""Takes traces as an OpenTelemetry collector does, and keeps them for the test."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeCollector:
    """`with FakeCollector() as collector:`; `status` is what it answers."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.status = 200
        self._came = threading.Condition()
        keep = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with keep._came:
                    keep.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                    keep._came.notify_all()
                self.send_response(keep.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeCollector:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def spans(self) -> list[dict[str, Any]]:
        """All that came, each with the name of its service and its attributes as a dict."""
        found = []
        with self._came:
            for _, _, body in self.requests:
                for resource in body["resourceSpans"]:
                    service = _dict(resource["resource"]["attributes"])["service.name"]
                    for scope in resource["scopeSpans"]:
                        found += [
                            {**span, "service": service, "told": _dict(span["attributes"])} for span in scope["spans"]
                        ]
        return found

    def wait(self, count: int, within: float = 30.0) -> list[dict[str, Any]]:
        """The spans, once there are so many."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.spans_now()) >= count, within), self.requests
        return self.spans()

    def spans_now(self) -> list[Any]:
        bodies = [body for _, _, body in self.requests]
        return [span for body in bodies for each in body["resourceSpans"] for span in each["scopeSpans"][0]["spans"]]


def _dict(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in attributes}
