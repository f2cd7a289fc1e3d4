"""Looks at each frame by itself."""

from collections.abc import Sequence

from daemon.work.emission import Emission
from processors.types import Frame, Processor, Sample
from sinks.base import Record


class Untracked:
    aside = None

    def __init__(self, chain: Processor, emit: Emission) -> None:
        self.in_order = emit.in_order
        self._chain = chain
        self._emit = emit

    def begin(self) -> Sequence[Record]:
        return ()

    def look(self, frame: Frame, turn: int) -> Sample:
        sample = Sample(frame)
        self._chain([sample])
        return sample

    def tell(self, sample: Sample, *, live: bool = False) -> Sequence[Record]:
        return self._emit(sample)

    def end(self) -> Sequence[Record]:
        return ()

    def settle(self) -> None:
        pass
