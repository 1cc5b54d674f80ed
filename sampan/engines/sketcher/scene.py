"""A picture before it is drawn, as frozen values, and its form as JSON: it travels in the picture's metadata."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sampan.engines.sketcher.lexicon import PAINTS

SIDE_MOST = 8192
ITEMS_MOST = 400
TEXT_MOST = 200


@dataclass(frozen=True, slots=True)
class Item:
    """One drawing in the picture: the box of its ink in pixels, above those of lower `z`. `colour` is a paint or
    empty."""

    art: str
    word: str
    x: float
    y: float
    w: float
    h: float
    z: int = 0
    colour: str = ""
    flip: bool = False
    text: str = ""

    @property
    def middle(self) -> tuple[float, float]:
        return self.x + self.w / 2, self.y + self.h / 2

    def moved(self, dx: float, dy: float) -> Item:
        return replace(self, x=self.x + dx, y=self.y + dy)

    def scaled(self, factor: float) -> Item:
        """The same item about its middle, `factor` times as large."""
        x, y = self.middle
        w, h = self.w * factor, self.h * factor
        return replace(self, x=x - w / 2, y=y - h / 2, w=w, h=h)

    def touches(self, x: float, y: float, w: float, h: float) -> bool:
        return self.x < x + w and x < self.x + self.w and self.y < y + h and y < self.y + self.h


@dataclass(frozen=True, slots=True)
class Scene:
    """A whole picture. `colour` is the backdrop's paint, `tint` which of the calm plain grounds it has without one."""

    width: int
    height: int
    items: tuple[Item, ...] = ()
    backdrop: str = ""
    colour: str = ""
    tint: int = 0
    styles: tuple[str, ...] = ()
    transparent: bool = False
    seed: int = 0


def pack(scene: Scene) -> dict[str, Any]:
    """The scene as plain JSON values."""
    return {
        "sampan": 1,
        "size": [scene.width, scene.height],
        "backdrop": scene.backdrop,
        "colour": scene.colour,
        "tint": scene.tint,
        "styles": list(scene.styles),
        "transparent": scene.transparent,
        "seed": scene.seed,
        "items": [
            {
                "art": i.art,
                "word": i.word,
                "box": [round(v, 2) for v in (i.x, i.y, i.w, i.h)],
                "z": i.z,
                "colour": i.colour,
                "flip": i.flip,
                "text": i.text,
            }
            for i in scene.items
        ],
    }


def unpack(value: Any, artwork: Collection[str], backdrops: Collection[str], styles: Collection[str]) -> Scene | None:
    """The scene of untrusted JSON values, or None where anything about it is not as we write it."""
    try:
        if not isinstance(value, Mapping) or value["sampan"] != 1:
            return None
        width, height = (int(side) for side in value["size"])
        scene = Scene(
            width,
            height,
            tuple(_item(entry, artwork) for entry in value["items"]),
            str(value["backdrop"]),
            str(value["colour"]),
            int(value["tint"]),
            tuple(str(style) for style in value["styles"]),
            value["transparent"] is True,
            int(value["seed"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    known = (
        0 < width <= SIDE_MOST
        and 0 < height <= SIDE_MOST
        and len(scene.items) <= ITEMS_MOST
        and scene.backdrop in {"", *backdrops}
        and scene.colour in {"", *PAINTS}
        and set(scene.styles) <= set(styles)
        and len(scene.styles) <= 4
    )
    return scene if known else None


def _item(entry: Any, artwork: Collection[str]) -> Item:
    x, y, w, h = (float(value) for value in entry["box"])
    item = Item(
        str(entry["art"]),
        str(entry["word"])[:TEXT_MOST],
        x,
        y,
        w,
        h,
        int(entry["z"]),
        str(entry["colour"]),
        entry["flip"] is True,
        str(entry["text"])[:TEXT_MOST],
    )
    sound = all(math.isfinite(value) and abs(value) <= 4 * SIDE_MOST for value in (x, y, w, h)) and w >= 1 and h >= 1
    if not sound or max(w, h) > SIDE_MOST or (item.art != "text" and item.art not in artwork):
        raise ValueError("not an item")
    if item.colour and item.colour not in PAINTS:
        raise ValueError("not a paint")
    return item
