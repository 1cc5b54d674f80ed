"""The verbs."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer
import uvloop
from rich.console import Console
from rich.markup import escape

from sampan import __version__, backing, config
from sampan.app import App, serve
from sampan.config.verbs import ConfigOption, as_options, find, print_table
from sampan.drill.orders import Orders, send
from sampan.errors import CallError, ConfigError
from sampan.governance import inventory
from sampan.governance.audit_verbs import audit_cli
from sampan.governance.people_verbs import departments_cli, keys_cli, roles_cli, users_cli
from sampan.governance.policy_verbs import make_policy_cli
from sampan.governance.quota_verbs import limits_cli, usage
from sampan.network import catalog_of
from sampan.releases import golden
from sampan.releases.changing import standings
from sampan.releases.verbs import models_cli
from sampan.reloading import Reloader, ask_server
from sampan.storage.verbs import migrate
from sampan.telemetry import configure_logging
from sampan.warming import cache_cli

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Sampan: a self-hosted AI gateway that keeps answering when the cloud does not.",
)
cli.add_typer(keys_cli, name="key")
cli.add_typer(departments_cli, name="department")
cli.add_typer(users_cli, name="user")
cli.add_typer(roles_cli, name="role")
cli.add_typer(make_policy_cli(lambda loaded: catalog_of(loaded).plan), name="policy")
cli.add_typer(limits_cli, name="limit")
cli.command("usage")(usage)
cli.add_typer(audit_cli, name="audit")
cli.add_typer(models_cli, name="models")
cli.add_typer(cache_cli, name="cache")
cli.command("backup")(backing.backup_verb)
cli.command("restore")(backing.restore_verb)
cli.command("move")(backing.move_verb)
cli.command("migrate")(migrate)


def main() -> None:
    """Runs a verb; an error that was raised on purpose is a sentence and status 1, never a stack trace."""
    try:
        cli()
    except (ConfigError, CallError) as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    print(f"sampan: {message}", file=sys.stderr)
    raise SystemExit(1)


def _load(path: Path | None) -> tuple[config.Config, Path | None]:
    path = find(path)
    return config.load(path), path


@cli.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Prints the version.")] = False) -> None:
    if version:
        print(f"sampan {__version__}")
        raise typer.Exit


@cli.command("serve")
def serve_verb(path: ConfigOption = None) -> None:
    """Starts the gateway and its engines; Ctrl-C stops them."""
    loaded, path = _load(path)
    configure_logging(loaded.server.log_level, loaded.telemetry.log_format)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(loaded, path))


@cli.command("reload")
def reload_verb(path: ConfigOption = None) -> None:
    """Has the running gateway read its configuration again, without dropping a call; a bad one changes nothing."""
    loaded, path = _load(path)
    ask_server(Path(loaded.server.data))
    say(f"{path or 'embedded defaults'}: in force")


async def _serve(loaded: config.Config, path: Path | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        if stop.is_set():
            os._exit(130)  # asked twice: now. The engines see their lifeline close and end too
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked)
    app = App(loaded, path=path)

    async def announce(app: App) -> None:
        await _announce(app, path)

    async with app:
        with Reloader(path, Path(loaded.server.data), app.reload) as reloader:
            loop.add_signal_handler(signal.SIGHUP, reloader.ask)
            await serve(app, announce, stop)


async def _announce(app: App, path: Path | None) -> None:
    """Who we are, where, the first key, and each engine as it gets warm."""
    say(f"Sampan {__version__}   configuration: {path or 'embedded defaults'}")
    say(f"URL:       {app.public_url}")
    if app.admin_key:
        say(f"Admin key: {app.admin_key}")
        say("           It is shown only now: keep it. `sampan key create NAME` makes more.")
    for route in app.config.routes:
        operations = ", ".join(operation.value for operation in route.operations)
        say(f"Route:     {route.model} ({operations}) -> {' -> '.join(route.targets)}")
    began = time.monotonic()
    await asyncio.gather(*(_announce_engine(app, name, began) for name in app.config.engines))
    say("Ready." if app.config.engines else "Ready. No engine is configured.")


async def _announce_engine(app: App, name: str, began: float) -> None:
    while True:
        try:
            await app.wait_warm(name, 10.0)
        except TimeoutError as error:
            say(f"Engine:    still waiting: {error}")
        else:
            say(f"Engine:    {name} is warm after {time.monotonic() - began:.1f} s")
            return


def say(line: str) -> None:
    """Plain and at once: people read it, and so do scripts."""
    print(line, flush=True)


@cli.command()
def check(path: ConfigOption = None) -> None:
    """Reads the configuration, says what it means, and starts nothing."""
    loaded, path = _load(path)
    if loaded.releases.golden:
        golden.read(Path(loaded.releases.golden))
    console = Console()
    console.print(f"{escape(str(path or 'embedded defaults'))}: [bold green]ok[/]", soft_wrap=True)
    rows = [(route.model, ", ".join(route.operations), " → ".join(route.targets)) for route in loaded.routes]
    print_table(("model", "operations", "targets, best first"), rows, whole=("model",), title="Routes")
    asked = [(name, each.dialect, each.base_url, each.api_key) for name, each in loaded.upstreams.items()]
    for name, engine in loaded.engines.items():
        asked.append((name, engine.speaks, engine.url or f"engine {engine.kind}", engine.api_key))
    keyed = [(name, dialect.value, where, "set" if key else "none") for name, dialect, where, key in asked]
    print_table(("name", "dialect", "where", "key"), keyed, whole=("name",), title="Upstreams")
    hosts = escape(", ".join(loaded.egress.hosts) or "any: [egress] hosts is empty")
    console.print(f"May be connected to: {hosts}", soft_wrap=True)
    in_force = standings(loaded)
    engines = [(name, engine.kind, engine.model or "–", in_force[name]) for name, engine in loaded.engines.items()]
    print_table(("name", "kind", "model", "release in force"), engines, whole=("name",), title="Engines")
    taken = inventory.take(loaded)
    lines = [(line.what, "" if line.count is None else str(line.count), line.which) for line in taken.lines]
    print_table(("what", "count", "which"), lines, title="Governance, transport, cache")
    for note in taken.notes:
        print(note, file=sys.stderr)


@cli.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def engine(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="reader or sketcher")],
    listen: Annotated[str, typer.Option(help="Address and port to listen on.")] = "127.0.0.1:8010",
    threads: Annotated[int, typer.Option(min=1, help="Calls to work on at once.")] = 1,
) -> None:
    """Runs one engine alone, in its own process; it speaks its dialect at --listen."""
    command = [sys.executable, "-m", "sampan.engines.server", kind, "--listen", listen, "--threads", str(threads)]
    os.execv(sys.executable, [*command, *context.args])


@cli.command("drill")
@as_options(Orders)
def drill(orders: Orders) -> None:
    """Rehearses outages of every cloud with stand-ins and prints a scorecard; status 1 where a promise was broken."""
    send(orders)
