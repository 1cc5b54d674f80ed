"""Pictures told, stripped and redrawn: what leaves holds pixels and colours, and is upright."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from sampan.media.pictures import FORMATS, Unusable, look, redraw, strip
from tests.media.files import SECRET, bomb, encoded, half, noted

KINDS = ["image/jpeg", "image/png", "image/webp"]
PLAIN = {
    "image/jpeg": encoded(half(), "JPEG"),
    "image/png": encoded(half(), "PNG"),
    "image/webp": encoded(half(), "WEBP"),
}


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def same_pixels(one: Image.Image, other: Image.Image) -> bool:
    return one.size == other.size and ImageChops.difference(one.convert("RGB"), other.convert("RGB")).getbbox() is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_picture_is_left_alone(kind: str) -> None:
    data = PLAIN[kind]
    sight = look(data)
    assert (sight.media_type, sight.width, sight.height, sight.turn, sight.told) == (kind, 60, 40, 1, False)
    assert strip(data) is data


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_picture_tells_beside_its_pixels_is_cut_out(kind: str) -> None:
    data = noted()[kind]
    assert SECRET in data and look(data).told
    clean = strip(data)
    assert SECRET not in clean and b"Exif" not in clean and b"eXIf" not in clean and b"EXIF" not in clean
    assert same_pixels(opened(clean), opened(data))
    assert not look(clean).told and strip(clean) is clean
    assert not opened(clean).getexif()


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_blocks": 2}, {"subsampling": 0}])
def test_no_pixel_of_a_jpeg_is_lost(options: dict[str, object]) -> None:
    image = Image.effect_noise((97, 61), 90).convert("RGB")
    data = encoded(image, "JPEG", comment=SECRET, **options)
    assert same_pixels(opened(strip(data)), opened(data)) and SECRET not in strip(data)


def test_what_hides_behind_a_picture_is_cut_off() -> None:
    for kind, data in PLAIN.items():
        if kind != "image/webp":
            assert look(data + SECRET).told and SECRET not in redraw(data + SECRET, FORMATS)[0]
    assert strip(PLAIN["image/jpeg"] + SECRET) == PLAIN["image/jpeg"]
    assert strip(PLAIN["image/png"] + SECRET) == PLAIN["image/png"]
    assert strip(PLAIN["image/webp"] + SECRET) == PLAIN["image/webp"]


def test_a_chunk_that_nobody_knows_is_cut_out() -> None:
    png, webp = PLAIN["image/png"], PLAIN["image/webp"]
    own = struct.pack(">I4s", len(SECRET), b"prVt") + SECRET + struct.pack(">I", zlib.crc32(b"prVt" + SECRET))
    assert strip(png[:33] + own + png[33:]) == png
    data = webp + b"PRVT" + struct.pack("<I", 24) + SECRET.ljust(24)
    data = data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    assert look(data).told and strip(data) == webp


def test_a_colour_profile_stays() -> None:
    profile = b"profile " * 40
    for kind in ("JPEG", "PNG", "WEBP"):
        data = encoded(half(), kind, icc_profile=profile, exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00")
        assert opened(strip(data)).info["icc_profile"] == profile
        assert opened(redraw(data, FORMATS)[0]).info["icc_profile"] == profile


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turn", range(2, 9))
def test_a_turned_picture_is_redrawn_upright(kind: str, turn: int) -> None:
    data = noted(turn)[kind]
    assert look(data).turn == turn
    upright, media_type, width, height = redraw(data, FORMATS)
    assert (width, height) == ((40, 60) if turn >= 5 else (60, 40)) == opened(upright).size
    assert media_type == ("image/jpeg" if kind == "image/jpeg" else "image/png")
    assert SECRET not in upright and not opened(upright).getexif()
    left_first = {2: False, 3: False, 4: True}.get(turn)
    if left_first is not None:
        red, _, blue = opened(upright).convert("RGB").getpixel((5, 20))  # type: ignore[misc]
        assert (red > blue) is left_first
    else:
        red, _, blue = opened(upright).convert("RGB").getpixel((20, 5))  # type: ignore[misc]
        assert (red > blue) is (turn in (5, 6))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_can_be_redrawn(mode: str) -> None:
    image = half().convert("L").convert(mode) if mode in ("1", "I;16", "LA") else half(mode=mode)
    data = encoded(image, "PNG")
    assert same_pixels(opened(redraw(data, FORMATS)[0]).convert("RGBA"), image.convert("RGBA"))
    jpeg = redraw(data, frozenset({"image/jpeg"}))
    assert jpeg[1] == "image/jpeg" == look(jpeg[0]).media_type


def test_cmyk_stays_cmyk_and_a_moving_picture_gives_its_first_frame() -> None:
    assert opened(redraw(encoded(half(mode="CMYK"), "JPEG"), FORMATS)[0]).mode == "CMYK"
    frames = [half(), half().rotate(180)]
    moving = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert look(moving).media_type == "image/gif" and strip(moving) is moving
    still, kind, *_ = redraw(moving, FORMATS)
    assert kind == "image/png" and same_pixels(opened(still), half())


def test_bombs_are_told_from_their_first_bytes() -> None:
    with pytest.raises(Unusable, match="60000×60000 pixels; the limit is 50 megapixels"):
        look(bomb())
    with pytest.raises(Unusable, match="60×40 pixels"):
        look(PLAIN["image/webp"], 2399)
    with pytest.raises(Unusable):
        redraw(bomb(), FORMATS)
    assert look(PLAIN["image/jpeg"], 2400).patches == 6


@pytest.mark.parametrize("data", [b"", b"BM" + bytes(60), b"<svg/>", b"%PDF-1.7", b"II*\x00" + bytes(90)])
def test_other_types_are_refused(data: bytes) -> None:
    with pytest.raises(Unusable, match="no JPEG, PNG, GIF or WebP"):
        look(data)


@pytest.mark.parametrize(
    "data",
    [
        PLAIN["image/jpeg"][:20],
        PLAIN["image/jpeg"][:20] + b"\x00" + PLAIN["image/jpeg"][20:],
        b"\xff\xd8\xff\xd9",
        PLAIN["image/png"][:8] + b"\x00\x00\x00\x00IEND" + bytes(20),
        PLAIN["image/png"][:40],
        PLAIN["image/webp"][:30],
        PLAIN["image/webp"][:12],
    ],
)
def test_what_is_cut_before_its_pixels_is_broken(data: bytes) -> None:
    with pytest.raises(Unusable, match="broken"):
        look(data)


def test_a_jpeg_that_is_cut_later_shows_what_there_is() -> None:
    cut = encoded(half(400, 300), "JPEG")[:-300]
    assert look(cut).width == 400 and strip(cut) is cut


@pytest.mark.parametrize(
    "exif", [b"", b"II*\x00", b"II*\x00\xff\xff\xff\xff", b"??", b"MM\x00*\x00\x00\x00\x08\x00\x01"]
)
def test_exif_that_makes_no_sense_turns_nothing(exif: bytes) -> None:
    data = PLAIN["image/jpeg"]
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\x00\x00" + exif
    sight = look(data[:2] + segment + data[2:])
    assert sight.turn == 1 and sight.told


@given(st.sampled_from(sorted(noted(6).items())), st.data())
def test_no_broken_picture_breaks_us(picture: tuple[str, bytes], data: st.DataObject) -> None:
    """Cut anywhere and one byte changed: it is told, stripped, or refused, and never anything else."""
    raw = bytearray(picture[1][: data.draw(st.integers(0, len(picture[1])))])
    if raw:
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    for work in (look, strip, lambda each: redraw(each, FORMATS)):
        try:
            work(bytes(raw))
        except Unusable:
            continue
