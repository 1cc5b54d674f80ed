"""What people mean without saying it: natural colours, orders, "the other one", what can stand on what,
how big is big."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sampan.engines.sketcher import Order, Sketcher, natural
from sampan.engines.sketcher.composer import Composer
from sampan.engines.sketcher.phrases import rewritten
from sampan.engines.sketcher.prompt import understand
from sampan.engines.sketcher.render import Renderer
from sampan.engines.sketcher.scene import Item, Scene
from sampan.engines.sketcher.tokens import Reader
from sampan.engines.sketcher.typeface import Typeface
from sampan.engines.sketcher.vocabulary import Vocabulary, load, load_segmenter


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return load()


@pytest.fixture(scope="module")
def reader(vocabulary: Vocabulary) -> Reader:
    return Reader(vocabulary, load_segmenter(vocabulary))


@pytest.fixture(scope="module")
def composer(vocabulary: Vocabulary) -> Composer:
    return Composer(vocabulary, Typeface())


@pytest.fixture(scope="module")
def renderer(vocabulary: Vocabulary) -> Renderer:
    return Renderer(vocabulary.artwork, Typeface())


class Drawer:
    """Prompts to items, without pixels."""

    def __init__(self, reader: Reader, composer: Composer) -> None:
        self._reader = reader
        self._composer = composer

    def __call__(self, prompt: str, seed: int = 5) -> tuple[Item, ...]:
        wish = understand(self._reader.read(prompt))
        return self._composer.compose(wish, 512, 512, seed, False).items


@pytest.fixture(scope="module")
def draw(reader: Reader, composer: Composer) -> Drawer:
    return Drawer(reader, composer)


def along(items: tuple[Item, ...], axis: int) -> list[str]:
    return [item.colour for item in sorted(items, key=lambda item: item.middle[axis])]


def spread(items: tuple[Item, ...], axis: int) -> float:
    return max(item.middle[axis] for item in items) - min(item.middle[axis] for item in items)


def parts(mask: NDArray[np.bool_], least: float) -> int:
    """How many connected parts of a mask have more than `least` of its pixels."""
    left = set(zip(*(axis.tolist() for axis in np.nonzero(mask)), strict=True))
    whole, found = len(left), 0
    while left:
        stack, size = [left.pop()], 0
        while stack:
            y, x = stack.pop()
            size += 1
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            stack += near
        found += size > least * whole
    return found


HUES = {"red": (350, 14), "orange": (18, 42), "yellow": (42, 66), "green": (80, 165), "blue": (195, 245)}


@pytest.mark.parametrize(
    ("word", "colour"),
    [
        ("banana", "yellow"),
        ("apple", "red"),
        ("tomato", "red"),
        ("heart", "red"),
        ("strawberry", "red"),
        ("lemon", "yellow"),
        ("chick", "yellow"),
        ("star", "yellow"),
        ("mandarin", "orange"),
        ("pumpkin", "orange"),
        ("frog", "green"),
        ("snake", "green"),
        ("tree", "green"),
        ("leaf", "green"),
        ("cucumber", "green"),
        ("whale", "blue"),
    ],
)
def test_a_thing_without_a_colour_has_the_one_that_everybody_expects(
    vocabulary: Vocabulary, renderer: Renderer, word: str, colour: str
) -> None:
    art = vocabulary.english[word].value
    image = renderer.compose(Image.new("RGBA", (160, 160)), Scene(160, 160, (Item(art, word, 0, 0, 160, 160),)))
    pixels = np.asarray(image)
    ink = pixels[..., 3] > 128
    hsv = np.asarray(image.convert("RGB").convert("HSV")).astype(float)
    hue = hsv[..., 0] * 360 / 255
    low, high = HUES[colour]
    inside = (hue >= low) & (hue <= high) if low < high else (hue >= low) | (hue <= high)
    assert (inside & (hsv[..., 1] > 90) & ink).sum() > 0.55 * ink.sum()


def test_an_apple_keeps_its_leaf(vocabulary: Vocabulary, renderer: Renderer) -> None:
    item = Item("red-apple", "apple", 0, 0, 160, 160)
    pixels = np.asarray(renderer.compose(Image.new("RGBA", (160, 160)), Scene(160, 160, (item,)))).astype(int)
    green = (pixels[..., 1] > pixels[..., 0] + 20) & (pixels[..., 3] > 128)
    assert 0.02 < green.mean() < 0.2


@pytest.mark.parametrize(
    ("prompt", "order"),
    [
        ("a blue ball, a red ball and a yellow ball in a row from left to right", ["blue", "red", "yellow"]),
        ("from right to left: a blue ball, a red ball, a yellow ball", ["yellow", "red", "blue"]),
        ("从左到右依次排列:红苹果、绿苹果、黄苹果", ["red", "green", "yellow"]),
        ("红球、黄球、蓝球一字排开", ["red", "yellow", "blue"]),
        ("a green tree and a red house side by side", ["green", "red"]),
        ("紫色的杯子、绿色的杯子和红色的杯子并排放着", ["purple", "green", "red"]),
        ("first a red bird, then a blue bird, then a green bird", ["red", "blue", "green"]),
        ("第一个是红色的球,第二个是黄色的球,第三个是蓝色的球", ["red", "yellow", "blue"]),
        ("左起依次是黃色的車、紅色的車、藍色的車", ["yellow", "red", "blue"]),
    ],
)
def test_a_row_keeps_the_order_of_its_list(draw: Drawer, prompt: str, order: list[str]) -> None:
    items = draw(prompt)
    assert along(items, 0) == order
    assert spread(items, 1) < 60


@pytest.mark.parametrize(
    ("prompt", "order"),
    [
        ("from top to bottom: a red circle, a yellow circle, a green circle", ["red", "yellow", "green"]),
        ("从上到下依次是蓝色的星星、红色的心和绿色的圆", ["blue", "red", "green"]),
        ("a blue star, a red star, a yellow star arranged vertically", ["blue", "red", "yellow"]),
    ],
)
def test_a_column_keeps_the_order_of_its_list(draw: Drawer, prompt: str, order: list[str]) -> None:
    items = draw(prompt)
    assert along(items, 1) == order
    assert spread(items, 0) < 60


def test_different_things_form_one_circle(draw: Drawer) -> None:
    items = draw("a red ball, a blue ball, a green ball and a yellow ball in a circle")
    x = sum(item.middle[0] for item in items) / 4
    y = sum(item.middle[1] for item in items) / 4
    reach = [((item.middle[0] - x) ** 2 + (item.middle[1] - y) ** 2) ** 0.5 for item in items]
    assert max(reach) < 1.25 * min(reach)


@pytest.mark.parametrize(
    ("prompt", "colours"),
    [
        ("a heart coloured green", ["green"]),
        ("a chair painted yellow", ["yellow"]),
        ("a sofa in blue", ["blue"]),
        ("a balloon, green in color", ["green"]),
        ("the color of the star is purple", ["purple"]),
        ("two cups, both blue", ["blue", "blue"]),
        ("颜色是绿色的心", ["green"]),
        ("一把伞,颜色是紫色", ["purple"]),
        ("红色的、大大的苹果", ["red"]),
        ("一辆自行车,红色", ["red"]),
        ("两只猫,一只黑色,另一只橙色", ["black", "orange"]),
        ("two cars: one red and the other blue", ["blue", "red"]),
        ("one balloon is yellow, another is green", ["green", "yellow"]),
        ("One red apple on the left, another one on the right", ["red", "red"]),
        ("two red and three blue balloons", ["blue", "blue", "blue", "red", "red"]),
        ("红色和蓝色的气球各两个", ["blue", "blue", "red", "red"]),
        ("red, blue and yellow balls", ["blue", "red", "yellow"]),
    ],
)
def test_colours_find_their_things(draw: Drawer, prompt: str, colours: list[str]) -> None:
    assert sorted(item.colour for item in draw(prompt)) == colours


@pytest.mark.parametrize(
    ("prompt", "order"),
    [
        ("in the centre a red heart, to its left a blue heart, to its right a green heart", ["blue", "red", "green"]),
        ("中间一颗黄心,它的左边是蓝心,右边是绿心", ["blue", "yellow", "green"]),
        ("a red ball, with a blue ball to the left of it and a green one on its right", ["blue", "red", "green"]),
        ("有一个红球和一个蓝球,蓝球在红球的左边", ["blue", "red"]),
        ("三只鸟,左边的是红色,中间的是黄色,右边的是蓝色", ["red", "yellow", "blue"]),
        (
            "three hats: the left one is red, the middle one is green and the right one is blue",
            ["red", "green", "blue"],
        ),
    ],
)
def test_what_it_and_one_mean(draw: Drawer, prompt: str, order: list[str]) -> None:
    assert along(draw(prompt), 0) == order


@pytest.mark.parametrize(
    "prompt", ["有一只猫和一只鸟,猫是紫色的,鸟是红色的", "a cat and a bird, the cat is purple, the bird is red"]
)
def test_a_colour_said_later_is_the_subjects(draw: Drawer, prompt: str) -> None:
    assert {item.art: item.colour for item in draw(prompt)} == {"cat": "purple", "bird": "red"}


def test_the_anchor_stays_between_what_is_above_and_below_it(draw: Drawer) -> None:
    items = draw("a yellow circle in the middle with a red circle above it and a blue circle below it")
    assert along(items, 1) == ["red", "yellow", "blue"]
    chained = draw("a blue circle, below it a red square, and below that a green triangle")
    assert along(chained, 1) == ["blue", "red", "green"]


@pytest.mark.parametrize("prompt", ["a blue bird on top of a red car", "一只绿色的猫站在红色的汽车上"])
def test_what_stands_on_a_thing_is_of_its_size_and_hides_little(draw: Drawer, prompt: str) -> None:
    lower, upper = draw(prompt)
    assert max(upper.w, upper.h) > 0.6 * max(lower.w, lower.h)
    assert lower.y < upper.y + upper.h < lower.y + 0.2 * lower.h


@pytest.mark.parametrize(
    "prompt",
    ["红色的伞上面有一朵紫色的云", "a green star on top of a red heart", "a red ball on top of two green boxes"],
)
def test_nothing_stands_where_nothing_can_stand(draw: Drawer, prompt: str) -> None:
    items = draw(prompt)
    upper = min(items, key=lambda item: item.y)
    rest = [item for item in items if item is not upper]
    assert all(upper.y + upper.h < item.y - 8 for item in rest)
    middle = sum(item.middle[0] for item in rest) / len(rest)
    assert abs(upper.middle[0] - middle) < 60


@pytest.mark.parametrize(
    ("prompt", "big", "small", "ratio"),
    [
        ("one big red star with three blue stars", "red", "blue", 1.6),
        ("a big blue elephant next to a red mouse", "blue", "red", 1.6),
        ("a small green apple under a big red umbrella", "red", "green", 1.6),
        ("a tiny purple cat next to a green car", "green", "purple", 1 / 0.45),
        ("两只大的红猫和五只蓝猫", "red", "blue", 1.6),
    ],
)
def test_big_is_clearly_bigger(draw: Drawer, prompt: str, big: str, small: str, ratio: float) -> None:
    sides: dict[str, list[float]] = {big: [], small: []}
    for item in draw(prompt):
        sides[item.colour].append(max(item.w, item.h))
    assert min(sides[big]) >= ratio * max(sides[small])


@pytest.mark.parametrize(
    "name",
    [
        "bicycle",
        "airplane",
        "owl",
        "kite",
        "soft-ice-cream",
        "glass-of-milk",
        "castle",
        "snowman-without-snow",
        "ambulance",
        "church",
        "t-shirt",
        "birthday-cake",
        "wine-glass",
        "socks",
        "duck",
        "rabbit",
    ],
)
def test_a_drawing_holds_together_on_its_ground(renderer: Renderer, vocabulary: Vocabulary, name: str) -> None:
    aspect = vocabulary.artwork[name].aspect
    width, height = (240, 240 / aspect) if aspect > 1 else (240 * aspect, 240)
    scene = Scene(260, 260, (Item(name, name, 10, 10, width, height),), tint=1 if name in natural.WHITE else 0)
    values = np.asarray(renderer.draw(scene)).astype(float)
    apart = np.sqrt(((values - values[0, 0]) ** 2).sum(axis=-1)) > 42
    assert parts(apart[::2, ::2], 0.05) == 1


def test_every_natural_colour_and_repair_names_a_drawing(vocabulary: Vocabulary) -> None:
    named = {*natural.NATURAL, *natural.JOINED, *natural.UNDERLAY}
    assert sorted(named - set(vocabulary.artwork)) == []


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("a cat from left to right", "⟦order row⟧"),
        ("bottom to top", "⟦order rising⟧"),
        ("涂成粉色的大象", "⟦hue⟧"),
        ("two cats, the other is red", "⟦other⟧"),
        ("其余的都是蓝色", "⟦rest⟧"),
    ],
)
def test_turns_of_phrase_become_marks(text: str, mark: str) -> None:
    assert mark in rewritten(text)


def test_ordinary_words_are_left_alone() -> None:
    for text in ("a cat in red boots", "the left of the tree", "a box with a red lid", "猫的左边有一只狗"):
        assert rewritten(text) == text


def test_repaired_drawings_are_the_same_in_every_run() -> None:
    sketcher = Sketcher()
    order = Order("两辆自行车和一架飞机", size="256x256", seed=4)
    first, again = next(sketcher.generate(order)), next(sketcher.generate(order))
    assert first.data == again.data
    assert Image.open(io.BytesIO(first.data)).size == (256, 256)
