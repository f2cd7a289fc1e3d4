"""Real portraits, and what can be done to a picture so that the truth about it is known by construction."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np

import daemon.simulator
from processors.chain import Chain
from processors.types import Floats, Frame, Image, Object, Sample

PORTRAITS = ("astronaut", "biden", "obama")
"""Public domain (NOTICE); one face each, at most 11 degrees from level and frontal."""


@cache
def portrait(name: str) -> Image:
    """Read-only: it is shared."""
    picture = cv2.imread(str(Path(daemon.simulator.__file__).parent / "pictures" / f"{name}.jpg"))
    assert picture is not None, name
    picture.flags.writeable = False
    return picture  # type: ignore[return-value]


def scaled(picture: Image, scale: float) -> Image:
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=interpolation)  # type: ignore[return-value]


def moved(picture: Image, right: int, down: int) -> Image:
    """With a wider border on the left and above, its outermost pixels repeated."""
    return cv2.copyMakeBorder(picture, down, 0, right, 0, cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def mirrored(picture: Image) -> Image:
    return np.ascontiguousarray(picture[:, ::-1])


def rolled(picture: Image, degrees: float) -> tuple[Image, Floats]:
    """Turned counter-clockwise as seen, and the (2, 3) matrix that takes a pixel to its new place."""
    height, width = picture.shape[:2]
    side = int(np.hypot(width, height))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    matrix[:, 2] += (side - width) / 2, (side - height) / 2
    return cv2.warpAffine(picture, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE), matrix  # type: ignore[return-value]


def turned(picture: Image, relief_xyz: Floats, yaw: float, pitch: float) -> Image:
    """The picture as a relief, turned by `yaw` degrees to the image's right and nodded by `pitch` up, seen from afar.

    `relief_xyz` (n, 3) gives the depth of some pixels, z away from the viewer in pixels; what is about them lies in
    their middle depth. Triangles between the points are drawn from back to front.
    """
    height, width = picture.shape[:2]
    border = [(x, y) for x in np.linspace(0, width - 1, 5) for y in np.linspace(0, height - 1, 5)]
    rim = [(x, y, 0.0) for x, y in border if x in (0, width - 1) or y in (0, height - 1)]
    relief = _in_front(relief_xyz)
    points = np.concatenate([relief, rim])
    after = _after_turning(points, relief, yaw, pitch)
    triangles = _triangles(points[:, :2], width, height)
    order = np.argsort(-after[triangles, 2].mean(axis=1))
    canvas: Image = np.full_like(picture, 127)
    for triangle in triangles[order]:
        _draw_triangle(canvas, picture, points[triangle, :2], after[triangle, :2])
    return canvas


def turned_points(relief_xyz: Floats, yaw: float, pitch: float) -> Floats:
    """Where turned() takes the points of its relief."""
    relief = _in_front(relief_xyz)
    return _after_turning(relief, relief, yaw, pitch)


def _in_front(relief_xyz: Floats) -> Floats:
    """Moved so that all of it is before the plane of the picture."""
    moved: Floats = relief_xyz - np.array([0, 0, relief_xyz[:, 2].max()])
    return moved


def _after_turning(points_xyz: Floats, relief_xyz: Floats, yaw: float, pitch: float) -> Floats:
    """Turned about the relief's middle."""
    about = relief_xyz.mean(axis=0)
    # About axes of x right, y down, z away: to the image's right is negative about y, up is negative about x.
    turn, nod = (cv2.Rodrigues(np.radians(vector))[0] for vector in ((0.0, -yaw, 0.0), (-pitch, 0.0, 0.0)))
    after: Floats = (points_xyz - about) @ (turn @ nod).T + about
    return after


def covered(picture: Image, box_xyxy: Floats, top: float, bottom: float) -> Image:
    """With a plain bar over part of a face, from `top` to `bottom` of its box's height, wider than it."""
    x1, y1, x2, y2 = box_xyxy
    width, height = x2 - x1, y2 - y1
    corners = ((x1 - 0.1 * width, y1 + top * height), (x2 + 0.1 * width, y1 + bottom * height))
    (left, upper), (right, lower) = (np.rint(corner).astype(int) for corner in corners)
    canvas = picture.copy()
    canvas[max(upper, 0) : lower, max(left, 0) : right] = (190, 170, 150)
    return canvas


def far_away(picture: Image, scale: float) -> Image:
    """Shrunk, and in the corner of a grey picture of 640 x 360."""
    small = scaled(picture, scale)
    canvas: Image = np.full((360, 640, 3), 127, np.uint8)
    canvas[: small.shape[0], : small.shape[1]] = small
    return canvas


def _triangles(points_xy: Floats, width: int, height: int) -> np.ndarray:
    """(n, 3) indices: Delaunay's triangulation."""
    plane = cv2.Subdiv2D((-1, -1, width + 2, height + 2))
    ids: dict[int, int] = {plane.insert((float(x), float(y))): i for i, (x, y) in enumerate(points_xy)}
    corners = np.asarray(plane.getTriangleList()).reshape(-1, 3, 2)
    nearest = [[ids.get(plane.findNearest((float(x), float(y)))[0], -1) for x, y in corner] for corner in corners]
    triangles = np.array(nearest)
    return triangles[(triangles >= 0).all(axis=1)]


def _draw_triangle(canvas: Image, picture: Image, before_xy: Floats, after_xy: Floats) -> None:
    low = np.maximum(np.floor(after_xy.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(after_xy.max(axis=0)).astype(int) + 1, canvas.shape[1::-1])
    if (high <= low).any():
        return
    matrix = cv2.getAffineTransform(before_xy.astype(np.float32), (after_xy - low).astype(np.float32))
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    drawn = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = np.zeros(size[::-1], np.uint8)
    cv2.fillConvexPoly(inside, np.rint(after_xy - low).astype(np.int32), 1)
    canvas[low[1] : high[1], low[0] : high[0]][inside > 0] = drawn[inside > 0]


def the_face(chain: Chain, picture: Image) -> Object:
    """The one that it finds."""
    sample = Sample(Frame.of(picture))
    chain([sample])
    (face,) = sample.objects
    return face
