"""Variations of a scene: the same things in the same relations, otherwise sized, placed, turned and grounded."""

from __future__ import annotations

import random
from dataclasses import replace

from sampan.engines.sketcher.composer import Composer
from sampan.engines.sketcher.layout import Frame, stands, turns
from sampan.engines.sketcher.moves import bounds
from sampan.engines.sketcher.scene import Item, Scene

_LEAST = 0.8  # of the size that would fill the picture as far as it was filled before
_MARGIN = 0.03  # of the picture's sides
_BOTTOM = 0.97


def vary(scene: Scene, size: tuple[int, int] | None, seed: int, composer: Composer) -> Scene:
    """Another picture of the same scene, at another size where one is given; the same seed gives the same one.

    All items are scaled and moved together, so that counts, order and contact stay what they were.
    """
    chance = random.Random(seed)
    width, height = size or (scene.width, scene.height)
    items = scene.items
    if items:
        items = _placed(scene, Frame(0, 0, width, height), chance)
        items = tuple(replace(item, flip=chance.random() < 0.5) if turns(item.art) else item for item in items)
    tint = composer.tint(items, seed) if scene.tint else 0
    return replace(scene, width=width, height=height, items=items, tint=tint, seed=seed)


def _placed(scene: Scene, frame: Frame, chance: random.Random) -> tuple[Item, ...]:
    """The items somewhat smaller and elsewhere; what stands on a ground keeps standing at its height."""
    box = bounds(scene.items)
    ratio = min(frame.w / scene.width, frame.h / scene.height)
    scale = ratio * chance.uniform(_LEAST, 0.98)
    left = frame.x + _spot(frame.w, box.w * scale, chance.random())
    if stands(scene.backdrop):
        top = min(_BOTTOM, (box.y + box.h) / scene.height) * frame.h - box.h * scale
    else:
        top = _spot(frame.h, box.h * scale, chance.random())
    return tuple(
        replace(
            item,
            x=left + (item.x - box.x) * scale,
            y=frame.y + top + (item.y - box.y) * scale,
            w=item.w * scale,
            h=item.h * scale,
        )
        for item in scene.items
    )


def _spot(whole: float, part: float, share: float) -> float:
    """Where a part begins that leaves a margin on both sides; in the middle where it is too large for that."""
    room = whole * (1 - 2 * _MARGIN) - part
    return whole * _MARGIN + room * share if room > 0 else (whole - part) / 2


def told(scene: Scene) -> str:
    """What was done, in the language that the scene's things were named in."""
    if any(sign >= "\u2e80" for item in scene.items for sign in item.word):
        return "由降级绘图器重新绘制:同样的物体,大小、位置和朝向不同。"
    return "Drawn again by the degraded sketcher: the same things, otherwise sized, placed and turned."
