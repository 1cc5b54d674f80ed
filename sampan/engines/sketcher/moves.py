"""Changes of a scene, each a pure function from scene to scene. Others give way so that what must stand apart does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median

from sampan.engines.sketcher.layout import Frame
from sampan.engines.sketcher.request import Place
from sampan.engines.sketcher.scene import Item, Scene

Newcomers = Callable[[Frame], Sequence[Item]]


def bounds(items: Sequence[Item]) -> Frame:
    """The box around items."""
    left, top = min(i.x for i in items), min(i.y for i in items)
    return Frame(left, top, max(i.x + i.w for i in items) - left, max(i.y + i.h for i in items) - top)


def fit(items: Sequence[Item], frame: Frame, most: float = 1.0) -> list[Item]:
    """Items scaled together (at most by `most`) into a frame, about its middle."""
    if not items:
        return []
    box = bounds(items)
    scale = min(most, frame.w * 0.92 / box.w, frame.h * 0.92 / box.h)
    x = frame.x + (frame.w - box.w * scale) / 2
    y = frame.y + (frame.h - box.h * scale) / 2
    return [
        replace(i, x=x + (i.x - box.x) * scale, y=y + (i.y - box.y) * scale, w=i.w * scale, h=i.h * scale)
        for i in items
    ]


def half(scene: Scene, place: Place) -> tuple[Frame, Frame]:
    """The part of the picture that a place means, and the part that others may keep."""
    w, h = float(scene.width), float(scene.height)
    x, y = place
    if x in (0, 2) and y in (0, 2):
        side = Frame(0 if x == 0 else w * 0.55, 0 if y == 0 else h * 0.55, w * 0.45, h * 0.45)
        rest = Frame(0, h * 0.45 if y == 0 else 0, w, h * 0.55)
        return side, rest
    if x in (0, 2):
        return Frame(0 if x == 0 else w * 0.6, 0, w * 0.4, h), Frame(w * 0.4 if x == 0 else 0, 0, w * 0.6, h)
    if y in (0, 2):
        return Frame(0, 0 if y == 0 else h * 0.6, w, h * 0.4), Frame(0, h * 0.4 if y == 0 else 0, w, h * 0.6)
    return Frame(w / 3, 0, w / 3, h), Frame(0, 0, w, h)


def settle(scene: Scene, place: Place | None, newcomers: Newcomers) -> Scene:
    """Adds newcomers at a place, or where there is room; the others give way only where they stand there already."""
    if not scene.items:
        frame = Frame(0, 0, scene.width, scene.height) if place is None else half(scene, place)[0]
        return replace(scene, items=tuple(newcomers(frame)))
    if place is None:
        return _beside_all(scene, newcomers)
    if place[0] == 1 and place[1] in (1, None):
        return _into_middle(scene, newcomers)
    frame, rest = half(scene, place)
    kept = list(scene.items)
    if any(item.touches(frame.x, frame.y, frame.w, frame.h) for item in kept):
        kept = fit(kept, rest)
    return join(scene, kept, newcomers(frame))


def join(scene: Scene, kept: Sequence[Item], new: Sequence[Item]) -> Scene:
    """Old and new items together; what is new is no larger than a fifth above the usual size of the old."""
    if new and kept:
        usual = median((item.w * item.h) ** 0.5 for item in kept)
        largest = max((item.w * item.h) ** 0.5 for item in new)
        if largest > 1.2 * usual:
            box = bounds(new)
            new = fit(new, box, max(0.2, 1.2 * usual / largest))
    return replace(scene, items=(*kept, *new))


def _beside_all(scene: Scene, newcomers: Newcomers) -> Scene:
    w, h = float(scene.width), float(scene.height)
    box = bounds(scene.items)
    strips = [
        Frame(box.x + box.w, 0, w - box.x - box.w, h),
        Frame(0, 0, box.x, h),
        Frame(0, 0, w, box.y),
        Frame(0, box.y + box.h, w, h - box.y - box.h),
    ]
    widest = max(strips, key=lambda strip: min(strip.w / w, strip.h / h))
    if min(widest.w / w, widest.h / h) > 0.3:
        return join(scene, scene.items, newcomers(widest))
    if w >= h:
        return join(scene, fit(scene.items, Frame(0, 0, w * 0.56, h)), newcomers(Frame(w * 0.56, 0, w * 0.44, h)))
    return join(scene, fit(scene.items, Frame(0, 0, w, h * 0.56)), newcomers(Frame(0, h * 0.56, w, h * 0.44)))


def _into_middle(scene: Scene, newcomers: Newcomers) -> Scene:
    third = scene.width / 3
    frame = Frame(third, 0, third, scene.height)
    kept = list(scene.items)
    if any(item.touches(frame.x, frame.y, frame.w, frame.h) for item in kept):
        kept.sort(key=lambda item: item.middle[0])
        cut = (len(kept) + 1) // 2
        kept = fit(kept[:cut], Frame(0, 0, third, scene.height)) + fit(
            kept[cut:], Frame(2 * third, 0, third, scene.height)
        )
    return join(scene, kept, newcomers(frame))


def relative(scene: Scene, kind: str, anchor: Item, newcomers: Newcomers) -> Scene:
    """Adds newcomers left, right, above, below, on, before or behind an item that is there already."""
    w, h = float(scene.width), float(scene.height)
    if kind in ("on", "inside", "front", "behind"):
        return _in_contact(scene, kind, anchor, newcomers)
    side = {"beside": "right", "under": "below", "between": "right", "around": "right"}.get(kind, kind)
    for attempt in range(2):
        frame = {
            "left": Frame(0, anchor.y, anchor.x, anchor.h),
            "right": Frame(anchor.x + anchor.w, anchor.y, w - anchor.x - anchor.w, anchor.h),
            "above": Frame(anchor.x, 0, anchor.w, anchor.y),
            "below": Frame(anchor.x, anchor.y + anchor.h, anchor.w, h - anchor.y - anchor.h),
        }[side]
        room = frame.w > 0.2 * w if side in ("left", "right") else frame.h > 0.2 * h
        clear = not any(i.touches(frame.x, frame.y, frame.w, frame.h) for i in scene.items if i != anchor)
        if (room and clear) or attempt:
            break
        rest = {
            "left": Frame(w * 0.42, 0, w * 0.58, h),
            "right": Frame(0, 0, w * 0.58, h),
            "above": Frame(0, h * 0.42, w, h * 0.58),
            "below": Frame(0, 0, w, h * 0.58),
        }[side]
        place = scene.items.index(anchor)
        scene = replace(scene, items=tuple(fit(scene.items, rest)))
        anchor = scene.items[place]
    near = {
        "left": Frame(max(0.0, frame.x + frame.w - 0.5 * w), frame.y, min(frame.w, 0.5 * w), frame.h),
        "right": Frame(frame.x, frame.y, min(frame.w, 0.5 * w), frame.h),
    }.get(side, frame)
    return join(scene, scene.items, newcomers(near))


def _in_contact(scene: Scene, kind: str, anchor: Item, newcomers: Newcomers) -> Scene:
    share = 0.62
    w, h = anchor.w * share, anchor.h * share
    x = anchor.x + (anchor.w - w) / 2
    if kind == "on":
        kept = list(scene.items)
        if anchor.y < h:
            place = kept.index(anchor)
            kept = fit(kept, Frame(0, scene.height * 0.4, scene.width, scene.height * 0.6))
            anchor = kept[place]
            w, h, x = anchor.w * share, anchor.h * share, anchor.x + anchor.w * (1 - share) / 2
        new = [replace(i, z=anchor.z + 1) for i in newcomers(Frame(x, anchor.y - h, w, h))]
        drop = anchor.y + 0.08 * anchor.h - max(i.y + i.h for i in new)
        return replace(scene, items=(*kept, *(i.moved(0, drop) for i in new)))
    y = anchor.y + (anchor.h - h) / 2 if kind == "inside" else anchor.y + anchor.h * 1.05 - h
    frame = Frame(x + anchor.w * 0.2, y, w, h) if kind == "front" else Frame(x, y, w, h)
    if kind == "behind":
        new = [
            replace(i, z=anchor.z - 1)
            for i in newcomers(Frame(anchor.x + anchor.w * 0.35, anchor.y - anchor.h * 0.35, anchor.w, anchor.h))
        ]
    else:
        new = [replace(i, z=anchor.z + 2) for i in newcomers(frame)]
    return replace(scene, items=(*scene.items, *new))


def resize(scene: Scene, chosen: Sequence[Item], bigger: bool) -> Scene:
    """Chosen items grow or shrink about their middle; where a grown one would meet another, the others shrink."""
    if not bigger:
        return replace(scene, items=tuple(i.scaled(0.6) if i in chosen else i for i in scene.items))
    for others in (1.0, 0.85, 0.7, 0.55):
        for factor in (1.6, 1.45, 1.35):
            items = [_inside(i.scaled(factor), scene) if i in chosen else i.scaled(others) for i in scene.items]
            if not _collide(items, [i in chosen for i in scene.items]):
                return replace(scene, items=tuple(items))
    for factor in (1.25, 1.15, 1.05):
        items = [_inside(i.scaled(factor), scene) if i in chosen else i.scaled(0.5) for i in scene.items]
        if not _collide(items, [i in chosen for i in scene.items]):
            break
    return replace(scene, items=tuple(items))


def _inside(item: Item, scene: Scene) -> Item:
    share = min(1.0, scene.width * 0.96 / item.w, scene.height * 0.96 / item.h)
    item = item.scaled(share)
    x = min(max(item.x, scene.width * 0.02), scene.width * 0.98 - item.w)
    y = min(max(item.y, scene.height * 0.02), scene.height * 0.98 - item.h)
    return replace(item, x=x, y=y)


def _collide(items: Sequence[Item], grown: Sequence[bool]) -> bool:
    for number, item in enumerate(items):
        if grown[number] and any(
            item.touches(o.x, o.y, o.w, o.h) for n, o in enumerate(items) if n != number and o.z == item.z
        ):
            return True
    return False


def transform(scene: Scene, scale: float, dx: float, dy: float, width: int, height: int) -> Scene:
    """The scene on another canvas: everything scaled, then shifted."""
    items = tuple(replace(i, x=i.x * scale + dx, y=i.y * scale + dy, w=i.w * scale, h=i.h * scale) for i in scene.items)
    return replace(scene, width=width, height=height, items=items)
