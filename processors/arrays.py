"""Pure functions over pictures and points."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from processors.types import Floats, Image, Pyramid

MARGIN = 4
"""Pixels about what is shown that its interpolation may look at."""
SMALL_CROP = 32
"""Crops up to this size are shrunk by area to 1.5 pixels for one: gender-v1 errs less so, and it costs little."""


def resized(pyramid: Pyramid, width: int, height: int) -> Image:
    """Shrinks by area (no aliasing), enlarges bilinearly.

    What is shrunk to half or less is halved, and the rest of it done bilinearly, in a seventh of the time.
    """
    columns, rows = pyramid.size()
    halvings = pyramid.halvings(min(columns / width, rows / height))
    image = pyramid.level(halvings)
    if image.shape[:2] == (height, width):
        return image
    shrinks = width <= columns and height <= rows
    interpolation = cv2.INTER_AREA if shrinks and not halvings else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=interpolation)  # type: ignore[return-value]


def fitted(pyramid: Pyramid, side: int) -> Image:
    """Scaled, up as well as down, to a long side of `side`; no side shorter than a pixel."""
    width, height = pyramid.size()
    scale = side / max(width, height)
    return resized(pyramid, max(round(width * scale), 1), max(round(height * scale), 1))


def padded(image: Image, multiple: int) -> Image:
    """Black on the right and below, up to the next multiple of `multiple`."""
    below, right = -image.shape[0] % multiple, -image.shape[1] % multiple
    if not (below or right):
        return image
    return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT)  # type: ignore[return-value]


def blob(
    image: Image,
    *,
    mean: Sequence[float] = (0.0, 0.0, 0.0),
    scale: float | Sequence[float] = 1.0,
    rgb: bool = False,
    multiple: int = 1,
) -> npt.NDArray[np.float32]:
    """(1, 3, h, w) float32 of a BGR picture: less `mean`, times `scale`; in RGB order, as both then are, if asked.

    As padded() to the next `multiple`.
    """
    height, width = image.shape[:2]
    planes = np.empty((3, height + -height % multiple, width + -width % multiple), np.float32)
    planes[:, height:] = 0
    planes[:, :height, width:] = 0
    channels = cv2.split(image)  # by planes: half the time of cv2.dnn.blobFromImage
    for plane, channel in zip(planes, reversed(channels) if rgb else channels, strict=True):
        plane[:height, :width] = channel
    if any(mean):
        planes -= np.array(mean, np.float32)[:, None, None]
    if scale != 1.0:
        planes *= np.array(scale, np.float32).reshape(-1, 1, 1)
    return planes[None]


def rows(image: Image, *, mean: float = 0.0, scale: float = 1.0) -> npt.NDArray[np.float32]:
    """(1, h, w, 3) float32 in RGB order of a BGR picture: less `mean`, times `scale`."""
    pixels = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)[None].astype(np.float32)
    if mean:
        pixels -= np.float32(mean)
    if scale != 1.0:
        pixels *= np.float32(scale)
    return pixels


def crop_matrix(centre: Floats, side: float, angle: float, size: int) -> Floats:
    """(2, 3) affine matrix from pixels of a `size` x `size` crop to pixels of the picture.

    The crop is the square of `side` about `centre`, turned so that a line at `angle` (radians, clockwise as seen) is
    level in it.
    """
    scale, half = side / size, size / 2
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    x, y = centre.tolist()
    return np.array([(cos, -sin, x - (cos - sin) * half), (sin, cos, y - (sin + cos) * half)])


def cropped(
    pyramid: Pyramid, matrix: Floats, size: int, *, height: int | None = None, replicate: bool = False
) -> Image:
    """The `size` x `size` crop of crop_matrix(), from the halves that it shrinks to less than half: nothing aliases.

    Or only so many of its first rows. Outside the picture it is black, or the border repeated.
    """
    shrinks = math.hypot(matrix[0, 0], matrix[1, 0])
    by_area = shrinks >= 2 and size <= SMALL_CROP
    halvings = pyramid.halvings(shrinks / 2 if by_area else shrinks)
    matrix = scaled(matrix, 0.5**halvings)
    most_columns, most_rows = pyramid.size(halvings)
    columns, rows = _reach(matrix[0], size, most_columns), _reach(matrix[1], size, most_rows)
    image = pyramid.cut(halvings, rows, columns)
    matrix[:, 2] -= (columns.start, rows.start)
    if by_area:
        length = np.array(image.shape[1::-1])
        shrunk = np.maximum(np.rint(length * 1.5 * 2**halvings / shrinks), 1).astype(int)
        image = cv2.resize(image, shrunk, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        matrix = scaled(matrix, shrunk / length)
    return cv2.warpAffine(  # type: ignore[return-value]
        image,
        matrix,
        (size, size if height is None else height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT,
    )


def _reach(row: Floats, size: int, length: int) -> slice:
    """Which of `length` columns, or rows, a crop shows by this row of its matrix. One at least."""
    across, down, shift = row.tolist()
    low = shift + size * (min(across, 0.0) + min(down, 0.0)) - MARGIN
    high = shift + size * (max(across, 0.0) + max(down, 0.0)) + MARGIN
    start = int(min(max(low, 0.0), length - 1.0))
    return slice(start, int(min(max(high, start + 1.0), length)))


def scaled(matrix: Floats, factors: float | Floats) -> Floats:
    """A crop's matrix in the picture scaled by this, or by these across and down."""
    by_row = np.reshape(factors, (-1, 1))
    result: Floats = matrix * by_row
    result[:, 2:] += (by_row - 1) / 2  # the centre of the first pixel of both is half a pixel in
    return result


def angle_of(a_xy: Floats, b_xy: Floats) -> float:
    """Direction from a to b in radians, clockwise as seen (y is down)."""
    dx, dy = b_xy - a_xy
    return math.atan2(dy, dx)


def similarity(from_xy: Floats, to_xy: Floats) -> Floats:
    """(2, 3) matrix of the turn, scale and shift that takes points (n, 2) nearest to others, by least squares."""
    from_mean, to_mean = from_xy.mean(axis=0), to_xy.mean(axis=0)
    (x, y), (u, v) = (from_xy - from_mean).T, (to_xy - to_mean).T
    cos, sin = np.array([x @ u + y @ v, x @ v - y @ u]) / (x @ x + y @ y)
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([turn, to_mean - turn @ from_mean])


def levelled_square(points_xy: Floats, angle: float, scale: float) -> tuple[Floats, float]:
    """Centre and side of the square about the points' bounding box, `scale` times as large, turned level by `angle`."""
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = points_xy.T
    level = x * cos + y * sin, y * cos - x * sin
    (low_x, high_x), (low_y, high_y) = ((float(along.min()), float(along.max())) for along in level)
    middle_x, middle_y = (low_x + high_x) / 2, (low_y + high_y) / 2
    centre = np.array([middle_x * cos - middle_y * sin, middle_x * sin + middle_y * cos])
    return centre, max(high_x - low_x, high_y - low_y) * scale
