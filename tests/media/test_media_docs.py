"""What docs/media.md says is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from sampan.media import fetching, pages, pictures, receipt, worker
from sampan.media.fetching import Exemption, Policy
from sampan.media.receipt import Became
from sampan.media.serving import Diet

TOLD = (Path(__file__).parents[2] / "docs" / "media.md").read_text(encoding="utf-8")


def test_the_limits_are_those_in_force() -> None:
    policy, diet = Policy(), Diet()
    words = {5: "five at most", 20: "Twenty pages are the most"}
    for said in (
        f"{policy.seconds:g} seconds for all of it, {policy.most >> 20} MiB for a file",
        words[policy.redirects],
        words[diet.pages],
        f"long side has {diet.side:,} pixels",
        f"({pages.ENOUGH_TEXT} characters or\nmore)",
        f"more than {pictures.MOST_PIXELS // 1_000_000} megapixels",
        f"patches of {pictures.PATCH}×{pictures.PATCH} pixels",
        f"with {worker.MEMORY >> 30} GiB of memory",
        f"at\nmost {receipt.HEADER_LIMIT:,} characters, the record {receipt.RECORD_LIMIT:,}",
        f"ports {' and '.join(str(port) for port in sorted(fetching.PORTS.values()))}",
    ):
        assert said in TOLD, said


def test_every_ending_of_a_receipt_is_told() -> None:
    rows = [line.split("|")[1] for line in TOLD.splitlines() if re.match(r"\| `(\d*[a-z]+)`", line)]
    endings = {ending for row in rows for ending in re.findall(r"`\d*([a-z]+)`", row)}
    assert endings == {became.value for became in Became}


def test_the_exemptions_in_the_docs_can_be_read() -> None:
    [line] = re.findall(r"exempted by network.*?\n(.*)", TOLD)
    examples = re.findall(r"`([^`]+)`", line)
    assert len(examples) == 5 and all(Exemption.parse(each) for each in examples)
