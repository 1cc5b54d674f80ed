"""What a drawing gets beyond its artwork: the colour that everybody expects of it, a backing that joins loose parts,
and a rim where it would melt into the ground. Pixels in, pixels out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sampan.engines.sketcher import recolour

Rgb = tuple[int, int, int]
Bool = NDArray[np.bool_]
_WARM = (340.0, 75.0)
_ANY = (0.0, 360.0)

# Drawings whose own colour is not the one that their name calls to mind: the paint, and which hues of the artwork, in
# degrees from and to, take it. Stems, leaves, beaks and whatever else has another hue stay.
NATURAL: dict[str, tuple[str, tuple[float, float]]] = {
    **dict.fromkeys(("banana", "lemon", "crown", "coin", "own-lamp"), ("yellow", (12.0, 75.0))),
    **dict.fromkeys(("red-apple", "hot-pepper", "crab", "tomato", "strawberry"), ("red", (340.0, 55.0))),
    "maple-leaf": ("red", _WARM),
    "watermelon": ("red", (320.0, 20.0)),
    "peach": ("pink", (340.0, 55.0)),
    "pig": ("pink", _WARM),
    "pig-face": ("pink", _WARM),
    **dict.fromkeys(("whale", "spouting-whale", "dolphin", "bird", "t-shirt"), ("blue", (150.0, 260.0))),
    **dict.fromkeys(("bear", "ox", "boar", "horse", "monkey", "deer", "kangaroo", "chipmunk"), ("brown", _WARM)),
    **dict.fromkeys(("dog", "potato", "cookie", "bread", "basket", "chair", "door"), ("brown", _WARM)),
    **dict.fromkeys(("chocolate-bar", "own-box", "package", "own-table", "wood", "coconut"), ("brown", _WARM)),
    **dict.fromkeys(("teddy-bear", "beaver", "otter", "violin", "own-wardrobe", "own-cupboard"), ("brown", _WARM)),
    **dict.fromkeys(("cat", "tiger", "carrot", "tangerine", "fox"), ("orange", (10.0, 62.0))),
    **dict.fromkeys(("snake", "turtle", "t-rex", "frog", "bug", "avocado", "pear", "lime"), ("green", (35.0, 170.0))),
    **dict.fromkeys(("mouse", "seal"), ("gray", _ANY)),
    "rhinoceros": ("gray", (120.0, 250.0)),
    "hippopotamus": ("gray", _WARM),
    "root-vegetable": ("dark red", (300.0, 30.0)),
}
# Drawings in several pieces, and how far apart these are, in 1/160 of the longer side.
JOINED: dict[str, int] = {
    **dict.fromkeys(("bottle-with-popping-cork", "couple-with-heart", "sheaf-of-rice", "small-airplane"), 2),
    **dict.fromkeys(("tanabata-tree", "chopsticks", "ice"), 3),
    **dict.fromkeys(("gloves", "fallen-leaf", "flying-disc", "spouting-whale"), 4),
    **dict.fromkeys(("bacon", "person-swimming"), 5),
    **dict.fromkeys(("socks", "badminton"), 7),
    "tennis": 8,
    "kite": 5,
    **dict.fromkeys(("owl", "guard"), 3),
}
# What is laid under artwork of thin lines, so that wheels are discs.
UNDERLAY = {
    "bicycle": '<path fill="#b4cbe4" d="M100.3 77a22.8 22.8 0 1 0 .1 0zM27.7 77a22.8 22.8 0 1 0 .1 0z"/>',
}
# Drawings that are white all over and need a darker ground to show it.
WHITE = frozenset(
    {"swan", "ewe", "rabbit", "panda", "polar-bear", "own-cloud", "cloud", "skull", "snowman-without-snow", "goose"}
    | {"poodle", "llama", "ghost", "tooth", "baseball", "volleyball", "dove", "santa-claus", "chicken", "cow", "ram"}
    | {"roll-of-paper", "envelope", "bathtub", "toilet", "game-die", "garlic", "own-plate", "unicorn", "newspaper"}
    | {"glass-of-milk", "hatching-chick", "rabbit-face", "spiral-shell", "white-flower", "shark", "clown-face"}
)
_NEAR = 56.0  # of 255: what is closer to the ground than this can hardly be told from it
_FADED = 90.0
_FADED_DARK = 64.0
_MELTS = 0.012  # of a drawing's ink
_TONE = (0.75, 0.79, 0.84)
# What shows through glass: on a ground like kraft paper, and on a light one.
_GLASS = ((236.0, 244.0, 250.0), (176.0, 204.0, 230.0))
_INK = 60  # of 255: less is the soft edge of a line
_SMALL = 160


def coloured(pixels: NDArray[np.uint8], art: str) -> NDArray[np.uint8]:
    """A drawing's RGBA pixels in its natural colour."""
    found = NATURAL.get(art)
    return pixels if found is None else recolour.paint(pixels, found[0], found[1])


def backed(image: Image.Image, art: str) -> Image.Image:
    """A drawing with its pieces joined by a backing of a darker shade of its own colour."""
    reach = JOINED.get(art)
    if reach is None:
        return image
    scale = _SMALL / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    alpha = image.getchannel("A").resize(size).point(lambda v: 255 if v > 90 else 0)
    pad = reach + 2
    wide = Image.new("L", (size[0] + 2 * pad, size[1] + 2 * pad), 0)
    wide.paste(alpha, (pad, pad))
    kernel = 2 * reach + 1
    closed = wide.filter(ImageFilter.MaxFilter(kernel)).filter(ImageFilter.MinFilter(kernel))
    mask = closed.crop((pad, pad, pad + size[0], pad + size[1])).resize(image.size, Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    ink = pixels[pixels[..., 3] > 200][:, :3]
    red, green, blue = (int(value * 0.72) for value in np.median(ink, axis=0)) if ink.size else (120, 120, 124)
    backing = Image.new("RGBA", image.size, (red, green, blue, 255))
    backing.putalpha(mask)
    backing.alpha_composite(image)
    return backing


def rimmed(image: Image.Image, ground: Rgb) -> Image.Image:
    """A drawing of which a part is hardly told from the ground: that part is toned away from it, and a thin inner rim
    in darker shades of its own holds all of it together."""
    pixels = np.asarray(image)
    sample = pixels[::3, ::3]
    ink = sample[..., 3] > _INK
    if not ink.any() or float(((_distance(sample, ground) < _NEAR) & ink).sum()) < _MELTS * float(ink.sum()):
        return image
    light = min(ground) > 225
    seen = pixels[..., 3] > _INK
    cover = np.where(seen, pixels[..., 3], 255).astype(np.float32)[..., None] / 255.0
    solid = pixels[..., :3] * cover + np.array(_GLASS[light], dtype=np.float32) * (1.0 - cover)
    faded = _FADED if light else _FADED_DARK
    near = np.clip((faded - np.abs(solid - np.array(ground, dtype=np.float32)).max(axis=-1)) / 40.0, 0.0, 1.0)
    toned = solid + near[..., None] * (_away(solid, light) - solid)
    width = max(2, round(0.013 * max(image.size)))
    edge = seen & ~_eroded(seen, width)
    toned[edge] = np.minimum(toned[edge] * 0.55, 118.0)
    out = pixels.copy()
    out[..., :3] = np.clip(toned, 0.0, 255.0).astype(np.uint8)
    out[_eroded(seen, 1), 3] = 255
    return Image.fromarray(out, "RGBA")


def _away(rgb: NDArray[np.float32], light: bool) -> NDArray[np.float32]:
    """Colours moved away from the ground. On a light one pale colours are deepened and greys cooled; on one like kraft
    paper colours are darkened and greys lightened."""
    chroma = np.clip((rgb.max(axis=-1) - rgb.min(axis=-1) - 12.0) / 24.0, 0.0, 1.0)[..., None]
    deep = 255.0 - (255.0 - rgb) * 2.2
    cool = rgb * np.array(_TONE, dtype=np.float32)
    if not light:
        bright = rgb.mean(axis=-1, keepdims=True) > 172.0
        deep, cool = rgb * 0.66, np.where(bright, 255.0 - (255.0 - rgb) * 0.4, rgb * 0.8)
    found: NDArray[np.float32] = (chroma * deep + (1.0 - chroma) * cool).astype(np.float32)
    return found


def _distance(pixels: NDArray[np.uint8], ground: Rgb) -> NDArray[np.float32]:
    """The largest difference of any channel from the ground, once laid over it."""
    apart = pixels[..., :3].astype(np.int16) - np.array(ground, dtype=np.int16)
    found: NDArray[np.float32] = np.abs(apart).max(axis=-1) * (pixels[..., 3].astype(np.float32) / 255.0)
    return found


def _eroded(mask: Bool, width: int) -> Bool:
    """A mask less what lies within `width` pixels of its outside, square corners cut."""
    padded = np.pad(mask, width)
    rows, columns = mask.shape
    slant = max(1, round(width * 0.7))
    kept = mask.copy()
    for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        for step in range(1, width + 1, max(1, width // 3)):
            y, x = width + dy * step, width + dx * step
            kept &= padded[y : y + rows, x : x + columns]
        y, x = width + dy * width, width + dx * width
        kept &= padded[y : y + rows, x : x + columns]
    for dy, dx in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        y, x = width + dy * slant, width + dx * slant
        kept &= padded[y : y + rows, x : x + columns]
    return kept
