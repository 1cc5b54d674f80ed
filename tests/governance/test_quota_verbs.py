"""`sampan limit …` and `sampan usage`, as typed, and limits in the configuration."""

from __future__ import annotations

import csv
import json
import time
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


def test_the_list_says_what_is_spent_of_the_fullest_pot(home: Path) -> None:
    database = Database(home / "data")
    books = Books(database, capacity=1 << 12)
    books.open()
    since, until = window(config.load(home / "sampan.toml").limits[0].per, time.time(), config.quota.read_zone("UTC"))
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


def test_usage_of_a_month(home: Path) -> None:
    rows = list(csv.reader(typed("usage", "--csv", "--month", "2026-11").splitlines()))
    assert rows == [["department", "calls", "failed", "input_tokens", "output_tokens", "pictures", "cost"]]
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
