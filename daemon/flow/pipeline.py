"""A stream's frames through the engine to its sinks, in their order: inbox -> lane -> window -> sinks.

The inbox holds one frame of a camera, the latest; a file waits for room; of Kafka's records it holds as many as their
partition takes. A frame leaves it when the window has room and goes into the engine at once; the results are taken in
turn: parallel work, order by construction. A camera's frame that still waits for a worker gives its place to a newer
one, so that a busy machine looks at what is, not at what was. Each receipt ends once.
"""

import asyncio
import contextlib
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from daemon.errors import EngineClosed, VisagedError, WorkerHung
from daemon.flow.aside import Aside, Waiting
from daemon.flow.engine import Lane
from daemon.flow.queues import BoundedQueue, QueueClosed
from daemon.flow.receipts import Counts, Receipt
from daemon.flow.spans import within
from daemon.flow.timing import Timing
from daemon.flow.watched import Watched
from daemon.pictures.hide import Hiding, may_leave
from processors.types import Frame, Outlines, Sample
from sinks.base import Record

log = logging.getLogger(__name__)

OVERLOAD = "overload"
STOPPED = "stopped"
NOTHING_TO_TELL = "nothing to tell"
SETTLE_S = 5.0
"""How long the end of a run waits for the sinks to have its last records."""
ASIDE_S = 2.0
"""How long it waits for work that was put aside and is under way."""


class Outgoing(Protocol):
    """A sink's queue (daemon/flow/delivery.py)."""

    def takes(self, record: Record) -> bool:
        """Whether it is to be handed this record; asked once, and one that it does not take is counted by it."""

    def offer(self, record: Record, receipt: Receipt) -> None: ...
    async def put(self, record: Record, receipt: Receipt) -> None:
        """Waits for room; the receipt gets its answer even if this is cancelled."""


class Work(Protocol):
    """What is done with the frames of one run, in the engine's workers."""

    @property
    def in_order(self) -> bool:
        """Whether tell() is to see the samples one at a time in their order; if not it follows look() at once."""

    @property
    def aside(self) -> Waiting | None:
        """Where tell() puts work that no frame is to wait for; None: nowhere."""

    def begin(self) -> Sequence[Record]:
        """The records that go to the sinks before those of any frame."""

    def look(self, frame: Frame, turn: int) -> Sample:
        """Finds what is on a frame; called from several workers at once.

        `turn` counts the frames of the run that are worked on, from 0, in the order of tell().
        """

    def tell(self, sample: Sample, *, live: bool = False) -> Sequence[Record]:
        """The records of a sample for the sinks; none: the frame is skipped, as `emit` says.

        `live`: nothing waits for what it costs, so that some of the work may be put aside.
        """

    def end(self) -> Sequence[Record]:
        """The records that go to the sinks after those of all frames. Not called where the run is cancelled."""

    def settle(self) -> None:
        """Called when the sinks have what end() gave. Not called where that takes too long."""


class Passage(NamedTuple):
    """A frame on its way; `live`: what has no room for it drops it."""

    frame: Frame
    receipt: Receipt
    live: bool


@dataclass(slots=True, eq=False)
class Job:
    """A place in the window. Which frame it works on is settled when a worker begins."""

    turn: int
    passage: Passage
    begun: bool = False
    look: tuple[Frame, Sample] | None = None
    """The frame as it came, and what was found; None: nothing yet, or it cannot be watched."""
    result: "asyncio.Future[Sample | Sequence[Record]]" = field(init=False)


class Pipeline:
    """Carries the frames of one run. Belongs to the event loop's thread."""

    def __init__(
        self,
        name: str,
        work: Work,
        lane: Lane,
        sinks: Sequence[Outgoing],
        window: int,
        *,
        inbox: int = 1,
        aside: Lane | None = None,
        timing: Timing | None = None,
        watched: Watched | None = None,
    ) -> None:
        """At most `window` frames are with the engine or done and not handed over, and `inbox` wait for that.

        `aside`: the lane of the work that no frame waits for; None: frames wait for all of it. `watched` gets the
        records too, before the sinks, and the looks.
        """
        self.name = name
        self._work = work
        self._lane = lane
        self._watched = watched
        self._era = 0 if watched is None else watched.era
        self._sinks = sinks if watched is None else [watched, *sinks]
        self._window = window
        self._timing = timing or Timing()
        self._inbox = BoundedQueue[Passage](inbox, self._make_way)
        self._jobs: deque[Job] = deque()
        self._turns = itertools.count()
        self._beginning = threading.Lock()  # guards which frame a job has, and whether it is begun
        self._changed = asyncio.Event()  # something that _next() looks at
        self._engine_closed: EngineClosed | None = None
        self._frameless = Counts()  # records of begin() and end(); the sinks count them too
        self._reported: set[type[BaseException]] = set()
        self._aside: Aside | None = None
        if aside is not None and work.aside is not None:
            self._aside = Aside(work.aside, aside, window, lambda err: self.report("work put aside", err))

    def offer(self, frame: Frame, receipt: Receipt) -> None:
        """Never waits: of two frames that no worker has begun the older is dropped."""
        try:
            self._inbox.offer(Passage(frame, receipt, live=True))
        except QueueClosed:  # it was on its way from the reader's thread
            receipt.drop(STOPPED)
        else:
            self._admit()

    async def put(self, frame: Frame, receipt: Receipt) -> None:
        """Waits for room; raises QueueClosed. The receipt gets its answer even if this is cancelled."""
        try:
            await self._inbox.put(Passage(frame, receipt, live=False))
        except (QueueClosed, asyncio.CancelledError):
            receipt.drop(STOPPED)
            raise
        self._admit()

    def put_nowait(self, frame: Frame, receipt: Receipt) -> None:
        """For a caller that keeps within `inbox`: raises asyncio.QueueFull where there is no room, and QueueClosed.

        The receipt gets its answer all the same.
        """
        try:
            self._inbox.put_nowait(Passage(frame, receipt, live=False))
        except (asyncio.QueueFull, QueueClosed):
            receipt.drop(STOPPED)
            raise
        self._admit()

    def close(self) -> None:
        """Takes no more; run() returns when all that is in has been handed to the sinks."""
        self._inbox.close()
        self._changed.set()

    async def run(self) -> None:
        """Until close(). Cancelled, it drops what is under way. Once."""
        try:
            await self._hand_over_all(await self._lane.submit(self._work.begin))
            while (job := await self._next()) is not None:
                try:
                    await self._finish(job)
                finally:
                    self._jobs.popleft()
                self._admit()
            if self._aside is not None:
                await self._aside.close(ASIDE_S, STOPPED)
            await self._hand_over_all(await self._lane.submit(self._work.end))
            if await self._is_settled():
                await self._lane.submit(self._work.settle)
        finally:
            self.discard()

    def discard(self) -> None:
        """Takes no more and drops what is under way; for a run() that may have been cancelled before it began."""
        if self._aside is not None:
            self._aside.cancel(STOPPED)
        self._inbox.close()
        for passage in self._inbox.drain():
            passage.receipt.drop(STOPPED)
        for job in self._jobs:
            job.result.cancel()
            job.passage.receipt.drop(STOPPED)
        self._jobs.clear()

    def report(self, what: str, err: BaseException) -> None:
        """The first of its kind; the counters have the rest."""
        kind = type(err)
        if kind not in self._reported:
            self._reported.add(kind)
            trace = None if isinstance(err, VisagedError) else err  # where a picture broke is not in our code
            log.error("%s: %s: %r", self.name, what, err, exc_info=trace)

    def _admit(self) -> None:
        while len(self._jobs) < self._window and (passage := self._inbox.get_nowait()) is not None:
            job = Job(next(self._turns), passage)
            try:
                job.result = self._lane.submit(self._begin, job)
            except EngineClosed as err:
                passage.receipt.drop(STOPPED)
                self._engine_closed = err
                self._changed.set()
                return
            job.result.add_done_callback(lambda _: self._changed.set())
            self._jobs.append(job)

    def _make_way(self, passage: Passage) -> None:
        """Moves the inbox's frame up into the window, for a newer one; the oldest that no worker has begun goes."""
        with self._beginning:
            for job in reversed(self._jobs):
                if not job.begun and job.passage.live:
                    job.passage, passage = passage, job.passage
        passage.receipt.drop(OVERLOAD)

    def _begin(self, job: Job) -> Sample | Sequence[Record]:
        with self._beginning:
            job.begun = True
        frame, receipt = job.passage.frame, job.passage.receipt
        self._timing.wait.observe(time.monotonic() - receipt.opened_at)
        if receipt.span is not None:
            receipt.span.step("queue", began=receipt.opened_at).end()
        as_it_came = None if self._watched is None else frame.as_it_came()
        with within(receipt.span), self._timing.look.timing():
            sample = self._work.look(frame, job.turn)
        if as_it_came is not None:
            job.look = as_it_came, sample
        return sample if self._work.in_order else self._tell(sample, job.passage)

    def _tell(self, sample: Sample, passage: Passage) -> Sequence[Record]:
        with within(passage.receipt.span), self._timing.telling():
            return self._work.tell(sample, live=passage.live and self._aside is not None)

    async def _next(self) -> Job | None:
        """The first job, once it is done; None: there will be none."""
        while True:
            if self._engine_closed is not None:
                raise self._engine_closed
            if self._jobs and self._jobs[0].result.done():
                return self._jobs[0]
            if self._inbox.closed and not self._jobs:
                return None
            self._changed.clear()
            await self._changed.wait()

    async def _finish(self, job: Job) -> None:
        """Ends the frame's receipt, or hands it to the sinks."""
        passage = job.passage
        try:
            told = job.result.result()
            if isinstance(told, Sample):
                told = await self._lane.submit(self._tell, told, passage)
                if self._aside is not None:
                    self._aside.wake()
        except asyncio.CancelledError:
            passage.receipt.drop(STOPPED)
            if not job.result.cancelled():
                raise
        except EngineClosed:
            passage.receipt.drop(STOPPED)
            raise
        except WorkerHung as err:  # which says nothing of the frame: what can be read again is
            passage.receipt.hang(type(err).__name__)
            self.report(f"frame {passage.frame.index}", err)
        except BaseException as err:  # noqa: BLE001  # one bad frame fails alone, whatever its error
            passage.receipt.fail(type(err).__name__)
            self.report(f"frame {passage.frame.index}", err)
        else:
            if self._watched is not None and job.look is not None:
                self._show(self._watched, *job.look)
            await self._hand_over(passage, told)

    def _show(self, watched: Watched, as_it_came: Frame, sample: Sample) -> None:
        """A look of which a picture may leave; where none may the last one stays."""
        if Hiding not in sample:
            return
        if may_leave(sample):
            look = Sample(as_it_came, sample.objects)
            look.put(sample[Hiding])
            if Outlines in sample:
                look.put(sample[Outlines])
            watched.show(look, self._era)
        else:
            watched.withhold(sample[Hiding].withheld)

    async def _hand_over(self, passage: Passage, records: Sequence[Record]) -> None:
        if not records:
            passage.receipt.skip(NOTHING_TO_TELL)
            return
        receipt = passage.receipt
        ways = [(record, sink) for record in records for sink in self._sinks if sink.takes(record)]
        if all(sink is self._watched for _, sink in ways):
            receipt.note_untaken()
        if not ways:
            receipt.acknowledge()
            return
        receipt.expect(len(ways))
        for index, (record, sink) in enumerate(ways):
            if passage.live and not record.durable:
                sink.offer(record, receipt)
                continue
            try:
                await sink.put(record, receipt)
            except asyncio.CancelledError:
                for _ in ways[index + 1 :]:
                    receipt.drop(STOPPED)
                raise

    async def _hand_over_all(self, records: Sequence[Record]) -> None:
        for record in records:
            for sink in self._sinks:
                if sink.takes(record):
                    await sink.put(record, self._frameless.open(lambda *_: self._changed.set()))

    async def _is_settled(self) -> bool:
        """Whether the sinks have all records of no frame, or have them soon."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                while self._frameless.pending:
                    self._changed.clear()
                    await self._changed.wait()
        return self._frameless.acknowledged == self._frameless.received
