from __future__ import annotations

import pytest

from sampan.dialects.pictures import media_type


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", None),
        (b"%PDF-1.7", "application/pdf"),
        (b"<svg/>", None),
        (b"", None),
    ],
)
def test_the_first_bytes_tell(data: bytes, expected: str | None) -> None:
    assert media_type(data) == expected
