"""The table of manners: which functions put a call of one dialect to a server of another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from sampan.core import Call, Dialect, Usage
from sampan.dialects import (
    Watch,
    anthropic,
    fields,
    handover,
    openai_chat,
    openai_embeddings,
    openai_errors,
    openai_images,
    thinking,
)
from sampan.dialects.translation import (
    chat_answers_claude,
    chat_asks_claude,
    claude_answers_chat,
    claude_answers_responses,
    claude_asks_chat,
    responses_ask_claude,
)
from sampan.dialects.translation.asked import asked
from sampan.dialects.translation.chat_server import ANY, ChatServer
from sampan.dialects.translation.relay import Relay, Signed

MESSAGES = "/v1/messages"
CHAT = "/v1/chat/completions"
COUNT = "/count_tokens"


@dataclass(frozen=True, slots=True)
class Terms:
    """What is known of a server. `secret` signs what a model of one's own has thought; a cloud signs by itself."""

    wall: Callable[[], float]
    server: ChatServer = ANY
    secret: bytes | None = None


@dataclass(frozen=True, slots=True)
class Manner:
    """`messages` is the call as a Messages request, for the target's diet; None where the body goes as it came.

    `body(call, messages, model)`, `whole(call, messages, answer)` and `watch(call, messages)` are given what became of
    it. `refusal` tells a server's 4xx in the caller's dialect; `count` answers a token count that the server cannot.
    They raise `InvalidRequest` for what the server's wire cannot say, `TargetFault` for what is no answer.
    """

    path: Callable[[Call], str]
    body: Callable[[Call, bytes, str | None], bytes]
    whole: Callable[[Call, bytes, bytes], tuple[bytes, Usage]]
    watch: Callable[[Call, bytes], Watch]
    messages: Callable[[Call], bytes] | None = None
    refusal: Callable[[bytes], bytes] | None = None
    count: Callable[[bytes], tuple[bytes, Usage]] | None = None
    straight: bool = False
    """Whether the server speaks the caller's dialect, and what it says goes back as it came."""


def manners(dialect: Dialect, terms: Terms) -> Mapping[Dialect, Manner]:
    """How calls of each dialect are put to a server that speaks `dialect`."""
    if dialect is Dialect.ANTHROPIC:
        return _to_messages(terms)
    if dialect is Dialect.OPENAI_CHAT:
        return _to_chat(terms)
    if dialect is Dialect.OPENAI_IMAGES:
        return {Dialect.OPENAI_IMAGES: _PICTURES}
    return {Dialect.OPENAI_EMBEDDINGS: _EMBEDDINGS}


def is_count(call: Call) -> bool:
    return COUNT in call.path


def _own_path(call: Call) -> str:
    return call.path


def _own_body(call: Call) -> bytes:
    return call.body


def _named(call: Call, body: bytes, model: str | None) -> bytes:
    """The request asking for the target's model, where that is another than the caller's."""
    return body if model in (None, call.model) else fields.with_members(body, {"model": model})


def _straight(call: Call, messages: bytes, model: str | None) -> bytes:
    return _named(call, call.body, model)


_PICTURES = Manner(
    path=_own_path,
    body=lambda call, messages, model: openai_images.body_for(call, model),
    whole=lambda call, messages, answer: (answer, openai_images.check(answer)),
    watch=lambda call, messages: openai_images.PictureWatch(call.pictures),
)
_EMBEDDINGS = Manner(
    path=_own_path,
    body=_straight,
    whole=lambda call, messages, answer: (answer, openai_embeddings.check(answer)),
    watch=lambda call, messages: openai_chat.watch(call),
)


def _as_chat(call: Call) -> bytes:
    return chat_asks_claude.request(call.body, None)


def _as_responses(call: Call) -> bytes:
    return responses_ask_claude.request(call.body, None)


# To a server that speaks Messages.


def _to_messages(terms: Terms) -> Mapping[Dialect, Manner]:
    secret = terms.secret

    def signed(call: Call, answer: bytes) -> bytes:
        return answer if secret is None else thinking.sign_whole(answer, secret, call.tenant, call.model)

    def watched(call: Call, then: Watch) -> Watch:
        if secret is None:
            return then
        return Signed(thinking.ThinkingSigner(secret, call.tenant, call.model), then)

    def own(call: Call, messages: bytes, answer: bytes) -> tuple[bytes, Usage]:
        if is_count(call):
            return answer, anthropic.check_count(answer)
        usage = anthropic.check(answer)
        return signed(call, answer), usage

    def form(call: Call) -> claude_answers_chat.Form:
        return claude_answers_chat.form_of(call.body, call.model, int(terms.wall()))

    def path(call: Call) -> str:
        return MESSAGES

    return {
        Dialect.ANTHROPIC: Manner(
            path=_own_path,
            messages=_own_body,
            body=_named,
            whole=own,
            straight=True,
            watch=lambda call, messages: watched(call, anthropic.MessageWatch()),
        ),
        Dialect.OPENAI_CHAT: Manner(
            path=path,
            messages=_as_chat,
            body=_named,
            whole=lambda call, messages, answer: claude_answers_chat.whole(answer, form(call)),
            watch=lambda call, messages: claude_answers_chat.MessagesToChat(form(call)),
            refusal=openai_errors.from_messages,
        ),
        Dialect.OPENAI_RESPONSES: Manner(
            path=path,
            messages=_as_responses,
            body=_named,
            whole=lambda call, messages, answer: claude_answers_responses.whole(
                signed(call, answer), dict(call.echo), terms.wall
            ),
            watch=lambda call, messages: watched(
                call, claude_answers_responses.MessagesToResponses(dict(call.echo), terms.wall)
            ),
            refusal=openai_errors.from_messages,
        ),
    }


# To a server that speaks chat completions.


def _to_chat(terms: Terms) -> Mapping[Dialect, Manner]:
    server, secret = terms.server, terms.secret

    def path(call: Call) -> str:
        return CHAT

    def body(call: Call, messages: bytes, model: str | None) -> bytes:
        return claude_asks_chat.request(messages, model or call.model, server)

    def straight(call: Call, messages: bytes, model: str | None) -> bytes:
        own, asks = _named(call, call.body, model), server.prefill == "refuse"
        return handover.continued_chat(own, call.partial, asked=asks, flags=server.prefill == "flags")

    def signature(call: Call) -> Callable[[str], str] | None:
        if secret is None:
            return None
        return lambda text: thinking.sign(secret, call.tenant, call.model, text)

    def whole(call: Call, messages: bytes, answer: bytes) -> tuple[bytes, Usage]:
        return chat_answers_claude.whole(answer, call.model, asked(messages), server=server, sign=signature(call))

    def watch(call: Call, messages: bytes) -> chat_answers_claude.ChatToMessages:
        return chat_answers_claude.ChatToMessages(call.model, asked(messages), server=server, sign=signature(call))

    def responded(call: Call, messages: bytes, answer: bytes) -> tuple[bytes, Usage]:
        message, usage = whole(call, messages, answer)
        return claude_answers_responses.whole(message, dict(call.echo), terms.wall)[0], usage

    return {
        Dialect.OPENAI_CHAT: Manner(
            path=_own_path,
            body=straight,
            whole=lambda call, messages, answer: (answer, openai_chat.check(answer)),
            watch=lambda call, messages: openai_chat.watch(call),
            straight=True,
        ),
        Dialect.ANTHROPIC: Manner(
            path=path,
            messages=_own_body,
            body=body,
            whole=whole,
            watch=watch,
            refusal=chat_answers_claude.rejection,
            count=_estimate,
        ),
        Dialect.OPENAI_RESPONSES: Manner(
            path=path,
            messages=_as_responses,
            body=body,
            whole=responded,
            watch=lambda call, messages: Relay(
                watch(call, messages), claude_answers_responses.MessagesToResponses(dict(call.echo), terms.wall)
            ),
        ),
    }


def _estimate(messages: bytes) -> tuple[bytes, Usage]:
    """A chat server has no way to count without answering: what its answer's usage would be estimated from."""
    tokens = asked(messages).input_tokens
    return msgspec.json.encode({"input_tokens": tokens}), Usage(tokens)
