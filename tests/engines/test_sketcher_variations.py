"""Variations: the scene that a picture carries, drawn again; pictures without one are refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from test_sketcher import centre, draw, of_hue, pixels
from test_sketcher_edits import masked, photo

from sampan.engines.sketcher import Order, Sketcher, metadata
from sampan.errors import InvalidRequest

BASE = "a red cat on the left and a blue car on the right"


@pytest.fixture(scope="module")
def sketcher() -> Sketcher:
    made = Sketcher()
    made.warm_up()
    return made


def vary(sketcher: Sketcher, data: bytes, n: int = 1, size: str = "auto") -> list[bytes]:
    return [made.data for made in sketcher.vary(Order("", n=n, seed=5, size=size), data)]


def test_variations_differ_and_show_the_same(sketcher: Sketcher) -> None:
    first = draw(sketcher, BASE).data
    made = vary(sketcher, first, 4)
    shown = [pixels(data) for data in (first, *made)]
    for index, one in enumerate(shown):
        assert all(float((one != other).mean()) > 0.01 for other in shown[:index])
    for values in shown[1:]:
        red, blue = of_hue(values, "red"), of_hue(values, "blue")
        assert red.mean() > 0.01 and blue.mean() > 0.01
        assert centre(red)[0] < centre(blue)[0], "what stood on the left stands on the right"
        for side in (red[0], red[-1], red[:, 0], red[:, -1], blue[:, -1]):
            assert not side.any(), "a thing was cut off"


def test_the_same_seed_draws_the_same_variation(sketcher: Sketcher) -> None:
    first = draw(sketcher, "three cats on a beach").data
    again = next(sketcher.vary(Order("", seed=5), first))
    assert [again.data] == vary(sketcher, first) and again.seed == 5
    made = list(sketcher.vary(Order("", n=2), first))
    assert made[1].data == next(sketcher.vary(Order("", seed=made[1].seed), first)).data


def test_a_variation_carries_its_scene_and_can_be_edited(sketcher: Sketcher) -> None:
    varied = vary(sketcher, draw(sketcher, BASE).data)[0]
    edited = next(sketcher.edit(Order("remove the cat", seed=5), [varied], None)).data
    values = pixels(edited)
    assert of_hue(values, "red").mean() < 0.002 and of_hue(values, "blue").mean() > 0.01


@pytest.mark.parametrize(
    ("size", "expected"), [("256x256", (256, 256)), ("1024x512", (1024, 512)), ("auto", (512, 512))]
)
def test_a_variation_has_the_size_that_was_asked(sketcher: Sketcher, size: str, expected: tuple[int, int]) -> None:
    made = vary(sketcher, draw(sketcher, BASE).data, size=size)[0]
    assert Image.open(io.BytesIO(made)).size == expected
    assert of_hue(pixels(made), "red").mean() > 0.005


def test_what_stands_on_a_ground_stays_on_it(sketcher: Sketcher) -> None:
    first = draw(sketcher, "a red car on a road").data

    def bottom(data: bytes) -> float:
        return float(np.nonzero(of_hue(pixels(data), "red"))[0].max())

    assert all(abs(bottom(data) - bottom(first)) < 12 for data in vary(sketcher, first, 3))


def test_formats_and_backgrounds(sketcher: Sketcher) -> None:
    first = next(sketcher.generate(Order("一只红猫", size="512x512", seed=3, output_format="webp"))).data
    made = next(sketcher.vary(Order("", seed=5, background="transparent"), first))
    assert made.background == "transparent" and Image.open(io.BytesIO(made.data)).mode == "RGBA"
    assert "重新绘制" in made.revised_prompt
    assert "Drawn again" in next(sketcher.vary(Order("", seed=5), draw(sketcher, BASE).data)).revised_prompt


def test_a_caller_who_leaves_stops_it(sketcher: Sketcher) -> None:
    first = draw(sketcher, BASE).data
    assert list(sketcher.vary(Order("", n=3), first, lambda: True)) == []


def test_what_cannot_be_varied_is_refused(sketcher: Sketcher) -> None:
    resized = io.BytesIO()
    Image.open(io.BytesIO(draw(sketcher, BASE).data)).resize((300, 300)).save(resized, "PNG")
    for foreign in (photo(), masked(64, 64, (0, 0, 8, 8)), resized.getvalue()):
        with pytest.raises(InvalidRequest, match="carries no scene") as raised:
            vary(sketcher, foreign)
        assert raised.value.param == "image"
    for broken in (b"", b"no picture"):
        with pytest.raises(InvalidRequest, match="not a readable"):
            vary(sketcher, broken)
    opened = metadata.open_picture(draw(sketcher, "a blue background").data, "image")
    assert opened.scene["items"] == []
    with pytest.raises(InvalidRequest, match="drawn otherwise"):
        vary(sketcher, draw(sketcher, "a blue background").data)
