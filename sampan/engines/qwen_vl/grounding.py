"""Boxes that an answer names, in pixels of the picture that was sent.

| family | how it writes a box | measured in |
|---|---|---|
| Qwen2-VL | `<|object_ref_start|>cat<|object_ref_end|><|box_start|>(x1,y1),(x2,y2)<|box_end|>` | thousandths |
| Qwen2.5-VL | JSON: `{"bbox_2d": [x1, y1, x2, y2], "label": "cat"}` | pixels of the picture as the model saw it |
| Qwen3-VL | the same JSON | thousandths of the width and height |

Sources: the models' own cards and cookbooks (QwenLM, "Qwen2-VL" 2.1 and `cookbooks/2d_grounding.ipynb`). A box does not
say which picture it is on: it is the last one, unless its object counts one out (`"image": 1`, from 1 on).
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from PIL import Image, ImageDraw, ImageFont

from sampan.dialects.fields import UNREADABLE

BOXES = 1_000  # of one answer
_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_MARKED = re.compile(
    r"(?:<\|object_ref_start\|>(?P<label>.{0,200}?)<\|object_ref_end\|>\s*)?"
    rf"<\|box_start\|>\s*\({_NUMBER},{_NUMBER}\),\s*\({_NUMBER},{_NUMBER}\)\s*<\|box_end\|>",
    re.DOTALL,
)
_OBJECT = re.compile(r'\{[^{}]{0,2000}?"bbox_2d"[^{}]{0,2000}?\}')
_COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#808000")


@dataclass(frozen=True, slots=True)
class View:
    """A picture's sizes, (width, height) in pixels: as it was sent, upright, and as the model saw it."""

    sent: tuple[int, int]
    seen: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Box:
    """`picture` counts from 0; `box` is (left, top, right, bottom) in pixels of the picture that was sent."""

    picture: int
    label: str
    box: tuple[int, int, int, int]

    def told(self) -> Mapping[str, Any]:
        return {"picture": self.picture, "label": self.label, "box": list(self.box)}


class _Named(msgspec.Struct):
    bbox_2d: list[float]
    label: str | None = None
    text_content: str | None = None
    image: int | None = None


def find_boxes(answer: str, views: Sequence[View], *, absolute: bool) -> Sequence[Box]:
    """The boxes in an answer, in its order. `absolute`: JSON measures in pixels that the model saw.

    `answer` has its marks in. What is no box, or has no area on its picture, is left out.
    """
    if not views:
        return ()
    found: list[tuple[int, Box]] = []
    for at, label, picture, corners, relative in _written(answer, absolute=absolute):
        place = picture - 1 if picture is not None and 1 <= picture <= len(views) else len(views) - 1
        box = _pixels(corners, views[place], relative=relative)
        if box is not None:
            found.append((at, Box(place, label, box)))
    return [box for _, box in sorted(found, key=lambda each: each[0])[:BOXES]]


def _written(answer: str, *, absolute: bool) -> Iterator[tuple[int, str, int | None, Sequence[float], bool]]:
    """(where, label, picture, corners, whether in thousandths) of all that look like boxes."""
    for match in _MARKED.finditer(answer):
        corners = [float(number) for number in match.groups()[1:]]
        yield match.start(), (match["label"] or "").strip(), None, corners, True
    for match in _OBJECT.finditer(answer):
        try:
            named = msgspec.json.decode(match[0], type=_Named)
        except UNREADABLE:
            continue
        if len(named.bbox_2d) == 4:
            label = named.label or named.text_content or ""
            yield match.start(), label, named.image, named.bbox_2d, not absolute


def _pixels(corners: Sequence[float], view: View, *, relative: bool) -> tuple[int, int, int, int] | None:
    width, height = view.sent
    across, down = (1000, 1000) if relative else view.seen
    x = sorted(min(max(corner * width / across, 0), width) for corner in (corners[0], corners[2]))
    y = sorted(min(max(corner * height / down, 0), height) for corner in (corners[1], corners[3]))
    left, top, right, bottom = round(x[0]), round(y[0]), round(x[1]), round(y[1])
    return (left, top, right, bottom) if left < right and top < bottom else None


def annotate(picture: Image.Image, boxes: Sequence[Box]) -> str:
    """The picture with its boxes and their labels drawn on it: a PNG in base64."""
    drawn = picture.copy()
    pen = ImageDraw.Draw(drawn)
    stroke = max(2, round(max(drawn.size) / 400))
    font = ImageFont.load_default(max(12, round(max(drawn.size) / 50)))
    for number, box in enumerate(boxes):
        colour = _COLOURS[number % len(_COLOURS)]
        left, top, right, bottom = box.box
        pen.rectangle((left, top, right - 1, bottom - 1), outline=colour, width=stroke)
        if box.label:
            _label(pen, box.label[:60], (left, top), colour, font)
    out = io.BytesIO()
    drawn.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def _label(pen: ImageDraw.ImageDraw, label: str, corner: tuple[int, int], colour: str, font: Any) -> None:
    """Above the box where there is room, else inside it."""
    height = pen.textbbox((0, 0), "Ag", font=font)[3] + 2
    top = corner[1] - height if corner[1] >= height else corner[1]
    line = " ".join(label.split())
    pen.rectangle((corner[0], top, corner[0] + pen.textlength(line, font=font) + 4, top + height), fill=colour)
    pen.text((corner[0] + 2, top), line, fill="white", font=font)
