import asyncio
import contextlib
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from daemon.control.build import Builder, Built
from daemon.control.reconciler import Reconciler
from daemon.control.settings import StreamSettings
from daemon.errors import SourceError
from daemon.flow.delivery import Delivery
from daemon.flow.engine import Engine
from daemon.flow.spans import SPAN, Tracer, within
from daemon.flow.stream import Figures
from daemon.flow.watched import Watched, Watches
from daemon.logs import ABOUT, about
from daemon.sources import make_source
from daemon.sources.base import Feed
from daemon.work.emission import Emission
from daemon.work.settings import ProcessorSettings
from daemon.work.untracked import Untracked
from models.store import ModelStore
from processors.types import Sample
from sinks.base import Record
from tests.fakes import ScriptedSource, Work, frame
from tests.waiting import until


class Kept:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.values: list[bytes] = []

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    async def write(self, records: Any) -> None:
        self.values += [record.value for record in records]


class Bench:
    """A reconciler, and streams of scripted sources for it."""

    def __init__(self, engine: Engine, store: ModelStore) -> None:
        self.engine = engine
        self.sink = Kept()
        self.delivery = Delivery("out", self.sink)
        builder = Builder(engine, engine.lane("shots"), store, ProcessorSettings(), {"out": self.delivery}, None)
        self.builder = builder
        self.reconciler = Reconciler(builder, stop_timeout=1.0)

    def built(self, scripted: ScriptedSource, mark: str = "", **others: Any) -> Built:
        settings = StreamSettings(**({"source": "rtsp://10.0.0.5/1"} | others))

        def record(sample: Sample, run: str) -> Record:
            return Record("door", f"{mark}{sample.frame.index}".encode())

        return Built(
            settings,
            make_source,
            scripted,
            lambda run: Untracked(Work(), Emission(record, "every", run)),
            [self.delivery],
            1,
            settings.weight,
            Figures(),
        )

    def state(self, stream: str = "door") -> str:
        return self.reconciler.supervisors[stream].state

    def received(self, stream: str = "door") -> int:
        return self.reconciler.supervisors[stream].stream.counts.received


@pytest.fixture
async def bench(store: ModelStore) -> AsyncIterator[Bench]:
    """All of it runs; at the end nothing is left of it."""
    engine = Engine(1)
    bench = Bench(engine, store)
    threads = threading.active_count()
    running = [asyncio.create_task(bench.reconciler.run()), asyncio.create_task(bench.delivery.run())]
    yield bench
    bench.reconciler.stop()
    await running[0]
    assert [lane.name for lane in engine._lanes] == ["shots"]
    await bench.delivery.close(1.0)
    await running[1]
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert threading.active_count() == threads
    await engine.close()


async def for_ever(feed: Feed) -> None:
    index = 0
    while True:
        await feed.put(frame(index))
        await asyncio.sleep(0.001)
        index += 1


async def three(feed: Feed) -> None:
    for index in range(3):
        await feed.put(frame(index))


async def stuck(feed: Feed) -> None:
    """Heeds no stop."""
    await feed.put(frame(0))
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3)
            return


async def test_what_is_wanted_runs_until_it_is_not(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench.reconciler.want("door", bench.built(ScriptedSource(for_ever)))
    await until(lambda: bench.state() == "running")
    bench.reconciler.want("door", None)
    await until(lambda: "door" not in bench.reconciler.supervisors)
    (told,) = (record.message for record in caplog.records if "removed" in record.message)
    assert told.startswith("door: removed: ")
    assert f"{len(bench.sink.values)} acknowledged" in told


async def test_a_stream_has_no_part_in_the_request_that_added_it(bench: Bench) -> None:
    found: list[object] = []

    async def look_about(_: Feed) -> None:
        found.append((dict(ABOUT.get()), SPAN.get()))

    with about(request_id="abc"), within(Tracer(1.0, print).begin("POST /streams")):
        bench.reconciler.want("door", bench.built(ScriptedSource(look_about)))
    await until(lambda: bench.state() == "ended")
    assert found == [({"stream": "door"}, None)]


async def test_a_paused_stream_leaves_its_source_alone_and_keeps_its_counts(bench: Bench) -> None:
    source = ScriptedSource(for_ever)
    bench.reconciler.want("door", bench.built(source, paused=True))
    await until(lambda: bench.state() == "paused")
    assert source.runs == 0
    bench.reconciler.want("door", bench.built(source))
    await until(lambda: bench.state() == "running" and bench.received() > 3)
    bench.reconciler.want("door", bench.built(source, paused=True))
    await until(lambda: bench.reconciler._kept["door"]._running is None)
    assert bench.state() == "paused"
    counted = bench.received()
    assert counted > 3
    bench.reconciler.want("door", bench.built(source))
    await until(lambda: bench.received() > counted)
    assert source.runs == 2


async def test_a_change_of_the_work_does_not_touch_the_source(bench: Bench) -> None:
    source, never = ScriptedSource(for_ever), ScriptedSource(for_ever)
    bench.reconciler.want("door", bench.built(source, "old "))
    await until(lambda: bench.received() > 3)
    bench.reconciler.want("door", bench.built(never, "new ", emit="objects", weight=2.0))
    await until(lambda: any(value.startswith(b"new") for value in bench.sink.values))
    assert (source.runs, never.runs) == (1, 0)
    assert bench.reconciler._kept["door"].lane.weight == 2.0
    indices = [int(value.split()[1]) for value in bench.sink.values]
    assert indices == list(range(len(indices)))


async def test_a_change_of_the_source_connects_the_new_one(bench: Bench) -> None:
    source, other = ScriptedSource(for_ever), ScriptedSource(for_ever)
    bench.reconciler.want("door", bench.built(source))
    await until(lambda: bench.received() > 3)
    bench.reconciler.want("door", bench.built(other, source="rtsp://10.0.0.6/1"))
    await until(lambda: other.runs == 1)
    assert source.runs == 1


async def test_words_for_people_change_nothing_that_runs(bench: Bench) -> None:
    source = ScriptedSource(for_ever)
    bench.reconciler.want("door", bench.built(source))
    await until(lambda: bench.received() > 0)
    bench.reconciler.want("door", bench.built(ScriptedSource(), name="Tür", labels={"site": "depot"}))
    stream = bench.reconciler.supervisors["door"].stream
    await until(lambda: stream.title == "Tür")
    assert stream.labels == {"site": "depot"}
    assert source.runs == 1


async def test_a_restart_connects_anew_also_what_has_ended(bench: Bench) -> None:
    source = ScriptedSource(three, for_ever)
    bench.reconciler.want("door", bench.built(source))
    await until(lambda: bench.state() == "ended")
    assert bench.reconciler.is_idle
    for runs in (2, 3):
        bench.reconciler.restart("door")
        await until(lambda runs=runs: source.runs == runs and bench.state() == "running")  # type: ignore[misc]
    assert not bench.reconciler.is_idle


async def test_the_last_of_many_changes_holds(bench: Bench) -> None:
    sources = [ScriptedSource(for_ever) for _ in range(30)]
    for number, source in enumerate(sources):
        paused, gone = number % 3 == 1, number % 7 == 3
        built = bench.built(source, source=f"rtsp://10.0.0.{number}/1", paused=paused)
        bench.reconciler.want("door", None if gone else built)
        if number % 2:
            await asyncio.sleep(0)
    await until(lambda: sources[-1].runs == 1 and bench.state() == "running")
    assert sum(source.runs for source in sources) <= 4


async def test_a_refused_stream_says_why_in_its_state(bench: Bench) -> None:
    bench.reconciler.want("door", bench.builder.refuse(None, "no such model"))
    supervisor = bench.reconciler.supervisors["door"]
    await until(lambda: supervisor.error is not None)
    assert (supervisor.state, supervisor.error) == ("waiting", "no such model")
    source = ScriptedSource(for_ever)
    bench.reconciler.want("door", bench.built(source))
    await until(lambda: source.runs == 1 and bench.state() == "running")
    assert supervisor.error is None


async def test_a_source_that_fails_is_tried_again_under_the_one_supervisor(bench: Bench) -> None:
    async def fail(feed: Feed) -> None:
        raise SourceError("gone")

    source = ScriptedSource(fail, for_ever)
    bench.reconciler.want("door", bench.built(source))
    await until(lambda: bench.state() == "running")
    assert bench.reconciler.supervisors["door"].restarts == 1


@pytest.mark.slow
async def test_one_that_does_not_stop_is_dropped_after_its_time(
    store: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine(1)
    bench = Bench(engine, store)
    bench.reconciler._stop_timeout = 0.1
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(bench.delivery.run())
        running = group.create_task(bench.reconciler.run())
        bench.reconciler.want("door", bench.built(ScriptedSource(stuck)))
        await until(lambda: bench.received() == 1)
        bench.reconciler.want("door", None)
        await until(lambda: "door" not in bench.reconciler.supervisors)
        assert "has not ended in 0.1 s" in caplog.text
        bench.reconciler.stop()
        await asyncio.wait([running])
        await bench.delivery.close(1.0)
    await engine.close()


async def test_idle_is_when_all_have_ended(bench: Bench) -> None:
    bench.reconciler.want("door", bench.built(ScriptedSource(three)))
    bench.reconciler.want("yard", bench.built(ScriptedSource(three)))
    async with asyncio.timeout(5):
        await bench.reconciler.until_idle()
    assert {bench.state("door"), bench.state("yard")} == {"ended"}


async def test_what_was_seen_before_less_may_be_seen_is_forgotten_though_nothing_comes_after_it(bench: Bench) -> None:
    watches = Watches()
    bench.builder._watches = watches
    source = ScriptedSource(silent)
    masks = [[[0, 0], [1, 0], [1, 1]]]
    zone = {"name": "till", "polygon": [[0, 0], [1, 0], [1, 1]]}

    def show() -> Watched:
        door = watches.watched("door")
        door.show(Sample(frame(0)), door.era)
        assert door.look is not None
        return door

    bench.reconciler.want("door", bench.built(source))
    await until(lambda: source.runs == 1)
    door = show()
    bench.reconciler.want("door", bench.built(source, privacy={"hide": "faces"}))
    await until(lambda: door.look is None)
    assert source.runs == 1
    show()
    bench.reconciler.want("door", bench.built(source, masks=masks))
    await until(lambda: source.runs == 2)  # the decoder has to know
    assert door.look is None
    show()
    bench.reconciler.want("door", bench.built(source, masks=masks, zones=[zone], fps=5))
    await until(lambda: source.runs == 3)
    assert door.look is not None  # neither hides anybody


async def silent(_: Feed) -> None:
    await asyncio.Event().wait()
