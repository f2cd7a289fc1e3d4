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

from daemon.commands.run import REGISTRY, App
from daemon.config.model import Config
from daemon.control.registry import FileRegistry
from daemon.errors import ConfigError, StateInUse
from daemon.http.access.keys import digest, new_key
from daemon.http.settings import HttpSettings
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

    def load(*args: Any, **figures: Any) -> Plan:
        loading.set()
        loaded.wait()
        return plan(*args, **figures)

    plan = Plan
    monkeypatch.setattr("daemon.control.build.Plan", load)
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


class Read:
    """A configuration file that changes."""

    def __init__(self, config: Config) -> None:
        self.config: Config | ConfigError = config
        self.times = 0

    def __call__(self) -> Config:
        self.times += 1
        time.sleep(0.02)
        if isinstance(self.config, ConfigError):
            raise self.config
        return self.config


async def test_sighup_changes_the_streams_and_names_what_needs_a_restart(
    silent: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    stream = silent["silent"]
    sinks = {"sinks": {"out": {"type": "stdout"}}, "stop_timeout": 5}
    first = configured(streams={"door": stream, "yard": stream}, **sinks)
    read = Read(first)
    app, stop = App(first, read), asyncio.Event()
    running = asyncio.create_task(app.run(stop))
    await until(lambda: running.done() or set(app.status()["streams"]) == {"door", "yard"})
    door = app.overview.streams["door"]

    read.config = ConfigError("my.yaml:3: streams.door.fps: expected a number, got text")
    app.read_soon()
    await until(lambda: "nothing was changed" in caplog.text)
    assert "my.yaml:3" in caplog.text
    other = {"sinks": {"out": {"type": "stdout"}, "new": {"type": "stdout"}}}
    read.config = configured(streams={"gate": stream | {"sinks": ["new"]}}, **(sinks | other))
    app.read_soon()
    await until(lambda: "streams.gate.sinks: a new sink needs a restart: new" in caplog.text)
    assert set(app.status()["streams"]) == {"door", "yard"}

    changed = {"door": stream | {"paused": True, "labels": {"site": "depot"}}, "gate": stream}
    read.config = configured(streams=changed, engine={"workers": 2}, **(sinks | other))
    app.read_soon()
    await until(lambda: set(app.status()["streams"]) == {"door", "gate"})
    await until(lambda: app.status()["streams"]["door"]["state"] == "paused")
    assert app.status()["streams"]["door"]["labels"] == {"site": "depot"}
    assert app.overview.streams["door"] is door
    told = [record.message for record in caplog.records if "needs a restart" in record.message]
    assert "SIGHUP: engine.workers has changed: that needs a restart" in told
    assert "SIGHUP: sinks.new has changed: that needs a restart" in told

    before = read.times
    for _ in range(500):
        app.read_soon()
        await asyncio.sleep(0)
    await asyncio.sleep(0.2)
    assert read.times - before <= 4
    stop.set()
    await running


async def test_sighup_changes_keys_or_nothing(
    silent: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("daemon.commands.run.services", lambda _: {})
    old, new = new_key(), new_key()

    def with_key(key: str, **http: Any) -> Config:
        keys = {"grafana": {"sha256": digest(key), "roles": ["metrics"]}}
        streams = silent | ({"another": silent["silent"]} if key == new else {})
        return configured(
            http={"port": 0, "keys": keys} | http, streams=streams, sinks={"out": {"type": "stdout"}}, stop_timeout=5
        )

    async def answers(key: str) -> int:
        assert app.http is not None
        headers = {"Authorization": f"Bearer {key}"}
        async with aiohttp.ClientSession(app.http.url) as client, client.get("/status", headers=headers) as response:
            return response.status

    read = Read(with_key(old))
    app, stop = App(with_key(old), read), asyncio.Event()
    running = asyncio.create_task(app.run(stop))
    await until(lambda: running.done() or bool(app.status()["streams"]))
    assert (await answers(old), await answers(new)) == (200, 401)
    assert app.http is not None
    reconfigure = app.http.reconfigure

    async def refuse(settings: HttpSettings) -> None:
        raise ConfigError("http.tls: cannot read it")

    monkeypatch.setattr(app.http, "reconfigure", refuse)
    read.config = with_key(new)
    app.read_soon()
    await until(lambda: "nothing was changed" in caplog.text)
    assert set(app.status()["streams"]) == {"silent"}
    monkeypatch.setattr(app.http, "reconfigure", reconfigure)
    read.config = with_key(new, max_concurrent=7)
    app.read_soon()
    await until(lambda: set(app.status()["streams"]) == {"silent", "another"})
    assert (await answers(old), await answers(new)) == (401, 200)
    told = [record.message for record in caplog.records if "needs a restart" in record.message]
    assert told == ["SIGHUP: http.max_concurrent has changed: that needs a restart"]
    stop.set()
    await running


async def test_streams_of_the_registry_run_after_a_restart_beside_the_file_s(
    silent: dict[str, Any], tmp_path: Path
) -> None:
    stored = {"settings": silent["silent"], "revision": "1"}
    await asyncio.to_thread(FileRegistry(tmp_path / REGISTRY).put, "yard", stored)
    others = {"sinks": {"out": {"type": "stdout"}}, "state_dir": tmp_path, "stop_timeout": 5}
    app, stop = App(configured(streams={"door": silent["silent"]}, **others)), asyncio.Event()
    running = asyncio.create_task(app.run(stop))
    await until(lambda: running.done() or set(app.status()["streams"]) == {"door", "yard"})
    stop.set()
    await running


async def test_without_http_a_paused_stream_keeps_the_daemon_and_the_end_of_all_ends_it(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    pictures = {"source": str(tmp_path), "chain": ["face-detector"]}
    first = configured(streams={"a": pictures, "b": pictures | {"paused": True}}, sinks={"out": {"type": "stdout"}})
    read = Read(first)
    app = App(first, read)
    running = asyncio.create_task(app.run(asyncio.Event()))
    await until(lambda: bool(app.status()["streams"]) and app.status()["streams"]["a"]["state"] == "ended")
    await asyncio.sleep(0.05)
    assert not running.done()
    read.config = configured(streams={"a": pictures, "b": pictures}, sinks={"out": {"type": "stdout"}})
    app.read_soon()
    await asyncio.wait_for(running, 10)
    assert app.status()["streams"]["b"]["frames"]["acknowledged"] == 1
