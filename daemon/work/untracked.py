"""Looks at each frame by itself."""

from collections.abc import Sequence

from daemon.work.emission import Emission
from daemon.work.hiding import Hides
from daemon.work.places.places import StreamPlaces
from processors.types import Frame, Processor, Sample
from sinks.base import Record


class Untracked:
    """Where there are zones it tells of the frames in their order, as how many are in them now is of the last one."""

    aside = None

    def __init__(
        self, chain: Processor, emit: Emission, places: StreamPlaces | None = None, hides: Hides | None = None
    ) -> None:
        """`hides`: says of each sample what is hidden on its pictures; None: nobody does, and none can leave."""
        self._hides = hides
        self._chain = chain
        self._emit = emit
        self._places = places or StreamPlaces()
        self.in_order = emit.in_order or self._places.are_there

    def begin(self) -> Sequence[Record]:
        self._places.begin(tracked=False)
        return ()

    def look(self, frame: Frame, turn: int) -> Sample:
        sample = Sample(frame)
        self._chain([sample])
        if self._hides is not None:
            self._hides.settle(sample)
        return sample

    def tell(self, sample: Sample, *, live: bool = False) -> Sequence[Record]:
        if not self._places.are_there:
            return self._emit(sample)
        sample.put(places := self._places.find(sample))
        return self._emit(sample, (sorted(obj.label for obj in sample.objects), places))

    def end(self) -> Sequence[Record]:
        self._places.show(())
        return ()

    def settle(self) -> None:
        pass
