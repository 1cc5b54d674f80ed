"""A page of ours as the official SDKs meet it: a transport that hands their requests to `handle`, as the door does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing

import anthropic
import httpx2
import openai

from sampan.core import Actor, Answer, Incoming
from sampan.dialects.anthropic import Anthropic
from sampan.dialects.openai_images import OpenAIImages
from sampan.edge.paging import speaks_anthropic
from sampan.errors import CallError

Handle = Callable[[Incoming, Actor], Awaitable[Answer]]
ANN = Actor("key_ann", "ann", "member")
BOB = Actor("key_bob", "bob", "member")


async def ask(handle: Handle, incoming: Incoming, actor: Actor = ANN) -> tuple[int, dict[str, str], bytes]:
    """The answer as it goes out, its body whole."""
    try:
        answer = await handle(incoming, actor)
    except CallError as error:
        codec = Anthropic() if speaks_anthropic(incoming) else OpenAIImages()
        answer = Answer(codec.status(error), (("content-type", "application/json"),), codec.error(error, "req_1"))
    headers = dict(answer.headers)
    if isinstance(answer.body, bytes):
        return answer.status, headers, answer.body
    async with aclosing(answer.body) as pieces:
        return answer.status, headers, b"".join([piece async for piece in pieces])


def http(handle: Handle, actor: Actor) -> httpx2.AsyncClient:
    async def respond(request: httpx2.Request) -> httpx2.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.aread()
        incoming = Incoming(request.method, request.url.path, request.url.query.decode(), headers, body)
        status, said, content = await ask(handle, incoming, actor)
        return httpx2.Response(status, headers=said, content=content)

    return httpx2.AsyncClient(transport=httpx2.MockTransport(respond))


def claude(handle: Handle, actor: Actor = ANN) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(
        api_key="k", base_url="http://gateway", http_client=http(handle, actor), max_retries=0
    )


def gpt(handle: Handle, actor: Actor = ANN) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key="k", base_url="http://gateway/v1", http_client=http(handle, actor), max_retries=0)
