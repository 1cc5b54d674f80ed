"""Pictures and documents of the `anthropic` client: a target gets all their pixels, or the call is refused."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import Any

import anthropic
import pytest
from cells import png
from gateway import Gateway
from PIL import Image
from sdk_asks import CHATS, asking, assistant, text, user
from sdk_clouds import Play, Stage, Text
from test_real_engines import page

from tests.media.files import SECRET, locked, noted, pdf

MESSAGES, ALL = ("cloud", "near"), ("cloud", "near", "chat", "openai")
OK = Play(Text("I see."))
BOAT = png((200, 30, 30), 60)  # 3 × 3 patches
PAPER = pdf("Agreement of the first part", "Signed in the harbour")
PNG, PDF = "image/png", "application/pdf"


def image(data: bytes, kind: str = PNG) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": _b64(data)}}


def document(data: bytes, **more: Any) -> dict[str, Any]:
    return {"type": "document", "source": {"type": "base64", "media_type": PDF, "data": _b64(data)}, **more}


def linked(kind: str, url: str) -> dict[str, Any]:
    return {"type": kind, "source": {"type": "url", "url": url}}


def filed(kind: str, identifier: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "source": {"type": "file", "file_id": identifier}, **more}


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def asked(sdk: anthropic.Anthropic, stage: Stage, target: str, *content: Any, beta: bool = False) -> tuple[Any, str]:
    """The content of the turn that arrived, and the receipt."""
    name = stage.new(OK)
    ask = asking(target, name, *content)
    if beta:
        raw: Any = sdk.beta.messages.with_raw_response.create(**ask, betas=["files-api-2025-04-14"])
    else:
        raw = sdk.messages.with_raw_response.create(**ask)
    assert raw.parse().content[0].text == "I see."
    return stage.heard(name)[0].json["messages"][0]["content"], raw.headers.get("x-sampan-receipt", "")


def pictures(content: list[dict[str, Any]]) -> list[str]:
    """What stands for a picture in either dialect: base64 as a data URL, or a link."""
    found = []
    for block in content:
        if block["type"] == "image_url":
            found.append(block["image_url"]["url"])
        elif block["type"] == "image":
            source = block["source"]
            is_link = source["type"] == "url"
            found.append(source["url"] if is_link else f"data:{source['media_type']};base64,{source['data']}")
    return found


def data_url(data: bytes, kind: str = PNG) -> str:
    return f"data:{kind};base64,{_b64(data)}"


# Pictures.


@pytest.mark.parametrize("target", ALL)
def test_a_picture_arrives_to_the_byte(sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    content, receipt = asked(sdk, stage, target, text("What?"), image(BOAT), image(png()))
    assert pictures(content) == [data_url(BOAT), data_url(png())]
    assert receipt == f"messages.0.content.1={_sha(BOAT)}:9t,messages.0.content.2={_sha(png())}:1t"


@pytest.mark.parametrize("target", ALL)
def test_a_linked_picture_arrives(sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    """A cloud follows links itself; a server of one's own may have no way out and is given the bytes."""
    url = stage.shows(f"{target}.png", BOAT, PNG)
    content, receipt = asked(sdk, stage, target, linked("image", url), text("What?"))
    followed = target in ("near", "chat")
    assert pictures(content) == [data_url(BOAT) if followed else url]
    assert (f"{target}.png" in stage.fetched) == followed
    assert receipt == f"messages.0.content.0={_sha(BOAT if followed else url.encode())}:{'9t' if followed else 'url'}"


@pytest.mark.parametrize("url", ["http://192.168.255.254/a.png", "file:///etc/passwd", "http://127.0.0.1:1/a.png"])
def test_a_link_to_nowhere_good_is_refused(sdk: anthropic.Anthropic, stage: Stage, url: str) -> None:
    name = stage.new(OK)
    with pytest.raises(anthropic.BadRequestError, match=r"messages\.0\.content\.0"):
        sdk.messages.create(**asking("chat", name, linked("image", url)))
    assert not stage.heard(name)


@pytest.mark.parametrize("target", ALL)
def test_a_kept_picture_arrives(sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    kept = sdk.beta.files.upload(file=("boat.png", BOAT, PNG))
    content, receipt = asked(sdk, stage, target, filed("image", kept.id), text("What?"), beta=True)
    assert pictures(content) == [data_url(BOAT)]
    assert receipt == f"messages.0.content.0={_sha(BOAT)}:9t"


@pytest.mark.parametrize("target", ALL)
def test_what_a_picture_tells_of_its_place_stays_at_home(sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    photo = noted()["image/jpeg"]
    content, _ = asked(sdk, stage, target, image(photo, "image/jpeg"))
    arrived = base64.b64decode(pictures(content)[0].partition(",")[2])
    assert (SECRET in arrived) == (target in ("near", "chat")) and SECRET in photo
    assert _pixels(arrived) == _pixels(photo)


def _pixels(data: bytes) -> bytes:
    return Image.open(io.BytesIO(data)).convert("RGB").tobytes()


@pytest.mark.parametrize("target", ALL)
def test_a_broken_picture_is_refused_by_its_path(sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    name = stage.new(OK)
    broken = {"type": "image", "source": {"type": "base64", "media_type": PNG, "data": _b64(b"no picture at all")}}
    with pytest.raises(anthropic.BadRequestError, match=r"messages\.2\.content\.1") as failure:
        turns = (user(text("a")), assistant(text("b")), user(text("c"), broken))
        sdk.messages.create(**asking(target, name, *turns))
    assert failure.value.type == "invalid_request_error" and not stage.heard(name)


# Documents.


@pytest.mark.parametrize("target", ALL)
def test_a_pdf_arrives_whole_or_page_by_page(sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    content, receipt = asked(sdk, stage, target, document(PAPER, title="Deed"), text("Who signed?"))
    if target in MESSAGES:
        assert content[0] == document(PAPER, title="Deed") and receipt == f"messages.0.content.0={_sha(PAPER)}:pdf"
        return
    assert receipt == f"messages.0.content.0={_sha(PAPER)}:2p"
    assert [part["type"] for part in content] == ["text", "image_url", "text", "image_url", "text"]
    assert content[0]["text"] == "[Deed, page 1 of 2]\nAgreement of the first part"
    assert content[2]["text"] == "[Deed, page 2 of 2]\nSigned in the harbour"
    first, second = (Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) for url in pictures(content))
    assert first.size == second.size == (1568, 1046) and first.tobytes() != second.tobytes()


@pytest.mark.parametrize("target", ALL)
def test_a_pdf_may_be_linked_or_kept(sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    url = stage.shows(f"{target}.pdf", PAPER, PDF)
    kept = sdk.beta.files.upload(file=("deed.pdf", PAPER, PDF))
    by_link, link_receipt = asked(sdk, stage, target, linked("document", url), text("?"))
    by_file, file_receipt = asked(sdk, stage, target, filed("document", kept.id), text("?"), beta=True)
    whole = {"type": "base64", "media_type": PDF, "data": _b64(PAPER)}
    if target in MESSAGES:
        assert by_link[0]["source"] == ({"type": "url", "url": url} if target == "cloud" else whole)
        assert by_file[0]["source"] == whole and file_receipt.endswith(f"{_sha(PAPER)}:pdf")
        return
    assert by_link == by_file and len(pictures(by_file)) == 2
    assert link_receipt == file_receipt == f"messages.0.content.0={_sha(PAPER)}:2p"


@pytest.mark.parametrize("target", ALL)
def test_documents_of_text_arrive(sdk: anthropic.Anthropic, stage: Stage, target: str) -> None:
    plain = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Tide at six."}}
    mixed = {"type": "document", "source": {"type": "content", "content": [text("A boat:"), image(BOAT)]}}
    kept = sdk.beta.files.upload(file=("tide.txt", "Ebb at noon. 潮".encode(), "text/plain"))
    blocks = (plain | {"title": "Tides", "context": "of May"}, mixed, filed("document", kept.id), text("?"))
    content, receipt = asked(sdk, stage, target, *blocks, beta=True)
    assert [each.rpartition(":")[2] for each in receipt.split(",")] == ["text", "text", "9t", "text"]
    if target in MESSAGES:
        assert content[:2] == list(blocks[:2])
        assert content[2]["source"] == {"type": "text", "media_type": "text/plain", "data": "Ebb at noon. 潮"}
        return
    words = "\n".join(part["text"] for part in content if part["type"] == "text")
    for said in ("Tides", "of May", "Tide at six.", "A boat:", "Ebb at noon. 潮"):
        assert words.count(said) == 1, said
    assert pictures(content) == [data_url(BOAT)]


@pytest.mark.parametrize("target", CHATS)
@pytest.mark.parametrize(
    ("block", "why"),
    [
        pytest.param(document(PAPER, citations={"enabled": True}), "citations", id="citations"),
        pytest.param(document(locked()), "password", id="locked"),
        pytest.param(document(pdf(*["page"] * 21)), "21 pages", id="too many pages"),
        pytest.param(filed("document", "file_nobody"), "no file", id="unknown file"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    sdk: anthropic.Anthropic, stage: Stage, target: str, block: dict[str, Any], why: str
) -> None:
    name = stage.new(OK)
    with pytest.raises(anthropic.BadRequestError, match=rf"messages\.0\.content\.1: .*{why}"):
        sdk.messages.create(**asking(target, name, text("?"), block))
    assert not stage.heard(name)


def test_what_one_target_cannot_be_given_another_may(sdk: anthropic.Anthropic, stage: Stage) -> None:
    """A cited PDF goes to the cloud though one's own server comes behind it, and never to that."""
    name = stage.new(OK)
    raw = sdk.messages.with_raw_response.create(**asking("over", name, document(PAPER, citations={"enabled": True})))
    assert raw.headers["x-sampan-attempts"] == "claude=ok" and [each.upstream for each in stage.heard(name)] == [
        "claude"
    ]


def test_the_record_keeps_the_receipt(quay: Gateway, sdk: anthropic.Anthropic, stage: Stage) -> None:
    name = stage.new(OK)
    with sdk.messages.stream(**asking("chat", name, image(BOAT), document(PAPER))) as stream:
        stream.until_done()
        headers = stream.response.headers
    assert headers["x-sampan-receipt"] == f"messages.0.content.0={_sha(BOAT)}:9t,messages.0.content.1={_sha(PAPER)}:2p"
    record = quay.record(headers["request-id"])
    assert record["receipt"] == headers["x-sampan-receipt"] and record["operation"] == "vision"


# Our own reader behind the same client.

READER: dict[str, Any] = {"model": "claude-reader", "max_tokens": 300}


@pytest.fixture(scope="module")
def ready(quay: Gateway) -> anthropic.Anthropic:
    """A client, once the engine has been warm: the first call may come before that and has to wait."""
    client = quay.anthropic(timeout=110)
    client.messages.create(**READER, messages=[user(text("hello"))])
    return client


INVOICE = page(("INVOICE", "Invoice No: A-2217", "Total: 1,234.50 USD"))


async def test_the_reader_reads_what_is_sent_linked_or_kept(
    ready: anthropic.Anthropic, async_sdk: anthropic.AsyncAnthropic, stage: Stage
) -> None:
    kept = ready.beta.files.upload(file=("invoice.png", INVOICE, PNG))
    url = stage.shows("invoice.png", INVOICE, PNG)
    ask = text("What is the total?")
    raw = ready.messages.with_raw_response.create(**READER, messages=[user(image(INVOICE), ask)])
    with ready.messages.stream(**READER, messages=[user(linked("image", url), ask)]) as stream:
        streamed = stream.get_final_message()
    beta: Any = READER | {"messages": [user(filed("image", kept.id), ask)], "betas": ["files-api-2025-04-14"]}
    async with async_sdk.beta.messages.stream(**beta) as events:
        by_file = await events.get_final_message()
    answers: list[Any] = [raw.parse(), streamed, by_file]
    assert all("1,234.50" in answer.content[0].text for answer in answers)
    assert len({answer.content[0].text for answer in answers}) == 1
    assert {(answer.stop_reason, answer.model) for answer in answers} == {("end_turn", "claude-reader")}
    assert all(answer.usage.input_tokens > 10 and answer.usage.output_tokens > 5 for answer in answers)
    assert raw.headers["x-sampan-tier"] == "degraded" and f"{_sha(INVOICE)}:" in raw.headers["x-sampan-receipt"]


def test_the_reader_reads_documents(ready: anthropic.Anthropic) -> None:
    paper = pdf("Invoice No: B-77", "Total: 95.00 EUR")
    read = ready.messages.create(**READER, messages=[user(document(paper), text("What is the total?"))])
    assert "95.00" in read.content[0].text  # type: ignore[union-attr]
    told = {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "The total is 12.50 EUR."},
    }
    read = ready.messages.create(**READER, messages=[user(told, text("What is the total?"))])
    assert "12.50" in read.content[0].text  # type: ignore[union-attr]


def test_the_reader_keeps_to_limits_and_counts(ready: anthropic.Anthropic) -> None:
    ask: Any = [user(image(INVOICE), text("Read the text."))]
    short = ready.messages.create(**(READER | {"max_tokens": 3}), messages=ask)
    assert short.stop_reason == "max_tokens" and short.usage.output_tokens == 3
    with ready.messages.stream(**READER, messages=ask, stop_sequences=["A-2217"]) as stream:
        stopped = stream.get_final_message()
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "A-2217")
    assert "A-2217" not in stopped.content[0].text  # type: ignore[union-attr]
    counted = ready.messages.count_tokens(model="claude-reader", messages=ask)
    assert counted.input_tokens == short.usage.input_tokens > 10


@pytest.mark.parametrize(
    ("facts", "path"),
    [
        pytest.param(
            {"tool_choice": {"type": "any"}, "tools": [{"name": "t", "input_schema": {"type": "object"}}]},
            "tool_choice",
            id="tool",
        ),
        pytest.param(
            {"output_config": {"format": {"type": "json_schema", "schema": {}}}}, "output_config", id="schema"
        ),
        pytest.param({"messages": [user(text("?")), assistant(text("It"))]}, "messages.1", id="prefill"),
        pytest.param({"messages": [user(image(b"GIF89a but no picture"))]}, "messages.0.content.0", id="broken"),
    ],
)
def test_the_reader_refuses_what_it_cannot_do(ready: anthropic.Anthropic, facts: dict[str, Any], path: str) -> None:
    with pytest.raises(anthropic.BadRequestError) as failure:
        ready.messages.create(**(READER | {"messages": [user(text("?"))]} | facts))
    assert failure.value.type == "invalid_request_error" and str(failure.value.api_message).startswith(path)
    assert failure.value.response.headers["x-should-retry"] == "false"
