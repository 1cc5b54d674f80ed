"""The sketcher, judged on its pixels: counts are parts apart, colours are hues, relations are where the mass is."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sampan.engines.sketcher import Order, Picture, Sketcher
from sampan.errors import InvalidRequest

HUES = {"red": 0, "orange": 30, "yellow": 50, "green": 125, "blue": 217, "purple": 274, "pink": 336}


@pytest.fixture(scope="module")
def sketcher() -> Sketcher:
    made = Sketcher()
    made.warm_up()
    return made


def draw(sketcher: Sketcher, prompt: str, size: str = "512x512", seed: int = 3) -> Picture:
    return next(sketcher.generate(Order(prompt, size=size, seed=seed)))


def pixels(data: bytes) -> NDArray[np.int16]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(np.int16)


def ink(values: NDArray[np.int16]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(values - values[2, 2]).max(axis=2) > 24)


def parts(mask: NDArray[np.bool_]) -> int:
    """How many separate parts of some size a mask has."""
    left = mask.copy()
    sizes = []
    for start in zip(*np.nonzero(mask), strict=True):
        if not left[start]:
            continue
        stack, size = [start], 0
        left[start] = False
        while stack:
            y, x = stack.pop()
            size += 1
            for ny, nx in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if 0 <= ny < left.shape[0] and 0 <= nx < left.shape[1] and left[ny, nx]:
                    left[ny, nx] = False
                    stack.append((ny, nx))
        sizes.append(size)
    return sum(size > 0.05 * max(sizes) for size in sizes)


def of_hue(values: NDArray[np.int16], colour: str) -> NDArray[np.bool_]:
    hsv = np.asarray(Image.fromarray(values.astype(np.uint8)).convert("HSV")).astype(float)
    distance = np.abs((hsv[..., 0] * 360 / 255 - HUES[colour] + 180) % 360 - 180)
    return np.asarray((distance < 22) & (hsv[..., 1] > 90) & (hsv[..., 2] > 60))


def centre(mask: NDArray[np.bool_]) -> tuple[float, float]:
    ys, xs = np.nonzero(mask)
    assert len(xs) > 200
    return float(xs.mean()), float(ys.mean())


@pytest.mark.parametrize(
    ("prompt", "count"),
    [
        ("five blue cars", 5),
        ("a dozen eggs", 12),
        ("two wolves", 2),
        ("a pair of boots", 2),
        ("seven strawberries", 7),
        ("三只猫", 3),
        ("两个红苹果和三个绿梨", 5),
        ("四把椅子", 4),
        ("十一颗星星", 11),
        ("八隻鴨子", 8),
        ("three bears and no dogs", 3),
    ],
)
def test_a_count_stands_apart(sketcher: Sketcher, prompt: str, count: int) -> None:
    small = pixels(draw(sketcher, prompt).data)[::2, ::2]
    assert parts(ink(small)) == count


@pytest.mark.parametrize("colour", HUES)
@pytest.mark.parametrize("noun", ["cat", "sheep", "tree"])
def test_a_painted_thing_is_mostly_of_its_colour(sketcher: Sketcher, noun: str, colour: str) -> None:
    values = pixels(draw(sketcher, f"a {colour} {noun}", "256x256").data)
    seen = ink(values)
    assert (of_hue(values, colour) & seen).sum() > 0.55 * seen.sum()


@pytest.mark.parametrize(
    ("prompt", "first", "second", "direction"),
    [
        ("a red cat on the left and a blue car on the right", "red", "blue", "left"),
        ("左边红猫,右边蓝车", "red", "blue", "left"),
        ("a blue dog with a red bird on its right", "blue", "red", "left"),
        ("To the left of the green tree is a pink pig.", "pink", "green", "left"),
        ("一辆红色的公交车在一辆绿色的卡车右边", "green", "red", "left"),
        ("紫色的花上方有一只红色的鸟", "red", "purple", "above"),
        ("a yellow star below a blue circle", "blue", "yellow", "above"),
        ("桌子左邊有一個紅色的球,右邊有一隻藍色的鳥", "red", "blue", "left"),
        ("上面是红色的气球,下面是绿色的汽车", "red", "green", "above"),
        ("a red heart in the top left corner and a blue square in the bottom right", "red", "blue", "both"),
    ],
)
def test_a_relation_is_where_the_colours_are(
    sketcher: Sketcher, prompt: str, first: str, second: str, direction: str
) -> None:
    values = pixels(draw(sketcher, prompt).data)
    one, other = centre(of_hue(values, first)), centre(of_hue(values, second))
    if direction in ("left", "both"):
        assert one[0] < other[0] - 40
    if direction in ("above", "both"):
        assert one[1] < other[1] - 40


def test_between_is_between(sketcher: Sketcher) -> None:
    values = pixels(draw(sketcher, "a red ball between a blue dog and a green tree").data)
    x = centre(of_hue(values, "red"))[0]
    ends = sorted((centre(of_hue(values, "blue"))[0], centre(of_hue(values, "green"))[0]))
    assert ends[0] < x < ends[1]


def test_the_same_seed_gives_the_same_bytes_and_n_differ(sketcher: Sketcher) -> None:
    order = Order("two cats and a tree", n=3, size="256x256", seed=11)
    once, again = list(sketcher.generate(order)), list(sketcher.generate(order))
    assert [p.data for p in once] == [p.data for p in again]
    assert len({p.data for p in once}) == 3
    alone = next(sketcher.generate(Order(order.prompt, size="256x256", seed=once[2].seed)))
    assert alone.data == once[2].data


def test_without_a_seed_each_picture_gets_a_fresh_one(sketcher: Sketcher) -> None:
    order = Order("a cat", size="64x64")
    assert next(sketcher.generate(order)).seed != next(sketcher.generate(order)).seed


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("size", ["256x256", "1536x1024", "1024x1792"])
def test_every_size_and_format(sketcher: Sketcher, form: str, size: str) -> None:
    picture = next(sketcher.generate(Order("a dog", size=size, output_format=form, seed=1, output_compression=80)))
    image = Image.open(io.BytesIO(picture.data))
    assert f"{image.width}x{image.height}" == size == f"{picture.width}x{picture.height}"
    assert (image.format or "").lower() == form


def test_a_transparent_picture_has_clear_corners(sketcher: Sketcher) -> None:
    picture = next(sketcher.generate(Order("a cat on a beach", size="256x256", seed=1, background="transparent")))
    alpha = np.asarray(Image.open(io.BytesIO(picture.data)).getchannel("A"))
    assert alpha[0, 0] == 0 and alpha.max() == 255
    assert picture.background == "transparent" and "background is transparent" in picture.revised_prompt


@pytest.mark.parametrize(
    ("order", "param"),
    [
        (Order("a cat", background="transparent", output_format="jpeg"), "background"),
        (Order("a cat", size="1000x1000"), "size"),
        (Order("a cat", size="4096x1024"), "size"),
        (Order("a cat", size="big"), "size"),
        (Order("a cat", n=11), "n"),
        (Order("a cat", output_format="gif"), "output_format"),
        (Order("a cat", output_compression=101), "output_compression"),
        (Order("  "), "prompt"),
        (Order("xyzzy plugh"), "prompt"),
        (Order("的了吗"), "prompt"),
    ],
)
def test_a_bad_order_names_its_field(sketcher: Sketcher, order: Order, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        next(sketcher.generate(order))
    assert refused.value.param == param


def test_nothing_understood_says_so_in_the_prompts_language(sketcher: Sketcher) -> None:
    with pytest.raises(InvalidRequest, match="例如"):
        next(sketcher.generate(Order("量子纠缠的哲学意义")))
    with pytest.raises(InvalidRequest, match="for example"):
        next(sketcher.generate(Order("epistemology")))


def test_what_is_not_drawn_is_said(sketcher: Sketcher) -> None:
    assert "zorgon" in draw(sketcher, "a red cat and a zorgon", "64x64").revised_prompt
    said = draw(sketcher, "一只红猫,没有狗", "64x64").revised_prompt
    assert "红色" in said and "未画:狗" in said


def test_quoted_text_is_set_in_type(sketcher: Sketcher) -> None:
    with_text = ink(pixels(draw(sketcher, "「歡迎光臨」", "256x256").data))
    assert 0.02 < with_text.mean() < 0.5
    assert (ink(pixels(draw(sketcher, '"Hi"', "256x256").data)) != with_text).any()


@pytest.mark.parametrize(
    "style", ["水墨", "剪纸", "素描", "像素", "赛博朋克", "水彩", "油画", "复古", "comic", "line art"]
)
def test_each_style_changes_the_picture(sketcher: Sketcher, style: str) -> None:
    plain = pixels(draw(sketcher, "一只红色的公鸡", "256x256").data)
    styled = pixels(draw(sketcher, f"一只红色的公鸡,{style}", "256x256").data)
    assert np.abs(plain - styled).mean() > 2


def test_threads_may_draw_at_once(sketcher: Sketcher) -> None:
    alone = draw(sketcher, "三只蓝色的鸟", "256x256").data
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(draw(sketcher, "三只蓝色的鸟", "256x256").data)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone] * 3


def test_a_caller_that_stops_gets_no_more(sketcher: Sketcher) -> None:
    answers: Iterator[bool] = iter([False] * 4 + [True] * 99)
    drawn = list(sketcher.generate(Order("a cat", n=5, size="64x64", seed=1), stopped=lambda: next(answers)))
    assert 0 < len(drawn) < 5


def test_a_megapixel_costs_less_than_half_a_second_of_cpu(sketcher: Sketcher) -> None:
    best = min(_cost(sketcher) for _ in range(3))
    assert best < 0.5


def _cost(sketcher: Sketcher) -> float:
    start = time.process_time()
    draw(sketcher, "草地上有三只红色的猫和两棵树", "1024x1024")
    return time.process_time() - start
