"""What every sink must do (docs/extending.md): one suite for all of them, each with a real place to write to."""

import asyncio

import pytest

from daemon.flow.delivery import Delivery
from daemon.flow.receipts import Counts
from sinks.base import Record, Sink, SinkError
from tests.sinks.benches import Bench
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("accounts")

CLOSE_S = 5.0


def records(numbers: range, size: int = 0) -> list[Record]:
    return [Record("door", b"%d" % number + b"." * size) for number in numbers]


def values(records: list[Record]) -> list[bytes]:
    return [record.value for record in records]


async def write_until_written(sink: Sink, left: list[Record]) -> None:
    """As the delivery does it."""
    while left:
        try:
            await sink.write(left)
        except SinkError as err:
            assert err.retriable
            left = list(err.unwritten)
            await asyncio.sleep(0.05)
        else:
            return


async def test_opens_and_closes_and_leaves_no_task(bench: Bench) -> None:
    before = asyncio.all_tasks()
    sink = bench.sink()
    await sink.open()
    await sink.close()
    await sink.close()
    assert await bench.values() == []
    assert asyncio.all_tasks() == before


async def test_closes_before_it_was_opened(bench: Bench) -> None:
    await bench.sink().close()


async def test_a_single_record_is_there_when_write_returns(bench: Bench) -> None:
    sink = bench.sink()
    await sink.open()
    await sink.write(records(range(1)))
    assert await bench.values() == [b"0"]
    await sink.close()


async def test_a_batch(bench: Bench) -> None:
    sink = bench.sink()
    await sink.open()
    await sink.write([])
    await sink.write(records(range(3)))
    await sink.close()
    assert await bench.values() == [b"0", b"1", b"2"]


async def test_a_thousand_in_order(bench: Bench) -> None:
    sink = bench.sink()
    await sink.open()
    for first in range(0, 1000, 250):
        await sink.write(records(range(first, first + 250), size=2000))
    await sink.close()
    assert await bench.values() == values(records(range(1000), size=2000))


async def test_opened_again_it_goes_on_behind_what_is_there(bench: Bench) -> None:
    sink = bench.sink()
    for number in range(3):
        await sink.open()
        await sink.write(records(range(number, number + 1)))
        await sink.close()
    assert await bench.values() == [b"0", b"1", b"2"]


async def test_a_refused_record_is_named_and_the_others_are_written(bench: Bench) -> None:
    sink = bench.sink()
    await sink.open()
    first, last = records(range(2))
    with pytest.raises(SinkError) as caught:
        await sink.write([first, bench.bad, last])
    assert [record for record, _ in caught.value.refused] == [bench.bad]
    assert caught.value.unwritten == ()
    await sink.write(records(range(2, 3)))
    await sink.close()
    assert await bench.values() == [b"0", b"1", b"2"]


async def test_what_was_not_written_is_named_and_written_later_where_that_may_be(bench: Bench) -> None:
    sink = bench.sink()
    await sink.open()
    await sink.write(records(range(2)))
    await bench.break_()
    left = records(range(2, 100), size=100)
    with pytest.raises(SinkError) as caught:
        await sink.write(left)
    assert caught.value.retriable == bench.passes
    assert list(caught.value.unwritten) == left
    await bench.mend()
    if bench.passes:
        await write_until_written(sink, left)
    await sink.close()
    assert await bench.values() == [b"0", b"1", *(values(left) if bench.passes else ())]


async def test_closes_while_a_write_is_busy(bench: Bench) -> None:
    before = asyncio.all_tasks()
    sink = bench.sink()
    await sink.open()
    bench.hang()
    sent = records(range(400), size=5000)
    busy = asyncio.create_task(sink.write(sent))
    await asyncio.sleep(0.2)
    async with asyncio.timeout(CLOSE_S):
        await sink.close()
        await asyncio.wait([busy])
    assert busy.exception() is None or isinstance(busy.exception(), SinkError)
    await bench.mend()
    await until(lambda: asyncio.all_tasks() == before)
    assert b"\n".join(values(sent)).startswith(b"\n".join(await bench.values()))


async def test_through_a_delivery_nothing_goes_missing(bench: Bench) -> None:
    frames = Counts()
    delivery = Delivery("sink", bench.sink(), backlog=50, batch=20)
    running = asyncio.create_task(delivery.run())
    for record in records(range(100)):
        await delivery.put(record, frames.open())
    await until(lambda: frames.acknowledged == 100)
    await bench.break_()
    for record in records(range(100, 400), size=100):
        delivery.offer(record, frames.open())
    await until(lambda: delivery.retries > 0 or running.done())
    await bench.mend()
    await delivery.close(10)
    if bench.passes:
        await running
    else:
        with pytest.raises(SinkError):
            await running
    got = [int(value.rstrip(b".")) for value in await bench.values()]
    assert got == sorted(set(got))
    assert frames.acknowledged == delivery.counts.acknowledged == len(got)
    assert frames.received == delivery.counts.received == 400
    assert frames.dropped["sink: backlog full"] > 0
