"""How the servers that speak the chat dialect differ: every oddity has its field here, and nowhere else.

    field          what it says of the server                   vLLM, SGLang, llama.cpp  Ollama   LM Studio  OpenAI
    tool_choice    how one tool is demanded                     named, llama.cpp: only   only     only       named
    prefill        how a trailing assistant turn is continued   flags                    plain    plain      refuse
    tokens         the name of the answer's limit               max_tokens               same     same       other
    reasoning      how thinking is asked for                    both                     effort   effort     effort
    picture_links  whether it fetches pictures itself           yes                      no       no         yes
    stops          the most stop sequences, None: no bound      None                     None     None       4
    top_k          whether it samples with `top_k`              yes                      no       yes        no
    efforts        the levels of `reasoning_effort`, weakest first
    effort_off     the level that turns thinking off, None: there is none
    late_system    the role of a system turn after the first turn
    detail         what stands in `image_url.detail`; None leaves it out, which every server understands
    stream_usage   whether `stream_options.include_usage` may be asked for
    counts_early   whether `continuous_usage_stats` may too: the first chunk then tells the input's real tokens
    think_tags     whether `<think>…</think>` at the head of a text is thinking
    tool_tags      whether `<tool_call>{…}</tool_call>` in a text is a tool call

Sources: vLLM `entrypoints/openai/chat_completion/protocol.py`, SGLang `entrypoints/openai/protocol.py`, llama.cpp
`tools/server/README.md`, Ollama `openai/openai.go`, LM Studio's OpenAI-compatibility pages, OpenAI's SDK types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class ChatServer:
    """One server's way with the chat dialect; the defaults suit a server of which nothing is known.

    `tool_choice` "only" sends the demanded tool alone, as `required`: llama.cpp takes the object form for `auto`
    (ggml-org/llama.cpp#26535), LM Studio refuses it. `prefill` "flags" sends `continue_final_message` and
    `add_generation_prompt`, which servers that do not know them leave alone; "plain" sends the turn only; "refuse"
    answers 400, for a server that would begin a new answer.
    """

    tool_choice: Literal["named", "only"] = "only"
    prefill: Literal["flags", "plain", "refuse"] = "flags"
    tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    reasoning: Literal["effort", "template", "both", "none"] = "both"
    efforts: tuple[str, ...] = ("low", "medium", "high")
    effort_off: str | None = None
    picture_links: bool = True
    stops: int | None = None
    top_k: bool = True
    late_system: Literal["system", "user"] = "system"
    detail: Literal["auto", "low", "high"] | None = None
    stream_usage: bool = True
    counts_early: bool = False
    think_tags: bool = True
    tool_tags: bool = True


ANY = ChatServer()

SERVERS: Mapping[str, ChatServer] = MappingProxyType(
    {
        "any": ANY,
        "vllm": ChatServer(tool_choice="named", counts_early=True),
        "sglang": ChatServer(tool_choice="named", counts_early=True),
        "llama.cpp": ANY,
        "ollama": ChatServer(prefill="plain", reasoning="effort", effort_off="none", picture_links=False, top_k=False),
        "lmstudio": ChatServer(prefill="plain", reasoning="effort", picture_links=False),
        "openai": ChatServer(
            tool_choice="named",
            prefill="refuse",
            tokens="max_completion_tokens",
            reasoning="effort",
            efforts=("low", "medium", "high", "xhigh"),
            effort_off="none",
            stops=4,
            top_k=False,
            think_tags=False,
            tool_tags=False,
        ),
    }
)
