"""What is measured on the picture about a face, in one pass for all of its faces."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from models.store import ModelStore
from processors.arrays import blob, cropped, resized, rows, scaled
from processors.boxes import clipped as clipped_box
from processors.boxes import square
from processors.quality.curves import clipped, falling
from processors.quality.face import covered, eroded, to_canonical
from processors.quality.light import gradient, luminance
from processors.types import Floats, Image, Pyramid

WATERMARK_SIDE = 448
WATERMARK_CELL = 16
PORTRAIT = 3.0
"""Side of the portrait about a face, over the longer side of its box: a head with the shoulders."""
PERSON_SIDE = 256

BACKGROUND_CROP = (62, 492, 508)
"""Left, width and height of what is looked at of the canonical face; its top is at 0."""
BACKGROUND_SIZE = (354, 292)
"""Width and height that this is scaled to."""
PERSON = 0.3
EROSION = 9
FEWEST_PIXELS = 500


@dataclass(frozen=True, slots=True)
class Watermark:
    """Probability, 0..1, that there is one on the portrait about a face."""

    probability: float


@dataclass(frozen=True, slots=True)
class People:
    """(256, 256) float32 over the whole picture, which it is squeezed to: the probability of a person, 0..1."""

    probabilities: Floats


class WatermarkDetector:
    """Looks at the portraits about faces alone: what is written elsewhere in a scene is no watermark of theirs."""

    def __init__(self, models: ModelStore) -> None:
        self._session = models.session("watermark_448")

    def __call__(self, pyramid: Pyramid, boxes_xyxy: Sequence[Floats]) -> list[Watermark]:
        """Of each face's box, in one pass over the part of the picture that holds all of their portraits.

        The more of the picture this is, the coarser the look: marks on faces far apart may be too small to be found.
        """
        portraits = np.array([portrait(box, *pyramid.size()) for box in boxes_xyxy])
        view = np.concatenate([portraits[:, :2].min(axis=0), portraits[:, 2:].max(axis=0)])
        picture = rows(squared(pyramid, view), mean=127.5, scale=1 / 127.5)
        cells = self._session.run({"input": picture})["cells"][0, 0]
        return [Watermark(largest(cells, within(each, view))) for each in portraits]


def portrait(box_xyxy: Floats, width: int, height: int) -> Floats:
    """The square of three face sizes about a box, as far as the picture has it; x1, y1, x2, y2, whole pixels."""
    centre, side = square(box_xyxy, PORTRAIT)
    x1, y1, x2, y2 = clipped_box(np.concatenate([centre - side / 2, centre + side / 2]), width, height)
    return np.array([math.floor(x1), math.floor(y1), math.ceil(x2), math.ceil(y2)], np.float64)


def within(portrait_xyxy: Floats, view_xyxy: Floats) -> Floats:
    """A portrait's place on what squared() makes of a view."""
    scale = WATERMARK_SIDE / float(np.max(view_xyxy[2:] - view_xyxy[:2]))
    return (portrait_xyxy - np.tile(view_xyxy[:2], 2)) * scale


def largest(cells: Floats, part_xyxy: Floats) -> float:
    """Of the (28, 28) cells' values the largest of those that a part of the square touches."""
    x1, y1 = (int(low) for low in part_xyxy[:2] / WATERMARK_CELL)
    x2, y2 = (math.ceil(high) for high in part_xyxy[2:] / WATERMARK_CELL)
    return float(cells[min(y1, y2 - 1) : y2, min(x1, x2 - 1) : x2].max())


def squared(pyramid: Pyramid, view_xyxy: Floats) -> Image:
    """A view scaled to a longer side of 448 and mirrored on the right or below, to a square.

    On whole pixels, as thin letters are lost between them.
    """
    lengths = view_xyxy[2:] - view_xyxy[:2]
    shrinks = float(lengths.max()) / WATERMARK_SIDE
    width, height = np.maximum(np.rint(lengths / shrinks), 1).astype(int).tolist()
    halvings = pyramid.halvings(shrinks)
    most_columns, most_rows = pyramid.size(halvings)
    x1, y1, x2, y2 = (int(edge) >> halvings for edge in view_xyxy)
    left, top = min(x1, most_columns - 1), min(y1, most_rows - 1)
    part = pyramid.cut(halvings, slice(top, max(y2, top + 1)), slice(left, max(x2, left + 1)))
    picture = cv2.resize(part, (width, height))  # an eighth of the time of doing it by area
    below, right = WATERMARK_SIDE - height, WATERMARK_SIDE - width
    return cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REFLECT_101)  # type: ignore[return-value]


class PersonSegmenter:
    def __init__(self, models: ModelStore) -> None:
        self._session = models.session("selfie_seg_256")

    def __call__(self, pyramid: Pyramid) -> People:
        picture = resized(pyramid, PERSON_SIDE, PERSON_SIDE)
        return People(self._session.run({"input": blob(picture, scale=1 / 255, rgb=True)})["person"][0, 0])


def background_gradient(pyramid: Pyramid, points_xy: Floats, people: People) -> float | None:
    """ISO/IEC 29794-5 BackgroundUniformity: the mean gradient of what surrounds the person on the canonical face.

    None where too little of it is to be seen.
    """
    to_picture = _to_picture(points_xy)
    shape = BACKGROUND_SIZE[1], BACKGROUND_SIZE[0]
    width, height = pyramid.size()
    surroundings = cropped(pyramid, to_picture, shape[1], height=shape[0])
    nobody = _sampled(people, to_picture, (width, height)) < PERSON
    background = eroded(nobody & covered(to_picture, shape, (width, height)), EROSION)
    if np.count_nonzero(background) < FEWEST_PIXELS:
        return None
    return gradient(luminance(surroundings), background)


def uniformity(gradient: float | None) -> float:
    """0..1; None, where it can't be judged, is not held against the face."""
    return 1.0 if gradient is None else clipped(1.9 * falling(gradient, 10, 100))


def _to_picture(points_xy: Floats) -> Floats:
    """(2, 3) matrix from pixels of the background's crop of the canonical face to pixels of the picture."""
    scale = np.array([BACKGROUND_CROP[1] / BACKGROUND_SIZE[0], BACKGROUND_CROP[2] / BACKGROUND_SIZE[1]])
    shift = (scale - 1) / 2 + (BACKGROUND_CROP[0], 0)  # the first pixels' centres are half a pixel from the border
    to_face = cv2.invertAffineTransform(to_canonical(points_xy))
    return np.column_stack([to_face[:, :2] * scale, to_face[:, :2] @ shift + to_face[:, 2]])


def _sampled(people: People, to_picture: Floats, size: tuple[int, int]) -> Floats:
    """The probabilities on the crop, without making them as large as the picture first."""
    scale = PERSON_SIDE / np.array(size)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(  # type: ignore[return-value]
        people.probabilities,
        scaled(to_picture, scale),
        BACKGROUND_SIZE,
        flags=flags,
        borderMode=cv2.BORDER_REPLICATE,
    )
