"""The gateways that are drilled: their pinned versions, how they are installed and started, and their configurations.

Each is one process with one model for each slice of the drill, so that slices can be played side by side: the model's
primary is that slice's stand-in, its fallback the local server. The same figures for all, where they can be told:
2 s without an answer, three failures, 3 s of cooldown, no retry of the same upstream before the fallback.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LITELLM = "1.106.2"
PORTKEY = "1.15.2"
PORTKEY_PINS = {"@hono/node-server": "1.13.8", "@hono/node-ws": "1.0.4", "hono": "4.9.7"}
KEY = "sk-sampan-bench-0123456789abcdefghijklmnopqr"
DELAY = 3
"""Seconds that breakers and cooldowns are told to wait; the drill is told the same."""
TIMEOUT = 2
CHAT, MESSAGES = "openai-chat", "anthropic"


@dataclass(frozen=True)
class Slice:
    """Some faults in one dialect. `standin` and `front` are ports: of the primary, and before a gateway that needs
    one."""

    number: int
    dialect: str
    faults: tuple[str, ...]
    standin: int
    front: int

    @property
    def model(self) -> str:
        return f"drill-{self.number}"


@dataclass(frozen=True)
class Launch:
    """How to start a gateway: its command, what to add to its environment, and a page that answers once it is up.

    `headers` are header lines by slice number, for a gateway that takes its configuration with the call.
    """

    command: Sequence[str]
    up: str
    environ: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[int, str] = field(default_factory=dict)


def base(dialect: str, port: int) -> str:
    """The base URL that clouds of this dialect are configured with."""
    return f"http://127.0.0.1:{port}" + ("/v1" if dialect == CHAT else "")


def install_litellm(cache: Path) -> str:
    python = cache / f"litellm-{LITELLM}" / "bin" / "python"
    if not python.with_name("litellm").exists():
        subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", f"litellm[proxy]=={LITELLM}"], check=True)
    asked = "import importlib.metadata as m; print(m.version('litellm'))"
    return subprocess.check_output([str(python), "-c", asked], text=True).strip()


def install_portkey(cache: Path) -> str:
    """Its dependencies are pinned too: with later ones no stream is answered (Portkey-AI/gateway, issue 1389)."""
    folder = cache / f"portkey-{PORTKEY}"
    package = folder / "node_modules" / "@portkey-ai" / "gateway"
    if not package.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise SystemExit("Portkey's gateway needs node and npm")
        folder.mkdir(parents=True, exist_ok=True)
        told = {"private": True, "dependencies": {"@portkey-ai/gateway": PORTKEY}, "overrides": PORTKEY_PINS}
        (folder / "package.json").write_text(json.dumps(told))
        subprocess.run([npm, "install", "--no-fund", "--no-audit"], cwd=folder, check=True)
    node = subprocess.check_output(["node", "--version"], text=True).strip()
    version: str = json.loads((package / "package.json").read_text())["version"]
    pins = ", ".join(f"{name} {pin}" for name, pin in PORTKEY_PINS.items())
    return f"{version} (node {node}; {pins})"


def install_sampan(cache: Path) -> str:
    return subprocess.check_output([sys.executable, "-m", "sampan", "--version"], text=True).strip().split()[-1]


def sampan(folder: Path, cache: Path, port: int, local: int, slices: Sequence[Slice]) -> Launch:
    """One upstream and one route for each slice. Probes only run when a breaker wants one."""
    lines = ["[server]", f'listen = "127.0.0.1:{port}"', f'data = "{folder / "data"}"']
    lines += ["[breaker]", "failures = 3", f"delay = {DELAY}", "[probes]", "interval = 3600"]
    clocks = f"clocks = {{ connect = 1, first_event = {TIMEOUT}, idle = {TIMEOUT}, total = 5 }}"
    for dialect in dict.fromkeys(each.dialect for each in slices):
        lines += [f"[upstreams.local-{dialect}]", f'dialect = "{dialect}"', f'base_url = "{base(dialect, local)}"']
        lines += ['location = "local"']
    for each in slices:
        lines += [f"[upstreams.cloud-{each.number}]", f'dialect = "{each.dialect}"', 'api_key = "sk-drill"']
        lines += [f'base_url = "{base(each.dialect, each.standin)}"', clocks]
    for each in slices:
        lines += ["[[routes]]", f'model = "{each.model}"', 'operations = ["text"]']
        lines += [f'targets = ["cloud-{each.number}", "local-{each.dialect}:local"]']
    path = folder / "sampan.toml"
    path.write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "sampan", "serve", "--config", str(path)]
    return Launch(command, "/health", {"SAMPAN_ADMIN_KEY": KEY})


def litellm(folder: Path, cache: Path, port: int, local: int, slices: Sequence[Slice]) -> Launch:
    """Router fallbacks, cooldowns and timeouts (https://docs.litellm.ai/docs/proxy/reliability).

    `allowed_fails = 2`: the third failure within a minute cools the deployment down. It is set, because by default a
    model group of one deployment is never cooled down.
    """
    provider = {CHAT: "openai", MESSAGES: "anthropic"}
    models = []
    for each in slices:
        for name, at in ((each.model, each.standin), (f"local-{each.number}", local)):
            params = {"model": f"{provider[each.dialect]}/{name}", "api_base": base(each.dialect, at), "api_key": "sk"}
            models.append({"model_name": name, "litellm_params": params})
    router = {
        "num_retries": 0,
        "timeout": TIMEOUT,
        "stream_timeout": TIMEOUT,
        "allowed_fails": 2,
        "cooldown_time": DELAY,
        "fallbacks": [{each.model: [f"local-{each.number}"]} for each in slices],
    }
    told = {"model_list": models, "router_settings": router, "general_settings": {"master_key": KEY}}
    path = folder / "litellm.yaml"
    path.write_text(json.dumps(told, indent=1))  # JSON is YAML
    program = str(cache / f"litellm-{LITELLM}" / "bin" / "litellm")
    command = [program, "--config", str(path), "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
    return Launch(command, "/health/liveliness", {"LITELLM_LOCAL_MODEL_COST_MAP": "True"})


def portkey(folder: Path, cache: Path, port: int, local: int, slices: Sequence[Slice]) -> Launch:
    """A fallback strategy in the header `x-portkey-config` (https://portkey.ai/docs/product/ai-gateway/fallbacks)."""
    provider = {CHAT: "openai", MESSAGES: "anthropic"}
    headers = {}
    for each in slices:
        hosts = [f"http://127.0.0.1:{at}/v1" for at in (each.standin, local)]
        targets: list[dict[str, object]] = [
            {"provider": provider[each.dialect], "api_key": "sk-drill", "custom_host": host} for host in hosts
        ]
        targets[0]["request_timeout"] = TIMEOUT * 1000
        headers[each.number] = "x-portkey-config: " + json.dumps({"strategy": {"mode": "fallback"}, "targets": targets})
    (folder / "portkey.txt").write_text("\n".join(headers.values()) + "\n")
    server = cache / f"portkey-{PORTKEY}" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    return Launch(["node", str(server), "--headless", f"--port={port}"], "/", headers=headers)


INSTALL = {"sampan": install_sampan, "litellm": install_litellm, "portkey": install_portkey}
START = {"sampan": sampan, "litellm": litellm, "portkey": portkey}
TITLES = {"sampan": "Sampan", "litellm": "LiteLLM", "portkey": "Portkey"}
