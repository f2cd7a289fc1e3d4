"""The base of what looks at one object at a time: estimators, fitters, extractors."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

from processors.types import Box, Label, Object, Pyramid, Sample

CHIP_REACH = 2.5
"""Of those that look at a chip of the face: also of a face that lies on its side, to the chip's corners."""


class Estimator(ABC):
    """Puts what estimate() returns on every object of its label.

    >>> import numpy as np
    >>> from processors.types import Confidence, Frame
    >>> class ByHeight(Estimator):
    ...     makes = frozenset({Confidence})
    ...     def estimate(self, pyramid: Pyramid, obj: Object) -> Iterable[object]:
    ...         _, top, _, bottom = obj.box_xyxy
    ...         return (Confidence(min(float(bottom - top) / pyramid.size()[1], 1.0)),)
    >>> face = Object("face", np.array([10.0, 20.0, 50.0, 80.0]))
    >>> ByHeight()([Sample(Frame.of(np.zeros((240, 320, 3), np.uint8)), [face])])
    >>> face[Confidence]
    Confidence(value=0.25)
    """

    reach: ClassVar[float] = math.inf
    """The square about an object and its points that is looked at, in their longer side; inf: all of the picture."""
    applies_to: ClassVar[Label] = "face"
    needs: ClassVar[frozenset[type]] = frozenset({Box})
    makes: ClassVar[frozenset[type]]

    @abstractmethod
    def estimate(self, pyramid: Pyramid, obj: Object) -> Iterable[object]:
        """The results for one object: one of each type in `makes`."""

    def __call__(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            for obj in sample.objects:
                if obj.label == self.applies_to:
                    for result in self.estimate(sample.frame.pyramid, obj):
                        obj.put(result)
