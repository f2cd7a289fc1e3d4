"""Where points of boxes are: to an area of the picture, and to a line across it. Points are in pixels of the frame."""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np

from processors.types import Object

Point = tuple[float, float]
Size = tuple[int, int]
"""Of the frame: width, height."""
Which = Literal["bottom", "centre", "top"]
KEPT_SIZES = 4
"""Sizes of frames for which pixels are kept; a camera has one at a time."""


def point_of(obj: Object, size: Size, which: Which | None = None) -> Point:
    """The point that says where an object is; None: where a body stands, which is on the floor, and a face's centre.

    The centre of a tall box falls into what is behind. Points outside the picture are taken at its edge, so that a body
    cut off by it is where it leaves the picture.
    """
    x1, y1, x2, y2 = obj.box_xyxy.tolist()
    y = {"bottom": y2, "centre": (y1 + y2) / 2, "top": y1}[which or ("bottom" if obj.label == "body" else "centre")]
    return min(max((x1 + x2) / 2, 0.0), size[0]), min(max(y, 0.0), size[1])


class Area:
    """A polygon; `corners` in shares of a frame's width and height, whatever its size."""

    def __init__(self, corners: Sequence[Point]) -> None:
        shares = np.array(corners)
        self._pixels = lru_cache(KEPT_SIZES)(lambda size: (shares * size).astype(np.float32))

    def depth(self, point: Point, size: Size) -> float:
        """Pixels to the nearest edge: above 0 within, below 0 outside; the edge itself, 0, belongs to it."""
        return cv2.pointPolygonTest(self._pixels(size), point, measureDist=True)


class Polyline:
    """Two points or more; `points` in shares of a frame's width and height, whatever its size.

    Its left and right are those of one who walks from its first point to its last.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        self._parts = lru_cache(KEPT_SIZES)(
            lambda size: list(pairwise([(x * size[0], y * size[1]) for x, y in points])),
        )

    def crossings(self, before: Point, after: Point, size: Size) -> int:
        """How often the straight way from point to point crosses from left to right, less how often the other way."""
        return sum(_crossing(start, end, before, after) for start, end in self._parts(size))

    def distance(self, point: Point, size: Size) -> float:
        """Pixels to the nearest point of it."""
        return min(_distance(start, end, point) for start, end in self._parts(size))


def _crossing(start: Point, end: Point, before: Point, after: Point) -> int:
    """1: to the right; -1: to the left; 0: the way does not cross the part from `start` to `end`.

    What lies on a line counts as to its right, for the way too: so who passes through a joint of two parts crosses one.
    """
    was_right, is_right = _turn(start, end, before) >= 0, _turn(start, end, after) >= 0
    if was_right == is_right or (_turn(before, after, start) >= 0) == (_turn(before, after, end) >= 0):
        return 0
    return 1 if is_right else -1


def _turn(start: Point, end: Point, point: Point) -> float:
    """Above 0 where the point is to the right, as y goes down; twice the area of the triangle."""
    (x1, y1), (x2, y2), (x, y) = start, end, point
    return (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)


def _distance(start: Point, end: Point, point: Point) -> float:
    (x1, y1), (x2, y2), (x, y) = start, end, point
    along_x, along_y = x2 - x1, y2 - y1
    share = ((x - x1) * along_x + (y - y1) * along_y) / (along_x**2 + along_y**2)
    share = min(max(share, 0.0), 1.0)
    return math.hypot(x - x1 - share * along_x, y - y1 - share * along_y)
