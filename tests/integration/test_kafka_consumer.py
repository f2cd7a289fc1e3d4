"""A consumer of a real broker's topic, and a sink that does not always do what it should."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import InconsistentGroupProtocolError

from daemon.errors import SourceError
from daemon.flow.engine import Engine
from daemon.flow.pipeline import Outgoing, Work
from daemon.flow.receipts import Counts, Receipt
from daemon.kafka.at_least_once import AtLeastOnce
from daemon.kafka.brokers import BrokerWatch
from daemon.kafka.consumer import Consumer, Guarantee
from daemon.kafka.records import READ_AGAIN
from daemon.kafka.settings import ConsumerSettings, DeadLetterSettings
from daemon.kafka.transaction import ExactlyOnce
from processors.types import Frame, Sample
from sinks.base import Record
from sinks.kafka_client import end_consumer
from sinks.kafka_settings import KafkaCluster, KafkaSasl, KafkaSettings
from tests.brokers import ApacheKafka, Proxy
from tests.kafka_frames import SESSION_TIMEOUT_S, Frames, Tally, error_of, tally
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("accounts")

REOPEN_S, WATCH_S, SILENCE_S = 1.5, 0.5, 1.5


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits less than half as long, a partition still for longer than a heartbeat."""
    monkeypatch.setattr("daemon.kafka.partition.REOPEN_S", REOPEN_S)
    monkeypatch.setattr("daemon.kafka.brokers.WATCH_S", WATCH_S)
    monkeypatch.setattr("daemon.kafka.brokers.SILENCE_S", SILENCE_S)
    monkeypatch.setattr("daemon.kafka.transaction.COMMIT_TIMEOUT_S", 3.0)
    monkeypatch.setattr("daemon.kafka.transaction.TRANSACTION_TIMEOUT_S", 4.0)


class Echo:
    """A work that makes an empty record of each frame."""

    in_order = True
    aside = None

    def __init__(self, stream: str, run: str, partition: str) -> None:
        self._stream = stream

    def begin(self) -> Sequence[Record]:
        return ()

    def look(self, frame: Frame, turn: int) -> Sample:
        return Sample(frame)

    def tell(self, sample: Sample, *, live: bool = False) -> Sequence[Record]:
        return [Record(self._stream, b"")]

    def end(self) -> Sequence[Record]:
        return ()

    def settle(self) -> None: ...


class Fickle:
    """A sink's queue that lets `spoil` answer for a record, which says whether it has."""

    def __init__(self, spoil: Callable[[int, Receipt], bool]) -> None:
        self.records: list[Record] = []
        self._spoil = spoil
        self._count = 0

    def takes(self, _: Record) -> bool:
        return True

    def offer(self, record: Record, receipt: Receipt) -> None:
        self._count += 1
        if not self._spoil(self._count, receipt):
            self.records.append(record)
            receipt.acknowledge()

    async def put(self, record: Record, receipt: Receipt) -> None:
        self.offer(record, receipt)

    def places(self) -> list[int]:
        return [int(dict(record.headers)["visaged-source-offset"] or -1) for record in self.records]


class Holding(Fickle):
    """Answers for no record until release()."""

    def __init__(self) -> None:
        super().__init__(self._hold)
        self.held: list[Receipt] = []
        self._holding = True

    def _hold(self, count: int, receipt: Receipt) -> bool:
        if self._holding:
            self.held.append(receipt)
        return self._holding

    def release(self) -> None:
        self._holding = False
        for receipt in self.held:
            receipt.acknowledge()


def consumer_of(
    frames: Frames,
    make_guarantee: Callable[[ConsumerSettings, KafkaCluster], Guarantee],
    engine: Engine,
    servers: str | None = None,
    make_work: Callable[[str, str, str], Work] = Echo,
    sasl: KafkaSasl | None = None,
    **settings_of_consumer: Any,
) -> Consumer:
    settings = ConsumerSettings(
        topics=(frames.source,),
        group=frames.group,
        dead_letters=DeadLetterSettings(topic=frames.dead),
        **{"session_timeout": SESSION_TIMEOUT_S, **settings_of_consumer},
    )
    cluster = KafkaCluster(bootstrap_servers=servers or frames.servers, sasl=sasl)
    return Consumer(
        "frames",
        settings,
        cluster,
        make_work=make_work,
        make_guarantee=partial(make_guarantee, settings, cluster),
        lane=engine.lane("frames"),
        window=1,
    )


@contextlib.asynccontextmanager
async def consuming(
    frames: Frames,
    make_guarantee: Callable[[ConsumerSettings, KafkaCluster], Guarantee],
    servers: str | None = None,
    **of_consumer: Any,
) -> AsyncIterator[Consumer]:
    """A consumer that runs until the end and has then raised nothing."""
    engine = Engine(1)
    consumer = consumer_of(frames, make_guarantee, engine, servers, **of_consumer)
    running = asyncio.create_task(consumer.run())
    try:
        yield consumer
    finally:
        consumer.stop()
        await running
        await engine.close()


def to_sink(sink: Outgoing) -> Callable[[ConsumerSettings, KafkaCluster], Guarantee]:
    return lambda settings, cluster: AtLeastOnce("frames", settings, cluster, [sink])


def to_topic(topic: str, counts: Counts) -> Callable[[ConsumerSettings, KafkaCluster], Guarantee]:
    sink = KafkaSettings(type="kafka", topic=topic)
    return lambda settings, cluster: ExactlyOnce(settings, cluster, [sink], [counts])


async def until_committed(frames: Frames, count: int, timeout_s: float = 30) -> None:
    async with asyncio.timeout(timeout_s):
        while await frames.committed() < count:  # noqa: ASYNC110  # the broker tells nobody
            await asyncio.sleep(0.05)


async def carry(frames: Frames, sink: Outgoing, count: int) -> Consumer:
    async with consuming(frames, to_sink(sink)) as consumer:
        await until_committed(frames, count)
    return consumer


async def test_what_may_not_have_been_written_is_worked_on_again(embedded: str) -> None:
    frames = Frames(embedded, partitions=1)
    await frames.create()
    await frames.send(frames.pictures(20, keys=1))

    def spoil(count: int, receipt: Receipt) -> bool:
        if count == 10:
            receipt.doubt("out: in doubt")
        return count == 10

    sink = Fickle(spoil)
    consumer = await carry(frames, sink, 20)
    places = sink.places()
    assert set(places) == set(range(20))
    assert places[:9] == list(range(9))
    again = places.index(9)
    assert places[again:] == list(range(9, 20))  # from the committed offset on, or before it
    assert consumer.counts.failed == {"out: in doubt": 1}
    assert await frames.dead_letters() == []


async def test_a_partition_that_the_group_gives_to_a_run_that_ends_is_the_next_ones_too(
    embedded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a group refuses us and takes us at the same moment."""
    frames = Frames(embedded, partitions=1)
    await frames.create()
    await frames.send(frames.pictures(5, keys=1))
    sink, engine = Fickle(lambda count, receipt: False), Engine(1)
    guarantees: list[Guarantee] = []

    def make_guarantee(settings: ConsumerSettings, cluster: KafkaCluster) -> Guarantee:
        guarantees.append(AtLeastOnce("frames", settings, cluster, [sink]))
        return guarantees[-1]

    async def refuses(*args: object) -> None:
        raise InconsistentGroupProtocolError

    async def end(client: AIOKafkaConsumer) -> None:
        if len(guarantees) == 1:
            consumer.assigned(client, [TopicPartition(frames.source, 0)], guarantees[0])
        await end_consumer(client)

    consumer = consumer_of(frames, make_guarantee, engine)
    monkeypatch.setattr("daemon.kafka.consumer.end_consumer", end)
    with monkeypatch.context() as refusing, pytest.raises(SourceError, match="another protocol"):
        refusing.setattr(BrokerWatch, "look", refuses)
        await consumer.run()
    assert consumer.partitions == {}  # its client has ended
    running = asyncio.create_task(consumer.run())
    await until_committed(frames, 5)
    assert set(sink.places()) == set(range(5))
    consumer.stop()
    await running
    await engine.close()


async def test_what_a_sink_dropped_is_worked_on_again(embedded: str) -> None:
    frames = Frames(embedded, partitions=1)
    await frames.create()
    await frames.send(frames.pictures(20, keys=1))

    def spoil(count: int, receipt: Receipt) -> bool:
        if count == 5:
            receipt.drop("out: stopped")
        return count == 5

    sink = Fickle(spoil)
    began = asyncio.get_running_loop().time()
    await carry(frames, sink, 20)
    assert set(sink.places()) == set(range(20))
    assert asyncio.get_running_loop().time() - began > REOPEN_S


async def test_what_no_sink_takes_goes_to_the_dead_letters(embedded: str) -> None:
    frames = Frames(embedded, partitions=1)
    await frames.create()
    await frames.send(frames.pictures(20, keys=1))

    def spoil(count: int, receipt: Receipt) -> bool:
        if count == 7:
            receipt.fail("out: too large")
        return count == 7

    sink = Fickle(spoil)
    consumer = await carry(frames, sink, 20)
    assert sink.places() == [offset for offset in range(20) if offset != 6]
    (letter,) = await frames.dead_letters()
    assert error_of(letter) == ("out: too large", "out: too large")
    assert tally({place: key for place, key in frames.sent.items() if place.offset == 6}, [letter]) == Tally(0, 0, 0, 0)
    assert (consumer.counts.acknowledged, consumer.counts.failed) == (19, {"out: too large": 1})


async def test_records_wait_while_a_sink_does_not_answer(embedded: str) -> None:
    frames = Frames(embedded, partitions=1)
    await frames.create()
    await frames.send(frames.pictures(200, keys=3))
    sink = Holding()
    carrying = asyncio.create_task(carry(frames, sink, 200))
    await until(lambda: len(sink.held) == 64)  # max_pending
    await asyncio.sleep(0.5)
    assert len(sink.held) == 64
    sink.release()
    await carrying
    assert len(sink.records) == 200 - 64


@pytest.mark.parametrize("pending", [0, 64])
async def test_a_broker_that_is_gone_is_told_and_one_that_is_back(
    embedded: str,
    embedded_proxy: Proxy,
    pending: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where nothing is read, as the sink has not answered for what was."""
    caplog.set_level("INFO")
    monkeypatch.setattr("daemon.kafka.progress.STALL_S", 60)  # it is the broker that this is about
    frames = Frames(embedded, partitions=1)
    await frames.create()
    await frames.send(frames.pictures(pending * 2, keys=3))
    sink = Holding()
    async with consuming(frames, to_sink(sink), embedded_proxy.address) as consumer:
        assert consumer.state == "connecting"
        await until(lambda: consumer.state == "running" and len(sink.held) == pending, timeout_s=30)
        await asyncio.sleep(WATCH_S + SILENCE_S)
        assert (consumer.state, consumer.error) == ("running", None)
        embedded_proxy.cut()
        await until(lambda: consumer.error is not None, timeout_s=30)
        assert consumer.state == "connecting"
        assert (consumer.error or "").startswith(f"{embedded_proxy.address}: ")
        await asyncio.sleep(2 * WATCH_S)
        await embedded_proxy.restore()
        await until(lambda: consumer.state == "running", timeout_s=30)
        assert consumer.error is None
        sink.release()
        await frames.send(frames.pictures(10, keys=3))
        await until_committed(frames, pending * 2 + 10)
    told = [record.getMessage() for record in caplog.records if record.name == "daemon.kafka.brokers"]
    assert len(told) == 2, told
    assert told[0].startswith(f"frames: {embedded_proxy.address}: ")
    assert told[1] == told[0].replace("frames: ", "frames: over: ")


async def test_an_outage_under_transactions_is_told_in_clear_words_and_drops_nothing(
    apache_kafka: ApacheKafka, caplog: pytest.LogCaptureFixture
) -> None:
    frames = Frames(apache_kafka.address(), partitions=1)
    await frames.create()
    await frames.send(frames.pictures(20, keys=1))
    go_on = threading.Event()

    class Held(Echo):
        def look(self, frame: Frame, turn: int) -> Sample:
            go_on.wait()
            return super().look(frame, turn)

    of_sink = Counts()
    async with apache_kafka.proxy() as between:
        guarantee = to_topic(frames.out, of_sink)
        async with consuming(frames, guarantee, between.address, make_work=Held) as consumer:
            await until(lambda: consumer.counts.received == 20, timeout_s=30)
            (partition,) = consumer.partitions.values()
            assert consumer.state == "running"
            between.cut()
            go_on.set()
            await until(lambda: partition.reopened >= 2, timeout_s=30)
            assert (partition.error or "").startswith(f"{between.address}: ")
            for counts in (consumer.counts, of_sink):  # what is pending is in doubt: nobody has told
                assert counts.skipped[READ_AGAIN] + counts.pending == 20
            await until(lambda: partition.reopened >= 3, timeout_s=30)
            await between.restore()
            await until_committed(frames, 20)
            await until(lambda: of_sink.acknowledged == 20, timeout_s=30)
            for counts in (consumer.counts, of_sink):
                assert (counts.received, counts.acknowledged, counts.skipped) == (40, 20, {READ_AGAIN: 20})
    assert tally(frames.sent, await frames.results()) == Tally(0, 0, 0, 0)
    told = [record.getMessage() for record in caplog.records if record.name == "daemon.kafka.partition"]
    assert len(told) == len(set(told)) <= 3, told


async def test_a_transaction_whose_end_nobody_heard_of_is_counted_as_it_ended(
    apache_kafka: ApacheKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = Frames(apache_kafka.address(), partitions=1)
    await frames.create()
    of_sink = Counts()
    async with apache_kafka.proxy() as between:
        commit_transaction = AIOKafkaProducer.commit_transaction

        async def unheard(producer: AIOKafkaProducer) -> None:
            between.mute()
            await commit_transaction(producer)

        guarantee = to_topic(frames.out, of_sink)
        async with consuming(frames, guarantee, between.address, session_timeout=30) as consumer:  # it is not evicted
            await until(lambda: consumer.state == "running", timeout_s=30)
            with monkeypatch.context() as patched:
                patched.setattr(AIOKafkaProducer, "commit_transaction", unheard)
                await frames.send(frames.pictures(20, keys=1))
                await until(lambda: any(partition.reopened for partition in consumer.partitions.values()), timeout_s=30)
            heard = await frames.committed()
            assert 0 < heard == consumer.counts.pending
            between.cut()
            await between.restore()
            await until_committed(frames, 20)
            await until(lambda: consumer.counts.acknowledged == of_sink.acknowledged == 20, timeout_s=30)
            for counts in (consumer.counts, of_sink):
                assert counts.skipped[READ_AGAIN] == 20 - heard
                assert counts.received == 40 - heard
    assert tally(frames.sent, await frames.results()) == Tally(0, 0, 0, 0)


async def test_a_rebalance_before_the_first_commit(apache_kafka: ApacheKafka) -> None:
    frames = Frames(apache_kafka.address(), partitions=2)
    await frames.create()
    sink = Fickle(lambda count, receipt: False)
    async with consuming(frames, to_sink(sink)) as first:
        await until(lambda: len(first.partitions) == 2, timeout_s=30)
        async with consuming(frames, to_sink(sink)) as second:
            await until(lambda: len(first.partitions) == len(second.partitions) == 1, timeout_s=30)
        await until(lambda: len(first.partitions) == 2, timeout_s=30)
        await frames.send(frames.pictures(20, keys=8))
        await until_committed(frames, 20)
    assert len(sink.records) == 20
