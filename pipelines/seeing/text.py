"""Reads the text in pictures, with the PP-OCR models inside the package rapidocr; nothing is downloaded."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import rapidocr
from PIL import Image
from rapidocr import LangDet, LangRec, ModelType, OCRVersion
from rapidocr.inference_engine.base import FileInfo, InferSession
from rapidocr.main import RapidOCR, RapidOCRError
from rapidocr.utils.typings import EngineType, TaskType

from pipelines.errors import ModelLoadError
from pipelines.images import Size
from pipelines.loading import EngineSettings
from pipelines.seeing.lines import Piece, in_lines
from pipelines.seeing.page import MIN_SIDE, Page, Pixels, Quad

_BATCH, _BATCH_RATIO = 6, 60
"""Pieces of text that are read at once: so many at most, and of so much width for their height together.

More is not faster on a CPU, and takes a gigabyte for the lines of a page."""
_MAX_LINE_RATIO = 100
"""Width for its height of what may be a line of text; wider is a rule."""
_DOUBTFUL = 0.85
"""Below this score a piece is read upside down too. (PP-OCR's classifier of directions turns right ones.)"""
_LETTER = 0.95
"""The score that a single letter must have: many round things look like one."""
_FOUND = 0.4
"""The share of the time that finding the text takes."""

Step: TypeAlias = Callable[[float], None]


class TextReader:
    """Finds and reads printed text in Latin and Chinese letters; threads may share it."""

    def __init__(self, engine: EngineSettings, min_score: float, max_side: int) -> None:
        """Load the models.

        Args:
            engine: the threads and the device.
            min_score: what is read with less certainty is left out.
            max_side: pixels of the longer side at which text is looked for.

        Raises:
            ModelLoadError: a model is missing or damaged.
        """
        cv2.setNumThreads(engine.threads)
        self._min_score = min_score
        self._max_side = max_side
        self._engine = RapidOCR(params=_settings(engine, max_side))
        # It loads each model at its first use.
        nothing = np.full((MIN_SIDE, MIN_SIDE, 3), 255, np.uint8)
        self._find(nothing)
        self._engine.recognize_txt([nothing])

    def read(self, image: Image.Image, size: Size, step: Step, most: int | None = None) -> list[list[Piece]]:
        """Read an RGB picture: its lines in reading order, each of them the pieces from left to right.

        Args:
            image: the picture.
            size: that of the picture whose pixels the boxes count.
            step: is told the progress, 0 to 1, between steps, and may raise.
            most: pieces that are read, from the top; None is all of them.
        """
        page = Page(image, size, self._max_side)
        quads, crops = self._find(page.pixels, most)
        step(_FOUND)
        readings = self._recognise(crops, lambda done: step(_FOUND + (1 - _FOUND) * done))
        turns = [int(_is_tall(quad)) for quad in quads]
        doubtful = [number for number, (_, score) in enumerate(readings) if score < _DOUBTFUL]
        again = self._recognise([np.rot90(crops[number], 2) for number in doubtful], lambda _: step(1.0))
        for number, reading in zip(doubtful, again, strict=True):
            if reading[1] > readings[number][1]:
                readings[number] = reading
                turns[number] += 2
        pieces = zip(quads, readings, turns, strict=True)
        return in_lines(
            page.piece(text.strip(), score, quad, turn)
            for quad, (text, score), turn in pieces
            if self._convinces(text.strip(), score)
        )

    def _find(self, pixels: Pixels, most: int | None = None) -> tuple[list[Quad], list[Pixels]]:
        """Give the corners of each piece from the top down, and its pixels laid level."""
        try:
            crops, found = self._engine.detect_and_crop(pixels, {})
        except RapidOCRError:  # there is no text
            return [], []
        assert found.boxes is not None
        pairs = zip(found.boxes, crops, strict=True)
        kept = [(quad, crop) for quad, crop in pairs if _ratio(crop) <= _MAX_LINE_RATIO][:most]
        return [quad for quad, _ in kept], [crop for _, crop in kept]

    def _recognise(self, crops: Sequence[Pixels], step: Step) -> list[tuple[str, float]]:
        """Read each crop; those of similar shape together, because a batch is as wide as its widest."""
        readings = [("", 0.0)] * len(crops)
        waiting = sorted(range(len(crops)), key=lambda number: _ratio(crops[number]))
        while waiting:
            widest = _ratio(crops[waiting[-1]])
            count = min(_BATCH, max(1, int(_BATCH_RATIO / widest)))
            batch, waiting = waiting[-count:], waiting[:-count]
            read = self._engine.recognize_txt([crops[number] for number in batch])
            for number, text, score in zip(batch, read.txts or (), read.scores or (), strict=True):
                readings[number] = (text, float(score))
            step(1 - len(waiting) / len(crops))
        return readings

    def _convinces(self, text: str, score: float) -> bool:
        return bool(text) and score >= (self._min_score if len(text) > 1 else _LETTER)


def _ratio(crop: Pixels) -> float:
    height, width, _ = crop.shape
    return float(width / height)


def _is_tall(quad: Quad) -> bool:
    """Tell whether rapidocr lays this piece on its side (`get_rotate_crop_image`)."""
    width = max(np.linalg.norm(quad[0] - quad[1]), np.linalg.norm(quad[2] - quad[3]))
    height = max(np.linalg.norm(quad[0] - quad[3]), np.linalg.norm(quad[1] - quad[2]))
    return int(height) / int(width) >= 1.5


def _settings(engine: EngineSettings, max_side: int) -> dict[str, Any]:
    onnxruntime = {
        "intra_op_num_threads": engine.threads,
        "inter_op_num_threads": 1,
        "use_cuda": engine.device == "cuda",
    }
    return {
        "Global.log_level": "critical",
        "Global.use_vertical_padding": False,  # `Page` sees to it, for both directions
        "Det.limit_type": "max",
        "Det.limit_side_len": max_side,
        # With its path a model is never downloaded.
        "Det.model_path": str(_model_file(TaskType.DET, LangDet.CH)),
        "Rec.model_path": str(_model_file(TaskType.REC, LangRec.CH)),
    } | {f"EngineConfig.onnxruntime.{name}": value for name, value in onnxruntime.items()}


def _model_file(task: TaskType, language: LangDet | LangRec) -> Path:
    """Give one of the models in the package, after comparing it with the digest that the package lists."""
    listed = InferSession.get_model_url(
        FileInfo(EngineType.ONNXRUNTIME, OCRVersion.PPOCRV6, task, language, ModelType.SMALL)
    )
    file = Path(rapidocr.__file__).parent / "models" / Path(listed["model_dir"]).name
    try:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelLoadError(f"{file} cannot be read ({error}). Install rapidocr anew.") from error
    if digest != listed["SHA256"]:
        raise ModelLoadError(f"{file} is damaged: its sha256 is {digest}. Install rapidocr anew.")
    return file
