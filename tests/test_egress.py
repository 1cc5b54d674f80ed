"""What `[egress]` lets be connected to: the rule, the configuration that it would cut off, and what `check` says."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sampan.cli import cli
from sampan.config import Egress, parse
from sampan.errors import ConfigError

RULES = Egress(
    [
        "api.anthropic.com:443",
        "*.openai.com",
        "vllm.lan",
        "10.0.0.0/8",
        "!10.9.0.0/16",
        "192.0.2.7:8000",
        "!bad.openai.com",
    ]
)


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("api.anthropic.com", 443),
        ("API.Anthropic.COM.", 443),
        ("api.openai.com", 8080),
        ("a.b.openai.com", 443),
        ("vllm.lan", 1),
        ("10.1.2.3", 9000),
        ("192.0.2.7", 8000),
        ("::ffff:10.1.2.3", 80),
        ("127.0.0.1", 5),
        ("::1", 5),
        ("localhost", 5),
    ],
)
def test_what_is_listed_may_be_connected_to(host: str, port: int) -> None:
    RULES.check(host, port)


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("api.anthropic.com", 80),
        ("anthropic.com", 443),
        ("openai.com", 443),
        ("xopenai.com", 443),
        ("bad.openai.com", 443),
        ("api.anthropic.com.evil.org", 443),
        ("10.9.0.1", 443),
        ("::ffff:10.9.0.1", 443),
        ("64:ff9b::0a09:1", 443),
        ("192.0.2.7", 80),
        ("192.0.2.8", 8000),
        ("11.0.0.1", 80),
        ("127.1", 80),
        ("2130706433", 80),
        ("127.0.0.1.nip.io", 80),
        ("", 80),
    ],
)
def test_anything_else_may_not(host: str, port: int) -> None:
    with pytest.raises(ConfigError, match=r"\[egress\] hosts does not let"):
        RULES.check(host, port)
    assert not RULES.allows(host, port)


@pytest.mark.parametrize(
    ("name", "address", "allowed"),
    [
        ("vllm.lan", "93.184.216.34", True),
        ("vllm.lan", "10.1.1.1", True),
        ("vllm.lan", "172.16.0.1", True),
        ("vllm.lan", "10.9.1.1", False),
        ("vllm.lan", "127.0.0.1", False),
        ("vllm.lan", "::ffff:127.0.0.1", False),
        ("vllm.lan", "169.254.169.254", False),
        ("vllm.lan", "100.100.100.200", False),
        ("vllm.lan", "fe80::1%eth0", False),
        ("vllm.lan", "0.0.0.0", False),
        ("localhost", "127.0.0.1", True),
        ("localhost", "93.184.216.34", False),
        ("evil.org", "93.184.216.34", False),
        ("10.1.1.1", "10.1.1.1", True),
        ("", "11.1.1.1", False),
    ],
)
def test_a_name_must_not_turn_out_to_be_what_a_rule_forbids(name: str, address: str, allowed: bool) -> None:
    if allowed:
        RULES.check_address(address, 443, name)
    else:
        with pytest.raises(ConfigError, match="does not let"):
            RULES.check_address(address, 443, name)


def test_without_a_rule_everything_is_allowed() -> None:
    for egress in (Egress(), Egress(["!10.0.0.0/8", "!evil.org"])):
        egress.check("a.org", 1)
        egress.check_address("127.0.0.1", 1, "a.org")
    assert not Egress().restricted and Egress(["!a"]).restricted
    with pytest.raises(ConfigError):
        Egress(["!evil.org"]).check("evil.org", 1)
    with pytest.raises(ConfigError):
        Egress(["!10.0.0.0/8"]).check_address("10.0.0.1", 1, "a.org")


@pytest.mark.parametrize("entry", ["", "a b", "a.org:0", "a.org:70000", "*", "a.*.org", "https://a.org", "[::1", "-x"])
def test_an_entry_that_is_none_stops_the_start(entry: str) -> None:
    with pytest.raises(ConfigError, match=r"x, line 2: egress\.hosts: "):
        parse(f'[egress]\nhosts = ["{entry}"]\n', "x", {})


CUT_OFF = {
    "upstreams.a.base_url": '[upstreams.a]\ndialect = "anthropic"\nbase_url = "https://evil.org/v1"\n',
    "upstreams.a.proxy": '[upstreams.a]\ndialect = "anthropic"\nbase_url = "http://10.1.1.1"\nproxy = "http://p.lan:1"\n',
    "engines.e.url": '[engines.e]\nkind = "server"\nurl = "http://vllm2.lan:8000"\n',
    "storage.state": '[storage]\nstate = "redis://:pw@redis.lan/0"\n',
}


@pytest.mark.parametrize("path", CUT_OFF)
def test_what_it_would_cut_off_stops_the_start_with_its_line(path: str) -> None:
    text = CUT_OFF[path]
    with pytest.raises(ConfigError) as raised:
        parse(f'{text}[egress]\nhosts = ["10.0.0.0/8"]\n', "x", {})
    key = path.rpartition(".")[2]
    line = next(number for number, each in enumerate(text.splitlines(), 1) if each.startswith(key))
    assert str(raised.value).startswith(f"x, line {line}: {path}: [egress] hosts") and "pw" not in str(raised.value)


def test_what_is_on_this_machine_needs_no_entry() -> None:
    text = '[upstreams.a]\ndialect = "anthropic"\nbase_url = "http://127.0.0.1:9"\n[egress]\nhosts = ["a.org"]\n'
    assert parse(text, "x", {}).egress.hosts == ["a.org"]


def test_check_says_what_may_be_connected_to(tmp_path: Path) -> None:
    path = tmp_path / "sampan.toml"
    path.write_text(f'[server]\ndata = "{tmp_path}/d"\n[egress]\nhosts = ["*.lan", "[fd00::]:80"]\n')
    told = CliRunner().invoke(cli, ["check", "--config", str(path)])
    assert told.exit_code == 0 and "May be connected to: *.lan, [fd00::]:80" in told.output
    path.write_text(f'[server]\ndata = "{tmp_path}/d"\n')
    told = CliRunner().invoke(cli, ["check", "--config", str(path)])
    assert "May be connected to: any" in told.output
