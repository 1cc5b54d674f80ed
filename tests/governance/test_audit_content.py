import base64
import hashlib
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from sampan.core import Actor, Incoming
from sampan.errors import ConfigError
from sampan.governance.audit_content import (
    MOST_READ,
    Content,
    Contents,
    Redacted,
    make_pair,
    read_private,
    read_public,
    redact,
    seal,
    unseal,
)
from sampan.governance.detect import Detector
from sampan.storage.db import Database
from sampan.storage.evidence import Evidence
from sampan.storage.records import Records
from tests.storage.test_records import record

ANN = Actor("key_1", "ann", "member", "病案室")
MOBILE = "13812345678"
FIND = Detector().find
PICTURE = bytes(range(256)) * 4


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    private, public = make_pair()
    (tmp_path / "auditor.pem").write_bytes(private)
    (tmp_path / "auditor.pub").write_bytes(public)
    return tmp_path / "auditor.pem", tmp_path / "auditor.pub"


def incoming(body: bytes, content_type: str = "application/json") -> Incoming:
    return Incoming("POST", "/v1/messages", "", {"content-type": content_type}, body)


def contents(mode: str, size: int = 4096, public: Path | None = None, most: int = 1 << 20) -> Contents:
    return Contents(lambda actor: mode, lambda: size, FIND, read_public(public) if public else None, most)


def test_nothing_is_kept_where_nothing_is_wanted_and_nothing_of_strangers() -> None:
    assert contents("none").keep("req_1", incoming(b"{}"), ANN, b"{}") == ""
    assert contents("sealed").keep("req_1", incoming(b"{}"), None, b"{}") == ""


def test_what_is_sealed_is_opened_by_the_auditor_alone(
    database: Database, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    kept = contents("sealed", 16, pair[1])
    records = Records(database, linger=0.001, keeping=kept)
    records.start()
    with closing(records):
        question, answer = b'{"secret": "13812345678"}', b"answer"
        marker = kept.keep("req_1", incoming(question), ANN, answer)
        records.append(record(1, content=marker))
        assert records.flush(10)
        data = Evidence(database, records.node).content("req_1")
    found = records.find("req_1")
    assert found is not None and data is not None
    assert found.content == f"sealed:{hashlib.sha256(data).hexdigest()}"
    assert b"secret" not in data and MOBILE.encode() not in data
    opened = unseal(data, "req_1", read_private(pair[0]))
    assert opened == Content("req_1", "/v1/messages", "application/json", question[:16], 25, answer, 6)
    other = tmp_path / "other.pem"
    other.write_bytes(make_pair()[0])
    for identifier, key, changed in (
        ("req_1", other, data),
        ("req_2", pair[0], data),
        ("req_1", pair[0], data[:-1] + bytes([data[-1] ^ 1])),
        ("req_1", pair[0], data[:20]),
    ):
        with pytest.raises(ConfigError, match=r"cannot be opened|is not sealed"):
            unseal(changed, identifier, read_private(key))


def test_two_seals_of_the_same_content_have_nothing_in_common(pair: tuple[Path, Path]) -> None:
    content = Content("req_1", "/", "", b"x" * 100, 100, b"", 0)
    first, second = (seal(content, read_public(pair[1])) for _ in range(2))
    assert first[8:40] != second[8:40]
    assert first[52:] != second[52:]


def test_redacted_content_has_its_text_and_no_identifier(database: Database) -> None:
    kept = contents("redacted")
    records = Records(database, linger=0.001, keeping=kept)
    records.start()
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": f"电话 {MOBILE} 的病人"}]}]}
    with closing(records):
        marker = kept.keep("req_1", incoming(json.dumps(body).encode()), ANN, b'{"text": "\xe5\xa5\xbd"}')
        records.append(record(1, content=marker))
        assert records.flush(10)
        data = Evidence(database, records.node).content("req_1")
    assert data is not None
    read = msgspec.json.decode(data, type=Redacted)
    assert "电话 [mobile] 的病人" in read.question
    assert read.answer == '{"text":"好"}'
    assert MOBILE.encode() not in data


def redacted(
    question: bytes, content_type: str = "application/json", answer: bytes = b"", size: int = 4096
) -> Redacted:
    return redact(Content("req_1", "/", content_type, question, len(question), answer, len(answer)), size, FIND)


@pytest.mark.parametrize("wrap", ["{}", "data:image/png;base64,{}"])
def test_a_picture_is_told_by_its_digest(wrap: str) -> None:
    text = wrap.format(base64.b64encode(PICTURE).decode())
    read = json.loads(redacted(json.dumps({"image": text}).encode()).question)
    assert read == {"image": {"bytes": 1024, "sha256": hashlib.sha256(PICTURE).hexdigest()}}


def test_the_text_of_a_stream_is_read_as_one_and_masked_over_its_pieces() -> None:
    events = [
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "电话 1381234"}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "5678 的"}},
        {"type": "message_stop"},
    ]
    stream = b": waiting\n\n" + b"".join(b"event: x\ndata: " + msgspec.json.encode(event) + b"\n\n" for event in events)
    assert redacted(b"{}", answer=stream).answer == "电话 [mobile] 的"
    chat = [{"choices": [{"delta": {"content": word}}]} for word in ("你", "好")]
    stream = b"".join(b"data: " + msgspec.json.encode(event) + b"\n\n" for event in chat) + b"data: [DONE]\n\n"
    assert redacted(b"{}", answer=stream).answer == "你好"
    responses = [
        {"type": "response.created", "response": {"output": [{"text": "no"}]}},
        {"type": "response.output_text.delta", "delta": "一"},
        {"type": "response.output_text.done", "text": "一"},
    ]
    stream = b"".join(b"data: " + msgspec.json.encode(event) + b"\n\n" for event in responses)
    assert redacted(b"{}", answer=stream).answer == "一"


def test_a_form_is_read_field_by_field() -> None:
    body = (
        b'--b\r\ncontent-disposition: form-data; name="prompt"\r\n\r\ncall 13812345678\r\n'
        b'--b\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + PICTURE + b"\r\n--b--\r\n"
    )
    read = json.loads(redacted(body, "multipart/form-data; boundary=b").question)
    assert read["prompt"] == ["call [mobile]"]
    assert read["image"][0]["bytes"] == 1024


def test_what_is_cut_is_cut_after_it_was_masked_and_said() -> None:
    read = redacted(json.dumps({"a": f"{'x' * 300} {MOBILE}"}).encode(), size=312)
    assert len(read.question) == 312
    assert read.question.endswith(" [mobi")
    assert read.cut == ("question",)
    text = redacted("文".encode() * 200, "text/plain", size=301)
    assert text.cut == () and "sha256" in text.question


def test_numbers_and_names_are_masked_too() -> None:
    read = json.loads(redacted(b'{"13812345678": 13812345678, "n": 5}').question)
    assert read == {"[mobile]": "[mobile]", "n": 5}


@pytest.mark.parametrize("body", [b"\xff\xfe", b"[" * 200_000, b"", b'{"a": "\\ud800"}', b"--b\r\n"])
def test_whatever_is_sent_can_be_redacted(body: bytes) -> None:
    for content_type in ("application/json", "multipart/form-data; boundary=b", "multipart/form-data"):
        redacted(body, content_type, body)


def test_what_is_too_large_to_read_is_told_by_its_size() -> None:
    content = Content("req_1", "/", "", b"x" * 16, MOST_READ + 1, b"", 0)
    assert str(MOST_READ + 1) in redact(content, 100, FIND).question


def test_what_the_record_says_where_content_could_not_be_kept(pair: tuple[Path, Path]) -> None:
    full = contents("sealed", public=pair[1], most=3)
    assert full.keep("req_1", incoming(b"{}"), ANN, b"{}") == "sealed:skipped"
    assert full.resolve(record(1, content="sealed:skipped")) == (record(1, content="sealed:skipped"), None)
    # The process that took it in has died since.
    assert full.resolve(record(2, content="sealed")) == (record(2, content="sealed:lost"), None)
    keyless = contents("sealed")
    keyless.keep("req_3", incoming(b"{}"), ANN, b"")
    assert keyless.resolve(record(3, content="sealed")) == (record(3, content="sealed:failed"), None)


def test_a_retry_finds_the_same_bytes_and_room_comes_back(pair: tuple[Path, Path]) -> None:
    kept = contents("sealed", public=pair[1], most=4)
    assert kept.keep("req_1", incoming(b"{}"), ANN, b"{}") == "sealed"
    assert kept.keep("req_2", incoming(b"{}"), ANN, b"") == "sealed:skipped"
    first = kept.resolve(record(1, content="sealed"))
    assert kept.resolve(record(1, content="sealed")) == first
    kept.settled(["req_1"])
    assert kept.keep("req_3", incoming(b"{}"), ANN, b"{}") == "sealed"
    kept.settled(["req_9"])


@pytest.mark.parametrize("read", [read_public, read_private])
def test_a_file_that_is_no_key_is_refused(read: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "none")
    (tmp_path / "x").write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match="holds no X25519"):
        read(tmp_path / "x")
