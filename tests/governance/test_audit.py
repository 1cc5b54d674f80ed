"""All of the audit together, as `app` has it."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path

import pytest

from sampan.config import AuditSettings, Config, SinkSettings, parse
from sampan.core import Actor, Incoming
from sampan.errors import ConfigError
from sampan.governance.audit import Audit
from sampan.governance.audit_content import make_pair, read_private, unseal
from sampan.governance.detect import Detector
from sampan.storage.db import Database
from tests.storage.test_records import record

ANN = Actor("key_1", "ann", "member", "病案室")
BOB = Actor("key_2", "bob", "member", "门诊")
CALL = Incoming("POST", "/v1/messages", "", {}, b'{"a": 1}')


class Posted:
    """Takes every batch that is POSTed."""

    def __init__(self) -> None:
        self.got = asyncio.Queue[tuple[str, list[int]]]()

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        self.got.put_nowait((url, [kept["number"] for kept in json.loads(body)["records"]]))
        return 200


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / "data")) as made:
        yield made


def sink(name: str) -> SinkSettings:
    return SinkSettings(name=name, url=f"https://{name}/", secret="0123456789abcdef")


async def test_it_delivers_seals_and_follows_a_new_configuration(database: Database) -> None:
    posted = Posted()
    audit = Audit(database, AuditSettings(sinks=[sink("one")]), Detector().find, posted)
    assert audit.start() == 0
    audit.records.append(record(1))
    assert audit.records.flush(10)
    work = asyncio.create_task(audit.run())
    try:
        async with asyncio.timeout(20):
            assert await posted.got.get() == ("https://one/", [1])
            audit.adopt(AuditSettings(sinks=[sink("two")]))
            assert await posted.got.get() == ("https://two/", [1])
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
    audit.records.append(record(2))
    await asyncio.to_thread(audit.close)
    assert audit.evidence.seals(audit.evidence.node)[-1].number == 2
    result = audit.verify(lambda done, total: None)
    assert (result["good"], result["records"], result["notes"]) == (True, 2, [])


async def test_a_mistake_in_one_work_ends_all_and_is_seen(database: Database) -> None:
    async def post(url: str, headers: Mapping[str, str], body: bytes) -> int:
        raise KeyError("a mistake of ours")

    audit = Audit(database, AuditSettings(sinks=[sink("one")]), Detector().find, post)
    audit.start()
    audit.records.append(record(1))
    assert audit.records.flush(10)
    with pytest.raises(KeyError, match="a mistake of ours"):
        await asyncio.wait_for(audit.run(), 20)
    await asyncio.to_thread(audit.close)


def test_content_is_kept_for_the_departments_that_want_it(database: Database, tmp_path: Path) -> None:
    private, public = make_pair()
    (tmp_path / "pub").write_bytes(public)
    (tmp_path / "pem").write_bytes(private)
    settings = AuditSettings(content_of={"病案室": "sealed"}, public_key=str(tmp_path / "pub"))
    audit = Audit(database, AuditSettings(), Detector().find, Posted())
    assert audit.keep_content is None
    audit.adopt(settings)
    keep = audit.keep_content
    assert keep is not None
    assert keep("req_2", CALL, BOB, b"{}") == ""
    audit.start()
    audit.records.append(record(1, content=keep("req_1", CALL, ANN, b"{}")))
    audit.close()
    data = audit.evidence.content("req_1")
    assert data is not None
    assert unseal(data, "req_1", read_private(tmp_path / "pem")).question == b'{"a": 1}'
    with pytest.raises(ConfigError, match="cannot be read"):
        audit.adopt(AuditSettings(public_key=str(tmp_path / "none")))
    assert audit.keep_content is not None


def audit_of(text: str) -> Config:
    return parse(text, "f", {})


SECRET = 'secret = "0123456789abcdef"'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[audit]\ncontent = "all"', "line 2: audit.content: 'all' is not one of none, redacted, sealed"),
        ('[audit.content_of]\nicu = "x"', "audit.content_of.icu: 'x' is not one of"),
        ('[audit]\ncontent = "sealed"', "`sealed` needs `public_key`"),
        ('[audit]\npublic_key = "none.pub"', "audit.public_key: there is no such file"),
        ('[[audit.sinks]]\nname = "a b"\nurl = "https://a"', "a name has letters"),
        ('[[audit.sinks]]\nname = "a"\nurl = "ftp://a"', "must begin with one of syslog+udp"),
        ('[[audit.sinks]]\nname = "a"\nurl = "https://a:x"', "must begin with one of"),
        ('[[audit.sinks]]\nname = "a"\nurl = "https://a"\nsecret = "short"', "a secret of at least 16 characters"),
        (f'[[audit.sinks]]\nname = "a"\nurl = "syslog+udp://a"\n{SECRET}', "`secret` is for webhooks"),
        ('[[audit.sinks]]\nname = "a"\nurl = "syslog+tls://a"\nca = "none"', "ca: there is no such file"),
        (f'[[audit.sinks]]\nname = "a"\nurl = "https://a"\n{SECRET}\n' * 2, "another sink has the same name"),
    ],
)
def test_a_mistake_in_the_configuration_is_named(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        audit_of(text)
    assert said in str(raised.value)
    assert "short" not in str(raised.value)
    assert "0123456789abcdef" not in str(raised.value)


def test_the_sinks_of_the_manual_are_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    manual = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
    example = manual.partition("```toml\n")[2].partition("```")[0]
    example = example.replace("/etc/sampan/hospital-ca.pem", str(tmp_path / "ca.pem"))
    config = parse(example, "f", {"ARCHIVE_SECRET": "0123456789abcdef"})
    assert [each.name for each in config.audit.sinks] == ["siem", "archive"]
