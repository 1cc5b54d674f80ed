"""`sampan cache warm`: where it asks, and whom it trusts. What comes of it is in the acceptance tests."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme
from click.testing import Result
from typer.testing import CliRunner

from sampan import config
from sampan.cli import cli
from sampan.errors import ConfigError
from sampan.warming import own_url

TLS = '[tls]\ncertificate = "own.pem"\nkey = "own.pem"\n'


class _Answerer(BaseHTTPRequestHandler):
    """Answers as a gateway that had nothing yet; says by its status whether path and key were the right ones."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        right = (self.path, self.headers["x-api-key"]) == ("/ai/v1/messages", "sk-1")
        self.send_response(200 if right else 404)
        self.send_header("x-sampan-cache", "miss")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing on standard error."""


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a configuration of a server with a certificate of one's own making, which runs."""
    monkeypatch.chdir(tmp_path)
    for name in ("SAMPAN_CONFIG", "SAMPAN_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SAMPAN_API_KEY", "sk-1")
    authority = trustme.CA()
    authority.cert_pem.write_to_path("ca.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path("own.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("own.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answerer)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    public = f'public_url = "https://localhost:{server.server_port}/ai/"'
    (tmp_path / "sampan.toml").write_text(f"[server]\n{public}\n{TLS}")
    (tmp_path / "common.jsonl").write_text(json.dumps({"model": "m", "max_tokens": 9, "messages": []}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path
    server.shutdown()
    server.server_close()


def warmed(*words: str) -> Result:
    return CliRunner().invoke(cli, ["cache", "warm", "common.jsonl", *words])


def test_it_asks_where_the_configuration_says_with_an_authority_of_ones_own(house: Path) -> None:
    done = warmed("--ca", "ca.pem")
    assert (done.exit_code, "answers: 1 new" in done.stdout) == (0, True), done.output
    done = warmed()
    assert (done.exit_code, "its certificate is not trusted" in done.stderr) == (1, True), done.output
    for words, said in (
        (("--ca", "nowhere.pem"), "--ca nowhere.pem: cannot be read: No such file"),
        (("--ca", "common.jsonl"), "--ca common.jsonl: cannot be read"),
        (("--url", "localhost:8000"), "--url 'localhost:8000': must be a URL such as"),
    ):
        assert said in str(warmed(*words).exception), words


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", "http://127.0.0.1:8000"),
        ('[server]\nlisten = "0.0.0.0:9000"\n', "http://127.0.0.1:9000"),
        ('[server]\nlisten = "[::]:9000"\n' + TLS, "https://[::1]:9000"),
        ('[server]\nlisten = "10.0.0.7:443"\n' + TLS, "https://10.0.0.7:443"),
        ('[server]\npublic_url = "https://ai.example.org"\n', "https://ai.example.org"),
    ],
)
def test_where_a_gateway_is_reached(text: str, url: str, house: Path) -> None:
    assert own_url(config.parse(text, "sampan.toml", {})) == url


def test_a_port_that_only_the_process_knows_has_to_be_told() -> None:
    with pytest.raises(ConfigError, match="names no port: say with --url"):
        own_url(config.parse('[server]\nlisten = "127.0.0.1:0"\n', "sampan.toml", {}))
