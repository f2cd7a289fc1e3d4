import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from daemon.errors import DamagedImage, SourceError
from daemon.sources.base import TELL_INTERVAL_S, InThread, Out
from tests.fakes import CollectingFeed, frame
from tests.waiting import until

NAME = "door"


class Reading:
    """A reader that does `work`."""

    def __init__(self, work: Callable[[Out], None]) -> None:
        self._work = work
        self.thread: threading.Thread | None = None

    def read(self, out: Out) -> None:
        self.thread = threading.current_thread()
        self._work(out)


def running() -> bool:
    return any(thread.name == NAME for thread in threading.enumerate())


async def test_frames_come_from_a_thread_of_its_name_into_the_loop_s() -> None:
    loops: list[object] = []

    class Feed(CollectingFeed):
        def offer(self, frame: object) -> None:
            loops.append(asyncio.get_running_loop())

        async def put(self, frame: object) -> None:
            loops.append(asyncio.get_running_loop())

        def fail(self, error: Exception) -> None:
            loops.append(asyncio.get_running_loop())

    def work(out: Out) -> None:
        out.offer(frame(0))
        out.put(frame(1))
        out.fail(DamagedImage("damaged"))

    reader = Reading(work)
    await InThread(reader, NAME).run(Feed())
    assert loops == [asyncio.get_running_loop()] * 3
    assert reader.thread is not None
    assert reader.thread.name == NAME
    assert not reader.thread.is_alive()


async def test_put_waits_in_the_reader_s_thread_alone() -> None:
    feed = CollectingFeed()
    feed.open.clear()
    put: list[int] = []

    def work(out: Out) -> None:
        for index in range(3):
            out.put(frame(index))
            put.append(index)

    source = asyncio.create_task(InThread(Reading(work), NAME).run(feed))
    await until(lambda: feed.waiting == 1)
    await asyncio.sleep(0.15)  # longer than one wait of the reader
    assert put == []
    feed.open.set()
    await source
    assert put == [0, 1, 2]
    assert [each.index for each in feed.put_frames] == [0, 1, 2]


async def test_skipped_frames_come_with_the_next_one_once_a_second_and_at_the_end() -> None:
    feed = CollectingFeed()
    seen: list[int] = []
    loop = asyncio.get_running_loop()

    async def look() -> None:
        seen.append(feed.counts.skipped.total())

    def skip(out: Out, count: int) -> None:
        for _ in range(count):
            out.skip("rate")
        asyncio.run_coroutine_threadsafe(look(), loop).result()

    def work(out: Out) -> None:
        skip(out, 3)
        out.offer(frame(0))
        skip(out, 5)
        time.sleep(TELL_INTERVAL_S)
        skip(out, 1)
        skip(out, 7)
        raise SourceError("torn")

    with pytest.raises(SourceError):
        await InThread(Reading(work), NAME).run(feed)
    assert seen == [0, 3, 9, 9]
    assert feed.counts.skipped == {"rate": 16}
    assert feed.counts.received == 17


async def test_what_the_thread_took_of_the_cpu_is_told_once_a_second_and_at_the_end() -> None:
    feed = CollectingFeed()
    told: list[float] = []
    took = 0.0

    def work(out: Out) -> None:
        nonlocal took
        out.opened("h264")
        began = time.monotonic()
        while time.monotonic() - began < TELL_INTERVAL_S + 0.2:
            until = time.thread_time() + 0.02
            while time.thread_time() < until:
                pass
            out.offer(frame(0))
            told.append(feed.cpu_seconds)
        took = time.thread_time()

    await InThread(Reading(work), NAME).run(feed)
    assert feed.codecs == ["h264"]
    assert feed.cpu_seconds == pytest.approx(took, abs=0.01)
    assert len(set(told)) == 2  # of some fifty frames


@pytest.mark.parametrize("error", [SourceError("torn"), ZeroDivisionError(), SystemExit(3)])
async def test_the_reader_s_error_comes_out_after_its_frames(error: BaseException) -> None:
    feed = CollectingFeed()

    def work(out: Out) -> None:
        for index in range(5):
            out.offer(frame(index))
        raise error

    with pytest.raises(type(error)) as raised:
        await InThread(Reading(work), NAME).run(feed)
    assert raised.value is error
    assert len(feed.offered) == 5
    assert not running()


async def test_cancelled_while_the_reader_waits_in_put() -> None:
    feed = CollectingFeed()
    feed.open.clear()
    source = asyncio.create_task(InThread(Reading(lambda out: out.put(frame(0))), NAME).run(feed))
    await until(lambda: feed.waiting == 1)
    source.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(source, 5)
    assert not running()
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1  # put()'s own task has ended too


async def test_cancelled_between_frames() -> None:
    feed = CollectingFeed()

    def work(out: Out) -> None:
        while not out.stopped:
            out.put(frame(0))

    source = asyncio.create_task(InThread(Reading(work), NAME).run(feed))
    await until(lambda: len(feed.put_frames) > 5)
    source.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(source, 5)
    assert not running()


async def test_cancelled_it_waits_for_its_thread() -> None:
    go = threading.Event()

    def work(out: Out) -> None:
        assert go.wait(10)

    source = asyncio.create_task(InThread(Reading(work), NAME).run(CollectingFeed()))
    await until(running)
    source.cancel()
    await asyncio.sleep(0.02)
    assert not source.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(source, 5)
    assert not running()
