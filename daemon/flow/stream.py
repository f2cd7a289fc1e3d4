"""A stream: one source's frames through a chain to sinks, run after run."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence

from daemon.errors import SourceError
from daemon.flow.engine import Lane
from daemon.flow.pipeline import OVERLOAD, Outgoing, Pipeline, Work
from daemon.flow.receipts import Counts
from daemon.sources.base import Source
from processors.types import Frame

log = logging.getLogger(__name__)


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
    ) -> None:
        """`aside`: the lane of the work that no frame waits for, which `shots` counts."""
        self.name = name
        self.counts = Counts()
        self.shots = shots or Counts()
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
        pipeline = Pipeline(self.name, work, self._lane, self._sinks, self._window, aside=self._aside)
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
            await self._source.run(_Feed(self.counts, pipeline))
        except SourceError as err:
            return err
        return None


class _Feed:
    """Counts the frames of a run in; the receipts do the rest."""

    def __init__(self, counts: Counts, pipeline: Pipeline) -> None:
        self._counts = counts
        self._pipeline = pipeline
        self._began = False

    def offer(self, frame: Frame) -> None:
        self._begin()
        self._pipeline.offer(frame, self._counts.open())

    async def put(self, frame: Frame) -> None:
        self._begin()
        await self._pipeline.put(frame, self._counts.open())

    def _begin(self) -> None:
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
