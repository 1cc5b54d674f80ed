"""A conversation as the text that the checkpoint was trained on, by its own chat template.

Templates are programs from outside; transformers runs them in its sandbox. What one can do is found out once, by
showing it small conversations:

- one that knows no tools gets them told as Qwen's others do: the Hermes prompt in the system turn, calls and outcomes
  as text between the tags that the model writes itself;
- one that would lose a later system turn gets its text in the user's turn, between `<system>` tags;
- one that opens a thought at the end of the prompt has the answer begin inside it; where no thought is wanted, it is
  closed again at once.

Texts from outside pass `Words.guard`. The template sees them with the cuts in, so it finds no tags in them either.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sampan.engines.conversation import Call, Outcome, Part, Thought, Tool, Turn, Words
from sampan.engines.qwen_vl import hermes, thinking
from sampan.engines.qwen_vl.prompts import PAD
from sampan.engines.qwen_vl.thinking import Start
from sampan.errors import ConfigError, InvalidRequest

Guard: TypeAlias = Callable[[str], str]
Message: TypeAlias = dict[str, Any]

_DEFAULT_SYSTEM = "You are a helpful assistant."
_PROMPT = """

# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>{tools}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""
_OUTCOME, _OUTCOME_END = "<tool_response>\n", "\n</tool_response>"
_PROBE = "probe-7151"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt as text, its cuts in place, and how the answer to it begins."""

    text: str
    start: Start


class Template:
    """One checkpoint's template. Used by any number of threads at once."""

    def __init__(self, source: str, guard: Guard) -> None:
        """`source` is the Jinja template. Raises `ConfigError` for one that cannot be used.

        `thinks` says whether its checkpoint was trained to think.
        """
        self._source = source
        self._guard = guard
        hello: Message = {"role": "user", "content": "Hello"}
        try:
            plain = self._run([hello], None, think=True)
            self._may_think = plain != self._run([hello], None, think=False)
            self.thinks = self._may_think or _opened(plain)
            self._knows_tools = self._probe_tools(hello)
            self._keeps_system = self._probe_system(hello)
        except InvalidRequest as error:
            raise ConfigError(f"the chat template of this checkpoint cannot be used: {error.message}") from None

    def render(self, turns: Sequence[Turn], tools: Sequence[Tool], *, think: bool) -> Rendered:
        """The prompt. Pictures stand in it as `<|image_pad|>`, in the order of the turns' parts.

        A last turn of the assistant's is left open, to be gone on with; no thought comes before that. Raises
        `InvalidRequest` for a conversation that the template refuses.
        """
        begun = turns[-1] if turns and turns[-1].role == "assistant" else None
        told = turns[:-1] if begun is not None else turns
        messages = self._messages(told, tools)
        offered = [_offer(tool) for tool in tools] if self._knows_tools and tools else None
        text = self._run(messages, self._guarded(offered), think=think and begun is None)
        start = Start.EITHER if think and begun is None and self._may_think else Start.NONE
        if _opened(text):
            if think and begun is None:
                start = Start.OPENED
            elif begun is not None:
                text = text.rstrip().removesuffix(thinking.OPEN)
            else:
                text = f"{text.rstrip()}\n\n{thinking.CLOSE}\n\n"
        if begun is not None:
            text += self._text(begun.parts)
        return Rendered(text, start)

    # What the template is shown.

    def _messages(self, turns: Sequence[Turn], tools: Sequence[Tool]) -> list[Message]:
        messages: list[Message] = []
        for turn in turns:
            match turn.role:
                case "system" if messages and not self._keeps_system:
                    content = self._content(turn.parts, joined="\n\n")
                    self._add(messages, "user", [_text("\n<system>\n"), *content, _text("\n</system>\n")])
                case "system":
                    self._add(messages, "system", self._content(turn.parts, joined="\n\n"))
                case "user":
                    self._user(turn.parts, messages)
                case "assistant":
                    messages.append(self._assistant(turn.parts))
        if tools and not self._knows_tools:
            self._tell_tools(messages, tools)
        return [{**message, "content": _plain(message["content"])} for message in messages]

    def _add(self, messages: list[Message], role: str, content: list[Message]) -> None:
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += content
        else:
            messages.append({"role": role, "content": content})

    def _user(self, parts: Sequence[Part], messages: list[Message]) -> None:
        """In the order in which the parts stand: their pictures are in that order, too."""
        for told, group in itertools.groupby(parts, lambda part: isinstance(part, Outcome)):
            if not told:
                self._add(messages, "user", self._content(list(group), joined="\n"))
                continue
            for outcome in group:
                assert isinstance(outcome, Outcome)
                content = self._content(outcome.parts, joined="\n")
                if self._knows_tools:
                    messages.append({"role": "tool", "content": content})
                else:
                    self._add(messages, "user", [_text(_OUTCOME), *content, _text(_OUTCOME_END + "\n")])

    def _assistant(self, parts: Sequence[Part]) -> Message:
        calls = [part for part in parts if isinstance(part, Call)]
        thoughts = [self._guard(part.text) for part in parts if isinstance(part, Thought)]
        content = self._content([part for part in parts if isinstance(part, Words)], joined="\n\n")
        message: Message = {"role": "assistant", "content": content}
        if thoughts:
            message["reasoning_content"] = "\n\n".join(thoughts)
        if calls and self._knows_tools:
            given = [{"name": call.name, "arguments": self._guarded(json.loads(call.input))} for call in calls]
            message["tool_calls"] = [{"type": "function", "function": each} for each in given]
        elif calls:
            message["content"] += [_text("\n" if content else ""), _text("\n".join(self._told(call) for call in calls))]
        return message

    def _told(self, call: Call) -> str:
        """A call as the model writes it."""
        given = json.dumps(self._guarded(json.loads(call.input)), ensure_ascii=False)
        return f'{hermes.OPEN}\n{{"name": "{call.name}", "arguments": {given}}}\n{hermes.CLOSE}'

    def _tell_tools(self, messages: list[Message], tools: Sequence[Tool]) -> None:
        told = "".join("\n" + json.dumps(self._guarded(_offer(tool)), ensure_ascii=False) for tool in tools)
        prompt = _PROMPT.format(tools=told)
        if messages and messages[0]["role"] == "system":
            messages[0]["content"].append(_text(prompt))
        else:
            messages.insert(0, {"role": "system", "content": [_text(_DEFAULT_SYSTEM + prompt)]})

    def _content(self, parts: Sequence[Part], *, joined: str) -> list[Message]:
        """Parts as a template knows them; between two texts in a row stands `joined`."""
        content: list[Message] = []
        for part in parts:
            if not isinstance(part, Words):
                content.append({"type": "image"})
                continue
            text = self._guard(part.text)
            if content and content[-1]["type"] == "text" and not content[-1]["text"].endswith("\n"):
                text = joined + text
            content.append(_text(text))
        return content

    def _text(self, parts: Sequence[Part]) -> str:
        return "\n\n".join(self._guard(part.text) for part in parts if isinstance(part, Words))

    def _guarded(self, value: Any) -> Any:
        """A JSON value with every text in it guarded, the names of members as well."""
        if isinstance(value, str):
            return self._guard(value)
        if isinstance(value, list):
            return [self._guarded(each) for each in value]
        if isinstance(value, dict):
            return {self._guard(name): self._guarded(each) for name, each in value.items()}
        return value

    # What it can do.

    def _run(self, messages: Sequence[Message], tools: Any, *, think: bool) -> str:
        from jinja2 import TemplateError
        from transformers.utils.chat_template_utils import render_jinja_template

        try:
            rendered, _ = render_jinja_template(
                [list(messages)],
                tools=tools,
                chat_template=self._source,
                add_generation_prompt=True,
                enable_thinking=think,
            )
        except TemplateError as error:
            # The template's own words may quote what it was shown.
            reason = str(error).partition(":")[0][:100]
            words = f"messages: the model's chat template refuses this conversation ({reason})"
            raise InvalidRequest(words, param="messages") from None
        text: str = rendered[0]
        return text

    def _probe_tools(self, hello: Message) -> bool:
        """Whether tools, calls and outcomes with their pictures all arrive in the prompt."""
        tool = _offer(Tool(_PROBE, "", {}, False, ""))
        call = {"type": "function", "function": {"name": f"{_PROBE}-call", "arguments": {}}}
        outcome = [_text(f"{_PROBE}-outcome"), {"type": "image"}]
        messages: list[Message] = [
            hello,
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": outcome},
        ]
        try:
            text = self._run(messages, [tool], think=True)
        except InvalidRequest:
            return False
        wanted = (f'"{_PROBE}"', f"{_PROBE}-call", f"{_PROBE}-outcome", PAD, _OUTCOME.strip())
        return all(each in text for each in wanted)

    def _probe_system(self, hello: Message) -> bool:
        late: Message = {"role": "system", "content": _PROBE}
        try:
            return _PROBE in self._run([hello, {"role": "assistant", "content": "Yes"}, late, hello], None, think=True)
        except InvalidRequest:
            return False


def _opened(text: str) -> bool:
    return text.rstrip().endswith(thinking.OPEN)


def _offer(tool: Tool) -> Mapping[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.schema)}
    return {"type": "function", "function": function}


def _text(text: str) -> Message:
    return {"type": "text", "text": text}


def _plain(content: list[Message]) -> str | list[Message]:
    """One string where there is nothing but text: that is what every template takes."""
    if all(part["type"] == "text" for part in content):
        return "".join(part["text"] for part in content)
    return content
