"""What the platform engineer types: the first start, keys, checks of the configuration, a clean stop."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from behaviours import answer_text
from callers import messages
from clouds import Cloud
from gateway import KEY, QUICK, SOON, TALK, Gateway, environment, eventually, route, sampan, until, upstream

import sampan as package


def _config(cloud: Cloud, name: str) -> str:
    """One local upstream, `name`, that answers for the model `m`."""
    return QUICK + upstream(name, cloud.url(name), "anthropic", location="local") + route("m", TALK, name)


def _body(stream: bool = False) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "messages": messages(False), "stream": stream}


def test_the_version() -> None:
    done = sampan("--version")
    assert (done.returncode, done.stdout.strip()) == (0, f"sampan {package.__version__}")


def test_a_first_start_prints_a_key_that_works_once(cloud: Cloud, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, _config(cloud, "first-start"))
    gateway.start(admin_key=None)
    key = gateway.said("Admin key:").removeprefix("Admin key:").strip()
    assert gateway.http("POST", "/v1/messages", _body(), key=key).status == 200
    assert gateway.http("POST", "/v1/messages", _body()).status == 401, "a key that nobody made is good"
    assert gateway.stop() == 0
    gateway.start(admin_key=None)
    gateway.said("Ready.")
    assert not [line for line in gateway.lines if "sk-sampan-" in line], "the key was printed again"
    assert gateway.http("POST", "/v1/messages", _body(), key=key).status == 200
    assert gateway.stop() == 0
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or key.encode() not in path.read_bytes(), f"the key stands in {path.name}"


def test_keys_are_made_listed_and_revoked_while_it_runs(house: Gateway) -> None:
    made = house.verb("key", "create", "zhang-san", "--role", "member")
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    assert secret.startswith("sk-sampan-") and "\n" not in secret
    ask = {"model": "good-talk-model", "max_tokens": 9, "messages": messages(False)}
    eventually(lambda: house.http("POST", "/v1/messages", ask, key=secret).status == 200, 3, "the new key to work")
    listed = house.verb("key", "list")
    assert "zhang-san" in listed.stdout and secret not in listed.stdout
    reply = house.http("POST", "/v1/messages", ask, key=secret)
    assert house.record(reply.headers["request-id"])["key_name"] == "zhang-san"
    revoked = house.verb("key", "revoke", secret[:16])
    assert revoked.returncode == 0, revoked.stderr
    eventually(lambda: house.http("POST", "/v1/messages", ask, key=secret).status == 401, 1.5, "the key to be refused")
    assert "revoked" in house.verb("key", "list").stdout
    assert house.http("POST", "/v1/messages", ask).status == 200, "another key was revoked too"


def test_mistakes_with_keys_are_sentences(house: Gateway) -> None:
    for words in (("key", "revoke", "nobody"), ("key", "create", "x", "--role", "emperor")):
        done = house.verb(*words)
        assert done.returncode == 1 and done.stderr.startswith("sampan: "), done
        assert "Traceback" not in done.stderr


def test_check_says_what_a_configuration_means(house: Gateway) -> None:
    done = house.verb("check")
    assert done.returncode == 0, done.stderr
    assert "ok" in done.stdout and "good-talk-model" in done.stdout
    assert "sk-cloud-secret-canary" not in done.stdout


@pytest.mark.parametrize(
    ("verb", "text", "line", "word"),
    [
        ("check", "[server]\nlisten = '127.0.0.1:0'\ncolour = 'red'\n", 3, "colour"),
        ("check", "\n[[routes]]\nmodel = 'm'\noperations = ['text']\ntargets = ['nobody']\n", 5, "nobody"),
        ("check", "[upstreams.a]\ndialect = 'anthropic'\nbase_url = 'ftp://example.com'\n", 3, "base_url"),
        (
            "serve",
            "[upstreams.a]\ndialect = 'anthropic'\nbase_url = 'http://h'\napi_key = 'env:NO_SUCH'\n",
            4,
            "NO_SUCH",
        ),
        ("serve", "[upstreams.a]\ndialect = 'anthropic'\nbase_url = 'https://h'\nca = '/no/such.pem'\n", 4, "ca"),
    ],
    ids=["unknown-setting", "unknown-target", "bad-url", "unset-variable", "missing-authority"],
)
def test_a_bad_configuration_names_its_line(tmp_path: Path, verb: str, text: str, line: int, word: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    done = sampan(verb, env={"SAMPAN_CONFIG": str(path)})
    assert done.returncode == 1, done.stdout
    assert f"line {line}" in done.stderr and word in done.stderr, done.stderr
    assert done.stderr.startswith("sampan: ") and "Traceback" not in done.stderr


def test_a_taken_port_is_a_sentence(house: Gateway, tmp_path: Path) -> None:
    path = tmp_path / "sampan.toml"
    path.write_text(f'[server]\nlisten = "127.0.0.1:{house.address[1]}"\ndata = "{tmp_path}/data"\n')
    done = sampan("serve", "--config", str(path))
    assert done.returncode == 1 and "cannot listen" in done.stderr and "Traceback" not in done.stderr


def test_two_servers_do_not_share_a_data_folder(house: Gateway, tmp_path: Path) -> None:
    path = tmp_path / "sampan.toml"
    path.write_text(f'[server]\nlisten = "127.0.0.1:0"\ndata = "{house.data}"\n')
    done = sampan("serve", "--config", str(path))
    assert done.returncode == 1 and done.stderr.startswith("sampan: "), done.stderr
    assert house.http("GET", "/health", key=None).status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_lets_an_open_stream_end(cloud: Cloud, tmp_path: Path, number: signal.Signals) -> None:
    name = f"stop-{number.name}"
    cell = cloud.cell(name)
    cell.behaviour = "gated_middle"
    with Gateway(tmp_path, _config(cloud, name)) as gateway:
        with gateway.connect("/v1/messages", _body(stream=True)) as sock:
            head = until(sock, b"content_block_delta")
            gateway.process.send_signal(number)
            eventually(lambda: _refuses(gateway), what="the listening socket to close")
            assert gateway.process.poll() is None, "it did not wait for the open answer"
            cell.gate.set()
            assert answer_text(name).encode() in head
            until(sock, b"message_stop")
        assert gateway.process.wait(SOON) == 0
        call = head.partition(b"request-id: ")[2].partition(b"\r\n")[0].decode()
        assert gateway.record(call)["outcome"] == "ok"
        assert "Traceback" not in gateway.log


def test_an_answer_that_outlasts_the_stop_ends_in_an_error_event(cloud: Cloud, tmp_path: Path) -> None:
    cell = cloud.cell("outlasting")
    cell.behaviour = "gated_middle"
    with Gateway(tmp_path, _config(cloud, "outlasting"), server="shutdown = 0.2\nkeepalive = 0.05\n") as gateway:
        with gateway.connect("/v1/messages", _body(stream=True)) as sock:
            seen = until(sock, b"content_block_delta")
            seen += until(sock, b": waiting")  # silence between events is filled too
            gateway.process.send_signal(signal.SIGTERM)
            seen += until(sock, b"0\r\n\r\n")
        assert b"event: error" in seen and b"is stopping" in seen and b"message_stop" not in seen
        assert gateway.process.wait(SOON) == 0
        call = seen.partition(b"request-id: ")[2].partition(b"\r\n")[0].decode()
        assert gateway.record(call)["outcome"] == "interrupted"
        assert "Traceback" not in gateway.log
    assert cell.gone.wait(SOON), "the upstream was not let go"


def _refuses(gateway: Gateway) -> bool:
    try:
        gateway.connect("/v1/messages", _body()).close()
    except OSError:
        return True
    return False


def test_without_a_file_it_serves_with_embedded_defaults(tmp_path: Path) -> None:
    """`sampan check` in an empty folder: both engines, and no cloud without a key."""
    done = sampan("check", cwd=tmp_path, env={"COLUMNS": "200"})
    assert done.returncode == 0 and "embedded defaults" in done.stdout
    assert "reader" in done.stdout and "sketcher" in done.stdout
    with_cloud = sampan("check", cwd=tmp_path, env={"COLUMNS": "200", "ANTHROPIC_API_KEY": "sk-ant-canary"})
    assert "api.anthropic.com" in with_cloud.stdout and "sk-ant-canary" not in with_cloud.stdout
    assert list(tmp_path.iterdir()) == [], "check left something behind"


def test_output_reaches_a_pipe_at_once(cloud: Cloud, tmp_path: Path) -> None:
    """Scripts read the URL while the server runs: lines must not sit in a buffer."""
    path = tmp_path / "sampan.toml"
    path.write_text(f'[server]\nlisten = "127.0.0.1:0"\ndata = "{tmp_path}/data"\n{_config(cloud, "piped")}')
    command = [sys.executable, "-m", "sampan", "serve", "--config", str(path)]
    lines: list[str] = []
    seen = threading.Event()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment() | {"SAMPAN_ADMIN_KEY": KEY}
    ) as server:
        assert server.stdout is not None
        for line in server.stdout:
            lines.append(line)
            if line.startswith("Ready."):
                seen.set()
                break
        server.terminate()
        assert server.wait(SOON) == 0
    assert seen.is_set() and any(line.startswith("URL:") for line in lines)
    assert not any(KEY in line for line in lines), "a preset key was printed"
