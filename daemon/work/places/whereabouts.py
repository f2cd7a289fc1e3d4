"""Where one track is and was: the zones that it has entered and left, and the lines that it has crossed.

A box trembles, about one that stands on an edge most of all. So an edge counts as crossed once the point of the box is
beyond it by MARGIN, or has been for SETTLED_S; the time is then that of the first frame on the new side. Who turns back
before has not crossed. Where a track begins and ends nothing is waited for.

A track is where it was last seen: a prediction moves nobody, and who is hidden goes straight to where he is seen again.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from daemon.work.places.geometry import Area, Point, Polyline, Size, Which, point_of
from processors.types import Label, Object

MARGIN = 0.08
"""In the box's size, the geometric mean of its sides. The point of a whole face trembles by .015 of it (standard
deviation), of one that is half hidden by .04, of a body by .02 to .04."""
SETTLED_S = 1.0


@dataclass(frozen=True, slots=True)
class Zone:
    """For some classes; `loitering` in seconds, None: it is not asked for."""

    name: str
    area: Area
    classes: tuple[Label, ...]
    point: Which | None = None
    loitering: float | None = None

    def depth(self, obj: Object, size: Size) -> float:
        """Pixels from its nearest edge; below 0 outside."""
        return self.area.depth(point_of(obj, size, self.point), size)


@dataclass(frozen=True, slots=True)
class Line:
    """For some classes; `directions`: from its left to its right, and from its right to its left."""

    name: str
    way: Polyline
    directions: tuple[str, str]
    classes: tuple[Label, ...]
    point: Which | None = None


@dataclass(slots=True)
class Visit:
    """A track's stay in a zone; `number` is of the track's visits and crossings. Times are Unix seconds."""

    number: int
    zone: Zone
    entered_at: float
    left_at: float | None = None
    """None: it is still there."""
    loitered: bool = False

    def is_due(self, now: float) -> bool:
        """Whether it is to be told that it loiters."""
        after = self.zone.loitering
        return after is not None and not self.loitered and now - self.entered_at >= after


@dataclass(frozen=True, slots=True)
class OfVisit:
    visit: Visit

    @property
    def number(self) -> int:
        return self.visit.number


@dataclass(frozen=True, slots=True)
class Entered(OfVisit):
    pass


@dataclass(frozen=True, slots=True)
class Loitered(OfVisit):
    at: float


@dataclass(frozen=True, slots=True)
class Left(OfVisit):
    ended: bool
    """With its track, and not by a way out of the zone."""


@dataclass(frozen=True, slots=True)
class Crossed:
    """`number`: of the track's visits and crossings."""

    number: int
    line: Line
    direction: str
    at: float


Change = Entered | Loitered | Left | Crossed


class Spot(NamedTuple):
    """An object on a frame of a size, taken `at` Unix seconds."""

    obj: Object
    size: Size
    at: float

    @property
    def margin(self) -> float:
        """Pixels."""
        x1, y1, x2, y2 = self.obj.box_xyxy.tolist()
        return MARGIN * math.sqrt(max((x2 - x1) * (y2 - y1), 0.0))


class Whereabouts:
    """Of a track, in the zones and to the lines that are for its class."""

    def __init__(self, zones: Sequence[Zone], lines: Sequence[Line]) -> None:
        numbers = itertools.count(1)
        self._stays = [_Stay(zone, numbers) for zone in zones]
        self._ways: list[_Stay | _Passage] = [*self._stays, *(_Passage(line, numbers) for line in lines)]
        self._changes: list[Change] = []
        self.spot: Spot | None = None
        """The last."""

    @property
    def visits(self) -> Sequence[Visit]:
        """Those that go on."""
        return [stay.visit for stay in self._stays if stay.visit is not None]

    def see(self, spot: Spot) -> None:
        margin = -math.inf if self.spot is None else spot.margin
        self.spot = spot
        for way in self._ways:
            self._changes += way.move(spot, margin)

    def end(self) -> None:
        """The track has ended: it leaves all zones."""
        if self.spot is not None:
            for way in self._ways:
                self._changes += way.end(self.spot.at)

    def take(self) -> Sequence[Change]:
        """What has changed since it was last asked, in order."""
        changes, self._changes = self._changes, []
        return changes


class _Stay:
    """In a zone, or outside it."""

    def __init__(self, zone: Zone, numbers: Iterator[int]) -> None:
        self.visit: Visit | None = None
        """None: it is outside."""
        self._zone = zone
        self._numbers = numbers
        self._turned_at: float | None = None
        """Since when its point is on the other side; None: it is not."""

    def move(self, spot: Spot, margin: float) -> Iterator[Change]:
        depth = self._zone.depth(spot.obj, spot.size)
        if (depth >= 0) == (self.visit is not None):
            self._turned_at = None
        else:
            turned_at = self._turned_at = spot.at if self._turned_at is None else self._turned_at
            if abs(depth) > margin or spot.at - turned_at >= SETTLED_S:
                yield self._turn(turned_at)
        if (visit := self.visit) is not None and visit.is_due(spot.at):
            visit.loitered = True
            yield Loitered(visit, spot.at)

    def end(self, at: float) -> Iterator[Change]:
        if self._turned_at is not None:
            yield self._turn(self._turned_at)
        if self.visit is not None:
            yield self._leave(self.visit, at, ended=True)

    def _turn(self, at: float) -> Change:
        self._turned_at = None
        if self.visit is not None:
            return self._leave(self.visit, at, ended=False)
        self.visit = Visit(next(self._numbers), self._zone, at)
        return Entered(self.visit)

    def _leave(self, visit: Visit, at: float, *, ended: bool) -> Change:
        visit.left_at, self.visit = at, None
        return Left(visit, ended)


class _Passage:
    """Across a line, or not."""

    def __init__(self, line: Line, numbers: Iterator[int]) -> None:
        self._line = line
        self._numbers = numbers
        self._before: Point | None = None
        self._crossings = 0
        """From left to right less from right to left, of those that do not count yet."""
        self._turned_at = -math.inf
        """When the first of them was."""

    def move(self, spot: Spot, margin: float) -> Iterator[Change]:
        line, size = self._line, spot.size
        before, point = self._before, point_of(spot.obj, size, line.point)
        self._before = point
        if before is not None and (crossings := line.way.crossings(before, point, size)):
            self._turned_at = self._turned_at if self._crossings else spot.at
            self._crossings += crossings
        is_settled = spot.at - self._turned_at >= SETTLED_S
        if self._crossings and (is_settled or line.way.distance(point, size) > margin):
            yield from self._count()

    def end(self, _: float) -> Iterator[Change]:
        return self._count()

    def _count(self) -> Iterator[Change]:
        direction = self._line.directions[self._crossings < 0]
        for _ in range(abs(self._crossings)):
            yield Crossed(next(self._numbers), self._line, direction, self._turned_at)
        self._crossings = 0
