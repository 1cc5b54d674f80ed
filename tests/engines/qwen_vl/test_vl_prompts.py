"""What a conversation costs, and how pictures are cut: as the library's own image processor does, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import transformers
from PIL import Image
from tiny_models import tiny
from vl_models import SIGHT, picture

from sampan.engines.qwen_vl.job import Prompt
from sampan.engines.qwen_vl.prompts import Patches, Reader, read_patches
from sampan.errors import InvalidRequest

KINDS = ("qwen2-vl", "qwen2.5-vl", "qwen3-vl")


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def processor(kind: str) -> Any:
    return transformers.AutoImageProcessor.from_pretrained(tiny(kind))


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    folder = tiny("qwen2.5-vl")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    patches = read_patches(transformers.AutoImageProcessor.from_pretrained(folder), 0)
    yield Reader(tokenizer.backend_tokenizer, patches, 300)


@pytest.mark.parametrize("size", [(1, 1), (28, 28), (200, 100), (333, 77), (1000, 700), (3, 500), (640, 4)])
def test_pictures_are_cut_as_the_library_cuts_them(processor: Any, size: tuple[int, int]) -> None:
    patches = read_patches(processor, 0)
    shown = picture(7, *size)
    theirs = processor(images=[shown], return_tensors="pt")
    cut, grid = patches.cut(shown)
    assert grid.tolist() == theirs["image_grid_thw"][0].tolist()
    assert patches.tokens(*size) == int(grid.prod()) // patches.merge**2
    eye = patches.eye
    light = cut.view(cut.shape[0], 3, 1, -1).float() * eye["scale"]
    light = (light - torch.tensor(eye["mean"]).view(1, 3, 1, 1)) / torch.tensor(eye["std"]).view(1, 3, 1, 1)
    ours = light.expand(-1, -1, eye["frames"], -1).reshape(cut.shape[0], -1)
    assert torch.allclose(ours, theirs["pixel_values"], atol=1e-5)


@pytest.mark.parametrize("size", [(5000, 1), (1, 5000), (20_000, 3), (401, 2), (3000, 3000)])
def test_pictures_that_the_library_refuses_or_that_are_huge_fit(size: tuple[int, int]) -> None:
    patches = Patches(patch=14, fewest=56 * 56, most=64 * 28 * 28)
    wide, high = patches.size(*size)
    assert wide % 28 == high % 28 == 0
    assert 56 * 56 <= wide * high <= 64 * 28 * 28
    cut, grid = patches.cut(Image.new("RGB", size))
    assert grid.tolist() == [1, high // 14, wide // 14]
    assert cut.shape == (grid.prod(), 3 * 14 * 14)


def test_a_bound_on_the_pixels_makes_pictures_cheaper() -> None:
    processor = transformers.AutoImageProcessor.from_pretrained(tiny("qwen2.5-vl"))
    free, bound = read_patches(processor, 0), read_patches(processor, 10_000)
    assert bound.tokens(900, 600) < free.tokens(900, 600)
    wide, high = bound.size(900, 600)
    assert wide * high <= 10_000
    tight = read_patches(processor, 1)
    assert tight.tokens(900, 600) == 1


def test_pads_are_as_many_as_the_picture_costs(reader: Reader) -> None:
    alone = reader.read(f"a{SIGHT}b", [picture(1, 56, 56)])
    assert list(alone.tokens).count(reader._pad) == 4
    both = reader.read(f"a{SIGHT}b{SIGHT}", [picture(1, 56, 56), picture(2, 112, 84)])
    assert both.grids.tolist() == [[1, 4, 4], [1, 6, 8]]
    assert both.pixels.shape == (16 + 48, 3 * 14 * 14)
    assert list(both.tokens).count(reader._pad) == 4 + 12
    assert torch.equal(both.pixels[:16], alone.pixels)


def test_text_alone_and_pictures_of_any_mode(reader: Reader) -> None:
    prompt = reader.read("Hello", [])
    assert (prompt.pixels, prompt.grids) == (None, None)
    assert reader.write(prompt.tokens) == "Hello"
    for mode in ("L", "RGBA", "P", "CMYK", "1"):
        assert isinstance(reader.read(SIGHT, [Image.new(mode, (60, 60))]), Prompt)


@pytest.mark.parametrize(("text", "count"), [(SIGHT, 0), ("no place", 1), (SIGHT * 2, 1), ("<|image_pad|>", 0)])
def test_pictures_and_their_places_are_as_many(reader: Reader, text: str, count: int) -> None:
    with pytest.raises(InvalidRequest, match="places for them"):
        reader.read(text, [picture(1, 56, 56)] * count)


def test_the_limit_is_named(reader: Reader) -> None:
    with pytest.raises(InvalidRequest, match=r"too long: \d+ tokens; this model has room for 300 tokens"):
        reader.read("word " * 400, [])
    with pytest.raises(InvalidRequest, match=r"too long: 3\d\d tokens, 320 of them of 5 pictures"):
        reader.read(SIGHT * 5, [picture(1, 224, 224)] * 5)
    with pytest.raises(InvalidRequest, match="empty"):
        reader.read("", [])
