"""Events of tracks: who has appeared, is better known, has left; who has entered a zone, left it, crossed a line.

What a consumer can build on: events of a stream come in ascending order of their frames; a track that is confirmed
appears once, is then updated or said to be present any number of times, and leaves once; nothing comes of it after
that. While it is there it may enter zones, and leaves each as often as it has entered it, at last before it leaves
itself. At the end of a run, by a stop or a lost camera, all open tracks leave; after a crash they do when the stream's
next run begins, as far as the journal knows them. What left just before a crash, or before a stop at which a sink was
away, may be said again, as it was and under the same `ce_id`, and so may what has crossed a line.

In the journal, what is written of a track's places is written before the track itself, so that it leaves them first.
"""

from collections.abc import Mapping, Sequence, Set
from typing import Any

from daemon.wire.v2 import (
    OF_TRACKS_ALONE,
    PLACE_SCHEMA,
    TRACK_SCHEMA,
    PlaceEvent,
    Reason,
    StreamInfo,
    Track,
    TrackEvent,
    TrackEventKind,
    rfc3339,
    track_object,
)
from daemon.wire.version import Size
from daemon.work.documents import PlaceEvents, TrackEvents, jpeg
from daemon.work.followed import Followed, Sight
from daemon.work.journal import Entry, Journal
from daemon.work.places.told import told
from daemon.work.places.whereabouts import Change, Crossed, Left
from sinks.base import Record

HEARTBEAT_S = 5.0
"""How old what the journal knows of a track may be: by so much too early may a `left` after a crash say `last_seen`."""


class Events:
    """Makes the events of one run's tracks; each is in the journal before it is on its way."""

    def __init__(
        self,
        record: TrackEvents,
        record_place: PlaceEvents,
        emits: Set[type],
        journal: Journal | None,
        every: float | None = None,
    ) -> None:
        """`every`: seconds after which a track of which nothing else was said is said to be present; None: never."""
        self._record = record
        self._record_place = record_place
        self._emits = emits
        self._journal = journal
        self._every = every

    def begin(self) -> Sequence[Record]:
        """`left` events for tracks, and their visits, of an earlier run that ended without them, as in a crash."""
        if self._journal is None:
            return ()
        entries = [entry if entry.is_last else _left(entry) for entry in self._journal.still_open()]
        self._journal.replace(entries)
        return [self._again(entry) for entry in entries]

    def appeared(self, track: Followed, now: StreamInfo) -> Record:
        return self._write("appeared", f"{track.id}-appeared", track, now)

    def updated(self, track: Followed, now: StreamInfo) -> Record:
        return self._write("updated", f"{track.id}-updated-{track.revision}", track, now)

    def present(self, track: Followed, now: StreamInfo) -> Record | None:
        """For a track that is on the frame: its event where one is due. What the journal knows of it is kept young."""
        if self._every is not None and now.captured_at - track.said_at >= self._every:
            return self._write("present", f"{track.id}-present-{track.frames}", track, now)
        if self._journal is not None and now.captured_at - track.kept_at >= HEARTBEAT_S:
            self._keep_all(track, now)
        return None

    def happened(self, change: Change, track: Followed, now: StreamInfo, reason: Reason) -> Record:
        """Of a zone or a line. `reason`: why the track has ended, where it has left a zone with that."""
        event = self._place_event(change, track, now, reason)
        at, key = now.captured_at, f"{track.id}-{change.number}"
        if self._journal is not None and isinstance(change, Left | Crossed):
            self._journal.write(key, event, at, is_last=True, schema=PLACE_SCHEMA.id)
        self._keep_all(track, now)
        return self._record_place(event, _id(key, event), at, _picture(track))

    def left(self, track: Followed, now: StreamInfo, reason: Reason) -> Record:
        """The `left` event of a track. `now`: the frame on which its end was noticed."""
        return self._write("left", f"{track.id}-left", track, now, reason)

    def settle(self) -> None:
        """To be called when the sinks have all `left` events of the run."""
        if self._journal is not None:
            self._journal.replace(())

    def _write(
        self, kind: TrackEventKind, event_id: str, track: Followed, now: StreamInfo, reason: Reason | None = None
    ) -> Record:
        event = self._event(kind, track, now, reason)
        self._keep(track, event, now)
        track.said_at = now.captured_at
        return self._record(event, event_id, now.captured_at, _picture(track))

    def _keep(self, track: Followed, event: TrackEvent, now: StreamInfo) -> None:
        if self._journal is not None:
            self._journal.write(track.id, event, now.captured_at, is_last=event["event"] == "left")
        track.kept_at = now.captured_at

    def _keep_all(self, track: Followed, now: StreamInfo) -> None:
        """The track as it is now, behind the visits that go on: what they will have said if nothing more is heard."""
        if self._journal is None:
            return
        for visit in track.where.visits:
            left = self._place_event(Left(visit, ended=True), track, now, Reason.RESTART)
            self._journal.write(
                f"{track.id}-{visit.number}", left, now.captured_at, is_last=False, schema=PLACE_SCHEMA.id
            )
        self._keep(track, self._event("present", track, now), now)

    def _again(self, entry: Entry) -> Record:
        record = self._record if entry.schema == TRACK_SCHEMA.id else self._record_place
        return record(entry.event, _id(entry.key, entry.event), entry.at)

    def _event(
        self, kind: TrackEventKind, track: Followed, now: StreamInfo, reason: Reason | None = None
    ) -> TrackEvent:
        best = _best(track)
        track.lay_on(best.obj)
        event: TrackEvent = {
            "event": kind,
            "track": _track(track),
            "object": track_object(best.obj, Size(best.width, best.height), self._emits),
            "stream": now.members(),
        }
        return event if reason is None else {**event, "reason": reason}

    def _place_event(self, change: Change, track: Followed, now: StreamInfo, reason: Reason) -> PlaceEvent:
        """With the object as it was last seen."""
        spot = track.where.spot
        assert spot is not None  # noqa: S101  # who was never seen is nowhere
        track.lay_on(spot.obj)
        return {
            **told(change, spot.at, reason),
            "track": _track(track),
            "object": track_object(spot.obj, Size(*spot.size), self._emits - OF_TRACKS_ALONE),
            "stream": now.members(),
        }


def _left(entry: Entry) -> Entry:
    return entry._replace(event={**entry.event, "event": "left", "reason": Reason.RESTART}, is_last=True)


def _id(key: str, event: Mapping[str, Any]) -> str:
    return f"{key}-{event['event']}"


def _best(track: Followed) -> Sight:
    assert track.best is not None  # noqa: S101  # the first sight of a track is its best one until there is a better
    return track.best


def _picture(track: Followed) -> bytes | None:
    """As JPEG; None: it is not wanted."""
    crop = _best(track).crop
    return None if crop is None else jpeg(crop)


def _track(track: Followed) -> Track:
    best = _best(track)
    return {
        "id": track.id,
        "first_seen": rfc3339(track.first_seen),
        "last_seen": rfc3339(track.last_seen),
        "frames": track.frames,
        "best_shot": {"frame": best.frame, "captured_at": rfc3339(best.captured_at)},
    }
