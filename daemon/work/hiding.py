"""What is hidden on a stream's pictures: the boxes that its detectors found on the very frame, and no others.

A picture of a frame leaves where every detector that is to find what is hidden has looked at it, and found what it
found. A frame whose objects are predicted, or of whose classes nobody looks for one, gives none: it fails closed.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from daemon.flow.receipts import LookCounts
from daemon.pictures.hide import NOTHING, Hiding
from daemon.work.places.geometry import Area, point_of
from daemon.work.places.settings import ZoneSettings
from daemon.work.privacy import PrivacySettings, hidden_by
from processors.types import Box, Floats, Label, Object, Processor, Sample

Spares = Callable[[Object, int, int], bool]
"""Whether an object of a frame of this size is shown all the same."""


def in_zones(zones: Sequence[ZoneSettings]) -> Spares:
    """Those whose point is in one of the zones, whomever these count."""
    areas = [(Area(zone.polygon), zone.point) for zone in zones]

    def spares(obj: Object, width: int, height: int) -> bool:
        size = width, height
        return any(area.depth(point_of(obj, size, which), size) >= 0 for area, which in areas)

    return spares


@dataclass(frozen=True, slots=True)
class Found:
    """What the detectors that have looked at the frame found, before regions left any of it out."""

    boxes_xyxy: Mapping[Label, Floats] = field(default_factory=dict)
    """By class, (n, 4); a class that nobody looked for is not there."""


class Hides:
    """What is hidden of a stream, frame by frame. Shared by all that work on it."""

    def __init__(
        self,
        settings: PrivacySettings,
        found: Collection[Label],
        counts: LookCounts | None = None,
        spares: Spares = lambda *_: False,
    ) -> None:
        """`found`: the classes that the chain's detectors find."""
        self._found = frozenset(found)
        self._labels = hidden_by(settings.hide, found)
        self._counts = counts or LookCounts()
        self._spares = spares

    def behind(self, detector: Processor) -> Sequence[Processor]:
        """What runs right behind a detector."""
        return [_Notes(self, detector.applies_to)] if detector.applies_to in self._labels else []

    def note(self, sample: Sample, label: Label) -> None:
        """The sample's objects of a class are all that its detector has found."""
        size = sample.frame.width, sample.frame.height
        boxes = [obj.box_xyxy for obj in sample.objects if obj.label == label and not self._spares(obj, *size)]
        before = sample[Found].boxes_xyxy if Found in sample else {}
        sample.put(Found({**before, label: np.array(boxes).reshape(-1, 4)}))

    def see_all(self, sample: Sample) -> None:
        """Of a chain that has run whole, and left none of what it found out."""
        for label in self._labels & self._found:
            self.note(sample, label)
        self.settle(sample)

    def settle(self, sample: Sample) -> None:
        """Says what is hidden, when all looks at a frame have been made."""
        sample.put(hiding := self._of(sample))
        if hiding.withheld is not None:
            self._counts.withhold(hiding.withheld)

    def _of(self, sample: Sample) -> Hiding:
        if not self._labels:
            return NOTHING
        boxes = sample[Found].boxes_xyxy if Found in sample else {}
        if lacking := sorted(self._labels - boxes.keys()):
            return Hiding(NOTHING.boxes_xyxy, withheld=f"not looked at for {' and '.join(lacking)}")
        return Hiding(np.concatenate([boxes[label] for label in sorted(self._labels)]))


class _Notes:
    """A processor that keeps what a detector has found."""

    needs: ClassVar[frozenset[type]] = frozenset({Box})
    makes: ClassVar[frozenset[type]] = frozenset()

    def __init__(self, hides: Hides, label: Label) -> None:
        self.applies_to = label
        self._hides = hides

    def __call__(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            self._hides.note(sample, self.applies_to)
