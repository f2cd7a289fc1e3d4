"""What is left after many lost connections to a camera: python -m tests.benchmarks.reconnects [COUNT]

Prints the growth of threads, descriptors and memory from the tenth connection to the last.
"""

import argparse
import asyncio
import ctypes
import gc
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from daemon.errors import SourceError
from daemon.simulator.camera import Camera
from daemon.simulator.clip import Scene, make_clip
from daemon.simulator.rtp import Clip
from daemon.sources.base import InThread
from daemon.sources.settings import SourceSettings
from daemon.sources.video import VideoReader
from tests.fakes import CollectingFeed
from tests.waiting import until

WARM_UP = 10
"""Connections after which caches and the allocator have what they need."""


@dataclass(frozen=True, slots=True)
class Left:
    """What there is more of."""

    threads: int
    descriptors: int
    megabytes: float

    @classmethod
    def now(cls) -> "Left":
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what was freed is no leak
        process = psutil.Process()
        return cls(threading.active_count(), process.num_fds(), process.memory_info().rss / 2**20)

    def since(self, before: "Left") -> "Left":
        return Left(
            self.threads - before.threads,
            self.descriptors - before.descriptors,
            self.megabytes - before.megabytes,
        )


async def reconnect(clip: Clip, count: int, settings: Mapping[str, object]) -> Left:
    """Every connection is lost after a few frames, by turns because the camera hangs up, stalls or refuses."""
    before = Left.now()
    async with Camera({"cam": clip}) as camera:
        mount = camera.mounts["cam"]
        quick = {"read_timeout": 0.2, "ffmpeg_options": {"analyzeduration": "20000"}}
        values = {"source": camera.url("cam"), **quick, **settings}
        source = InThread(VideoReader(SourceSettings.model_validate(values)), "camera")
        for number in range(count):
            if number == WARM_UP:
                before = Left.now()
            mount.refuse(503 if number % 4 == 3 else None)
            feed = CollectingFeed()
            reading = asyncio.create_task(source.run(feed))
            await until(lambda: len(feed.offered) > 1 or reading.done())  # noqa: B023  # awaited here
            if number % 4 == 2:
                mount.stall()
            else:
                mount.drop_clients()
            try:
                await asyncio.wait_for(reading, 10)
            except SourceError:
                mount.resume()
            else:
                raise AssertionError("expected a lost camera")
            await until(lambda: camera.connections == 0)
        return Left.now().since(before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=200)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        make_clip(path, Scene(width=320, height=180, fps=50, seconds=1), gop=10)
        clip = Clip.read(path)
    for settings in ({}, {"fps": 10.0, "motion": {}}):
        print(settings, asyncio.run(reconnect(clip, count, settings)))


if __name__ == "__main__":
    main()
