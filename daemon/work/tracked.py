"""Follows objects from frame to frame: what was found of a track stays with it, and is not worked out on every frame.

look() finds: it runs beside the looks at other frames. tell() sees the frames in their order: it gives the objects to
their tracks, runs what is due, lays what is known of each track on its object, and writes the document and the events.
"""

import uuid
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from daemon.wire.v2 import StreamInfo
from daemon.work.documents import crop_of, stream_info
from daemon.work.emission import Emission
from daemon.work.events import Events, Reason
from daemon.work.followed import Followed, Sight
from daemon.work.shots import Shot, Shots, shot_score
from processors.assignment import assign
from processors.boxes import inside
from processors.tracker import Track, Tracker
from processors.types import Box, Floats, Frame, Object, Processor, Sample
from sinks.base import Record

INSIDE = 0.7
"""Share of a face's box that lies in the box of the body it may belong to."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A chain's processors by how often they run, each in the chain's order."""

    every_frame: Processor
    every_nth: Sequence[tuple[int, Processor]]
    """On every so manieth frame of a track."""
    shots: Sequence[Processor]
    """On a track's best shots."""


class Seen(NamedTuple):
    """A track on the frame at hand."""

    track: Followed
    obj: Object


class Tracked:
    """Of one run. tell() and end() are called one at a time, whatever the thread."""

    in_order = True

    def __init__(
        self,
        schedule: Schedule,
        tracker: Tracker,
        most_shots: int,
        emit: Emission,
        events: Events | None,
        stream: str,
        run: str,
        *,
        keep_crops: bool,
    ) -> None:
        self._schedule = schedule
        self._tracker = tracker
        self._most_shots = most_shots
        self._emit = emit
        self._events = events
        self._stream = stream
        self._run = run
        self._ids = uuid.uuid4().hex  # a run of records may be read again, under its name
        self._keep_crops = keep_crops
        self._followed: dict[int, Followed] = {}
        self._last: StreamInfo | None = None
        self._unsaid: list[Record] = []  # events of a frame that failed go with the next

    def begin(self) -> Sequence[Record]:
        return self._events.begin() if self._events is not None else ()

    def look(self, frame: Frame) -> Sample:
        sample = Sample(frame)
        self._schedule.every_frame([sample])
        return sample

    def tell(self, sample: Sample) -> Sequence[Record]:
        frame = sample.frame
        self._last = info = stream_info(frame, self._stream, self._run)
        ended = self._tracker(sample)
        seen = [Seen(self._followed_by(obj, frame), obj) for obj in sample.objects]
        self._let_go(ended, info, Reason.GONE)
        _give_bodies(seen)
        self._say(seen, self._run_what_is_due(seen, frame), info)
        documents = self._emit(sample, {(track.id, track.revision) for track in self._followed.values()})
        events, self._unsaid = self._unsaid, []
        return [*documents, *events]

    def end(self) -> Sequence[Record]:
        if self._last is not None:
            self._let_go(self._tracker.close(), self._last, Reason.RUN_ENDED)
        return self._unsaid

    def settle(self) -> None:
        if self._events is not None:
            self._events.settle()

    def _let_go(self, numbers: Iterable[int], now: StreamInfo, reason: Reason) -> None:
        for number in numbers:
            gone = self._followed.pop(number)
            for track in self._followed.values():
                track.bodies.pop(gone.id, None)
            if gone.appeared and self._events is not None:
                self._unsaid.append(self._events.left(gone, now, reason))

    def _followed_by(self, obj: Object, frame: Frame) -> Followed:
        number = obj[Track].id
        track = self._followed.get(number)
        if track is None:
            track = Followed(f"{self._ids}-{number}", obj.label, Shots(self._most_shots), frame.captured_at)
            self._followed[number] = track
        track.last_seen = frame.captured_at
        track.frames += 1
        return track

    def _run_what_is_due(self, seen: Sequence[Seen], frame: Frame) -> set[str]:
        """The tracks of which something new is known."""
        for track, obj in seen:  # first: what is due may need what is known
            track.lay_on(obj)
        for every, processor in self._schedule.every_nth:
            due = [one for one in seen if one.obj.label == processor.applies_to and one.track.frames % every == 1]
            _run(processor, due, frame)
            for track, obj in due:
                track.latest |= _made(processor, obj)
        scored = [(one, shot_score(one.obj)) for one in seen]
        due_shots = [(one, score) for one, score in scored if one.track.shots.wants(score, frame.captured_at)]
        for processor in self._schedule.shots:
            _run(processor, [one for one, _ in due_shots if one.obj.label == processor.applies_to], frame)
        for (track, obj), score in due_shots:
            self._take_shot(track, obj, score, frame)
        return {one.track.id for one, _ in due_shots}

    def _take_shot(self, track: Followed, obj: Object, score: float, frame: Frame) -> None:
        results = {kind: value for processor in self._schedule.shots for kind, value in _made(processor, obj).items()}
        if track.shots.add(Shot(score, results), frame.captured_at):
            crop = crop_of(frame.image, obj.box_xyxy).copy() if self._keep_crops else None
            track.best = Sight(obj, frame.width, frame.height, frame.index, frame.captured_at, crop)
        track.revision += 1
        track.lay_on(obj)

    def _say(self, seen: Sequence[Seen], changed: Container[str], now: StreamInfo) -> None:
        for track, obj in seen:
            if self._events is None or not obj[Track].confirmed:
                continue
            if not track.appeared:
                self._unsaid.append(self._events.appeared(track, now))
                track.appeared = True
            elif track.id in changed:
                self._unsaid.append(self._events.updated(track, now))


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


def _run(processor: Processor, due: Sequence[Seen], frame: Frame) -> None:
    if due:
        processor([Sample(frame, [one.obj for one in due])])


def _made(processor: Processor, obj: Object) -> dict[type, object]:
    return {kind: obj[kind] for kind in processor.makes if kind is not Box and kind in obj}
