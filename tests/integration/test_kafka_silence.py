"""Nothing stands in silence: what is between a partition and its commit is told, with the remedy."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from daemon.errors import SourceError
from daemon.flow.engine import Engine
from daemon.flow.receipts import Counts
from daemon.kafka.brokers import WATCH_S
from daemon.kafka.consumer import Consumer, Guarantee
from daemon.kafka.settings import ConsumerSettings
from sinks.kafka_settings import KafkaCluster, KafkaSasl
from tests.brokers import ApacheKafka, Proxy
from tests.integration.test_kafka_consumer import (
    Fickle,
    Holding,
    consumer_of,
    consuming,
    to_sink,
    to_topic,
    until_committed,
)
from tests.kafka_frames import Frames
from tests.waiting import until

pytestmark = [pytest.mark.usefixtures("accounts"), pytest.mark.timeout(120)]

TOLD_S = 30.0  # within 10 s, as it is said; three times that on a busy machine
"""Within which what stands must be told."""

MakeGuarantee = Callable[[ConsumerSettings, KafkaCluster], Guarantee]


def taking() -> Fickle:
    return Fickle(lambda count, receipt: False)


def sasl_of(kafka: ApacheKafka) -> KafkaSasl:
    return KafkaSasl(username=kafka.user, password=kafka.password)


def both(frames: Frames) -> list[MakeGuarantee]:
    return [to_sink(taking()), to_topic(frames.out, Counts())]


async def told(consumer: Consumer, why: str) -> None:
    await until(lambda: why in (consumer.error or ""), timeout_s=TOLD_S)


async def runs(consumer: Consumer) -> None:
    await until(lambda: consumer.state == "running", timeout_s=30)


async def refusal(frames: Frames, guarantee: MakeGuarantee, servers: str | None = None, **of_consumer: Any) -> str:
    """Why a run ends, which it does in time."""
    engine = Engine(1)
    try:
        with pytest.raises(SourceError) as refused:
            async with asyncio.timeout(TOLD_S):
                await consumer_of(frames, guarantee, engine, servers, **of_consumer).run()
    finally:
        await engine.close()
    return str(refused.value)


async def test_a_group_of_another_protocol_is_told(apache_kafka: ApacheKafka) -> None:
    frames = Frames(apache_kafka.address(), partitions=1)
    await frames.create()
    async with AIOKafkaConsumer(
        frames.source,
        bootstrap_servers=frames.servers,
        group_id=frames.group,
        partition_assignment_strategy=[RangePartitionAssignor],
    ) as other:
        await until(lambda: bool(other.assignment()), timeout_s=20)
        why = await refusal(frames, to_sink(taking()))
    assert why.startswith("the group has members of another protocol")
    assert "choose another `group`" in why
    async with consuming(frames, to_sink(taking())) as consumer:
        await runs(consumer)


async def test_what_this_user_is_not_allowed_is_told_with_what_it_needs(apache_kafka: ApacheKafka) -> None:
    kafka = apache_kafka
    signed_in: dict[str, Any] = {"servers": kafka.address("sasl"), "sasl": sasl_of(kafka)}
    frames = Frames(kafka.address(), partitions=1)
    await frames.create()
    await kafka.allow("topic", frames.source)
    why = await refusal(frames, to_sink(taking()), **signed_in)
    assert why.startswith(f"not allowed at topic {frames.source}: this user needs READ")
    await kafka.allow("topic", frames.source, "describe")
    await kafka.allow("group", frames.group)
    why = await refusal(frames, to_sink(taking()), **signed_in)
    assert why == f"not allowed in group {frames.group}: this user needs READ on the group"
    await kafka.allow("group", frames.group, "read")
    async with consuming(frames, to_sink(taking()), **signed_in) as consumer:
        await told(consumer, f"{frames.source}-0: the commit is refused: not allowed at topic")
        assert (consumer.state, consumer.is_ready) == ("stalled", False)
        await kafka.allow("topic", frames.source, "read")
        await runs(consumer)
        await frames.send(frames.pictures(5, keys=1))
        await until_committed(frames, 5)


async def test_a_topic_that_this_user_may_no_longer_read_is_told_and_read_again(
    apache_kafka: ApacheKafka, caplog: pytest.LogCaptureFixture
) -> None:
    kafka = apache_kafka
    signed_in: dict[str, Any] = {"servers": kafka.address("sasl"), "sasl": sasl_of(kafka)}
    frames = Frames(kafka.address(), partitions=1)
    await frames.create()
    await frames.send(frames.pictures(5, keys=1))
    await frames.commit(0)  # so that it opens
    await kafka.allow("topic", frames.source, "describe")
    async with consuming(frames, to_sink(taking()), **signed_in) as consumer:
        await told(consumer, f"{frames.source}-0: not allowed at topic {frames.source}: this user needs READ")
        await asyncio.sleep(2 * WATCH_S)
        assert consumer.state == "stalled"
        await kafka.allow("topic", frames.source, "read")
        await until_committed(frames, 5)
        await runs(consumer)
    warnings = [record.getMessage() for record in caplog.records if record.name == "daemon.kafka.partition"]
    assert len(warnings) == 1, warnings


async def test_transactions_that_this_user_is_not_allowed_are_told(apache_kafka: ApacheKafka) -> None:
    kafka = apache_kafka
    signed_in: dict[str, Any] = {"servers": kafka.address("sasl"), "sasl": sasl_of(kafka)}
    frames = Frames(kafka.address(), partitions=1)
    await frames.create()
    await frames.send(frames.pictures(5, keys=1))
    transactions = f"visaged-{frames.group}-{frames.source}-0"
    await kafka.allow("transactional id", transactions)
    await kafka.allow("topic", frames.out, "describe")
    async with consuming(frames, to_topic(frames.out, Counts()), **signed_in) as consumer:
        await told(consumer, f"{frames.source}-0: not allowed transactions: this user needs WRITE and DESCRIBE")
        assert consumer.state == "stalled"
        await kafka.allow("transactional id", transactions, "write", "describe")
        await told(consumer, f"{frames.source}-0: not allowed at topic {frames.out}: this user needs")
        await kafka.allow("topic", frames.out, "write")
        await until_committed(frames, 5)
        await runs(consumer)


async def test_a_topic_that_is_deleted_is_told_and_read_from_its_start_when_it_is_made_anew(
    apache_kafka: ApacheKafka, caplog: pytest.LogCaptureFixture
) -> None:
    frames = Frames(apache_kafka.address(), partitions=1)
    await frames.create()
    await frames.send(frames.pictures(5, keys=1))
    sink = taking()
    async with consuming(frames, to_sink(sink), start="latest") as consumer:
        await runs(consumer)
        await frames.delete()
        await told(consumer, f"expected topics that are there, got {frames.source}: deleted")
        assert consumer.state == "connecting"
        await frames.create_anew(partitions=2)
        await frames.send(frames.pictures(20, keys=8))
        await until_committed(frames, 20)
        await runs(consumer)
    assert len(sink.records) == 20
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len([warning for warning in warnings if "expected topics" in warning]) == 1, warnings


async def test_a_topic_that_is_deleted_does_not_come_back_by_itself(embedded: str) -> None:
    """This broker makes what it is asked for by name."""
    frames = Frames(embedded, partitions=1)
    await frames.create()
    async with consuming(frames, to_sink(taking())) as consumer:
        await runs(consumer)
        await frames.delete()
        await told(consumer, f"expected topics that are there, got {frames.source}: deleted")
        await asyncio.sleep(2 * WATCH_S)  # each look asks for the metadata
        assert frames.source not in await frames.topics()


@pytest.mark.parametrize("way", [0, 1], ids=["at_least_once", "exactly_once"])
async def test_what_comes_while_a_group_is_away_before_its_first_record_is_read(
    apache_kafka: ApacheKafka, way: int
) -> None:
    frames = Frames(apache_kafka.address(), partitions=2)
    await frames.create()
    await frames.send(frames.pictures(10, keys=8))
    frames.sent.clear()  # which were there before the group
    async with consuming(frames, both(frames)[way], start="latest") as consumer:
        await runs(consumer)
        await until_committed(frames, 10)
    await frames.send(frames.pictures(8, keys=8))
    async with consuming(frames, both(frames)[way], start="latest") as consumer:
        await until_committed(frames, 18)
        assert consumer.counts.received == 8


@pytest.mark.parametrize("way", [0, 1], ids=["at_least_once", "exactly_once"])
async def test_partitions_that_are_added_are_read_from_their_start(
    apache_kafka: ApacheKafka, way: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.kafka.consumer.METADATA_S", 1.0)
    frames = Frames(apache_kafka.address(), partitions=1)
    await frames.create()
    await frames.send(frames.pictures(10, keys=8))
    async with consuming(frames, both(frames)[way], start="latest") as consumer:
        await runs(consumer)
        await frames.add_partitions(3)
        await frames.send(frames.pictures(30, keys=20, seed=1))
        await until_committed(frames, 40)
        assert (len(consumer.partitions), consumer.counts.received) == (3, 30)


async def test_two_members_that_come_at_once_begin_where_the_group_does(apache_kafka: ApacheKafka) -> None:
    frames = Frames(apache_kafka.address(), partitions=4)
    await frames.create()
    await frames.send(frames.pictures(40, keys=20))
    sink = taking()
    async with (
        consuming(frames, to_sink(sink), start="latest") as first,
        consuming(frames, to_sink(sink), start="latest") as second,
    ):
        await until(lambda: len(first.partitions) == len(second.partitions) == 2, timeout_s=30)
        await asyncio.gather(runs(first), runs(second))
        await frames.send(frames.pictures(40, keys=20, seed=1))
        await until_committed(frames, 80)
    assert len(sink.records) == 40


async def test_lag_is_none_behind_control_and_aborted_records_and_an_open_transaction_is_told(
    apache_kafka: ApacheKafka, caplog: pytest.LogCaptureFixture
) -> None:
    frames = Frames(apache_kafka.address(), partitions=1)
    await frames.create()
    producer = AIOKafkaProducer(bootstrap_servers=frames.servers, transactional_id=frames.source)
    sink = taking()
    async with producer, consuming(frames, to_sink(sink)) as consumer:
        await runs(consumer)
        (partition,) = consumer.partitions.values()
        async with producer.transaction():
            await producer.send_and_wait(frames.source, b"committed")
        await producer.begin_transaction()
        await producer.send_and_wait(frames.source, b"aborted")
        await producer.abort_transaction()
        await until_committed(frames, 1)
        await until(lambda: partition.status()["lag"] == 0)
        await producer.begin_transaction()
        await producer.send_and_wait(frames.source, b"open")
        await frames.send(frames.pictures(3, keys=1))
        await told(consumer, f"{frames.source}-0: a transaction of another producer is open at offset 4")
        assert "holds back 4 offsets" in (consumer.error or "")
        assert consumer.state == "stalled"
        await producer.commit_transaction()
        await runs(consumer)
        await until_committed(frames, 8)
        await until(lambda: partition.status()["lag"] == 0)
    assert len(sink.records) == 3  # and two that are no pictures
    told_of = [record.getMessage() for record in caplog.records if record.name == "daemon.kafka.partition"]
    assert len(told_of) == 1, told_of


async def test_what_waits_for_a_sink_is_told_and_its_lag_grows(
    apache_kafka: ApacheKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.kafka.progress.STALL_S", 2.0)
    frames = Frames(apache_kafka.address(), partitions=1)
    await frames.create()
    await frames.send(frames.pictures(100, keys=3))
    sink = Holding()
    async with consuming(frames, to_sink(sink), max_pending=8) as consumer:
        await told(consumer, f"{frames.source}-0: offset 0 has been worked on, or waits for a sink")
        (partition,) = consumer.partitions.values()
        assert (partition.status()["lag"], partition.status()["position"]) == (100, 0)
        await frames.send(frames.pictures(50, keys=3))
        await until(lambda: partition.status()["lag"] == 150)
        sink.release()
        await until_committed(frames, 150)
        await runs(consumer)
        await until(lambda: partition.status()["lag"] == 0)


async def test_a_member_that_stands_by_opens_no_connections(embedded: str, embedded_proxy: Proxy) -> None:
    frames = Frames(embedded, partitions=1)
    await frames.create()
    through = embedded_proxy.address
    async with (
        consuming(frames, to_sink(taking()), through) as first,
        consuming(frames, to_sink(taking()), through) as second,
    ):
        await until(lambda: {first.state, second.state} == {"running", "standby"}, timeout_s=60)
        await asyncio.sleep(2 * WATCH_S)
        before = embedded_proxy.connections
        await asyncio.sleep(3 * WATCH_S)
        assert embedded_proxy.connections == before
        assert {first.state, second.state} == {"running", "standby"}
        assert (first.error, second.error, first.is_ready, second.is_ready) == (None, None, True, True)
