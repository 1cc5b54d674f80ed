"""The verbs of the audit, as typed."""

import json
import stat
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sampan.cli import cli, main
from sampan.config import verbs
from sampan.core import Actor, Incoming
from sampan.errors import ConfigError
from sampan.governance.audit_content import Contents, read_public
from sampan.governance.audit_orders import read_time
from sampan.storage.chain import AuditKey
from sampan.storage.db import Database
from sampan.storage.evidence import Evidence
from sampan.storage.records import Records
from tests.storage.test_records import record

RUNNER = CliRunner()


def typed(*words: str, status: int = 0) -> str:
    result = RUNNER.invoke(cli, ["audit", *words])
    assert result.exit_code == status, result.output
    return result.stdout


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with five records, the last one's content sealed; all of them sealed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    for name in ("SAMPAN_CONFIG", "ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    typed("keygen", "auditor.pem")
    with closing(Database(tmp_path / "data")) as database:
        kept = Contents(
            lambda actor: "sealed", lambda: 1000, lambda text: [], read_public(tmp_path / "auditor.pem.pub")
        )
        records = Records(database, linger=0.001, keeping=kept)
        records.start()
        for number in range(1, 5):
            records.append(record(number, department=f"d{number % 2}", model="=1+1"))
        call = Incoming("POST", "/v1/messages", "", {}, b"the question")
        content = kept.keep("req_5", call, Actor("k", "ann", "member"), b"\xff")
        records.append(record(5, content=content))
        assert records.flush(10)
        Evidence(database, records.node).seal(AuditKey.of(tmp_path / "data"), records.head)
        records.close()
    yield tmp_path


def test_records_are_listed_and_told(home: Path) -> None:
    assert "req_4" in typed("list", "--department", "d0")
    assert "req_3" not in typed("list", "--department", "d0")
    lines = typed("list", "--json", "--limit", "2", "--since", "2023-11-14T22:13:21").splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["req_5", "req_4"]
    assert "Target 1:  claude: refused" in typed("show", "req_1")
    assert json.loads(typed("show", "req_1", "--json"))["number"] == 1


def test_calls_of_no_time_and_of_some_cost_are_told_as_they_are(home: Path) -> None:
    with closing(Database(home / "data")) as database:
        records = Records(database)
        records.start()
        records.append(record(6, total_ms=0.2, first_event_ms=0.0, cost=0.0000054, images=1, input_tokens=1))
        records.close()
    told = typed("show", "req_6")
    assert ", for <1 ms\n" in told
    assert "1 token in, " in told and "1 picture; cost 0.000005 CNY" in told
    assert "│ <1 " in typed("list", "--limit", "1")


def test_ids_are_whole_on_a_narrow_terminal(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "terminal_width", lambda: 80)
    told = typed("list")
    assert all(f"req_{number} " in told for number in range(1, 6)) and "…" not in told
    assert max(map(len, told.splitlines())) <= 80


def test_exports_are_verified_and_told_apart(home: Path) -> None:
    (home / "plain.jsonl").write_text(typed("export"), encoding="utf-8")
    (home / "proof.jsonl").write_text(typed("export", "--proof"), encoding="utf-8")
    (home / "key").write_text(typed("key"), encoding="utf-8")
    note = typed("seals").split()[0]
    told = typed("verify", "proof.jsonl", "--public-key", "key", "--expect", note)
    assert "5 records, 1 seal, 0 contents" in told and told.endswith("Nothing was changed.\n")
    assert "nothing is signed" in typed("verify", "plain.jsonl")
    text = (home / "proof.jsonl").read_text(encoding="utf-8")
    (home / "proof.jsonl").write_text(text.replace('"req_3"', '"req_9"'), encoding="utf-8")
    told = typed("verify", "proof.jsonl", "--public-key", "key", status=1)
    assert "record 3: req_9 is not what was written" in told and told.endswith("\n1 problem.\n")
    said = json.loads(typed("verify", "proof.jsonl", "--json", status=1))
    assert (said["good"], said["problem_count"], said["problems"][0]["number"]) == (False, 1, 3)


def test_the_database_is_verified_with_the_key_of_its_folder(home: Path) -> None:
    assert "5 records, 1 seal, 1 content," in typed("verify")
    with closing(Database(home / "data")) as database, database.write() as connection:
        connection.exec_driver_sql("DELETE FROM records WHERE number = 2")
    assert "record 2: missing: 2" in typed("verify", status=1)


def test_tables_hold_no_formula(home: Path) -> None:
    lines = typed("export", "--format", "csv").splitlines()
    assert len(lines) == 6
    assert ",'=1+1," in lines[1]


def test_what_is_sealed_is_opened_with_the_private_key(home: Path) -> None:
    opened = json.loads(typed("open", "req_5", "--private-key", "auditor.pem"))
    assert (opened["question"], opened["answer"]) == ("the question", {"base64": "/w=="})
    assert stat.S_IMODE((home / "auditor.pem").stat().st_mode) == 0o600


def test_holds_come_and_go(home: Path) -> None:
    typed("hold", "add", "case", "--department", "d1", "--from", "2026-01-01", "--reason", "court")
    assert "court" in typed("hold", "list")
    assert json.loads(typed("hold", "list", "--json"))["since"] == 1_767_225_600.0
    typed("hold", "remove", "case")
    assert "court" not in typed("hold", "list")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "req_9"), "there is no record 'req_9'"),
        (("open", "req_1", "--private-key", "auditor.pem"), "nothing was kept of 'req_1'"),
        (("open", "req_5", "--private-key", "none"), "none cannot be read"),
        (("keygen", "auditor.pem"), "auditor.pem cannot be written: File exists"),
        (("export", "--format", "xml"), "neither jsonl nor csv"),
        (("export", "--proof", "--model", "x"), "--proof goes with --since alone"),
        (("list", "--since", "noon"), "'noon' is no time"),
        (("verify", "--expect", "x"), "is not NODE:NUMBER:HASH"),
        (("verify", "--public-key", "none"), "none cannot be read"),
        (("hold", "remove", "x"), "there is no hold 'x'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["sampan", "audit", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_times_are_read_as_people_write_them() -> None:
    assert read_time("") is None
    assert read_time("1.5") == 1.5
    assert read_time("1970-01-02") == 86400.0
    assert read_time("1970-01-01T08:00+08:00") == 0.0
    with pytest.raises(ConfigError, match="is no time"):
        read_time("yesterday")
