"""The closing rows of a VAT invoice: amount without tax, tax, and both together, told apart by what adds up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from sampan.engines.reader import figures
from sampan.engines.reader.facts import Fact
from sampan.engines.reader.layout import Row
from sampan.engines.reader.lexicon import Lexicon
from sampan.engines.reader.page import Line, Page
from sampan.engines.reader.values import find

CLOSING = re.compile(r"^\W*(?:合\s*[计計]|小\s*[计計]|totals?)(?!\w*[（(]?大)", re.IGNORECASE)
INVOICE = re.compile(r"[价價]税合[计計]|[价價]稅合[计計]|税额|稅額|\bVAT\b", re.IGNORECASE)
KEYS = (("不含税金额", "不含税金额合计"), ("税额", "税额合计"))


def vat_facts(page: Page, rows: Sequence[Row], lexicon: Lexicon) -> Iterator[Fact]:
    """Net amount and tax of the closing row "合计 ¥2800.00 ¥364.00", surest where an amount is their sum."""
    whole = "\n".join(row.text for row in rows)
    if not INVOICE.search(whole):
        return
    known = {figure for row in rows for figure in _amounts(row.text)}
    for row in rows:
        if not CLOSING.match(row.text):
            continue
        found = [f for f in find(row.text, "money") if f.rank < 3 and figures.value(row.text[f.start : f.end])]
        if len(found) != 2:
            continue
        values = [row.text[f.start : f.end].strip() for f in found]
        net, tax = (figures.value(value) or Decimal(0) for value in values)
        if not net > tax > 0:
            continue
        trust = 1.06 if net + tax in known else 0.95
        for names, value in zip(KEYS, values, strict=True):
            for key in names:
                quoted = Line(row.text, row.box)
                yield Fact(key, value, quoted, page, trust, lexicon.phrase(key), row.box)


def _amounts(text: str) -> Iterator[Decimal]:
    for found in find(text, "money"):
        figure = figures.value(text[found.start : found.end]) if found.rank < 3 else None
        if figure is not None:
            yield figure
