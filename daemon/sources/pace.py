"""Which frames a target rate wants, by their times, and whether a stream's keyframes come often enough for it."""

import math
from collections import deque

GOPS = 3  # cameras change the length of their groups with what they see
JITTER = 1.05


class Rate:
    """Wants frames at `fps`, evenly: of the frames about each multiple of the period the nearest.

    Half an interval of tolerance puts the decision in the middle between two frames, where jitter cannot reach it.
    After a gap it counts anew; it does not catch up.
    """

    def __init__(self, fps: float) -> None:
        self.period = 1 / fps
        self._due = 0.0

    def wants(self, now: float, interval: float) -> bool:
        """Asked once of each frame, in the order of presentation."""
        if self.rules_out(now, interval):
            return False
        self._due += self.period
        if now > self._due:
            self._due = now + self.period
        return True

    def rules_out(self, now: float, interval: float) -> bool:
        """Whether a frame cannot be wanted, whatever comes before it."""
        return now < self._due - min(interval, self.period) / 2


class KeyframeSpacing:
    """How far the latest keyframes lie apart."""

    def __init__(self) -> None:
        self._gaps: deque[float] = deque(maxlen=GOPS)
        self._last: float | None = None

    def see(self, pts: float) -> None:
        if self._last is not None:
            gap = pts - self._last
            self._gaps.append(gap if gap > 0 else math.inf)
        self._last = pts

    def within(self, period: float) -> bool:
        """Whether none of them came later than `period` after the one before."""
        return len(self._gaps) == GOPS and max(self._gaps) <= period * JITTER
