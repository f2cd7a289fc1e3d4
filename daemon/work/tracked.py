"""Follows objects from frame to frame: what was found of a track stays with it, and is not worked out on every frame.

look() finds: it runs beside the looks at other frames. tell() sees the frames in their order: it gives the objects to
their tracks, runs what is due, lays what is known of each track on its object, and writes the document and the events.
Where a frame was not looked at (daemon/work/looks.py), the tracks' objects are predicted: they are on the document, and
nothing else comes of them.

The shots of a live stream are jobs of their own, that no frame waits for (daemon/work/jobs.py): what a frame costs must
not rise when the machine is busy and tracks are lost. Their results are on the next frame's document, which `updated`
says. What can wait, as a file, waits for them, so that its documents do not depend on the machine.
"""

import math
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from daemon.pictures.hide import public_crop
from daemon.wire.v2 import Places, Reason, StreamInfo
from daemon.work.documents import stream_info
from daemon.work.emission import Emission
from daemon.work.events import Events
from daemon.work.followed import Followed, Sight
from daemon.work.jobs import ShotJobs, made_by
from daemon.work.looks import Looking, Looks
from daemon.work.places.places import StreamPlaces
from daemon.work.places.whereabouts import Spot
from daemon.work.shots import SPACING, Shot, Shots, shot_score
from processors.assignment import assign
from processors.boxes import clipped, inside, square
from processors.tracker import Predicted, Track
from processors.types import FaceMesh, Floats, Frame, Landmarks, Object, Processor, Sample, Window
from sinks.base import Record

INSIDE = 0.7
"""Share of a face's box that lies in the box of the body it may belong to."""
LEAVE_S = 2.0
"""How long a track that has ended waits for the shot of it that is under way."""
GRID = 64
"""Pixels to whose multiples a window goes, so that its halves are the whole picture's."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A chain's processors by how often they run, each in the chain's order."""

    looks: Sequence[Looks]
    """One of each label."""
    every_nth: Sequence[tuple[int, Processor]]
    """At every n-th look at a track."""
    shots: Sequence[Processor]
    """On a track's best shots."""
    reach: float = math.inf
    """How much of the picture about an object the latter look at (Estimator.reach)."""


class Seen(NamedTuple):
    """A track on the frame at hand."""

    track: Followed
    obj: Object


class Leaving(NamedTuple):
    """A track that has ended and not left: it waits for its shot, `until` then (time.monotonic())."""

    track: Followed
    reason: Reason
    until: float


class Tracked:
    """One run's frames. tell() and end() are called one at a time, whatever the thread."""

    in_order = True

    def __init__(
        self,
        schedule: Schedule,
        looking: Looking,
        most_shots: int,
        emit: Emission,
        events: Events | None,
        stream: str,
        run: str,
        *,
        keep_crops: bool,
        jobs: ShotJobs,
        places: StreamPlaces | None = None,
    ) -> None:
        self.aside = jobs
        self._schedule = schedule
        self._looking = looking
        self._most_shots = most_shots
        self._emit = emit
        self._events = events
        self._stream = stream
        self._run = run
        self._ids = uuid.uuid4().hex  # a run of records may be read again, under its name
        self._keep_crops = keep_crops
        self._places = places or StreamPlaces()
        self._followed: dict[int, Followed] = {}
        self._leaving: list[Leaving] = []
        self._last: StreamInfo | None = None
        self._unsaid: list[Record] = []  # events of a frame that failed go with the next

    def begin(self) -> Sequence[Record]:
        self._places.begin(tracked=True)
        return self._events.begin() if self._events is not None else ()

    def look(self, frame: Frame, turn: int) -> Sample:
        return self._looking.look(frame, turn)

    def tell(self, sample: Sample, *, live: bool = False) -> Sequence[Record]:
        frame = sample.frame
        self._last = info = stream_info(frame, self._stream, self._run)
        changed = self._take_in()
        self._say_left(info, time.monotonic())
        self._let_go(self._looking.follow(sample), info, Reason.GONE)
        there = [Seen(self._followed_by(obj, frame), obj) for obj in sample.objects]
        seen = [one for one in there if Predicted not in one.obj]
        for track, obj in seen:
            track.where.see(Spot(obj, (frame.width, frame.height), frame.captured_at))
        if seen:
            _give_bodies(there)
        for track, obj in there:
            track.lay_on(obj)
        changed |= self._run_what_is_due(seen, sample, live=live)
        self._say(seen, changed, info)
        places = self._show_places(sample)
        documents = self._emit(sample, ({(track.id, track.revision) for track in self._followed.values()}, places))
        events, self._unsaid = self._unsaid, []
        return [*documents, *events]

    def end(self) -> Sequence[Record]:
        self._take_in()
        if self._last is not None:
            self._let_go(self._looking.close(), self._last, Reason.RUN_ENDED)
            self._say_left(self._last, math.inf)
        self._places.show(())
        return self._unsaid

    def settle(self) -> None:
        if self._events is not None:
            self._events.settle()

    def _let_go(self, numbers: Iterable[int], now: StreamInfo, reason: Reason) -> None:
        for number in numbers:
            gone = self._followed.pop(number)
            gone.where.end()
            self._say_places(gone, now, reason)
            for track in self._followed.values():
                track.bodies.pop(gone.id, None)
            waits = self.aside.leave(gone)
            self._leaving.append(Leaving(gone, reason, time.monotonic() + LEAVE_S if waits else -math.inf))
        self._say_left(now, time.monotonic())

    def _say_left(self, now: StreamInfo, clock: float) -> None:
        """Of the tracks that have ended those that wait for no shot any more."""
        waiting = []
        for leaving in self._leaving:
            if leaving.track.job is not None and clock < leaving.until:
                waiting.append(leaving)
                continue
            self.aside.abandon(leaving.track)
            if leaving.track.appeared and self._events is not None:
                self._unsaid.append(self._events.left(leaving.track, now, leaving.reason))
        self._leaving = waiting

    def _followed_by(self, obj: Object, frame: Frame) -> Followed:
        number = obj[Track].id
        track = self._followed.get(number)
        if track is None:
            name, where = f"{self._ids}-{number}", self._places.whereabouts(obj.label)
            track = Followed(name, obj.label, Shots(self._most_shots), frame.captured_at, where=where)
            self._followed[number] = track
        if Predicted not in obj:
            track.last_seen = frame.captured_at
            track.frames += 1
        return track

    def _run_what_is_due(self, seen: Sequence[Seen], sample: Sample, *, live: bool) -> set[str]:
        """The tracks of which something new is known. What was known before lies on the objects, for who needs it."""
        for every, processor in self._schedule.every_nth:
            due = [one for one in seen if one.obj.label == processor.applies_to and one.track.frames % every == 1]
            _run(processor, due, sample)
            for track, obj in due:
                track.latest |= made_by(processor, obj)
        scored = [(one, shot_score(one.obj)) for one in seen]
        if live and self._schedule.shots:
            for one, score in scored:
                self._put_aside(one, score, sample)
            return set()
        now = sample.frame.captured_at
        due_shots = [(one, score) for one, score in scored if one.track.shots.wants(score, now)]
        for processor in self._schedule.shots:
            _run(processor, [one for one, _ in due_shots if one.obj.label == processor.applies_to], sample)
        for (track, obj), score in due_shots:
            results = {
                kind: made for processor in self._schedule.shots for kind, made in made_by(processor, obj).items()
            }
            self._take_shot(track, self._sight(obj, score, sample), results)
            track.lay_on(obj)
        return {one.track.id for one, _ in due_shots}

    def _put_aside(self, one: Seen, score: float, sample: Sample) -> None:
        """A look at a track that is worth a shot."""
        (track, obj), frame = one, sample.frame
        if not track.shots.count and (track.best is None or score > track.best.score):
            track.best = self._sight(obj, score, sample)
        is_spaced = frame.captured_at - track.shed_at >= SPACING
        wanted = is_spaced and track.shots.wants(score, frame.captured_at)

        def make() -> tuple[Sight, Sample]:
            own = obj.copy()  # this frame's document is not to depend on how far the shot is
            window = window_about(own, self._schedule.reach, frame)
            shot = sample.of([own]) if window is None else Sample(frame.within(window), [own])
            return self._sight(own, score, sample), shot

        self.aside.put(track, score, make, wanted=wanted, confirmed=obj[Track].confirmed)

    def _take_in(self) -> set[str]:
        """What shots have come to since the last frame; the tracks of which something new is known."""
        finished = self.aside.finished()
        for job in finished:
            self._take_shot(job.track, job.sight, job.results)
        return {job.track.id for job in finished}

    def _take_shot(self, track: Followed, sight: Sight, results: Mapping[type, object]) -> None:
        if track.shots.add(Shot(sight.score, results), sight.captured_at):
            track.best = sight
        track.revision += 1

    def _sight(self, obj: Object, score: float, sample: Sample) -> Sight:
        frame, crop = sample.frame, public_crop(sample, obj.box_xyxy) if self._keep_crops else None
        crop = None if crop is None else crop.copy()
        return Sight(obj, score, frame.width, frame.height, frame.index, frame.captured_at, crop)

    def _say(self, seen: Sequence[Seen], changed: set[str], now: StreamInfo) -> None:
        if self._events is not None:
            self._say_tracks(self._events, seen, changed, now)
        for track, obj in seen:
            track.appeared |= obj[Track].confirmed
            self._say_places(track, now)

    def _say_tracks(self, events: Events, seen: Sequence[Seen], changed: set[str], now: StreamInfo) -> None:
        for track in self._followed.values():
            if track.appeared and track.id in changed:
                self._unsaid.append(events.updated(track, now))
        for track, obj in seen:
            if obj[Track].confirmed and not track.appeared:
                self._unsaid.append(events.appeared(track, now))
                track.appeared = True
            elif track.appeared and (present := events.present(track, now)):
                self._unsaid.append(present)

    def _say_places(self, track: Followed, now: StreamInfo, reason: Reason = Reason.GONE) -> None:
        """What has happened to a track that counts; of one that may come to count it is kept.

        `reason`: why it has ended, where it has.
        """
        if not track.appeared:
            return
        for change in track.where.take():
            self._places.count(change, track.label)
            if self._events is not None:
                self._unsaid.append(self._events.happened(change, track, now, reason))

    def _show_places(self, sample: Sample) -> Places | None:
        """Puts on the sample how many are where; None: the stream has no places."""
        if not self._places.are_there:
            return None
        counted = (track for track in self._followed.values() if track.appeared)
        places = self._places.show((visit.zone.name, track.label) for track in counted for visit in track.where.visits)
        sample.put(places)
        sample.put(self._places.outlines)
        return places


def _give_bodies(seen: Sequence[Seen]) -> None:
    """Counts for each face the body that it is in."""
    faces = [one for one in seen if one.obj.label == "face"]
    bodies = [one for one in seen if one.obj.label == "body"]
    if faces and bodies:
        for face, body in assign(_strangeness([one.obj for one in faces], [one.obj for one in bodies])):
            faces[face].track.bodies[bodies[body].track.id] += 1


def _strangeness(faces: Sequence[Object], bodies: Sequence[Object]) -> Floats:
    """(faces, bodies): from the top of a face to the middle of a body's upper edge, in its sides; inf: not in it."""
    face_boxes = np.array([face.box_xyxy for face in faces])
    body_boxes = np.array([body.box_xyxy for body in bodies])
    top_middle = np.column_stack([(body_boxes[:, 0] + body_boxes[:, 2]) / 2, body_boxes[:, 1]])
    face_top = np.column_stack([(face_boxes[:, 0] + face_boxes[:, 2]) / 2, face_boxes[:, 1]])
    sides = np.maximum(body_boxes[:, 2:] - body_boxes[:, :2], 1.0)
    distance = np.linalg.norm((face_top[:, None] - top_middle[None]) / sides[None], axis=2)
    return np.where(inside(face_boxes, body_boxes) >= INSIDE, distance, np.inf)


def _run(processor: Processor, due: Sequence[Seen], sample: Sample) -> None:
    if due:
        processor([sample.of([one.obj for one in due])])


def window_about(obj: Object, reach: float, frame: Frame) -> Window | None:
    """What a shot needs of the picture; None: about all of it."""
    if math.isinf(reach):
        return None
    points = [obj.box_xyxy.reshape(2, 2)]
    points += [obj[FaceMesh].points_xyz[:, :2]] if FaceMesh in obj else []
    points += [obj[Landmarks].points_xy] if Landmarks in obj else []
    known = np.concatenate(points)
    centre, side = square(np.concatenate([known.min(axis=0), known.max(axis=0)]), reach)
    about = clipped(np.concatenate([centre - side / 2, centre + side / 2]), frame.width, frame.height)
    left, top = (int(low) // GRID * GRID for low in about[:2])
    right, bottom = (math.ceil(high / GRID) * GRID for high in about[2:])
    window = Window(slice(top, min(bottom, frame.height)), slice(left, min(right, frame.width)))
    return window if window.size < frame.width * frame.height / 2 else None
