"""Pure functions over pictures and points."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from processors.types import Floats, Image


def resized(image: Image, width: int, height: int) -> Image:
    """Shrinks by area (no aliasing), enlarges bilinearly."""
    shrinks = width <= image.shape[1] and height <= image.shape[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=interpolation)  # type: ignore[return-value]


def fitted(image: Image, side: int) -> Image:
    """Scaled, up as well as down, to a long side of `side`; no side shorter than a pixel."""
    height, width = image.shape[:2]
    scale = side / max(width, height)
    return resized(image, max(round(width * scale), 1), max(round(height * scale), 1))


def padded(image: Image, multiple: int) -> Image:
    """Black on the right and below, up to the next multiple of `multiple`."""
    below, right = -image.shape[0] % multiple, -image.shape[1] % multiple
    if not (below or right):
        return image
    return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT)  # type: ignore[return-value]


def blob(
    image: Image, *, mean: Sequence[float] = (0.0, 0.0, 0.0), scale: float | Sequence[float] = 1.0, rgb: bool = False
) -> npt.NDArray[np.float32]:
    """(1, 3, h, w) float32 of a BGR picture: less `mean`, times `scale`; in RGB order, as both then are, if asked."""
    planes = np.empty((3, *image.shape[:2]), np.float32)
    channels = cv2.split(image)  # by planes: half the time of cv2.dnn.blobFromImage
    for plane, channel in zip(planes, reversed(channels) if rgb else channels, strict=True):
        plane[...] = channel
    if any(mean):
        planes -= np.array(mean, np.float32)[:, None, None]
    if scale != 1.0:
        planes *= np.array(scale, np.float32).reshape(-1, 1, 1)
    return planes[None]


def crop_matrix(centre: Floats, side: float, angle: float, size: int) -> Floats:
    """(2, 3) affine matrix from pixels of a `size` x `size` crop to pixels of the picture.

    The crop is the square of `side` about `centre`, turned so that a line at `angle` (radians, clockwise as seen) is
    level in it.
    """
    scale = side / size
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([turn, centre - turn @ (size / 2, size / 2)])


def cropped(image: Image, matrix: Floats, size: int) -> Image:
    """The `size` x `size` crop of crop_matrix(); outside the picture its border is repeated."""
    return cv2.warpAffine(  # type: ignore[return-value]
        image, matrix, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )


def angle_of(a_xy: Floats, b_xy: Floats) -> float:
    """Direction from a to b in radians, clockwise as seen (y is down)."""
    dx, dy = b_xy - a_xy
    return float(np.arctan2(dy, dx))


def smoothly_cropped(image: Image, matrix: Floats, size: int, *, replicate: bool = False) -> Image:
    """As cropped(), but what is shrunk to less than half is shrunk by area first, so that nothing aliases.

    Outside the picture it is black, or the border repeated.
    """
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))  # pixels of the picture in one of the crop
    if scale > 2:
        image, matrix = _shrunk(image, matrix, size, 1.5 / scale)
    return cv2.warpAffine(  # type: ignore[return-value]
        image,
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT,
    )


def _shrunk(image: Image, matrix: Floats, size: int, factor: float) -> tuple[Image, Floats]:
    """The part of the picture that the crop shows, shrunk by `factor`, and the crop's matrix in it."""
    height, width = image.shape[:2]
    corners = np.array([(0, 0), (size, 0), (0, size), (size, size)]) @ matrix[:, :2].T + matrix[:, 2]
    margin = 2 / factor
    left, top = np.clip(np.floor(corners.min(axis=0) - margin), 0, (width - 1, height - 1)).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=0) + margin), (left + 1, top + 1), (width, height)).astype(int)
    part = image[top:bottom, left:right]
    columns, rows = (max(round(length * factor), 1) for length in (right - left, bottom - top))
    scale = np.array([columns / (right - left), rows / (bottom - top)])
    moved = np.column_stack([matrix[:, :2], matrix[:, 2] - (left, top)])
    shrunk = moved * scale[:, None]
    shrunk[:, 2] += scale / 2 - 0.5  # the centre of the first pixel of both is half a pixel from the border
    return resized(part, columns, rows), shrunk


def similarity(from_xy: Floats, to_xy: Floats) -> Floats:
    """(2, 3) matrix of the turn, scale and shift that takes points (n, 2) nearest to others, by least squares."""
    from_mean, to_mean = from_xy.mean(axis=0), to_xy.mean(axis=0)
    (x, y), (u, v) = (from_xy - from_mean).T, (to_xy - to_mean).T
    cos, sin = np.array([x @ u + y @ v, x @ v - y @ u]) / (x @ x + y @ y)
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([turn, to_mean - turn @ from_mean])


def levelled_square(points_xy: Floats, angle: float, scale: float) -> tuple[Floats, float]:
    """Centre and side of the square about the points' bounding box, `scale` times as large, turned level by `angle`."""
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])  # from the level frame to the picture
    level = points_xy @ turn
    low, high = level.min(axis=0), level.max(axis=0)
    return turn @ ((low + high) / 2), float((high - low).max() * scale)
