"""Which frames of a run are looked at, and for what: a detector may run less often than frames come.

On the others the tracker says where its tracks are. A look that depends on no other frame is made beside the looks at
other frames; one that the tracks ask for waits for the frame before.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from daemon.flow.receipts import LookCounts
from daemon.work.hiding import Hides
from daemon.work.regions import Regions
from processors.tracker import Predicted, Tracker
from processors.types import Frame, Label, Processor, Sample

LONGEST = 1.0
"""Seconds without a look, whatever `every` says. Later a prediction is worth nothing, and where `motion` or a slow
source has brought no frames, n of them are too long."""


@dataclass(frozen=True, slots=True)
class Looks:
    """For one label: its detector, with what runs on all objects that it finds."""

    label: Label
    processor: Processor
    every: int | None = 1
    """On every n-th frame; None: wherever the tracker is not sure."""

    phase: int = 0
    """Of the n, that which is looked at; the first frame of a run always is."""

    def is_regular(self, turn: int) -> bool:
        return self.every is not None and (turn == 0 or (turn - self.phase) % self.every == 0)


@dataclass(frozen=True, slots=True)
class _Looked:
    """The labels that a frame was looked at for."""

    labels: frozenset[Label]


class Looking:
    """Of one run. look() is called from several threads at once; follow() sees the samples one at a time, in order."""

    def __init__(
        self,
        looks: Sequence[Looks],
        tracker: Tracker,
        counts: LookCounts,
        regions: Regions | None = None,
        hides: Hides | None = None,
    ) -> None:
        """`regions`: where predicted objects count; for those that are found it is the processors' affair.

        `hides`: says of each sample what is hidden on its pictures; None: nobody does, and none can leave.
        """
        self._hides = hides
        self._looks = looks
        self._tracker = tracker
        self._counts = counts
        self._regions = regions
        self._passed_over: Counter[Label] = Counter()
        """Frames since the last look."""

    def look(self, frame: Frame, turn: int) -> Sample:
        """Makes the looks that depend on no other frame; `turn` is the frame's place in the run."""
        sample = Sample(frame)
        sample.put(_Looked(_look(sample, [looks for looks in self._looks if looks.is_regular(turn)])))
        return sample

    def follow(self, sample: Sample) -> tuple[int, ...]:
        """Makes the other looks that are due and gives all objects to their tracks; the ids of those that have ended.

        Of what was not looked for the sample gets objects, Predicted.
        """
        looked = sample[_Looked].labels
        late = [looks for looks in self._looks if looks.label not in looked and self._is_due(looks, sample.frame)]
        looked |= _look(sample, late)
        if self._hides is not None:
            self._hides.settle(sample)
        predicted = {looks.label for looks in self._looks} - looked
        ended = self._tracker(sample, predicted)
        self._leave_out(sample)
        self._passed_over.update(predicted)
        for label in looked:
            del self._passed_over[label]
        self._counts.add(looked, predicted)
        return ended

    def close(self) -> tuple[int, ...]:
        """Ends all tracks; their ids."""
        return self._tracker.close()

    def _is_due(self, looks: Looks, frame: Frame) -> bool:
        if looks.every is None:
            return not self._tracker.is_sure(looks.label, frame)
        passed_over = self._passed_over[looks.label] + 1  # more than usual after a look that failed
        return passed_over >= looks.every or self._tracker.since_look(looks.label, frame) >= LONGEST

    def _leave_out(self, sample: Sample) -> None:
        """What is predicted where it does not count."""
        if (regions := self._regions) is not None:
            size = sample.frame.width, sample.frame.height
            sample.objects = [obj for obj in sample.objects if Predicted not in obj or regions.count(obj, *size)]


def _look(sample: Sample, due: Sequence[Looks]) -> frozenset[Label]:
    for looks in due:
        looks.processor([sample])
    return frozenset(looks.label for looks in due)
