"""Follows faces and bodies from frame to frame: SORT (Bewley et al. 2016), in seconds and without overlaps.

As there, a Kalman filter foretells each box and an optimal assignment gives the boxes of the frame to the tracks. Two
things differ, for frames that come at any rate and with gaps. Time is measured, not counted in frames, and a velocity
fades: it is an Ornstein-Uhlenbeck process (Johnson et al. 2008), so that what is hidden is looked for at a walk's
distance and not ever farther along a line. And a pair costs the likelihood of the box for the track, inside a gate, in
the place of the overlap, which at two frames a second is none for whoever walks: a track that was seen a moment ago
outbids one that is lost, as in the cascade of Wojke et al. 2017.

Not every frame needs a look: on the others the tracks are where the filter foretells them.

All lengths are in units of the track's size, the geometric mean of its box's sides.
"""

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from pydantic import Field

from configs.section import Section
from processors.assignment import assign
from processors.types import Confidence, Floats, Frame, Object, Sample

SPEED = 2.0
"""Standard deviation of a velocity along one axis, sizes a second."""
PERSISTENCE = 2.0
"""Seconds in which a velocity fades to 1/e."""
BOX_NOISE = 0.05
"""Standard deviation of a detector's centre, sizes."""
LOG_SIZE_NOISE = 0.15
"""Standard deviation of the logarithm of a detector's width and height."""
LOG_SIZE_CHANGE = 0.3
"""By how much, as standard deviation, that logarithm wanders in a second."""
GATE = 16.0
"""Squared Mahalanobis distance of centre and sizes that a box of the track exceeds once in 300 times (chi-squared)."""
NEAR = 1.0
"""Sizes from where it was seen within which a track is found again by the look after `lost_after`."""
ALIKE = 0.3
"""By how much the logarithm of its width and height may then differ."""
OUTSIDE = 0.3
"""Seconds after which a track is given up that is foretold outside the picture."""
SMALLEST_SIDE = 1.0  # pixels; a box without an area has no size to measure by
CARRIED = 0.4
"""Seconds for which tracks are sure to be where they are predicted, if nothing below speaks against it."""
MOVED = 0.2
"""By how many sizes a track may have moved since it was seen. At .3 fewer looks find 2 % fewer faces that approach."""
FALLEN = 0.8
"""Below this share of a track's usual confidence it may be about to be hidden."""
USUAL = 0.2
"""By how much each look moves what is usual."""
MISSED = 0.5
"""Seconds for which a confirmed track that a look missed is looked for on every frame."""
CLOCKS_AGREE = 0.5
"""Seconds by which the step of the source's clock may differ from the wall clock's."""


class TrackerSettings(Section):
    lost_after: float = Field(
        3.0,
        gt=0,
        description="Seconds without a box after which a track ends; whoever is seen again later gets a new track. "
        "With more, people who are hidden for a while keep their track, but more tracks mix two people. A track that "
        "leaves the picture ends sooner. If frames come less often than this, a track that was seen on the last frame "
        "goes on if it has hardly moved.",
    )
    confirmed_after: int = Field(
        3,
        ge=1,
        description="Number of boxes after which a track is confirmed. Shorter tracks are taken for errors of the "
        "detector.",
    )


@dataclass(frozen=True, slots=True)
class Track:
    """What an object is part of. `id` counts from 1, over faces and bodies of the stream, and is never used again.

    `boxes` says how many the track has so far, this one included; confirmed once it has had enough.
    """

    id: int
    boxes: int
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Predicted:
    """The object was not looked for: it is where its track is expected to be."""


class _Motion(NamedTuple):
    """What time does to a track: velocity fades by `fade`, `reach` seconds of it are walked; noise is added."""

    fade: float
    reach: float
    noise: Floats
    log_size_noise: float

    @classmethod
    def over(cls, seconds: float) -> "_Motion":
        fade = math.exp(-seconds / PERSISTENCE)
        reach = PERSISTENCE * (1 - fade)
        position = 2 * SPEED**2 * PERSISTENCE * (seconds - reach - reach**2 / (2 * PERSISTENCE))
        both = SPEED**2 * PERSISTENCE * (1 - fade) ** 2
        velocity = SPEED**2 * (1 - fade**2)
        return cls(fade, reach, np.array([[position, both], [both, velocity]]), LOG_SIZE_CHANGE**2 * seconds)


class _Open:
    """A track that has not ended. Both axes have the same covariance, (2, 2) of centre and velocity in sizes."""

    def __init__(self, identity: int, centre: Floats, log_sides: Floats, now: float, confidence: float) -> None:
        self.id = identity
        self.boxes = 1
        self.seen_at = now
        self.seen_centre = centre
        self.is_overdue = False
        """`lost_after` is over, and this is the first look since it was seen: it must be near, or has ended."""
        self.centre = centre
        self.velocity = np.zeros(2)
        self.covariance = np.diag([BOX_NOISE**2, SPEED**2])
        self.log_sides = log_sides
        self.log_size_variance = LOG_SIZE_NOISE**2
        self.confidence = self.usual_confidence = confidence

    @property
    def box_xyxy(self) -> Floats:
        half = np.exp(self.log_sides) / 2
        return np.concatenate([self.centre - half, self.centre + half])

    @property
    def speed(self) -> float:
        """Sizes a second."""
        return float(np.linalg.norm(self.velocity) / np.exp(self.log_sides.mean()))

    def move(self, motion: _Motion) -> None:
        self.centre = self.centre + motion.reach * self.velocity
        self.velocity = motion.fade * self.velocity
        transition = np.array([[1.0, motion.reach], [0.0, motion.fade]])
        self.covariance = transition @ self.covariance @ transition.T + motion.noise
        self.log_size_variance += motion.log_size_noise

    def take(self, centre: Floats, log_sides: Floats, now: float, confidence: float) -> None:
        gain = self.covariance[:, 0] / (self.covariance[0, 0] + BOX_NOISE**2)
        error = centre - self.centre
        self.centre = self.centre + gain[0] * error
        self.velocity = self.velocity + gain[1] * error
        self.covariance = self.covariance - np.outer(gain, self.covariance[0])
        share = self.log_size_variance / (self.log_size_variance + LOG_SIZE_NOISE**2)
        self.log_sides = self.log_sides + share * (log_sides - self.log_sides)
        self.log_size_variance *= 1 - share
        self.confidence = confidence
        self.usual_confidence += USUAL * (confidence - self.usual_confidence)
        self.boxes += 1
        self.seen_at = now
        self.seen_centre = centre
        self.is_overdue = False


class _Moment(NamedTuple):
    """When the last frame was, and its size. The frame itself is not kept: its picture would hold memory."""

    pts: float
    captured_at: float
    width: int
    height: int

    def is_as_large_as(self, other: "_Moment") -> bool:
        return (self.width, self.height) == (other.width, other.height)


class Tracker:
    """Lays a Track on every object of one stream's samples, which come in order. The one processor with a state.

    Faces and bodies are followed apart. Another picture size ends all tracks.
    """

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self._tracks: dict[str, list[_Open]] = {}
        self._ids = itertools.count(1)
        self._now = 0.0  # seconds since the first frame
        self._looked_at: dict[str, float] = {}
        self._last: _Moment | None = None

    def __call__(self, sample: Sample, unlooked: Collection[str] = ()) -> tuple[int, ...]:
        """The ids of the tracks that have ended by this sample, ascending.

        `unlooked`: labels that nobody has looked for on the frame. Of these the sample gets an object, Predicted, for
        each track that the last look saw.
        """
        frame = sample.frame
        ended = self._advance(_moment(frame))
        for label in dict.fromkeys([*self._tracks, *(obj.label for obj in sample.objects)]):
            if label in unlooked:
                sample.objects += self._predicted(label, frame)
            else:
                ended += self._follow(label, [obj for obj in sample.objects if obj.label == label], frame)
                self._looked_at[label] = self._now
        return _ids_of(ended)

    def since_look(self, label: str, frame: Frame) -> float:
        """Seconds from the last look for a label to a frame that comes next; infinite where no look was at its like."""
        moment, last = _moment(frame), self._last
        if last is None or label not in self._looked_at or not last.is_as_large_as(moment):
            return math.inf
        return self._now + elapsed(last, moment) - self._looked_at[label]

    def is_sure(self, label: str, frame: Frame) -> bool:
        """Whether the tracks of a label can be predicted on a frame that comes next.

        Not for long, nor while one is new or has just been missed, moves fast, or is found with less confidence.
        """
        seconds = self.since_look(label, frame)
        return seconds < CARRIED and all(
            self._is_sure(track, seconds) if self._saw(label, track) else self._is_given_up(track)
            for track in self._tracks.get(label, ())
        )

    def _is_sure(self, track: _Open, seconds: float) -> bool:
        is_slow = track.speed * seconds <= MOVED
        return self._is_confirmed(track) and is_slow and track.confidence >= FALLEN * track.usual_confidence

    def _is_given_up(self, track: _Open) -> bool:
        return not self._is_confirmed(track) or self._now - track.seen_at >= MISSED

    def close(self) -> tuple[int, ...]:
        """Ends all tracks, at the end of a stream or where a camera was lost; their ids, ascending."""
        ended = list(itertools.chain.from_iterable(self._tracks.values()))
        self._tracks.clear()
        return _ids_of(ended)

    def _advance(self, moment: _Moment) -> list[_Open]:
        """Moves the tracks to the frame's time; returns those that do not live to see it.

        Where looks are more seldom than `lost_after` a track lives to see the next one, and one only.
        """
        last, self._last = self._last, moment
        if last is None:
            return []
        step = elapsed(last, moment)
        self._now += step
        motion = _Motion.over(step)
        same_picture = last.is_as_large_as(moment)
        ended = []
        for label, tracks in self._tracks.items():
            for track in tracks:
                track.is_overdue = self._now - track.seen_at > self._settings.lost_after
            kept = [t for t in tracks if same_picture and (not t.is_overdue or self._saw(label, t))]
            ended += [track for track in tracks if track not in kept]
            self._tracks[label] = kept
            for track in kept:
                track.move(motion)
        return ended

    def _saw(self, label: str, track: _Open) -> bool:
        """Whether the last look did."""
        return track.seen_at == self._looked_at[label]

    def _predicted(self, label: str, frame: Frame) -> Iterator[Object]:
        """Where the tracks of a label are by now that the last look saw, as far as they are in the picture."""
        for track in self._tracks.get(label, ()):
            if self._saw(label, track) and not _is_outside(track, frame):
                obj = Object(label, track.box_xyxy)
                obj.put(self._track(track))
                obj.put(Predicted())
                yield obj

    def _follow(self, label: str, objects: Sequence[Object], frame: Frame) -> list[_Open]:
        """Gives the objects of one label to its tracks, and to new ones; returns the tracks that have left."""
        tracks = self._tracks.get(label, [])
        boxes = np.array([obj.box_xyxy for obj in objects], np.float64).reshape(-1, 4)
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        log_sides = np.log(np.maximum(boxes[:, 2:] - boxes[:, :2], SMALLEST_SIDE))
        taken = {column: tracks[row] for row, column in assign(_costs(tracks, centres, log_sides))}
        left = [track for track in tracks if track not in taken.values() and self._has_left(track, frame)]
        self._tracks[label] = [track for track in tracks if track not in left]
        for i, obj in enumerate(objects):
            if track := taken.get(i):
                track.take(centres[i], log_sides[i], self._now, _confidence(obj))
            else:
                track = _Open(next(self._ids), centres[i], log_sides[i], self._now, _confidence(obj))
                self._tracks[label].append(track)
            obj.put(self._track(track))
        return left

    def _track(self, track: _Open) -> Track:
        return Track(track.id, track.boxes, self._is_confirmed(track))

    def _is_confirmed(self, track: _Open) -> bool:
        return track.boxes >= self._settings.confirmed_after

    def _has_left(self, track: _Open, frame: Frame) -> bool:
        return track.is_overdue or (_is_outside(track, frame) and self._now - track.seen_at > OUTSIDE)


def _moment(frame: Frame) -> _Moment:
    return _Moment(frame.pts, frame.captured_at, frame.width, frame.height)


def _confidence(obj: Object) -> float:
    return obj[Confidence].value if Confidence in obj else 1.0


def _is_outside(track: _Open, frame: Frame) -> bool:
    """Whether its centre is beyond the picture's edge."""
    return bool((track.centre < 0).any() or (track.centre > (frame.width, frame.height)).any())


def elapsed(before: _Moment, after: _Moment) -> float:
    """Seconds between two frames, never below 0.

    By the source's own clock, which a slow network does not shake. It stands still where a source has none, and begins
    anew with each connection: where it does not go on or differs from the wall clock, that counts.
    """
    own, wall = after.pts - before.pts, after.captured_at - before.captured_at
    return own if own > 0 and abs(own - wall) < CLOCKS_AGREE else max(wall, 0.0)


def _costs(tracks: Sequence[_Open], centres: Floats, log_sides: Floats) -> Floats:
    """(tracks, boxes): minus twice the logarithm of the likelihood, but for a constant; infinite outside the gate.

    The gate grows with time, so that after a long one it would take whoever is there: what is overdue must be near,
    and of the same size.
    """
    if not tracks:
        return np.zeros((0, len(centres)))
    track_sides = np.array([track.log_sides for track in tracks])
    sizes = np.exp(track_sides.mean(axis=1))
    variances = np.array([track.covariance[0, 0] for track in tracks]) + BOX_NOISE**2
    size_variances = np.array([track.log_size_variance for track in tracks]) + LOG_SIZE_NOISE**2
    away = np.array([track.centre for track in tracks])[:, None] - centres
    unlike = track_sides[:, None] - log_sides
    distances = (away**2).sum(axis=2) / (variances * sizes**2)[:, None]
    distances += (unlike**2).sum(axis=2) / size_variances[:, None]
    spread = 2 * np.log(variances) + 2 * np.log(size_variances)
    from_seen = np.linalg.norm(np.array([track.seen_centre for track in tracks])[:, None] - centres, axis=2)
    overdue = np.array([track.is_overdue for track in tracks])
    is_near = (from_seen <= NEAR * sizes[:, None]) & (np.abs(unlike) <= ALIKE).all(axis=2)
    allowed = (distances < GATE) & (is_near | ~overdue[:, None])
    costs: Floats = np.where(allowed, distances + spread[:, None], np.inf)
    return costs


def _ids_of(tracks: Iterable[_Open]) -> tuple[int, ...]:
    return tuple(sorted(track.id for track in tracks))
