"""Boxes in an answer become pixels of the picture that was sent."""

from __future__ import annotations

import base64
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sampan.engines.qwen_vl.grounding import Box, View, annotate, find_boxes

VIEW = View((2000, 1000), (1120, 560))


def boxes(answer: str, *views: View, absolute: bool = False) -> list[tuple[int, str, tuple[int, int, int, int]]]:
    return [(box.picture, box.label, box.box) for box in find_boxes(answer, views or (VIEW,), absolute=absolute)]


def test_marks_measure_in_thousandths() -> None:
    answer = "<|object_ref_start|>the cat<|object_ref_end|><|box_start|>(100,200),(500,800)<|box_end|>."
    assert boxes(answer) == [(0, "the cat", (200, 200, 1000, 800))]
    assert boxes(answer, absolute=True) == [(0, "the cat", (200, 200, 1000, 800))]
    assert boxes("<|box_start|>(0,0),(1000,1000)<|box_end|>") == [(0, "", (0, 0, 2000, 1000))]


def test_json_measures_as_its_family_does() -> None:
    answer = '```json\n[\n\t{"bbox_2d": [112, 56, 560, 280], "label": "cat"},\n\t{"bbox_2d": [0, 0, 9999, 56]}\n]\n```'
    assert boxes(answer, absolute=True) == [(0, "cat", (200, 100, 1000, 500)), (0, "", (0, 0, 2000, 100))]
    assert boxes(answer) == [(0, "cat", (224, 56, 1120, 280)), (0, "", (0, 0, 2000, 56))]


def test_a_box_is_on_the_last_picture_unless_it_says_which() -> None:
    other = View((100, 100), (112, 112))
    answer = '{"bbox_2d": [0, 0, 500, 500], "label": "a"} {"bbox_2d": [0, 0, 500, 500], "label": "b", "image": 1}'
    assert boxes(answer, VIEW, other) == [(1, "a", (0, 0, 50, 50)), (0, "b", (0, 0, 1000, 500))]


@pytest.mark.parametrize(
    "answer",
    [
        "no boxes",
        '{"bbox_2d": [1, 2, 3], "label": "three"}',
        '{"bbox_2d": ["a", 2, 3, 4]}',
        '{"bbox_2d": [5, 5, 5, 900]}',
        '{"bbox_2d": [5, 5, 50',
        "<|box_start|>(1,2)<|box_end|>",
        "<|box_start|>(2000,10),(3000,20)<|box_end|>",
    ],
)
def test_what_is_no_box_is_left_out(answer: str) -> None:
    assert boxes(answer) == []


def test_without_a_picture_there_are_no_boxes() -> None:
    assert find_boxes("<|box_start|>(1,2),(3,4)<|box_end|>", (), absolute=False) == ()


@given(st.lists(st.integers(-100, 3000), min_size=4, max_size=4), st.booleans())
def test_boxes_are_upright_and_inside(corners: list[int], absolute: bool) -> None:
    for _, _, (left, top, right, bottom) in boxes(f'{{"bbox_2d": {corners}}}', absolute=absolute):
        assert 0 <= left < right <= 2000
        assert 0 <= top < bottom <= 1000


def test_the_annotated_picture_is_the_picture_with_boxes() -> None:
    picture = Image.new("RGB", (200, 100), "white")
    data = annotate(picture, [Box(0, "cat", (20, 40, 120, 90)), Box(0, "", (150, 10, 190, 30))])
    with Image.open(io.BytesIO(base64.b64decode(data))) as drawn:
        assert (drawn.format, drawn.size) == ("PNG", (200, 100))
        pixels = drawn.convert("RGB")
        assert pixels.getpixel((20, 60)) == (230, 25, 75)
        assert pixels.getpixel((119, 60)) == (230, 25, 75)
        assert pixels.getpixel((150, 20)) == (60, 180, 75)
        assert pixels.getpixel((70, 65)) == (255, 255, 255)
    assert picture.getpixel((20, 60)) == (255, 255, 255)
