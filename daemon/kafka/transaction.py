"""Exactly once: the documents of a contiguous range of records, and the range's end, are one transaction.

There is one transactional producer for each partition that is read, and its id belongs to the partition: a member that
opens the partition fences the producer of the member before, which can then commit no transaction any more. Nothing
else would fence a zombie, as aiokafka commits offsets in transactions without the group's generation.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors

from daemon.flow.pipeline import STOPPED, Outgoing
from daemon.flow.receipts import NOT_TAKEN, Counts, Receipt
from daemon.flow.spans import messaging
from daemon.kafka.dead_letters import DeadLetter, dead_letter
from daemon.kafka.partition import Commits, Entry, Message, Session
from daemon.kafka.settings import ConsumerSettings
from daemon.work.documents import form_of
from sinks.base import Record, SinkError
from sinks.kafka_client import TOO_LARGE_ERRORS, check_connection, client_arguments, end_producer, start
from sinks.kafka_settings import KafkaCluster, KafkaSettings
from sinks.kafka_times import TimeLimits

log = logging.getLogger(__name__)

TRANSACTION_TIMEOUT_S = 10.0  # after which the broker aborts what nobody has ended
COMMIT_TIMEOUT_S = 8.0
ABORT_TIMEOUT_S = 1.0
RETRY_BACKOFF_MS = 20  # NotEnoughReplicas is a normal answer while partitions join a transaction, and costs one each
TOO_LARGE = "too large"
BATCH_BYTES = 16 * 1024
OVERHEAD_BYTES = 16 * 1024  # of a request around its one record


class ExactlyOnce:
    """Where the transactions of a consumer go."""

    def __init__(
        self,
        settings: ConsumerSettings,
        cluster: KafkaCluster,
        sinks: Sequence[KafkaSettings],
        counts: Sequence[Counts],
    ) -> None:
        """`counts`: of the sinks, in their order; the transactions' records are counted there."""
        self.settings = settings
        self.cluster = cluster
        self.sinks = sinks
        self.counts = counts
        self.most_bytes = {sink.topic: sink.max_record_bytes for sink in sinks}
        """Of a record, by topic; less than configured once the broker has refused a smaller one."""
        self.topics: Sequence[str] = [settings.topic or sink.topic for sink in sinks]
        if settings.tracking is not None and settings.tracking.events is not None:
            self.topics = [*self.topics, settings.tracking.events.topic]
        for topic in self.topics:
            self.most_bytes.setdefault(topic, max(self.most_bytes.values()))
        letters = settings.dead_letters
        most = self.most_bytes.get(letters.topic, letters.max_record_bytes)
        self.most_bytes[letters.topic] = min(most, letters.max_record_bytes)
        self.times = {topic: TimeLimits(topic) for topic in self.most_bytes}
        self.one_by_one: set[str] = set()
        """Topics whose records go in batches of their own, until it is known for which one the broker refuses them."""

    @property
    def letters_error(self) -> str | None:
        """They are in the sessions' transactions, whose end says it."""
        return None

    async def run(self) -> None:
        """Each session has a producer of its own, and they share none."""

    async def close(self) -> None:
        pass

    def commits(self, session: Session) -> Commits:
        return _Transactions(self, session)


class _Transactions:
    def __init__(self, guarantee: ExactlyOnce, session: Session) -> None:
        self.outgoing: Sequence[Outgoing] = [
            _Topic(self, sink, counts) for sink, counts in zip(guarantee.sinks, guarantee.counts, strict=True)
        ]
        self._guarantee = guarantee
        self._session = session
        self._producer: AIOKafkaProducer | None = None
        self._begun = False
        self._frameless: list[tuple[Message, Receipt, Receipt]] = []
        """Records of no frame (Work.begin() and end()), with the pipeline's receipt and the sink's."""

    @property
    def obstacle(self) -> str | None:
        """A refusal ends the session, and is the partition's error."""
        return None

    async def open(self) -> None:
        guarantee, tp = self._guarantee, self._session.partition.tp
        arguments = await client_arguments(guarantee.cluster)
        compression = guarantee.sinks[0].compression
        self._producer = AIOKafkaProducer(
            **arguments,
            transactional_id=f"visaged-{guarantee.settings.group}-{tp.topic}-{tp.partition}",
            transaction_timeout_ms=round(TRANSACTION_TIMEOUT_S * 1000),
            acks="all",
            compression_type=None if compression == "none" else compression,
            max_batch_size=BATCH_BYTES,
            max_request_size=max(guarantee.most_bytes.values()) + OVERHEAD_BYTES,
            retry_backoff_ms=RETRY_BACKOFF_MS,
        )
        try:
            await start(self._producer, guarantee.cluster.request_timeout)  # fences the one before
        except (kafka_errors.KafkaConnectionError, TimeoutError):
            # Raises with the reason, if it lasts.
            await check_connection(guarantee.cluster, arguments, idempotent=False)
            raise

    async def close(self) -> None:
        for _, *receipts in self._frameless:
            for receipt in receipts:
                receipt.drop(STOPPED)
        if self._producer is None:
            return
        if self._begun:  # stop() would not abort it, and the next one would have to
            with contextlib.suppress(Exception):  # fenced, it is an AssertionError
                async with asyncio.timeout(ABORT_TIMEOUT_S):
                    await self._producer.abort_transaction()
        await end_producer(self._producer)

    def send_dead_letter(self, entry: Entry, reason: str) -> None:
        letter = dead_letter(entry.record, entry.stream, entry.frame.error or reason, reason)
        topic = self._guarantee.settings.dead_letters.topic
        message = self._message(topic, letter)
        if message is None:
            most = self._guarantee.most_bytes[topic]
            self._session.fail(SinkError(f"a dead letter for {topic} has more than {most} bytes", retriable=True))
            return
        entry.messages = [message]
        entry.of_sinks.append(self._session.partition.letters.open())
        self._session.done(entry)

    def collect(self, topic: str, record: Record, receipt: Receipt, own: Receipt) -> None:
        """Keeps a record until all of its frame have come. `own`: the receipt by which the sink counts it."""
        message = self._message(record.topic or topic, record)
        entry = self._session.entry_of(receipt)
        if entry is None:
            if message is None:
                own.fail(TOO_LARGE)
                receipt.fail(TOO_LARGE)
            else:
                self._frameless.append((message, receipt, own))
                self._session.wake()
            return
        entry.messages.append(message)
        entry.of_sinks.append(own)
        if len(entry.messages) < receipt.awaited:
            return
        if None not in entry.messages:
            self._session.done(entry)
            return
        for own in entry.of_sinks:
            own.fail(TOO_LARGE)
        entry.of_sinks.clear()
        for _ in range(receipt.awaited):
            receipt.fail(TOO_LARGE)

    async def commit(self, entries: Sequence[Entry], position: int, metadata: str = "") -> None:
        messages = [message for entry in entries for message in entry.messages if message]
        await self._commit(messages, (position, metadata))

    async def flush(self) -> None:
        if self._frameless:
            await self._commit([], None)

    async def _commit(self, of_frames: Sequence[Message], position: tuple[int, str] | None) -> None:
        assert self._producer is not None  # noqa: S101  # open() has made it
        producer = self._producer
        frameless = list(self._frameless)  # in front, as begin() comes before the frames of its run
        messages = [*(message for message, *_ in frameless), *of_frames]
        async with asyncio.timeout(COMMIT_TIMEOUT_S):
            await producer.begin_transaction()
            self._begun = True
            await self._write(producer, messages, position)
            await producer.commit_transaction()
            self._begun = False
        self._guarantee.one_by_one.difference_update(message.topic for message in messages)
        self._session.partition.dead_letters += sum(isinstance(message.record, DeadLetter) for message in messages)
        del self._frameless[: len(frameless)]
        for _, *receipts in frameless:
            for receipt in receipts:
                receipt.acknowledge()

    async def _write(
        self, producer: AIOKafkaProducer, messages: Sequence[Message], position: tuple[int, str] | None
    ) -> None:
        """All that belongs to a transaction. Returns when the brokers have it."""
        apart = frozenset(self._guarantee.one_by_one)
        sent: list[asyncio.Future[object]] = []
        try:
            for message in messages:
                sent.append(await self._send(producer, message))
                if message.topic in apart:
                    await asyncio.wait(sent[-1:])
            if position is not None:
                offsets = {self._session.partition.tp: position}
                await producer.send_offsets_to_transaction(offsets, self._guarantee.settings.group)
            await asyncio.gather(*sent)  # a commit succeeds over a record that was refused: that is only said here
        except Exception:
            for message, answer in zip(messages, sent, strict=False):
                if answer.done() and not answer.cancelled() and (refusal := answer.exception()):
                    self._learn(message, refusal, was_alone=message.topic in apart)
            raise

    async def _send(self, producer: AIOKafkaProducer, message: Message) -> "asyncio.Future[object]":
        record = message.sent
        sent: asyncio.Future[object] = await producer.send(
            message.topic,
            None if record.tombstone else record.value,
            record.key_bytes,
            timestamp_ms=None if record.timestamp is None else round(record.timestamp * 1000),
            headers=list(record.headers),
        )
        sent.add_done_callback(lambda done: done.cancelled() or done.exception())  # also of one that nobody gets to
        return sent

    def _message(self, topic: str, record: Record) -> Message | None:
        """With its pictures, or without where it would be too large; None: it is too large all the same."""
        sent = self._guarantee.times[topic].dated(record).fitted(self._guarantee.most_bytes[topic])
        return None if sent is None else Message(topic, record, sent)

    def _learn(self, message: Message, refusal: BaseException, *, was_alone: bool) -> None:
        """Of a refusal for size or time: such a record is then made another before it is sent."""
        guarantee, topic = self._guarantee, message.topic
        if isinstance(refusal, TOO_LARGE_ERRORS):
            size = message.sent.size
            log.warning("the broker refused a record of %d bytes: max_record_bytes is too high", size)
            guarantee.most_bytes[topic] = min(guarantee.most_bytes[topic], size - 1)
        elif isinstance(refusal, kafka_errors.InvalidTimestampError) and was_alone:
            guarantee.times[topic].learn(message.record, message.sent)
        elif isinstance(refusal, kafka_errors.InvalidTimestampError):
            guarantee.one_by_one.add(topic)  # a batch is refused as a whole


class _Topic:
    """A sink's topic, as a pipeline sees it. The session's room bounds what is collected."""

    def __init__(self, transactions: _Transactions, settings: KafkaSettings, counts: Counts) -> None:
        self._transactions = transactions
        self._settings = settings
        self._counts = counts
        self._form = form_of(settings)

    def takes(self, record: Record) -> bool:
        if self._settings.takes(record):
            return True
        self._counts.open().skip(NOT_TAKEN)
        return False

    def offer(self, record: Record, receipt: Receipt) -> None:
        if self._form is not None:
            record = self._form(record)
        span, topic = None, self._settings.topic
        if receipt.span is not None:
            about = messaging("kafka", "send", record.topic or topic)
            span = receipt.span.step(f"send {record.topic or topic}", kind="PRODUCER", attributes=about)
        self._transactions.collect(topic, record, receipt, self._counts.open(span=span))

    async def put(self, record: Record, receipt: Receipt) -> None:
        self.offer(record, receipt)
