"""What strangers try, against a real `sampan serve`: refused each time, and the server answers the next as ever.

Attacks on tokens are with those on identity; what a packet counter must see is with egress.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from clouds import Cloud
from gateway import KEY, QUICK, SOON, TALK, Gateway, Reply, eventually, form, route, upstream

from tests.edge.smuggled import BEHIND, REFUSED
from tests.media.files import bomb

MESSAGES = "/v1/messages"
MODEL = "good-talk-model"
EVIL = "x-evil: 1"


def asked(text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": text}]} | more


def exchange(gateway: Gateway, data: bytes) -> bytes:
    """All that comes back for these bytes, up to the connection's end."""
    with socket.create_connection(gateway.address, SOON) as sock:
        sock.settimeout(SOON)
        said = b""
        with suppress(ConnectionError):
            sock.sendall(data)
            while piece := sock.recv(65_536):
                said += piece
        return said


def whole(gateway: Gateway) -> bool:
    return gateway.http("POST", MESSAGES, asked()).status == 200


# Smuggling.


def test_requests_that_can_be_read_in_two_ways(house: Gateway, cloud: Cloud) -> None:
    posts = cloud.cell("good-talk").posts
    key = f"x-api-key: {KEY}\r\n".encode()
    for name, data in REFUSED.items():
        mine = data.replace(b"POST /a ", b"POST /v1/messages ").replace(b"Host: x\r\n", b"Host: x\r\n" + key, 1)
        said = exchange(house, mine + BEHIND)
        assert said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 414 ", b"HTTP/1.1 505 ")), name
        assert said.count(b"content-length:") == 1, name
    assert cloud.cell("good-talk").posts == posts
    assert whole(house)
    assert "Traceback" not in house.log


# Paths.

OUT = (
    *(
        "../../sampan.db",
        "..%2f..%2fsampan.db",
        "%2e%2e/%2e%2e/sampan.db",
        "%252e%252e%252fsampan.db",
        "....//sampan.db",
    ),
    *("..\\..\\sampan.db", "..%5c..%5csampan.db", "%c0%ae%c0%ae/sampan.db", "/etc/passwd", "%2fetc%2fpasswd", "%00"),
    *("x%00.png", "0" * 64 + ".png", "0" * 64 + "/../../../sampan.db", "A" * 64 + ".png", "0" * 64 + ".html"),
    *("%e2%80%ae.png", "%", "%zz", "file_%2e%2e", "..;/sampan.db", ".", "..", "0" * 64 + ".png%0d%0ax-evil:%201"),
)


@pytest.mark.parametrize("before", ["/artifacts/", "/v1/files/", "/v1/models/", "/v1/responses/", "/"])
def test_paths_that_lead_out_of_the_house(house: Gateway, before: str) -> None:
    for name in OUT:
        for end in ("", "/content", "?expires=9999999999&signature=" + "0" * 64):
            reply = house.http("GET", before + name + end)
            assert reply.status in (400, 403, 404, 405), (name, reply)
            assert b"SQLite" not in reply.body and b"root:" not in reply.body
            assert "x-evil" not in reply.headers
    assert "Traceback" not in house.log


def test_a_link_is_good_for_what_it_was_signed_for_only(house: Gateway) -> None:
    order = {"model": "good-draw-model", "prompt": "a boat", "response_format": "url"}
    url = house.http("POST", "/v1/images/generations", order).json["data"][0]["url"]
    path = url.removeprefix(house.url)
    assert house.http("GET", path, key=None).status == 200
    name, _, query = path.partition("?")
    for other in (
        f"{name}?{query}&{query}",
        f"{name}?{query.replace('expires=', 'expires=9')}",
        f"{name.replace('.png', '.pdf')}?{query}",
        f"{name.replace('/artifacts/', '/artifacts/./')}?{query}",
        f"/artifacts/../artifacts/{name.rpartition('/')[2]}?{query}",
        f"{name}%00?{query}",
        f"{name}?{query.lower()}&x=1",
        name,
    ):
        assert house.http("GET", other, key=None).status in (403, 404), other


# Headers.

BREAKS = (
    f"a\r\n{EVIL}",
    f"a\n{EVIL}",
    f"a\r{EVIL}",
    f"a\x00{EVIL}",
    f"a\u010a{EVIL}",
    f"a\u560d\u560a{EVIL}",
    f"a\x85{EVIL}",
)


def test_no_line_of_a_header_is_begun_by_a_caller(house: Gateway, cloud: Cloud) -> None:
    cell = cloud.cell("good-talk")
    replies = []
    for text in BREAKS:
        replies.append(house.http("POST", MESSAGES, asked(model=text)))
        replies.append(house.http("POST", MESSAGES, asked(metadata={"user_id": text})))
        replies.append(house.http("POST", MESSAGES, asked(text)))
        replies.append(house.http("POST", "/v1/images/generations", {"model": text, "prompt": text, "user": text}))
        for name in ("a.png", text):
            body, kind = form({}, {"file": (name, "image/png", b"x")})
            uploaded = house.http("POST", "/v1/files", body, {"content-type": kind})
            replies.append(uploaded)
            assert uploaded.status == 200 or name == text, uploaded
            if uploaded.status == 200:
                replies.append(house.http("GET", f"/v1/files/{uploaded.json['id']}/content"))
    for reply in replies:
        assert reply.status in (200, 400, 404), reply
        assert "x-evil" not in reply.headers and not [each for each in reply.headers.values() if "x-evil" in each]
    assert not [head for head in cell.heads if "x-evil" in head]


@pytest.mark.parametrize(
    "name", ["anthropic-beta", "anthropic-version", "x-request-id", "x-sampan-attempts", "traceparent"]
)
@pytest.mark.parametrize("mark", [b"\r", b"\n", b"\x00", b"\x0b\x00", b"\r\n x"])
def test_a_header_with_a_line_end_in_it_is_no_request(house: Gateway, cloud: Cloud, name: str, mark: bytes) -> None:
    posts = cloud.cell("good-talk").posts
    data = json.dumps(asked()).encode()
    head = f"POST {MESSAGES} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-length: {len(data)}\r\n"
    said = exchange(house, head.encode() + name.encode() + b": a" + mark + EVIL.encode() + b"\r\n\r\n" + data)
    assert said.startswith(b"HTTP/1.1 400 ") and b"x-evil" not in said.partition(b"\r\n\r\n")[0]
    assert cloud.cell("good-talk").posts == posts


def test_what_a_caller_says_in_our_headers_is_not_repeated_nor_believed(house: Gateway, cloud: Cloud) -> None:
    said = {"x-request-id": "mine", "request-id": "mine", "x-sampan-upstream": "mine", "x-sampan-tier": "mine"}
    said |= {"x-forwarded-for": "203.0.113.9", "forwarded": "for=203.0.113.9", "x-real-ip": "203.0.113.9"}
    reply = house.http("POST", MESSAGES, asked(), said)
    assert reply.status == 200 and "mine" not in reply.headers.values()
    assert not {*said} & {*cloud.cell("good-talk").heads[-1]}
    assert house.record(reply.headers["request-id"])["peer"] == "127.0.0.1"
    query = house.http("POST", f"{MESSAGES}?a=%0d%0a{EVIL.replace(' ', '%20')}", asked())
    assert query.status == 200 and "x-evil" not in cloud.cell("good-talk").heads[-1]


# Bombs, and bodies that are too much or too slow.


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
def test_a_packed_body_is_not_unpacked(house: Gateway, cloud: Cloud, coding: str) -> None:
    posts = cloud.cell("good-talk").posts
    body = gzip.compress(json.dumps(asked("x" * 1_000_000)).encode())
    reply = house.http("POST", MESSAGES, body, {"content-encoding": coding, "content-type": "application/json"})
    assert reply.status == 415 and "content-encoding" in reply.json["error"]["message"]
    assert cloud.cell("good-talk").posts == posts


def test_a_picture_of_sixty_thousand_pixels_a_side_is_not_drawn(house: Gateway) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(bomb()).decode()}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "?"}]
    reply = house.http("POST", MESSAGES, asked(messages=[{"role": "user", "content": content}]))
    assert reply.status == 400 and "60000×60000 pixels" in reply.json["error"]["message"]


@pytest.mark.parametrize("depth", [1_000, 100_000, 1_000_000])
def test_json_that_is_deep_is_refused_and_no_crash(house: Gateway, depth: int) -> None:
    for opening in (b"[", b'{"a":'):
        body = b'{"model": "' + MODEL.encode() + b'", "max_tokens": 9, "messages": ' + opening * depth
        reply = house.http("POST", MESSAGES, body, {"content-type": "application/json"})
        assert reply.status in (400, 413)
    assert whole(house) and "Traceback" not in house.log


FORT = """
body_timeout = 1.5
idle_timeout = 5
max_body = 100_000
connections_per_address = 6
connections_per_second = 1000
"""


@pytest.fixture(scope="module")
def fort(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose limits are small, and hold for this machine itself too."""
    config = QUICK + upstream("good-talk", cloud.url("good-talk"), "anthropic") + route(MODEL, TALK, "good-talk")
    config += '[cors]\norigins = ["https://app.example.org"]\n'
    with Gateway(tmp_path_factory.mktemp("fort"), config, server=FORT) as gateway:
        yield gateway


def headed(*lines: str) -> bytes:
    return "\r\n".join((f"POST {MESSAGES} HTTP/1.1", "host: x", f"x-api-key: {KEY}", *lines, "", "")).encode()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (headed("a: " + "b" * 70_000), 431),
        (headed(*["a: b"] * 101), 431),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 414),
        (b"GET /", 408),  # and nothing more
        (headed("content-length: 100001") + b"a" * 100_001, 413),
        (headed("content-length: 99999999999999") + b"a", 413),
        (headed("transfer-encoding: chunked") + b"ffffff\r\n" + b"a" * 200_000, 413),
        (headed("transfer-encoding: chunked") + b"1;" + b"a" * 300_000, 400),
        (headed("content-length: 90000") + b"{", 400),  # and nothing more
        (headed("transfer-encoding: chunked") + b"1\r\n{\r\n", 400),
        (headed("content-length: 5").replace(KEY.encode(), b"sk-sampan-wrong") + b"{", 400),
        (headed("content-length: 90000").replace(KEY.encode(), b"sk-sampan-wrong") + b"{", 401),
    ],
)
def test_what_is_too_much_or_too_slow_is_refused_in_time(fort: Gateway, data: bytes, status: int) -> None:
    said = exchange(fort, data)
    assert said.startswith(b"HTTP/1.1 %d " % status), said[:200]
    assert b"connection: close" in said
    assert whole(fort)


def test_an_address_that_holds_all_its_connections_gets_no_other(fort: Gateway) -> None:
    def room() -> bool:
        with suppress(ConnectionError, http.client.HTTPException):
            return fort.http("GET", "/health", key=None).status == 200
        return False

    held = [socket.create_connection(fort.address, SOON) for _ in range(6)]
    said = exchange(fort, b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 429 ") and b"6 connections" in said
    held.pop().close()
    eventually(room, what="a place that was left")
    for sock in held:
        sock.close()
    assert "were turned away" in fort.log


def test_a_page_of_a_named_origin_may_ask_and_of_another_may_not(fort: Gateway) -> None:
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    for origin, status in (("https://app.example.org", 204), ("https://evil.example", 403)):
        reply = fort.http("OPTIONS", MESSAGES, None, {"origin": origin, **asks}, key=None)
        assert reply.status == status
        assert reply.headers.get("access-control-allow-origin") == (origin if status == 204 else None)
    reply = fort.http("POST", MESSAGES, asked(), {"origin": "https://app.example.org"})
    assert "x-sampan-upstream" in reply.headers["access-control-expose-headers"]


# Behind TLS and a proxy.


def make(folder: Path, name: str) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    paths = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")]
    subprocess.run([*command, *paths], check=True, capture_output=True)


class Bastion(Gateway):
    """Asked by https, with the certificate that is trusted at that moment."""

    trusted: Path

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("https://").rpartition(":")
        return host, int(port)

    def http(
        self,
        method: str,
        path: str,
        body: bytes | dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        key: str | None = KEY,
    ) -> Reply:
        sent = dict(headers or {}) | ({"x-api-key": key} if key else {})
        context = ssl.create_default_context(cafile=str(self.trusted))
        connection = http.client.HTTPSConnection(*self.address, timeout=SOON, context=context)
        try:
            connection.request(method, path, json.dumps(body) if isinstance(body, dict) else body, sent)
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, named, answer.read())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def bastion(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bastion]:
    folder = tmp_path_factory.mktemp("bastion")
    for name in ("old", "new"):
        make(folder, name)
    for end in ("pem", "key"):
        shutil.copy(folder / f"old.{end}", folder / f"mine.{end}")
    config = QUICK + upstream("good-talk", cloud.url("good-talk"), "anthropic") + route(MODEL, TALK, "good-talk")
    config += f'[tls]\ncertificate = "{folder}/mine.pem"\nkey = "{folder}/mine.key"\nhandshake = 1\n'
    server = 'trusted_proxies = ["127.0.0.1/32"]\nguesses_per_minute = 3\n'
    gateway = Bastion(folder, config, server=server)
    gateway.trusted = folder / "old.pem"
    with gateway:
        yield gateway


def test_who_asks_is_whom_our_proxy_names_last(bastion: Bastion) -> None:
    for forwarded, peer in (
        ("203.0.113.9", "203.0.113.9"),
        ("10.0.0.1, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1, nonsense", "127.0.0.1"),
    ):
        reply = bastion.http("POST", MESSAGES, asked(), {"x-forwarded-for": forwarded})
        assert reply.status == 200
        assert bastion.record(reply.headers["request-id"])["peer"] == peer


def test_an_address_that_guesses_keys_is_not_heard_for_a_while(bastion: Bastion) -> None:
    def ask(address: str, key: str) -> Reply:
        return bastion.http("POST", MESSAGES, asked(), {"x-forwarded-for": address}, key=key)

    assert ask("203.0.113.50", KEY).status == 200
    assert [ask("203.0.113.50", f"sk-sampan-{n}").status for n in range(5)] == [401] * 3 + [429] * 2
    refused = ask("203.0.113.50", "sk-sampan-5")
    assert 0 < int(refused.headers["retry-after"]) <= 15 and refused.json["error"]["type"] == "rate_limit_error"
    assert ask("203.0.113.50", KEY).status == 200, "a good key beside a guesser"
    assert ask("203.0.113.51", "sk-sampan-6").status == 401
    assert "sk-sampan-" not in bastion.log


def test_plain_http_and_silence_at_a_tls_port_are_ended(bastion: Bastion) -> None:
    said = exchange(bastion, b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 400 ") and b"https://" in said
    for data in (b"", b"\x16", b"\x16\x03\x01\xff\xff" + os.urandom(100)):
        assert b"HTTP/" not in exchange(bastion, data)
    reply = bastion.http("GET", "/health", key=None)
    assert reply.status == 200 and reply.headers["strict-transport-security"] == "max-age=31536000"
    assert "Traceback" not in bastion.log


def test_a_certificate_that_changes_is_in_force_without_a_restart(bastion: Bastion) -> None:
    folder = bastion.folder
    (folder / "mine.pem").write_text("nonsense")
    eventually(lambda: "the old one stays in force" in bastion.log, what="a word on the broken certificate")
    assert bastion.http("GET", "/health", key=None).status == 200
    for end in ("key", "pem"):
        shutil.copy(folder / f"new.{end}", folder / f"next.{end}")
        os.replace(folder / f"next.{end}", folder / f"mine.{end}")
    eventually(lambda: "the certificate changed and is in force" in bastion.log, what="the new certificate")
    with pytest.raises(ssl.SSLCertVerificationError):
        bastion.http("GET", "/health", key=None)
    bastion.trusted = folder / "new.pem"
    assert bastion.http("GET", "/health", key=None).status == 200
    assert bastion.verb("reload").returncode == 0
    assert bastion.http("GET", "/health", key=None).status == 200
