"""The engine in this process, on tiny checkpoints: what it draws, compared with what the library's pipelines draw."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_models import tiny

from sampan.config import ModelSettings
from sampan.engines.contract import Drawn, Manner, Margins, Order, Painter, Preview, Progress, Shared, Staged
from sampan.engines.options import Options
from sampan.engines.qwen_image import QwenImage
from sampan.engines.qwen_image.pictures import Made, read_provenance
from sampan.engines.qwen_image.scene import blank
from sampan.errors import InternalError, InvalidRequest, Unavailable

LORAS = {"lightning": "qwen-image-lightning", "ink": "qwen-image-style"}
Pixels = np.ndarray[Any, Any]


def never() -> bool:
    return False


def build(**more: Any) -> QwenImage:
    given: dict[str, Any] = {"model": str(tiny("qwen-image")), "device": "cpu", "dtype": "fp32", **more}
    engine = QwenImage(Options(settings=ModelSettings(**given)))
    engine.warm_up()
    return engine


@pytest.fixture(scope="module")
def painter() -> QwenImage:
    import_module("torch").set_num_threads(1)
    return build(loras={name: str(tiny(kind)) for name, kind in LORAS.items()})


@pytest.fixture(scope="module")
def editor() -> QwenImage:
    import_module("torch").set_num_threads(1)
    return build(edit_model=str(tiny("qwen-image-edit")), max_pixels=128 * 128, batch=2)


def order(prompt: str = "a red boat", **more: Any) -> Order:
    """Two steps of a small picture, unless it is said otherwise."""
    size, seed, n = more.pop("size", "64x64"), more.pop("seed", 1), more.pop("n", 1)
    form = {name: more.pop(name) for name in ("output_format", "output_compression", "background") if name in more}
    return Order(prompt, n=n, size=size, seed=seed, manner=Manner(**{"preset": "best", "steps": 2, **more}), **form)


def made(drawn: Iterator[Drawn]) -> list[Made]:
    return [one for one in drawn if isinstance(one, Made)]


def pixels(one: Made) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(one.data))).astype(int)


def generated(engine: QwenImage, **more: Any) -> Pixels:
    (one,) = made(engine.generate(order(**more), never))
    return pixels(one)


def source(width: int = 64, height: int = 64, seed: int = 0, alpha: Any = None) -> bytes:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    if alpha is not None:
        values = np.dstack([values, np.broadcast_to(np.asarray(alpha, np.uint8), (height, width))])
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


def hole(width: int = 64, height: int = 64) -> tuple[bytes, Pixels]:
    """A mask with a rectangle open, and where it is."""
    alpha = np.full((height, width), 255, np.uint8)
    alpha[height // 4 : height // 2, width // 4 : width * 3 // 4] = 0
    return source(width, height, alpha=alpha), alpha == 0


def opened(data: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(data))).astype(int)


def test_it_is_what_the_shell_takes(painter: QwenImage) -> None:
    assert isinstance(painter, Painter)
    assert isinstance(painter, Staged)
    assert isinstance(painter, Shared)
    assert (painter.stage, painter.cold) == ("", ())
    assert painter.places >= 32


def test_pictures_are_those_of_the_library(painter: QwenImage) -> None:
    pipe = painter.parts.models["draw"].pipe
    pipe.set_progress_bar_config(disable=True)
    chance = import_module("torch").Generator().manual_seed(5)
    told = {"negative_prompt": "fog", "width": 96, "height": 64, "num_inference_steps": 3, "generator": chance}
    with import_module("torch").no_grad():
        theirs = np.asarray(pipe("a red boat", true_cfg_scale=3.0, **told).images[0]).astype(int)
    ours = generated(painter, size="96x64", seed=5, steps=3, guidance=3.0, negative_prompt="fog")
    assert np.abs(ours - theirs).max() <= 1  # in the last place: they sum in another order


def test_edits_are_those_of_the_library(editor: QwenImage, monkeypatch: pytest.MonkeyPatch) -> None:
    library = import_module("diffusers.pipelines.qwenimage.pipeline_qwenimage_edit_plus")
    monkeypatch.setattr(library, "CONDITION_IMAGE_SIZE", 128 * 128)
    monkeypatch.setattr(library, "VAE_IMAGE_SIZE", 128 * 128)
    pipe = editor.parts.models["edit"].pipe
    pipe.set_progress_bar_config(disable=True)
    images = [source(80, 64), source(64, 96, seed=1)]
    chance = import_module("torch").Generator().manual_seed(5)
    told = {"negative_prompt": " ", "width": 80, "height": 64, "num_inference_steps": 2, "generator": chance}
    with import_module("torch").no_grad():
        given = [Image.open(io.BytesIO(image)) for image in images]
        theirs = np.asarray(pipe(given, "add a hat", **told).images[0]).astype(int)
    (ours,) = made(editor.edit(order("add a hat", size="80x64", seed=5), images, None, never))
    assert np.abs(pixels(ours) - theirs).max() <= 1
    assert ours.provenance is not None
    assert (ours.provenance["operation"], ours.provenance["model"]) == ("edit", "qwen-image-edit")


def test_a_seed_is_a_picture(painter: QwenImage) -> None:
    three = made(painter.generate(order(n=3, seed=7), never))
    assert [one.seed for one in three] == [7, 8, 9]
    alone = generated(painter, seed=8)
    assert np.abs(pixels(three[1]) - alone).max() <= 1  # drawn with others or alone
    assert np.array_equal(generated(painter, seed=8), alone)
    assert np.abs(pixels(three[0]) - alone).mean() > 5
    unsaid = made(painter.generate(order(seed=None, n=2), never))
    assert unsaid[1].seed == unsaid[0].seed + 1
    assert np.abs(generated(painter, seed=unsaid[0].seed) - pixels(unsaid[0])).max() <= 1


@pytest.mark.parametrize("size", ["64x64", "100x70", "65x127"])
def test_every_size_comes_out_exactly(painter: QwenImage, size: str) -> None:
    (one,) = made(painter.generate(order(size=size, output_format="webp", steps=1), never))
    assert f"{one.width}x{one.height}" == size
    assert Image.open(io.BytesIO(one.data)).size == (one.width, one.height)
    assert one.format == "webp"
    assert one.background == "opaque"
    assert one.revised_prompt == "a red boat"


def test_what_is_said_changes_the_picture(painter: QwenImage) -> None:
    plain = generated(painter)
    for more in (
        {"negative_prompt": "red"},
        {"guidance": 1.0},
        {"steps": 3},
        {"loras": {"ink": 1.0}},
        {"preset": "fast"},
    ):
        assert np.abs(generated(painter, **more) - plain).mean() > 0.2, more
    assert np.array_equal(generated(painter), plain)  # and nothing of it stays behind
    half, full = (generated(painter, loras={"ink": weight}) for weight in (0.5, 1.0))
    assert np.abs(half - full).mean() > 0.2


def test_provenance_says_how(painter: QwenImage) -> None:
    (one,) = made(painter.generate(order(preset="fast", steps=2, loras={"ink": 0.5}), never))
    told = {
        "engine": "qwen_image",
        "model": "qwen-image",
        "operation": "generate",
        "seed": 1,
        "preset": "fast",
        "steps": 2,
        "guidance": 1.0,
        "loras": {"ink": 0.5, "lightning": 1.0},
    }
    assert one.provenance == told
    assert read_provenance(one.data) == told
    assert one.quality == "low"


def test_a_given_picture_shows_through_the_less_it_may_change(painter: QwenImage) -> None:
    given = source()
    apart = []
    for strength in (0.2, 1.0):
        two = made(painter.edit(order(size="auto", n=2, steps=5, strength=strength), [given], None, never))
        apart.append(np.abs(pixels(two[0]) - pixels(two[1])).mean())  # what is left to the seed
        assert two[0].provenance is not None
        assert (two[0].provenance["operation"], two[0].provenance["strength"]) == ("image_to_image", strength)
    assert apart[0] < 0.8 * apart[1]
    (whole,) = made(painter.edit(order(size="96x64", steps=5), [given], None, never))
    assert (whole.width, whole.height) == (96, 64)


@pytest.mark.parametrize("which", ["painter", "editor"])
def test_outside_the_mask_nothing_changes(which: str, request: pytest.FixtureRequest) -> None:
    engine: QwenImage = request.getfixturevalue(which)
    given, (mask, inside) = source(80, 72), hole(80, 72)
    (one,) = made(engine.edit(order("a hat", size="auto"), [given], mask, never))
    assert np.array_equal(pixels(one)[~inside], opened(given)[~inside])
    assert (pixels(one)[inside] != opened(given)[inside]).any(axis=-1).mean() > 0.9
    assert one.provenance is not None
    assert one.provenance["outside_mask"] == "equal"
    assert one.provenance["pixels"] == int((~inside).sum())
    assert read_provenance(one.data) == one.provenance
    (lossy,) = made(engine.edit(order("a hat", size="auto", output_format="jpeg"), [given], mask, never))
    assert lossy.provenance is not None
    assert lossy.provenance["outside_mask"] == "equal before jpeg"


def test_alpha_outside_the_mask_is_kept_too(painter: QwenImage) -> None:
    given, (mask, inside) = source(64, 64, alpha=100), hole()
    (one,) = made(painter.edit(order(size="auto"), [given], mask, never))
    assert one.background == "transparent"
    assert np.array_equal(pixels(one)[~inside], opened(given)[~inside])


def test_a_region_is_redrawn(painter: QwenImage) -> None:
    given = source(80, 64)
    (one,) = made(painter.edit(order(size="auto", region=(8, 16, 40, 24)), [given], None, never))
    changed = (pixels(one) != opened(given)).any(axis=-1)
    assert changed[16:40, 8:48].mean() > 0.9
    changed[16:40, 8:48] = False
    assert not changed.any()
    assert one.provenance is not None
    assert one.provenance["operation"] == "redraw"


@pytest.mark.parametrize("which", ["painter", "editor"])
def test_a_picture_is_continued(which: str, request: pytest.FixtureRequest) -> None:
    engine: QwenImage = request.getfixturevalue(which)
    given = source(64, 48)
    margins = Margins(left=10, right=22, bottom=16)
    (one,) = made(engine.edit(order(size="auto", canvas=margins), [given], None, never))
    assert (one.width, one.height) == (96, 64)
    assert np.array_equal(pixels(one)[:48, 10:74], opened(given))
    assert one.provenance is not None
    assert (one.provenance["operation"], one.provenance["outside_mask"]) == ("outpaint", "equal")


def test_a_picture_is_varied(painter: QwenImage) -> None:
    given = source()
    two = made(painter.vary(order("", size="auto", n=2, steps=4), given, never))
    assert np.abs(pixels(two[0]) - pixels(two[1])).mean() > 1
    assert two[0].provenance is not None
    assert two[0].provenance["operation"] == "vary"


def test_progress_and_previews_come_from_the_latents(painter: QwenImage) -> None:
    told = list(painter.generate(order(steps=8, partials=3, size="96x64"), never))
    steps = [one for one in told if isinstance(one, Progress)]
    assert steps == [Progress(step, 8) for step in range(1, 9)]
    previews = [one for one in told if isinstance(one, Preview)]
    assert [one.index for one in previews] == [0, 1, 2]
    assert [told[told.index(one) - 1] for one in previews] == [Progress(2, 8), Progress(4, 8), Progress(6, 8)]
    seen = [one.picture for one in previews]
    assert all((one.width, one.height) == (96, 64) for one in seen)
    (last,) = [one for one in told if isinstance(one, Made)]
    apart = [np.abs(opened(one.data) - pixels(last)).mean() for one in seen]
    assert apart[2] < apart[0]


@pytest.mark.parametrize(
    ("more", "field", "words"),
    [
        ({"background": "transparent"}, "background", "opaque pictures only"),
        ({"size": "4000x64"}, "size", "from 64 to 3840"),
        ({"size": "640x64"}, "size", "longer than 3:1"),
        ({"strength": 0.5}, "strength", "given pictures"),
        ({"region": (0, 0, 8, 8)}, "sampan", "no picture yet"),
        ({"canvas": Margins(1)}, "sampan", "no picture yet"),
        ({"steps": 1000}, "steps", "from 1 to 100"),
        ({"loras": {"oil": 1.0}}, "lora", "there is ink, lightning"),
        ({"prompt": "boat " * 2000}, "prompt", "reads at most 1024"),
        ({"negative_prompt": "boat " * 2000}, "negative_prompt", "reads at most 1024"),
    ],
)
def test_what_cannot_be_drawn_is_named(painter: QwenImage, more: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        made(painter.generate(order(**more), never))
    assert caught.value.param == field


@pytest.mark.parametrize(
    ("images", "mask", "more", "field", "words"),
    [
        ([source(), source()], None, {}, "image", "one picture at a time"),
        ([b"nothing"], None, {}, "image", "no readable"),
        ([source()], source(32, 32, alpha=0), {}, "mask", "is 32x32"),
        ([source()], b"nothing", {}, "mask", "no readable"),
        ([source()], source(alpha=0), {"region": (0, 0, 8, 8)}, "sampan.region", "exclude one another"),
        ([source()], None, {"canvas": Margins(5), "size": "64x64"}, "size", "leave it out"),
        ([source()], None, {"canvas": Margins()}, "sampan.canvas", "more than 0"),
        ([source()], None, {"region": (60, 0, 8, 8)}, "sampan.region", "within the picture"),
        ([source(300, 20)], None, {}, "image", "not edited"),
    ],
)
def test_what_cannot_be_edited_is_named(
    painter: QwenImage, images: Sequence[bytes], mask: bytes | None, more: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        made(painter.edit(order(**{"size": "auto", **more}), images, mask, never))
    assert caught.value.param == field


def test_more_pictures_than_the_model_looks_at_are_refused(editor: QwenImage) -> None:
    with pytest.raises(InvalidRequest, match="at most 4 pictures"):
        made(editor.edit(order(), [source()] * 5, None, never))


def test_who_leaves_stops_the_steps(painter: QwenImage) -> None:
    before = painter.studio.steps
    drawing = painter.generate(order(steps=100, size="96x96"), never)
    assert isinstance(next(drawing), Progress)
    drawing.close()  # type: ignore[attr-defined]
    generated(painter, steps=1)
    assert painter.studio.steps - before < 10
    told = threading.Event()
    leaving = painter.generate(order(steps=100, size="96x96"), told.is_set)
    next(leaving)
    told.set()
    assert not [one for one in leaving if isinstance(one, Made)]
    generated(painter, steps=1)
    assert painter.studio.steps - before < 25


def test_callers_at_once_share_steps_and_get_their_own(painter: QwenImage) -> None:
    alone = [generated(painter, seed=seed, steps=4) for seed in range(3)]
    before = painter.studio.steps
    with ThreadPoolExecutor(12) as callers:
        together = list(callers.map(lambda seed: generated(painter, seed=seed % 3, steps=4), range(12)))
    assert painter.studio.steps - before < 12 * 4 * 0.75
    for seed, picture in enumerate(together):
        assert np.abs(picture - alone[seed % 3]).max() <= 2


@contextmanager
def hooked(module: Any, before: Callable[..., None]) -> Iterator[None]:
    handle = module.register_forward_pre_hook(before)
    try:
        yield
    finally:
        handle.remove()


def test_the_first_block_cache_spares_the_others(painter: QwenImage) -> None:
    """While the first block says nearly the same, what the later ones said is kept. Random weights say something else
    at every step: the preset's own threshold would spare nothing here."""
    ran: list[int] = []
    asked = order(preset="balanced", steps=12, guidance=1.0)
    recipe = painter.settled(asked)
    assert recipe.cache > 0
    blocks = painter.parts.models["draw"].transformer.transformer_blocks

    def draw(threshold: float) -> tuple[Pixels, int, int]:
        ran.clear()
        (one,) = made(painter._draw(asked, blank((64, 64)), replace(recipe, cache=threshold), never))
        return pixels(one), ran.count(0), ran.count(1)

    with hooked(blocks[0].img_mlp, lambda *_: ran.append(0)), hooked(blocks[-1].img_mlp, lambda *_: ran.append(1)):
        cached, first, last = draw(2.0)
        assert first == 12
        assert last < 10
        exact, *every = draw(0.0)
        assert every == [12, 12]
        again, *_ = draw(2.0)
    assert np.array_equal(again, cached)  # nothing of the picture between was left in the cache
    assert 0 < np.abs(cached - exact).mean() < 40


def test_memory_that_runs_out_costs_a_second_try(painter: QwenImage) -> None:
    torch = import_module("torch")
    failures = [1]

    def fail(*_: Any) -> None:
        if failures:
            failures.pop()
            raise torch.OutOfMemoryError("CUDA out of memory")

    plain = generated(painter)
    transformer = painter.parts.models["draw"].transformer
    with hooked(transformer, fail):
        assert np.array_equal(generated(painter), plain)
    failures += [1] * 10
    with hooked(transformer, fail), pytest.raises(Unavailable, match="smaller size"):
        generated(painter)
    assert len(failures) == 8  # tried twice
    assert np.array_equal(generated(painter), plain)


def test_numbers_that_overflow_are_no_picture(painter: QwenImage) -> None:
    torch = import_module("torch")
    transformer = painter.parts.models["draw"].transformer

    def spoil(module: Any, args: Any, out: Any) -> Any:
        return (torch.full_like(out[0], float("nan")),)

    handle = transformer.register_forward_hook(spoil)
    try:
        with pytest.raises(InternalError, match="overflowed"):
            generated(painter)
    finally:
        handle.remove()
