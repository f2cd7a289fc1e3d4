"""Finds faces with YuNet (Wu, Peng and Yu 2023, as OpenCV Zoo's 2023mar)."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from configs.section import Section
from models.manifest import ModelName
from models.session import Session
from models.store import ModelStore
from processors.arrays import blob, fitted, padded
from processors.boxes import nms
from processors.types import Box, Confidence, FivePoints, Floats, Image, Label, Object, Pyramid, Sample

STRIDES = (8, 16, 32)
INPUT_SIDE = 640
CLOSE_UP_SIDE = 320
LONGEST_SIDE = 2048
FOUND_HEIGHT = 16  # px in the network's input at which YuNet finds 4 of 5 faces (24 px: 19 of 20)
# Heights in px of their own inputs that each of two looks answers for; they meet for every input up to LONGEST_SIDE.
TALLEST_FAR = 400
LOWEST_CLOSE_UP = 32

Candidates = tuple[Floats, Floats, Floats]
"""Boxes (n, 4), scores (n,), five points (n, 5, 2)."""
NO_CANDIDATES: Candidates = np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2))


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
        height, width = pyramid.image.shape[:2]
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
        boxes, scores, points = candidates(self._session, padded(picture, STRIDES[-1]), self._settings.score_threshold)
        scale = np.array([width / picture.shape[1], height / picture.shape[0]])
        return boxes * np.tile(scale, 2), scores, points * scale


def candidates(session: Session, picture: Image, threshold: float) -> Candidates:
    """Those above the threshold, in pixels of a picture whose sides are multiples of the largest stride."""
    outputs = session.run({"input": blob(picture)})
    least = _logit(threshold**2)
    found = [_decode(outputs[f"cells_{stride}"][0], stride, threshold, least) for stride in STRIDES]
    boxes, scores, points = (np.concatenate(part) for part in zip(*found, strict=True))
    return boxes, scores, points


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


def _decode(grid: npt.NDArray[np.float32], stride: int, threshold: float, least: float) -> Candidates:
    """The candidates above the threshold of one stride's grid (rows, columns, 16), in pixels of the network's input.

    Each cell predicts the logits of class and objectness (the geometric mean of their probabilities is the score), a
    box as offset of its centre and logarithm of its size, and five points as offsets, all in units of the stride from
    the cell's upper left corner. Cells whose class has a logit above `least` are read: a few of thousands.
    """
    rows, columns = np.nonzero(grid[..., 0] > least)  # objectness can only lower the score
    if not len(rows):
        return NO_CANDIDATES
    cells = grid[rows, columns].astype(np.float64)
    scores = np.sqrt(1 / (1 + np.exp(-cells[:, :2]))).prod(axis=1)
    kept = scores > threshold
    cells, scores = cells[kept], scores[kept]
    corner = np.stack([columns[kept], rows[kept]], axis=1).astype(np.float64)
    centre = corner + cells[:, 2:4]
    half = np.exp(cells[:, 4:6]) / 2
    boxes = np.concatenate([centre - half, centre + half], axis=1) * stride
    return boxes, scores, (corner[:, None] + cells[:, 6:].reshape(-1, 5, 2)) * stride


def _logit(probability: float) -> float:
    with np.errstate(divide="ignore"):  # of 0 and 1: there is no limit, and none is above it
        return float(np.log(probability) - np.log1p(-probability))
