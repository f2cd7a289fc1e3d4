"""The daemon itself with a clock on its parts. Run by tests.benchmarks.cost.

python -m tests.benchmarks.carry '{"streams": ..., "sinks": ..., ...}' [SECONDS] runs that configuration, to the end of
its files or for SECONDS after every stream runs, and prints as JSON the CPU seconds of the process from then on, those
of decoding (with demuxing) and of the chains (with conversion), the seconds from capture to acknowledged record that
95 % of the frames stay below, and what became of the frames.
"""

import asyncio
import contextlib
import json
import math
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from daemon.commands.run import App
from daemon.config.model import Config
from daemon.flow.delivery import Item
from daemon.logs import log_to_stderr
from daemon.prepare import prepare
from daemon.sources.base import Out, Waits
from daemon.sources.video import VideoReader
from processors.chain import Chain
from processors.types import Frame, Sample


class Clock:
    """CPU seconds of threads, added up."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = threading.Lock()

    def add(self, seconds: float) -> None:
        with self._lock:
            self.seconds += seconds


class TimedOut:
    """Takes the time of handing over out of the reader's."""

    def __init__(self, out: Out, clock: Clock) -> None:
        self._out = out
        self._clock = clock
        self._mark = time.thread_time()

    @property
    def stopped(self) -> bool:
        return self._out.stopped

    def offer(self, frame: Frame) -> None:
        self._clock.add(time.thread_time() - self._mark)
        self._out.offer(frame)
        self._mark = time.thread_time()

    def put(self, frame: Frame) -> None:
        self._clock.add(time.thread_time() - self._mark)
        self._out.put(frame)
        self._mark = time.thread_time()

    def fail(self, error: Exception) -> None:
        self._out.fail(error)

    def skip(self, reason: str) -> None:
        self._out.skip(reason)

    def opened(self, codec: str) -> None:
        self._out.opened(codec)

    def waits(self, what: Waits | None) -> None: ...


@contextlib.contextmanager
def timed(decoding: Clock, chains: Clock, latencies: list[float]) -> Iterator[None]:
    """Puts clocks on decoding and on what runs on every frame, and notes seconds from capture to acknowledgement."""
    read, call, acknowledge = VideoReader.read, Chain.__call__, Item.acknowledge

    inside = threading.local()

    def timed_call(self: Chain, samples: Sequence[Sample]) -> None:
        if getattr(inside, "a_chain", False):  # of a chain of chains the whole counts
            call(self, samples)
            return
        inside.a_chain, began = True, time.thread_time()
        try:
            call(self, samples)
        finally:
            inside.a_chain = False
            chains.add(time.thread_time() - began)

    def noting_acknowledge(self: Item) -> None:
        latencies.append(time.time() - (self.record.timestamp or math.nan))
        acknowledge(self)

    VideoReader.read = lambda self, out: read(self, TimedOut(out, decoding))  # type: ignore[method-assign]
    Chain.__call__, Item.acknowledge = timed_call, noting_acknowledge  # type: ignore[method-assign]
    try:
        yield
    finally:
        VideoReader.read, Chain.__call__, Item.acknowledge = read, call, acknowledge  # type: ignore[method-assign]


async def carry(config: Config, seconds: float | None) -> dict[str, Any]:
    latencies: list[float] = []
    decoding, chains = Clock(), Clock()
    with timed(decoding, chains, latencies):
        return await _carry(config, seconds, decoding, chains, latencies)


async def _carry(
    config: Config, seconds: float | None, decoding: Clock, chains: Clock, latencies: list[float]
) -> dict[str, Any]:
    app, stop = App(config), asyncio.Event()
    running = asyncio.create_task(app.run(stop))

    def counts() -> dict[str, Counter[str]]:
        """Of each stream, by the ending, what was received among them."""
        return {
            name: Counter({key: sum(n.values()) if isinstance(n, dict) else n for key, n in stream["frames"].items()})
            for name, stream in app.status()["streams"].items()
        }

    while not running.done() and (  # noqa: ASYNC110  # a look now and then costs nothing here
        len(app.status()["streams"]) < len(config.streams)
        or any(stream["frames"]["acknowledged"] < 3 for stream in app.status()["streams"].values())
    ):
        await asyncio.sleep(0.02)
    cpu, wall, parts, before = time.process_time(), time.monotonic(), (decoding.seconds, chains.seconds), counts()
    latencies.clear()
    if seconds is not None:
        await asyncio.sleep(seconds)
    else:
        await running
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    streams = {name: after - before[name] for name, after in counts().items()}
    figures = {
        "cpu": cpu,
        "wall": wall,
        "decoding": decoding.seconds - parts[0],
        "chains": chains.seconds - parts[1],
        "frames": sum(frames["acknowledged"] for frames in streams.values()),
        "p95": statistics.quantiles(latencies, n=20)[-1] if len(latencies) > 1 else None,
        "streams": streams,
    }
    stop.set()
    await running
    return figures


def main() -> None:
    config = Config(**json.loads(sys.argv[1]))
    prepare()
    log_to_stderr(config.log.level)
    print(json.dumps(asyncio.run(carry(config, float(sys.argv[2]) if len(sys.argv) > 2 else None))))


if __name__ == "__main__":
    main()
