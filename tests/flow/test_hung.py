"""Models and work that do not end: noticed, ended or given up, and the streams go on."""

import asyncio
import hashlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.errors import EngineStuck, WorkerHung
from daemon.flow import engine as module
from daemon.flow.engine import Engine
from daemon.flow.stream import Stream
from daemon.sources.base import Feed
from daemon.work.emission import Emission
from daemon.work.untracked import Untracked
from models.errors import InferenceFailed
from models.session import Session, run_in
from models.store import ModelStore
from processors.types import Frame, Sample
from sinks.base import Record
from tests.fakes import CollectingSink, ScriptedSource, Work, frame
from tests.waiting import until

ENDLESS = Path(__file__).parents[1] / "data" / "endless.onnx"  # the text beside it, through onnx.parser
FOR_EVER = 2**62
HANG_TIMEOUT_S = 0.3

MANIFEST = """\
name: endless
file: endless.onnx
sha256: {sha256}
bytes: {bytes}
task: face-detection
inputs:
  - {{name: steps, dtype: int64, shape: [], layout: none, normalisation: none}}
  - {{name: start, dtype: float32, shape: [1], layout: none, normalisation: none}}
outputs:
  - {{name: total, dtype: float32, shape: [1]}}
max_batch: 1
licence: Apache-2.0
use: default-allowed
training_data: none
provenance: {{registry: visaged, recipe: none}}
"""


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """Of a network that counts to `steps`."""
    content = ENDLESS.read_bytes()
    for folder in ("manifests", "files"):
        (tmp_path / folder).mkdir()
    (tmp_path / "files" / ENDLESS.name).write_bytes(content)
    manifest = MANIFEST.format(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    (tmp_path / "manifests" / "endless.yaml").write_text(manifest)
    return ModelStore(tmp_path).session("endless")


def count(session: Session, steps: int) -> float:
    inputs: dict[str, NDArray[Any]] = {"steps": np.array(steps, np.int64), "start": np.zeros(1, np.float32)}
    return float(session.run(inputs)["total"][0])


@pytest.fixture
async def engine(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Engine]:
    monkeypatch.setattr(module, "TERMINATION_S", 2.0)
    engine = Engine(1, HANG_TIMEOUT_S)
    yield engine
    await engine.close()


@pytest.fixture
async def watching(engine: Engine) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(engine.watch())
    yield task
    task.cancel()
    await asyncio.wait([task])


async def test_a_run_that_does_not_end_is_terminated(
    engine: Engine, watching: "asyncio.Task[None]", session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    lane = engine.lane("door")
    with pytest.raises(InferenceFailed, match="terminate flag"):
        await asyncio.wait_for(lane.submit(count, session, FOR_EVER), 10)
    assert (engine.hung, engine.abandoned) == (1, 0)
    assert "worker-0 has been in endless for more than 0.3 s" in caplog.messages
    assert await lane.submit(count, session, 5) == 5.0  # the worker goes on, and so does the session


async def test_a_stream_goes_on_behind_a_frame_whose_model_hung(
    engine: Engine, watching: "asyncio.Task[None]", session: Session
) -> None:
    def work(frame: Frame) -> None:
        count(session, FOR_EVER if frame.index == 2 else 3)

    sink = CollectingSink()
    stream = streamed(engine, 6, work, sink)
    await asyncio.wait_for(stream.run(), 20)
    assert sink.values == [b"0", b"1", b"3", b"4", b"5"]
    assert dict(stream.counts.failed) == {"InferenceFailed": 1}


async def test_a_frame_whose_work_took_too_long_is_dropped_not_failed(
    engine: Engine, watching: "asyncio.Task[None]"
) -> None:
    """From Kafka it is read again then, and is no dead letter."""
    released = threading.Event()

    def work(frame: Frame) -> None:
        if frame.index == 1:
            released.wait()

    sink = CollectingSink()
    stream = streamed(engine, 3, work, sink)
    await asyncio.wait_for(stream.run(), 20)
    released.set()
    assert sink.values == [b"0", b"2"]
    assert (dict(stream.counts.dropped), dict(stream.counts.failed)) == ({"WorkerHung": 1}, {})


async def test_a_thread_that_nothing_ends_is_replaced(
    engine: Engine, watching: "asyncio.Task[None]", caplog: pytest.LogCaptureFixture
) -> None:
    released = threading.Event()
    lane = engine.lane("door")
    began = time.monotonic()
    old = await lane.submit(threading.current_thread)
    stuck = lane.submit(released.wait)
    behind = lane.submit(threading.get_ident)
    with pytest.raises(WorkerHung, match=r"work that is no model's has not ended in 0\.3 s"):
        await asyncio.wait_for(stuck, 10)
    assert await asyncio.wait_for(behind, 10) != old.ident  # another thread took its place
    assert (engine.hung, engine.abandoned) == (1, 1)
    released.set()  # the old thread comes back, finds itself replaced and ends
    await until(lambda: not old.is_alive())
    assert await lane.submit(divmod, 7, 2) == (3, 1)
    assert 0.3 < engine.busy_seconds < time.monotonic() - began  # what it hung counts, once


async def test_a_session_whose_run_cannot_be_terminated_is_opened_afresh(
    engine: Engine, watching: "asyncio.Task[None]", session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TERMINATION_S", 0.0)  # as if the run did not heed it in time
    before = session.network
    with pytest.raises(WorkerHung, match="endless has not ended"):
        await asyncio.wait_for(engine.lane("door").submit(count, session, FOR_EVER), 10)
    await until(lambda: session.network is not before)
    assert await engine.lane("gate").submit(count, session, 4) == 4.0


async def hang(engine: Engine, session: Session) -> None:
    with pytest.raises(WorkerHung):
        await asyncio.wait_for(engine.lane("door").submit(count, session, FOR_EVER), 10)


async def test_an_engine_whose_models_hang_time_and_again_is_stuck(
    engine: Engine, watching: "asyncio.Task[None]", session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TERMINATION_S", 0.0)
    for _ in range(module.MOST_ABANDONED):
        await hang(engine, session)
    with pytest.raises(EngineStuck, match="3 workers have hung within an hour, the last one in endless"):
        await asyncio.wait_for(watching, 10)


async def test_hangs_of_long_ago_are_forgotten(
    engine: Engine, watching: "asyncio.Task[None]", session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TERMINATION_S", 0.0)
    monkeypatch.setattr(module, "ABANDONED_AGE_S", HANG_TIMEOUT_S / 2)
    for _ in range(module.MOST_ABANDONED + 1):
        await hang(engine, session)
    assert engine.abandoned == module.MOST_ABANDONED + 1
    assert await engine.lane("gate").submit(count, session, 4) == 4.0
    assert not watching.done()


async def test_work_that_is_no_models_never_ends_the_engine(engine: Engine, watching: "asyncio.Task[None]") -> None:
    released = threading.Event()
    lane = engine.lane("door")
    for _ in range(module.MOST_ABANDONED + 1):
        with pytest.raises(WorkerHung):
            await asyncio.wait_for(lane.submit(released.wait), 10)
    assert await lane.submit(divmod, 7, 2) == (3, 1)
    assert not watching.done()
    released.set()


async def test_work_that_is_only_long_is_left_alone(engine: Engine, watching: "asyncio.Task[None]") -> None:
    pause = threading.Event()
    lane = engine.lane("door")
    await asyncio.gather(*(lane.submit(pause.wait, 0.2) for _ in range(5)))
    assert engine.hung == 0


def test_no_run_is_left_behind(session: Session) -> None:
    count(session, 3)
    assert run_in(threading.get_ident()) is None


def streamed(engine: Engine, frames: int, work: Callable[[Frame], None], sink: CollectingSink) -> Stream:
    """So many frames that wait, each told of by its index."""

    async def script(feed: Feed) -> None:
        for index in range(frames):
            await feed.put(frame(index))

    def record(sample: Sample, run: str) -> Record:
        return Record(run, b"%d" % sample.frame.index)

    return Stream(
        "door",
        ScriptedSource(script),
        lambda run: Untracked(Work(work), Emission(record, "every", run)),
        engine.lane("door"),
        [sink],
        1,
    )
