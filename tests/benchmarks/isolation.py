"""What `isolate: true` costs: a reader in a thread beside one in a process of its own.

    python -m tests.benchmarks.isolation [--rounds 5] [--seconds 20]

Prints, for a 720p clip read as fast as it goes and for a camera of it at 25 frames/s (the simulator, a process outside
the count), CPU milliseconds a frame of the daemon and of the decoder's process, each frame converted to BGR in a worker
thread; for the camera also the time from the packet to the converted frame. `BGR` is the same process that converts
every picture itself and shares three bytes a pixel instead of the planes' one and a half.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from daemon.prepare import prepare
from daemon.simulator.clip import make_clip
from daemon.sources.base import InThread, Out, Reader, Source, Waits
from daemon.sources.isolated import Isolated
from daemon.sources.planes import Decoded
from daemon.sources.settings import SourceSettings
from daemon.sources.video import VideoReader
from processors.types import Frame
from tests.benchmarks.cost import looped, run_json

Figures = dict[str, Any]
WAYS = ("thread", "process", "process, BGR")
MIB = 1024 * 1024


@dataclass
class InBgr:
    """A reader none of whose pictures can be carried in planes."""

    reader: Reader

    def read(self, out: Out) -> None:
        Decoded.layout = property(lambda _: None)  # type: ignore[assignment, method-assign]
        self.reader.read(out)


def make(way: str, url: str) -> Source:
    reader = VideoReader(SourceSettings(source=url))
    if way == "thread":
        return InThread(reader, "reader")
    # By its full name: the process finds no InBgr in its own __main__.
    from tests.benchmarks.isolation import InBgr

    return Isolated(reader if way == "process" else InBgr(reader), "reader")


def cpu(process: psutil.Process) -> float:
    """User and system seconds of all its threads."""
    times = process.cpu_times()
    return float(times.user + times.system)


class Feed:
    """Converts every `every`th frame in a worker thread, as the engine does, and measures from the first frame on."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._worker = ThreadPoolExecutor(1)
        self._began = time.monotonic(), cpu(psutil.Process())
        self._first: tuple[float, float, float] | None = None
        self.converting: set[asyncio.Future[None]] = set()
        self.frames = 0
        self.latencies: list[float] = []
        self.starting: Figures = {}

    def offer(self, frame: Frame) -> None:
        if self._first is None:
            self._first = self._clocks()
            wall, own, decoder = self._first
            start = {"start": wall - self._began[0], "start_cpu": own - self._began[1] + decoder}
            self.starting = start
        self.frames += 1
        if frame.index % self._every == 0:
            work = asyncio.get_running_loop().run_in_executor(self._worker, self._convert, frame)
            self.converting.add(work)
            work.add_done_callback(self.converting.discard)

    async def put(self, frame: Frame) -> None:
        while len(self.converting) > 1:
            await asyncio.wait(self.converting, return_when=asyncio.FIRST_COMPLETED)
        self.offer(frame)

    def fail(self, error: Exception) -> None:
        raise error

    def skip(self, reason: str) -> None:
        raise AssertionError(reason)

    def waits(self, what: Waits | None) -> None: ...

    def drop(self) -> None:
        raise AssertionError("dropped")

    def opened(self, codec: str) -> None: ...
    def spent(self, cpu_seconds: float) -> None: ...

    def _convert(self, frame: Frame) -> None:
        _ = frame.image
        self.latencies.append(time.time() - frame.captured_at)

    @staticmethod
    def _clocks() -> tuple[float, float, float]:
        """Wall, CPU of this process, CPU of the decoder's."""
        own = psutil.Process()
        return time.monotonic(), cpu(own), sum(cpu(child) for child in own.children())

    def figures(self) -> Figures:
        assert self._first is not None
        wall, own, decoder = (now - first for now, first in zip(self._clocks(), self._first, strict=True))
        memory = [child.memory_full_info() for child in psutil.Process().children()]
        return self.starting | {
            "daemon": own / self.frames * 1000,
            "decoder": decoder / self.frames * 1000,
            "fps": self.frames / wall,
            "memory": sum(each.uss for each in memory) / MIB,
            "p50": statistics.median(self.latencies) * 1000,
            "p95": statistics.quantiles(self.latencies, n=20)[-1] * 1000,
        }


async def run(way: str, url: str, frames: int, every: int) -> Figures:
    feed = Feed(every)
    source = asyncio.create_task(make(way, url).run(feed))
    while feed.frames < frames:  # a look now and then costs nothing here
        await asyncio.sleep(0.02)
        if source.done():
            raise RuntimeError(f"expected {frames} frames, got {feed.frames}") from source.exception()
    figures = feed.figures()
    source.cancel()
    await asyncio.wait([source])
    await asyncio.gather(*feed.converting)
    return figures


def measure_all(what: str, url: str, frames: int, every: int, rounds: int) -> None:
    """Each in a process of its own, the ways in turn."""
    all_figures: dict[str, list[Figures]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            arguments = ("--one", way, url, str(frames), str(every))
            all_figures[way].append(run_json("tests.benchmarks.isolation", *arguments))
    print(f"{what}, {frames} frames, medians of {rounds} (least to most of the sum):")
    for way, figures in all_figures.items():
        m = {key: statistics.median(each[key] for each in figures) for key in figures[0]}
        sums = [each["daemon"] + each["decoder"] for each in figures]
        latency = f", packet to BGR p50 {m['p50']:.1f} ms, p95 {m['p95']:.1f}" if url.startswith("rtsp") else ""
        print(
            f"  {way:13} CPU ms a frame: daemon {m['daemon']:.2f} + decoder {m['decoder']:.2f} = "
            f"{statistics.median(sums):.2f} ({min(sums):.2f} to {max(sums):.2f}), {m['fps']:.0f} frames/s{latency}; "
            f"to the first frame {m['start']:.2f} s and {m['start_cpu']:.2f} CPU s; {m['memory']:.0f} MiB of its own"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20, help="of each run with a camera")
    parser.add_argument("--one", nargs=4, metavar=("WAY", "URL", "FRAMES", "EVERY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        way, url, frames, every = arguments.one
        prepare()
        print(json.dumps(asyncio.run(run(way, url, int(frames), int(every)))))
        return
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "faces.mp4"
        make_clip(clip)
        long = looped(clip, 5, Path(folder) / "long.mp4")
        measure_all("a clip, all frames converted", str(long), 1000, 1, arguments.rounds)
        measure_all("a clip, every third frame converted", str(long), 1000, 3, arguments.rounds)
        command = [sys.executable, "-m", "daemon.simulator.camera", str(clip), "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as camera:
            try:
                assert camera.stdout is not None
                url = camera.stdout.readline().strip()
                frames = round(arguments.seconds * 25)
                measure_all("a camera, all frames converted", url, frames, 1, arguments.rounds)
            finally:
                camera.terminate()


if __name__ == "__main__":
    main()
