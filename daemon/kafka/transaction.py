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
from daemon.flow.receipts import Counts, Receipt
from daemon.kafka.dead_letters import dead_letter
from daemon.kafka.partition import Commits, Entry, Message, Session
from daemon.kafka.settings import ConsumerSettings
from sinks.base import Record
from sinks.kafka import WITHOUT_PICTURES, size_of
from sinks.kafka_client import TOO_LARGE_ERRORS, check_connection, client_arguments, end_producer
from sinks.kafka_settings import KafkaCluster, KafkaSettings

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
        for topic in (*self.topics, settings.dead_letter_topic):
            self.most_bytes.setdefault(topic, max(self.most_bytes.values()))

    async def run(self) -> None:
        """Each session has a producer of its own, and they share none."""

    async def close(self) -> None:
        pass

    def commits(self, session: Session) -> Commits:
        return _Transactions(self, session)


class _Transactions:
    def __init__(self, guarantee: ExactlyOnce, session: Session) -> None:
        self.outgoing: Sequence[Outgoing] = [
            _Topic(self, sink.topic, counts) for sink, counts in zip(guarantee.sinks, guarantee.counts, strict=True)
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
            async with asyncio.timeout(guarantee.cluster.request_timeout):
                await self._producer.start()  # fences the one before
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
        entry.messages = [self._message(self._guarantee.settings.dead_letter_topic, letter)]
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
        producer, tp = self._producer, self._session.partition.tp
        frameless = list(self._frameless)  # in front, as begin() comes before the frames of its run
        messages = [*(message for message, *_ in frameless), *of_frames]
        async with asyncio.timeout(COMMIT_TIMEOUT_S):
            await producer.begin_transaction()
            self._begun = True
            sent = [await self._send(producer, message) for message in messages]
            if position is not None:
                await producer.send_offsets_to_transaction({tp: position}, self._guarantee.settings.group)
            # A commit succeeds over a record that was refused: that is only said here.
            answers = await asyncio.gather(*sent, return_exceptions=True)
            for message, answer in zip(messages, answers, strict=True):
                if isinstance(answer, BaseException):
                    self._learn(message, answer)
                    raise answer
            await producer.commit_transaction()
            self._begun = False
        del self._frameless[: len(frameless)]
        for _, *receipts in frameless:
            for receipt in receipts:
                receipt.acknowledge()

    async def _send(self, producer: AIOKafkaProducer, message: Message) -> "asyncio.Future[object]":
        topic, key, value, headers, timestamp_ms = message
        sent: asyncio.Future[object] = await producer.send(
            topic, value, key, timestamp_ms=timestamp_ms, headers=headers
        )
        sent.add_done_callback(lambda done: done.cancelled() or done.exception())  # also of one that nobody gets to
        return sent

    def _message(self, topic: str, record: Record) -> Message | None:
        """With its pictures, or without where it would be too large; None: it is too large all the same."""
        key, timestamp_ms = record.key.encode(), None if record.timestamp is None else round(record.timestamp * 1000)
        value = None if record.tombstone else record.value
        whole = Message(topic, key, value, list(record.headers), timestamp_ms)
        most = self._guarantee.most_bytes[topic]
        if _size(whole) <= most:
            return whole
        if record.smaller is None:
            return None
        bare = whole._replace(value=record.smaller, headers=[*record.headers, WITHOUT_PICTURES])
        return bare if _size(bare) <= most else None

    def _learn(self, message: Message, error: BaseException) -> None:
        """Of a refusal for its size: a record as large is then found too large before it is sent."""
        if isinstance(error, TOO_LARGE_ERRORS):
            size = _size(message)
            log.warning("the broker refused a record of %d bytes: max_record_bytes is too high", size)
            self._guarantee.most_bytes[message.topic] = min(self._guarantee.most_bytes[message.topic], size - 1)


class _Topic:
    """A sink's topic, as a pipeline sees it. The session's room bounds what is collected."""

    def __init__(self, transactions: _Transactions, topic: str, counts: Counts) -> None:
        self._transactions = transactions
        self._topic = topic
        self._counts = counts

    def offer(self, record: Record, receipt: Receipt) -> None:
        self._transactions.collect(self._topic, record, receipt, self._counts.open())

    async def put(self, record: Record, receipt: Receipt) -> None:
        self.offer(record, receipt)


def _size(message: Message) -> int:
    return size_of(message.key, message.value, message.headers)
