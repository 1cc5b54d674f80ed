"""The part of Qwen-VL that can be exported: the language model between the embedding and the output layer.

Pictures come in as embeddings, so answers about them run through an export too. What was said before comes in as keys
and values and what is added goes out, so the caller keeps its cache as it likes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sampan.engines.export.converting import Draft, Sample
from sampan.engines.export.manifest import ExportError

FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
REFUSED = {
    "vision": "its windows and positions are computed in Python from each picture's size; it stays with torch",
    "embedding": "it is a table; it stays with torch, as does the output layer",
}
_ROWS, _TOKENS, _PAST = "rows", "tokens", "past"


@contextmanager
def text(folder: Path) -> Iterator[Draft]:
    """The language model, ready to be exported. Raises `ExportError` for a family that is none of `FAMILIES`."""
    import torch
    import transformers

    kind = json.loads((folder / "config.json").read_bytes()).get("model_type")
    if kind not in FAMILIES:
        raise ExportError(_WHY.get(kind, f"models of type {kind} cannot be exported; {', '.join(FAMILIES)} can"))
    # Eager attention is plain products and sums; the others choose kernels by looking at lengths.
    model = transformers.AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True
    ).eval()
    inner = model.model.language_model
    deep = len(getattr(model.config.vision_config, "deepstack_visual_indexes", ()))
    samples = [_turn(inner, deep, *sizes) for sizes in ((2, 7, 5), (1, 3, 12), (3, 9, 2))]
    free = {
        "embeds": {0: _ROWS, 1: _TOKENS},
        "places": {1: _ROWS, 2: _TOKENS},
        "past_mask": {0: _ROWS, 2: _TOKENS, 3: _PAST},
        "mask": {0: _ROWS, 2: _TOKENS, 3: _TOKENS},
        "past_keys": {1: _ROWS, 3: _PAST},
        "past_values": {1: _ROWS, 3: _PAST},
        **({"deep": {1: _ROWS, 2: _TOKENS}} if deep else {}),
    }
    yield Draft(
        name="text",
        module=_passing(inner, deep),
        outputs=("states", "keys", "values"),
        free=free,
        samples=samples,
        settings={
            "model_type": kind,
            "layers": len(inner.layers),
            "heads": inner.config.num_key_value_heads,
            "size": inner.layers[0].self_attn.head_dim,
            "deep": deep,
        },
    )


PARTS: Mapping[str, Callable[[Path], Any]] = {"text": text}
_WHY = {
    "qwen3_vl_moe": "each token's experts are chosen by looking at numbers, which a graph cannot; run it with torch"
}


class Beside:
    """The cache of one pass: hands each layer the past with what is new behind it, and keeps what is new."""

    def __init__(self, keys: Any, values: Any) -> None:
        self._past = (keys, values)
        self.made: tuple[list[Any], list[Any]] = ([], [])

    def update(self, keys: Any, values: Any, layer: int, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Called by each layer with its new keys and values, [rows, heads, tokens, size]."""
        import torch

        self.made[0].append(keys)
        self.made[1].append(values)
        return torch.cat([self._past[0][layer], keys], 2), torch.cat([self._past[1][layer], values], 2)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Asked only where no positions are given; they are."""
        return 0


def _passing(inner: Any, deep: int) -> Any:
    import torch

    if deep:  # what deeper layers add at a picture's tokens comes as one number for every token, mostly 0
        inner._deepstack_process = lambda states, mask, added: states + added

    class Passing(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(
            self, embeds: Any, places: Any, past_mask: Any, mask: Any, past_keys: Any, past_values: Any, *added: Any
        ) -> Any:
            cache = Beside(past_keys, past_values)
            seen = {"visual_pos_masks": None, "deepstack_visual_embeds": list(added[0].unbind(0))} if added else {}
            both = torch.cat([past_mask, mask], -1)
            states = self.inner(
                inputs_embeds=embeds,
                position_ids=places,
                attention_mask=both,
                past_key_values=cache,
                use_cache=True,
                **seen,
            ).last_hidden_state
            return states, torch.stack(cache.made[0]), torch.stack(cache.made[1])

    if not deep:
        return Passing()

    class Deeper(Passing):
        def forward(  # named, as the exporter counts arguments
            self,
            embeds: Any,
            places: Any,
            past_mask: Any,
            mask: Any,
            past_keys: Any,
            past_values: Any,
            deep: Any,
        ) -> Any:
            return super().forward(embeds, places, past_mask, mask, past_keys, past_values, deep)

    return Deeper()


def _turn(inner: Any, deep: int, rows: int, past: int, tokens: int) -> Sample:
    """One pass of the library's own model over `tokens` new embeddings behind `past` others, all random."""
    import torch
    from transformers import DynamicCache

    dice = torch.Generator().manual_seed(past)
    width = inner.config.hidden_size
    embeds = torch.randn(rows, past + tokens, width, generator=dice)
    places = torch.arange(past + tokens).expand(3, rows, -1) + torch.tensor([0, 1, 2])[:, None, None]
    seen: dict[str, Any] = {}
    given: dict[str, Any] = {}
    if deep:
        marks = torch.rand(rows, tokens, generator=dice) < 0.5
        added = torch.randn(deep, rows, tokens, width, generator=dice) * marks[..., None]
        seen = {"visual_pos_masks": marks, "deepstack_visual_embeds": [layer[marks] for layer in added]}
        given = {"deep": added}
    cache = DynamicCache(config=inner.config)
    with torch.no_grad():
        inner(inputs_embeds=embeds[:, :past], position_ids=places[..., :past], past_key_values=cache, use_cache=True)
        keys = torch.stack([layer.keys for layer in cache.layers])
        values = torch.stack([layer.values for layer in cache.layers])
        states = inner(
            inputs_embeds=embeds[:, past:],
            position_ids=places[..., past:],
            past_key_values=cache,
            use_cache=True,
            **seen,
        ).last_hidden_state
    new = [torch.stack([getattr(layer, part)[:, :, past:] for layer in cache.layers]) for part in ("keys", "values")]
    given = {
        "embeds": embeds[:, past:],
        "places": places[..., past:].contiguous(),
        "past_mask": torch.zeros(rows, 1, tokens, past),
        "mask": torch.full((tokens, tokens), torch.finfo(torch.float32).min)
        .triu(1)
        .expand(rows, 1, -1, -1)
        .contiguous(),
        "past_keys": keys,
        "past_values": values,
        **given,
    }
    return Sample(given, (states, *new))
