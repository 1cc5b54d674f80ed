"""Two parts of the eye, done faster than the library does them, with the same result.

Attention: every picture, or window of one, looks at itself only. The library's way without FlashAttention is a call for
each window in each layer, some thousand for one picture. Here windows of one length go together, and on CUDA all of
them, by the kernel for rows of different length that PyTorch has.

The first layer is written as a convolution whose step is its width: a matrix product, which is many times as fast.
"""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import Any

# The library hands the bounds of the windows only to implementations that have "flash" in their name.
NAME = "sampan_flash_windows"


def open_eye(transformers: Any, model: Any) -> None:
    """Gives the eye of a model that was loaded with the library's own ways these."""
    transformers.AttentionInterface.register(NAME, attend)
    # Not through `set_attn_implementation`: it takes the name for that of a package to be fetched.
    visual = model.model.visual
    visual.config._attn_implementation = NAME
    if not hasattr(visual.patch_embed, "_hf_hook"):  # which moves what goes in from another device
        visual.patch_embed.forward = partial(embed, visual.patch_embed.proj)


def embed(first: Any, patches: Any) -> Any:
    """What the convolution `first` makes of patches, [patches, numbers of one]."""
    import torch

    return torch.nn.functional.linear(patches.to(first.weight.dtype), first.weight.flatten(1), first.bias)


def attend(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any = None, scaling: Any = None, **kwargs: Any
) -> tuple[Any, None]:
    """`query`, `key` and `value` are [1, heads, patches, size]; `cu_seq_lens_q` where windows begin and the last ends.

    Returns [1, patches, heads, size], as the library's own implementations do.
    """
    import torch

    bounds = kwargs["cu_seq_lens_q"]
    if _has_kernel(torch, query):
        from torch.nn.attention.varlen import varlen_attn

        longest = int(kwargs["max_length_q"])
        rows = [part[0].transpose(0, 1).contiguous() for part in (query, key, value)]
        bounds = bounds.to(torch.int32)
        made = varlen_attn(*rows, bounds, bounds, longest, longest, scale=scaling)
        return made.unsqueeze(0), None
    lengths = (bounds[1:] - bounds[:-1]).tolist()
    made = torch.empty_like(query[0])
    start = 0
    for length, run in groupby(lengths):
        count = len(list(run))
        end = start + count * length
        parts = [_windows(part[0, :, start:end], count, length) for part in (query, key, value)]
        seen = torch.nn.functional.scaled_dot_product_attention(*parts, scale=scaling)
        made[:, start:end] = seen.transpose(0, 1).reshape(made.shape[0], end - start, -1)
        start = end
    return made.transpose(0, 1).unsqueeze(0), None


def _has_kernel(torch: Any, query: Any) -> bool:
    """PyTorch's FlashAttention wants 16 bits a number and compute capability 8.0 (Ampere) or later."""
    half = query.dtype in (torch.bfloat16, torch.float16)
    return query.is_cuda and half and torch.cuda.get_device_capability(query.device) >= (8, 0)


def _windows(part: Any, count: int, length: int) -> Any:
    """[heads, patches, size] as [windows, heads, length, size]."""
    return part.reshape(part.shape[0], count, length, -1).transpose(0, 1)
