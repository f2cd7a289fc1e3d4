"""Hides people on pictures before they leave the daemon.

Whatever makes a picture of a frame that leaves asks this module for its pixels: documents, events and the history for
crops, snapshots and video for what is shown, `process` for drawings. What is to be hidden is a result of the frame's
sample; where nobody has said it, MissingResult is raised, and nothing leaves.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np

from processors.boxes import clipped, square
from processors.types import Floats, Frame, Image, Sample

Style = Literal["fill", "mosaic"]

GROWN: Final = 1.5
"""Of a box's width and height: with the hair, the ears and the chin, and what a box may be beside its face."""
MOST_CELLS: Final = 8
"""Of a mosaic, side by side; each is one colour."""
GREY: Final = 96
CROP_SCALE: Final = 1.5
"""Of a crop, to a box's longer side: with the hair and the chin."""


@dataclass(frozen=True, slots=True)
class Hiding:
    """Of a frame: what is hidden on every picture of it that leaves. A result of the whole picture."""

    boxes_xyxy: Floats
    """(n, 4), pixels of the frame, as they were found."""
    style: Style = "fill"
    withheld: str | None = None
    """Why no picture of the frame may leave; None: it may."""


NOTHING: Final = Hiding(np.zeros((0, 4)))


def may_leave(sample: Sample) -> bool:
    return sample[Hiding].withheld is None


def public(sample: Sample, image: Image | None = None) -> Image:
    """The sample's picture as it may leave; where anything is hidden, a copy. The caller has asked may_leave().

    `image`: the picture in any size; None: as the frame has it. Raises MissingResult.
    """
    image = sample.frame.image if image is None else image
    return _hidden(image, sample[Hiding], _scale(sample.frame, image))


def public_crop(sample: Sample, box_xyxy: Floats) -> Image | None:
    """The part of the picture about a box, as far as there is one; None: it may not leave. Raises MissingResult."""
    hiding, image = sample[Hiding], sample.frame.image
    if hiding.withheld is not None:
        return None
    centre, side = square(box_xyxy, CROP_SCALE)
    about = np.concatenate([centre - side / 2, centre + side / 2])
    left, top, right, bottom = clipped(about, image.shape[1], image.shape[0]).round().astype(int)
    moved = Hiding(hiding.boxes_xyxy - np.array([left, top, left, top]), hiding.style)
    return _hidden(image[top:bottom, left:right], moved, np.ones(4))


def _scale(frame: Frame, image: Image) -> Floats:
    """(4,) From pixels of the frame to those of its picture in another size."""
    return np.tile([image.shape[1] / frame.width, image.shape[0] / frame.height], 2)


def _hidden(image: Image, hiding: Hiding, scale: Floats) -> Image:
    if not len(hiding.boxes_xyxy):
        return image
    image = image.copy()
    for box in hiding.boxes_xyxy * scale:
        _hide(image, _grown(box), hiding.style)
    return image


def _grown(box_xyxy: Floats) -> Floats:
    centre, half = (box_xyxy[:2] + box_xyxy[2:]) / 2, (box_xyxy[2:] - box_xyxy[:2]) * GROWN / 2
    return np.concatenate([centre - half, centre + half])


def _hide(image: Image, box_xyxy: Floats, style: Style) -> None:
    """Every pixel that the box touches, within the picture."""
    height, width = image.shape[:2]
    left, top = (max(math.floor(low), 0) for low in box_xyxy[:2])
    right, bottom = (min(math.ceil(high), most) for high, most in zip(box_xyxy[2:], (width, height), strict=True))
    part = image[top : max(bottom, 0), left : max(right, 0)]
    if part.size:
        part[:] = GREY if style == "fill" else _mosaic(part, float(box_xyxy[2] - box_xyxy[0]) / MOST_CELLS)


def _mosaic(part: Image, side: float) -> Image:
    """In cells of `side` pixels at least: of a box that is cut off there are fewer, no smaller ones."""
    height, width = part.shape[:2]
    cells = max(int(width / side), 1), max(int(height / side), 1)
    means = cv2.resize(part, cells, interpolation=cv2.INTER_AREA)
    return cv2.resize(means, (width, height), interpolation=cv2.INTER_NEAREST)  # type: ignore[return-value]
