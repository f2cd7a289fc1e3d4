"""A pipeline alone: what its work says, told to the sinks in order, and every receipt ended."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from daemon.flow import pipeline
from daemon.flow.aside import Waiting
from daemon.flow.delivery import Delivery
from daemon.flow.engine import Engine, Lane
from daemon.flow.pipeline import NOTHING_TO_TELL, OVERLOAD, STOPPED, Outgoing, Pipeline
from daemon.flow.queues import QueueClosed
from daemon.flow.receipts import Counts
from daemon.flow.watched import Watches
from processors.types import Frame, Sample
from sinks.base import Record, SinkError
from tests.fakes import CollectingSink, frame
from tests.flow.test_aside import Listed, Noted
from tests.waiting import until

WORKERS = 2


def document(name: str) -> Record:
    return Record("key", name.encode())


def event(name: str) -> Record:
    return Record("key", name.encode(), topic="events", durable=True)


class Script:
    """Work that tells each frame's index, or what `tell` says; notes what it was asked."""

    def __init__(
        self,
        *,
        in_order: bool = True,
        begin: Sequence[Record] = (),
        tell: Callable[[int], Sequence[Record]] = lambda index: [document(f"{index}")],
        end: Sequence[Record] = (),
        aside: Waiting | None = None,
    ) -> None:
        self.in_order = in_order
        self.aside = aside
        self.asked: list[str] = []
        self.told: list[int] = []
        self.told_live: list[int] = []
        self.turns: dict[int, int] = {}
        self.reached = {what: threading.Semaphore(0) for what in ("begin", "look", "tell", "end", "settle")}
        self.gates = {what: threading.Event() for what in self.reached}
        for gate in self.gates.values():
            gate.set()
        self._begin, self._tell, self._end = begin, tell, end

    def begin(self) -> Sequence[Record]:
        self._pass("begin")
        return self._begin

    def look(self, frame: Frame, turn: int) -> Sample:
        self.turns[frame.index] = turn
        self._pass("look")
        return Sample(frame)

    def tell(self, sample: Sample, *, live: bool = False) -> Sequence[Record]:
        self._pass("tell")
        self.told.append(sample.frame.index)
        if live:
            self.told_live.append(sample.frame.index)
        return self._tell(sample.frame.index)

    def end(self) -> Sequence[Record]:
        self._pass("end")
        return self._end

    def settle(self) -> None:
        self._pass("settle")

    def _pass(self, what: str) -> None:
        self.asked.append(what)
        self.reached[what].release()
        assert self.gates[what].wait(10)

    async def at(self, what: str) -> None:
        assert await asyncio.to_thread(self.reached[what].acquire, timeout=10)


class Outages:
    """A sink that takes all but while it `fails`."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.fails = False
        self.written: list[Record] = []

    async def open(self) -> None:
        pass

    async def write(self, records: Sequence[Record]) -> None:
        if self.fails:
            raise SinkError("away", retriable=True)
        self.written += records

    async def close(self) -> None:
        pass


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = Engine(WORKERS)
    yield engine
    await engine.close()


@pytest.fixture
def lane(engine: Engine) -> Lane:
    return engine.lane("stream")


async def carried(
    work: Script, lane: Lane, sinks: Sequence[Outgoing], frames: int, counts: Counts, window: int = WORKERS
) -> None:
    """A run of so many frames that wait."""
    line = Pipeline("hall", work, lane, sinks, window)
    running = asyncio.create_task(line.run())
    for index in range(frames):
        await line.put(frame(index), counts.open())
    line.close()
    await running


class TestFreshness:
    async def test_what_waits_for_a_worker_is_the_newest_there_is(self, engine: Engine, lane: Lane) -> None:
        work, sink, counts = Script(in_order=False), CollectingSink(), Counts()
        reached, released = threading.Barrier(WORKERS + 1), threading.Event()

        def hold() -> None:
            reached.wait(10)
            assert released.wait(10)

        line = Pipeline("hall", work, lane, [sink], 3)
        running = asyncio.create_task(line.run())
        await work.at("begin")
        busy = [engine.lane("others").submit(hold) for _ in range(WORKERS)]
        await asyncio.to_thread(reached.wait, 10)
        for index in range(10):
            line.offer(frame(index), counts.open())
        released.set()
        line.close()
        await running
        await asyncio.gather(*busy)
        assert sink.values == [b"6", b"7", b"8", b"9"]  # three in the window and one in the inbox
        assert dict(counts.dropped) == {OVERLOAD: 6}
        assert work.turns == {
            6: 0,
            7: 1,
            8: 2,
            9: 3,
        }  # what is dropped takes none


class TestRun:
    async def test_records_come_before_all_frames_and_after_them(self, lane: Lane) -> None:
        sink, counts = CollectingSink(), Counts()
        work = Script(begin=[event("b1"), event("b2")], end=[event("e")])
        await carried(work, lane, [sink], 3, counts)
        assert sink.values == [b"b1", b"b2", b"0", b"1", b"2", b"e"]
        assert counts.acknowledged == counts.received == 3  # those of no frame are not counted as frames
        assert work.asked[-2:] == ["end", "settle"]

    async def test_a_run_without_frames_begins_and_ends(self, lane: Lane) -> None:
        sink, work = CollectingSink(), Script(begin=[event("b")], end=[event("e")])
        await carried(work, lane, [sink], 0, Counts())
        assert sink.values == [b"b", b"e"]
        assert work.asked == ["begin", "end", "settle"]

    async def test_each_sink_gets_what_it_takes_and_what_none_takes_is_acknowledged(self, lane: Lane) -> None:
        """Frame 0 makes one record, frame 1 another, frame 2 both."""
        counts, even, odd = Counts(), CollectingSink(b"even"), CollectingSink(b"odd", b"b")
        told = [["even"], ["odd"], ["even", "odd"], ["neither"]]
        work = Script(
            begin=[event("b")],
            tell=lambda index: [document(name) for name in told[index]],
            end=[event("neither")],
        )
        await carried(work, lane, [even, odd], 4, counts)
        assert (even.values, odd.values) == ([b"even"] * 2, [b"b", b"odd", b"odd"])
        assert (counts.acknowledged, counts.received, counts.untaken) == (4, 4, 1)
        assert work.asked[-1] == "settle"  # all that was said of no frame is where it is to be

    async def test_those_who_watch_are_no_sink(self, lane: Lane) -> None:
        counts, watches = Counts(), Watches()
        line = Pipeline("hall", Script(), lane, [CollectingSink(b"0")], 1, watched=watches.join("hall"))
        running = asyncio.create_task(line.run())
        for index in range(3):
            await line.put(frame(index), counts.open())
        line.close()
        await running
        assert (counts.acknowledged, counts.untaken, watches.sequence) == (3, 2, 3)

    async def test_each_sink_gets_all(self, lane: Lane) -> None:
        sinks = [CollectingSink(), CollectingSink()]
        work = Script(begin=[event("b")], tell=lambda index: [document(f"{index}"), event(f"e{index}")])
        counts = Counts()
        await carried(work, lane, sinks, 2, counts)
        assert sinks[0].values == sinks[1].values == [b"b", b"0", b"e0", b"1", b"e1"]
        assert counts.acknowledged == 2

    async def test_what_needs_an_order_is_told_in_it_one_at_a_time(self, lane: Lane) -> None:
        work = Script()
        await carried(work, lane, [CollectingSink()], 40, Counts(), window=8)
        assert work.told == list(range(40))

    async def test_what_needs_none_is_told_in_parallel(self, lane: Lane) -> None:
        work, counts = Script(in_order=False), Counts()
        work.gates["tell"].clear()
        running = asyncio.create_task(carried(work, lane, [CollectingSink()], 4, counts))
        await work.at("tell")
        await work.at("tell")
        work.gates["tell"].set()
        await running
        assert counts.acknowledged == 4

    @pytest.mark.parametrize("in_order", [True, False])
    async def test_a_frame_of_which_there_is_nothing_to_tell_is_skipped(self, lane: Lane, in_order: bool) -> None:
        sink, counts = CollectingSink(), Counts()
        work = Script(in_order=in_order, tell=lambda index: [document(f"{index}")] if index % 3 == 0 else [])
        await carried(work, lane, [sink], 7, counts)
        assert sink.values == [b"0", b"3", b"6"]
        assert (counts.acknowledged, dict(counts.skipped)) == (3, {NOTHING_TO_TELL: 4})

    async def test_a_frame_whose_telling_fails_fails_alone(self, lane: Lane) -> None:
        def tell(index: int) -> Sequence[Record]:
            if index == 1:
                raise ZeroDivisionError
            return [document(f"{index}")]

        sink, counts = CollectingSink(), Counts()
        await carried(Script(tell=tell), lane, [sink], 3, counts)
        assert sink.values == [b"0", b"2"]
        assert dict(counts.failed) == {"ZeroDivisionError": 1}

    @pytest.mark.parametrize("part", ["_begin", "_end"])
    async def test_work_that_cannot_begin_or_end_ends_the_run_and_every_receipt(self, lane: Lane, part: str) -> None:
        work, counts = Script(), Counts()
        setattr(work, part, None)  # what is no sequence of records
        line = Pipeline("hall", work, lane, [CollectingSink()], WORKERS)
        for index in range(5):
            line.offer(frame(index), counts.open())
        line.close()
        with pytest.raises(TypeError):
            await line.run()
        assert counts.pending == 0


class TestInbox:
    async def test_frames_that_nobody_waits_with_are_carried_in_order(self, lane: Lane) -> None:
        work, sink, counts = Script(), CollectingSink(), Counts()
        line = Pipeline("hall", work, lane, [sink], 1, inbox=5)
        for index in range(6):  # one in the window, the others in the inbox
            line.put_nowait(frame(index), counts.open())
        with pytest.raises(asyncio.QueueFull):
            line.put_nowait(frame(6), counts.open())
        line.close()
        await line.run()
        assert [record.value for record in sink.records] == [b"%d" % index for index in range(6)]
        assert (counts.acknowledged, counts.dropped) == (6, {STOPPED: 1})

    async def test_a_run_that_was_cancelled_before_it_began_is_discarded(self, lane: Lane) -> None:
        line, counts = Pipeline("hall", Script(), lane, [CollectingSink()], 1, inbox=5), Counts()
        for index in range(4):
            line.put_nowait(frame(index), counts.open())
        running = asyncio.create_task(line.run())
        running.cancel()
        await asyncio.wait([running])
        assert counts.pending == 4
        line.discard()
        line.discard()
        assert counts.dropped == {STOPPED: 4}
        with pytest.raises(QueueClosed):
            line.put_nowait(frame(4), counts.open())
        assert counts.dropped == {STOPPED: 5}


class TestSettling:
    async def test_not_before_the_sinks_have_what_was_said_last(self, lane: Lane) -> None:
        sink, work = Outages(), Script(begin=[event("b")], end=[event("e")])
        delivery = Delivery("out", sink)
        delivering = asyncio.create_task(delivery.run())
        sink.fails = True
        running = asyncio.create_task(carried(work, lane, [delivery], 1, Counts()))
        await work.at("end")
        await asyncio.sleep(0.05)
        assert not running.done()
        sink.fails = False
        await asyncio.wait_for(running, 5)
        assert work.asked[-1] == "settle"
        await delivery.close(1)
        await delivering

    async def test_not_at_all_where_that_takes_too_long(self, lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pipeline, "SETTLE_S", 0.05)
        work = Script(end=[event("e")])
        delivery = Delivery("out", Outages())  # which nobody runs
        await asyncio.wait_for(carried(work, lane, [delivery], 0, Counts()), 5)
        assert work.asked[-1] == "end"
        await delivery.close(0)

    async def test_not_where_they_were_dropped(self, lane: Lane) -> None:
        work = Script(end=[event("e")])
        delivery = Delivery("out", Outages())
        await delivery.close(0)
        await carried(work, lane, [delivery], 0, Counts())
        assert work.asked[-1] == "end"


class TestDurable:
    """Of a camera, whose frames never wait."""

    async def test_what_is_durable_waits_for_room_and_documents_do_not(self, lane: Lane) -> None:
        told: list[int] = []

        def tell(index: int) -> Sequence[Record]:
            told.append(index)
            return [*([event(f"e{index}")] if index % 4 == 3 else []), document(f"{index}")]

        counts, sink = Counts(), Outages()
        delivery = Delivery("out", sink, backlog=5)
        line = Pipeline("hall", Script(tell=tell), lane, [delivery], 1)
        running = asyncio.create_task(line.run())
        for index in range(8):
            line.offer(frame(index), counts.open())
            await until(lambda: len(told) == index + 1)  # noqa: B023  # awaited at once
        # There is no room for the second event: what comes of frames waits for it, and the frames are dropped.
        for index in range(8, 12):
            line.offer(frame(index), counts.open())
        await asyncio.sleep(0.02)
        assert told == list(range(8))
        assert dict(counts.dropped) == {OVERLOAD: 3, "out: backlog full": 3}
        delivering = asyncio.create_task(delivery.run())
        line.close()
        await asyncio.wait_for(running, 5)
        await delivery.close(5)
        await delivering
        assert b" ".join(record.value for record in sink.written) == b"e3 3 4 5 6 e7 7 e11 11"
        assert counts.pending == 0


class TestCancel:
    """Wherever it is, no receipt stays open (tests/accounting.py) and no task."""

    @pytest.mark.parametrize("what", ["begin", "look", "tell", "end", "settle"])
    @pytest.mark.parametrize("in_order", [True, False])
    async def test_while_the_work_is_at_something(self, lane: Lane, what: str, in_order: bool) -> None:
        work, counts = Script(in_order=in_order, begin=[event("b")], end=[event("e")]), Counts()
        work.gates[what].clear()
        line = Pipeline("hall", work, lane, [CollectingSink()], 3)
        running = asyncio.create_task(line.run())
        await asyncio.sleep(0)  # it has begun: Python 3.14's to_thread() may come back before a task's first step
        if what in ("end", "settle"):
            line.close()
        else:
            for index in range(6):
                line.offer(frame(index), counts.open())
        await work.at(what)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(running, 5)
        assert counts.pending == 0
        assert set(counts.dropped) <= {STOPPED, OVERLOAD}
        work.gates[what].set()
        await until(lambda: lane.waiting == 0)
        assert len(asyncio.all_tasks()) == 1

    @pytest.mark.parametrize("before", ["begin", "frame", "end"])
    async def test_while_a_sink_has_no_room(self, lane: Lane, before: str) -> None:
        records = [event("1"), event("2")]
        work = Script(
            begin=records if before == "begin" else [],
            tell=lambda _: records if before == "frame" else [],
            end=records if before == "end" else [],
        )
        free, full, third = CollectingSink(), CollectingSink(), CollectingSink()
        full.open.clear()
        counts = Counts()
        line = Pipeline("hall", work, lane, [free, full, third], 2)
        running = asyncio.create_task(line.run())
        for index in range(6):
            line.offer(frame(index), counts.open())
        line.close()
        await until(lambda: bool(free.records))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(running, 5)
        assert (len(free.records), third.records) == (1, [])
        assert counts.pending == 0

    async def test_while_the_sinks_are_awaited_at_the_end(self, lane: Lane) -> None:
        work = Script(end=[event("e")])
        delivery = Delivery("out", Outages())
        running = asyncio.create_task(carried(work, lane, [delivery], 0, Counts()))
        await until(lambda: delivery.counts.pending == 1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(running, 5)
        assert work.asked[-1] == "end"
        await delivery.close(0)

    @pytest.mark.parametrize("what", ["look", "tell"])
    async def test_an_engine_that_closes(self, engine: Engine, lane: Lane, what: str) -> None:
        work, counts = Script(), Counts()
        work.gates[what].clear()
        line = Pipeline("hall", work, lane, [CollectingSink()], 4)
        running = asyncio.create_task(line.run())
        for index in range(6):
            line.offer(frame(index), counts.open())
        await work.at(what)
        closing = asyncio.create_task(engine.close())
        await asyncio.sleep(0.01)
        work.gates[what].set()
        results = await asyncio.wait_for(asyncio.gather(running, return_exceptions=True), 5)
        await closing
        assert isinstance(results[0], BaseException)
        assert counts.pending == 0


class TestAside:
    async def test_frames_that_wait_wait_for_all_and_a_cameras_do_not(self, engine: Engine, lane: Lane) -> None:
        work, counts = Script(aside=Listed()), Counts()
        line = Pipeline("hall", work, lane, [CollectingSink()], WORKERS, aside=engine.lane("aside"))
        running = asyncio.create_task(line.run())
        await line.put(frame(0), counts.open())
        await until(lambda: counts.acknowledged == 1)
        line.offer(frame(1), counts.open())
        line.close()
        await running
        assert (work.told, work.told_live) == ([0, 1], [1])

    async def test_what_was_put_aside_is_worked_on_and_ends_before_the_run(self, engine: Engine, lane: Lane) -> None:
        job, waiting = Noted(), Noted()
        work, counts = Script(aside=Listed(job, waiting)), Counts()
        line = Pipeline("hall", work, lane, [CollectingSink()], 1, aside=engine.lane("aside"))
        running = asyncio.create_task(line.run())
        line.offer(frame(0), counts.open())
        await until(lambda: job.begun == 1)
        line.close()
        await until(lambda: waiting.ended == STOPPED)
        assert "end" not in work.asked
        job.gate.set()
        await running
        assert job.ended == "done"
        assert "end" in work.asked

    async def test_a_run_that_is_cancelled_gives_it_up(self, engine: Engine, lane: Lane) -> None:
        job, waiting = Noted(), Noted()
        work, counts = Script(aside=Listed(job, waiting)), Counts()
        line = Pipeline("hall", work, lane, [CollectingSink()], 1, aside=engine.lane("aside"))
        running = asyncio.create_task(line.run())
        line.offer(frame(0), counts.open())
        await until(lambda: job.begun == 1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await until(lambda: job.ended == "CancelledError")
        assert waiting.ended == STOPPED
        job.gate.set()
