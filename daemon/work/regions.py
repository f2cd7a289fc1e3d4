"""Regions of interest: which objects of a stream count by where they are."""

from collections.abc import Sequence
from typing import ClassVar

from daemon.sources.settings import RegionSettings
from daemon.work.places.geometry import Area, point_of
from processors.types import Box, Label, Object, Sample


class Regions:
    """An object counts when its point (point_of) lies in one of `include` (or there is none) and in none of `exclude`.

    Edges belong to both.
    """

    def __init__(self, settings: RegionSettings) -> None:
        self._include = [Area(polygon) for polygon in settings.include]
        self._exclude = [Area(polygon) for polygon in settings.exclude]

    def count(self, obj: Object, width: int, height: int) -> bool:
        """Whether an object of a frame of this size counts."""
        point, size = point_of(obj, (width, height)), (width, height)
        included = not self._include or any(area.depth(point, size) >= 0 for area in self._include)
        return included and not any(area.depth(point, size) >= 0 for area in self._exclude)


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
