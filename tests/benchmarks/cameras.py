"""Many cameras on one machine: python -m tests.benchmarks.cameras

One run prints the cost of the parts alone, of what a user would write by hand, and of visaged with 8 cameras of 720p25
(as much as the machine can), with as many as use 60 % of it, and with 32 at 2 frames/s. CPU is user and system time of
visaged's own process; the broker and the camera simulator are processes of their own and outside the count.
"""

import argparse
import asyncio
import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import cv2

from daemon.commands.demo.broker import embedded_broker
from daemon.simulator.clip import PEOPLE, Scene, make_clip
from tests.benchmarks.cost import CHAINS, Figures, configuration, looped, median, per_frame, run_json

CORES = os.cpu_count() or 1
WANTED_FPS = 3
"""Frames a second that are looked at of each camera where the machine is not to be full."""
FITTED = CHAINS["detector+fitter"]


@contextmanager
def camera_of(clip: Path) -> Iterator[str]:
    """The URL of a simulator in a process of its own."""
    command = [sys.executable, "-m", "daemon.simulator.camera", str(clip), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as camera:
        try:
            assert camera.stdout is not None
            yield camera.stdout.readline().strip()
        finally:
            camera.terminate()


def cost_of(what: str, clip: Path) -> float:
    """CPU milliseconds a frame of one of the parts."""
    return per_frame(run_json("tests.benchmarks.work", what, str(clip)))


def carried(
    clip: Path, cameras: int, chain: list[str], sink: Mapping[str, Any], seconds: float, **options: object
) -> Figures:
    """One source process serves all."""
    with camera_of(clip) as url:
        sources = {f"camera-{n}": url for n in range(cameras)}
        config = configuration(sources, chain, dict(sink), None, **options)
        return run_json("tests.benchmarks.carry", config, str(seconds))


def used(figures: Figures) -> float:
    """The share of the machine."""
    return float(figures["cpu"] / figures["wall"] / CORES)


def shares(figures: Figures) -> str:
    """How far the frames of the streams are from their mean, at most."""
    counts = [frames["acknowledged"] for frames in figures["streams"].values()]
    mean = sum(counts) / len(counts)
    return f"{max(abs(count - mean) for count in counts) / mean:.1%}"


def dropped(figures: Figures) -> int:
    return sum(frames.get("dropped", 0) for frames in figures["streams"].values())


def decoded(figures: Figures) -> float:
    """Frames that came for each that was looked at."""
    streams = figures["streams"].values()
    return float(sum(f["received"] for f in streams) / sum(f["acknowledged"] for f in streams))


def measure(folder: Path, sink: Mapping[str, Any], rounds: int, seconds: float) -> None:
    clip, slow, one = folder / "faces.mp4", folder / "slow.mp4", folder / "one.mp4"
    make_clip(clip)
    make_clip(slow, Scene(fps=2))
    make_clip(one, Scene(fps=2, people=PEOPLE[:1]))
    long = looped(clip, 3, folder / "long.mp4")
    whats = ("decode", "convert", "detector", "fitter", "opencv")
    alone = {what: median(rounds, partial(cost_of, what, long)) for what in whats}
    print(f"CPU ms a frame alone, 720p with three faces, medians of {rounds}:")
    print(f"  decode {alone['decode']:.2f}, conversion {alone['convert'] - alone['decode']:.2f}", end="")
    print(f", detector {alone['detector'] - alone['convert']:.2f}, fitter {alone['fitter'] - alone['detector']:.2f}")

    full = carried(clip, 8, FITTED, sink, seconds)
    parts = alone["decode"] * decoded(full) + alone["fitter"] - alone["decode"]
    print("8 cameras of 720p25, detector + fitter, to Kafka, as fast as it goes:")
    print(f"  {full['frames'] / full['wall']:.1f} frames/s looked at, {used(full):.0%} of the machine")
    print(f"  {per_frame(full):.2f} CPU ms a frame, its parts (with {decoded(full):.1f} decoded) {parts:.2f}:", end="")
    print(f" parts / whole {parts / per_frame(full):.2f} (at least 0.85)")
    print(f"  each camera's share within {shares(full)} (10 %); {dropped(full)} frames dropped and counted")

    quick = carried(clip, 8, CHAINS["detector"], sink, seconds)
    print("the same with the detector alone, beside OpenCV's VideoCapture and FaceDetectorYN in a loop over a file:")
    print(f"  {1000 / per_frame(quick):.0f} frames a CPU second, by hand {1000 / alone['opencv']:.0f}")

    cameras = max(round(0.6 * CORES * 1000 / (WANTED_FPS * alone["fitter"] + 25 * alone["decode"])), 1)
    some = carried(clip, cameras, FITTED, sink, seconds, fps=WANTED_FPS)
    print(f"{cameras} cameras of 720p25, {WANTED_FPS} frames/s wanted of each:")
    print(f"  {used(some):.0%} of the machine (60 %), {some['frames'] / some['wall']:.1f} frames/s, ", end="")
    print(f"p95 from capture to acknowledged record {some['p95'] * 1000:.0f} ms (250); {dropped(some)} dropped")

    print("a request to face-detector-face-fitter after the other, a 720p photo of three faces:")
    beside_cameras(clip, 0, sink, 50)
    beside_cameras(clip, 8, sink, 50)

    for faces, clip in (("three faces", slow), ("one face", one)):
        many = carried(clip, 32, FITTED, sink, seconds)
        print(f"32 cameras at 2 frames/s, {faces} each:")
        print(f"  {many['frames'] / many['wall']:.1f} of 64 frames/s, {used(many):.0%} of the machine, ", end="")
        print(f"p95 {many['p95'] * 1000:.0f} ms, shares within {shares(many)}; {dropped(many)} dropped")


def beside_cameras(clip: Path, cameras: int, sink: Mapping[str, Any], requests: int) -> None:
    """Seconds that requests take, one after the other, while so many cameras want more than the machine has."""
    image = cv2.imencode(".jpg", Scene().draw(0))[1].tobytes()
    body = json.dumps({"_image": {"blob": base64.b64encode(image).decode()}}).encode()
    with camera_of(clip) as url:
        config = json.loads(configuration({f"camera-{n}": url for n in range(cameras)}, FITTED, dict(sink), None))
        config |= {"http": {"port": 0}, "log": {"level": "info"}}
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(json.dumps(config))
            file.flush()
            command = [sys.executable, "-m", "daemon", "run", file.name]
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
                try:
                    assert server.stderr is not None
                    address = next(line for line in server.stderr if "HTTP on" in line).split()[-1]
                    threading.Thread(target=server.stderr.read, daemon=True).start()
                    took = asyncio.run(asked(f"{address}/face-detector-face-fitter/v2/process/sample", body, requests))
                finally:
                    server.terminate()
    print(f"  beside {cameras} cameras: p50 {statistics.median(took) * 1000:.0f} ms", end="")
    print(f", p95 {statistics.quantiles(took, n=20)[-1] * 1000:.0f} ms")


async def asked(url: str, body: bytes, requests: int) -> list[float]:
    took = []
    async with aiohttp.ClientSession() as session:
        await asyncio.sleep(5)  # until the cameras run
        for _ in range(requests):
            began = time.monotonic()
            async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
                assert response.status == 200, await response.text()
                await response.read()
            took.append(time.monotonic() - began)
    return took


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20, help="of each run with cameras")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        async with embedded_broker() as broker:
            sink = {
                "clusters": {"bench": {"bootstrap_servers": broker}},
                "sinks": {"out": {"type": "kafka", "topic": "bench"}},
            }
            await asyncio.to_thread(measure, Path(folder), sink, arguments.rounds, arguments.seconds)


if __name__ == "__main__":
    asyncio.run(main())
