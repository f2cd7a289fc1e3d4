"""Memory, threads and descriptors of visaged over time: python -m tests.benchmarks.soak [--minutes 30]

8 cameras of 720p25 through detector, fitter and tracks with events to Kafka, as fast as the machine can; one camera in
eight is unplugged now and then, and the broker is away for 20 s of every five minutes. The broker and the camera
simulator are processes of their own.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import aiohttp
import psutil

from daemon.commands.demo.broker import embedded_broker
from daemon.simulator.clip import Scene, make_clip
from tests.brokers import EMBEDDED_HOST, Proxy, free_port, proxy

CAMERAS = 8
WARM_UP = 0.25
"""Share of the time after which all must be flat."""
UNPLUGGED_EVERY_S = 20.0
BROKER_AWAY_EVERY_S, BROKER_AWAY_S = 300.0, 20.0


@dataclass(frozen=True, slots=True)
class Footprint:
    megabytes: float
    threads: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class Soak:
    footprints: Sequence[Footprint]
    status: dict[str, Any]
    """The daemon's own, at the end."""

    def growth(self, of: str) -> float:
        """From the first to the last third after the warm-up, in its unit."""
        values = [getattr(footprint, of) for footprint in self.footprints[int(len(self.footprints) * WARM_UP) :]]
        third = max(len(values) // 3, 1)
        return fmean(values[-third:]) - fmean(values[:third])

    def unaccounted(self) -> int:
        """Frames that came and neither ended nor are under way."""
        frames = [stream["frames"] for stream in self.status["streams"].values()]
        ended = sum(
            f["acknowledged"] + f["pending"] + sum(sum(f[kind].values()) for kind in ("skipped", "dropped", "failed"))
            for f in frames
        )
        return int(sum(f["received"] for f in frames) - ended)


async def soak(
    seconds: float,
    interval: float,
    folder: Path,
    broker: str,
    scene: Scene | None = None,
    unplugged_every: float = UNPLUGGED_EVERY_S,
) -> Soak:
    clip = folder / "faces.mp4"
    await asyncio.to_thread(make_clip, clip, scene)
    ports = [free_port(), free_port()]
    steady, shaky = (_camera(clip, port) for port in ports)
    http = free_port()
    config = folder / "soak.yaml"
    config.write_text(json.dumps(_configuration(clip.stem, ports, http, broker, folder)))
    daemon = _started("daemon", "run", str(config))
    footprints: list[Footprint] = []
    try:
        process = psutil.Process(daemon.pid)
        await _until_running(http)
        began = unplugged = time.monotonic()
        while (now := time.monotonic()) - began < seconds:
            if now - unplugged > unplugged_every:
                unplugged = now
                _end(shaky)
                shaky = _camera(clip, ports[1])
            with process.oneshot():
                memory = process.memory_info().rss / 2**20
                footprints.append(Footprint(memory, process.num_threads(), process.num_fds()))
            await asyncio.sleep(interval)
        status = await _status(http)
    finally:
        _end(daemon)
        _end(steady)
        _end(shaky)
    return Soak(footprints, status)


def _configuration(mount: str, ports: Sequence[int], http: int, broker: str, folder: Path) -> dict[str, Any]:
    steady, shaky = (f"rtsp://127.0.0.1:{port}/{mount}" for port in ports)
    sources = [*[steady] * (CAMERAS - 1), shaky]
    stream = {"chain": ["face-detector", "face-fitter"], "tracking": {"events": {"topic": "soak-tracks"}}}
    return {
        "http": {"port": http},
        "state_dir": str(folder / "state"),
        "clusters": {"own": {"bootstrap_servers": broker}},
        "sinks": {"out": {"type": "kafka", "topic": "soak"}},
        "streams": {f"camera-{n}": {"source": source, **stream} for n, source in enumerate(sources)},
    }


def _camera(clip: Path, port: int) -> "subprocess.Popen[bytes]":
    return _started("daemon.simulator.camera", str(clip), "--port", str(port))


def _started(*module: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", *module]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(60)


async def _status(port: int) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/status") as response:
        status: dict[str, Any] = await response.json()
        return status


async def _until_running(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            streams = (await _status(port))["streams"].values()
            if len(streams) == CAMERAS and all(stream["frames"]["acknowledged"] for stream in streams):
                return
        except aiohttp.ClientError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError("the daemon's streams did not begin")
        await asyncio.sleep(0.2)


async def _outages(way: Proxy) -> None:
    while True:
        await asyncio.sleep(BROKER_AWAY_EVERY_S - BROKER_AWAY_S)
        way.cut()
        await asyncio.sleep(BROKER_AWAY_S)
        await way.restore()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        async with (
            embedded_broker(port, EMBEDDED_HOST) as broker,
            proxy(broker, port, (EMBEDDED_HOST.encode(), b"127.0.0.1")) as way,
        ):
            outages = asyncio.create_task(_outages(way))
            done = await soak(minutes * 60, 5.0, Path(folder), way.address)
            outages.cancel()
    for label, of in (("memory, MiB", "megabytes"), ("threads", "threads"), ("descriptors", "descriptors")):
        values = [getattr(footprint, of) for footprint in done.footprints]
        every = values[:: max(len(values) // 10, 1)]
        print(f"{label}: {', '.join(f'{value:.0f}' for value in every)}; grown by {done.growth(of):+.1f}")
    frames = [stream["frames"] for stream in done.status["streams"].values()]
    restarts = sum(stream["restarts"] for stream in done.status["streams"].values())
    print(
        f"{sum(f['received'] for f in frames)} frames came, {sum(f['acknowledged'] for f in frames)} acknowledged, ",
        end="",
    )
    print(f"{restarts} reconnects, {done.unaccounted()} unaccounted for ({os.cpu_count()} cores)")
    (sink,) = done.status["sinks"].values()
    print(f"records: {sink['records']}, {sink['retries']} retries of the sink")


if __name__ == "__main__":
    asyncio.run(main())
