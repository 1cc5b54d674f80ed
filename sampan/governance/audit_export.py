"""Records on their way out of the house: JSON lines that can be verified, CSV for a table program, a story in words."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from sampan.config.quota import Measure
from sampan.core import Record
from sampan.governance.quota_terms import said
from sampan.storage.chain import Drop, Entry, Seal
from sampan.storage.evidence import Evidence
from sampan.storage.records import Records, Wanted

COLUMNS = (*Record.__struct_fields__, "node", "number", "hash")
_WORDS = {"seal": Seal, "dropped": Drop}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Start(msgspec.Struct, frozen=True):
    """Where an export begins in a node's chain: the record before its first, and that one's hash."""

    node: str
    number: int
    hash: str


def as_dict(entry: Entry) -> dict[str, Any]:
    """A record and its place, flat, in the order of the columns."""
    return {
        **msgspec.structs.asdict(entry.record),
        "node": entry.node,
        "number": entry.number,
        "hash": entry.hash,
    }


def json_line(entry: Entry) -> str:
    """One line without its end. There is one way only to write a record: `verify` takes no other."""
    return json.dumps(as_dict(entry), ensure_ascii=False)


def json_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """The lines of an export, each with its end."""
    for entry in entries:
        yield json_line(entry) + "\n"


def csv_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """RFC 4180 with a heading. Text that a table program would take for a formula gets a `'` in front."""
    yield ",".join(COLUMNS) + "\r\n"
    for entry in entries:
        text = io.StringIO()
        csv.writer(text).writerow([_cell(value) for value in as_dict(entry).values()])
        yield text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        value = value.replace("\0", "\ufffd")
        return f"'{value}" if value.startswith(_FORMULA) else value
    return value


def proof_lines(evidence: Evidence, since: float | None = None) -> Iterator[str]:
    """An export that can be verified by itself: of each node its start, what was signed, and its records without a gap.

    From the first record that started at `since` on; a node that has none such is left out.
    """
    for node in evidence.nodes():
        first = 1 if since is None else evidence.first_since(node, since)
        if not first:
            continue
        drops = [drop for drop in evidence.drops(node) if drop.first >= first]
        # Seals are read first: one that is made meanwhile would speak of records that are not in the export.
        seals = [seal for seal in evidence.seals(node) if seal.number >= first]
        yield _line("start", Start(node, first - 1, evidence.before(node, first)))
        for drop in drops:
            yield _line("dropped", drop)
        for seal in seals:
            yield _line("seal", seal)
        for page in evidence.entries(node, first - 1):
            yield from json_lines(page)


def lines(records: Records, evidence: Evidence, form: str, wanted: Wanted) -> Iterator[str]:
    """An export as `jsonl`, `csv` or `proof`; a proof looks at nothing but `wanted.since`."""
    if form == "proof":
        return proof_lines(evidence, wanted.since)
    return (csv_lines if form == "csv" else json_lines)(records.entries(wanted))


def _line(name: str, value: msgspec.Struct) -> str:
    return json.dumps({name: msgspec.structs.asdict(value)}, ensure_ascii=False) + "\n"


def read_line(line: bytes) -> Entry | Seal | Drop | Start:
    """What stands in a line of an export. Raises `ValueError` where it is not as `json_lines` writes it."""
    try:
        raw = json.loads(line)
        if not isinstance(raw, dict) or f"{json.dumps(raw, ensure_ascii=False)}\n".encode() != line:
            raise ValueError("it is not as Sampan writes it")
    except (RecursionError, UnicodeError):
        raise ValueError("it is not as Sampan writes it") from None
    if len(raw) == 1:
        [(name, value)] = raw.items()
        kind: Any = {**_WORDS, "start": Start}.get(name)
        if kind is None:
            raise ValueError("it is neither a record nor a signed word")
        if not isinstance(value, dict) or tuple(value) != kind.__struct_fields__:
            raise ValueError("its fields are not those of a signed word")
        found: Seal | Drop | Start = msgspec.convert(value, kind)
        return found
    if tuple(raw) != COLUMNS:
        raise ValueError("its fields are not those of a record")
    node, number, digest = raw.pop("node"), raw.pop("number"), raw.pop("hash")
    if not isinstance(node, str) or type(number) is not int or not isinstance(digest, str) or number < 1:
        raise ValueError("its place in the chain is none")
    return Entry(node, number, digest, Record(**raw))


def counted(number: int, what: str) -> str:
    """`1 seal`, `2 seals`."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def milliseconds(took: float) -> str:
    """How long something took; what is refused or kept is told in less than one."""
    return f"{took:,.0f}" if took >= 1 else "<1"


def story(entry: Entry, currency: str) -> str:
    """A call's whole story in words: who, when, what came of it, what it took, and what decided."""
    record = entry.record
    when = datetime.fromtimestamp(record.started, UTC).isoformat(timespec="milliseconds")
    who = record.key_name or "somebody without a valid key"
    for name, value in (("key", record.key_id), ("user", record.user), ("department", record.department)):
        who += f", {name} {value}" if value else ""
    asked = f"asked {record.model or 'no model'} for {record.operation or 'something not understood'}"
    lines = [
        f"{record.id}",
        f"When:      {when}, for {milliseconds(record.total_ms)} ms"
        + (f"; first content after {milliseconds(record.first_event_ms)} ms" if record.first_event_ms else ""),
        f"Who:       {who}" + (f", from {record.peer}" if record.peer else ""),
        f"What:      {asked}, as {record.dialect}, {'streaming' if record.stream else 'whole'}, "
        + counted(record.bytes_in, "byte"),
        f"Outcome:   {_OUTCOMES.get(record.outcome, record.outcome)}; status {record.status}"
        + (f", {record.error}" if record.error else "")
        + f", {counted(record.bytes_out, 'byte')}",
    ]
    attempts = [attempt.partition("=") for attempt in record.attempts.split(",") if attempt]
    for number, (target, _, fault) in enumerate(attempts, 1):
        lines.append(f"Target {number}:  {target}: {'answered' if fault == 'ok' else fault}")
    if record.upstream:
        lines.append(f"Answered:  {record.upstream}, tier {record.tier}")
    if record.cache:
        lines.append(f"Cache:     {record.cache}")
    lines.append(
        f"It took:   {counted(record.input_tokens, 'token')} in, {record.output_tokens:,} out, "
        + counted(record.images, "picture")
        + (f"; cost {said(Measure.MONEY, round(record.cost * 1_000_000))} {currency}" if record.cost else "")
    )
    lines += [f"Media:     {part}" for part in record.receipt.split(";") if part]
    lines.append(f"Rule:      {record.rule or 'none decided'}")
    lines.append(f"Confined:  {record.confined or 'no: it might leave the house'}")
    if record.masked:
        lines.append("Masked:    what identifies people was masked on the way to a cloud")
    lines.append(f"Content:   {record.content or 'none was kept'}")
    lines.append(f"Chain:     node {entry.node}, record {entry.number:,}, hash {entry.hash}")
    return "\n".join(lines)


_OUTCOMES = {
    "ok": "answered",
    "rejected": "an upstream rejected it as the caller's mistake",
    "refused": "we refused it",
    "failed": "no target could answer",
    "interrupted": "it broke off after its first content",
    "left": "the caller went away",
}
