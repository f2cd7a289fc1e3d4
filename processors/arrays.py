"""Pure functions over pictures and points."""

import cv2
import numpy as np
import numpy.typing as npt

from processors.types import Floats, Image


def resized(image: Image, width: int, height: int) -> Image:
    """Shrinks by area (no aliasing), enlarges bilinearly."""
    shrinks = width <= image.shape[1] and height <= image.shape[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=interpolation)  # type: ignore[return-value]


def padded(image: Image, multiple: int) -> Image:
    """Black on the right and below, up to the next multiple of `multiple`."""
    below, right = -image.shape[0] % multiple, -image.shape[1] % multiple
    if not (below or right):
        return image
    return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT)  # type: ignore[return-value]


def blob(image: Image, *, scale: float = 1.0, rgb: bool = False) -> npt.NDArray[np.float32]:
    """(1, 3, h, w) float32 of a BGR picture: times `scale`, in RGB order where asked."""
    planes = np.empty((3, *image.shape[:2]), np.float32)
    channels = cv2.split(image)  # by planes: half the time of cv2.dnn.blobFromImage
    for plane, channel in zip(planes, reversed(channels) if rgb else channels, strict=True):
        plane[...] = channel
    if scale != 1.0:
        planes *= np.float32(scale)
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
