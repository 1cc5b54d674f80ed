"""`sampan audit …`: reads, verifies, exports and opens what was recorded, beside a running gateway or without one."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sampan.config.verbs import ConfigOption, JsonOption, as_options, load, print_table
from sampan.errors import ConfigError
from sampan.governance.audit_check import Findings
from sampan.governance.audit_content import make_pair, read_private, unseal
from sampan.governance.audit_export import counted, json_line, lines, milliseconds, story
from sampan.governance.audit_orders import (
    ExportOrders,
    ListOrders,
    read_time,
)
from sampan.governance.audit_verify import Progress as Told
from sampan.governance.audit_verify import check_database, check_files, read_expected, read_keys, result_of
from sampan.storage.chain import AuditKey
from sampan.storage.db import Database
from sampan.storage.evidence import Evidence, Hold
from sampan.storage.records import Records, Wanted

audit_cli = typer.Typer(no_args_is_help=True, help="Reads, verifies and exports the records of calls.")
hold_cli = typer.Typer(no_args_is_help=True, help="Keeps records from being dropped.")
audit_cli.add_typer(hold_cli, name="hold")

IdArgument = Annotated[str, typer.Argument(help="The request id that the answer carried.")]
PrivateKeyOption = Annotated[Path, typer.Option(help="File with the auditor's private key, from `keygen`.")]


@dataclass(frozen=True, slots=True)
class Archive:
    """What the verbs read."""

    folder: Path
    records: Records
    evidence: Evidence
    currency: str


def _open(path: Path | None) -> Archive:
    loaded = load(path)
    database = Database(Path(loaded.server.data), loaded.storage.database)
    records = Records(database)
    return Archive(database.folder, records, Evidence(database, records.node), loaded.quota.currency)


@audit_cli.command("list")
@as_options(ListOrders)
def audit_list(orders: ListOrders) -> None:
    """Lists records, the newest first."""
    found, more = _open(orders.config).records.search(orders.wanted(), orders.limit, orders.after)
    if orders.as_json:
        for entry in found:
            print(json_line(entry))
        return
    columns = ("started (UTC)", "id", "department", "user or key", "model", "outcome", "answered by", "ms")
    rows = []
    for entry in found:
        record = entry.record
        when = datetime.fromtimestamp(record.started, UTC).strftime("%Y-%m-%d %H:%M:%S")
        who = record.user or record.key_name
        came_of_it = (record.outcome, record.upstream, milliseconds(record.total_ms))
        rows.append((when, record.id, record.department, who, record.model, *came_of_it))
    print_table(columns, rows, whole=("id",), spare=("ms", "answered by", "department"))
    if more:
        print(f"There are more: --after {found[-1].record.id}", file=sys.stderr)


@audit_cli.command("show")
def audit_show(identifier: IdArgument, path: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Tells the whole story of one call."""
    archive = _open(path)
    entry = archive.records.entry(identifier)
    if entry is None:
        raise ConfigError(f"there is no record {identifier[:100]!r}; it may have been dropped")
    print(json_line(entry) if as_json else story(entry, archive.currency))


@audit_cli.command("export")
@as_options(ExportOrders)
def audit_export(orders: ExportOrders) -> None:
    """Writes records to standard output, oldest first: one JSON object a line, or CSV."""
    if orders.format not in ("jsonl", "csv"):
        raise ConfigError(f"--format {orders.format[:20]!r} is neither jsonl nor csv.")
    wanted = orders.wanted()
    if orders.proof and (orders.format != "jsonl" or wanted != Wanted(since=wanted.since)):
        raise ConfigError("--proof goes with --since alone: what is left out could not be told from what was cut.")
    archive = _open(orders.config)
    _write(lines(archive.records, archive.evidence, "proof" if orders.proof else orders.format, wanted))


def _write(text: Iterable[str]) -> None:
    out = sys.stdout.buffer
    for line in text:
        out.write(line.encode("utf-8", "replace"))
    out.flush()


@audit_cli.command("verify")
def audit_verify(
    files: Annotated[list[Path] | None, typer.Argument(help="Exports, oldest first. Default: the database.")] = None,
    public_key: Annotated[Path | None, typer.Option(help="File with the public keys that may have signed.")] = None,
    expect: Annotated[
        list[str] | None, typer.Option(help="NODE:NUMBER:HASH, noted elsewhere; may be given again.")
    ] = None,
    path: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Finds whatever was edited, cut, swapped or put in since it was recorded; status 1 where something was."""
    expected = read_expected(expect or ())
    keys = frozenset[str]() if public_key is None else read_keys(_text(public_key))
    began = time.perf_counter()
    with _watched() as told:
        if files:
            findings = check_files(files, keys, expected, told)
        else:
            archive = _open(path)
            if not keys and archive.evidence.nodes() == (archive.evidence.node,):
                keys = frozenset({AuditKey.of(archive.folder).public})
            findings = check_database(archive.evidence, keys, expected, told)
    if as_json:
        print(msgspec.json.encode(result_of(findings)).decode())
    else:
        _print_findings(findings, time.perf_counter() - began)
    if not findings.good:
        raise typer.Exit(1)


def _print_findings(findings: Findings, seconds: float) -> None:
    for note in findings.notes:
        print(f"note: {note}")
    for problem in findings.problems:
        print(problem)
    if findings.count > len(findings.problems):
        print(f"and {findings.count - len(findings.problems):,} more")
    rate = findings.records / seconds if seconds else 0.0
    print(
        f"{counted(findings.records, 'record')}, {counted(findings.seals, 'seal')}, "
        f"{counted(findings.contents, 'content')}, {counted(findings.dropped, 'record')} of dropped days; "
        f"{counted(round(rate), 'record')} a second"
    )
    print("Nothing was changed." if findings.good else f"{counted(findings.count, 'problem')}.")


@contextmanager
def _watched() -> Iterator[Told | None]:
    """A bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("verifying", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@audit_cli.command("key")
def audit_key(path: ConfigOption = None) -> None:
    """Prints the public key that this node seals with, to be kept where nobody can change it."""
    archive = _open(path)
    print(f"{archive.evidence.node} {AuditKey.of(archive.folder).public}")


@audit_cli.command("seals")
def audit_seals(path: ConfigOption = None) -> None:
    """Prints the last seal of each node as NODE:NUMBER:HASH, to be noted elsewhere: see `verify --expect`."""
    evidence = _open(path).evidence
    for node in evidence.nodes():
        seals = evidence.seals(node)
        if seals:
            last = seals[-1]
            when = datetime.fromtimestamp(last.time, UTC).strftime("%Y-%m-%d %H:%M:%S")
            print(f"{node}:{last.number}:{last.hash}  {when} UTC")
        else:
            print(f"{node} is not sealed yet", file=sys.stderr)


@audit_cli.command("keygen")
def audit_keygen(
    into: Annotated[Path, typer.Argument(help="File for the private key; the public one gets .pub behind its name.")],
) -> None:
    """Makes the auditor's pair of keys, for sealed content. Keep the private one away from the gateway."""
    private, public = make_pair()
    beside = into.with_name(into.name + ".pub")
    for file, content, mode in ((into, private, 0o600), (beside, public, 0o644)):
        try:
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as handle:
                handle.write(content)
        except OSError as error:
            raise ConfigError(f"{file} cannot be written: {error.strerror}") from None
    print(f"{into}: for the auditor alone")
    print(f"{beside}: for [audit] public_key")


@audit_cli.command("open")
def audit_open(identifier: IdArgument, private_key: PrivateKeyOption, path: ConfigOption = None) -> None:
    """Opens what was sealed of a call, and prints it as JSON; bytes that are no text are in base64."""
    key = read_private(private_key)
    data = _open(path).evidence.content(identifier)
    if data is None:
        raise ConfigError(f"nothing was kept of {identifier[:100]!r}")
    content = unseal(data, identifier, key)
    shown = msgspec.structs.asdict(content)
    for name in ("question", "answer"):
        try:
            shown[name] = shown[name].decode()
        except UnicodeDecodeError:
            shown[name] = {"base64": shown[name]}
    print(msgspec.json.encode(shown).decode())


@hold_cli.command("add")
def hold_add(
    name: Annotated[str, typer.Argument(help="What the hold is called.")],
    department: Annotated[str, typer.Option(help="Only of this department.")] = "",
    since: Annotated[str, typer.Option("--from", help="Only calls that started then or later.")] = "",
    until: Annotated[str, typer.Option("--to", help="Only calls that started before.")] = "",
    reason: Annotated[str, typer.Option(help="Why, for who reads it later.")] = "",
    path: ConfigOption = None,
) -> None:
    """Keeps records from being dropped: every day that holds such a call stays whole."""
    hold = Hold(name, department, read_time(since), read_time(until), reason)
    _open(path).evidence.hold(hold)
    print(f"{name} is held")


@hold_cli.command("list")
def hold_list(path: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Lists what is held."""
    holds = _open(path).evidence.holds()
    if as_json:
        for hold in holds:
            print(msgspec.json.encode(hold).decode())
        return
    rows = []
    for hold in holds:
        span = [
            "–" if each is None else datetime.fromtimestamp(each, UTC).strftime("%Y-%m-%d %H:%M")
            for each in (hold.since, hold.until)
        ]
        rows.append((hold.name, hold.department or "all", *span, hold.reason))
    print_table(("name", "department", "from", "to", "reason"), rows, whole=("name",))


@hold_cli.command("remove")
def hold_remove(
    name: Annotated[str, typer.Argument(help="What the hold is called.")], path: ConfigOption = None
) -> None:
    """Takes a hold away; what only it kept is dropped within the hour."""
    _open(path).evidence.unhold(name)
    print(f"{name} is held no longer")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path} cannot be read: {reason}") from None
