"""Request heads and the values that they are made from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.errors import ConfigError
from sampan.upstreams.head import HeadBlock
from sampan.upstreams.origin import Clocks, Origin, Proxy


@pytest.mark.parametrize(
    ("url", "origin", "host"),
    [
        ("https://api.anthropic.com", Origin("https", "api.anthropic.com", 443, ""), "api.anthropic.com"),
        ("http://10.0.0.5:8000/v1/", Origin("http", "10.0.0.5", 8000, "/v1"), "10.0.0.5:8000"),
        ("http://[::1]/a/b", Origin("http", "::1", 80, "/a/b"), "[::1]"),
        ("HTTPS://API.Example:8443", Origin("https", "api.example", 8443, ""), "api.example:8443"),
        ("https://网关.example", Origin("https", "xn--d6q013i.example", 443, ""), "xn--d6q013i.example"),
    ],
)
def test_an_origin_is_read_from_a_url(url: str, origin: Origin, host: str) -> None:
    assert Origin.parse(url) == origin
    assert origin.host_header == host


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.anthropic.com",
        "ftp://x",
        "http://",
        "http:///v1",
        "http://x:port",
        "http://x:0",
        "http://x:70000",
        "http://user:secret@x",
        "http://x/?a=b",
        "http://x/#a",
        "http://x/\r\nhost: y",
        "http://x y",
        "http://[::1",
        "http://x/路",
        "http://" + "网" * 70,
    ],
)
def test_a_url_that_is_no_origin(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Origin.parse(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://x:1", "socks5://x:1", "http://:1", "http://x:1/path", "x:1"])
def test_a_url_that_is_no_proxy(url: str) -> None:
    with pytest.raises(ConfigError):
        Proxy.parse(url)


def test_a_proxy_without_a_user_sends_no_credentials() -> None:
    assert Proxy.parse("http://proxy.example:3128") == Proxy("proxy.example", 3128, "")


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_clocks_are_positive(seconds: float) -> None:
    with pytest.raises(ConfigError, match="idle"):
        Clocks(idle=seconds)


text = st.text(st.characters(max_codepoint=300), max_size=12)


@given(method=text, target=text, headers=st.lists(st.tuples(text, text), max_size=3), length=st.integers(0, 10))
def test_a_head_is_refused_or_has_just_the_lines_it_was_given(
    method: str, target: str, headers: list[tuple[str, str]], length: int
) -> None:
    block = HeadBlock(Origin.parse("http://x"), {"accept": "a"})
    try:
        head = block.render(method, target, headers, length)
    except ValueError:
        return
    assert block.render(method, target, headers, length) == head
    assert head.endswith(b"\r\n\r\n")
    lines = head[:-4].split(b"\r\n")
    assert lines[0] == f"{method} {target} HTTP/1.1".encode()
    names = {name.lower() for name, _ in headers}
    sized = length > 0 or method in {"POST", "PUT", "PATCH"}
    assert len(lines) == 1 + 1 + ("accept" not in names) + len(headers) + sized
    assert not any(byte in b"\r\n\0" for line in lines for byte in line)


def test_more_different_heads_than_are_kept() -> None:
    block = HeadBlock(Origin.parse("http://x"), {})
    for number in range(1000):
        assert block.render("GET", f"/{number}", (), 0) == b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % number
    assert len(block._kept) <= 64
