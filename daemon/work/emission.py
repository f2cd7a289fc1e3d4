"""Which frames of a run make a document."""

from collections.abc import Callable, Sequence
from typing import Literal

from processors.types import Sample
from sinks.base import Record

Policy = Literal["every", "objects", "change"]
Encode = Callable[[Sample, str], Record]
"""Makes the record of a sample; the text is the name of the run."""


class Emission:
    """Decides which frames of one run make a document. `in_order`: it must see the samples in their order."""

    def __init__(self, encode: Encode, policy: Policy, run: str) -> None:
        self.in_order = policy == "change"
        self._encode = encode
        self._policy = policy
        self._run = run
        self._before: object = ()

    def __call__(self, sample: Sample, scene: object = None) -> Sequence[Record]:
        """The record, or none. `scene` is compared with that of the last call; None: the numbers of objects are."""
        return [self._encode(sample, self._run)] if self._is_wanted(sample, scene) else []

    def _is_wanted(self, sample: Sample, scene: object) -> bool:
        if self._policy == "objects":
            return bool(sample.objects)
        if self._policy == "change":
            before = self._before
            self._before = sorted(obj.label for obj in sample.objects) if scene is None else scene
            return self._before != before
        return True
