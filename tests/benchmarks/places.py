"""Zones and lines against labelled tracks: python -m tests.benchmarks.places FOLDER [--places 60]

On each clip of a labelled tracking set (docs/evaluation.md) random zones and lines are laid. What the events say of
them is held against what the labelled boxes say, all of a track at once (tests/work/places/truth.py):

- exact boxes, exact tracks: each track of the labels as it is, with no tracker between;
- exact boxes, our tracks: the events of a stream whose detector finds the labelled boxes. First against the boxes of
  its own tracks, which leaves the tracker's errors out, then against the labelled tracks, which shows them;
- the boxes that the face detector finds, against the labelled tracks, with hysteresis and without.

A dwell time is off by the frames that both ends of a visit are off together. `touches` are visits and crossings that
hysteresis passes over: they are neither deep nor long, and a box that trembles makes any number of them.
"""

import argparse
import contextlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from daemon.commands.evaluate.labels import find_sets, read_set
from daemon.commands.evaluate.tracking import Clip, Look, Replay, truths
from daemon.flow.place_counts import PlaceCounts
from daemon.flow.receipts import Counts, LookCounts
from daemon.prepare import prepare
from daemon.work.documents import Documents, EventPictures, PlaceEvents, TrackEvents
from daemon.work.emission import Emission
from daemon.work.events import Events
from daemon.work.jobs import ShotJobs
from daemon.work.looks import Looking, Looks
from daemon.work.places import whereabouts
from daemon.work.places.geometry import Area, Point, Polyline, Size
from daemon.work.places.places import places_of
from daemon.work.places.settings import LineSettings, ZoneSettings
from daemon.work.places.whereabouts import Crossed, Left, Line, Spot, Whereabouts, Zone
from daemon.work.tracked import Schedule, Tracked
from models.store import ModelStore
from processors.registry import PROCESSORS
from processors.tracker import Tracker, TrackerSettings
from processors.types import Box, Confidence, Floats, Object, Processor, TrackId, Zones
from tests.benchmarks.looks import seen
from tests.work.places.truth import Passing, Sighting, Stay, meets, passings, stays, within

CONFIRMED_AFTER = TrackerSettings().confirmed_after
DIRECTIONS = ("right", "left")
EMITS = frozenset({Box, Confidence, TrackId, Zones})
SAME_S = 1e-5
"""Times in events have microseconds."""


@dataclass
class Told:
    """Of one track, by the name of the place."""

    visits: dict[str, list[Stay]] = field(default_factory=lambda: defaultdict(list))
    crossings: dict[str, list[Passing]] = field(default_factory=lambda: defaultdict(list))


class Settings(NamedTuple):
    zones: Sequence[ZoneSettings]
    lines: Sequence[LineSettings]


class Laid(NamedTuple):
    """Zones and lines by their names."""

    zones: Mapping[str, Sequence[Point]]
    lines: Mapping[str, Sequence[Point]]

    @property
    def settings(self) -> Settings:
        zones = [ZoneSettings(name=name, polygon=tuple(corners)) for name, corners in self.zones.items()]
        lines = [
            LineSettings(name=name, points=tuple(points), directions=DIRECTIONS) for name, points in self.lines.items()
        ]
        return Settings(zones, lines)


def laid(number: int) -> Laid:
    """Zones of 4 to 6 corners about a point, and lines of 2 or 3 points from side to side."""
    random = np.random.default_rng(1)
    zones: dict[str, Sequence[Point]] = {}
    for index in range(number):
        centre, reach = random.uniform(0.2, 0.8, 2), random.uniform(0.1, 0.3)
        turns = np.linspace(0, 2 * np.pi, random.integers(4, 7), endpoint=False) + random.uniform(0, 1)
        corners = centre + reach * np.stack([np.cos(turns), np.sin(turns)], axis=1)
        zones[f"zone {index}"] = tuple(map(tuple, corners.clip(0, 1).tolist()))
    lines: dict[str, Sequence[Point]] = {}
    for index in range(number):
        points = random.uniform(0, 1, (random.integers(2, 4), 2))
        points[:, index % 2] = np.linspace(0, 1, len(points))
        lines[f"line {index}"] = tuple(map(tuple, points.tolist()))
    return Laid(zones, lines)


def sighting(look: Look, box: Floats) -> Sighting:
    x1, y1, x2, y2 = box.tolist()
    point = float(np.clip((x1 + x2) / 2, 0, look.width)), float(np.clip((y1 + y2) / 2, 0, look.height))
    return Sighting(look.pts, point, float(np.sqrt((x2 - x1) * (y2 - y1))))


def exact(clip: Clip) -> Clip:
    """With the labelled boxes that are in view in the place of those that were found."""
    looks = [
        replace(look, boxes=np.array([box for _, box in wanted(look)]).reshape(-1, 4), confidences=())
        for look in clip.looks
    ]
    return Clip(clip.name, tuple(looks))


def labelled(clip: Clip) -> Mapping[object, list[Sighting]]:
    tracks: dict[object, list[Sighting]] = defaultdict(list)
    for look in clip.looks:
        for identity, box in wanted(look):
            tracks[identity].append(sighting(look, box))
    return tracks


def wanted(look: Look) -> Iterator[tuple[object, Floats]]:
    """The labelled tracks and boxes that are in view."""
    if (truth := look.truth) is not None:
        for identity, box, in_view in zip(truth.identities, truth.boxes, truth.wanted, strict=True):
            if in_view:
                yield identity, box


def by_labels(tracks: Mapping[object, list[Sighting]], places: Laid, size: Size) -> dict[object, Told]:
    return {
        track: Told(
            {name: stays(seen_, corners, size) for name, corners in places.zones.items()},
            {name: passings(seen_, points, size) for name, points in places.lines.items()},
        )
        for track, seen_ in tracks.items()
    }


def touches(
    tracks: Mapping[object, list[Sighting]], places: Laid, size: Size, of: Mapping[object, Told]
) -> Counter[str]:
    """How many visits and crossings there are beyond those that count."""
    plain: Counter[str] = Counter()
    for seen_ in tracks.values():
        for corners in places.zones.values():
            inside = [within(one.point, np.array(corners) * size) for one in seen_]
            plain["visits"] += sum(now and not before for before, now in pairwise([False, *inside]))
        for points in places.lines.values():
            pixels = np.array(points) * size
            ways = pairwise(seen_)
            plain["crossings"] += sum(abs(meets(one.point, next_.point, pixels)) for one, next_ in ways)
    plain["visits"] -= sum(len(visits) for told in of.values() for visits in told.visits.values())
    plain["crossings"] -= sum(len(ways) for told in of.values() for ways in told.crossings.values())
    return plain


def by_whereabouts(clip: Clip, places: Laid) -> dict[object, Told]:
    """Of the labelled tracks, with no tracker between."""
    zones = [Zone(name, Area(corners), ("face",)) for name, corners in places.zones.items()]
    lines = [Line(name, Polyline(points), DIRECTIONS, ("face",)) for name, points in places.lines.items()]
    found: dict[object, Whereabouts] = {}
    for look in clip.looks:
        for identity, box in wanted(look):
            where = found.setdefault(identity, Whereabouts(zones, lines))
            where.see(Spot(Object("face", box), (look.width, look.height), look.pts))
    return {identity: _told(where) for identity, where in found.items()}


def _told(where: Whereabouts) -> Told:
    where.end()
    told = Told()
    for change in where.take():
        match change:
            case Left(visit):
                told.visits[visit.zone.name].append(Stay(visit.entered_at, visit.left_at or 0.0))
            case Crossed(_, line, direction, at):
                told.crossings[line.name].append(Passing(direction == DIRECTIONS[0], at))
    return told


class Ran(NamedTuple):
    """What a stream has told of a clip, by its tracks, and the boxes of these."""

    told: Mapping[object, Told]
    tracks: Mapping[object, list[Sighting]]


def ran(clip: Clip, places: Laid) -> Ran:
    looks, kept = [Looks("face", Replay(clip))], EventPictures()
    work = Tracked(
        Schedule(looks, [], []),
        Looking(looks, Tracker(TrackerSettings()), LookCounts()),
        1,
        Emission(Documents("clip", EMITS), "every", "run"),
        Events(TrackEvents("clip", "events", kept), PlaceEvents("clip", "events", kept), EMITS, None),
        "clip",
        "run",
        keep_crops=False,
        jobs=ShotJobs([], Counts()),
        places=places_of(places.settings, {"face"}, PlaceCounts()),
    )
    records = list(work.begin())
    for index, look in enumerate(clip.looks):
        records += work.tell(work.look(look.frame(index), index))
    records += work.end()
    told: dict[object, Told] = defaultdict(Told)
    tracks: dict[object, list[Sighting]] = defaultdict(list)
    for record in records:
        value = json.loads(record.value)
        if record.about.schema == "visaged.place":
            _take(value, told[value["track"]["id"]])
        elif record.about.schema == "visaged.frame":
            look = clip.looks[value["stream"]["frame"]]
            for obj, box in zip(value["objects"], look.boxes, strict=True):
                tracks[obj["track_id"]].append(sighting(look, box))
    return Ran(told, {track: boxes for track, boxes in tracks.items() if len(boxes) >= CONFIRMED_AFTER})


def _take(event: Mapping[str, Any], told: Told) -> None:
    if event["event"] == "left":
        zone = event["zone"]
        told.visits[zone["name"]].append(Stay(_seconds(zone["entered_at"]), _seconds(zone["left_at"])))
    elif event["event"] == "crossed":
        line = event["line"]
        passing = Passing(line["direction"] == DIRECTIONS[0], _seconds(line["crossed_at"]))
        told.crossings[line["name"]].append(passing)


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def own(name: str, ours: Mapping[object, Told], theirs: Mapping[object, Told], fps: float) -> None:
    """Track by track: the same visits and crossings, at the same times."""
    visits, crossings, off = Counter[bool](), Counter[bool](), 0.0
    for track, truth in theirs.items():
        told = ours.get(track, Told())
        for zone, visited in truth.visits.items():
            said = told.visits[zone]
            visits[len(said) == len(visited)] += max(len(visited), len(said))
            if len(said) == len(visited):
                pairs = zip(said, visited, strict=True)
                offs = [sum(abs(a - b) for a, b in zip(one, other, strict=True)) for one, other in pairs]
                off = max([off, *offs])
        for line, ways in truth.crossings.items():
            same = [way.to_the_right for way in ways] == [way.to_the_right for way in told.crossings[line]]
            crossings[same] += max(len(ways), len(told.crossings[line]))
    invented = len(ours.keys() - theirs.keys())
    print(
        f"  {name:34} | visits {visits[True]} of {visits.total()}, dwell off {off * fps if off > SAME_S else 0:.1f} "
        f"frames at most | crossings {crossings[True]} of {crossings.total()} | {invented} tracks of nobody",
        flush=True,
    )


def together(name: str, ours: Mapping[object, Told], theirs: Mapping[object, Told]) -> None:
    """All tracks together, by place: what a counter shows."""
    print(f"  {name:34} | {_sums(ours, theirs)}", flush=True)


def _sums(ours: Mapping[object, Told], theirs: Mapping[object, Told]) -> str:
    visits, wanted_visits = (_entries(told) for told in (ours, theirs))
    ways, wanted_ways = (_ways(told) for told in (ours, theirs))
    dwell, wanted_dwell = (_dwell(told) for told in (ours, theirs))
    return (
        f"visits {visits.total()}, off by {_off(visits, wanted_visits)} of {wanted_visits.total()}, "
        f"dwell {sum(dwell.values()):.1f} s for {sum(wanted_dwell.values()):.1f} s | "
        f"crossings {ways.total()}, off by {_off(ways, wanted_ways)} of {wanted_ways.total()}"
    )


def _off(counts: Counter[Any], wanted: Counter[Any]) -> int:
    return sum(abs(counts[key] - wanted[key]) for key in counts | wanted)


def _entries(told: Mapping[object, Told]) -> Counter[str]:
    return Counter(zone for one in told.values() for zone, visits in one.visits.items() for _ in visits)


def _ways(told: Mapping[object, Told]) -> Counter[tuple[str, bool]]:
    return Counter(
        (line, way.to_the_right) for one in told.values() for line, ways in one.crossings.items() for way in ways
    )


def _dwell(told: Mapping[object, Told]) -> dict[str, float]:
    dwell: dict[str, float] = defaultdict(float)
    for one in told.values():
        for zone, visits in one.visits.items():
            dwell[zone] += sum(visit.left_at - visit.entered_at for visit in visits)
    return dwell


def measure(found: Clip, places: Laid) -> None:
    clip = exact(found)
    size, fps = (clip.looks[0].width, clip.looks[0].height), clip.rate
    labels = labelled(clip)
    truth = by_labels(labels, places, size)
    beside = touches(labels, places, size, truth)
    print(f"{clip.name}: {len(labels)} tracks, {len(places.zones)} zones, {len(places.lines)} lines")
    print(f"  touches beside what counts: {beside['visits']} of zones, {beside['crossings']} of lines")
    own("exact boxes, exact tracks", by_whereabouts(clip, places), truth, fps)
    run = ran(clip, places)
    own("exact boxes, our tracks", run.told, by_labels(run.tracks, places, size), fps)
    together("the same, against the labels", run.told, truth)
    together("detected boxes, against the labels", ran(found, places).told, truth)
    with without_hysteresis():
        together("the same without hysteresis", ran(found, places).told, truth)


@contextlib.contextmanager
def without_hysteresis() -> Iterator[None]:
    """Each frame on the other side counts."""
    margin, whereabouts.MARGIN = whereabouts.MARGIN, -math.inf
    try:
        yield
    finally:
        whereabouts.MARGIN = margin


def clips(folders: Sequence[Path]) -> Iterator[Clip]:
    kind = PROCESSORS["face-detector"]
    detector: Processor = kind(kind.Settings(), ModelStore())
    for folder in folders:
        for found in find_sets(folder):
            for picture in read_set(found).pictures:
                yield seen(picture.path, detector, truths(picture.labels)).clip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--places", type=int, default=60, help="zones, and lines, on each clip: 64 at most")
    arguments = parser.parse_args()
    prepare()
    for clip in clips(arguments.folders):
        measure(clip, laid(arguments.places))


if __name__ == "__main__":
    main()
