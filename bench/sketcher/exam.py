"""The sketcher's exam: `python -m bench.sketcher.exam`, against the engine itself or a running gateway."""

import base64
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Annotated

import openai
import typer
from PIL import Image, ImageDraw
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.reader.canvas import font, measure
from bench.sketcher.judge import SETS, Expectation, expectations, judge
from sampan.engines.sketcher import Order, Sketcher

SIZE = "1024x1024"

Draw = Callable[[str, int], bytes]


@dataclass(frozen=True, slots=True)
class Mark:
    """One judged picture: what is wrong with it (nothing: right) and the seconds it took."""

    wanted: Expectation
    png: bytes
    faults: tuple[str, ...]
    seconds: float


def draw_with_engine() -> Draw:
    """Draws with the engine in this process."""
    sketcher = Sketcher()
    sketcher.warm_up()

    def draw(prompt: str, seed: int) -> bytes:
        return bytes(next(iter(sketcher.generate(Order(prompt=prompt, size=SIZE, seed=seed)))).data)

    return draw


def draw_with_gateway(url: str, key: str, model: str) -> Draw:
    """Draws with a running gateway through the official SDK; `url` as an OpenAI client takes it (…/v1)."""
    client = openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=120)

    def draw(prompt: str, seed: int) -> bytes:
        body = {"seed": seed}
        answer = client.images.generate(
            model=model, prompt=prompt, size=SIZE, response_format="b64_json", extra_body=body
        )
        picture = (answer.data or [])[0].b64_json
        return base64.b64decode(picture or "")

    return draw


def mark(draw: Draw, wanted: Expectation, seed: int, clock: Callable[[], float]) -> Mark:
    """Draws and judges one prompt; an exception of the sketcher is a fault that says so."""
    began = clock()
    try:
        png = draw(wanted.prompt, seed)
    except Exception as failure:
        return Mark(wanted, b"", (f"{type(failure).__name__}: {failure}",), clock() - began)
    spent = clock() - began
    return Mark(wanted, png, tuple(judge(png, wanted)), spent)


def _clipped(words: str, width: int) -> str:
    while measure(words, "sans", 12) > width:
        words = words[:-1]
    return words


def contact_sheet(marks: list[Mark], tile: int = 200, columns: int = 10) -> Image.Image:
    """Small copies of all pictures with their prompts; a red frame marks a miss."""
    rows = -(-len(marks) // columns)
    sheet = Image.new("RGB", (columns * tile, rows * (tile + 28)), (255, 255, 255))
    pen = ImageDraw.Draw(sheet)
    for index, each in enumerate(marks):
        x, y = index % columns * tile, index // columns * (tile + 28)
        if each.png:
            small = Image.open(BytesIO(each.png)).convert("RGBA").resize((tile - 8, tile - 8))
            sheet.paste(small, (x + 4, y + 4), small)
        pen.rectangle(
            (x + 1, y + 1, x + tile - 2, y + tile - 2),
            outline=(220, 30, 30) if each.faults else (205, 205, 205),
            width=3,
        )
        pen.text((x + 4, y + tile), _clipped(each.wanted.prompt, tile - 8), font=font("sans", 12), fill=(0, 0, 0))
    return sheet


def _report(console: Console, marks: list[Mark], unit: str) -> None:
    groupings: list[tuple[str, Callable[[Mark], str]]] = [
        ("by category", lambda each: each.wanted.category),
        ("by language", lambda each: each.wanted.language),
    ]
    for title, name in groupings:
        sheet = Table(title=title, title_justify="left")
        for column in ("", "right", "%"):
            sheet.add_column(column, justify="left" if column == "" else "right")
        total = Counter(name(each) for each in marks) + Counter({"all": len(marks)})
        right = Counter(name(each) for each in marks if not each.faults)
        right["all"] = sum(not each.faults for each in marks)
        for group in total:
            share = 100 * right[group] / max(1, total[group])
            sheet.add_row(group, f"{right[group]}/{total[group]}", f"{share:.1f}")
        console.print(sheet)
    for each in (each for each in marks if each.faults):
        console.print(f"MISS {each.wanted.category} {each.wanted.prompt!r}: {'; '.join(each.faults)}", markup=False)
    seconds = [each.seconds for each in marks]
    mean, most = sum(seconds) / max(1, len(seconds)), max(seconds, default=0)
    console.print(f"{unit} per picture of {SIZE}: mean {mean:.3f}, most {most:.3f}")


def main(
    url: Annotated[
        str, typer.Option(help="base URL of a running gateway, with /v1; without it the engine draws here")
    ] = "",
    key: Annotated[str, typer.Option(help="key for the gateway")] = "",
    model: Annotated[str, typer.Option(help="model to name to the gateway")] = "sketcher",
    seed: Annotated[int, typer.Option(help="seed of every picture")] = 7,
    sheet: Annotated[Path | None, typer.Option("--contact-sheet", help="write all pictures into one PNG")] = None,
    only: Annotated[str, typer.Option(help="only prompts of this category or containing this")] = "",
    number: Annotated[int, typer.Option("--set", min=1, max=len(SETS), help="which of the held-out sets")] = 1,
) -> None:
    """Sits the exam and prints the marks."""
    wanted = [each for each in expectations(number) if only in each.category or only in each.prompt]
    draw = draw_with_gateway(url, key, model) if url else draw_with_engine()
    clock, unit = (time.perf_counter, "wall seconds") if url else (time.process_time, "CPU seconds")
    console = Console()
    marks = [
        mark(draw, each, seed, clock) for each in track(wanted, "drawing and judging", console=console, transient=True)
    ]
    _report(console, marks, unit)
    if sheet is not None:
        contact_sheet(marks).save(sheet)
        console.print(f"contact sheet: {sheet}")


if __name__ == "__main__":
    typer.run(main)
