"""Connections to Kafka: whether brokers answer and take us, topics, how clients end, and what errors say in our words.

All that knows aiokafka's inside is here, but for how batches are read (kafka_batches.py).
tests/sinks/test_kafka_client.py names each private attribute that is touched, and fails where aiokafka has it no more.
"""

import asyncio
import math
import os
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin import NewTopic as AdminTopic
from aiokafka.conn import AIOKafkaConnection, collect_hosts, create_conn
from aiokafka.errors import BrokerResponseError, KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.structs import OffsetAndMetadata

from sinks.base import SinkError
from sinks.kafka_settings import KafkaCluster, NewTopic

PROBES = 3  # a broker that closes the connection at one question, and at none before, does so again
CLOSE_TIMEOUT_S = 2.0
START_GRACE_S = 1.0

TOO_LARGE_ERRORS = (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)
"""Of brokers that refuse a record, or a batch of them, for its size."""


REMEDIES: Mapping[type[BaseException], str] = {
    kafka_errors.TopicAuthorizationFailedError: "not allowed at topic{}: this user needs READ on topics that are read, "
    "WRITE on those that are written, and DESCRIBE on both",
    kafka_errors.GroupAuthorizationFailedError: "not allowed in group{}: this user needs READ on the group",
    kafka_errors.TransactionalIdAuthorizationFailed: "not allowed transactions: this user needs WRITE and DESCRIBE on "
    "transactional ids that begin with visaged-",
    kafka_errors.ClusterAuthorizationFailedError: "not allowed at the cluster: this user needs IDEMPOTENT_WRITE on it",
    kafka_errors.NotControllerError: "the brokers have no controller yet: they are just starting",
    kafka_errors.InconsistentGroupProtocolError: "the group has members of another protocol, perhaps another "
    "application's: choose another `group`",
    kafka_errors.InvalidSessionTimeoutError: "`session_timeout` is less or more than the brokers take "
    "(group.min.session.timeout.ms, group.max.session.timeout.ms)",
}
"""What a user can do about a refusal; the braces are for what it is about."""


def words(error: BaseException) -> str:
    """What an error of aiokafka, asyncio or the network says to a user."""
    if remedy := REMEDIES.get(type(error)):
        return remedy.format("".join(f" {_listed(about)}" for about in error.args))
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, KafkaConnectionError | ConnectionResetError):
        return "it closed the connection (does it want another `tls` or `sasl`?)"
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno).lower()  # asyncio's text repeats the address
    return str(error) or type(error).__name__


def _listed(about: object) -> str:
    return ", ".join(sorted(map(str, about))) if isinstance(about, set | frozenset | list) else str(about)


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
        conn = await connect(cluster, arguments)
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


async def connect(cluster: KafkaCluster, arguments: dict[str, Any]) -> AIOKafkaConnection:
    """To the first of the servers that takes us and answers."""
    of_connection = {name: value for name, value in arguments.items() if name != "bootstrap_servers"}
    reasons = []
    final = False
    for host, port, _ in collect_hosts(cluster.bootstrap_servers, randomize=False):
        try:
            conn = await create_conn(host, port, **of_connection)
            try:
                # A broker that wants us to sign in has answered the first request all the same.
                await conn.send(MetadataRequest([]))
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


async def start(
    client: AIOKafkaProducer | AIOKafkaConsumer | AIOKafkaAdminClient, timeout: float | None = None
) -> None:
    """Raises TimeoutError after `timeout` seconds.

    Cancelled, aiokafka's start() would leave its first connection open: it is given time to come to an end instead.
    """
    starting = asyncio.create_task(client.start())
    try:
        async with asyncio.timeout(timeout):
            await asyncio.shield(starting)
    except BaseException:
        await asyncio.wait([starting], timeout=START_GRACE_S)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        raise


async def create_topic(name: str, new: NewTopic, cluster: KafkaCluster, arguments: dict[str, Any]) -> None:
    """Where it is missing. Raises SinkError."""
    admin = AIOKafkaAdminClient(**arguments)
    try:
        await start(admin, cluster.request_timeout)
        async with asyncio.timeout(cluster.request_timeout):
            if admin._client.cluster.controller is None:  # a broker that has just started names none yet
                raise kafka_errors.NotControllerError()
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


async def missing_topics(topics: Sequence[str], cluster: KafkaCluster, arguments: dict[str, Any]) -> Sequence[str]:
    """Those that are not there, and are not made by asking. Raises SinkError, also where we may not see one."""
    conn = await connect(cluster, arguments)
    try:
        answer = await conn.send(MetadataRequest(list(topics), allow_auto_topic_creation=False))
    except (KafkaError, TimeoutError) as err:
        raise SinkError(f"{cluster.bootstrap_servers}: {words(err)}", retriable=True) from err
    finally:
        conn.close()
    errors = {name: kafka_errors.for_code(code) for code, name, *_ in answer.topics}
    if hidden := [topic for topic in topics if errors.get(topic) is kafka_errors.TopicAuthorizationFailedError]:
        raise SinkError(words(kafka_errors.TopicAuthorizationFailedError(hidden)), retriable=True)
    return [topic for topic in topics if errors.get(topic) is kafka_errors.UnknownTopicOrPartitionError]


async def partitions_of(producer: AIOKafkaProducer, topic: str) -> set[int]:
    """From now on it is asked for by its name: brokers that make topics make it again, should it go.

    aiokafka asks for all topics until it is told of one, and nothing is made for that.
    """
    producer.client.add_topic(topic)
    partitions: set[int] = await producer.partitions_for(topic)
    return partitions


async def committed_offsets(
    consumer: AIOKafkaConsumer, tps: Sequence[TopicPartition]
) -> Mapping[TopicPartition, OffsetAndMetadata]:
    """What the group has committed, asked afresh, with the metadata, which AIOKafkaConsumer.committed() leaves out."""
    committed: Mapping[TopicPartition, OffsetAndMetadata] = await consumer._coordinator.fetch_committed_offsets(tps)
    return committed


async def refresh_metadata(consumer: AIOKafkaConsumer) -> None:
    """Of topics and partitions, before their age asks for it."""
    await consumer._client.force_metadata_update()


def raise_for_group(consumer: AIOKafkaConsumer) -> None:
    """Raises the KafkaError for which the group does not take the consumer: else only getmany() does."""
    consumer._coordinator.check_errors()


async def is_missing(producer: AIOKafkaProducer, topic: str, timeout: float) -> bool:
    """Whether brokers say so: aiokafka calls a topic unknown also when nobody has answered."""
    try:
        async with asyncio.timeout(timeout):
            metadata = await producer.client.fetch_all_metadata()
    except (KafkaError, TimeoutError):
        return False
    return metadata.partitions_for_topic(topic) is None


def keep_batches(producer: AIOKafkaProducer) -> None:
    """Lets a producer try each batch until it is stopped; before start().

    aiokafka gives up a batch whose partition has had no leader for request_timeout, also where an earlier attempt may
    have been written: whoever sent it again would repeat it. Never given up, it keeps its sequence numbers.
    """
    producer._message_accumulator._batch_ttl = math.inf


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
