"""The daemon's start and stop, with nothing to read."""

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np
import pytest

from daemon.commands.run import App
from daemon.config.model import Config
from daemon.errors import StateInUse
from daemon.work.plan import Plan
from daemon.work.state import StateDir
from sinks.base import Record, SinkError
from sinks.file import FileSettings, FileSink
from tests.waiting import until


class Hanging:
    """A sink that neither writes nor closes."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.writes = 0

    async def open(self) -> None: ...

    async def write(self, records: Sequence[Record]) -> None:
        self.writes += 1
        await asyncio.Event().wait()

    async def close(self) -> None:
        await asyncio.Event().wait()


async def readiness(app: App) -> tuple[int, str]:
    assert app.http is not None
    async with aiohttp.ClientSession(app.http.url) as client, client.get("/readyz") as response:
        body = await response.json()
        return response.status, body.get("detail", "")


def configured(**others: Any) -> Config:
    some: dict[str, Any] = {"http": None, "engine": {"workers": 1}, "stop_timeout": 0.2}
    return Config(**some | others)


@pytest.fixture
def silent() -> Iterator[dict[str, Any]]:
    """A stream of a camera that does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        yield {"silent": {"source": f"rtsp://127.0.0.1:{port}/1", "open_timeout": 1, "chain": ["face-detector"]}}


async def test_a_second_daemon_on_a_state_dir_ends(tmp_path: Path) -> None:
    first, running = StateDir(tmp_path), asyncio.Event()
    await first.hold(0, running)
    with pytest.raises(StateInUse, match="in use by process"):
        await App(configured(state_dir=tmp_path)).run(running)
    first.release()
    await App(configured(state_dir=tmp_path)).run(running)


async def test_a_second_daemon_on_a_sink_s_file_ends(tmp_path: Path, silent: dict[str, Any]) -> None:
    path = tmp_path / "out.jsonl"
    held = FileSink(FileSettings(type="file", path=path))
    await held.open()
    with pytest.raises(SinkError, match="in use by process"):
        await App(configured(streams=silent, sinks={"out": {"type": "file", "path": path}})).run(asyncio.Event())
    await held.write([Record("door", b"1")])
    await held.close()


async def test_ready_is_when_the_streams_models_are_loaded_and_no_longer_when_it_stops(
    silent: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    loading, loaded, stop = threading.Event(), threading.Event(), asyncio.Event()

    def load(*_: object) -> Plan:
        loading.set()
        loaded.wait()
        return plan(*_)  # type: ignore[arg-type]

    plan = Plan
    monkeypatch.setattr("daemon.commands.run.Plan", load)
    monkeypatch.setattr("daemon.commands.run.services", lambda _: {})
    app = App(configured(http={"port": 0}, stop_timeout=5, streams=silent))
    running = asyncio.create_task(app.run(stop))
    await until(loading.is_set, timeout_s=30)
    assert await readiness(app) == (503, "The models of the streams are being loaded")
    loaded.set()
    await until(lambda: bool(app.status()["streams"]))
    assert await readiness(app) == (200, "")
    stop.set()
    assert await readiness(app) == (503, "The daemon is stopping")
    await running


async def test_all_that_hangs_shares_one_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sinks = [Hanging(), Hanging()]
    waiting = iter(sinks)
    monkeypatch.setattr("daemon.commands.run.make_sink", lambda *_: next(waiting))
    assert cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    app, stop, never = (
        App(
            configured(
                engine={"workers": 2},
                stop_timeout=1,
                streams={"pictures": {"source": str(tmp_path), "chain": ["face-detector"]}},
                sinks={"a": {"type": "stdout"}, "b": {"type": "stdout"}},
            )
        ),
        asyncio.Event(),
        threading.Event(),
    )
    running = asyncio.create_task(app.run(stop))
    await until(lambda: all(sink.writes for sink in sinks), timeout_s=30)
    lane = app._engine.lane("hung")
    hung = [lane.submit(never.wait) for _ in range(2)]
    await asyncio.sleep(0.01)
    began = time.monotonic()
    stop.set()
    await running
    took = time.monotonic() - began
    assert took < 1.5
    assert app.status()["sinks"]["a"]["records"]["dropped"] == {"a: stopped": 1}
    never.set()
    await asyncio.gather(*hung)


@pytest.mark.parametrize(("needs", "status"), [(True, 503), (False, 200)])
async def test_a_consumer_without_brokers_is_told_by_readyz_where_that_is_wanted(
    monkeypatch: pytest.MonkeyPatch, needs: bool, status: int
) -> None:
    monkeypatch.setattr("daemon.commands.run.services", lambda _: {})
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    config = configured(
        http={"port": 0, "ready_needs_consumers": needs},
        clusters={"own": {"bootstrap_servers": f"127.0.0.1:{port}"}},
        sinks={"out": {"type": "stdout"}},
        consumers={"frames": {"topics": ["in"], "chain": ["face-detector"]}},
    )
    app, stop = App(config), asyncio.Event()
    running = asyncio.create_task(app.run(stop))
    await until(lambda: running.done() or bool(app.status()["consumers"]))
    found, detail = await readiness(app)
    stop.set()
    await running
    assert found == status
    assert ("frames" in detail) == needs
