from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anthropic
import pytest
from pages import ANN, BOB, ask, claude

from sampan.batches import BatchRunner
from sampan.core import Incoming
from sampan.edge import batches as edge
from sampan.edge.batches import BatchesPages, read_requests
from sampan.errors import InvalidRequest
from sampan.storage.batches import KEPT, LIFETIME, Asked, Batches, Outcome
from sampan.storage.db import Database

NOW = 1_700_000_000.25
PATH = "/v1/messages/batches"
VERSION = anthropic.AsyncAnthropic(api_key="k").default_headers["anthropic-version"]
CLAUDE = {"anthropic-version": "2023-06-01", "x-api-key": "k"}
PARAMS: Any = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "汉字"}]}


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Woken:
    times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def woken() -> Woken:
    return Woken()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Batches]:
    with closing(Database(tmp_path)) as database:
        yield Batches(database, clock)


@pytest.fixture
def pages(ledger: Batches, woken: Woken) -> BatchesPages:
    return BatchesPages(ledger, woken, limit=100_000)


def requests(count: int) -> Any:
    return [{"custom_id": f"c{each}", "params": PARAMS} for each in range(count)]


def answer(text: str) -> bytes:
    said = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }
    return json.dumps(said, indent=1, ensure_ascii=False).encode()


@asynccontextmanager
async def gateway(ledger: Batches, clock: Clock, public_url: str = "") -> AsyncIterator[BatchesPages]:
    """The pages with a runner behind them, whose third request meets an error."""

    async def run(owner: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        said = json.loads(body)
        assert owner == ANN.key_id
        assert headers == {"anthropic-version": VERSION}
        if said["max_tokens"] == 0:
            return 400, b'{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens"}}'
        return 200, answer(said["messages"][0]["content"] + "\u2028\n")

    runner = BatchRunner(ledger, run, clock)
    task = asyncio.create_task(runner.run_forever())
    yield BatchesPages(ledger, runner.wake, public_url)
    task.cancel()
    await asyncio.wait((task,))


@pytest.mark.parametrize("beta", [False, True], ids=["messages", "beta.messages"])
@pytest.mark.parametrize("public_url", ["", "http://gateway/"])
async def test_anthropics_client_from_creation_to_results(
    ledger: Batches, clock: Clock, beta: bool, public_url: str
) -> None:
    async with gateway(ledger, clock, public_url) as pages:
        client = claude(pages.handle)
        api: Any = client.beta.messages.batches if beta else client.messages.batches
        asked = requests(100)
        asked[2]["params"] = {**PARAMS, "max_tokens": 0}
        batch = await api.create(requests=asked)
        assert (batch.type, batch.created_at.timestamp()) == ("message_batch", NOW)
        assert batch.expires_at.timestamp() == NOW + LIFETIME
        async with asyncio.timeout(20):
            while batch.processing_status != "ended":
                counts = batch.request_counts
                assert (counts.processing, counts.succeeded, counts.errored) == (100, 0, 0)
                assert batch.results_url is batch.ended_at is None
                batch = await api.retrieve(batch.id)
        counts = batch.request_counts
        assert (counts.processing, counts.succeeded, counts.errored) == (0, 99, 1)
        assert batch.results_url == f"{public_url.rstrip('/')}{PATH}/{batch.id}/results"
        results = [result async for result in await api.results(batch.id)]
        assert [result.custom_id for result in results] == [f"c{each}" for each in range(100)]
        assert results[0].result.message.content[0].text == "汉字\u2028\n"
        assert results[2].result.error.error.type == "invalid_request_error"
        deleted = await api.delete(batch.id)
        assert (deleted.id, deleted.type) == (batch.id, "message_batch_deleted")
        with pytest.raises(anthropic.NotFoundError):
            await api.retrieve(batch.id)


async def test_an_answer_comes_only_after_the_commit_and_wakes_the_runner(
    ledger: Batches, pages: BatchesPages, woken: Woken
) -> None:
    batch = await claude(pages.handle).messages.batches.create(requests=requests(2))
    assert [each.id for each in ledger.open()] == [batch.id]
    assert woken.times == 1
    kept = ledger.open()[0]
    assert kept.headers == {"anthropic-version": VERSION}
    await claude(pages.handle).beta.messages.batches.create(requests=requests(1), betas=["files-api-2025-04-14"])
    assert ledger.open()[1].headers == {"anthropic-version": VERSION, "anthropic-beta": "files-api-2025-04-14"}
    assert [json.loads(params) for _, params in ledger.pending(kept, 0, 9)] == [PARAMS]


async def test_cancel_says_canceling_and_ends_once(
    ledger: Batches, pages: BatchesPages, woken: Woken, clock: Clock
) -> None:
    api = claude(pages.handle).messages.batches
    batch = await api.create(requests=requests(2))
    clock.now += 5
    canceling = await api.cancel(batch.id)
    assert (canceling.processing_status, woken.times) == ("canceling", 2)
    assert canceling.cancel_initiated_at is not None
    assert canceling.cancel_initiated_at.timestamp() == clock.now
    with pytest.raises(anthropic.AnthropicError, match="results_url"):
        await api.results(batch.id)
    ledger.close_pending(ledger.open()[0], Outcome.CANCELED, ())
    results = [result async for result in await api.results(batch.id)]
    assert [result.result.type for result in results] == ["canceled", "canceled"]
    with pytest.raises(anthropic.BadRequestError):
        await api.cancel(batch.id)


async def test_pages_of_batches(pages: BatchesPages) -> None:
    api = claude(pages.handle).messages.batches
    made = [(await api.create(requests=requests(1))).id for _ in range(5)]
    assert [batch.id async for batch in api.list(limit=2)] == made[::-1]
    page = await api.list(limit=2, before_id=made[1])
    assert ([batch.id for batch in page.data], page.has_more) == ([made[3], made[2]], True)
    with pytest.raises(anthropic.BadRequestError, match="limit"):
        await api.list(limit=0)
    assert [batch async for batch in claude(pages.handle, BOB).messages.batches.list()] == []


async def test_a_batch_is_its_owners_alone(pages: BatchesPages) -> None:
    batch = await claude(pages.handle).messages.batches.create(requests=requests(1))
    api = claude(pages.handle, BOB).messages.batches
    for attempt in (api.retrieve, api.cancel, api.delete, api.results):
        with pytest.raises(anthropic.NotFoundError):
            await attempt(batch.id)


async def test_results_are_there_from_the_end_until_they_are_archived(
    ledger: Batches, pages: BatchesPages, clock: Clock
) -> None:
    kept = ledger.create(ANN.key_id, {}, [Asked("c", b"{}")])
    incoming = Incoming("GET", f"{PATH}/{kept.id}/results", "", CLAUDE, b"")
    status, _, said = await ask(pages.handle, incoming)
    assert (status, "has no results yet" in said.decode()) == (404, True)
    ledger.settle(kept, 0, Outcome.SUCCEEDED, b'{"type":"succeeded"}')
    status, headers, said = await ask(pages.handle, incoming)
    assert (status, said) == (200, b'{"custom_id":"c","result":{"type":"succeeded"}}\n')
    assert headers["content-type"] == "application/x-jsonl"
    clock.now += KEPT + 1
    ledger.archive()
    status, _, said = await ask(pages.handle, incoming)
    assert (status, "were archived" in said.decode()) == (404, True)
    batch = await claude(pages.handle).messages.batches.retrieve(kept.id)
    assert (batch.results_url, batch.archived_at is not None) == (None, True)


async def test_results_that_are_deleted_meanwhile_do_not_end_as_if_they_were_whole(
    ledger: Batches, pages: BatchesPages
) -> None:
    kept = ledger.create(ANN.key_id, {}, [Asked(f"c{each}", b"{}") for each in range(edge.LINES + 1)])
    ledger.close_pending(kept, Outcome.EXPIRED, ())
    found = await pages.handle(Incoming("GET", f"{PATH}/{kept.id}/results", "", CLAUDE, b""), ANN)
    assert not isinstance(found.body, bytes)
    assert (await anext(found.body)).count(b"\n") == edge.LINES
    ledger.delete(ANN.key_id, kept.id)
    with pytest.raises(Exception, match="was deleted"):
        await anext(found.body)


def body(*items: object) -> bytes:
    return json.dumps({"requests": items}).encode()


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"", "body: is not valid JSON"),
        (b"{}", "requests: Field required"),
        (body(), "requests: must be 1 to 100,000, not 0"),
        (body({"custom_id": "a"}), "requests.0.params: Field required"),
        (body({"params": {}}), "requests.0.custom_id: Field required"),
        (body({"custom_id": "", "params": {}}), "requests.0.custom_id: must be 1 to 64"),
        (body({"custom_id": "a" * 65, "params": {}}), "requests.0.custom_id: must be 1 to 64"),
        (body({"custom_id": "a b", "params": {}}), "requests.0.custom_id: must be 1 to 64"),
        (body({"custom_id": "a\n", "params": {}}), "requests.0.custom_id: must be 1 to 64"),
        (
            body({"custom_id": "a", "params": {}}, {"custom_id": "b", "params": {}}, {"custom_id": "a", "params": {}}),
            "requests.2.custom_id: is the same as that of requests.0",
        ),
        (body({"custom_id": "a", "params": {"stream": True}}), "requests.0.params.stream: a batch has no stream"),
        (body({"custom_id": "a", "params": 7}), "requests.0.params: Expected `object`"),
        (body({"custom_id": "a", "params": {}, "x": 1}), "requests.0: Object contains unknown field `x`"),
    ],
)
async def test_mistakes_are_named_and_nothing_is_kept(
    pages: BatchesPages, ledger: Batches, woken: Woken, sent: bytes, message: str
) -> None:
    status, _, said = await ask(pages.handle, Incoming("POST", PATH, "", CLAUDE, sent))
    assert status == 400
    assert message in json.loads(said)["error"]["message"]
    assert (ledger.open(), woken.times) == ([], 0)


def test_a_hundred_thousand_requests_and_no_more() -> None:
    items = b",".join(b'{"custom_id":"%d","params":{}}' % each for each in range(100_001))
    with pytest.raises(InvalidRequest, match="not 100,001"):
        read_requests(b'{"requests":[' + items + b"]}")
    most = items[: items.rindex(b',{"custom_id"')]
    assert len(read_requests(b'{"requests":[' + most + b"]}")) == 100_000


def test_params_are_kept_as_they_came() -> None:
    sent = b'{"requests": [{"custom_id": "a", "params": {"stream": false,  "future_field": [1.50]}}]}'
    assert read_requests(sent) == [Asked("a", b'{"stream": false,  "future_field": [1.50]}')]


async def test_a_body_over_the_limit_is_a_413(pages: BatchesPages) -> None:
    status, _, said = await ask(pages.handle, Incoming("POST", PATH, "", CLAUDE, bytes(100_001)))
    assert (status, json.loads(said)["error"]["type"]) == (413, "request_too_large")


async def test_what_each_path_takes(pages: BatchesPages) -> None:
    assert pages.methods(PATH) == ("GET", "HEAD", "POST")
    assert pages.methods(f"{PATH}/msgbatch_1") == ("GET", "HEAD", "DELETE")
    assert pages.methods(f"{PATH}/msgbatch_1/cancel") == ("POST",)
    assert pages.methods(f"{PATH}/msgbatch_1/results") == ("GET", "HEAD")
    assert pages.methods(f"{PATH}/a/b") == ()
    status, _, _ = await ask(pages.handle, Incoming("GET", f"{PATH}/msgbatch_1/cancel", "", CLAUDE, b""))
    assert status == 405
    status, _, _ = await ask(pages.handle, Incoming("GET", "/v1/messages/batch", "", CLAUDE, b""))
    assert status == 404
