"""The processes that decode: a crash, a hang and nonsense cost one call, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import io
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from sampan.errors import Unavailable
from sampan.media.crew import Crew
from sampan.media.pictures import FORMATS, Unusable, look
from sampan.media.worker import LENGTH, Done, No, Pages, Redraw, Redrawn, Sheets, serve
from tests.media.files import bomb, noted, pdf

LOOPS = ("asyncio", "uvloop")
JOB = Redraw(noted(6)["image/jpeg"], tuple(FORMATS), 1_000_000)


@pytest.fixture
async def crews() -> AsyncIterator[Callable[..., Crew]]:
    made: list[Crew] = []

    def make(*arguments: object, **named: object) -> Crew:
        made.append(Crew(*arguments, **named))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for crew in made:
        await crew.aclose()
        assert crew.size == 0


def program(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


async def test_a_worker_does_job_after_job(crews: Callable[..., Crew]) -> None:
    crew = crews(1)
    done = await crew.run(JOB)
    assert isinstance(done, Redrawn) and look(done.data).turn == 1
    with pytest.raises(Unusable, match="megapixels"):
        await crew.run(Redraw(bomb(), tuple(FORMATS), 1_000_000))
    pages = await crew.run(Pages(pdf("Hello, this is a page"), 20, 100, draw=True))
    assert isinstance(pages, Sheets) and pages.sheets[0].text == "Hello, this is a page"
    assert crew.size == 1


async def test_a_worker_is_replaced_after_its_jobs(crews: Callable[..., Crew]) -> None:
    crew = crews(1, jobs=1)
    for _ in range(2):
        assert isinstance(await crew.run(JOB), Redrawn)
        assert crew.size == 0


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.abort()",
        "import sys; sys.stdin.buffer.read(8); raise SystemExit",
        "import sys; sys.stdout.buffer.write(bytes(7) + b'\\x02??'); sys.stdout.flush(); sys.stdin.read()",
        "import sys; sys.stdout.buffer.write(b'\\xff' * 8); sys.stdout.flush(); sys.stdin.read()",
    ],
)
async def test_a_worker_that_crashes_or_babbles_costs_one_call(crews: Callable[..., Crew], code: str) -> None:
    crew = crews(1, program=program(code))
    for _ in range(2):
        with pytest.raises(Unusable, match="failed"):
            await crew.run(JOB)
        assert crew.size == 0


async def test_a_worker_that_somebody_else_kills_costs_nobody(crews: Callable[..., Crew], tmp_path: Path) -> None:
    """Idle or at work: the job is done by a fresh one."""
    crew = crews(1)
    await crew.run(JOB)
    for worker in list(crew._all):
        worker._process.kill()
        await worker._process.wait()
    assert isinstance(await crew.run(JOB), Redrawn)
    assert crew.size == 1
    killed = tmp_path / "killed"
    first = f"import os, pathlib; path = pathlib.Path({str(killed)!r})"
    dies = "new = not path.exists(); path.touch(); new and os.abort()"
    crew = crews(1, program=program(f"{first}; {dies}; from sampan.media.worker import main; main()"))
    assert isinstance(await crew.run(JOB), Redrawn)
    assert killed.exists()


async def test_a_worker_that_hangs_is_killed(crews: Callable[..., Crew]) -> None:
    crew = crews(1, seconds=0.05, program=program("import sys; sys.stdin.buffer.read()"))
    with pytest.raises(Unusable, match="too long"):
        await crew.run(JOB)
    assert crew.size == 0


async def test_a_queue_that_is_full_says_so_and_a_caller_that_leaves_gives_its_place_back(
    crews: Callable[..., Crew],
) -> None:
    crew = crews(1, waiting=1, program=program("import sys; sys.stdin.buffer.read()"))
    first = asyncio.ensure_future(crew.run(JOB))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(crew.run(JOB))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await crew.run(JOB)
    for left in (second, first):
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
    assert crew.size == 0


async def test_a_closed_crew_starts_nobody() -> None:
    crew = Crew(1)
    await crew.aclose()
    with pytest.raises(Unavailable):
        await crew.run(JOB)


def test_a_worker_writes_no_files_and_takes_no_endless_memory(tmp_path: Path) -> None:
    code = f"""
from sampan.media.worker import confine
confine()
try:
    bytearray(5 << 30)
except MemoryError:
    print("no memory")
try:
    with open({str(tmp_path / "kept")!r}, "wb", buffering=0) as file:
        file.write(b"x")
except OSError:
    print("no file")
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    expected = ["no memory", "no file"] if sys.platform == "linux" else ["no file"]
    assert told.split("\n")[:-1] == expected


def test_the_program_answers_frame_by_frame() -> None:
    frames = [msgspec.msgpack.encode(job) for job in (JOB, Pages(b"%PDF-", 1, 10, draw=False))]
    source = io.BytesIO(b"".join(LENGTH.pack(len(frame)) + frame for frame in frames))
    sink = io.BytesIO()
    serve(source, sink)
    told = sink.getvalue()
    answers = []
    while told:
        (size,) = struct.unpack_from(">Q", told)
        answers.append(msgspec.msgpack.decode(told[8 : 8 + size], type=Done))
        told = told[8 + size :]
    assert isinstance(answers[0], Redrawn)
    assert answers[1] == No("it is broken")
