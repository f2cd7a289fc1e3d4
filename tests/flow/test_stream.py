import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np
import pytest

from daemon.errors import DamagedImage, SourceEnded, SourceError
from daemon.flow.engine import Engine, Lane
from daemon.flow.pipeline import OVERLOAD, STOPPED
from daemon.flow.stream import Stream
from daemon.flow.watched import Subscription, Watched, Watches
from daemon.logs import ABOUT, about
from daemon.pictures.hide import NOTHING, Hiding
from daemon.sources.base import Feed, InThread, Out, Source
from daemon.work.emission import Emission
from daemon.work.untracked import Untracked
from processors.types import Frame, Image, Object, Sample
from sinks.base import Record
from tests.fakes import CollectingSink, ScriptedSource, Work, frame
from tests.waiting import until

WORKERS = 2


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = Engine(WORKERS)
    yield engine
    await engine.close()


@pytest.fixture
def lane(engine: Engine) -> Lane:
    return engine.lane("stream")


def index_of(sample: Sample, run: str) -> Record:
    return Record(run, b"%d" % sample.frame.index)


def stream_of(
    source: Source,
    lane: Lane,
    *sinks: CollectingSink,
    work: Callable[[Frame], object] | None = None,
    window: int = WORKERS,
    watched: Watched | None = None,
) -> Stream:
    def make_work(run: str) -> Untracked:
        return Untracked(Work(work), Emission(index_of, "every", run))

    return Stream("door", source, make_work, lane, sinks, window, watched=watched)


def values(indices: range) -> list[bytes]:
    return [b"%d" % index for index in indices]


def putting(frames: int, *, then: Exception | None = None) -> ScriptedSource:
    async def script(feed: Feed) -> None:
        for index in range(frames):
            await feed.put(frame(index))
        if then:
            raise then

    return ScriptedSource(script)


async def for_ever(feed: Feed) -> None:
    index = 0
    while True:
        await feed.put(frame(index))
        index += 1


def offering(frames: int) -> ScriptedSource:
    async def script(feed: Feed) -> None:
        for index in range(frames):
            feed.offer(frame(index))
            await asyncio.sleep(0.001)

    return ScriptedSource(script)


class Gate:
    """Holds the work of every frame until it is opened, and counts what came."""

    def __init__(self) -> None:
        self.reached = threading.Semaphore(0)
        self.opened = threading.Event()

    def __call__(self, frame: Frame) -> None:
        self.reached.release()
        assert self.opened.wait(10)

    async def reached_by(self, frames: int) -> None:
        for _ in range(frames):
            assert await asyncio.to_thread(self.reached.acquire, timeout=10)


async def test_parallel_work_of_any_duration_comes_out_in_order(lane: Lane) -> None:
    choose = random.Random(1)  # noqa: S311
    durations = [choose.choice([0, 0.001, 0.006]) for _ in range(80)]
    done: list[int] = []

    def work(frame: Frame) -> None:
        time.sleep(durations[frame.index])
        done.append(frame.index)

    sink = CollectingSink()
    stream = stream_of(putting(80), lane, sink, work=work, window=4)
    await stream.run()
    assert sink.values == values(range(80))
    assert done != sorted(done)  # it was parallel
    assert (stream.counts.received, stream.counts.acknowledged) == (80, 80)


@pytest.mark.parametrize("window", [1, 3])
async def test_a_window_bounds_what_is_under_way(lane: Lane, window: int) -> None:
    gate = Gate()
    sink = CollectingSink()
    stream = stream_of(putting(20), lane, sink, work=gate, window=window)
    running = asyncio.create_task(stream.run())
    await gate.reached_by(min(window, WORKERS))
    await asyncio.sleep(0.02)
    assert lane.waiting == max(window - WORKERS, 0)
    assert stream.counts.received == window + 2  # one in the inbox, one that waits for room in it
    gate.opened.set()
    await running
    assert sink.values == values(range(20))


async def test_each_sink_gets_every_record_and_a_frame_ends_when_all_have_it(lane: Lane) -> None:
    fast, slow = CollectingSink(), CollectingSink()
    slow.open.clear()
    stream = stream_of(putting(3), lane, fast, slow)
    running = asyncio.create_task(stream.run())
    await until(lambda: len(fast.records) == 1)
    await asyncio.sleep(0.01)
    assert stream.counts.acknowledged == 0
    slow.open.set()
    await running
    assert fast.values == slow.values == values(range(3))
    assert stream.counts.acknowledged == 3


async def test_an_overloaded_camera_drops_the_oldest_and_counts(lane: Lane) -> None:
    gate = Gate()
    sink = CollectingSink()
    stream = stream_of(offering(30), lane, sink, work=gate, window=1)
    running = asyncio.create_task(stream.run())
    await until(lambda: stream.counts.received == 30)
    gate.opened.set()
    await running
    assert sink.values == [b"0", b"29"]  # the first was begun at once; of those that came meanwhile the latest stayed
    assert dict(stream.counts.dropped) == {OVERLOAD: 28}
    assert stream.counts.acknowledged == 2


async def test_a_camera_that_is_not_too_fast_loses_nothing(lane: Lane) -> None:
    sink = CollectingSink()

    async def script(feed: Feed) -> None:
        for index in range(20):
            feed.offer(frame(index))
            await until(lambda: len(sink.records) == index + 1)  # noqa: B023  # awaited at once

    stream = stream_of(ScriptedSource(script), lane, sink)
    await stream.run()
    assert sink.values == values(range(20))
    assert not stream.counts.dropped


async def test_dropped_frames_are_not_converted(lane: Lane) -> None:
    converted: list[int] = []
    gate = Gate()

    def lazy(index: int) -> Frame:
        def load() -> Image:
            converted.append(index)
            return np.zeros((2, 2, 3), np.uint8)

        return Frame(load, width=2, height=2, index=index)

    async def script(feed: Feed) -> None:
        for index in range(10):
            feed.offer(lazy(index))
            await asyncio.sleep(0.001)

    def work(frame: Frame) -> None:
        gate(frame)
        _ = frame.image

    stream = stream_of(ScriptedSource(script), lane, CollectingSink(), work=work, window=1)
    running = asyncio.create_task(stream.run())
    await until(lambda: stream.counts.received == 10)
    gate.opened.set()
    await running
    assert converted == [0, 9]


class Broken(Exception):
    pass


async def test_a_bad_frame_fails_alone(lane: Lane, caplog: pytest.LogCaptureFixture) -> None:
    def work(frame: Frame) -> None:
        if frame.index in (3, 4, 7):
            raise Broken
        if frame.index == 8:
            raise ZeroDivisionError

    sink = CollectingSink()
    stream = stream_of(putting(10), lane, sink, work=work)
    await stream.run()
    assert sink.values == [b"%d" % index for index in (0, 1, 2, 5, 6, 9)]
    assert dict(stream.counts.failed) == {"Broken": 3, "ZeroDivisionError": 1}
    assert caplog.messages == ["door: frame 3: Broken()", "door: frame 8: ZeroDivisionError()"]
    assert all(record.exc_info for record in caplog.records)


async def test_a_frame_that_its_source_cannot_read_is_counted(lane: Lane) -> None:
    async def script(feed: Feed) -> None:
        await feed.put(frame(0))
        feed.fail(DamagedImage("cut short"))
        await feed.put(frame(2))

    sink = CollectingSink()
    stream = stream_of(ScriptedSource(script), lane, sink)
    await stream.run()
    assert sink.values == [b"0", b"2"]
    assert dict(stream.counts.failed) == {"DamagedImage": 1}
    assert stream.counts.received == 3


async def test_a_frame_that_its_source_passes_over_is_counted(lane: Lane) -> None:
    async def script(feed: Feed) -> None:
        feed.skip("no motion")
        await feed.put(frame(1))

    sink = CollectingSink()
    stream = stream_of(ScriptedSource(script), lane, sink)
    await stream.run()
    assert sink.values == [b"1"]
    assert dict(stream.counts.skipped) == {"no motion": 1}
    assert (stream.counts.received, stream.counts.pending) == (2, 0)


@pytest.mark.parametrize("error", [SourceError("torn"), SourceEnded("closed")])
async def test_an_error_of_the_source_comes_out_after_its_frames(lane: Lane, error: SourceError) -> None:
    sink = CollectingSink()
    stream = stream_of(putting(10, then=error), lane, sink, work=lambda _: time.sleep(0.003))
    with pytest.raises(SourceError) as raised:
        await stream.run()
    assert raised.value is error
    assert sink.values == values(range(10))


async def test_a_bug_in_a_source_comes_out_and_leaves_no_receipt_open(lane: Lane) -> None:
    stream = stream_of(putting(10, then=ZeroDivisionError()), lane, CollectingSink(), work=lambda _: time.sleep(0.003))
    with pytest.raises(ExceptionGroup) as raised:
        await asyncio.wait_for(stream.run(), 5)
    assert raised.group_contains(ZeroDivisionError)
    assert stream.counts.pending == 0


async def test_stop_lets_what_is_under_way_go_out(lane: Lane) -> None:
    gate = Gate()
    sink = CollectingSink()
    stream = stream_of(ScriptedSource(for_ever), lane, sink, work=gate)
    running = asyncio.create_task(stream.run())
    await gate.reached_by(WORKERS)
    stream.stop()
    await asyncio.sleep(0.01)
    gate.opened.set()
    await asyncio.wait_for(running, 5)
    assert sink.values == values(range(WORKERS + 1))  # what was in the inbox too
    assert stream.counts.received == stream.counts.acknowledged + stream.counts.dropped[STOPPED]
    assert stream.counts.dropped[STOPPED] <= 1  # one that waited for room


async def test_stop_as_soon_as_it_runs(lane: Lane) -> None:
    stream = stream_of(ScriptedSource(for_ever), lane, CollectingSink())
    running = asyncio.create_task(stream.run())
    await asyncio.sleep(0)
    stream.stop()
    await asyncio.wait_for(running, 5)


async def test_cancel_while_work_is_under_way_leaves_no_receipt_open(lane: Lane) -> None:
    gate = Gate()
    sink = CollectingSink()
    stream = stream_of(ScriptedSource(for_ever), lane, sink, work=gate, window=4)
    running = asyncio.create_task(stream.run())
    await gate.reached_by(WORKERS)
    await until(lambda: lane.waiting == 2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 5)
    assert stream.counts.pending == 0
    assert dict(stream.counts.dropped) == {STOPPED: stream.counts.received}
    gate.opened.set()
    await until(lambda: lane.waiting == 0)
    assert not gate.reached.acquire(blocking=False)  # what waited in the lane was not begun
    assert sink.records == []


async def test_cancel_while_a_sink_has_no_room_leaves_no_receipt_open(lane: Lane) -> None:
    free, full, third = CollectingSink(), CollectingSink(), CollectingSink()
    full.open.clear()
    stream = stream_of(ScriptedSource(for_ever), lane, free, full, third)
    running = asyncio.create_task(stream.run())
    await until(lambda: len(free.records) == 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 5)
    assert stream.counts.pending == 0
    assert dict(stream.counts.dropped) == {STOPPED: stream.counts.received}


async def test_an_engine_that_closes_ends_the_stream_and_no_receipt_stays_open(engine: Engine, lane: Lane) -> None:
    gate = Gate()
    stream = stream_of(ScriptedSource(for_ever), lane, CollectingSink(), work=gate, window=4)
    running = asyncio.create_task(stream.run())
    await gate.reached_by(WORKERS)
    await until(lambda: lane.waiting == 2)
    closing = asyncio.create_task(engine.close())
    gate.opened.set()
    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        await asyncio.wait_for(running, 5)
    await closing
    assert stream.counts.pending == 0
    assert stream.counts.acknowledged + stream.counts.dropped[STOPPED] == stream.counts.received


async def test_runs_have_names_of_their_own_and_counts_go_on(lane: Lane) -> None:
    sink = CollectingSink()
    stream = stream_of(putting(2), lane, sink)
    await stream.run()
    await stream.run()
    assert sink.values == [b"0", b"1", b"0", b"1"]
    first, same, second, _ = (record.key for record in sink.records)
    assert first == same != second
    assert stream.counts.acknowledged == 4


async def test_no_task_is_left(lane: Lane) -> None:
    before = asyncio.all_tasks()
    await stream_of(putting(3), lane, CollectingSink()).run()
    with pytest.raises(SourceError):
        await stream_of(putting(3, then=SourceError()), lane, CollectingSink()).run()
    assert asyncio.all_tasks() == before


class Marked:
    """Work whose records tell its run's name and order: what began, each frame, what ended."""

    in_order = False
    aside = None

    def __init__(self, name: str, log: list[str], work: Callable[[Frame], object] | None = None) -> None:
        self._name = name
        self._log = log
        self._work = work or (lambda _: None)

    def _record(self, what: str) -> list[Record]:
        return [Record("door", f"{self._name} {what}".encode())]

    def begin(self) -> list[Record]:
        return self._record("begins")

    def look(self, frame: Frame, turn: int) -> Sample:
        self._work(frame)
        return Sample(frame)

    def tell(self, sample: Sample, *, live: bool = False) -> list[Record]:
        return self._record(str(sample.frame.index))

    def end(self) -> list[Record]:
        return self._record("ends")

    def settle(self) -> None:
        self._log.append(self._name)


def told(name: str, indices: range) -> list[bytes]:
    return [f"{name} {what}".encode() for what in ("begins", *indices, "ends")]


@pytest.mark.parametrize("live", [True, False])
async def test_a_change_of_the_work_goes_on_with_the_same_source(lane: Lane, live: bool) -> None:
    settled: list[str] = []
    sink, other = CollectingSink(), CollectingSink()

    async def script(feed: Feed) -> None:
        for index in range(20):
            if index == 8:
                stream.change(lambda _: Marked("new", settled), [other], WORKERS)
            if live:
                feed.offer(frame(index))
                await until(lambda: stream.counts.pending == 0)
            else:
                await feed.put(frame(index))

    source = ScriptedSource(script)
    stream = Stream("door", source, lambda _: Marked("old", settled), lane, [sink], WORKERS)
    await stream.run()
    assert sink.values == told("old", range(8))
    assert other.values == told("new", range(8, 20))
    assert settled == ["old", "new"]
    assert source.runs == 1
    assert (stream.counts.received, stream.counts.acknowledged) == (20, 20)


async def test_a_frame_that_waits_for_room_goes_to_the_work_that_it_came_for(lane: Lane) -> None:
    gate = Gate()
    sink = CollectingSink()
    settled: list[str] = []
    stream = Stream("door", putting(6), lambda _: Marked("old", settled, gate), lane, [sink], 1)
    running = asyncio.create_task(stream.run())
    await gate.reached_by(1)
    await until(lambda: stream.counts.received == 3)  # one at work, one in the inbox, one that waits for room
    stream.change(lambda _: Marked("new", settled), [sink], 1)
    gate.opened.set()
    await running
    assert sink.values == told("old", range(3)) + told("new", range(3, 6))
    assert stream.counts.acknowledged == 6


async def test_of_several_changes_at_once_each_has_its_turn_and_a_stop_ends_all(lane: Lane) -> None:
    settled: list[str] = []
    sink = CollectingSink()
    stream = Stream("door", ScriptedSource(for_ever), lambda _: Marked("0", settled), lane, [sink], WORKERS)
    running = asyncio.create_task(stream.run())
    await until(lambda: stream.counts.acknowledged > 3)
    for name in ("1", "2", "3"):
        stream.change(lambda _, name=name: Marked(name, settled), [sink], WORKERS)  # type: ignore[misc]
    await until(lambda: b"3 begins" in sink.values)
    stream.stop()
    await running
    order = [value for value in sink.values if not value.split()[1].isdigit()]
    names = list(dict.fromkeys(value.split()[0] for value in order))
    assert names[0] == b"0" and names[-1] == b"3"
    assert order == [part for name in names for part in (name + b" begins", name + b" ends")]
    counts = stream.counts
    assert counts.pending == 0
    assert counts.received == counts.acknowledged + counts.dropped.total()


async def test_a_cancelled_run_drops_what_waits_for_a_change(lane: Lane) -> None:
    gate = Gate()
    settled: list[str] = []
    sink = CollectingSink()
    stream = Stream("door", offering(5), lambda _: Marked("old", settled, gate), lane, [sink], 1)
    running = asyncio.create_task(stream.run())
    await gate.reached_by(1)
    stream.change(lambda _: Marked("new", settled), [sink], 1)
    await until(lambda: stream.counts.received == 5)
    running.cancel()
    gate.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert stream.counts.pending == 0
    assert stream.counts.dropped[STOPPED] >= 1


async def test_a_stop_that_is_asked_for_twice_still_waits_for_the_source(lane: Lane) -> None:
    ended: list[bool] = []

    async def slow(feed: Feed) -> None:
        try:
            await for_ever(feed)
        finally:
            await asyncio.sleep(0.05)  # as a thread that is still in FFmpeg
            ended.append(True)

    stream = stream_of(ScriptedSource(slow), lane, CollectingSink())
    running = asyncio.create_task(stream.run())
    await until(lambda: stream.counts.received > 0)
    for _ in range(3):
        stream.stop()
        await asyncio.sleep(0.005)
    await running
    assert ended == [True]


async def test_who_watches_gets_all_records_also_where_there_is_no_sink(lane: Lane) -> None:
    watches = Watches()
    door = watches.join("door")
    subscription = Subscription(watches, door)
    stream = stream_of(putting(20), lane, watched=door)
    await stream.run()
    assert (stream.counts.received, stream.counts.acknowledged) == (20, 20)
    assert [event.value for event in subscription.take()[1]] == values(range(20))
    stream.leave()
    assert subscription.ended


async def test_who_watches_waits_for_no_sink(lane: Lane) -> None:
    watches = Watches()
    door, sink = watches.join("door"), CollectingSink()
    sink.open.clear()
    stream = stream_of(putting(3), lane, sink, watched=door)
    running = asyncio.create_task(stream.run())
    await until(lambda: watches.sequence == 1)
    assert stream.counts.acknowledged == 0
    sink.open.set()
    await running
    assert sink.values == values(range(3))


async def test_the_last_look_has_the_frame_as_it_came_and_what_was_found_on_it(lane: Lane) -> None:
    converted: list[int] = []

    def coming(index: int) -> Frame:
        def load() -> Image:
            converted.append(index)
            return np.full((2, 2, 3), index, np.uint8)

        return Frame(load, width=2, height=2, index=index)

    async def script(feed: Feed) -> None:
        for index in range(5):
            await feed.put(coming(index))

    class Finder(Work):
        def __call__(self, samples: Sequence[Sample]) -> None:
            for sample in samples:
                sample.objects = [Object("face", np.full(4, sample.frame.image[0, 0, 0], float))]
                sample.put(NOTHING)

    watches = Watches()
    door = watches.join("door")
    make_work = lambda run: Untracked(Finder(), Emission(index_of, "objects", run))  # noqa: E731
    await Stream("door", ScriptedSource(script), make_work, lane, (), WORKERS, watched=door).run()
    look = door.look
    assert look is not None
    assert sorted(converted) == list(range(5))  # once each, for the work
    assert look.sample.objects[0].box_xyxy[0] == 4
    assert (look.sample.frame.index, look.sample.frame.image[0, 0, 0]) == (4, 4)
    assert sorted(converted) == [0, 1, 2, 3, 4, 4]


async def test_of_frames_that_may_not_leave_none_is_shown_and_it_is_said_why(lane: Lane) -> None:
    """Nor of one of which nobody has said whom to hide."""
    said = [NOTHING, Hiding(NOTHING.boxes_xyxy, withheld="not looked at for face"), None]

    async def script(feed: Feed) -> None:
        for index in range(3):
            await feed.put(frame(index))

    class Hides(Work):
        def __call__(self, samples: Sequence[Sample]) -> None:
            for sample in samples:
                if (hiding := said[sample.frame.index]) is not None:
                    sample.put(hiding)

    door = Watches().join("door")
    make_work = lambda run: Untracked(Hides(), Emission(index_of, "every", run))  # noqa: E731
    await Stream("door", ScriptedSource(script), make_work, lane, (), WORKERS, watched=door).run()
    assert door.look is not None
    assert door.look.sample.frame.index == 0
    assert door.withheld == "not looked at for face"


@pytest.mark.parametrize("live", [True, False])
async def test_its_threads_know_what_they_work_on(lane: Lane, live: bool) -> None:
    found: dict[str, object] = {}

    class One:
        def read(self, out: Out) -> None:
            found["reader"] = dict(ABOUT.get())
            (out.offer if live else out.put)(frame(0))

    def work(_: Frame) -> None:
        found["worker"] = dict(ABOUT.get())

    with about(stream="door"):
        running = asyncio.create_task(stream_of(InThread(One(), "reader"), lane, work=work).run())
    await running
    assert found == {"reader": {"stream": "door"}, "worker": {"stream": "door"}}
