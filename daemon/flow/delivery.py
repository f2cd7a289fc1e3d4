"""A sink's queue and the one task that writes to it: in batches, again where that may succeed later.

The one boundary around sinks. What a sink raises beside SinkError is a fault of it or of its library: the sink is
closed and opened again, and a batch that meets such a fault three times fails alone. Nothing else ends for it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Literal, NamedTuple

from daemon.flow.history import SHORT_S
from daemon.flow.queues import BoundedQueue, QueueClosed
from daemon.flow.receipts import ACKNOWLEDGED, NOT_TAKEN, Counts, Receipt
from daemon.flow.spans import Attributes
from daemon.logs import ABOUT, about
from sinks.base import Record, Sink, SinkError, SinkInUse

log = logging.getLogger(__name__)

BACKLOG = 1000
BATCH = 500
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 5.0
LONGEST_RETRY_AFTER_S = 600.0  # whatever a server says
IN_USE_POLL_S = 0.5
OPENING_S = 1.0
TRIES = 3  # of a batch with a sink that fails for no reason that it knows
IN_DOUBT = "in doubt"

State = Literal["opening", "writing", "waiting", "closed"]
Takes = Callable[[Record], bool]
Form = Callable[[Record], Record]


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

    def doubt(self, reason: str) -> None:
        self.own.doubt(reason)
        self.frame.doubt(reason)


class Delivery:
    """What is handed in is written in that order, or counted as dropped or failed. For the event loop's thread.

    While the sink cannot be written to, at most `backlog` records wait, and a batch of them that is being written. A
    record waits up to `linger` seconds for others to be written with it: one write of many costs little more than one.
    A sink that another process uses is waited for, `in_use_timeout` seconds at most: that process may be about to end.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        backlog: int = BACKLOG,
        batch: int = BATCH,
        linger: float = 0.0,
        in_use_timeout: float = 0.0,
        takes: Takes = lambda _: True,
        form: Form | None = None,
        destination: Attributes | None = None,
    ) -> None:
        """`takes`: which records. `form`: makes of one what this sink may have; None: it may have all of it.

        `destination`: what the spans of its records say of where they go.
        """
        self.name = name
        self.sink = sink
        self.counts = Counts()
        self.state: State = "opening"
        self.retries = 0
        self.error: str | None = None
        """Why the last attempt failed; None once one has succeeded."""
        self._overflowing = False
        self._batch = batch
        self._linger = linger
        self._in_use_timeout = in_use_timeout
        self._takes = takes
        self._form = form
        self._destination = {} if destination is None else destination
        self._queue = BoundedQueue[Item](backlog, self._drop_oldest)
        self._in_hand: list[Item] = []
        self._limit = asyncio.timeout(None)  # of run(), once close() has set one
        self._began = False
        self._writing_over = False
        self._ended = asyncio.Event()

    @property
    def obstacle(self) -> str | None:
        """Why records are not written; None: they are, or there are none."""
        if self.state == "waiting":
            return f"sink {self.name} is waiting: {self.error}"
        growth = self.counts.history.growth(SHORT_S)
        if growth is None or growth.by[ACKNOWLEDGED] or self.counts.pending_before(growth) <= 0:
            return None
        return f"sink {self.name} has taken none of {self.counts.pending} records in {growth.seconds:.0f} s"

    @property
    def lag(self) -> float:
        """Seconds since the oldest record that is not done with was handed over; 0 where there is none."""
        oldest = self._in_hand[0] if self._in_hand else self._queue.first
        return 0.0 if oldest is None else time.monotonic() - oldest.own.opened_at

    def takes(self, record: Record) -> bool:
        if self._takes(record):
            return True
        self.counts.open().skip(NOT_TAKEN)
        return False

    def offer(self, record: Record, receipt: Receipt) -> None:
        """Never waits: when the backlog is full the oldest offered record is dropped."""
        item = self._item(record, receipt)
        try:
            self._queue.offer(item)
        except QueueClosed:
            item.drop(self._stopped)

    async def put(self, record: Record, receipt: Receipt) -> None:
        """Waits while the backlog is full; the receipt gets its answer even if this is cancelled."""
        item = self._item(record, receipt)
        try:
            await self._queue.put(item)
        except QueueClosed:
            item.drop(self._stopped)
        except asyncio.CancelledError:
            item.drop(self._stopped)
            raise

    async def run(self) -> None:
        """Opens the sink and writes until close(). Raises SinkError when the sink cannot be opened for good. Once."""
        if self._ended.is_set():
            return
        ABOUT.set({"sink": self.name})
        self._began = True
        try:
            async with self._limit:
                await self._until_open()
                self._well()
                while True:
                    self._in_hand = await self._queue.get_batch(self._batch, self._linger)
                    if self._form is not None:
                        await self._form_in_hand(self._form)
                    await self._until_written()
                    self._overflowing = False
        except QueueClosed:
            pass
        except TimeoutError:  # the limit's: a sink's own is met where the sink is called
            if not self._limit.expired():
                raise
        except SinkError as err:
            self._fail_in_hand(err)
            raise
        finally:
            self._writing_over = True
            self._drop_all()
            try:
                await self._close_sink()
            finally:
                self.state = "closed"
                self._ended.set()

    async def close(self, timeout: float) -> None:
        """Takes no more, writes what is in within `timeout`, drops the rest and closes the sink.

        With nothing to write it waits for no sink that is away.
        """
        self._queue.close()
        if not self._began:
            self._drop_all()
            self.state = "closed"
            self._ended.set()
        elif not self._writing_over:
            if not self._in_hand and not len(self._queue):  # a connection that is being made is not cut off half-way
                timeout = 0.0 if self.state == "waiting" else min(timeout, OPENING_S)
            self._limit.reschedule(asyncio.get_running_loop().time() + timeout)
        await self._ended.wait()

    @property
    def _stopped(self) -> str:
        return f"{self.name}: stopped"

    def _item(self, record: Record, receipt: Receipt) -> Item:
        span = None
        if receipt.span is not None:
            about = {**self._destination, "visaged.sink": self.name}
            span = receipt.span.step(f"send {self.name}", kind="PRODUCER", attributes=about)
        return Item(record, receipt, self.counts.open(span=span))

    async def _form_in_hand(self, form: Form) -> None:
        """Parts of documents are cut out, which takes time. A record that cannot be formed does not leave."""
        formed = await asyncio.to_thread(lambda items: [_formed(item.record, form) for item in items], self._in_hand)
        items, self._in_hand = self._in_hand, []
        for item, record in zip(items, formed, strict=True):
            if isinstance(record, Exception):
                item.fail(self._failure(type(record).__name__))
            else:
                self._in_hand.append(item._replace(record=record))

    async def _write(self) -> None:
        items, left = self._in_hand, []
        try:
            await _called(lambda: self.sink.write([item.record for item in items]))
        except SinkError as err:
            refused = {id(record): reason for record, reason in err.refused}
            in_doubt = {id(record) for record in err.in_doubt}
            unwritten = {id(record) for record in err.unwritten}
            speaks_of_all = not (refused or in_doubt or unwritten)
            for item in items:
                if reason := refused.get(id(item.record)):
                    item.fail(self._failure(reason))
                elif id(item.record) in in_doubt:
                    item.doubt(self._failure(IN_DOUBT))
                elif id(item.record) in unwritten or speaks_of_all:
                    left.append(item)
                else:
                    item.acknowledge()
            self._in_hand = left
            if left:
                raise
        else:
            for item in items:
                item.acknowledge()
            self._in_hand = []

    async def _until_open(self) -> None:
        """Raises SinkError where it will never be open."""
        gives_up_at = time.monotonic() + self._in_use_timeout
        for delay in _delays():
            try:
                await _called(self.sink.open)
            except SinkInUse as err:
                left = gives_up_at - time.monotonic()
                if left <= 0:
                    raise
                await self._wait(err, min(delay, left, IN_USE_POLL_S))
            except SinkError as err:
                if not err.retriable:
                    raise
                await self._wait(err, delay)
            except Exception as err:  # noqa: BLE001  # told by _reset()
                await self._reset(err, delay)
            else:
                return

    async def _until_written(self) -> None:
        """All in hand is written or has failed. Raises SinkError where the sink cannot be opened again."""
        faults = 0
        for delay in _delays():
            try:
                await self._write()
            except Exception as err:  # noqa: BLE001  # told by those who wait
                if isinstance(err, SinkError) and err.retriable:
                    await self._wait(err, delay)
                    continue
                faults += 1
                if faults == TRIES:
                    self._fail_in_hand(err)
                await self._reset(err, delay)
                await self._until_open()
                if not self._in_hand:
                    return
            else:
                self._well()
                return

    async def _wait(self, err: SinkError, delay: float) -> None:
        if self.error != str(err):  # in an outage it is the same each time
            log.warning("%s: %s; trying again", self.name, err)
        await self._pause(str(err), max(delay, min(err.retry_after, LONGEST_RETRY_AFTER_S)))

    async def _reset(self, err: Exception, delay: float) -> None:
        """Closes a sink that is in no state to go on."""
        if self.error is None:
            expected = isinstance(err, SinkError)
            message = "%s: %s; opening it again"
            log.error(message, self.name, err if expected else repr(err), exc_info=None if expected else err)
        await self._close_sink()
        await self._pause(str(err) if isinstance(err, SinkError) else repr(err), delay)

    async def _pause(self, error: str, delay: float) -> None:
        self.error, self.state = error, "waiting"
        self.retries += 1
        await asyncio.sleep(delay)

    def _well(self) -> None:
        if self.error is not None:
            log.info("%s: writing again", self.name)
        self.error, self.state = None, "writing"

    async def _close_sink(self) -> None:
        try:
            await _called(self.sink.close)
        except Exception:
            log.exception("%s: failed to close", self.name)

    def _fail_in_hand(self, err: Exception) -> None:
        items, self._in_hand = self._in_hand, []
        for item in items:
            item.fail(self._failure(type(err).__name__))

    def _failure(self, reason: str) -> str:
        """The reason under this delivery's name; the first failure for it is logged."""
        reason = f"{self.name}: {reason}"
        if reason not in self.counts.failed:
            log.error("%s: the first record to fail (counters have the rest)", reason)
        return reason

    def _drop_oldest(self, item: Item) -> None:
        if not self._overflowing:
            with about(sink=self.name):
                what = "%s: the backlog of %d records is full: the oldest are dropped"
                log.warning(what, self.name, self._queue.size)
        self._overflowing = True
        item.drop(f"{self.name}: backlog full")

    def _drop_all(self) -> None:
        self._queue.close()
        items, self._in_hand = self._in_hand, []
        for item in (*items, *self._queue.drain()):
            item.drop(self._stopped)


def _formed(record: Record, form: Form) -> Record | Exception:
    try:
        return form(record)
    except Exception as err:  # noqa: BLE001  # one bad record fails alone, whatever its error
        return err


def _delays() -> Iterator[float]:
    """Seconds to wait after each attempt in vain."""
    delay = FIRST_DELAY_S
    while True:
        yield delay
        delay = min(delay * 2, LONGEST_DELAY_S)


async def _called(call: Callable[[], Awaitable[None]]) -> None:
    """A cancellation that nobody asked for is a library's fault, as of a task of its own that it waits for."""
    try:
        await call()
    except asyncio.CancelledError as err:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError("the sink cancelled its own call") from err
