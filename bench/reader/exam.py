"""The reader's exam: `python -m bench.reader.exam dev|heldout|third|fourth|fifth`, on the engine or a gateway."""

import base64
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import anthropic
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.reader.canvas import fonts_are_installed
from bench.reader.grading import Question, Verdict, judge
from bench.reader.papers import SETS, Paper, load
from sampan.engines.reader import Reader, Source

Ask = Callable[[str, str, bytes], str]

_MIME = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class Mark:
    """One answered question and what it cost (CPU seconds of this process; wall seconds when asking a gateway)."""

    paper: Paper
    question: Question
    answer: str
    verdict: Verdict
    seconds: float
    first: bool


def _never_stopped() -> bool:
    return False


def ask_engine() -> Ask:
    """Asks the engine in this process."""
    reader = Reader()
    reader.warm_up()

    def ask(question: str, kind: str, data: bytes) -> str:
        source = Source(kind="pdf" if kind == "pdf" else "image", data=data, where="exam")
        return "".join(reader.answer(question, [source], _never_stopped))

    return ask


def ask_gateway(url: str, key: str, model: str) -> Ask:
    """Asks a running gateway with the official SDK."""
    client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=120)

    def ask(question: str, kind: str, data: bytes) -> str:
        mime = "application/pdf" if kind == "pdf" else next(m for magic, m in _MIME.items() if data.startswith(magic))
        encoded = {"type": "base64", "media_type": mime, "data": base64.b64encode(data).decode("ascii")}
        content: list[Any] = [{"type": "document" if kind == "pdf" else "image", "source": encoded}]
        if question:
            content.append({"type": "text", "text": question})
        message = client.messages.create(model=model, max_tokens=4096, messages=[{"role": "user", "content": content}])
        return "".join(block.text for block in message.content if block.type == "text")

    return ask


def sit(ask: Ask, papers: list[Paper], clock: Callable[[], float], tick: Callable[[], None]) -> Iterator[Mark]:
    """Asks every question; an exception of the reader is a wrong answer that says so."""
    for paper in papers:
        kind, data = paper.handed_out()
        facts = tuple(paper.draw().facts.values())
        for number, question in enumerate(paper.questions):
            began = clock()
            try:
                answer = ask(question.ask, kind, data)
            except Exception as failure:
                answer = f"!! {type(failure).__name__}: {failure}"
            spent = clock() - began
            tick()
            yield Mark(paper, question, answer, judge(question, answer, facts), spent, number == 0)


def _tally(console: Console, title: str, marks: list[Mark], name: Callable[[Mark], str]) -> None:
    sheet = Table(title=title, title_justify="left")
    for column in ("", "right", "refused", "wrong", "%"):
        sheet.add_column(column, justify="left" if column == "" else "right")
    groups = [*sorted({name(mark) for mark in marks}), "all"]
    for group in groups:
        count = Counter(mark.verdict for mark in marks if group in ("all", name(mark)))
        share = 100 * count["right"] / max(1, count.total())
        sheet.add_row(
            group, f"{count['right']}/{count.total()}", str(count["refused"]), str(count["wrong"]), f"{share:.1f}"
        )
    console.print(sheet)


def _report(console: Console, marks: list[Mark], show_misses: bool, unit: str) -> None:
    _tally(console, "by kind of question", marks, lambda mark: mark.question.kind)
    _tally(
        console, "by damage", marks, lambda mark: "pdf" if mark.paper.template.startswith("pdf") else mark.paper.damage
    )
    _tally(console, "by language", marks, lambda mark: mark.question.language)
    if show_misses:
        for mark in (mark for mark in marks if mark.verdict != "right"):
            where = f"{mark.paper.template}/{mark.paper.seed}/{mark.paper.damage}"
            console.print(f"\n{mark.verdict.upper()} {mark.question.kind} {where}: {mark.question.ask!r}", markup=False)
            wanted = " + ".join("|".join(options) for options in mark.question.expect) or "absence"
            console.print(f"  wanted {wanted}; forbidden {mark.question.forbid}", markup=False)
            console.print(f"  answer {mark.answer[:700]!r}", markup=False)
    first = [mark.seconds for mark in marks if mark.first]
    later = [mark.seconds for mark in marks if not mark.first]
    console.print(f"\n{unit} for a page's first question: mean {_mean(first):.2f}, most {max(first, default=0):.2f}")
    console.print(f"{unit} for its further questions: mean {_mean(later):.2f}, most {max(later, default=0):.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"peak RSS of this process, page drawing included: {peak:.0f} MiB")


def _mean(values: list[float]) -> float:
    return sum(values) / max(1, len(values))


def main(
    name: Annotated[str, typer.Argument(help="dev, heldout, third, fourth or fifth")],
    url: Annotated[str, typer.Option(help="base URL of a running gateway; without it the engine is asked here")] = "",
    key: Annotated[str, typer.Option(help="key for the gateway")] = "",
    model: Annotated[str, typer.Option(help="model to name to the gateway")] = "reader",
    show_misses: Annotated[
        bool, typer.Option(help="print misses; always on for dev, look at held-out ones last")
    ] = False,
    only: Annotated[str, typer.Option(help="only templates whose name contains this")] = "",
) -> None:
    """Sits the exam and prints the marks."""
    console = Console()
    if name not in SETS:
        raise typer.BadParameter(f"no set {name!r}: dev, heldout, third, fourth or fifth")
    if not fonts_are_installed():
        raise typer.BadParameter("the documents need the Noto CJK fonts (Debian: fonts-noto-cjk)")
    papers = [paper for paper in load(name) if only in paper.template]
    ask = ask_gateway(url, key, model) if url else ask_engine()
    clock, unit = (time.perf_counter, "wall seconds") if url else (time.process_time, "CPU seconds")
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(f"{name}: questions", total=sum(len(paper.questions) for paper in papers))
        marks = list(sit(ask, papers, clock, lambda: progress.advance(task)))
    _report(console, marks, show_misses or name == "dev", unit)


if __name__ == "__main__":
    typer.run(main)
