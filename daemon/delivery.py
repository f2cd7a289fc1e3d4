# The sinks engineer is back and is rewriting this file: see /tmp/SINKS_ENGINEER_IS_BACK.md
"""A sink's queue and the one task that writes to it: in batches, again where that may succeed later."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, NamedTuple

from daemon.queues import BoundedQueue, QueueClosed
from daemon.receipts import Counts, Receipt
from sinks.base import Record, Sink, SinkError

log = logging.getLogger(__name__)

BACKLOG = 1000
BATCH = 500
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 5.0

State = Literal["opening", "writing", "waiting", "closed"]


class Item(NamedTuple):
    """A record on its way; both receipts get its ending: the frame's, which other sinks may share, and the record's."""

    record: Record
    frame: Receipt
    own: Receipt

    def acknowledge(self) -> None:
        self.own.acknowledge()
        self.frame.acknowledge()

    def drop(self, reason: str) -> None:
        self.own.drop(reason)
        self.frame.drop(reason)

    def fail(self, reason: str) -> None:
        self.own.fail(reason)
        self.frame.fail(reason)


class Delivery:
    """What is handed in is written in that order, or counted as dropped or failed. For the event loop's thread."""

    def __init__(self, name: str, sink: Sink, backlog: int = BACKLOG, batch: int = BATCH) -> None:
        self.name = name
        self.sink = sink
        self.counts = Counts()
        self.state: State = "opening"
        self.retries = 0
        self.error: str | None = None
        """Why the last attempt failed; None once one has succeeded."""
        self._batch = batch
        self._queue = BoundedQueue[Item](backlog, lambda item: item.drop(f"{name}: backlog full"))
        self._writing: asyncio.Task[None] | None = None

    def offer(self, record: Record, receipt: Receipt) -> None:
        """Never waits: when the backlog is full the oldest offered record is dropped."""
        item = Item(record, receipt, self.counts.open())
        try:
            self._queue.offer(item)
        except QueueClosed:
            item.drop(self._stopped)

    async def put(self, record: Record, receipt: Receipt) -> None:
        """Waits while the backlog is full."""
        item = Item(record, receipt, self.counts.open())
        try:
            await self._queue.put(item)
        except QueueClosed:
            item.drop(self._stopped)
        except asyncio.CancelledError:
            item.drop(self._stopped)
            raise

    async def run(self) -> None:
        """Opens the sink and writes until close(). Raises SinkError when the sink refuses to open for good."""
        self._writing = asyncio.current_task()
        try:
            await self._open()
            while True:
                await self._write(await self._queue.get_batch(self._batch))
        except QueueClosed:
            pass
        finally:
            self._queue.close()
            for item in self._queue.drain():
                item.drop(self._stopped)
            await self.sink.close()
            self.state = "closed"

    async def close(self, timeout: float) -> None:
        """Takes no more, writes what is in within `timeout`, drops the rest and closes the sink."""
        self._queue.close()
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=timeout)
            self._writing.cancel()
            await asyncio.wait([self._writing])

    @property
    def _stopped(self) -> str:
        return f"{self.name}: stopped"

    async def _open(self) -> None:
        async def attempt() -> bool:
            await self.sink.open()
            return True

        await self._until_done(attempt)

    async def _write(self, items: Sequence[Item]) -> None:
        left = list(items)

        async def attempt() -> bool:
            try:
                await self.sink.write([item.record for item in left])
            except SinkError as err:
                unwritten = {id(record) for record in err.unwritten}
                self._end([item for item in left if id(item.record) not in unwritten])
                left[:] = [item for item in left if id(item.record) in unwritten]
                if err.retriable:
                    raise
                log.error("%s: %d records cannot be written: %s", self.name, len(left), err)
                for item in left:
                    item.fail(f"{self.name}: refused")
            else:
                self._end(left)
            left.clear()
            return True

        try:
            await self._until_done(attempt)
        finally:  # cancelled: what was under way may or may not have been written
            for item in left:
                item.drop(self._stopped)

    def _end(self, items: Sequence[Item]) -> None:
        for item in items:
            item.acknowledge()

    async def _until_done(self, attempt: Callable[[], Awaitable[bool]]) -> None:
        delay = FIRST_DELAY_S
        while True:
            try:
                await attempt()
            except SinkError as err:
                if not err.retriable:
                    raise
                if self.error is None:
                    log.warning("%s: %s; trying again", self.name, err)
                self.error, self.state = str(err), "waiting"
                self.retries += 1
                await asyncio.sleep(delay)
                delay = min(delay * 2, LONGEST_DELAY_S)
            else:
                if self.error is not None:
                    log.info("%s: writing again", self.name)
                self.error, self.state = None, "writing"
                return
