"""The tiny Qwen-VL checkpoints: about a million parameters each, in bf16, in several safetensors shards.

Random weights say nothing, but what they say can be shaped. The first number of every token's embedding is the same for
all tokens, and no layer writes to it, so it reaches the last layer as a constant; the output row of a token may thus
carry a bias there. With it

- tokens that are no text by themselves (marks, halves of a character) are never drawn, so streams show visible text,
- `<|im_end|>` is not drawn out of the blue: it follows a full stop (`。` or `.`), which carries a second
  constant that only `<|im_end|>` looks at. A full stop is about one token in forty when sampled, so replies have an
  end. In the thinking model `。` is followed by `</think>` and `.` ends the reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sampan.engines.tiny import tokens
from sampan.engines.tiny.tokens import Vocabulary, write_json

_CONTEXT = 4096  # tokens; real ones take 32k and more, a test wants to reach the limit
_PICTURE = 64  # tokens that a picture costs at most
_KEPT = 3  # numbers of the hidden state that no layer writes to
_CONSTANT = 4.0
_STOPS = (".", "ãĢĤ")  # the full stops as the vocabulary writes them: the second is `。`, byte by byte
_SPREAD = 2.0  # of the logits of what may be said; wide enough that a batch and a single run agree on the best
_NEVER = -60.0  # logit of what may not be said
_STOP = 4.5  # logit of a full stop: among the best twenty, never the best by itself
_END = 30.0  # logit of `<|im_end|>` after a full stop


@dataclass(frozen=True)
class Talker:
    """One family: `model_type` and classes as in its config.json, and what sets its tokens and pictures apart."""

    model_type: str
    architecture: str
    processor: str
    specials: tuple[str, ...]
    template: str
    patch: int
    thinking: bool = False


TALKERS: Mapping[str, Talker] = {
    "qwen2-vl": Talker("qwen2_vl", "Qwen2VLForConditionalGeneration", "Qwen2VLProcessor", tokens.QWEN2, "qwen2-vl", 14),
    "qwen2.5-vl": Talker(
        "qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLProcessor", tokens.QWEN2_5, "qwen2-vl", 14
    ),
    "qwen3-vl": Talker("qwen3_vl", "Qwen3VLForConditionalGeneration", "Qwen3VLProcessor", tokens.QWEN3, "qwen3-vl", 16),
    "qwen3-vl-thinking": Talker(
        "qwen3_vl", "Qwen3VLForConditionalGeneration", "Qwen3VLProcessor", tokens.QWEN3, "qwen3-vl", 16, True
    ),
    "qwen3-vl-moe": Talker(
        "qwen3_vl_moe", "Qwen3VLMoeForConditionalGeneration", "Qwen3VLProcessor", tokens.QWEN3, "qwen3-vl", 16
    ),
}


def make_talker(kind: str, into: Path, seed: int) -> None:
    """Writes the checkpoint of a kind of `TALKERS` into an empty folder."""
    import torch

    family = TALKERS[kind]
    vocabulary = tokens.train(family.specials)
    model = build(family, vocabulary, seed)
    model.to(torch.bfloat16).save_pretrained(into, max_shard_size="1MB")
    save_words(family, vocabulary, into)
    write_json(into / "preprocessor_config.json", preprocessor(family))
    if family.patch == 16:
        write_json(into / "video_preprocessor_config.json", _video_preprocessor(family))


def build(family: Talker, vocabulary: Vocabulary, seed: int) -> Any:
    """The model in fp32, with random weights that `seed` fixes and the two constants of this module's docstring."""
    import torch
    import transformers

    config = transformers.AutoConfig.for_model(family.model_type, **_config(family, vocabulary))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(transformers, family.architecture)(config)
        with torch.no_grad():
            _shape(model, family, vocabulary)
    model.generation_config = transformers.GenerationConfig(**_generation(family, vocabulary))
    return model.eval()


def save_words(family: Talker, vocabulary: Vocabulary, into: Path) -> None:
    """Writes the tokenizer's files and the chat template, in both places where checkpoints carry it."""
    template = (Path(__file__).parent / "templates" / f"{family.template}.jinja").read_text(encoding="utf-8")
    if family.thinking:
        template = "{%- set thinking = true -%}\n" + template
    tokens.save(vocabulary, into, template=template, longest=_CONTEXT)
    write_json(into / "chat_template.json", {"chat_template": template})


def _config(family: Talker, vocabulary: Vocabulary) -> dict[str, Any]:
    third = family.patch == 16
    end, pad = vocabulary.id("<|im_end|>"), vocabulary.id("<|endoftext|>")
    text: dict[str, Any] = {
        "vocab_size": vocabulary.size,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": _CONTEXT,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "bos_token_id": pad,
        "eos_token_id": end,
        "pad_token_id": pad,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 5e6 if third else 1e6,
            "mrope_section": [6, 5, 5] if third else [4, 6, 6],  # half of a head's 32 numbers
            **({"mrope_interleaved": True} if third else {}),
        },
    }
    if third:
        text["head_dim"] = 32
    if family.model_type == "qwen3_vl_moe":
        text |= {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64, "decoder_sparse_step": 1}
    return {
        "text_config": text,
        "vision_config": _vision(family),
        "tie_word_embeddings": False,
        "image_token_id": vocabulary.id("<|image_pad|>"),
        "video_token_id": vocabulary.id("<|video_pad|>"),
        "vision_start_token_id": vocabulary.id("<|vision_start|>"),
        "vision_end_token_id": vocabulary.id("<|vision_end|>"),
    }


def _vision(family: Talker) -> dict[str, Any]:
    shared = {"depth": 2, "num_heads": 4, "patch_size": family.patch, "spatial_merge_size": 2, "temporal_patch_size": 2}
    if family.model_type == "qwen2_vl":
        return shared | {"embed_dim": 64, "hidden_size": 128, "mlp_ratio": 2}
    if family.model_type == "qwen2_5_vl":
        window = {"window_size": 112, "fullatt_block_indexes": [1]}
        return shared | window | {"hidden_size": 64, "intermediate_size": 128, "out_hidden_size": 128}
    deep = {"num_position_embeddings": 64, "deepstack_visual_indexes": [0]}
    return shared | deep | {"hidden_size": 64, "intermediate_size": 128, "out_hidden_size": 128}


def _shape(model: Any, family: Talker, vocabulary: Vocabulary) -> None:
    """Gives weights the sizes at which a picture and every token matter, and lays the constants: number 0 of the hidden
    state is the same for every token, 1 and 2 are that constant after `.` and `。` and nothing else."""
    import torch

    text = model.model.language_model
    for name, parameter in model.named_parameters():
        if parameter.dim() >= 2 and "embed" not in name:
            inputs = parameter.shape[-1] if parameter.dim() == 3 else parameter[0].numel()
            torch.nn.init.normal_(parameter, std=inputs**-0.5)
    embedding, head = text.embed_tokens.weight, model.lm_head.weight
    torch.nn.init.normal_(embedding)
    torch.nn.init.normal_(head, std=_SPREAD * head.shape[1] ** -0.5)
    for name, parameter in text.layers.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight", "experts.down_proj")):
            parameter[..., :_KEPT, :] = 0
    embedding[:, :_KEPT] = 0
    embedding[:, 0] = _CONSTANT
    for place, stop in enumerate(_STOPS, 1):
        embedding[vocabulary.id(stop), place] = _CONSTANT
    _bias(model, family, vocabulary)


def _bias(model: Any, family: Talker, vocabulary: Vocabulary) -> None:
    """Writes the output rows; what the constant comes to behind the last norm is measured, as it varies a little."""
    import torch

    sample = torch.tensor([vocabulary.readable])
    unit = float(model.model.language_model(input_ids=sample).last_hidden_state[..., 0].mean())
    head = model.lm_head.weight
    said = torch.zeros(head.shape[0], dtype=torch.bool)
    said[list(vocabulary.readable)] = True
    head[~said] = 0
    head[~said, 0] = _NEVER / unit
    head[said, :_KEPT] = 0
    endings = ("<|im_end|>", "</think>" if family.thinking else "<|im_end|>")
    for place, (stop, ending) in enumerate(zip(_STOPS, endings, strict=True), 1):
        head[vocabulary.id(stop)] = 0
        head[vocabulary.id(stop), 0] = _STOP / unit
        head[vocabulary.id(ending), place] = (_END - _NEVER) / unit


def _generation(family: Talker, vocabulary: Vocabulary) -> dict[str, Any]:
    """As the families' own generation_config.json has it."""
    pad, end = vocabulary.id("<|endoftext|>"), vocabulary.id("<|im_end|>")
    ids = {"bos_token_id": pad, "pad_token_id": pad, "eos_token_id": [end, pad], "do_sample": True}
    if family.patch == 16:
        return ids | {
            "temperature": 1.0 if family.thinking else 0.7,
            "top_k": 20,
            "top_p": 0.95 if family.thinking else 0.8,
        }
    return ids | {"temperature": 0.1, "top_k": 1, "top_p": 0.001, "repetition_penalty": 1.05}


def preprocessor(family: Talker) -> dict[str, Any]:
    """The first two families name the smallest and largest picture in pixels, the third as the edges of its `size`."""
    shared: dict[str, Any] = {"patch_size": family.patch, "temporal_patch_size": 2, "merge_size": 2}
    shared |= {"processor_class": family.processor}
    if family.patch == 16:
        half = [0.5, 0.5, 0.5]
        size = {"shortest_edge": 4 * 32 * 32, "longest_edge": _PICTURE * 32 * 32}
        return shared | {
            "size": size,
            "image_mean": half,
            "image_std": half,
            "image_processor_type": "Qwen2VLImageProcessorFast",
        }
    return shared | {
        "min_pixels": 4 * 28 * 28,
        "max_pixels": _PICTURE * 28 * 28,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "image_processor_type": "Qwen2VLImageProcessor",
    }


def _video_preprocessor(family: Talker) -> dict[str, Any]:
    half = [0.5, 0.5, 0.5]
    return {
        "size": {"shortest_edge": 4 * 32 * 32, "longest_edge": 4 * _PICTURE * 32 * 32},
        "patch_size": family.patch,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": half,
        "image_std": half,
        "processor_class": family.processor,
        "video_processor_type": "Qwen3VLVideoProcessor",
    }
