"""What goes where: sizes, holes, windows, and that nothing outside a hole ever changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sampan.engines.contract import Margins
from sampan.engines.qwen_image import scene
from sampan.engines.qwen_image.pictures import Form, open_picture, read_provenance, write, write_proven
from sampan.errors import InternalError, InvalidRequest


def picture(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    chance = np.random.default_rng(seed)
    return Image.fromarray(chance.integers(0, 256, (height, width, len(mode)), dtype=np.uint8), mode)


def drawn_for(made: scene.Scene) -> Image.Image:
    return picture(*made.drawn, seed=1)


@given(width=st.integers(64, 3840), height=st.integers(64, 3840))
def test_any_size_within_the_limits_comes_out_exactly(width: int, height: int) -> None:
    try:
        size = scene.parse_size(f"{width}x{height}")
    except InvalidRequest as error:
        assert error.param == "size"
        assert width * height > scene.AREA_MOST or max(width, height) > 3 * min(width, height)
        return
    assert size == (width, height)
    made = scene.blank(size)
    assert made.drawn[0] % 16 == made.drawn[1] % 16 == 0
    assert made.drawn[0] * made.drawn[1] <= (2048 + 16) ** 2
    left, top, w, h = made.content
    assert 0 <= left <= left + w <= made.drawn[0]
    assert 0 <= top <= top + h <= made.drawn[1]
    if width * height <= 2048 * 2048:
        assert (w, h) == size  # nothing is scaled that need not be


def test_sizes_that_are_scaled_and_cropped() -> None:
    assert scene.parse_size("auto") is None
    odd = scene.blank((100, 70))
    assert (odd.drawn, odd.content) == ((112, 80), (6, 5, 100, 70))
    assert scene.finish(odd, drawn_for(odd)).image.size == (100, 70)
    large = scene.blank((3840, 2160))
    assert large.drawn[0] < 3000
    assert scene.finish(large, drawn_for(large)).image.size == (3840, 2160)


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(17, 200),
    height=st.integers(17, 150),
    mode=st.sampled_from(["RGB", "RGBA"]),
    form=st.sampled_from([Form("png"), Form("webp", 100), Form("webp", 80), Form("jpeg")]),
    data=st.data(),
)
def test_outside_the_hole_every_pixel_is_the_given_one(
    width: int, height: int, mode: str, form: Form, data: st.DataObject
) -> None:
    given_ = picture(width, height, mode)
    if data.draw(st.booleans()):
        x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
        box = (x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
        hole = scene.hole_at(box, (width, height))
    else:
        hole = np.random.default_rng(data.draw(st.integers(0, 9))).random((height, width)) < 0.2
        hole[0, 0] = True
    made = scene.redraw([given_], hole, None)
    finished = scene.finish(made, drawn_for(made))
    assert finished.kept is True
    result, source = np.asarray(finished.image), np.asarray(given_)
    assert np.array_equal(result[~hole], source[~hole])
    file, told = write_proven(made, finished, form, {"seed": 1})
    assert told["pixels"] == int((~hole).sum())
    assert told["outside_mask"] == ("equal" if form.exact else f"equal before {form.format}")
    assert read_provenance(file) == told
    if form.exact:
        again = np.asarray(open_picture(file, "image"))
        assert np.array_equal(again[~hole], source[~hole])


def test_what_is_drawn_fades_in_from_the_edge_and_is_all_new_within() -> None:
    given_ = Image.new("RGB", (128, 128), (0, 0, 0))
    made = scene.redraw([given_], scene.hole_at((32, 32, 64, 96), (128, 128)), None)
    result = np.asarray(scene.finish(made, Image.new("RGB", made.drawn, (240, 240, 240))).image)[..., 0]
    row = result[70, 32:64].astype(int)
    assert row[0] < 60
    assert all(np.diff(row) >= 0)
    assert row[-1] == 240
    assert result[127, 64] == 240  # the picture's own border is no edge
    thin = scene.redraw([given_], scene.hole_at((32, 32, 3, 40), (128, 128)), None)
    assert np.asarray(scene.finish(thin, Image.new("RGB", thin.drawn, (240, 240, 240))).image)[50, 33, 0] == 240


def test_a_large_picture_is_shown_around_its_hole_only() -> None:
    given_ = picture(3000, 2000)
    made = scene.redraw([given_], scene.hole_at((100, 1800, 300, 150), given_.size), None)
    assert made.window == (0, 1672, 550, 328)
    assert made.drawn == (560, 336)
    assert made.open is not None
    assert made.open[128:278, 100:400].all()
    assert made.open.sum() == 300 * 150
    finished = scene.finish(made, drawn_for(made))
    assert finished.image.size == (3000, 2000)
    assert finished.kept is True
    wide = scene.redraw([given_], scene.hole_at((0, 0, 2900, 1900), given_.size), None)
    assert wide.drawn[0] * wide.drawn[1] < 1.8e6  # scaled down, the hole too
    assert scene.finish(wide, drawn_for(wide)).kept is True


@settings(max_examples=30, deadline=None)
@given(margins=st.tuples(*[st.integers(0, 60)] * 4), width=st.integers(16, 90), height=st.integers(16, 90))
def test_a_canvas_holds_the_picture_untouched(margins: tuple[int, int, int, int], width: int, height: int) -> None:
    given_ = picture(width, height)
    wanted = Margins(*margins)
    if not any(margins):
        with pytest.raises(InvalidRequest, match="at least one"):
            scene.outpaint([given_], wanted)
        return
    made = scene.outpaint([given_], wanted)
    finished = scene.finish(made, drawn_for(made))
    assert finished.image.size == (wanted.left + width + wanted.right, wanted.top + height + wanted.bottom)
    inside = np.asarray(finished.image)[wanted.top : wanted.top + height, wanted.left : wanted.left + width]
    assert np.array_equal(inside, np.asarray(given_))


def test_a_mask_may_be_scaled_with_its_picture() -> None:
    made = scene.redraw([picture(100, 100)], scene.hole_at((50, 50, 50, 50), (100, 100)), (200, 100))
    assert made.size == (200, 100)
    assert made.hole is not None
    assert made.hole[99, 199]
    assert not made.hole[0, 0]
    assert scene.finish(made, drawn_for(made)).kept is True


def mask_of(alpha: Any, size: tuple[int, int] = (40, 30)) -> Image.Image:
    image = picture(*size, mode="RGBA")
    image.putalpha(Image.fromarray(np.broadcast_to(np.asarray(alpha, np.uint8), size[::-1]).copy()))
    return image


def test_only_where_alpha_is_0_a_mask_is_open() -> None:
    alpha = np.full((30, 40), 255)
    alpha[0, :3] = (0, 1, 128)
    assert scene.hole_of(mask_of(alpha), (40, 30)).sum() == 1
    for bad, words in (
        (picture(40, 30), "alpha channel"),
        (mask_of(7), "nothing in it is transparent"),
        (mask_of(0, (30, 40)), "is 30x40, the picture 40x30"),
    ):
        with pytest.raises(InvalidRequest, match=words) as caught:
            scene.hole_of(bad, (40, 30))
        assert caught.value.param == "mask"


@pytest.mark.parametrize("region", [(0, 0, 0, 5), (30, 0, 11, 5), (0, 28, 5, 3), (40, 30, 1, 1)])
def test_a_region_lies_within_the_picture(region: tuple[int, int, int, int]) -> None:
    with pytest.raises(InvalidRequest, match="which is 40x30") as caught:
        scene.hole_at(region, (40, 30))
    assert caught.value.param == "sampan.region"


def test_pictures_of_odd_shape_are_refused_in_words() -> None:
    with pytest.raises(InvalidRequest, match="not edited"):
        scene.whole("edit", [picture(400, 20)], None)
    with pytest.raises(InvalidRequest, match="not edited"):
        scene.whole("edit", [picture(10, 12)], None)
    with pytest.raises(InvalidRequest, match="would be 4000x100"):
        scene.outpaint([picture(100, 100)], Margins(right=3900))
    kept = scene.whole("edit", [picture(300, 200, "RGBA")], None)
    assert kept.size == (300, 200)
    assert kept.references[0].mode == "RGB"
    assert scene.whole("edit", [picture(4000, 3000)], None).size == (1533, 1150)


def test_a_picture_that_was_not_kept_is_not_handed_out() -> None:
    made = scene.redraw([picture(40, 30)], scene.hole_at((0, 0, 9, 9), (40, 30)), None)
    spoilt = scene.Finished(picture(40, 30, seed=5), kept=True)  # as a mistake of ours would have it
    with pytest.raises(InternalError, match="not handed out"):
        write_proven(made, spoilt, Form("png"), {})
    with pytest.raises(InternalError, match="not handed out"):
        write_proven(made, replace(spoilt, kept=False), Form("jpeg"), {})


@pytest.mark.parametrize("form", [Form("png"), Form("jpeg", 50), Form("webp", 0), Form("webp", 100), Form("jpeg", 0)])
def test_provenance_travels_in_every_format(form: Form) -> None:
    told = {"model": "Qwen/Qwen-Image", "seed": 7, "loras": {"墨": 0.5}}
    file = write(picture(64, 48), form, told)
    assert read_provenance(file) == told
    assert open_picture(file, "image").size == (64, 48)
    assert read_provenance(write(picture(64, 48), form, None)) is None


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        open_picture(data, "image")
    assert caught.value.param == "image"
