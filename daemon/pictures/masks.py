"""Parts of a picture that nothing is to see: polygons, rounded outward to the pixels, or the blocks, they touch."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from processors.types import Image

Corners = Sequence[tuple[float, float]]
"""(x, y) of a polygon, in shares 0..1 of a picture's width and height."""
Covered = npt.NDArray[np.bool_]
"""(rows, columns)"""

SUBPIXEL_BITS = 8
SPREAD = 4
"""Pixels by which a decoder of pictures may have spread chroma: what is below a mask colours as much beside it."""


def covered(polygons: Sequence[Corners], width: int, height: int, block: tuple[int, int] = (1, 1)) -> Covered:
    """Of a picture's blocks (of this width and height in pixels, the last ones cut off) those that a polygon touches.

    >>> covered([[(0.25, 0), (0.5, 0), (0.5, 1), (0.25, 1)]], 16, 2, block=(4, 2)).astype(int)
    array([[1, 1, 1, 0]])
    """
    pixels = np.zeros((height, width), np.uint8)
    for corners in polygons:
        # OpenCV means the middle of a pixel by its number, and fills a pixel by where its middle is.
        points = (np.array(corners) * (width, height) - 0.5) * (1 << SUBPIXEL_BITS)
        cv2.fillPoly(pixels, [points.round().astype(np.int32)], (1,), shift=SUBPIXEL_BITS)
    touched = cv2.dilate(pixels, np.ones((3, 3), np.uint8))
    columns, rows = block
    whole = np.pad(touched, ((0, -height % rows), (0, -width % columns)))
    blocks = whole.reshape(-(-height // rows), rows, -(-width // columns), columns)
    return np.asarray(blocks.max(axis=(1, 3)) > 0)


def masked(image: Image, polygons: Sequence[Corners]) -> Image:
    """A copy that is black below the polygons, and where what was below them may have coloured a pixel beside them.

    The picture itself where there are none.
    """
    if not polygons:
        return image
    height, width = image.shape[:2]
    below = covered(polygons, width, height).astype(np.uint8)
    reach = np.ones((2 * SPREAD + 1, 2 * SPREAD + 1), np.uint8)
    black = image.copy()
    black[cv2.dilate(below, reach) > 0] = 0
    return black
