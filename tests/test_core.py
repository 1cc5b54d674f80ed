from __future__ import annotations

import pytest

from sampan.core import Attempt, Fault, Incoming


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, ""),
        ({"x-api-key": " k "}, "k"),
        ({"authorization": "Bearer k"}, "k"),
        ({"authorization": "bearer  k "}, "k"),
        ({"authorization": "Basic k"}, ""),
        ({"authorization": "k"}, ""),
        ({"x-api-key": "a", "authorization": "Bearer b"}, "a"),
        ({"x-api-key": "", "authorization": "Bearer b"}, "b"),
    ],
)
def test_a_key_is_found_in_either_dialect_s_header(headers: dict[str, str], expected: str) -> None:
    assert Incoming("POST", "/", "", headers, b"").credential == expected


def test_an_attempt_reads_as_the_header_does() -> None:
    assert str(Attempt("claude", None)) == "claude=ok"
    assert str(Attempt("claude", Fault.CONNECT_TIMEOUT)) == "claude=connect_timeout"
