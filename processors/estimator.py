"""The base of what looks at one object at a time: estimators, fitters, extractors."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

from processors.types import Box, Label, Object, Pyramid, Sample


class Estimator(ABC):
    """Puts what estimate() returns on every object of its label."""

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
