"""Edits of a picture: inside a mask, by an instruction on the scene it carries, or by drawing on top of a foreign
one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from sampan.engines.sketcher import caption, instructions, moves, repaint, styles
from sampan.engines.sketcher.composer import Composer
from sampan.engines.sketcher.instructions import Step
from sampan.engines.sketcher.layout import Frame
from sampan.engines.sketcher.prompt import understand
from sampan.engines.sketcher.render import Renderer
from sampan.engines.sketcher.request import Place, Thing, Wish
from sampan.engines.sketcher.scene import Item, Scene
from sampan.engines.sketcher.tokens import Reader
from sampan.errors import InvalidRequest

_ALL = re.compile(r"\b(?:all|every|everything|both|each)\b|所有|全部|一切|每")


@dataclass(frozen=True, slots=True)
class Source:
    """The picture to edit, and its scene where we drew it."""

    image: Image.Image
    scene: Scene | None


@dataclass(frozen=True, slots=True)
class Change:
    """What is asked of it. `size` None keeps the picture's own; `wish` is the whole prompt, understood as a picture."""

    prompt: str
    wish: Wish
    size: tuple[int, int] | None
    background: str


@dataclass(frozen=True, slots=True)
class Made:
    """An edited picture, its scene where it still has one, and what was done, told in the prompt's language."""

    image: Image.Image
    scene: Scene | None
    told: str


@dataclass(slots=True)
class _Work:
    """A scene on its way through the steps of one prompt."""

    scene: Scene
    chinese: bool
    seed: int
    done: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def tell(self, english: str, chinese: str) -> None:
        self.done.append(chinese if self.chinese else english)


class Editor:
    """Applies changes to pictures; keeps nothing of a call."""

    def __init__(self, reader: Reader, composer: Composer, renderer: Renderer) -> None:
        self._reader = reader
        self._composer = composer
        self._renderer = renderer

    def apply(self, source: Source, mask: Image.Image | None, change: Change, seed: int) -> Made:
        """The edited picture. Raises InvalidRequest naming mask or prompt."""
        if mask is not None:
            return self._within(source, mask, change, seed)
        steps = list(instructions.steps(self._reader.fold(change.prompt)))
        wants_room = change.size is not None and change.size != source.image.size
        if wants_room and change.size is not None:
            return self._extended(source, steps, change, change.size, seed)
        if source.scene is None:
            return self._foreign(source, steps, change, seed)
        work = self._worked(source.scene, steps, change, seed)
        scene = replace(work.scene, transparent=_is_clear(work.scene.transparent, change.background))
        return Made(self._renderer.draw(scene), scene, _told(work))

    # -- on the scene

    def _worked(self, scene: Scene, steps: Sequence[Step], change: Change, seed: int) -> _Work:
        work = _Work(scene, change.wish.chinese, seed)
        for step in steps:
            getattr(self, "_" + step.deed)(work, step)
        if not work.done:
            raise InvalidRequest(_not_done(work), param="prompt")
        items = work.scene.items
        work.scene = replace(work.scene, tint=self._composer.tint(items, scene.seed) if items else scene.tint)
        return work

    def _read(self, text: str) -> Wish:
        return understand(self._reader.read(text))

    def _meant(self, work: _Work, step: Step) -> list[Item]:
        """The items that a step's target names, by drawing and, where said, by colour, side and number."""
        if re.fullmatch(
            r"(?:the\s+)?(?:everything|all|all of (?:it|them)|所有(?:的)?(?:东西)?|全部|一切)", step.target
        ):
            return list(work.scene.items)
        wish = self._read(step.target)
        found: list[Item] = []
        for thing in wish.things:
            same = [
                item for item in work.scene.items if item.art == thing.art or (thing.text and item.text == thing.text)
            ]
            if thing.colours:
                same = [item for item in same if item.colour in thing.colours] or [
                    item for item in same if not item.colour
                ]
            if thing.places:
                same = _by_side(same, thing.places[0])[: thing.count]
            if step.some and not _ALL.search(step.target):
                same = same[: thing.count]
            found += [item for item in same if item not in found]
        if not found and re.search(r"\b(?:text|words?|title|caption|letters)\b|文字|字|标题", step.target):
            found = [item for item in work.scene.items if item.art == "text"]
        if not found:
            work.unknown.append(step.target)
        return found

    def _add(self, work: _Work, step: Step) -> None:
        wish = self._read(step.into or step.target)
        anchors = {
            index: _known(work.scene, thing)
            for relation in wish.relations
            for index in relation.objects
            if (thing := wish.things[index]) and not thing.text
        }
        news = [index for index in range(len(wish.things)) if anchors.get(index) is None]
        related = {r.subject: r for r in wish.relations if r.subject in news and anchors.get(r.objects[0]) is not None}
        for index, relation in related.items():
            anchor = anchors[relation.objects[0]]
            if anchor is not None:
                current = next(
                    (
                        i
                        for i in work.scene.items
                        if (i.art, i.word, i.colour) == (anchor.art, anchor.word, anchor.colour)
                    ),
                    anchor,
                )
                fresh = self._newcomers(_only(wish, [index]), work.seed)
                work.scene = moves.relative(work.scene, relation.kind, current, fresh)
        rest = [index for index in news if index not in related]
        groups: dict[Place | None, list[int]] = {}
        for index in rest:
            places = wish.things[index].places
            spot = places[0] if len(places) == 1 else (None, 2) if wish.things[index].art == "text" else None
            groups.setdefault(spot, []).append(index)
        for place, indices in groups.items():
            work.scene = moves.settle(work.scene, place, self._newcomers(_only(wish, indices), work.seed))
        for index in news:
            thing = wish.things[index]
            work.tell(
                f"added {thing.count} {' '.join((*thing.colours, thing.word))}", f"添加了{thing.count}个{thing.word}"
            )
        self._scenery(work, wish)
        work.unknown += [word for word in wish.unknown if word not in ("add", "more", "another", "再")]

    def _fresh(self, wish: Wish, frame: Frame, seed: int) -> tuple[Item, ...]:
        return self._composer.arrange(wish, frame, seed)

    def _newcomers(self, wish: Wish, seed: int) -> moves.Newcomers:
        return lambda frame: self._fresh(wish, frame, seed)

    def _scenery(self, work: _Work, wish: Wish) -> None:
        if wish.backdrop or wish.backdrop_colour:
            work.scene = replace(work.scene, backdrop=wish.backdrop, colour=wish.backdrop_colour)
            work.tell("changed the background", "更换了背景")
        if wish.styles:
            work.scene = replace(work.scene, styles=tuple(dict.fromkeys(wish.styles))[:2])
            work.tell("changed the style", "更换了风格")

    def _remove(self, work: _Work, step: Step) -> None:
        if re.search(r"background|backdrop|背景", step.target):
            work.scene = replace(work.scene, backdrop="", colour="")
            work.tell("removed the background", "去掉了背景")
            return
        gone = self._meant(work, step)
        if gone:
            work.scene = replace(work.scene, items=tuple(item for item in work.scene.items if item not in gone))
            work.tell(f"removed {len(gone)} item(s)", f"去掉了{len(gone)}个物体")
            work.unknown = [word for word in work.unknown if word != step.target]
            return
        wish = self._read(step.target)
        if wish.backdrop and wish.backdrop == work.scene.backdrop:
            work.scene = replace(work.scene, backdrop="")
            work.tell("removed the background", "去掉了背景")
        elif wish.styles:
            work.scene = replace(work.scene, styles=())
            work.tell("removed the style", "去掉了风格")

    def _change(self, work: _Work, step: Step) -> None:
        """Recolours, replaces, or changes the whole picture, by what the target is to become."""
        into = self._read(step.into)
        if re.search(r"background|backdrop|背景", step.target) or (into.backdrop and not into.things):
            self._ground(work, step)
            return
        colour = _colour_alone(into)
        if not colour and into.styles and not into.things:
            self._scenery(work, into)
            return
        chosen = self._meant(work, step)
        if not chosen or not (colour or into.things):
            return
        if colour:
            work.scene = replace(
                work.scene, items=tuple(replace(i, colour=colour) if i in chosen else i for i in work.scene.items)
            )
            work.tell(f"painted {len(chosen)} item(s) {colour}", f"给{len(chosen)}个物体换了颜色")
            return
        thing = into.things[0]
        new = [self._instead(item, thing, work.seed, into) for item in chosen]
        kept = [item for item in work.scene.items if item not in chosen]
        work.scene = replace(work.scene, items=(*kept, *new))
        work.tell(f"replaced {len(chosen)} item(s) with {thing.word}", f"把{len(chosen)}个物体换成了{thing.word}")

    def _instead(self, item: Item, thing: Thing, seed: int, into: Wish) -> Item:
        only = replace(into, things=(replace(thing, count=1, places=()),), relations=())
        new = self._composer.arrange(only, Frame(item.x, item.y, item.w, item.h), seed)
        grown = moves.fit(new, Frame(item.x, item.y, item.w, item.h), 3.0)[0].scaled(1.0 / 0.92)
        return replace(grown, z=item.z)

    def _paint(self, work: _Work, step: Step) -> None:
        """ "make the cat blue", "变成水墨风格", "make it night": what it is decides what to do."""
        wish = self._read(step.into)
        coloured = [thing for thing in wish.things if thing.colours]
        if coloured and all(_known(work.scene, thing, any_colour=True) for thing in coloured):
            for thing in coloured:
                chosen = [item for item in work.scene.items if item.art == thing.art]
                work.scene = replace(
                    work.scene,
                    items=tuple(replace(i, colour=thing.colours[0]) if i in chosen else i for i in work.scene.items),
                )
                work.tell(f"painted the {thing.word} {thing.colours[0]}", f"给{thing.word}换了颜色")
            return
        if wish.backdrop or wish.backdrop_colour or wish.styles:
            self._scenery(work, wish)
        elif wish.things:
            self._add(work, step)
        else:
            work.unknown.append(step.into)

    def _ground(self, work: _Work, step: Step) -> None:
        wish = self._read(f"{step.into} 背景" if work.chinese else f"{step.into} background")
        colour = wish.backdrop_colour
        if wish.backdrop or colour:
            work.scene = replace(
                work.scene, backdrop=wish.backdrop, colour="" if wish.backdrop else colour, seed=work.seed
            )
            work.tell("changed the background", "更换了背景")
        else:
            work.unknown.append(step.into)

    def _move(self, work: _Work, step: Step) -> None:
        chosen = self._meant(work, step)
        if not chosen:
            return
        link = "在" if work.chinese else " "
        wish = self._read(f"{step.target}{link}{step.into}")
        kept = [item for item in work.scene.items if item not in chosen]
        base = replace(work.scene, items=tuple(kept))
        for relation in wish.relations:
            anchor = _known(base, wish.things[relation.objects[0]])
            if anchor is not None:
                work.scene = moves.relative(base, relation.kind, anchor, lambda frame: moves.fit(chosen, frame))
                work.tell("moved it", "移动了位置")
                return
        places = [thing.places[0] for thing in wish.things if thing.places]
        if places:
            place = places[-1]
            work.scene = moves.settle(base, place, lambda frame: moves.fit(chosen, frame))
            work.tell("moved it", "移动了位置")
        else:
            work.unknown.append(step.into)

    def _grow(self, work: _Work, step: Step) -> None:
        self._resized(work, step, True)

    def _shrink(self, work: _Work, step: Step) -> None:
        self._resized(work, step, False)

    def _resized(self, work: _Work, step: Step, bigger: bool) -> None:
        chosen = self._meant(work, step)
        if chosen:
            work.scene = moves.resize(work.scene, chosen, bigger)
            work.tell("made it bigger" if bigger else "made it smaller", "放大了" if bigger else "缩小了")

    def _extend(self, work: _Work, step: Step) -> None:
        work.tell("extended the picture", "扩展了画面")

    # -- in a mask

    def _within(self, source: Source, mask: Image.Image, change: Change, seed: int) -> Made:
        hole = _hole(mask, source.image.size)
        steps = list(instructions.steps(self._reader.fold(change.prompt)))
        wish = self._content(steps, change.wish)
        clears = any(step.deed == "remove" for step in steps) or re.search(
            r"\b(?:empty|blank|fill)\b|空白|填充|填补|抹平", change.prompt.lower()
        )
        if not wish.understood and not clears:
            raise InvalidRequest(caption.not_understood(change.wish), param="prompt")
        x, y, w, h = repaint.frame_in(hole)
        image = source.image
        known = source.scene
        filled = self._refilled(image, known, hole)
        if clears and any(step.deed == "remove" for step in steps):
            wish = replace(wish, things=(), relations=())
        scene = Scene(
            image.width,
            image.height,
            (),
            wish.backdrop,
            wish.backdrop_colour,
            0,
            known.styles if known else wish.styles,
            False,
            seed,
        )
        if wish.backdrop or wish.backdrop_colour:
            ground = self._renderer.ground(replace(scene, width=w, height=h)).convert(filled.mode)
            rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
            box = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
            filled.paste(ground.resize((box[2] - box[0], box[3] - box[1])), box[:2])
        items = self._fresh(wish, Frame(x, y, w, h), seed)
        drawn = self._renderer.compose(filled.convert("RGBA"), replace(scene, items=items)).convert(image.mode)
        for style in scene.styles:
            drawn = styles.apply(drawn, style, seed) if known is None or items else drawn
        result = Image.composite(drawn, image, Image.fromarray(hole.astype(np.uint8) * 255, "L"))
        kept = None
        if known is not None:
            outside = [item for item in known.items if not _covers(hole, item)]
            kept = replace(known, items=(*outside, *items))
        told = caption.describe(
            wish,
            self._composer.vocabulary,
            ("只改了蒙版之内" if wish.chinese else "Only what is inside the mask was changed",),
        )
        return Made(result, kept, told)

    def _content(self, steps: Sequence[Step], whole: Wish) -> Wish:
        """What to draw in a mask: the prompt without its verb."""
        adds = [step for step in steps if step.deed in ("add", "change", "paint", "ground") and step.into]
        return self._read(adds[0].into) if len(adds) == 1 and len(steps) == 1 else whole

    def _refilled(self, image: Image.Image, known: Scene | None, hole: repaint.Mask) -> Image.Image:
        """The picture with the hole emptied: our own ground where we know it, else continued from around."""
        if known is None or known.styles:
            return repaint.fill(image, hole)
        ground = self._renderer.ground(known).convert(image.mode)
        return Image.composite(ground, image, Image.fromarray(hole.astype(np.uint8) * 255, "L"))

    # -- a larger canvas

    def _extended(
        self, source: Source, steps: Sequence[Step], change: Change, size: tuple[int, int], seed: int
    ) -> Made:
        width, height = size
        scale = min(1.0, width / source.image.width, height / source.image.height)
        image, scene = source.image, source.scene
        inner = [step for step in steps if step.deed not in ("add", "extend")]
        told: list[str] = []
        unknown: list[str] = []
        if scene is not None and inner:
            work = self._worked(scene, inner, change, seed)
            scene, image = work.scene, self._renderer.draw(work.scene)
            told, unknown = work.done, work.unknown
        if scale < 1.0:
            image = image.resize(
                (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.LANCZOS
            )
        x, y = _offset(change.prompt, width - image.width, height - image.height)
        canvas = repaint.extend(image, width, height, x, y)
        if scene is not None:
            scene = moves.transform(scene, scale, x, y, width, height)
        told.append("扩展了画面" if change.wish.chinese else "extended the canvas, the picture kept as it was")
        for step in steps:
            if step.deed == "add":
                wish = self._read(step.into)
                if wish.things:
                    canvas, scene = self._drawn_beside(
                        canvas, scene, wish, Frame(x, y, image.width, image.height), seed
                    )
                    told += [("添加了" if wish.chinese else "added ") + thing.word for thing in wish.things]
                unknown += wish.unknown
        return Made(
            canvas,
            scene,
            _sentence(
                told, unknown if any(s.deed == "add" for s in steps) and len(told) < 2 else [], change.wish.chinese
            ),
        )

    def _drawn_beside(
        self, canvas: Image.Image, scene: Scene | None, wish: Wish, kept: Frame, seed: int
    ) -> tuple[Image.Image, Scene | None]:
        """New things on the new part of a canvas: on the side that was asked for, else on the largest."""
        strips = {
            (0, None): Frame(0, 0, kept.x, canvas.height),
            (2, None): Frame(kept.x + kept.w, 0, canvas.width - kept.x - kept.w, canvas.height),
            (None, 0): Frame(0, 0, canvas.width, kept.y),
            (None, 2): Frame(0, kept.y + kept.h, canvas.width, canvas.height - kept.y - kept.h),
        }
        asked = next((place for thing in wish.things for place in thing.places if place in strips), None)
        free = {place: strip for place, strip in strips.items() if min(strip.w, strip.h) >= 48}
        if not free:
            return canvas, scene
        strip = free.get(asked) if asked in free else None
        strip = strip or max(free.values(), key=lambda f: min(f.w, f.h))
        plain = replace(wish, things=tuple(replace(thing, places=()) for thing in wish.things))
        items = self._fresh(plain, strip, seed)
        base = scene or Scene(canvas.width, canvas.height, seed=seed)
        drawn = self._renderer.compose(canvas.convert("RGBA"), replace(base, items=items)).convert(canvas.mode)
        return drawn, None if scene is None else replace(scene, items=(*scene.items, *items))

    # -- a picture that we did not draw

    def _foreign(self, source: Source, steps: Sequence[Step], change: Change, seed: int) -> Made:
        wish = change.wish
        if any(step.deed not in ("add", "paint") for step in steps) or not steps:
            raise InvalidRequest(_foreign_refusal(wish.chinese), param="prompt")
        image = source.image.copy()
        base = Scene(image.width, image.height, seed=seed)
        work = _Work(base, wish.chinese, seed)
        for step in steps:
            asked = self._read(step.into)
            if step.deed == "paint" and not asked.styles:
                raise InvalidRequest(_foreign_refusal(wish.chinese), param="prompt")
            if asked.things and asked.relations:
                asked = replace(asked, relations=())
            if asked.things:
                place = next((p for thing in asked.things for p in thing.places), None)
                frame = (
                    moves.half(base, place)[0]
                    if place and place != (1, 1)
                    else Frame(image.width * 0.25, image.height * 0.42, image.width * 0.5, image.height * 0.55)
                )
                plain = replace(asked, things=tuple(replace(thing, places=()) for thing in asked.things), backdrop="")
                items = self._fresh(plain, frame, seed)
                image = self._renderer.compose(image.convert("RGBA"), replace(base, items=items)).convert(
                    source.image.mode
                )
                for thing in asked.things:
                    work.tell(f"added {thing.count} {thing.word}", f"添加了{thing.count}个{thing.word}")
            for style in asked.styles:
                image = styles.apply(image, style, seed)
                work.tell("changed the style", "更换了风格")
            work.unknown += asked.unknown
        if not work.done:
            raise InvalidRequest(_not_done(work), param="prompt")
        return Made(image, None, _told(work))


def _hole(mask: Image.Image, size: tuple[int, int]) -> repaint.Mask:
    if mask.size != size:
        raise InvalidRequest(
            f"mask: it is {mask.width}x{mask.height}, the picture is {size[0]}x{size[1]}.", param="mask"
        )
    if mask.mode != "RGBA":
        raise InvalidRequest("mask: it needs an alpha channel; where alpha is 0 the picture is edited.", param="mask")
    hole: repaint.Mask = np.asarray(mask.getchannel("A")) == 0
    if not hole.any():
        raise InvalidRequest("mask: nothing in it is transparent, so there is nothing to edit.", param="mask")
    return hole


def _covers(hole: repaint.Mask, item: Item) -> bool:
    x, y = (int(value) for value in item.middle)
    inside = 0 <= y < hole.shape[0] and 0 <= x < hole.shape[1]
    return bool(inside and hole[y, x])


def _is_clear(before: bool, asked: str) -> bool:
    return before if asked == "auto" else asked == "transparent"


def _offset(prompt: str, free_x: int, free_y: int) -> tuple[int, int]:
    """Where the old picture stands on the larger canvas: in the middle, or away from the side that was named."""
    low = prompt.lower()
    extends = re.search(r"extend|expand|outpaint|widen|uncrop|扩展|延伸|扩大|外扩|扩图|拓展|延展|擴展|擴大", low)
    x, y = free_x // 2, free_y // 2
    if extends:
        x = (
            0
            if re.search(r"to the right|rightward|向右|右侧|右边", low)
            else free_x
            if re.search(r"to the left|leftward|向左|左侧|左边", low)
            else x
        )
        y = (
            0
            if re.search(r"downward|to the bottom|below|向下|下方", low)
            else free_y
            if re.search(r"upward|to the top|above|向上|上方", low)
            else y
        )
    return x, y


def _by_side(items: Sequence[Item], place: Place) -> list[Item]:
    x, y = place
    return sorted(
        items,
        key=lambda i: (
            i.middle[0] if x == 0 else -i.middle[0] if x == 2 else 0,
            i.middle[1] if y == 0 else -i.middle[1] if y == 2 else 0,
        ),
    )


def _known(scene: Scene, thing: Thing, any_colour: bool = False) -> Item | None:
    """The item of a scene that a thing most likely means, or None."""
    same = [item for item in scene.items if item.art == thing.art]
    exact = [item for item in same if item.colour and item.colour in thing.colours]
    if exact or not same:
        return exact[0] if exact else None
    return same[0] if any_colour or not thing.colours or not same[0].colour else None


def _only(wish: Wish, indices: Sequence[int]) -> Wish:
    things = tuple(replace(wish.things[index], places=()) for index in indices)
    numbers = {old: new for new, old in enumerate(indices)}
    relations = tuple(
        replace(r, subject=numbers[r.subject], objects=tuple(numbers[o] for o in r.objects))
        for r in wish.relations
        if r.subject in numbers and all(o in numbers for o in r.objects)
    )
    return replace(wish, things=things, relations=relations, backdrop="")


def _colour_alone(wish: Wish) -> str:
    return wish.loose_colour if not wish.things else ""


def _told(work: _Work) -> str:
    return _sentence(work.done, work.unknown, work.chinese)


def _sentence(done: Sequence[str], unknown: Sequence[str], chinese: bool) -> str:
    if chinese:
        return "由降级绘图器修改:" + ";".join(done) + ("。未能理解:" + "、".join(unknown) if unknown else "") + "。"
    return (
        "Edited by the degraded sketcher: "
        + "; ".join(done)
        + (". Not understood: " + ", ".join(unknown) if unknown else "")
        + "."
    )


def _not_done(work: _Work) -> str:
    there = (
        "、".join(dict.fromkeys(item.word for item in work.scene.items))
        if work.chinese
        else ", ".join(dict.fromkeys(item.word for item in work.scene.items))
    )
    if work.chinese:
        return f"没有可以执行的修改。画面中有:{there or '无'}。例如:把猫变成蓝色;在右边加一只狗;去掉树。"
    return (
        f"Nothing in this instruction could be done. The picture has: {there or 'nothing'}. For example: "
        f"make the cat blue; add a dog on the right; remove the tree."
    )


def _foreign_refusal(chinese: bool) -> str:
    if chinese:
        return (
            "降级绘图器只能修改自己画的图片。对其他图片,请提供蒙版(alpha 为 0 "
            "处会被重画),或只要求添加物体,例如:在右边加一只红色的猫。"
        )
    return (
        "The degraded sketcher can only change what it drew itself. For another picture send a mask (alpha 0 "
        "is redrawn), "
        "or ask it to add something, for example: add a red cat on the right."
    )
