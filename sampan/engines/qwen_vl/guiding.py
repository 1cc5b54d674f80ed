"""Answers that have to follow a form: a JSON schema, a tool call that was demanded, an end to thinking.

Schemas become grammars, and grammars say after every token which may come next (llguidance,
https://github.com/guidance-ai/llguidance, docs/syntax.md). JSON is written as `json.dumps` would, with one space behind
commas and colons: where white space were free, a model could write nothing else until its answer is full.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sampan.engines.conversation import Choice, Format, Tool
from sampan.engines.qwen_vl import hermes, thinking
from sampan.engines.qwen_vl.job import Guide
from sampan.engines.qwen_vl.words import Words
from sampan.errors import InternalError, InvalidRequest

_SPACED = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_FREE = Choice()
_ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


class Grammar:
    """A guide by a grammar: `matcher` is an `llguidance.LLMatcher`. When the answer is whole, nothing may come next."""

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary

    def mask(self) -> Any:
        import numpy as np
        import torch

        if self._matcher.is_error():
            raise InternalError("this answer's grammar cannot be followed any further")
        if self._matcher.is_stopped():
            return torch.zeros(self._vocabulary, dtype=torch.bool)
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        allowed = np.unpackbits(bits, count=self._vocabulary, bitorder="little")
        return torch.from_numpy(allowed).bool()

    def accept(self, token: int) -> None:
        self._matcher.consume_token(token)


class Thoughtful:
    """A guide for an answer that begins inside a thought: `then` comes behind it, if anything is to be followed there.

    After `budget` tokens (None: no limit) the thought is ended. Until then the answer may not be.
    """

    def __init__(self, words: Words, ends: Sequence[int], budget: int | None, then: Guide | None) -> None:
        close = words.id(thinking.CLOSE)
        assert close is not None, "thinking checkpoints have the mark as a token"
        self._close = close
        self._size = words.size
        self._ends = [end for end in ends if end < self._size]
        self._left = budget
        self._then = then
        self._inside = True

    def mask(self) -> Any:
        import torch

        if not self._inside:
            return self._then.mask() if self._then is not None else torch.ones(self._size, dtype=torch.bool)
        if self._left is not None and self._left <= 0:
            mask = torch.zeros(self._size, dtype=torch.bool)
            mask[self._close] = True
            return mask
        mask = torch.ones(self._size, dtype=torch.bool)
        mask[self._ends] = False
        return mask

    def accept(self, token: int) -> None:
        if not self._inside:
            if self._then is not None:
                self._then.accept(token)
        elif token == self._close:
            self._inside = False
        elif self._left is not None:
            self._left -= 1


class Guiding:
    """Makes guides for one checkpoint. Used by any number of threads at once."""

    def __init__(self, words: Words, ends: Sequence[int]) -> None:
        import llguidance

        self._library = llguidance
        self._words = words
        self._tokenizer = llguidance.LLTokenizer(words.tokenizer.to_str(), n_vocab=words.size, eos_token=sorted(ends))
        self._open = _token(words, hermes.OPEN)
        self._close = _token(words, hermes.CLOSE)

    def format(self, wanted: Format, tools: Sequence[Tool] = (), choice: Choice = _FREE) -> Grammar:
        """An answer that is JSON of a schema, or calls of `tools` instead: the JSON comes once their outcomes are in.

        Line ends may stand before it, as they do behind a thought. Raises `InvalidRequest` naming what of the schema
        is not known here, and as `tools_in_text` does.
        """
        self._check(wanted.schema, wanted.where)
        answer = f"answer: {_json(wanted.schema)}\n"
        if not tools:
            return self._grammar(f"start: NEAR answer\n{answer}", wanted.where)
        return self._grammar(f"start: NEAR (answer | calls)\n{answer}{self._calls(tools, choice)}", wanted.where)

    def calls(self, tools: Sequence[Tool], choice: Choice) -> Grammar:
        """An answer of calls and nothing else, but for line ends before them. Raises as `tools_in_text` does."""
        asked = [tool for tool in tools if choice.name in ("", tool.name)]
        return self._grammar(f"start: NEAR calls\n{self._calls(asked, choice)}", "tools")

    def _calls(self, tools: Sequence[Tool], choice: Choice) -> str:
        more = ' ("\\n" call)*' if choice.parallel else ""
        return f"calls: call{more}\ncall: {self._open} {self._bodies(tools)}"

    def tools_in_text(self, tools: Sequence[Tool]) -> Grammar:
        """Text with calls in it, each of a known tool and by its schema.

        Raises `InvalidRequest` for a schema of a `strict` tool that cannot be followed; of another tool's input then
        all is asked that it be an object.
        """
        if self._open.startswith("<"):
            lines = f"start: (TEXT call)* TEXT\ncall: {self._open} {self._bodies(tools)}"
        else:
            lines = f"start: call* TEXT\ntag[lazy]: TEXT {self._open}\ncall: tag {self._bodies(tools)}"
        return self._grammar(f"{lines}TEXT: /(.|\\n)*/\n", "tools")

    def _bodies(self, tools: Sequence[Tool]) -> str:
        """The rest of the rule `call`, and a rule for the input of each tool."""
        heads = [f'{json.dumps(_head(tool.name))} input_{number} "}}\\n"' for number, tool in enumerate(tools)]
        inputs = [f"input_{number}: {_json(self._schema(tool))}\n" for number, tool in enumerate(tools)]
        return f"({' | '.join(heads)}) {self._close}\n{''.join(inputs)}"

    def _schema(self, tool: Tool) -> Mapping[str, Any]:
        """A tool's input is an object, also where its schema does not say so."""
        schema = {**tool.schema, "type": "object"}
        try:
            self._check(schema, tool.where)
        except InvalidRequest:
            if tool.strict:
                raise
            return _ANY_OBJECT
        return schema

    def _check(self, schema: Mapping[str, Any], where: str) -> None:
        grammar = self._library.LLMatcher.grammar_from_json_schema({**schema, "x-guidance": _SPACED})
        wrong, said = self._library.LLMatcher.validate_grammar_with_warnings(grammar, self._tokenizer)
        if wrong:
            words = " ".join(said[0].split())[:300]
            raise InvalidRequest(f"{where}: this engine cannot follow the schema: {words}", param=where)

    def _grammar(self, lark: str, where: str) -> Grammar:
        matcher = self._library.LLMatcher(self._tokenizer, f"%llguidance {{}}\nNEAR: /\\n{{0,2}}/\n{lark}", log_level=0)
        if matcher.is_error():
            raise InvalidRequest(f"{where}: this engine cannot follow the schema, which is too large", param=where)
        return Grammar(matcher, self._words.size)


def _token(words: Words, mark: str) -> str:
    """A tag in a grammar: as a token where it is one, else as its characters."""
    return mark if words.id(mark) is not None else json.dumps(mark)


def _head(name: str) -> str:
    return f'\n{{"name": "{name}", "arguments": '


def _json(schema: Mapping[str, Any]) -> str:
    return f"%json {json.dumps({**schema, 'x-guidance': _SPACED})}"
