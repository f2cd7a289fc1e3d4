"""A partition that the group has given us: its records go by key through pipelines, and what is done is committed.

    Consumer       reads: a member of the group, asks for the partitions that have room
      | record
    Partition      one of those that are ours: opens it from the committed offset, and after any doubt again from there
      |
    Session        one opening. Ledger: an offset is open; Key: the frame into the pipeline of its stream
      | frame, receipt
    daemon/flow    Pipeline -> engine -> the sinks' queues -> sinks: the order of the key is kept
      | the receipt ends
    Session        acknowledged or skipped: done; failed: to the dead letters; dropped or in doubt: it is read again
      | what is done from the front, without a gap
    Commits        AtLeastOnce: the offset; ExactlyOnce: documents, dead letters and offset in one transaction

A record meets these four classes. Each opening has a Session and Commits of its own, so that what is left of an earlier
one can tell the later one nothing; what a consumer's Commits share is its Guarantee's (daemon/kafka/consumer.py).
"""

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from daemon.errors import AlwaysHangs, SourceError, VisagedError
from daemon.flow.engine import MOST_ABANDONED, Lane
from daemon.flow.pipeline import STOPPED, Outgoing, Pipeline, Work
from daemon.flow.receipts import Counts, Ending, Ledger, Receipt
from daemon.flow.spans import Span, Tracer, messaging
from daemon.flow.timing import Timing
from daemon.kafka.positions import beginning
from daemon.kafka.progress import Progress
from daemon.kafka.records import READ_AGAIN, RecordFrame, RecordWork, id_of, stream_of
from daemon.kafka.settings import ConsumerSettings
from daemon.wire.trace import TraceContext
from sinks.base import Record, SinkError
from sinks.kafka_client import words

log = logging.getLogger(__name__)

REOPEN_S = 2.5  # longer than a heartbeat: a member that has lost the partition is told so before
MOST_AT_ONCE = 500  # records in one commit
MOST_KEYS = 1000  # of a partition; beyond, the one that has been idle the longest ends early
SWEEP_S = 1.0
FLUSH_INTERVAL_S = 0.02
POSITION_TIMEOUT_S = 0.5
MOST_HANGS = MOST_ABANDONED - 1
"""Of the work on a record, before it is a dead letter: with one more the process would end, and begin with it anew."""
REFUSAL_S = 3.0  # a partition that may not be read is asked for several times in it


class Message(NamedTuple):
    """A record for a transaction."""

    topic: str
    record: Record
    sent: Record
    """The record, or what goes in its place: smaller, or with another time."""


@dataclass(slots=True, eq=False)
class Entry:
    """A record that was read and is not committed."""

    record: ConsumerRecord
    stream: str
    frame: RecordFrame
    receipt: Receipt
    messages: list[Message | None] = field(default_factory=list)
    """What a transaction is to write for it; None: a document that is too large."""
    of_sinks: list[Receipt] = field(default_factory=list)
    """By which the sinks count these messages."""
    is_dead_letter: bool = False
    """Its receipt has ended as failed; its message is a dead letter."""

    def settle(self, *, committed: bool) -> None:
        """Ends the receipts that wait for its transaction."""
        for own in self.of_sinks:
            if committed:
                own.acknowledge()
            else:
                own.skip(READ_AGAIN)
        if self.is_dead_letter:
            return
        for _ in self.messages:
            if committed:
                self.receipt.acknowledge()
            else:
                self.receipt.drop(STOPPED)


@dataclass(slots=True, eq=False)
class Key:
    """A key's records, in order through a pipeline of their own; it ends when it has been idle for long."""

    pipeline: Pipeline
    task: "asyncio.Task[None]"
    """Ends when the sinks' queues have all that the pipeline made."""
    pending: int = 0
    """Records that are not committed."""
    last_record: float = 0.0
    """When it came, on the loop's clock."""

    def add(self, entry: Entry) -> None:
        self.pending += 1
        self.last_record = asyncio.get_running_loop().time()
        self.pipeline.put_nowait(entry.frame, entry.receipt)


class Commits(Protocol):
    """Makes the records of a session count as done."""

    outgoing: Sequence[Outgoing]
    """Where the session's pipelines put their records."""

    @property
    def obstacle(self) -> str | None:
        """What stands between the session's records and their commit, and does not end the session; None: nothing."""

    async def open(self) -> None:
        """Before the committed offset is asked for. Raises whatever stands in the way."""

    async def close(self) -> None:
        """In bounded time, after any error."""

    def send_dead_letter(self, entry: Entry, reason: str) -> None:
        """Calls Session.done() once it counts as done with the next commit."""

    async def commit(self, entries: Sequence[Entry], position: int, metadata: str = "") -> None:
        """Makes `position` the group's offset: the entries, and all before it, are done.

        Returns when it is. Raises where that is in doubt.
        """

    async def flush(self) -> None:
        """Writes what belongs to no record: what keys say when they begin and end."""


class Session:
    """One opening of a partition, until finish() or trouble."""

    def __init__(self, partition: "Partition") -> None:
        self.partition = partition
        self.commits = partition.make_commits(self)
        self.keys: OrderedDict[str, Key] = OrderedDict()
        self.ledger: Ledger[Entry] | None = None
        self.committed: int | None = None
        """The group's offset; None until the session has begun."""
        self.metadata = ""
        """Of the session's commits (daemon/kafka/positions.py)."""
        self._leaving: dict[str, Key] = {}
        self._entries: dict[Receipt, Entry] = {}
        self._changed = asyncio.Event()
        self._trouble: Exception | None = None
        self._taking = False
        self._finishing = False
        self._over = False
        self._tasks = asyncio.TaskGroup()

    @property
    def room(self) -> int:
        """Records that may be taken."""
        if self.ledger is None or not self._taking or self._trouble:
            return 0
        return self.partition.settings.max_pending - len(self.ledger)

    @property
    def pending(self) -> int:
        """Records that were taken and are not committed."""
        return len(self._entries)

    async def run(self) -> None:
        """Raises whatever stands in the way; the partition must then be opened again."""
        try:
            await self.commits.open()
            await self._begin()
            async with self._tasks:
                try:
                    await self._commit_what_ends()
                finally:
                    self._taking, self._over = False, True
                await self._end_keys()
        finally:
            self._over = True
            for key in self.keys.values():
                key.pipeline.discard()
            try:
                await self.commits.close()
            finally:
                for entry in self._entries.values():
                    entry.settle(committed=False)

    def finish(self) -> None:
        """Takes no more; run() returns when all records that were taken are committed."""
        self._taking, self._finishing = False, True
        self._changed.set()

    def take(self, record: ConsumerRecord) -> None:
        """Only while there is room: what is read at other times is read again after the next opening."""
        if self.ledger is None or self.room <= 0:
            return
        self.ledger.open(record.offset)
        stream = stream_of(record)
        settings, refusal = self.partition.settings, self.partition.refusal(record.offset)
        frame = RecordFrame(record, stream, settings.headers, refusal, settings.masks)
        receipt = self.partition.counts.open(
            lambda ending, reason: self._ended(entry, ending, reason),
            captured_at=frame.captured_at,
            span=self.partition.span(frame, record),
        )
        entry = Entry(record, stream, frame, receipt)
        self._entries[receipt] = entry
        self._key(record, stream).add(entry)

    def entry_of(self, receipt: Receipt) -> Entry | None:
        """None: the receipt is of no frame (Work.begin() and end())."""
        return self._entries.get(receipt)

    def done(self, entry: Entry) -> None:
        """It is committed with the next commit, if all before it are done."""
        if self._over or self.ledger is None:
            return
        self.ledger.end(entry.record.offset, entry)
        self._changed.set()

    def wake(self) -> None:
        """There is something to flush."""
        self._changed.set()

    def fail(self, error: Exception) -> None:
        """Ends the session."""
        self._trouble = self._trouble or error
        self._changed.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """A task of the session, which ends with it."""
        return self._tasks.create_task(work)

    async def _begin(self) -> None:
        """Nothing is awaited between a committed offset and the seek: another's commit in between would be undone."""
        partition = self.partition
        async with asyncio.timeout(partition.answer_timeout):
            begins = await beginning(
                partition.consumer,
                partition.tp,
                partition.settings.start,
                is_new=partition.is_new,
                out_of_range=partition.out_of_range,
            )
        partition.consumer.seek(partition.tp, begins.position)
        self.metadata = begins.metadata
        if begins.position != begins.committed:  # or the next start would pass over what comes until then
            await self.commits.commit((), begins.position, begins.metadata)
        partition.offsets_lost += begins.lost
        partition.out_of_range = None
        partition.settle(begins.committed or 0)
        self.ledger, self.committed = Ledger(begins.position), begins.position
        self._taking = not self._finishing
        partition.error = None
        partition.on_room()

    async def _commit_what_ends(self) -> None:
        assert self.ledger is not None  # noqa: S101  # _begin() has made it
        loop = asyncio.get_running_loop()
        swept = loop.time()
        while True:
            self._changed.clear()
            while entries := self.ledger.take(MOST_AT_ONCE):
                await self._commit(entries, self.ledger.position)
                self.partition.on_room()
            await self.commits.flush()
            if self._trouble:
                raise self._trouble
            if self._finishing and not self.ledger:
                return
            if loop.time() - swept >= SWEEP_S:
                swept = loop.time()
                self._sweep(swept - self.partition.settings.idle_timeout)
            try:
                async with asyncio.timeout(SWEEP_S):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _end_keys(self) -> None:
        keys = [*self.keys.values(), *self._leaving.values()]
        for key in keys:
            key.pipeline.close()
        while not all(key.task.done() for key in keys):
            await self.commits.flush()
            await asyncio.sleep(FLUSH_INTERVAL_S)

    async def _commit(self, entries: Sequence[Entry], position: int) -> None:
        try:
            await self.commits.commit(entries, position, self.metadata)
        except Exception:
            self.partition.in_doubt = [self._entries.pop(entry.receipt) for entry in entries]
            raise
        self.committed = position
        for entry in entries:
            del self._entries[entry.receipt]
            self.partition.hangs.pop(entry.record.offset, None)
            if key := self.keys.get(entry.stream):
                key.pending -= 1
            entry.settle(committed=True)

    def _ended(self, entry: Entry, ending: Ending, reason: str) -> None:
        if self._over or entry.receipt not in self._entries:  # the latter: acknowledged as it was committed
            return
        if ending in (Ending.ACKNOWLEDGED, Ending.SKIPPED):
            self.done(entry)
        elif ending is Ending.FAILED:
            entry.is_dead_letter = True
            self.commits.send_dead_letter(entry, reason)
        else:
            if ending is Ending.HUNG:
                self.partition.hangs[entry.record.offset] += 1
            self.fail(SourceError(f"offset {entry.record.offset} was not delivered ({reason})"))

    def _key(self, record: ConsumerRecord, stream: str) -> Key:
        if key := self.keys.get(stream):
            self.keys.move_to_end(stream)
            return key
        if len(self.keys) >= MOST_KEYS:
            self._sweep(asyncio.get_running_loop().time(), most=1)
        # Its run is named by where it began: one that begins there again, after a crash, says the same again.
        pipeline = self.partition.pipeline(stream, id_of(record), self.commits.outgoing)
        before = self._leaving.pop(stream, None)
        task = self.spawn(self._run(pipeline, after=before.task if before else None))
        key = self.keys[stream] = Key(pipeline, task)
        return key

    async def _run(self, pipeline: Pipeline, after: "asyncio.Task[None] | None") -> None:
        """`after`: of the key's run before this one, which has its last words to say first."""
        try:
            if after is not None:
                await asyncio.wait([after])
            await pipeline.run()
        except Exception as err:  # noqa: BLE001  # told by the one who opens the partition again
            self.fail(err)

    def _sweep(self, before: float, most: int | None = None) -> None:
        """Ends keys without a record since `before` and with none pending, the longest idle first, up to `most`."""
        idle = [stream for stream, key in self.keys.items() if key.last_record < before and not key.pending]
        self._leaving = {stream: key for stream, key in self._leaving.items() if not key.task.done()}
        for stream in idle[:most]:
            self._leaving[stream] = key = self.keys.pop(stream)
            key.pipeline.close()


class Partition:
    """One that the group has given us, until close(). Belongs to the event loop's thread."""

    def __init__(
        self,
        tp: TopicPartition,
        consumer: AIOKafkaConsumer,
        settings: ConsumerSettings,
        *,
        counts: Counts,
        letters: Counts,
        make_work: Callable[[str, str, str], Work],
        make_commits: Callable[[Session], Commits],
        lane: Lane,
        window: int,
        timing: Timing,
        answer_timeout: float,
        on_room: Callable[[], None],
        is_new: bool = False,
        tracer: Tracer | None = None,
    ) -> None:
        """`counts`: of records, `letters`: of those of them that become dead letters.

        `is_new`: the topic was not there when the consumer looked before, so that none of its records is old.
        `tracer`: begins its records' traces; None: there are none.
        """
        self.tp = tp
        self.consumer = consumer
        self.settings = settings
        self.counts = counts
        self.letters = letters
        self.make_commits = make_commits
        self.answer_timeout = answer_timeout
        self.on_room = on_room
        self.is_new = is_new
        self.error: str | None = None
        """Why the last opening ended; None once there is another."""
        self.reopened = 0
        self.dead_letters = 0
        """That are in their topic."""
        self.out_of_range: int | None = None
        """An offset that the broker says it does not have; None once the partition is open again."""
        self.offsets_lost = 0
        """Offsets that the broker had deleted before they were read."""
        self.in_doubt: Sequence[Entry] = ()
        """Of a transaction whose end is not known: the next opening learns it from the committed offset."""
        self.hangs: Counter[int] = Counter()
        """Of the work on records that are not committed, by offset."""
        self.session: Session | None = None
        self._progress = Progress()
        self._refusal: str | None = None
        self._refused_at = 0.0
        self._make_work = make_work
        self._lane = lane
        self._window = window
        self._timing = timing
        self._tracer = tracer
        self._closing = False
        self._task = asyncio.create_task(self._carry(), name=f"{tp.topic}-{tp.partition}")

    @property
    def room(self) -> int:
        return self.session.room if self.session else 0

    @property
    def is_open(self) -> bool:
        return self.session is not None and self.session.ledger is not None and self.error is None

    @property
    def obstacle(self) -> str | None:
        """What stands between the partition and its next commit, with what can be done about it; None: nothing."""
        commits = self.session.commits if self.session else None
        return self.error or self._refusal or (commits.obstacle if commits else None) or self._progress.stall

    def take(self, record: ConsumerRecord) -> None:
        if self.session:
            self.session.take(record)

    def refusal(self, offset: int) -> AlwaysHangs | None:
        """Why no work is begun on a record; None: it is."""
        if (hangs := self.hangs[offset]) < MOST_HANGS:
            return None
        return AlwaysHangs(f"The work on this record has not ended in `engine.hang_timeout`, {hangs} times")

    def miss(self, offset: int) -> None:
        """The broker does not have the offset that we want to read from."""
        self.out_of_range = offset
        if self.session:
            self.session.fail(SourceError(f"offset {offset} is out of the partition's range"))

    def refuse(self, error: KafkaError) -> None:
        """The broker does not let us read it, for now."""
        why = words(error)
        if why != self._refusal:
            log.warning("%s-%d: %s", self.tp.topic, self.tp.partition, why)
        self._refusal, self._refused_at = why, asyncio.get_running_loop().time()

    async def look(self, end: int | None = None) -> None:
        """Sees whether it moves and how far it is behind; what has come to a stand is logged, once.

        `end`: where it ends, if that has been asked; None: what the last records came with.
        """
        if self._refusal and asyncio.get_running_loop().time() - self._refused_at > REFUSAL_S:
            log.info("%s-%d: over: %s", self.tp.topic, self.tp.partition, self._refusal)
            self._refusal = None
        said = self._progress.stall
        session, consumer, tp = self.session, self.consumer, self.tp
        committed = session.committed if session else None
        assigned = tp in consumer.assignment()
        self._progress.look(
            asyncio.get_running_loop().time(),
            committed=committed,
            pending=session.pending if session else 0,
            read=await _position(consumer, tp) if assigned and committed is not None else 0,
            stable=end or (_stable_offset(consumer, tp) if assigned else None),
            end=end or (consumer.highwater(tp) if assigned else None),
        )
        if self._progress.stall not in (None, said):
            log.warning("%s-%d: %s", tp.topic, tp.partition, self._progress.stall)
        elif said and self._progress.stall is None:
            log.info("%s-%d: over: %s", tp.topic, tp.partition, said)

    def settle(self, position: int) -> None:
        """What was in doubt: all before `position` is committed."""
        in_doubt, self.in_doubt = self.in_doubt, ()
        for entry in in_doubt:
            entry.settle(committed=entry.record.offset < position)

    def span(self, frame: RecordFrame, record: ConsumerRecord) -> Span | None:
        """Of the work on a record, in the trace that it came with."""
        if self._tracer is None:
            return None
        about = messaging("kafka", "process", record.topic) | {
            "messaging.consumer.group.name": self.settings.group,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
            "visaged.stream": frame.source,
        }
        came = None if frame.trace is None else TraceContext.read(*frame.trace)
        return self._tracer.begin(f"process {record.topic}", kind="CONSUMER", came=came, attributes=about)

    def pipeline(self, stream: str, run: str, outgoing: Sequence[Outgoing]) -> Pipeline:
        work = RecordWork(self._make_work(stream, run, f"{self.tp.topic}-{self.tp.partition}"), self._timing)
        inbox = self.settings.max_pending
        return Pipeline(stream, work, self._lane, outgoing, self._window, inbox=inbox, timing=self._timing)

    def status(self) -> dict[str, Any]:
        return {
            "open": self.is_open,
            "error": self.obstacle,
            "reopened": self.reopened,
            "position": self.session.committed if self.session else None,
            "lag": self._progress.lag,
            "pending": self.session.pending if self.session else 0,
            "keys": len(self.session.keys) if self.session else 0,
            "dead_letters": self.dead_letters,
            "offsets_lost": self.offsets_lost,
        }

    async def close(self, grace: float | None) -> None:
        """Lets what is under way end within `grace` seconds (None: as long as it takes), and drops the rest."""
        self._closing = True
        has_begun = self.session is not None and self.session.committed is not None
        if self.session:
            self.session.finish()
        try:
            await asyncio.wait([self._task], timeout=grace if has_begun else 0)
        finally:
            self._task.cancel()
        await asyncio.wait([self._task])

    async def _carry(self) -> None:
        """Until close(): being fenced does not end it, as the fencer may be a zombie that then dies."""
        try:
            while not self._closing:
                self.session = Session(self)
                try:
                    await self.session.run()
                except Exception as err:  # noqa: BLE001  # whatever it is, the next opening knows where to go on
                    said, self.error = self.error, words_of(err)
                    self.reopened += 1
                    if self.error != said:  # in an outage it is the same each time
                        log.warning("%s-%d: %s; opening it again", self.tp.topic, self.tp.partition, self.error)
                    await asyncio.sleep(REOPEN_S)
        finally:
            self.settle(0)


async def _position(consumer: AIOKafkaConsumer, tp: TopicPartition) -> int:
    """The next offset that is asked for; 0 where that changes right now."""
    try:
        async with asyncio.timeout(POSITION_TIMEOUT_S):
            position: int = await consumer.position(tp)
            return position
    except (IllegalStateError, TimeoutError):
        return 0


def _stable_offset(consumer: AIOKafkaConsumer, tp: TopicPartition) -> int | None:
    """The end of what may be read; of a broker without transactions the end of what is there. None: not asked yet."""
    stable: int | None = consumer.last_stable_offset(tp)
    end: int | None = consumer.highwater(tp)
    return end if stable in (None, -1) else stable


def words_of(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    expected = isinstance(error, KafkaError | SinkError | VisagedError | TimeoutError)
    return words(error) if expected else repr(error)
