"""Finding and recognising lines of text with the models in rapidocr's wheel: no download, one thread, quiet.

The two models are run by sessions of our own, because the wheel's own give no way to keep the detector's memory
between pages (20 % of its CPU). Denormal floats as zero would spare another 12 %, but that switch is the calling
thread's and stays on in it: whatever else runs there would calculate differently.

Tuned on made documents: thresholds of the detector lower and its boxes wider than rapidocr's defaults, its line
classifier off (it turns correct lines over). Crops are read one at a time, because a padded batch costs more memory
traffic than it saves: 2.4 s against 3.9 s of CPU for a dense page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sampan.engines.reader.picture import Pixels

Quads = NDArray[np.float32]

DETECT_AREA = 1_000_000
DETECT_SIDE = 2_240
DETECT_LEAST = 640
STRIDE = 32
CROP_HEIGHT = 48
LEAST_CROP = 72
LONG_CROP = 520
SQUEEZE = 0.8
LONGEST_CROP = 3_200
PLAIN_PAPER = 0.995
PAPER_NOISE = 10
MARGIN = 24
SAME_ROW = 10
NOUGHT = re.compile(r"(?<![\w-])(?=\w*[a-z])(?=\w*[g-zG-Z])[A-Za-z]+(?P<nought>0)[A-Za-z]{2,}(?![\w-])")
GLUED = re.compile(r"(?<!\d)(?:19|20)\d{2}([-/.])\d{2}\1\d{2}(?=\d{2}[:：]\d{2})")


@dataclass(frozen=True, slots=True)
class Reading:
    """One recognised crop: its text, mean confidence 0…1, and each character's middle as a share of the width.

    `reread` tells that the crop was too full for reading it squeezed.
    """

    text: str
    score: float
    centres: tuple[float, ...]
    reread: bool = False


class Ocr:
    """The two models. Recognising is safe from several threads at once: the sessions hold no state between runs."""

    def __init__(self, threads: int) -> None:
        from rapidocr.ch_ppocr_det.utils import DBPostProcess

        self._boxes: Any = DBPostProcess(
            thresh=0.2, box_thresh=0.3, max_candidates=1_000, unclip_ratio=1.8, score_mode="fast", use_dilation=True
        )
        self._detector = _session("det", threads, arena=True)
        self._recogniser = _session("rec", threads, arena=False)
        listed = self._recogniser.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._characters = ("", *listed, " ")

    def detect(self, picture: Pixels) -> Quads:
        """Corners of each run of text, shape (n, 4, 2), in the picture's pixels; n may be 0."""
        left, top, right, bottom = _written(picture)
        part = picture[top:bottom, left:right]
        height, width = picture.shape[:2]
        ratio = min(1.0, (DETECT_AREA / (height * width)) ** 0.5, DETECT_SIDE / max(height, width))
        ratio = max(ratio, min(2.0, DETECT_LEAST / min(height, width)) if ratio == 1.0 else ratio)
        sides = [max(round(side * ratio / STRIDE), 2) * STRIDE for side in (part.shape[1], part.shape[0])]
        method = cv2.INTER_AREA if ratio < 1.0 else cv2.INTER_LINEAR
        small = cv2.resize(part, (sides[0], sides[1]), interpolation=method)
        found = self._detector.run(None, {self._detector.get_inputs()[0].name: _input(small)})[0]
        boxes, _ = self._boxes(found, part.shape[:2])
        if len(boxes) == 0:
            return np.zeros((0, 4, 2), np.float32)
        quads = np.asarray(boxes, dtype=np.float32) + np.array([left, top], dtype=np.float32)
        return _in_rows(quads)

    def recognise(self, crop: Pixels, *, squeeze: bool = True) -> Reading:
        """Reads the upright crop of a single line; a long one is squeezed first, which saves time."""
        height, width = crop.shape[:2]
        if height < 2 or width < 2:
            return Reading("", 0.0, ())
        wide = CROP_HEIGHT * width / height
        if wide <= LONG_CROP or (not squeeze and wide <= LONGEST_CROP):
            return self._run(crop, wide)
        reading = self._run(crop, min(wide * SQUEEZE, LONGEST_CROP))
        if reading.score >= 0.93 and mostly_cjk(reading.text):
            return reading
        # Narrow letters and runs of one digit collapse when squeezed: those lines are read again at full width.
        again = self._run(crop, min(wide, LONGEST_CROP))
        better = again if again.score >= reading.score - 0.02 else reading
        return replace(better, reread=True)

    def _run(self, crop: Pixels, wide: float) -> Reading:
        """Reads a crop drawn `wide` pixels wide, and white beyond it where that is too little for the model."""
        inked = max(round(wide), 8)
        method = cv2.INTER_AREA if crop.shape[0] > 1.5 * CROP_HEIGHT else cv2.INTER_LINEAR
        line = np.zeros((1, 3, CROP_HEIGHT, max(inked, LEAST_CROP)), np.float32)
        line[:, :, :, :inked] = _input(cv2.resize(crop, (inked, CROP_HEIGHT), interpolation=method))
        steps = self._recogniser.run(None, {self._recogniser.get_inputs()[0].name: line})[0][0]
        best = steps.argmax(axis=1)
        kept = best != 0
        kept[1:] &= best[1:] != best[:-1]
        places = np.flatnonzero(kept)
        if len(places) == 0:
            return Reading("", 0.0, ())
        written = [(self._characters[best[place]], int(place)) for place in places]
        written = _lettered(_unglued(written))
        text = "".join(char for char, _ in written)
        score = float(steps[places, best[places]].mean())
        length = len(steps) * inked / line.shape[3]
        centres = [min((place + 0.5) / length, 1.0) for char, place in written for _ in char]
        return Reading(text, score, _spaced(text, centres))


def _session(task: str, threads: int, *, arena: bool) -> Any:
    import onnxruntime

    runtime: Any = onnxruntime
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = arena
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    folder = files("rapidocr") / "models"
    model = next(each for each in folder.iterdir() if f"_{task}_" in each.name and each.name.endswith(".onnx"))
    with as_file(model) as path:
        return runtime.InferenceSession(
            str(path),
            options,
            providers=[("CPUExecutionProvider", {"arena_extend_strategy": "kSameAsRequested"})],
        )


def _input(rgb: NDArray[Any]) -> NDArray[np.float32]:
    """A picture as the models take it: BGR, -1…1, shape (1, 3, height, width)."""
    scaled = rgb[:, :, ::-1].transpose(2, 0, 1).astype(np.float32)
    scaled *= 1 / 127.5
    scaled -= 1.0
    return np.asarray(np.ascontiguousarray(scaled)[None], dtype=np.float32)


def _written(picture: Pixels) -> tuple[int, int, int, int]:
    """The part of a page that is not bare paper: left, top, right, bottom. All of it where the paper is not even."""
    height, width = picture.shape[:2]
    everything = (0, 0, width, height)
    step = max(1, min(height, width) // 600)
    grey = cv2.cvtColor(np.ascontiguousarray(picture[:, ::step]), cv2.COLOR_RGB2GRAY)
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    paper = float(np.median(edge))
    if (np.abs(edge - paper) <= PAPER_NOISE).mean() < PLAIN_PAPER:
        return everything
    marked = np.abs(grey.astype(np.int16) - int(paper)) > PAPER_NOISE
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0)) * step
    if len(rows) == 0:
        return everything
    left, right = max(int(columns[0]) - MARGIN, 0), min(int(columns[-1]) + step + MARGIN, width)
    return left, max(int(rows[0]) - MARGIN, 0), right, min(int(rows[-1]) + 1 + MARGIN, height)


def _in_rows(quads: Quads) -> Quads:
    """Boxes from top to bottom, those that begin at about one height from left to right."""
    down = quads[np.argsort(quads[:, 0, 1], kind="stable")]
    row = np.concatenate([[0], np.cumsum(np.diff(down[:, 0, 1]) >= SAME_ROW)])
    return down[np.lexsort((down[:, 0, 0], row))]


def mostly_cjk(text: str) -> bool:
    """Whether most of a text is Chinese characters, which can be read squeezed."""
    wide = sum("\u4e00" <= char <= "\u9fff" for char in text)
    return wide * 10 >= len(text) * 6


def _lettered(written: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """A nought alone among letters read as the letter that it is: "O0MKilled", "Back0ff". Codes have more digits."""
    if not all(len(char) == 1 for char, _ in written):
        return written
    text = "".join(char for char, _ in written)
    inside = {found.start("nought") for found in NOUGHT.finditer(text)}
    return [("O" if at in inside else char, place) for at, (char, place) in enumerate(written)]


def _unglued(written: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """The space between a day and a clock time, which recognition often loses: "2025-04-2211:35"."""
    found = GLUED.search("".join(char for char, _ in written)) if all(len(c) == 1 for c, _ in written) else None
    if found is None:
        return written
    return _unglued([*written[: found.end()], (" ", written[found.end()][1]), *written[found.end() :]])


def _spaced(text: str, centres: list[float]) -> tuple[float, ...]:
    """The share of the width for each character; a space stands between its neighbours."""
    inked = [index for index, char in enumerate(text) if not char.isspace()]
    if not inked:
        return tuple(0.5 for _ in text)
    known = [centres[index] for index in inked]
    return tuple(float(x) for x in np.interp(np.arange(len(text)), inked, known))
