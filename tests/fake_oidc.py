"""A fake OpenID Connect provider: real HTTP on loopback and real RS256 keys, but it signs in whomever the test says."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

CLIENT = "sampan-console"
SECRET = "a secret of the client: with a colon"


def jwk(key: Any, kid: str, algorithm: type[Any] = RSAAlgorithm, **more: Any) -> dict[str, Any]:
    """The public half of a key, as a key set holds it."""
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig", **more}


class FakeProvider:
    """`person` are the claims of whoever is signed in; `lie` are claims put over them in the ID token."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.kid = "k1"
        self.person: dict[str, Any] = {"sub": "u-17", "preferred_username": "li.wei", "groups": ["staff"]}
        self.lie: dict[str, Any] = {}
        self.asked: list[str] = []
        self.refusing = False
        self._codes: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(urlsplit(self.path).path)
                provider._get(self)

            def do_POST(self) -> None:
                provider.asked.append(urlsplit(self.path).path)
                provider._post(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator[FakeProvider]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def jwks(self) -> bytes:
        return json.dumps({"keys": [jwk(self.key, self.kid)]}).encode()

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A token of this provider's; `exp` is an hour ahead unless it is said."""
        return jwt.encode(
            {"iss": self.url, "exp": int(time.time()) + 3600, **claims},
            self.key,
            algorithm="RS256",
            headers={"kid": self.kid},
        )

    def _get(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        if self.refusing:
            _answer(handler, 503, b"{}")
        elif parts.path == "/.well-known/openid-configuration":
            pages = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
            said = {"issuer": self.url, **{name: f"{self.url}/{path}" for name, path in pages.items()}}
            _answer(handler, 200, json.dumps(said).encode())
        elif parts.path == "/keys":
            _answer(handler, 200, self.jwks())
        elif parts.path == "/authorize":
            self._authorize(handler, {name: values[0] for name, values in parse_qs(parts.query).items()})
        else:
            _answer(handler, 404, b"{}")

    def _authorize(self, handler: BaseHTTPRequestHandler, query: dict[str, str]) -> None:
        assert query["response_type"] == "code" and query["code_challenge_method"] == "S256"
        assert query["client_id"] == CLIENT and "openid" in query["scope"].split()
        code = f"code-{len(self._codes)}"
        self._codes[code] = query
        back = urlencode({"code": code, "state": query["state"], "iss": self.url})
        handler.send_response(302)
        handler.send_header("location", f"{query['redirect_uri']}?{back}")
        handler.send_header("content-length", "0")
        handler.end_headers()

    def _post(self, handler: BaseHTTPRequestHandler) -> None:
        form = {
            name: values[0]
            for name, values in parse_qs(handler.rfile.read(int(handler.headers["content-length"])).decode()).items()
        }
        scheme, _, word = handler.headers.get("authorization", "").partition(" ")
        name, _, secret = base64.b64decode(word).decode().partition(":") if scheme == "Basic" else ("", "", "")
        begun = self._codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode()
        fits = begun is not None and begun["code_challenge"] == challenge.rstrip("=")
        fits = fits and begun is not None and begun["redirect_uri"] == form["redirect_uri"]
        if not fits or begun is None or (unquote(name), unquote(secret)) != (CLIENT, SECRET):
            _answer(handler, 400, b'{"error": "invalid_grant"}')
            return
        token = self.sign({**self.person, "aud": CLIENT, "nonce": begun["nonce"], **self.lie})
        _answer(handler, 200, json.dumps({"id_token": token, "access_token": "x", "token_type": "Bearer"}).encode())


def _answer(handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    handler.send_response(status)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
