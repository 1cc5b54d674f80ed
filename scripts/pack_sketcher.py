"""Packs what the sketcher draws with: artwork, vocabulary and a typeface, from three pinned npm packages.

    python scripts/pack_sketcher.py [--cache FOLDER]

Needs `npm` on the path and the Python packages resvg_py, pillow, numpy, fonttools and opencc; a machine that only runs
Sampan needs none of them for this, for the result is committed under `sampan/engines/sketcher/data/`. Same packages in,
same bytes out. The integrity strings are npm's own SHA-512 of the archives; a mismatch stops the script.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import lzma
import re
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import opencc
import resvg_py
from fontTools import subset
from fontTools.ttLib import TTFont
from PIL import Image

OUT = Path(__file__).resolve().parent.parent / "sampan" / "engines" / "sketcher" / "data"
LIMIT = 3 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Package:
    """One pinned npm package and the SHA-512 that npm gives for its archive."""

    name: str
    version: str
    integrity: str


NOTO = Package(
    "@iconify-json/noto",
    "1.2.9",
    "sha512-DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw==",
)
CLDR = Package(
    "cldr-annotations-full",
    "48.2.0",
    "sha512-DV7A+rEcgUSNTRsVGNGqBZRmAkGfwhGHO5Q1dRwzBoBnVrHWp804JP7/QJdEc66iHmx3+zLWVIMCFLm0lW7PUQ==",
)
SANS = Package(
    "@expo-google-fonts/noto-sans-sc",
    "0.4.3",
    "sha512-9rAwdFTFHbO/u6Cs0gj2jZbW74TGIiaFNQnXYH2s5wA1bzVkwbaviL4t8YUV642eGYjg86eH6DkAEQmfNHDncQ==",
)

# Drawn by nobody who asks for a picture in words, and a third of the weight: skin tones, couples by gender, keycaps,
# clock faces of every half hour, signs of Japanese shops.
LEFT_OUT = re.compile(
    r"skin-tone|-tone\d|^family-(man|woman|adult)|^(kiss|couple-with-heart)-|^keycap-|-button$|-thirty$|^letter-[a-z]$"
    r"|^japanese-.*-button|-facing-right$|^input-|^index-pointing|^backhand-|^(man|woman)-(kneeling|tipping)"
)


def fetch(package: Package, folder: Path) -> tarfile.TarFile:
    """The package's archive, downloaded by npm where `folder` lacks it, its digest checked. Raises SystemExit."""
    path = folder / f"{package.name.replace('@', '').replace('/', '-')}-{package.version}.tgz"
    if not path.exists():
        subprocess.run(
            ["npm", "pack", f"{package.name}@{package.version}"], cwd=folder, check=True, stdout=subprocess.DEVNULL
        )
    data = path.read_bytes()
    digest = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    if digest != package.integrity:
        raise SystemExit(f"{package.name} {package.version}: got {digest}, pinned {package.integrity}")
    return tarfile.open(fileobj=io.BytesIO(data))


def read(archive: tarfile.TarFile, path: str) -> bytes:
    member = archive.extractfile(f"package/{path}")
    if member is None:
        raise SystemExit(f"package/{path} is missing")
    return member.read()


def annotations(archive: tarfile.TarFile, language: str) -> dict[str, dict[str, list[str]]]:
    """CLDR's {character: {"default": keywords, "tts": [name]}} of one language."""
    body = json.loads(read(archive, f"annotations/{language}/annotations.json"))
    found: dict[str, dict[str, list[str]]] = body["annotations"]["annotations"]
    return found


def look(svg: str) -> dict[str, Any]:
    """What the layout needs to know of a drawing: its ink's box in 1/1000 of the frame, how light it is, its parts."""
    image = Image.open(io.BytesIO(resvg_py.svg_to_bytes(svg_string=svg, width=128, height=128, skip_system_fonts=True)))
    pixels = np.asarray(image.convert("RGBA")).astype(float)
    ink = pixels[..., 3] > 40
    if not ink.any():
        return {}
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    box = [int(v * 1000 / 128) for v in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)]
    colours = pixels[ink][:, :3]
    light = float((colours.min(axis=1) > 205).mean())
    seen = ink & (np.abs(pixels[..., :3] - np.array([250, 250, 247])).max(axis=2) > 24)
    if islands(seen) > islands(ink):
        light = 1.0  # on a nearly white ground it would fall apart
    return {"box": box, "light": round(light, 2)}


def islands(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> int:
    """How many separate parts of some size a mask has: labels spread to neighbours until nothing changes."""
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        wide = np.pad(labels, 1)
        spread = np.max(
            [wide[y : y + labels.shape[0], x : x + labels.shape[1]] for y in range(3) for x in range(3)], axis=0
        )
        spread = np.where(mask, spread, 0)
        if (spread == labels).all():
            break
        labels = spread
    sizes = np.unique(labels[labels > 0], return_counts=True)[1]
    return int((sizes > 0.03 * sizes.max()).sum()) if sizes.size else 0


def words(entry: dict[str, list[str]] | None, fold: opencc.OpenCC | None) -> list[list[str]]:
    """[names, keywords], lower case and, for Chinese, simplified."""
    if entry is None:
        return [[], []]
    parts = [[word.lower() for word in entry.get(kind, [])] for kind in ("tts", "default")]
    if fold is not None:
        parts = [[fold.convert(word) for word in part] for part in parts]
    return parts


def pack_artwork(noto: tarfile.TarFile, cldr: tarfile.TarFile) -> bytes:
    """One compressed JSON object: {id: {"svg": body, "box": …, "light": …, "en": [names, keywords], "zh": …}}."""
    icons = json.loads(read(noto, "icons.json"))["icons"]
    characters: dict[str, str] = json.loads(read(noto, "chars.json"))
    chosen = {name for name in icons if not LEFT_OUT.search(name) and not icons[name].get("hidden")}
    tables = {language: annotations(cldr, language) for language in ("en", "zh", "zh-Hant")}
    fold = opencc.OpenCC("t2s")
    packed: dict[str, dict[str, Any]] = {}
    for code, name in characters.items():
        if name not in chosen or name in packed:
            continue
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128">{icons[name]["body"]}</svg>'
        seen = look(svg)
        if not seen:
            continue
        character = "".join(chr(int(part, 16)) for part in code.split("-"))
        english = words(tables["en"].get(character), None)
        chinese = words(tables["zh"].get(character), fold)
        traditional = words(tables["zh-Hant"].get(character), fold)
        both = [sorted(set(a) | set(b), key=(a + b).index) for a, b in zip(chinese, traditional, strict=True)]
        packed[name] = {"svg": icons[name]["body"], **seen, "en": english, "zh": both}
    for name, drawing in re.findall(r'<g id="([\w-]+)">(.*)</g>', (OUT / "own.svg").read_text()):
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128">{drawing}</svg>'
        packed[name] = {"svg": drawing, **look(svg), "en": [[], []], "zh": [[], []]}
    body = json.dumps(dict(sorted(packed.items())), ensure_ascii=False, separators=(",", ":"))
    return lzma.compress(body.encode(), preset=9 | lzma.PRESET_EXTREME)


def characters_of_type() -> str:
    """GB2312, the first level of Big5, Latin, punctuation and full-width forms."""
    found = {chr(code) for code in (*range(0x20, 0x17F), *range(0x2010, 0x2040), *range(0x3000, 0x3020))}
    found |= {chr(code) for code in (*range(0xFF01, 0xFF5F), 0x20AC, 0xFFE5, 0x2122, 0x00B7)}
    for codec, leads in (("gb2312", range(0xA1, 0xF8)), ("big5", range(0xA4, 0xC7))):
        for lead in leads:
            for trail in range(0x40, 0xFF):
                found |= set(bytes([lead, trail]).decode(codec, errors="ignore"))
    return "".join(sorted(found))


def pack_type(sans: tarfile.TarFile) -> bytes:
    """The bold weight cut down to `characters_of_type`, without hinting and layout tables, compressed."""
    font = TTFont(io.BytesIO(read(sans, "700Bold/NotoSansSC_700Bold.ttf")), recalcTimestamp=False)
    options = subset.Options(layout_features=["kern"], hinting=False, desubroutinize=True, notdef_outline=True)
    options.drop_tables += ["GSUB", "GPOS", "GDEF", "vhea", "vmtx", "STAT", "DSIG"]
    options.name_IDs = [0, 1, 2, 13, 14]
    cutter = subset.Subsetter(options)
    cutter.populate(text=characters_of_type())
    cutter.subset(font)
    out = io.BytesIO()
    font.save(out)
    return lzma.compress(out.getvalue(), preset=9 | lzma.PRESET_EXTREME)


def notice(noto: tarfile.TarFile, cldr: tarfile.TarFile, sans: tarfile.TarFile) -> str:
    info = json.loads(read(noto, "info.json"))
    return "\n".join(
        (
            "What is in this folder, whose it is, and under which terms",
            "===========================================================",
            "",
            f"artwork.json.xz, drawings: {info['name']} by {info['author']['name']}, {info['license']['title']}",
            f"  (npm package {NOTO.name} {NOTO.version}); chosen and repacked, the drawings are unchanged.",
            "  The Apache License 2.0 stands in the LICENSE file at the root of this project.",
            f"artwork.json.xz, names and keywords: Unicode CLDR (npm package {CLDR.name} {CLDR.version}),",
            "  Unicode License v3, below.",
            f"type.ttf.xz: Noto Sans SC Bold (npm package {SANS.name} {SANS.version}), reduced to fewer",
            "  characters; SIL Open Font License 1.1, below.",
            "own.svg, words.txt: made for this project, under its own licence.",
            "",
            "---- Unicode License v3 ----",
            read(cldr, "LICENSE").decode().strip(),
            "",
            "---- SIL Open Font License 1.1 ----",
            read(sans, "LICENSE_FONT").decode().strip(),
            "",
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, help="keep the npm archives here, and use those already there")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder: Path = chosen.cache or Path(scratch)
        noto, cldr, sans = (fetch(package, folder) for package in (NOTO, CLDR, SANS))
        made = {
            "artwork.json.xz": pack_artwork(noto, cldr),
            "type.ttf.xz": pack_type(sans),
            "NOTICE": notice(noto, cldr, sans).encode(),
        }
    for name, data in made.items():
        if len(data) > LIMIT:
            raise SystemExit(f"{name} is {len(data)} bytes, over {LIMIT}")
        (OUT / name).write_bytes(data)
        print(f"{name}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
