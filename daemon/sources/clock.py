"""The one clock of a run: when its frames are, by their timestamps where these can be believed, and when they came."""

import math
from dataclasses import dataclass
from typing import NamedTuple

USUAL_INTERVAL = 1 / 25
SHORTEST_INTERVAL = 0.001  # seconds, between frames that came at once
MOST_LONGER = 2.0  # of a frame's interval and the smoothed one: a leap is none
MOST_AHEAD = 1.0  # seconds that `now` may wait for the pts
MOST_APART = 2.0  # seconds by which a camera's stamps may go on faster than its frames come; more is another clock
MEMORY = 8  # frames over which the interval is smoothed
MOST_REORDERED = 5.0  # seconds between two stamps in a decoder; what lies further apart is of two clocks
MOST_IN_DECODER = 64  # packets; H.264 and H.265 keep 16 pictures at most


class Timeline:
    """Seconds of video gone by, from timestamps that may be missing, stand still, jump or run backwards.

    A frame that is not stamped later than the one before counts as a usual step, so that time goes on: for a camera as
    the time since that one came, otherwise as the usual interval. What was too much is made up for when the stamps go
    on as well, as for cameras that stamp several frames alike.
    """

    def __init__(self, interval: float = USUAL_INTERVAL) -> None:
        self.now = 0.0
        self.interval = interval
        """Seconds between frames, smoothed."""
        self.origin = 0.0
        """The first frame's timestamp: `now` counts from there."""
        self._last: float | None = None
        self._start = 0.0  # the pts at which `now` was 0
        self._alike = 0
        self._began = False
        self._came_at: float | None = None

    def advance(self, pts: float | None, came_at: float | None = None) -> None:
        """Goes on to the next frame in the order of presentation, at `pts` seconds; None: it has no timestamp.

        `came_at`: of a camera's, in seconds of our own clock.
        """
        usual = self._usual(came_at)
        if not self._began:
            self._begin(pts)
        elif pts is None or pts == self._last:
            self._alike += 1
            self.now += usual
            self._learn(came_at, usual)
        elif self._last is None or pts < self._last or (came_at is not None and pts - self._last > usual + MOST_APART):
            self.now += usual
            self._start, self._alike = pts - self.now, 0
        else:
            self._go_on(pts, self._last)
        self._last = self._last if pts is None else pts

    def at(self, pts: float) -> float:
        """What `now` will be at a later frame; infinity for a pts that is not later."""
        if self._last is None or pts <= self._last:
            return math.inf
        return pts - self._start

    def _begin(self, pts: float | None) -> None:
        self._began = True
        self._start = self.origin = 0.0 if pts is None else pts

    def _go_on(self, pts: float, last: float) -> None:
        step = (pts - last) / (self._alike + 1)
        self.interval += (min(step, MOST_LONGER * self.interval) - self.interval) / MEMORY
        self._alike = 0
        if self.now - (pts - self._start) > MOST_AHEAD:
            self._start = pts - self.now
        self.now = max(self.now, pts - self._start)

    def _usual(self, came_at: float | None) -> float:
        came_before, self._came_at = self._came_at, came_at
        if came_at is None or came_before is None:
            return self.interval
        return max(came_at - came_before, SHORTEST_INTERVAL)

    def _learn(self, came_at: float | None, step: float) -> None:
        if came_at is not None:
            self.interval += (min(step, MOST_LONGER * self.interval) - self.interval) / MEMORY


class BestEffort:
    """The one of a picture's two timestamps that goes on, as FFmpeg's own best effort: the pts, unless it has gone back
    more often than the dts has."""

    def __init__(self, *, dts: bool = False) -> None:
        """`dts`: the container keeps no pts, and FFmpeg guesses it from the order of the file."""
        self._faults = {"pts": int(dts), "dts": 0}
        self._last: dict[str, int] = {}

    def __call__(self, pts: int | None, dts: int | None) -> int | None:
        self._note("pts", pts)
        self._note("dts", dts)
        if pts is None or (dts is not None and self._faults["pts"] > self._faults["dts"]):
            return dts
        return pts

    def _note(self, kind: str, stamp: int | None) -> None:
        if stamp is not None:
            self._faults[kind] += stamp <= self._last.get(kind, stamp - 1)
            self._last[kind] = stamp


@dataclass(slots=True)
class _Packet:
    number: int
    pts: int | None
    came_at: float
    discardable: bool


class Gone(NamedTuple):
    """A packet whose picture will not come."""

    pts: int | None
    discarded: bool
    """By the decoder, as it was told."""


class InDecoder:
    """The packets whose pictures are still in the decoder, and when they came."""

    def __init__(self, time_base: float) -> None:
        self._time_base = time_base
        self._packets: list[_Packet] = []
        self._number = 0
        self._latest = 0.0

    def put(self, pts: int | None, came_at: float, *, discardable: bool = False) -> list[Gone]:
        """A packet that the decoder is given. Returns those that it must have lost, as so many came since."""
        self._packets.append(_Packet(self._number, pts, came_at, discardable))
        self._number += 1
        oldest = self._number - MOST_IN_DECODER
        return self._take_out([packet for packet in self._packets if packet.number < oldest])

    def take(self, pts: int | None) -> float | None:
        """When the picture with this pts came; None for one of no packet. A pts of no packet stands for the oldest's.

        Never before the ones taken earlier, nor after its own packet: of two pictures that are given out in another
        order than they came in, the earlier was there before the later, by what their stamps differ.
        """
        if not self._packets:
            return None
        own = next((packet for packet in self._packets if packet.pts == pts), self._packets[0])
        self._packets.remove(own)
        came_at = min((own.came_at, *self._before_the_later(pts)))
        self._latest = max(self._latest, came_at)
        return self._latest

    def forget_last(self) -> None:
        """The packet that was put last was damaged, and is counted as that."""
        if self._packets:
            self._packets.pop()

    def discarded_before(self, pts: int) -> list[Gone]:
        """What the decoder has discarded: it has given out what is shown after it."""
        return self._take_out([p for p in self._packets if p.discardable and p.pts is not None and p.pts < pts])

    def clear(self) -> list[Gone]:
        """All that is left, when the decoder has given out all that it had."""
        return self._take_out(list(self._packets))

    def _before_the_later(self, pts: int | None) -> list[float]:
        if pts is None:
            return []
        later = [((p.pts - pts) * self._time_base, p.came_at) for p in self._packets if p.pts is not None]
        return [came_at - seconds for seconds, came_at in later if 0 < seconds < MOST_REORDERED]

    def _take_out(self, packets: list[_Packet]) -> list[Gone]:
        for packet in packets:
            self._packets.remove(packet)
        # In the order of presentation; what has no timestamp is in no order.
        packets.sort(key=lambda packet: (packet.pts is not None, packet.pts or 0))
        return [Gone(packet.pts, packet.discardable) for packet in packets]
