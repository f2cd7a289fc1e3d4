"""Where a face's skin is, on the picture and on the canonical face that the measures of light are taken on."""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from processors.arrays import cropped, similarity
from processors.quality import light
from processors.quality.geometry import (
    BETWEEN_BROWS,
    CHIN,
    MOUTH,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    NOSE,
    SMALLEST,
    eye_centres,
    eyes_distance,
)
from processors.quality.light import Counts, Grey, Light, Region, grey, histogram, luminance
from processors.types import Floats, Image, Pyramid

JAW = (
    *(127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152),
    *(377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356),
)
LEFT_BROW, RIGHT_BROW = (70, 63, 105, 66, 107), (336, 296, 334, 293, 300)
LEFT_EYE_RING = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
RIGHT_EYE_RING = (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382)
LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
OUTLINE = [*JAW, *LEFT_BROW, *RIGHT_BROW]
UNDER_EYES = (226, 31, 228, 229, 230, 231, 232, 233, 453, 452, 451, 450, 449, 448, 261, 446)
ABOVE_A_MASK = [127, *LEFT_BROW, *RIGHT_BROW, 356, *UNDER_EYES]
NO_SKIN = (LEFT_BROW, RIGHT_BROW, LEFT_EYE_RING, RIGHT_EYE_RING, LIPS)

CANONICAL_SIDE = 616
CANONICAL = np.array([(251, 272), (364, 272), (308, 336), (262, 402), (355, 402)], np.float64)
"""Where ISO/IEC 29794-5 puts the eyes, the nose's tip and the mouth's corners in its canonical face, 616 x 616."""


class Cutout(NamedTuple):
    """The face cut from the picture, in grey; the mesh's points and the eyes' distance in it."""

    levels: Grey
    points_xy: Floats
    eyes_distance: float


@dataclass(frozen=True, slots=True)
class CanonicalFace:
    """The part of the canonical face that has the region in it, as far as the picture covers it."""

    image: Image
    luminance: Grey
    region: Region
    points_xy: Floats
    inside: Region
    """What the picture covers."""

    def light(self, masked: bool) -> Light:
        """`masked`: a mask covers nose and mouth. A white one is no flare."""
        luminances = histogram(self.luminance, self.region)
        greys = histogram(grey(self.image), self.region)
        return Light(
            dark=light.dark(luminances),
            bright=light.bright(luminances),
            mean_score=light.mean_score(luminances),
            entropy=light.entropy(luminances),
            dynamic_range=light.dynamic_range(greys),
            overlap=light.overlap(*self.cheeks()),
            balance=light.balance(self.luminance, *self.halves()),
            hot_spots=light.hot_spots(self.image, self.above_a_mask() if masked else self.region),
            veil=light.veil(greys),
            white=light.white(greys),
        )

    def above_a_mask(self) -> Region:
        """Of the region the brows, the eyes and what is just under them."""
        return (
            _filled(np.zeros(self.region.shape, np.uint8), self.points_xy[ABOVE_A_MASK], 1).view(np.bool_) & self.region
        )

    def cheeks(self) -> tuple[Counts, Counts]:
        """Luminances of two squares under the eyes, toward the nose; ISO/IEC 29794-5 IlluminationUniformity."""
        left, right = eye_centres(self.points_xy)
        mouth = self.points_xy[list(MOUTH)].mean(axis=0)
        side = int(0.3 * np.linalg.norm(right - left))
        down = int(np.linalg.norm(mouth - (left + right) / 2) / 2)
        (left_x, left_y), (right_x, right_y) = left, right
        return self._square(left_x, left_y + down, side), self._square(right_x - side, right_y + down, side)

    def _square(self, left: float, top: float, side: int) -> Counts:
        rows, columns = (slice(max(round(low), 0), max(round(low) + side, 0)) for low in (top, left))
        return np.bincount(self.luminance[rows, columns][self.inside[rows, columns]], minlength=256)

    def halves(self) -> tuple[Region, Region]:
        """The skin on either side of the line from between the brows to the chin."""
        top, chin = self.points_xy[[BETWEEN_BROWS, CHIN]]
        y, x = np.ogrid[: self.region.shape[0], : self.region.shape[1]]
        left = (x - top[0]) * (chin[1] - top[1]) < (y - top[1]) * (chin[0] - top[0])
        of_skin = skin(self.points_xy, self.region.shape) & self.inside
        return of_skin & left, of_skin & ~left


def to_canonical(points_xy: Floats) -> Floats:
    """(2, 3) matrix from the picture to the canonical face, by least squares over five points."""
    return similarity(np.vstack([eye_centres(points_xy), points_xy[[NOSE, MOUTH_LEFT, MOUTH_RIGHT]]]), CANONICAL)


def canonical_face(pyramid: Pyramid, points_xy: Floats) -> CanonicalFace:
    matrix = to_canonical(points_xy)
    points = points_xy @ matrix[:, :2].T + matrix[:, 2]
    low = np.clip(np.floor(points[OUTLINE].min(axis=0)), 0, CANONICAL_SIDE - 1)
    high = np.clip(np.ceil(points[OUTLINE].max(axis=0)) + 1, low + 1, CANONICAL_SIDE)
    matrix[:, 2] -= low
    side = int((high - low).max())
    to_picture = cv2.invertAffineTransform(matrix)
    face = cropped(pyramid, to_picture, side)  # type: ignore[arg-type]
    inside = covered(to_picture, (side, side), pyramid.size())  # type: ignore[arg-type]
    region = hull(points - low, (side, side)) & inside
    return CanonicalFace(face, luminance(face), region, points - low, inside)


def covered(to_picture: Floats, shape: tuple[int, int], size: tuple[int, int]) -> Region:
    """Which pixels of a crop (h, w) lie on the picture (width, height); `to_picture` is the crop's matrix."""
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])
    inside: Region = np.ones(shape, np.bool_)
    for (across, down, shift), length in zip(to_picture, size, strict=True):
        # Their sum is where a pixel lies, from the picture's middle.
        of_column = (columns * across).astype(np.float32)
        of_row = (rows * down + shift - (length - 1) / 2).astype(np.float32)
        if max(of_column.max() + of_row.max(), -of_column.min() - of_row.min()) >= length / 2:
            inside &= np.abs(of_column + of_row) < length / 2
    return inside


def hull(points_xy: Floats, shape: tuple[int, ...]) -> Region:
    """The region of ISO/IEC 29794-5: within jaw and brows, no forehead; (h, w)."""
    return _filled(np.zeros(shape, np.uint8), points_xy[OUTLINE], 1).view(np.bool_)


def skin(points_xy: Floats, shape: tuple[int, ...]) -> Region:
    """The region without eyes, brows and lips, and a pixel within its edges."""
    mask = hull(points_xy, shape).view(np.uint8)
    for ring in NO_SKIN:
        _filled(mask, points_xy[list(ring)], 0)
    return eroded(mask, 3)


def eroded(mask: npt.NDArray[np.uint8] | Region, side: int) -> Region:
    return cv2.erode(mask.view(np.uint8), np.ones((side, side), np.uint8)).view(np.bool_)


def _filled(mask: npt.NDArray[np.uint8], points_xy: Floats, value: int) -> npt.NDArray[np.uint8]:
    # Coordinates far outside would overflow; a picture is never as large.
    corners = np.rint(points_xy).clip(-30_000, 30_000).astype(np.int32)
    cv2.fillConvexPoly(mask, cv2.convexHull(corners), value)
    return mask


def cutout(pyramid: Pyramid, points_xy: Floats, limit: float) -> Cutout | None:
    """The face at the picture's own resolution, or shrunk so that the eyes are `limit` pixels apart.

    None where it is not on the picture.
    """
    size = pyramid.size()
    left, top = np.floor(points_xy[OUTLINE].min(axis=0) - 2).clip(0, size).astype(int)
    right, bottom = np.ceil(points_xy[OUTLINE].max(axis=0) + 3).clip(0, size).astype(int)
    if right <= left or bottom <= top:
        return None
    distance = eyes_distance(points_xy)
    scale = min(1.0, limit / max(distance, SMALLEST))
    columns, rows = max(round((right - left) * scale), 1), max(round((bottom - top) * scale), 1)
    halvings = pyramid.halvings(min(1 / scale, right - left, bottom - top))
    across, along = (slice(low >> halvings, high >> halvings) for low, high in ((left, right), (top, bottom)))
    # By area to the end, also where arrays.resized() interpolates: sharpness is measured on it.
    levels = cv2.resize(grey(pyramid.cut(halvings, along, across)), (columns, rows), interpolation=cv2.INTER_AREA)
    origin = across.start << halvings, along.start << halvings
    return Cutout(levels, (points_xy - origin) * scale, distance * scale)  # type: ignore[arg-type]
