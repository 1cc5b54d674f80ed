"""From a Wish to a Scene: the layout on a ground that things stand out from."""

from __future__ import annotations

import random
from collections.abc import Sequence

from sampan.engines.sketcher import backdrop, natural
from sampan.engines.sketcher.layout import Frame, arrange
from sampan.engines.sketcher.request import Wish
from sampan.engines.sketcher.scene import Item, Scene
from sampan.engines.sketcher.typeface import Typeface
from sampan.engines.sketcher.vocabulary import Vocabulary

# Styles that draw outlines or tones of their own, so that pale things need no darker ground.
_REPAINTED = frozenset(
    {"ink", "sketch", "line", "retro", "mono", "blueprint", "papercut", "watercolor", "comic", "oil"}
)
_PALE = frozenset({"white"})


class Composer:
    """Composes scenes; shares the vocabulary and the measure of type, and keeps nothing of a call."""

    def __init__(self, vocabulary: Vocabulary, typeface: Typeface) -> None:
        self.vocabulary = vocabulary
        self._typeface = typeface

    def compose(self, wish: Wish, width: int, height: int, seed: int, transparent: bool) -> Scene:
        """The scene of a wish at a size in pixels."""
        items = self.arrange(wish, Frame(0, 0, width, height), seed)
        tint = 0 if _REPAINTED & set(wish.styles) else self.tint(items, seed)
        return Scene(
            width,
            height,
            items,
            "" if transparent else wish.backdrop,
            wish.backdrop_colour,
            tint,
            wish.styles,
            transparent,
            seed,
        )

    def arrange(self, wish: Wish, frame: Frame, seed: int) -> tuple[Item, ...]:
        """The items of a wish within a part of a picture."""
        return arrange(wish, frame, self.vocabulary.artwork, self._typeface.aspect, seed)

    def tint(self, items: Sequence[Item], seed: int) -> int:
        """A nearly white ground, but one like kraft paper where something nearly white stands on it."""
        if any(self._is_pale(item) for item in items):
            return backdrop.LIGHT_THINGS
        return random.Random(seed).choice((0, 2, 3))

    def _is_pale(self, item: Item) -> bool:
        return item.colour in _PALE if item.colour else item.art in natural.WHITE

    def notes(self, wish: Wish, drawn: Scene) -> tuple[str, ...]:
        """What was asked for and understood, but not drawn."""
        found = []
        if drawn.transparent and (wish.backdrop or wish.backdrop_colour):
            found.append(
                "背景透明,因此没有画背景" if wish.chinese else "The background is transparent, so none was drawn"
            )
        return tuple(found)
