"""Regions of interest: which objects of a stream count by where they are."""

from collections.abc import Sequence
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from daemon.sources.settings import Polygon, RegionSettings
from processors.types import Box, Label, Object, Sample


class Regions:
    """An object counts when its point lies in one of `include` (or there is none) and in none of `exclude`.

    A face's point is the centre of its box. A body's is the middle of the lower edge, where it stands: that is where
    a person is on the floor of which regions are drawn, while the centre of a tall box falls into what is behind.
    Points outside the picture are taken at its edge, so that a body cut off by it counts where it leaves the picture.
    """

    def __init__(self, settings: RegionSettings) -> None:
        self._include = _contours(settings.include)
        self._exclude = _contours(settings.exclude)

    def count(self, obj: Object, width: int, height: int) -> bool:
        """Whether an object of a frame of this size counts."""
        point = _point(obj, width, height)
        included = not self._include or _within(point, self._include)
        return included and not _within(point, self._exclude)


class InRegions:
    """A processor that runs after a detector and removes the objects of a label that do not count."""

    needs: ClassVar[frozenset[type]] = frozenset({Box})
    makes: ClassVar[frozenset[type]] = frozenset()

    def __init__(self, regions: Regions, label: Label) -> None:
        self.applies_to = label
        self._regions = regions

    def __call__(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            size = sample.frame.width, sample.frame.height
            sample.objects = [
                obj for obj in sample.objects if obj.label != self.applies_to or self._regions.count(obj, *size)
            ]


def _point(obj: Object, width: int, height: int) -> tuple[float, float]:
    """Relative to the frame, 0..1."""
    x1, y1, x2, y2 = obj.box_xyxy
    y = y2 if obj.label == "body" else (y1 + y2) / 2
    x, y = np.clip(((x1 + x2) / 2 / width, y / height), 0, 1)
    return float(x), float(y)


def _contours(polygons: Sequence[Polygon]) -> list[npt.NDArray[np.float32]]:
    return [np.array(polygon, np.float32) for polygon in polygons]


def _within(point: tuple[float, float], contours: Sequence[npt.NDArray[np.float32]]) -> bool:
    """Whether a point lies in the polygon; its edges belong to it."""
    return any(cv2.pointPolygonTest(contour, point, measureDist=False) >= 0 for contour in contours)
