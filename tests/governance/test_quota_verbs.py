"""`sampan limit …` and `sampan usage`, as typed, and limits in the configuration."""

from __future__ import annotations

import csv
import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sampan import config
from sampan.cli import cli
from sampan.errors import ConfigError, SampanError
from sampan.governance.quota_clock import window
from sampan.storage.db import Database
from sampan.storage.ledger import SETTLED, Books, Folder, Pot, heading, pack
from sampan.storage.records import Records
from tests.storage.test_records import record

RUNNER = CliRunner()
HOUSE = '[[limits]]\nname = "house"\nwhat = "money"\nmost = 100\nper = "month"\ndepartment = "*"\n'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.delenv("SAMPAN_CONFIG", raising=False)
    (tmp_path / "sampan.toml").write_text(HOUSE)
    return tmp_path


def typed(*words: str) -> str:
    result = RUNNER.invoke(cli, words)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*words: str) -> str:
    error = RUNNER.invoke(cli, words).exception
    assert isinstance(error, SampanError), error
    return str(error)


def listed() -> list[dict[str, Any]]:
    return [json.loads(line) for line in typed("limit", "list", "--json").splitlines()]


def test_limits_are_set_listed_and_removed(home: Path) -> None:
    set_ = ("limit", "set", "each", "--what", "tokens", "--most", "1e6", "--per", "month", "--for", "user=*")
    assert typed(*set_, "--for", "department=影像科") == "limit each: 1,000,000 tokens a month\n"
    assert [(each["name"], each["stored"]) for each in listed()] == [("each", True), ("house", False)]
    assert listed()[0]["scope"] == {"user": "*", "department": "影像科"}
    assert "department=影像科 user=*" in typed("limit", "list")
    assert typed(*set_[:6], "5", "--per", "day") == "limit each: 5 tokens a day\n"
    assert listed()[0]["scope"] == {}
    assert typed("limit", "remove", "each") == "limit each is gone\n"
    assert "no stored limit" in refused("limit", "remove", "each")
    assert "stands in the configuration" in refused("limit", "remove", "house")
    assert "stands in the configuration" in refused("limit", "set", "house", "--what", "calls", "--most", "1")
    assert refused("limit", "set", "x", "--what", "calls", "--most", "1").startswith("per: must be")
    assert "hair" in refused("limit", "set", "x", "--what", "calls", "--most", "1", "--per", "day", "--for", "hair=red")
    known = "calls, tokens, input_tokens, output_tokens, pictures, megapixels, engine_seconds, money, concurrency"
    wrong = refused("limit", "set", "x", "--what", "picture", "--most", "1", "--per", "day")
    assert wrong == f"what: 'picture' is not one of {known}"
    wrong = refused("limit", "set", "x", "--what", "calls", "--most", "1", "--per", "week")
    assert wrong == "per: 'week' is not one of minute, day, month"
    assert (
        typed("limit", "set", "y", "--what", "money", "--most", "3e3", "--per", "day") == "limit y: 3,000 CNY a day\n"
    )
    assert typed("limit", "set", "z", "--what", "concurrency", "--most", "8") == "limit z: 8 open calls\n"


def test_whom_nobody_knows_is_told_beside(home: Path) -> None:
    words = ("limit", "set", "x", "--what", "calls", "--most", "5", "--per", "day")
    done = RUNNER.invoke(cli, [*words, "--for", "department=radiolgy", "--for", "role=membr", "--for", "user=*"])
    assert (done.exit_code, done.stdout) == (0, "limit x: 5 calls a day\n")
    assert done.stderr.splitlines() == [
        "limit x: there is no department 'radiolgy' here (a token may still bring it)",
        "limit x: there is no role 'membr' here",
    ]
    typed("department", "add", "radiology")
    done = RUNNER.invoke(cli, [*words, "--for", "department=radiology", "--for", "model=none"])
    assert (done.exit_code, done.stderr) == (0, "")


def test_the_list_says_what_is_spent_of_the_fullest_pot(home: Path) -> None:
    database = Database(home / "data")
    books = Books(database, capacity=1 << 12)
    books.open()
    loaded = config.load(home / "sampan.toml")
    since, until = window(loaded.limits[0].per, time.time(), config.quota.read_zone(loaded.quota.time_zone))
    for name, amount in (("icu", 2_500_000), ("surgery", 1)):
        pot = Pot("house|money|month", f"department={name}", since, until)
        books.append(pack(SETTLED, 0, [(heading(pot), amount)]))
    folder = Folder(books)
    folder.start()
    folder.close()
    books.close()
    database.close()
    [house] = listed()
    assert (house["spent"], house["pot"]) == (2.5, "department=icu")
    told = typed("limit", "list")
    assert all(words in told for words in ("100 CNY a month", "2.5 ", "department=icu"))


def test_costs_are_told_to_a_millionth_and_in_which_currency(home: Path) -> None:
    with closing(Database(home / "data")) as database:
        records = Records(database)
        records.start()
        for number, (outcome, cost) in enumerate((("ok", 0.1), ("ok", 0.1), ("refused", 0.005398))):
            records.append(record(number, started=1_793_500_000.0, department="icu", outcome=outcome, cost=cost))
        records.close()
    rows = list(csv.DictReader(typed("usage", "--csv", "--month", "2026-11").splitlines()))
    assert [(row["calls"], row["not_answered"], row["cost_cny"]) for row in rows] == [("3", "1", "0.205398")]
    [line] = map(json.loads, typed("usage", "--json", "--month", "2026-11").splitlines())
    assert (line["not_answered"], line["cost"], line["currency"]) == (1, 0.205398, "CNY")
    assert "not answered" in typed("usage", "--month", "2026-11")


def test_usage_of_a_month(home: Path) -> None:
    rows = list(csv.reader(typed("usage", "--csv", "--month", "2026-11").splitlines()))
    assert rows == [["department", "calls", "not_answered", "input_tokens", "output_tokens", "pictures", "cost_cny"]]
    assert typed("usage", "--json") == ""
    assert "CNY" in typed("usage", "--by", "model")
    assert "2026-11" in refused("usage", "--month", "13")
    assert refused("usage", "--by", "hair").startswith("by: must be one of")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (HOUSE + HOUSE, "limits.1.name: there are two limits 'house'"),
        (HOUSE.replace("month", "week"), "limits.0.per: 'week' is not one of"),
        (HOUSE.replace('per = "month"\n', ""), "limits.0.per: must be `minute`, `day` or `month`"),
        (HOUSE.replace("100", "1e10"), "limits.0.most: must be 0 to 1,000,000,000"),
        (HOUSE.replace("house", "a|b"), "limits.0.name"),
        ('[quota]\ntime_zone = "Mars/Olympus"\n', "quota.time_zone: 'Mars/Olympus' is no time zone"),
        ('[quota]\nwhen_away = "guess"\n', "quota.when_away: must be `refuse` or `local`"),
        ("[[prices]]\ninput = -1\n", "prices.0.input: must be at least 0"),
    ],
)
def test_a_mistake_in_the_configuration_is_named_with_its_line(text: str, error: str) -> None:
    with pytest.raises(ConfigError) as bad:
        config.parse(text, "sampan.toml", {})
    assert error in str(bad.value)
