"""From a conversation to a job and back, in one process with a scripted model."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import aclosing
from functools import cache
from typing import Any

import pytest
from PIL import Image

from sampan.engines.conversation import (
    Begun,
    CallBegun,
    Choice,
    Conversation,
    Done,
    Paper,
    Sight,
    Style,
    TextDelta,
    Thinking,
    Tool,
    Turn,
)
from sampan.engines.conversation import Words as Text
from sampan.engines.options import Options
from sampan.engines.qwen_vl import QwenVL
from sampan.engines.qwen_vl.checkpoint import Checkpoint
from sampan.engines.qwen_vl.guiding import Grammar, Guiding, Thoughtful
from sampan.engines.qwen_vl.hearing import Ear, Hearing
from sampan.engines.qwen_vl.job import Deliver, Ended, Job, Reason, Sampling
from sampan.engines.qwen_vl.sights import PICTURES, Opener
from sampan.errors import CallError, InternalError, InvalidRequest, Unavailable
from tests.engines.fake_model import CONTEXT, PATCH, FakeModel, template, words

LOOK = Tool("look", "", {"type": "object"}, False, "tools.0.input_schema")


@cache
def guiding() -> Guiding:
    return Guiding(words(), sorted(FakeModel().ends))


def ear(model: FakeModel | None = None, *, thinking: bool = False) -> Ear:
    checkpoint = Checkpoint(words(), template(thinking=thinking), PATCH, absolute=True)
    return Ear(model or FakeModel(), checkpoint, guiding(), Opener())


def asked(*parts: Any, **how: Any) -> Conversation:
    told = [Text(part) if isinstance(part, str) else part for part in parts or ("say: Hello there.",)]
    return Conversation("m", [Turn("user", told)], **{"max_tokens": 50, **how})


def picture(width: int, height: int) -> Sight:
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, "PNG")
    return Sight(out.getvalue(), "messages.0.content.0")


async def answer(hearing: Hearing) -> list[Any]:
    async with aclosing(hearing.answer()) as pieces:
        return [piece async for some in pieces for piece in some]


@pytest.mark.parametrize(
    ("style", "sampling"),
    [
        (Style(), Sampling(0.5, 0.9, 20)),
        (Style(top_p=0.3, seed=7), Sampling(0.5, 0.3, 20, 7)),
        (Style(temperature=1.0), Sampling(1.0, 1.0, 0)),
        (Style(temperature=0.0, top_k=5), Sampling(0.0, 1.0, 5)),
    ],
)
def test_who_names_no_temperature_gets_what_the_checkpoint_advises(style: Style, sampling: Sampling) -> None:
    assert ear().hear(asked(style=style)).job.sampling == sampling


def test_a_job_has_its_owner_and_no_more_room_than_there_is() -> None:
    hearing = ear().hear(asked(owner="ann", max_tokens=10_000))
    assert hearing.job.owner == "ann"
    assert hearing.job.max_tokens == CONTEXT - hearing.input_tokens
    assert ear().hear(asked(max_tokens=None)).input_tokens == hearing.input_tokens


def test_an_answer_is_guided_only_where_it_has_to_be() -> None:
    assert ear().hear(asked()).job.guide is None
    assert ear().hear(asked(tools=[LOOK])).job.guide is None
    assert isinstance(ear().hear(asked(tools=[LOOK], choice=Choice(True))).job.guide, Grammar)
    strict = Tool("look", "", {"type": "object"}, True, "tools.0.input_schema")
    assert isinstance(ear().hear(asked(tools=[strict])).job.guide, Grammar)
    wanted = Thinking(True, 20)
    assert ear().hear(asked(thinking=wanted)).job.guide is None  # this one cannot think
    assert isinstance(ear(thinking=True).hear(asked(thinking=wanted)).job.guide, Thoughtful)
    assert ear(thinking=True).hear(asked(thinking=Thinking(True))).job.guide is None


def test_pictures_stand_where_they_belong_and_cost_what_they_are() -> None:
    pad = words().id("<|image_pad|>")
    hearing = ear().hear(asked("a", picture(28, 28), "b", picture(84, 56), grounding=True))
    tokens = list(hearing.job.prompt.tokens)
    first, last = tokens.index(pad), len(tokens) - 1 - tokens[::-1].index(pad)
    assert tokens.count(pad) == 1 + 6
    assert tokens[first + 1] != pad
    assert tokens[last - 5 : last + 1] == [pad] * 6
    assert hearing.job.prompt.grids.tolist() == [[1, 2, 2], [1, 4, 6]]
    assert [(view.sent, view.seen) for view in hearing.views] == [((28, 28), (28, 28)), ((84, 56), (84, 56))]
    assert hearing.pictures == []
    assert hearing.conversation.turns == ()


def test_pictures_are_no_longer_opened_once_there_are_too_many() -> None:
    small = picture(28, 28)
    with pytest.raises(InvalidRequest, match=f"at most {PICTURES} pictures") as caught:
        ear().hear(asked(*[small] * (PICTURES + 1)))
    assert caught.value.param == "messages.0.content.0"
    broken = Sight(b"never opened", "messages.0.content.9")
    with pytest.raises(InvalidRequest, match="prompt is too long: at least 25"):
        ear().hear(asked(picture(1400, 1400), broken))


def test_pages_are_pictures() -> None:
    out = io.BytesIO()
    Image.new("RGB", (50, 60)).save(
        out, "PDF", save_all=True, append_images=[Image.new("RGB", (50, 60))], resolution=150
    )
    hearing = ear().hear(asked("Sum", Paper(out.getvalue(), "messages.0.content.1"), annotate=True, grounding=True))
    assert [page.size for page in hearing.pictures] == [(50, 60)] * 2
    assert len(hearing.views) == 2


async def test_an_answer_from_begun_to_done() -> None:
    hearing = ear().hear(asked())
    begun, *texts, done = await answer(hearing)
    assert begun == Begun(hearing.input_tokens)
    assert all(isinstance(piece, TextDelta) for piece in texts)
    assert "".join(piece.text for piece in texts) == "Hello there."
    assert isinstance(done, Done)
    assert (done.stop_reason, done.usage.input_tokens) == ("end_turn", hearing.input_tokens)
    assert done.usage.output_tokens == len(words().encode("Hello there."))


async def test_what_comes_together_goes_out_together() -> None:
    class Quick(FakeModel):
        """Delivers everything before `submit` returns."""

        def submit(self, job: Job, deliver: Deliver) -> Any:
            ticket = super().submit(job, lambda what: None)
            for token in self.words.encode("one two three"):
                deliver(token)
            deliver(Ended(Reason.STOP))
            return ticket

    pieces = await answer(ear(Quick()).hear(asked()))
    assert [type(piece) for piece in pieces] == [Begun, TextDelta, Done]


async def test_whoever_leaves_cancels_the_ticket() -> None:
    model = FakeModel()
    pieces = ear(model).hear(asked("say: endless")).answer()
    assert await anext(pieces)
    (ticket,) = model.tickets
    assert not ticket.left.is_set()
    await pieces.aclose()
    assert ticket.left.is_set()


async def test_an_answer_that_is_over_early_cancels_the_ticket_too() -> None:
    model = FakeModel()
    call = '<tool_call>\n{"name": "look", "arguments": {}}\n</tool_call>'
    hearing = ear(model).hear(asked(f"say: {call} {call}", tools=[LOOK], choice=Choice(parallel=False)))
    pieces = await answer(hearing)
    assert [type(piece) for piece in pieces].count(CallBegun) == 1
    assert pieces[-1].stop_reason == "tool_use"
    assert model.tickets[0].left.is_set()
    assert pieces[-1].usage.output_tokens == len(words().encode(call))


@pytest.mark.parametrize(
    ("ended", "kind", "said"),
    [
        (Ended(Reason.FAILED, InternalError("out of order")), InternalError, "out of order"),
        (Ended(Reason.FAILED), InternalError, "the model failed"),
        (Ended(Reason.CANCELLED), Unavailable, "gave the answer up"),
    ],
)
async def test_what_goes_wrong_is_raised(ended: Ended, kind: type[CallError], said: str) -> None:
    class Failing(FakeModel):
        def _say(self, job: Job, deliver: Deliver, ticket: Any) -> Ended:
            deliver(5)
            return ended

    with pytest.raises(kind, match=said):
        await answer(ear(Failing()).hear(asked()))


def engine(opened: Callable[..., Any]) -> QwenVL:
    return QwenVL(Options(), opened)


def test_the_engine_says_what_is_cold_until_nothing_is() -> None:
    seen: list[tuple[str, tuple[str, ...]]] = []
    model = FakeModel()

    def opened(options: Options, say: Callable[[str], None]) -> tuple[FakeModel, Checkpoint]:
        say("loading weights, 50 %")
        seen.append((made.stage, tuple(made.cold)))
        return model, ear().checkpoint

    made = engine(opened)
    with pytest.raises(Unavailable, match="still loading"):
        made.hear(asked())
    made.warm_up()
    assert seen == [("loading weights, 50 %", ("weights", "the first call"))]
    assert (made.stage, list(made.cold), made.working, made.waiting) == ("", [], 0, 0)
    assert len(model.jobs) == 1
    assert made.hear(asked()).input_tokens > 0
