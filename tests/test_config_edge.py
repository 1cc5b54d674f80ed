"""Settings of the door that do not fit are refused, each with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampan.config import parse
from sampan.errors import ConfigError


@pytest.fixture
def pair(tmp_path: Path) -> str:
    for name in ("a.pem", "a.key"):
        (tmp_path / name).touch()
    return f'[tls]\ncertificate = "{tmp_path}/a.pem"\nkey = "{tmp_path}/a.key"\n'


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ('[tls]\nkey = "pyproject.toml"', 2, "tls.key: needs `certificate` beside it"),
        ('[tls]\ncertificate = "pyproject.toml"', 2, "tls.certificate: needs `key` beside it"),
        ('[tls]\nclient_ca = "pyproject.toml"', 2, "tls.client_ca: needs `certificate`"),
        ('[tls]\nkey = "nowhere.key"\ncertificate = "nowhere.pem"', 3, "tls.certificate: there is no such file"),
        ("[tls]\nhandshake = 0", 2, "tls.handshake: must be at least 0.05"),
        ('[cors]\norigins = ["app.example.org"]', 2, "cors.origins: 'app.example.org' is no origin"),
        ('[cors]\norigins = ["https://app.example.org/"]', 2, "cors.origins"),
        ('[cors]\norigins = ["https://APP.example.org"]', 2, "cors.origins"),
        ('[cors]\norigins = ["null"]', 2, "cors.origins"),
        ('[cors]\norigins = ["https://*.example.org"]', 2, "cors.origins"),
        ('[cors]\norigins = ["https://a.b\\r\\nx: y"]', 2, "cors.origins"),
        ('[cors]\ncredentials = true\norigins = ["*"]', 2, "cors.credentials: cannot be true where `origins` has `*`"),
        ('[cors]\nheaders = ["a b"]', 2, "cors.headers: 'a b' is no name of a header"),
        ('[cors]\nmethods = ["GET, PUT"]', 2, "cors.methods: 'GET, PUT' is no name of a method"),
        ('[server]\ntrusted_proxies = ["10.0.0.1/8"]', 2, "server.trusted_proxies: 10.0.0.1/8 has host bits set"),
        ('[server]\ntrusted_proxies = ["proxy.lan"]', 2, "server.trusted_proxies"),
        ("[server]\nconnections_per_address = 0", 2, "server.connections_per_address: must be at least 1"),
    ],
)
def test_it_is_refused_with_its_line(text: str, line: int, why: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(text, "sampan.toml", {})
    assert f"line {line}: " in str(error.value) and why in str(error.value)


def test_what_fits_is_taken(pair: str) -> None:
    text = pair + '[cors]\norigins = ["https://a.example", "http://localhost:5173", "https://[::1]:8443"]\n'
    config = parse(f'[server]\ntrusted_proxies = ["10.0.0.0/8", "192.0.2.1", "fd00::/8"]\n{text}', "x", {})
    assert config.tls.certificate.endswith("a.pem")
    assert len(config.cors.origins) == len(config.server.trusted_proxies) == 3
