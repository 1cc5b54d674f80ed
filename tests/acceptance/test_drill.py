"""`sampan drill` as its user runs it: a real gateway between the SDKs and stand-ins, and a verdict that can be no."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from clouds import Cloud
from gateway import KEY, QUICK, SOON, Gateway, environment, eventually, is_alive, route, upstream


def configuration(cloud: Cloud, folder: Path, claude: str = "http://127.0.0.1:9") -> Path:
    """A cloud in front of a server at home, without engines: it starts at once."""
    text = f'[server]\nlisten = "127.0.0.1:0"\ndata = "{folder / "mine"}"\n'
    text += upstream("claude", claude, "anthropic", more='api_key = "sk-real-canary"')
    text += upstream("home", cloud.url("drill-home"), "anthropic", location="local")
    path = folder / "mine.toml"
    path.write_text(text + route("claude-*", '"text"', "claude", "home"))
    return path


def drill(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sampan", "drill", *words],
        capture_output=True,
        text=True,
        timeout=100,
        env=environment() | {"COLUMNS": "160"},
        check=False,
    )


def only(*faults: str) -> list[str]:
    return [word for fault in faults for word in ("--only", fault)]


def told(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "drill.json").read_text())


def test_a_drill_proves_the_users_own_routes(cloud: Cloud, tmp_path: Path) -> None:
    path = configuration(cloud, tmp_path)
    faults = only("refused", "tls", "500", "silence", "cut-body", "content-cut")
    done = drill("--config", str(path), "--out", str(tmp_path / "out"), "--lang", "zh", *faults)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "所有承诺均已兑现" in done.stdout
    report = told(tmp_path / "out")
    assert report["kept"] and len(report["scenes"]) == 11
    for scene in report["scenes"]:
        assert scene["others"] == {"home": "local"} and scene["clouds"].popitem()[1] == "claude"
        assert all(scene["promises"].values()) and set(scene["promises"]) >= {"record", "headers", "breaker"}
        if scene["fault"] == "500":
            assert scene["touched"] == [1, 1, 1, 0]
            assert scene["answered_by"] == "home" and scene["recovery_s"] >= 2.5
    page = (tmp_path / "out" / "drill.html").read_text()
    assert page.count('class="cell kept"') == 11 and "端口拒绝连接" in page
    assert not (tmp_path / "mine").exists(), "the user's data folder was touched"
    assert "sk-real-canary" not in page + (tmp_path / "out" / "drill.json").read_text()


def test_a_broken_promise_is_status_1(cloud: Cloud, tmp_path: Path) -> None:
    """Without anybody at home nothing can go on with a broken stream, and `home` refuses all calls."""
    cloud.cell("drill-home").behaviour = "500"
    try:
        done = drill("--config", str(configuration(cloud, tmp_path)), *only("503"))
    finally:
        cloud.cell("drill-home").behaviour = "healthy"
    assert done.returncode == 1
    assert "answered: call 1 was not answered" in done.stdout and "✗" in done.stdout


def test_a_mistake_is_a_sentence() -> None:
    done = drill(*only("no-such-fault"))
    assert done.returncode == 1 and done.stderr.startswith("sampan: there is no fault 'no-such-fault'"), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stop_leaves_nothing_behind(cloud: Cloud, tmp_path: Path, number: signal.Signals) -> None:
    path = configuration(cloud, tmp_path)
    room = tmp_path / "temporary"
    room.mkdir()
    before = cloud.cell("drill-home").posts
    process = subprocess.Popen(
        [sys.executable, "-m", "sampan", "drill", "--config", str(path), *only("silence")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment() | {"TMPDIR": str(room)},
    )
    eventually(lambda: cloud.cell("drill-home").posts > before, what="a scene to be under way")
    family = _descendants(process.pid)
    assert len(family) >= 2, "the drill has no gateway of its own, on its leash"
    process.send_signal(number)
    if number is signal.SIGKILL:
        process.wait(SOON)
        eventually(lambda: not any(map(is_alive, family)), what="the gateway to end with its drill")
        return
    _, said = process.communicate(timeout=SOON)
    assert process.returncode == 130 and "stopped" in said and "Traceback" not in said, said
    # Its gateway has ended by now; what that started itself sees its pipe end, and may need another moment.
    eventually(lambda: not any(map(is_alive, family)), what="all that the drill started to end")
    assert not list(room.iterdir()), "its folder is still there"


def _descendants(ancestor: int) -> list[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    family = [ancestor]
    for parent in family:
        family += [child for child, its in pairs if its == parent]
    return family[1:]


def test_another_gateway_is_drilled_at_its_url(cloud: Cloud, tmp_path: Path) -> None:
    """Ours plays the other one: all that is known of it is its URL, and that it asks the stand-in."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    clocks = "clocks = { connect = 1, first_event = 1, idle = 1 }"
    config = QUICK + upstream("claude", f"http://127.0.0.1:{port}", "anthropic", more=clocks)
    config += upstream("home", cloud.url("drill-home"), "anthropic", location="local")
    out = tmp_path / "out"
    with Gateway(tmp_path, config + route("claude-*", '"text"', "claude", "home")) as gateway:
        words = ["--url", gateway.url, "--key", KEY, "--listen", f"127.0.0.1:{port}", "--delay", "1"]
        done = drill(*words, "--operation", "text", "--out", str(out), *only("refused", "529", "content-end"))
    assert done.returncode == 0, done.stdout + done.stderr
    report = told(out)
    assert report["url"] == gateway.url and len(report["scenes"]) == 5
    assert all("headers" not in scene["promises"] for scene in report["scenes"])
    assert KEY not in (out / "drill.json").read_text()


def test_the_real_cloud_is_asked_where_that_is_wanted(cloud: Cloud, tmp_path: Path) -> None:
    cell = cloud.cell("drill-real")
    path = configuration(cloud, tmp_path, cloud.url("drill-real"))
    done = drill("--config", str(path), "--real", *only("500"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert cell.posts == 4, "two scenes: one call while well and one when healed"
    assert {head["x-api-key"] for head in cell.heads} == {"sk-real-canary"}
