"""Chat requests with the pictures that they link to put into them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from sampan.errors import InvalidRequest
from sampan.media.linking import bring

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


class Shop:
    """Has one picture."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def fetch(self, url: str, path: str, wanted: frozenset[str]) -> bytes:
        self.asked.append((url, path))
        if "files.lan" not in url:
            raise InvalidRequest(f"{path}: the URL cannot be fetched", param=path)
        return PNG


def asked(*parts: dict[str, Any]) -> bytes:
    return json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": "x"}, {"role": "user", "content": parts}]}
    ).encode()


async def test_a_linked_picture_is_brought() -> None:
    shop = Shop()
    text = {"type": "text", "text": "see http://a.org/"}
    body = await bring(
        asked(text, {"type": "image_url", "image_url": {"url": "http://files.lan/a.png", "detail": "low"}}), shop.fetch
    )
    assert shop.asked == [("http://files.lan/a.png", "messages.1.content.1.image_url.url")]
    parts = json.loads(body)["messages"][1]["content"]
    assert parts == [text, {"type": "image_url", "image_url": {"url": URL, "detail": "low"}}]


async def test_a_link_as_plain_text_of_its_part_is_brought_too() -> None:
    body = await bring(asked({"type": "image_url", "image_url": "http://files.lan/a"}), Shop().fetch)
    assert json.loads(body)["messages"][1]["content"][0]["image_url"] == URL


async def test_what_links_to_nothing_stays_as_it_is() -> None:
    shop = Shop()
    for part in ({"type": "text", "text": "http://a.org"}, {"type": "image_url", "image_url": {"url": URL}}):
        body = asked(part)
        assert await bring(body, shop.fetch) is body
    assert shop.asked == []


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "http://a.org/x.png"}},
        {"type": "image_url", "image_url": {"url": "HTTP://a.org/x.png"}},
        {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}},
        {"type": "video_url", "video_url": {"url": "http://files.lan/a.mp4"}},
        {"type": "file", "file": {"file_data": "https://files.lan/a.pdf"}},
    ],
)
async def test_what_cannot_be_brought_is_refused_by_its_path(part: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"messages\.1\.content\.0\."):
        await bring(asked(part), Shop().fetch)


async def test_what_is_no_json_is_the_callers_mistake() -> None:
    with pytest.raises(InvalidRequest):
        await bring(b"{", Shop().fetch)
