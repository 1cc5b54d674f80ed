"""Options become orders, orders cross to the process that follows them, and what means nothing is a sentence."""

from __future__ import annotations

import os
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from sampan.config.verbs import as_options
from sampan.drill.drill import run
from sampan.drill.orders import VARIABLE, Handover, Orders, Watching, received, send
from sampan.errors import ConfigError


def test_every_option_reaches_the_process_that_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`execve` is where this process would end: its environment is what the next one gets."""
    handed: dict[str, str] = {}
    monkeypatch.setattr(os, "execve", lambda program, command, environ: handed.update(environ))
    cli = typer.Typer()
    cli.command()(as_options(Orders)(send))
    words = (
        "-c a.toml --only 500 --only tls --operation text --model claude-*=opus --out o --lang zh --handover continue"
    )
    done = CliRunner().invoke(
        cli,
        [
            *words.split(),
            *["--delay", "9", "--together", "2", "--url", "http://h", "--key", "k", "--real", "--progress", "json"],
        ],
    )
    assert done.exit_code == 0, done.output
    assert received(handed) == Orders(
        config="a.toml",
        only=["500", "tls"],
        operation=["text"],
        model=["claude-*=opus"],
        out="o",
        lang="zh",
        handover=Handover.CONTINUE,
        delay=9.0,
        together=2,
        url="http://h",
        key="k",
        real=True,
        progress=Watching.JSON,
    )
    assert received({}) == Orders()
    assert VARIABLE in handed


@pytest.mark.parametrize(
    ("orders", "said"),
    [
        ({"only": ["no-such-fault"]}, "no-such-fault"),
        ({"operation": ["sing"]}, "sing"),
        ({"model": ["opus"]}, "WHAT=NAME"),
        ({"lang": "tlh"}, "tlh"),
        ({"config": "/no/such.toml"}, "such.toml"),
        ({"out": "/dev/null/x"}, "--out"),
        ({"url": "http://127.0.0.1:9", "listen": "nowhere"}, "--listen"),
        ({"url": "http://127.0.0.1:9", "listen": "127.0.0.1:0", "only": ["500"]}, "from the stand-in"),
    ],
)
async def test_what_means_nothing_is_a_sentence(orders: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        await run(Orders(**orders))
