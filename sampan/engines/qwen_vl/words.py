"""Between text and tokens: a prompt into tokens, with what users wrote kept from becoming a mark, and tokens into text.

Marks (`<|im_start|>`, `<|image_pad|>`, `<tool_call>` …) are single tokens, and the tokenizer makes them wherever it
meets their spelling. In a text that came from outside they must stay text. `guard` writes `CUT` into each, and `encode`
tokenizes what stands before and behind a cut apart: the model reads the same characters, and no token is the mark's.
Text without marks is not touched, so its tokens are those that the model was trained on.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

CUT = "\ufdd0"  # a noncharacter: "intended for process-internal uses" (Unicode 15, section 23.7)
TAGS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")
GROUNDING = ("<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>")


class Words:
    """The words of one checkpoint; `tokenizer` is a `tokenizers.Tokenizer`, byte-level BPE as all of Qwen's are.

    `longest` is how many bytes a token spells at most. Used by any number of threads at once.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        added: Mapping[int, Any] = tokenizer.get_added_tokens_decoder()
        self._added: Mapping[int, str] = {number: token.content for number, token in added.items()}
        self._special = frozenset(number for number, token in added.items() if token.special)
        self.marks = tuple(sorted({*self._added.values(), *TAGS}, key=len, reverse=True))
        # One character and a look ahead: marks that overlap are found, too, in one pass.
        self._mark = re.compile("|".join(f"{re.escape(mark[0])}(?={re.escape(mark[1:])})" for mark in self.marks))
        self._beginnings = frozenset(mark[:size] for mark in self.marks for size in range(1, len(mark)))
        self._longest_mark = len(self.marks[0])
        self.longest = max(map(len, tokenizer.get_vocab(with_added_tokens=True)))
        self._bytes: dict[str, int] = {char: byte for byte, char in _byte_characters().items()}
        self._spelt: dict[int, bytes] = {}

    @property
    def size(self) -> int:
        """How many tokens there are; a model's own table is padded beyond them."""
        size: int = self.tokenizer.get_vocab_size(with_added_tokens=True)
        return size

    def id(self, mark: str) -> int | None:
        """The token that a mark is, None where this checkpoint has none."""
        number: int | None = self.tokenizer.token_to_id(mark)
        return number

    def guard(self, text: str) -> str:
        """A text from outside, such that `encode` makes no mark of it, nor of its end and what comes behind it."""
        text = text.replace(CUT, "\N{REPLACEMENT CHARACTER}")
        text = self._mark.sub(lambda found: found[0] + CUT, text)
        ends = (text[-size:] for size in range(1, self._longest_mark))
        return text + CUT if any(end in self._beginnings for end in ends) else text

    def encode(self, text: str) -> list[int]:
        """The tokens of a rendered prompt, cut where `guard` cut it."""
        # The batch call lets other threads run while it works, the single one does not.
        pieces = self.tokenizer.encode_batch_fast(text.split(CUT), add_special_tokens=False)
        return [number for piece in pieces for number in piece.ids]

    def spelling(self, token: int) -> bytes:
        """What a token adds to a text; nothing for a mark that is none of its own (those are "special")."""
        known = self._spelt.get(token)
        if known is None:
            known = self._spelt[token] = self._spell(token)
        return known

    def _spell(self, token: int) -> bytes:
        if token in self._special:
            return b""
        if token in self._added:
            return self._added[token].encode()
        written: str | None = self.tokenizer.id_to_token(token)
        return bytes(self._bytes[char] for char in written or "" if char in self._bytes)

    def marks_among(self, marks: Iterable[str]) -> Mapping[int, str]:
        """Those that this checkpoint has as one token."""
        return {number: mark for mark in marks if (number := self.id(mark)) is not None}


class Speller:
    """Spells one answer as its tokens come; half a character waits for its other half."""

    def __init__(self, words: Words) -> None:
        self._spelling: Callable[[int], bytes] = words.spelling
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token: int) -> str:
        return self._decoder.decode(self._spelling(token))

    def end(self) -> str:
        """What waited for a half that never came: a replacement character."""
        return self._decoder.decode(b"", final=True)


def _byte_characters() -> Mapping[int, str]:
    """How byte-level BPE writes bytes: GPT-2's table, in which every byte is a visible character."""
    visible: Sequence[int] = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {byte: chr(byte) for byte in visible}
    hidden = [byte for byte in range(256) if byte not in table]
    return table | {byte: chr(256 + place) for place, byte in enumerate(hidden)}
