"""Subscribers of one stream: python -m tests.benchmarks.subscribers [--subscribers 50] [--seconds 45] [--rounds 3]

A camera (720p, three people, `fps: 5`) is watched by nobody and by so many, in turns. Prints the daemon's CPU, as a
percentage of a core, and the stream's p95 from capture to acknowledgement. One subscriber reads nothing while it is
there, and then all. Ends with status 1 where watching costs more than 2 % of a core in the median of the rounds, or
where a subscriber missed something that it was not told of, or got something twice.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from daemon.simulator.clip import make_clip
from tests.benchmarks.cameras import camera_of
from tests.benchmarks.daemons import Daemon, daemon_of

CHAIN = ["face-detector", "face-fitter"]
FPS = 5
MOST_PERCENT = 2.0
WARM_UP_S = 10.0


@dataclass(slots=True)
class Subscriber:
    """What one has got."""

    last: int | None = None
    """Of the sequence."""
    last_id: str = ""
    events: int = 0
    bytes: int = 0
    told: list[Any] = field(default_factory=list)
    """Gaps."""
    wrong: list[str] = field(default_factory=list)
    """What was missed without a word, or came twice."""

    async def read(self, response: aiohttp.ClientResponse) -> None:
        """Until the answer ends."""
        gap, event = False, ""
        with contextlib.suppress(aiohttp.ClientError):
            while line := (await response.content.readline()).decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name == "event":
                    event = value
                elif name == "id":
                    self.last_id = value
                elif name == "data" and event == "gap":
                    gap = True
                    self.told.append(json.loads(value))
                elif name == "data":
                    self._take(int(self.last_id.rpartition("-")[2]), after_gap=gap)
                    self.bytes += len(line)
                    gap = False

    def _take(self, sequence: int, *, after_gap: bool) -> None:
        if self.last is not None and not after_gap and sequence != self.last + 1:
            self.wrong.append(f"{sequence} after {self.last}")
        self.last = sequence
        self.events += 1


class Phase(NamedTuple):
    percent: float
    """Of a core, that the daemon has used."""
    p95: float
    """Seconds."""


async def phase(daemon: Daemon, seconds: float) -> Phase:
    before, began = daemon.cpu(), time.monotonic()
    await asyncio.sleep(seconds)
    used, took = daemon.cpu() - before, time.monotonic() - began
    return Phase(100 * used / took, (await daemon.streams())["cam"]["latency"]["p95"])


@contextlib.asynccontextmanager
async def subscribed(daemon: Daemon, subscribers: list[Subscriber], stuck: Subscriber) -> AsyncIterator[None]:
    """All of them read, but one, which reads when the others have done."""
    async with _events(daemon, stuck) as response:
        response.content._protocol.pause_reading()
        async with asyncio.TaskGroup() as group:
            reading = [group.create_task(_read(daemon, one)) for one in subscribers]
            yield
            for task in reading:
                task.cancel()
        response.content._protocol.resume_reading()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await stuck.read(response)
    async with _events(daemon, stuck) as response:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await stuck.read(response)


async def _read(daemon: Daemon, subscriber: Subscriber) -> None:
    async with _events(daemon, subscriber) as response:
        await subscriber.read(response)


@contextlib.asynccontextmanager
async def _events(daemon: Daemon, subscriber: Subscriber) -> AsyncIterator[aiohttp.ClientResponse]:
    headers = {"Last-Event-ID": subscriber.last_id} if subscriber.last_id else None
    async with daemon.session.get(f"{daemon.url}/streams/cam/events", headers=headers) as response:
        assert response.status == 200, await response.text()
        yield response


async def measure(url: str, folder: Path, count: int, seconds: float, rounds: int) -> bool:
    """Whether all is as it is to be."""
    alone: list[Phase] = []
    watched: list[Phase] = []
    all_of_them: list[Subscriber] = []
    streams = {"cam": {"source": url, "chain": CHAIN, "fps": FPS}}
    async with daemon_of(streams, folder, WARM_UP_S) as daemon:
        for _ in range(rounds):
            alone.append(await phase(daemon, seconds))
            subscribers, stuck = [Subscriber() for _ in range(count - 1)], Subscriber()
            async with subscribed(daemon, subscribers, stuck):
                watched.append(await phase(daemon, seconds))
            all_of_them += [*subscribers, stuck]
            told = f"{stuck.events} events and was told {stuck.told or 'of no gap'}"
            print(f"  the one that did not read then got {told}", flush=True)
    for name, phases in (("alone", alone), (f"{count} subscribers", watched)):
        shown = ", ".join(f"{phase.percent:.1f} % {1000 * phase.p95:.0f} ms" for phase in phases)
        print(f"  {name:16} CPU of a core and p95: {shown}")
    costs = statistics.median(with_.percent - before.percent for before, with_ in zip(alone, watched, strict=True))
    events = sum(subscriber.events for subscriber in all_of_them)
    size = sum(subscriber.bytes for subscriber in all_of_them) / max(events, 1)
    wrong = [what for subscriber in all_of_them for what in subscriber.wrong]
    print(
        f"  watching costs {costs:.2f} % of a core; {events} events of {size:.0f} bytes, {len(wrong)} missed or doubled"
    )
    return costs < MOST_PERCENT and not wrong and events > 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscribers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=45.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "faces.mp4"
        make_clip(clip)
        with camera_of(clip) as url:
            well = asyncio.run(measure(url, Path(folder), given.subscribers, given.seconds, given.rounds))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
