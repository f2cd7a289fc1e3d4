"""A live stream's shots wait here for what its frames leave of the workers.

At most one shot of a track waits or is under way; one that waits gives its place to a newer one that is as good. Where
there is no room, shots of tracks that are not confirmed are shed first, then those of tracks of which most is known.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from daemon.errors import EngineClosed
from daemon.flow.pipeline import STOPPED
from daemon.flow.receipts import Counts, Receipt
from daemon.work.followed import Followed, Sight
from processors.types import Box, Confidence, FaceMesh, FivePoints, Landmarks, Object, Pose, Processor, Sample

MOST_JOBS = 64
MOST_BYTES = 64 * 1024 * 1024
"""Of the pictures that the waiting shots of a run hold; one shot may always wait."""
HALVES = 4 / 3
"""Of a picture's bytes, with those of its halves."""
OF_A_LOOK = frozenset({Box, Confidence, FivePoints, FaceMesh, Landmarks, Pose})
"""Results that are true of the frame on which they were made, and of no other of the track."""
OVERLOAD = "overload"
LEFT = "the track has left"


@dataclass(slots=True, eq=False)
class ShotJob:
    """What a shot is of is settled when a worker begins."""

    track: Followed
    sight: Sight
    sample: Sample
    """With the sight's object alone."""
    confirmed: bool
    receipt: Receipt
    jobs: "ShotJobs"
    results: dict[type, object] = field(default_factory=dict)
    abandoned: bool = False
    """The track has left without it."""

    @property
    def urgency(self) -> tuple[bool, int, float]:
        """The smaller the sooner: of who is confirmed, of whom least is known, of who was seen first."""
        return not self.confirmed, self.track.shots.count, self.sight.captured_at

    @property
    def steps(self) -> Sequence[Callable[[], None]]:
        return [partial(self._run, processor) for processor in self.jobs.processors]

    def end(self) -> None:
        self.jobs.finish(self)

    def fail(self, err: BaseException) -> None:
        self.jobs.fail(self, err)

    def _run(self, processor: Processor) -> None:
        if processor.applies_to == self.sight.obj.label:
            processor([self.sample])
            self.results |= made_by(processor, self.sight.obj)


class ShotJobs:
    """Of one run. In its counts acknowledged shots are those that were made, dropped ones those that were shed.

    put(), finished() and leave() are for the one who tells of the frames, in a worker; the rest for the event loop's
    thread.
    """

    def __init__(
        self,
        processors: Sequence[Processor],
        counts: Counts,
        most_jobs: int = MOST_JOBS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.processors = processors
        self._counts = counts
        self._most_jobs = most_jobs
        self._most_bytes = most_bytes
        self._lock = threading.Lock()  # guards all below, the counts, and the tracks' `job`
        self._waiting: list[ShotJob] = []
        self._finished: list[ShotJob] = []

    def put(
        self,
        track: Followed,
        score: float,
        make: Callable[[], tuple[Sight, Sample]],
        *,
        wanted: bool,
        confirmed: bool,
    ) -> None:
        """A look at a track: in the place of the shot of it that waits, where it is as good, or as one if `wanted`."""
        with self._lock:
            job = track.job
            if job is None:
                if wanted:
                    self._add(track, confirmed, *make())
            elif job in self._waiting:
                job.confirmed = confirmed
                if score >= job.sight.score:
                    job.sight, job.sample = make()

    def leave(self, track: Followed) -> bool:
        """Whether a shot of it is under way; one that waits is shed."""
        with self._lock:
            if track.job is not None and track.job in self._waiting:
                self._shed(track.job, LEFT)
            return track.job is not None

    def abandon(self, track: Followed) -> None:
        """What is under way of it comes too late."""
        with self._lock:
            if track.job is not None:
                track.job.abandoned = True

    def finished(self) -> Sequence[ShotJob]:
        """Those that have been made since it was last asked."""
        with self._lock:
            finished, self._finished = self._finished, []
        return finished

    def take(self) -> ShotJob | None:
        with self._lock:
            if not self._waiting:
                return None
            job = min(self._waiting, key=lambda job: job.urgency)
            self._waiting.remove(job)
            return job

    def shed(self, reason: str) -> None:
        with self._lock:
            for job in list(self._waiting):
                self._shed(job, reason)

    def finish(self, job: ShotJob) -> None:
        with self._lock:
            job.track.job = None
            if job.abandoned:
                job.receipt.drop(LEFT)
            else:
                self._finished.append(job)
                job.receipt.acknowledge()

    def fail(self, job: ShotJob, err: BaseException) -> None:
        with self._lock:
            job.track.job = None
            job.track.shed_at = job.sight.captured_at
            if isinstance(err, asyncio.CancelledError | EngineClosed):
                job.receipt.drop(STOPPED)
            else:
                job.receipt.fail(type(err).__name__)

    def _add(self, track: Followed, confirmed: bool, sight: Sight, sample: Sample) -> None:
        job = ShotJob(track, sight, sample, confirmed, self._counts.open(), self)
        track.job = job
        self._waiting.append(job)
        while len(self._waiting) > 1 and not self._has_room():
            self._shed(max(self._waiting, key=lambda job: job.urgency), OVERLOAD)

    def _has_room(self) -> bool:
        held = {id(job.sample.frame): job.sample.frame.pyramid.nbytes * HALVES for job in self._waiting}
        return len(self._waiting) <= self._most_jobs and sum(held.values()) <= self._most_bytes

    def _shed(self, job: ShotJob, reason: str) -> None:
        self._waiting.remove(job)
        job.track.job = None
        job.track.shed_at = job.sight.captured_at
        job.receipt.drop(reason)


def made_by(processor: Processor, obj: Object) -> dict[type, object]:
    """Of an object's results those that a processor has put on it, as far as they are the track's."""
    return {kind: obj[kind] for kind in processor.makes - OF_A_LOOK if kind in obj}
