"""A stream: one source's frames through a chain to sinks, run after run."""

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from daemon.errors import SourceError
from daemon.flow.engine import Lane
from daemon.flow.pipeline import OVERLOAD, Outgoing, Pipeline, Work
from daemon.flow.place_counts import PlaceCounts
from daemon.flow.receipts import Counts, LookCounts
from daemon.flow.spans import Attributes, Span, Tracer
from daemon.flow.timing import Timing
from daemon.flow.watched import Watched
from daemon.sources.base import Source, Waits
from processors.types import Frame

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Video:
    """What a source brings; what it has told nothing of is None."""

    codec: str | None = None
    """In FFmpeg's words."""
    size: tuple[int, int] | None = None
    """Width and height in pixels as it is shown, of the last frame."""
    cpu_seconds: float = 0.0
    """That reading and decoding have taken so far."""


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """Of a stream's work; they go on when it is replaced by another."""

    shots: Counts = field(default_factory=Counts)
    """Of the tracks' shots that no frame waited for."""
    looks: LookCounts = field(default_factory=LookCounts)
    timing: Timing = field(default_factory=Timing)
    places: PlaceCounts = field(default_factory=PlaceCounts)


class Stream:
    """run() may be called again after it has ended; each run has a name and a pipeline of its own.

    So has what follows a change of the work: the source goes on, and its next frame goes to a new pipeline, which
    begins when the one before has handed over its last record.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        work: Callable[[str], Work],
        lane: Lane,
        sinks: Sequence[Outgoing],
        window: int,
        *,
        aside: Lane | None = None,
        figures: Figures | None = None,
        watched: Watched | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """`aside`: the lane of the work that no frame waits for. `figures`: those that the work counts; None: none.

        `watched`: for those who watch it; None: nobody can. `tracer`: begins its frames' traces; None: there are none.
        """
        self.name = name
        self.counts = Counts()
        self.show(figures or Figures())
        self.video = Video()
        self.waits: Waits | None = None
        """What the source waits for, which can be reached."""
        self.title: str | None = None
        """What people call it."""
        self.labels: Mapping[str, str] = {}
        self.source = source
        """Of the next run."""
        self.watched = watched
        self.tracer = tracer
        self._sinks = sinks
        self._aside = aside
        self._work = work
        self._lane = lane
        self._window = window
        self._feed: _Feed | None = None
        self._reading: asyncio.Task[SourceError | None] | None = None

    async def run(self) -> None:
        """Until the source ends, or raises SourceError. What is under way then goes on to the sinks first."""
        self._feed = feed = _Feed(self)
        try:
            async with asyncio.TaskGroup() as group:
                self._reading = group.create_task(self._read(feed))
                # A task that is cancelled before its first step never gets to a `finally` of its own.
                self._reading.add_done_callback(lambda _: feed.close())
                await feed.carry()
        finally:
            feed.discard()
        if not self._reading.cancelled() and (error := self._reading.result()):
            raise error

    def stop(self) -> None:
        """Ends the source; run() returns when what is under way has gone to the sinks. May be called again."""
        if self._reading is not None and not self._reading.cancelling():  # cancelled twice, a reader is left behind
            self._reading.cancel()

    def leave(self) -> None:
        """It will not run again: those who watch it are told."""
        if self.watched is not None:
            self.watched.leave()

    def forget(self) -> None:
        """What may be seen of it has changed."""
        if self.watched is not None:
            self.watched.forget()

    def change(self, work: Callable[[str], Work], sinks: Sequence[Outgoing], window: int) -> None:
        """What is done with the frames that come from now on, and where it goes. The source notices nothing."""
        self._work, self._sinks, self._window = work, sinks, window
        if self._feed is not None:
            self._feed.divert()

    def show(self, figures: Figures) -> None:
        """Those of the work from now on."""
        self.shots, self.looks, self.timing = figures.shots, figures.looks, figures.timing
        self.places = figures.places

    def pipeline(self) -> Pipeline:
        """For the frames of a run, or of a part of one."""
        work = self._work(uuid.uuid4().hex)
        return Pipeline(
            self.name,
            work,
            self._lane,
            self._sinks,
            self._window,
            aside=self._aside,
            timing=self.timing,
            watched=self.watched,
        )

    async def _read(self, feed: "_Feed") -> SourceError | None:
        # An error is returned: raised, it would make the group cancel the frames that are under way.
        try:
            await self.source.run(feed)
        except SourceError as err:
            return err
        finally:
            self.waits = None
        return None


class _Feed:
    """Counts the frames of a run in; the receipts do the rest. They go to one pipeline after the other."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._counts = stream.counts
        self._video = stream.video
        self._began = False
        self._fed = stream.pipeline()
        self._pipelines = deque([self._fed])
        self._closed = False
        self._putting = False
        self._diverted = False  # or to be, when a frame has been put

    def divert(self) -> None:
        """The frames that come from now on go to a new pipeline; one that is being put goes where it was to go."""
        self._diverted = True
        if not self._putting:
            self._divert()

    def close(self) -> None:
        """carry() returns when all that is in has been handed to the sinks."""
        self._closed = True
        self._fed.close()

    async def carry(self) -> None:
        """Until close()."""
        while self._pipelines:
            await self._pipelines[0].run()
            self._pipelines.popleft()

    def discard(self) -> None:
        """Drops what a carry() that was cancelled has left."""
        self.close()
        for pipeline in self._pipelines:
            pipeline.discard()

    def offer(self, frame: Frame) -> None:
        self._see(frame)
        span = self._span(frame, age=max(time.time() - frame.captured_at, 0.0))
        if span is not None:
            span.step("read", began=span.began).end()
        self._fed.offer(frame, self._counts.open(captured_at=frame.captured_at, span=span))

    async def put(self, frame: Frame) -> None:
        self._see(frame)
        self._putting = True
        try:
            # When a file was recorded says nothing of us.
            await self._fed.put(frame, self._counts.open(span=self._span(frame)))
        finally:
            self._putting = False
            self._divert()

    def _divert(self) -> None:
        if not self._diverted or self._closed:
            return
        self._diverted, before = False, self._fed
        self._fed = self._stream.pipeline()
        self._pipelines.append(self._fed)
        before.close()

    def _span(self, frame: Frame, age: float = 0.0) -> Span | None:
        """`age`: seconds since its packet came."""
        stream = self._stream
        if stream.tracer is None:
            return None
        about: Attributes = {"visaged.stream": stream.name, "visaged.frame": frame.index}
        return stream.tracer.begin("frame", began=time.monotonic() - age, attributes=about)

    def _see(self, frame: Frame) -> None:
        self._video.size = frame.width, frame.height
        if not self._began:
            self._began = True
            log.info("%s: frames are coming", self._stream.name)

    def fail(self, error: Exception) -> None:
        self._counts.open().fail(type(error).__name__)
        self._fed.report("a frame that cannot be read", error)

    def skip(self, reason: str) -> None:
        self._counts.open().skip(reason)

    def drop(self) -> None:
        self._counts.open().drop(OVERLOAD)

    def opened(self, codec: str) -> None:
        self._video.codec = codec

    def spent(self, cpu_seconds: float) -> None:
        self._video.cpu_seconds += cpu_seconds

    def waits(self, what: Waits | None) -> None:
        self._stream.waits = what
