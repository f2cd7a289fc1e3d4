"""The history with many events: python -m tests.benchmarks.history [--events 1000000] [--rate 500] [--seconds 20]

The event is that of a face, with all that is known of it and its picture. Prints what an event takes on the disk and
how many are written a second, with pictures and without; what a query takes when there are so many, and a deletion;
and what the history costs where so many events a second come with their pictures: CPU, and how late the loop is.
Ends with status 1 where an event was lost at that rate.
"""

import argparse
import asyncio
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from daemon.flow.receipts import Counts
from daemon.history.history import History
from daemon.history.reader import Reader
from daemon.history.selection import Position, Selection
from daemon.history.settings import HistorySettings
from daemon.history.store import Store
from daemon.work.plan import Plan
from daemon.work.settings import ProcessorSettings, WorkSettings
from models.store import ModelStore
from processors.types import Frame
from sinks.base import About, Record, Shot, Subject
from tests.processors.pictures import portrait

CHAIN = [
    "face-detector",
    "face-fitter",
    "age-estimator",
    "gender-estimator",
    "emotion-estimator",
    "mask-estimator",
    "liveness-estimator",
    "quality-assessment-estimator",
    "template-extractor",
]
STREAMS = [f"camera-{number}" for number in range(20)]
ROUND = 10_000
"""Events that are made, and then written."""
BEGAN = 1_764_000_000.0
SETTINGS = HistorySettings(days=36500, bytes=100_000_000_000)
TICK_S = 0.001


def example() -> Record:
    """`appeared`, of a face of 200 pixels."""
    work = WorkSettings.model_validate({"chain": CHAIN, "tracking": {"confirmed_after": 1, "events": {}}})
    plan = Plan(work, ProcessorSettings(), ModelStore(), shot_url=str).work("camera-0", "run")
    picture = cv2.resize(portrait("obama"), (500, 600), interpolation=cv2.INTER_AREA)
    frame = Frame.of(np.ascontiguousarray(picture), captured_at=BEGAN)
    return next(record for record in plan.tell(plan.look(frame, 0)) if record.shot is not None)


def events(like: Record, *, pictures: bool) -> Iterator[Record]:
    """Ten a second, of all streams in turn; each hundredth is of a place."""
    noise = np.random.default_rng(1)
    assert like.shot is not None
    for number in itertools.count():
        headers = tuple(
            (name, b"%032x-%d" % (number // 50, number) if name == "ce_id" else value) for name, value in like.headers
        )
        about = like.about
        if number % 100 == 99:
            about = About("visaged.place", "entered", (Subject("body", zones=frozenset({f"zone-{number % 700}"})),))
        jpeg = like.shot.jpeg + noise.bytes(16)
        yield replace(
            like,
            key=STREAMS[number % len(STREAMS)],
            headers=headers,
            timestamp=BEGAN + number / 10,
            about=about,
            shot=Shot(jpeg) if pictures else None,
        )


def write(store: Store, source: Iterator[Record], count: int) -> float:
    """Events a second."""
    took = 0.0
    for _ in range(0, count, ROUND):
        made = list(itertools.islice(source, ROUND))
        began = time.perf_counter()
        for first in range(0, ROUND, 500):
            store.add(made[first : first + 500])
        took += time.perf_counter() - began
    return count / took


def timed(call: Callable[[], object], times: int = 15) -> str:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        took.append(1000 * (time.perf_counter() - began))
    return f"{statistics.median(took):8.1f} ms, at most {max(took):.1f}"


def query(store: Store, count: int) -> None:
    reader = Reader(store)
    reader.open()
    middle, end = BEGAN + count / 20, BEGAN + count / 10
    asked: Sequence[tuple[str, Selection, Sequence[str], Position | None]] = [
        ("the newest 100 of all", Selection(), STREAMS, None),
        ("of one stream", Selection(), STREAMS[:1], None),
        ("from the middle on", Selection(), STREAMS, Position(round(middle * 1e6), 0)),
        ("of an hour, a year ago", Selection(since=middle, until=middle + 3600), STREAMS, None),
        ("of one zone, of all streams", Selection(zones=("zone-99",)), STREAMS, None),
        ("of one kind, each 100th", Selection(types=("place.entered",)), STREAMS, None),
        ("of nothing that there is, of all", Selection(zones=("nowhere",)), STREAMS, None),
        ("of nothing that there is, of one stream", Selection(zones=("nowhere",)), STREAMS[:1], None),
        ("of nothing, of an hour", Selection(zones=("nowhere",), since=end - 3600), STREAMS, None),
    ]
    for name, wanted, of, after in asked:
        print(f"  {name:42} {timed(lambda a=wanted, b=of, c=after: reader.page(a, b, c, 100))}", flush=True)  # type: ignore[misc]
    reader.close()


def delete(store: Store) -> None:
    began = time.perf_counter()
    deleted, after = store.delete(Selection(), STREAMS[:1], None)
    while after is not None:
        more, after = store.delete(Selection(), STREAMS[:1], after)
        deleted += more
    removed = time.perf_counter() - began
    while store.shrink():
        pass
    store.scrub()
    scrubbed = time.perf_counter() - began
    print(f"  {deleted} events of one stream: {removed:.1f} s, and {scrubbed:.1f} s until it is scrubbed")


async def late(loop_is: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(TICK_S)
        loop_is.append(1000 * (time.perf_counter() - began - TICK_S))


async def cost(folder: Path, like: Record, rate: int, seconds: float) -> bool:
    """Whether all were kept."""
    history, source = History(folder, SETTINGS), events(like, pictures=True)
    made = list(itertools.islice(source, round(rate * seconds)))
    running, frames = asyncio.create_task(history.run()), Counts()
    for name, sent in (("without events", 0), ("with them", len(made))):
        lateness: list[float] = []
        watching = asyncio.create_task(late(lateness))
        cpu, began, offering = time.process_time(), time.perf_counter(), 0.0
        for number in range(0, len(made), 10):  # as frames come: some at once
            if sent:
                start = time.perf_counter()
                for record in made[number : number + 10]:
                    history.offer(record, frames.open())
                offering += time.perf_counter() - start
            await asyncio.sleep(max(began + number / rate - time.perf_counter(), 0))
        used, took = time.process_time() - cpu, time.perf_counter() - began
        watching.cancel()
        quantiles = statistics.quantiles(lateness, n=100)
        print(
            f"  {name:16} CPU {100 * used / took:5.1f} % of a core; the loop is {quantiles[49]:.2f} ms late in the "
            f"median, p99 {quantiles[98]:.2f}, at most {max(lateness):.1f}; offering takes "
            f"{1e6 * offering / max(sent, 1):.1f} us an event",
            flush=True,
        )
    await history.delivery.close(10)
    await running
    counts = history.delivery.counts
    print(f"  {counts.acknowledged} of {counts.received} events are kept")
    return counts.acknowledged == len(made)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    like = example()
    assert like.shot is not None
    print(f"an event of {len(like.value)} bytes with a picture of {len(like.shot.jpeg)}; {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, pictures, count in (("with pictures", True, 2 * ROUND), ("without", False, given.events)):
            store = Store(folder / what, SETTINGS)
            store.open()
            speed = write(store, events(like, pictures=pictures), count)
            size = store.figures.bytes / count
            print(f"{what}: {count} events, {speed:.0f} a second, {size:.0f} bytes each on the disk", flush=True)
            if not pictures:
                print(f"queries of {count} events:")
                query(store, count)
                print("deletion:")
                delete(store)
            store.close()
        print(f"{given.rate} events a second with pictures:")
        return 0 if asyncio.run(cost(folder / "cost", like, given.rate, given.seconds)) else 1


if __name__ == "__main__":
    sys.exit(main())
