"""Finds faces with YuNet (Wu, Peng and Yu 2023, as OpenCV Zoo's 2023mar)."""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from configs.section import Section
from models.manifest import ModelName
from models.session import Session
from models.store import ModelStore
from processors.arrays import blob, fitted
from processors.boxes import nms
from processors.types import Box, Confidence, FivePoints, Floats, Image, Label, Object, Pyramid, Sample

STRIDES = (8, 16, 32)
OBJECTNESS = 1  # of a cell's numbers
INPUT_SIDE = 640
CLOSE_UP_SIDE = 320
LONGEST_SIDE = 2048
FOUND_HEIGHT = 16  # px in the network's input at which YuNet finds 4 of 5 faces (24 px: 19 of 20)
# Heights in px of their own inputs that each of two looks answers for; they meet for every input up to LONGEST_SIDE.
TALLEST_FAR = 400
LOWEST_CLOSE_UP = 32

Candidates = tuple[Floats, Floats, Floats]
"""Boxes (n, 4), scores (n,), five points (n, 5, 2)."""


class FaceDetectorSettings(Section):
    model: ModelName = Field(
        "yunet_2023mar_dyn", description="The detection model: a name that `visaged models` lists."
    )
    smallest_face: float | None = Field(
        None,
        gt=0,
        description="Height in pixels of the smallest face to find. The network's input grows with the picture for "
        f"it, up to a long side of {LONGEST_SIDE} pixels; a larger input takes more time. null: a fixed "
        f"long side of {INPUT_SIDE} pixels, which finds faces from 1/{INPUT_SIDE // FOUND_HEIGHT} of the "
        "picture's long side.",
    )
    close_ups: bool = Field(
        True,
        description="Run the detector a second time, on the picture shrunk to a long side of "
        f"{CLOSE_UP_SIDE} pixels. This finds faces that fill the picture, above all masked ones. It costs "
        f"a quarter of the time of the run at {INPUT_SIDE}. false: these faces are missed.",
    )
    score_threshold: float = Field(
        0.6,
        ge=0,
        le=1,
        description="Confidence, 0 to 1. Faces with a lower one are left out. A lower threshold finds more faces, and "
        "takes more other things for faces.",
    )
    nms_threshold: float = Field(
        0.3,
        ge=0,
        le=1,
        description="IoU, 0 to 1: what two boxes share, divided by what they cover together. Of two boxes with a "
        "higher one only the better stays. With less, one of two faces close together may be lost; with more, a face "
        "may be found twice.",
    )


class FaceDetector:
    """Replaces the faces of each sample by those it finds, by descending confidence, with their five points."""

    applies_to: ClassVar[Label] = "face"
    needs: ClassVar[frozenset[type]] = frozenset()
    makes: ClassVar[frozenset[type]] = frozenset({Box, Confidence, FivePoints})
    Settings: ClassVar = FaceDetectorSettings

    def __init__(self, settings: FaceDetectorSettings, models: ModelStore) -> None:
        self._settings = settings
        self._session = models.session(settings.model)

    def __call__(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            others = [obj for obj in sample.objects if obj.label != "face"]
            sample.objects = self.detect(sample.frame.pyramid) + others

    def detect(self, pyramid: Pyramid) -> list[Object]:
        """The faces of one picture of any size and shape."""
        width, height = pyramid.size()
        side = input_side(max(width, height), self._settings.smallest_face)
        looks = [self._look(fitted(pyramid, side), width, height)]
        if self._settings.close_ups and side > CLOSE_UP_SIDE:
            long_side = max(width, height)
            close = self._look(fitted(pyramid, CLOSE_UP_SIDE), width, height)
            looks = [
                _of_height(looks[0], high=TALLEST_FAR * long_side / side),
                _of_height(close, low=LOWEST_CLOSE_UP * long_side / CLOSE_UP_SIDE),
            ]
        boxes, scores, points = (np.concatenate(part) for part in zip(*looks, strict=True))
        faces = []
        for i in nms(boxes, scores, self._settings.nms_threshold):
            face = Object("face", boxes[i])
            face.put(Confidence(float(scores[i])))
            face.put(FivePoints(points[i]))
            faces.append(face)
        return faces

    def _look(self, picture: Image, width: int, height: int) -> Candidates:
        """The faces of one look, in pixels of a frame of `width` x `height`."""
        boxes, scores, points = candidates(self._session, picture, self._settings.score_threshold)
        across, down = width / picture.shape[1], height / picture.shape[0]
        return boxes * (across, down, across, down), scores, points * (across, down)


def candidates(session: Session, picture: Image, threshold: float) -> Candidates:
    """Those above the threshold, in pixels of the picture.

    Each cell of a stride's grid (rows, columns, 16) predicts the logits of class and objectness (the geometric mean of
    their probabilities is the score), a box as offset of its centre and logarithm of its size, and five points as
    offsets, all in units of the stride from the cell's upper left corner.
    """
    outputs = session.run({"input": blob(picture, multiple=STRIDES[-1])})
    # Objectness tells faces from the rest, a few cells of thousands; the class, of which there is one, is sure of all.
    least = _logit(threshold**2)
    cells, corners, strides = [], [], []
    for stride in STRIDES:
        grid = outputs[f"cells_{stride}"][0]
        there = np.flatnonzero(grid[..., OBJECTNESS] > least)
        rows, columns = np.divmod(there, grid.shape[1])
        cells.append(grid.reshape(-1, grid.shape[2])[there])
        corners.append(np.stack([columns, rows], axis=1))
        strides.append(np.full((len(there), 1), stride))
    return _decoded(np.concatenate(cells), np.concatenate(corners), np.concatenate(strides), threshold)


def _of_height(found: Candidates, low: float = 0.0, high: float = np.inf) -> Candidates:
    """Those of heights in [low, high): beyond them a look takes parts for faces, and its boxes fit less well."""
    boxes, scores, points = found
    heights = boxes[:, 3] - boxes[:, 1]
    kept = (low <= heights) & (heights < high)
    return boxes[kept], scores[kept], points[kept]


def input_side(long_side: int, smallest_face: float | None) -> int:
    """The long side of the network's input for a picture of this long side."""
    if smallest_face is None:
        return INPUT_SIDE
    return int(np.clip(round(long_side * FOUND_HEIGHT / smallest_face), CLOSE_UP_SIDE, LONGEST_SIDE))


def _decoded(
    cells: npt.NDArray[np.float32], corners: npt.NDArray[np.intp], strides: npt.NDArray[np.intp], threshold: float
) -> Candidates:
    """Cells (n, 16) at corners (n, 2) of grids whose strides (n, 1) are these; those above the threshold."""
    cells = cells.astype(np.float64)
    scores = np.sqrt(1 / (1 + np.exp(-cells[:, :2]))).prod(axis=1)
    kept = scores > threshold
    cells, corners, strides = cells[kept], corners[kept], strides[kept]
    centres, halves = corners + cells[:, 2:4], np.exp(cells[:, 4:6]) / 2
    boxes: Floats = np.concatenate([centres - halves, centres + halves], axis=1) * strides
    points: Floats = (corners[:, None] + cells[:, 6:].reshape(-1, 5, 2)) * strides[:, None]
    return boxes, scores[kept], points


def _logit(probability: float) -> float:
    if not 0 < probability < 1:
        return math.copysign(math.inf, probability - 0.5)
    return math.log(probability) - math.log1p(-probability)
