"""The sketcher: draws a crisp composition from a prompt in Chinese or English, without a model and without a
download."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from sampan.engines.contract import Order
from sampan.engines.sketcher import backdrop, caption, edits, metadata, scene, styles, variation
from sampan.engines.sketcher.composer import Composer
from sampan.engines.sketcher.prompt import understand
from sampan.engines.sketcher.render import Renderer
from sampan.engines.sketcher.request import Wish
from sampan.engines.sketcher.tokens import Reader
from sampan.engines.sketcher.typeface import Typeface
from sampan.engines.sketcher.vocabulary import load, load_segmenter
from sampan.errors import InvalidRequest

PROMPT_MOST = 32_000
PICTURES_MOST = 10
AREA_MOST = 3840 * 2160
SIDE_LEAST = 64
FORMATS = ("png", "jpeg", "webp")
BACKGROUNDS = ("auto", "transparent", "opaque")
_SEEDS = 2**32


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Picture:
    """One drawn picture. An order with this `seed` and n = 1 gives the same bytes again; `background` is transparent or
    opaque."""

    data: bytes
    revised_prompt: str
    seed: int
    width: int
    height: int
    format: str
    background: str


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a warm sketcher holds; nothing in it changes, so that calls may run side by side."""

    reader: Reader
    composer: Composer
    renderer: Renderer


class Sketcher:
    """Draws and edits pictures. Calls may come from several threads at once; call `warm_up` before the first."""

    def __init__(self) -> None:
        self._parts: _Parts | None = None

    def warm_up(self) -> None:
        """Reads the data (1.5 s of CPU) and draws one real picture."""
        for _ in self.generate(Order("左边一只红猫, a blue car on the right", size="256x256", seed=1)):
            pass

    def generate(self, order: Order, stopped: Callable[[], bool] = _never) -> Iterator[Picture]:
        """Yields `order.n` pictures, each as soon as it is drawn, fewer once `stopped` says so. Raises
        InvalidRequest."""
        check(order)
        parts = self._ready()
        width, height = size_of(order.size) or (1024, 1024)
        wish = self._understand(parts, order.prompt)
        if not wish.understood:
            raise InvalidRequest(caption.not_understood(wish), param="prompt")
        for seed in seeds(order):
            if stopped():
                return
            drawn = parts.composer.compose(wish, width, height, seed, order.background == "transparent")
            image = parts.renderer.draw(drawn, stopped)
            data = metadata.write_picture(image, scene.pack(drawn), order.output_format, order.output_compression)
            told = caption.describe(wish, parts.composer.vocabulary, parts.composer.notes(wish, drawn))
            yield _picture(order, data, told, seed, image.size, drawn.transparent)

    def edit(
        self, order: Order, images: Sequence[bytes], mask: bytes | None, stopped: Callable[[], bool] = _never
    ) -> Iterator[Picture]:
        """Yields `order.n` edited versions of the first image. Raises InvalidRequest naming image, mask, prompt or
        size."""
        check(order)
        if not images:
            raise InvalidRequest("image: a picture to edit is needed.", param="image")
        parts = self._ready()
        source = _opened(parts, images[0])
        cover = None if mask is None else metadata.open_picture(mask, "mask").image
        wish = self._understand(parts, order.prompt)
        editor = edits.Editor(parts.reader, parts.composer, parts.renderer)
        change = edits.Change(order.prompt, wish, size_of(order.size), order.background)
        for seed in seeds(order):
            if stopped():
                return
            made = editor.apply(source, cover, change, seed)
            packed = None if made.scene is None else scene.pack(made.scene)
            data = metadata.write_picture(made.image, packed, order.output_format, order.output_compression)
            yield _picture(order, data, made.told, seed, made.image.size, made.image.mode == "RGBA")

    def vary(self, order: Order, image: bytes, stopped: Callable[[], bool] = _never) -> Iterator[Picture]:
        """Yields `order.n` other pictures of the scene that `image` carries; the order's prompt means nothing here.

        Raises InvalidRequest naming image, also for a picture that carries no scene, or one without a thing or a
        backdrop in it.
        """
        check_form(order)
        parts = self._ready()
        known = _opened(parts, image).scene
        if known is None:
            raise InvalidRequest(caption.NO_SCENE, param="image")
        if not known.items and not known.backdrop:
            raise InvalidRequest("image: nothing is in this picture that could be drawn otherwise.", param="image")
        clear = {"transparent": True, "opaque": False}.get(order.background, known.transparent)
        for seed in seeds(order):
            if stopped():
                return
            drawn = variation.vary(replace(known, transparent=clear), size_of(order.size), seed, parts.composer)
            made = parts.renderer.draw(drawn, stopped)
            data = metadata.write_picture(made, scene.pack(drawn), order.output_format, order.output_compression)
            yield _picture(order, data, variation.told(drawn), seed, made.size, drawn.transparent)

    def _understand(self, parts: _Parts, prompt: str) -> Wish:
        return understand(parts.reader.read(prompt))

    def _ready(self) -> _Parts:
        """The loaded parts. Two threads that come first at once both load, and the last one's stay: no harm in it."""
        parts = self._parts
        if parts is None:
            vocabulary = load()
            typeface = Typeface()
            parts = _Parts(
                Reader(vocabulary, load_segmenter(vocabulary)),
                Composer(vocabulary, typeface),
                Renderer(vocabulary.artwork, typeface),
            )
            self._parts = parts
        return parts


def _opened(parts: _Parts, data: bytes) -> edits.Source:
    """A picture that came in, with its scene where we drew it and nobody has changed its size since."""
    opened = metadata.open_picture(data, "image")
    known = scene.unpack(opened.scene, parts.composer.vocabulary.artwork, backdrop.PAINTERS, styles.STYLES)
    return edits.Source(opened.image, known if known and (known.width, known.height) == opened.image.size else None)


def _picture(order: Order, data: bytes, told: str, seed: int, size: tuple[int, int], clear: bool) -> Picture:
    return Picture(data, told, seed, *size, order.output_format, "transparent" if clear else "opaque")


def seeds(order: Order) -> Iterator[int]:
    """The seed of each picture: the order's own first, then ones derived from it."""
    first = random.SystemRandom().randrange(_SEEDS) if order.seed is None else order.seed
    chance = random.Random(first)
    for number in range(order.n):
        yield first if number == 0 else chance.randrange(_SEEDS)


def size_of(size: str) -> tuple[int, int] | None:
    """(width, height) in pixels, None for `auto`. Raises InvalidRequest naming `size`."""
    if size == "auto":
        return None
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size)
    if match is None:
        raise InvalidRequest(f"size: expected auto or WIDTHxHEIGHT such as 1024x1024, got {size[:20]!r}.", param="size")
    width, height = int(match[1]), int(match[2])
    if min(width, height) < SIDE_LEAST or width % 16 or height % 16:
        raise InvalidRequest("size: both sides must be multiples of 16 and at least 64.", param="size")
    if max(width, height) > 3840 or width * height > AREA_MOST or max(width, height) > 3 * min(width, height):
        raise InvalidRequest("size: at most 3840x2160 in area and 3840 a side, no longer than 3:1.", param="size")
    return width, height


def check(order: Order) -> None:
    """Raises InvalidRequest naming the first field of an order that cannot be used."""
    if not order.prompt.strip():
        raise InvalidRequest("prompt: say what to draw.", param="prompt")
    if len(order.prompt) > PROMPT_MOST:
        raise InvalidRequest(f"prompt: at most {PROMPT_MOST} characters.", param="prompt")
    check_form(order)


def check_form(order: Order) -> None:
    """The same for all but the prompt."""
    if not 1 <= order.n <= PICTURES_MOST:
        raise InvalidRequest(f"n: from 1 to {PICTURES_MOST}.", param="n")
    if order.output_format not in FORMATS:
        raise InvalidRequest("output_format: png, jpeg or webp.", param="output_format")
    if order.background not in BACKGROUNDS:
        raise InvalidRequest("background: transparent, opaque or auto.", param="background")
    if order.background == "transparent" and order.output_format == "jpeg":
        raise InvalidRequest("background: a JPEG cannot be transparent; ask for png or webp.", param="background")
    if order.output_compression is not None and not 0 <= order.output_compression <= 100:
        raise InvalidRequest("output_compression: from 0 to 100.", param="output_compression")
    size_of(order.size)
