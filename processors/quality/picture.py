"""What is measured on the whole picture, once for all of its faces."""

from dataclasses import dataclass

import cv2
import numpy as np

from models.store import ModelStore
from processors.arrays import blob, cropped, fitted, resized, rows, scaled
from processors.quality.curves import clipped, falling
from processors.quality.face import covered, eroded, to_canonical
from processors.quality.light import gradient, luminance
from processors.types import Floats, Image, Pyramid

WATERMARK_SIDE = 448
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
    """Probability, 0..1, that there is one somewhere on the picture."""

    probability: float


@dataclass(frozen=True, slots=True)
class People:
    """(256, 256) float32 over the whole picture, which it is squeezed to: the probability of a person, 0..1."""

    probabilities: Floats


class WatermarkDetector:
    def __init__(self, models: ModelStore) -> None:
        self._session = models.session("watermark_448")

    def __call__(self, pyramid: Pyramid) -> Watermark:
        outputs = self._session.run({"input": rows(squared(pyramid), mean=127.5, scale=1 / 127.5)})
        return Watermark(float(outputs["watermark"].item()))


def squared(pyramid: Pyramid) -> Image:
    """Scaled to a longer side of 448 and mirrored on the right or below, to a square."""
    picture = fitted(pyramid, WATERMARK_SIDE)
    below, right = WATERMARK_SIDE - picture.shape[0], WATERMARK_SIDE - picture.shape[1]
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
