"""A stream: one source's frames through a chain to sinks, run after run."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from daemon.errors import SourceError
from daemon.flow.engine import Lane
from daemon.flow.pipeline import OVERLOAD, Outgoing, Pipeline, Work
from daemon.flow.receipts import Counts, LookCounts
from daemon.flow.timing import Timing
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


class Stream:
    """run() may be called again after it has ended; each run has a name and a pipeline of its own."""

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
        shots: Counts | None = None,
        looks: LookCounts | None = None,
        timing: Timing | None = None,
    ) -> None:
        """`aside`: the lane of the work that no frame waits for, which `shots` counts."""
        self.name = name
        self.counts = Counts()
        self.shots = shots or Counts()
        self.looks = looks or LookCounts()
        self.timing = timing or Timing()
        self.video = Video()
        self.waits: Waits | None = None
        """What the source waits for, which can be reached."""
        self._aside = aside
        self._source = source
        self._work = work
        self._lane = lane
        self._sinks = sinks
        self._window = window
        self._reading: asyncio.Task[SourceError | None] | None = None

    async def run(self) -> None:
        """Until the source ends, or raises SourceError. What is under way then goes on to the sinks first."""
        work = self._work(uuid.uuid4().hex)
        pipeline = Pipeline(
            self.name, work, self._lane, self._sinks, self._window, aside=self._aside, timing=self.timing
        )
        async with asyncio.TaskGroup() as group:
            self._reading = group.create_task(self._read(pipeline))
            # A task that is cancelled before its first step never gets to a `finally` of its own.
            self._reading.add_done_callback(lambda _: pipeline.close())
            await pipeline.run()
        if not self._reading.cancelled() and (error := self._reading.result()):
            raise error

    def stop(self) -> None:
        """Ends the source; run() returns when what is under way has gone to the sinks."""
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self, pipeline: Pipeline) -> SourceError | None:
        # An error is returned: raised, it would make the group cancel the frames that are under way.
        try:
            await self._source.run(_Feed(self, pipeline))
        except SourceError as err:
            return err
        finally:
            self.waits = None
        return None


class _Feed:
    """Counts the frames of a run in; the receipts do the rest."""

    def __init__(self, stream: Stream, pipeline: Pipeline) -> None:
        self._stream = stream
        self._counts = stream.counts
        self._video = stream.video
        self._pipeline = pipeline
        self._began = False

    def offer(self, frame: Frame) -> None:
        self._see(frame)
        self._pipeline.offer(frame, self._counts.open(captured_at=frame.captured_at))

    async def put(self, frame: Frame) -> None:
        self._see(frame)
        await self._pipeline.put(frame, self._counts.open())  # when a file was recorded says nothing of us

    def _see(self, frame: Frame) -> None:
        self._video.size = frame.width, frame.height
        if not self._began:
            self._began = True
            log.info("%s: frames are coming", self._pipeline.name)

    def fail(self, error: Exception) -> None:
        self._counts.open().fail(type(error).__name__)
        self._pipeline.report("a frame that cannot be read", error)

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
