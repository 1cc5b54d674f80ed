"""Sampan beside a direct call and nginx as a plain proxy, in one run: `python -m bench.gateway`.

The gateway is pinned to one core, the mock cloud and the load to the other. CPU time is the process's own, from
/proc; rounds are interleaved and medians are shown, for the machines that this runs on are noisy. Calls are measured at
full speed with 32 open at once, and at an even rate.
Needs Linux with two cores, and nginx (Debian: nginx-light). With `--quick` fewer calls and rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.error import URLError
from urllib.request import urlopen

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

GATEWAY_CORE, LOAD_CORE = 0, 1
KEY = "sk-bench-0123456789abcdef"
EVENTS = 65
EVEN_RATE = 500
"""Calls a second at which every contender does the same work: at full speed the fast one keeps the load awake and is
spared the waking of an idle core, which the kernel counts to whoever writes."""
TICK = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@dataclass(frozen=True)
class Contender:
    """Something that answers at `port`; `pid` is whose CPU time counts, None for the direct call."""

    name: str
    port: int
    pid: int | None

    def cpu(self) -> float:
        """CPU seconds so far, of all threads."""
        if self.pid is None:
            return 0.0
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self) -> float:
        """Resident memory, in MiB."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


@contextlib.contextmanager
def process(command: list[str], core: int, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """A process on one core, ended with the block."""
    pinned = ["taskset", "-c", str(core), *command]
    started = subprocess.Popen(pinned, env={**os.environ, **environ}, stdout=subprocess.PIPE, text=True)
    try:
        yield started
    finally:
        started.terminate()
        started.wait(20)


def wait_until_up(url: str) -> None:
    while True:
        with contextlib.suppress(URLError, ConnectionError):
            urlopen(url, timeout=5).close()
            return


@contextlib.contextmanager
def mock(pace: float = 0.0) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "bench.gateway.mock", str(port), str(EVENTS), str(pace)]
    with process(command, LOAD_CORE) as started:
        assert started.stdout is not None
        started.stdout.readline()
        yield port


@contextlib.contextmanager
def nginx(folder: Path, upstream: int) -> Iterator[Contender]:
    port = free_port()
    (folder / "nginx.conf").write_text(f"""
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder}; keepalive_requests 1000000;
  upstream cloud {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000; }}
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://cloud; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_request_buffering on; }} }}
}}""")
    with process(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], GATEWAY_CORE) as started:
        wait_for_port(port)
        yield Contender("nginx", port, started.pid)


def wait_for_port(port: int) -> None:
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 5).close()
            return


@contextlib.contextmanager
def sampan(folder: Path, upstream: int, name: str = "sampan", more: str = "", **env: str) -> Iterator[Contender]:
    """`more` is further configuration, `env` further environment variables of the process."""
    port = free_port()
    path = folder / "sampan.toml"
    path.write_text(f"""
[server]
listen = "127.0.0.1:{port}"
data = "{folder}/data"
[upstreams.cloud]
dialect = "anthropic"
base_url = "http://127.0.0.1:{upstream}"
api_key = "sk-cloud"
probe = "tcp"
[[routes]]
model = "claude-*"
operations = ["text", "vision"]
targets = ["cloud"]
{more}""")
    command = [sys.executable, "-m", "sampan", "serve", "--config", str(path)]
    with process(command, GATEWAY_CORE, SAMPAN_ADMIN_KEY=KEY, **env) as started:
        wait_until_up(f"http://127.0.0.1:{port}/health")
        yield Contender(name, port, started.pid)


def load(contender: Contender, kind: str, calls: int, connections: int = 32, rate: float = 0) -> dict[str, float]:
    """One round: what the load says, and the CPU microseconds of the contender a call (`cpu`)."""
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "bench.gateway.load"]
    command += [str(contender.port), KEY, kind]
    command += [str(calls), str(connections), str(rate)]
    before = contender.cpu()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{contender.name} failed under load:\n{done.stderr}")
    said: dict[str, float] = json.loads(done.stdout)
    said["cpu"] = 1e6 * (contender.cpu() - before) / calls
    return said


def rounds(
    contenders: list[Contender], kind: str, count: int, calls: int, rate: float = 0
) -> dict[str, dict[str, float]]:
    """Interleaved rounds; the median of each figure."""
    found: dict[str, list[dict[str, float]]] = {each.name: [] for each in contenders}
    with Progress(transient=True) as progress:
        for _ in progress.track(range(count), description=f"{kind} {'paced' if rate else 'unpaced'}"):
            for each in contenders:
                found[each.name].append(load(each, kind, calls, rate=rate))
    return {name: {figure: median(each[figure] for each in said) for figure in said[0]} for name, said in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--memory", action="store_true", help="also 60,000 calls, watching memory")
    arguments = parser.parse_args()
    if shutil.which("nginx") is None:
        raise SystemExit("nginx is needed to compare with: apt-get install nginx-light")
    count, calls = (2, 3000) if arguments.quick else (5, 12000)
    console = Console()
    with (
        tempfile.TemporaryDirectory() as first,
        tempfile.TemporaryDirectory() as second,
        mock() as upstream,
        nginx(Path(first), upstream) as plain,
        sampan(Path(second), upstream) as ours,
    ):
        direct = Contender("direct", upstream, None)
        for each in (plain, ours):
            load(each, "json", 500)
            load(each, "stream", 50)
        whole = rounds([plain, ours], "json", count, calls)
        streams = rounds([plain, ours], "stream", count, calls // 30)
        few = 2 if arguments.quick else 3
        even = rounds([plain, ours], "json", few, 6 * EVEN_RATE, rate=EVEN_RATE)
        paced = rounds([direct, plain, ours], "json", few, 400, rate=50)
        first_event = rounds([direct, plain, ours], "stream", few, 200, rate=50)
        table = Table(
            "",
            "CPU µs a call",
            "x nginx",
            "calls/s",
            f"CPU µs a call at {EVEN_RATE}/s",
            "x nginx",
            "CPU µs an event",
            "x nginx",
            "added p50 ms at 50/s",
            "added first event p50 ms",
        )
        for name in ("nginx", "sampan"):
            event = streams[name]["cpu"] / EVENTS
            table.add_row(
                name,
                f"{whole[name]['cpu']:.1f}",
                f"{whole[name]['cpu'] / whole['nginx']['cpu']:.2f}",
                f"{whole[name]['calls'] / whole[name]['seconds']:.0f}",
                f"{even[name]['cpu']:.0f}",
                f"{even[name]['cpu'] / even['nginx']['cpu']:.2f}",
                f"{event:.2f}",
                f"{event / (streams['nginx']['cpu'] / EVENTS):.2f}",
                f"{paced[name]['whole_p50'] - paced['direct']['whole_p50']:.2f}",
                f"{first_event[name]['first_p50'] - first_event['direct']['first_p50']:.2f}",
            )
        console.print(table)
        if arguments.memory:
            remember(console, ours)


def remember(console: Console, ours: Contender) -> None:
    """Resident memory after each 10,000 of 60,000 calls."""
    sizes = [ours.memory()]
    for _ in range(6):
        load(ours, "json", 10_000)
        sizes.append(ours.memory())
    console.print("resident MiB after each 10,000 calls: " + ", ".join(f"{size:.1f}" for size in sizes))


if __name__ == "__main__":
    main()
