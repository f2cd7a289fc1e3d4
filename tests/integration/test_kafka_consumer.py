"""A consumer of a real broker's topic, and a sink that does not always do what it should."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from daemon.engine import Engine
from daemon.kafka.at_least_once import AtLeastOnce
from daemon.kafka.consumer import Consumer
from daemon.kafka.partition import REOPEN_S
from daemon.kafka.settings import ConsumerSettings
from daemon.pipeline import Outgoing
from daemon.receipts import Receipt
from processors.types import Frame, Sample
from sinks.base import Record
from sinks.kafka import IN_DOUBT
from sinks.kafka_settings import KafkaCluster
from tests.kafka_frames import Frames, Tally, error_of, tally
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("accounts")


class Echo:
    """A work that makes an empty record of each frame."""

    in_order = True

    def __init__(self, stream: str, run: str, partition: str) -> None:
        self._stream = stream

    def begin(self) -> Sequence[Record]:
        return ()

    def look(self, frame: Frame) -> Sample:
        return Sample(frame)

    def tell(self, sample: Sample) -> Sequence[Record]:
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

    def offer(self, record: Record, receipt: Receipt) -> None:
        self._count += 1
        if not self._spoil(self._count, receipt):
            self.records.append(record)
            receipt.acknowledge()

    async def put(self, record: Record, receipt: Receipt) -> None:
        self.offer(record, receipt)

    def places(self) -> list[int]:
        return [int(dict(record.headers)["visaged-source-offset"]) for record in self.records]


async def carry(frames: Frames, sink: Outgoing, until_committed: int) -> Consumer:
    settings = ConsumerSettings(
        topics=(frames.source,), group=frames.group, dead_letter_topic=frames.dead, session_timeout=6
    )
    cluster = KafkaCluster(bootstrap_servers=frames.servers)
    engine = Engine(1)
    consumer = Consumer(
        "frames",
        settings,
        cluster,
        make_work=Echo,
        make_outlet=lambda: AtLeastOnce("frames", settings, cluster, [sink]),
        lane=engine.lane("frames"),
        window=1,
    )
    running = asyncio.create_task(consumer.run())
    async with asyncio.timeout(30):
        while await frames.committed() < until_committed:
            assert not running.done(), running.result()
            await asyncio.sleep(0.05)
    consumer.stop()
    await running
    await engine.close()
    return consumer


async def test_what_may_not_have_been_written_is_worked_on_again(embedded: str) -> None:
    frames = Frames(embedded, partitions=1)
    await frames.create()
    await frames.send(frames.pictures(20, keys=1))

    def spoil(count: int, receipt: Receipt) -> bool:
        if count == 10:
            receipt.fail(f"out: {IN_DOUBT}")
        return count == 10

    sink = Fickle(spoil)
    consumer = await carry(frames, sink, 20)
    places = sink.places()
    assert set(places) == set(range(20))
    assert places[:9] == list(range(9))
    again = places.index(9)
    assert places[again:] == list(range(9, 20))  # from the committed offset on, or before it
    assert consumer.counts.failed == {f"out: {IN_DOUBT}": 1}
    assert await frames.dead_letters() == []


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
    held: list[Receipt] = []
    holding = True

    def spoil(count: int, receipt: Receipt) -> bool:
        if holding:
            held.append(receipt)
        return holding

    sink = Fickle(spoil)
    carrying = asyncio.create_task(carry(frames, sink, 200))
    await until(lambda: len(held) == 64)  # max_pending
    await asyncio.sleep(0.5)
    assert len(held) == 64
    holding = False
    for receipt in held:
        receipt.acknowledge()
    await carrying
    assert len(sink.records) == 200 - 64
