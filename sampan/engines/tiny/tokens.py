"""A small byte-level BPE tokenizer in Qwen's own shape: its split regex, its special tokens, its files.

The vocabulary is trained on the spot from `corpus.txt`. The corpus holds the sentences that Qwen-Image puts before
every prompt, so that they are as many tokens here as with the real vocabulary (34 and 64): the pipelines cut that many
off.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

# The split of Qwen2's tokenizer (transformers, models/qwen2/tokenization_qwen2.py).
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CORPUS = Path(__file__).parent / "corpus.txt"
_LEARNED = 1600  # tokens that BPE may make, the 256 bytes among them

# In the order in which Qwen numbers them. Qwen2-VL knows the first fourteen, Qwen2.5-VL has the tool calls and the code
# marks too, Qwen3-VL all. From `<tool_call>` on they are not "special" to the library: they stay in the decoded text.
CONTROLS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
MARKS = (
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
)
QWEN2 = CONTROLS
QWEN2_5 = CONTROLS + MARKS[:8]
QWEN3 = CONTROLS + MARKS


@dataclass(frozen=True)
class Vocabulary:
    """A trained tokenizer: `trained` is a `tokenizers.Tokenizer`, `specials` the tokens above the learned ones."""

    trained: Any
    specials: tuple[str, ...]

    def id(self, token: str) -> int:
        """The number of a token, written as in the vocabulary. Raises `KeyError` for one that is not there."""
        number = self.trained.token_to_id(token)
        if number is None:
            raise KeyError(token)
        return int(number)

    @property
    def size(self) -> int:
        """The size of the embedding: past the last token, and round, as Qwen pads it."""
        return -(-int(self.trained.get_vocab_size()) // 64) * 64

    @cached_property
    def readable(self) -> tuple[int, ...]:
        """The tokens that are whole characters of text by themselves: neither marks nor halves of a character."""
        numbers = range(int(self.trained.get_vocab_size()) - len(self.specials))
        texts = ((number, self.trained.decode([number], skip_special_tokens=False)) for number in numbers)
        return tuple(number for number, text in texts if text.isprintable() and "\N{REPLACEMENT CHARACTER}" not in text)


def train(specials: tuple[str, ...]) -> Vocabulary:
    """Trains the tokenizer with `specials` numbered behind what was learned, as Qwen has it."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=_LEARNED, min_frequency=2, initial_alphabet=alphabet, special_tokens=[], show_progress=False
    )
    tokenizer.train_from_iterator(_sentences(), trainer)
    tokenizer.add_special_tokens(
        [AddedToken(token, special=token in CONTROLS, normalized=False) for token in specials if token in CONTROLS]
    )
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in specials if token in MARKS])
    return Vocabulary(tokenizer, specials)


def _sentences() -> list[str]:
    """What BPE is shown. The more often a thing is seen the sooner it is one token: first the roles and the words of
    the two sentences that Qwen-Image counts on, then whole CJK characters, so that few tokens are halves of one."""
    lines = _CORPUS.read_text(encoding="utf-8").splitlines()
    wide = sorted({char for line in lines for char in line if ord(char) > 0x2E80})
    return lines + ["system", "user", "assistant", "tool"] * 40 + lines[:2] * 20 + wide * 20


def save(vocabulary: Vocabulary, into: Path, *, template: str, longest: int) -> None:
    """Writes the tokenizer's files as a Qwen checkpoint has them: `tokenizer.json`, `vocab.json`, `merges.txt`,
    `tokenizer_config.json` and the chat template beside it. `longest` is the model's context in tokens."""
    vocabulary.trained.save(str(into / "tokenizer.json"))
    model = json.loads(vocabulary.trained.to_str())["model"]
    write_json(into / "vocab.json", model["vocab"])
    merges = "".join(f"{' '.join(pair)}\n" for pair in model["merges"])
    (into / "merges.txt").write_text("#version: 0.2\n" + merges, encoding="utf-8")
    added = {
        str(vocabulary.id(token)): {
            "content": token,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": token in CONTROLS,
        }
        for token in vocabulary.specials
    }
    config = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": added,
        "additional_special_tokens": [token for token in CONTROLS if token != "<|endoftext|>"],
        "bos_token": None,
        "chat_template": template,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": longest,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    write_json(into / "tokenizer_config.json", config)


def write_json(path: Path, value: object) -> None:
    """Writes a JSON file as the hub's are: indented, UTF-8, a newline at its end."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
