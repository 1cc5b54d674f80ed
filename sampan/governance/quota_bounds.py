"""What a call can take at the most, what it took, and what that costs: plain arithmetic on values."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from sampan.config.quota import Measure, PriceSettings, QuotaSettings
from sampan.core import Call, Dialect, Location, Operation, Spent, Target, Usage
from sampan.dialects import form

MILLION = 1_000_000
TEMPLATE = 64
"""Tokens that a chat template and the names of roles come to, on top of the text."""
TOOLS = 600
"""Tokens of the words that a vendor puts before a caller's tools."""
LIKELY = 3
"""Bytes of text to a token where nobody has counted: English has four, Chinese three."""
FRAME = 32
"""Bytes of an answer's stream to a token: less than any dialect's frames have, so it is never too few."""
KNOWN_PRICES = 4096

_PICTURES = frozenset({"image", "input_image", "image_url"})
_DOCUMENTS = frozenset({"document", "input_file", "file", "container_upload"})
_SIZE = re.compile(r"([1-9][0-9]{1,4})x([1-9][0-9]{1,4})")
_COUNTING = "/count_tokens"


class Load(msgspec.Struct, frozen=True):
    """What a call takes: as a bound before it is answered, as the truth after. `pixels` are those drawn, in all.

    `guess` is how many input tokens it likely has: what is charged where nobody ever said.
    """

    input: int = 0
    output: int = 0
    pictures: int = 0
    pixels: int = 0
    micros: int = 0
    guess: int = 0


NOTHING = Load()


class Bounds:
    """Bounds by the settings in force."""

    def __init__(self, quota: QuotaSettings) -> None:
        self._quota = quota
        self._pixels = round(quota.picture_megapixels * MILLION)
        self._micros = round(quota.engine_seconds * MILLION)

    def of(self, call: Call, plan: Sequence[Target]) -> Load:
        """The most that this call can take, whoever of the plan answers it.

        A token has a byte of text at the least, so the bytes are a bound of the tokens (of byte-level vocabularies,
        which all that matter are). Pictures and documents are bounded by settings.
        """
        body, quota = call.body, self._quota
        if _COUNTING in call.path:
            return NOTHING
        micros, operation, dialect = 0, call.operation, call.dialect
        for target in plan:
            if target.location is _LOCAL:
                micros = self._micros
        if operation is _GENERATE or operation is _EDIT:
            return self._drawn(call, micros)
        extra = TEMPLATE + TOOLS if b'"tools"' in body else TEMPLATE
        if call.plain or dialect is _EMBEDDINGS:
            text = len(body)
        else:
            text, pictures, documents = _weigh(body)
            extra += pictures * quota.picture_tokens + documents * quota.document_tokens
        output = call.answer_tokens or quota.answer_tokens
        if dialect is _EMBEDDINGS:
            output = 0
        elif dialect is _CHAT and b'"n"' in body:
            output *= _choices(body)
        return Load(text + extra, output, 0, 0, micros, text // LIKELY + extra)

    def _drawn(self, call: Call, micros: int) -> Load:
        fields, given = _drawing(call)
        number = max(1, call.pictures)
        size = _SIZE.fullmatch(fields.size)
        pixels = int(size[1]) * int(size[2]) if size else self._pixels
        text, seen = len(fields.prompt.encode("utf-8", "replace")), given * self._quota.picture_tokens
        return Load(
            text + TEMPLATE + seen,
            number * self._quota.picture_tokens,
            number,
            number * pixels,
            micros,
            text // LIKELY + TEMPLATE + seen,
        )


_EMBEDDINGS = Dialect.OPENAI_EMBEDDINGS  # looked up by name each costs 0.4 µs
_CHAT = Dialect.OPENAI_CHAT
_LOCAL = Location.LOCAL
_GENERATE, _EDIT = Operation.GENERATE, Operation.EDIT


def counts_only(call: Call) -> bool:
    """Whether it only asks how many tokens a question has: a call, and nothing else."""
    return _COUNTING in call.path


def told(spent: Spent, each: int) -> Load:
    """What a call took whose answer was whole; `each` is how many pixels a picture of it has."""
    usage = spent.usage or _NO_USAGE
    read, written, drawn = usage.input_tokens, usage.output_tokens, usage.images
    if not (0 <= read <= _ENOUGH and 0 <= written <= _ENOUGH and 0 <= drawn <= _ENOUGH):
        read, written, drawn = (min(max(count, 0), _ENOUGH) for count in (read, written, drawn))
    return Load(read, written, drawn, drawn * each, round(spent.seconds * MILLION) if spent.seconds else 0)


def broken(spent: Spent, bound: Load) -> Load:
    """What can be known of a call whose answer broke off, or whose caller left: never more than was reserved.

    Its question was read; of its answer as many tokens were made as the bytes that went out can hold; pictures that an
    upstream had begun to answer with are paid for, since it draws them to the end.
    """
    begun = spent.target is not None
    return Load(
        min(bound.guess, bound.input),
        min(spent.sent // FRAME, bound.output),
        bound.pictures if begun else 0,
        bound.pixels if begun else 0,
        round(spent.seconds * MILLION),
    )


_NO_USAGE = Usage()
_ENOUGH = 1 << 40  # no answer has more of anything, whatever its upstream says


class Rates(msgspec.Struct, frozen=True):
    """Prices of one of each, in the currency."""

    input: float = 0.0
    output: float = 0.0
    picture: float = 0.0
    pixel: float = 0.0
    micro: float = 0.0

    def cost(self, load: Load) -> float:
        cost = load.input * self.input + load.output * self.output + load.micros * self.micro
        return cost + load.pictures * self.picture + load.pixels * self.pixel if load.pictures else cost


_FREE = Rates()


class Prices:
    """The price table: the first line that fits a target and its model is its price; where none does it is free."""

    def __init__(self, settings: Sequence[PriceSettings]) -> None:
        self._lines = [(line.upstream, line.model, _rates(line)) for line in settings]
        self._known: dict[tuple[str, str], Rates] = {}

    def __bool__(self) -> bool:
        return bool(self._lines)

    def of(self, target: Target, call: Call) -> Rates:
        wanted = target.upstream, target.model or call.model
        found = self._known.get(wanted)
        if found is None:
            found = next((rates for line in self._lines if (rates := _fit(line, *wanted))), _FREE)
            if len(self._known) >= KNOWN_PRICES:
                self._known.clear()
            self._known[wanted] = found
        return found

    def cost(self, load: Load, call: Call, target: Target | None, plan: Sequence[Target]) -> float:
        """What it costs by the price of who answered; where nobody had yet, by the first's."""
        who = target or (plan[0] if plan else None)
        return 0.0 if who is None else self.of(who, call).cost(load)

    def most(self, load: Load, call: Call, plan: Sequence[Target]) -> int:
        """The most that it can cost, whoever of the plan answers; in millionths."""
        most = 0.0
        for target in plan:
            cost = self.of(target, call).cost(load)
            most = max(most, cost)
        return millionths(most)


def millionths(cost: float) -> int:
    """Money as pots hold it: rounded up, so that many small calls are not free. A billionth is a float's own error."""
    return math.ceil(cost * MILLION - 1e-3)


AMOUNTS: dict[Measure, Callable[[Load, int], int]] = {
    Measure.CALLS: lambda load, money: 1,
    Measure.CONCURRENCY: lambda load, money: 1,
    Measure.TOKENS: lambda load, money: load.input + load.output,
    Measure.INPUT_TOKENS: lambda load, money: load.input,
    Measure.OUTPUT_TOKENS: lambda load, money: load.output,
    Measure.PICTURES: lambda load, money: load.pictures,
    Measure.MEGAPIXELS: lambda load, money: load.pixels,
    Measure.ENGINE_SECONDS: lambda load, money: load.micros,
    Measure.MONEY: lambda load, money: money,
}
"""How much of what a limit counts a load is; the second is its cost in millionths."""


def _rates(line: PriceSettings) -> Rates:
    return Rates(
        line.input / MILLION,
        line.output / MILLION,
        line.picture,
        line.megapixel / MILLION,
        line.engine_second / MILLION,
    )


def _fit(line: tuple[str, str, Rates], upstream: str, model: str) -> Rates | None:
    fits = all(
        fnmatchcase(value, pattern.replace("[", "[[]"))
        for value, pattern in zip((upstream, model), line[:2], strict=True)
    )
    return line[2] if fits else None


class _Drawing(msgspec.Struct):
    prompt: str = ""
    size: str = ""


class _Choices(msgspec.Struct):
    n: int | None = None


_drawing_of = msgspec.json.Decoder(_Drawing, strict=False)
_choices_of = msgspec.json.Decoder(_Choices, strict=False)


def _choices(body: bytes) -> int:
    """How many answers are asked for at once."""
    try:
        return max(1, _choices_of.decode(body).n or 1)
    except msgspec.MsgspecError:
        return 1


def _drawing(call: Call) -> tuple[_Drawing, int]:
    """Prompt and size, and how many pictures came with them."""
    if call.operation is Operation.EDIT and call.content_type.startswith("multipart/"):
        fields, given = _Drawing(), 0
        for part in form.parse(call.content_type, call.body):
            if part.name == "prompt":
                fields.prompt = part.text()
            elif part.name == "size":
                fields.size = part.text()
            given += part.filename is not None
        return fields, given
    try:
        return _drawing_of.decode(call.body), 0
    except msgspec.MsgspecError:
        return _Drawing(), 0


def _weigh(body: bytes) -> tuple[int, int, int]:
    """Bytes of text (names of fields among them), pictures, and documents of a question that may hold all of these."""
    try:
        whole = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return len(body), 0, 0
    text = pictures = documents = 0
    left: list[Any] = [whole]
    while left:
        each = left.pop()
        if isinstance(each, str):
            text += len(each.encode("utf-8", "replace"))
        elif isinstance(each, dict):
            kind = each.get("type")
            if isinstance(kind, str) and kind in _PICTURES:
                pictures += 1
            elif isinstance(kind, str) and kind in _DOCUMENTS and not _is_text(each):
                documents += 1
            else:
                left += _within(each)
        elif isinstance(each, list):
            left += each
        else:
            text += 8
    return text, pictures, documents


def _is_text(document: dict[str, Any]) -> bool:
    source = document.get("source")
    return isinstance(source, dict) and source.get("type") in ("text", "content")


def _within(each: dict[str, Any]) -> Iterator[Any]:
    yield from each
    yield from each.values()
