"""A stream's way: source -> inbox -> engine -> window -> sinks, in the source's order.

The inbox holds one frame of a camera, the latest; a file waits for room. A frame leaves it when the window has room,
goes into the engine, and the results are awaited in turn: parallel work, order by construction. Each receipt ends once.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from daemon.engine import Lane
from daemon.errors import BadImage, EngineClosed, SourceError
from daemon.queues import BoundedQueue, QueueClosed
from daemon.receipts import Counts, Receipt
from daemon.sources.base import Source
from processors.types import Frame, Processor, Sample
from sinks.base import Record

log = logging.getLogger(__name__)

OVERLOAD = "overload"
STOPPED = "stopped"


class Outgoing(Protocol):
    """A sink's queue (daemon/delivery.py)."""

    def offer(self, record: Record, receipt: Receipt) -> None: ...
    async def put(self, record: Record, receipt: Receipt) -> None:
        """Waits for room; the receipt gets its answer even if this is cancelled."""


class Passage(NamedTuple):
    """A frame on its way; `live`: what has no room for it drops it."""

    frame: Frame
    receipt: Receipt
    live: bool


Encode = Callable[[Sample, str], Record]
"""Makes the record of a sample of the run of this name; called in a worker."""


class Stream:
    """Carries one source's frames through a chain to sinks. run() may be called again after it has ended."""

    def __init__(
        self,
        name: str,
        source: Source,
        chain: Processor,
        encode: Encode,
        lane: Lane,
        sinks: Sequence[Outgoing],
        window: int,
    ) -> None:
        self.name = name
        self.counts = Counts()
        self._source = source
        self._chain = chain
        self._encode = encode
        self._lane = lane
        self._sinks = sinks
        self._window = window
        self._reading: asyncio.Task[SourceError | None] | None = None
        self._reported: set[type[BaseException]] = set()

    async def run(self) -> None:
        """Until the source ends, or raises SourceError. What is under way then goes on to the sinks first."""
        run = uuid.uuid4().hex
        inbox = BoundedQueue[Passage](1, lambda passage: passage.receipt.drop(OVERLOAD))
        room = asyncio.Semaphore(self._window)
        working: asyncio.Queue[tuple[Passage, asyncio.Future[Record]] | None] = asyncio.Queue()
        try:
            async with asyncio.TaskGroup() as group:
                self._reading = group.create_task(self._read(inbox))
                # A task that is cancelled before its first step never gets to a `finally` of its own.
                self._reading.add_done_callback(lambda _: inbox.close())
                group.create_task(self._submit(inbox, room, working, run))
                group.create_task(self._deliver(working, room))
        finally:
            # Nothing is in either unless run() was cancelled or failed.
            for passage in inbox.drain():
                passage.receipt.drop(STOPPED)
            while not working.empty():
                if (item := working.get_nowait()) is not None:
                    passage, result = item
                    result.cancel()
                    passage.receipt.drop(STOPPED)
        if not self._reading.cancelled() and (error := self._reading.result()):
            raise error

    def stop(self) -> None:
        """Ends the source; run() returns when what is under way has gone to the sinks."""
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self, inbox: BoundedQueue[Passage]) -> SourceError | None:
        # An error is returned: raised, it would make the group cancel the frames that are under way.
        try:
            await self._source.run(_Feed(self.counts, inbox, self._report))
        except SourceError as err:
            return err
        return None

    async def _submit(
        self,
        inbox: BoundedQueue[Passage],
        room: asyncio.Semaphore,
        working: "asyncio.Queue[tuple[Passage, asyncio.Future[Record]] | None]",
        run: str,
    ) -> None:
        while True:
            await room.acquire()  # first, so that a camera's frame is taken when it can be worked on
            try:
                passage = await inbox.get()
            except QueueClosed:
                working.put_nowait(None)
                return
            try:
                result = self._lane.submit(self._process, passage.frame, run)
            except EngineClosed:
                passage.receipt.drop(STOPPED)
                raise
            working.put_nowait((passage, result))

    def _process(self, frame: Frame, run: str) -> Record:
        sample = Sample(frame)
        self._chain([sample])
        return self._encode(sample, run)

    async def _deliver(
        self, working: "asyncio.Queue[tuple[Passage, asyncio.Future[Record]] | None]", room: asyncio.Semaphore
    ) -> None:
        while (item := await working.get()) is not None:
            passage, result = item
            try:
                await asyncio.wait([result])  # `await result` could not tell the job's cancellation from this task's
            except asyncio.CancelledError:
                result.cancel()
                passage.receipt.drop(STOPPED)
                raise
            if result.cancelled():
                passage.receipt.drop(STOPPED)
            elif err := result.exception():  # one bad frame fails alone, whatever its error
                passage.receipt.fail(type(err).__name__)
                self._report(f"frame {passage.frame.index}", err)
            else:
                await self._hand_over(passage, result.result())
            room.release()

    async def _hand_over(self, passage: Passage, record: Record) -> None:
        passage.receipt.expect(len(self._sinks))
        for index, sink in enumerate(self._sinks):
            if passage.live:
                sink.offer(record, passage.receipt)
                continue
            try:
                await sink.put(record, passage.receipt)
            except asyncio.CancelledError:
                for _ in self._sinks[index + 1 :]:
                    passage.receipt.drop(STOPPED)
                raise

    def _report(self, what: str, err: BaseException) -> None:
        """The first of its kind; the counters have the rest."""
        kind = type(err)
        if kind not in self._reported:
            self._reported.add(kind)
            trace = None if isinstance(err, BadImage) else err  # where a picture broke is not in our code
            log.error("%s: %s: %r", self.name, what, err, exc_info=trace)


class _Feed:
    """Counts frames in; the receipts do the rest."""

    def __init__(
        self, counts: Counts, inbox: BoundedQueue[Passage], report: Callable[[str, BaseException], None]
    ) -> None:
        self._counts = counts
        self._inbox = inbox
        self._report = report

    def offer(self, frame: Frame) -> None:
        receipt = self._counts.open()
        try:
            self._inbox.offer(Passage(frame, receipt, live=True))
        except QueueClosed:  # it was on its way from the reader's thread
            receipt.drop(STOPPED)

    async def put(self, frame: Frame) -> None:
        receipt = self._counts.open()
        try:
            await self._inbox.put(Passage(frame, receipt, live=False))
        except (QueueClosed, asyncio.CancelledError):
            receipt.drop(STOPPED)
            raise

    def fail(self, error: Exception) -> None:
        self._counts.open().fail(type(error).__name__)
        self._report("a frame that cannot be read", error)
