"""The small pictures of a face that the estimators look at."""

import math

import numpy as np

from processors.arrays import angle_of, crop_matrix, cropped, levelled_square, similarity
from processors.boxes import square
from processors.types import Floats, Image, Pyramid

DLIB_MEAN_RGB = (122.782, 117.001, 104.298)
"""The mean of the pictures that dlib's networks and face-api's were trained on."""

DLIB_POINTS = (263, 362, 33, 133, 2)
"""The mesh points of dlib's five: outer and inner corner of the image's right and left eye, base of the nose."""
DLIB_TEMPLATE = np.array([(0.8596, 0.2135), (0.6461, 0.2290), (0.1206, 0.2137), (0.3341, 0.2291), (0.4901, 0.6278)])
"""Where dlib puts them in a chip without padding, of side 1."""
DLIB_PADDING = 0.2

LEFT_EYE, RIGHT_EYE = (33, 133), (362, 263)
"""The corners of the image's left and right eye."""


def aligned(pyramid: Pyramid, mesh_xyz: Floats, size: int) -> Image:
    """dlib's chip: turned, scaled and moved so that five points come to lie where its template has them."""
    template = (DLIB_TEMPLATE + DLIB_PADDING) / (1 + 2 * DLIB_PADDING) * size
    to_chip = similarity(mesh_xyz[list(DLIB_POINTS), :2], template)
    return cropped(pyramid, _inverse(to_chip), size)


def upright(pyramid: Pyramid, mesh_xyz: Floats, scale: float, size: int) -> Image:
    """The square of `scale` times the mesh's bounding box, turned so that the eyes are level; black outside."""
    points = mesh_xyz[:, :2]
    angle = angle_of(points[list(LEFT_EYE)].mean(axis=0), points[list(RIGHT_EYE)].mean(axis=0))
    centre, side = levelled_square(points, angle, scale)
    return cropped(pyramid, crop_matrix(centre, side, angle, size), size)


def about_box(
    pyramid: Pyramid, box_xyxy: Floats, scale: float, size: int, *, quarters: int = 0, replicate: bool = False
) -> Image:
    """The square of `scale` times the box's longer side about its centre; black outside, or the border repeated.

    A face that is turned clockwise by so many quarters is upright in it.
    """
    centre, side = square(box_xyxy, scale)
    return cropped(pyramid, crop_matrix(centre, side, quarters * math.pi / 2, size), size, replicate=replicate)


def _inverse(matrix: Floats) -> Floats:
    """The inverse of a (2, 3) affine matrix."""
    turn = np.linalg.inv(matrix[:, :2])
    return np.column_stack([turn, -turn @ matrix[:, 2]])
