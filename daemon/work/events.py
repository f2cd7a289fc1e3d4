"""Events of tracks: who has appeared, is better known, has left.

What a consumer can build on: events of a stream come in ascending order of their frames; a track that is confirmed
appears once, is then updated or said to be present any number of times, and leaves once; nothing comes of it after
that. At the end of a run, by a stop or a lost camera, all open tracks leave; after a crash they do when the stream's
next run begins, as far as the journal knows them. What left just before a crash, or before a stop at which a sink was
away, may be said again, as it was and under the same `ce_id`.
"""

from collections.abc import Sequence, Set

from daemon.wire.v2 import Reason, StreamInfo, TrackEvent, TrackEventKind, rfc3339, track_object
from daemon.wire.version import Size
from daemon.work.documents import TrackEvents, jpeg
from daemon.work.followed import Followed
from daemon.work.journal import Entry, Journal
from sinks.base import Record

HEARTBEAT_S = 5.0
"""How old what the journal knows of a track may be: by so much too early may a `left` after a crash say `last_seen`."""


class Events:
    """Makes the events of one run's tracks; each is in the journal before it is on its way."""

    def __init__(
        self, record: TrackEvents, emits: Set[type], journal: Journal | None, every: float | None = None
    ) -> None:
        """`every`: seconds after which a track of which nothing else was said is said to be present; None: never."""
        self._record = record
        self._emits = emits
        self._journal = journal
        self._every = every

    def begin(self) -> Sequence[Record]:
        """`left` events for tracks of an earlier run that ended without them, as in a crash."""
        if self._journal is None:
            return ()
        entries = [entry if entry.is_last else _left(entry) for entry in self._journal.still_open()]
        self._journal.replace(entries)
        return [self._record(entry.event, _left_id(entry.track), entry.at) for entry in entries]

    def appeared(self, track: Followed, now: StreamInfo) -> Record:
        return self._write("appeared", f"{track.id}-appeared", track, now)

    def updated(self, track: Followed, now: StreamInfo) -> Record:
        return self._write("updated", f"{track.id}-updated-{track.revision}", track, now)

    def present(self, track: Followed, now: StreamInfo) -> Record | None:
        """For a track that is on the frame: its event where one is due. What the journal knows of it is kept young."""
        if self._every is not None and now.captured_at - track.said_at >= self._every:
            return self._write("present", f"{track.id}-present-{track.frames}", track, now)
        if self._journal is not None and now.captured_at - track.kept_at >= HEARTBEAT_S:
            self._keep(track, self._event("present", track, now), now)
        return None

    def left(self, track: Followed, now: StreamInfo, reason: Reason) -> Record:
        """The `left` event of a track. `now`: the frame on which its end was noticed."""
        return self._write("left", _left_id(track.id), track, now, reason)

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
        crop = jpeg(track.best.crop) if track.best is not None and track.best.crop is not None else None
        return self._record(event, event_id, now.captured_at, crop)

    def _keep(self, track: Followed, event: TrackEvent, now: StreamInfo) -> None:
        if self._journal is not None:
            self._journal.write(track.id, event, now.captured_at, is_last=event["event"] == "left")
        track.kept_at = now.captured_at

    def _event(
        self, kind: TrackEventKind, track: Followed, now: StreamInfo, reason: Reason | None = None
    ) -> TrackEvent:
        best = track.best
        assert best is not None  # noqa: S101  # the first sight of a track is its best one until there is a better
        track.lay_on(best.obj)
        event: TrackEvent = {
            "event": kind,
            "track": {
                "id": track.id,
                "first_seen": rfc3339(track.first_seen),
                "last_seen": rfc3339(track.last_seen),
                "frames": track.frames,
                "best_shot": {"frame": best.frame, "captured_at": rfc3339(best.captured_at)},
            },
            "object": track_object(best.obj, Size(best.width, best.height), self._emits),
            "stream": now.members(),
        }
        return event if reason is None else {**event, "reason": reason}


def _left(entry: Entry) -> Entry:
    return entry._replace(event={**entry.event, "event": "left", "reason": Reason.RESTART}, is_last=True)


def _left_id(track: str) -> str:
    return f"{track}-left"
