"""Edits: inside a mask, by instruction on the scene that a picture carries, on a larger canvas, on foreign pictures."""

from __future__ import annotations

import base64
import io
import json
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from test_sketcher import centre, draw, ink, of_hue, pixels

from sampan.engines.sketcher import Order, Sketcher
from sampan.errors import InvalidRequest

BASE = "a red cat on the left and a blue car on the right"


@pytest.fixture(scope="module")
def sketcher() -> Sketcher:
    made = Sketcher()
    made.warm_up()
    return made


def edit(sketcher: Sketcher, data: bytes, prompt: str, mask: bytes | None = None, size: str = "auto") -> bytes:
    return next(sketcher.edit(Order(prompt, size=size, seed=5), [data], mask)).data


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def photo(width: int = 256, height: int = 256) -> bytes:
    """A picture of nobody's: smooth gradients and no scene."""
    y, x = np.mgrid[0:height, 0:width]
    values = np.stack([x * 255 // width, y * 255 // height, 128 + 0 * x], axis=-1).astype(np.uint8)
    return png(Image.fromarray(values, "RGB"))


def masked(width: int, height: int, box: tuple[int, int, int, int]) -> bytes:
    alpha = np.full((height, width), 255, dtype=np.uint8)
    alpha[box[1] : box[3], box[0] : box[2]] = 0
    mask = Image.new("RGBA", (width, height))
    mask.putalpha(Image.fromarray(alpha, "L"))
    return png(mask)


def share(values: NDArray[np.int16], colour: str) -> float:
    return float(of_hue(values, colour).mean())


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_the_scene_travels_in_every_format(sketcher: Sketcher, form: str) -> None:
    first = next(sketcher.generate(Order(BASE, size="512x512", seed=3, output_format=form))).data
    second = next(sketcher.edit(Order("把猫变成绿色", seed=5, output_format=form), [first], None)).data
    values = pixels(edit(sketcher, second, "make the car yellow"))
    assert share(values, "green") > 0.02 and share(values, "yellow") > 0.02
    assert share(values, "red") < 0.005 and share(values, "blue") < 0.005


@pytest.mark.parametrize("prompt", ["remove the cat", "去掉猫", "把红猫删掉", "delete the red cat"])
def test_remove(sketcher: Sketcher, prompt: str) -> None:
    values = pixels(edit(sketcher, draw(sketcher, BASE).data, prompt))
    assert share(values, "red") < 0.002 and share(values, "blue") > 0.02


@pytest.mark.parametrize(
    "prompt", ["add a green frog on the right", "在右边加一只绿色的青蛙", "在汽车的右边加一只绿色的青蛙"]
)
def test_add_keeps_what_was_there(sketcher: Sketcher, prompt: str) -> None:
    values = pixels(edit(sketcher, draw(sketcher, BASE).data, prompt))
    green, red, blue = (centre(of_hue(values, colour))[0] for colour in ("green", "red", "blue"))
    assert green > 256 and red < green and blue < green


@pytest.mark.parametrize("prompt", ["move the car to the left of the cat", "把汽车移到猫的左边"])
def test_move(sketcher: Sketcher, prompt: str) -> None:
    values = pixels(edit(sketcher, draw(sketcher, BASE).data, prompt))
    assert centre(of_hue(values, "blue"))[0] < centre(of_hue(values, "red"))[0]


@pytest.mark.parametrize(("prompt", "grows"), [("make the cat bigger", True), ("把猫变小一点", False)])
def test_resize(sketcher: Sketcher, prompt: str, grows: bool) -> None:
    first = draw(sketcher, BASE).data
    before, after = share(pixels(first), "red"), share(pixels(edit(sketcher, first, prompt)), "red")
    assert after > 1.3 * before if grows else after < 0.7 * before


@pytest.mark.parametrize("prompt", ["replace the cat with a green frog", "把猫换成绿色的青蛙"])
def test_replace(sketcher: Sketcher, prompt: str) -> None:
    values = pixels(edit(sketcher, draw(sketcher, BASE).data, prompt))
    assert share(values, "red") < 0.015  # the frog's mouth
    assert centre(of_hue(values, "green"))[0] < 256


@pytest.mark.parametrize("prompt", ["change the background to a starry night", "换成星空背景"])
def test_another_background(sketcher: Sketcher, prompt: str) -> None:
    values = pixels(edit(sketcher, draw(sketcher, BASE).data, prompt))
    assert values[4, 4].max() < 110 and share(values, "red") > 0.02


def test_an_instruction_for_what_is_not_there_says_what_is(sketcher: Sketcher) -> None:
    with pytest.raises(InvalidRequest, match="cat, car") as refused:
        edit(sketcher, draw(sketcher, BASE).data, "remove the elephant")
    assert refused.value.param == "prompt"


@pytest.mark.parametrize("own", [True, False])
def test_a_mask_changes_nothing_outside_it(sketcher: Sketcher, own: bool) -> None:
    source = draw(sketcher, BASE).data if own else photo(512, 512)
    values, box = pixels(source), (60, 300, 300, 500)
    made = pixels(edit(sketcher, source, "a green frog", masked(512, 512, box)))
    outside = np.ones((512, 512), dtype=bool)
    outside[box[1] : box[3], box[0] : box[2]] = False
    assert (made[outside] == values[outside]).all()
    assert of_hue(made, "green")[~outside].mean() > 0.1


def test_a_mask_may_have_any_shape(sketcher: Sketcher) -> None:
    y, x = np.mgrid[0:256, 0:256]
    hole = (x - 128) ** 2 + (y - 100) ** 2 < 80**2
    mask = Image.new("RGBA", (256, 256))
    mask.putalpha(Image.fromarray(np.where(hole, 0, 255).astype(np.uint8), "L"))
    source = photo()
    made = pixels(edit(sketcher, source, "红色的球", png(mask)))
    assert (made[~hole] == pixels(source)[~hole]).all()
    assert of_hue(made, "red")[hole].mean() > 0.3


def test_removing_inside_a_mask_continues_what_is_around(sketcher: Sketcher) -> None:
    flat = Image.new("RGB", (128, 128), (200, 220, 240))
    flat.paste((255, 0, 0), (40, 40, 80, 80))
    made = pixels(edit(sketcher, png(flat), "remove the red box", masked(128, 128, (36, 36, 84, 84))))
    assert np.abs(made - np.array([200, 220, 240])).max() <= 2


@pytest.mark.parametrize(
    "mask",
    [
        masked(128, 128, (0, 0, 64, 64)),
        png(Image.new("RGB", (256, 256))),
        png(Image.new("RGBA", (256, 256), (0, 0, 0, 255))),
        b"no picture",
    ],
)
def test_a_mask_that_cannot_be_used_is_named(sketcher: Sketcher, mask: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        edit(sketcher, photo(), "a cat", mask)
    assert refused.value.param == "mask"


def test_a_larger_canvas_keeps_the_picture(sketcher: Sketcher) -> None:
    source = photo()
    made = pixels(edit(sketcher, source, "extend the picture to the right", size="512x256"))
    assert made.shape == (256, 512, 3)
    assert (made[:, :256] == pixels(source)).all()
    middle = pixels(edit(sketcher, source, "扩展画面", size="512x512"))
    assert (middle[128:384, 128:384] == pixels(source)).all()


def test_a_foreign_picture_takes_additions_only(sketcher: Sketcher) -> None:
    made = pixels(edit(sketcher, photo(), "add a green frog on the left"))
    changed = np.abs(made - pixels(photo())).max(axis=2) > 30
    assert centre(changed)[0] < 128
    for prompt in ("remove the cat", "把猫变成蓝色", "move the tree to the left"):
        with pytest.raises(InvalidRequest) as refused:
            edit(sketcher, photo(), prompt)
        assert refused.value.param == "prompt"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk",
        photo()[:200],
        b"\x89PNG\r\n\x1a\n" + b"\0" * 40,
        b"RIFF\x10\0\0\0WEBPVP8 ",
        b"\xff\xd8\xff\xe0\0\x10JFIF",
    ],
)
def test_a_broken_picture_is_refused(sketcher: Sketcher, data: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        edit(sketcher, data, "add a cat")
    assert refused.value.param == "image"


def test_a_bomb_is_refused_before_it_is_unpacked(sketcher: Sketcher) -> None:
    with pytest.raises(InvalidRequest, match="50 megapixels"):
        edit(sketcher, png(Image.new("1", (10_000, 6_000))), "add a cat")


@pytest.mark.parametrize(
    "scene",
    [
        {"sampan": 1},
        {"sampan": 1, "size": [256, 256], "items": [{"art": "../../etc", "box": [0, 0, 1, 1]}]},
        [[]] * 50,
        {
            "sampan": 1,
            "size": [256, 256],
            "backdrop": "",
            "colour": "",
            "tint": 0,
            "styles": [],
            "transparent": False,
            "seed": 0,
            "items": [
                {"art": "cat", "word": "cat", "box": [0, 0, 1e9, 1e9], "z": 0, "colour": "", "flip": False, "text": ""}
            ],
        },
    ],
)
def test_a_forged_scene_is_treated_as_none(sketcher: Sketcher, scene: object) -> None:
    info = PngImagePlugin.PngInfo()
    packed = base64.b64encode(zlib.compress(json.dumps(scene).encode())).decode()
    info.add_itxt("sampan-scene", "sampan-scene:" + packed)
    out = io.BytesIO()
    Image.new("RGB", (256, 256), "white").save(out, "PNG", pnginfo=info)
    with pytest.raises(InvalidRequest):
        edit(sketcher, out.getvalue(), "remove the cat")
    assert ink(pixels(edit(sketcher, out.getvalue(), "add a red cat"))).any()
