"""The history as the daemon has it: a sink of events that holds no stream up, what it is asked, and its two threads.

One thread writes and one reads, each with a connection of its own.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from daemon.errors import HistoryDamaged, HistoryError, HistoryRefused
from daemon.flow.delivery import Delivery
from daemon.flow.receipts import Counts, Receipt
from daemon.history.reader import Reader, Shot
from daemon.history.selection import Position, Row, Selection
from daemon.history.settings import NAME, HistorySettings
from daemon.history.store import SPARE, Figures, Store
from daemon.wire.v2 import PLACE_SCHEMA, TRACK_SCHEMA
from sinks.base import Record, SinkError

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

KEPT: Final = frozenset({TRACK_SCHEMA[0], PLACE_SCHEMA[0]})
LINGER_S: Final = 0.2
UPKEEP_S: Final = 60.0
WRITING_S: Final = 5.0
"""That a deletion waits for the events that came before it."""

Of = Callable[[str], bool]
"""Which streams are meant."""


class Thread:
    """One thread, and the way to it and back: thread(call, ...) from the event loop's."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, name)
        self._ended = False

    async def __call__(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises HistoryError when it has ended."""
        if self._ended:
            raise HistoryError("the history is stopping")
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(call, *args, **kwargs))

    def end(self) -> None:
        """When it has done what it was given."""
        self._ended = True
        self._pool.shutdown(wait=False)


class Keeper:
    """The sink. A power cut may take the last seconds, a kill nothing; it repeats and reorders nothing."""

    def __init__(self, store: Store, reader: Reader, writing: Thread, reading: Thread) -> None:
        self.counts: Counter[str] = Counter()
        self._store, self._reader = store, reader
        self._writing, self._reading = writing, reading

    async def open(self) -> None:
        try:
            await self._writing(self._store.open)
            await self._reading(self._reader.open)
        except HistoryError as err:
            raise SinkError(str(err), retriable=not isinstance(err, HistoryRefused)) from err

    async def write(self, records: Sequence[Record]) -> None:
        try:
            await self._writing(self._store.add, records)
        except HistoryError as err:
            raise SinkError(str(err), retriable=not isinstance(err, HistoryDamaged)) from err

    async def close(self) -> None:
        await self._reading(self._reader.close)
        await self._writing(self._store.close)


class History:
    """A sink's queue to the pipelines. Belongs to the event loop's thread."""

    def __init__(self, state_dir: Path, settings: HistorySettings) -> None:
        self._store = Store(state_dir / NAME, settings)
        self._reader = Reader(self._store)
        self._writing, self._reading = Thread("history-writer"), Thread("history-reader")
        self.delivery = Delivery(NAME, Keeper(self._store, self._reader, self._writing, self._reading), linger=LINGER_S)
        """Its queue, with what became of all events."""
        self._handed = Counts()  # that an ending can be waited for
        self._ended = asyncio.Event()
        self._deleting: set[asyncio.Task[int]] = set()

    @property
    def figures(self) -> Figures:
        return self._store.figures

    @property
    def removed(self) -> Counter[str]:
        """Events, by why they are no more."""
        return self._store.removed

    def takes(self, record: Record) -> bool:
        return record.about.schema in KEPT

    def offer(self, record: Record, receipt: Receipt) -> None:
        """What becomes of it here is nothing to its frame."""
        self.delivery.offer(record, self._handed.open(lambda *_: self._ended.set()))
        receipt.acknowledge()

    async def put(self, record: Record, receipt: Receipt) -> None:
        """Waits for nothing: where there is no room the oldest that waits is dropped."""
        self.offer(record, receipt)

    async def run(self) -> None:
        """Until the delivery is closed. Raises SinkError where the file is not ours. Once."""
        upkeep = asyncio.create_task(self._keep_up())
        try:
            await self.delivery.run()
        finally:
            upkeep.cancel()
            self._writing.end()
            self._reading.end()

    async def page(self, wanted: Selection, of: Of, after: Position | None, limit: int) -> Sequence[Row]:
        """The newest, or those after a position. Raises HistoryError and SearchTooLong."""
        return await self._reading(self._reader.page, wanted, await self._streams(of), after, limit)

    async def shot(self, shot: str) -> Shot:
        """Raises NotKept and HistoryError."""
        return await self._reading(self._reader.shot, shot)

    async def delete(self, wanted: Selection, of: Of) -> int:
        """How many; also of the events that have come and are not written yet. Goes on when it is cancelled.

        Raises HistoryError where that is not all of it.
        """
        deleting = asyncio.create_task(self._delete(wanted, of))
        self._deleting.add(deleting)
        deleting.add_done_callback(self._deleting.discard)
        deleting.add_done_callback(lambda task: task.cancelled() or task.exception())  # whoever asked may have left
        return await asyncio.shield(deleting)

    async def _streams(self, of: Of) -> Sequence[str]:
        return [stream for stream in await self._reading(self._reader.streams) if of(stream)]

    async def _delete(self, wanted: Selection, of: Of) -> int:
        waits = await self._why_unwritten()
        streams = await self._streams(of)
        deleted, after = await self._writing(self._store.delete, wanted, streams, None)
        while after is not None:
            more, after = await self._writing(self._store.delete, wanted, streams, after)
            deleted += more
        while await self._writing(self._store.shrink):
            pass
        await self._writing(self._store.scrub)
        if waits is not None:
            raise HistoryError(f"{deleted} events are deleted, but not what waits to be written: {waits}")
        return deleted

    async def _why_unwritten(self) -> str | None:
        """Waits until all that has come by now is written, or is not to be, as long as that may take; None: it is."""
        counts, awaited = self._handed, self._handed.received
        try:
            async with asyncio.timeout(WRITING_S):
                while counts.received - counts.pending < awaited:
                    self._ended.clear()
                    await self._ended.wait()
        except TimeoutError:
            return self.delivery.error or f"it has waited for {WRITING_S:g} s"
        return None

    async def _keep_up(self) -> None:
        """Once a minute what is too old goes, and what a smaller limit has left free is given back."""
        told = ""
        while True:
            await asyncio.sleep(UPKEEP_S)
            try:
                while await self._writing(self._store.tidy):
                    pass
                while await self._writing(self._store.shrink, SPARE):
                    pass
            except Exception as err:  # it is tried again, whatever it was
                if repr(err) != told:  # the same each minute
                    expected = isinstance(err, HistoryError)
                    log.warning("%s: %s", NAME, err if expected else repr(err), exc_info=None if expected else err)
                told = repr(err)
            else:
                told = ""
