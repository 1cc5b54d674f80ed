"""From a scene to pixels: each drawing is rendered by resvg at its own size, painted, and laid over the backdrop."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
import resvg_py
from PIL import Image, ImageFilter

from sampan.engines.sketcher import backdrop, natural, recolour, styles
from sampan.engines.sketcher.lexicon import PAINTS
from sampan.engines.sketcher.scene import Item, Scene
from sampan.engines.sketcher.typeface import Typeface
from sampan.engines.sketcher.vocabulary import Artwork

Rgb = tuple[int, int, int]


class Renderer:
    """Draws scenes. Holds only what never changes, so that threads may share it."""

    def __init__(self, artwork: Mapping[str, Artwork], typeface: Typeface) -> None:
        self._artwork = artwork
        self._typeface = typeface

    def draw(self, scene: Scene, stopped: Callable[[], bool] = lambda: False) -> Image.Image:
        """The picture of a scene: RGBA where it is transparent, else RGB."""
        image = self.ground(scene).convert("RGBA")
        image = self.compose(image, scene, stopped)
        if not scene.transparent:
            image = image.convert("RGB")
        for style in scene.styles:
            image = styles.apply(image, style, scene.seed)
        return image

    def ground(self, scene: Scene) -> Image.Image:
        """The backdrop alone."""
        size = (scene.width, scene.height)
        if scene.transparent:
            return Image.new("RGBA", size, (0, 0, 0, 0))
        if scene.backdrop:
            return _rendered(backdrop.draw(scene.backdrop, scene.width, scene.height, scene.seed))
        return Image.new("RGB", size, plain(scene))

    def compose(self, image: Image.Image, scene: Scene, stopped: Callable[[], bool] = lambda: False) -> Image.Image:
        """Lays the scene's items over an RGBA picture, in place."""
        dark = scene.backdrop in backdrop.DARK or scene.colour in (
            "black",
            "dark blue",
            "dark purple",
            "dark gray",
            "dark green",
            "dark red",
            "dark brown",
        )
        ground = None if scene.backdrop or scene.transparent else plain(scene)
        made: dict[tuple[str, int, int, str, bool, str], Image.Image] = {}
        for item in sorted(scene.items, key=lambda item: item.z):
            if stopped():
                break
            key = (item.art, round(item.w), round(item.h), item.colour, item.flip, item.text)
            if key not in made:
                made[key] = self._item(item, dark, ground)
            drawing = made[key]
            if "sticker" in scene.styles:
                image.alpha_composite(
                    *_clipped(_rim(drawing), item.x - 0.06 * drawing.width, item.y - 0.06 * drawing.width)
                )
            image.alpha_composite(*_clipped(drawing, item.x, item.y))
        return image

    def _item(self, item: Item, dark: bool, ground: Rgb | None = None) -> Image.Image:
        width, height = max(1, round(item.w)), max(1, round(item.h))
        if item.art == "text":
            ink = PAINTS[item.colour] if item.colour else (245, 245, 248) if dark else (38, 42, 52)
            return self._typeface.draw(item.text, width, height, ink)
        art = self._artwork[item.art]
        left, top, right, bottom = (value * 0.128 for value in art.box)
        drawn = natural.UNDERLAY.get(item.art, "") + art.svg
        body = f'<g transform="matrix(-1 0 0 1 {left + right:.3f} 0)">{drawn}</g>' if item.flip else drawn
        image = _rendered(
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'width="{width}" height="{height}" preserveAspectRatio="none" '
            f'viewBox="{left:.3f} {top:.3f} {right - left:.3f} {bottom - top:.3f}">{body}</svg>'
        )
        pixels = np.asarray(image)
        pixels = recolour.paint(pixels, item.colour) if item.colour else natural.coloured(pixels, item.art)
        image = natural.backed(Image.fromarray(pixels, "RGBA"), item.art)
        if ground is not None:
            image = natural.rimmed(image, ground)
        if item.text:
            words = self._typeface.draw(
                item.text, max(1, round(width * 0.8)), max(1, round(height * 0.42)), (60, 40, 24)
            )
            image.alpha_composite(words, (round(width * 0.1), round(height * 0.085)))
        return image


def _rendered(svg: str) -> Image.Image:
    return Image.open(io.BytesIO(resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True))).convert("RGBA")


def _clipped(drawing: Image.Image, x: float, y: float) -> tuple[Image.Image, tuple[int, int]]:
    """A drawing and where to lay it, without the part that would fall off to the left or above."""
    left, top = round(x), round(y)
    if left < 0 or top < 0:
        drawing = drawing.crop(
            (max(0, -left), max(0, -top), max(drawing.width, -left + 1), max(drawing.height, -top + 1))
        )
    return drawing, (max(0, left), max(0, top))


def _rim(drawing: Image.Image) -> Image.Image:
    """The white rim of a sticker, 6 % wider than the drawing on each side."""
    pad = round(0.06 * drawing.width)
    alpha = Image.new("L", (drawing.width + 2 * pad, drawing.height + 2 * pad), 0)
    alpha.paste(drawing.getchannel("A"), (pad, pad))
    grown = alpha.filter(ImageFilter.GaussianBlur(max(1.0, pad * 0.5))).point(lambda v: min(255, v * 12))
    rim = Image.new("RGBA", alpha.size, (255, 255, 255, 0))
    rim.putalpha(grown)
    return rim


def plain(scene: Scene) -> Rgb:
    """The colour of a ground without a backdrop: softened, and paler still where a thing before it has the same."""
    if not scene.colour:
        return backdrop.TINTS[scene.tint % len(backdrop.TINTS)]
    red, green, blue = PAINTS[scene.colour]
    share = 0.6 if any(item.colour == scene.colour for item in scene.items) else 0.18
    if scene.colour in ("white", "black"):
        share = 0.0
    red, green, blue = (round(value + (255 - value) * share) for value in (red, green, blue))
    return red, green, blue
