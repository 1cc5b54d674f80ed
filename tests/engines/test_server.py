"""The life of an engine process: it listens at once, gets warm, drains, and ends with whoever holds its lifeline."""

from __future__ import annotations

import http.client
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import anthropic
import openai
import pytest
from engine_process import EngineProcess, engine, warm_engine

ASK = b'{"model":"m","max_tokens":99,"messages":[{"role":"user","content":"say hi"}]}'
TALKER = "fake_engines:Talker"


@pytest.fixture(scope="module")
def talker() -> Iterator[EngineProcess]:
    with warm_engine(TALKER) as running:
        yield running


def stream(running: EngineProcess, question: str) -> http.client.HTTPResponse:
    """An answer that streams, its first frames read up to the first text."""
    body = (
        b'{"model":"m","max_tokens":99,"stream":true,"messages":[{"role":"user","content":"%b"}]}' % question.encode()
    )
    client = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    client.request("POST", "/v1/messages", body)
    answer = client.getresponse()
    while b"text_delta" not in answer.readline():
        pass
    return answer


def test_it_listens_before_it_is_loaded_and_says_how_far_it_is(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with engine(TALKER, "--threads", "3", env={"FAKE_GATE": str(gate)}) as running:
        assert running.ask("GET", "/health")[0] == 200
        running.line("threads 3")
        status, headers, said = running.ask("GET", "/ready")
        assert (status, said) == (503, {"ready": False, "stage": "loading", "model": "talker"})
        assert headers["retry-after"] == "1"
        status, headers, said = running.ask("POST", "/v1/messages", ASK)
        assert (status, said["error"]["type"], headers["retry-after"]) == (529, "overloaded_error", "2")
        status, headers, said = running.ask("POST", "/v1/images/generations", b"{}")
        assert (status, said["error"]["type"], headers["retry-after"]) == (503, "server_error", "2")
        gate.touch()
        said = running.until("/ready", lambda said: said["ready"])
        assert said == {"ready": True, "stage": "ready", "model": "talker", "working": 0, "waiting": 0}
        assert running.lines.index("fake: warm") < running.lines.index(running.line("ready after"))
        assert running.ask("POST", "/v1/messages", ASK)[0] == 200


def test_both_sdks_list_and_find_its_model(talker: EngineProcess) -> None:
    with anthropic.Anthropic(base_url=talker.url, api_key="x") as client:
        assert [model.id for model in client.models.list()] == ["talker"]
        assert client.models.retrieve("talker").display_name == "Sampan talker"
    with openai.OpenAI(base_url=f"{talker.url}/v1", api_key="x") as other:
        assert [model.id for model in other.models.list()] == ["talker"]
        assert other.models.retrieve("talker").owned_by == "sampan"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("POST", "/nothing", 404),
        ("GET", "/v1/models/other", 404),
        ("GET", "/v1/messages", 405),
        ("PUT", "/v1/messages", 405),
        ("POST", "/v1/images/generations", 404),  # another kind's
    ],
)
def test_what_it_does_not_have_is_said_in_the_dialect(
    talker: EngineProcess, method: str, path: str, status: int
) -> None:
    got, headers, said = talker.ask(method, path, b"{}" if method != "GET" else None)
    assert got == status
    if path.startswith("/v1/images"):
        assert said["error"]["type"] == "invalid_request_error"
    else:
        assert said["type"] == "error"
        assert said["request_id"] == headers["request-id"]


def test_a_body_over_the_limit_is_refused_and_the_next_call_answered(talker: EngineProcess) -> None:
    status, _, said = talker.ask("POST", "/v1/messages", b"x" * (64 * 1024 * 1024 + 1))
    assert (status, said["error"]["type"]) == (413, "request_too_large")
    assert talker.ask("POST", "/v1/messages", ASK)[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_open_answers_end_before_it_does(number: signal.Signals, tmp_path: Path) -> None:
    with warm_engine(TALKER) as running:
        answer = stream(running, f"until {tmp_path / 'gate'}")
        running.process.send_signal(number)
        while _listens(running.port):
            pass
        (tmp_path / "gate").touch()
        rest = answer.read()
        assert b"done" in rest
        assert rest.rstrip().endswith(b'data: {"type":"message_stop"}')
        assert running.process.wait(20) == 0
        running.line("stops")


def test_an_answer_that_does_not_end_is_cut_after_the_drain() -> None:
    with warm_engine(TALKER) as running:
        answer = stream(running, "hold")
        running.process.send_signal(signal.SIGTERM)
        with pytest.raises(http.client.IncompleteRead):
            answer.read()
        assert running.process.wait(20) == 0


def test_a_second_signal_ends_it_at_once() -> None:
    with warm_engine(TALKER) as running:
        answer = stream(running, "hold")
        running.process.send_signal(signal.SIGTERM)
        while _listens(running.port):
            pass
        assert running.end() == 0
        answer.close()


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def test_it_ends_when_its_lifeline_does_and_leaves_sigint_to_its_supervisor() -> None:
    with warm_engine(TALKER, "--lifeline") as running:
        answer = stream(running, "hold")
        running.process.send_signal(signal.SIGINT)
        assert running.ask("GET", "/ready")[0] == 200
        assert running.process.stdin is not None
        running.process.stdin.close()
        assert running.process.wait(10) == 0
        answer.close()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("fake_engines:broken", "the model file is damaged"),
        ("fake_engines:neither", "made neither a talker"),
        ("fake_engines:missing", "missing"),
        ("no_such_module:x", "no_such_module"),
        ("nonsense", "there is no engine kind 'nonsense'"),
    ],
)
def test_an_engine_that_cannot_be_loaded_ends_with_words(kind: str, words: str) -> None:
    with engine(kind) as running:
        assert running.process.wait(20) == 1
        running.line(words)


def test_a_taken_port_and_a_wrong_address_are_said(talker: EngineProcess) -> None:
    for listen, words in ((f"127.0.0.1:{talker.port}", "in use"), ("127.0.0.1:x", "is no HOST:PORT")):
        with engine(TALKER, "--listen", listen) as running:
            assert running.process.wait(20) == 1
            running.line(words)
