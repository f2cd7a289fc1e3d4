"""Pure functions over pictures and points."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from processors.types import Floats, Image

SMALL_CROP = 64
"""Up to this size shrinking by area costs little."""


def resized(image: Image, width: int, height: int) -> Image:
    """Shrinks by area (no aliasing), enlarges bilinearly.

    What is shrunk to half or less is halved, and the rest of it done bilinearly, in a seventh of the time.
    """
    small = halved(image, width, height)
    shrinks = width <= image.shape[1] and height <= image.shape[0]
    interpolation = cv2.INTER_AREA if shrinks and small is image else cv2.INTER_LINEAR
    return cv2.resize(small, (width, height), interpolation=interpolation)  # type: ignore[return-value]


def halved(image: Image, width: int, height: int) -> Image:
    """Halved as often as no side gets shorter than these."""
    while image.shape[1] >= 2 * width and image.shape[0] >= 2 * height:
        image = _half(image)
    return image


def _half(image: Image) -> Image:
    """By area, in a tenth of the time of other factors.

    An odd last row or column is left out: all told, this moves nothing by a pixel of what is made of the halves.
    """
    rows, columns = image.shape[0] // 2, image.shape[1] // 2
    whole = image[: 2 * rows, : 2 * columns]
    return cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


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
        image, matrix = _shrunk(image, matrix, size, scale)
    return cv2.warpAffine(  # type: ignore[return-value]
        image,
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT,
    )


def _shrunk(image: Image, matrix: Floats, size: int, scale: float) -> tuple[Image, Floats]:
    """The part of the picture that the crop shows, shrunk to at most two pixels for one, and the crop's matrix in it.

    By halves; for small crops to 1.5, where this costs little: gender-v1, of 32 pixels, errs less so.
    """
    height, width = image.shape[:2]
    corners = np.array([(0, 0), (size, 0), (0, size), (size, size)]) @ matrix[:, :2].T + matrix[:, 2]
    margin = 2 * scale
    left, top = np.clip(np.floor(corners.min(axis=0) - margin), 0, (width - 1, height - 1)).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=0) + margin), (left + 1, top + 1), (width, height)).astype(int)
    part, matrix = image[top:bottom, left:right], matrix - [[0, 0, left], [0, 0, top]]
    while scale > (4 if size <= SMALL_CROP else 2) and min(part.shape[:2]) > 1:
        part, matrix, scale = _half(part), _scaled(matrix, np.array([0.5, 0.5])), scale / 2
    if scale > 2:
        length = np.array(part.shape[1::-1])
        columns, rows = np.maximum(np.rint(length * 1.5 / scale), 1).astype(int)
        part = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        matrix = _scaled(matrix, (columns, rows) / length)
    return part, matrix


def _scaled(matrix: Floats, factors: Floats) -> Floats:
    """A crop's matrix in the picture scaled by these, across and down."""
    scaled = matrix * factors[:, None]
    scaled[:, 2] += factors / 2 - 0.5  # the centre of the first pixel of both is half a pixel from the border
    return scaled


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
