"""Which frames a target rate wants, by their timestamps, and whether a stream's keyframes come often enough for it."""

import math
from collections import deque

USUAL_INTERVAL = 1 / 25
MOST_LONGER = 2.0  # of a frame's interval and the smoothed one: a leap is none
MOST_AHEAD = 1.0  # seconds that `now` may wait for the pts
MEMORY = 8  # frames over which the interval is smoothed
GOPS = 3  # cameras change the length of their groups with what they see
JITTER = 1.05


class Timeline:
    """Seconds of video gone by, from timestamps that may stand still, jump or run backwards.

    A frame whose pts is not later than the one before counts as a usual step, so that time goes on. What was too much
    is made up for when the pts goes on as well, as for cameras that stamp several frames alike.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.interval = USUAL_INTERVAL
        """Seconds between frames, smoothed."""
        self._last: float | None = None
        self._start = 0.0  # the pts at which `now` was 0
        self._alike = 0

    def advance(self, pts: float) -> None:
        """Goes on to the next frame in the order of presentation, at `pts` seconds."""
        if self._last is None or pts < self._last:
            self.now += 0 if self._last is None else self.interval
            self._start = pts - self.now
        elif pts == self._last:
            self._alike += 1
            self.now += self.interval
        else:
            step = (pts - self._last) / (self._alike + 1)
            self.interval += (min(step, MOST_LONGER * self.interval) - self.interval) / MEMORY
            self._alike = 0
            if self.now - (pts - self._start) > MOST_AHEAD:
                self._start = pts - self.now
            self.now = max(self.now, pts - self._start)
        self._last = pts

    def at(self, pts: float) -> float:
        """What `now` will be at a later frame; infinity for a pts that is not later."""
        if self._last is None or pts <= self._last:
            return math.inf
        return pts - self._start


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
