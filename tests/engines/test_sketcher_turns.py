"""Places of the picture itself, relations with a verb between, counts after the noun, comparisons, sums and parts."""

from __future__ import annotations

import time

import pytest

from sampan.engines.sketcher.composer import Composer
from sampan.engines.sketcher.prompt import understand
from sampan.engines.sketcher.request import Place, Wish
from sampan.engines.sketcher.scene import Item
from sampan.engines.sketcher.tokens import Reader
from sampan.engines.sketcher.turns import turned
from sampan.engines.sketcher.typeface import Typeface
from sampan.engines.sketcher.vocabulary import Vocabulary, load, load_segmenter

SIDE = 512


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return load()


class Mind:
    """Prompts to wishes and to items, without pixels."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._reader = Reader(vocabulary, load_segmenter(vocabulary))
        self._composer = Composer(vocabulary, Typeface())

    def wish(self, prompt: str) -> Wish:
        return understand(self._reader.read(prompt))

    def items(self, prompt: str, seed: int = 3) -> tuple[Item, ...]:
        return self._composer.compose(self.wish(prompt), SIDE, SIDE, seed, False).items


@pytest.fixture(scope="module")
def mind(vocabulary: Vocabulary) -> Mind:
    return Mind(vocabulary)


LEFT, RIGHT, TOP, BOTTOM = (0, None), (2, None), (None, 0), (None, 2)


@pytest.mark.parametrize(
    ("prompt", "places"),
    [
        ("一只猫靠右", [RIGHT]),
        ("猫靠左狗靠右", [LEFT, RIGHT]),
        ("靠左边有一棵树，靠右边有一座房子", [LEFT, RIGHT]),
        ("靠上的地方有一朵云", [TOP]),
        ("图的下方有一只狗", [BOTTOM]),
        ("画的顶部飘着三个气球", [TOP]),
        ("画的底部趴着一只乌龟", [BOTTOM]),
        ("画面正中坐着一只熊", [(1, 1)]),
        ("圖片的左半邊有一隻貓，右半邊有兩隻狗", [LEFT, RIGHT]),
        ("圖的上方飄著一朵雲，下方停著一艘船", [TOP, BOTTOM]),
        ("图右下角放着一个苹果", [(2, 2)]),
        ("太阳在画的上方，船在画的下方", [TOP, BOTTOM]),
        ("the top of the picture shows a red balloon", [TOP]),
        ("the top half shows a sun, the bottom half shows a boat", [TOP, BOTTOM]),
        ("the left half has two cats and the right half has a dog", [LEFT, RIGHT]),
        ("the upper left corner holds a star", [(0, 0)]),
        ("the lower right corner contains a green apple", [(2, 2)]),
        ("along the bottom there are three fish", [BOTTOM]),
        ("a tree stands at the right edge", [RIGHT]),
        ("the bottom of the image has four flowers", [BOTTOM]),
    ],
)
def test_a_place_in_the_picture_is_where_the_thing_is_put(mind: Mind, prompt: str, places: list[Place]) -> None:
    wish = mind.wish(prompt)
    assert [thing.places for thing in wish.things] == [(place,) for place in places]
    assert not wish.unknown
    for item in mind.items(prompt):
        place = next(thing.places[0] for thing in wish.things if thing.art == item.art)
        for middle, third in zip(item.middle, place, strict=True):
            assert third not in (0, 2) or (middle < SIDE / 2) == (third == 0)


def test_what_only_ends_in_the_word_for_picture_keeps_its_sides(mind: Mind) -> None:
    wish = mind.wish("地图左边有一只猫")
    assert [(r.kind, wish.things[r.subject].art) for r in wish.relations] == [("left", "cat")]


@pytest.mark.parametrize(
    ("prompt", "kind", "subject", "count", "object_"),
    [
        ("蓝色的帐篷下方趴着一头棕色的狮子", "below", "lion", 1, "tent"),
        ("房子右边跟着三头牛", "right", "cow", 3, "house"),
        ("树的左边停着两辆车", "left", "automobile", 2, "deciduous-tree"),
        ("紅色的房子右邊停著一輛藍色的車", "right", "automobile", 1, "house"),
        ("below the blue tent lies a brown lion", "below", "lion", 1, "tent"),
        ("above the table hangs a lamp", "above", "light-bulb", 1, "own-table"),
        ("to the right of the house stand three cows", "right", "cow", 3, "house"),
        ("an elephant with three small ducks to its right", "right", "duck", 3, "elephant"),
        ("a dog, to the right of which stand two cats", "right", "cat", 2, "dog"),
        ("a dog followed on the right by two cats", "left", "dog", 1, "cat"),
    ],
)
def test_a_verb_between_place_and_thing_changes_nothing(
    mind: Mind, prompt: str, kind: str, subject: str, count: int, object_: str
) -> None:
    wish = mind.wish(prompt)
    (relation,) = wish.relations
    assert relation.kind == kind
    assert (wish.things[relation.subject].art, wish.things[relation.subject].count) == (subject, count)
    assert wish.things[relation.objects[0]].art == object_
    assert not wish.unknown and not any(thing.places for thing in wish.things)


@pytest.mark.parametrize(
    ("prompt", "counts"),
    [
        ("蜗牛，五只", {"snail": 5}),
        ("五只——蝸牛", {"snail": 5}),
        ("火箭六枚", {"rocket": 6}),
        ("红色的苹果，一共五个", {"red-apple": 5}),
        ("一个比萨很大", {"pizza": 1}),
        ("苹果三个，红色的", {"red-apple": 3}),
        ("苹果三个和梨两个", {"red-apple": 3, "pear": 2}),
        ("星星×4", {"star": 4}),
        ("snails: five", {"snail": 5}),
        ("dogs: two, cats: three", {"dog": 2, "cat": 3}),
        ("cats (three)", {"cat": 3}),
        ("apples x3", {"red-apple": 3}),
        ("5x star", {"star": 5}),
        ("a red rocket x2 and a blue star x3", {"rocket": 2, "star": 3}),
    ],
)
def test_a_number_may_stand_after_its_noun(mind: Mind, prompt: str, counts: dict[str, int]) -> None:
    assert {thing.art: thing.count for thing in mind.wish(prompt).things} == counts


@pytest.mark.parametrize(
    ("prompt", "larger", "least", "most"),
    [
        ("一个红球和一个蓝球，红的比蓝的大得多", "red", 1.9, 3.2),
        ("一个红球和一个蓝球，红的比蓝的小", "blue", 1.5, 2.5),
        ("紅色的車比藍色的車小很多", "blue", 1.9, 3.2),
        ("红色的气球比蓝色的气球大一点", "red", 1.2, 1.6),
        ("两个苹果，红的比绿的大很多", "red", 1.9, 3.2),
        ("一个比蓝球小的红球", "blue", 1.5, 2.5),
        ("a red ball and a blue ball, the red one is much bigger than the blue one", "red", 1.9, 3.2),
        ("a red ball and a blue ball. The red one is smaller.", "blue", 1.5, 2.5),
        ("a red star twice as big as a blue star", "red", 1.8, 2.2),
        ("a red star smaller than a green star", "green", 1.5, 2.5),
        ("大的红色气球下面是小的绿色气球", "red", 2.0, 4.0),
        ("大的蓝色火车在小的红色直升机上面", "blue", 2.0, 4.0),
        ("a big blue train on top of a small red table", "blue", 2.0, 4.0),
    ],
)
def test_a_comparison_shows_in_the_sizes(mind: Mind, prompt: str, larger: str, least: float, most: float) -> None:
    one, other = sorted(mind.items(prompt), key=lambda item: max(item.w, item.h))
    assert other.colour == larger
    assert least <= max(other.w, other.h) / max(one.w, one.h) <= most
    for item in (one, other):
        assert item.x >= 0 and item.x + item.w <= SIDE and item.y >= 0 and item.y + item.h <= SIDE


@pytest.mark.parametrize("prompt", ["两个球，大的红色，小的蓝色", "two balls, the big one red and the small one blue"])
def test_sizes_tell_parts_apart(mind: Mind, prompt: str) -> None:
    one, other = mind.items(prompt)
    assert {one.colour, other.colour} == {"red", "blue"}
    assert (one.w > 2 * other.w) if one.colour == "red" else (other.w > 2 * one.w)


def test_small_things_among_many_can_still_be_seen(mind: Mind) -> None:
    items = mind.items("三辆大的红色火车下面有两架小的蓝色直升机")
    small = [item for item in items if item.colour == "blue"]
    assert len(small) == 2 and len(items) == 5
    assert all(item.w > SIDE / 10 for item in small)
    assert max(item.h for item in items) > 1.9 * max(item.w for item in small)


def test_compared_things_without_colours_keep_their_number(mind: Mind) -> None:
    sizes = {thing.art: (thing.count, thing.size) for thing in mind.wish("一只猫和一只狗，猫比狗小很多").things}
    assert sizes["cat"][0] == sizes["dog"][0] == 1 and sizes["cat"][1] < 0.5 < sizes["dog"][1]


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("一共三个圆形：左边红色，中间绿色，右边蓝色", [(1, "red", LEFT), (1, "green", (1, 1)), (1, "blue", RIGHT)]),
        ("两个方块：上面红色，下面蓝色", [(1, "red", TOP), (1, "blue", BOTTOM)]),
        ("三个气球：红色在左边，蓝色在中间，绿色在右边", [(1, "red", LEFT), (1, "blue", (1, 1)), (1, "green", RIGHT)]),
        ("四个球，一个红的，一个蓝的，两个绿的", [(1, "red", None), (1, "blue", None), (2, "green", None)]),
        ("五個氣球，兩紅三藍", [(2, "red", None), (3, "blue", None)]),
        ("两红三蓝五个气球", [(2, "red", None), (3, "blue", None)]),
        (
            "three circles: red on the left, green in the middle, blue on the right",
            [(1, "red", LEFT), (1, "green", (1, 1)), (1, "blue", RIGHT)],
        ),
        ("two circles, the left is red, the right is blue", [(1, "red", LEFT), (1, "blue", RIGHT)]),
        ("four hearts: two red on the left and two blue on the right", [(2, "red", LEFT), (2, "blue", RIGHT)]),
        ("five balloons, two red and three blue", [(2, "red", None), (3, "blue", None)]),
        ("five balloons: two are red and three are blue", [(2, "red", None), (3, "blue", None)]),
        ("six flowers, two of them red and four yellow", [(2, "red", None), (4, "yellow", None)]),
        ("three balloons in red, green and blue", [(1, "red", None), (1, "green", None), (1, "blue", None)]),
    ],
)
def test_parts_share_the_noun_and_make_up_the_sum(
    mind: Mind, prompt: str, parts: list[tuple[int, str, Place | None]]
) -> None:
    wish = mind.wish(prompt)
    assert len({thing.art for thing in wish.things}) == 1
    assert [(t.count, t.colours, t.places) for t in wish.things] == [
        (count, (colour,), (place,) if place else ()) for count, colour, place in parts
    ]
    assert len(mind.items(prompt)) == sum(count for count, _, _ in parts)


def test_two_colours_before_one_noun_are_no_parts_of_what_came_before(mind: Mind) -> None:
    wish = mind.wish("a cat, two red and three blue balloons")
    assert [(t.art, t.count) for t in wish.things] == [("cat", 1), ("balloon", 2), ("balloon", 3)]


@pytest.mark.parametrize(
    "piece", ["a ", "red, ", "one red, ", "x x ", "一", "红的比", "一个红", "左边红色，", "图的上", "苹果"]
)
def test_long_prompts_are_rewritten_in_little_time(piece: str) -> None:
    started = time.perf_counter()
    turned((": " + piece * 4000)[:8000])
    assert time.perf_counter() - started < 4
