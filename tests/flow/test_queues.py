import asyncio
import random

import pytest

from daemon.flow.queues import BoundedQueue, QueueClosed

SOON_S = 0.02


def queue_of(size: int) -> tuple[BoundedQueue[int], list[int]]:
    dropped: list[int] = []
    return BoundedQueue(size, dropped.append), dropped


async def test_first_in_first_out() -> None:
    queue, dropped = queue_of(3)
    await queue.put(1)
    queue.offer(2)
    await queue.put(3)
    assert len(queue) == 3
    assert [await queue.get() for _ in range(3)] == [1, 2, 3]
    assert dropped == []


async def test_put_waits_for_room() -> None:
    queue, _ = queue_of(1)
    await queue.put(1)
    putting = asyncio.create_task(queue.put(2))
    await asyncio.sleep(SOON_S)
    assert (putting.done(), len(queue)) == (False, 1)
    assert await queue.get() == 1
    await asyncio.wait_for(putting, 1)
    assert await queue.get() == 2


async def test_put_nowait_needs_room() -> None:
    queue, dropped = queue_of(2)
    queue.offer(1)
    queue.put_nowait(2)
    with pytest.raises(asyncio.QueueFull):
        queue.put_nowait(3)
    queue.offer(4)  # for it goes 1: what was put stays
    assert ([await queue.get(), await queue.get()], dropped) == ([2, 4], [1])
    queue.close()
    with pytest.raises(QueueClosed):
        queue.put_nowait(5)


async def test_get_waits_for_an_item() -> None:
    queue, _ = queue_of(1)
    getting = asyncio.create_task(queue.get())
    await asyncio.sleep(SOON_S)
    assert not getting.done()
    queue.offer(1)
    assert await asyncio.wait_for(getting, 1) == 1


async def test_offer_to_a_full_queue_drops_the_oldest() -> None:
    queue, dropped = queue_of(2)
    for item in range(5):
        queue.offer(item)
    assert dropped == [0, 1, 2]
    assert [await queue.get(), await queue.get()] == [3, 4]


async def test_what_was_put_is_never_dropped() -> None:
    queue, dropped = queue_of(3)
    await queue.put(1)
    queue.offer(2)
    await queue.put(3)
    queue.offer(4)  # for it goes 2, the oldest that was offered
    assert dropped == [2]
    assert [await queue.get() for _ in range(3)] == [1, 3, 4]


async def test_an_offer_that_finds_only_what_was_put_is_dropped_itself() -> None:
    queue, dropped = queue_of(2)
    await queue.put(1)
    await queue.put(2)
    queue.offer(3)
    assert dropped == [3]
    assert [await queue.get(), await queue.get()] == [1, 2]


async def test_a_batch_is_what_is_there_up_to_the_most() -> None:
    queue, _ = queue_of(5)
    for item in range(5):
        queue.offer(item)
    assert await queue.get_batch(3) == [0, 1, 2]
    assert await queue.get_batch(3) == [3, 4]


async def test_several_putters_go_on_in_the_order_of_their_waiting() -> None:
    queue, _ = queue_of(1)
    await queue.put(0)
    putting = [asyncio.create_task(queue.put(item)) for item in (1, 2, 3)]
    await asyncio.sleep(SOON_S)
    assert [await asyncio.wait_for(queue.get(), 1) for _ in range(4)] == [0, 1, 2, 3]
    await asyncio.gather(*putting)


async def test_a_closed_queue_gives_what_is_in_and_takes_no_more() -> None:
    queue, dropped = queue_of(2)
    await queue.put(1)
    queue.close()
    with pytest.raises(QueueClosed):
        await queue.put(2)
    with pytest.raises(QueueClosed):
        queue.offer(3)
    assert await queue.get() == 1
    for get in (queue.get(), queue.get_batch(2)):
        with pytest.raises(QueueClosed):
            await get
    assert dropped == []


async def test_an_offer_to_a_queue_that_is_closed_and_full_drops_nothing() -> None:
    queue, dropped = queue_of(1)
    queue.offer(1)
    queue.close()
    with pytest.raises(QueueClosed):
        queue.offer(2)
    assert dropped == []
    assert await queue.get() == 1


async def test_close_wakes_everyone_who_waits() -> None:
    full, _ = queue_of(1)
    await full.put(1)
    empty, _ = queue_of(1)
    waiting = [asyncio.create_task(full.put(2)), asyncio.create_task(empty.get()), asyncio.create_task(empty.get())]
    await asyncio.sleep(SOON_S)
    full.close()
    empty.close()
    results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 1)
    assert [type(result) for result in results] == [QueueClosed] * 3


async def test_a_cancelled_put_leaves_nothing_behind() -> None:
    queue, _ = queue_of(1)
    await queue.put(1)
    putting = asyncio.create_task(queue.put(2))
    await asyncio.sleep(SOON_S)
    putting.cancel()
    await asyncio.wait([putting])
    assert await queue.get() == 1
    assert len(queue) == 0


async def test_a_cancelled_get_takes_nothing() -> None:
    queue, _ = queue_of(1)
    getting = asyncio.create_task(queue.get())
    await asyncio.sleep(SOON_S)
    getting.cancel()
    await asyncio.wait([getting])
    queue.offer(1)
    assert await asyncio.wait_for(queue.get(), 1) == 1


async def test_drain_takes_everything_and_makes_room() -> None:
    queue, dropped = queue_of(2)
    await queue.put(1)
    queue.offer(2)
    putting = asyncio.create_task(queue.put(3))
    await asyncio.sleep(SOON_S)
    assert queue.drain() == [1, 2]
    await asyncio.wait_for(putting, 1)
    assert await queue.get() == 3
    assert (queue.drain(), dropped) == ([], [])


@pytest.mark.parametrize("size", [0, -1])
def test_sizes_that_cannot_be_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"1 or more, got {size}"):
        queue_of(size)


@pytest.mark.parametrize("seed", range(5))
async def test_nothing_goes_missing(seed: int) -> None:
    """Whatever is put, offered, taken and cancelled: each item comes out once, in order, or is dropped."""
    choose = random.Random(seed)  # noqa: S311
    queue, dropped = queue_of(choose.randint(1, 4))
    taken: list[int] = []
    was_put: set[int] = set()

    async def fill() -> None:
        for item in range(300):
            if choose.random() < 0.5:
                queue.offer(item)
            else:
                was_put.add(item)
                await queue.put(item)
            if choose.random() < 0.3:
                await asyncio.sleep(0)
        queue.close()

    async def drain() -> None:
        while True:
            try:
                batch = await queue.get_batch(choose.randint(1, 3))
            except QueueClosed:
                return
            assert len(queue) <= queue.size
            taken.extend(batch)
            for _ in range(choose.randint(0, 3)):
                await asyncio.sleep(0)

    await asyncio.wait_for(asyncio.gather(fill(), drain()), 10)
    assert taken == sorted(taken)
    assert dropped
    assert sorted(taken + dropped) == list(range(300))
    assert not was_put & set(dropped)
