"""Streams that come and go while others run, and a crash in the middle."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from daemon.commands.run import REGISTRY, App
from daemon.config.model import Config
from daemon.control.registry import FileRegistry
from daemon.simulator.camera import Camera
from daemon.simulator.clip import make_clip
from daemon.simulator.rtp import Clip
from tests.benchmarks.churn import CHAIN, SCENE, churn
from tests.waiting import until


@pytest.fixture
async def camera(tmp_path: Path) -> AsyncIterator[Camera]:
    await asyncio.to_thread(make_clip, tmp_path / "faces.mp4", SCENE, gop=5)
    clip = await asyncio.to_thread(Clip.read, tmp_path / "faces.mp4")
    async with Camera({"cam": clip}) as camera:
        yield camera


async def test_wanted_and_running_agree_after_random_changes_and_nothing_is_left(
    camera: Camera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.commands.run.services", lambda _: {})
    churned = await churn(camera, tmp_path, changes=40)
    assert churned.disagreements == []
    assert churned.holes == []
    assert set(churned.left.values()) == {0}, churned.left
    assert sum(churned.answers.values()) == 41
    assert {status for _, status in churned.answers} <= {200, 201, 202, 204, 404, 409}


@contextlib.asynccontextmanager
async def daemon(folder: Path, port: int) -> AsyncIterator[tuple[asyncio.subprocess.Process, aiohttp.ClientSession]]:
    """A process of its own that answers, and a client of it."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("VISAGED_")}
    command = (sys.executable, "-m", "daemon", "run", str(folder / "mine.yaml"))
    process = await asyncio.create_subprocess_exec(*command, env=environ)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            await _ready(client)
            yield process, client
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ready(client: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(90):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with client.get("/streams") as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.05)


async def test_what_was_answered_is_there_after_signals_and_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    config: dict[str, Any] = {
        "http": {"port": port, "run_time": {"networks": ["127.0.0.0/8"]}},
        "sinks": {"out": {"type": "stdout"}},
        "state_dir": str(tmp_path / "state"),
        "log": {"level": "error"},
    }
    (tmp_path / "mine.yaml").write_text(json.dumps(config))  # YAML too
    answered: dict[str, int] = {}
    asked: dict[str, int] = {}

    async def put(client: aiohttp.ClientSession, stream: str) -> None:
        for number in range(1_000_000):
            asked[stream] = number
            sent = {"source": "rtsp://127.0.0.1:9/1", "chain": CHAIN, "paused": True, "name": str(number)}
            async with client.put(f"/streams/{stream}", json=sent) as response:
                assert response.status in (200, 201)
            answered[stream] = number

    async with daemon(tmp_path, port) as (process, client):
        asking = [asyncio.create_task(put(client, stream)) for stream in ("a", "b", "c")]
        for so_far in (10, 20, 30):
            await until(lambda so_far=so_far: sum(answered.values()) >= so_far, timeout_s=60)  # type: ignore[misc]
            for _ in range(20):
                process.send_signal(signal.SIGHUP)
        assert process.returncode is None
        process.kill()
        await process.wait()
        ended = await asyncio.gather(*asking, return_exceptions=True)
        assert all(isinstance(error, aiohttp.ClientError) for error in ended)

    kept = await asyncio.to_thread(FileRegistry(tmp_path / "state" / REGISTRY).load)
    for stream, number in answered.items():
        assert int(kept[stream]["settings"]["name"]) in (number, asked[stream])

    monkeypatch.setattr("daemon.commands.run.services", lambda _: {})
    app, stop = App(Config(**config)), asyncio.Event()
    running = asyncio.create_task(app.run(stop))
    await until(lambda: running.done() or len(app.status()["streams"]) == len(kept))
    rows = app.status()["streams"]
    assert {name: row["name"] for name, row in rows.items()} == {
        name: entry["settings"]["name"] for name, entry in kept.items()
    }
    stop.set()
    await running
