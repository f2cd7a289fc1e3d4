import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from daemon.errors import CredentialsRefused, SourceEnded, SourceError, SourceSpent
from daemon.flow import supervisor as module
from daemon.flow.engine import Engine
from daemon.flow.stream import Stream
from daemon.flow.supervisor import Supervisor
from daemon.sources.base import WAITING_FOR_KEYFRAME, Feed
from daemon.work.emission import Emission
from daemon.work.untracked import Untracked
from processors.types import Sample
from sinks.base import Record
from tests.fakes import CollectingSink, ScriptedSource, Work, frame
from tests.waiting import until

Supervise = Callable[[ScriptedSource], Supervisor[Stream]]
Script = Callable[[Feed], Awaitable[None]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delays a hundred times shorter."""
    monkeypatch.setattr(module, "FIRST_DELAY_S", 0.005)
    monkeypatch.setattr(module, "LONGEST_DELAY_S", 0.03)
    monkeypatch.setattr(module, "HEALTHY_S", 0.25)


@pytest.fixture
async def supervise() -> AsyncIterator[Supervise]:
    engine = Engine(1)

    def make(source: ScriptedSource) -> Supervisor[Stream]:
        def record(sample: Sample, run: str) -> Record:
            return Record("door", b"")

        def work(run: str) -> Untracked:
            return Untracked(Work(), Emission(record, "every", run))

        stream = Stream("door", source, work, engine.lane("door"), [CollectingSink()], 1)
        return Supervisor(stream)

    yield make
    await engine.close()


async def refuse(feed: Feed) -> None:
    raise SourceError("rtsp://door: refused")


async def one_frame(feed: Feed) -> None:
    await feed.put(frame(0))


async def hang(feed: Feed) -> None:
    await asyncio.Event().wait()


async def brief_then_closed(feed: Feed) -> None:
    feed.offer(frame(0))
    raise SourceEnded("rtsp://door: the connection was closed")


async def healthy_then_closed(feed: Feed) -> None:
    feed.offer(frame(0))
    await asyncio.sleep(module.HEALTHY_S * 1.2)
    raise SourceEnded("rtsp://door: the connection was closed")


async def silent_then_closed(feed: Feed) -> None:
    await asyncio.sleep(module.HEALTHY_S * 1.2)
    raise SourceEnded("rtsp://door: the connection was closed")


def delays(caplog: pytest.LogCaptureFixture) -> list[object]:
    """What the supervisor said that it would wait, in its order."""
    return [record.args[2] for record in caplog.records if isinstance(record.args, tuple) and "again" in record.msg]


async def test_a_source_that_ends_is_not_run_again(supervise: Supervise) -> None:
    source = ScriptedSource(one_frame)
    supervisor = supervise(source)
    assert supervisor.state == "connecting"
    await supervisor.run()
    assert (source.runs, supervisor.restarts, supervisor.state, supervisor.error) == (1, 0, "ended", None)


async def test_a_file_that_brought_all_that_can_be_read_is_not_run_again(
    supervise: Supervise, caplog: pytest.LogCaptureFixture
) -> None:
    async def cut(feed: Feed) -> None:
        await one_frame(feed)
        raise SourceSpent("a.ts: damaged")

    supervisor = supervise(ScriptedSource(cut))
    await supervisor.run()
    assert (supervisor.state, supervisor.error, supervisor.restarts) == ("ended", "a.ts: damaged", 0)
    assert supervisor.stream.counts.received == 1
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "door: a.ts: damaged; it is not read again"
    ]


async def test_a_source_that_fails_is_run_again(supervise: Supervise) -> None:
    source = ScriptedSource(refuse, refuse, one_frame)
    supervisor = supervise(source)
    await supervisor.run()
    assert (source.runs, supervisor.restarts, supervisor.state) == (3, 2, "ended")
    assert supervisor.error == "rtsp://door: refused"
    assert supervisor.stream.counts.acknowledged == 1


async def test_a_password_that_was_refused_is_tried_again_seldom(
    supervise: Supervise, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cameras lock an account after a few attempts."""
    monkeypatch.setattr(module, "REFUSED_DELAY_S", 0.2)

    async def wrong_password(feed: Feed) -> None:
        raise CredentialsRefused("rtsp://door: wrong user or password")

    with caplog.at_level("DEBUG"):
        await supervise(ScriptedSource(refuse, wrong_password, wrong_password, refuse, one_frame)).run()
    first, *refused, last = delays(caplog)
    assert refused == [0.2, 0.2]
    assert first == module.FIRST_DELAY_S < last  # type: ignore[operator]


async def test_what_a_source_waits_for_is_its_state(supervise: Supervise) -> None:
    async def waits(feed: Feed) -> None:
        feed.waits(WAITING_FOR_KEYFRAME)
        feed.skip("no picture")
        await hang(feed)

    supervisor = supervise(ScriptedSource(waits))
    running = asyncio.create_task(supervisor.run())
    await until(lambda: supervisor.state == "waiting for a keyframe")
    supervisor.stop()
    await running
    assert supervisor.state == "stopped"


async def test_an_error_stands_until_frames_come_again(supervise: Supervise) -> None:
    async def frames_then_silence(feed: Feed) -> None:
        await one_frame(feed)
        await hang(feed)

    supervisor = supervise(ScriptedSource(refuse, frames_then_silence))
    running = asyncio.create_task(supervisor.run())
    await until(lambda: supervisor.error == "rtsp://door: refused")
    await until(lambda: supervisor.state == "running")
    assert supervisor.error is None
    supervisor.stop()
    await running


async def test_the_delay_doubles_up_to_the_longest(supervise: Supervise, caplog: pytest.LogCaptureFixture) -> None:
    began = asyncio.get_running_loop().time()
    with caplog.at_level("DEBUG"):
        await supervise(ScriptedSource(*[refuse] * 5, one_frame)).run()
    assert delays(caplog) == [0.005, 0.01, 0.02, 0.03, 0.03]
    assert asyncio.get_running_loop().time() - began >= 0.095


async def test_a_healthy_run_starts_the_delay_afresh(supervise: Supervise, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        await supervise(ScriptedSource(refuse, refuse, healthy_then_closed, refuse, one_frame)).run()
    assert delays(caplog) == [0.005, 0.01, 0.005, 0.01]


@pytest.mark.parametrize("script", [silent_then_closed, brief_then_closed])
async def test_one_without_frames_or_too_short_does_not(
    supervise: Supervise, caplog: pytest.LogCaptureFixture, script: Script
) -> None:
    with caplog.at_level("DEBUG"):
        await supervise(ScriptedSource(refuse, script, refuse, one_frame)).run()
    assert delays(caplog) == [0.005, 0.01, 0.02]


async def test_a_bug_in_a_source_is_logged_and_does_not_end_it(
    supervise: Supervise, caplog: pytest.LogCaptureFixture
) -> None:
    async def bug(feed: Feed) -> None:
        feed.offer(frame(0))
        raise ZeroDivisionError

    supervisor = supervise(ScriptedSource(bug, one_frame))
    await supervisor.run()
    assert supervisor.restarts == 1
    assert "ZeroDivisionError" in (supervisor.error or "")
    (record,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert "ZeroDivisionError" in record.message
    assert record.exc_info is not None


def told(caplog: pytest.LogCaptureFixture, level: str) -> list[str]:
    """Lines of the supervisor at this level, without the delay."""
    lines = [record for record in caplog.records if record.name == module.__name__ and record.levelname == level]
    return [re.sub("; trying again in .* s", "", record.message) for record in lines]


async def test_a_dead_camera_is_told_once_and_every_hour(
    supervise: Supervise, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def time_out(feed: Feed) -> None:
        raise SourceError("rtsp://door: timed out")

    async def an_hour_later(feed: Feed) -> None:
        monkeypatch.setattr(module, "TOLD_AGAIN_S", 0.0)
        await refuse(feed)

    async def brief(feed: Feed) -> None:
        monkeypatch.setattr(module, "TOLD_AGAIN_S", 3600.0)
        await one_frame(feed)
        await refuse(feed)

    scripts = [refuse, refuse, time_out, refuse, time_out, an_hour_later, brief, refuse, one_frame]
    with caplog.at_level("DEBUG"):
        await supervise(ScriptedSource(*scripts)).run()
    refused, timed_out = "door: rtsp://door: refused", "door: rtsp://door: timed out"
    assert told(caplog, "WARNING") == [
        refused,
        f"{timed_out} (3 attempts in vain)",
        f"{refused} (6 attempts in vain)",
        refused,  # frames had come
    ]
    assert told(caplog, "INFO") == []
    assert len(told(caplog, "DEBUG")) == len(scripts) - 1 - 4


async def test_the_time_to_the_next_attempt_runs_down(supervise: Supervise, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY_S", 0.2)
    source = ScriptedSource(refuse, hang)
    supervisor = supervise(source)
    running = asyncio.create_task(supervisor.run())
    assert supervisor.next_attempt is None
    await until(lambda: supervisor.state == "waiting")
    began, said = time.monotonic(), supervisor.next_attempt
    assert said is not None
    await asyncio.sleep(0.1)
    assert supervisor.next_attempt == pytest.approx(said - 0.1, abs=0.05)
    await until(lambda: source.runs == 2)
    assert time.monotonic() - began == pytest.approx(said, abs=0.1)
    assert supervisor.next_attempt is None
    supervisor.stop()
    await running


async def test_states(supervise: Supervise, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY_S", 60.0)
    give, fail = asyncio.Event(), asyncio.Event()

    async def script(feed: Feed) -> None:
        await give.wait()
        feed.offer(frame(0))
        await fail.wait()
        raise SourceError

    supervisor = supervise(ScriptedSource(script))
    running = asyncio.create_task(supervisor.run())
    await asyncio.sleep(0.01)
    states = [supervisor.state]
    give.set()
    await until(lambda: supervisor.stream.counts.received == 1)
    states.append(supervisor.state)
    fail.set()
    await until(lambda: supervisor.restarts == 1)
    states.append(supervisor.state)
    supervisor.stop()
    await asyncio.wait_for(running, 5)
    assert [*states, supervisor.state] == ["connecting", "running", "waiting", "stopped"]


async def test_a_second_run_connects_anew(supervise: Supervise) -> None:
    """Frames of the run before do not make it running."""
    supervisor = supervise(ScriptedSource(brief_then_closed, hang))
    running = asyncio.create_task(supervisor.run())
    await until(lambda: supervisor.restarts == 1 and supervisor.state != "waiting")
    assert supervisor.state == "connecting"
    supervisor.stop()
    await asyncio.wait_for(running, 5)


async def test_stop_ends_a_run_and_what_is_under_way_goes_out(supervise: Supervise) -> None:
    async def script(feed: Feed) -> None:
        feed.offer(frame(0))
        await asyncio.Event().wait()

    supervisor = supervise(ScriptedSource(script))
    running = asyncio.create_task(supervisor.run())
    await until(lambda: supervisor.stream.counts.received == 1)
    supervisor.stop()
    await asyncio.wait_for(running, 5)
    assert supervisor.state == "stopped"
    assert supervisor.stream.counts.acknowledged == 1


@pytest.mark.parametrize("steps", range(5))
async def test_stop_at_any_step_of_the_start(supervise: Supervise, steps: int) -> None:
    supervisor = supervise(ScriptedSource(hang))
    running = asyncio.create_task(supervisor.run())
    for _ in range(steps):
        await asyncio.sleep(0)
    supervisor.stop()
    await asyncio.wait_for(running, 5)
    assert supervisor.state == "stopped"


async def test_cancel_goes_through(supervise: Supervise) -> None:
    source = ScriptedSource(hang)
    supervisor = supervise(source)
    running = asyncio.create_task(supervisor.run())
    await until(lambda: source.runs == 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (source.runs, supervisor.restarts) == (1, 0)
