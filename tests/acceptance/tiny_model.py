"""A language model of random numbers, small enough to be made anew by each test run, as a GGUF file.

The format is that of ggml's docs/gguf.md, version 3: magic, counts, metadata, tensor infos, then the aligned data. The
model is a llama of two layers with a SentencePiece vocabulary: control tokens, all bytes, printable signs, and words.
Rows of the output matrix are zero but for the words: what it says freely is words, what a grammar asks for it spells
with signs and bytes, and it ends only where a grammar lets it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

MAGIC, VERSION, ALIGNMENT = b"GGUF", 3, 32
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9  # types of metadata values
F32 = 0  # type of a tensor
NORMAL, UNKNOWN, CONTROL, MARKED, BYTE = 1, 2, 3, 4, 6  # types of tokens

END_ID, CALL_ID, CALLED_ID = 4, 5, 6  # their places in the vocabulary
WIDTH, HEADS, INNER, LAYERS = 64, 2, 128, 2
CONTEXT = 16_384
TURN, END, CALL, CALLED = "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"
LEXICON = (
    "amber anchor bay blue boat bridge calm coast dawn deep delta drift dusk east ebb fish fog foam gale green gull "
    "harbour haze heron hull island jetty keel lamp lee mast mist moon moor north oar pier plank pole quay rain reed "
    "reef rope rudder sail salt sand sea shell shoal shore silver south spray star stern stone storm surf swell tide "
    "tiller wake wave west wharf wind yard 小船 水 月亮 河 风 港口"
)

# Turns between marks, tools as JSON with calls between <tool_call> tags, which is what servers know as Hermes.
TEMPLATE = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- 'Tools, one a line:\\n<tools>' }}
    {%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}
    {{- '\\n</tools>\\nCall one like this: <tool_call>{"name": "...", "arguments": {...}}</tool_call>' }}
    {{- '<|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant\\n' }}
        {%- if message.reasoning_content %}{{- '<think>' + message.reasoning_content + '</think>' }}{%- endif %}
        {{- message.content or '' }}
        {%- for call in message.tool_calls or [] %}
            {{- '<tool_call>{"name": "' + call.function.name + '", "arguments": ' }}
            {{- call.function.arguments | tojson }}
            {{- '}</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""


def vocabulary() -> list[tuple[str, float, int]]:
    """All tokens in order: text, score, type. A score is how early a tokenizer joins two pieces to this one."""
    tokens = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    tokens += [(TURN, 0.0, CONTROL), (END, 0.0, CONTROL), (CALL, 0.0, MARKED), (CALLED, 0.0, MARKED)]
    tokens += [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    signs = ["▁"] + [chr(code) for code in range(33, 127)]
    tokens += [(sign, -1000.0 - rank, NORMAL) for rank, sign in enumerate(signs)]
    return tokens + [(f"▁{word}", -1.0 - rank, NORMAL) for rank, word in enumerate(LEXICON.split())]


def _tensors(size: int, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Names as llama.cpp has them; a matrix is (out, in)."""
    draw = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return draw.normal(0, columns**-0.5, (rows, columns)).astype("<f4")

    ones = np.ones(WIDTH, "<f4")
    yield "token_embd.weight", draw.normal(0, 1, (size, WIDTH)).astype("<f4")
    for layer in range(LAYERS):
        yield f"blk.{layer}.attn_norm.weight", ones
        for part in ("q", "k", "v", "output"):
            yield f"blk.{layer}.attn_{part}.weight", matrix(WIDTH, WIDTH)
        yield f"blk.{layer}.ffn_norm.weight", ones
        yield f"blk.{layer}.ffn_gate.weight", matrix(INNER, WIDTH)
        yield f"blk.{layer}.ffn_up.weight", matrix(INNER, WIDTH)
        yield f"blk.{layer}.ffn_down.weight", matrix(WIDTH, INNER)
    yield "output_norm.weight", ones
    output = draw.normal(0, 1, (size, WIDTH)).astype("<f4")
    output[: size - len(LEXICON.split())] = 0
    yield "output.weight", output


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(kind: int, value: object) -> bytes:
    if kind == STRING:
        return _string(str(value))
    return struct.pack({UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}[kind], value)


def _metadata(tokens: list[tuple[str, float, int]]) -> list[bytes]:
    numbers = {
        "llama.context_length": CONTEXT,
        "llama.embedding_length": WIDTH,
        "llama.block_count": LAYERS,
        "llama.feed_forward_length": INNER,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": HEADS,
        "llama.rope.dimension_count": WIDTH // HEADS,
        "llama.vocab_size": len(tokens),
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": END_ID,
        "general.alignment": ALIGNMENT,
    }
    pairs: list[tuple[str, int, object]] = [
        ("general.architecture", STRING, "llama"),
        ("general.name", STRING, "tiny"),
        ("llama.attention.layer_norm_rms_epsilon", FLOAT32, 1e-5),
        ("tokenizer.ggml.model", STRING, "llama"),
        ("tokenizer.ggml.add_bos_token", BOOL, True),
        ("tokenizer.ggml.add_space_prefix", BOOL, False),
        ("tokenizer.chat_template", STRING, TEMPLATE),
        *((name, UINT32, number) for name, number in numbers.items()),
    ]
    made = [_string(name) + struct.pack("<I", kind) + _value(kind, value) for name, kind, value in pairs]
    columns = (("tokens", STRING), ("scores", FLOAT32), ("token_type", INT32))
    for place, (name, kind) in enumerate(columns):
        head = _string(f"tokenizer.ggml.{name}") + struct.pack("<IIQ", ARRAY, kind, len(tokens))
        made.append(head + b"".join(_value(kind, token[place]) for token in tokens))
    return made


def write(path: Path, seed: int = 7) -> None:
    """Writes the model, about 560 KB; the same seed gives the same bytes."""
    tokens = vocabulary()
    metadata = _metadata(tokens)
    infos, data = b"", b""
    tensors = list(_tensors(len(tokens), seed))
    for name, tensor in tensors:
        shape = tensor.shape[::-1]  # the format counts the quickest dimension first
        infos += _string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, F32, len(data))
        data += tensor.tobytes() + b"\0" * (-tensor.nbytes % ALIGNMENT)
    head = MAGIC + struct.pack("<IQQ", VERSION, len(tensors), len(metadata)) + b"".join(metadata) + infos
    path.write_bytes(head + b"\0" * (-len(head) % ALIGNMENT) + data)
