"""What the gateway keeps for the official `anthropic` client: its files, and its message batches with their results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest
from anthropic.types.beta import BetaFileMetadata
from anthropic.types.messages import MessageBatch
from cells import PICTURE
from gateway import Gateway, eventually
from sdk_asks import ASK, WEATHER, asking
from sdk_clouds import Fails, Held, Play, Stage, Text, ToolCall, model

from sampan.storage.db import Database
from sampan.storage.keys import Keys

BETAS: list[Any] = ["files-api-2025-04-14"]
GUESTS = 20


@pytest.fixture(scope="module")
def strangers(quay: Gateway, sdk: anthropic.Anthropic) -> Iterator[anthropic.Anthropic]:
    """Clients of people who have nothing here yet; made at once, as the gateway sees new keys within half a second."""
    database = Database(quay.data)
    secrets = [Keys(database).create(f"guest {number}")[1] for number in range(GUESTS)]
    database.close()
    clients = [sdk.with_options(api_key=secret) for secret in secrets]

    def welcome() -> bool:
        return quay.http("GET", "/v1/models", key=secrets[-1]).status == 200

    eventually(welcome, what="the last key")
    return iter(clients)


@pytest.fixture
def guest(strangers: Iterator[anthropic.Anthropic]) -> anthropic.Anthropic:
    return next(strangers)


@pytest.fixture
def later(async_sdk: anthropic.AsyncAnthropic, guest: anthropic.Anthropic) -> anthropic.AsyncAnthropic:
    """The same somebody, asynchronous."""
    return async_sdk.with_options(api_key=guest.api_key)


# Files.


async def test_a_file_is_kept_shown_and_deleted(guest: anthropic.Anthropic, later: anthropic.AsyncAnthropic) -> None:
    """By the synchronous and the asynchronous client, by the beta's methods and those without."""
    kept = guest.beta.files.upload(file=("boat.png", PICTURE, "image/png"), betas=BETAS)
    assert (kept.type, kept.filename, kept.mime_type) == ("file", "boat.png", "image/png")
    assert (kept.size_bytes, kept.downloadable) == (len(PICTURE), False) and kept.id.startswith("file_")
    raw = guest.beta.files.with_raw_response.retrieve_metadata(kept.id)
    BetaFileMetadata.model_validate_json(raw.read())
    assert raw.parse() == await later.beta.files.retrieve_metadata(kept.id, betas=BETAS) == kept
    assert guest.files.retrieve_metadata(kept.id).to_dict() == kept.to_dict()
    other = await later.files.upload(file=("潮.txt", b"Ebb at noon."))
    assert (other.filename, other.mime_type) == ("潮.txt", "text/plain")
    assert [each.id for each in guest.beta.files.list(betas=BETAS)] == [other.id, kept.id]
    gone = await later.beta.files.delete(kept.id, betas=BETAS)
    assert (gone.id, gone.type) == (kept.id, "file_deleted")
    assert [each.id async for each in later.files.list()] == [other.id]
    for call in (guest.beta.files.retrieve_metadata, guest.beta.files.delete, guest.beta.files.download):
        with pytest.raises(anthropic.NotFoundError) as failure:
            call(kept.id)
        assert failure.value.type == "not_found_error" and failure.value.request_id


def test_files_are_listed_in_pages(guest: anthropic.Anthropic) -> None:
    kept = [guest.files.upload(file=(f"{number}.txt", b"x" * number)).id for number in range(1, 6)][::-1]
    assert [each.id for each in guest.beta.files.list(limit=2)] == kept
    page = guest.files.list(limit=2)
    assert [each.id for each in page.data] == kept[:2] and page.has_next_page() and page.next_page
    assert [each.id for each in page.get_next_page().data] == kept[2:4]
    assert [each.id for each in guest.files.list(ids=[kept[3], kept[1], "file_nobody"])] == [kept[1], kept[3]]
    with pytest.raises(anthropic.BadRequestError, match="limit"):
        guest.files.list(limit=1001)


def test_what_was_uploaded_cannot_be_downloaded(guest: anthropic.Anthropic) -> None:
    """As at Anthropic: only what a tool made. The error has a code of its own there."""
    kept = guest.files.upload(file=("a.txt", b"abc"))
    for call in (guest.beta.files.download, guest.files.download):
        with pytest.raises(anthropic.BadRequestError) as failure:
            call(kept.id)
        assert failure.value.error_code == "file_not_downloadable" and failure.value.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("file", "why"),
    [(("a.txt", b""), "is empty"), (("a<b>.txt", b"x"), "a character"), (("a" * 256, b"x"), "255 characters")],
    ids=["empty", "forbidden name", "long name"],
)
def test_a_bad_upload_is_refused(guest: anthropic.Anthropic, file: Any, why: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match=why):
        guest.files.upload(file=file)
    assert not list(guest.files.list())


def test_nobody_sees_another_ones_file(guest: anthropic.Anthropic, sdk: anthropic.Anthropic, stage: Stage) -> None:
    kept = guest.files.upload(file=("boat.png", PICTURE, "image/png"))
    with pytest.raises(anthropic.NotFoundError):
        sdk.files.retrieve_metadata(kept.id)
    with pytest.raises(anthropic.NotFoundError):
        sdk.files.delete(kept.id)
    name = stage.new(Play(Text("?")))
    block: Any = {"type": "image", "source": {"type": "file", "file_id": kept.id}}
    with pytest.raises(anthropic.BadRequestError, match="no file of that id"):
        sdk.beta.messages.create(**asking("cloud", name, block), betas=BETAS)
    assert not stage.heard(name)
    guest.beta.messages.create(**asking("cloud", name, block), betas=BETAS)
    assert len(stage.heard(name)) == 1


# Batches.


def request(custom_id: str, target: str, script: str, **facts: Any) -> Any:
    return {"custom_id": custom_id, "params": {**ASK, "model": model(target, script), **facts}}


def ended(find: Callable[[str], Any], batch: Any) -> Any:
    def look() -> Any:
        found = find(batch.id)
        return found if found.processing_status == "ended" else None

    return eventually(look, what=f"the end of {batch.id}")


def test_a_batch_is_answered_by_every_kind_of_upstream(guest: anthropic.Anthropic, stage: Stage) -> None:
    hello, call = stage.new(Play(Text("Hello."))), stage.new(Play(ToolCall("weather", {"city": "Oslo"})))
    bad = stage.new(Fails(400, "invalid_request_error", "no such thing"))
    requests = [
        *(request(f"hello-{target}", target, hello) for target in ("cloud", "near", "chat", "openai")),
        request("call", "chat", call, tools=[WEATHER]),
        request("bad", "cloud", bad),
        request("over", "over", stage.new(Fails(429, "rate_limit_error"), Play(Text("In its place.")))),
        request("wrong", "cloud", hello, max_tokens=-1),
        request("nobody", "nowhere", hello),
    ]
    begun = guest.messages.batches.create(requests=requests)
    assert begun.type == "message_batch" and begun.id.startswith("msgbatch_")
    assert begun.request_counts.processing == len(requests) and begun.results_url is None
    batch = ended(guest.messages.batches.retrieve, begun)
    counts = batch.request_counts
    assert (counts.processing, counts.succeeded, counts.errored, counts.canceled) == (0, 6, 3, 0)
    assert batch.ended_at and batch.created_at < batch.ended_at < batch.expires_at
    results: dict[str, Any] = {each.custom_id: each.result for each in guest.messages.batches.results(batch.id)}
    assert list(results) == [each["custom_id"] for each in requests]
    texts = {name: each.message.content[0].text for name, each in results.items() if name.startswith("hello")}
    assert set(texts.values()) == {"Hello."} and len(texts) == 4
    made = results["call"].message
    assert (made.stop_reason, made.content[0].input, made.usage.output_tokens) == ("tool_use", {"city": "Oslo"}, 15)
    assert results["over"].message.content[0].text == "In its place."
    errors = {name: each.error for name, each in results.items() if each.type == "errored"}
    assert {name: each.error.type for name, each in errors.items()} == {
        "bad": "invalid_request_error",
        "wrong": "invalid_request_error",
        "nobody": "not_found_error",
    }
    assert errors["bad"].error.message == "no such thing" and errors["wrong"].error.message.startswith("max_tokens")
    assert len(stage.heard(hello)) == 4


async def test_the_other_ways_to_batches(
    guest: anthropic.Anthropic, later: anthropic.AsyncAnthropic, stage: Stage
) -> None:
    """The asynchronous client and the beta's methods; the list in pages; results by their line."""
    asks = [request(f"n-{number}", "cloud", stage.new(Play(Text(f"{number}")))) for number in range(70)]
    first = await later.messages.batches.create(requests=asks)
    second: Any = guest.beta.messages.batches.create(requests=asks[:1], betas=["message-batches-2024-09-24"])
    third = await later.beta.messages.batches.create(requests=asks[1:2])
    for batch in (first, second, third):
        ended(guest.messages.batches.retrieve, batch)
    ids = [third.id, second.id, first.id]
    assert [each.id for each in guest.messages.batches.list(limit=2)] == ids
    assert [each.id async for each in later.messages.batches.list(limit=1)] == ids
    assert [each.id for each in guest.beta.messages.batches.list(limit=2).data] == ids[:2]
    assert [each.id for each in guest.messages.batches.list(before_id=ids[2]).data] == ids[:2]
    texts = [each.result.message.content[0].text async for each in await later.messages.batches.results(first.id)]  # type: ignore[union-attr]
    assert texts == [str(number) for number in range(70)]
    beta: list[Any] = [each async for each in await later.beta.messages.batches.results(second.id)]
    assert [each.result.type for each in beta] == ["succeeded"]
    again: Any = await later.beta.messages.batches.retrieve(third.id)
    raw = guest.messages.batches.with_raw_response.retrieve(third.id)
    assert MessageBatch.model_validate_json(raw.read()).id == again.id and raw.headers["request-id"]


def test_a_batch_is_canceled_and_deleted(guest: anthropic.Anthropic, stage: Stage) -> None:
    """What runs may end; what has not begun does not; then it can be deleted, and not before."""
    name = stage.new(Held(Play(Text("Done."))))
    asks = [request(f"n-{number}", "cloud", name) for number in range(9)]
    batch = guest.messages.batches.create(requests=asks)
    eventually(lambda: len(stage.heard(name)) == 4, what="as many as run at once")
    with pytest.raises(anthropic.BadRequestError, match="has not ended"):
        guest.messages.batches.delete(batch.id)
    with pytest.raises(anthropic.AnthropicError, match="No `results_url`"):
        guest.messages.batches.results(batch.id)
    canceled = guest.messages.batches.cancel(batch.id)
    assert canceled.cancel_initiated_at and canceled.processing_status == "canceling"
    stage.let(name)
    over = ended(guest.messages.batches.retrieve, batch)
    counts = over.request_counts
    assert (counts.succeeded, counts.canceled, counts.processing) == (4, 5, 0)
    kinds = [each.result.type for each in guest.messages.batches.results(batch.id)]
    assert kinds == ["succeeded"] * 4 + ["canceled"] * 5 and len(stage.heard(name)) == 4
    assert guest.messages.batches.delete(batch.id).type == "message_batch_deleted"
    with pytest.raises(anthropic.NotFoundError):
        guest.messages.batches.retrieve(batch.id)


@pytest.mark.parametrize(
    ("requests", "path"),
    [
        ([], "requests"),
        ([{"custom_id": "a b", "params": {}}], "requests.0.custom_id"),
        ([{"custom_id": "a", "params": {}}, {"custom_id": "a", "params": {}}], "requests.1.custom_id"),
        ([{"custom_id": "a", "params": {"stream": True}}], "requests.0.params.stream"),
    ],
    ids=["none", "name", "twice", "stream"],
)
def test_a_bad_batch_is_refused_by_its_path(guest: anthropic.Anthropic, requests: list[Any], path: str) -> None:
    with pytest.raises(anthropic.BadRequestError) as failure:
        guest.messages.batches.create(requests=requests)
    assert str(failure.value.api_message).startswith(f"{path}:") and failure.value.request_id
    assert not guest.messages.batches.list().data


def test_nobody_sees_another_ones_batch(guest: anthropic.Anthropic, sdk: anthropic.Anthropic, stage: Stage) -> None:
    batch = guest.messages.batches.create(requests=[request("a", "cloud", stage.new(Play(Text("mine"))))])
    batches = sdk.messages.batches
    for call in (batches.retrieve, batches.cancel, batches.delete, batches.results):
        with pytest.raises(anthropic.NotFoundError):
            call(batch.id)
    assert batch.id not in {each.id for each in batches.list()}
    assert ended(guest.messages.batches.retrieve, batch).request_counts.succeeded == 1
