"""Small stand-ins for what lies at a stream's ends."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import numpy as np

from daemon.flow.receipts import Counts, Receipt
from daemon.sources.base import Feed, Waits
from processors.types import Frame, Label, Sample
from sinks.base import Record


def frame(index: int) -> Frame:
    return Frame.of(np.zeros((2, 2, 3), np.uint8), index=index, pts=index / 25)


class Work:
    """A processor that does `work`, or nothing, with each frame."""

    applies_to: Label = "face"
    needs: frozenset[type] = frozenset()
    makes: frozenset[type] = frozenset()

    def __init__(self, work: Callable[[Frame], object] | None = None) -> None:
        self._work = work

    def __call__(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            if self._work is not None:
                self._work(sample.frame)


class ScriptedSource:
    """A source that does in each run what the next script says, and in every further run what the last one says."""

    def __init__(self, *scripts: Callable[[Feed], Awaitable[None]]) -> None:
        self._scripts = scripts
        self.runs = 0

    async def run(self, feed: Feed) -> None:
        script = self._scripts[min(self.runs, len(self._scripts) - 1)]
        self.runs += 1
        await script(feed)


class CollectingFeed:
    """Keeps and counts what a source hands over; `open` cleared, put() waits."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.offered: list[Frame] = []
        self.put_frames: list[Frame] = []
        self.failed: list[Exception] = []
        self.codecs: list[str] = []
        self.cpu_seconds = 0.0
        self.waiting = 0
        self.waits_for: list[Waits | None] = []
        self.open = asyncio.Event()
        self.open.set()

    def offer(self, frame: Frame) -> None:
        self.offered.append(frame)
        self.counts.open().acknowledge()

    async def put(self, frame: Frame) -> None:
        receipt = self.counts.open()
        self.waiting += 1
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            receipt.drop("stopped")
            raise
        finally:
            self.waiting -= 1
        self.put_frames.append(frame)
        receipt.acknowledge()

    def fail(self, error: Exception) -> None:
        self.failed.append(error)
        self.counts.open().fail(type(error).__name__)

    def skip(self, reason: str) -> None:
        self.counts.open().skip(reason)

    def drop(self) -> None:
        self.counts.open().drop("overload")

    def opened(self, codec: str) -> None:
        self.codecs.append(codec)

    def spent(self, cpu_seconds: float) -> None:
        self.cpu_seconds += cpu_seconds

    def waits(self, what: Waits | None) -> None:
        self.waits_for.append(what)


class CollectingSink:
    """A sink's queue of any length that acknowledges what it takes; `open` cleared, put() waits."""

    def __init__(self, *only: bytes) -> None:
        """`only`: the values of the records that it takes; none: all."""
        self._only = only
        self.records: list[Record] = []
        self.open = asyncio.Event()
        self.open.set()

    @property
    def values(self) -> list[bytes]:
        return [record.value for record in self.records]

    def takes(self, record: Record) -> bool:
        return not self._only or record.value in self._only

    def offer(self, record: Record, receipt: Receipt) -> None:
        self.records.append(record)
        receipt.acknowledge()

    async def put(self, record: Record, receipt: Receipt) -> None:
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            receipt.drop("stopped")
            raise
        self.offer(record, receipt)
