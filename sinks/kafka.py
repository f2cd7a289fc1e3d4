"""Documents to a Kafka topic, through aiokafka.

Records go out in rounds of at most one batch a partition, each awaited before the next: aiokafka has no more than one
on its way to a partition anyway, and so nothing is sent behind a batch that may still have to be sent again, in
another form or by another producer. That is what keeps the order.
"""

import asyncio
import logging
import math
import os
import ssl
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin import NewTopic as AdminTopic
from aiokafka.conn import AIOKafkaConnection, collect_hosts, create_conn
from aiokafka.errors import BrokerResponseError, KafkaConnectionError, KafkaError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

from sinks.base import Header, Record, SinkError
from sinks.kafka_settings import KafkaCluster, KafkaSettings, NewTopic

log = logging.getLogger(__name__)
# It tells of each attempt at each broker, ten a second in an outage. What matters of them is in the SinkErrors.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

BATCH_BYTES = 128 * 1024
PROBES = 3  # a broker that closes the connection at one question, and at none before, does so again
CLOSE_TIMEOUT_S = 2.0
IN_DOUBT = "in doubt"
"""Why a record was refused that may have been written or not."""
WITHOUT_PICTURES = ("visaged-without-pictures", b"true")

_TOO_LARGE = (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)
_BAD_RECORD = (kafka_errors.InvalidTimestampError, kafka_errors.CorruptRecordException)


@dataclass(frozen=True, slots=True)
class _Part:
    """A record as it is sent."""

    record: Record
    key: bytes
    value: bytes | None
    headers: list[Header]
    without_pictures: bool = False
    alone: bool = False
    """In a batch of its own, as the broker refused one that it shared."""

    @property
    def size(self) -> int:
        return size_of(self.key, self.value, self.headers)


@dataclass(frozen=True, slots=True)
class _Batch:
    parts: list[_Part]
    sent: "asyncio.Future[object]"


class KafkaSink:
    """Loses nothing in silence and, with `idempotent`, neither repeats nor reorders; without, what was under way when
    a connection was lost may be repeated, also behind later records.

    Acknowledged is what all in-sync replicas have (acks=all). A write that is not acknowledged in `request_timeout` is
    retriable: the records are then still with aiokafka's producer, which goes on trying, and the next write() waits for
    them and does not send them again. Those that were under way at close() may have been written or not, and with
    `idempotent` so may those refused as "in doubt".
    """

    def __init__(self, settings: KafkaSettings, cluster: KafkaCluster) -> None:
        self.counts: Counter[str] = Counter()
        self._settings = settings
        self._cluster = cluster
        self._most_bytes = settings.max_record_bytes  # or less, once the broker has refused less
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
        left = {id(record): record for record in records}
        refused: list[tuple[Record, str]] = []
        with_producer = {id(part.record) for batch in self._under_way for part in batch.parts}
        waiting = deque(_part(record) for record in records if id(record) not in with_producer)
        try:
            while waiting or self._under_way:
                if not self._under_way:
                    waiting = await self._send(await self._ready(), self._fitting(waiting, refused))
                waiting.extendleft(reversed(await self._settle(left, refused)))
        except (SinkError, KafkaError) as err:
            for record, _ in refused:
                left.pop(id(record), None)
            self._spent = self._spent or isinstance(err, KafkaError)
            retriable = err.retriable if isinstance(err, SinkError) else True
            raise SinkError(words(err), retriable=retriable, unwritten=list(left.values()), refused=refused) from err
        if refused:
            reasons = ", ".join(sorted({reason for _, reason in refused}))
            message = f"{len(refused)} records refused ({reasons}); the largest has {_largest(refused)} bytes"
            raise SinkError(message, retriable=False, refused=refused)

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

    def _fitting(self, parts: Iterable[_Part], refused: list[tuple[Record, str]]) -> deque[_Part]:
        """What may be sent: parts within the limit, or what they are without their pictures."""
        fitting: deque[_Part] = deque()
        for part in parts:
            if part.size > self._most_bytes and part.record.smaller is not None:
                part = _without_pictures(part.record)
            if part.size > self._most_bytes:
                refused.append((part.record, "too large"))
            else:
                fitting.append(part)
        return fitting

    async def _send(self, producer: AIOKafkaProducer, waiting: Iterable[_Part]) -> deque[_Part]:
        """Hands the producer a batch for each partition; what is left for later rounds comes back."""
        place = DefaultPartitioner()
        partitions: dict[str, list[int]] = {}
        placed: dict[tuple[str, bytes], tuple[str, int]] = {}
        batches: dict[tuple[str, int], tuple[Any, list[_Part]]] = {}
        full: set[tuple[str, int]] = set()
        later: deque[_Part] = deque()
        for part in waiting:
            topic = part.record.topic or self._settings.topic
            if topic not in partitions:
                partitions[topic] = sorted(await self._partitions(producer, topic))
            if (topic, part.key) not in placed:
                placed[topic, part.key] = (topic, place(part.key, partitions[topic], partitions[topic]))
            partition = placed[topic, part.key]
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
            partitions: set[int] = await producer.partitions_for(topic)
        except kafka_errors.UnknownTopicOrPartitionError as err:
            if await _is_missing(producer, topic, cluster.request_timeout):
                raise SinkError(_missing(topic), retriable=True) from err
            raise
        self._topics.add(topic)
        return partitions

    async def _settle(self, left: dict[int, Record], refused: list[tuple[Record, str]]) -> list[_Part]:
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
                    left.pop(id(part.record), None)
                    self.counts["without_pictures"] += part.without_pictures
                continue
            self._spent = True
            if isinstance(error, (*_TOO_LARGE, *_BAD_RECORD)):
                again += self._apart(batch, error, refused)
            elif self._settings.idempotent and not _not_written(error):
                refused += [(part.record, IN_DOUBT) for part in batch.parts]
            else:
                trouble = error if isinstance(error, KafkaError) else KafkaError(repr(error))
        if self._under_way:
            message = f"{self._cluster.bootstrap_servers}: not acknowledged within {self._cluster.request_timeout:g} s"
            raise SinkError(message, retriable=True)
        if trouble is not None:
            raise trouble
        return again

    def _apart(self, batch: _Batch, error: BaseException, refused: list[tuple[Record, str]]) -> list[_Part]:
        """Finds the record that a batch was refused for: each is sent alone, and what is then refused is the one."""
        if len(batch.parts) > 1:
            return [replace(part, alone=True) for part in batch.parts]
        part = batch.parts[0]
        if isinstance(error, _TOO_LARGE):
            self._most_bytes = min(self._most_bytes, part.size - 1)
            log.warning("the broker refused a record of %d bytes: max_record_bytes is too high", part.size)
            return [part]  # which is now found too large before it is sent
        refused.append((part.record, "refused by the broker"))
        return []


def size_of(key: bytes, value: bytes | None, headers: Iterable[Header]) -> int:
    """Bytes of a record, without what a batch adds."""
    return len(key) + len(value or b"") + sum(len(name) + len(of_name or b"") for name, of_name in headers)


def _part(record: Record) -> _Part:
    return _Part(record, record.key.encode(), None if record.tombstone else record.value, list(record.headers))


def _without_pictures(record: Record) -> _Part:
    assert record.smaller is not None  # noqa: S101  # the caller has looked
    headers = [*record.headers, WITHOUT_PICTURES]
    return _Part(record, record.key.encode(), record.smaller, headers, without_pictures=True)


def _append(builder: Any, part: _Part) -> bool:
    """Whether there was room; the first record of a batch always has it."""
    timestamp = None if part.record.timestamp is None else round(part.record.timestamp * 1000)
    return builder.append(timestamp=timestamp, key=part.key, value=part.value, headers=part.headers) is not None


def _largest(refused: Iterable[tuple[Record, str]]) -> int:
    return max(_part(record).size for record, _ in refused)


def _not_written(error: BaseException) -> bool:
    """Whether a failed batch is certain not to be in the topic, so that it may be sent again.

    A broker's own answer says so, but for its catch-all. With idempotence no answer to an earlier attempt is missing:
    had that one been written, the broker would have recognised this one.
    """
    return isinstance(error, BrokerResponseError) and not isinstance(error, kafka_errors.UnknownError)


def words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, KafkaConnectionError | ConnectionResetError):
        return "it closed the connection (does it want another `tls` or `sasl`?)"
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno).lower()  # asyncio's text repeats the address
    return str(error) or type(error).__name__


async def client_arguments(cluster: KafkaCluster) -> dict[str, Any]:
    """Of aiokafka's clients; raises SinkError where certificates can't be read."""
    try:
        return await asyncio.to_thread(cluster.arguments)
    except OSError as err:
        raise SinkError(f"the certificates for {cluster.bootstrap_servers}: {err}", retriable=False) from err


async def check_connection(cluster: KafkaCluster, arguments: dict[str, Any], *, idempotent: bool) -> None:
    """Asks what AIOKafkaProducer.start() tries for ever: can one sign in, and take part as an idempotent producer.

    Raises SinkError with the reason, which start() would only log.
    """
    refusal: type[Exception] | None = None
    for _ in range(PROBES):
        conn = await _connect(cluster, arguments)
        try:
            refusal = await _refusal(conn) if idempotent else None
        except (KafkaError, TimeoutError) as err:
            raise SinkError(f"{cluster.bootstrap_servers}: {words(err)}", retriable=True) from err
        finally:
            conn.close()
        if refusal is None:
            return
        if refusal is not KafkaConnectionError:
            break
    assert refusal is not None  # noqa: S101  # as the loop runs at least once
    message = (
        f"expected brokers at {cluster.bootstrap_servers} that take idempotent producers, got {refusal.__name__}; "
        "`idempotent: false` does without, and a lost connection may then repeat records"
    )
    raise SinkError(message, retriable=False)


async def _refusal(conn: AIOKafkaConnection) -> type[Exception] | None:
    """What a broker says to an idempotent producer, None where it takes it; raises what may pass."""
    try:
        answer = await conn.send(InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000))
    except (KafkaConnectionError, kafka_errors.IncompatibleBrokerVersion, NotImplementedError) as err:
        return type(err)
    error: type[BrokerResponseError] = kafka_errors.for_code(answer.error_code)
    if error is kafka_errors.NoError:
        return None
    if error.retriable:
        raise error()
    return error


async def _connect(cluster: KafkaCluster, arguments: dict[str, Any]) -> AIOKafkaConnection:
    """To the first of the servers that takes us and answers."""
    of_connection = {name: value for name, value in arguments.items() if name != "bootstrap_servers"}
    reasons = []
    final = False
    for host, port, _ in collect_hosts(cluster.bootstrap_servers, randomize=False):
        try:
            conn = await create_conn(host, port, **of_connection)
            try:
                await conn.send(
                    MetadataRequest([])
                )  # one that wants us to sign in has answered the greeting all the same
            except BaseException:
                conn.close()
                raise
            return conn
        except (OSError, KafkaError, ValueError) as err:  # ValueError: a broker that does not know the SCRAM password
            reasons.append(f"{host}:{port}: {words(err)}")
            final = final or _is_final(err)
    raise SinkError("; ".join(reasons), retriable=not final)


def _is_final(error: Exception) -> bool:
    """Whether a connection failed for what waiting does not change: certificates and passwords."""
    if isinstance(error, ssl.SSLError):
        return not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError)
    return not (isinstance(error, OSError) or getattr(error, "retriable", False))


async def create_topic(name: str, new: NewTopic, cluster: KafkaCluster, arguments: dict[str, Any]) -> None:
    """Where it is missing. Raises SinkError."""
    admin = AIOKafkaAdminClient(**arguments)
    try:
        async with asyncio.timeout(cluster.request_timeout):
            await admin.start()
            answer = await admin.create_topics([AdminTopic(name, new.partitions, new.replication_factor)])
    except (KafkaError, TimeoutError) as err:
        raise SinkError(f"topic {name}: {words(err)}", retriable=True) from err
    finally:
        await admin.close()
    for _, code, *explained in answer.topic_errors:
        error = kafka_errors.for_code(code)
        if error not in (kafka_errors.NoError, kafka_errors.TopicAlreadyExistsError):
            reason = next((word for word in explained if word), error.__name__)
            raise SinkError(f"topic {name} cannot be created: {reason}", retriable=error.retriable)


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
        # aiokafka gives up a batch whose partition has had no leader for request_timeout, also where an earlier attempt
        # may have been written: whoever sent it again would repeat it. Never given up, it keeps its sequence numbers.
        producer._message_accumulator._batch_ttl = math.inf
    try:
        async with asyncio.timeout(cluster.request_timeout):
            await producer.start()
        await producer.partitions_for(settings.topic)
    except BaseException as err:
        brokers = ", ".join(f"{broker.host}:{broker.port}" for broker in producer.client.cluster.brokers())
        unknown = isinstance(err, kafka_errors.UnknownTopicOrPartitionError)
        missing = unknown and await _is_missing(producer, settings.topic, cluster.request_timeout)
        await end_producer(producer)
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


async def _is_missing(producer: AIOKafkaProducer, topic: str, timeout: float) -> bool:
    """Whether brokers say so: aiokafka calls a topic unknown also when nobody has answered."""
    try:
        async with asyncio.timeout(timeout):
            metadata = await producer.client.fetch_all_metadata()
    except (KafkaError, TimeoutError):
        return False
    return metadata.partitions_for_topic(topic) is None


async def end_producer(producer: AIOKafkaProducer) -> None:
    """Closes it in bounded time. stop() waits until all is sent: for ever, where the broker is away."""
    await _end(producer, producer.client, (producer._sender, producer._message_accumulator))


async def end_consumer(consumer: AIOKafkaConsumer) -> None:
    """Closes it in bounded time, and leaves the group if the broker is there."""
    await _end(consumer, consumer._client, (consumer._coordinator, consumer._fetcher))


async def _end(ends: AIOKafkaProducer | AIOKafkaConsumer, client: Any, parts: Sequence[object]) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await ends.stop()
    except (TimeoutError, KafkaError):
        # Cut off, it leaves its tasks behind, which would connect again, and connections that wait to send.
        owners = (*parts, client)
        tasks = [task for task in asyncio.all_tasks() if _runs_method_of(task, owners)]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT_S)
        for conn in client._conns.values():
            if conn._writer is not None:
                conn._writer.transport.abort()
        await client.close()


def _runs_method_of(task: "asyncio.Task[Any]", owners: Sequence[object]) -> bool:
    frame = getattr(task.get_coro(), "cr_frame", None)
    return frame is not None and any(frame.f_locals.get("self") is owner for owner in owners)
