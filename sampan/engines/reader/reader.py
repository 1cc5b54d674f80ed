"""The reader: a question and what was sent in, pieces of an answer out."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from sampan.core import Usage
from sampan.engines.contract import Source
from sampan.engines.reader import sight
from sampan.engines.reader.extract import answer, answer_all, clean, mention, study, verdict
from sampan.engines.reader.finding import Document
from sampan.engines.reader.layout import spread_lines
from sampan.engines.reader.lexicon import Lexicon
from sampan.engines.reader.ocr import Ocr
from sampan.engines.reader.page import Page
from sampan.engines.reader.pasted import read_text
from sampan.engines.reader.pdf import Pdf
from sampan.engines.reader.permits import is_polar
from sampan.engines.reader.picture import decode
from sampan.engines.reader.places import named_place
from sampan.engines.reader.question import Intent, Question, understand
from sampan.engines.reader.reply import Voice, transcript, units
from sampan.engines.reader.tables import cut_at_walls, heads_apart, tables
from sampan.errors import InvalidRequest

REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class _Read:
    """The pages read of one source, and how many it has."""

    pages: tuple[Page, ...]
    count: int


def _going() -> bool:
    return False


class Reader:
    """Answers questions about documents without a language model. Safe to call from several threads at once."""

    def __init__(self, *, threads: int = 1, max_pages: int = 20) -> None:
        self._threads = threads
        self._max_pages = max_pages
        self._lexicon = Lexicon()
        self._lock = threading.Lock()
        self._pdfium = threading.Lock()
        self._ocr: Ocr | None = None
        self._seen: OrderedDict[str, _Read] = OrderedDict()

    def warm_up(self) -> None:
        """Loads the models and reads one small page made in memory."""
        page = np.full((160, 480, 3), 255, np.uint8)
        cv2.putText(page, "INVOICE 12345", (30, 90), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (0, 0, 0), 3)
        seen = sight.see(page, self._models(), _going)
        document = study((seen,), self._lexicon)
        for ask in understand("发票号码 invoice number", self._lexicon).asks:
            answer(ask, document, self._lexicon)
        Voice(understand("發票", self._lexicon).language).say("note")

    def answer(
        self, question: str, sources: Sequence[Source], stopped: Callable[[], bool] = _going
    ) -> Generator[str, None, Usage]:
        """Yields the answer piece by piece and returns what it cost.

        Ends early, without an error, once `stopped()` is true. Raises `InvalidRequest` naming a source's path where it
        cannot be decoded, before anything is yielded.
        """
        asked = understand(question, self._lexicon)
        written = 0
        try:
            reads = [self._read(source, stopped) for source in sources]
        except sight.Stopped:
            return Usage(input_tokens=units(question))
        pages = _numbered(reads)
        spent = units(question) + _units_of(pages)
        shorter, meant = named_place(question, pages)
        if len(meant) < len(pages):
            asked, pages = understand(shorter, self._lexicon), meant
        for piece in self._pieces(asked, reads, pages):
            if stopped():
                break
            written += units(piece)
            yield piece
        return Usage(input_tokens=spent, output_tokens=written)

    def count(self, question: str, sources: Sequence[Source]) -> int:
        """The input tokens that `answer` would report: the question's and those of the text read."""
        return units(question) + _units_of(_numbered([self._read(source, _going) for source in sources]))

    def _pieces(self, asked: Question, reads: Sequence[_Read], pages: tuple[Page, ...]) -> Generator[str, None, None]:
        voice = Voice(asked.language)
        if not reads:
            yield voice.say("refused" if asked.intent is Intent.REFUSE else "nothing")
            return
        if asked.intent is Intent.REFUSE:
            yield voice.say("refused")
            return
        if not any(page.lines for page in pages):
            yield voice.say("empty")
            return
        if asked.intent is Intent.READ:
            yield from self._transcribed(pages, voice, len(reads))
        else:
            yield from self._answered(asked, study(pages, self._lexicon), voice, len(reads))
        for read in reads:
            if read.count > len(read.pages):
                yield voice.say("capped", read=len(read.pages), count=read.count) + "\n"
        yield voice.say("note")

    def _transcribed(self, pages: tuple[Page, ...], voice: Voice, sources: int) -> Generator[str, None, None]:
        for page in pages:
            place = voice.say("picture", picture=page.source) if sources > 1 else ""
            place += voice.say("page", page=page.number) if page.number and len(pages) > 1 else ""
            if place:
                yield f"[{place.strip()}]\n"
            ready = heads_apart(spread_lines(cut_at_walls(page)), self._lexicon)
            yield transcript(ready, tables(ready, self._lexicon)) + "\n\n"

    def _answered(self, asked: Question, document: Document, voice: Voice, sources: int) -> Generator[str, None, None]:
        if asked.intent is Intent.EXISTS or (len(asked.asks) == 1 and is_polar(asked.asks[0].whole)):
            settled = verdict(asked.asks[0], document, self._lexicon)
            if settled is not None:
                yield voice.found(settled, asked.text.strip(), alone=True, sources=sources)
                return
        if asked.intent is Intent.EXISTS:
            found = mention(asked.asks[0], document, self._lexicon)
            if found is None:
                yield voice.say("unmentioned", asked=asked.text.strip()) + "\n"
            else:
                yield voice.say("mentioned", line=found.value) + "\n"
                yield f"  — {voice.source(found.evidence[0], sources)}\n"
            return
        for ask, found in answer_all(asked, document, self._lexicon):
            if found is None:
                yield voice.say("absent", asked=ask.text) + "\n"
            else:
                yield voice.found(clean(found, ask.kind), ask.text, alone=len(asked.asks) == 1, sources=sources)

    def _models(self) -> Ocr:
        with self._lock:
            if self._ocr is None:
                self._ocr = Ocr(self._threads)
            return self._ocr

    def _read(self, source: Source, stopped: Callable[[], bool]) -> _Read:
        name = hashlib.sha256(source.kind.encode() + b"\0" + source.data).hexdigest()
        with self._lock:
            known = self._seen.get(name)
            if known is not None:
                self._seen.move_to_end(name)
                return known
        read = self._look(source, stopped)
        with self._lock:
            self._seen[name] = read
            while len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
        return read

    def _look(self, source: Source, stopped: Callable[[], bool]) -> _Read:
        if source.kind == "text":
            return _Read((read_text(source.data.decode("utf-8", "replace")),), 1)
        if source.kind == "image":
            return _Read((sight.see(decode(source.data, source.where), self._models(), stopped),), 1)
        if source.kind == "pdf":
            return self._look_through(source, stopped)
        raise InvalidRequest(f"{source.where}: the reader takes pictures, PDFs and text", param=source.where)

    def _look_through(self, source: Source, stopped: Callable[[], bool]) -> _Read:
        pdf = Pdf(source.data, source.where, self._pdfium)
        pages: list[Page] = []
        try:
            for sheet in pdf.sheets(self._max_pages):
                if stopped():
                    raise sight.Stopped
                if sheet.page is not None:
                    pages.append(sheet.page)
                elif sheet.picture is not None:
                    seen = sight.see(sheet.picture, self._models(), stopped)
                    to_points = np.diag([1 / sheet.scale, 1 / sheet.scale, 1.0])
                    pages.append(replace(seen, back=to_points @ seen.back, number=sheet.number))
        finally:
            pdf.close()
        return _Read(tuple(pages), pdf.count)


def _numbered(reads: Sequence[_Read]) -> tuple[Page, ...]:
    return tuple(replace(page, source=number) for number, read in enumerate(reads, 1) for page in read.pages)


def _units_of(pages: Sequence[Page]) -> int:
    return sum(units(line.text) for page in pages for line in page.lines)
