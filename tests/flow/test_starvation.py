"""A stream that runs and gets nowhere says so, and says when that is over."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import pytest

from daemon.errors import DamagedImage, SourceError
from daemon.flow import delivery, history, overview, starvation, supervisor
from daemon.flow.delivery import Delivery
from daemon.flow.engine import Engine
from daemon.flow.overview import Overview
from daemon.flow.pipeline import NOTHING_TO_TELL, OVERLOAD
from daemon.flow.receipts import Counts, Receipt
from daemon.flow.starvation import MOST_FAILED, reason_to_starve
from daemon.flow.stream import Stream
from daemon.flow.supervisor import Supervisor
from daemon.flow.timing import Timing
from daemon.flow.watched import Watches
from daemon.sources.base import Feed
from daemon.work.emission import Emission
from daemon.work.untracked import Untracked
from processors.types import Frame, Sample
from sinks.base import Record, SinkError
from tests.fakes import ScriptedSource, Work, frame
from tests.flow.test_delivery import ScriptedSink
from tests.waiting import until

# By the counters alone


class Second:
    """Counts that are sampled every second, on a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts = Counts()
        self.pending: list[Receipt] = []
        self.now = 1000.0
        self.reason: str | None = None
        monkeypatch.setattr(history, "time", self)

    def monotonic(self) -> float:
        return self.now

    def pass_with(self, *, seconds: int = 1, **ended: int) -> str | None:
        """In each second so many frames come and end so; `pending` ones do not end."""
        for _ in range(seconds):
            for how, count in ended.items():
                for _ in range(count):
                    receipt = self.counts.open()
                    if how == "done":
                        receipt.acknowledge()
                    elif how == "untold":
                        receipt.skip(NOTHING_TO_TELL)
                    elif how == "passed_over":
                        receipt.skip("no motion")
                    elif how == "dropped":
                        receipt.drop(OVERLOAD)
                    elif how == "failed":
                        receipt.fail("DamagedImage")
                    else:
                        self.pending.append(receipt)
            self.now += 1
            self.counts.sample()
            self.reason = reason_to_starve(self.counts, ["busy"], starving=self.reason is not None)
        return self.reason


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> Iterator[Second]:
    second = Second(monkeypatch)
    yield second
    for receipt in second.pending:
        receipt.drop("stopped")


def test_more_than_half_dropped(second: Second) -> None:
    assert second.pass_with(done=2, dropped=23, passed_over=25, seconds=11) == (
        "busy: 230 of 250 frames of the last 10 s were dropped (overload: 230)"
    )


def test_half_dropped_is_borne(second: Second) -> None:
    assert second.pass_with(done=5, dropped=5, seconds=20) is None


def test_what_is_passed_over_was_not_wanted(second: Second) -> None:
    """Of those that were looked at most are dropped, however many are not."""
    assert second.pass_with(passed_over=100, seconds=20) is None
    assert second.pass_with(done=1, dropped=4, passed_over=100, seconds=11) is not None


def test_between_the_two_shares_it_stays_what_it_is(second: Second) -> None:
    assert second.pass_with(done=6, dropped=4, seconds=20) is None
    assert second.pass_with(done=4, dropped=6, seconds=11) is not None
    assert second.pass_with(done=6, dropped=4, seconds=20) is not None
    assert second.pass_with(done=8, dropped=2, seconds=11) is None
    assert second.pass_with(done=6, dropped=4, seconds=20) is None


def test_frames_under_way_for_the_whole_window_without_a_document(second: Second) -> None:
    assert second.pass_with(done=1, seconds=5) is None
    assert second.pass_with(pending=3) is None
    assert second.pass_with(seconds=9) is None  # it may still be worked on
    assert second.pass_with(pending=2, seconds=2) == "busy: no document in the last 10 s, 7 frames are under way"
    assert second.pass_with(done=1) is None


def test_a_frame_after_a_long_silence_is_no_sign(second: Second) -> None:
    assert second.pass_with(done=1, seconds=20) is None
    assert second.pass_with(seconds=20) is None
    assert second.pass_with(pending=1) is None


def test_frames_with_nothing_to_tell_are_looked_at(second: Second) -> None:
    assert second.pass_with(untold=3, pending=1, seconds=30) is None


def test_frames_that_fail_one_and_all(second: Second) -> None:
    assert second.pass_with(failed=5, seconds=11) == (
        "no document in the last 10 s: 50 frames failed (DamagedImage: 50)"
    )
    assert second.pass_with(failed=5, done=1) is None


def test_a_few_that_fail_may_be_poison(second: Second) -> None:
    assert second.pass_with(seconds=12) is None
    assert second.pass_with(failed=MOST_FAILED - 1) is None


# At work

SHORT_S = 0.5


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows twenty times shorter."""
    for module in (starvation, supervisor, delivery):
        monkeypatch.setattr(module, "SHORT_S", SHORT_S)
    for module in (history, overview):
        monkeypatch.setattr(module, "INTERVAL_S", SHORT_S / 10)
    monkeypatch.setattr(overview, "SHORT_S", SHORT_S)
    monkeypatch.setattr(delivery, "LONGEST_DELAY_S", 0.05)


class Rig:
    """A stream, its sink and its engine of one worker, looked at as the daemon does."""

    def __init__(
        self, source: ScriptedSource, sink: ScriptedSink | None = None, work: Callable[[Frame], object] | None = None
    ) -> None:
        def record(sample: Sample, run: str) -> Record:
            return Record("door", b"")

        self.engine = Engine(1)
        self.delivery = Delivery("out", sink or ScriptedSink())
        self.stream = Stream(
            "door",
            source,
            lambda run: Untracked(Work(work), Emission(record, "every", run)),
            self.engine.lane("door"),
            [self.delivery],
            1,
        )
        self.door = Supervisor(self.stream, lambda: [why] if (why := self.delivery.obstacle) else [])
        self.overview = Overview(self.engine, {"door": self.door}, {}, {"out": self.delivery}, Timing(), Watches())

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Supervisor[Stream]]:
        tasks = [asyncio.create_task(run()) for run in (self.overview.run, self.delivery.run, self.door.run)]
        try:
            yield self.door
        finally:
            self.door.stop()
            await asyncio.wait([tasks[2]], timeout=5)
            await self.delivery.close(0.1)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.engine.close()


class Faucet:
    """A camera whose rate can be turned."""

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self.offered = 0

    async def __call__(self, feed: Feed) -> None:
        while True:
            feed.offer(frame(self.offered))
            self.offered += 1
            await asyncio.sleep(1 / self.fps)


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(r.levelname, r.message) for r in caplog.records if r.name == starvation.__name__]


@pytest.mark.usefixtures("quick")
async def test_a_busy_machine_is_told_with_figures_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    faucet = Faucet(200)
    looked = 0

    def work(_: Frame) -> None:
        nonlocal looked
        looked += 1
        time.sleep(0.1)

    with caplog.at_level("INFO"):
        async with Rig(ScriptedSource(faucet), work=work).running() as door:
            await until(lambda: door.state == "running")
            assert door.error is None
            await until(lambda: door.state == "starving")
            began = faucet.offered, looked
            await asyncio.sleep(SHORT_S)
            offered, done = faucet.offered - began[0], looked - began[1]
            said = re.fullmatch(
                r"the workers are busy (\d+)% of the time: (\d+) of (\d+) frames of the last [01] s were dropped "
                r"\(overload: (\d+)\)",
                door.error or "",
            )
            assert said is not None, door.error
            busy, dropped, of, by_overload = map(int, said.groups())
            assert busy > 90
            assert dropped == by_overload
            # Two windows of as many seconds, one a little after the other, on a machine that may be busy with others.
            assert of == pytest.approx(offered, rel=0.6)
            assert of - dropped == pytest.approx(done, abs=6)
            faucet.fps = 5
            await until(lambda: door.state == "running")
            assert door.error is None
    began_line, over = lines(caplog)
    assert began_line[0] == "WARNING"
    assert began_line[1].startswith("door: starving: the workers are busy ")
    assert over[0] == "INFO"
    assert re.fullmatch(r"door: starving no more, after \d s", over[1])


@pytest.mark.usefixtures("quick")
async def test_a_burst_at_the_start_is_no_overload(caplog: pytest.LogCaptureFixture) -> None:
    """Cameras send what they have since their last keyframe at once."""

    async def script(feed: Feed) -> None:
        for index in range(60):
            feed.offer(frame(index))
        await Faucet(50)(feed)

    async with Rig(ScriptedSource(script)).running() as door:
        await until(lambda: door.state == "running")
        seen = set()
        deadline = time.monotonic() + 3 * SHORT_S
        while time.monotonic() < deadline:
            seen.add(door.state)
            await asyncio.sleep(0.01)
        assert door.stream.counts.dropped[OVERLOAD] > 30
    assert seen == {"running"}
    assert lines(caplog) == []


def away(times: int) -> list[Callable[[Sequence[Record]], object]]:
    async def fail(records: Sequence[Record]) -> None:
        raise SinkError("the broker is away", retriable=True)

    return [fail] * times


@pytest.mark.usefixtures("quick")
async def test_a_sink_that_waits_is_named() -> None:
    sink = ScriptedSink(writes=away(10_000))  # type: ignore[arg-type]
    async with Rig(ScriptedSource(Faucet(20)), sink).running() as door:
        await until(lambda: door.state == "starving")
        pending = door.stream.counts.pending
        said = re.fullmatch(
            r"sink out is waiting: the broker is away: no document in the last [01] s, (\d+) frames are under way",
            door.error or "",
        )
        assert said is not None, door.error
        assert int(said.group(1)) == pytest.approx(pending, abs=3)
        sink._writes = iter(())
        await until(lambda: door.state == "running")


@pytest.mark.usefixtures("quick")
async def test_a_sink_that_hangs_is_named() -> None:
    hangs = asyncio.Event()

    async def hang(records: Sequence[Record]) -> None:
        await hangs.wait()

    async with Rig(ScriptedSource(Faucet(20)), ScriptedSink(writes=[hang])).running() as door:
        await until(lambda: door.state == "starving")
        assert re.match(r"sink out has taken none of \d+ records in [01] s: no document", door.error or "")
        hangs.set()
        await until(lambda: door.state == "running")


@pytest.mark.usefixtures("quick")
async def test_work_that_always_breaks_is_told() -> None:
    def broken(_: Frame) -> None:
        raise DamagedImage("cut short")

    async with Rig(ScriptedSource(Faucet(50)), work=broken).running() as door:
        await until(lambda: door.state == "starving")
        assert re.fullmatch(
            r"no document in the last [01] s: (\d+) frames failed \(DamagedImage: \1\)", door.error or ""
        )


@pytest.mark.usefixtures("quick")
async def test_a_stop_is_no_end_of_what_it_starved_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        async with Rig(ScriptedSource(Faucet(200)), work=lambda _: time.sleep(0.1)).running() as door:
            await until(lambda: door.state == "starving")
            door.stop()
            await until(lambda: door.state == "stopped")
            await asyncio.sleep(SHORT_S / 2)
            assert [level for level, _ in lines(caplog)] == ["WARNING"]
            door.resume()
            assert door.error is None


@pytest.mark.usefixtures("quick")
async def test_a_camera_that_goes_away_starves_no_more() -> None:
    """It waits, which is another trouble with another reason."""
    faucet, gone = Faucet(200), asyncio.Event()

    async def script(feed: Feed) -> None:
        offering = asyncio.create_task(faucet(feed))
        await gone.wait()
        offering.cancel()
        raise SourceError("rtsp://door: refused")

    async with Rig(ScriptedSource(script), work=lambda _: time.sleep(0.1)).running() as door:
        await until(lambda: door.state == "starving")
        gone.set()
        await until(lambda: door.state == "waiting")
        assert door.error == "rtsp://door: refused"
