"""Passes through the model: pictures through its eye, pieces of prompts and single tokens through its language model.

The library's classes are used below their `generate`: the language model is given embeddings, positions, a mask and our
cache, which lets rows of different length go through it together. A **piece** is a run of one prompt's tokens.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sampan.engines.qwen_vl.cache import Aim, SlotCache
from sampan.engines.qwen_vl.graphs import Graphs
from sampan.engines.qwen_vl.job import Prompt

_SHORTEST = 256  # tokens that a decode step reads at least where shapes are fixed

log = logging.getLogger("sampan.engine")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the eye makes of a picture: [tokens, size], and the same for the layers that it is added to (Qwen3-VL)."""

    embeds: Any
    deep: Sequence[Any] = ()


@dataclass(frozen=True, slots=True)
class Tokens:
    """A prompt as tensors on the CPU. `places` [3, tokens] is where the rotary embedding puts each (time, height,
    width), `shift` what the place of a later token is more than its position, `pads` which tokens are of pictures."""

    ids: Any
    places: Any
    shift: int
    pads: Any


@dataclass(frozen=True, slots=True)
class Piece:
    """`tokens` of a prompt from `start` on, to be written to `slot`; `seen` are the pictures' parts among them."""

    slot: int
    start: int
    end: int
    tokens: Tokens
    seen: Seen | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One row of a decode step: the token that came last, the tokens in its slot before that, and its `shift`."""

    token: int = 0
    length: int = 0
    shift: int = 0


class Runner:
    """The model and its cache. Used by one thread, in `torch.inference_mode`."""

    def __init__(
        self,
        model: Any,
        cache: SlotCache,
        *,
        eye: Mapping[str, Any],
        text: Any = None,
        batches: Sequence[int] = (),
        graphs: bool = False,
    ) -> None:
        """`text` stands for the model's own language model, where that was exported. `eye`: `mean`, `std`, `scale` and
        `frames` of the pictures' patches. `batches`: the row counts that steps are filled up to, ascending, so that
        shapes are few; none of them: any shape goes. `graphs`: steps are recorded."""
        self.cache = cache
        self._model = model
        self._inner = model.model
        self._text = model.model.language_model if text is None else text
        self._head = model.get_output_embeddings()
        self._embed = model.get_input_embeddings()
        self._eye = eye
        self._batches = tuple(batches)
        self._fixed = bool(self._batches)
        self._additive = model.model.language_model.config._attn_implementation == "eager"
        self._graphs = Graphs(self._decode, self.device) if graphs and self.device.type == "cuda" else None

    @property
    def device(self) -> Any:
        """Where tokens go in."""
        return self._embed.weight.device

    def lay(self, prompt: Prompt) -> Tokens:
        """A prompt's tensors. The places of pictures are the library's own (`get_rope_index`)."""
        import torch

        ids = torch.tensor(list(prompt.tokens), dtype=torch.long)
        pads = ids == self._model.config.image_token_id
        if prompt.grids is None:
            return Tokens(ids, torch.arange(len(ids)).expand(3, -1), 0, pads)
        places, shift = self._inner.get_rope_index(
            ids[None], mm_token_type_ids=pads[None].int(), image_grid_thw=prompt.grids
        )
        return Tokens(ids, places[:, 0], int(shift[0, 0]), pads)

    def see(self, pixels: Sequence[Any], grids: Sequence[Any]) -> list[Seen]:
        """What the eye makes of pictures, together: `pixels` [patches, features] of each, as `Patcher` cuts them."""
        import torch

        grid = torch.stack(list(grids))
        patches = self._patches(torch.cat(list(pixels)))
        made = self._inner.get_image_features(patches, grid.to(patches.device), return_dict=True)
        layers = getattr(made, "deepstack_features", None) or []
        return [Seen(embeds, [layer[number] for layer in layers]) for number, embeds in enumerate(made.pooler_output)]

    def _patches(self, pixels: Any) -> Any:
        """Bytes to the numbers that the eye was trained on, each patch repeated for the frames that a still stands for.

        On the device: a quarter of the bytes to send, and none of the arithmetic on the CPU.
        """
        import torch

        device = self._inner.visual.device
        count, colours = pixels.shape[0], 3
        sent = pixels.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else pixels
        mean = torch.tensor(self._eye["mean"], device=device).view(1, colours, 1, 1)
        std = torch.tensor(self._eye["std"], device=device).view(1, colours, 1, 1)
        light = (sent.view(count, colours, 1, -1).float() * self._eye["scale"] - mean) / std
        return light.expand(-1, -1, self._eye["frames"], -1).reshape(count, -1).to(self._inner.visual.dtype)

    def prefill(self, pieces: Sequence[Piece]) -> Any:
        """Writes pieces to their slots, together. Returns the logits after the last token of each, [pieces, all]."""
        import torch

        longest = max(piece.end - piece.start for piece in pieces)
        reach = self._rounded(max(piece.end for piece in pieces))
        ids = torch.zeros((len(pieces), longest), dtype=torch.long)
        places = torch.zeros((3, len(pieces), longest), dtype=torch.long)
        pads = torch.zeros((len(pieces), longest), dtype=torch.bool)
        positions = torch.full((len(pieces), longest), self.cache.scrap)
        for row, piece in enumerate(pieces):
            count = piece.end - piece.start
            ids[row, :count] = piece.tokens.ids[piece.start : piece.end]
            places[:, row, :count] = piece.tokens.places[:, piece.start : piece.end]
            pads[row, :count] = piece.tokens.pads[piece.start : piece.end]
            positions[row, :count] = torch.arange(piece.start, piece.end)
        embeds = self._embed(ids.to(self.device))  # a new tensor: it may be written to
        deep = self._place(embeds, pads, [piece.seen for piece in pieces if piece.seen is not None])
        positions = positions.to(self.device, non_blocking=True)
        self.cache.aim(Aim([piece.slot for piece in pieces], positions, reach))
        mask = positions[:, None, :, None] >= torch.arange(reach, device=self.device)
        states = self._talk(embeds, places, mask, deep)
        last = torch.tensor([piece.end - piece.start - 1 for piece in pieces], device=states.device)
        return self._head(states[torch.arange(len(pieces), device=states.device), last]).float()

    def _place(self, embeds: Any, pads: Any, seen: Sequence[Seen]) -> dict[str, Any]:
        """Puts the pictures where their tokens are; returns what the deeper layers are to be told of them."""
        import torch

        if not seen:
            return {}
        pads = pads.to(embeds.device)
        embeds[pads] = torch.cat([each.embeds for each in seen]).to(embeds.device, embeds.dtype)
        if not seen[0].deep:
            return {}
        layers = [torch.cat([each.deep[layer] for each in seen]) for layer in range(len(seen[0].deep))]
        return {"visual_pos_masks": pads, "deepstack_visual_embeds": layers}

    def decode(self, steps: Sequence[Step]) -> Any:
        """One token more for each slot from the first on. Returns the logits, [rows, vocabulary].

        A slot that is still being filled, or that is free, takes part with the number of its tokens as `length`: what
        is written there is overwritten before anybody reads it.
        """
        import torch

        count, reach = len(steps), max(step.length for step in steps) + 1
        rows = next(each for each in self._batches if each >= count) if self._fixed else count
        if self._fixed:
            reach = self._reach(reach)
        numbers = [(step.token, step.length, step.shift) for step in steps] + [(0, 0, 0)] * (rows - count)
        table = torch.tensor(numbers, dtype=torch.long).T.contiguous()
        if self._graphs is not None:
            return self._graphs.run(table, reach)[:count]
        return self._decode(table.to(self.device), reach)[:count]

    def _decode(self, table: Any, reach: int) -> Any:
        """`table` is [3, rows]: tokens, lengths, shifts. Nothing in here looks at a number: it can be recorded."""
        import torch

        tokens, lengths, shifts = table
        self.cache.aim(Aim(range(table.shape[1]), lengths[:, None], reach))
        mask = torch.arange(reach, device=table.device) <= lengths[:, None, None, None]
        places = (lengths + shifts)[None, :, None].expand(3, -1, 1)
        states = self._talk(self._embed(tokens[:, None]), places, mask, {})
        return self._head(states[:, -1]).float()

    def _talk(self, embeds: Any, places: Any, mask: Any, deep: Mapping[str, Any]) -> Any:
        import torch

        mask = mask.to(embeds.device, non_blocking=True)
        if self._additive:
            floor = torch.finfo(embeds.dtype).min
            mask = torch.zeros(mask.shape, dtype=embeds.dtype, device=embeds.device).masked_fill(~mask, floor)
        return self._text(
            inputs_embeds=embeds,
            position_ids=places.to(embeds.device, non_blocking=True),
            attention_mask=mask,
            past_key_values=self.cache,
            use_cache=True,
            **deep,
        ).last_hidden_state

    def _rounded(self, reach: int) -> int:
        """Up to a multiple of 64, which masked kernels on accelerators want; a CPU takes it as it is."""
        return min(-(-reach // 64) * 64, self.cache.length) if self._fixed else reach

    def _reach(self, needed: int) -> int:
        """Shapes are few where they are fixed: powers of two, and the whole."""
        reach = _SHORTEST
        while reach < needed:
            reach *= 2
        return min(reach, self.cache.length)

    @property
    def shapes(self) -> Sequence[tuple[int, int]]:
        """The shapes, rows and reach, that steps are filled up to."""
        return [(rows, reach) for rows in self._batches for reach in sorted({self._reach(1 << n) for n in range(30)})]

    def rehearse(self, rows: int, reach: int) -> None:
        """Runs a step of this shape, and records it where steps are recorded. It writes to the scrap heaps only."""
        import torch

        self.cache.reserve(1, 1)
        table = torch.tensor([[0] * rows, [self.cache.scrap] * rows, [0] * rows])
        if self._graphs is not None:
            self._graphs.run(table, reach)
        else:
            self._decode(table.to(self.device), reach)

    def relieve(self) -> None:
        """Gives memory that is kept for later use back to the device."""
        import torch

        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def is_shortage(error: BaseException) -> bool:
    """Whether memory ran out, the device's or the machine's."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # torch's own allocator for the CPU has no error class (c10/core/impl/alloc_cpu.cpp).
    return isinstance(error, RuntimeError) and "not enough memory" in str(error)


def is_lost(error: BaseException) -> bool:
    """Whether the device is of no more use to this process: after such an error every call to it fails."""
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return False
    return isinstance(error, torch.AcceleratorError) or (
        isinstance(error, RuntimeError) and str(error).startswith(("CUDA error", "cuDNN error", "NCCL error"))
    )
