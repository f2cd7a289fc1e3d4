"""Documents to a Kafka topic, through aiokafka.

Records go out in rounds of at most one batch a partition, each awaited before the next: aiokafka has no more than one
on its way to a partition anyway, and so nothing is sent behind a batch that may still have to be sent again, in
another form or by another producer. That is what keeps the order.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors
from aiokafka.errors import BrokerResponseError, KafkaConnectionError, KafkaError
from aiokafka.partitioner import DefaultPartitioner

from sinks.base import Record, SinkError
from sinks.kafka_client import (
    TOO_LARGE_ERRORS,
    check_connection,
    client_arguments,
    create_topic,
    end_producer,
    is_missing,
    keep_batches,
    missing_topics,
    partitions_of,
    start,
    words,
)
from sinks.kafka_settings import KafkaCluster, KafkaSettings
from sinks.kafka_times import TimeLimits

log = logging.getLogger(__name__)

BATCH_BYTES = 128 * 1024

_BAD_RECORD = (kafka_errors.InvalidTimestampError, kafka_errors.CorruptRecordException)


@dataclass(frozen=True, slots=True)
class _Part:
    """A record as it is sent."""

    record: Record
    sent: Record
    """The record, or what goes in its place: smaller, or with another time."""
    alone: bool = False
    """In a batch of its own, as the broker refused one that it shared."""


@dataclass(frozen=True, slots=True)
class _Batch:
    parts: list[_Part]
    sent: "asyncio.Future[object]"


class _Outcome:
    """What has become of the records of one write()."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._left = {id(record): record for record in records}
        self._refused: list[tuple[Record, str]] = []
        self._in_doubt: list[Record] = []

    def written(self, part: _Part) -> None:
        self._left.pop(id(part.record), None)

    def refuse(self, part: _Part, reason: str) -> None:
        self._left.pop(id(part.record), None)
        self._refused.append((part.record, reason))

    def doubt(self, part: _Part) -> None:
        self._left.pop(id(part.record), None)
        self._in_doubt.append(part.record)

    def interrupted(self, error: Exception) -> SinkError:
        """Of what the error has stopped: all that is left is to be written again."""
        retriable = error.retriable if isinstance(error, SinkError) else True
        return SinkError(
            words(error),
            retriable=retriable,
            unwritten=list(self._left.values()),
            refused=self._refused,
            in_doubt=self._in_doubt,
        )

    def error(self) -> SinkError | None:
        """Of a write that came to its end; None: all is written."""
        said = []
        if self._refused:
            reasons = ", ".join(sorted({reason for _, reason in self._refused}))
            largest = max(record.size for record, _ in self._refused)
            said.append(f"{len(self._refused)} records refused ({reasons}); the largest has {largest} bytes")
        if self._in_doubt:
            said.append(f"{len(self._in_doubt)} records may have been written or not: the broker did not say")
        if not said:
            return None
        return SinkError("; ".join(said), retriable=False, refused=self._refused, in_doubt=self._in_doubt)


class KafkaSink:
    """Loses nothing in silence and, with `idempotent`, neither repeats nor reorders; without, what was under way when
    a connection was lost may be repeated, also behind later records.

    Acknowledged is what all in-sync replicas have (acks=all). A write that is not acknowledged in `request_timeout` is
    retriable: the records are then still with aiokafka's producer, which goes on trying, and the next write() waits for
    them and does not send them again. Those that were under way at close() may have been written or not, and with
    `idempotent` so may those that an error names as in doubt.
    """

    def __init__(self, settings: KafkaSettings, cluster: KafkaCluster) -> None:
        self.counts: Counter[str] = Counter()
        self._settings = settings
        self._cluster = cluster
        self._most_bytes = settings.max_record_bytes  # or less, once the broker has refused less
        self._times: dict[str, TimeLimits] = {}  # by topic
        self._topics = {settings.topic}  # that have been seen to
        self._producer: AIOKafkaProducer | None = None
        self._spent = False  # it has failed: sequence numbers have a gap, or its sender has ended
        self._under_way: list[_Batch] = []

    async def open(self) -> None:
        settings, cluster = self._settings, self._cluster
        arguments = await client_arguments(cluster)
        await check_connection(cluster, arguments, idempotent=settings.idempotent)
        if settings.create_topic:
            await create_topic(settings.topic, settings.create_topic, cluster, arguments)
        self._producer = await _start_producer(settings, cluster, arguments)
        self._spent = False

    async def write(self, records: Sequence[Record]) -> None:
        outcome = _Outcome(records)
        with_producer = {id(part.record) for batch in self._under_way for part in batch.parts}
        waiting = deque(_Part(record, record) for record in records if id(record) not in with_producer)
        try:
            while waiting or self._under_way:
                if not self._under_way:
                    if not (fitting := self._fitting(waiting, outcome)):
                        break
                    waiting = await self._send(await self._ready(), fitting)
                waiting.extendleft(reversed(await self._settle(outcome)))
        except (SinkError, KafkaError) as err:
            self._spent = self._spent or isinstance(err, KafkaError)
            raise outcome.interrupted(err) from err
        if error := outcome.error():
            raise error

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        under_way, self._under_way = self._under_way, []
        for batch in under_way:
            batch.sent.cancel()  # ends a write() that waits for it
        if producer is not None:
            await end_producer(producer)

    async def _ready(self) -> AIOKafkaProducer:
        """A producer whose next batch the broker will take; only while nothing is under way."""
        if self._spent:
            await self.close()
        if self._producer is None:
            await self.open()
        assert self._producer is not None  # noqa: S101  # open() raises or makes one
        return self._producer

    def _fitting(self, parts: Iterable[_Part], outcome: _Outcome) -> deque[_Part]:
        """What may be sent: the records within the limits, or what goes in their place."""
        fitting: deque[_Part] = deque()
        for part in parts:
            sent = self._times_of(part.record).dated(part.record).fitted(self._most_bytes)
            if sent is None:
                outcome.refuse(part, "too large")
            else:
                fitting.append(replace(part, sent=sent))
        return fitting

    def _times_of(self, record: Record) -> TimeLimits:
        topic = record.topic or self._settings.topic
        return self._times.setdefault(topic, TimeLimits(topic))

    async def _send(self, producer: AIOKafkaProducer, waiting: Iterable[_Part]) -> deque[_Part]:
        """Hands the producer a batch for each partition; what is left for later rounds comes back."""
        place = DefaultPartitioner()
        partitions: dict[str, list[int]] = {}
        placed: dict[tuple[str, bytes | None], tuple[str, int]] = {}
        batches: dict[tuple[str, int], tuple[Any, list[_Part]]] = {}
        full: set[tuple[str, int]] = set()
        later: deque[_Part] = deque()
        for part in waiting:
            topic, key = part.record.topic or self._settings.topic, part.sent.key_bytes
            if topic not in partitions:
                partitions[topic] = sorted(await self._partitions(producer, topic))
            if (topic, key) not in placed:
                placed[topic, key] = (topic, place(key, partitions[topic], partitions[topic]))
            partition = placed[topic, key]
            if partition not in batches:
                batches[partition] = (producer.create_batch(), [])
            builder, parts = batches[partition]
            if partition in full or (part.alone and parts) or not _append(builder, part):
                full.add(partition)
                later.append(part)
                continue
            parts.append(part)
            if part.alone:
                full.add(partition)
        for (topic, number), (builder, parts) in batches.items():
            builder.close()
            sent = await producer.send_batch(builder, topic, partition=number)
            self._under_way.append(_Batch(parts, sent))
        return later

    async def _partitions(self, producer: AIOKafkaProducer, topic: str) -> set[int]:
        """Of a topic, which may be a record's own: that is seen to when the first record for it comes."""
        cluster, new = self._cluster, self._settings.create_topic
        if topic not in self._topics and new is not None:
            await create_topic(topic, new, cluster, await client_arguments(cluster))
        try:
            partitions = await partitions_of(producer, topic)
        except kafka_errors.UnknownTopicOrPartitionError as err:
            if await is_missing(producer, topic, cluster.request_timeout):
                raise SinkError(_missing(topic), retriable=True) from err
            raise
        self._topics.add(topic)
        return partitions

    async def _settle(self, outcome: _Outcome) -> list[_Part]:
        """Waits for what is under way; what must be sent again comes back."""
        under_way = list(self._under_way)
        await asyncio.wait([batch.sent for batch in under_way], timeout=self._cluster.request_timeout)
        again: list[_Part] = []
        trouble: KafkaError | None = None
        for batch in under_way:
            if not batch.sent.done():
                continue
            if batch.sent.cancelled():
                raise SinkError("closed before it was written", retriable=True)
            self._under_way.remove(batch)
            error = batch.sent.exception()
            if error is None:
                for part in batch.parts:
                    outcome.written(part)
                    if part.sent.size < part.record.size:
                        self.counts[part.record.note] += 1
                continue
            self._spent = True
            if isinstance(error, (*TOO_LARGE_ERRORS, *_BAD_RECORD)):
                again += self._apart(batch, error, outcome)
            elif self._settings.idempotent and not _not_written(error):
                for part in batch.parts:
                    outcome.doubt(part)
            else:
                trouble = error if isinstance(error, KafkaError) else KafkaError(repr(error))
        if self._under_way:
            raise SinkError(await self._why_not_acknowledged(), retriable=True)
        if trouble is not None:
            raise trouble
        return again

    async def _why_not_acknowledged(self) -> str:
        """The brokers are asked, but not for long, as they have been silent; a topic that has gone is made again."""
        timeout = self._cluster.request_timeout
        try:
            async with asyncio.timeout(timeout / 2):
                reason = await self._see_to_topics_again()
        except SinkError as err:
            reason = str(err)
        except TimeoutError:
            reason = None
        return reason or f"{self._cluster.bootstrap_servers}: not acknowledged within {timeout:g} s"

    async def _see_to_topics_again(self) -> str | None:
        """What was wrong with those of what is under way; None: they are there."""
        cluster, new = self._cluster, self._settings.create_topic
        arguments = await client_arguments(cluster)
        topics = {part.record.topic or self._settings.topic for batch in self._under_way for part in batch.parts}
        missing = await missing_topics(sorted(topics), cluster, arguments)
        for topic in missing:
            if new is None:
                return _missing(topic)
            await create_topic(topic, new, cluster, arguments)
        return f"topic {', '.join(missing)} had gone and is made again" if missing else None

    def _apart(self, batch: _Batch, error: BaseException, outcome: _Outcome) -> list[_Part]:
        """Finds the record that a batch was refused for: each is sent alone, and what is then refused is the one."""
        if len(batch.parts) > 1:
            return [replace(part, alone=True) for part in batch.parts]
        part = batch.parts[0]
        if isinstance(error, TOO_LARGE_ERRORS):
            self._most_bytes = min(self._most_bytes, part.sent.size - 1)
            log.warning("the broker refused a record of %d bytes: max_record_bytes is too high", part.sent.size)
            return [part]  # which is now found too large before it is sent
        if isinstance(error, kafka_errors.InvalidTimestampError) and self._times_of(part.record).learn(
            part.record, part.sent
        ):
            return [part]  # which is now given another time
        outcome.refuse(part, "refused by the broker")
        return []


def _append(builder: Any, part: _Part) -> bool:
    """Whether there was room; the first record of a batch always has it."""
    sent = part.sent
    timestamp = None if sent.timestamp is None else round(sent.timestamp * 1000)
    value = None if sent.tombstone else sent.value
    return builder.append(timestamp=timestamp, key=sent.key_bytes, value=value, headers=list(sent.headers)) is not None


def _not_written(error: BaseException) -> bool:
    """Whether a failed batch is certain not to be in the topic, so that it may be sent again.

    A broker's own answer says so, but for its catch-all. With idempotence no answer to an earlier attempt is missing:
    had that one been written, the broker would have recognised this one.
    """
    return isinstance(error, BrokerResponseError) and not isinstance(error, kafka_errors.UnknownError)


async def _start_producer(
    settings: KafkaSettings, cluster: KafkaCluster, arguments: dict[str, Any]
) -> AIOKafkaProducer:
    producer = AIOKafkaProducer(
        acks="all",
        enable_idempotence=settings.idempotent,
        compression_type=None if settings.compression == "none" else settings.compression,
        max_batch_size=BATCH_BYTES,
        **arguments,
    )
    if settings.idempotent:
        keep_batches(producer)
    try:
        await start(producer, cluster.request_timeout)
        await partitions_of(producer, settings.topic)
    except BaseException as err:
        brokers = ", ".join(f"{broker.host}:{broker.port}" for broker in producer.client.cluster.brokers())
        unknown = isinstance(err, kafka_errors.UnknownTopicOrPartitionError)
        missing = unknown and await is_missing(producer, settings.topic, cluster.request_timeout)
        await end_producer(producer)
        if missing and settings.create_topic:  # another broker made it: this one will know of it soon
            raise SinkError(f"topic {settings.topic} is made, but not known yet", retriable=True) from err
        if missing:
            raise SinkError(_missing(settings.topic), retriable=False) from err
        if isinstance(err, TimeoutError):
            message = f"{cluster.bootstrap_servers} answers, the brokers that it names do not: {brokers or 'none'}"
            raise SinkError(message, retriable=True) from err
        if isinstance(err, KafkaError):
            retriable = err.retriable or isinstance(err, KafkaConnectionError)
            raise SinkError(f"{cluster.bootstrap_servers}: {words(err)}", retriable=retriable) from err
        raise
    return producer


def _missing(topic: str) -> str:
    return f"topic {topic} is missing and the brokers do not make it: see `create_topic`"
