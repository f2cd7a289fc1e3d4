"""The zones and lines of a stream, and how many are in them and have crossed them."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from daemon.flow.place_counts import PlaceCounts, WayOf, ZoneOf
from daemon.wire import v2
from daemon.work.places.geometry import Area, Polyline
from daemon.work.places.settings import HasPlaces, LineSettings, ZoneSettings, classes_of
from daemon.work.places.whereabouts import Change, Crossed, Entered, Line, Whereabouts, Zone
from processors.types import Label, Object, Outline, Outlines, Sample, Zones


@dataclass(frozen=True, slots=True)
class StreamPlaces:
    """Used by one run after the other. `counts` has the figures of them all."""

    zones: tuple[Zone, ...] = ()
    lines: tuple[Line, ...] = ()
    counts: PlaceCounts = field(default_factory=PlaceCounts)
    outlines: Outlines = field(default_factory=lambda: Outlines(()))

    @property
    def are_there(self) -> bool:
        return bool(self.zones or self.lines)

    def begin(self, *, tracked: bool) -> None:
        """Without tracks nobody is known to have entered or crossed."""
        zones: list[ZoneOf] = [(zone.name, label) for zone in self.zones for label in zone.classes]
        ways: list[WayOf] = [
            (line.name, direction, label)
            for line in self.lines
            for direction in line.directions
            for label in line.classes
        ]
        self.counts.begin(zones, zones if tracked else (), ways)

    def whereabouts(self, label: str) -> Whereabouts:
        """Of a new track."""
        return Whereabouts(
            [zone for zone in self.zones if label in zone.classes],
            [line for line in self.lines if label in line.classes],
        )

    def count(self, change: Change, label: str) -> None:
        match change:
            case Entered(visit):
                self.counts.entered[visit.zone.name, label] += 1
            case Crossed(_, line, direction):
                self.counts.crossed[line.name, direction, label] += 1

    def show(self, there: Iterable[ZoneOf]) -> v2.Places:
        """The figures on a frame; `there`: who is in which zone, by their classes."""
        now = dict.fromkeys(self.counts.now, 0)
        for key in there:
            now[key] += 1
        self.counts.now = now
        return v2.Places(now, dict(self.counts.entered), dict(self.counts.crossed))

    def find(self, sample: Sample) -> v2.Places:
        """Lays on each object the zones that it is in, by this frame alone; the figures."""
        sample.put(self.outlines)
        size = sample.frame.width, sample.frame.height
        for obj in sample.objects:
            obj.put(Zones(tuple(zone.name for zone in self.zones if _is_in(zone, obj, size))))
        return self.show((name, obj.label) for obj in sample.objects for name in obj[Zones].names)


def _is_in(zone: Zone, obj: Object, size: tuple[int, int]) -> bool:
    return obj.label in zone.classes and zone.depth(obj, size) >= 0


def places_of(settings: HasPlaces, found: Collection[Label], counts: PlaceCounts) -> StreamPlaces:
    """`found`: the classes that the chain finds."""
    zones = tuple(_zone(zone, found) for zone in settings.zones)
    lines = tuple(_line(line, found) for line in settings.lines)
    closed = [Outline(zone.name, zone.polygon, is_closed=True) for zone in settings.zones]
    opened = [Outline(line.name, line.points, is_closed=False) for line in settings.lines]
    return StreamPlaces(zones, lines, counts, Outlines((*closed, *opened)))


def _zone(zone: ZoneSettings, found: Collection[Label]) -> Zone:
    return Zone(zone.name, Area(zone.polygon), classes_of(zone, found), zone.point, zone.loitering)


def _line(line: LineSettings, found: Collection[Label]) -> Line:
    return Line(line.name, Polyline(line.points), line.directions, classes_of(line, found), line.point)
