"""Pictures that are turned, and their labels with them, for `--turn`."""

import dataclasses
import math
from collections.abc import Sequence

import cv2
import numpy as np

from daemon.commands.evaluate.labels import BOX, POINTS, Label, Picture
from processors.types import Floats, Image


class Turns:
    """Names a group for each turn, in degrees clockwise; `names` has them in order."""

    column = "turn"

    def __init__(self, degrees: Sequence[float]) -> None:
        self.degrees = {f"{turn:g}": turn for turn in sorted(set(degrees))}
        self.names = tuple(self.degrees)


AS_THEY_ARE = Turns(())


def turned(image: Image, degrees: float) -> Image:
    """Clockwise, in a picture that has all of it; black where nothing was."""
    if degrees % 90 == 0:
        return np.ascontiguousarray(np.rot90(image, -int(degrees // 90)))
    height, width = image.shape[:2]
    size = _size(width, height, degrees)
    return cv2.warpAffine(image, _of_pixels(_matrix(width, height, degrees)), size)  # type: ignore[return-value]


def turned_label(label: Label, width: int, height: int, degrees: float) -> Label:
    """The label of a picture of this size once it is turned; its box is that of the ellipse in the box."""
    values = dict(label.values)
    matrix = _matrix(width, height, degrees)
    if all(values.get(column) for column in BOX):
        corners = np.array([label.number(column) for column in BOX])
        half = np.hypot(*(matrix[:, :2] * (corners[2:] - corners[:2]) / 2).T)
        (centre,) = _moved((corners[:2] + corners[2:])[None] / 2, matrix)
        values |= zip(BOX, map(str, (*(centre - half), *(centre + half))), strict=True)
    if "x0" in values:
        points = _moved(label.points(), matrix)
        values |= {f"{axis}{i}": str(points[i, k]) for i in range(POINTS) for k, axis in enumerate("xy")}
    if values.get("roll"):
        values["roll"] = str((label.number("roll") - degrees + 180) % 360 - 180)
    return dataclasses.replace(label, values=values)


def turned_picture(picture: Picture, image: Image, degrees: float) -> tuple[Picture, Image]:
    height, width = image.shape[:2]
    labels = tuple(turned_label(label, width, height, degrees) for label in picture.labels)
    return Picture(picture.path, labels), turned(image, degrees)


def _size(width: int, height: int, degrees: float) -> tuple[int, int]:
    cos, sin = (abs(part) for part in _cos_sin(degrees))
    return math.ceil(round(width * cos + height * sin, 6)), math.ceil(round(width * sin + height * cos, 6))


def _matrix(width: int, height: int, degrees: float) -> Floats:
    """(2, 3): from places in the picture to those in the turned one; the middles are the same."""
    cos, sin = _cos_sin(degrees)
    turn = np.array([(cos, -sin), (sin, cos)])
    middle = np.array(_size(width, height, degrees)) / 2
    return np.column_stack([turn, middle - turn @ (width / 2, height / 2)])


def _cos_sin(degrees: float) -> tuple[float, float]:
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))


def _moved(points_xy: Floats, matrix: Floats) -> Floats:
    moved: Floats = points_xy @ matrix[:, :2].T + matrix[:, 2]
    return moved


def _of_pixels(matrix: Floats) -> Floats:
    """From the centres of pixels, which lie half a pixel in."""
    result = matrix.copy()
    result[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    return result
