"""What visaged costs beside its parts and beside what a user would write by hand: python -m tests.benchmarks.cost

One run, in turns (by hand, daemon, by hand, ...), medians. CPU is user and system time of a process or thread; the
broker, the camera simulator and the HTTP client are processes of their own and outside the count. `detector` is YuNet
at a long side of 640 with one look, so that it does what FaceDetectorYN does; `fitter`: two passes of the mesh a face.
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
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import av
import cv2
import psutil

from daemon.commands.demo.broker import embedded_broker
from daemon.flow.engine import Engine
from daemon.prepare import prepare
from daemon.simulator.clip import Scene, make_clip
from models.store import ModelStore
from processors.registry import build_chain
from processors.types import Frame, Sample

Figures = dict[str, Any]
DETECTOR = {"face_detector": {"close_ups": False}}
CHAINS = {"detector": ["face-detector"], "detector+fitter": ["face-detector", "face-fitter"]}


def run_json(*command: str) -> Figures:
    """The JSON that a command prints as its last line."""
    output = subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True, text=True).stdout
    figures: Figures = json.loads(output.splitlines()[-1])
    return figures


def per_frame(figures: Figures) -> float:
    """CPU milliseconds a frame."""
    return float(figures["cpu"] / figures["frames"] * 1000)


def median(rounds: int, measure: Callable[[], float]) -> float:
    return float(statistics.median(measure() for _ in range(rounds)))


def looped(clip: Path, times: int, to: Path) -> Path:
    """The clip `times` times in a row, its packets copied."""
    with av.open(str(to), "w") as out:
        copy = None
        shift = 0
        for _ in range(times):
            with av.open(str(clip)) as container:
                stream = container.streams.video[0]
                copy = copy or out.add_stream_from_template(stream)
                end = 0
                for packet in container.demux(stream):
                    if packet.dts is None or packet.pts is None or packet.duration is None:
                        continue
                    end = packet.pts + packet.duration
                    packet.pts += shift
                    packet.dts += shift
                    packet.stream = copy
                    out.mux(packet)
                shift += end
    return to


def configuration(
    sources: Mapping[str, str], chain: list[str], sink: dict[str, Any], workers: int | None, **options: object
) -> str:
    streams = {name: {"source": source, "chain": chain, **options} for name, source in sources.items()}
    return json.dumps(
        {
            "streams": streams,
            **sink,
            "processors": DETECTOR,
            "http": None,
            "log": {"level": "error"},
            "engine": {"workers": workers},
        }
    )


BF16 = {"provider": "openvino", "precision": "bf16"}
BY_HAND = {
    "opencv+onnxruntime": ("visaged detector", 1.0),
    "pyav+onnxruntime": ("visaged detector", 0.95),
    "pyav+openvino": ("visaged detector, OpenVINO", 1.1),
}
"""Loops as users write them, each with what does the same here, and what that may cost beside it."""


def parts_and_by_hand(clip: Path, sink: dict[str, Any], rounds: int) -> None:
    """One look at each frame of a file, in turns."""
    whats = ("decode", "convert", "detector", "fitter", "opencv", *BY_HAND)
    configurations = {
        f"visaged {name}": configuration({"file": str(clip)}, chain, sink, 1) for name, chain in CHAINS.items()
    }
    one_look = json.loads(configurations["visaged detector"])
    configurations["visaged detector, OpenVINO"] = json.dumps(one_look | {"models": BF16})
    ms: dict[str, list[float]] = {what: [] for what in (*whats, *configurations)}
    for _ in range(rounds):
        for what in whats:
            ms[what].append(per_frame(run_json("tests.benchmarks.work", what, str(clip))))
        for name, config in configurations.items():
            ms[name].append(per_frame(run_json("tests.benchmarks.carry", config)))
    m = {what: statistics.median(values) for what, values in ms.items()}
    print(f"CPU ms a frame, medians of {rounds} (least to most):")
    for what, values in ms.items():
        print(f"  {what:28} {m[what]:6.2f} ({min(values):.2f} to {max(values):.2f})")
    print(f"  conversion to BGR {m['convert'] - m['decode']:.2f}, fitter {m['fitter'] - m['detector']:.2f}")
    for peer, (ours, most) in BY_HAND.items():
        print(f"  {ours} / {peer}: {m[ours] / m[peer]:.2f} (at most {most:.2f})")


def cameras(clip: Path, sink: dict[str, Any], count: int, seconds: float) -> None:
    command = [sys.executable, "-m", "daemon.simulator.camera", str(clip), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as camera:
        try:
            assert camera.stdout is not None
            url = camera.stdout.readline().strip()
            sources = {f"camera-{n}": url for n in range(count)}
            config = configuration(sources, CHAINS["detector+fitter"], sink, None)
            figures = run_json("tests.benchmarks.carry", config, str(seconds))
        finally:
            camera.terminate()
    other = 1 - (figures["decoding"] + figures["chains"]) / figures["cpu"]
    dropped = sum(frames.get("dropped", 0) for frames in figures["streams"].values())
    print(
        f"  {count} camera{'s' if count > 1 else ' '}: {figures['frames'] / figures['wall']:6.1f} frames/s, "
        f"{per_frame(figures):6.2f} CPU ms a frame, {figures['cpu'] / figures['wall'] / (os.cpu_count() or 1):4.0%} of "
        f"the machine; neither decode nor model {other:5.1%} (under 10 %); {dropped} frames dropped"
    )


def engine_scaling(rounds: int, frames: int = 200) -> None:
    prepare()
    chain = build_chain(["face-detector"], {}, ModelStore())
    image = Scene().draw(0)

    async def throughput(workers: int) -> tuple[float, float]:
        engine = Engine(workers)
        lane = engine.lane("bench")
        cpu, wall = time.process_time(), time.monotonic()
        await asyncio.gather(*(lane.submit(chain, [Sample(Frame.of(image))]) for _ in range(frames)))
        figures = frames / (time.monotonic() - wall), (time.process_time() - cpu) / frames * 1000
        await engine.close()
        return figures

    runs = [(asyncio.run(throughput(1)), asyncio.run(throughput(2))) for _ in range(rounds)]
    one, two = ([run[k] for run in runs] for k in (0, 1))
    ratio = statistics.median(b[0] / a[0] for a, b in runs)
    print(
        f"engine, pictures in memory: 1 worker {statistics.median(r[0] for r in one):.0f} frames/s at "
        f"{statistics.median(r[1] for r in one):.2f} CPU ms, 2 workers {statistics.median(r[0] for r in two):.0f} at "
        f"{statistics.median(r[1] for r in two):.2f}: {ratio:.2f} times (at least 1.7)"
    )


async def post_all(url: str, body: bytes, requests: int, concurrency: int) -> float:
    """Seconds for so many requests, so many at a time."""
    waiting = iter(range(requests))

    async def client(session: aiohttp.ClientSession) -> None:
        for _ in waiting:
            async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
                assert response.status == 200, await response.text()
                await response.read()

    async with aiohttp.ClientSession() as session:
        began = time.monotonic()
        await asyncio.gather(*(client(session) for _ in range(concurrency)))
        return time.monotonic() - began


def http(requests: int, concurrency: int) -> float:
    """Requests a second to face-detector-face-fitter, each a frame of the clip as JPEG; prints the CPU of each too."""
    photo = cv2.imencode(".jpg", Scene().draw(0))[1].tobytes()
    body = json.dumps({"_image": {"blob": base64.b64encode(photo).decode()}}).encode()
    environ = os.environ | {"VISAGED_HTTP__PORT": "0", "VISAGED_PROCESSORS__FACE_DETECTOR__CLOSE_UPS": "false"}
    command = [sys.executable, "-m", "daemon", "run", "configs/http.yaml"]
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            address = next(line for line in server.stderr if "HTTP on" in line).split()[-1]
            url = f"{address}/face-detector-face-fitter/v2/process/sample"
            asyncio.run(post_all(url, body, concurrency, concurrency))
            process = psutil.Process(server.pid)
            before = sum(process.cpu_times()[:2])
            took = asyncio.run(post_all(url, body, requests, concurrency))
            cpu_ms = (sum(process.cpu_times()[:2]) - before) / requests * 1000
        finally:
            server.terminate()
    print(
        f"  HTTP     : {requests / took:6.1f} requests/s of {len(photo) / 1000:.0f} kB JPEG, {cpu_ms:.2f} CPU ms each"
    )
    return requests / took


def file_throughput(clip: Path, sink: dict[str, Any]) -> float:
    figures = run_json(
        "tests.benchmarks.carry", configuration({"file": str(clip)}, CHAINS["detector+fitter"], sink, None)
    )
    print(f"  a stream : {figures['frames'] / figures['wall']:6.1f} frames/s, {per_frame(figures):.2f} CPU ms each")
    return float(figures["frames"] / figures["wall"])


async def measure(rounds: int, seconds: float, *, one_look: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "faces.mp4"
        await asyncio.to_thread(make_clip, clip)
        slow = Path(folder) / "slow.mp4"
        await asyncio.to_thread(make_clip, slow, Scene(fps=SLOW_FPS))
        long = looped(clip, 3, Path(folder) / "long.mp4")
        async with embedded_broker() as broker:
            sink = {
                "clusters": {"bench": {"bootstrap_servers": broker}},
                "sinks": {"out": {"type": "kafka", "topic": "bench"}},
            }
            lines = {"sinks": {"out": {"type": "file", "path": str(Path(folder) / "documents.jsonl")}}}
            await asyncio.to_thread(parts_and_by_hand, long, lines, rounds)
            if one_look:
                return
            print(f"cameras over RTSP (720p, 3 faces; 1 at 25 frames/s, 8 at {SLOW_FPS}), detector + fitter, to Kafka:")
            await asyncio.to_thread(cameras, clip, sink, 1, seconds)
            await asyncio.to_thread(cameras, slow, sink, 8, seconds)
            print("all cores, detector + fitter:")
            stream = await asyncio.to_thread(file_throughput, long, sink)
            requests = await asyncio.to_thread(http, 200, 8)
            print(f"  HTTP / stream: {requests / stream:.2f}")
    await asyncio.to_thread(engine_scaling, rounds)


SLOW_FPS = 3
"""What 2 cores can carry of 8 cameras with three faces each in the picture."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20, help="of each run with cameras")
    parser.add_argument("--one-look", action="store_true", help="nothing but that, and the loops by hand")
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.rounds, arguments.seconds, one_look=arguments.one_look))


if __name__ == "__main__":
    main()
