"""CPU time of a translated call and of a streamed event, beside the same ones handed on as they came.

    python -m bench.translation [--quick]

A call is a request of 1 KB and a whole answer of 1 KB, an event is one of 256 of a stream, fed one by one: what
`upstreams` does with them, without sockets. The baseline is a caller of the server's own dialect. Rounds are
interleaved, each figure is a median, and what a translation adds is the median of its differences to the baseline of
the same round. Beside it in brackets stands what it adds in the least disturbed round: a busy machine makes the caches
cold, and both sides of a comparison dearer.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import msgspec
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.translation.calls import MODEL, answered, asked, streamed
from sampan.app import GC_THRESHOLDS
from sampan.core import Call, Dialect
from sampan.dialects.translation.claude_answers_responses import envelope
from sampan.dialects.translation.manners import Manner, Terms, manners

CALL_TARGET, EVENT_TARGET = 60.0, 8.0  # µs that a translation may add
EVENTS = 256
SECRET = b"s" * 32
WIDTH = 130


@dataclass(frozen=True, slots=True)
class Pair:
    """A caller's dialect on a server's; `signs`: the server is one's own, and what it thinks is signed."""

    name: str
    caller: Dialect
    server: Dialect
    signs: bool = False
    thinks: bool = False

    @property
    def manner(self) -> Manner:
        return manners(self.server, Terms(lambda: 1_700_000_000.0, secret=SECRET if self.signs else None))[self.caller]

    @property
    def baseline(self) -> Pair:
        """The server's own dialect, handed on as it came."""
        return Pair("", self.server, self.server, thinks=self.thinks)


CLAUDE, CHAT, RESPONSES = Dialect.ANTHROPIC, Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES
PAIRS = (
    Pair("Messages on chat", CLAUDE, CHAT),
    Pair("chat on Messages", CHAT, CLAUDE),
    Pair("Responses on Messages", RESPONSES, CLAUDE),
    Pair("Responses on chat", RESPONSES, CHAT),
    Pair("Messages on Messages, thinking signed", CLAUDE, CLAUDE, signs=True, thinks=True),
)


def remembered(call: Call) -> Call:
    """What a Responses call carries beside its body: it is made for each."""
    if call.dialect is not RESPONSES:
        return call
    return msgspec.structs.replace(call, echo=envelope(call.body, "resp_" + "0" * 48, 1_700_000_000.0, call.model))


def whole(pair: Pair) -> Callable[[], None]:
    """Translates one call, there and back."""
    call, answer, manner = asked(pair.caller, stream=False), answered(pair.server), pair.manner

    def once() -> None:
        known = remembered(call)
        messages = manner.messages(known) if manner.messages is not None else b""
        manner.body(known, messages, MODEL)
        manner.whole(known, messages, answer)

    return once


def stream(pair: Pair) -> Callable[[], None]:
    """Translates one stream."""
    call, manner = remembered(asked(pair.caller, stream=True)), pair.manner
    frames = streamed(pair.server, EVENTS, thinking=pair.thinks)
    messages = manner.messages(call) if manner.messages is not None else b""

    def once() -> None:
        watch = manner.watch(call, messages)
        for frame in frames:
            watch.feed(frame)
        assert watch.finished

    return once


def spent(work: Callable[[], None], times: int) -> float:
    """CPU microseconds of the process for one `work`."""
    before = time.process_time()
    for _ in range(times):
        work()
    return 1e6 * (time.process_time() - before) / times


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU microseconds: medians of what was handed on, translated and added; and the least that was added."""

    plain: float
    translated: float
    added: float
    least: float

    @staticmethod
    def of(pairs: Sequence[tuple[float, float]]) -> Cost:
        """From the rounds: handed on, translated."""
        plain, translated = [p for p, _ in pairs], [t for _, t in pairs]
        return Cost(
            median(plain), median(translated), median(t - p for p, t in pairs), max(0.0, min(translated) - min(plain))
        )


def measure(make: Callable[[Pair], Callable[[], None]], rounds: int, times: int, share: int = 1) -> Sequence[Cost]:
    """One cost for each of `PAIRS`; `share` is how many events one `work` is."""
    works = [(make(pair.baseline), make(pair)) for pair in PAIRS]
    for plain, translated in works:
        spent(plain, times)
        spent(translated, times)
    found: list[list[tuple[float, float]]] = [[] for _ in PAIRS]
    with Progress(transient=True) as progress:
        for _ in progress.track(range(rounds), description=make.__name__):
            for each, (plain, translated) in zip(found, works, strict=True):
                each.append((spent(plain, times) / share, spent(translated, times) / share))
    return [Cost.of(each) for each in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    quick = parser.parse_args().quick
    rounds, times = (20, 100) if quick else (250, 100)  # short rounds: some of them are undisturbed
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)  # as the server runs
    calls = measure(whole, rounds, times)
    events = measure(stream, rounds, 2, EVENTS)
    table = Table(
        "CPU µs",
        "a call, handed on",
        "translated",
        f"added (≤ {CALL_TARGET:g})",
        "an event, handed on",
        "translated",
        f"added (≤ {EVENT_TARGET:g})",
    )
    for pair, call, event in zip(PAIRS, calls, events, strict=True):
        figures = [f"{call.plain:.1f}", f"{call.translated:.1f}", f"{call.added:.1f} ({call.least:.1f})"]
        figures += [f"{event.plain:.2f}", f"{event.translated:.2f}", f"{event.added:.2f} ({event.least:.2f})"]
        table.add_row(pair.name, *figures)
    Console(width=WIDTH).print(table)


if __name__ == "__main__":
    main()
