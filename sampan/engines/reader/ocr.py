"""Finding and recognising lines of text with rapidocr's own models: no download, one thread, quiet.

Tuned on made documents: thresholds of the detector lower and its boxes wider than rapidocr's defaults, its line
classifier off (it turns correct lines over). Crops are read one at a time, because a padded batch costs more memory
traffic than it saves: 2.4 s against 3.9 s of CPU for a dense page.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sampan.engines.reader.picture import Pixels

Quads = NDArray[np.float32]

DETECT_AREA = 1_000_000
DETECT_SIDE = 2_240
CROP_HEIGHT = 48
LONG_CROP = 520
SQUEEZE = 0.8
LONGEST_CROP = 3_200


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
        from rapidocr import RapidOCR

        self._engine: Any = RapidOCR(
            params={
                "Global.use_cls": False,
                "Global.log_level": "critical",
                "Global.text_score": 0.3,
                "Global.return_word_box": True,
                "Det.box_thresh": 0.3,
                "Det.thresh": 0.2,
                "Det.unclip_ratio": 1.8,
                "Rec.rec_batch_num": 1,
                "Rec.rec_img_shape": [3, CROP_HEIGHT, 96],
                "EngineConfig.onnxruntime.intra_op_num_threads": threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "EngineConfig.onnxruntime.enable_cpu_mem_arena": False,
            }
        )
        logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)

    def detect(self, picture: Pixels) -> Quads:
        """Corners of each run of text, shape (n, 4, 2), in the picture's pixels; n may be 0."""
        height, width = picture.shape[:2]
        ratio = min(1.0, (DETECT_AREA / (height * width)) ** 0.5, DETECT_SIDE / max(height, width))
        small = picture
        if ratio < 1.0:
            small = cv2.resize(picture, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA).astype(np.uint8)
        low = min(small.shape[:2])
        pad = max(0, 64 - low)
        if pad:
            small = cv2.copyMakeBorder(small, 0, pad, 0, pad, cv2.BORDER_REPLICATE).astype(np.uint8)
        found = self._detected(np.ascontiguousarray(small[:, :, ::-1]))
        return np.asarray(found / ratio, dtype=np.float32)

    def _detected(self, bgr: Pixels) -> Quads:
        detector = self._engine._load_det_model()
        boxes = detector(bgr).boxes
        if boxes is None:
            return np.zeros((0, 4, 2), np.float32)
        return np.asarray(boxes, dtype=np.float32)

    def recognise(self, crop: Pixels, *, squeeze: bool = True) -> Reading:
        """Reads the upright crop of a single line; a long one is squeezed first, which saves time."""
        height, width = crop.shape[:2]
        if height < 2 or width < 2:
            return Reading("", 0.0, ())
        wide = CROP_HEIGHT * width / height
        if wide <= LONG_CROP or (not squeeze and wide <= LONGEST_CROP):
            return self._run(crop)
        target = min(wide * SQUEEZE, LONGEST_CROP)
        squeezed = cv2.resize(crop, (int(target * height / CROP_HEIGHT), height), interpolation=cv2.INTER_AREA).astype(
            np.uint8
        )
        reading = self._run(squeezed)
        if reading.score >= 0.93 and _mostly_cjk(reading.text):
            return reading
        # Narrow letters and runs of one digit collapse when squeezed: those lines are read again at full width.
        again = self._run(crop)
        better = again if again.score >= reading.score - 0.02 else reading
        return replace(better, reread=True)

    def _run(self, crop: Pixels) -> Reading:
        result = self._engine.recognize_txt([np.ascontiguousarray(crop[:, :, ::-1])])
        text, score, words = str(result.txts[0]), float(result.scores[0]), result.word_results[0]
        columns = [column for part in (words.word_cols or ()) for column in part] if words is not None else []
        length = float(words.line_txt_len) if words is not None and words.line_txt_len else 1.0
        return Reading(text, score, _centres(text, columns, length))


def _mostly_cjk(text: str) -> bool:
    wide = sum("\u4e00" <= char <= "\u9fff" for char in text)
    return wide * 10 >= len(text) * 6


def _centres(text: str, columns: Sequence[int], length: float) -> tuple[float, ...]:
    """The share of the width for each character; spaces, which the decoder gives no place, stand between theirs."""
    inked = [index for index, char in enumerate(text) if not char.isspace()]
    if len(inked) != len(columns):
        count = max(len(text), 1)
        return tuple((index + 0.5) / count for index in range(len(text)))
    if not inked:
        return tuple(0.5 for _ in text)
    known = [(column + 0.5) / length for column in columns]
    return tuple(float(x) for x in np.interp(np.arange(len(text)), inked, known))
