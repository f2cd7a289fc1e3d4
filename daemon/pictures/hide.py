"""Hides people on pictures before they leave the daemon.

Whatever makes a picture of a frame that leaves asks this module for its pixels: documents, events and the history for
crops, snapshots and video for what is shown, `process` for drawings. What is to be hidden is a result of the frame's
sample; where nobody has said it, MissingResult is raised, and nothing leaves.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from processors.boxes import clipped, square
from processors.types import Floats, Frame, Image, Sample

GROWN: Final = 1.5
"""Of a box's width and height: with the hair, the ears and the chin, and what a box may be beside its face."""
GREY: Final = 96
"""No mosaic: of 711 faces in 8 cells our detector found 423 again, of 843 in 2 cells still 6; of filled ones none."""
CROP_SCALE: Final = 1.5
"""Of a crop, to a box's longer side: with the hair and the chin."""


@dataclass(frozen=True, slots=True)
class Hiding:
    """Of a frame: what is hidden on every picture of it that leaves. A result of the whole picture."""

    boxes_xyxy: Floats
    """(n, 4), pixels of the frame, as they were found."""
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
    return _hidden(image, sample[Hiding].boxes_xyxy * _scale(sample.frame, image))


def public_crop(sample: Sample, box_xyxy: Floats) -> Image | None:
    """The part of the picture about a box, as far as there is one; None: it may not leave. Raises MissingResult."""
    hiding, image = sample[Hiding], sample.frame.image
    if hiding.withheld is not None:
        return None
    centre, side = square(box_xyxy, CROP_SCALE)
    about = np.concatenate([centre - side / 2, centre + side / 2])
    left, top, right, bottom = clipped(about, image.shape[1], image.shape[0]).round().astype(int)
    return _hidden(image[top:bottom, left:right], hiding.boxes_xyxy - np.array([left, top, left, top]))


def _scale(frame: Frame, image: Image) -> Floats:
    """(4,) From pixels of the frame to those of its picture in another size."""
    return np.tile([image.shape[1] / frame.width, image.shape[0] / frame.height], 2)


def _hidden(image: Image, boxes_xyxy: Floats) -> Image:
    if not len(boxes_xyxy):
        return image
    image = image.copy()
    for box in boxes_xyxy:
        _hide(image, _grown(box))
    return image


def _grown(box_xyxy: Floats) -> Floats:
    centre, half = (box_xyxy[:2] + box_xyxy[2:]) / 2, (box_xyxy[2:] - box_xyxy[:2]) * GROWN / 2
    return np.concatenate([centre - half, centre + half])


def _hide(image: Image, box_xyxy: Floats) -> None:
    """Every pixel that the box touches, within the picture."""
    height, width = image.shape[:2]
    left, top = (max(math.floor(low), 0) for low in box_xyxy[:2])
    right, bottom = (min(math.ceil(high), most) for high, most in zip(box_xyxy[2:], (width, height), strict=True))
    image[top : max(bottom, 0), left : max(right, 0)] = GREY
