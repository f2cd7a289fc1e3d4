"""The last minute of counters that only grow: what they grew by, from samples that are taken every second."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")

SHORT_S = 10.0
LONG_S = 60.0
INTERVAL_S = 1.0
"""Between two samples."""
MOST_SAMPLES = round(LONG_S / INTERVAL_S) + 2


@dataclass(frozen=True, slots=True)
class Growth(Generic[K]):
    """Of counters, in so many seconds."""

    seconds: float
    by: Mapping[K, float]

    def rate(self, counter: K) -> float:
        """A second."""
        return self.by.get(counter, 0) / self.seconds


class History(Generic[K]):
    """Belongs to one thread."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, Mapping[K, float]]] = deque(maxlen=MOST_SAMPLES)

    def sample(self, totals: Mapping[K, float]) -> None:
        self._samples.append((time.monotonic(), totals))

    def growth(self, seconds: float) -> Growth[K] | None:
        """Over the last so many seconds, or since the first sample; None: there are no two samples."""
        if len(self._samples) < 2:
            return None
        ended, totals = self._samples[-1]
        longest = seconds + INTERVAL_S / 2  # a sample that was taken late is meant too
        began, before = next(sample for sample in self._samples if ended - sample[0] <= longest)
        if began == ended:  # the sampler was held up for longer than this
            began, before = self._samples[-2]
        return Growth(ended - began, {key: total - before.get(key, 0) for key, total in totals.items()})
