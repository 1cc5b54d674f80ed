"""From a conversation to a job and back: what is asked becomes a prompt and a guide, what is written becomes pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sampan.core import Usage
from sampan.engines.conversation import Begun, Conversation, Done, Piece
from sampan.engines.qwen_vl import grounding
from sampan.engines.qwen_vl.album import Album, check_length
from sampan.engines.qwen_vl.checkpoint import Brain, Checkpoint
from sampan.engines.qwen_vl.grounding import View
from sampan.engines.qwen_vl.guiding import Guiding, Thoughtful
from sampan.engines.qwen_vl.inbox import Inbox
from sampan.engines.qwen_vl.job import Ended, Guide, Job, Prompt, Reason, Sampling
from sampan.engines.qwen_vl.prompts import PAD
from sampan.engines.qwen_vl.sights import Opener
from sampan.engines.qwen_vl.template import Rendered
from sampan.engines.qwen_vl.thinking import Start
from sampan.engines.qwen_vl.voice import Manner, Voice
from sampan.engines.qwen_vl.words import GROUNDING
from sampan.errors import InternalError, InvalidRequest, Unavailable

_COMPOSED = 4  # characters that the tokenizer makes one of, where they are accents of a letter


@dataclass(frozen=True, slots=True)
class Ear:
    """All that it takes to hear a conversation. Used by any number of threads at once."""

    brain: Brain
    checkpoint: Checkpoint
    guiding: Guiding
    opener: Opener

    def hear(self, conversation: Conversation) -> Hearing:
        """Reads a conversation; slow with pictures. Raises `InvalidRequest`."""
        album = Album(self.brain, self.opener, keep=conversation.annotate)
        turns = [album.open(turn) for turn in conversation.turns]
        think = conversation.thinking.wanted and self.checkpoint.template.thinks
        rendered = self.checkpoint.template.render(turns, conversation.tools, think=think)
        prompt = self._prompt(rendered.text, album)
        asked = conversation.max_tokens
        job = Job(
            prompt,
            _sampling(conversation, self.brain.defaults),
            min(asked or 0, self.brain.context - len(prompt.tokens)),
            self._guide(conversation, rendered) if asked else None,
            conversation.owner,
        )
        views = tuple(album.views(self.checkpoint.patch)) if conversation.grounding else ()
        rest = replace(conversation, turns=())  # files of many megabytes, and nobody reads them again
        return Hearing(self, rest, job, self._manner(conversation, rendered), views, album.pictures)

    def _prompt(self, text: str, album: Album) -> Prompt:
        """The prompt, its pictures in place. Raises `InvalidRequest` where it leaves no room for an answer."""
        words = self.checkpoint.words
        context = self.brain.context
        check_length(len(text) // (_COMPOSED * words.longest), context, "at least ")  # before the work of megabytes
        tokens = words.encode(text)
        pad = words.id(PAD)
        if sum(token == pad for token in tokens) != len(album):
            said = f"this model takes no picture where one of these {len(album)} stands"
            raise InvalidRequest(f"messages: {said}", param="messages")
        prompt = album.fill(tokens, pad)
        check_length(len(prompt.tokens), context)
        return prompt

    def _guide(self, conversation: Conversation, rendered: Rendered) -> Guide | None:
        guide: Guide | None = None
        tools = conversation.tools
        if conversation.format is not None:
            guide = self.guiding.format(conversation.format, tools, conversation.choice)
        elif tools and conversation.choice.forced:
            guide = self.guiding.calls(tools, conversation.choice)
        elif any(tool.strict for tool in tools):
            guide = self.guiding.tools_in_text(tools)
        budget = conversation.thinking.budget
        if rendered.start is Start.OPENED and (guide is not None or budget is not None):
            return Thoughtful(self.checkpoint.words, sorted(self.brain.ends), budget, guide)
        return guide

    def _manner(self, conversation: Conversation, rendered: Rendered) -> Manner:
        return Manner(
            start=rendered.start,
            shown=conversation.thinking.shown,
            continued=conversation.turns[-1].role == "assistant",
            tools=frozenset(tool.name for tool in conversation.tools),
            parallel=conversation.choice.parallel,
            stops=conversation.stops,
            marks=self.checkpoint.words.marks_among(GROUNDING) if conversation.grounding else {},
        )


@dataclass(frozen=True, slots=True)
class Hearing:
    """A conversation that was heard: `contract.Heard`."""

    ear: Ear
    conversation: Conversation
    job: Job
    manner: Manner
    views: Sequence[View]
    pictures: Sequence[Any]

    @property
    def input_tokens(self) -> int:
        return len(self.job.prompt.tokens)

    async def answer(self) -> AsyncGenerator[Sequence[Piece], None]:
        """`Heard.answer`."""
        begun: list[Piece] = [Begun(self.input_tokens)]
        if not self.job.max_tokens:
            yield [*begun, Done("max_tokens", Usage(self.input_tokens, 0))]
            return
        voice = Voice(self.ear.checkpoint.words, self.manner)
        inbox: Inbox[int | Ended] = Inbox()
        ticket = self.ear.brain.submit(self.job, inbox.put)
        ended: Ended | None = None
        try:
            while ended is None and not voice.over:
                ended = _feed(voice, await inbox.take())
                pieces = voice.take()
                if pieces or begun:
                    yield [*begun, *pieces]
                    begun = []
        finally:
            ticket.cancel()
        voice.end()
        yield [*voice.take(), await self._done(voice, ended)]

    async def _done(self, voice: Voice, ended: Ended | None) -> Done:
        return Done(
            self._stop_reason(voice, ended),
            Usage(self.input_tokens, voice.tokens),
            voice.stop_sequence,
            voice.thinking_tokens,
            await self._extra(voice),
        )

    def _stop_reason(self, voice: Voice, ended: Ended | None) -> str:
        if voice.stop_sequence is not None:
            return "stop_sequence"
        if ended is not None and ended.reason is Reason.LENGTH and not voice.over:
            cut = self.job.max_tokens < (self.conversation.max_tokens or 0)
            return "model_context_window_exceeded" if cut else "max_tokens"
        return "tool_use" if voice.calls else "end_turn"

    async def _extra(self, voice: Voice) -> dict[str, Any]:
        if not self.conversation.grounding:
            return {}
        boxes = grounding.find_boxes(voice.said, self.views, absolute=self.ear.checkpoint.absolute)
        extra: dict[str, Any] = {"grounding": [box.told() for box in boxes]}
        if self.conversation.annotate:
            extra["annotated"] = [
                {"picture": number, "media_type": "image/png", "data": data}
                for number, picture in enumerate(self.pictures)
                if (of_it := [box for box in boxes if box.picture == number])
                for data in [await asyncio.to_thread(grounding.annotate, picture, of_it)]
            ]
        return extra


def _feed(voice: Voice, items: Sequence[int | Ended]) -> Ended | None:
    """Hands tokens to the voice; what ended the job is returned, or raised where that was a failure."""
    for item in items:
        if not isinstance(item, Ended):
            voice.feed(item)
        elif item.reason is Reason.FAILED:
            raise item.error or InternalError("the model failed on this request")
        elif item.reason is Reason.CANCELLED and not voice.over:
            raise Unavailable("this engine gave the answer up; ask again", retry_after=2)
        else:
            return item
    return None


def _sampling(conversation: Conversation, advised: Sampling) -> Sampling:
    """As the caller says. Who names no temperature gets what the checkpoint's authors advise."""
    style = conversation.style
    usual = advised if style.temperature is None else Sampling(style.temperature)
    return Sampling(
        usual.temperature,
        usual.top_p if style.top_p is None else style.top_p,
        usual.top_k if style.top_k is None else style.top_k,
        style.seed,
    )
